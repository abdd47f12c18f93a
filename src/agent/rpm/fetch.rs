//! Fetch with a manager on top of rpm: it resolves, downloads and checks, and rpm's database tells
//! what will change.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use crate::package::{Architecture, PackageName};
use crate::patch::task::{
    AgentFailure, FetchOutcome, FetchTask, Lock, LockedPackage, Misfit, Skipped, Target, Targets,
    Unmet, UnmetReason, Upgrade,
};
use crate::pkgdb::{Database, InstalledPackage};
use crate::repository::rpm::{RpmConfiguration, RpmManager, RpmRepository, Variables};
use crate::request::OnUnreachable;
use crate::version::{Scheme, Version};

use super::super::fetched::{digest_of, seconds_now};
use super::super::process::{self, Echo, Finished};
use super::super::{Failure, changes, say};
use super::database::{self, InMemory};
use super::manager::{PACKAGES, Reach, Row};
use super::output::Listed;
use super::package_file::{self, PackageFile, Signature, Transaction};
use super::{ENVIRONMENT, KEYS, holds, installed, keys, output};

/// Where packages are downloaded to, beside the fetched files.
const DOWNLOADS: &str = "downloads";

/// Messages with which a manager that succeeds says that it has left something out.
const LEFT_OUT: [&str; 4] =
    ["will NOT be installed", "are locked", "Skipping packages with", "skipped"];

/// Fills `files` with the packages that the targets need.
pub(in super::super) fn run(
    task: &FetchTask,
    manager: RpmManager,
    files: &Path,
) -> Result<(FetchOutcome, Lock), Failure> {
    let configuration = super::configuration(manager)?;
    let fetch = Fetch {
        task,
        row: Row::of(manager),
        signature: super::signature(manager, &configuration),
        configuration,
        before: installed()?,
        downloads: files.join(DOWNLOADS),
        files,
    };
    fetch.run()
}

struct Fetch<'a> {
    task: &'a FetchTask,
    row: &'static Row,
    configuration: RpmConfiguration,
    signature: Signature,
    before: Database,
    downloads: PathBuf,
    files: &'a Path,
}

/// What the manager has left out, as far as it says.
#[derive(Default)]
struct LeftOut {
    /// Whether anything at all.
    something: bool,
    /// Its words about what cannot be upgraded.
    reasons: Vec<String>,
    /// Its words about a repository that did not answer, and that the image says it can do without.
    repository: Option<String>,
}

/// The result of a search for targets that fit together.
struct Parts<'t> {
    /// Those that do.
    reached: Vec<&'t Target>,
    /// How many of them were downloaded last, and nothing else.
    downloaded: usize,
    left_out: LeftOut,
}

/// How a manager's attempt to download ends.
enum Answer {
    /// It has downloaded what there is.
    Done {
        /// Whether it says that something is missing.
        left_out: bool,
        /// Its words about a repository that it skipped.
        repository: Option<String>,
    },
    /// No repository has what was asked for.
    Absent,
    /// Not all fits together.
    Impossible {
        /// Its words.
        reason: String,
    },
}

impl Fetch<'_> {
    fn run(&self) -> Result<(FetchOutcome, Lock), Failure> {
        database::is_rpms_own()?;
        // For good: the root is thrown away.
        InMemory::take()?;
        let trusted = keys::trusted()?;
        for folder in self.row.stale.iter().map(Path::new).filter(|folder| folder.exists()) {
            std::fs::remove_dir_all(folder)
                .map_err(|error| Failure::file("remove", folder, &error))?;
        }
        holds::exclude(self.row.exclude, &self.task.exclude)?;
        if self.row.reach == Reach::Upgrade {
            holds::set("/etc/dnf/dnf.conf", "keepcache", "1")?;
        }
        let targets: Vec<&Target> = match &self.task.targets {
            Targets::Everything => Vec::new(),
            Targets::Listed(targets) => targets.iter().collect(),
        };
        let (downloaded, misfits) = std::thread::scope(|scope| {
            let misfits = scope.spawn(misfits);
            (self.download_from_those_that_answer(&targets), misfits.join())
        });
        let (left_out, mut skipped) = downloaded?;
        let misfits = misfits.unwrap_or_default();
        let mut packages = package_file::describe(self.gather()?)?;
        if self.row.reach == Reach::Upgrade {
            packages.extend(self.copy_in_place(&packages)?);
        }
        let keys = self.files.join(KEYS);
        keys::keep_new(&trusted, &keys)?;
        if self.signature == Signature::Demanded {
            let local = self.configuration.local_keys(&self.variables());
            package_file::demand_signatures(&packages, &local, &keys)?;
        }
        if self.row.reach == Reach::Download {
            let transaction = Transaction {
                configuration: &self.configuration,
                signature: self.signature,
                // The manager has just looked at what they need, and apply does so again.
                options: &["--justdb", "--nodeps"],
                time: None,
            };
            package_file::transact(&packages, &transaction)?;
        }
        let after = installed()?;
        // A manager that upgrades at once may have downloaded for attempts that came to nothing.
        packages.retain(|file| after.installed().any(|package| file.is_of(package)));
        let unmet = match &self.task.targets {
            Targets::Everything => self.kept_back(&after, &left_out)?,
            Targets::Listed(_) => self.missed(&targets, &after, &left_out)?,
        };
        if let Some(reason) = left_out.repository
            && (targets.is_empty() || !unmet.is_empty())
        {
            let failure = AgentFailure::Unreachable;
            if self.task.on_unreachable == OnUnreachable::Fail {
                return Err(Failure::new(failure, reason));
            }
            let named = |it: &&RpmRepository| output::names(&reason, it);
            let repository = self.configuration.repositories().find(named);
            let repository = repository.map_or_else(String::new, |it| it.id.clone());
            skipped.push(Skipped { repository, failure, reason });
        }
        let upgrades = changes::upgrades(&self.before, &after);
        let lock = lock(&upgrades, &packages)?;
        let removed = changes::removed(&self.before, &after);
        let fewer = changes::fewer(&self.before, &after);
        let at = seconds_now();
        Ok((FetchOutcome { at, upgrades, removed, fewer, unmet, misfits, skipped }, lock))
    }

    /// Has the manager download, without the repositories that do not answer if the user says so.
    fn download_from_those_that_answer(
        &self,
        targets: &[&Target],
    ) -> Result<(LeftOut, Vec<Skipped>), Failure> {
        let mut skipped: Vec<Skipped> = Vec::new();
        loop {
            let failure = match self.download(targets) {
                Ok(left_out) => return Ok((left_out, skipped)),
                Err(failure) => failure,
            };
            let is_left =
                |it: &&RpmRepository| skipped.iter().all(|known| known.repository != it.id);
            let left: Vec<&RpmRepository> =
                self.configuration.repositories().filter(is_left).collect();
            let dead = left.iter().find(|it| output::names(&failure.message, it));
            let may_skip =
                self.task.on_unreachable == OnUnreachable::Warn && failure.kind.can_be_skipped();
            // Without any other there is nothing to continue with.
            let Some(dead) = dead.filter(|_| may_skip && left.len() > 1) else {
                return Err(failure);
            };
            say(&format!("suture: {} cannot be used, asking the others", dead.id));
            holds::disable(dead)?;
            skipped.push(Skipped {
                repository: dead.id.clone(),
                failure: failure.kind,
                reason: failure.message,
            });
        }
    }

    /// Has the manager download what the targets need; without any, all there is.
    fn download(&self, targets: &[&Target]) -> Result<LeftOut, Failure> {
        let reason = match self.ask(targets, None)? {
            Answer::Done { left_out, repository } => {
                return Ok(LeftOut { something: left_out, reasons: Vec::new(), repository });
            }
            Answer::Absent if targets.len() <= 1 => return Ok(LeftOut::default()),
            Answer::Absent => None,
            Answer::Impossible { reason } => Some(reason),
        };
        say("suture: not all upgrades are possible together, looking for those that are");
        if let (Some(reason), Some(lenient)) = (&reason, self.row.lenient) {
            match self.ask(targets, Some(lenient)) {
                Ok(Answer::Done { repository, .. }) => {
                    let reasons = vec![reason.clone()];
                    return Ok(LeftOut { something: true, reasons, repository });
                }
                Ok(_) => {}
                // tdnf before 3.5 does not know the word.
                Err(failure) if failure.kind == AgentFailure::PackageManager => {}
                Err(failure) => return Err(failure),
            }
        }
        match reason {
            Some(reason) if targets.is_empty() => Err(self.no_solution(&reason)),
            _ => self.download_in_parts(targets),
        }
    }

    /// Finds the targets that fit together, which not all do, and has them downloaded.
    fn download_in_parts(&self, targets: &[&Target]) -> Result<LeftOut, Failure> {
        let mut parts = Parts { reached: Vec::new(), downloaded: 0, left_out: LeftOut::default() };
        parts.left_out.something = true;
        self.add_halves(&mut parts, targets)?;
        let Parts { reached, downloaded, mut left_out } = parts;
        if reached.len() != downloaded && self.row.reach == Reach::Download {
            // The last download included some too many.
            match self.ask(&reached, None)? {
                Answer::Done { repository, .. } => left_out.repository = repository,
                Answer::Absent => {}
                Answer::Impossible { reason } => return Err(self.no_solution(&reason)),
            }
        }
        Ok(left_out)
    }

    /// Adds those targets that fit, one half after the other: as a whole they do not fit.
    fn add_halves<'t>(&self, parts: &mut Parts<'t>, targets: &[&'t Target]) -> Result<(), Failure> {
        let (first, second) = targets.split_at(targets.len() / 2);
        for half in [first, second].into_iter().filter(|half| !half.is_empty()) {
            let mut together = parts.reached.clone();
            // What is already upgraded in the root need not be asked for again.
            if self.row.reach == Reach::Upgrade {
                together.clear();
            }
            together.extend(half);
            match self.ask(&together, None)? {
                Answer::Done { repository, .. } => {
                    parts.reached = together;
                    parts.downloaded = parts.reached.len();
                    parts.left_out.repository = repository;
                    continue;
                }
                Answer::Impossible { reason } if half.len() == 1 => {
                    parts.left_out.reasons.push(reason);
                }
                Answer::Absent if half.len() == 1 => {}
                Answer::Absent | Answer::Impossible { .. } => self.add_halves(parts, half)?,
            }
            parts.downloaded = 0;
        }
        Ok(())
    }

    /// Makes the manager download, and understands how that ends. Only a failure whose words are
    /// about what fits together may be worked around.
    fn ask(&self, targets: &[&Target], lenient: Option<&str>) -> Result<Answer, Failure> {
        let finished = self.call(targets, lenient)?;
        if self.is_success(&finished) {
            let left_out = LEFT_OUT.iter().any(|words| finished.stdout.contains(words));
            let repository = match output::unanswered(&finished) {
                Some(words) => Some(words.to_owned()),
                None => self.unanswered(&finished)?,
            };
            return Ok(Answer::Done { left_out, repository });
        }
        if let Some(kind) = output::meaning(&finished) {
            return Err(self.failure(kind, &finished));
        }
        // dnf refuses some packages when it has downloaded them.
        self.forget_downloads()?;
        if self.says_absent(&finished) {
            return Ok(Answer::Absent);
        }
        match output::reason(&finished) {
            Some(reason) => Ok(Answer::Impossible { reason }),
            None => Err(output::failure(self.row.program, &finished)),
        }
    }

    /// The repository that the manager skipped without saying so.
    fn unanswered(&self, finished: &Finished) -> Result<Option<String>, Failure> {
        let may_be = output::complains_about_servers(finished);
        let Some(list) = self.row.answering.filter(|_| may_be) else { return Ok(None) };
        let arguments: Vec<String> = list.iter().map(|&word| word.to_owned()).collect();
        let listed = process::run(self.row.program, &arguments, ENVIRONMENT, Echo::Hidden)?;
        let answering = output::repositories(&listed.stdout);
        let mut repositories = self.configuration.repositories();
        let silent = repositories.find(|it| !answering.contains(it.id.as_str()));
        Ok(silent.map(|it| format!("{} goes on without {}", self.row.program, it.id)))
    }

    fn is_success(&self, finished: &Finished) -> bool {
        finished.exit_code.is_some_and(|code| code == 0 || self.row.successes.contains(&code))
    }

    fn says_absent(&self, finished: &Finished) -> bool {
        let says =
            |words: &&str| finished.stderr.contains(words) || finished.stdout.contains(words);
        self.row.absent.iter().any(says)
    }

    fn no_solution(&self, reason: &str) -> Failure {
        let message = format!("{} finds no solution: {reason}", self.row.program);
        Failure::new(AgentFailure::PackageManager, message)
    }

    fn failure(&self, kind: AgentFailure, finished: &Finished) -> Failure {
        Failure { kind, ..output::failure(self.row.program, finished) }
    }

    fn call(&self, targets: &[&Target], lenient: Option<&str>) -> Result<Finished, Failure> {
        self.forget_downloads()?;
        let packages = self.downloads.display().to_string();
        let words = self.row.fetch.iter().map(|word| word.replace(PACKAGES, &packages));
        let mut arguments: Vec<String> = words.collect();
        if self.row.exclude == super::manager::Exclude::Option {
            let excludes = self.task.exclude.iter().map(|pattern| format!("--exclude={pattern}"));
            arguments.extend(excludes);
        }
        arguments.extend(lenient.map(ToOwned::to_owned));
        // Without architectures: those of one name must have one version, and dnf follows a package
        // to a new architecture only by its name alone.
        let names: BTreeSet<&PackageName> = targets.iter().map(|target| &target.name).collect();
        arguments.extend(names.into_iter().map(ToString::to_string));
        process::run(self.row.program, &arguments, ENVIRONMENT, Echo::Shown)
    }

    /// Empties the folder of downloads; a manager that upgrades at once has installed them.
    fn forget_downloads(&self) -> Result<(), Failure> {
        let folder = &self.downloads;
        let failure = |error| Failure::file("make", folder, &error);
        if self.row.reach == Reach::Download && folder.exists() {
            std::fs::remove_dir_all(folder).map_err(failure)?;
        }
        std::fs::create_dir_all(folder).map_err(failure)
    }

    /// The downloaded packages, from whatever folders the manager put them into.
    fn gather(&self) -> Result<Vec<PathBuf>, Failure> {
        let gather = |(name, found): (String, PathBuf)| {
            let path = self.files.join(plain(&name)?);
            std::fs::rename(&found, &path)
                .map_err(|error| Failure::file("move", &found, &error))?;
            Ok(path)
        };
        let found = package_files_below(&self.downloads)?.into_iter();
        let packages = found.map(gather).collect::<Result<_, Failure>>()?;
        std::fs::remove_dir_all(&self.downloads)
            .map_err(|error| Failure::file("remove", &self.downloads, &error))?;
        Ok(packages)
    }

    /// Copies of the packages that the manager has upgraded to without downloading them: it uses
    /// those of a repository that is a folder in place.
    fn copy_in_place(&self, downloaded: &[PackageFile]) -> Result<Vec<PackageFile>, Failure> {
        let after = installed()?;
        let is_missing = |package: &&InstalledPackage| {
            !self.before.find(&package.name).any(|before| before == *package)
                && !downloaded.iter().any(|file| file.is_of(package))
        };
        let missing: Vec<&InstalledPackage> = after.installed().filter(is_missing).collect();
        if missing.is_empty() {
            return Ok(Vec::new());
        }
        let mut found = BTreeMap::new();
        for folder in self.configuration.local_folders(&self.variables()) {
            found.extend(package_files_below(Path::new(&folder))?);
        }
        let copy = |package: &InstalledPackage| {
            let name = package_file::name_of(package);
            let original = found.get(&name).ok_or_else(|| {
                let message = format!("{} leaves nothing named {name}", self.row.program);
                Failure::new(AgentFailure::PackageManager, message)
            })?;
            let copy = self.files.join(plain(&name)?);
            std::fs::copy(original, &copy)
                .map_err(|error| Failure::file("copy", original, &error))?;
            Ok(copy)
        };
        package_file::describe(missing.into_iter().map(copy).collect::<Result<_, Failure>>()?)
    }

    fn variables(&self) -> Variables {
        Variables::of(&super::os_release(), &self.before)
    }

    /// Targets that are not reached.
    fn missed<'t>(
        &self,
        targets: &[&'t Target],
        after: &Database,
        left_out: &LeftOut,
    ) -> Result<Vec<Unmet>, Failure> {
        let short = |target: &&'t Target| {
            // For another architecture if it is no longer made for this one. One that is gone was replaced.
            let newest = after.get(&target.name, &target.architecture);
            let newest = newest.or_else(|| after.find(&target.name).last())?;
            let enough = if target.at_least.is_empty() {
                self.before.get(&target.name, &target.architecture) != Some(newest)
            } else {
                target.is_met(&newest.version, &newest.source.version)
            };
            (!enough).then_some((*target, newest))
        };
        let short: Vec<(&Target, &InstalledPackage)> = targets.iter().filter_map(short).collect();
        let told = |package: &InstalledPackage| {
            if self.configuration.holds(package) {
                return Some(UnmetReason::Held);
            }
            left_out.reason(&package.name)
        };
        let outdated = if short.iter().all(|(_, package)| told(package).is_some()) {
            BTreeSet::new()
        } else {
            self.outdated(after, left_out)?
        };
        let reason = |target: &Target, package: &InstalledPackage| {
            if outdated.contains(&(package.name.clone(), package.architecture.clone())) {
                return kept_back();
            }
            target.no_candidate(&package.version, &package.source.version)
        };
        let unmet = |(target, package): (&Target, &InstalledPackage)| Unmet {
            name: target.name.clone(),
            architecture: target.architecture.clone(),
            reason: told(package).unwrap_or_else(|| reason(target, package)),
        };
        Ok(short.into_iter().map(unmet).collect())
    }

    /// Packages that have a newer version which the manager did not take.
    fn kept_back(&self, after: &Database, left_out: &LeftOut) -> Result<Vec<Unmet>, Failure> {
        let is_held = |package: &InstalledPackage| self.configuration.holds(package);
        let may_be = self.row.is_silent || left_out.something;
        if !may_be && !after.installed().any(is_held) {
            return Ok(Vec::new());
        }
        let outdated = self.outdated(after, left_out)?;
        let packages =
            outdated.iter().filter_map(|(name, architecture)| after.get(name, architecture));
        let is_excluded =
            |name: &PackageName| self.task.exclude.iter().any(|pattern| pattern.matches(name));
        let kept = packages.filter(|package| !is_excluded(&package.name)).map(|package| {
            let reason = if is_held(package) {
                UnmetReason::Held
            } else {
                left_out.reason(&package.name).unwrap_or_else(kept_back)
            };
            unmet(package, reason)
        });
        Ok(kept.collect())
    }

    /// The packages for which a repository has a newer version after all possible upgrades.
    fn outdated(
        &self,
        after: &Database,
        left_out: &LeftOut,
    ) -> Result<BTreeSet<(PackageName, Architecture)>, Failure> {
        holds::lift(self.configuration.named_folders())?;
        let mut outdated: BTreeSet<_> = left_out.newer_than(after).collect();
        for list in self.row.lists {
            let arguments: Vec<String> = list.iter().map(|&word| word.to_owned()).collect();
            let finished = process::run(self.row.program, &arguments, ENVIRONMENT, Echo::Hidden)?;
            if !self.is_success(&finished) {
                if let Some(kind) = output::meaning(&finished) {
                    return Err(self.failure(kind, &finished));
                }
                outdated.extend(newer_than(after, finished.stderr.split_ascii_whitespace()));
            }
            let listed = output::listed(self.row.listing, &finished.stdout);
            let listed = listed.into_iter().filter(|listed| is_newer(listed, after));
            outdated.extend(listed.map(|listed| (listed.name, listed.architecture)));
        }
        Ok(outdated)
    }
}

/// The packages of the image that do not fit; they prevent no other upgrade. Without rpm's opinion there are none.
fn misfits() -> Vec<Misfit> {
    // Neither files nor scripts: packages bring scripts of their own for it.
    let arguments =
        ["--verify", "--all", "--nofiles", "--noscripts", "--nodigest", "--nosignature"];
    let finished = process::run("rpm", &arguments.map(str::to_owned), ENVIRONMENT, Echo::Hidden);
    finished.map(|finished| output::misfits(&finished.stdout)).unwrap_or_default()
}

/// Whether this is newer than what is installed: where several versions are installed side by side, tdnf lists newer
/// ones for each of them.
fn is_newer(listed: &Listed, after: &Database) -> bool {
    let Some(version) = &listed.version else { return true };
    let Some(installed) = after.get(&listed.name, &listed.architecture) else { return false };
    let installed = installed.version.as_str();
    let without_epoch = installed.split_once(':').map_or(installed, |(_, rest)| rest);
    let installed = if version.contains(':') { installed } else { without_epoch };
    let parse = |text: &str| Version::parse(Scheme::Rpm, text).ok();
    parse(version) > parse(installed)
}

/// The packages that words name in a newer version than the installed one.
fn newer_than<'w>(
    installed: &Database,
    words: impl Iterator<Item = &'w str>,
) -> impl Iterator<Item = (PackageName, Architecture)> {
    words.filter_map(|word| {
        let (name, architecture, version) = output::package(word)?;
        let old = installed.get(&name, &architecture)?;
        (old.version < version).then_some((name, architecture))
    })
}

fn kept_back() -> UnmetReason {
    UnmetReason::Unsolvable { because: "kept back".to_owned() }
}

impl LeftOut {
    /// The packages that the reasons name in a newer version: microdnf cannot list what it cannot
    /// upgrade.
    fn newer_than(
        &self,
        installed: &Database,
    ) -> impl Iterator<Item = (PackageName, Architecture)> {
        newer_than(installed, self.reasons.iter().flat_map(|reason| reason.split(' ')))
    }

    /// Why this package is left out, if one of the reasons is about it.
    fn reason(&self, name: &PackageName) -> Option<UnmetReason> {
        let about = |reason: &&String| output::is_about(reason, name);
        let because = self.reasons.iter().find(about)?.clone();
        Some(UnmetReason::Unsolvable { because })
    }
}

/// The packages with what they must be in apply.
fn lock(upgrades: &[Upgrade], files: &[PackageFile]) -> Result<Lock, Failure> {
    let locked = |file: &PackageFile| {
        let digest =
            digest_of(&file.path).map_err(|error| Failure::file("read", &file.path, &error))?;
        Ok(LockedPackage {
            name: file.package.name.clone(),
            architecture: file.package.architecture.clone(),
            version: file.package.version.to_string(),
            file: file.path.file_name().unwrap_or_default().to_string_lossy().into_owned(),
            digest,
            source: None,
        })
    };
    Ok(Lock {
        goal: upgrades.iter().map(|upgrade| upgrade.name.clone()).collect(),
        packages: files.iter().map(locked).collect::<Result<_, Failure>>()?,
    })
}

fn unmet(package: &InstalledPackage, reason: UnmetReason) -> Unmet {
    let InstalledPackage { name, architecture, .. } = package;
    Unmet { name: name.clone(), architecture: architecture.clone(), reason }
}

/// The package files below a folder, by their names.
fn package_files_below(folder: &Path) -> Result<BTreeMap<String, PathBuf>, Failure> {
    let mut folders = vec![folder.to_owned()];
    let mut packages = BTreeMap::new();
    while let Some(folder) = folders.pop() {
        let failure = |error| Failure::file("read", &folder, &error);
        for entry in std::fs::read_dir(&folder).map_err(failure)? {
            let entry = entry.map_err(failure)?;
            let kind = entry.file_type().map_err(failure)?;
            let name = entry.file_name().to_string_lossy().into_owned();
            if kind.is_dir() {
                folders.push(entry.path());
            } else if kind.is_file() && name.ends_with(".rpm") {
                packages.insert(name, entry.path());
            }
        }
    }
    Ok(packages)
}

/// A file's name; with other characters in it, rpm would take it for a pattern.
fn plain(name: &str) -> Result<&str, Failure> {
    let is_plain = |sign: char| sign.is_ascii_alphanumeric() || "._+-~^%:".contains(sign);
    if name.chars().all(is_plain) {
        return Ok(name);
    }
    Err(Failure::new(
        AgentFailure::PackageManager,
        format!("a package file has a name that rpm takes for a pattern: {name}"),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pkgdb::rpm::listing;

    #[test]
    fn what_is_listed_is_newer_or_not() {
        let installed = "kernel\t0\t1\t16\tx86_64\tkernel-1-16.src.rpm\n\
                         kernel\t0\t1\t18\tx86_64\tkernel-1-18.src.rpm\n\
                         openssl\t1\t3\t1\tx86_64\topenssl-3-1.src.rpm\n";
        let after = listing::parse(installed).unwrap();
        for (name, version, expected) in [
            ("kernel", Some("1-16"), false),
            ("kernel", Some("1-18"), false),
            ("kernel", Some("1-20"), true),
            ("kernel", None, true),
            ("openssl", Some("3-1"), false),
            ("openssl", Some("1:3-1"), false),
            ("openssl", Some("3-2"), true),
            ("openssl", Some("1:3-2"), true),
            ("zlib", Some("1-1"), false),
        ] {
            let (name, architecture) = (name.parse().unwrap(), "x86_64".parse().unwrap());
            let listed = Listed { name, architecture, version: version.map(ToOwned::to_owned) };
            assert_eq!(is_newer(&listed, &after), expected, "{listed:?}");
        }
    }
}
