//! Messages of package managers, by meaning.
//!
//! Their exit codes do not distinguish kinds of failures, so we match their words.

use crate::patch::task::AgentFailure;

use super::process::Finished;

/// Words of one meaning.
pub(super) type Meaning = (AgentFailure, &'static [&'static str]);

/// What a dynamic linker, glibc's or musl's, says about a program that it cannot start.
const OF_LINKERS: [&str; 5] = [
    "error while loading shared libraries",
    "symbol lookup error",
    "version `GLIBC",
    "Error loading shared library",
    "Error relocating",
];

/// What kept a program from running at all, if that is how it ended.
pub(super) fn breakage(finished: &Finished) -> Option<String> {
    if finished.signal.is_some() {
        return Some(finished.end());
    }
    // Both linkers exit with 127, and so does a shell without the program that it was to run.
    let mut lines = finished.stderr.lines().map(str::trim);
    let line = lines.find(|line| OF_LINKERS.iter().any(|words| line.contains(words)))?;
    (finished.exit_code == Some(127)).then(|| line.to_owned())
}

/// The kind of failure that a program's output indicates; nothing if it indicates none.
pub(super) fn meaning(meanings: &[Meaning], finished: &Finished) -> Option<AgentFailure> {
    if breakage(finished).is_some() {
        return Some(AgentFailure::Broken);
    }
    let says = |word: &&str| finished.stderr.contains(word) || finished.stdout.contains(word);
    meanings.iter().find(|(_, words)| words.iter().any(says)).map(|(kind, _)| *kind)
}

/// Words as they may be shown and kept: without users and passwords in addresses.
pub(super) fn without_credentials(words: &str) -> String {
    let mut parts = words.split("://");
    let mut text = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let end = part.find(|sign: char| sign == '/' || sign.is_whitespace());
        let (authority, rest) = part.split_at(end.unwrap_or(part.len()));
        let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
        text.push_str("://");
        text.push_str(host);
        text.push_str(rest);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_taken_out() {
        for (words, shown) in [
            ("no https://u:p@x.org/a@b and", "no https://x.org/a@b and"),
            ("http://x.org", "http://x.org"),
            ("'http://token@x.org' is not signed", "'http://x.org' is not signed"),
            ("a@b", "a@b"),
        ] {
            assert_eq!(without_credentials(words), shown);
        }
    }
}
