//! The order of the steps, and nothing else.

use crate::code::Code;
use crate::context::{self, LoadedBuildFile, LoadedReport};
use crate::evidence::{self, Evidence, counted};
use crate::failure::{self, Failure};
use crate::fixes::Fixes;
use crate::freshness::{self, Contract};
use crate::gateway::{Gateway, GatewayError, Ref, Warning, read_file};
use crate::llb::{Display, Output, source};
use crate::note;
use crate::patch::task::{
    ApplyTask, FetchOutcome, FetchTask, Removed, Skipped, Targets, Unmet, UnmetReason, Upgrade,
    path,
};
use crate::patch::{Fetch, Steps};
use crate::plan::{Action, Plan};
use crate::platform::Platform;
use crate::probe::{self, Probe, TargetImage, Tree};
use crate::reports;
use crate::request::environment::Environment;
use crate::request::{
    self, OnEndOfLife, OnUnmet, OnUpToDate, Problem, Refresh, Request, Understood, Wanted,
};
use crate::result::ResultImage;
use crate::verify;
use crate::version::Version;

/// A build that has succeeded.
#[derive(Clone, Debug)]
pub struct Finished {
    /// The root filesystem to return.
    pub tree: Ref,
    /// All about it.
    pub image: ResultImage,
}

/// Largest outcome of a fetch.
const OUTCOME_LIMIT: u64 = 16 << 20;
/// Most unmet fixes that a failure or the warnings name one by one.
const NAMED_LIMIT: usize = 20;

/// Patches an image as the environment asks, from the first call to the answer.
pub async fn run(gateway: &impl Gateway, environment: &Environment) -> Result<Finished, Failure> {
    if let Some(subrequest) = environment.option("requestid") {
        let message = format!("this request is not supported yet: {subrequest}");
        return Err(Failure::new(Code::NotYet, message, None));
    }
    let loaded = context::build_file(gateway, environment).await?;
    let mut notices = Notices { list: Vec::new(), vertex: loaded.source.clone() };
    let outcome = patch(gateway, environment, &loaded, &mut notices).await;
    if let Err(error) = notices.send(gateway, &loaded).await {
        // What became of the image matters more than what was to be said about it.
        tracing::warn!("a warning was not taken: {error}");
    }
    outcome.map_err(|failure| failure.with_excerpts(&loaded))
}

/// What the user should know although it does not stop the build.
struct Notices {
    list: Vec<Problem>,
    /// The operation the client shows them with.
    vertex: Option<Output>,
}

impl Notices {
    fn add(&mut self, code: Code, message: impl Into<String>) {
        self.list.push(Problem { code, message: message.into(), hint: None, line: None });
    }

    async fn send(
        self,
        gateway: &impl Gateway,
        loaded: &LoadedBuildFile,
    ) -> Result<(), GatewayError> {
        let Some(vertex) = self.vertex else { return Ok(()) };
        for notice in self.list {
            let warning = Warning {
                short: format!("{}: {}", notice.code, notice.message),
                detail: notice.hint.clone().into_iter().collect(),
                vertex: vertex.digest().clone(),
                excerpt: failure::excerpt(&notice, loaded),
            };
            gateway.warn(&warning).await?;
        }
        Ok(())
    }
}

async fn patch(
    gateway: &impl Gateway,
    environment: &Environment,
    loaded: &LoadedBuildFile,
    notices: &mut Notices,
) -> Result<Finished, Failure> {
    let Understood { request, notices: understood } =
        request::understand(environment, &loaded.file).map_err(Failure::of)?;
    notices.list.extend(understood);
    let platform = request.platform.clone().unwrap_or_else(|| gateway.daemon().platform.clone());
    let (target, reports) = tokio::join!(
        probe::image(gateway, &request),
        load_reports(gateway, environment, loaded, &request, &platform),
    );
    let (target, loaded_reports) = (target?, reports?);
    notices.vertex.get_or_insert_with(|| target.root.clone());
    let agent = own_image(environment, &gateway.daemon().platform)?;
    let steps = Steps {
        agent: &agent,
        root: &target.root,
        platform: &target.platform,
        request: &request,
        capabilities: &gateway.daemon().llb,
        now: environment.now,
    };
    let image = Tree { reading: &target.tree, output: &target.root };
    let probe = probe::system(gateway, image, &steps).await?;
    check_end_of_life(environment, &request, &probe, notices)?;
    let relevant = reports::relevant(loaded_reports, &target, &probe)?;
    notices.list.extend(relevant.notices);

    let plan = match &request.wanted {
        Wanted::Everything => Plan::everything(),
        Wanted::Listed { packages, .. } => {
            let findings = relevant.reports.iter().flat_map(|loaded| &loaded.report.findings);
            let fixes = Fixes::collect(findings, packages);
            Plan::listed(&fixes, &request.exclude, probe.system.database())
        }
    };
    let library_findings =
        relevant.reports.iter().map(|loaded| loaded.report.library_findings).sum();
    let build = Build {
        gateway,
        environment,
        request: &request,
        target: &target,
        probe: &probe,
        library_findings,
    };
    let Action::Upgrade(targets) = plan.action.clone() else {
        build.judge_unmet(&plan, &[], notices)?;
        return build.unchanged(&plan, &[], &[]);
    };

    let (fetched, outcome) = build.fetch(&steps, targets).await?;
    let plan = plan.after_fetch(&outcome.unmet, &outcome.removed, |name, architecture| {
        let installed = probe.system.database().get(name, architecture)?;
        let Some(upgrade) = outcome.upgrade_of(installed) else {
            return Some((installed.version.clone(), installed.source.version.clone()));
        };
        let parse = |text| Version::parse(installed.version.scheme(), text).ok();
        Some((parse(&upgrade.to)?, parse(upgrade.source.as_ref().unwrap_or(&upgrade.to))?))
    });
    for misfit in &outcome.misfits {
        notices.add(Code::BrokenDependencies, evidence::misfit(misfit));
    }
    for skipped in &outcome.skipped {
        notices.add(skipped.failure.code(), evidence::skipped(skipped));
    }
    let kept_back: &[Unmet] = if plan.is_everything() { &outcome.unmet } else { &[] };
    build.judge_unmet(&plan, kept_back, notices)?;
    if outcome.upgrades.is_empty() {
        return build.unchanged(&plan, kept_back, &outcome.skipped);
    }

    let task =
        ApplyTask { manager: probe.system.manager(), source_date_epoch: request.source_date_epoch };
    let name = format!("apply {}, no network", counted(outcome.upgrades.len(), "upgrade"));
    let step = steps.apply(&task, &fetched, &name);
    let patched = gateway.solve(&step.output).await?;
    let image = Tree { reading: &patched, output: &step.output };
    let after = match probe::database_of(gateway, image, &steps, &probe.system).await {
        Ok(after) => after,
        Err(probe::ProbeError::Gateway(error)) => {
            let note = note::read(gateway, &steps, &step).await;
            return Err(Failure::of_step("apply", error, note.as_ref()));
        }
        Err(other) => return Err(other.into()),
    };
    let verified =
        verify::verify(probe.system.database(), &after, &outcome, &request.exclude, plan)?;
    for leap in evidence::leaps(&verified.plan, &verified.changes) {
        notices.add(Code::MajorVersion, leap);
    }
    Ok(build.patched(patched, &verified, kept_back, &outcome.skipped))
}

async fn load_reports(
    gateway: &impl Gateway,
    environment: &Environment,
    build_file: &LoadedBuildFile,
    request: &Request,
    platform: &Platform,
) -> Result<Vec<LoadedReport>, Failure> {
    match &request.wanted {
        Wanted::Listed { reports: Some(location), .. } => {
            Ok(context::reports(gateway, environment, build_file, location, platform).await?)
        }
        Wanted::Listed { reports: None, .. } | Wanted::Everything => Ok(Vec::new()),
    }
}

fn check_end_of_life(
    environment: &Environment,
    request: &Request,
    probe: &Probe,
    notices: &mut Notices,
) -> Result<(), Failure> {
    let Some(end) = probe.end_of_life.filter(|end| *end < freshness::today(environment)) else {
        return Ok(());
    };
    let message =
        format!("{} has had no security updates since {end}", probe.os_release.pretty_name());
    match request.on_end_of_life {
        OnEndOfLife::Ignore => {}
        OnEndOfLife::Warn => notices.add(Code::EndOfLife, message),
        OnEndOfLife::Fail => {
            let hint = "build the image from a newer release, or set ON_EOL=warn";
            return Err(Failure::new(Code::EndOfLife, message, Some(hint)));
        }
    }
    Ok(())
}

/// The image that has our binary, to be mounted into containers.
fn own_image(environment: &Environment, platform: &Platform) -> Result<Output, Failure> {
    if let Some(definition) = &environment.own_image
        && let Some(image) = Output::from_definition_bytes(definition)?
    {
        return Ok(image);
    }
    let name = environment.option("source").ok_or_else(|| Failure::bug("no name of our image"))?;
    let reference = name.parse().map_err(|_| Failure::bug("our image has a malformed name"))?;
    let display = Display::named(format!("load {name}"));
    Ok(source::image(&reference, platform, source::ResolveMode::Default, &display))
}

/// What every later step of a build looks at.
struct Build<'a, G: Gateway> {
    gateway: &'a G,
    environment: &'a Environment,
    request: &'a Request,
    target: &'a TargetImage,
    probe: &'a Probe,
    library_findings: usize,
}

impl<G: Gateway> Build<'_, G> {
    /// Fetches, and once more when what is cached misses fixes that may be there by now.
    async fn fetch(
        &self,
        steps: &Steps<'_>,
        targets: Targets,
    ) -> Result<(Output, FetchOutcome), Failure> {
        let (contract, count) = match &targets {
            Targets::Everything => (Contract::Newest, "all upgrades".to_owned()),
            Targets::Listed(targets) => {
                // Without a version the newest is meant.
                let newest = targets.iter().any(|target| target.at_least.is_empty());
                let contract = if newest { Contract::Newest } else { Contract::Versions };
                (contract, counted(targets.len(), "upgrade"))
            }
        };
        let manager = self.probe.system.manager();
        let task = FetchTask {
            manager,
            repositories: self.probe.system.repositories(contract == Contract::Versions),
            targets,
            exclude: self.request.exclude.clone(),
            on_unreachable: self.request.on_unreachable,
        };
        let name = format!("fetch {count} with {}", manager.as_str());
        let first = self.fetch_once(steps, &task, contract, &name).await?;
        let cached = first.1.at < self.environment.now.as_second();
        let may_be_stale = contract == Contract::Versions
            && self.request.refresh == Refresh::Auto
            && !(first.1.unmet.is_empty() && first.1.skipped.is_empty())
            && cached;
        if may_be_stale {
            return self.fetch_once(steps, &task, Contract::Newest, &name).await;
        }
        Ok(first)
    }

    async fn fetch_once(
        &self,
        steps: &Steps<'_>,
        task: &FetchTask,
        contract: Contract,
        name: &str,
    ) -> Result<(Output, FetchOutcome), Failure> {
        let Self { gateway, environment, request, probe, target, .. } = self;
        let freshness =
            freshness::key(*gateway, environment, request, &probe.system, contract).await;
        let release = probe.os_release.version_id().unwrap_or("rolling");
        let cache =
            format!("{}-{release}-{}", probe.os_release.id(), target.platform.architecture());
        let fetch = Fetch { task, cache, freshness, name: name.to_owned() };
        let step = steps.fetch(&fetch).ok_or_else(|| Failure::bug("fetch has no output"))?;
        let tree = gateway.solve(&step.output).await?;
        let outcome = read_file(*gateway, &tree, path::OUTCOME_IN_OUT, OUTCOME_LIMIT).await;
        let outcome = match outcome {
            Ok(outcome) => outcome,
            Err(error) => {
                let note = note::read(*gateway, steps, &step).await;
                return Err(Failure::of_step("fetch", error, note.as_ref()));
            }
        };
        let outcome = serde_json::from_slice(&outcome)
            .map_err(|error| Failure::bug(&format!("fetch has a malformed outcome: {error}")))?;
        Ok((step.output, outcome))
    }

    /// Fails or warns about demands that could have been met.
    fn judge_unmet(
        &self,
        plan: &Plan,
        kept_back: &[Unmet],
        notices: &mut Notices,
    ) -> Result<(), Failure> {
        let mut problems = evidence::unmet_problems(plan);
        let more = problems.len().saturating_sub(NAMED_LIMIT);
        problems.truncate(NAMED_LIMIT);
        if let Some(last) = problems.last().filter(|_| more > 0) {
            let message = format!("and {more} more");
            problems.push(Problem { message, line: None, ..last.clone() });
        }
        if self.request.on_unmet == OnUnmet::Fail && !problems.is_empty() {
            return Err(Failure::of(problems));
        }
        // The hint says how to get here.
        notices.list.extend(problems.into_iter().map(|problem| Problem { hint: None, ..problem }));
        // What does not fit has a warning of its own.
        let is_told = |unmet: &&Unmet| matches!(unmet.reason, UnmetReason::Misfit { .. });
        for unmet in kept_back.iter().filter(|unmet| !is_told(unmet)).take(NAMED_LIMIT) {
            let why = evidence::reason(&unmet.reason);
            notices.add(Code::UnmetFix, format!("{} is not upgraded: {why}", unmet.name));
        }
        Ok(())
    }

    fn evidence<'e>(
        &'e self,
        plan: &'e Plan,
        changes: &'e [Upgrade],
        removed: &'e [Removed],
        kept_back: &'e [Unmet],
        skipped: &'e [Skipped],
    ) -> Evidence<'e> {
        Evidence {
            image: self.target.name.as_ref(),
            digest: self.target.digest.as_ref(),
            platform: &self.target.platform,
            distro: self.probe.os_release.pretty_name(),
            manager: self.probe.system.manager(),
            changes,
            removed,
            plan,
            kept_back,
            skipped,
            library_findings: self.library_findings,
        }
    }

    fn unchanged(
        &self,
        plan: &Plan,
        kept_back: &[Unmet],
        skipped: &[Skipped],
    ) -> Result<Finished, Failure> {
        let summary = self.evidence(plan, &[], &[], kept_back, skipped).summary();
        // Without all repositories nobody knows.
        if self.request.on_up_to_date == OnUpToDate::Fail && skipped.is_empty() {
            let message = summary.lines().next().unwrap_or_default();
            let hint = "ON_UP_TO_DATE=fail is set; `keep` returns the original image";
            return Err(Failure::new(Code::UpToDate, message, Some(hint)));
        }
        let config = self.target.config.with_labels(&self.request.labels);
        // Nothing is new, so no time is clamped: the exporter would change the configuration.
        Ok(self.finished(self.target.tree.clone(), config, summary, None))
    }

    fn patched(
        &self,
        tree: Ref,
        verified: &verify::Verified,
        kept_back: &[Unmet],
        skipped: &[Skipped],
    ) -> Finished {
        let verify::Verified { plan, changes, removed } = verified;
        let evidence = self.evidence(plan, changes, removed, kept_back, skipped);
        let seconds =
            self.request.source_date_epoch.unwrap_or_else(|| self.environment.now.as_second());
        let created = jiff::Timestamp::from_second(seconds).unwrap_or(self.environment.now);
        let change = evidence.change(created, &self.request.labels);
        let config = self.target.config.with_change(&change);
        let epoch = self.request.source_date_epoch;
        self.finished(tree, config, evidence.summary(), epoch)
    }

    fn finished(
        &self,
        tree: Ref,
        config: Vec<u8>,
        summary: String,
        source_date_epoch: Option<i64>,
    ) -> Finished {
        let image = ResultImage {
            config,
            base_config: self.target.config.original().to_vec(),
            platform: self.target.platform.clone(),
            summary,
            source_date_epoch,
        };
        Finished { tree, image }
    }
}
