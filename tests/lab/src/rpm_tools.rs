//! The programs that make rpm packages and repositories, in a root of their own.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};

use crate::folder::{LabFolder, empty};
use crate::program;
use crate::signing_key::{self, SigningKey};
use crate::unpacked_system::UnpackedSystem;

/// The Debian suite that the programs are from.
const SUITE: &str = "bookworm";

/// The Debian packages that have them.
const PACKAGES: [&str; 19] = [
    "base-passwd",
    "bash",
    "bzip2",
    "coreutils",
    "createrepo-c",
    "diffutils",
    "file",
    "findutils",
    "gpg",
    "gpg-agent",
    "grep",
    "gzip",
    "libc-bin",
    "mawk",
    "perl",
    "rpm",
    "sed",
    "tar",
    "zstd",
];

/// When everything was made: 1 January 2026. Nothing in a package may say when the lab really made it.
const MADE_AT: &str = "1767225600";

/// The programs, and a folder to work in that they see as `/lab/NAME`.
#[derive(Debug)]
pub struct RpmTools {
    system: UnpackedSystem,
    name: String,
}

impl RpmTools {
    /// The programs, unpacked unless it was done before, with an empty folder for `name`'s work.
    pub fn for_work(folder: &LabFolder, name: &str) -> Result<Self> {
        let home = folder.folder("rpm")?;
        let root = home.join("tools");
        let marker = home.join("tools.complete");
        let recipe =
            format!("{SUITE} {}\n{}", PACKAGES.join(" "), include_str!("unpacked_system.rs"));
        let _alone = folder.lock("rpm-tools")?;
        if !fs::read_to_string(&marker).is_ok_and(|unpacked| unpacked == recipe) {
            eprintln!("fetching the programs that make rpm packages from Debian {SUITE}");
            empty(&root)?;
            UnpackedSystem::unpack(folder, SUITE, "rpm-tools", &PACKAGES, &root)?;
            fs::write(&marker, recipe)
                .with_context(|| format!("cannot write: {}", marker.display()))?;
        }
        let tools = Self { system: UnpackedSystem::at(&root), name: name.to_owned() };
        empty(&tools.path(""))?;
        Ok(tools)
    }

    /// A path in the folder of work.
    pub fn path(&self, below: &str) -> PathBuf {
        self.system.path("lab").join(&self.name).join(below)
    }

    /// The same as the programs see it.
    pub fn inside(&self, below: &str) -> String {
        format!("/lab/{}/{below}", self.name)
    }

    /// Makes packages from a spec file into a folder.
    pub fn build(&self, spec: &str, architecture: &str, into: &str) -> Result<()> {
        let define = |name: &str, value: &str| ["--define".to_owned(), format!("{name} {value}")];
        program::run(
            self.command("rpmbuild")?
                .args(["-bb", "--quiet", "--nodeps", "--target", architecture])
                .args(define("_topdir", &self.inside("rpmbuild")))
                .args(define("_rpmdir", &self.inside(into)))
                .args(define("_rpmfilename", "%%{NAME}-%%{VERSION}-%%{RELEASE}.%%{ARCH}.rpm"))
                .arg(self.inside(spec)),
        )
    }

    /// Makes a database with every package of a folder installed, and none of their files.
    pub fn install(&self, packages: &str, database: &str) -> Result<()> {
        // Thousands of names do not fit into a command line; rpm reads a manifest of them.
        let mut manifest = String::new();
        let folder = self.path(packages);
        for entry in
            fs::read_dir(&folder).with_context(|| format!("cannot list: {}", folder.display()))?
        {
            let name = entry?.file_name();
            manifest.push_str(&format!("{}/{}\n", self.inside(packages), name.display()));
        }
        let file = self.path("manifest");
        fs::write(&file, manifest).with_context(|| format!("cannot write: {}", file.display()))?;
        program::run(
            self.command("rpm")?
                .args(["--install", "--justdb", "--nodeps", "--nosignature"])
                .arg(format!("--dbpath={}", self.inside(database)))
                .arg(self.inside("manifest")),
        )
    }

    /// Signs packages, named as the programs see them.
    pub fn sign(&self, key: &SigningKey, packages: &[String]) -> Result<()> {
        self.take_key(key)?;
        program::run(
            self.command("rpmsign")?
                .args(["--define", "__gpg /usr/bin/gpg", "--define"])
                .arg(format!("_gpg_name {}", signing_key::OWNER))
                .args(["--define", "_gpg_digest_algo sha256", "--addsign"])
                .args(packages),
        )
    }

    /// Indexes a folder of packages and signs the index; `updates` describes them as advisories.
    pub fn index(&self, key: &SigningKey, repository: &str, updates: Option<&str>) -> Result<()> {
        self.take_key(key)?;
        program::run(
            self.command("createrepo_c")?
                .args(["--quiet", "--no-database", "--revision=1", "--set-timestamp-to-revision"])
                .arg(self.inside(repository)),
        )?;
        if let Some(updates) = updates {
            let file = self.path("updateinfo.xml");
            fs::write(&file, updates)
                .with_context(|| format!("cannot write: {}", file.display()))?;
            program::run(
                self.command("modifyrepo_c")?
                    .arg(self.inside("updateinfo.xml"))
                    .arg(self.inside(&format!("{repository}/repodata"))),
            )?;
        }
        let index = self.inside(&format!("{repository}/repodata/repomd.xml"));
        program::run(
            self.command("gpg")?
                .args(["--batch", "--quiet", "--yes", "--armor", "--detach-sign"])
                .arg(index),
        )?;
        // Where zypper looks for the key.
        let public = self.path(&format!("{repository}/repodata/repomd.xml.key"));
        fs::write(&public, self.armoured(key)?)
            .with_context(|| format!("cannot write: {}", public.display()))
    }

    /// The public half of the key, as rpm reads it.
    pub fn armoured(&self, key: &SigningKey) -> Result<String> {
        self.take_key(key)?;
        program::output(
            self.command("gpg")?
                .args(["--batch", "--quiet", "--armor", "--export-options", "export-minimal"])
                .args(["--export", signing_key::OWNER]),
        )
    }

    /// Puts the key where the programs look for it.
    fn take_key(&self, key: &SigningKey) -> Result<()> {
        let home = self.path("gnupg");
        if home.exists() {
            return Ok(());
        }
        fs::create_dir_all(&home)
            .with_context(|| format!("cannot make a folder: {}", home.display()))?;
        fs::set_permissions(&home, Permissions::from_mode(0o700))
            .with_context(|| format!("cannot protect: {}", home.display()))?;
        fs::write(home.join("secret-key"), key.secret_bytes()?).context("cannot write a key")?;
        program::run(
            self.command("gpg")?
                .args(["--batch", "--quiet", "--import"])
                .arg(self.inside("gnupg/secret-key")),
        )
    }

    /// One of the programs.
    fn command(&self, name: &str) -> Result<Command> {
        let mut command = self.system.command(name)?;
        command.env("GNUPGHOME", self.inside("gnupg")).env("SOURCE_DATE_EPOCH", MADE_AT);
        Ok(command)
    }

    /// Forgets the work.
    pub fn clear(self) -> Result<()> {
        let work = self.path("");
        fs::remove_dir_all(&work).with_context(|| format!("cannot remove: {}", work.display()))
    }
}
