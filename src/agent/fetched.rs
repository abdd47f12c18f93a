//! The files that fetch hands out and apply takes: checked by digest, kept between builds.

use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use crate::digest::Digest;
use crate::patch::task::{AgentFailure, LockedPackage, path};

use super::Failure;

/// Now, in seconds since 1970.
pub(super) fn seconds_now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}

/// Digest of a file's content.
pub(super) fn digest_of(file: &Path) -> std::io::Result<Digest> {
    Digest::of_stream(&mut std::fs::File::open(file)?)
}

/// An error unless the file is what the lock says.
pub(super) fn check(package: &LockedPackage, files: &Path) -> Result<(), Failure> {
    let file = files.join(&package.file);
    let digest = digest_of(&file).map_err(|error| Failure::file("read", &file, &error))?;
    if digest == package.digest {
        return Ok(());
    }
    let message = format!(
        "{} is not what the lock says: {digest} instead of {}",
        package.file, package.digest
    );
    Err(Failure::new(AgentFailure::Untrusted, message))
}

/// Where the cache keeps content with this digest; `kind` distinguishes packages from the rest.
pub(super) fn kept(kind: &str, digest: &Digest) -> PathBuf {
    Path::new(path::CACHE).join(format!("{kind}{}", digest.as_str().replace(':', "-")))
}

/// Prefix of the names of packages in the cache.
const PACKAGE: &str = "";

/// Takes a package that an earlier fetch downloaded.
///
/// Other images' fetches have written to the cache, and apt would trust a file of the right size,
/// so only a file with the right digest is taken. Anything else is left to apt.
pub(super) fn take_from_cache(package: &LockedPackage, files: &Path) {
    let file = kept(PACKAGE, &package.digest);
    if digest_of(&file).is_ok_and(|digest| digest == package.digest) {
        let target = files.join(&package.file);
        if std::fs::copy(&file, &target).is_err() {
            drop(std::fs::remove_file(&target));
        }
    }
}

/// Free space that the cache leaves to the build, in bytes.
const SPARE: u64 = 256 << 20;

/// Whether the disk has room for more in the cache: what is only kept for later must not fail this upgrade.
pub(super) fn cache_has_room() -> bool {
    rustix::fs::statvfs(path::CACHE)
        .is_ok_and(|disk| disk.f_bavail.saturating_mul(disk.f_frsize) >= SPARE)
}

/// Keeps a package for later fetches; without it they download it again.
pub(super) fn put_into_cache(package: &LockedPackage, files: &Path) {
    let (file, kept) = (files.join(&package.file), kept(PACKAGE, &package.digest));
    if !kept.exists() && cache_has_room() && std::fs::copy(file, &kept).is_err() {
        drop(std::fs::remove_file(&kept));
    }
}
