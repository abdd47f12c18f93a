//! Makes an upgrade on overlayfs cheap.
//!
//! A package manager keeps a hard link of each file until its new version is in place. On
//! overlayfs a link to a file of a lower layer first copies it up, and the kernel waits for the
//! disk after each copy (`ovl_copy_up_file` ends in `fsync`): 1,700 times for a handful of
//! packages. A file that was replaced by a copy of itself lies in the upper layer already, and
//! nothing waits. What turns out unchanged is left out of the layer by the settling.

use std::io;
use std::os::unix::fs::{self as unix, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use super::attributes::{is_overlay, set_modified, set_xattr, xattrs};

/// Name of a copy in the making; it replaces its original at once.
const COPY: &str = ".suture-lift";

/// Replaces the regular files among these absolute paths by copies of themselves.
///
/// It only saves time, so a file that cannot be copied is left as it is.
pub(super) fn run(files: impl IntoIterator<Item = PathBuf>) {
    if !is_overlay(Path::new("/")) {
        return;
    }
    for file in files {
        let Ok(metadata) = file.symlink_metadata() else { continue };
        // Links among themselves would come apart.
        if !metadata.is_file() || metadata.nlink() > 1 {
            continue;
        }
        let Some(folder) = file.parent() else { continue };
        let copy = folder.join(COPY);
        if replace(&file, &metadata, &copy).is_err() {
            drop(std::fs::remove_file(&copy));
        }
    }
}

fn replace(file: &Path, metadata: &std::fs::Metadata, copy: &Path) -> io::Result<()> {
    let mut from = std::fs::File::open(file)?;
    let mut options = std::fs::OpenOptions::new();
    let mut to = options.write(true).create_new(true).mode(0o600).open(copy)?;
    io::copy(&mut from, &mut to)?;
    // The owner first: a change of it takes away set-user-ID and capabilities.
    unix::fchown(&to, Some(metadata.uid()), Some(metadata.gid()))?;
    to.set_permissions(metadata.permissions())?;
    for (name, value) in xattrs(file)? {
        set_xattr(copy, &name, &value)?;
    }
    set_modified(copy, metadata.mtime(), metadata.mtime_nsec())?;
    std::fs::rename(copy, file)
}
