//! What package managers say, by what it means.
//!
//! Their exit codes tell no kinds of failures apart, so their words are matched.

use crate::patch::task::AgentFailure;

use super::process::Finished;

/// Words of one meaning.
pub(super) type Meaning = (AgentFailure, &'static [&'static str]);

/// The kind of failure that a program's words mean; nothing when they mean none.
pub(super) fn meaning(meanings: &[Meaning], finished: &Finished) -> Option<AgentFailure> {
    let says = |word: &&str| finished.stderr.contains(word) || finished.stdout.contains(word);
    meanings.iter().find(|(_, words)| words.iter().any(says)).map(|(kind, _)| *kind)
}
