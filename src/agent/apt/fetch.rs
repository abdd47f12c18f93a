//! Fetch with apt: resolve, download, check.

use std::cmp::Ordering;
use std::collections::BTreeSet;
use std::ops::RangeInclusive;
use std::path::Path;
use std::time::Duration;

use crate::package::{Architecture, PackageName};
use crate::patch::task::{
    AgentFailure, FetchOutcome, FetchTask, Lock, LockedPackage, Misfit, Repositories, Skipped,
    Target, Targets, Unmet, UnmetReason, Upgrade, path,
};
use crate::pkgdb::{Database, InstalledPackage, dpkg};
use crate::request::OnUnreachable;
use crate::version::{Scheme, Version};

use super::super::fetched::{check, put_into_cache, seconds_now, take_from_cache};
use super::super::process::{Echo, Finished};
use super::super::{Failure, say};
use super::output::{Policy, Sources};
use super::repair::{self, Repaired};
use super::{indexes, output, spelled};

/// How long to wait before retrying a repository that is being changed.
const PAUSES: [Duration; 2] = [Duration::from_secs(3), Duration::from_secs(10)];

/// Maximum number of kept-back packages that are looked into.
const EXPLAIN_LIMIT: usize = 20;

/// Fills `files` with the packages that the targets need.
pub(in super::super) fn run(
    task: &FetchTask,
    files: &Path,
) -> Result<(FetchOutcome, Lock), Failure> {
    super::make_folders()?;
    let misfits = make_fit()?;
    let database = super::database()?;
    hold_excluded(task, &database)?;
    let is_misfit =
        |package: &&InstalledPackage| misfits.iter().any(|misfit| misfit.name == package.name);
    hold(database.installed().filter(is_misfit).map(full_name))?;
    let native = dpkg::native_architecture(&database)
        .ok_or_else(|| Failure::new(AgentFailure::PackageManager, "no package is installed"))?;
    let mut resolution = None;
    let mut skipped = Vec::new();
    for (number, repositories) in (1..).zip(&task.repositories) {
        let mut apt = Apt {
            options: [options(repositories, number)?, of_used_architectures(&database, &native)?]
                .concat(),
            database: &database,
            native: &native,
            misfits: &misfits,
            on_unreachable: task.on_unreachable,
            repositories: None,
            skipped: BTreeSet::new(),
        };
        let last = number == task.repositories.len();
        apt.update()?;
        resolution = match &task.targets {
            Targets::Everything => Some(apt.everything(task)?),
            Targets::Listed(targets) if last => Some(apt.listed_best(targets)?),
            Targets::Listed(targets) => apt.listed_whole(targets)?,
        };
        if let Some(resolution) = &resolution {
            apt.download(resolution, files)?;
            skipped = apt.skipped.into_iter().collect();
            break;
        }
        say("suture: not all fixes are in the small repositories, asking the others");
    }
    let Resolution { packages, unmet, sources, .. } = resolution
        .ok_or_else(|| Failure::new(AgentFailure::Bug, "the task names no repositories"))?;
    let upgrades = packages.iter().map(|package| upgrade(package, &database, &sources)).collect();
    let goal = packages.iter().map(|package| package.name.clone()).collect();
    let outcome = FetchOutcome {
        at: seconds_now(),
        upgrades,
        removed: Vec::new(),
        fewer: Vec::new(),
        unmet,
        misfits,
        skipped,
    };
    Ok((outcome, Lock { goal, packages }))
}

/// What apt would do.
struct Resolution {
    /// Arguments that name it.
    goal: Vec<String>,
    /// The files it needs.
    packages: Vec<LockedPackage>,
    /// Targets it does not reach.
    unmet: Vec<Unmet>,
    /// Source versions of targets that must reach one.
    sources: Sources,
}

/// Targets by what the candidates say.
struct Sorted<'t> {
    /// Those worth upgrading.
    wanted: Vec<&'t Target>,
    /// Those not reached.
    unmet: Vec<Unmet>,
    sources: Sources,
}

/// apt with one choice of repositories.
struct Apt<'a> {
    options: Vec<String>,
    database: &'a Database,
    native: &'a Architecture,
    misfits: &'a [Misfit],
    on_unreachable: OnUnreachable,
    /// How many repositories there are, if apt says so.
    repositories: Option<usize>,
    /// Repositories that cannot be used.
    skipped: BTreeSet<Skipped>,
}

/// What the repositories offer for a package.
#[derive(Default)]
struct Offer {
    /// The version that apt would take.
    candidate: Option<Version>,
    /// A newer one, which the image's author tells apt not to take (`apt_preferences(5)`).
    passed_over: Option<Version>,
}

/// The priority from which an author insists on a version: apt would even downgrade to it.
const INSISTED: i32 = 1000;
/// The priorities of versions that are only for those who ask for them, such as backports (`NotAutomatic`).
const ON_REQUEST: RangeInclusive<i32> = 0..=100;

impl Offer {
    fn of(policy: &Policy) -> Self {
        let parse = |version: &String| Version::parse(Scheme::Deb, version).ok();
        let candidate = policy.candidate.as_ref().and_then(parse);
        let versions = policy.versions.iter();
        let is_insisted = |(version, priority): &(String, i32)| {
            *priority >= INSISTED && Some(version) == policy.candidate.as_ref()
        };
        // Elsewhere a newer one is of a release that the image does not follow.
        if candidate.is_some() && !versions.clone().any(is_insisted) {
            return Self { candidate, passed_over: None };
        }
        let others = versions.filter(|(_, priority)| !ON_REQUEST.contains(priority));
        let others = others.filter_map(|(version, _)| parse(version));
        let newer = others.filter(|version| candidate.as_ref().is_none_or(|it| version > it));
        let compare =
            |one: &Version, other: &Version| one.partial_cmp(other).unwrap_or(Ordering::Equal);
        Self { passed_over: newer.max_by(compare), candidate }
    }
}

/// Shows apt a status file in which everything fits; this root is thrown away.
fn make_fit() -> Result<Vec<Misfit>, Failure> {
    let Repaired { status, misfits } = repair::repair()?;
    if let Some(status) = status {
        std::fs::copy(&status, super::STATUS)
            .map_err(|error| Failure::file("copy", &status, &error))?;
        for misfit in &misfits {
            say(&format!("suture: {} {}", misfit.name, misfit.because));
        }
    }
    Ok(misfits)
}

fn full_name(package: &InstalledPackage) -> String {
    format!("{}:{}", package.name, package.architecture)
}

/// A hold tells apt not to touch a package; this root filesystem is thrown away.
fn hold_excluded(task: &FetchTask, database: &Database) -> Result<(), Failure> {
    let excluded = database.installed().filter(|package| is_excluded(task, &package.name));
    hold(excluded.map(full_name))
}

fn hold(packages: impl Iterator<Item = String>) -> Result<(), Failure> {
    let mut arguments = vec!["hold".to_owned()];
    arguments.extend(packages);
    if arguments.len() > 1 {
        let finished = super::run("apt-mark", &arguments, Echo::Hidden)?;
        if !finished.is_success() {
            return Err(super::failure("apt-mark", &finished));
        }
    }
    Ok(())
}

fn is_excluded(task: &FetchTask, name: &PackageName) -> bool {
    task.exclude.iter().any(|pattern| pattern.matches(name))
}

/// Options that keep apt from requesting the indexes of an added architecture that no installed package has.
fn of_used_architectures(
    database: &Database,
    native: &Architecture,
) -> Result<Vec<String>, Failure> {
    let file = Path::new("/var/lib/dpkg/arch");
    let known = match std::fs::read(file) {
        Ok(bytes) => dpkg::parse_foreign_architectures(&bytes).ok().flatten(),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
        Err(error) => return Err(Failure::file("read", file, &error)),
    };
    let Some(known) = known else { return Ok(Vec::new()) };
    let is_used = |architecture: &&Architecture| {
        *architecture == native
            || database.installed().any(|package| package.architecture == **architecture)
    };
    let all = || [&known.native].into_iter().chain(&known.foreign);
    let used: Vec<&str> = all().filter(is_used).map(Architecture::as_str).collect();
    if used.len() == all().count() {
        return Ok(Vec::new());
    }
    Ok(vec!["-o".to_owned(), format!("APT::Architectures={}", used.join(","))])
}

fn options(repositories: &Repositories, number: usize) -> Result<Vec<String>, Failure> {
    let mut options = super::common_options();
    let mut add = |option: String| options.extend(["-o".to_owned(), option]);
    add("APT::Update::Error-Mode=any".to_owned());
    add("Acquire::Retries=2".to_owned());
    add("Acquire::http::Timeout=30".to_owned());
    // Without it `--print-uris` leaves out the digests.
    add("Acquire::ForceHash=SHA256".to_owned());
    // They are parsed at once and thrown away: compressing them again takes longer than all else.
    add("Acquire::GzipIndexes=false".to_owned());
    // The next update needs what an update without indexes would consider left over.
    add("APT::Get::List-Cleanup=false".to_owned());
    // Our folder is thrown away, so apt's caches cost nothing there and save the next call time.
    add("Dir::Cache::pkgcache=pkgcache.bin".to_owned());
    add("Dir::Cache::srcpkgcache=srcpkgcache.bin".to_owned());
    match repositories {
        Repositories::Configured => {}
        Repositories::Files(files) => {
            let folder = Path::new(path::WORK).join(format!("sources-{number}.d"));
            std::fs::create_dir_all(&folder)
                .map_err(|error| Failure::file("make", &folder, &error))?;
            for (name, content) in files {
                // Only the last part of the path: the folder is ours.
                let name = Path::new(name).file_name().unwrap_or_default();
                let file = folder.join(name);
                std::fs::write(&file, content)
                    .map_err(|error| Failure::file("write", &file, &error))?;
            }
            add("Dir::Etc::sourcelist=/dev/null".to_owned());
            add(format!("Dir::Etc::sourceparts={}", folder.display()));
        }
    }
    Ok(options)
}

impl Apt<'_> {
    fn call(&self, program: &str, arguments: &[String], echo: Echo) -> Result<Finished, Failure> {
        let mut all = self.options.clone();
        all.extend_from_slice(arguments);
        super::run(program, &all, echo)
    }

    /// Gets the indexes that are not known yet.
    fn update(&mut self) -> Result<(), Failure> {
        let arguments = ["indextargets", "--no-release-info", "--format", indexes::Target::FORMAT];
        // apt before 1.1 does not know it.
        let listed = self.call("apt-get", &strings(&arguments), Echo::Hidden)?;
        let targets = indexes::targets(&listed.stdout);
        if !listed.is_success() || targets.is_empty() {
            return self.ask(&[]);
        }
        self.repositories = Some(indexes::count_repositories(&targets));
        self.options.extend(indexes::without_others(&targets));
        self.ask(&indexes::without_packages())?;
        let named = indexes::named(&targets);
        // All are tried: apt asks only for what is missing.
        let missing = named.iter().filter(|index| !index.take_from_cache()).count();
        if missing > 0 {
            self.ask(&[])?;
        }
        let needed = Path::new(path::WORK).join("needed");
        let lists = Path::new(path::WORK).join("lists");
        if indexes::cut_down(&named, self.database, &lists, &needed)?.is_some() {
            let option = format!("Dir::State::lists={}", needed.display());
            self.options.extend(["-o".to_owned(), option]);
        }
        Ok(())
    }

    fn ask(&mut self, further: &[String]) -> Result<(), Failure> {
        // First cut down what apt would parse at its end.
        let mut arguments = strings(&["update", "-q", "-o", "pkgCacheFile::Generate=false"]);
        arguments.extend_from_slice(further);
        let mut pauses = PAUSES.iter();
        loop {
            let finished = self.call("apt-get", &arguments, Echo::Shown)?;
            if finished.is_success() && !output::update_is_incomplete(&finished.stderr) {
                return Ok(());
            }
            let failure = super::failure("apt-get update", &finished);
            match pauses.next() {
                Some(pause) if failure.kind == AgentFailure::Inconsistent => {
                    say(&format!(
                        "suture: a repository is being changed, asking again in {} seconds",
                        pause.as_secs()
                    ));
                    std::thread::sleep(*pause);
                }
                _ => return self.skip(&finished).then_some(()).ok_or(failure),
            }
        }
    }

    /// Continues without the unusable repositories if the user allows it, nothing suggests an attack, and others are
    /// usable.
    fn skip(&mut self, finished: &Finished) -> bool {
        let skipped = output::skipped(finished);
        let may_skip = self.on_unreachable == OnUnreachable::Warn
            && !skipped.is_empty()
            && skipped.iter().all(|it| it.failure.can_be_skipped())
            && self.repositories.is_none_or(|all| skipped.len() < all);
        if may_skip {
            say("suture: going on without the repositories that cannot be used");
            self.skipped.extend(skipped);
        }
        may_skip
    }

    /// What the repositories offer for these packages, in their order.
    fn offers(&self, names: &[String]) -> Result<Vec<Offer>, Failure> {
        let mut arguments = strings(&["policy"]);
        arguments.extend_from_slice(names);
        let finished = self.call("apt-cache", &arguments, Echo::Hidden)?;
        if !finished.is_success() {
            return Err(super::failure("apt-cache policy", &finished));
        }
        let policies = output::policies(&finished.stdout);
        Ok(names
            .iter()
            .map(|name| policies.get(name).map_or_else(Offer::default, Offer::of))
            .collect())
    }

    /// The files that this goal needs; `None` if apt cannot reach it without removing packages.
    fn solve(&self, goal: &[String]) -> Result<Option<Vec<LockedPackage>>, Failure> {
        let mut arguments = strings(&["--print-uris", "-qq", "-y", "--no-remove"]);
        arguments.extend_from_slice(goal);
        let finished = self.call("apt-get", &arguments, Echo::Hidden)?;
        if !finished.is_success() {
            return match output::failure_kind(&finished) {
                AgentFailure::PackageManager => Ok(None),
                _ => Err(super::failure("apt-get", &finished)),
            };
        }
        let mut packages = output::files(&finished.stdout).map_err(|line| {
            let message = format!("a repository gives no SHA-256 for a package: {line}");
            Failure::new(AgentFailure::Untrusted, message)
        })?;
        packages.sort_by(|one, other| one.file.cmp(&other.file));
        Ok(Some(packages))
    }

    /// Why there is no solution, with apt's output in the log.
    fn no_solution(&self, goal: &[String]) -> Result<Failure, Failure> {
        let mut arguments = strings(&["-s", "-q", "-y", "--no-remove"]);
        arguments.extend_from_slice(goal);
        let finished = self.call("apt-get", &arguments, Echo::Shown)?;
        Ok(super::failure("apt-get upgrade", &finished))
    }

    fn everything(&self, task: &FetchTask) -> Result<Resolution, Failure> {
        let installed: Vec<&InstalledPackage> = self.database.installed().collect();
        let names: Vec<String> = installed
            .iter()
            .map(|package| spelled(&package.name, &package.architecture, self.native))
            .collect();
        let offers = self.offers(&names)?;
        // apt would downgrade to what its preferences insist on and, not being allowed to, upgrade nothing.
        let older = |(package, offer): (&&InstalledPackage, &Offer)| {
            let older = offer.candidate.clone().filter(|version| *version < package.version)?;
            let reason = UnmetReason::Downgrade { to: older.to_string() };
            let (name, architecture) = (package.name.clone(), package.architecture.clone());
            Some(Unmet { name, architecture, reason })
        };
        let mut unmet: Vec<Unmet> = installed.iter().zip(&offers).filter_map(older).collect();
        hold(unmet.iter().map(|unmet| format!("{}:{}", unmet.name, unmet.architecture)))?;
        unmet.retain(|unmet| !is_excluded(task, &unmet.name));
        let goal = strings(&["upgrade", "--with-new-pkgs"]);
        let Some(packages) = self.solve(&goal)? else { return Err(self.no_solution(&goal)?) };
        for (package, offer) in installed.into_iter().zip(offers) {
            let is_newer = |version: &Version| *version > package.version;
            let pinned = offer.passed_over.as_ref().is_some_and(is_newer);
            let kept_back = (pinned || offer.candidate.as_ref().is_some_and(is_newer))
                && !packages.iter().any(|taken| taken.name == package.name);
            if kept_back && !is_excluded(task, &package.name) {
                let reason = if let Some(misfit) = self.misfit(&package.name) {
                    UnmetReason::Misfit { because: misfit.because.clone() }
                } else if package.held || pinned {
                    UnmetReason::Held
                } else if unmet.len() < EXPLAIN_LIMIT {
                    self.explain(&package.name, &package.architecture)?
                } else {
                    UnmetReason::Unsolvable { because: "kept back".to_owned() }
                };
                let (name, architecture) = (package.name.clone(), package.architecture.clone());
                unmet.push(Unmet { name, architecture, reason });
            }
        }
        Ok(Resolution { goal, packages, unmet, sources: Sources::new() })
    }

    /// Targets sorted by what the candidates say.
    fn sort<'t>(&self, targets: &'t [Target]) -> Result<Sorted<'t>, Failure> {
        let names: Vec<String> = targets.iter().map(|target| self.name(target)).collect();
        let offers = self.offers(&names)?;
        let sources = self.sources(targets.iter().zip(&offers))?;
        let mut sorted = Sorted { wanted: Vec::new(), unmet: Vec::new(), sources };
        for (target, offer) in targets.iter().zip(offers) {
            let installed = self.database.get(&target.name, &target.architecture);
            let source_of = |version: &Version| {
                let offered = sorted.sources.get(&(target.name.clone(), version.to_string()));
                let here = installed.filter(|package| package.version == *version);
                offered.or(here.map(|package| &package.source.version)).unwrap_or(version).clone()
            };
            let is_enough = |version: &Version| target.is_met(version, &source_of(version));
            let installed = installed.map(|package| package.version.clone());
            let newest = offer.candidate.or_else(|| installed.clone());
            let passed_over =
                offer.passed_over.filter(|version| Some(version) > installed.as_ref());
            let (reached, pinned) = if target.at_least.is_empty() {
                // The newest is meant.
                (passed_over.is_none() || newest > installed, passed_over.is_some())
            } else {
                (
                    newest.as_ref().is_some_and(is_enough),
                    passed_over.as_ref().is_some_and(is_enough),
                )
            };
            if !reached {
                let reason = match &newest {
                    _ if pinned => UnmetReason::Held,
                    Some(newest) => target.no_candidate(newest, &source_of(newest)),
                    None => UnmetReason::NoCandidate { newest: String::new() },
                };
                sorted.unmet.push(unmet_target(target, reason));
            }
            if let Some(misfit) = self.misfit(&target.name) {
                let because = misfit.because.clone();
                sorted.unmet.retain(|unmet| unmet.name != target.name);
                sorted.unmet.push(unmet_target(target, UnmetReason::Misfit { because }));
            } else if newest > installed {
                sorted.wanted.push(target);
            }
        }
        Ok(sorted)
    }

    /// What is wrong with a package of the image, if it does not fit.
    fn misfit(&self, name: &PackageName) -> Option<&Misfit> {
        self.misfits.iter().find(|misfit| misfit.name == *name)
    }

    /// The source versions of what is offered for targets that must reach one.
    fn sources<'t>(
        &self,
        offers: impl Iterator<Item = (&'t Target, &'t Offer)>,
    ) -> Result<Sources, Failure> {
        let mut arguments = strings(&["show"]);
        for (target, offer) in offers {
            if target.at_least.iter().any(|threshold| threshold.source.is_some()) {
                let versions = offer.candidate.iter().chain(&offer.passed_over);
                arguments
                    .extend(versions.map(|version| format!("{}={version}", self.name(target))));
            }
        }
        if arguments.len() == 1 {
            return Ok(Sources::new());
        }
        // It fails if it no longer finds one of them, which is reported in another way.
        Ok(output::sources(&self.call("apt-cache", &arguments, Echo::Hidden)?.stdout))
    }

    /// All targets, or `None` when these repositories are not enough for that.
    fn listed_whole(&self, targets: &[Target]) -> Result<Option<Resolution>, Failure> {
        let Sorted { wanted, unmet, sources } = self.sort(targets)?;
        if !unmet.is_empty() {
            return Ok(None);
        }
        let goal = self.goal(&wanted);
        let solved = self.solve(&goal)?;
        Ok(solved.map(|packages| Resolution { goal, packages, unmet, sources }))
    }

    /// As many targets as can be reached together, and the reason for each of the others.
    fn listed_best(&self, targets: &[Target]) -> Result<Resolution, Failure> {
        let Sorted { wanted, mut unmet, sources } = self.sort(targets)?;
        let goal = self.goal(&wanted);
        if let Some(packages) = self.solve(&goal)? {
            return Ok(Resolution { goal, packages, unmet, sources });
        }
        let mut reached: Vec<&Target> = Vec::new();
        for target in wanted {
            reached.push(target);
            if self.solve(&self.goal(&reached))?.is_none() {
                reached.pop();
                let reason = self.explain(&target.name, &target.architecture)?;
                unmet.retain(|known| {
                    (&known.name, &known.architecture) != (&target.name, &target.architecture)
                });
                unmet.push(unmet_target(target, reason));
            }
        }
        let goal = self.goal(&reached);
        let packages = self.solve(&goal)?.unwrap_or_default();
        Ok(Resolution { goal, packages, unmet, sources })
    }

    fn name(&self, target: &Target) -> String {
        spelled(&target.name, &target.architecture, self.native)
    }

    fn goal(&self, targets: &[&Target]) -> Vec<String> {
        let mut goal = strings(&["install", "--only-upgrade"]);
        goal.extend(targets.iter().map(|target| self.name(target)));
        goal
    }

    /// Why a package cannot be upgraded without removing others.
    fn explain(
        &self,
        name: &PackageName,
        architecture: &Architecture,
    ) -> Result<UnmetReason, Failure> {
        let mut arguments = strings(&["-s", "-y", "install", "--only-upgrade"]);
        arguments.push(spelled(name, architecture, self.native));
        let finished = self.call("apt-get", &arguments, Echo::Hidden)?;
        let of = output::removals(&finished.stdout);
        if !of.is_empty() {
            return Ok(UnmetReason::Removal { of });
        }
        let because = output::first_error(&finished.stderr).unwrap_or("kept back").to_owned();
        Ok(UnmetReason::Unsolvable { because })
    }

    /// Downloads those of a resolution's files that the cache lacks, and checks them.
    fn download(&self, resolution: &Resolution, files: &Path) -> Result<(), Failure> {
        let partial = files.join("partial");
        std::fs::create_dir_all(&partial)
            .map_err(|error| Failure::file("make", &partial, &error))?;
        for package in &resolution.packages {
            take_from_cache(package, files);
        }
        if !resolution.packages.is_empty() {
            let mut arguments = strings(&["--download-only", "-q", "-y", "--no-remove"]);
            arguments
                .extend(["-o".to_owned(), format!("Dir::Cache::archives={}/", files.display())]);
            arguments.extend_from_slice(&resolution.goal);
            let finished = self.call("apt-get", &arguments, Echo::Shown)?;
            if !finished.is_success() {
                let failure = super::failure("apt-get install", &finished);
                return Err(match failure.kind {
                    // A package, not an index, differs from what the index says.
                    AgentFailure::Inconsistent => {
                        Failure { kind: AgentFailure::Untrusted, ..failure }
                    }
                    _ => failure,
                });
            }
        }
        for package in &resolution.packages {
            let file = files.join(&package.file);
            if let Some(original) = output::in_place(package).filter(|_| !file.exists()) {
                std::fs::copy(&original, &file)
                    .map_err(|error| Failure::file("copy", &original, &error))?;
            }
            check(package, files)?;
            put_into_cache(package, files);
        }
        let rest = [partial, files.join("lock")];
        std::fs::remove_dir_all(&rest[0])
            .and_then(|()| std::fs::remove_file(&rest[1]).or_else(ignore_missing))
            .map_err(|error| Failure::file("remove", &rest[0], &error))
    }
}

fn ignore_missing(error: std::io::Error) -> std::io::Result<()> {
    if error.kind() == std::io::ErrorKind::NotFound { Ok(()) } else { Err(error) }
}

fn strings(words: &[&str]) -> Vec<String> {
    words.iter().map(|&word| word.to_owned()).collect()
}

fn unmet_target(target: &Target, reason: UnmetReason) -> Unmet {
    Unmet { name: target.name.clone(), architecture: target.architecture.clone(), reason }
}

fn upgrade(package: &LockedPackage, database: &Database, sources: &Sources) -> Upgrade {
    let exact = |old: &&InstalledPackage| old.architecture == package.architecture;
    // Moving between one architecture and all of them, it stays the same package.
    let moved =
        |old: &&InstalledPackage| old.architecture.is_any() || package.architecture.is_any();
    let known = || database.find(&package.name).filter(|old| old.state.is_installed());
    let old = known().find(exact).or_else(|| known().find(moved));
    Upgrade {
        name: package.name.clone(),
        architecture: package.architecture.clone(),
        from: old.map(|old| old.version.to_string()),
        to: package.version.clone(),
        source: sources
            .get(&(package.name.clone(), package.version.clone()))
            .map(ToString::to_string)
            .filter(|source| *source != package.version),
    }
}
