//! The hermetic repositories, and the images whose packages they update.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::apt_repository::Suite;
use crate::build_context::BuildContext;
use crate::deb_package::{field, rebuild};
use crate::debian_packages::{ARCHIVE_KEYRING, Archive};
use crate::debian_root::DebianRoot;
use crate::digest;
use crate::engine::Engine;
use crate::folder::{LabFolder, empty};
use crate::hermetic_packages::{
    AUTOMATIC, CHANGED_CONFIGURATION, HELD, INSTALLED_BESIDE, NOT_INSTALLED, Place, SECURITY_SUITE,
    SMALL_PACKAGES, STRIPPED, SUITE, UPDATES,
};
use crate::signing_key::SigningKey;

/// The image that all hermetic images are made from.
pub const ROOT_IMAGE: &str = "lab/root:hermetic";

/// Where the image has the lab's key.
const KEYRING: &str = "/usr/share/keyrings/lab-archive-keyring.gpg";

/// Everything of ours that decides what the packages and repositories are like.
const RECIPE: [&str; 4] = [
    include_str!("apt_repository.rs"),
    include_str!("deb_package.rs"),
    include_str!("hermetic.rs"),
    include_str!("hermetic_packages.rs"),
];

/// The repositories as an image's sources can name them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sources {
    /// The signed repositories.
    Good,
    /// The same, but the image trusts Debian's keys and not ours.
    UnknownKey,
    /// The same without signatures.
    Unsigned,
    /// Signed, but the packages are not what the signed indexes say.
    Tampered,
    /// With an update that fails to install.
    Failing,
    /// A port that nothing listens on.
    Unreachable,
}

impl Sources {
    /// The folder of the repositories, below all that are served.
    fn folder(self) -> &'static str {
        match self {
            Self::Good | Self::UnknownKey | Self::Unreachable => "hermetic",
            Self::Unsigned => "hermetic-unsigned",
            Self::Tampered => "hermetic-tampered",
            Self::Failing => "hermetic-failing",
        }
    }

    /// The text of an image's sources.
    pub fn text(self, engine: &Engine) -> Result<String> {
        let server = engine.repository_server()?;
        let server = match self {
            Self::Unreachable => server.unreachable_url(),
            _ => server.url(),
        };
        let keyring = if self == Self::UnknownKey { ARCHIVE_KEYRING } else { KEYRING };
        let stanza = |archive: &str, suite: &str| {
            format!(
                "Types: deb\nURIs: {server}/{}/{archive}\nSuites: {suite}\nComponents: main\n\
                 Signed-By: {keyring}\n",
                self.folder()
            )
        };
        Ok([stanza("debian", SUITE), stanza("debian-security", SECURITY_SUITE)].join("\n"))
    }
}

/// Makes sure that the repositories are there and an engine has the root image; returns its name.
pub fn ensure_root(engine: &Engine, debian: &str) -> Result<&'static str> {
    let folder = engine.folder();
    let root = DebianRoot::of_suite(folder, SUITE)?;
    let key = SigningKey::of(folder)?;
    let packages = ensure_repositories(folder, &root, &key)?;
    let mut context = BuildContext::new()
        .file("Dockerfile", include_str!("../images/hermetic/Dockerfile"))
        .file("author", include_str!("../images/hermetic/author"))
        .file("keyring.gpg", key.public_bytes()?)
        .file("configuration", CHANGED_CONFIGURATION.1)
        .argument("KEYRING", KEYRING)
        .argument("HELD", HELD)
        .argument("AUTOMATIC", &AUTOMATIC.join(" "))
        .argument("STRIPPED", &STRIPPED.join(" "))
        .argument("CONFIGURATION", CHANGED_CONFIGURATION.0);
    for package in packages {
        let name = package.file_name().context("a file has no name")?.to_string_lossy();
        let bytes =
            fs::read(&package).with_context(|| format!("cannot read: {}", package.display()))?;
        context = context.file(&format!("packages/{name}"), bytes);
    }
    context.root(engine, debian)?.ensure(engine, ROOT_IMAGE)?;
    Ok(ROOT_IMAGE)
}

/// Makes the repositories unless they are there as they should be. Returns the files of the packages
/// that the image needs beyond its root.
fn ensure_repositories(
    folder: &LabFolder,
    root: &DebianRoot,
    key: &SigningKey,
) -> Result<Vec<PathBuf>> {
    let home = folder.folder("hermetic")?;
    let recipe = recipe(root, key)?;
    let marker = home.join("complete");
    let for_image = home.join("for-image");
    if !fs::read_to_string(&marker).is_ok_and(|made| made == recipe) {
        eprintln!("making the hermetic repositories");
        let packages = Packages::make(folder, &home, root)?;
        write_repositories(&folder.folder("repositories")?, &packages, key)?;
        empty(&for_image)?;
        for package in &packages.for_image {
            let name = package.file_name().context("a file has no name")?;
            copy(package, &for_image.join(name))?;
        }
        fs::write(&marker, recipe)
            .with_context(|| format!("cannot write: {}", marker.display()))?;
    }
    let mut packages = Vec::new();
    for entry in
        fs::read_dir(&for_image).with_context(|| format!("cannot list: {}", for_image.display()))?
    {
        packages.push(entry?.path());
    }
    packages.sort();
    Ok(packages)
}

/// The digest of everything that decides what comes out.
fn recipe(root: &DebianRoot, key: &SigningKey) -> Result<String> {
    let key = digest::of_bytes(&key.public_bytes()?);
    let parts = [&RECIPE[..], &[&root.recipe, &key]].concat();
    Ok(digest::of_bytes(parts.join("\n").as_bytes()))
}

/// The files of all packages, by the suite they belong in.
struct Packages {
    base: Vec<PathBuf>,
    security: Vec<PathBuf>,
    failing: Vec<PathBuf>,
    for_image: Vec<PathBuf>,
}

impl Packages {
    /// Builds every package.
    fn make(folder: &LabFolder, home: &Path, root: &DebianRoot) -> Result<Self> {
        let made = home.join("packages");
        empty(&made)?;
        let mut packages =
            Self { base: vec![], security: vec![], failing: vec![], for_image: vec![] };
        packages.add_real(folder, root, &made)?;
        for (place, package) in SMALL_PACKAGES {
            let file = package.build(&made)?;
            if place == Place::Base && !NOT_INSTALLED.contains(&package.name) {
                packages.for_image.push(file.clone());
            }
            packages.of(place).push(file);
        }
        Ok(packages)
    }

    /// Adds the packages made from Debian's.
    fn add_real(&mut self, folder: &LabFolder, root: &DebianRoot, made: &Path) -> Result<()> {
        let mut names: Vec<_> = UPDATES.iter().map(|update| update.package).collect();
        names.extend(INSTALLED_BESIDE);
        names.sort_unstable();
        let originals = Archive::of_suite(folder, SUITE)?.download("hermetic", &names)?;
        for original in originals {
            let name = field(&original, "Package")?;
            let Some(update) = UPDATES.iter().find(|update| update.package == name) else {
                self.base.push(original.clone());
                self.for_image.push(original);
                continue;
            };
            // Debian may have moved on: then its package is given the version it had.
            let installed = if field(&original, "Version")? == update.installed {
                original.clone()
            } else {
                rebuild(&original, update.installed, None, made)?
            };
            if root.version(update.package)?.as_deref() != Some(update.installed) {
                self.for_image.push(installed.clone());
            }
            let fixed = rebuild(&original, update.fixed, Some(update.text_file), made)?;
            // A suite has one version of a package.
            if update.place != Place::Base {
                self.base.push(installed);
            }
            self.of(update.place).push(fixed);
        }
        Ok(())
    }

    /// The packages of one suite.
    fn of(&mut self, place: Place) -> &mut Vec<PathBuf> {
        match place {
            Place::Base => &mut self.base,
            Place::Security => &mut self.security,
            Place::Failing => &mut self.failing,
        }
    }
}

/// Writes the repositories and their bad variants.
fn write_repositories(served: &Path, packages: &Packages, key: &SigningKey) -> Result<()> {
    let with_failing = [&packages.security[..], &packages.failing[..]].concat();
    for (sources, security, key) in [
        (Sources::Good, &packages.security, Some(key)),
        (Sources::Unsigned, &packages.security, None),
        (Sources::Tampered, &packages.security, Some(key)),
        (Sources::Failing, &with_failing, Some(key)),
    ] {
        let unfinished = served.join(format!("{}.unfinished", sources.folder()));
        empty(&unfinished)?;
        let base = Suite { name: SUITE, label: "Lab", packages: &packages.base };
        base.write(&unfinished.join("debian"), key)?;
        let security = Suite { name: SECURITY_SUITE, label: "Lab-Security", packages: security };
        security.write(&unfinished.join("debian-security"), key)?;
        if sources == Sources::Tampered {
            tamper(&unfinished.join("debian/pool"))?;
            tamper(&unfinished.join("debian-security/pool"))?;
        }
        let finished = served.join(sources.folder());
        empty(&finished)?;
        fs::rename(&unfinished, &finished)
            .with_context(|| format!("cannot write: {}", finished.display()))?;
    }
    Ok(())
}

/// Changes a byte of every file in a folder.
fn tamper(folder: &Path) -> Result<()> {
    for entry in
        fs::read_dir(folder).with_context(|| format!("cannot list: {}", folder.display()))?
    {
        let path = entry?.path();
        let mut bytes =
            fs::read(&path).with_context(|| format!("cannot read: {}", path.display()))?;
        let middle = bytes.len() / 2;
        let Some(byte) = bytes.get_mut(middle) else {
            bail!("a package is empty: {}", path.display());
        };
        *byte ^= 1;
        fs::write(&path, bytes).with_context(|| format!("cannot write: {}", path.display()))?;
    }
    Ok(())
}

/// Copies a file.
fn copy(from: &Path, to: &Path) -> Result<()> {
    fs::copy(from, to).map(drop).with_context(|| format!("cannot write: {}", to.display()))
}
