//! What passes between the frontend and its agent inside a container.
//!
//! Both are the same binary, so the forms need no versions. The agent reads its task from a JSON
//! file and answers with JSON files in its output mount; a failure is an exit code, because
//! `BuildKit` caches what a successful step wrote.

use serde::{Deserialize, Serialize};

use crate::code::Code;
use crate::package::{Architecture, NamePattern, PackageName};
use crate::repository::rpm::RpmManager;
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
    /// Have rpm list what is installed, where its database's bytes do not tell.
    List,
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
    /// The least versions that will do, one for each numbering; without any the newest.
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
}

/// One package that goes with an upgrade, by the package manager's own rules.
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
    /// That of its source package, where it is known and another.
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
    /// The package is not in the image.
    NotInstalled,
}

/// The fetched files with what they must be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lock {
    /// What is upgraded, or comes as a new dependency.
    pub goal: Vec<PackageName>,
    /// One entry a file, sorted by name.
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
    /// Where it came from, where the package manager tells.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
}

/// Why the agent failed; its words are in the log of the step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AgentFailure {
    /// A repository cannot be reached.
    Unreachable,
    /// A signature or a digest is wrong.
    Untrusted,
    /// The disk is full.
    NoSpace,
    /// The kernel cannot run the image's programs, which are of another architecture.
    Foreign,
    /// The package manager failed.
    PackageManager,
    /// A defect of ours.
    Bug,
}

impl AgentFailure {
    /// (failure, exit code, code for the user, hint).
    const TABLE: &'static [(Self, u8, Code, &'static str)] = &[
        (
            Self::Unreachable,
            71,
            Code::RepositoryUnreachable,
            "the step's log names the repository; it must be reachable from the builder \
             (--network, --add-host and proxies as build arguments are passed on)",
        ),
        (
            Self::Untrusted,
            72,
            Code::RepositoryUntrusted,
            "the step's log names the repository or the package; nothing of it was used, and \
             checks are never switched off",
        ),
        (Self::NoSpace, 73, Code::NoSpace, "free space on the builder: docker builder prune"),
        (
            Self::Foreign,
            75,
            Code::NoEmulation,
            "build on a machine of that platform, or register an emulator with the builder's kernel: \
             docker run --privileged --rm tonistiigi/binfmt --install all",
        ),
        (Self::PackageManager, 74, Code::PackageManager, "the step's log has its words"),
        (Self::Bug, 70, Code::Bug, "please report it with the step's log"),
    ];

    fn row(self) -> Option<&'static (Self, u8, Code, &'static str)> {
        Self::TABLE.iter().find(|(failure, ..)| *failure == self)
    }

    /// The agent's exit code.
    pub fn exit_code(self) -> u8 {
        self.row().map_or(1, |(_, exit_code, ..)| *exit_code)
    }

    /// The failure that an exit code means.
    pub fn from_exit_code(exit_code: i64) -> Option<Self> {
        Self::TABLE
            .iter()
            .find(|(_, known, ..)| i64::from(*known) == exit_code)
            .map(|(failure, ..)| *failure)
    }

    /// Its name for the user.
    pub fn code(self) -> Code {
        self.row().map_or(Code::Bug, |(_, _, code, _)| *code)
    }

    /// What to do about it.
    pub fn hint(self) -> &'static str {
        self.row().map_or("", |(.., hint)| *hint)
    }
}
