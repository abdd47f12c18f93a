//! What the user asks for.
//!
//! Two levels: [`environment`] and [`build_file`] say exactly what was given, [`Request`] is that
//! resolved and checked. All mistakes are reported at once.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::code::Code;
use crate::image::ImageConfig;
use crate::llb::Caching;
use crate::llb::exec::{Network, Sandbox};
use crate::llb::source::{OciLayout, ResolveMode};
use crate::package::{NamePattern, PackageName};
use crate::platform::Platform;
use crate::reference::ImageReference;
use crate::report::ReportFormat;

pub mod build_file;
pub mod context;
pub mod environment;
pub mod lint;
pub mod option;
mod reader;

pub use reader::{cache_imports, nested_build, understand};

use context::Context;

/// Everything a build was asked to do.
#[derive(Clone, Debug)]
pub struct Request {
    /// Where the image to patch comes from.
    pub origin: Origins,
    /// What to return.
    pub target: Target,
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
    /// What to do with an image that cannot be patched.
    pub on_unsupported: OnUnsupported,
    /// When cached work counts as stale.
    pub refresh: Refresh,
    /// The time that everything new gets.
    pub source_date_epoch: SourceDateEpoch,
    /// What to patch the image for.
    pub platforms: Platforms,
    /// Whether the result is an index even if it has one platform.
    pub always_index: bool,
    /// Where images are looked for.
    pub resolve_mode: ResolveMode,
    /// `--no-cache`, `--no-cache-filter`.
    pub caching: StepCaching,
    /// `--network`, for the step that has one.
    pub network: Network,
    /// What every container gets.
    pub sandbox: Sandbox,
    /// Labels for the result (`--label`).
    pub labels: BTreeMap<String, String>,
    /// Prefix of the names of cache mounts (`BUILDKIT_CACHE_MOUNT_NS`).
    pub cache_namespace: Option<String>,
}

impl Request {
    /// The same request with the time of its build context, if that was asked for.
    #[must_use]
    pub fn made_at(mut self, seconds: Option<i64>) -> Self {
        self.source_date_epoch = seconds.map_or(SourceDateEpoch::Unset, SourceDateEpoch::Seconds);
        if let Some(Origin::Dockerfile(nested)) = &mut self.origin.general {
            let key = "build-arg:SOURCE_DATE_EPOCH".to_owned();
            match seconds {
                Some(seconds) => nested.options.insert(key, seconds.to_string()),
                None => nested.options.remove(&key),
            };
        }
        self
    }

    /// The time, in seconds since 1970, that everything new in an image gets, if one is requested.
    pub fn epoch_of(&self, config: &ImageConfig) -> Option<i64> {
        match self.source_date_epoch {
            SourceDateEpoch::Unset | SourceDateEpoch::Context => None,
            SourceDateEpoch::Seconds(seconds) => Some(seconds),
            SourceDateEpoch::Image => config.created().map(Timestamp::as_second),
        }
    }
}

/// Where an image to patch comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A name, from `IMAGE` or from a named context.
    Named(ImageReference),
    /// A layout of the client.
    OciLayout(OciLayout),
    /// A tree that the client had built.
    Input {
        /// Its name.
        name: String,
        /// Its image configuration.
        config: Option<Vec<u8>>,
    },
    /// What the build file builds.
    Dockerfile(NestedBuild),
}

/// The origins of a build's images.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origins {
    /// The one for every platform that has none of its own.
    pub general: Option<Origin>,
    /// Those that a named context gives for single platforms.
    pub by_platform: BTreeMap<Platform, Origin>,
}

impl Origins {
    /// The origin of the image for this platform.
    pub fn of(&self, platform: &Platform) -> Option<&Origin> {
        self.by_platform.get(platform).or(self.general.as_ref())
    }
}

/// The build, by another frontend, of the Dockerfile that is the build file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NestedBuild {
    /// The frontend's name in the daemon: `dockerfile.v0`, or `gateway.v0` for one that is an image.
    pub frontend: &'static str,
    /// Its options.
    pub options: BTreeMap<String, String>,
}

/// What a build is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Platforms {
    /// The daemon's own platform, or the one that a named image has.
    Own,
    /// These, in the order given; never empty.
    Listed(Vec<Platform>),
    /// Every platform of the image's index.
    All,
}

/// What a build returns (`--target`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// The patched image.
    Image,
    /// What was done, as files.
    Report,
    /// What would be done, as files.
    Plan,
    /// The files of the patch's layer.
    Layer,
    /// Nothing: the user only wants to know what is wrong (`--call=check`).
    Check,
}

impl Target {
    /// Whether it only tells what would be done: then nothing that is amiss fails the build.
    pub fn is_question(self) -> bool {
        matches!(self, Self::Plan | Self::Check)
    }

    /// Every target that has a name, with its meaning.
    pub const TABLE: &'static [(Self, &'static str, &'static str)] = &[
        (Self::Image, "image", "the patched image"),
        (Self::Report, "report", "what was done: patch.json and summary.md"),
        (Self::Plan, "plan", "what would be done, with nothing changed: patch.json and summary.md"),
        (Self::Layer, "layer", "the files of the patch layer alone"),
    ];

    /// The target of this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::TABLE.iter().find(|(_, known, _)| *known == name).map(|(target, ..)| *target)
    }
}

/// Whose cached results may be used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StepCaching {
    /// Those of fetch.
    pub fetch: Caching,
    /// Those of apply.
    pub apply: Caching,
}

/// The time that everything new gets (`SOURCE_DATE_EPOCH`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SourceDateEpoch {
    /// The time of the build.
    Unset,
    /// Seconds since 1970.
    Seconds(i64),
    /// When the original image was made.
    Image,
    /// When the build context was made: the commit's time, or what a web server says.
    Context,
}

/// What to upgrade.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// All that the distro offers.
    Everything,
    /// What these say, together.
    Listed {
        /// Reports.
        reports: Vec<ReportLocation>,
        /// Packages by name.
        packages: Vec<WantedPackage>,
    },
}

/// A package that the user named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WantedPackage {
    /// Its name.
    pub name: PackageName,
    /// The lowest version that will do; `None` is the newest there is.
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
    /// The platform that they are about, where a named context is given for one.
    pub platform: Option<Platform>,
}

/// A fix cannot be reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnUnmet {
    /// The build fails.
    Fail,
    /// The build continues with a warning.
    Warn,
}

/// A repository does not answer, or its key or its index is out of date.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnUnreachable {
    /// The build fails.
    Fail,
    /// The build continues with the others, and a warning.
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

/// An image has no packages, or is of a distribution that we do not know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnUnsupported {
    /// The build fails.
    Fail,
    /// It comes back as it was, with a warning.
    Keep,
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

impl Problem {
    /// A problem with nothing to be done about it, and of no line in particular.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), hint: None, line: None }
    }
}

/// A request that was understood, and what the user should know about it.
#[derive(Clone, Debug)]
pub struct Understood {
    /// The request.
    pub request: Request,
    /// Things that did not stop it.
    pub notices: Vec<Problem>,
}
