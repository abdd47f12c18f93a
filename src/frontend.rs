//! The order of the steps, and nothing else.

use futures_util::future::{join_all, try_join_all};

use crate::apply::{self, Applied};
use crate::call::{self, Call, Rules};
use crate::code::Code;
use crate::context::{self, LoadedBuildFile, LoadedReport};
use crate::deliver::{self, Finished, Outcome, Patched};
use crate::evidence::{self, Evidence, Stage};
use crate::failure::Failure;
use crate::fetch;
use crate::fixes::Fixes;
use crate::gateway::Gateway;
use crate::notices::Notices;
use crate::own_image;
use crate::patch::Steps;
use crate::patch::task::Unmet;
use crate::plan::{Action, Plan};
use crate::policy;
use crate::probe::{self, ProbeError};
use crate::reports::{self, Assigned};
use crate::request::environment::Environment;
use crate::request::lint;
use crate::request::{self, Problem, Request, SourceDateEpoch, Target, Understood, Wanted};
use crate::subject::{self, Subject, Subjects};
use crate::verify::Verified;

/// Patches an image as the environment asks, from the first call to the answer.
pub async fn run(gateway: &impl Gateway, environment: &Environment) -> Result<Finished, Failure> {
    let call = Call::of(environment)?;
    let loaded = context::build_file(gateway, environment).await?;
    if let Some(answer) = call::from_options(gateway, environment, &loaded, call).await? {
        return Ok(answer);
    }
    let mut notices = Notices::of(&loaded);
    let rules = Rules::of(environment, &loaded.file)?;
    let patched = build(gateway, environment, &loaded, call, &mut notices).await;
    if call == Call::Check {
        notices.extend(patched.err().into_iter().flat_map(|failure| failure.problems));
        return call::check(gateway, environment, &loaded, &rules.keep(notices.list())).await;
    }
    let warnings = rules.keep(notices.list());
    if let Err(error) = notices.send(gateway, &loaded, &warnings).await {
        // What became of the image matters more than what was to be said about it.
        tracing::warn!("a warning was not taken: {error}");
    }
    let finished = async {
        let patched = patched?;
        rules.judge(warnings)?;
        match call {
            Call::Plan => Ok(call::plan(&patched.outcomes)),
            _ => deliver::deliver(gateway, patched).await,
        }
    };
    finished.await.map_err(|failure| failure.with_excerpts(&loaded))
}

/// Request, subjects, and the same patch for each of them at once.
async fn build(
    gateway: &impl Gateway,
    environment: &Environment,
    loaded: &LoadedBuildFile,
    call: Call,
    notices: &mut Notices,
) -> Result<Patched, Failure> {
    let Understood { mut request, notices: understood } =
        request::understand(environment, &loaded.file).map_err(Failure::of)?;
    notices.extend(understood);
    if let Some(target) = call.target() {
        request.target = target;
    }
    if request.source_date_epoch == SourceDateEpoch::Context {
        request = request.made_at(context::made_at(gateway, environment).await?);
    }
    if call == Call::Check {
        notices.extend(lint::odd(environment, &loaded.file, &request));
    }
    let (subjects, reports) = tokio::join!(
        subject::all(gateway, &request),
        load_reports(gateway, environment, loaded, &request),
    );
    let (Subjects { list, is_index, metadata }, reports) = (subjects?, reports?);
    let found: Vec<&Subject> =
        list.iter().filter_map(|(_, subject)| subject.as_ref().ok()).collect();
    notices.hang_on(&found);
    let Assigned { by_subject, notices: about_reports } = reports::assign(&reports, &found)?;
    notices.extend(about_reports);

    let job = &Job { gateway, environment, request: &request, is_one_of_several: list.len() > 1 };
    let mut reports_of_found = by_subject.into_iter();
    let patches = list.iter().map(|(platform, subject)| {
        let subject = subject.as_ref();
        let reports = if subject.is_ok() { reports_of_found.next().flatten() } else { None };
        async move {
            let mut notices = Vec::new();
            let label = subject::label(platform, is_index);
            let outcome = match subject {
                Ok(subject) => patch(job, subject, reports, &label, &mut notices).await,
                Err(error) => Err(Failure::from(error)),
            };
            (platform.clone(), notices, outcome)
        }
    });
    let (outcomes, annotations) =
        tokio::join!(join_all(patches.collect::<Vec<_>>()), subject::annotations(gateway, &found));
    let outcomes = notices.take(outcomes)?;
    Ok(Patched { target: request.target, is_index, outcomes, annotations, metadata })
}

/// What the patches of all subjects have in common.
struct Job<'a, G: Gateway> {
    gateway: &'a G,
    environment: &'a Environment,
    request: &'a Request,
    is_one_of_several: bool,
}

/// Patches one subject; without reports, where others have some, it stays as it is.
async fn patch<G: Gateway>(
    job: &Job<'_, G>,
    subject: &Subject,
    reports: Option<Vec<LoadedReport>>,
    label: &str,
    notices: &mut Vec<Problem>,
) -> Result<Outcome, Failure> {
    let &Job { gateway, environment, request, is_one_of_several } = job;
    let Some(reports) = reports else {
        let problem = Problem::new(Code::ReportNotFound, "no report is about this platform");
        return Ok(kept(request, subject, problem, notices));
    };
    let Some(root) = &subject.root else {
        let problem = policy::unsupported(request, is_one_of_several, ProbeError::NoOsRelease)?;
        return Ok(kept(request, subject, problem, notices));
    };
    let agent = own_image::for_platform(gateway, environment, &subject.platform).await?;
    let steps = Steps {
        agent: &agent.output,
        is_foreign: agent.is_foreign,
        root: &root.output,
        platform: &subject.platform,
        label,
        request,
        capabilities: &gateway.daemon().llb,
        now: environment.now,
    };
    let probe = match probe::system(gateway, root, &steps).await {
        Ok(probe) => probe,
        Err(error) => {
            let problem = policy::unsupported(request, is_one_of_several, error)?;
            return Ok(kept(request, subject, problem, notices));
        }
    };
    notices.extend(policy::end_of_life(environment, request, &probe)?);
    let relevant = reports::relevant(reports, subject, &probe)?;
    notices.extend(relevant.notices);

    let plan = match &request.wanted {
        Wanted::Everything => Plan::everything(),
        Wanted::Listed { packages, .. } => {
            let findings = relevant.reports.iter().flat_map(|loaded| &loaded.report.findings);
            let fixes = Fixes::collect(findings, packages);
            Plan::listed(&fixes, &request.exclude, probe.system.database())
        }
    };
    let mut evidence = Evidence {
        image: subject.name.as_ref(),
        digest: subject.digest.as_ref(),
        platform: &subject.platform,
        distro: probe.os_release.pretty_name(),
        manager: probe.system.manager(),
        stage: Stage::Planned,
        changes: &[],
        removed: &[],
        plan: &plan,
        kept_back: &[],
        skipped: &[],
        library_findings: relevant.reports.iter().map(|it| it.report.library_findings).sum(),
    };
    let targets = match plan.action.clone() {
        Action::Upgrade(targets) if request.target != Target::Check => targets,
        _ => {
            notices.extend(policy::unmet(request, &plan, &[])?);
            return Outcome::unchanged(request, subject, &evidence);
        }
    };

    let fetched = fetch::fetch(gateway, environment, &probe, &steps, targets).await?;
    let outcome = &fetched.outcome;
    let plan = plan.clone().after_fetch(&outcome.unmet, &outcome.removed, |name, architecture| {
        outcome.reached(probe.system.database(), name, architecture)
    });
    for misfit in &outcome.misfits {
        notices.push(Problem::new(Code::BrokenDependencies, evidence::misfit(misfit)));
    }
    for skipped in &outcome.skipped {
        notices.push(Problem::new(skipped.failure.code(), evidence::skipped(skipped)));
    }
    let kept_back: &[Unmet] = if plan.is_everything() { &outcome.unmet } else { &[] };
    notices.extend(policy::unmet(request, &plan, kept_back)?);
    evidence = Evidence { plan: &plan, kept_back, skipped: &outcome.skipped, ..evidence };
    if outcome.upgrades.is_empty() {
        let unchanged = Outcome::unchanged(request, subject, &evidence)?;
        let root = fetch::remember(gateway, root, &fetched).await?;
        return Ok(Outcome { root: Some(root), ..unchanged });
    }
    if request.target == Target::Plan {
        let (changes, removed) = (&outcome.upgrades, &outcome.removed);
        let evidence = Evidence { changes, removed, ..evidence };
        return Ok(Outcome::planned(request, subject, &evidence));
    }

    let epoch = request.epoch_of(&subject.config);
    let Applied { root, verified } =
        apply::apply(gateway, &probe, &steps, &fetched, plan.clone(), epoch).await?;
    let Verified { plan, changes, removed } = verified;
    for leap in evidence::leaps(&plan, &changes) {
        notices.push(Problem::new(Code::MajorVersion, leap));
    }
    let stage = Stage::Verified;
    let evidence =
        Evidence { stage, changes: &changes, removed: &removed, plan: &plan, ..evidence };
    Ok(Outcome::patched(request, subject, &evidence, root, environment.now))
}

/// A subject that stays as it is, with a warning that says why.
fn kept(request: &Request, subject: &Subject, why: Problem, notices: &mut Vec<Problem>) -> Outcome {
    let outcome = Outcome::kept(request, subject, &why.message);
    notices.push(why);
    outcome
}

async fn load_reports(
    gateway: &impl Gateway,
    environment: &Environment,
    build_file: &LoadedBuildFile,
    request: &Request,
) -> Result<Vec<LoadedReport>, Failure> {
    let Wanted::Listed { reports: locations, .. } = &request.wanted else { return Ok(Vec::new()) };
    let loaded = locations
        .iter()
        .map(|location| context::reports(gateway, environment, build_file, location));
    Ok(try_join_all(loaded).await?.into_iter().flatten().collect())
}
