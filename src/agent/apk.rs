//! apk.
//!
//! apk is quick enough to let fetch do the whole upgrade in the root that is thrown away: what it
//! put into its cache is what apply needs, and the package database says what will change.

use std::collections::BTreeSet;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use crate::package::PackageName;
use crate::patch::task::{
    AgentFailure, FetchOutcome, FetchTask, Lock, LockedPackage, Target, Targets, Unmet,
    UnmetReason, Upgrade, path,
};
use crate::pkgdb::apk::{Installed, World, parse_files};
use crate::pkgdb::{Database, InstalledPackage};
use crate::version::{Scheme, Version};

use super::changes;
use super::fetched::{self, digest_of, seconds_now};
use super::process::{self, Echo, Finished};
use super::settle::{Remains, Trace};
use super::words::{self, Meaning};
use super::{Failure, say};

/// What the image's author has asked apk for.
const WORLD: &str = "/etc/apk/world";
/// Where the database is: apk 2 and most of apk 3, then systems with one `/usr`.
const DATABASES: [&str; 2] = ["lib/apk/db/installed", "usr/lib/apk/db/installed"];
/// How the signed indexes are called in apk's cache.
const INDEX: &str = "APKINDEX.";
/// Lists of links that busybox makes anew whenever a folder of programs changes.
const APPLETS: &str = "etc/busybox-paths.d";
/// What these links lead to.
const APPLET_PROGRAMS: [&str; 3] = ["/bin/busybox", "/bin/busybox-extras", "/bin/bbsuid"];

/// Has apk upgrade what is named after it. Before apk-tools 2.12 (Alpine 3.13) `upgrade` ignores names
/// and upgrades everything; this asks the solver for the same in all versions.
const UPGRADE_ONLY: &[&str] = &["fix", "--upgrade"];

/// What an upgrade leaves behind besides the packages. `world` is as the author wrote it.
const TRACES: &[Trace] = &[
    Trace::File("etc/apk/world"),
    Trace::Folder("etc/apk/cache"),
    Trace::Folder("var/cache/apk"),
    Trace::File("var/log/apk.log"),
    Trace::File("lib/apk/db/lock"),
    Trace::File("usr/lib/apk/db/lock"),
    Trace::Folder("lib/apk/exec"),
    Trace::Folder("usr/lib/apk/exec"),
];

/// Words of apk, when it has failed, by what they mean; the first row that matches decides.
const MEANINGS: &[Meaning] = &[
    (AgentFailure::NoSpace, &["No space left on device"]),
    (
        AgentFailure::Untrusted,
        &["UNTRUSTED", "BAD signature", "BAD archive", "integrity error", "IO ERROR"],
    ),
    (
        AgentFailure::Unreachable,
        &[
            "could not connect",
            "network error",
            "temporary error",
            "DNS lookup error",
            "HTTP error",
            "timed out",
            "unavailable repositories",
            "remote server returned error",
            "SSL certificate",
            "TLS: ",
        ],
    ),
];

/// Fills `files` with the packages that the targets need, and the signed indexes.
pub(super) fn fetch(task: &FetchTask, files: &Path) -> Result<(FetchOutcome, Lock), Failure> {
    let before = installed(Path::new("/"))?;
    pin_excluded(task, &before.database)?;
    let all = match &task.targets {
        Targets::Everything => Vec::new(),
        Targets::Listed(targets) => targets.iter().collect(),
    };
    // A simulation takes the indexes that it finds and fetches none.
    demand(files, &["update"], &[])?;
    let (reached, mut unmet) = solvable(files, &all)?;
    match task.targets {
        Targets::Everything => demand(files, &["upgrade"], &[])?,
        Targets::Listed(_) if reached.is_empty() => {}
        Targets::Listed(_) => demand(files, UPGRADE_ONLY, &names(&reached))?,
    }
    let after = installed(Path::new("/"))?;
    unmet.extend(match &task.targets {
        Targets::Everything => kept_back(task, files, &before, &after)?,
        Targets::Listed(_) => missed(&reached, &before, &after),
    });
    let upgrades = changes::upgrades(&before.database, &after.database);
    let lock = lock(&upgrades, files)?;
    let outcome = FetchOutcome {
        at: seconds_now(),
        removed: changes::removed(&before.database, &after.database),
        upgrades,
        unmet,
    };
    Ok((outcome, lock))
}

/// Upgrades from the fetched files; what comes back says what is to be settled afterwards.
pub(super) fn apply(lock: &Lock, files: &Path) -> Result<Remains, Failure> {
    for package in &lock.packages {
        fetched::check(package, files)?;
    }
    // apk wants to write to its cache.
    let cache = Path::new(path::WORK).join("cache");
    let failure = |error| Failure::file("link to", &cache, &error);
    std::fs::create_dir_all(&cache).map_err(failure)?;
    for entry in std::fs::read_dir(files).map_err(failure)? {
        let entry = entry.map_err(failure)?;
        // Beside them is apk's list of what it has cached, which nobody has signed.
        let Ok(name) = entry.file_name().into_string() else { continue };
        if name.starts_with(INDEX) || lock.packages.iter().any(|package| package.file == name) {
            symlink(entry.path(), cache.join(name)).map_err(failure)?;
        }
    }
    let before = installed(Path::new("/"))?;
    let names: Vec<&PackageName> =
        lock.goal.iter().filter(|name| before.database.find(name).next().is_some()).collect();
    demand(&cache, &[UPGRADE_ONLY, &["--no-network"]].concat(), &names)?;
    Ok(Remains { traces: TRACES, more_traces: Vec::new(), common_files: common_files(lock) })
}

fn installed(root: &Path) -> Result<Installed, Failure> {
    let failure = |message| Failure::new(AgentFailure::PackageManager, message);
    let world = std::fs::read(WORLD).unwrap_or_default();
    let world =
        World::parse(&world).map_err(|error| failure(format!("cannot read {WORLD}: {error}")))?;
    Installed::parse(&database_bytes(root)?, &world)
        .map_err(|error| failure(format!("cannot read apk's database: {error}")))
}

fn database_bytes(root: &Path) -> Result<Vec<u8>, Failure> {
    let [usual, other] = DATABASES.map(|path| root.join(path));
    std::fs::read(&usual)
        .or_else(|_| std::fs::read(other))
        .map_err(|error| Failure::file("read", &usual, &error))
}

/// A version in `world` is how apk is told not to touch a package; this root is thrown away.
fn pin_excluded(task: &FetchTask, database: &Database) -> Result<(), Failure> {
    let excluded = database.installed().filter(|package| is_excluded(task, &package.name));
    let lines: Vec<String> =
        excluded.map(|package| format!("{}={}\n", package.name, package.version)).collect();
    if lines.is_empty() {
        return Ok(());
    }
    let file = Path::new(WORLD);
    let mut world = std::fs::read_to_string(file).unwrap_or_default();
    world.push('\n');
    world.push_str(&lines.concat());
    std::fs::write(file, world).map_err(|error| Failure::file("write", file, &error))
}

fn is_excluded(task: &FetchTask, name: &PackageName) -> bool {
    task.exclude.iter().any(|pattern| pattern.matches(name))
}

fn names<'t>(targets: &[&'t Target]) -> Vec<&'t PackageName> {
    targets.iter().map(|target| &target.name).collect()
}

/// The targets that can be reached together, and the others with apk's words.
fn solvable<'t>(
    cache: &Path,
    targets: &[&'t Target],
) -> Result<(Vec<&'t Target>, Vec<Unmet>), Failure> {
    if targets.is_empty() || simulate(cache, targets)?.is_none() {
        return Ok((targets.to_vec(), Vec::new()));
    }
    say("suture: not all upgrades are possible together, looking for those that are");
    let mut reached: Vec<&Target> = Vec::new();
    let mut unmet = Vec::new();
    for target in targets {
        reached.push(target);
        if let Some(because) = simulate(cache, &reached)? {
            reached.pop();
            unmet.push(unmet_target(target, UnmetReason::Unsolvable { because }));
        }
    }
    Ok((reached, unmet))
}

/// Why these cannot be upgraded together; nothing when they can.
fn simulate(cache: &Path, targets: &[&Target]) -> Result<Option<String>, Failure> {
    let command = [UPGRADE_ONLY, &["--simulate"]].concat();
    let finished = call(cache, &command, &names(targets), Echo::Hidden)?;
    if finished.is_success() {
        return Ok(None);
    }
    match words::meaning(MEANINGS, &finished) {
        None => Ok(Some(reason(&finished))),
        Some(kind) => Err(failure(kind, &finished)),
    }
}

/// The first of apk's lines that tells why.
fn reason(finished: &Finished) -> String {
    let lines = finished.stderr.lines().chain(finished.stdout.lines()).map(str::trim);
    let telling = lines.filter(|line| line.contains("breaks:") || line.contains("conflicts:"));
    telling.map(ToOwned::to_owned).next().unwrap_or_else(|| "apk finds no solution".to_owned())
}

/// Has apk do something that must succeed.
fn demand(cache: &Path, command: &[&str], names: &[&PackageName]) -> Result<(), Failure> {
    let finished = call(cache, command, names, Echo::Shown)?;
    if finished.is_success() {
        return Ok(());
    }
    let kind = words::meaning(MEANINGS, &finished).unwrap_or(AgentFailure::PackageManager);
    Err(failure(kind, &finished))
}

fn failure(kind: AgentFailure, finished: &Finished) -> Failure {
    let first =
        |kind: &str| finished.stderr.lines().find_map(|line| line.trim().strip_prefix(kind));
    let because = first("ERROR: ").or_else(|| first("WARNING: ")).unwrap_or("see above");
    Failure::new(kind, format!("apk failed: {because}"))
}

/// One call of apk with `cache` as its cache.
fn call(
    cache: &Path,
    command: &[&str],
    names: &[&PackageName],
    echo: Echo,
) -> Result<Finished, Failure> {
    let mut arguments: Vec<String> = command.iter().map(|&word| word.to_owned()).collect();
    let cache = cache.display().to_string();
    arguments.extend(["--no-progress".to_owned(), "--cache-dir".to_owned(), cache]);
    arguments.extend(names.iter().map(ToString::to_string));
    run(&arguments, echo)
}

fn run(arguments: &[String], echo: Echo) -> Result<Finished, Failure> {
    process::run("apk", arguments, &[("HOME", "/root"), ("TMPDIR", path::WORK)], echo)
}

fn unmet_target(target: &Target, reason: UnmetReason) -> Unmet {
    Unmet { name: target.name.clone(), architecture: target.architecture.clone(), reason }
}

/// Targets that apk has upgraded as far as it could, and that are not enough.
fn missed(targets: &[&Target], before: &Installed, after: &Installed) -> Vec<Unmet> {
    let missed = |target: &Target| {
        let newest = after.database.find(&target.name).next().map(|package| &package.version);
        let pinned = before.pins.contains_key(&target.name);
        let enough = match &target.at_least {
            Some(required) => {
                let required = Version::parse(Scheme::Apk, required).ok()?;
                newest.is_some_and(|version| *version >= required)
            }
            None => !pinned,
        };
        if enough {
            return None;
        }
        let newest = newest.map_or_else(String::new, ToString::to_string);
        let reason = if pinned { UnmetReason::Held } else { UnmetReason::NoCandidate { newest } };
        Some(unmet_target(target, reason))
    };
    targets.iter().filter_map(|target| missed(target)).collect()
}

/// Packages that have a newer version which apk did not take.
fn kept_back(
    task: &FetchTask,
    cache: &Path,
    before: &Installed,
    after: &Installed,
) -> Result<Vec<Unmet>, Failure> {
    let arguments = ["version", "-v", "-l", "<", "--no-network", "--cache-dir"];
    let mut arguments: Vec<String> = arguments.into_iter().map(ToOwned::to_owned).collect();
    arguments.push(cache.display().to_string());
    let listed = run(&arguments, Echo::Hidden)?.stdout;
    let lines: BTreeSet<&str> = listed.lines().filter_map(|line| line.split(' ').next()).collect();
    let is_listed = |package: &&InstalledPackage| {
        lines.contains(format!("{}-{}", package.name, package.version).as_str())
            && !is_excluded(task, &package.name)
    };
    let unmet = |package: &InstalledPackage| Unmet {
        name: package.name.clone(),
        architecture: package.architecture.clone(),
        reason: if before.pins.contains_key(&package.name) {
            UnmetReason::Held
        } else {
            UnmetReason::Unsolvable { because: "kept back".to_owned() }
        },
    };
    Ok(after.database.installed().filter(is_listed).map(unmet).collect())
}

/// The packages in apk's cache: `name-version.checksum.apk`. One from a repository that is a
/// folder of the image is not there, and apply finds it where it is.
fn lock(upgrades: &[Upgrade], files: &Path) -> Result<Lock, Failure> {
    let failure = |error| Failure::file("read", files, &error);
    let mut packages = Vec::new();
    for entry in std::fs::read_dir(files).map_err(failure)? {
        let Ok(file) = entry.map_err(failure)?.file_name().into_string() else { continue };
        let upgrade = upgrades.iter().find(|upgrade| {
            file.strip_prefix(&format!("{}-{}.", upgrade.name, upgrade.to))
                .is_some_and(|rest| rest.ends_with("apk"))
        });
        let Some(Upgrade { name, architecture, to, .. }) = upgrade else { continue };
        packages.push(LockedPackage {
            name: name.clone(),
            architecture: architecture.clone(),
            version: to.clone(),
            digest: digest_of(&files.join(&file)).map_err(failure)?,
            file,
            source: None,
        });
    }
    packages.sort_by(|one, other| one.file.cmp(&other.file));
    Ok(Lock { goal: upgrades.iter().map(|upgrade| upgrade.name.clone()).collect(), packages })
}

/// The paths that both the old and the new version of an upgraded package have, or of busybox's links.
fn common_files(lock: &Lock) -> Vec<PathBuf> {
    let list = |root: &str| parse_files(&database_bytes(Path::new(root)).unwrap_or_default());
    let (old, new) = (list(path::BASE), list("/"));
    let mut common = common_applets();
    for name in &lock.goal {
        let (Some(old), Some(new)) = (old.get(name), new.get(name)) else { continue };
        let old: BTreeSet<&String> = old.iter().collect();
        common.extend(new.iter().filter(|path| old.contains(path)).map(PathBuf::from));
    }
    common
}

fn common_applets() -> Vec<PathBuf> {
    let (old, new) = (applets(Path::new(path::BASE)), applets(Path::new("/")));
    let leads_to_busybox = |path: &&PathBuf| {
        let target = std::fs::read_link(Path::new("/").join(path)).unwrap_or_default();
        APPLET_PROGRAMS.iter().any(|program| target == Path::new(program))
    };
    old.intersection(&new).filter(leads_to_busybox).cloned().collect()
}

/// The relative paths of busybox's links; none where there are no lists of them.
fn applets(root: &Path) -> BTreeSet<PathBuf> {
    let lists = std::fs::read_dir(root.join(APPLETS)).into_iter().flatten().flatten();
    let texts = lists.filter_map(|list| std::fs::read_to_string(list.path()).ok());
    let lines = |text: String| {
        let paths = text.lines().map(|line| PathBuf::from(line.trim_start_matches('/')));
        paths.collect::<Vec<_>>()
    };
    texts.flat_map(lines).collect()
}
