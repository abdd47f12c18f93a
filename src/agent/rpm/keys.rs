//! Keys that a manager imports in fetch: apply needs them too.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::super::Failure;
use super::super::process::Echo;

/// What rpm calls keys in its database.
const ENTRIES: &str = "gpg-pubkey";

/// How an exported key begins.
const ARMOR: &str = "-----BEGIN PGP PUBLIC KEY BLOCK-----";

/// Names of the keys that the image trusts.
pub(super) fn trusted() -> Result<BTreeSet<String>, Failure> {
    let format = "%{NAME}-%{VERSION}-%{RELEASE}\\n";
    let finished = super::rpm(&["-q", "--queryformat", format, ENTRIES], Echo::Hidden)?;
    let is_key = |line: &&str| line.starts_with(ENTRIES);
    Ok(finished.stdout.lines().filter(is_key).map(ToOwned::to_owned).collect())
}

/// Keeps the keys that the manager has imported since, from wherever its configuration says.
pub(super) fn keep_new(before: &BTreeSet<String>, folder: &Path) -> Result<(), Failure> {
    for name in trusted()?.difference(before) {
        let finished = super::rpm(&["-q", "--queryformat", "%{DESCRIPTION}", name], Echo::Hidden)?;
        if finished.stdout.starts_with(ARMOR) {
            keep(folder, finished.stdout.as_bytes())?;
        }
    }
    Ok(())
}

/// Keeps a key.
pub(super) fn keep(folder: &Path, key: &[u8]) -> Result<(), Failure> {
    std::fs::create_dir_all(folder).map_err(|error| Failure::file("make", folder, &error))?;
    let file = folder.join(format!("{}.asc", kept(folder).len()));
    std::fs::write(&file, key).map_err(|error| Failure::file("write", &file, &error))
}

/// The keys that were kept.
pub(super) fn kept(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
    files.sort();
    files
}
