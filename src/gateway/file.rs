//! Files of a solved tree.

use super::{Gateway, GatewayError, Ref};

/// What is at a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileStat {
    /// Name within its directory.
    pub name: String,
    /// What it is.
    pub kind: FileKind,
    /// Bytes.
    pub size: u64,
}

/// What a directory entry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileKind {
    /// A regular file.
    Regular,
    /// A directory.
    Directory,
    /// A symbolic link.
    Symlink,
    /// A device, a pipe or a socket.
    Other,
}

impl FileKind {
    /// From the wire's mode, which is Go's `os.FileMode` and not `st_mode`.
    pub(crate) fn from_go_mode(mode: u32) -> Self {
        const DIRECTORY: u32 = 1 << 31;
        const SYMLINK: u32 = 1 << 27;
        const OTHER: u32 = 1 << 26 | 1 << 25 | 1 << 24 | 1 << 21 | 1 << 19;
        if mode & DIRECTORY != 0 {
            Self::Directory
        } else if mode & SYMLINK != 0 {
            Self::Symlink
        } else if mode & OTHER != 0 {
            Self::Other
        } else {
            Self::Regular
        }
    }
}

/// Bytes asked for at once: half of what a daemon (0.14 and later) puts into one message.
pub const CHUNK: u64 = 8 << 20;

/// The whole file, read in chunks; an error when it is longer than `limit` bytes.
pub async fn read_file(
    gateway: &impl Gateway,
    tree: &Ref,
    path: &str,
    limit: u64,
) -> Result<Vec<u8>, GatewayError> {
    let mut content = Vec::new();
    loop {
        let offset = content.len() as u64;
        let chunk = gateway.read_range(tree, path, offset, CHUNK).await?;
        content.extend_from_slice(&chunk);
        if content.len() as u64 > limit {
            return Err(GatewayError::TooLarge { path: path.to_owned(), limit });
        }
        if (chunk.len() as u64) < CHUNK {
            return Ok(content);
        }
    }
}

/// The file, or nothing if there is none.
pub async fn read_optional_file(
    gateway: &impl Gateway,
    tree: &Ref,
    path: &str,
    limit: u64,
) -> Result<Option<Vec<u8>>, GatewayError> {
    match read_file(gateway, tree, path, limit).await {
        Ok(content) => Ok(Some(content)),
        Err(error) if error.is_not_found() => Ok(None),
        Err(error) => Err(error),
    }
}

/// The entries of a directory; none if it does not exist.
pub async fn read_optional_directory(
    gateway: &impl Gateway,
    tree: &Ref,
    path: &str,
) -> Result<Vec<FileStat>, GatewayError> {
    match gateway.read_directory(tree, path).await {
        Ok(entries) => Ok(entries),
        Err(error) if error.is_not_found() => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

/// Whether something is at the path.
pub async fn exists(gateway: &impl Gateway, tree: &Ref, path: &str) -> Result<bool, GatewayError> {
    match gateway.stat(tree, path).await {
        Ok(_) => Ok(true),
        Err(error) if error.is_not_found() => Ok(false),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_are_gos() {
        for (mode, kind) in [
            (0o644, FileKind::Regular),
            (1 << 31 | 0o755, FileKind::Directory),
            (1 << 27 | 0o777, FileKind::Symlink),
            (1 << 26 | 1 << 21, FileKind::Other),
            (1 << 23 | 0o755, FileKind::Regular),
        ] {
            assert_eq!(FileKind::from_go_mode(mode), kind, "{mode:o}");
        }
    }
}
