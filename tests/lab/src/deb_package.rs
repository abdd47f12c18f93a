//! Debian packages of the lab's own making: small ones from nothing, and newer versions of real ones.

use std::fs::{self, File, FileTimes, OpenOptions, Permissions};
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

use anyhow::{Context, Result, ensure};

use crate::program;

/// When every package of ours was made: 1 January 2026. Nothing in a package may say when the lab
/// really made it, or the repository would change with every run.
const MADE_AT: u64 = 1_767_225_600;

/// The first bytes of every program and shared library.
const ELF: [u8; 4] = *b"\x7fELF";

/// A package from nothing.
#[derive(Clone, Copy, Debug)]
pub struct SmallPackage {
    /// The package's name.
    pub name: &'static str,
    /// Its version.
    pub version: &'static str,
    /// Further lines of its control file.
    pub fields: &'static str,
    /// Its files with their text, beside one that tells its version; those below `/etc` are configuration files.
    pub files: &'static [(&'static str, &'static str)],
    /// What its `postinst` script does, if it has one.
    pub script: Option<&'static str>,
}

impl SmallPackage {
    /// Builds the package into a folder.
    pub fn build(&self, folder: &Path) -> Result<PathBuf> {
        let tree = Tree::empty(folder)?;
        let control = format!(
            "Package: {name}\nVersion: {version}\nArchitecture: all\nPriority: optional\n\
             Section: misc\nMaintainer: suture's lab <lab@example.org>\n{fields}\
             Description: {name} of the lab\n A package that only suture's tests install.\n",
            name = self.name,
            version = self.version,
            fields = self.fields,
        );
        tree.write("DEBIAN/control", &control)?;
        let version_file = format!("usr/share/{}/version", self.name);
        tree.write(&version_file, &format!("{}\n", self.version))?;
        let configuration: String = self
            .files
            .iter()
            .filter(|(path, _)| path.starts_with("etc/"))
            .flat_map(|(path, _)| ["/", path, "\n"])
            .collect();
        if !configuration.is_empty() {
            tree.write("DEBIAN/conffiles", &configuration)?;
        }
        for (path, text) in self.files {
            tree.write(path, text)?;
        }
        if let Some(script) = self.script {
            tree.write("DEBIAN/postinst", &format!("#!/bin/sh\nset -e\n{script}\n"))?;
            fs::set_permissions(tree.path("DEBIAN/postinst"), Permissions::from_mode(0o755))?;
        }
        tree.build(folder)
    }
}

/// Rebuilds a package as another version, with relations to its own version following.
///
/// With `fixed`, every program and library in it gets a few more bytes and every file a newer time,
/// as in a real update: there too most files differ only in their times. A package without programs
/// has the named text file changed instead.
pub fn rebuild(
    package: &Path,
    version: &str,
    fixed: Option<&str>,
    folder: &Path,
) -> Result<PathBuf> {
    let tree = Tree::unpacked(package, folder)?;
    let old = field(package, "Version")?;
    let control = tree.read("DEBIAN/control")?;
    let control = control
        .replace(&format!("\nVersion: {old}\n"), &format!("\nVersion: {version}\n"))
        .replace(&format!("(= {old})"), &format!("(= {version})"));
    tree.write("DEBIAN/control", &control)?;
    if let Some(text_file) = fixed {
        let files = tree.files()?;
        let mut changed = Vec::new();
        for file in &files {
            if is_program(file)? {
                append(file, format!("\0fixed in {version}\0").as_bytes())?;
                changed.push(file.clone());
            }
        }
        if changed.is_empty() {
            let file = tree.path(text_file);
            append(&file, format!("# fixed in {version}\n").as_bytes())?;
            changed.push(file);
        }
        tree.sum_again(&changed)?;
        for file in &files {
            set_time(file)?;
        }
    }
    tree.build(folder)
}

/// One field of a package's control file.
pub fn field(package: &Path, name: &str) -> Result<String> {
    let text = program::output(program::system("dpkg-deb")?.arg("--field").arg(package).arg(name))?;
    Ok(text.trim_end().to_owned())
}

/// The whole control file of a package.
pub fn control(package: &Path) -> Result<String> {
    program::output(program::system("dpkg-deb")?.arg("--field").arg(package))
}

/// The files of a package that is being made.
struct Tree {
    root: PathBuf,
}

impl Tree {
    /// A tree with nothing in it, in place of the last one in this folder.
    fn empty(folder: &Path) -> Result<Self> {
        let root = folder.join("tree");
        if root.exists() {
            fs::remove_dir_all(&root)
                .with_context(|| format!("cannot remove: {}", root.display()))?;
        }
        fs::create_dir_all(&root)
            .with_context(|| format!("cannot make a folder: {}", root.display()))?;
        Ok(Self { root })
    }

    /// The tree of an existing package.
    fn unpacked(package: &Path, folder: &Path) -> Result<Self> {
        let tree = Self::empty(folder)?;
        program::run(
            program::system("dpkg-deb")?.arg("--raw-extract").arg(package).arg(&tree.root),
        )?;
        Ok(tree)
    }

    /// A path in the tree.
    fn path(&self, below: &str) -> PathBuf {
        self.root.join(below)
    }

    /// The text of a file in the tree.
    fn read(&self, path: &str) -> Result<String> {
        let path = self.path(path);
        fs::read_to_string(&path).with_context(|| format!("cannot read: {}", path.display()))
    }

    /// Writes a text file into the tree.
    fn write(&self, path: &str, text: &str) -> Result<()> {
        let path = self.path(path);
        let folder = path.parent().context("a file has no folder")?;
        fs::create_dir_all(folder)
            .and_then(|()| fs::write(&path, text))
            .with_context(|| format!("cannot write: {}", path.display()))
    }

    /// Every regular file that the package installs.
    fn files(&self) -> Result<Vec<PathBuf>> {
        let mut files = Vec::new();
        let mut folders = vec![self.root.clone()];
        while let Some(folder) = folders.pop() {
            let entries = fs::read_dir(&folder)
                .with_context(|| format!("cannot list: {}", folder.display()))?;
            for entry in entries {
                let entry = entry?;
                let kind = entry.file_type()?;
                if kind.is_dir() && entry.path() != self.path("DEBIAN") {
                    folders.push(entry.path());
                } else if kind.is_file() {
                    files.push(entry.path());
                }
            }
        }
        files.sort();
        Ok(files)
    }

    /// Brings the package's checksums up to date for some of its files.
    fn sum_again(&self, files: &[PathBuf]) -> Result<()> {
        let sums = self.path("DEBIAN/md5sums");
        if !sums.exists() {
            return Ok(());
        }
        let mut command = program::system("md5sum")?;
        for file in files {
            command.arg(file.strip_prefix(&self.root)?);
        }
        let new = program::output(command.current_dir(&self.root))?;
        let old = self.read("DEBIAN/md5sums")?;
        let path = |line: &str| line.split_once("  ").map(|(_, path)| path.to_owned());
        let kept = old.lines().filter(|line| !new.lines().any(|new| path(new) == path(line)));
        let all: String = kept.chain(new.lines()).flat_map(|line| [line, "\n"]).collect();
        self.write("DEBIAN/md5sums", &all)
    }

    /// Builds the package into a folder, under the name that repositories use.
    fn build(&self, folder: &Path) -> Result<PathBuf> {
        let unnamed = folder.join("unnamed.deb");
        program::run(
            program::system("dpkg-deb")?
                // Quick to make, and no smaller than it must be.
                .args(["--root-owner-group", "-Zxz", "-z1", "--build"])
                .arg(&self.root)
                .arg(&unnamed)
                .env("SOURCE_DATE_EPOCH", MADE_AT.to_string()),
        )?;
        let named = folder.join(file_name(&unnamed)?);
        fs::rename(&unnamed, &named)
            .with_context(|| format!("cannot write: {}", named.display()))?;
        fs::remove_dir_all(&self.root)
            .with_context(|| format!("cannot remove: {}", self.root.display()))?;
        Ok(named)
    }
}

/// The name of a package's file in a repository; an epoch is no part of it.
pub fn file_name(package: &Path) -> Result<String> {
    let version = field(package, "Version")?;
    let version = version.split_once(':').map_or(version.as_str(), |(_, version)| version);
    let (name, architecture) = (field(package, "Package")?, field(package, "Architecture")?);
    ensure!(!name.contains('/') && !version.contains('/'), "not a package: {}", package.display());
    Ok(format!("{name}_{version}_{architecture}.deb"))
}

/// Whether a file is a program or a shared library.
fn is_program(path: &Path) -> Result<bool> {
    let mut start = Vec::new();
    File::open(path)
        .and_then(|file| file.take(ELF.len() as u64).read_to_end(&mut start))
        .with_context(|| format!("cannot read: {}", path.display()))?;
    Ok(start == ELF)
}

/// Adds bytes to the end of a file.
fn append(path: &Path, bytes: &[u8]) -> Result<()> {
    OpenOptions::new()
        .append(true)
        .open(path)
        .and_then(|mut file| file.write_all(bytes))
        .with_context(|| format!("cannot write: {}", path.display()))
}

/// Sets a file's time to when our packages were made.
fn set_time(path: &Path) -> Result<()> {
    let time = UNIX_EPOCH + Duration::from_secs(MADE_AT);
    File::open(path)
        .and_then(|file| file.set_times(FileTimes::new().set_modified(time)))
        .with_context(|| format!("cannot set the time of: {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PACKAGE: SmallPackage = SmallPackage {
        name: "lab-try",
        version: "1:1.0",
        fields: "Depends: lab-other (= 1:1.0), lab-more (>= 1:1.0)\n",
        files: &[("etc/lab-try.conf", "a\n"), ("usr/lib/lab-try", "\x7fELF and so on")],
        script: None,
    };

    #[test]
    fn a_package_is_built_and_rebuilt_with_a_fix() {
        let folder = std::env::temp_dir().join(format!("suture-lab-deb-{}", std::process::id()));
        fs::create_dir_all(folder.join("fixed")).unwrap();
        let package = PACKAGE.build(&folder).unwrap();
        assert!(package.ends_with("lab-try_1.0_all.deb"));
        let same = fs::read(&package).unwrap();
        assert_eq!(fs::read(PACKAGE.build(&folder).unwrap()).unwrap(), same);

        let fixed = rebuild(&package, "1:1.0+lab1", Some(""), &folder.join("fixed")).unwrap();
        assert_eq!(file_name(&fixed).unwrap(), "lab-try_1.0+lab1_all.deb");
        assert_eq!(
            field(&fixed, "Depends").unwrap(),
            "lab-other (= 1:1.0+lab1), lab-more (>= 1:1.0)"
        );
        let tree = Tree::unpacked(&fixed, &folder).unwrap();
        assert_eq!(
            tree.read("usr/lib/lab-try").unwrap(),
            "\x7fELF and so on\0fixed in 1:1.0+lab1\0"
        );
        assert_eq!(tree.read("etc/lab-try.conf").unwrap(), "a\n");
        assert_eq!(tree.read("DEBIAN/conffiles").unwrap(), "/etc/lab-try.conf\n");
        fs::remove_dir_all(&folder).unwrap();
    }
}
