//! What we learn by looking into the target image.
//!
//! Files are read through the gateway. Only an rpm database that is too large for that needs a container.

use jiff::civil::Date;

use crate::distro::{self, Distro, DistroError, Family, OsRelease};
use crate::gateway::file::read_optional_file;
use crate::gateway::{Gateway, GatewayError, Ref, SolvedTree};
use crate::package::PackageName;
use crate::patch::Steps;
use crate::patch::task::{Manager, Note, Repositories};
use crate::pkgdb::apk::ApkError;
use crate::pkgdb::dpkg::DpkgError;
use crate::pkgdb::rpm::RpmDatabaseError;
use crate::pkgdb::{Database, InstalledPackage};
use crate::platform::Platform;
use crate::repository::apk::ApkRepositoriesError;
use crate::repository::apt::AptSourcesError;
use crate::repository::rpm::RpmConfigurationError;

mod apk;
mod dpkg;
mod rpm;

pub use apk::ApkSystem;
pub use dpkg::DpkgSystem;
pub use rpm::RpmSystem;

/// Largest file of a few lines, such as `os-release`; real ones have a few hundred bytes.
const SMALL_FILE_LIMIT: u64 = 64 << 10;
/// Largest package database; one of 5,000 packages has 5 MB.
const DATABASE_LIMIT: u64 = 64 << 20;
/// Largest file that configures a package manager.
const CONFIGURATION_LIMIT: u64 = 1 << 20;

/// What an image is made of.
#[derive(Clone, Debug)]
pub struct Probe {
    /// What the image says it is.
    pub os_release: OsRelease,
    /// What we know about that.
    pub distro: &'static Distro,
    /// When the release gets or got its last security update.
    pub end_of_life: Option<Date>,
    /// Packages and where they come from.
    pub system: System,
}

/// The packages of an image by family.
#[derive(Clone, Debug)]
pub enum System {
    /// Alpine and its kin.
    Apk(ApkSystem),
    /// Debian and its kin.
    Dpkg(DpkgSystem),
    /// Red Hat, SUSE and their kin.
    Rpm(RpmSystem),
}

impl System {
    /// What upgrades it.
    pub fn manager(&self) -> Manager {
        match self {
            Self::Apk(_) => Manager::Apk,
            Self::Dpkg(_) => Manager::Apt,
            Self::Rpm(system) => Manager::Rpm(system.manager),
        }
    }

    /// The choices of repositories to ask, the cheapest first; `small_first` when few upgrades
    /// are wanted, which the small repositories probably have.
    pub fn repositories(&self, small_first: bool) -> Vec<Repositories> {
        let small = match self {
            Self::Apk(_) | Self::Rpm(_) => None,
            Self::Dpkg(system) => system.small_repositories(),
        };
        let small = small.filter(|_| small_first);
        small.into_iter().chain([Repositories::Configured]).collect()
    }

    /// Addresses of the repositories' signed indexes; nothing if one has none that the daemon
    /// could ask.
    pub fn index_addresses(&self) -> Option<Vec<String>> {
        match self {
            Self::Apk(system) => system.index_addresses(),
            Self::Dpkg(system) => system.index_addresses(),
            Self::Rpm(system) => system.index_addresses(),
        }
    }

    /// Where the database is.
    fn database_path(&self) -> &'static str {
        match self {
            Self::Apk(system) => system.database,
            Self::Dpkg(_) => dpkg::STATUS,
            Self::Rpm(system) => system.database,
        }
    }

    /// What is installed.
    pub fn database(&self) -> &Database {
        match self {
            Self::Apk(system) => &system.installed.database,
            Self::Dpkg(system) => &system.database,
            Self::Rpm(system) => &system.installed,
        }
    }
}

/// Why an image cannot be patched.
#[derive(Debug, thiserror::Error)]
pub enum ProbeError {
    /// The daemon failed.
    #[error(transparent)]
    Gateway(#[from] GatewayError),
    /// Not an image of Linux.
    #[error("images for {} cannot be patched", .0.os())]
    OtherSystem(Box<Platform>),
    /// No `os-release`.
    #[error("the image has no os-release, so its distribution is unknown")]
    NoOsRelease,
    /// Not a distribution we know.
    #[error(transparent)]
    Distro(#[from] DistroError),
    /// No package database where the package manager is.
    #[error("the package database is missing or empty: {0}")]
    NoDatabase(&'static str),
    /// No package manager.
    #[error("the image has no package manager: {0} is missing")]
    NoPackageManager(&'static str),
    /// The package database cannot be read.
    #[error("the package database {path} cannot be read: {source}")]
    Database {
        /// Where it is.
        path: &'static str,
        /// Why.
        source: DatabaseError,
    },
    /// rpm, in a container, does not list what is installed.
    #[error("rpm does not list what is installed: {0}")]
    List(#[source] GatewayError, Option<Note>),
    /// Something was interrupted when the image was built.
    #[error("packages of the image are half-installed: {}", list(.packages))]
    Unfinished {
        /// What had been interrupted.
        manager: Manager,
        /// The packages.
        packages: Vec<PackageName>,
    },
    /// dpkg was interrupted when the image was built.
    #[error(
        "dpkg was interrupted when the image was built: {0} has changes that its database lacks"
    )]
    Interrupted(&'static str),
    /// Nothing says where packages come from.
    #[error("the image names no package repository in {0}")]
    NoRepositories(String),
    /// apk's repositories' configuration cannot be read.
    #[error("the configuration of the package repositories cannot be read: {0}")]
    ApkRepositories(#[from] ApkRepositoriesError),
    /// apt's repositories' configuration cannot be read.
    #[error("the configuration of the package repositories cannot be read: {0}")]
    Sources(#[from] AptSourcesError),
    /// The configuration of the rpm family's managers cannot be read.
    #[error(transparent)]
    RpmConfiguration(#[from] RpmConfigurationError),
}

/// Why a package database cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum DatabaseError {
    /// apk's.
    #[error(transparent)]
    Apk(#[from] ApkError),
    /// dpkg's.
    #[error(transparent)]
    Dpkg(#[from] DpkgError),
    /// rpm's.
    #[error(transparent)]
    Rpm(#[from] RpmDatabaseError),
}

fn list(names: &[PackageName]) -> String {
    names.iter().map(PackageName::as_str).collect::<Vec<_>>().join(", ")
}

impl ProbeError {
    /// Whether the image is of a kind that cannot be patched, rather than broken.
    pub fn is_unsupported(&self) -> bool {
        match self {
            Self::OtherSystem(_)
            | Self::NoOsRelease
            | Self::Distro(_)
            | Self::NoDatabase(_)
            | Self::NoPackageManager(_) => true,
            Self::Gateway(_)
            | Self::Database { .. }
            | Self::List(..)
            | Self::Unfinished { .. }
            | Self::Interrupted(_)
            | Self::NoRepositories(_)
            | Self::ApkRepositories(_)
            | Self::Sources(_)
            | Self::RpmConfiguration(_) => false,
        }
    }
}

/// Reads what the image is made of.
pub async fn system(
    gateway: &impl Gateway,
    image: &SolvedTree,
    steps: &Steps<'_>,
) -> Result<Probe, ProbeError> {
    let tree = &image.reading;
    if steps.platform.os() != "linux" {
        return Err(ProbeError::OtherSystem(Box::new(steps.platform.clone())));
    }
    let os_release = os_release(gateway, tree).await?;
    let distro = distro::identify(&os_release)?;
    let system = match distro.family {
        Family::Apk => System::Apk(apk::system(gateway, tree).await?),
        Family::Dpkg => {
            let base_suites = distro::base_suites(&os_release, distro);
            let base_suites = base_suites.into_iter().map(ToOwned::to_owned).collect();
            System::Dpkg(dpkg::system(gateway, tree, base_suites).await?)
        }
        Family::Rpm => System::Rpm(rpm::system(gateway, image, steps, &os_release).await?),
    };
    if system.database().packages().is_empty() {
        return Err(ProbeError::NoDatabase(system.database_path()));
    }
    let unfinished: Vec<&InstalledPackage> = system.database().unfinished().collect();
    if !unfinished.is_empty() {
        let packages = unfinished.into_iter().map(|package| package.name.clone()).collect();
        return Err(ProbeError::Unfinished { manager: system.manager(), packages });
    }
    Ok(Probe { end_of_life: distro::end_of_life(&os_release), os_release, distro, system })
}

async fn os_release(gateway: &impl Gateway, tree: &Ref) -> Result<OsRelease, ProbeError> {
    // os-release(5): the second is the fallback of the first, which is mostly a link to it.
    for path in ["/etc/os-release", "/usr/lib/os-release"] {
        if let Some(bytes) = read_optional_file(gateway, tree, path, SMALL_FILE_LIMIT).await? {
            return Ok(OsRelease::parse(&bytes));
        }
    }
    Err(ProbeError::NoOsRelease)
}

/// The packages of a tree that was made from an image with this system.
pub async fn database_of(
    gateway: &impl Gateway,
    image: &SolvedTree,
    steps: &Steps<'_>,
    system: &System,
) -> Result<Database, ProbeError> {
    let tree = &image.reading;
    match system {
        System::Apk(system) => apk::database(gateway, tree, system).await,
        System::Dpkg(_) => dpkg::database(gateway, tree).await?.ok_or(dpkg::NO_DATABASE),
        System::Rpm(system) => rpm::database(gateway, image, steps, system).await,
    }
}
