//! Package versions and their order, one scheme per package family.

pub mod apk;
pub mod deb;
pub mod rpm;

use std::cmp::Ordering;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::package::Excerpt;

/// The rules by which a text is read as a version and compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scheme {
    /// apk's: Alpine, Wolfi and their derivatives.
    Apk,
    /// dpkg's: Debian, Ubuntu and their derivatives.
    Deb,
    /// rpm's: Red Hat, SUSE and their derivatives.
    Rpm,
}

impl fmt::Display for Scheme {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Apk => "apk",
            Self::Deb => "deb",
            Self::Rpm => "rpm",
        })
    }
}

/// A version of a known scheme.
///
/// Equal means «neither is newer», which is not the same text: in deb, `1.0` equals `1.00`. Versions of
/// different schemes have no order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Version {
    /// A version of an apk package.
    Apk(apk::ApkVersion),
    /// A version of a dpkg package.
    Deb(deb::DebVersion),
    /// A version of an rpm package.
    Rpm(rpm::RpmVersion),
}

impl Version {
    /// Reads `text` as the scheme's own tool would.
    pub fn parse(scheme: Scheme, text: &str) -> Result<Self, VersionError> {
        match scheme {
            Scheme::Apk => apk::ApkVersion::parse(text).map(Self::Apk),
            Scheme::Deb => deb::DebVersion::parse(text).map(Self::Deb),
            Scheme::Rpm => rpm::RpmVersion::parse(text).map(Self::Rpm),
        }
    }

    /// The scheme whose rules apply.
    pub fn scheme(&self) -> Scheme {
        match self {
            Self::Apk(_) => Scheme::Apk,
            Self::Deb(_) => Scheme::Deb,
            Self::Rpm(_) => Scheme::Rpm,
        }
    }

    /// The text exactly as it was given.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Apk(version) => version.as_str(),
            Self::Deb(version) => version.as_str(),
            Self::Rpm(version) => version.as_str(),
        }
    }

    /// The number that outweighs all else; 0 if there is none, as always in apk.
    pub fn epoch(&self) -> u32 {
        match self {
            Self::Apk(_) => 0,
            Self::Deb(version) => version.epoch(),
            Self::Rpm(version) => version.epoch(),
        }
    }

    /// The text without its epoch.
    pub fn without_epoch(&self) -> &str {
        match self {
            Self::Apk(version) => version.as_str(),
            Self::Deb(version) => version.without_epoch(),
            Self::Rpm(version) => version.without_epoch(),
        }
    }

    /// The same version with this epoch.
    #[must_use]
    pub fn with_epoch(&self, epoch: u32) -> Self {
        if self.epoch() == epoch {
            return self.clone();
        }
        let text = match epoch {
            0 => self.without_epoch().to_owned(),
            _ => format!("{epoch}:{}", self.without_epoch()),
        };
        // apk's versions have no epoch.
        Self::parse(self.scheme(), &text).unwrap_or_else(|_| self.clone())
    }

    /// The same version with this epoch if its text gives none.
    #[must_use]
    pub fn with_default_epoch(&self, epoch: u32) -> Self {
        let has_epoch = self.without_epoch().len() < self.as_str().len();
        if has_epoch { self.clone() } else { self.with_epoch(epoch) }
    }
}

impl PartialOrd for Version {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        match (self, other) {
            (Self::Apk(left), Self::Apk(right)) => Some(left.cmp(right)),
            (Self::Deb(left), Self::Deb(right)) => Some(left.cmp(right)),
            (Self::Rpm(left), Self::Rpm(right)) => Some(left.cmp(right)),
            _ => None,
        }
    }
}

impl fmt::Display for Version {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.as_str())
    }
}

/// Why a text is not a version.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VersionError {
    /// Nothing is there.
    #[error("empty version")]
    Empty,
    /// Longer than any version that exists.
    #[error("version is longer than {limit} characters: {text}")]
    TooLong {
        /// The most that is accepted.
        limit: usize,
        /// Its beginning.
        text: Excerpt,
    },
    /// What is before the colon is not a number that can be an epoch.
    #[error("version has an invalid epoch: {text}")]
    Epoch {
        /// The text.
        text: Excerpt,
    },
    /// Nothing between epoch and revision.
    #[error("version has no upstream version: {text}")]
    NoUpstream {
        /// The text.
        text: Excerpt,
    },
    /// A hyphen, and nothing after it.
    #[error("version has an empty revision: {text}")]
    EmptyRevision {
        /// The text.
        text: Excerpt,
    },
    /// The upstream version begins with something other than a digit.
    #[error("version does not begin with a digit: {text}")]
    Start {
        /// The text.
        text: Excerpt,
    },
    /// Something that the rules do not allow where it stands.
    #[error("version has an invalid part {part}: {text}")]
    Part {
        /// It and what follows.
        part: Excerpt,
        /// The text.
        text: Excerpt,
    },
    /// A character that its place in a version does not allow.
    #[error("version has an invalid character {character:?}: {text}")]
    Character {
        /// The first such character.
        character: char,
        /// The text.
        text: Excerpt,
    },
}
