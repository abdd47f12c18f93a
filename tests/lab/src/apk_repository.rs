//! Writes apk repositories.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use crate::apk_package::{WrittenPackage, index};
use crate::rsa_key::RsaKey;

/// Writes packages and their index into a folder, which is that of their architecture in a repository. The
/// index is signed if there is a key.
pub fn write(folder: &Path, packages: &[WrittenPackage], key: Option<&RsaKey>) -> Result<()> {
    fs::create_dir_all(folder)
        .with_context(|| format!("cannot make a folder: {}", folder.display()))?;
    for package in packages {
        write_file(&folder.join(&package.file_name), &package.bytes)?;
    }
    write_file(&folder.join("APKINDEX.tar.gz"), &index(packages, key)?)
}

/// Writes a file.
fn write_file(path: &Path, bytes: &[u8]) -> Result<()> {
    fs::write(path, bytes).with_context(|| format!("cannot write: {}", path.display()))
}
