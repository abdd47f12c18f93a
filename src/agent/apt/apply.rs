//! Apply with apt: upgrade from fetched files, without a network.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use crate::package::{Architecture, PackageName};
use crate::patch::task::{Lock, LockedPackage, path};
use crate::pkgdb::{Database, InstalledPackage, dpkg, extended_states};

use super::super::Failure;
use super::super::process::Echo;
use super::super::scripts::Scripts;
use super::super::settle::{CommonFile, Remains, Trace};
use super::super::{fetched, lift, links};
use super::diversions::Diversions;
use super::{output, repair};

/// Where apt records which packages were installed automatically.
const MARKS: &str = "/var/lib/apt/extended_states";

/// A script that, if present, decides whether a package may start its service.
const SERVICE_POLICY: &str = "/usr/sbin/policy-rc.d";

/// What an upgrade leaves behind besides the packages: none of it is in the spirit of the original.
const TRACES: &[Trace] = &[
    Trace::Folder("var/log/apt"),
    Trace::File("var/log/dpkg.log"),
    Trace::File("var/log/alternatives.log"),
    Trace::Suffix("var/lib/dpkg", "-old"),
    Trace::File("var/lib/dpkg/available"),
    Trace::File("var/lib/dpkg/lock"),
    Trace::File("var/lib/dpkg/lock-frontend"),
    Trace::File("var/lib/dpkg/triggers/Lock"),
    Trace::File("var/lib/dpkg/triggers/Unincorp"),
    Trace::Folder("var/lib/dpkg/updates"),
    Trace::Folder("var/cache/apt"),
    Trace::Folder("var/lib/apt/lists"),
    Trace::Suffix("var/cache/debconf", "-old"),
    Trace::Folder("var/cache/debconf/tmp.ci"),
    Trace::File("var/log/fontconfig.log"),
];

/// Upgrades; returns what must be settled afterwards.
pub(in super::super) fn run(lock: &Lock, files: &Path) -> Result<Remains, Failure> {
    super::make_folders()?;
    for package in &lock.packages {
        fetched::check(package, files)?;
    }
    let repaired = repair::repair()?;
    let before = books_of(&super::database()?);
    let marks = Marks::read()?;
    lift::run(&files_to_replace(lock));
    let conffiles: &[&str] = if decides_conffiles()? { &[] } else { &["confdef", "confold"] };
    let arguments = [arguments(lock, files, conffiles), repaired.options()].concat();
    let policy = ServicePolicy::forbid()?;
    let finished = super::run("apt-get", &arguments, Echo::Shown);
    policy.restore()?;
    let finished = finished?;
    if !finished.is_success() {
        let mut failure = super::failure("apt-get install", &finished);
        if output::wants_network(&finished) {
            failure
                .message
                .push_str(" (a package's script wants the network, which this step has not)");
        }
        return Err(failure);
    }
    let after = books_of(&super::database()?);
    marks.add(after.difference(&before).cloned())?;
    keep_folders_of_others(lock)?;
    Ok(Remains { traces: TRACES, more_traces: Vec::new(), common_files: common_files(lock) })
}

fn arguments(lock: &Lock, files: &Path, conffiles: &[&str]) -> Vec<String> {
    let mut arguments = super::common_options();
    let work = path::WORK;
    for option in [
        // Only the given files: without lists apt starts at once, and it would parse the image's.
        "Dir::Etc::sourcelist=/dev/null".to_owned(),
        "Dir::Etc::sourceparts=/dev/null".to_owned(),
        // Without sources there is no release, and apt does not continue without the release it is to prefer.
        "APT::Default-Release=".to_owned(),
        "Dir::Cache::pkgcache=".to_owned(),
        "Dir::Cache::srcpkgcache=".to_owned(),
        // Naming a package marks it as wanted by the user; these marks are thrown away.
        format!("Dir::State::extended_states={work}/extended_states"),
        // The layer is committed or discarded as a whole.
        "Dpkg::Options::=--force-unsafe-io".to_owned(),
        // Nor does it matter how far a failed upgrade got, which is all that setting up important
        // packages at once is for (apt.conf(5)). Six packages then take one run of dpkg instead of
        // six, and 0.4 s less.
        "APT::Immediate-Configure=false".to_owned(),
        format!("Dpkg::Options::=--log={work}/dpkg.log"),
    ] {
        arguments.extend(["-o".to_owned(), option]);
    }
    let conffiles = conffiles.iter().map(|option| format!("Dpkg::Options::=--force-{option}"));
    arguments.extend(conffiles.flat_map(|option| ["-o".to_owned(), option]));
    for word in ["install", "-q", "-y", "--no-remove"] {
        arguments.push(word.to_owned());
    }
    let paths = lock.packages.iter().map(|package| files.join(&package.file).display().to_string());
    arguments.extend(paths);
    arguments
}

/// The installed packages as apt's marks name them: a package for all architectures counts as native, so that one that
/// moves between the two stays the same.
fn books_of(database: &Database) -> BTreeSet<(PackageName, Architecture)> {
    let native = dpkg::native_architecture(database);
    let key = |package: &InstalledPackage| {
        let own = Some(&package.architecture).filter(|it| !it.is_any());
        Some((package.name.clone(), own.or(native.as_ref())?.clone()))
    };
    database.installed().filter_map(key).collect()
}

/// Whether the image itself decides which configuration files an upgrade keeps, its author's or the packages' (dpkg(1),
/// `--force-confnew`): in apt's configuration or in dpkg's own.
fn decides_conffiles() -> Result<bool, Failure> {
    let arguments = ["dump", "DPkg::Options"].map(str::to_owned);
    let mut texts = vec![super::run("apt-config", &arguments, Echo::Hidden)?.stdout];
    let parts = std::fs::read_dir("/etc/dpkg/dpkg.cfg.d").into_iter().flatten().flatten();
    let files = parts.map(|entry| entry.path()).chain(["/etc/dpkg/dpkg.cfg".into()]);
    texts.extend(files.filter_map(|file| std::fs::read_to_string(file).ok()));
    let lines = texts.iter().flat_map(|text| text.lines()).map(str::trim);
    let mut options = lines.filter(|line| !line.starts_with('#') && line.contains("force-"));
    Ok(options.any(|line| line.contains("confold") || line.contains("confnew")))
}

/// The image's marks of automatically installed packages.
struct Marks(Option<Vec<u8>>);

impl Marks {
    fn read() -> Result<Self, Failure> {
        let file = Path::new(MARKS);
        let bytes = match std::fs::read(file) {
            Ok(bytes) => Some(bytes),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
            Err(error) => return Err(Failure::file("read", file, &error)),
        };
        let ours = Path::new(path::WORK).join("extended_states");
        std::fs::write(&ours, bytes.as_deref().unwrap_or_default())
            .map_err(|error| Failure::file("write", &ours, &error))?;
        Ok(Self(bytes))
    }

    /// Marks packages that came as new dependencies; all other marks stay.
    fn add(
        self,
        new: impl IntoIterator<Item = (PackageName, Architecture)>,
    ) -> Result<(), Failure> {
        let original = self.0.unwrap_or_default();
        let merged = extended_states::merge(&original, new);
        if merged != original {
            let file = Path::new(MARKS);
            std::fs::write(file, merged).map_err(|error| Failure::file("write", file, &error))?;
        }
        Ok(())
    }
}

/// Keeps packages' scripts from starting services inside the build.
///
/// Images made for containers have such a script; for others we lend ours.
struct ServicePolicy {
    lent: bool,
}

impl ServicePolicy {
    fn forbid() -> Result<Self, Failure> {
        let file = Path::new(SERVICE_POLICY);
        if file.symlink_metadata().is_ok() {
            return Ok(Self { lent: false });
        }
        let failure = |error| Failure::file("write", file, &error);
        // 101 means «action forbidden by policy» (invoke-rc.d's interface).
        std::fs::write(file, "#!/bin/sh\nexit 101\n").map_err(failure)?;
        let mode = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(file, mode).map_err(failure)?;
        Ok(Self { lent: true })
    }

    fn restore(self) -> Result<(), Failure> {
        let file = Path::new(SERVICE_POLICY);
        if self.lent {
            std::fs::remove_file(file).map_err(|error| Failure::file("remove", file, &error))?;
        }
        Ok(())
    }
}

/// Puts folders back into dpkg's file lists of packages that are not upgraded.
///
/// An upgrade brings back a folder that the image's author had removed; dpkg then drops it from the
/// lists of all other packages that have it, and the folder goes again. dpkg also drops what an
/// upgraded package replaces (`Replaces:`), which is no folder and stays out.
fn keep_folders_of_others(lock: &Lock) -> Result<(), Failure> {
    let folder = Path::new("var/lib/dpkg/info");
    let Ok(entries) = std::fs::read_dir(Path::new("/").join(folder)) else { return Ok(()) };
    let upgraded = |package: &str| {
        let name = package.split(':').next().unwrap_or(package);
        lock.packages.iter().any(|locked| locked.name.as_str() == name)
    };
    for entry in entries.flatten() {
        let Ok(name) = entry.file_name().into_string() else { continue };
        if name.strip_suffix(".list").is_none_or(upgraded) {
            continue;
        }
        let file = entry.path();
        let failure = |error| Failure::file("read", &file, &error);
        let Ok(before) = links::read(Path::new(path::BASE), &folder.join(&name)) else {
            continue;
        };
        let after = std::fs::read(&file).map_err(failure)?;
        if after == before {
            continue;
        }
        let is_folder = |line: &[u8]| Path::new(OsStr::from_bytes(line)).is_dir();
        std::fs::write(&file, with_folders(&before, &after, is_folder))
            .map_err(|error| Failure::file("write", &file, &error))?;
    }
    Ok(())
}

/// A list as it was, without the lines that are gone and do not name folders.
fn with_folders(before: &[u8], after: &[u8], is_folder: impl Fn(&[u8]) -> bool) -> Vec<u8> {
    let remaining: BTreeSet<&[u8]> = after.split(|byte| *byte == b'\n').collect();
    let stays = |line: &&[u8]| {
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        remaining.contains(line) || is_folder(line)
    };
    before.split_inclusive(|byte| *byte == b'\n').filter(stays).flatten().copied().collect()
}

/// The files of the installed versions of the packages to upgrade.
fn files_to_replace(lock: &Lock) -> Vec<PathBuf> {
    lock.packages
        .iter()
        .filter_map(|package| file_list(Path::new("/"), package))
        .flat_map(|list| list.lines().map(PathBuf::from).collect::<Vec<_>>())
        .collect()
}

/// The files of upgraded packages that exist both before and after, with diversions followed; dpkg
/// keeps no record of their attributes.
fn common_files(lock: &Lock) -> BTreeMap<PathBuf, CommonFile> {
    let (base, root) = (Path::new(path::BASE), Path::new("/"));
    let (diverted_before, diverted) = (Diversions::of(base), Diversions::of(root));
    let relative = |place: &str| place.strip_prefix('/').map(PathBuf::from);
    let mut common = BTreeMap::new();
    for package in &lock.packages {
        let (Some(old), Some(new)) = (file_list(base, package), file_list(root, package)) else {
            continue;
        };
        let scripts = scripts(base, package);
        let old: BTreeSet<&str> = old.lines().collect();
        for line in new.lines().filter(|line| old.contains(line) && !matches!(*line, "/" | "/.")) {
            let before = relative(diverted_before.place(&package.name, line));
            let now = relative(diverted.place(&package.name, line));
            if let (Some(before), Some(now)) = (before, now) {
                let deeds = scripts.deeds(&before);
                common.insert(now, CommonFile { before, packaged: None, deeds });
            }
        }
    }
    common
}

/// The scripts of a package that ran when it was installed.
fn scripts(root: &Path, package: &LockedPackage) -> Scripts {
    let texts = ["preinst", "postinst"].into_iter().filter_map(|kind| info(root, package, kind));
    Scripts::parse(&texts.collect::<Vec<_>>().join("\n"))
}

/// dpkg's list of a package's files.
fn file_list(root: &Path, package: &LockedPackage) -> Option<String> {
    info(root, package, "list")
}

/// What dpkg stores about a package; with `Multi-Arch: same` the name contains the package's architecture, which may
/// have been `all`.
fn info(root: &Path, package: &LockedPackage, kind: &str) -> Option<String> {
    let folder = Path::new("var/lib/dpkg/info");
    let LockedPackage { name, architecture, .. } = package;
    [String::new(), format!(":{architecture}"), ":all".to_owned()]
        .iter()
        .map(|suffix| format!("{name}{suffix}.{kind}"))
        .find_map(|file| links::read(root, &folder.join(file)).ok())
        .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_stay_in_the_lists_of_other_packages() {
        let before = b"/.\n/usr\n/usr/doc\n/usr/taken\n/usr/mine\n";
        let is_folder = |line: &[u8]| line == b"/usr/doc";
        let list = |after: &[u8]| with_folders(before, after, is_folder);
        assert_eq!(list(b"/.\n/usr\n/usr/taken\n/usr/mine\n"), before);
        assert_eq!(list(b"/.\n/usr\n/usr/mine\n"), b"/.\n/usr\n/usr/doc\n/usr/mine\n");
    }
}
