//! The edge: every error of the crate as the user reads it.

use base64::Engine as _;
use bytes::Bytes;
use serde_json::json;

use crate::code::Code;
use crate::context::{BuildFileProblem, LoadReportError, LoadedBuildFile, MadeAtError};
use crate::gateway::{EngineStatus, Excerpt, GatewayError};
use crate::llb::DefinitionError;
use crate::package::{printable, words_of};
use crate::patch::task::{AgentFailure, Manager, Note};
use crate::platform::Platform;
use crate::probe::ProbeError;
use crate::report::ReportError;
use crate::request::{Problem, option};
use crate::subject::SubjectError;
use crate::verify::VerifyError;

/// Why a build fails: one or more problems, and the daemon's own error if it was one.
#[derive(Clone, Debug)]
pub struct Failure {
    /// What is wrong, in the order of the build file's lines.
    pub problems: Vec<Problem>,
    /// The daemon's error, whose details are passed on.
    pub engine: Option<EngineStatus>,
    excerpts: Vec<Excerpt>,
}

/// gRPC's code for an error of no particular kind: clients print it without a prefix.
const UNKNOWN: i32 = 2;

/// Name of the detail that makes a client print the offending lines.
const SOURCE_DETAIL: &str = "github.com/moby/buildkit/errdefs.Source+json";

/// Name of the detail of an unknown question (`frontend/gateway/errdefs`).
const SUBREQUEST_DETAIL: &str = "github.com/moby/buildkit/errdefs.Subrequest+json";

/// The daemon's own emulator, which it puts in front of programs if the kernel has none
/// (`solver/llbsolver/ops/exec_binfmt.go`). It would run the agent, which is built for the builder's
/// own platform, as a program of the image's.
const EMULATOR: &str = "/dev/.buildkit_qemu_emulator";

impl Failure {
    /// A failure with one problem.
    pub fn new(code: Code, message: impl Into<String>, hint: Option<&str>) -> Self {
        let hint = hint.map(ToOwned::to_owned);
        Self::of(vec![Problem { hint, ..Problem::new(code, message) }])
    }

    /// A failure with these problems.
    pub fn of(problems: Vec<Problem>) -> Self {
        Self { problems, engine: None, excerpts: Vec::new() }
    }

    /// A defect of ours.
    pub fn bug(message: &str) -> Self {
        let hint = "this is a defect of suture; please report it";
        Self::new(Code::Bug, message, Some(hint))
    }

    /// The same failure with the daemon's error behind it.
    fn because_of(self, error: &GatewayError) -> Self {
        Self { engine: Self::from(error).engine, ..self }
    }

    /// The failure of another frontend, whose words and lines the client gets as they are.
    pub fn of_nested(status: EngineStatus) -> Self {
        Self { engine: Some(status), ..Self::of(Vec::new()) }
    }

    /// Like [`Self::of_nested`], for any error of the call.
    pub fn of_nested_error(error: GatewayError) -> Self {
        match error {
            GatewayError::Engine(status) => Self::of_nested(*status),
            other => other.into(),
        }
    }

    /// A question that we cannot answer (`--call`), in the words and with the detail that clients know.
    pub fn of_unknown_call(name: &str) -> Self {
        let detail = json!({ "name": name }).to_string();
        Self::of_nested(EngineStatus {
            code: UNKNOWN,
            message: format!("unsupported request {name}"),
            details: vec![(SUBREQUEST_DETAIL.to_owned(), Bytes::from(detail))],
        })
    }

    /// The failures of several platforms out of `count` as one.
    pub fn of_platforms(failures: Vec<(Platform, Self)>, count: usize) -> Self {
        let mut engine = None;
        let mut problems = Vec::new();
        let is_one = count == 1;
        for (platform, failure) in failures {
            if is_one {
                return failure;
            }
            let mut own = failure.problems;
            if own.is_empty()
                && let Some(status) = &failure.engine
            {
                let message = words_of(&status.message);
                own.push(Problem::new(Code::Dockerfile, message));
            }
            engine = engine.or(failure.engine);
            problems.extend(own.into_iter().map(|problem| (platform.clone(), problem)));
        }
        Self { engine, ..Self::of(of_platforms(&problems, count)) }
    }

    /// The failure of a container in which the agent ran, with the note that it left.
    ///
    /// A binary of another platform that no emulator runs ends like any container that runc cannot start: with 1.
    pub fn of_step(step: &str, is_foreign: bool, error: GatewayError, note: Option<&Note>) -> Self {
        let GatewayError::Engine(status) = error else { return error.into() };
        let by_agent = status.exit_code().and_then(AgentFailure::from_exit_code);
        let by_emulator = status.message.contains(EMULATOR).then_some(AgentFailure::Foreign);
        let not_started = is_foreign && note.is_none() && status.exit_code() == Some(1);
        let by_container = not_started.then_some(AgentFailure::Foreign);
        let Some(kind) = by_agent.or(by_emulator).or(by_container) else {
            return GatewayError::Engine(status).into();
        };
        // A note of another failure is not this one's.
        let words = note.filter(|note| note.failure == kind).map(|note| words_of(&note.message));
        let message = match (kind, words) {
            (AgentFailure::PackageManager | AgentFailure::Bug, Some(words)) => {
                format!("{step}: {words}")
            }
            (_, Some(words)) => format!("{step}: {}: {words}", kind.what()),
            (_, None) => format!("{step}: {}", kind.what()),
        };
        let failure = Self::new(kind.code(), message, Some(kind.hint()));
        Self { engine: Some(*status), ..failure }
    }

    /// The same failure with the lines of the build file that caused it.
    #[must_use]
    pub fn with_excerpts(mut self, loaded: &LoadedBuildFile) -> Self {
        if loaded.text.is_empty() {
            return self;
        }
        self.excerpts =
            self.problems.iter().filter_map(|problem| excerpt(problem, loaded)).collect();
        self.excerpts.dedup();
        self
    }

    /// What the daemon and through it the client get.
    pub fn into_status(self) -> EngineStatus {
        let message = self.message();
        let mut status = self.engine.unwrap_or_else(|| EngineStatus {
            code: UNKNOWN,
            message: String::new(),
            details: Vec::new(),
        });
        status.message = message;
        // Clients print the last detail first.
        for excerpt in self.excerpts.into_iter().rev() {
            let (first, last) = excerpt.lines;
            let data = base64::engine::general_purpose::STANDARD.encode(&excerpt.text);
            let detail = json!({
                "info": { "filename": excerpt.filename, "data": data, "language": "Dockerfile" },
                "ranges": [{ "start": { "line": first }, "end": { "line": last } }],
            });
            status.details.push((SOURCE_DETAIL.to_owned(), Bytes::from(detail.to_string())));
        }
        status
    }

    /// The text of the failure: one line per problem, a hint below the last one that it is for.
    pub fn message(&self) -> String {
        if self.problems.is_empty() {
            return self.engine.as_ref().map_or_else(String::new, |status| status.message.clone());
        }
        let mut lines = Vec::new();
        let mut rest = self.problems.as_slice();
        while let Some((problem, after)) = rest.split_first() {
            lines.push(format!("{} [{}]", problem.message, problem.code));
            let repeated = after.iter().any(|later| later.hint == problem.hint);
            if let Some(hint) = problem.hint.as_ref().filter(|_| !repeated) {
                lines.push(format!("  hint: {hint}"));
            }
            rest = after;
        }
        printable(&lines.join("\n"))
    }
}

/// What was found out about several platforms out of `count`, each with its name unless all say the same.
pub fn of_platforms(found: &[(Platform, Problem)], count: usize) -> Vec<Problem> {
    let mut list: Vec<Problem> = Vec::new();
    for (platform, problem) in found {
        let same = found.iter().filter(|(_, other)| other == problem).count();
        let shown = if same >= count {
            problem.clone()
        } else {
            Problem { message: format!("{platform}: {}", problem.message), ..problem.clone() }
        };
        if !list.contains(&shown) {
            list.push(shown);
        }
    }
    list
}

/// The lines of the build file that a problem is about.
pub fn excerpt(problem: &Problem, loaded: &LoadedBuildFile) -> Option<Excerpt> {
    let line = problem.line.or_else(|| {
        let row = option::find(option_behind(problem.code)?)?;
        let line_of = |name: &str| loaded.file.line_of(name);
        let prefixed = line_of(&format!("{}{}", option::PREFIX, row.name));
        // The plain names of a Dockerfile are its own.
        let plain = || match loaded.file.dockerfile() {
            Some(_) => None,
            None => line_of(row.name).or_else(|| line_of(row.alias.as_ref()?.name)),
        };
        prefixed.or_else(plain)
    })?;
    let line = i32::try_from(line).ok()?;
    let (filename, text) = (loaded.filename.clone(), loaded.text.clone());
    Some(Excerpt { filename, text, lines: (line, line) })
}

/// The option that a problem of this kind is about, when the problem names no line itself.
fn option_behind(code: Code) -> Option<&'static str> {
    match code {
        Code::NoImage
        | Code::ImageReference
        | Code::ImageUnavailable
        | Code::ImagePlatform
        | Code::ImageConfig
        | Code::NoOsRelease
        | Code::UnsupportedDistro
        | Code::EndOfLife
        | Code::NoPackageManager
        | Code::PackageDatabase
        | Code::NoRepositories
        // Without a line of ours the client would be shown the `# syntax` line as the culprit.
        | Code::RepositoryUnreachable
        | Code::RepositoryUntrusted
        | Code::RepositoryKey
        | Code::RepositoryExpired
        | Code::RepositoryInconsistent
        | Code::NoSpace
        | Code::NoEmulation
        | Code::PackageManagerBroken
        | Code::BrokenDependencies
        | Code::PackageManager
        | Code::Verification
        | Code::MissingCapability
        | Code::Engine
        | Code::Bug => Some("IMAGE"),
        Code::ReportNotFound
        | Code::ReportUnavailable
        | Code::ReportMalformed
        | Code::ReportTooLarge
        | Code::ReportFormat
        | Code::ReportPackageName
        | Code::ReportOtherDistro
        | Code::ReportOtherImage
        | Code::MajorVersion
        | Code::UnmetFix => Some("REPORT"),
        Code::UnmetPackage => Some("PACKAGES"),
        Code::UpToDate => Some("ON_UP_TO_DATE"),
        Code::UnknownOption
        | Code::OptionValue
        | Code::BuildFile
        | Code::Dockerfile
        | Code::SameOptionTwice
        | Code::MovingTag
        | Code::NoEffect
        | Code::NotYet
        | Code::UnusedBuildArgument => None,
    }
}

impl From<GatewayError> for Failure {
    fn from(error: GatewayError) -> Self {
        Self::from(&error)
    }
}

impl From<&GatewayError> for Failure {
    fn from(error: &GatewayError) -> Self {
        let message = error.to_string();
        match error {
            GatewayError::Engine(status) => {
                Self { engine: Some((**status).clone()), ..Self::new(Code::Engine, message, None) }
            }
            GatewayError::Missing(missing) => {
                let hint = "suture needs BuildKit 0.13 or Docker Engine 26 or later";
                let hint = missing.reason.is_empty().then_some(hint);
                Self::new(Code::MissingCapability, message, hint)
            }
            GatewayError::TooLarge { .. } | GatewayError::Malformed(_) => {
                Self::new(Code::Engine, message, None)
            }
        }
    }
}

impl From<DefinitionError> for Failure {
    fn from(error: DefinitionError) -> Self {
        Self::new(Code::Engine, error.to_string(), None)
    }
}

impl From<BuildFileProblem> for Failure {
    fn from(error: BuildFileProblem) -> Self {
        match error {
            BuildFileProblem::Gateway(error) => error.into(),
            address @ BuildFileProblem::Address(_) => {
                let hint = "a folder, a Git repository, or the address of an archive";
                Self::new(Code::OptionValue, address.to_string(), Some(hint))
            }
            missing @ BuildFileProblem::NotFound(_) => {
                let hint = "options can do without a file: leave `-f` out, or give `-f /dev/null`";
                Self::new(Code::BuildFile, missing.to_string(), Some(hint))
            }
            BuildFileProblem::Malformed { loaded, error } => Self::of(vec![Problem {
                code: Code::BuildFile,
                message: error.problem,
                hint: None,
                line: Some(error.line),
            }])
            .with_excerpts(&loaded),
        }
    }
}

impl From<MadeAtError> for Failure {
    fn from(error: MadeAtError) -> Self {
        match error {
            MadeAtError::Gateway(error) => error.into(),
            unknown @ MadeAtError::Unknown(_) => {
                let hint = "give SOURCE_DATE_EPOCH in seconds, or use BuildKit 0.26 or later";
                Self::new(Code::MissingCapability, unknown.to_string(), Some(hint))
            }
        }
    }
}

impl From<LoadReportError> for Failure {
    fn from(error: LoadReportError) -> Self {
        let message = error.to_string();
        let (code, hint) = match error {
            LoadReportError::Gateway(error) => {
                let message = format!("report: {message}");
                return Self::new(Code::ReportUnavailable, message, None).because_of(&error);
            }
            LoadReportError::NotFound { .. } => (
                Code::ReportNotFound,
                Some(
                    "the build context is the last argument of docker buildx build; another \
                     folder can be given with --build-context report=FOLDER",
                ),
            ),
            LoadReportError::Hidden { ref path, .. } => {
                let hint = format!("add a last line to it: !{path}");
                return Self::new(Code::ReportNotFound, message, Some(&hint));
            }
            LoadReportError::Pattern { .. } => (
                Code::ReportUnavailable,
                Some(
                    "the daemon takes no `[` without its `]`, no `\\` at the end and no `!` alone",
                ),
            ),
            LoadReportError::TooMany { .. } => (Code::ReportTooLarge, None),
            LoadReportError::NoInput(_) => (Code::OptionValue, None),
            LoadReportError::Report { source, .. } => report_code(&source),
        };
        Self::new(code, message, hint)
    }
}

fn report_code(error: &ReportError) -> (Code, Option<&'static str>) {
    const MAKE_ONE: &str = "make one with: trivy image --format json --output report.json IMAGE";
    match error {
        ReportError::Empty
        | ReportError::Truncated { .. }
        | ReportError::NotText { .. }
        | ReportError::NotJson { .. }
        | ReportError::TooDeep
        | ReportError::Shape { .. }
        | ReportError::MissingField { .. }
        | ReportError::VulnerabilityId { .. }
        | ReportError::Architecture { .. }
        | ReportError::VersionTooLong { .. } => (Code::ReportMalformed, Some(MAKE_ONE)),
        ReportError::TooLarge | ReportError::TooManyFindings | ReportError::TooManyFixes { .. } => {
            (Code::ReportTooLarge, Some("scan one image a report, without --list-all-pkgs"))
        }
        ReportError::FormatNotYet { .. }
        | ReportError::Unrecognised
        | ReportError::OtherFormat { .. }
        | ReportError::SchemaVersion { .. } => (Code::ReportFormat, Some(MAKE_ONE)),
        ReportError::PackageName { .. } => (
            Code::ReportPackageName,
            Some("no distro has such a package; nothing of the report was used"),
        ),
        ReportError::Read(_) => (Code::Engine, None),
    }
}

impl From<ProbeError> for Failure {
    fn from(error: ProbeError) -> Self {
        let message = error.to_string();
        let (code, hint) = match error {
            ProbeError::Gateway(error) => return error.into(),
            ProbeError::List(error, note) => {
                return Self::of_step("list", false, error, note.as_ref());
            }
            ProbeError::OtherSystem(_) => (Code::ImagePlatform, None),
            ProbeError::NoOsRelease => (
                Code::NoOsRelease,
                Some("suture patches packages of a distro; this image seems to have none"),
            ),
            ProbeError::Distro(_) => (Code::UnsupportedDistro, None),
            ProbeError::NoPackageManager(_) => (
                Code::NoPackageManager,
                Some("images without their own package manager are not supported yet"),
            ),
            ProbeError::Database { .. } | ProbeError::NoDatabase(_) => {
                (Code::PackageDatabase, None)
            }
            ProbeError::Interrupted(_) => (
                Code::PackageDatabase,
                Some("finish it in the image's own build: dpkg --configure -a"),
            ),
            ProbeError::Unfinished { manager, .. } => (
                Code::PackageDatabase,
                Some(match manager {
                    Manager::Apk => {
                        "install them again in the image's own build, or finish: apk fix"
                    }
                    Manager::Apt => {
                        "install them again in the image's own build, or finish: dpkg --configure -a"
                    }
                    Manager::Rpm(_) => "install them again in the image's own build",
                }),
            ),
            ProbeError::NoRepositories(_)
            | ProbeError::ApkRepositories(_)
            | ProbeError::RpmConfiguration(_)
            | ProbeError::Sources(_) => (
                Code::NoRepositories,
                Some("the image's own configuration must say where packages come from"),
            ),
        };
        Self::new(code, message, hint)
    }
}

impl From<&SubjectError> for Failure {
    fn from(error: &SubjectError) -> Self {
        const NAME_THEM: &str = "name the platforms: --platform linux/amd64,linux/arm64";
        let message = error.to_string();
        let (code, hint) = match error {
            SubjectError::Gateway(error) => return error.into(),
            SubjectError::Nested(status) => return Self::of_nested((**status).clone()),
            SubjectError::NestedConfig(_) => (Code::Dockerfile, None),
            SubjectError::Unavailable { source, .. } => {
                return Self::new(Code::ImageUnavailable, message, None).because_of(source);
            }
            SubjectError::NoDocument { source, .. } => {
                let hint = Some(NAME_THEM);
                return Self::new(Code::ImageUnavailable, message, hint).because_of(source);
            }
            SubjectError::OtherPlatform { .. } | SubjectError::NoOrigin(_) => {
                (Code::ImagePlatform, None)
            }
            SubjectError::NoBlobs => (
                Code::MissingCapability,
                Some("name them with --platform, or use BuildKit 0.28 or Docker Engine 29.3"),
            ),
            SubjectError::NoIndex => (Code::ImagePlatform, Some(NAME_THEM)),
            SubjectError::Document { .. } => (Code::ImageUnavailable, Some(NAME_THEM)),
            SubjectError::Config(_) | SubjectError::NoConfig(_) => (Code::ImageConfig, None),
            SubjectError::NoInput(_) => (Code::OptionValue, None),
        };
        Self::new(code, message, hint)
    }
}

impl From<SubjectError> for Failure {
    fn from(error: SubjectError) -> Self {
        Self::from(&error)
    }
}

impl From<VerifyError> for Failure {
    fn from(error: VerifyError) -> Self {
        let hint = "nothing was exported; please report it with the steps' logs";
        Self::new(Code::Verification, error.to_string(), Some(hint))
    }
}
