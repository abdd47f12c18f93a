//! What the user asks for.
//!
//! Two levels: [`environment`] and [`build_file`] say exactly what was given, [`Request`] is that
//! resolved and checked. All mistakes are reported at once.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::code::Code;
use crate::llb::Caching;
use crate::llb::exec::{Network, Sandbox};
use crate::llb::source::ResolveMode;
use crate::package::{NamePattern, PackageName};
use crate::platform::Platform;
use crate::reference::ImageReference;
use crate::report::ReportFormat;

pub mod build_file;
pub mod context;
pub mod environment;
pub mod option;
mod reader;

pub use reader::{cache_imports, understand};

use context::Context;

/// Everything a build was asked to do.
#[derive(Clone, Debug)]
pub struct Request {
    /// The image to patch.
    pub image: ImageInput,
    /// What to upgrade.
    pub wanted: Wanted,
    /// What never to touch.
    pub exclude: Vec<NamePattern>,
    /// What to do when a fix cannot be reached.
    pub on_unmet: OnUnmet,
    /// What to do when a repository cannot be used.
    pub on_unreachable: OnUnreachable,
    /// What to do when there is nothing to do.
    pub on_up_to_date: OnUpToDate,
    /// What to do when the release is past its end of life.
    pub on_end_of_life: OnEndOfLife,
    /// When cached work counts as stale.
    pub refresh: Refresh,
    /// Seconds since 1970 that everything new gets as its time.
    pub source_date_epoch: Option<i64>,
    /// What to patch the image for; `None` is the daemon's own platform.
    pub platform: Option<Platform>,
    /// Where images are looked for.
    pub resolve_mode: ResolveMode,
    /// `--no-cache`.
    pub caching: Caching,
    /// `--network`, for the step that has one.
    pub network: Network,
    /// What every container gets.
    pub sandbox: Sandbox,
    /// Labels for the result (`--label`).
    pub labels: BTreeMap<String, String>,
    /// Prefix of the names of cache mounts (`BUILDKIT_CACHE_MOUNT_NS`).
    pub cache_namespace: Option<String>,
}

/// Where the image to patch comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ImageInput {
    /// A name, from `IMAGE` or from a named context.
    Named(ImageReference),
    /// A named context of another kind.
    Context(Context),
}

/// What to upgrade.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// All that the distro offers.
    Everything,
    /// What these say, together.
    Listed {
        /// Reports.
        reports: Option<ReportLocation>,
        /// Packages by name.
        packages: Vec<WantedPackage>,
    },
}

/// A package that the user named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WantedPackage {
    /// Its name.
    pub name: PackageName,
    /// The least version that will do; `None` is the newest there is.
    pub version: Option<String>,
}

/// Where reports are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReportLocation {
    /// The tree; `None` is the main context.
    pub context: Option<Context>,
    /// File, directory or glob in it, relative; `.` is all of it.
    pub path: String,
    /// What to expect.
    pub format: ReportFormat,
}

/// A fix cannot be reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnUnmet {
    /// The build fails.
    Fail,
    /// The build goes on with a warning.
    Warn,
}

/// A repository does not answer, or its key or its index is out of date.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnUnreachable {
    /// The build fails.
    Fail,
    /// The build goes on with the others, and a warning.
    Warn,
}

/// There is nothing to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnUpToDate {
    /// The original image is the result.
    Keep,
    /// The build fails.
    Fail,
}

/// The distro's release is past its end of life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnEndOfLife {
    /// Say so.
    Warn,
    /// The build fails.
    Fail,
    /// Say nothing.
    Ignore,
}

/// When cached work counts as stale.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refresh {
    /// When the repositories have changed, if that matters for what is asked.
    Auto,
    /// In every build.
    Always,
    /// Never.
    Never,
    /// When this text changes.
    Key(String),
}

/// Where cached results may be imported from (`--cache-from`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CacheImport {
    /// Such as `registry`.
    pub kind: String,
    /// Such as `ref`.
    pub attributes: BTreeMap<String, String>,
}

/// One mistake of the user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// What kind.
    pub code: Code,
    /// What is wrong, naming the value.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
    /// Line of the build file, if it is there.
    pub line: Option<usize>,
}

/// A request that was understood, and what the user should know about it.
#[derive(Clone, Debug)]
pub struct Understood {
    /// The request.
    pub request: Request,
    /// Things that did not stop it.
    pub notices: Vec<Problem>,
}
