//! The apply step: runs it, and compares its result with the plan.

use crate::evidence::counted;
use crate::failure::Failure;
use crate::fetch::Fetched;
use crate::gateway::{Gateway, SolvedTree};
use crate::note;
use crate::patch::Steps;
use crate::patch::task::ApplyTask;
use crate::plan::Plan;
use crate::probe::{self, Probe, ProbeError};
use crate::verify::{self, Verified};

/// What apply has made.
#[derive(Clone, Debug)]
pub struct Applied {
    /// The patched root filesystem.
    pub root: SolvedTree,
    /// What has changed in it.
    pub verified: Verified,
}

/// Upgrades what was fetched, and reads the package database of the result.
pub async fn apply(
    gateway: &impl Gateway,
    probe: &Probe,
    steps: &Steps<'_>,
    Fetched { files, outcome }: &Fetched,
    plan: Plan,
    source_date_epoch: Option<i64>,
) -> Result<Applied, Failure> {
    let task = ApplyTask { manager: probe.system.manager(), source_date_epoch };
    let name = format!("apply {}, no network", counted(outcome.upgrades.len(), "upgrade"));
    let step = steps.apply(&task, files, &name);
    let reading = gateway.solve(&step.output).await?;
    let root = SolvedTree { reading, output: step.output.clone() };
    let after = match probe::database_of(gateway, &root, steps, &probe.system).await {
        Ok(after) => after,
        Err(ProbeError::Gateway(error)) => {
            let note = note::read(gateway, steps, &step).await;
            return Err(Failure::of_step("apply", steps.is_foreign, error, note.as_ref()));
        }
        Err(other) => return Err(other.into()),
    };
    let before = probe.system.database();
    let verified = verify::verify(before, &after, outcome, &steps.request.exclude, plan)?;
    Ok(Applied { root, verified })
}
