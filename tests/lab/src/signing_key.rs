//! The key that signs the lab's repositories, made on first use and known to the lab's images alone.

use std::fs::{self, File, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::debian_packages::PackageSet;
use crate::folder::LabFolder;
use crate::network;
use crate::program;

/// Whose key it is.
pub const OWNER: &str = "Lab of suture <lab@example.org>";

/// What signs, for a machine that has no gpg.
const GNUPG: PackageSet<'_> = PackageSet {
    name: "gnupg",
    suite: "bookworm",
    packages: &[
        "gpg",
        "gpg-agent",
        "gpgconf",
        "libassuan0",
        "libbz2-1.0",
        "libgcrypt20",
        "libgpg-error0",
        "libnpth0",
        "libreadline8",
        "libsqlite3-0",
        "libtinfo6",
        "zlib1g",
    ],
};

/// The lab's key.
#[derive(Debug)]
pub struct SigningKey {
    folder: LabFolder,
    home: PathBuf,
    gnupg: Option<PathBuf>,
}

impl SigningKey {
    /// The key of a lab folder.
    pub fn of(folder: &LabFolder) -> Result<Self> {
        let home = folder.folder("signing-key")?;
        // GnuPG wants to be alone with its keys.
        fs::set_permissions(&home, Permissions::from_mode(0o700))
            .with_context(|| format!("cannot protect: {}", home.display()))?;
        let gnupg = match program::find("gpg") {
            Some(_) => None,
            None => Some(GNUPG.unpacked(folder)?),
        };
        let key = Self { folder: folder.clone(), home, gnupg };
        let alone = key.alone()?;
        if !key.public().exists() {
            key.make()?;
        }
        drop(alone);
        Ok(key)
    }

    /// Keeps everybody else away from the key: all share one agent, which whoever is done ends.
    fn alone(&self) -> Result<File> {
        self.folder.lock("signing-key")
    }

    /// The public half, as apt reads it.
    pub fn public_bytes(&self) -> Result<Vec<u8>> {
        let public = self.public();
        fs::read(&public).with_context(|| format!("cannot read: {}", public.display()))
    }

    /// Signs a text file; the signature surrounds the text.
    pub fn sign(&self, text: &Path, signed: &Path) -> Result<()> {
        let _alone = self.alone()?;
        let done = program::run(
            self.gpg()?
                .args(["--yes", "--local-user", OWNER, "--digest-algo", "SHA256"])
                .arg("--output")
                .arg(signed)
                .arg("--clear-sign")
                .arg(text),
        );
        self.end_agent();
        done
    }

    /// Signs a file; the signature stands apart from it.
    pub fn sign_apart(&self, file: &Path, signature: &Path) -> Result<()> {
        let _alone = self.alone()?;
        let done = program::run(
            self.gpg()?
                .args(["--yes", "--local-user", OWNER, "--digest-algo", "SHA256", "--armor"])
                .arg("--output")
                .arg(signature)
                .arg("--detach-sign")
                .arg(file),
        );
        self.end_agent();
        done
    }

    /// Both halves, for a program that signs in a root of its own.
    pub fn secret_bytes(&self) -> Result<Vec<u8>> {
        let _alone = self.alone()?;
        let secret = self.home.join("secret-key.unfinished");
        let exported = program::run(
            self.gpg()?
                .args(["--yes", "--pinentry-mode", "loopback", "--passphrase", ""])
                .arg("--output")
                .arg(&secret)
                .args(["--export-secret-keys", OWNER]),
        )
        .and_then(|()| fs::read(&secret).context("cannot read the secret key"));
        self.end_agent();
        fs::remove_file(&secret).context("cannot remove the secret key's copy")?;
        exported
    }

    /// Where the public half is.
    fn public(&self) -> PathBuf {
        self.home.join("public-key.gpg")
    }

    /// Makes the key.
    fn make(&self) -> Result<()> {
        let made = program::run(
            self.gpg()?.args(["--pinentry-mode", "loopback", "--passphrase", ""]).args([
                "--quick-generate-key",
                OWNER,
                "rsa3072",
                "sign",
                "never",
            ]),
        )
        .and_then(|()| {
            let public = self.home.join("public-key.unfinished");
            program::run(
                self.gpg()?.arg("--yes").arg("--output").arg(&public).args(["--export", OWNER]),
            )?;
            fs::rename(&public, self.public()).context("cannot write the public key")
        });
        self.end_agent();
        made
    }

    /// The program that makes and uses keys.
    fn gpg(&self) -> Result<Command> {
        let mut command = self.gnupg_program("gpg")?;
        if let Some(unpacked) = &self.gnupg {
            command.arg("--agent-program").arg(unpacked.join("usr/bin/gpg-agent"));
        }
        command.args(["--batch", "--quiet"]);
        Ok(command)
    }

    /// Ends the agent that gpg leaves behind.
    fn end_agent(&self) {
        let ended = self.gnupg_program("gpg-connect-agent").and_then(|mut command| {
            program::run(command.args(["--no-autostart", "KILLAGENT", "/bye"]))
        });
        if let Err(error) = ended {
            eprintln!("gpg's agent is still running: {error:#}");
        }
    }

    /// A program of gpg and its kin: the machine's or the unpacked one, with its libraries.
    fn gnupg_program(&self, name: &str) -> Result<Command> {
        let mut command = match &self.gnupg {
            None => program::system(name)?,
            Some(unpacked) => {
                let mut command = Command::new(unpacked.join("usr/bin").join(name));
                command.env("LD_LIBRARY_PATH", network::libraries(unpacked)?);
                command
            }
        };
        command.env("GNUPGHOME", &self.home);
        Ok(command)
    }
}
