//! The key that signs the lab's apk repositories, made on first use: apk knows none of gpg's.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result};

use crate::folder::LabFolder;
use crate::program;

/// The lab's key for apk.
#[derive(Debug)]
pub struct RsaKey {
    home: PathBuf,
}

impl RsaKey {
    /// What an image calls the public half in `/etc/apk/keys`: signatures name it.
    pub const FILE_NAME: &str = "lab@example.org-00000001.rsa.pub";

    /// The key of a lab folder.
    pub fn of(folder: &LabFolder) -> Result<Self> {
        let _alone = folder.lock("rsa-key")?;
        let key = Self { home: folder.folder("rsa-key")? };
        if !key.public().exists() {
            let unfinished = key.home.join("public.unfinished");
            program::run(
                program::system("openssl")?.args(["genrsa", "-out"]).arg(key.private()).arg("2048"),
            )?;
            program::run(
                program::system("openssl")?
                    .args(["rsa", "-pubout", "-in"])
                    .arg(key.private())
                    .arg("-out")
                    .arg(&unfinished),
            )?;
            fs::rename(unfinished, key.public()).context("cannot write the public key")?;
        }
        Ok(key)
    }

    /// The public half, as apk reads it.
    pub fn public_bytes(&self) -> Result<Vec<u8>> {
        let public = self.public();
        fs::read(&public).with_context(|| format!("cannot read: {}", public.display()))
    }

    /// Signs bytes the way apk 2 checks them.
    pub fn sign(&self, bytes: &[u8]) -> Result<Vec<u8>> {
        let (signed, signature) = (self.home.join("signed"), self.home.join("signature"));
        fs::write(&signed, bytes).with_context(|| format!("cannot write: {}", signed.display()))?;
        program::run(
            program::system("openssl")?
                .args(["dgst", "-sha1", "-sign"])
                .arg(self.private())
                .arg("-out")
                .arg(&signature)
                .arg(&signed),
        )?;
        fs::read(&signature).with_context(|| format!("cannot read: {}", signature.display()))
    }

    /// Where the public half is.
    fn public(&self) -> PathBuf {
        self.home.join("public.pem")
    }

    /// Where the private half is.
    fn private(&self) -> PathBuf {
        self.home.join("private.pem")
    }
}
