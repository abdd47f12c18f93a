//! Apply with rpm itself: upgrade from fetched files, without a network.
//!
//! rpm alone takes a quarter of dnf's time and touches none of the managers' caches, logs and
//! histories. The managers' own records stay right: they find upgraded packages by name, and
//! [`books`] enters new ones.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use crate::package::PackageName;
use crate::patch::task::{Lock, path};
use crate::pkgdb::Attributes;
use crate::repository::rpm::RpmManager;

use super::super::Failure;
use super::super::author::PERMISSIONS;
use super::super::fetched;
use super::super::process::Echo;
use super::super::scripts::Scripts;
use super::super::settle::{CommonFile, Remains, Trace};
use super::database::InMemory;
use super::package_file::{self, Transaction};
use super::{KEYS, books, keys};

/// What an upgrade leaves behind besides the packages and rpm's database.
const TRACES: &[Trace] = &[
    Trace::File("var/lib/rpm/.rpm.lock"),
    Trace::File("usr/lib/sysimage/rpm/.rpm.lock"),
    Trace::File("var/lib/rpm/rpmdb.sqlite-shm"),
    Trace::File("usr/lib/sysimage/rpm/rpmdb.sqlite-shm"),
    Trace::File("var/lib/rpm/.dbenv.lock"),
];

/// Shared files for what Berkeley DB keeps in memory of rpm's database. They match the database no better than the
/// image's own, which may remain from its build: rpm recreates them.
const SHARED_MEMORY: [&str; 3] =
    ["/var/lib/rpm/__db.001", "/var/lib/rpm/__db.002", "/var/lib/rpm/__db.003"];

/// Logs of changes that rpm has not yet put into its database. One that held changes before is
/// part of the database; an empty one is a trace.
const WRITE_AHEAD_LOGS: [&str; 2] =
    ["var/lib/rpm/rpmdb.sqlite-wal", "usr/lib/sysimage/rpm/rpmdb.sqlite-wal"];

/// Upgrades, at this time if one is given; returns what must be settled afterwards.
pub(in super::super) fn run(
    manager: RpmManager,
    lock: &Lock,
    files: &Path,
    time: Option<i64>,
) -> Result<Remains, Failure> {
    for package in &lock.packages {
        fetched::check(package, files)?;
    }
    let configuration = super::configuration(manager)?;
    let paths = lock.packages.iter().map(|package| files.join(&package.file)).collect();
    let packages = package_file::describe(paths)?;
    for key in keys::kept(&files.join(KEYS)) {
        package_file::import(&key, time)?;
    }
    let names: BTreeSet<&PackageName> = lock.goal.iter().collect();
    let (installed, before) = (super::installed()?, file_lists(&names)?);
    let scripts = scripts(&names)?;
    let transaction = Transaction {
        configuration: &configuration,
        signature: super::signature(manager, &configuration),
        options: &configuration.install_options(),
        time,
    };
    let database = InMemory::take()?;
    package_file::transact(&packages, &transaction)?;
    database.put_back()?;
    books::enter(&packages, &installed, &super::installed()?)?;
    let after = file_lists(&names)?;
    for file in SHARED_MEMORY.iter().map(Path::new).filter(|file| file.exists()) {
        std::fs::remove_file(file).map_err(|error| Failure::file("remove", file, &error))?;
    }
    let is_empty = |root: &str, log: &str| {
        Path::new(root).join(log).symlink_metadata().map_or(true, |found| found.len() == 0)
    };
    let logs = WRITE_AHEAD_LOGS.into_iter();
    Ok(Remains {
        traces: TRACES,
        more_traces: logs
            .filter(|log| is_empty("/", log) && is_empty(path::BASE, log))
            .map(PathBuf::from)
            .collect(),
        common_files: common_files(before, &after, &scripts),
    })
}

/// A file of a package, as rpm lists it.
struct Listed {
    attributes: Attributes,
    /// Whether the package has only its name: scripts or programs made what is there.
    is_ghost: bool,
}

/// The files of packages by package and by path, relative to the root.
type FileLists = BTreeMap<String, BTreeMap<PathBuf, Listed>>;

/// What rpm prints about each file; where no file of a package has capabilities, rpm says `(none)`.
const FILE: &str = "[%{=NAME}\\t%{FILEMODES:octal}\\t%{FILEUSERNAME}\\t%{FILEGROUPNAME}\\t%{FILECAPS}\\t\
                    %{FILEFLAGS:fflags}\\t%{FILENAMES}\\n]";

fn file_lists(names: &BTreeSet<&PackageName>) -> Result<FileLists, Failure> {
    let (users, groups) = (Numbers::read("/etc/passwd"), Numbers::read("/etc/group"));
    let mut lists = FileLists::new();
    for line in query(FILE, names)?.lines() {
        let mut fields = line.splitn(7, '\t');
        let mut field = || fields.next().unwrap_or_default();
        let (name, mode, user, group) = (field(), field(), field(), field());
        let (capabilities, flags) = (field(), field());
        let (Some(file), Ok(mode)) = (field().strip_prefix('/'), u32::from_str_radix(mode, 8))
        else {
            continue;
        };
        let attributes = Attributes {
            mode: mode & PERMISSIONS,
            owner: users.of(user),
            group: groups.of(group),
            is_capable: !matches!(capabilities, "" | "(none)"),
        };
        let listed = Listed { attributes, is_ghost: flags.contains(GHOST) };
        lists.entry(name.to_owned()).or_default().insert(PathBuf::from(file), listed);
    }
    Ok(lists)
}

/// The letter of `:fflags` for `%ghost`.
const GHOST: char = 'g';

/// What rpm prints about the scripts that ran when a package was installed, after a line that none of them has.
const SCRIPTS: &str =
    "\\f%{NAME}\\n%{PRETRANS}\\n%{PREIN}\\n%{POSTIN}\\n%{POSTTRANS}\\n[%{TRIGGERSCRIPTS}\\n]";

fn scripts(names: &BTreeSet<&PackageName>) -> Result<BTreeMap<String, Scripts>, Failure> {
    let listed = query(SCRIPTS, names)?;
    let packages = listed.split('\x0c').filter_map(|package| package.split_once('\n'));
    Ok(packages.map(|(name, text)| (name.to_owned(), Scripts::parse(text))).collect())
}

/// What rpm says of installed packages, in a format of its own.
fn query(format: &str, names: &BTreeSet<&PackageName>) -> Result<String, Failure> {
    let mut arguments = vec!["-q", "--queryformat", format];
    arguments.extend(names.iter().map(|name| name.as_str()));
    // A new dependency is not installed before, which rpm reports as a failure.
    Ok(super::rpm(&arguments, Echo::Hidden)?.stdout)
}

/// The numbers of users or groups by their names (passwd(5), group(5)).
struct Numbers(BTreeMap<String, u32>);

impl Numbers {
    fn read(file: &str) -> Self {
        let text = std::fs::read(file).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let number = |line: &str| {
            let mut fields = line.split(':');
            Some((fields.next()?.to_owned(), fields.nth(1)?.parse().ok()?))
        };
        Self(text.lines().filter_map(number).collect())
    }

    /// rpm gives the files of unknown users and groups to root.
    fn of(&self, name: &str) -> u32 {
        self.0.get(name).copied().unwrap_or(0)
    }
}

/// The files that both the old and the new version of an upgraded package have.
fn common_files(
    before: FileLists,
    after: &FileLists,
    scripts: &BTreeMap<String, Scripts>,
) -> BTreeMap<PathBuf, CommonFile> {
    let mut common = BTreeMap::new();
    for (name, old) in before {
        let Some(new) = after.get(&name) else { continue };
        for (path, listed) in old.into_iter().filter(|(path, _)| new.contains_key(path)) {
            let mut deeds =
                scripts.get(&name).map(|scripts| scripts.deeds(&path)).unwrap_or_default();
            deeds.take_away |= listed.is_ghost;
            let before = path.clone();
            let packaged = Some(listed.attributes);
            common.insert(path, CommonFile { before, packaged, deeds });
        }
    }
    common
}
