//! Why a step failed, read in a step of its own.

use crate::gateway::{Gateway, read_file};
use crate::patch::task::{Note, path};
use crate::patch::{Step, Steps};

/// Largest note; it has one line.
const NOTE_LIMIT: u64 = 64 << 10;

/// The note that a failed step left; nothing if it left none, or if we cannot find out: the failure itself matters
/// more.
pub async fn read(gateway: &impl Gateway, steps: &Steps<'_>, step: &Step) -> Option<Note> {
    let tell = steps.tell(&step.note)?;
    let tree = gateway.solve(&tell).await.ok()?;
    let note = read_file(gateway, &tree, path::NOTE_IN_OUT, NOTE_LIMIT).await.ok()?;
    serde_json::from_slice(&note).ok()
}
