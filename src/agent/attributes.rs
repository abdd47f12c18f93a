//! Attributes of files that the standard library does not know.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io;
use std::os::unix::ffi::OsStringExt as _;
use std::path::Path;

use rustix::fs::{AtFlags, CWD, Timespec, Timestamps, XattrFlags};
use rustix::io::Errno;

/// Beginnings of names of attributes that are no part of an image.
const FOREIGN: &[&[u8]] = &[b"trusted.overlay.", b"user.overlay.", b"security.selinux"];

/// `statfs` type of overlayfs.
const OVERLAYFS: i64 = 0x794c_7630;

/// The extended attributes that a layer can carry.
pub(super) fn xattrs(path: &Path) -> io::Result<BTreeMap<OsString, Vec<u8>>> {
    let names = match whole(|buffer| rustix::fs::llistxattr(path, buffer)) {
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
        let value = whole(|buffer| rustix::fs::lgetxattr(path, &name, buffer))?;
        found.insert(name, value);
    }
    Ok(found)
}

/// All that a call gives which, as listxattr(2) and getxattr(2) do, tells the length when the
/// buffer is empty.
fn whole(call: impl Fn(&mut [u8]) -> Result<usize, Errno>) -> Result<Vec<u8>, Errno> {
    let mut bytes = vec![0; call(&mut [])?];
    let length = if bytes.is_empty() { 0 } else { call(&mut bytes)? };
    bytes.truncate(length);
    Ok(bytes)
}

/// Sets an extended attribute, of a link itself.
pub(super) fn set_xattr(path: &Path, name: &OsString, value: &[u8]) -> io::Result<()> {
    Ok(rustix::fs::lsetxattr(path, name, value, XattrFlags::empty())?)
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

    /// The largest value that Linux allows is 64 KiB (xattr(7)).
    #[test]
    fn attributes_of_any_length() {
        for length in [0, 1, 1 << 12, 1 << 16] {
            let kernel = |buffer: &mut [u8]| match buffer.len() {
                0 => Ok(length),
                room if room < length => Err(Errno::RANGE),
                _ => {
                    buffer.fill(1);
                    Ok(length)
                }
            };
            assert_eq!(whole(kernel), Ok(vec![1; length]));
        }
        assert_eq!(whole(|_| Err(Errno::NOTSUP)), Err(Errno::NOTSUP));
    }
}
