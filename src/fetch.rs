//! The fetch step: run once, and once more if the cached result lacks fixes that may be available by now.

use crate::evidence::counted;
use crate::failure::Failure;
use crate::freshness::{self, Contract};
use crate::gateway::{Gateway, SolvedTree, read_file};
use crate::llb::{Display, Output, combine};
use crate::note;
use crate::patch::task::{FetchOutcome, FetchTask, Targets, path};
use crate::patch::{Fetch, Steps};
use crate::probe::Probe;
use crate::request::Refresh;
use crate::request::environment::Environment;

/// Largest outcome of a fetch.
const OUTCOME_LIMIT: u64 = 16 << 20;

/// What fetch has found.
#[derive(Clone, Debug)]
pub struct Fetched {
    /// The files, for apply.
    pub files: Output,
    /// What was chosen, and what is not available.
    pub outcome: FetchOutcome,
}

/// Resolves, downloads and checks what is to be upgraded.
pub async fn fetch(
    gateway: &impl Gateway,
    environment: &Environment,
    probe: &Probe,
    steps: &Steps<'_>,
    targets: Targets,
) -> Result<Fetched, Failure> {
    let request = steps.request;
    let (contract, count) = match &targets {
        Targets::Everything => (Contract::Newest, "all upgrades".to_owned()),
        Targets::Listed(targets) => {
            // Without a version the newest is meant.
            let newest = targets.iter().any(|target| target.at_least.is_empty());
            let contract = if newest { Contract::Newest } else { Contract::Versions };
            (contract, counted(targets.len(), "upgrade"))
        }
    };
    let manager = probe.system.manager();
    let task = FetchTask {
        manager,
        repositories: probe.system.repositories(contract == Contract::Versions),
        targets,
        exclude: request.exclude.clone(),
        on_unreachable: request.on_unreachable,
    };
    let name = format!("fetch {count} with {}", manager.as_str());
    let release = probe.os_release.version_id().unwrap_or("rolling");
    let architecture = steps.platform.architecture();
    let cache = format!("{}-{release}-{architecture}", probe.os_release.id());
    let once = async |contract| {
        let freshness =
            freshness::key(gateway, environment, request, &probe.system, contract).await;
        run(gateway, steps, Fetch { task: &task, cache: &cache, freshness, name: &name }).await
    };
    let first = once(contract).await?;
    let cached = first.outcome.at < environment.now.as_second();
    let may_be_stale = contract == Contract::Versions
        && request.refresh == Refresh::Auto
        && !(first.outcome.unmet.is_empty() && first.outcome.skipped.is_empty())
        && cached;
    if may_be_stale { once(Contract::Newest).await } else { Ok(first) }
}

/// The same root filesystem, with the fetch among its inputs although it uses nothing of it: an exported cache of the
/// result then includes the fetch, which need not run again to learn that there is nothing to do.
///
/// For `BuildKit`, the difference of a tree and itself is nothing, and a merge with nothing is the tree
/// (`solver/llbsolver/ops/diff.go`, `merge.go`).
pub async fn remember(
    gateway: &impl Gateway,
    root: &SolvedTree,
    fetched: &Fetched,
) -> Result<SolvedTree, Failure> {
    let known = &gateway.daemon().llb;
    if !(known.has("mergeop") && known.has("diffop")) {
        return Ok(root.clone());
    }
    let display = Display::named("[internal] remember the fetch");
    let nothing = combine::diff(Some(&fetched.files), Some(&fetched.files), &display);
    let trees = std::iter::once(root.output.clone()).chain(nothing).collect();
    let Some(output) = combine::merge(trees, &display) else { return Ok(root.clone()) };
    Ok(SolvedTree { reading: gateway.solve(&output).await?, output })
}

async fn run(
    gateway: &impl Gateway,
    steps: &Steps<'_>,
    fetch: Fetch<'_>,
) -> Result<Fetched, Failure> {
    let step = steps.fetch(&fetch).ok_or_else(|| Failure::bug("fetch has no output"))?;
    let tree = gateway.solve(&step.output).await?;
    let outcome = match read_file(gateway, &tree, path::OUTCOME_IN_OUT, OUTCOME_LIMIT).await {
        Ok(outcome) => outcome,
        Err(error) => {
            let note = note::read(gateway, steps, &step).await;
            return Err(Failure::of_step("fetch", steps.is_foreign, error, note.as_ref()));
        }
    };
    let outcome = serde_json::from_slice(&outcome)
        .map_err(|error| Failure::bug(&format!("fetch has a malformed outcome: {error}")))?;
    Ok(Fetched { files: step.output, outcome })
}
