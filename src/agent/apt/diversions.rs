//! Where packages' files really are: dpkg-divert(1) lets a package or an administrator put another file in the
//! place of a package's own.

use std::collections::BTreeMap;
use std::path::Path;

use crate::package::PackageName;

use super::super::links;

/// Where dpkg keeps them, three lines each: the path, where it is diverted to, and the package whose own file stays in
/// place (`:` for none).
const FILE: &str = "var/lib/dpkg/diversions";

/// The diversions of one tree.
#[derive(Debug, Default)]
pub(super) struct Diversions(BTreeMap<String, Diversion>);

#[derive(Debug)]
struct Diversion {
    to: String,
    not_of: String,
}

impl Diversions {
    /// The diversions of the tree below this root; none if it has no such file.
    pub(super) fn of(root: &Path) -> Self {
        let bytes = links::read(root, Path::new(FILE)).unwrap_or_default();
        Self::parse(&String::from_utf8_lossy(&bytes))
    }

    fn parse(text: &str) -> Self {
        let mut lines = text.lines().map(str::to_owned);
        let mut diversions = BTreeMap::new();
        while let (Some(path), Some(to), Some(not_of)) = (lines.next(), lines.next(), lines.next())
        {
            diversions.insert(path, Diversion { to, not_of });
        }
        Self(diversions)
    }

    /// The real location of the file that this package lists at this path.
    pub(super) fn place<'a>(&'a self, package: &PackageName, path: &'a str) -> &'a str {
        match self.0.get(path) {
            Some(diversion) if diversion.not_of != package.as_str() => &diversion.to,
            _ => path,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_others_are_diverted() {
        let diversions = Diversions::parse(
            "/bin/sh\n/bin/sh.distrib\ndash\n/usr/bin/chsh\n/usr/bin/chsh.distrib\n:\n/cut/off\n",
        );
        for (package, path, expected) in [
            ("bash", "/bin/sh", "/bin/sh.distrib"),
            ("dash", "/bin/sh", "/bin/sh"),
            ("passwd", "/usr/bin/chsh", "/usr/bin/chsh.distrib"),
            ("passwd", "/usr/bin/chfn", "/usr/bin/chfn"),
            ("passwd", "/cut/off", "/cut/off"),
        ] {
            let package = package.parse().unwrap();
            assert_eq!(diversions.place(&package, path), expected, "{path} of {package}");
        }
    }
}
