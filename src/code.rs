//! Stable names of failures and warnings: users search for them, scripts match on them.

use std::fmt;

macro_rules! codes {
    ($($(#[doc = $doc:literal])+ $name:ident = $text:literal,)+) => {
        /// What went wrong, or what the user should know.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Code {
            $($(#[doc = $doc])+ $name,)+
        }

        impl Code {
            /// Every code with its meaning, in the order of `docs/codes.md`.
            pub const TABLE: &'static [(Self, &'static str)] =
                &[$((Self::$name, concat!($($doc),+)),)+];

            /// The name as the user sees it.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)+
                }
            }
        }
    };
}

codes! {
    /// No image to patch is given.
    NoImage = "no-image",
    /// The image's name is malformed.
    ImageReference = "image-reference",
    /// The image cannot be found or loaded.
    ImageUnavailable = "image-unavailable",
    /// The image is not for the requested platform.
    ImagePlatform = "image-platform",
    /// There is no such option.
    UnknownOption = "unknown-option",
    /// The value of an option is invalid.
    OptionValue = "option-value",
    /// The build file contains something other than comments and `ARG` lines.
    BuildFile = "build-file",
    /// The Dockerfile cannot be built.
    Dockerfile = "dockerfile",
    /// Not supported yet.
    NotYet = "not-yet",
    /// An option is given in two spellings.
    SameOptionTwice = "same-option-twice",
    /// The image is named by a tag, without a digest.
    MovingTag = "moving-tag",
    /// An option has no effect.
    NoEffect = "no-effect",
    /// A build argument is not used.
    UnusedBuildArgument = "unused-build-argument",
    /// There is no report where `REPORT` points.
    ReportNotFound = "report-not-found",
    /// The report's context cannot be loaded.
    ReportUnavailable = "report-unavailable",
    /// A report cannot be parsed: it is empty, truncated, not text, not JSON, or nested too deeply.
    ReportMalformed = "report-malformed",
    /// A report exceeds the size limit.
    ReportTooLarge = "report-too-large",
    /// The format of a report is unknown.
    ReportFormat = "report-format",
    /// A report contains an invalid package name.
    ReportPackageName = "report-package-name",
    /// A report is for an image of another distribution.
    ReportOtherDistro = "report-other-distro",
    /// A report is for another image.
    ReportOtherImage = "report-other-image",
    /// The image's configuration cannot be parsed.
    ImageConfig = "image-config",
    /// The image does not identify its distribution.
    NoOsRelease = "no-os-release",
    /// The image's distribution is not supported.
    UnsupportedDistro = "unsupported-distro",
    /// The image's release no longer receives security updates.
    EndOfLife = "end-of-life",
    /// The image has no package manager of its own.
    NoPackageManager = "no-package-manager",
    /// The image's package database cannot be read, or an installation in it was interrupted.
    PackageDatabase = "package-database",
    /// The image has no package repositories configured.
    NoRepositories = "no-repositories",
    /// A package repository cannot be reached.
    RepositoryUnreachable = "repository-unreachable",
    /// The signature or the checksum of a package or a repository is wrong.
    RepositoryUntrusted = "repository-untrusted",
    /// A package repository is signed with a key that is expired or that the image does not have.
    RepositoryKey = "repository-key",
    /// The index of a package repository is no longer valid, or not valid yet.
    RepositoryExpired = "repository-expired",
    /// The files of a package repository are inconsistent, for instance while a mirror is being synchronized.
    RepositoryInconsistent = "repository-inconsistent",
    /// The disk is full.
    NoSpace = "no-space",
    /// The builder's kernel cannot run programs of the image's platform.
    NoEmulation = "no-emulation",
    /// The image's package manager cannot run.
    PackageManagerBroken = "package-manager-broken",
    /// Dependencies of packages in the image are broken.
    BrokenDependencies = "broken-dependencies",
    /// The package manager failed.
    PackageManager = "package-manager",
    /// A fix is not available.
    UnmetFix = "unmet-fix",
    /// A package in `PACKAGES` cannot be upgraded as requested.
    UnmetPackage = "unmet-package",
    /// An upgrade is to a new major version, because no repository has the fix for the installed one.
    MajorVersion = "major-version",
    /// There is nothing to do and `ON_UP_TO_DATE=fail` is set.
    UpToDate = "up-to-date",
    /// The result differs from the plan.
    Verification = "verification",
    /// The daemon is too old, or lacks a capability that suture needs.
    MissingCapability = "missing-capability",
    /// The daemon returned an error.
    Engine = "engine",
    /// A bug in suture.
    Bug = "bug",
}

impl fmt::Display for Code {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_kebab_case() {
        let names: std::collections::BTreeSet<&str> =
            Code::TABLE.iter().map(|(code, _)| code.as_str()).collect();
        assert_eq!(names.len(), Code::TABLE.len());
        for name in names {
            assert!(name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-'), "{name}");
        }
    }
}
