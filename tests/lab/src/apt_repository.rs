//! Writes apt repositories.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::deb_package;
use crate::digest;
use crate::program;
use crate::signing_key::SigningKey;

/// When every repository was made, as its Release file says it. Its age is no fault: it names no
/// day after which it must not be trusted.
const DATE: &str = "Thu, 01 Jan 2026 00:00:00 UTC";

/// One suite of a repository, with the single component `main`.
#[derive(Debug)]
pub struct Suite<'a> {
    /// The suite's name.
    pub name: &'a str,
    /// The label that tells people what it is for.
    pub label: &'a str,
    /// The files of its packages.
    pub packages: &'a [PathBuf],
}

impl Suite<'_> {
    /// Writes the suite and its packages below `archive`, signed if there is a key.
    pub fn write(&self, archive: &Path, key: Option<&SigningKey>) -> Result<()> {
        let architecture = program::output(program::system("dpkg")?.arg("--print-architecture"))?;
        let architecture = architecture.trim_end();
        let pool = archive.join("pool");
        let suite = archive.join("dists").join(self.name);
        let index_path = format!("main/binary-{architecture}/Packages");
        let index_file = suite.join(&index_path);
        for folder in [Some(pool.as_path()), index_file.parent()].into_iter().flatten() {
            fs::create_dir_all(folder)
                .with_context(|| format!("cannot make a folder: {}", folder.display()))?;
        }
        let mut index = String::new();
        for package in self.packages {
            let bytes =
                fs::read(package).with_context(|| format!("cannot read: {}", package.display()))?;
            let name = deb_package::file_name(package)?;
            index.push_str(&stanza(&deb_package::control(package)?, &name, &bytes));
            let pooled = pool.join(name);
            fs::write(&pooled, bytes)
                .with_context(|| format!("cannot write: {}", pooled.display()))?;
        }
        let release = format!(
            "Origin: Lab\nLabel: {label}\nSuite: {name}\nCodename: {name}\nDate: {DATE}\n\
             Architectures: {architecture}\nComponents: main\n\
             Description: suture's lab, nothing to install\n\
             SHA256:\n {digest} {size} {index_path}\n",
            label = self.label,
            name = self.name,
            digest = digest::of_bytes(index.as_bytes()),
            size = index.len(),
        );
        write(&index_file, &index)?;
        write(&suite.join("Release"), &release)?;
        match key {
            Some(key) => key.sign(&suite.join("Release"), &suite.join("InRelease")),
            None => Ok(()),
        }
    }
}

/// What an index says of a package: its control file, and how to recognise its file.
fn stanza(control: &str, name: &str, bytes: &[u8]) -> String {
    format!(
        "{}\nFilename: pool/{name}\nSize: {}\nSHA256: {}\n\n",
        control.trim_end(),
        bytes.len(),
        digest::of_bytes(bytes),
    )
}

/// Writes a text file.
fn write(path: &Path, text: &str) -> Result<()> {
    fs::write(path, text).with_context(|| format!("cannot write: {}", path.display()))
}
