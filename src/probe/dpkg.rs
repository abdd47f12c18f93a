//! Debian and its kin: dpkg and apt.

use crate::gateway::file::{exists, read_optional_directory, read_optional_file};
use crate::gateway::{FileKind, Gateway, Ref};
use crate::package::Architecture;
use crate::patch::task::Repositories;
use crate::pkgdb::Database;
use crate::pkgdb::dpkg::{self, DpkgError};
use crate::repository::apt::AptSources;

use super::{CONFIGURATION_LIMIT, DATABASE_LIMIT, ProbeError, SMALL_FILE_LIMIT};

/// Maximum number of files that configure repositories.
const SOURCES_FILES: usize = 256;

/// A Debian-like image with its own package manager.
#[derive(Clone, Debug)]
pub struct DpkgSystem {
    /// What is installed.
    pub database: Database,
    /// Architecture of the packages that belong to the image's platform.
    pub native: Architecture,
    /// Where packages come from.
    pub sources: AptSources,
    /// Suites that are the distro's base, and therefore large.
    pub base_suites: Vec<String>,
}

impl DpkgSystem {
    /// The repositories without the distro's base, which are small; nothing if there are none.
    pub(super) fn small_repositories(&self) -> Option<Repositories> {
        let base: Vec<&str> = self.base_suites.iter().map(String::as_str).collect();
        let small = self.sources.small(&base);
        let files = || small.files().into_iter().map(|(name, content)| (name.to_owned(), content));
        small.has_binary().then(|| Repositories::Files(files().collect()))
    }

    /// Where the signed indexes are; nothing unless all can be addressed.
    pub(super) fn index_addresses(&self) -> Option<Vec<String>> {
        self.sources.release_addresses()
    }
}

/// Where dpkg records what is installed.
pub(super) const STATUS: &str = "/var/lib/dpkg/status";
/// Where it keeps changes that are not in there yet.
const UPDATES: &str = "/var/lib/dpkg/updates";
/// There is none.
pub(super) const NO_DATABASE: ProbeError = ProbeError::NoDatabase(STATUS);

/// Reads what a Debian-like image is made of.
pub(super) async fn system(
    gateway: &impl Gateway,
    tree: &Ref,
    base_suites: Vec<String>,
) -> Result<DpkgSystem, ProbeError> {
    let (found, apt, dpkg_found, architectures, updates, sources) = tokio::try_join!(
        database(gateway, tree),
        async { Ok(exists(gateway, tree, "/usr/bin/apt-get").await?) },
        async { Ok(exists(gateway, tree, "/usr/bin/dpkg").await?) },
        async {
            let path = "/var/lib/dpkg/arch";
            Ok(read_optional_file(gateway, tree, path, SMALL_FILE_LIMIT).await?)
        },
        async { Ok(read_optional_directory(gateway, tree, UPDATES).await?) },
        apt_sources(gateway, tree),
    )?;
    for (present, program) in [(apt, "/usr/bin/apt-get"), (dpkg_found, "/usr/bin/dpkg")] {
        if !present {
            return Err(ProbeError::NoPackageManager(program));
        }
    }
    // dpkg's own test for what it has not yet merged into its status file (`lib/dpkg/dbmodify.c`).
    let is_update = |name: &str| !name.is_empty() && name.bytes().all(|it| it.is_ascii_digit());
    if updates.iter().any(|entry| is_update(&entry.name)) {
        return Err(ProbeError::Interrupted(UPDATES));
    }
    let database = found.ok_or(NO_DATABASE)?;
    if !sources.has_binary() {
        return Err(ProbeError::NoRepositories("/etc/apt".to_owned()));
    }
    let unreadable = |source: DpkgError| ProbeError::Database {
        path: "/var/lib/dpkg/arch",
        source: source.into(),
    };
    let recorded = match architectures {
        Some(bytes) => dpkg::parse_foreign_architectures(&bytes).map_err(unreadable)?,
        None => None,
    };
    let native = recorded
        .map(|architectures| architectures.native)
        .or_else(|| dpkg::native_architecture(&database))
        .ok_or(NO_DATABASE)?;
    Ok(DpkgSystem { database, native, sources, base_suites })
}

/// Reads dpkg's database; nothing if there is none.
pub(super) async fn database(
    gateway: &impl Gateway,
    tree: &Ref,
) -> Result<Option<Database>, ProbeError> {
    let bytes = read_optional_file(gateway, tree, STATUS, DATABASE_LIMIT).await?;
    let parse = |bytes: Vec<u8>| {
        dpkg::parse_status(&bytes)
            .map_err(|source| ProbeError::Database { path: STATUS, source: source.into() })
    };
    bytes.map(parse).transpose()
}

async fn apt_sources(gateway: &impl Gateway, tree: &Ref) -> Result<AptSources, ProbeError> {
    const FOLDER: &str = "/etc/apt/sources.list.d";
    let mut files = vec!["/etc/apt/sources.list".to_owned()];
    let mut entries = read_optional_directory(gateway, tree, FOLDER).await?;
    entries.sort_by(|one, other| one.name.cmp(&other.name));
    files.extend(
        entries
            .into_iter()
            .filter(|entry| matches!(entry.kind, FileKind::Regular | FileKind::Symlink))
            .filter(|entry| entry.name.ends_with(".list") || entry.name.ends_with(".sources"))
            .take(SOURCES_FILES)
            .map(|entry| format!("{FOLDER}/{}", entry.name)),
    );
    let mut contents = Vec::new();
    for file in files {
        if let Some(bytes) = read_optional_file(gateway, tree, &file, CONFIGURATION_LIMIT).await? {
            contents.push((file, bytes));
        }
    }
    Ok(AptSources::parse(contents.iter().map(|(file, bytes)| (file.as_str(), bytes.as_slice())))?)
}
