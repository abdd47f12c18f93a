//! Package databases of images, as values.
//!
//! This module holds what all families have in common; each family's format has a module of its own. How a
//! database is read from an image is not known here.

pub mod apk;
pub mod control;
pub mod dpkg;
pub mod extended_states;
pub mod rpm;

use std::cmp::Ordering;

use crate::package::{Architecture, PackageName};
use crate::version::Version;

/// How far the installation of a package has come (dpkg(1), «Package states»).
///
/// A package that is not installed is not in a [`Database`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum State {
    /// Removed, but its configuration files are still there.
    ConfigFiles,
    /// Its installation has begun and was not completed.
    HalfInstalled,
    /// Unpacked, not configured.
    Unpacked,
    /// Its configuration has begun and was not completed.
    HalfConfigured,
    /// It waits for another package to process its triggers.
    TriggersAwaited,
    /// It has been triggered.
    TriggersPending,
    /// Unpacked and configured.
    Installed,
}

impl State {
    /// Whether the package can be used: other packages' dependencies on it are met.
    pub fn is_installed(self) -> bool {
        match self {
            Self::Installed | Self::TriggersAwaited | Self::TriggersPending => true,
            Self::ConfigFiles | Self::HalfInstalled | Self::Unpacked | Self::HalfConfigured => {
                false
            }
        }
    }

    /// Whether an earlier run of the package manager was cut short here.
    pub fn is_unfinished(self) -> bool {
        match self {
            Self::HalfInstalled | Self::Unpacked | Self::HalfConfigured => true,
            Self::ConfigFiles | Self::TriggersAwaited | Self::TriggersPending | Self::Installed => {
                false
            }
        }
    }
}

/// What a package gives to one of its files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attributes {
    /// The permission bits, with those for set-user-id, set-group-id and sticky.
    pub mode: u32,
    /// The number of the user that owns it.
    pub owner: u32,
    /// The number of its group.
    pub group: u32,
    /// Whether it has capabilities.
    pub is_capable: bool,
}

/// The source package that a binary package was built from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourcePackage {
    /// Its name, often that of the binary package.
    pub name: PackageName,
    /// Its version, mostly that of the binary package.
    pub version: Version,
}

/// One package of a database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InstalledPackage {
    /// The name, without architecture.
    pub name: PackageName,
    /// The architecture; `all` for packages that fit every one.
    pub architecture: Architecture,
    /// The version whose files are there.
    pub version: Version,
    /// How far its installation has come.
    pub state: State,
    /// Whether the user wants this very version kept.
    pub held: bool,
    /// What it was built from.
    pub source: SourcePackage,
}

/// The packages of an image, sorted by name, architecture and version.
///
/// rpm's databases may hold several versions of one name and architecture, such as kernels; those of the
/// other families hold one.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Database {
    packages: Vec<InstalledPackage>,
}

impl Database {
    /// A database of these packages. What a package manager makes of duplicates is up to its parser.
    pub fn new(packages: impl IntoIterator<Item = InstalledPackage>) -> Self {
        let mut packages: Vec<_> = packages.into_iter().collect();
        packages.sort_by(|left, right| {
            let names = left.name.cmp(&right.name);
            let architectures = left.architecture.cmp(&right.architecture);
            let versions = left.version.partial_cmp(&right.version).unwrap_or(Ordering::Equal);
            names.then(architectures).then(versions)
        });
        Self { packages }
    }

    /// All packages, in whatever state.
    pub fn packages(&self) -> &[InstalledPackage] {
        &self.packages
    }

    /// The packages of this name: several if the image has it for several architectures or in several
    /// versions.
    pub fn find<'a>(&'a self, name: &PackageName) -> impl Iterator<Item = &'a InstalledPackage> {
        let start = self.packages.partition_point(|package| package.name < *name);
        let end = self.packages.partition_point(|package| package.name <= *name);
        self.packages.get(start..end).unwrap_or_default().iter()
    }

    /// The package of this name and architecture; the newest if there are several.
    pub fn get(
        &self,
        name: &PackageName,
        architecture: &Architecture,
    ) -> Option<&InstalledPackage> {
        self.find(name).filter(|package| package.architecture == *architecture).last()
    }

    /// The packages that can be used.
    pub fn installed(&self) -> impl Iterator<Item = &InstalledPackage> {
        self.packages.iter().filter(|package| package.state.is_installed())
    }

    /// The packages whose installation was cut short.
    pub fn unfinished(&self) -> impl Iterator<Item = &InstalledPackage> {
        self.packages.iter().filter(|package| package.state.is_unfinished())
    }
}

/// A package in one line, for the tests of its formats.
#[cfg(test)]
fn shown(package: &InstalledPackage) -> String {
    let held = if package.held { " held" } else { "" };
    let InstalledPackage { name, architecture, version, state, source, .. } = package;
    format!("{name}:{architecture} {version} {state:?}{held} <- {} {}", source.name, source.version)
}
