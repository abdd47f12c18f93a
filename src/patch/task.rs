//! What passes between the frontend and its agent inside a container.
//!
//! Both are the same binary, so the forms need no versions. The agent reads its task from a JSON
//! file and answers with JSON files in its output mount; a failure is an exit code, because
//! `BuildKit` caches what a successful step wrote.

use serde::{Deserialize, Serialize};

use crate::code::Code;
use crate::package::{Architecture, NamePattern, PackageName};
use crate::pkgdb::{Database, InstalledPackage};
use crate::repository::rpm::RpmManager;
use crate::request::OnUnreachable;
use crate::threshold::Threshold;
use crate::version::Version;

/// Where everything of ours is mounted.
///
/// `/dev` is a file system of its own in every container, so no mount point is left behind in the
/// image.
pub mod path {
    /// The frontend's image, for its binary.
    pub const AGENT: &str = "/dev/.suture/agent";
    /// The binary.
    pub const BINARY: &str = "/dev/.suture/agent/suture";
    /// The task's folder.
    pub const TASK: &str = "/dev/.suture/task";
    /// The task's file in its tree.
    pub const TASK_FILE: &str = "/task.json";
    /// Space for the agent, thrown away.
    pub const WORK: &str = "/dev/.suture/work";
    /// What fetch hands out.
    pub const OUT: &str = "/dev/.suture/out";
    /// The fetched files in fetch's output.
    pub const FILES_IN_OUT: &str = "/files";
    /// The outcome in fetch's output.
    pub const OUTCOME_IN_OUT: &str = "/outcome.json";
    /// The list of what is installed.
    pub const LIST_IN_OUT: &str = "/packages";
    /// The lock, beside the fetched files.
    pub const LOCK: &str = "lock.json";
    /// The fetched files, in apply.
    pub const FILES: &str = "/dev/.suture/files";
    /// The image before the upgrade, in apply.
    pub const BASE: &str = "/dev/.suture/base";
    /// The notes of failed steps, by key.
    pub const NOTES: &str = "/dev/.suture/notes";
    /// The variable with the key of a step's note.
    pub const NOTE_VARIABLE: &str = "SUTURE_NOTE";
    /// A note in the output of the step that hands it out.
    pub const NOTE_IN_OUT: &str = "/note.json";
    /// Packages that earlier fetches downloaded, by digest.
    pub const CACHE: &str = "/dev/.suture/cache";
}

/// What the agent is to do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Task {
    /// Resolve, download, check.
    Fetch(FetchTask),
    /// Upgrade from fetched files.
    Apply(ApplyTask),
    /// Have rpm list what is installed, if its database's bytes do not tell.
    List,
    /// Hand out the note that a failed step left.
    Tell {
        /// Its key.
        note: String,
        /// The time of the build, which distinguishes the step from an earlier build's: an order to ignore what is
        /// cached would throw the notes away too (`solver/llbsolver/vertex.go`, `detectPrunedCacheID`).
        at: String,
    },
}

/// The package manager that does the work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Manager {
    /// apk.
    Apk,
    /// apt and dpkg.
    Apt,
    /// rpm and what resolves and downloads for it.
    Rpm(RpmManager),
}

impl Manager {
    /// Its name in messages.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Apk => "apk",
            Self::Apt => "apt",
            Self::Rpm(manager) => manager.as_str(),
        }
    }
}

/// Resolve, download, check.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FetchTask {
    /// With what.
    pub manager: Manager,
    /// What to upgrade.
    pub targets: Targets,
    /// What not to touch.
    pub exclude: Vec<NamePattern>,
    /// What to do about repositories that cannot be used.
    pub on_unreachable: OnUnreachable,
    /// Choices of repositories, the cheapest first; the next is asked only when a target is not
    /// reached. The last is the image's own configuration.
    pub repositories: Vec<Repositories>,
}

/// What to upgrade.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Targets {
    /// All that has a newer version.
    Everything,
    /// These.
    Listed(Vec<Target>),
}

/// One package to upgrade.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Target {
    /// Its name.
    pub name: PackageName,
    /// Its architecture, as the package database has it.
    pub architecture: Architecture,
    /// The lowest versions that will do, one for each numbering; without any, the newest.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub at_least: Vec<Threshold>,
}

impl Target {
    /// Whether a package of this version, from a source of that one, will do.
    pub fn is_met(&self, version: &Version, source: &Version) -> bool {
        self.at_least.iter().all(|threshold| threshold.is_met(version, source))
    }

    /// Why it is not reached when these are the newest versions of the package and of its source.
    pub fn no_candidate(&self, version: &Version, source: &Version) -> UnmetReason {
        let by_source = self.at_least.iter().find_map(|threshold| threshold.source.as_ref());
        UnmetReason::NoCandidate {
            newest: match by_source {
                Some(name) => format!("{version}, from {name} {source}"),
                None => version.to_string(),
            },
        }
    }
}

/// A choice of repositories.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Repositories {
    /// As the image is set up.
    Configured,
    /// These configuration files instead: (file name, content).
    Files(Vec<(String, String)>),
}

/// Upgrade from fetched files.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApplyTask {
    /// With what.
    pub manager: Manager,
    /// Latest modification time that anything new may have, in seconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_date_epoch: Option<i64>,
}

/// What fetch found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FetchOutcome {
    /// When, in seconds since 1970.
    pub at: i64,
    /// What was downloaded: the upgrades with what they need.
    pub upgrades: Vec<Upgrade>,
    /// Packages that go, because upgrades replace them or nothing needs them any more.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub removed: Vec<Removed>,
    /// Packages of which fewer versions are left than there were.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fewer: Vec<Removed>,
    /// Targets that were not reached.
    pub unmet: Vec<Unmet>,
    /// Packages of the image that do not fit together with the others, and are left as they are.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub misfits: Vec<Misfit>,
    /// Repositories that could not be used.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub skipped: Vec<Skipped>,
}

/// A package of the image that lacks what it needs, or that conflicts with what is there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Misfit {
    /// Its name.
    pub name: PackageName,
    /// What is wrong, following the name: `needs logsave, which is not installed`.
    pub because: String,
}

/// A repository that could not be used, and that the user continues without.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Skipped {
    /// Its address, or its name.
    pub repository: String,
    /// The kind of failure.
    pub failure: AgentFailure,
    /// The package manager's words.
    pub reason: String,
}

impl FetchOutcome {
    /// What an installed package becomes, perhaps for another architecture.
    pub fn upgrade_of(&self, package: &InstalledPackage) -> Option<&Upgrade> {
        let upgrades = || self.upgrades.iter().filter(|upgrade| upgrade.name == package.name);
        upgrades().find(|upgrade| upgrade.architecture == package.architecture).or_else(|| {
            upgrades().find(|upgrade| upgrade.from.as_deref() == Some(package.version.as_str()))
        })
    }

    /// The versions that a package and its source will have; nothing for one that is not installed.
    pub fn reached(
        &self,
        installed: &Database,
        name: &PackageName,
        architecture: &Architecture,
    ) -> Option<(Version, Version)> {
        let package = installed.get(name, architecture)?;
        let Some(upgrade) = self.upgrade_of(package) else {
            return Some((package.version.clone(), package.source.version.clone()));
        };
        let parse = |text| Version::parse(package.version.scheme(), text).ok();
        Some((parse(&upgrade.to)?, parse(upgrade.source.as_ref().unwrap_or(&upgrade.to))?))
    }
}

/// One package that is removed with an upgrade, by the package manager's own rules.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Removed {
    /// Its name.
    pub name: PackageName,
    /// Its architecture.
    pub architecture: Architecture,
}

/// One package that gets another version.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Upgrade {
    /// Its name.
    pub name: PackageName,
    /// Its architecture.
    pub architecture: Architecture,
    /// The version in the image; none for a new dependency.
    pub from: Option<String>,
    /// The version to come.
    pub to: String,
    /// That of its source package, if it is known and different.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
}

/// A target that was not reached.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unmet {
    /// Its name.
    pub name: PackageName,
    /// Its architecture.
    pub architecture: Architecture,
    /// Why.
    pub reason: UnmetReason,
}

/// Why a target was not reached.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UnmetReason {
    /// No repository has a version that will do.
    NoCandidate {
        /// The best there is.
        newest: String,
    },
    /// The image's author holds the package.
    Held,
    /// Other packages would have to go.
    Removal {
        /// Which.
        of: Vec<PackageName>,
    },
    /// The package manager finds no solution.
    Unsolvable {
        /// Its words.
        because: String,
    },
    /// The package does not fit together with the others as it is.
    Misfit {
        /// What is wrong, following its name.
        because: String,
    },
    /// The package is not in the image.
    NotInstalled,
    /// The package manager would go back to an older version, which the image's author prefers.
    Downgrade {
        /// Which.
        to: String,
    },
}

/// The fetched files with what they must be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lock {
    /// What is upgraded, or comes as a new dependency.
    pub goal: Vec<PackageName>,
    /// One entry per file, sorted by name.
    pub packages: Vec<LockedPackage>,
}

/// One fetched file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LockedPackage {
    /// Name of the package.
    pub name: PackageName,
    /// Its architecture.
    pub architecture: Architecture,
    /// Its version.
    pub version: String,
    /// Name of the file.
    pub file: String,
    /// Digest of the file: with apt the one in the signed index, else of what the package manager has
    /// downloaded and checked.
    pub digest: crate::digest::Digest,
    /// Where it came from, if the package manager says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
}

/// Why a step failed, in the agent's words: a failed step hands nothing out, but what it has written to a
/// cache stays.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Note {
    /// The kind of failure.
    pub failure: AgentFailure,
    /// One line for the user.
    pub message: String,
}

/// Why the agent failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AgentFailure {
    /// A repository cannot be reached.
    Unreachable,
    /// A signature or a digest is wrong.
    Untrusted,
    /// A repository is signed with a key that the image does not have, or that has expired.
    Key,
    /// What a repository says about itself is too old, or from the future.
    Expired,
    /// The files of a repository do not fit together.
    Inconsistent,
    /// The disk is full.
    NoSpace,
    /// The kernel cannot run the image's programs, which are of another architecture.
    Foreign,
    /// The package manager cannot run.
    Broken,
    /// Packages of the image do not fit together.
    Dependencies,
    /// The package manager failed.
    PackageManager,
    /// A defect of ours.
    Bug,
}

/// What is known of a kind of failure.
struct Row {
    failure: AgentFailure,
    exit_code: u8,
    code: Code,
    what: &'static str,
    hint: &'static str,
}

impl AgentFailure {
    const TABLE: &'static [Row] = &[
        Row {
            failure: Self::Unreachable,
            exit_code: 71,
            code: Code::RepositoryUnreachable,
            what: "a package repository cannot be reached",
            hint: "the builder must be able to reach it (see --network, --add-host and proxies as build \
                   arguments), or set ON_UNREACHABLE=warn to continue without it",
        },
        Row {
            failure: Self::Untrusted,
            exit_code: 72,
            code: Code::RepositoryUntrusted,
            what: "a package repository or a package cannot be trusted",
            hint: "nothing of it was used, and checks are never switched off",
        },
        Row {
            failure: Self::Key,
            exit_code: 77,
            code: Code::RepositoryKey,
            what: "a package repository is signed with a key that is expired or unknown to the image",
            hint: "add the repository's current key to the image's keyring; its vendor usually ships one in a \
                   keyring package",
        },
        Row {
            failure: Self::Expired,
            exit_code: 78,
            code: Code::RepositoryExpired,
            what: "a package repository is out of date",
            hint: "the index is signed, but no longer or not yet valid: the repository is not maintained, or the \
                   builder's clock is wrong",
        },
        Row {
            failure: Self::Inconsistent,
            exit_code: 79,
            code: Code::RepositoryInconsistent,
            what: "a package repository is inconsistent",
            hint: "its files do not match its signed index, for instance while a mirror is being synchronized: try \
                   again later, or use another mirror",
        },
        Row {
            failure: Self::NoSpace,
            exit_code: 73,
            code: Code::NoSpace,
            what: "the disk is full",
            hint: "free space on the builder: docker builder prune",
        },
        Row {
            failure: Self::Foreign,
            exit_code: 75,
            code: Code::NoEmulation,
            what: "the builder cannot run programs of the image's platform",
            hint: "build on a machine of that platform, or register an emulator with the builder's \
                   kernel: docker run --privileged --rm tonistiigi/binfmt --install all",
        },
        Row {
            failure: Self::Broken,
            exit_code: 76,
            code: Code::PackageManagerBroken,
            what: "the image's package manager cannot run",
            hint: "run it in the image to see: docker run --user root",
        },
        Row {
            failure: Self::Dependencies,
            exit_code: 80,
            code: Code::BrokenDependencies,
            what: "dependencies of packages in the image are broken",
            hint: "repair them in the image's own build, or name only packages whose dependencies are met",
        },
        Row {
            failure: Self::PackageManager,
            exit_code: 74,
            code: Code::PackageManager,
            what: "the package manager failed",
            hint: "the step's log has the full output",
        },
        Row {
            failure: Self::Bug,
            exit_code: 70,
            code: Code::Bug,
            what: "something went wrong in suture",
            hint: "please report it with the step's log",
        },
    ];

    fn row(self) -> Option<&'static Row> {
        Self::TABLE.iter().find(|row| row.failure == self)
    }

    /// The agent's exit code.
    pub fn exit_code(self) -> u8 {
        self.row().map_or(1, |row| row.exit_code)
    }

    /// The failure that an exit code means.
    pub fn from_exit_code(exit_code: i64) -> Option<Self> {
        let row = Self::TABLE.iter().find(|row| i64::from(row.exit_code) == exit_code)?;
        Some(row.failure)
    }

    /// Whether a build may continue without a repository after this failure: nothing suggests an attack.
    pub fn can_be_skipped(self) -> bool {
        matches!(self, Self::Unreachable | Self::Key | Self::Expired | Self::Inconsistent)
    }

    /// Its name for the user.
    pub fn code(self) -> Code {
        self.row().map_or(Code::Bug, |row| row.code)
    }

    /// What has happened, in general.
    pub fn what(self) -> &'static str {
        self.row().map_or("", |row| row.what)
    }

    /// What to do about it.
    pub fn hint(self) -> &'static str {
        self.row().map_or("", |row| row.hint)
    }
}
