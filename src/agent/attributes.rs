//! Attributes of files that the standard library does not know.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::ffi::OsStringExt as _;
use std::path::Path;

use rustix::fs::{AtFlags, CWD, Timespec, Timestamps, XattrFlags};
use rustix::io::Errno;

/// Prefixes of attribute names that are not part of an image.
const FOREIGN: &[&[u8]] = &[b"trusted.overlay.", b"user.overlay.", b"security.selinux"];

/// `statfs` type of overlayfs.
const OVERLAYFS: i64 = 0x794c_7630;

/// The extended attributes that a layer can carry.
pub(super) fn xattrs(path: &Path) -> io::Result<BTreeMap<OsString, Vec<u8>>> {
    let query = || rustix::fs::llistxattr_query(path);
    let names = match whole(query, |buffer| rustix::fs::llistxattr(path, buffer)) {
        Err(Errno::NOTSUP) => Vec::new(),
        names => names?,
    };
    let mut found = BTreeMap::new();
    for name in names.split(|byte| *byte == 0).filter(|name| !name.is_empty()) {
        // These belong to the file system and to the host's policy, not to the file.
        if FOREIGN.iter().any(|prefix| name.starts_with(prefix)) {
            continue;
        }
        let name = OsString::from_vec(name.to_vec());
        if let Some(value) = xattr(path, &name)? {
            found.insert(name, value);
        }
    }
    Ok(found)
}

/// One extended attribute of a file, if the file has it.
pub(super) fn xattr(path: &Path, name: &OsStr) -> io::Result<Option<Vec<u8>>> {
    let query = || rustix::fs::lgetxattr_query(path, name);
    match whole(query, |buffer| rustix::fs::lgetxattr(path, name, buffer)) {
        Err(Errno::NODATA | Errno::NOTSUP) => Ok(None),
        value => Ok(Some(value?)),
    }
}

/// The whole result of a call whose length another call reports: listxattr(2) and getxattr(2), which rustix does not
/// ask for a length with an empty buffer.
fn whole(
    query: impl Fn() -> Result<usize, Errno>,
    call: impl Fn(&mut [u8]) -> Result<usize, Errno>,
) -> Result<Vec<u8>, Errno> {
    let mut bytes = vec![0; query()?];
    let length = if bytes.is_empty() { 0 } else { call(&mut bytes)? };
    bytes.truncate(length);
    Ok(bytes)
}

/// Sets an extended attribute, of a link itself.
pub(super) fn set_xattr(path: &Path, name: &OsStr, value: &[u8]) -> io::Result<()> {
    Ok(rustix::fs::lsetxattr(path, name, value, XattrFlags::empty())?)
}

/// Removes an extended attribute, of a link itself.
pub(super) fn remove_xattr(path: &Path, name: &OsStr) -> io::Result<()> {
    Ok(rustix::fs::lremovexattr(path, name)?)
}

/// Sets the modification time, of a link itself; the access time follows it.
pub(super) fn set_modified(path: &Path, seconds: i64, nanoseconds: i64) -> io::Result<()> {
    let time = Timespec { tv_sec: seconds, tv_nsec: nanoseconds };
    let times = Timestamps { last_access: time, last_modification: time };
    Ok(rustix::fs::utimensat(CWD, path, &times, AtFlags::SYMLINK_NOFOLLOW)?)
}

/// Whether the path lies on overlayfs.
pub(super) fn is_overlay(path: &Path) -> bool {
    rustix::fs::statfs(path).is_ok_and(|found| found.f_type == OVERLAYFS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_of_any_length() {
        let file = std::env::temp_dir().join(format!("suture-attributes-{}", std::process::id()));
        std::fs::write(&file, "text").unwrap();
        let mut expected = BTreeMap::new();
        for length in [0, 1, 100, 1000] {
            let name = OsString::from(format!("user.suture-{length}"));
            set_xattr(&file, &name, &vec![1; length]).unwrap();
            assert_eq!(xattr(&file, &name).unwrap(), Some(vec![1; length]));
            expected.insert(name, vec![1; length]);
        }
        assert_eq!(xattrs(&file).unwrap(), expected);
        for name in expected.keys() {
            remove_xattr(&file, name).unwrap();
            assert_eq!(xattr(&file, name).unwrap(), None);
        }
        assert_eq!(xattrs(&file).unwrap(), BTreeMap::new());
        std::fs::remove_file(&file).unwrap();
    }
}
