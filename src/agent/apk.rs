//! apk.
//!
//! apk is fast enough that fetch does the whole upgrade in the root that is thrown away: apply needs
//! what it put into its cache, and the package database says what will change.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::DirEntry;
use std::io::{Cursor, Read};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use flate2::read::MultiGzDecoder;
use tar::Archive;

use crate::package::PackageName;
use crate::patch::task::{
    AgentFailure, FetchOutcome, FetchTask, Lock, LockedPackage, Skipped, Target, Targets, Unmet,
    UnmetReason, Upgrade, path,
};
use crate::pkgdb::apk::{DATABASES, Installed, World, parse_files};
use crate::pkgdb::{Database, InstalledPackage};
use crate::request::OnUnreachable;

use super::changes;
use super::fetched::{self, digest_of, seconds_now};
use super::links::{self, Last};
use super::process::{self, Echo, Finished};
use super::scripts::Scripts;
use super::settle::{CommonFile, Remains, Trace};
use super::words::{self, Meaning};
use super::{Failure, say};

/// What the image's author asked apk for.
const WORLD: &str = "/etc/apk/world";
/// Where apk 3 keeps its options (apk(8), `APK_CONFIG`).
const CONFIGURATIONS: [&str; 2] = ["/etc/apk/config", "/lib/apk/config"];
/// Prefix of the names of signed indexes in apk's cache.
const INDEX: &str = "APKINDEX.";
/// Lists of links that busybox recreates whenever a folder of programs changes.
const APPLETS: &str = "etc/busybox-paths.d";
/// What these links point to.
const APPLET_PROGRAMS: [&str; 3] = ["/bin/busybox", "/bin/busybox-extras", "/bin/bbsuid"];

/// Makes apk upgrade what is named after it. Before apk-tools 2.12 (Alpine 3.13) `upgrade` ignores names and upgrades
/// everything; this asks the solver for the same in all versions.
const UPGRADE_ONLY: &[&str] = &["fix", "--upgrade"];

/// What an upgrade leaves behind besides the packages. `world` is as the author wrote it.
const TRACES: &[Trace] = &[
    Trace::File("etc/apk/world"),
    Trace::File("etc/apk/arch"),
    Trace::Folder("etc/apk/cache"),
    Trace::Folder("var/cache/apk"),
    Trace::File("var/log/apk.log"),
    Trace::File("lib/apk/db/lock"),
    Trace::File("usr/lib/apk/db/lock"),
    Trace::Folder("lib/apk/exec"),
    Trace::Folder("usr/lib/apk/exec"),
];

/// Where apk keeps packages' scripts: a tar archive, compressed by apk 3.
const SCRIPTS: [&str; 4] = [
    "lib/apk/db/scripts.tar.gz",
    "lib/apk/db/scripts.tar",
    "usr/lib/apk/db/scripts.tar.gz",
    "usr/lib/apk/db/scripts.tar",
];
/// Maximum number of bytes read from that archive.
const SCRIPTS_LIMIT: u64 = 64 << 20;
/// Magic number of gzip files (RFC 1952, section 2.3.1).
const GZIP: &[u8] = &[0x1f, 0x8b];

/// Error messages of apk 2 and 3 by meaning; the first matching row decides. All problems with an index are reported
/// after its location.
const MEANINGS: &[Meaning] = &[
    (AgentFailure::NoSpace, &["No space left on device"]),
    (
        AgentFailure::Untrusted,
        &[
            "UNTRUSTED",
            "BAD signature",
            "BAD archive",
            "integrity error",
            "IO ERROR",
            "file format is invalid",
            "unexpected end of file",
            // The result of a damaged package of version 3.
            "Connection aborted",
            "ADB block error",
            "ADB header error",
            "ADB signature block error",
            "ADB schema error",
            "ADB package format",
            "v2 package format error",
            "v2 index format error",
        ],
    ),
    (
        AgentFailure::Unreachable,
        &[
            "updating and opening http",
            " unavailable, ",
            "could not connect",
            "network connection aborted",
            "network error",
            "temporary error",
            "timed out",
            "Connection refused",
            "Connection reset",
            "nreachable",
            "DNS lookup error",
            "DNS: ",
            "HTTP error",
            "HTTP 4",
            "HTTP 5",
            "HTTP: ",
            "package mentioned in index not found",
            "unavailable repositories",
            "remote server returned error",
            "SSL certificate",
            "TLS: ",
        ],
    ),
];

/// Prefix of apk's warning that it skips a repository whose folder is missing; then that of apk 2.10.
const LEFT_OUT: [&str; 2] = ["WARNING: opening ", "WARNING: Ignoring "];

/// Fills `files` with the packages that the targets need, and the signed indexes.
pub(super) fn fetch(task: &FetchTask, files: &Path) -> Result<(FetchOutcome, Lock), Failure> {
    let before = installed(Path::new("/"))?;
    pin_excluded(task, &before.database)?;
    ask_for_orphans(files)?;
    let all = match &task.targets {
        Targets::Everything => Vec::new(),
        Targets::Listed(targets) => targets.iter().collect(),
    };
    // A simulation takes the indexes that it finds and fetches none.
    let (updated, mut skipped) = update(task, files)?;
    let (reached, mut unmet) = solvable(files, &all)?;
    match task.targets {
        Targets::Everything => upgrade_all(files, !skipped.is_empty())?,
        Targets::Listed(_) if reached.is_empty() => {}
        Targets::Listed(_) => {
            demand(files, UPGRADE_ONLY, &names(&reached))?;
        }
    }
    let after = installed(Path::new("/"))?;
    unmet.extend(match &task.targets {
        Targets::Everything => kept_back(task, files, &before, &after)?,
        Targets::Listed(_) => missed(files, &reached, &before, &after)?,
    });
    let upgrades = changes::upgrades(&before.database, &after.database);
    let lock = lock(&upgrades, files)?;
    if let Some(warning) = left_out(&updated)
        && skipped.is_empty()
        && may_be_missed(&upgrades, &unmet, files)?
    {
        if task.on_unreachable == OnUnreachable::Fail {
            return Err(Failure::new(AgentFailure::Unreachable, warning));
        }
        skipped.extend(skipped_repository(warning));
    }
    let outcome = FetchOutcome {
        at: seconds_now(),
        removed: changes::removed(&before.database, &after.database),
        fewer: Vec::new(),
        upgrades,
        unmet,
        misfits: Vec::new(),
        skipped,
    };
    Ok((outcome, lock))
}

/// Makes apk fetch the indexes, without the unusable repositories if the user allows it and others are usable.
fn update(task: &FetchTask, files: &Path) -> Result<(Finished, Vec<Skipped>), Failure> {
    let finished = call(files, &["update"], &[], Echo::Shown)?;
    if finished.is_success() {
        return Ok((finished, Vec::new()));
    }
    let kind = words::meaning(MEANINGS, &finished).unwrap_or(AgentFailure::PackageManager);
    let lines = finished.stderr.lines().chain(finished.stdout.lines());
    let skipped: BTreeSet<Skipped> = lines.filter_map(skipped_repository).collect();
    let may_skip = task.on_unreachable == OnUnreachable::Warn
        && kind.can_be_skipped()
        && !skipped.is_empty()
        && has_index(files)?;
    if !may_skip {
        return Err(failure(kind, &finished));
    }
    Ok((finished, skipped.into_iter().collect()))
}

/// The repository that a line of apk is about: `WARNING: … ADDRESS: REASON`.
fn skipped_repository(line: &str) -> Option<Skipped> {
    let words =
        ["ERROR: ", "WARNING: "].iter().find_map(|level| line.trim().strip_prefix(level))?;
    let address = words.split(' ').find(|word| word.contains('/'))?;
    let (_, reason) = words.split_once(address)?;
    let address = address.trim_end_matches(':');
    let repository = address.split("/APKINDEX").next().unwrap_or(address);
    Some(Skipped {
        repository: words::without_credentials(repository),
        failure: AgentFailure::Unreachable,
        reason: reason.trim_start_matches([':', ' ']).to_owned(),
    })
}

/// Whether apk has an index.
fn has_index(cache: &Path) -> Result<bool, Failure> {
    let failure = |error| Failure::file("read", cache, &error);
    let cached: Vec<_> = std::fs::read_dir(cache).map_err(failure)?.flatten().collect();
    let is_index = |entry: &DirEntry| entry.file_name().to_string_lossy().starts_with(INDEX);
    Ok(cached.iter().any(is_index))
}

/// Upgrades from the fetched files; returns what must be settled afterwards.
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
        // Next to them is apk's list of what it has cached, which nobody has signed.
        let Ok(name) = entry.file_name().into_string() else { continue };
        if name.starts_with(INDEX) || lock.packages.iter().any(|package| package.file == name) {
            symlink(entry.path(), cache.join(name)).map_err(failure)?;
        }
    }
    ask_for_orphans(&cache)?;
    let before = installed(Path::new("/"))?;
    let names: Vec<&PackageName> =
        lock.goal.iter().filter(|name| before.database.find(name).next().is_some()).collect();
    demand(&cache, &[UPGRADE_ONLY, &["--no-network"]].concat(), &names)?;
    // If `world` is a link, we wrote to its target, and apk replaced it with a file.
    let base = Path::new(path::BASE);
    let world = links::resolve(base, Path::new(WORLD), Last::Followed).ok().flatten();
    let world = world.and_then(|world| world.strip_prefix(base).map(Path::to_path_buf).ok());
    let more_traces = world.into_iter().collect();
    Ok(Remains { traces: TRACES, more_traces, common_files: common_files(lock) })
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
    let [usual, other] = DATABASES.map(Path::new);
    links::read(root, usual)
        .or_else(|_| links::read(root, other))
        .map_err(|error| Failure::file("read", usual, &error))
}

/// A version in `world` is how apk is told not to touch a package; this root is thrown away.
fn pin_excluded(task: &FetchTask, database: &Database) -> Result<(), Failure> {
    let excluded = database.installed().filter(|package| is_excluded(task, &package.name));
    let lines: Vec<String> =
        excluded.map(|package| format!("{}={}\n", package.name, package.version)).collect();
    add_to_world(&lines)
}

/// Asks for what nobody asks for: otherwise apk would remove it on the way, whatever it is told to do. What `world`
/// forbids is left to it.
fn ask_for_orphans(cache: &Path) -> Result<(), Failure> {
    let finished = call(cache, &["fix", "--simulate", "--no-network"], &[], Echo::Hidden)?;
    let world = std::fs::read_to_string(WORLD).unwrap_or_default();
    let is_forbidden = |name: &str| {
        let mut words = world.split_ascii_whitespace().filter_map(|word| word.strip_prefix('!'));
        words.any(|word| word == name)
    };
    let orphans = finished.stdout.lines().filter_map(purged).filter(|name| !is_forbidden(name));
    add_to_world(&orphans.map(|name| format!("{name}\n")).collect::<Vec<_>>())
}

/// The package that apk says it removes: `(1/2) Purging NAME (VERSION)`.
fn purged(line: &str) -> Option<&str> {
    line.split_once(") Purging ")?.1.split(' ').next()
}

/// Adds lines to `world`, which is restored at the end.
fn add_to_world(lines: &[String]) -> Result<(), Failure> {
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

/// Why these cannot be upgraded together; nothing if they can.
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

/// The first of apk's lines that gives the reason.
fn reason(finished: &Finished) -> String {
    let lines = finished.stderr.lines().chain(finished.stdout.lines()).map(str::trim);
    let telling = |line: &&str| line.contains("breaks:") || line.contains("conflicts:");
    let telling = lines.clone().find(telling).or_else(|| {
        let mut errors = lines.filter_map(|line| line.strip_prefix("ERROR: "));
        errors.find(|error| !error.ends_with(':'))
    });
    telling.unwrap_or("apk finds no solution").to_owned()
}

/// What apk says about a repository that it skipped.
fn left_out(updated: &Finished) -> Option<&str> {
    let says = |line: &&str| LEFT_OUT.iter().any(|words| line.starts_with(words));
    updated.stderr.lines().chain(updated.stdout.lines()).find(says)
}

/// Whether a repository that was left out may have what is wanted: no other has a fix, or there is no other. A
/// repository that an image no longer has, but still names, is no reason to stop patching it.
fn may_be_missed(upgrades: &[Upgrade], unmet: &[Unmet], cache: &Path) -> Result<bool, Failure> {
    if unmet.iter().any(|unmet| matches!(unmet.reason, UnmetReason::NoCandidate { .. })) {
        return Ok(true);
    }
    Ok(upgrades.is_empty() && !has_index(cache)?)
}

/// Upgrades everything; without a repository that may be missing if the user goes on without one.
fn upgrade_all(cache: &Path, may_miss_some: bool) -> Result<(), Failure> {
    /// apk 2.14 and later insist on all repositories otherwise; earlier ones do not know the option.
    const MISSING: &str = "--force-missing-repositories";
    match demand(cache, &["upgrade"], &[]) {
        Err(failure) if may_miss_some && failure.message.contains(MISSING) => {
            demand(cache, &["upgrade", MISSING], &[]).map(drop)
        }
        other => other.map(drop),
    }
}

/// Makes apk do something that must succeed.
fn demand(cache: &Path, command: &[&str], names: &[&PackageName]) -> Result<Finished, Failure> {
    let finished = call(cache, command, names, Echo::Shown)?;
    if finished.is_success() {
        return Ok(finished);
    }
    let kind = words::meaning(MEANINGS, &finished).unwrap_or(AgentFailure::PackageManager);
    Err(failure(kind, &finished))
}

fn failure(kind: AgentFailure, finished: &Finished) -> Failure {
    let first =
        |kind: &str| finished.stderr.lines().find_map(|line| line.trim().strip_prefix(kind));
    let because = first("ERROR: ").or_else(|| first("WARNING: ")).map(str::to_owned);
    Failure::new(kind, format!("apk failed: {}", because.unwrap_or_else(|| finished.end())))
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
    // Options for all calls, which only apk 3 has; `no-cache` may be among them.
    if CONFIGURATIONS.iter().any(|file| Path::new(file).exists()) {
        arguments.push("--cache=yes".to_owned());
    }
    arguments.extend(names.iter().map(ToString::to_string));
    run(&arguments, echo)
}

fn run(arguments: &[String], echo: Echo) -> Result<Finished, Failure> {
    process::run("apk", arguments, &[("HOME", "/root"), ("TMPDIR", path::WORK)], echo)
}

fn unmet_target(target: &Target, reason: UnmetReason) -> Unmet {
    Unmet { name: target.name.clone(), architecture: target.architecture.clone(), reason }
}

/// Targets that apk upgraded as far as it could, but not far enough.
fn missed(
    cache: &Path,
    targets: &[&Target],
    before: &Installed,
    after: &Installed,
) -> Result<Vec<Unmet>, Failure> {
    let newest = |target: &Target| after.database.find(&target.name).next();
    let is_short = |target: &&&Target| match (target.at_least.as_slice(), newest(target)) {
        // The newest is meant: one that is as it was may be that.
        ([], Some(package)) => before.database.find(&target.name).any(|old| old == package),
        ([], None) => false,
        (_, newest) => {
            newest.is_none_or(|package| !target.is_met(&package.version, &package.source.version))
        }
    };
    let short: Vec<&Target> = targets.iter().filter(is_short).copied().collect();
    if short.is_empty() {
        return Ok(Vec::new());
    }
    let outdated = outdated(cache, &after.database)?;
    let unmet = |target: &Target| {
        let reason = if outdated.iter().any(|package| package.name == target.name) {
            why_kept_back(&target.name, before)
        } else if !target.at_least.is_empty() {
            newest(target).map_or(UnmetReason::NoCandidate { newest: String::new() }, |package| {
                target.no_candidate(&package.version, &package.source.version)
            })
        } else {
            return None;
        };
        Some(unmet_target(target, reason))
    };
    Ok(short.into_iter().filter_map(unmet).collect())
}

/// Packages that have a newer version which apk did not take.
fn kept_back(
    task: &FetchTask,
    cache: &Path,
    before: &Installed,
    after: &Installed,
) -> Result<Vec<Unmet>, Failure> {
    let outdated = outdated(cache, &after.database)?.into_iter();
    let unmet = |package: &InstalledPackage| Unmet {
        name: package.name.clone(),
        architecture: package.architecture.clone(),
        reason: why_kept_back(&package.name, before),
    };
    Ok(outdated.filter(|package| !is_excluded(task, &package.name)).map(unmet).collect())
}

fn why_kept_back(name: &PackageName, before: &Installed) -> UnmetReason {
    if before.pinned.contains(name) {
        UnmetReason::Held
    } else {
        UnmetReason::Unsolvable { because: "kept back".to_owned() }
    }
}

/// The packages for which a repository has a newer version.
fn outdated<'d>(
    cache: &Path,
    database: &'d Database,
) -> Result<Vec<&'d InstalledPackage>, Failure> {
    let arguments = ["version", "-v", "-l", "<", "--no-network", "--cache-dir"];
    let mut arguments: Vec<String> = arguments.into_iter().map(ToOwned::to_owned).collect();
    arguments.push(cache.display().to_string());
    let listed = run(&arguments, Echo::Hidden)?.stdout;
    let lines: BTreeSet<&str> = listed.lines().filter_map(|line| line.split(' ').next()).collect();
    let is_listed = |package: &&InstalledPackage| {
        lines.contains(format!("{}-{}", package.name, package.version).as_str())
    };
    Ok(database.installed().filter(is_listed).collect())
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

/// The files that both the old and the new version of an upgraded package have, and busybox's links.
fn common_files(lock: &Lock) -> BTreeMap<PathBuf, CommonFile> {
    let list = |root: &str| parse_files(&database_bytes(Path::new(root)).unwrap_or_default());
    let (old, new) = (list(path::BASE), list("/"));
    let texts = scripts_of_packages(Path::new(path::BASE));
    let at = |path: PathBuf| (path.clone(), CommonFile::at(path, None));
    let mut common: BTreeMap<_, _> = common_applets().into_iter().map(at).collect();
    for name in &lock.goal {
        let (Some(old), Some(new)) = (old.get(name), new.get(name)) else { continue };
        let scripts = Scripts::parse(texts.get(name).map_or("", String::as_str));
        for (path, packaged) in old.iter().filter(|(path, _)| new.contains_key(*path)) {
            let before = PathBuf::from(path);
            let deeds = scripts.deeds(&before);
            let file = CommonFile { before: before.clone(), packaged: Some(*packaged), deeds };
            common.insert(before, file);
        }
    }
    common
}

/// The scripts that ran when packages were installed, from apk's archive of them; none if the archive cannot be read.
fn scripts_of_packages(root: &Path) -> BTreeMap<PackageName, String> {
    let mut texts: BTreeMap<PackageName, String> = BTreeMap::new();
    let archive = SCRIPTS.iter().find_map(|file| links::read(root, Path::new(file)).ok());
    let archive = archive.unwrap_or_default();
    let archive: Box<dyn Read> = if archive.starts_with(GZIP) {
        Box::new(MultiGzDecoder::new(Cursor::new(archive)))
    } else {
        Box::new(Cursor::new(archive))
    };
    let mut archive = Archive::new(archive.take(SCRIPTS_LIMIT));
    for mut entry in archive.entries().into_iter().flatten().map_while(Result::ok) {
        let path = entry.path().map(|path| path.display().to_string()).unwrap_or_default();
        let Some(name) = package_of_script(&path) else { continue };
        let mut bytes = Vec::new();
        if entry.read_to_end(&mut bytes).is_ok() {
            let text = texts.entry(name).or_default();
            text.push_str(&String::from_utf8_lossy(&bytes));
            text.push('\n');
        }
    }
    texts
}

/// The package whose script has this name: `NAME-VERSION-rRELEASE.CHECKSUM.KIND`.
fn package_of_script(file: &str) -> Option<PackageName> {
    let is_run = ["pre-install", "post-install", "pre-upgrade", "post-upgrade", "trigger"];
    let (rest, kind) = file.rsplit_once('.')?;
    let (package, _checksum) = rest.rsplit_once('.').filter(|_| is_run.contains(&kind))?;
    package.rsplitn(3, '-').nth(2)?.parse().ok()
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
    let folder = links::resolve(root, Path::new(APPLETS), Last::Followed).ok().flatten();
    let lists = folder.and_then(|folder| std::fs::read_dir(folder).ok()).into_iter().flatten();
    let texts = lists.flatten().filter_map(|list| std::fs::read_to_string(list.path()).ok());
    let lines = |text: String| {
        let paths = text.lines().map(|line| PathBuf::from(line.trim_start_matches('/')));
        paths.collect::<Vec<_>>()
    };
    texts.flat_map(lines).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failed(stderr: &str) -> Finished {
        Finished {
            exit_code: Some(1),
            signal: None,
            stdout: String::new(),
            stderr: stderr.to_owned(),
        }
    }

    #[test]
    fn words_have_meanings() {
        use AgentFailure::{NoSpace, Unreachable, Untrusted};
        for (words, kind) in [
            // apk 3.0
            ("WARNING: updating and opening http://x: Connection refused", Some(Unreachable)),
            ("WARNING: updating and opening http://x: DNS: name does not exist", Some(Unreachable)),
            ("ERROR: zlib-1.3.2-r0: HTTP 404: Not Found", Some(Unreachable)),
            ("ERROR: zlib-1.3.2-r0: package mentioned in index not found", Some(Unreachable)),
            (
                "WARNING: updating and opening http://x: UNTRUSTED signature\n\
                 1 unavailable, 0 stale; 17 distinct packages available",
                Some(Untrusted),
            ),
            (
                "WARNING: updating and opening http://x: file format is invalid or inconsistent",
                Some(Untrusted),
            ),
            ("ERROR: zlib-1.3.2-r0: failed to extract a: Connection aborted", Some(Untrusted)),
            ("ERROR: zlib-1.3.2-r0: v2 package integrity error", Some(Untrusted)),
            ("ERROR: zlib-1.3.2-r0: unexpected end of file", Some(Untrusted)),
            ("ERROR: zlib-1.3.2-r0: failed to extract a: No space left on device", Some(NoSpace)),
            // apk 2.14
            ("WARNING: updating and opening http://x: Permission denied", Some(Unreachable)),
            (
                "WARNING: updating and opening http://x: No such file or directory",
                Some(Unreachable),
            ),
            ("ERROR: zlib-1.3.2-r0: IO ERROR", Some(Untrusted)),
            ("ERROR: zlib-1.3.2-r0: BAD signature", Some(Untrusted)),
            ("ERROR: unable to select packages:\n  a-1:\n    breaks: world[!a]", None),
        ] {
            assert_eq!(words::meaning(MEANINGS, &failed(words)), kind, "{words}");
        }
    }

    #[test]
    fn packages_of_scripts() {
        for (file, expected) in [
            ("busybox-1.36.1-r29.Q1abc+/=.post-install", Some("busybox")),
            ("a-b-1.0_git1-r0.Q1x.trigger", Some("a-b")),
            ("busybox-1.36.1-r29.Q1abc.pre-deinstall", None),
            ("odd", None),
        ] {
            let found = package_of_script(file);
            assert_eq!(found.as_ref().map(PackageName::as_str), expected, "{file}");
        }
    }

    #[test]
    fn what_is_removed() {
        for (line, expected) in [
            ("(1/12) Purging lab-newdep (1.0-r0)", Some("lab-newdep")),
            ("(1/2) Upgrading musl (1.2.5-r0 -> 1.2.5-r3)", None),
            ("OK: 8 MiB in 17 packages", None),
        ] {
            assert_eq!(purged(line), expected);
        }
    }

    #[test]
    fn reasons() {
        for (words, expected) in [
            (
                "ERROR: unable to select packages:\n  a-1:\n    breaks: b-1[c=1]\n",
                "breaks: b-1[c=1]",
            ),
            (
                "ERROR: Not committing changes due to missing repository tags.\n",
                "Not committing changes due to missing repository tags.",
            ),
            ("ERROR: unable to select packages:\n", "apk finds no solution"),
        ] {
            assert_eq!(reason(&failed(words)), expected);
        }
    }
}
