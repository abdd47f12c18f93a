//! What the client's contexts hold: the build file and the reports.

use std::io::{self, Read};
use std::path::Path;

use bytes::{Buf as _, Bytes};

use crate::gateway::file::read_optional_directory;
use crate::gateway::{FileKind, Gateway, GatewayError, Ref, read_file};
use crate::glob;
use crate::ignore::IgnoreFile;
use crate::llb::source::Local;
use crate::llb::{Display, Output, file, source};
use crate::platform::Platform;
use crate::report::{self, Report, ReportError};
use crate::request::build_file::{BuildFile, BuildFileError, SIZE_LIMIT};
use crate::request::context::Context;
use crate::request::environment::Environment;
use crate::request::{self, ReportLocation};

/// The build file with its text, for excerpts.
#[derive(Clone, Debug, Default)]
pub struct LoadedBuildFile {
    /// What it says.
    pub file: BuildFile,
    /// Its name.
    pub filename: String,
    /// Its text; empty when there is none.
    pub text: Bytes,
    /// The operation that loaded it.
    pub source: Option<Output>,
    /// The tree that it is in.
    tree: Option<Ref>,
    /// The build context, if it is not one of the client's directories.
    context: Option<Output>,
}

/// Why the build file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum BuildFileProblem {
    /// The daemon failed.
    #[error(transparent)]
    Gateway(#[from] GatewayError),
    /// The build context is not an address that can be loaded.
    #[error("not a build context: {0}")]
    Address(String),
    /// The user names it, but it is not there.
    #[error("no such file: {0}")]
    NotFound(String),
    /// It is not a Dockerfile.
    #[error("{}: {error}", .loaded.filename)]
    Malformed {
        /// Its text.
        loaded: Box<LoadedBuildFile>,
        /// What is wrong.
        error: BuildFileError,
    },
}

/// One report and where it was.
#[derive(Clone, Debug)]
pub struct LoadedReport {
    /// Path in its context.
    pub path: String,
    /// What it says.
    pub report: Report,
    /// The platform that its context is for, if it is for one.
    pub platform: Option<Platform>,
}

/// Why reports cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum LoadReportError {
    /// The daemon failed.
    #[error(transparent)]
    Gateway(#[from] GatewayError),
    /// Nothing is there.
    #[error("no report in the {place}: {path}")]
    NotFound {
        /// The context.
        place: &'static str,
        /// What was asked for.
        path: String,
    },
    /// An ignore file hides it.
    #[error("no report in the {place}: {ignore_file} hides {path}{}", in_line(.line.as_ref()))]
    Hidden {
        /// The context.
        place: &'static str,
        /// The ignore file.
        ignore_file: String,
        /// The report, or the first one.
        path: String,
        /// The line's number and text; none if it hides the target of a link.
        line: Option<(usize, String)>,
    },
    /// An ignore file has a line that the daemon refuses.
    #[error("invalid pattern in line {line} of {ignore_file}: {text}")]
    Pattern {
        /// The ignore file.
        ignore_file: String,
        /// The line's number.
        line: usize,
        /// The line.
        text: String,
    },
    /// More files than a folder of reports would have.
    #[error("{path} matches more than {REPORTS_LIMIT} files")]
    TooMany {
        /// What was asked for.
        path: String,
    },
    /// A named context is not what it should be.
    #[error("named context `report` points to input `{0}`, which the client did not send")]
    NoInput(String),
    /// One cannot be read.
    #[error("{path}: {source}")]
    Report {
        /// Path in its context.
        path: String,
        /// Why.
        source: ReportError,
    },
}

fn in_line(line: Option<&(usize, String)>) -> String {
    line.map(|(number, text)| format!(", line {number}: {text}")).unwrap_or_default()
}

/// Maximum number of reports that a build reads.
const REPORTS_LIMIT: usize = 1000;
/// The name of an ignore file, and the suffix of one for a single build file.
const DOCKERIGNORE: &str = ".dockerignore";
/// Bytes of a report asked for at once; three such pieces are in memory.
const PIECE: u64 = 4 << 20;

/// Reads the build file. There need not be one: options can all be build arguments.
pub async fn build_file(
    gateway: &impl Gateway,
    environment: &Environment,
) -> Result<LoadedBuildFile, BuildFileProblem> {
    let key = environment.option("dockerfilekey");
    let local = key.unwrap_or("dockerfile");
    let filename = environment.option("filename").unwrap_or("Dockerfile").to_owned();
    let context = remote_context(gateway, environment).await?;
    if let (Some(remote), None) = (&context, key) {
        let RemoteContext { tree, source, file } = remote.clone();
        let path = file.unwrap_or_else(|| {
            let folder = environment.option("contextsubdir").unwrap_or_default();
            join(folder.trim_matches('/'), &filename)
        });
        let source = Some(source);
        let place =
            LoadedBuildFile { filename, source, context: remote.files(), ..Default::default() };
        return read_build_file(gateway, place, tree, &path).await;
    }
    // The same operation as the Dockerfile frontend's, so that it is done once.
    let mut follow_paths = vec![filename.clone(), format!("{filename}{DOCKERIGNORE}")];
    if let Some(folder) = filename.strip_suffix("Dockerfile")
        && (folder.is_empty() || folder.ends_with('/'))
    {
        follow_paths.push(format!("{folder}dockerfile"));
    }
    let source = Local {
        follow_paths,
        shared_key_hint: local.to_owned(),
        without_differ: true,
        ..Local::named(local, session(environment, local))
    };
    let name = format!("[internal] load build definition from {filename}");
    let source = source.build(&Display::named(name));
    let tree = gateway.solve(&source).await?;
    let context = context.and_then(|remote| remote.files());
    let place = LoadedBuildFile {
        filename: filename.clone(),
        source: Some(source),
        context,
        ..Default::default()
    };
    read_build_file(gateway, place, tree, &filename).await
}

async fn read_build_file(
    gateway: &impl Gateway,
    place: LoadedBuildFile,
    tree: Ref,
    path: &str,
) -> Result<LoadedBuildFile, BuildFileProblem> {
    let LoadedBuildFile { filename, context, .. } = &place;
    let none = || LoadedBuildFile { context: context.clone(), ..Default::default() };
    // Without `-f` clients ask for the first, and with `-f /dev/null` for the second.
    let is_default = ["Dockerfile", "null"].iter().any(|name| Path::new(filename).ends_with(name));
    let text = match read_file(gateway, &tree, path, SIZE_LIMIT).await {
        Ok(text) => Bytes::from(text),
        Err(error) if error.is_not_found() && !is_default => {
            return Err(BuildFileProblem::NotFound(filename.clone()));
        }
        Err(error) if is_absent(&error) => return Ok(none()),
        Err(error) => return Err(error.into()),
    };
    let loaded = LoadedBuildFile { text, tree: Some(tree), ..place };
    match BuildFile::parse(&loaded.text) {
        Ok(file) => Ok(LoadedBuildFile { file, ..loaded }),
        Err(error) => Err(BuildFileProblem::Malformed { loaded: Box::new(loaded), error }),
    }
}

/// A build context that the daemon loads by itself.
#[derive(Clone, Debug)]
struct RemoteContext {
    tree: Ref,
    source: Output,
    /// The name of the only file, which is the build file, if it is not a tree of files.
    file: Option<String>,
}

impl RemoteContext {
    /// The tree of files, if it is one.
    fn files(&self) -> Option<Output> {
        self.file.is_none().then(|| self.source.clone())
    }
}

/// The address of the build context, if the daemon loads it by itself.
fn remote_address(environment: &Environment) -> Option<&str> {
    environment.option(environment.option("contextkey").unwrap_or("context"))
}

/// The name of a web server's download.
const DOWNLOAD: &str = "context";

/// Loads a context from Git or from the web, as the Dockerfile frontend does (`frontend/dockerui/context.go`).
async fn remote_context(
    gateway: &impl Gateway,
    environment: &Environment,
) -> Result<Option<RemoteContext>, BuildFileProblem> {
    let Some(address) = remote_address(environment) else { return Ok(None) };
    let malformed = || BuildFileProblem::Address(address.to_owned());
    match request::context::remote(address).ok_or_else(malformed)? {
        Context::Git(git) => {
            let source =
                git.build(&Display::named(format!("[internal] load git source {address}")));
            let tree = gateway.solve(&source).await?;
            Ok(Some(RemoteContext { tree, source, file: None }))
        }
        Context::Http(url) => {
            let display = Display::named(format!("[internal] load remote build context {url}"));
            let source = source::http(&url, DOWNLOAD, &display);
            let tree = gateway.solve(&source).await?;
            let path = format!("/{DOWNLOAD}");
            let start = gateway.read_range(&tree, &path, 0, MAGIC_LENGTH).await?;
            if !is_archive(&start) {
                return Ok(Some(RemoteContext { tree, source, file: Some(DOWNLOAD.to_owned()) }));
            }
            let unpack =
                file::Action::Unpack { from: source, source: path, destination: "/".to_owned() };
            let display = Display::named("[internal] unpack the build context");
            let source = file::apply(None, &[unpack], &display);
            let tree = gateway.solve(&source).await?;
            Ok(Some(RemoteContext { tree, source, file: None }))
        }
        Context::Local(_) | Context::Image(_) | Context::OciLayout(_) | Context::Input(..) => {
            Err(malformed())
        }
    }
}

/// When the build context was made, in seconds since 1970; nothing for a directory of the client, as with the
/// Dockerfile frontend (`SOURCE_DATE_EPOCH=context`).
pub async fn made_at(
    gateway: &impl Gateway,
    environment: &Environment,
) -> Result<Option<i64>, MadeAtError> {
    let Some(address) = remote_address(environment) else { return Ok(None) };
    let unknown = || MadeAtError::Unknown(address.to_owned());
    let context = request::context::remote(address).ok_or_else(unknown)?;
    Ok(Some(gateway.made_at(&context).await?.ok_or_else(unknown)?))
}

/// Why the time of the build context is unknown.
#[derive(Debug, thiserror::Error)]
pub enum MadeAtError {
    /// The daemon failed.
    #[error(transparent)]
    Gateway(#[from] GatewayError),
    /// It does not say.
    #[error("this BuildKit does not tell when the build context was made: {0}")]
    Unknown(String),
}

/// Bytes needed to recognize an archive.
const MAGIC_LENGTH: u64 = 1024;

/// Whether a file with this beginning is an archive: bzip2, gzip, xz, or plain tar (POSIX `ustar`).
fn is_archive(start: &[u8]) -> bool {
    const MAGICS: [&[u8]; 3] = [b"BZh", b"\x1f\x8b\x08", b"\xfd7zXZ\0"];
    let is_tar = start.get(257..262) == Some(b"ustar");
    is_tar || MAGICS.iter().any(|magic| start.starts_with(magic))
}

/// Whether there is no build file: none in the folder, `-f /dev/null`, or no folder at all.
fn is_absent(error: &GatewayError) -> bool {
    error.is_not_found() || is_no_directory(error) || says(error, "not a regular file")
}

/// Whether the client does not offer the directory: others, or, like `buildctl` without `--local`, none at all.
fn is_no_directory(error: &GatewayError) -> bool {
    says(error, "no access allowed to dir") || says(error, "no local sources enabled")
}

/// The protocol has no codes for these, so the daemon's words are matched.
fn says(error: &GatewayError, words: &str) -> bool {
    matches!(error, GatewayError::Engine(status) if status.message.contains(words))
}

fn session<'a>(environment: &'a Environment, local: &str) -> &'a str {
    environment.option(&format!("local-sessionid:{local}")).unwrap_or(&environment.session)
}

/// The ignore file of a directory of the client, as the Dockerfile frontend chooses it.
struct Ignore {
    name: String,
    file: IgnoreFile,
}

impl Ignore {
    /// Reads it. The build context may have one beside the build file, for that file alone.
    async fn load(
        gateway: &impl Gateway,
        environment: &Environment,
        build_file: &LoadedBuildFile,
        local: &LocalContext<'_>,
    ) -> Result<Self, GatewayError> {
        if let (LocalContext::Main, Some(tree)) = (local, &build_file.tree) {
            let name = format!("{}{DOCKERIGNORE}", build_file.filename);
            if let Some(text) = read_ignore_file(gateway, tree, &name).await? {
                return Ok(Self { file: IgnoreFile::parse(&text), name });
            }
        }
        let name = local.name();
        let (hint, shown) = match local {
            LocalContext::Main => (name.to_owned(), "[internal]".to_owned()),
            LocalContext::Named(_) => ("context:report".to_owned(), "[context report]".to_owned()),
        };
        // The same operation as the Dockerfile frontend's.
        let source = Local {
            follow_paths: vec![DOCKERIGNORE.to_owned()],
            shared_key_hint: format!("{hint}-{DOCKERIGNORE}"),
            without_differ: true,
            ..Local::named(name, session(environment, name))
        };
        let source = source.build(&Display::named(format!("{shown} load {DOCKERIGNORE}")));
        let text = match gateway.solve(&source).await {
            Ok(tree) => read_ignore_file(gateway, &tree, DOCKERIGNORE).await,
            Err(error) => Err(error),
        };
        let text = match text {
            Err(error) if is_no_directory(&error) => None,
            other => other?,
        };
        let file = IgnoreFile::parse(&text.unwrap_or_default());
        Ok(Self { file, name: DOCKERIGNORE.to_owned() })
    }

    /// Why the daemon could not leave out what the file says, if one of its lines is the cause.
    fn refused(&self) -> Option<LoadReportError> {
        let rule = self.file.refused()?;
        let ignore_file = self.name.clone();
        Some(LoadReportError::Pattern { ignore_file, line: rule.line, text: rule.text.clone() })
    }
}

async fn read_ignore_file(
    gateway: &impl Gateway,
    tree: &Ref,
    name: &str,
) -> Result<Option<Vec<u8>>, GatewayError> {
    match read_file(gateway, tree, name, SIZE_LIMIT).await {
        Ok(text) => Ok(Some(text)),
        Err(error) if is_absent(&error) => Ok(None),
        Err(error) => Err(error),
    }
}

/// A directory of the client in which reports may be.
enum LocalContext<'a> {
    /// The build context.
    Main,
    /// The one of the named context `report`.
    Named(&'a str),
}

impl<'a> LocalContext<'a> {
    /// Its name in the session.
    fn name(&self) -> &'a str {
        match self {
            Self::Main => "context",
            Self::Named(name) => name,
        }
    }
}

/// Reads every report that the location names, in the order of their paths.
pub async fn reports(
    gateway: &impl Gateway,
    environment: &Environment,
    build_file: &LoadedBuildFile,
    location: &ReportLocation,
) -> Result<Vec<LoadedReport>, LoadReportError> {
    let display = Display::named("[internal] load report");
    // Reports are files, the same for all platforms.
    let platform = &gateway.daemon().platform;
    let remote = match &location.context {
        None => build_file.context.clone().ok_or(LocalContext::Main),
        Some(Context::Local(name)) => Err(LocalContext::Named(name)),
        Some(Context::Git(git)) => Ok(git.build(&display)),
        Some(Context::Http(url)) => Ok(source::http(url, "context", &display)),
        Some(Context::Image(reference)) => {
            Ok(source::image(reference, platform, source::ResolveMode::Default, &display))
        }
        Some(Context::OciLayout(layout)) => Ok(layout.build(platform, &display)),
        Some(Context::Input(input, _)) => {
            let mut inputs = gateway.inputs().await?;
            let absent = || LoadReportError::NoInput(input.clone());
            Ok(inputs.remove(input).flatten().ok_or_else(absent)?)
        }
    };
    let (tree, paths) = match remote {
        Ok(tree) => find(gateway, &tree, location).await?,
        Err(local) => find_local(gateway, environment, build_file, location, &local).await?,
    };
    let mut reports = Vec::new();
    for (path, size) in paths {
        let failed = |source| LoadReportError::Report { path: path.clone(), source };
        if size > report::SIZE_LIMIT {
            return Err(failed(ReportError::TooLarge));
        }
        let report = read_report(gateway, &tree, &path, location.format).await?.map_err(failed)?;
        reports.push(LoadedReport { path, report, platform: location.platform.clone() });
    }
    Ok(reports)
}

/// What the location names in a directory of the client, except for what matches the patterns.
fn local_tree(
    environment: &Environment,
    location: &ReportLocation,
    local: &LocalContext<'_>,
    exclude_patterns: Vec<String>,
) -> Output {
    let name = local.name();
    // A link that a wildcard finds is followed, one inside a folder is not.
    let mut follow_paths = Vec::new();
    if location.path != "." {
        follow_paths.push(location.path.clone());
    }
    if !location.path.ends_with(".json") {
        follow_paths.push(join(location.path.trim_matches('.'), "*.json"));
    }
    let source = Local {
        follow_paths,
        exclude_patterns,
        // Not the hint of ordinary builds: the daemon would drop their files for ours.
        shared_key_hint: format!("suture-report-{name}"),
        ..Local::named(name, session(environment, name))
    };
    source.build(&Display::named(format!("[internal] load report {}", location.path)))
}

/// The files that the location names in a directory of the client, except for what its ignore file hides.
async fn find_local(
    gateway: &impl Gateway,
    environment: &Environment,
    build_file: &LoadedBuildFile,
    location: &ReportLocation,
    local: &LocalContext<'_>,
) -> Result<(Ref, Vec<(String, u64)>), LoadReportError> {
    let ignore = Ignore::load(gateway, environment, build_file, local).await?;
    let load = |patterns| local_tree(environment, location, local, patterns);
    let (place, path) = match find(gateway, &load(ignore.file.patterns()), location).await {
        Err(LoadReportError::NotFound { place, path }) => (place, path),
        Err(error) => return Err(ignore.refused().unwrap_or(error)),
        found => return found,
    };
    if ignore.file.patterns().is_empty() {
        return Err(LoadReportError::NotFound { place, path });
    }
    // Is it hidden, or not there at all?
    let Ok((_, hidden)) = find(gateway, &load(Vec::new()), location).await else {
        return Err(LoadReportError::NotFound { place, path });
    };
    let path = hidden.into_iter().next().map_or(path, |(first, _)| first);
    let line = ignore.file.hides(&path).map(|rule| (rule.line, rule.text.clone()));
    Err(LoadReportError::Hidden { place, ignore_file: ignore.name, path, line })
}

/// The files that the location names, with their sizes.
async fn find(
    gateway: &impl Gateway,
    source: &Output,
    location: &ReportLocation,
) -> Result<(Ref, Vec<(String, u64)>), LoadReportError> {
    let tree = gateway.solve(source).await?;
    let files = files(gateway, &tree, location).await.map_err(|error| match error {
        LoadReportError::Gateway(error) if is_no_directory(&error) => not_found(location),
        other => other,
    })?;
    Ok((tree, files))
}

async fn files(
    gateway: &impl Gateway,
    tree: &Ref,
    location: &ReportLocation,
) -> Result<Vec<(String, u64)>, LoadReportError> {
    let wanted = &location.path;
    let mut found = vec![String::new()];
    // Parts without a wildcard are taken as they are; the others are matched against the folder.
    for part in wanted.split('/').filter(|part| *part != ".") {
        let mut next = Vec::new();
        for folder in &found {
            if part.contains(['*', '?']) {
                let entries = read_optional_directory(gateway, tree, &format!("/{folder}")).await?;
                let names = entries.into_iter().map(|entry| entry.name);
                let matching = names.filter(|name| glob::matches(part, name));
                next.extend(matching.map(|name| join(folder, &name)));
            } else {
                next.push(join(folder, part));
            }
            if next.len() > REPORTS_LIMIT {
                return Err(LoadReportError::TooMany { path: wanted.clone() });
            }
        }
        found = next;
    }
    let mut files = Vec::new();
    for path in found {
        let stat = match gateway.stat(tree, &format!("/{path}")).await {
            Ok(stat) => stat,
            Err(error) if error.is_not_found() => continue,
            Err(error) => return Err(error.into()),
        };
        match stat.kind {
            FileKind::Directory => {
                let entries = read_optional_directory(gateway, tree, &format!("/{path}")).await?;
                for entry in entries {
                    let reads = matches!(entry.kind, FileKind::Regular | FileKind::Symlink);
                    if reads && entry.name.ends_with(".json") {
                        let name = join(&path, &entry.name);
                        // The entry of a link has the link's own size.
                        let stat = gateway.stat(tree, &format!("/{name}")).await?;
                        files.push((name, stat.size));
                    }
                }
            }
            FileKind::Regular => files.push((path, stat.size)),
            FileKind::Symlink | FileKind::Other => {}
        }
        if files.len() > REPORTS_LIMIT {
            return Err(LoadReportError::TooMany { path: wanted.clone() });
        }
    }
    files.sort();
    if files.is_empty() { Err(not_found(location)) } else { Ok(files) }
}

fn not_found(location: &ReportLocation) -> LoadReportError {
    let place = match location.context {
        None => "build context",
        Some(_) => "named context `report`",
    };
    LoadReportError::NotFound { place, path: location.path.clone() }
}

fn join(folder: &str, name: &str) -> String {
    if folder.is_empty() { name.to_owned() } else { format!("{folder}/{name}") }
}

/// Reads one report piece by piece while another thread parses it.
async fn read_report(
    gateway: &impl Gateway,
    tree: &Ref,
    path: &str,
    format: report::ReportFormat,
) -> Result<Result<Report, ReportError>, GatewayError> {
    let (sender, receiver) = tokio::sync::mpsc::channel(1);
    let parsing = tokio::task::spawn_blocking(move || {
        report::parse(Pieces { receiver, current: Bytes::new() }, format)
    });
    let mut offset = 0;
    loop {
        let piece = gateway.read_range(tree, &format!("/{path}"), offset, PIECE).await;
        let last = !matches!(&piece, Ok(piece) if piece.len() as u64 == PIECE);
        offset += PIECE;
        let (piece, error) = match piece {
            Ok(piece) => (Ok(piece), None),
            Err(error) => (Err(io::Error::other("the daemon failed")), Some(error)),
        };
        // The parser hangs up when it has seen enough.
        let hung_up = sender.send(piece).await.is_err();
        if let Some(error) = error {
            return Err(error);
        }
        if last || hung_up {
            break;
        }
    }
    drop(sender);
    // A panic there is one here: it is reported as a defect.
    Ok(parsing.await.unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic())))
}

/// The pieces of a file as one stream.
struct Pieces {
    receiver: tokio::sync::mpsc::Receiver<io::Result<Bytes>>,
    current: Bytes,
}

impl Read for Pieces {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.current.is_empty() {
            match self.receiver.blocking_recv() {
                Some(piece) => self.current = piece?,
                None => return Ok(0),
            }
            if self.current.is_empty() {
                return Ok(0);
            }
        }
        let length = buffer.len().min(self.current.len());
        if let (Some(target), Some(source)) = (buffer.get_mut(..length), self.current.get(..length))
        {
            target.copy_from_slice(source);
        }
        self.current.advance(length);
        Ok(length)
    }
}
