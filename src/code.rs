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
            /// Every code with its meaning, in the order of README's table.
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
    /// Nothing says which image to patch.
    NoImage = "no-image",
    /// The image's name is malformed.
    ImageReference = "image-reference",
    /// The image cannot be found or loaded.
    ImageUnavailable = "image-unavailable",
    /// The image is not for the platform asked for.
    ImagePlatform = "image-platform",
    /// An option that does not exist.
    UnknownOption = "unknown-option",
    /// An option's value that means nothing.
    OptionValue = "option-value",
    /// The build file holds something else than comments and `ARG` lines.
    BuildFile = "build-file",
    /// Something that suture does not do yet.
    NotYet = "not-yet",
    /// A build argument that nothing uses.
    UnusedBuildArgument = "unused-build-argument",
    /// No report where `REPORT` points.
    ReportNotFound = "report-not-found",
    /// The report's context cannot be loaded.
    ReportUnavailable = "report-unavailable",
    /// A report that cannot be read: empty, cut off, no text, no JSON, nested too deeply.
    ReportMalformed = "report-malformed",
    /// A report larger than suture reads.
    ReportTooLarge = "report-too-large",
    /// A report of no known format.
    ReportFormat = "report-format",
    /// A report names a package as no package can be named.
    ReportPackageName = "report-package-name",
    /// A report was made for an image of another distribution.
    ReportOtherDistro = "report-other-distro",
    /// A report was made for another image.
    ReportOtherImage = "report-other-image",
    /// The image's configuration cannot be read.
    ImageConfig = "image-config",
    /// The image does not say which distribution it is.
    NoOsRelease = "no-os-release",
    /// The image is of a distribution that suture does not know.
    UnsupportedDistro = "unsupported-distro",
    /// The image's release gets no more security updates.
    EndOfLife = "end-of-life",
    /// The image has no package manager of its own.
    NoPackageManager = "no-package-manager",
    /// The image's package database cannot be read, or says that packages are half-installed.
    PackageDatabase = "package-database",
    /// The image names no package repository.
    NoRepositories = "no-repositories",
    /// A package repository cannot be reached.
    RepositoryUnreachable = "repository-unreachable",
    /// A package repository or a package is not what its owner signed.
    RepositoryUntrusted = "repository-untrusted",
    /// A package repository is signed with a key that the image does not have, or that has expired.
    RepositoryKey = "repository-key",
    /// What a package repository says of itself is no longer valid, or not yet.
    RepositoryExpired = "repository-expired",
    /// The files of a package repository do not fit together, as while a mirror is synchronized.
    RepositoryInconsistent = "repository-inconsistent",
    /// The disk is full.
    NoSpace = "no-space",
    /// The builder's kernel cannot run programs of the image's platform.
    NoEmulation = "no-emulation",
    /// The image's package manager cannot run.
    PackageManagerBroken = "package-manager-broken",
    /// Packages of the image do not fit together as they are.
    BrokenDependencies = "broken-dependencies",
    /// The package manager failed.
    PackageManager = "package-manager",
    /// A fix cannot be reached.
    UnmetFix = "unmet-fix",
    /// A package of `PACKAGES` cannot be upgraded as asked.
    UnmetPackage = "unmet-package",
    /// An upgrade goes to a new major version, because no repository has the fix for the installed one.
    MajorVersion = "major-version",
    /// There is nothing to do and `ON_UP_TO_DATE=fail` is set.
    UpToDate = "up-to-date",
    /// The result is not what was planned.
    Verification = "verification",
    /// The daemon is too old, or set up without something suture needs.
    MissingCapability = "missing-capability",
    /// The daemon refused or failed.
    Engine = "engine",
    /// A defect of suture.
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
