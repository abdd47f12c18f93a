//! rpm's databases: sqlite (`rpmdb.sqlite`), Berkeley DB (`Packages`) and rpm's own ndb (`Packages.db`).
//!
//! All three hold the same: one [`Header`] per installed package. They are told apart by how they begin.
//! What is not obvious:
//!
//! * A name may be there several times for one architecture: kernels are installed side by side.
//! * The keys whose signatures rpm trusts may be there too, as packages named `gpg-pubkey`. They have no
//!   files, no architecture and no updates, so [`parse`] leaves them out; [`for_each_header`] does not.
//! * rpm writes its sqlite database through a write-ahead log. After a transaction the log is empty or
//!   gone; if a file `rpmdb.sqlite-wal` of some length lies beside the database, the last changes are in
//!   that file and not in what is read here.

mod bdb;
mod blob;
pub mod header;
mod integer;
pub mod listing;
mod ndb;
pub mod place;
mod sqlite;

use std::collections::BTreeMap;
use std::fmt;

use self::header::{Header, HeaderError, Tag};
use super::{Database, InstalledPackage, SourcePackage, State};
use crate::package::{Architecture, Excerpt, PackageError, PackageName};
use crate::version::rpm::RpmVersion;
use crate::version::{Version, VersionError};

pub use self::bdb::BdbError;
pub use self::blob::Overlap;
pub use self::ndb::NdbError;
pub use self::sqlite::SqliteError;

/// The name of the entries that are keys.
const KEY: &str = "gpg-pubkey";

/// The formats that rpm has had for its database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// An sqlite file: Fedora since 33, RHEL since 9, Amazon Linux 2023.
    Sqlite,
    /// A hash of Berkeley DB: Fedora up to 32, RHEL up to 8, Amazon Linux 2.
    Bdb,
    /// rpm's own: SUSE.
    Ndb,
}

impl Format {
    /// Tells by its beginning what a file is.
    pub fn of(bytes: &[u8]) -> Option<Self> {
        if sqlite::is_sqlite(bytes) {
            Some(Self::Sqlite)
        } else if ndb::is_ndb(bytes) {
            Some(Self::Ndb)
        } else if bdb::is_bdb(bytes) {
            Some(Self::Bdb)
        } else {
            None
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Sqlite => "sqlite",
            Self::Bdb => "bdb",
            Self::Ndb => "ndb",
        })
    }
}

/// Why an rpm database cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RpmDatabaseError {
    /// The file is none of the three.
    #[error("not an rpm database: it begins with {start}")]
    Format {
        /// How it begins.
        start: Excerpt,
    },
    /// A sqlite database is damaged.
    #[error("rpm database (sqlite): {0}")]
    Sqlite(#[from] SqliteError),
    /// A Berkeley DB is damaged.
    #[error("rpm database (bdb): {0}")]
    Bdb(#[from] BdbError),
    /// An ndb database is damaged.
    #[error("rpm database (ndb): {0}")]
    Ndb(#[from] NdbError),
    /// An entry is not a header.
    #[error("rpm database: {0}")]
    Header(#[from] HeaderError),
    /// A line of a listing has too few fields.
    #[error("listing of rpm packages: not a package: {line}")]
    Line {
        /// The line.
        line: Excerpt,
    },
    /// An entry does not say which package it is about.
    #[error("rpm database: a package has no NAME")]
    NoName,
    /// A package has no valid name.
    #[error("rpm database: {0}")]
    Name(#[source] PackageError),
    /// A package lacks a value.
    #[error("rpm database: package `{package}` has no {tag}")]
    MissingTag {
        /// The package.
        package: PackageName,
        /// The value.
        tag: Tag,
    },
    /// Epoch, version and release are not a version.
    #[error("rpm database: package `{package}`: {source}")]
    Version {
        /// The package.
        package: PackageName,
        /// What is wrong.
        source: VersionError,
    },
    /// The architecture is not one.
    #[error("rpm database: package `{package}`: {source}")]
    Architecture {
        /// The package.
        package: PackageName,
        /// What is wrong.
        source: PackageError,
    },
}

/// Reads a database in whichever format. Keys are left out.
pub fn parse(bytes: &[u8]) -> Result<Database, RpmDatabaseError> {
    let mut packages = Vec::new();
    for_each_header(bytes, |header| {
        packages.extend(package(header)?);
        Ok(())
    })?;
    Ok(Database::new(packages))
}

/// Shows `visit` every header of a database in whichever format, in the order of the file.
pub fn for_each_header(
    bytes: &[u8],
    mut visit: impl FnMut(&Header<'_>) -> Result<(), RpmDatabaseError>,
) -> Result<(), RpmDatabaseError> {
    let blobs = match Format::of(bytes) {
        Some(Format::Sqlite) => sqlite::blobs(bytes)?,
        Some(Format::Bdb) => bdb::blobs(bytes)?,
        Some(Format::Ndb) => ndb::blobs(bytes)?,
        None => return Err(RpmDatabaseError::Format { start: Excerpt::of_bytes(bytes) }),
    };
    let mut buffer = Vec::new();
    for blob in blobs {
        blob.copy_to(&mut buffer);
        visit(&Header::parse(&buffer)?)?;
    }
    Ok(())
}

/// The architecture that the image is made for: the most frequent one of its packages.
pub fn native_architecture(database: &Database) -> Option<Architecture> {
    let mut counts: BTreeMap<&Architecture, usize> = BTreeMap::new();
    for package in database.packages() {
        if !package.architecture.is_any() {
            *counts.entry(&package.architecture).or_default() += 1;
        }
    }
    let most = counts.into_iter().max_by_key(|(_, count)| *count);
    most.map(|(architecture, _)| architecture.clone())
}

fn package(header: &Header<'_>) -> Result<Option<InstalledPackage>, RpmDatabaseError> {
    let name = header.text(Tag::Name)?.ok_or(RpmDatabaseError::NoName)?;
    if name == KEY {
        return Ok(None);
    }
    let name: PackageName = name.parse().map_err(RpmDatabaseError::Name)?;
    let text = |tag| {
        let missing = || RpmDatabaseError::MissingTag { package: name.clone(), tag };
        header.text(tag)?.ok_or_else(missing)
    };
    let facts = Facts {
        epoch: header.number(Tag::Epoch)?.unwrap_or(0),
        version: text(Tag::Version)?,
        release: text(Tag::Release)?,
        architecture: text(Tag::Architecture)?,
        // rpm never looks at this value, so an odd one must not make an image unpatchable.
        source: header.text(Tag::SourceRpm).ok().flatten(),
    };
    facts.package(name).map(Some)
}

/// What rpm knows about a package besides its name.
struct Facts<'a> {
    epoch: u32,
    version: &'a str,
    release: &'a str,
    architecture: &'a str,
    source: Option<&'a str>,
}

impl Facts<'_> {
    fn package(&self, name: PackageName) -> Result<InstalledPackage, RpmDatabaseError> {
        let version = RpmVersion::from_parts(self.epoch, self.version, self.release)
            .map_err(|source| RpmDatabaseError::Version { package: name.clone(), source })?;
        let architecture: Architecture = self
            .architecture
            .parse()
            .map_err(|source| RpmDatabaseError::Architecture { package: name.clone(), source })?;
        let source = self.source.and_then(|file| parse_source(file, self.epoch));
        let source = source.unwrap_or_else(|| SourcePackage {
            name: name.clone(),
            version: Version::Rpm(version.clone()),
        });
        Ok(InstalledPackage {
            name,
            architecture,
            version: Version::Rpm(version),
            state: State::Installed,
            held: false,
            source,
        })
    }
}

/// `name-version-release.src.rpm`, or `.nosrc.rpm` if the sources may not be distributed.
///
/// A file name has no epoch. That of the source package is the one of the binary package, except for the few specs that
/// give a subpackage one of its own.
fn parse_source(file: &str, epoch: u32) -> Option<SourcePackage> {
    let text = file.strip_suffix(".rpm")?;
    let text = text.strip_suffix(".src").or_else(|| text.strip_suffix(".nosrc"))?;
    let (rest, release) = text.rsplit_once('-')?;
    let (name, version) = rest.rsplit_once('-')?;
    let version = RpmVersion::from_parts(epoch, version, release).ok()?;
    Some(SourcePackage { name: name.parse().ok()?, version: Version::Rpm(version) })
}
