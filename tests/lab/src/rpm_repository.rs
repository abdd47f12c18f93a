//! The repositories of an rpm world: what is installed, its updates, and the updates' bad variants.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::folder::empty;
use crate::rpm_package::Package;
use crate::rpm_small_packages::CONFLICTING;
use crate::rpm_tools::RpmTools;
use crate::signing_key::SigningKey;

/// The folder of packages in each repository.
pub const ARCHITECTURE: &str = "x86_64";

/// The repositories as an image can name them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Updates {
    /// All packages signed, as their index says.
    Good,
    /// The same, and one that conflicts with what is installed.
    Conflicting,
    /// One package without a signature, see [`BAD`].
    Unsigned,
    /// Packages that were changed later: one before its index was made, so that only its signature
    /// tells, the others after that.
    Tampered,
    /// A port that nothing listens on.
    Unreachable,
}

/// The package that has no signature in one repository and a wrong one in another, in every world.
pub const BAD: &str = "lab-logger";

impl Updates {
    /// The repository's folder.
    pub fn folder(self) -> &'static str {
        match self {
            Self::Good | Self::Unreachable => "updates",
            Self::Conflicting => "updates-conflicting",
            Self::Unsigned => "updates-unsigned",
            Self::Tampered => "updates-tampered",
        }
    }
}

/// The packages of a world as they came from rpmbuild, each in one folder.
#[derive(Debug)]
pub struct Packages<'a> {
    /// What is installed or could be.
    pub base: &'a [Package],
    /// The updates.
    pub updates: &'a [Package],
}

/// Signs the packages in the work folders `base` and `updates` and makes the repositories from them
/// in the work folder `repositories`.
pub fn write(tools: &RpmTools, key: &SigningKey, packages: &Packages<'_>) -> Result<()> {
    let bad = packages
        .updates
        .iter()
        .find(|package| package.name == BAD)
        .map(Package::file_name)
        .context("a package is missing")?;
    let unsigned = tools.path("unsigned");
    copy(&tools.path("updates").join(&bad), &unsigned)?;
    let inside = |folder: &str, packages: &[Package]| {
        let inside = |package: &Package| tools.inside(&format!("{folder}/{}", package.file_name()));
        packages.iter().map(inside).collect::<Vec<_>>()
    };
    let all = [inside("base", packages.base), inside("updates", packages.updates)].concat();
    tools.sign(key, &all)?;

    empty(&tools.path("repositories"))?;
    let base = Repository { tools, key, folder: "base", packages: packages.base.iter().collect() };
    base.copy_from("base")?;
    base.index(None)?;
    for updates in [Updates::Good, Updates::Conflicting, Updates::Unsigned, Updates::Tampered] {
        let has =
            |package: &&Package| updates == Updates::Conflicting || package.name != CONFLICTING;
        let packages = packages.updates.iter().filter(has).collect();
        let repository = Repository { tools, key, folder: updates.folder(), packages };
        repository.copy_from("updates")?;
        match updates {
            Updates::Unsigned => copy(&unsigned, &repository.file(&bad))?,
            Updates::Tampered => tamper(&repository.file(&bad))?,
            Updates::Good | Updates::Conflicting | Updates::Unreachable => {}
        }
        repository.index(Some(&advisories(&repository.packages)))?;
        if updates == Updates::Tampered {
            for package in repository.packages.iter().filter(|package| package.name != BAD) {
                tamper(&repository.file(&package.file_name()))?;
            }
        }
    }
    Ok(())
}

/// One repository.
struct Repository<'a> {
    tools: &'a RpmTools,
    key: &'a SigningKey,
    folder: &'static str,
    packages: Vec<&'a Package>,
}

impl Repository<'_> {
    /// Its folder among the files of the work.
    fn inside(&self) -> String {
        format!("repositories/{}/{ARCHITECTURE}", self.folder)
    }

    /// One of its files.
    fn file(&self, name: &str) -> PathBuf {
        self.tools.path(&self.inside()).join(name)
    }

    /// Fills it with packages from a work folder.
    fn copy_from(&self, folder: &str) -> Result<()> {
        empty(&self.tools.path(&self.inside()))?;
        for package in &self.packages {
            let name = package.file_name();
            copy(&self.tools.path(folder).join(&name), &self.file(&name))?;
        }
        Ok(())
    }

    /// Indexes and signs it.
    fn index(&self, advisories: Option<&str>) -> Result<()> {
        self.tools.index(self.key, &self.inside(), advisories)
    }
}

/// The advisories that come with the updates, one for each package, in the form of Red Hat's.
fn advisories(updates: &[&Package]) -> String {
    let mut text = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<updates>\n".to_owned();
    for (number, package) in updates.iter().enumerate() {
        let number = number + 1;
        let name = &package.name;
        let version = &package.version;
        let epoch = version.epoch.as_deref().unwrap_or("0");
        text.push_str(&format!(
            "<update from=\"lab@example.org\" status=\"final\" type=\"security\" version=\"1\">\
             <id>LAB-2026:{number:04}</id><title>Important: {name} security update</title>\
             <issued date=\"2026-01-01 00:00:00\"/><updated date=\"2026-01-01 00:00:00\"/>\
             <severity>Important</severity><description>A fix of {name}.</description>\
             <references><reference href=\"https://example.org/CVE-2026-{number:04}\" \
             id=\"CVE-2026-{number:04}\" type=\"cve\" title=\"CVE-2026-{number:04}\"/></references>\
             <pkglist><collection short=\"lab\"><name>lab</name>\
             <package name=\"{name}\" version=\"{}\" release=\"{}\" epoch=\"{epoch}\" arch=\"{}\" \
             src=\"{name}.src.rpm\"><filename>{}</filename></package>\
             </collection></pkglist></update>\n",
            version.version,
            version.release,
            package.architecture.name(),
            package.file_name(),
        ));
    }
    text.push_str("</updates>\n");
    text
}

/// Changes a byte near the end of a package: in its content, which is packed.
fn tamper(package: &Path) -> Result<()> {
    let mut bytes =
        fs::read(package).with_context(|| format!("cannot read: {}", package.display()))?;
    let place = bytes.len().saturating_sub(16);
    let Some(byte) = bytes.get_mut(place) else {
        bail!("a package is empty: {}", package.display());
    };
    *byte ^= 1;
    fs::write(package, bytes).with_context(|| format!("cannot write: {}", package.display()))
}

/// Copies a file.
fn copy(from: &Path, to: &Path) -> Result<()> {
    fs::copy(from, to).map(drop).with_context(|| format!("cannot copy: {}", from.display()))
}
