//! The daemon, as a frontend sees it.
//!
//! [`Gateway`] is the one trait of the crate: tests answer it from folders, [`stdio`] from the
//! daemon that started the process.

use std::collections::BTreeMap;

use bytes::Bytes;

use crate::digest::Digest;
use crate::llb::Output;
use crate::llb::capability::{Capabilities, MissingCapability};
use crate::llb::source::{OciLayout, ResolveMode};
use crate::platform::Platform;
use crate::reference::ImageReference;
use crate::request::NestedBuild;
use crate::request::context::Context;

pub mod file;
mod message;
pub mod stdio;

pub use file::{FileKind, FileStat, read_file};

/// A solved graph: a handle to a tree that the daemon has, or makes when it is first read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ref(pub(crate) String);

impl Ref {
    /// A handle with this id, as the daemon gives them.
    pub fn new(id: impl Into<String>) -> Self {
        Self(id.into())
    }

    /// The id.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// What the daemon is, from `Ping`.
#[derive(Clone, Debug)]
pub struct Daemon {
    /// What graphs may use.
    pub llb: Capabilities,
    /// Which calls there are.
    pub gateway: Capabilities,
    /// Platform of the first worker: what a build is for when the user does not say.
    pub platform: Platform,
    /// What the first worker's kernel runs, its own platform first; others need an emulator that the daemon supplies.
    pub platforms: Vec<Platform>,
}

/// A root filesystem.
#[derive(Clone, Debug)]
pub struct SolvedTree {
    /// To read.
    pub reading: Ref,
    /// To build upon.
    pub output: Output,
}

/// What another frontend has answered.
#[derive(Clone, Debug, Default)]
pub struct Built {
    /// The trees.
    pub trees: Trees<SolvedTree>,
    /// What it says of them.
    pub metadata: BTreeMap<String, Bytes>,
}

/// The tree or trees of a result; nothing is an empty tree.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Trees<Tree> {
    /// None at all: it is an answer to a question.
    #[default]
    None,
    /// One.
    Single(Option<Tree>),
    /// By the platforms' names.
    Index(BTreeMap<String, Option<Tree>>),
}

/// Where an image comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ImageSource {
    /// A registry, or the daemon's own store.
    Registry {
        /// Its name.
        reference: ImageReference,
        /// Where to look first.
        mode: ResolveMode,
    },
    /// A layout that the client offers.
    OciLayout(OciLayout),
}

/// What a reference stands for right now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResolvedImage {
    /// Digest of what the name points to, an index for an image of several platforms.
    ///
    /// `None` on an engine without an image store when the image is a local one.
    pub digest: Option<Digest>,
    /// The image configuration of the platform asked for, as stored.
    pub config: Bytes,
}

/// A warning for the user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    /// One line, with its code in front.
    pub short: String,
    /// More lines, shown on request.
    pub detail: Vec<String>,
    /// The operation it is attached to; a client shows only warnings of operations it has seen.
    pub vertex: Digest,
    /// The lines that caused it.
    pub excerpt: Option<Excerpt>,
}

/// Lines of a build file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Excerpt {
    /// Name of the file.
    pub filename: String,
    /// Its whole text.
    pub text: Bytes,
    /// First and last line, from 1.
    pub lines: (i32, i32),
}

/// An error of the daemon, kept whole so that it can be passed on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EngineStatus {
    /// gRPC code, never 0.
    pub code: i32,
    /// The daemon's words.
    pub message: String,
    /// Typed details: (type URL, JSON text).
    pub details: Vec<(String, Bytes)>,
}

impl EngineStatus {
    /// The exit code of the process whose failure this is.
    pub fn exit_code(&self) -> Option<i64> {
        // BuildKit's own words for a failed process; the typed detail exists since 0.22 only.
        let (_, code) = self.message.rsplit_once("did not complete successfully: exit code: ")?;
        let digits = code.find(|character: char| !character.is_ascii_digit());
        code.get(..digits.unwrap_or(code.len()))?.parse().ok()
    }
}

/// Why a call failed.
#[derive(Debug, thiserror::Error)]
pub enum GatewayError {
    /// The daemon refused or failed.
    #[error("{}", .0.message)]
    Engine(Box<EngineStatus>),
    /// The graph needs something that the daemon lacks.
    #[error(transparent)]
    Missing(#[from] MissingCapability),
    /// A file is larger than we are ready to hold.
    #[error("{path} is larger than {limit} bytes")]
    TooLarge {
        /// Path in the tree.
        path: String,
        /// The bound.
        limit: u64,
    },
    /// The daemon sent something that the protocol does not allow.
    #[error("the daemon's answer makes no sense: {0}")]
    Malformed(String),
}

impl GatewayError {
    /// Whether a path does not exist.
    ///
    /// The protocol has no code for it, so we match the operating system's words.
    pub fn is_not_found(&self) -> bool {
        match self {
            Self::Engine(status) => {
                status.message.ends_with("no such file or directory")
                    || status.message.ends_with("not a directory")
            }
            Self::Missing(_) | Self::TooLarge { .. } | Self::Malformed(_) => false,
        }
    }
}

/// The calls a frontend makes while it works.
///
/// Calls take `&self` and may run at the same time.
#[allow(async_fn_in_trait, reason = "one runtime thread: no future has to be Send")]
pub trait Gateway {
    /// What the daemon is.
    fn daemon(&self) -> &Daemon;

    /// A handle to the tree that the graph gives. Lazy: errors of the graph come with the first
    /// read.
    async fn solve(&self, output: &Output) -> Result<Ref, GatewayError>;

    /// Up to `length` bytes of a file from `offset`; a short answer is the end of the file.
    async fn read_range(
        &self,
        tree: &Ref,
        path: &str,
        offset: u64,
        length: u64,
    ) -> Result<Bytes, GatewayError>;

    /// What is at a path, all symbolic links followed.
    async fn stat(&self, tree: &Ref, path: &str) -> Result<FileStat, GatewayError>;

    /// The entries of a directory, links not followed.
    async fn read_directory(&self, tree: &Ref, path: &str) -> Result<Vec<FileStat>, GatewayError>;

    /// What an image's name stands for.
    async fn resolve_image(
        &self,
        source: &ImageSource,
        platform: &Platform,
    ) -> Result<ResolvedImage, GatewayError>;

    /// When a context that the daemon loads was made: the commit's time, or what a web server says, in seconds since
    /// 1970; nothing if it is unknown.
    async fn made_at(&self, context: &Context) -> Result<Option<i64>, GatewayError>;

    /// Makes another frontend build, with everything that the client had built for this one.
    async fn build(&self, nested: &NestedBuild) -> Result<Built, GatewayError>;

    /// The trees that the client built for this build, by name (bake's linked targets).
    async fn inputs(&self) -> Result<BTreeMap<String, Option<Output>>, GatewayError>;

    /// Shows a warning.
    async fn warn(&self, warning: &Warning) -> Result<(), GatewayError>;
}
