//! Versions of apk packages: `number{.number}[letter]{_suffix[number]}[~hash][-rnumber]`.
//!
//! Written from apk-package(5) and apk-version(8), checked against the real apk 2.14 (`tests/oracles.rs`).
//! What is not obvious:
//!
//! * `_alpha`, `_beta`, `_pre` and `_rc` are older than nothing; `_cvs`, `_svn`, `_git`, `_hg` and `_p` are
//!   newer: `1_rc1` < `1` < `1_p1`. Where two versions differ, the one whose next part stands further left
//!   in the form above is newer: `1-r5` < `1_p1` < `1a` < `1.0`.
//! * A number after a dot that begins with zeros is a fraction: `1.09` < `1.1`, and more zeros are less:
//!   `1.00` < `1.0`. The first number is not: `01` = `1`.
//! * A number that is missing counts as 0, so apk accepts `1..2`, `1-r` and even `a` as versions.
//! * apk stops at what it does not understand, and calls two versions equal that differ only beyond that.
//!   It says that such a version is invalid, but installs the package.
//! * The commit hash, `1.0~3f2a-r0`, is new in apk 3; apk 2 does not understand it. apk 3 also compares
//!   numbers with leading zeros as text, so that `1.0` < `1.00`; there we follow the order of apk 2.

use std::cmp::Ordering;
use std::fmt;
use std::sync::Arc;

use super::VersionError;
use crate::package::Excerpt;

/// apk has no limit of its own; the longest version in Alpine has under 40 characters.
const LENGTH_LIMIT: usize = 512;

/// A number of this many digits is one that apk does not understand.
const TOO_MANY_DIGITS: usize = 18;

/// The suffixes of versions that are older than the one without them, in their order.
const EARLY_SUFFIXES: [&str; 4] = ["alpha", "beta", "pre", "rc"];

/// The suffixes of versions that are newer than the one without them, in their order.
const LATE_SUFFIXES: [&str; 5] = ["cvs", "svn", "git", "hg", "p"];

/// A version of an apk package, ordered as apk orders. Cheap to clone.
#[derive(Debug, Clone)]
pub struct ApkVersion {
    text: Arc<str>,
}

impl ApkVersion {
    /// Reads a version that `apk version --check` accepts, or one with a commit hash.
    pub fn parse(text: &str) -> Result<Self, VersionError> {
        let version = Self::parse_recorded(text)?;
        let mut parts = Parts::of(text);
        if parts.any(|part| part == Part::Unreadable) {
            let part = Excerpt::of_bytes(parts.rest);
            return Err(VersionError::Part { part, text: Excerpt::of(text) });
        }
        Ok(version)
    }

    /// Reads a version out of apk's own database.
    ///
    /// apk installs packages whose version it does not understand, and compares as far as it does. So
    /// do we; but white space and anything outside ASCII stays an error.
    pub fn parse_recorded(text: &str) -> Result<Self, VersionError> {
        if text.is_empty() {
            return Err(VersionError::Empty);
        }
        if text.len() > LENGTH_LIMIT {
            return Err(VersionError::TooLong { limit: LENGTH_LIMIT, text: Excerpt::of(text) });
        }
        if let Some(character) = text.chars().find(|character| !character.is_ascii_graphic()) {
            return Err(VersionError::Character { character, text: Excerpt::of(text) });
        }
        Ok(Self { text: Arc::from(text) })
    }

    /// The text exactly as it was given.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

/// A part of a version. The order of parts, first by kind and then by value, is that of versions which
/// are equal up to there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Part<'a> {
    /// A suffix that is older than nothing, by its place among those.
    Early(usize),
    /// Nothing more.
    End,
    /// `-r1`.
    Revision(i64),
    /// `~3f2a`.
    Hash(&'a [u8]),
    /// The number after a suffix.
    SuffixNumber(i64),
    /// A suffix that is newer than nothing, by its place among those.
    Late(usize),
    /// A letter.
    Letter(u8),
    /// The first number, or one after leading zeros or after a letter.
    Number(i64),
    /// What follows a dot: a number, or if that begins with a zero how many more zeros there are, negated.
    Fraction(i64),
    /// Something that apk does not understand; what follows does not count.
    Unreadable,
}

/// What comes next in a version, as the part before it and its first character say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Next {
    Number,
    Fraction,
    Letter(u8),
    Suffix,
    SuffixNumber,
    Hash,
    Revision,
    End,
    Unreadable,
}

/// The parts of a version; the last is [`Part::End`] or [`Part::Unreadable`].
struct Parts<'a> {
    /// What has not been taken yet.
    rest: &'a [u8],
    /// What that is; nothing after the last part.
    next: Option<Next>,
}

impl<'a> Parts<'a> {
    fn of(text: &'a str) -> Self {
        Self { rest: text.as_bytes(), next: Some(Next::Number) }
    }

    /// Takes the bytes in front for which `wanted` holds.
    fn take(&mut self, wanted: impl Fn(u8) -> bool) -> &'a [u8] {
        let end = self.rest.iter().position(|byte| !wanted(*byte)).unwrap_or(self.rest.len());
        let (taken, rest) = self.rest.split_at(end);
        self.rest = rest;
        taken
    }

    /// Takes a number; `None` if it is too long.
    fn number(&mut self) -> Option<i64> {
        let digits = self.take(|byte| byte.is_ascii_digit());
        let value = |number: i64, digit: &u8| number * 10 + i64::from(digit - b'0');
        (digits.len() < TOO_MANY_DIGITS).then(|| digits.iter().fold(0, value))
    }

    /// Takes one of the suffixes and says which.
    fn suffix(&mut self, suffixes: &[&str]) -> Option<usize> {
        let mut places = suffixes.iter().enumerate();
        let (place, rest) = places.find_map(|(place, suffix)| {
            Some((place, self.rest.strip_prefix(suffix.as_bytes())?))
        })?;
        self.rest = rest;
        Some(place)
    }

    /// Takes the next part and says what follows it.
    fn part(&mut self, next: Next) -> (Part<'a>, Next) {
        let start = self.rest;
        let (part, is_readable) = match next {
            Next::Fraction if self.rest.starts_with(b"0") => {
                // The last zero is already part of the number.
                let mut zeros = 0;
                while self.rest.starts_with(b"00")
                    && let Some((_, rest)) = self.rest.split_first()
                {
                    self.rest = rest;
                    zeros += 1;
                }
                return (Part::Fraction(-zeros), Next::Number);
            }
            Next::Number => numbered(Part::Number, self.number()),
            Next::Fraction => numbered(Part::Fraction, self.number()),
            Next::SuffixNumber => numbered(Part::SuffixNumber, self.number()),
            Next::Revision => numbered(Part::Revision, self.number()),
            Next::Letter(letter) => (Part::Letter(letter), true),
            // apk reads `1_` as `1_cvs`.
            Next::Suffix if self.rest.is_empty() => (Part::Late(0), true),
            Next::Suffix => {
                if let Some(place) = self.suffix(&EARLY_SUFFIXES) {
                    (Part::Early(place), true)
                } else if let Some(place) = self.suffix(&LATE_SUFFIXES) {
                    (Part::Late(place), true)
                } else {
                    // apk gives an unknown suffix the place of the last of these.
                    (Part::Early(EARLY_SUFFIXES.len() - 1), false)
                }
            }
            Next::Hash => (Part::Hash(self.take(is_hash_digit)), true),
            Next::End => (Part::End, true),
            Next::Unreadable => (Part::Unreadable, false),
        };
        if is_readable {
            (part, self.after(next))
        } else {
            self.rest = start;
            (part, Next::Unreadable)
        }
    }

    /// What follows a part that has been taken; its mark is taken too.
    fn after(&mut self, last: Next) -> Next {
        use Next::{Fraction, Hash, Letter, Number, Revision, Suffix, SuffixNumber};
        let (next, rest) = match (last, self.rest) {
            (_, []) => return Next::End,
            (Number | Fraction, [letter @ b'a'..=b'z', rest @ ..]) => (Letter(*letter), rest),
            (Number | Fraction, [b'.', rest @ ..]) => (Fraction, rest),
            (Letter(_), [b'0'..=b'9', ..]) => (Number, self.rest),
            (Suffix, [b'0'..=b'9', ..]) => (SuffixNumber, self.rest),
            (_, [b'-', b'r', rest @ ..]) => (Revision, rest),
            (Hash | Revision, _) => (Next::Unreadable, self.rest),
            (_, [b'_', rest @ ..]) => (Suffix, rest),
            (_, [b'~', rest @ ..]) if rest.first().copied().is_some_and(is_hash_digit) => {
                (Hash, rest)
            }
            _ => (Next::Unreadable, self.rest),
        };
        self.rest = rest;
        next
    }
}

/// A part with a number in it, and whether apk can read that.
fn numbered<'a>(part: fn(i64) -> Part<'a>, number: Option<i64>) -> (Part<'a>, bool) {
    // In apk, a number too long is less than every number.
    (part(number.unwrap_or(-1)), number.is_some())
}

fn is_hash_digit(byte: u8) -> bool {
    matches!(byte, b'0'..=b'9' | b'a'..=b'f')
}

impl<'a> Iterator for Parts<'a> {
    type Item = Part<'a>;

    fn next(&mut self) -> Option<Part<'a>> {
        let (part, next) = self.part(self.next?);
        let is_last = matches!(part, Part::End | Part::Unreadable);
        self.next = (!is_last).then_some(next);
        Some(part)
    }
}

impl Ord for ApkVersion {
    fn cmp(&self, other: &Self) -> Ordering {
        Parts::of(self.as_str()).cmp(Parts::of(other.as_str()))
    }
}

impl PartialOrd for ApkVersion {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for ApkVersion {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for ApkVersion {}

impl fmt::Display for ApkVersion {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(text: &str) -> ApkVersion {
        ApkVersion::parse(text).unwrap()
    }

    #[test]
    fn order() {
        let rising = [
            "1_alpha",
            "1_alpha2",
            "1_alpha10",
            "1_beta",
            "1_pre",
            "1_rc1_p1-r0",
            "1",
            "1-r0",
            "1-r2",
            "1-r10",
            "1~0a1-r0",
            "1~0a1-r1",
            "1~0a2-r0",
            "1_git20260101",
            "1_git20260101~0a1",
            "1_p1",
            "1_p1-r1",
            "1_p10",
            "1a",
            "1a_p1",
            "1b",
            "1.00",
            "1.0",
            "1.0-r1",
            "1.01",
            "1.09",
            "1.1_rc1",
            "1.1",
            "1.1.1",
            "1.10",
            "2",
            "20240705-r0",
        ];
        for (index, left) in rising.iter().enumerate() {
            for (other, right) in rising.iter().enumerate() {
                assert_eq!(version(left).cmp(&version(right)), index.cmp(&other), "{left} {right}");
            }
        }
    }

    #[test]
    fn equal_though_written_differently() {
        for (left, right) in [("01", "1"), ("1-r01", "1-r1"), ("1_", "1_cvs"), ("1-r", "1-r0")] {
            assert_eq!(version(left), version(right));
            assert_eq!(version(left).to_string(), left);
        }
    }

    #[test]
    fn rejected() {
        for (text, message) in [
            ("", "empty version"),
            ("1.0_foo1", "version has an invalid part `foo1`: `1.0_foo1`"),
            ("1.0-1", "version has an invalid part `-1`: `1.0-1`"),
            ("1ab", "version has an invalid part `b`: `1ab`"),
            ("v.0", "version has an invalid part `.0`: `v.0`"),
            ("1~xyz", "version has an invalid part `~xyz`: `1~xyz`"),
            ("1~a~b", "version has an invalid part `~b`: `1~a~b`"),
            ("1:2", "version has an invalid part `:2`: `1:2`"),
            ("1.a-r0_p", "version has an invalid part `_p`: `1.a-r0_p`"),
            (
                "123456789012345678",
                "version has an invalid part `123456789012345678`: `123456789012345678`",
            ),
            ("1 2", "version has an invalid character ' ': `1 2`"),
            ("1é", "version has an invalid character 'é': `1é`"),
        ] {
            assert_eq!(ApkVersion::parse(text).unwrap_err().to_string(), message);
        }
        assert!(ApkVersion::parse(&"1".repeat(513)).is_err());
    }

    #[test]
    fn a_database_may_hold_more() {
        assert!(ApkVersion::parse_recorded("1.0-beta1").unwrap() > version("1.0"));
        assert!(ApkVersion::parse_recorded("1 2").is_err());
        assert!(ApkVersion::parse_recorded("").is_err());
    }
}
