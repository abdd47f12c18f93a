//! Apply with rpm itself: upgrade from fetched files, without a network.
//!
//! rpm alone takes a quarter of dnf's time and touches none of the managers' caches, logs and
//! histories. What these keep of their own stays right: they find upgraded packages by name, and
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
use super::super::settle::{Remains, Trace};
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

/// What Berkeley DB keeps in memory of rpm's database, as files that programs share. They fit the database no more
/// than the image's own would, which may be there from its making: rpm makes them anew.
const SHARED_MEMORY: [&str; 3] =
    ["/var/lib/rpm/__db.001", "/var/lib/rpm/__db.002", "/var/lib/rpm/__db.003"];

/// Logs of changes that rpm has not yet put into its database. With changes in it before, it is part
/// of the database; an empty one is a trace.
const WRITE_AHEAD_LOGS: [&str; 2] =
    ["var/lib/rpm/rpmdb.sqlite-wal", "usr/lib/sysimage/rpm/rpmdb.sqlite-wal"];

/// Upgrades, at this time if one is given; what comes back says what is to be settled afterwards.
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
        common_files: common_files(&before, &after),
    })
}

/// The relative paths of the files of packages, by package, with what the packages give them.
type FileLists = BTreeMap<String, BTreeMap<PathBuf, Attributes>>;

/// What rpm is to say of each file; where no file of a package has capabilities, rpm says `(none)`.
const FILE: &str = "[%{=NAME}\\t%{FILEMODES:octal}\\t%{FILEUSERNAME}\\t%{FILEGROUPNAME}\\t%{FILECAPS}\\t\
                    %{FILENAMES}\\n]";

fn file_lists(names: &BTreeSet<&PackageName>) -> Result<FileLists, Failure> {
    let mut arguments = vec!["-q", "--queryformat", FILE];
    arguments.extend(names.iter().map(|name| name.as_str()));
    // A new dependency is not there before, which rpm calls a failure.
    let finished = super::rpm(&arguments, Echo::Hidden)?;
    let (users, groups) = (Numbers::read("/etc/passwd"), Numbers::read("/etc/group"));
    let mut lists = FileLists::new();
    for line in finished.stdout.lines() {
        let mut fields = line.splitn(6, '\t');
        let mut field = || fields.next().unwrap_or_default();
        let (name, mode, user, group, capabilities) = (field(), field(), field(), field(), field());
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
        lists.entry(name.to_owned()).or_default().insert(PathBuf::from(file), attributes);
    }
    Ok(lists)
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

    /// rpm gives the files of those that it does not know to root.
    fn of(&self, name: &str) -> u32 {
        self.0.get(name).copied().unwrap_or(0)
    }
}

/// The paths that both the old and the new version of an upgraded package have, with what the old one gave.
fn common_files(before: &FileLists, after: &FileLists) -> BTreeMap<PathBuf, Option<Attributes>> {
    let mut common = BTreeMap::new();
    for (name, old) in before {
        let Some(new) = after.get(name) else { continue };
        let in_both = old.iter().filter(|(path, _)| new.contains_key(*path));
        common.extend(in_both.map(|(path, packaged)| (path.clone(), Some(*packaged))));
    }
    common
}
