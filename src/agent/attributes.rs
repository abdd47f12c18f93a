//! Attributes of files that the standard library does not know.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io;
use std::os::unix::ffi::OsStringExt as _;
use std::path::Path;

use rustix::fs::{AtFlags, CWD, Timespec, Timestamps, XattrFlags};

/// Beginnings of names of attributes that are no part of an image.
const FOREIGN: &[&[u8]] = &[b"trusted.overlay.", b"user.overlay.", b"security.selinux"];

/// `statfs` type of overlayfs.
const OVERLAYFS: i64 = 0x794c_7630;

/// The extended attributes that a layer can carry.
pub(super) fn xattrs(path: &Path) -> io::Result<BTreeMap<OsString, Vec<u8>>> {
    let mut names = vec![0; 1 << 12];
    let length = match rustix::fs::llistxattr(path, &mut names[..]) {
        Ok(length) => length,
        Err(rustix::io::Errno::NOTSUP) => 0,
        Err(error) => return Err(error.into()),
    };
    names.truncate(length);
    let mut found = BTreeMap::new();
    for name in names.split(|byte| *byte == 0).filter(|name| !name.is_empty()) {
        // These belong to the file system and to the host's policy, not to the file.
        if FOREIGN.iter().any(|prefix| name.starts_with(prefix)) {
            continue;
        }
        let name = OsString::from_vec(name.to_vec());
        let mut value = vec![0; 1 << 12];
        let length = rustix::fs::lgetxattr(path, &name, &mut value[..])?;
        value.truncate(length);
        found.insert(name, value);
    }
    Ok(found)
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
