//! What the client's contexts hold: the build file and the reports.

use std::io::{self, Read};
use std::path::Path;

use bytes::{Buf as _, Bytes};

use crate::gateway::file::read_optional_directory;
use crate::gateway::{FileKind, Gateway, GatewayError, Ref, read_file};
use crate::glob;
use crate::llb::source::Local;
use crate::llb::{Display, Output, source};
use crate::platform::Platform;
use crate::report::{self, Report, ReportError};
use crate::request::ReportLocation;
use crate::request::build_file::{BuildFile, BuildFileError, SIZE_LIMIT};
use crate::request::context::Context;
use crate::request::environment::Environment;

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
}

/// Why the build file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum BuildFileProblem {
    /// The daemon failed.
    #[error(transparent)]
    Gateway(#[from] GatewayError),
    /// It is not there although the user names it.
    #[error("no such file: {0}")]
    NotFound(String),
    /// It is no Dockerfile.
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
    /// More files than a folder of reports has.
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

/// Most reports that a build reads.
const REPORTS_LIMIT: usize = 1000;
/// Bytes of a report asked for at once; three such pieces are in memory.
const PIECE: u64 = 4 << 20;

/// Reads the build file. There need not be one: options can all be build arguments.
pub async fn build_file(
    gateway: &impl Gateway,
    environment: &Environment,
) -> Result<LoadedBuildFile, BuildFileProblem> {
    let local = environment.option("dockerfilekey").unwrap_or("dockerfile");
    let filename = environment.option("filename").unwrap_or("Dockerfile").to_owned();
    // A remote context has its build file with it; ours is then not used.
    if environment.option("context").is_some() && environment.option("dockerfilekey").is_none() {
        return Ok(LoadedBuildFile::default());
    }
    // The same operation as the Dockerfile frontend's, so that it is done once.
    let mut follow_paths = vec![filename.clone(), format!("{filename}.dockerignore")];
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
    // Without `-f` clients ask for the one, and with `-f /dev/null` for the other.
    let is_default = ["Dockerfile", "null"].iter().any(|name| Path::new(&filename).ends_with(name));
    let text = match read_file(gateway, &tree, &filename, SIZE_LIMIT).await {
        Ok(text) => Bytes::from(text),
        Err(error) if error.is_not_found() && !is_default => {
            return Err(BuildFileProblem::NotFound(filename));
        }
        Err(error) if is_absent(&error) => return Ok(LoadedBuildFile::default()),
        Err(error) => return Err(error.into()),
    };
    let loaded = LoadedBuildFile { filename, text, source: Some(source), ..Default::default() };
    match BuildFile::parse(&loaded.text) {
        Ok(file) => Ok(LoadedBuildFile { file, ..loaded }),
        Err(error) => Err(BuildFileProblem::Malformed { loaded: Box::new(loaded), error }),
    }
}

/// Whether there is no build file: none in the folder, `-f /dev/null`, or no folder at all.
fn is_absent(error: &GatewayError) -> bool {
    error.is_not_found() || is_no_directory(error) || says(error, "not a regular file")
}

/// Whether the client does not offer the directory: others, or as `buildctl` without `--local` none at all.
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

/// Reads every report that the location names, in the order of their paths.
pub async fn reports(
    gateway: &impl Gateway,
    environment: &Environment,
    location: &ReportLocation,
    platform: &Platform,
) -> Result<Vec<LoadedReport>, LoadReportError> {
    let tree = report_tree(gateway, environment, location, platform).await?;
    let tree = gateway.solve(&tree).await?;
    let paths = find(gateway, &tree, location).await.map_err(|error| match error {
        LoadReportError::Gateway(error) if is_no_directory(&error) => not_found(location),
        other => other,
    })?;
    let mut reports = Vec::new();
    for (path, size) in paths {
        let failed = |source| LoadReportError::Report { path: path.clone(), source };
        if size > report::SIZE_LIMIT {
            return Err(failed(ReportError::TooLarge));
        }
        let report = read_report(gateway, &tree, &path, location.format).await?.map_err(failed)?;
        reports.push(LoadedReport { path, report });
    }
    Ok(reports)
}

async fn report_tree(
    gateway: &impl Gateway,
    environment: &Environment,
    location: &ReportLocation,
    platform: &Platform,
) -> Result<Output, LoadReportError> {
    let local = |name: &str| {
        // What a wildcard finds is followed when it is a link, what a folder holds is not.
        let mut follow_paths = Vec::new();
        if location.path != "." {
            follow_paths.push(location.path.clone());
        }
        if !location.path.ends_with(".json") {
            follow_paths.push(join(location.path.trim_matches('.'), "*.json"));
        }
        let source = Local {
            follow_paths,
            // Not the hint of ordinary builds: the daemon would drop their files for ours.
            shared_key_hint: format!("suture-report-{name}"),
            ..Local::named(name, session(environment, name))
        };
        source.build(&Display::named(format!("[internal] load report {}", location.path)))
    };
    let display = Display::named("[internal] load report");
    Ok(match &location.context {
        None => local("context"),
        Some(Context::Local(name)) => local(name),
        Some(Context::Http(url)) => source::http(url, "context", &display),
        Some(Context::Image(reference)) => {
            source::image(reference, platform, source::ResolveMode::Default, &display)
        }
        Some(Context::OciLayout(layout)) => layout.build(platform, &display),
        Some(Context::Input(input, _)) => {
            let mut inputs = gateway.inputs().await?;
            let absent = || LoadReportError::NoInput(input.clone());
            inputs.remove(input).flatten().ok_or_else(absent)?
        }
    })
}

/// The files that the location names, with their sizes.
async fn find(
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
