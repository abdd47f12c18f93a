//! What we learn by looking into the target image.
//!
//! Files are read through the gateway; no container is started.

use jiff::civil::Date;

use crate::digest::Digest;
use crate::distro::{self, Distro, DistroError, Family, OsRelease};
use crate::gateway::file::{exists, read_optional_directory, read_optional_file};
use crate::gateway::{FileKind, Gateway, GatewayError, ImageSource, Ref};
use crate::image::{ImageConfig, ImageConfigError};
use crate::llb::{Display, Output, source};
use crate::package::{Architecture, PackageName};
use crate::patch::task::{Manager, Repositories};
use crate::pkgdb::dpkg::{self, DpkgError};
use crate::pkgdb::{Database, InstalledPackage};
use crate::platform::Platform;
use crate::reference::ImageReference;
use crate::repository::apt::{AptSources, AptSourcesError};
use crate::request::context::Context;
use crate::request::{ImageInput, Request};

/// Largest `os-release`; real ones have a few hundred bytes.
const OS_RELEASE_LIMIT: u64 = 64 << 10;
/// Largest package database; one of 5,000 packages has 5 MB.
const DATABASE_LIMIT: u64 = 64 << 20;
/// Largest file that configures repositories.
const SOURCES_LIMIT: u64 = 1 << 20;
/// Most files that configure repositories.
const SOURCES_FILES: usize = 256;

/// The image to patch.
#[derive(Clone, Debug)]
pub struct TargetImage {
    /// Its name without a digest; an image built by the client has none.
    pub name: Option<ImageReference>,
    /// What the name points to.
    pub digest: Option<Digest>,
    /// What it is patched for.
    pub platform: Platform,
    /// Its configuration.
    pub config: ImageConfig,
    /// Its root filesystem, to build upon.
    pub root: Output,
    /// Its root filesystem, to read.
    pub tree: Ref,
}

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
    /// Debian and its kin.
    Dpkg(DpkgSystem),
}

/// A Debian-like image with its own package manager.
#[derive(Clone, Debug)]
pub struct DpkgSystem {
    /// What is installed.
    pub database: Database,
    /// Architecture of the packages that belong to the image's platform.
    pub native: Architecture,
    /// Where packages come from.
    pub sources: AptSources,
    /// Suites that are the distro's base, and so large.
    pub base_suites: Vec<String>,
}

impl System {
    /// What upgrades it.
    pub fn manager(&self) -> Manager {
        match self {
            Self::Dpkg(_) => Manager::Apt,
        }
    }

    /// The choices of repositories to ask, the cheapest first; `small_first` when few upgrades
    /// are wanted, which the small repositories probably have.
    pub fn repositories(&self, small_first: bool) -> Vec<Repositories> {
        let mut choices = Vec::new();
        match self {
            Self::Dpkg(system) => {
                let base: Vec<&str> = system.base_suites.iter().map(String::as_str).collect();
                let small = system.sources.small(&base);
                if small_first && small.has_binary() {
                    let files = small.files().into_iter();
                    choices.push(Repositories::Files(
                        files.map(|(name, content)| (name.to_owned(), content)).collect(),
                    ));
                }
            }
        }
        choices.push(Repositories::Configured);
        choices
    }

    /// What is installed.
    pub fn database(&self) -> &Database {
        match self {
            Self::Dpkg(system) => &system.database,
        }
    }
}

/// Why an image cannot be patched.
#[derive(Debug, thiserror::Error)]
pub enum ProbeError {
    /// The daemon failed.
    #[error(transparent)]
    Gateway(#[from] GatewayError),
    /// The image is for another platform than the one asked for.
    #[error("the image is for {found}, not for {wanted}")]
    OtherPlatform {
        /// What the user asked for.
        wanted: Box<Platform>,
        /// What the configuration says.
        found: Box<Platform>,
    },
    /// The image cannot be found or loaded.
    #[error("the image cannot be loaded: {name}: {source}")]
    Unavailable {
        /// Its name.
        name: String,
        /// The daemon's words.
        source: GatewayError,
    },
    /// The configuration cannot be read.
    #[error(transparent)]
    Config(#[from] ImageConfigError),
    /// The client did not send the input that a named context points to.
    #[error("named context `image` points to input `{0}`, which the client did not send")]
    NoInput(String),
    /// An input is no image.
    #[error("named context `image` points to input `{0}`, which has no image configuration")]
    NoConfig(String),
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
        source: DpkgError,
    },
    /// Something was interrupted when the image was built.
    #[error("packages of the image are half-installed: {}", list(.0))]
    Unfinished(Vec<PackageName>),
    /// Nothing says where packages come from.
    #[error("the image names no package repository in /etc/apt/sources.list or sources.list.d")]
    NoRepositories,
    /// The repositories' configuration cannot be read.
    #[error("the configuration of the package repositories cannot be read: {0}")]
    Sources(#[from] AptSourcesError),
}

fn list(names: &[PackageName]) -> String {
    names.iter().map(PackageName::as_str).collect::<Vec<_>>().join(", ")
}

/// Finds the image, pins what its name points to and reads its configuration.
pub async fn image(gateway: &impl Gateway, request: &Request) -> Result<TargetImage, ProbeError> {
    let wanted = request.platform.clone();
    let platform = wanted.clone().unwrap_or_else(|| gateway.daemon().platform.clone());
    let (name, digest, config, root) = match &request.image {
        ImageInput::Named(reference) => {
            let (reference, mode) = (reference.clone(), request.resolve_mode);
            let source = ImageSource::Registry { reference: reference.clone(), mode };
            let unavailable =
                |source| ProbeError::Unavailable { name: reference.familiar(), source };
            let resolved = gateway.resolve_image(&source, &platform).await.map_err(unavailable)?;
            let pinned = match &resolved.digest {
                Some(digest) => reference.with_digest(digest),
                None => reference.clone(),
            };
            let display = Display::named(format!("load {}", reference.familiar()));
            let root = source::image(&pinned, &platform, mode, &display);
            let name = reference.without_digest();
            (Some(name), resolved.digest, ImageConfig::parse(&resolved.config)?, root)
        }
        ImageInput::Context(Context::OciLayout(layout)) => {
            let source = ImageSource::OciLayout(layout.clone());
            let unavailable =
                |source| ProbeError::Unavailable { name: layout.name.clone(), source };
            let resolved = gateway.resolve_image(&source, &platform).await.map_err(unavailable)?;
            let root = layout.build(&platform, &Display::named("load image from OCI layout"));
            (None, resolved.digest, ImageConfig::parse(&resolved.config)?, root)
        }
        ImageInput::Context(Context::Input(input, config)) => {
            let mut inputs = gateway.inputs().await?;
            let absent = || ProbeError::NoInput(input.clone());
            let root = inputs.remove(input).flatten().ok_or_else(absent)?;
            let config = config.as_ref().ok_or_else(|| ProbeError::NoConfig(input.clone()))?;
            (None, None, ImageConfig::parse(config)?, root)
        }
        ImageInput::Context(Context::Local(name) | Context::Http(name)) => {
            return Err(ProbeError::NoInput(name.clone()));
        }
        ImageInput::Context(Context::Image(reference)) => {
            return Err(ProbeError::NoInput(reference.canonical()));
        }
    };
    let tree = gateway.solve(&root).await?;
    // A name may lead to an image for one other platform: what it says of itself counts.
    let found = config.platform();
    let machine = |platform: &Platform| format!("{}/{}", platform.os(), platform.architecture());
    if let Some(wanted) = wanted.filter(|wanted| machine(wanted) != machine(&found)) {
        let (wanted, found) = (Box::new(wanted), Box::new(found));
        return Err(ProbeError::OtherPlatform { wanted, found });
    }
    let platform = found;
    Ok(TargetImage { name, digest, platform, config, root, tree })
}

/// Reads what the image is made of.
pub async fn system(gateway: &impl Gateway, tree: &Ref) -> Result<Probe, ProbeError> {
    let os_release = os_release(gateway, tree).await?;
    let distro = distro::identify(&os_release)?;
    let system = match distro.family {
        Family::Dpkg => {
            let base_suites = distro::base_suites(&os_release, distro);
            let base_suites = base_suites.into_iter().map(ToOwned::to_owned).collect();
            System::Dpkg(dpkg_system(gateway, tree, base_suites).await?)
        }
    };
    let unfinished: Vec<&InstalledPackage> = system.database().unfinished().collect();
    if !unfinished.is_empty() {
        let names = unfinished.into_iter().map(|package| package.name.clone()).collect();
        return Err(ProbeError::Unfinished(names));
    }
    Ok(Probe { end_of_life: distro::end_of_life(&os_release), os_release, distro, system })
}

async fn os_release(gateway: &impl Gateway, tree: &Ref) -> Result<OsRelease, ProbeError> {
    // os-release(5): the second is the fallback of the first, which is mostly a link to it.
    for path in ["/etc/os-release", "/usr/lib/os-release"] {
        if let Some(bytes) = read_optional_file(gateway, tree, path, OS_RELEASE_LIMIT).await? {
            return Ok(OsRelease::parse(&bytes));
        }
    }
    Err(ProbeError::NoOsRelease)
}

/// Where dpkg keeps what is installed.
pub const DPKG_STATUS: &str = "/var/lib/dpkg/status";

async fn dpkg_system(
    gateway: &impl Gateway,
    tree: &Ref,
    base_suites: Vec<String>,
) -> Result<DpkgSystem, ProbeError> {
    let (database, apt, dpkg, architectures, sources) = tokio::try_join!(
        dpkg_database(gateway, tree),
        async { Ok(exists(gateway, tree, "/usr/bin/apt-get").await?) },
        async { Ok(exists(gateway, tree, "/usr/bin/dpkg").await?) },
        async {
            let path = "/var/lib/dpkg/arch";
            Ok(read_optional_file(gateway, tree, path, OS_RELEASE_LIMIT).await?)
        },
        apt_sources(gateway, tree),
    )?;
    for (present, program) in [(apt, "/usr/bin/apt-get"), (dpkg, "/usr/bin/dpkg")] {
        if !present {
            return Err(ProbeError::NoPackageManager(program));
        }
    }
    let database = database.ok_or(ProbeError::NoDatabase(DPKG_STATUS))?;
    if !sources.has_binary() {
        return Err(ProbeError::NoRepositories);
    }
    let unreadable = |source| ProbeError::Database { path: "/var/lib/dpkg/arch", source };
    let recorded = match architectures {
        Some(bytes) => dpkg::parse_foreign_architectures(&bytes).map_err(unreadable)?,
        None => None,
    };
    let native = recorded
        .map(|architectures| architectures.native)
        .or_else(|| dpkg::native_architecture(&database))
        .ok_or(ProbeError::NoDatabase(DPKG_STATUS))?;
    Ok(DpkgSystem { database, native, sources, base_suites })
}

/// Reads dpkg's database; nothing when there is none.
pub async fn dpkg_database(
    gateway: &impl Gateway,
    tree: &Ref,
) -> Result<Option<Database>, ProbeError> {
    let bytes = read_optional_file(gateway, tree, DPKG_STATUS, DATABASE_LIMIT).await?;
    let parse = |bytes: Vec<u8>| {
        dpkg::parse_status(&bytes)
            .map_err(|source| ProbeError::Database { path: DPKG_STATUS, source })
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
        if let Some(bytes) = read_optional_file(gateway, tree, &file, SOURCES_LIMIT).await? {
            contents.push((file, bytes));
        }
    }
    Ok(AptSources::parse(contents.iter().map(|(file, bytes)| (file.as_str(), bytes.as_slice())))?)
}

/// The packages of a tree that was made from an image with this system.
pub async fn database_of(
    gateway: &impl Gateway,
    tree: &Ref,
    system: &System,
) -> Result<Database, ProbeError> {
    match system {
        System::Dpkg(_) => {
            let database = dpkg_database(gateway, tree).await?;
            database.ok_or(ProbeError::NoDatabase(DPKG_STATUS))
        }
    }
}
