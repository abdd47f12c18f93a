//! A Debian system whose packages are unpacked and none configured: what another distribution's
//! packages are cut from, and where its programs run without being installed on the machine.

use std::collections::BTreeMap;
use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};

use crate::debian_packages::Archive;
use crate::folder::LabFolder;
use crate::program;

/// The top folders that are links into `usr` in every system of today.
pub const MERGED: [&str; 4] = ["bin", "sbin", "lib", "lib64"];

/// Folders that every system has and no package need bring.
const FOLDERS: [&str; 8] = ["dev/shm", "proc", "sys", "tmp", "run", "root", "var/tmp", "lab"];

/// What Debian's maintainer scripts would copy: from, to.
const COPIES: [(&str, &str); 3] = [
    ("usr/share/base-passwd/passwd.master", "etc/passwd"),
    ("usr/share/base-passwd/group.master", "etc/group"),
    ("usr/share/libc-bin/nsswitch.conf", "etc/nsswitch.conf"),
];

/// What Debian's maintainer scripts would link: at, to.
const LINKS: [(&str, &str); 2] = [("usr/bin/sh", "bash"), ("usr/bin/awk", "mawk")];

/// The devices that programs expect, with their numbers.
const DEVICES: [(&str, &str); 4] =
    [("null", "3"), ("zero", "5"), ("random", "8"), ("urandom", "9")];

/// One unpacked package.
#[derive(Clone, Debug)]
pub struct Part {
    /// Its upstream version, without what rpm does not take.
    pub version: String,
    /// What it is, in a line.
    pub summary: String,
    /// What it needs, in other packages' names; of alternatives those that are there.
    pub depends: Vec<String>,
    /// Its files and links, absolute, without a link in a folder's name.
    pub paths: Vec<String>,
}

/// The whole system.
#[derive(Debug)]
pub struct UnpackedSystem {
    root: PathBuf,
    /// Its packages by name.
    pub parts: BTreeMap<String, Part>,
}

impl UnpackedSystem {
    /// Unpacks packages of a suite with all they depend on into an empty folder.
    pub fn unpack(
        folder: &LabFolder,
        suite: &str,
        purpose: &str,
        packages: &[&str],
        root: &Path,
    ) -> Result<Self> {
        program::require_root("unpacking a system")?;
        let files =
            Archive::of_suite(folder, suite)?.download_with_dependencies(purpose, packages)?;
        prepare(root)?;
        let mut controls = Vec::new();
        for file in &files {
            let paths = unpack(file, root)?;
            controls.push((control(file)?, paths));
        }
        finish(root)?;
        Ok(Self { root: root.to_path_buf(), parts: parts(controls)? })
    }

    /// The system that was unpacked into a folder before, as a place to run programs in.
    pub fn at(root: &Path) -> Self {
        Self { root: root.to_path_buf(), parts: BTreeMap::new() }
    }

    /// A path in the system.
    pub fn path(&self, below: impl AsRef<Path>) -> PathBuf {
        self.root.join(below)
    }

    /// One of its programs, with nothing of the machine's in reach but the kernel. What it mounts and
    /// starts ends with it.
    pub fn command(&self, name: &str) -> Result<Command> {
        let mut command = program::system("unshare")?;
        command
            .args(["--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "--net"])
            .arg(format!("--root={}", self.root.display()))
            .args(["--wd=/lab", "--", name])
            .env_clear()
            .env("PATH", "/usr/sbin:/usr/bin")
            .env("HOME", "/lab")
            .env("LANG", "C.UTF-8");
        Ok(command)
    }

    /// The packages that these need, with themselves, but never one of `without`.
    pub fn closure(&self, packages: &[&str], without: &[&str]) -> Vec<String> {
        let mut closure: Vec<String> = Vec::new();
        let mut waiting: Vec<String> = packages.iter().map(|name| (*name).to_owned()).collect();
        while let Some(name) = waiting.pop() {
            if closure.contains(&name) || without.contains(&name.as_str()) {
                continue;
            }
            if let Some(part) = self.parts.get(&name) {
                waiting.extend(part.depends.iter().cloned());
                closure.push(name);
            }
        }
        closure.sort();
        closure
    }
}

/// Makes the folders that packages expect to find.
fn prepare(root: &Path) -> Result<()> {
    for name in MERGED {
        let folder = root.join("usr").join(name);
        fs::create_dir_all(&folder)
            .and_then(|()| symlink(Path::new("usr").join(name), root.join(name)))
            .with_context(|| format!("cannot make: {}", folder.display()))?;
    }
    for name in FOLDERS {
        let folder = root.join(name);
        fs::create_dir_all(&folder)
            .with_context(|| format!("cannot make a folder: {}", folder.display()))?;
    }
    Ok(())
}

/// Unpacks one package; returns what it brought.
fn unpack(package: &Path, root: &Path) -> Result<Vec<String>> {
    let mut archive = program::system("dpkg-deb")?
        .arg("--fsys-tarfile")
        .arg(package)
        .stdout(Stdio::piped())
        .spawn()
        .context("cannot start dpkg-deb")?;
    let unpacked = program::system("tar")?
        // A folder that is a link stays one: packages may still say `lib` for `usr/lib`.
        .args(["--extract", "--verbose", "--keep-directory-symlink", "--quoting-style=literal"])
        .args(["--preserve-permissions", "--numeric-owner", "--file=-", "--directory"])
        .arg(root)
        .stdin(archive.stdout.take().context("dpkg-deb has no output")?)
        .stderr(Stdio::inherit())
        .output()
        .context("cannot start tar")?;
    ensure!(
        archive.wait()?.success() && unpacked.status.success(),
        "cannot unpack: {}",
        package.display()
    );
    let names = String::from_utf8(unpacked.stdout).context("a file's name is not UTF-8")?;
    let files = names.lines().filter(|name| !name.ends_with('/'));
    Ok(files.filter_map(|name| name.strip_prefix("./")).map(merged).collect())
}

/// The absolute path of a file, below `usr` where the top folder is a link to there.
fn merged(path: &str) -> String {
    let top = path.split('/').next().unwrap_or_default();
    if MERGED.contains(&top) && path != top { format!("/usr/{path}") } else { format!("/{path}") }
}

/// Does the little of maintainer scripts' work that everything else needs.
fn finish(root: &Path) -> Result<()> {
    for (from, to) in COPIES {
        let (from, to) = (root.join(from), root.join(to));
        if from.exists() {
            fs::copy(&from, &to).with_context(|| format!("cannot write: {}", to.display()))?;
            fs::set_permissions(&to, Permissions::from_mode(0o644))?;
        }
    }
    for (at, to) in LINKS {
        crate::network::link(Path::new(to), &root.join(at))?;
    }
    for (name, minor) in DEVICES {
        program::run(
            program::system("mknod")?
                .arg("--mode=666")
                .arg(root.join("dev").join(name))
                .args(["c", "1", minor]),
        )?;
    }
    Ok(())
}

/// The fields of a package's control file that we need.
fn control(package: &Path) -> Result<BTreeMap<String, String>> {
    let fields = ["Package", "Version", "Depends", "Pre-Depends", "Provides", "Description"];
    let text =
        program::output(program::system("dpkg-deb")?.arg("--field").arg(package).args(fields))?;
    let pairs = text.lines().filter(|line| !line.starts_with(' '));
    Ok(pairs
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect())
}

/// The packages, with dependencies in the names of those that are there.
fn parts(controls: Vec<(BTreeMap<String, String>, Vec<String>)>) -> Result<BTreeMap<String, Part>> {
    let field = |control: &BTreeMap<String, String>, name: &str| {
        control.get(name).cloned().unwrap_or_default()
    };
    let mut providers = BTreeMap::new();
    for (control, _) in &controls {
        let name = field(control, "Package");
        for provided in field(control, "Provides").split(',') {
            providers.entry(bare_name(provided)).or_insert_with(|| name.clone());
        }
    }
    // A real package comes before one that only provides its name.
    for (control, _) in &controls {
        providers.insert(field(control, "Package"), field(control, "Package"));
    }
    let mut parts = BTreeMap::new();
    for (control, paths) in controls {
        let name = field(&control, "Package");
        ensure!(!name.is_empty(), "a package has no name");
        let needed = [field(&control, "Pre-Depends"), field(&control, "Depends")].join(",");
        let depends = needed.split(',').filter_map(|alternatives| {
            alternatives.split('|').find_map(|one| providers.get(&bare_name(one)).cloned())
        });
        let part = Part {
            version: upstream_version(&field(&control, "Version")),
            summary: field(&control, "Description"),
            depends: depends.collect(),
            paths,
        };
        parts.insert(name, part);
    }
    Ok(parts)
}

/// A package's name in a dependency, without version and architecture.
fn bare_name(dependency: &str) -> String {
    let name = dependency.split('(').next().unwrap_or_default().trim();
    name.split(':').next().unwrap_or_default().to_owned()
}

/// What upstream calls a Debian version, in the letters that rpm takes.
fn upstream_version(version: &str) -> String {
    let version = version.split_once(':').map_or(version, |(_, version)| version);
    let version = version.rsplit_once('-').map_or(version, |(version, _)| version);
    let end = ["+", "~", ".dfsg"].iter().filter_map(|mark| version.find(mark)).min();
    let version = end.and_then(|end| version.get(..end)).unwrap_or(version);
    version
        .chars()
        .map(|letter| if letter.is_ascii_alphanumeric() { letter } else { '.' })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_upstreams() {
        assert_eq!(upstream_version("1:2.9.14+dfsg-1.3~deb12u6"), "2.9.14");
        assert_eq!(upstream_version("1.2.13.dfsg-1"), "1.2.13");
        assert_eq!(upstream_version("2026b-0+deb12u1"), "2026b");
        assert_eq!(upstream_version("20240401"), "20240401");
    }

    #[test]
    fn paths_are_below_usr() {
        assert_eq!(merged("lib/x86_64-linux-gnu/libz.so.1"), "/usr/lib/x86_64-linux-gnu/libz.so.1");
        assert_eq!(merged("bin"), "/bin");
        assert_eq!(merged("etc/profile"), "/etc/profile");
    }

    #[test]
    fn dependencies_are_packages_that_are_there() {
        let control = |text: &str| {
            let pairs = text.lines().filter_map(|line| line.split_once(": "));
            pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
        };
        let parts = parts(vec![
            (
                control(
                    "Package: a\nVersion: 1-1\nDepends: x | b:any (>= 1), c (= 2)\nPre-Depends: d",
                ),
                vec![],
            ),
            (control("Package: b\nVersion: 1-1\nProvides: c (= 2), d"), vec![]),
            (control("Package: d\nVersion: 1-1"), vec![]),
        ])
        .unwrap();
        assert_eq!(parts["a"].depends, ["d", "b", "b"]);
    }
}
