//! Alpine and its kin: apk.

use crate::gateway::file::{exists, read_optional_directory, read_optional_file};
use crate::gateway::{Gateway, Ref};
use crate::pkgdb::Database;
use crate::pkgdb::apk::{ApkError, DATABASES, Installed, World};
use crate::repository::apk::ApkRepositories;

use super::{CONFIGURATION_LIMIT, DATABASE_LIMIT, ProbeError};

/// An Alpine-like image with its own package manager.
#[derive(Clone, Debug)]
pub struct ApkSystem {
    /// What is installed, and what the image's author pins.
    pub installed: Installed,
    /// What the image's author asked apk for.
    pub world: World,
    /// Where packages come from.
    pub repositories: ApkRepositories,
    /// Where the database is.
    pub(super) database: &'static str,
}

/// What names repositories, and from apk 3 on the folders of more such files (apk-repositories(5)).
const REPOSITORIES: &str = "/etc/apk/repositories";
const REPOSITORY_FOLDERS: [&str; 2] = ["/etc/apk/repositories.d", "/lib/apk/repositories.d"];
/// Maximum number of files in these folders.
const REPOSITORY_FILES: usize = 256;
/// Where apk is: Alpine, then systems with one `/usr`.
const PROGRAMS: [&str; 2] = ["/sbin/apk", "/usr/bin/apk"];

impl ApkSystem {
    /// Where the signed indexes are; nothing unless all can be addressed.
    pub(super) fn index_addresses(&self) -> Option<Vec<String>> {
        let architecture = self.installed.architecture()?;
        self.repositories.index_addresses(architecture)
    }
}

/// Reads what an Alpine-like image is made of.
pub(super) async fn system(gateway: &impl Gateway, tree: &Ref) -> Result<ApkSystem, ProbeError> {
    let configuration = async |path: &str| {
        let bytes = read_optional_file(gateway, tree, path, CONFIGURATION_LIMIT).await?;
        Ok::<_, ProbeError>(bytes.unwrap_or_default())
    };
    let (programs, databases, world, repositories) = tokio::try_join!(
        async {
            let [one, other] = PROGRAMS;
            Ok(exists(gateway, tree, one).await? || exists(gateway, tree, other).await?)
        },
        find_database(gateway, tree),
        configuration("/etc/apk/world"),
        repositories(gateway, tree),
    )?;
    if !programs {
        return Err(ProbeError::NoPackageManager(PROGRAMS[0]));
    }
    let (database, bytes) = databases.ok_or(ProbeError::NoDatabase(DATABASES[0]))?;
    let unreadable =
        |path| move |source: ApkError| ProbeError::Database { path, source: source.into() };
    let world = World::parse(&world).map_err(unreadable("/etc/apk/world"))?;
    let installed = Installed::parse(&bytes, &world).map_err(unreadable(database))?;
    if repositories.repositories().is_empty() {
        return Err(ProbeError::NoRepositories(REPOSITORIES.to_owned()));
    }
    Ok(ApkSystem { installed, world, repositories, database })
}

/// The file, and from apk 3 on those of two folders.
async fn repositories(gateway: &impl Gateway, tree: &Ref) -> Result<ApkRepositories, ProbeError> {
    let mut lists = Vec::new();
    for folder in REPOSITORY_FOLDERS {
        let entries = read_optional_directory(gateway, tree, folder).await?.into_iter();
        let names = entries.map(|entry| entry.name);
        let names = names.filter(|name| name.ends_with(".list") && !name.starts_with('.'));
        lists.extend(names.map(|name| (name, folder)));
    }
    lists.sort();
    let lists = lists.into_iter().take(REPOSITORY_FILES);
    let lists = lists.map(|(name, folder)| format!("{folder}/{name}"));
    let files = [REPOSITORIES.to_owned()].into_iter().chain(lists);
    let mut contents = Vec::new();
    for file in files {
        if let Some(bytes) = read_optional_file(gateway, tree, &file, CONFIGURATION_LIMIT).await? {
            contents.push((file, bytes));
        }
    }
    let contents = contents.iter().map(|(file, bytes)| (file.as_str(), bytes.as_slice()));
    Ok(ApkRepositories::parse(contents)?)
}

async fn find_database(
    gateway: &impl Gateway,
    tree: &Ref,
) -> Result<Option<(&'static str, Vec<u8>)>, ProbeError> {
    for path in DATABASES {
        if let Some(bytes) = read_optional_file(gateway, tree, path, DATABASE_LIMIT).await? {
            return Ok(Some((path, bytes)));
        }
    }
    Ok(None)
}

/// Reads the database of a tree that was made from an image with this system.
pub(super) async fn database(
    gateway: &impl Gateway,
    tree: &Ref,
    system: &ApkSystem,
) -> Result<Database, ProbeError> {
    let path = system.database;
    let bytes = read_optional_file(gateway, tree, path, DATABASE_LIMIT).await?;
    let bytes = bytes.ok_or(ProbeError::NoDatabase(path))?;
    let installed = Installed::parse(&bytes, &system.world)
        .map_err(|source| ProbeError::Database { path, source: source.into() })?;
    Ok(installed.database)
}
