//! Red Hat, SUSE and their kin: rpm and what resolves and downloads for it.

use futures_util::future::try_join_all;

use crate::distro::OsRelease;
use crate::gateway::file::{exists, read_optional_directory, read_optional_file};
use crate::gateway::{FileKind, FileStat, Gateway, GatewayError, Ref, SolvedTree, read_file};
use crate::note;
use crate::patch::Steps;
use crate::patch::task::path;
use crate::pkgdb::rpm::place::{DATABASES, LOG};
use crate::pkgdb::rpm::{self, RpmDatabaseError, listing};
use crate::pkgdb::{Database, InstalledPackage};
use crate::repository::rpm::{
    FILES, FOLDERS, REPOSITORIES, RpmConfiguration, RpmManager, Variables,
};

use super::{CONFIGURATION_LIMIT, DATABASE_LIMIT, ProbeError};

/// An image of the rpm family with its own package manager.
#[derive(Clone, Debug)]
pub struct RpmSystem {
    /// What resolves and downloads.
    pub manager: RpmManager,
    /// What is installed, and what the image's author keeps as it is.
    pub installed: Database,
    /// Where packages come from, and how.
    pub configuration: RpmConfiguration,
    /// What the variables of the repositories' addresses stand for.
    pub variables: Variables,
    /// Where the database is.
    pub(super) database: &'static str,
}

/// There is none.
const NO_DATABASE: ProbeError = ProbeError::NoDatabase("/var/lib/rpm");

/// What resolves and downloads, the first that is there. yum is the last because elsewhere it is a link.
const PROGRAMS: [(&str, RpmManager); 7] = [
    ("/usr/bin/dnf5", RpmManager::Dnf5),
    ("/usr/bin/dnf-3", RpmManager::Dnf4),
    // Amazon Linux 2023's minimal images have a `dnf` that is a link to it.
    ("/usr/bin/microdnf", RpmManager::Microdnf),
    ("/usr/bin/dnf", RpmManager::Dnf4),
    ("/usr/bin/tdnf", RpmManager::Tdnf),
    ("/usr/bin/zypper", RpmManager::Zypper),
    ("/usr/bin/yum", RpmManager::Yum),
];
/// Where rpm is: everywhere, then systems whose `/bin` is a folder of its own.
const RPM: [&str; 2] = ["/usr/bin/rpm", "/bin/rpm"];

/// Maximum number of files in one folder that configure a package manager.
const FOLDER_LIMIT: usize = 256;

/// The result of reading a database through the gateway.
enum Reading {
    /// What is installed.
    Parsed(Database),
    /// Only rpm itself can tell: the database is larger than what is read through the gateway, or its
    /// last changes are in a log beside it.
    OutOfReach,
}

impl RpmSystem {
    /// Where the signed indexes are; nothing unless all can be addressed.
    pub(super) fn index_addresses(&self) -> Option<Vec<String>> {
        self.configuration.index_addresses(&self.variables)
    }
}

/// Reads what an image of the rpm family is made of.
pub(super) async fn system(
    gateway: &impl Gateway,
    image: &SolvedTree,
    steps: &Steps<'_>,
    os_release: &OsRelease,
) -> Result<RpmSystem, ProbeError> {
    let ((manager, configuration), (path, reading)) =
        tokio::try_join!(managed(gateway, &image.reading), find_database(gateway, &image.reading))?;
    if !configuration.names_repositories() {
        let folder = configuration.repositories_folder();
        return Err(ProbeError::NoRepositories(folder.to_owned()));
    }
    let installed = installed(gateway, image, steps, reading).await?;
    let with_hold = |package: &InstalledPackage| InstalledPackage {
        held: configuration.holds(package),
        ..package.clone()
    };
    let installed = Database::new(installed.packages().iter().map(with_hold));
    let variables = Variables::of(os_release, &installed);
    Ok(RpmSystem { manager, installed, configuration, variables, database: path })
}

/// The manager, and what it is told.
async fn managed(
    gateway: &impl Gateway,
    tree: &Ref,
) -> Result<(RpmManager, RpmConfiguration), ProbeError> {
    let paths = PROGRAMS.iter().map(|(path, _)| *path).chain(RPM);
    let found = try_join_all(paths.map(|path| exists(gateway, tree, path))).await?;
    let (programs, rpm) = found.split_at(PROGRAMS.len());
    let manager = PROGRAMS.iter().zip(programs).find(|(_, exists)| **exists);
    let ((_, manager), _) =
        manager.ok_or(ProbeError::NoPackageManager("a program such as /usr/bin/dnf"))?;
    if !rpm.contains(&true) {
        return Err(ProbeError::NoPackageManager(RPM[0]));
    }
    Ok((*manager, configuration(gateway, tree, *manager).await?))
}

async fn configuration(
    gateway: &impl Gateway,
    tree: &Ref,
    manager: RpmManager,
) -> Result<RpmConfiguration, ProbeError> {
    let read = async |path: String| {
        let bytes = read_optional_file(gateway, tree, &path, CONFIGURATION_LIMIT).await?;
        Ok::<_, GatewayError>(bytes.map(|bytes| (path, bytes)))
    };
    let read_folder = async |folder: &str, ending: &str| {
        let folder = folder.trim_end_matches('/');
        let mut entries = read_optional_directory(gateway, tree, folder).await?;
        entries.retain(|entry| {
            let is_file = matches!(entry.kind, FileKind::Regular | FileKind::Symlink);
            is_file && entry.name.ends_with(ending)
        });
        entries.sort_by(|one, other| one.name.cmp(&other.name));
        let paths = entries.iter().take(FOLDER_LIMIT);
        try_join_all(paths.map(|entry| read(format!("{folder}/{}", entry.name)))).await
    };
    let parse = |files: &[(String, Vec<u8>)]| {
        let files = files.iter().map(|(path, bytes)| (path.as_str(), bytes.as_slice()));
        RpmConfiguration::parse(manager, files)
    };
    let files = FILES.iter().filter(|path| manager.reads(path));
    let files = try_join_all(files.map(|path| read((*path).to_owned())));
    let folders = FOLDERS.iter().filter(|(folder, _)| manager.reads(folder));
    let folders = try_join_all(folders.map(|(folder, ending)| read_folder(folder, ending)));
    let (files, folders) = tokio::try_join!(files, folders)?;
    let mut found: Vec<_> =
        files.into_iter().chain(folders.into_iter().flatten()).flatten().collect();
    let configuration = parse(&found)?;
    if configuration.named_folders().is_empty() {
        return Ok(configuration);
    }
    let folders = configuration.named_folders().iter();
    let folders = try_join_all(folders.map(|folder| read_folder(folder, REPOSITORIES))).await?;
    found.extend(folders.into_iter().flatten().flatten());
    Ok(parse(&found)?)
}

async fn find_database(
    gateway: &impl Gateway,
    tree: &Ref,
) -> Result<(&'static str, Reading), ProbeError> {
    let folders = DATABASES.iter();
    let listed = folders.map(|(folder, _)| read_optional_directory(gateway, tree, folder));
    let listed = try_join_all(listed).await?;
    for ((_, files), entries) in DATABASES.iter().zip(&listed) {
        for (name, path) in files {
            if entry(entries, name).is_some() {
                return Ok((*path, read(gateway, tree, path, entries).await?));
            }
        }
    }
    Err(NO_DATABASE)
}

fn entry<'a>(entries: &'a [FileStat], name: &str) -> Option<&'a FileStat> {
    entries.iter().find(|entry| entry.name == name)
}

/// Reads a database; `entries` are what its folder has.
async fn read(
    gateway: &impl Gateway,
    tree: &Ref,
    path: &'static str,
    entries: &[FileStat],
) -> Result<Reading, ProbeError> {
    let name = path.rsplit('/').next().unwrap_or(path);
    if entry(entries, &format!("{name}{LOG}")).is_some_and(|log| log.size > 0) {
        return Ok(Reading::OutOfReach);
    }
    if entry(entries, name).is_some_and(|file| file.size > DATABASE_LIMIT) {
        return Ok(Reading::OutOfReach);
    }
    let bytes = match read_optional_file(gateway, tree, path, DATABASE_LIMIT).await {
        // A link, whose own size says nothing.
        Err(GatewayError::TooLarge { .. }) => return Ok(Reading::OutOfReach),
        bytes => bytes?.ok_or(ProbeError::NoDatabase(path))?,
    };
    let database = rpm::parse(&bytes)
        .map_err(|source| ProbeError::Database { path, source: source.into() })?;
    Ok(Reading::Parsed(database))
}

/// Makes rpm list, in a container, what its database's bytes do not tell.
async fn installed(
    gateway: &impl Gateway,
    image: &SolvedTree,
    steps: &Steps<'_>,
    reading: Reading,
) -> Result<Database, ProbeError> {
    if let Reading::Parsed(database) = reading {
        return Ok(database);
    }
    let list = steps.list(&image.output).ok_or(NO_DATABASE)?;
    let listed = async {
        let tree = gateway.solve(&list.output).await?;
        read_file(gateway, &tree, path::LIST_IN_OUT, DATABASE_LIMIT).await
    };
    let bytes = match listed.await {
        Ok(bytes) => bytes,
        Err(error) => return Err(ProbeError::List(error, note::read(gateway, steps, &list).await)),
    };
    let list = String::from_utf8_lossy(&bytes);
    let unreadable = |source: RpmDatabaseError| ProbeError::Database {
        path: "as rpm lists it",
        source: source.into(),
    };
    listing::parse(&list).map_err(unreadable)
}

/// Reads the database of a tree that was made from an image with this system.
pub(super) async fn database(
    gateway: &impl Gateway,
    image: &SolvedTree,
    steps: &Steps<'_>,
    system: &RpmSystem,
) -> Result<Database, ProbeError> {
    let path = system.database;
    let folder = path.rsplit_once('/').map_or("/", |(folder, _)| folder);
    let entries = read_optional_directory(gateway, &image.reading, folder).await?;
    let reading = read(gateway, &image.reading, path, &entries).await?;
    installed(gateway, image, steps, reading).await
}
