//! The note of a step that fails: one line in a cache, from which a later step hands it out.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::patch::task::{Note, path};

use super::words::without_credentials;
use super::{Failure, write_json};

/// How long a note is kept: the frontend reads it at once.
const KEPT: Duration = Duration::from_hours(1);

/// Leaves a note for whoever asks for this step's.
pub(super) fn leave(failure: &Failure) {
    let Some(key) = std::env::var_os(path::NOTE_VARIABLE) else { return };
    let Some(file) = key.to_str().and_then(place) else { return };
    forget_old();
    let note = Note {
        failure: failure.kind,
        message: without_credentials(failure.message.lines().next().unwrap_or_default()),
    };
    // If the note cannot be left, it is missing, and the log has the words.
    let _left = write_json(&file, &note);
}

/// Hands out the note of another step.
pub(super) fn tell(key: &str) -> Result<(), Failure> {
    let Some(file) = place(key) else { return Ok(()) };
    let out = format!("{}{}", path::OUT, path::NOTE_IN_OUT);
    let failure = |error| Failure::file("copy", &file, &error);
    std::fs::copy(&file, out).map_err(failure)?;
    std::fs::remove_file(&file).map_err(failure)
}

/// The file of a note; keys are hexadecimal.
fn place(key: &str) -> Option<PathBuf> {
    let is_key = !key.is_empty() && key.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_key.then(|| Path::new(path::NOTES).join(format!("{key}.json")))
}

/// Removes the notes that nobody has read.
fn forget_old() {
    for entry in std::fs::read_dir(path::NOTES).into_iter().flatten().flatten() {
        let modified = entry.metadata().and_then(|it| it.modified()).ok();
        let age = modified.and_then(|it| it.elapsed().ok());
        if age.is_some_and(|age| age > KEPT) {
            let _gone = std::fs::remove_file(entry.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_lead_nowhere_else() {
        assert!(place("../x").is_none());
        assert!(place("").is_none());
        assert!(place("0af9").is_some());
    }
}
