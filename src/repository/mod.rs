//! Where an image gets its packages from, according to its own configuration.

pub mod apk;
pub mod apt;
pub mod rpm;

/// The path that an address of a folder or a file of the image stands for: `file:///PATH`, `file:/PATH`
/// (RFC 8089, appendix B), or the path itself.
pub fn local_path(address: &str) -> Option<&str> {
    let path = address.strip_prefix("file:").unwrap_or(address);
    let path = path.strip_prefix("//").unwrap_or(path);
    path.starts_with('/').then_some(path)
}

#[cfg(test)]
mod tests {
    #[test]
    fn paths_of_addresses() {
        for (address, path) in [
            ("file:///srv/packages/", Some("/srv/packages/")),
            ("file:/srv/packages", Some("/srv/packages")),
            ("/srv/packages", Some("/srv/packages")),
            ("http://example.org/srv", None),
            ("file://elsewhere/srv", None),
            ("srv", None),
        ] {
            assert_eq!(super::local_path(address), path, "{address}");
        }
    }
}
