//! Versions of dpkg packages: `[epoch:]upstream-version[-debian-revision]`.
//!
//! Written from deb-version(7) and Debian Policy 5.6.12, checked against the real dpkg (`tests/oracles.rs`).
//! What is not obvious:
//!
//! * `~` sorts before everything, even before the end: `1.0~rc1` < `1.0` < `1.0a`.
//! * Letters sort before all other characters: `1.0a` < `1.0+`.
//! * A number that is missing counts as 0 and leading zeros do not count: `1.` = `1.0` = `1.00`.
//! * A missing revision equals revision `0`; an empty one (`1.0-`) is an error.
//! * The epoch ends at the first colon, the revision begins at the last hyphen.
//! * dpkg reads the epoch with C's `strtol`, so `+0:1` and `-0:1` are versions, though the manual mentions
//!   no sign.

use std::cmp::Ordering;
use std::fmt;
use std::sync::Arc;

use super::VersionError;
use crate::package::Excerpt;

/// dpkg has no limit of its own; the longest version in Debian has under 60 characters.
const LENGTH_LIMIT: usize = 512;

/// A valid version of a dpkg package, ordered as dpkg orders. Cheap to clone.
#[derive(Debug, Clone)]
pub struct DebVersion {
    text: Arc<str>,
    epoch: u32,
}

/// Which of dpkg's two judgements of odd characters applies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Strictness {
    /// They are an error, as for `dpkg --validate-version` and for a package to be installed.
    Error,
    /// They get a warning, as in dpkg's own database and for `dpkg --compare-versions`.
    Warning,
}

impl DebVersion {
    /// Reads a version that `dpkg --validate-version` accepts.
    pub fn parse(text: &str) -> Result<Self, VersionError> {
        Self::parse_with(text, Strictness::Error)
    }

    /// Reads a version out of dpkg's own database.
    ///
    /// A database may still hold what an older dpkg or another tool put there: a version that begins with a letter or
    /// has an unusual character. dpkg continues with a warning, and so do we; but white space and anything outside
    /// ASCII stays an error.
    pub fn parse_recorded(text: &str) -> Result<Self, VersionError> {
        Self::parse_with(text, Strictness::Warning)
    }

    fn parse_with(text: &str, strictness: Strictness) -> Result<Self, VersionError> {
        let excerpt = || Excerpt::of(text);
        if text.is_empty() {
            return Err(VersionError::Empty);
        }
        if text.len() > LENGTH_LIMIT {
            return Err(VersionError::TooLong { limit: LENGTH_LIMIT, text: excerpt() });
        }
        if let Some(character) = text.chars().find(|character| !character.is_ascii_graphic()) {
            return Err(VersionError::Character { character, text: excerpt() });
        }
        let epoch = match text.split_once(':') {
            Some((epoch, _)) => {
                parse_epoch(epoch).ok_or_else(|| VersionError::Epoch { text: excerpt() })?
            }
            None => 0,
        };
        let (upstream, revision) = split_revision(after_epoch(text));
        if upstream.is_empty() {
            return Err(VersionError::NoUpstream { text: excerpt() });
        }
        if revision.is_some_and(str::is_empty) {
            return Err(VersionError::EmptyRevision { text: excerpt() });
        }
        if strictness == Strictness::Error {
            if !upstream.starts_with(|start: char| start.is_ascii_digit()) {
                return Err(VersionError::Start { text: excerpt() });
            }
            let invalid_upstream = |character: &char| {
                !character.is_ascii_alphanumeric() && !".-+~:".contains(*character)
            };
            let invalid_revision = |character: &char| {
                !character.is_ascii_alphanumeric() && !".+~".contains(*character)
            };
            let invalid = upstream.chars().find(invalid_upstream);
            let invalid = invalid.or_else(|| revision.unwrap_or("").chars().find(invalid_revision));
            if let Some(character) = invalid {
                return Err(VersionError::Character { character, text: excerpt() });
            }
        }
        Ok(Self { text: Arc::from(text), epoch })
    }

    /// The text exactly as it was given.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The number before the colon, 0 if there is none.
    pub fn epoch(&self) -> u32 {
        self.epoch
    }

    /// The text without its epoch.
    pub fn without_epoch(&self) -> &str {
        after_epoch(&self.text)
    }

    /// What lies between epoch and revision.
    pub fn upstream(&self) -> &str {
        split_revision(after_epoch(&self.text)).0
    }

    /// What follows the last hyphen, if there is one.
    pub fn revision(&self) -> Option<&str> {
        split_revision(after_epoch(&self.text)).1
    }
}

/// `strtol` without its white space, and only from 0 to C's `INT_MAX`.
fn parse_epoch(text: &str) -> Option<u32> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let epoch: u32 = digits.parse().ok()?;
    (epoch <= i32::MAX.unsigned_abs() && (epoch == 0 || !negative)).then_some(epoch)
}

fn after_epoch(text: &str) -> &str {
    text.split_once(':').map_or(text, |(_, rest)| rest)
}

fn split_revision(text: &str) -> (&str, Option<&str>) {
    match text.rsplit_once('-') {
        Some((upstream, revision)) => (upstream, Some(revision)),
        None => (text, None),
    }
}

/// Compares two upstream versions or two revisions: alternately a run without digits and a number.
fn compare_part(left: &str, right: &str) -> Ordering {
    let (mut left, mut right) = (left.as_bytes(), right.as_bytes());
    while !left.is_empty() || !right.is_empty() {
        let starts_text =
            |part: &[u8]| part.first().is_some_and(|character| !character.is_ascii_digit());
        while starts_text(left) || starts_text(right) {
            let order = weight(left.first()).cmp(&weight(right.first()));
            if order.is_ne() {
                return order;
            }
            // Equal weights here are never those of a digit or the end, so both lose a character.
            left = left.split_first().map_or(left, |(_, rest)| rest);
            right = right.split_first().map_or(right, |(_, rest)| rest);
        }
        let (left_number, left_rest) = split_number(left);
        let (right_number, right_rest) = split_number(right);
        let order =
            left_number.len().cmp(&right_number.len()).then_with(|| left_number.cmp(right_number));
        if order.is_ne() {
            return order;
        }
        left = left_rest;
        right = right_rest;
    }
    Ordering::Equal
}

/// The place of a character among the others; the end and the digits that end a run count as nothing.
fn weight(character: Option<&u8>) -> i32 {
    match character {
        None => 0,
        Some(digit) if digit.is_ascii_digit() => 0,
        Some(b'~') => -1,
        Some(letter) if letter.is_ascii_alphabetic() => i32::from(*letter),
        Some(other) => i32::from(*other) + 256,
    }
}

/// The digits in front, without leading zeros, and the rest.
fn split_number(text: &[u8]) -> (&[u8], &[u8]) {
    let end = text.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(text.len());
    let (mut number, rest) = text.split_at(end);
    while let Some((b'0', significant)) = number.split_first() {
        number = significant;
    }
    (number, rest)
}

impl Ord for DebVersion {
    fn cmp(&self, other: &Self) -> Ordering {
        self.epoch
            .cmp(&other.epoch)
            .then_with(|| compare_part(self.upstream(), other.upstream()))
            .then_with(|| {
                compare_part(self.revision().unwrap_or(""), other.revision().unwrap_or(""))
            })
    }
}

impl PartialOrd for DebVersion {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for DebVersion {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for DebVersion {}

impl fmt::Display for DebVersion {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(text: &str) -> DebVersion {
        DebVersion::parse(text).unwrap()
    }

    #[test]
    fn order() {
        let rising = [
            "0~~",
            "0~~a",
            "0~",
            "0",
            "0a",
            "0+",
            "0.1",
            "1.0~rc1",
            "1.0",
            "1.0-0.1",
            "1.0-1~bpo12+1",
            "1.0-1",
            "1.0-1+b1",
            "1.0-1+deb12u1",
            "1.0-1+deb12u2",
            "1.0-1+deb12u10",
            "1.0a-1",
            "1.2",
            "1.10",
            "1:0",
            "2147483647:0",
        ];
        for (index, left) in rising.iter().enumerate() {
            for (other, right) in rising.iter().enumerate() {
                assert_eq!(version(left).cmp(&version(right)), index.cmp(&other), "{left} {right}");
            }
        }
    }

    #[test]
    fn equal_though_written_differently() {
        for (left, right) in [
            ("1.0", "1.00"),
            ("1.", "1.0"),
            ("1.0", "1.0-0"),
            ("0:1", "1"),
            ("+0:1", "1"),
            ("1.0-1", "1.0-01"),
        ] {
            assert_eq!(version(left), version(right));
            assert_eq!(version(left).to_string(), left);
        }
    }

    #[test]
    fn parts() {
        let parsed = version("1:2:3-4-5+b1");
        assert_eq!(
            (parsed.epoch(), parsed.upstream(), parsed.revision()),
            (1, "2:3-4", Some("5+b1"))
        );
    }

    #[test]
    fn rejected() {
        for (text, message) in [
            ("", "empty version"),
            (":1", "version has an invalid epoch: `:1`"),
            ("a:1", "version has an invalid epoch: `a:1`"),
            ("-1:1", "version has an invalid epoch: `-1:1`"),
            ("2147483648:1", "version has an invalid epoch: `2147483648:1`"),
            ("99999999999999999999:1", "version has an invalid epoch: `99999999999999999999:1`"),
            ("1:", "version has no upstream version: `1:`"),
            ("-1", "version has no upstream version: `-1`"),
            ("1-", "version has an empty revision: `1-`"),
            ("v1", "version does not begin with a digit: `v1`"),
            ("1_2", "version has an invalid character '_': `1_2`"),
            ("1-1:2", "version has an invalid epoch: `1-1:2`"),
            ("1 2", "version has an invalid character ' ': `1 2`"),
            ("1é", "version has an invalid character 'é': `1é`"),
        ] {
            assert_eq!(DebVersion::parse(text).unwrap_err().to_string(), message);
        }
        assert!(DebVersion::parse(&"1".repeat(513)).is_err());
    }

    #[test]
    fn a_database_may_hold_more() {
        assert!(DebVersion::parse_recorded("v1_2").unwrap() > version("1"));
        assert!(DebVersion::parse_recorded("1-").is_err());
        assert!(DebVersion::parse_recorded("1 2").is_err());
    }
}
