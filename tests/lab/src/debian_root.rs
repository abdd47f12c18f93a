//! Root file systems of Debian, made by debootstrap from a suite's `main` alone: as vulnerable as an
//! image that was built the day the suite's last point release came out.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::debian_packages::{ARCHIVE_KEYRING, Archive, Mirror, PackageSet};
use crate::digest;
use crate::folder::LabFolder;
use crate::program;

/// debootstrap and what it starts, unpacked.
const DEBOOTSTRAP: PackageSet<'_> =
    PackageSet { name: "debootstrap", suite: "bookworm", packages: &["debootstrap"] };

/// debootstrap's downloader, done by apt's: the machine may have no wget, and apt knows its proxy.
/// debootstrap passes the file after `-O` and the address last. What debootstrap starts in the new root
/// must not see our configuration, so it comes under another name.
const DOWNLOADER: &str = "#!/bin/sh
while [ $# -gt 1 ]; do
    [ \"$1\" = -O ] && file=$2
    shift
done
APT_CONFIG=$LAB_APT_CONFIG exec /usr/lib/apt/apt-helper -qq download-file \"$1\" \"$file\"
";

/// Files that Docker's own Debian images have beside what debootstrap makes: path, text, mode.
const DOCKER_FILES: [(&str, &str, u32); 6] = [
    (
        "etc/apt/apt.conf.d/docker-autoremove-suggests",
        include_str!("../images/root/docker-autoremove-suggests"),
        0o644,
    ),
    ("etc/apt/apt.conf.d/docker-clean", include_str!("../images/root/docker-clean"), 0o644),
    (
        "etc/apt/apt.conf.d/docker-gzip-indexes",
        include_str!("../images/root/docker-gzip-indexes"),
        0o644,
    ),
    (
        "etc/apt/apt.conf.d/docker-no-languages",
        include_str!("../images/root/docker-no-languages"),
        0o644,
    ),
    ("etc/dpkg/dpkg.cfg.d/docker-apt-speedup", "force-unsafe-io\n", 0o644),
    // No service starts in an image that is being built.
    ("usr/sbin/policy-rc.d", "#!/bin/sh\nexit 101\n", 0o755),
];

/// What debootstrap leaves behind that says something of this machine, or is rebuilt when needed.
const LEFT_BEHIND: [&str; 15] = [
    // Each image names its own.
    "etc/apt/sources.list",
    "etc/hostname",
    "etc/resolv.conf",
    "var/cache/apt/archives",
    "var/cache/apt/pkgcache.bin",
    "var/cache/apt/srcpkgcache.bin",
    "var/cache/debconf/config.dat-old",
    "var/cache/debconf/templates.dat-old",
    "var/cache/ldconfig/aux-cache",
    "var/lib/apt/lists",
    "var/lib/dpkg/diversions-old",
    "var/lib/dpkg/status-old",
    "var/log/alternatives.log",
    "var/log/bootstrap.log",
    "var/log/dpkg.log",
];

/// A root file system of one suite.
#[derive(Debug)]
pub struct DebianRoot {
    /// The whole tree.
    pub archive: PathBuf,
    /// A copy of its package database.
    pub status: PathBuf,
    /// The digest of how it was made.
    pub recipe: String,
}

impl DebianRoot {
    /// The root of a suite, made unless it was made before.
    pub fn of_suite(folder: &LabFolder, suite: &str) -> Result<Self> {
        let _alone = folder.lock(&format!("root-{suite}"))?;
        let roots = folder.folder("roots")?;
        let recipe = recipe(suite);
        let name = format!("{suite}-{}", recipe.get(..12).unwrap_or(&recipe));
        let root = Self {
            archive: roots.join(format!("{name}.tar")),
            status: roots.join(format!("{name}.status")),
            recipe,
        };
        // The archive is moved to its place last.
        if !root.archive.exists() {
            program::require_root("debootstrap")?;
            let tree = roots.join(format!("{suite}.tree"));
            remove_tree(&tree)?;
            bootstrap(folder, suite, &tree)?;
            finish(&tree)?;
            fs::copy(tree.join("var/lib/dpkg/status"), &root.status)
                .with_context(|| format!("cannot write: {}", root.status.display()))?;
            pack(&tree, &root.archive)?;
            remove_tree(&tree)?;
        }
        Ok(root)
    }

    /// The version of a package in the root, if it is there.
    pub fn version(&self, package: &str) -> Result<Option<String>> {
        let status = fs::read_to_string(&self.status)
            .with_context(|| format!("cannot read: {}", self.status.display()))?;
        let first = format!("Package: {package}");
        let stanza =
            status.split("\n\n").find(|stanza| stanza.lines().next() == Some(first.as_str()));
        let version = stanza
            .and_then(|stanza| stanza.lines().find_map(|line| line.strip_prefix("Version: ")));
        Ok(version.map(str::to_owned))
    }
}

/// The digest of everything of ours that decides what a root is like.
fn recipe(suite: &str) -> String {
    let mut recipe = format!("{suite}\n{}\n", LEFT_BEHIND.join(" "));
    for (path, text, mode) in DOCKER_FILES {
        recipe.extend([path, " ", &mode.to_string(), "\n", text]);
    }
    digest::of_bytes(recipe.as_bytes())
}

/// Runs debootstrap.
fn bootstrap(folder: &LabFolder, suite: &str, tree: &Path) -> Result<()> {
    let programs = DEBOOTSTRAP.unpacked(folder)?;
    let downloader = folder.folder("programs/debootstrap-downloader")?;
    write(&downloader.join("wget"), DOWNLOADER, 0o755)?;
    let configuration = Archive::of_suite(folder, suite)?.configuration();
    eprintln!("making a root of Debian {suite}");
    program::run(
        // In a mount namespace of its own: what debootstrap mounts is gone with it, whatever happens.
        program::system("unshare")?
            .args(["--mount", "--"])
            .arg(programs.join("usr/sbin/debootstrap"))
            .args(["--variant=minbase", "--components=main"])
            .arg(format!("--keyring={ARCHIVE_KEYRING}"))
            .arg(suite)
            .arg(tree)
            .arg(Mirror::of_this_machine()?.archive)
            .env("LAB_APT_CONFIG", configuration)
            .env("DEBOOTSTRAP_DIR", programs.join("usr/share/debootstrap"))
            .env("PATH", program::path_with(&[&downloader])?),
    )
}

/// Makes a fresh root look like one of Docker's images.
fn finish(tree: &Path) -> Result<()> {
    for path in LEFT_BEHIND {
        let path = tree.join(path);
        if path.is_dir() {
            remove_tree(&path)?;
            fs::create_dir_all(path.join("partial"))
                .with_context(|| format!("cannot make a folder: {}", path.display()))?;
        } else if path.exists() {
            fs::remove_file(&path).with_context(|| format!("cannot remove: {}", path.display()))?;
        }
    }
    for (path, text, mode) in DOCKER_FILES {
        write(&tree.join(path), text, mode)?;
    }
    Ok(())
}

/// Packs a tree into an archive.
pub(crate) fn pack(tree: &Path, archive: &Path) -> Result<()> {
    let unfinished = archive.with_extension("unfinished");
    program::run(
        program::system("tar")?
            .args(["--create", "--numeric-owner", "--xattrs", "--sort=name"])
            // Devices are the engine's business.
            .args(["--exclude=./dev/*", "--exclude=./proc/*", "--exclude=./sys/*"])
            .arg("--file")
            .arg(&unfinished)
            .arg("--directory")
            .arg(tree)
            .arg("."),
    )?;
    fs::rename(&unfinished, archive).with_context(|| format!("cannot write: {}", archive.display()))
}

/// Writes a file with a mode.
fn write(path: &Path, text: &str, mode: u32) -> Result<()> {
    fs::write(path, text)
        .and_then(|()| fs::set_permissions(path, fs::Permissions::from_mode(mode)))
        .with_context(|| format!("cannot write: {}", path.display()))
}

/// Removes a tree if it is there.
fn remove_tree(tree: &Path) -> Result<()> {
    if tree.exists() {
        fs::remove_dir_all(tree).with_context(|| format!("cannot remove: {}", tree.display()))?;
    }
    Ok(())
}
