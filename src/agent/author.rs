//! What the image's author gave to packages' files: mode, owner, group and capabilities.
//!
//! With a new version, a package manager gives its files what the package says. This undoes what was done to harden the
//! image, or to let it run as another user.

use std::fs::{Metadata, Permissions};
use std::io;
use std::os::unix::fs::{self as unix, MetadataExt as _, PermissionsExt as _};
use std::path::Path;

use crate::pkgdb::Attributes;

use super::attributes::{remove_xattr, set_xattr, xattr};

/// Where Linux keeps a file's capabilities (capabilities(7)).
const CAPABILITIES: &str = "security.capability";

/// The bits of a mode that are not the type.
pub(super) const PERMISSIONS: u32 = 0o7777;

/// A file's attributes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Given {
    mode: u32,
    owner: u32,
    group: u32,
    capabilities: Option<Vec<u8>>,
}

/// Where a package's file got its attributes before an author changed them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Origin<'a> {
    /// The package, which gave it these.
    Package(&'a Attributes),
    /// The package's own script.
    Script,
    /// Nobody has recorded it.
    Unknown,
}

impl Given {
    /// The attributes of this file or folder.
    pub(super) fn of(path: &Path, metadata: &Metadata) -> io::Result<Self> {
        Ok(Self {
            mode: metadata.mode() & PERMISSIONS,
            owner: metadata.uid(),
            group: metadata.gid(),
            capabilities: if metadata.is_file() {
                xattr(path, CAPABILITIES.as_ref())?
            } else {
                None
            },
        })
    }

    /// What a file that had `self` before keeps when an upgrade has given it `is`.
    ///
    /// A difference from what the old version of the package gave is the author's, and stays. A difference between the
    /// new and the old version is the packager's, and holds: it may be a fix. If the old version's attributes are
    /// unknown, as with dpkg, owner and capabilities stay, and the mode permits what both do. If a script of the
    /// package gave it something, only what both permit is certainly the author's.
    pub(super) fn kept(&self, is: &Self, origin: Origin<'_>) -> Self {
        let packaged = match origin {
            Origin::Package(packaged) => packaged,
            Origin::Unknown => return Self { mode: self.mode & is.mode, ..self.clone() },
            Origin::Script => {
                let capabilities = is.capabilities.clone().filter(|_| self.capabilities.is_some());
                return Self { mode: self.mode & is.mode, capabilities, ..is.clone() };
            }
        };
        let pick = |was, is, packaged| if is == packaged { was } else { is };
        let is_authors = self.capabilities.is_some() != packaged.is_capable
            && is.capabilities.is_some() == packaged.is_capable;
        Self {
            mode: pick(self.mode, is.mode, packaged.mode),
            owner: pick(self.owner, is.owner, packaged.owner),
            group: pick(self.group, is.group, packaged.group),
            capabilities: if is_authors { self } else { is }.capabilities.clone(),
        }
    }

    /// Gives these attributes to a file that has `is`.
    pub(super) fn give(&self, path: &Path, is: &Self) -> io::Result<()> {
        // Changing the owner clears bits of the mode and all capabilities.
        unix::chown(path, Some(self.owner), Some(self.group))?;
        std::fs::set_permissions(path, Permissions::from_mode(self.mode))?;
        match &self.capabilities {
            Some(capabilities) => set_xattr(path, CAPABILITIES.as_ref(), capabilities),
            None if is.capabilities.is_some() && xattr(path, CAPABILITIES.as_ref())?.is_some() => {
                remove_xattr(path, CAPABILITIES.as_ref())
            }
            None => Ok(()),
        }
    }

    /// How these attributes differ from `is`, in words.
    pub(super) fn told_from(&self, is: &Self) -> String {
        let mut told = Vec::new();
        if self.mode != is.mode {
            told.push(format!("mode {:04o}, not {:04o}", self.mode, is.mode));
        }
        if (self.owner, self.group) != (is.owner, is.group) {
            let Self { owner, group, .. } = self;
            told.push(format!("owner {owner}:{group}, not {}:{}", is.owner, is.group));
        }
        if self.capabilities != is.capabilities {
            told.push("capabilities".to_owned());
        }
        told.join("; ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given(mode: u32, owner: u32, capabilities: &str) -> Given {
        let capabilities = Some(capabilities.as_bytes().to_vec()).filter(|bytes| !bytes.is_empty());
        Given { mode, owner, group: 0, capabilities }
    }

    #[test]
    fn what_is_the_authors_stays() {
        let packaged = |mode, is_capable| Attributes { mode, owner: 0, group: 0, is_capable };
        let (plain, capable) = (packaged(0o755, false), packaged(0o755, true));
        let setuid = packaged(0o4755, true);
        for (what, was, is, origin, expected) in [
            (
                "the author's",
                given(0o600, 7, "a"),
                given(0o755, 0, ""),
                Origin::Package(&plain),
                given(0o600, 7, "a"),
            ),
            (
                "capabilities taken away",
                given(0o755, 0, ""),
                given(0o755, 0, "b"),
                Origin::Package(&capable),
                given(0o755, 0, ""),
            ),
            (
                "the packager's",
                given(0o4755, 0, "a"),
                given(0o755, 7, "b"),
                Origin::Package(&setuid),
                given(0o755, 7, "b"),
            ),
            (
                "of both, the packager's",
                given(0o777, 7, ""),
                given(0o700, 0, ""),
                Origin::Package(&plain),
                given(0o700, 7, ""),
            ),
            (
                "hardened",
                given(0o755, 0, ""),
                given(0o4755, 0, "b"),
                Origin::Unknown,
                given(0o755, 0, ""),
            ),
            (
                "loosened",
                given(0o777, 7, "a"),
                given(0o755, 0, ""),
                Origin::Unknown,
                given(0o755, 7, "a"),
            ),
            (
                "setuid of an old script",
                given(0o4755, 7, "a"),
                given(0o755, 0, ""),
                Origin::Script,
                given(0o755, 0, ""),
            ),
            (
                "hardened, against both scripts",
                given(0o755, 0, ""),
                given(0o4755, 7, "b"),
                Origin::Script,
                given(0o755, 7, ""),
            ),
        ] {
            assert_eq!(was.kept(&is, origin), expected, "{what}");
        }
    }

    #[test]
    fn what_is_given_is_there() {
        let file = std::env::temp_dir().join(format!("suture-author-{}", std::process::id()));
        std::fs::write(&file, "text").unwrap();
        let is = Given::of(&file, &file.symlink_metadata().unwrap()).unwrap();
        let capabilities = [&[1, 0, 0, 2, 0, 4][..], &[0; 14]].concat();
        let capabilities = (is.owner == 0).then_some(capabilities);
        let kept = Given { mode: 0o4710, capabilities, ..is.clone() };
        kept.give(&file, &is).unwrap();
        assert_eq!(Given::of(&file, &file.symlink_metadata().unwrap()).unwrap(), kept);
        let other = Given { mode: 0o644, ..kept.clone() };
        assert_eq!(kept.told_from(&other), "mode 4710, not 0644");
        is.give(&file, &kept).unwrap();
        assert_eq!(Given::of(&file, &file.symlink_metadata().unwrap()).unwrap(), is);
        std::fs::remove_file(&file).unwrap();
    }
}
