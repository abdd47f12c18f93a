//! rpm, and the managers that resolve and download for it.
//!
//! The image's manager chooses and downloads; rpm itself installs the packages: in fetch only into
//! the database of the root that is thrown away, which shows what will change, and in apply for good.

pub(super) mod apply;
mod books;
mod database;
pub(super) mod fetch;
mod holds;
mod keys;
mod manager;
mod output;
mod package_file;

use std::path::{Path, PathBuf};

use crate::distro::OsRelease;
use crate::patch::task::{AgentFailure, path};
use crate::pkgdb::Database;
use crate::pkgdb::rpm::listing;
use crate::repository::rpm::{
    FILES, FOLDERS, REPOSITORIES, RpmConfiguration, RpmManager, Signatures,
};

use super::Failure;
use super::process::{self, Echo, Finished};
use manager::Row;
use package_file::Signature;

/// The folder of the keys that packages need, beside the fetched files.
const KEYS: &str = "keys";

/// The environment of every program of the family.
const ENVIRONMENT: &[(&str, &str)] = &[("LC_ALL", "C"), ("HOME", "/root"), ("TMPDIR", path::WORK)];

fn rpm(arguments: &[&str], echo: Echo) -> Result<Finished, Failure> {
    rpm_at(None, arguments, echo)
}

/// Runs rpm, with this as the current time if one is given, in seconds since 1970.
fn rpm_at(time: Option<i64>, arguments: &[&str], echo: Echo) -> Result<Finished, Failure> {
    let time = time.map(|seconds| seconds.to_string());
    let time = time.as_deref().map(|seconds| ("SOURCE_DATE_EPOCH", seconds));
    let arguments: Vec<String> = arguments.iter().map(|&argument| argument.to_owned()).collect();
    let environment: Vec<(&str, &str)> = ENVIRONMENT.iter().copied().chain(time).collect();
    process::run("rpm", &arguments, &environment, echo)
}

/// What is installed: from the database's bytes, or from rpm itself if they do not tell.
fn installed() -> Result<Database, Failure> {
    if let Some(database) = database::read() {
        return Ok(database);
    }
    listing::parse(&installed_lines()?)
        .map_err(|error| Failure::new(AgentFailure::PackageManager, error.to_string()))
}

fn installed_lines() -> Result<String, Failure> {
    let format = format!("{}\\n", listing::FIELDS);
    let finished = rpm(&["-qa", "--queryformat", &format], Echo::Hidden)?;
    if !finished.is_success() {
        return Err(output::failure("rpm", &finished));
    }
    Ok(finished.stdout)
}

/// Lists what is installed.
pub(super) fn list() -> Result<(), Failure> {
    write(Path::new(&format!("{}{}", path::OUT, path::LIST_IN_OUT)), &installed_lines()?)
}

/// The files that configure the managers and that the image has; those of the named folders of repositories come last.
fn configuration_files(named_folders: &[String]) -> Vec<PathBuf> {
    let files = FILES.iter().map(PathBuf::from).filter(|path| path.is_file());
    let named = named_folders.iter().map(|folder| (folder.as_str(), REPOSITORIES));
    let folders = FOLDERS.iter().copied().chain(named);
    files.chain(folders.flat_map(|(folder, ending)| files_in(folder, ending))).collect()
}

/// The files of a folder whose names have this ending, sorted.
fn files_in(folder: &str, ending: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let paths = entries.map(|entry| entry.path());
    let mut paths: Vec<PathBuf> = paths
        .filter(|path| path.display().to_string().ends_with(ending) && path.is_file())
        .collect();
    paths.sort();
    paths
}

/// What the image says it is; the repositories' addresses and keys may have its version in them.
fn os_release() -> OsRelease {
    let read = |path| std::fs::read(path).ok();
    let bytes = read("/etc/os-release").or_else(|| read("/usr/lib/os-release"));
    OsRelease::parse(&bytes.unwrap_or_default())
}

fn configuration(manager: RpmManager) -> Result<RpmConfiguration, Failure> {
    let read = |path: PathBuf| {
        let bytes = std::fs::read(&path).map_err(|error| Failure::file("read", &path, &error))?;
        Ok::<_, Failure>((path.display().to_string(), bytes))
    };
    let parse = |files: Vec<PathBuf>| {
        let files: Vec<_> = files.into_iter().map(read).collect::<Result<_, _>>()?;
        let files = files.iter().map(|(path, bytes)| (path.as_str(), bytes.as_slice()));
        RpmConfiguration::parse(manager, files)
            .map_err(|error| Failure::new(AgentFailure::PackageManager, error.to_string()))
    };
    let configuration = parse(configuration_files(&[]))?;
    match configuration.named_folders() {
        [] => Ok(configuration),
        named => parse(configuration_files(named)),
    }
}

/// What packages' signatures must be. If only some repositories require them, we cannot tell which
/// packages are theirs: the manager can, if it checks at all when it downloads.
fn signature(manager: RpmManager, configuration: &RpmConfiguration) -> Signature {
    match configuration.signatures() {
        Signatures::Mixed if Row::of(manager).checks_signatures => Signature::CheckedByManager,
        Signatures::Demanded | Signatures::Mixed => Signature::Demanded,
        Signatures::ByManager => Signature::CheckedByManager,
    }
}

fn write(file: &Path, content: &str) -> Result<(), Failure> {
    std::fs::write(file, content).map_err(|error| Failure::file("write", file, &error))
}
