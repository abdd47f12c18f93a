//! The lab's Alpine: a signed repository for each architecture, and the images whose packages it updates.

use std::env;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use crate::alpine_packages::{
    CHANGED_CONFIGURATION, INSTALLED, PINNED, SERVED, STRIPPED, SmallPackage, UPDATES,
};
use crate::alpine_root::AlpineRoot;
use crate::apk_package::{ApkPackage, File, Kind, WrittenPackage, index};
use crate::apk_repository;
use crate::build_context::BuildContext;
use crate::digest;
use crate::engine::Engine;
use crate::folder::LabFolder;
use crate::rsa_key::RsaKey;

/// Everything of ours that decides what the packages and repositories are like.
const RECIPE: [&str; 5] = [
    include_str!("alpine.rs"),
    include_str!("alpine_packages.rs"),
    include_str!("alpine_root.rs"),
    include_str!("apk_package.rs"),
    include_str!("apk_repository.rs"),
];

/// The lab's Alpine for one architecture, with its updates in reach or not.
#[derive(Clone, Copy, Debug)]
pub struct AlpineImage {
    architecture: &'static str,
    platform: &'static str,
    updates: ApkUpdates,
}

/// The repository as an image names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ApkUpdates {
    /// The signed repository.
    Good,
    /// The same, but the image does not know the key.
    UnknownKey,
    /// The same with an index that is not signed.
    Unsigned,
    /// Signed, but the packages are not what the signed index says.
    Tampered,
    /// A port that nothing listens on.
    Unreachable,
}

impl ApkUpdates {
    /// The folder of the repositories, below all that are served.
    fn folder(self) -> &'static str {
        match self {
            Self::Good | Self::UnknownKey | Self::Unreachable => "alpine",
            Self::Unsigned => "alpine-unsigned",
            Self::Tampered => "alpine-tampered",
        }
    }
}

impl AlpineImage {
    /// The image for most machines.
    pub const AMD64: Self =
        Self { architecture: "x86_64", platform: "linux/amd64", updates: ApkUpdates::Good };

    /// The same for another architecture, made without emulation.
    pub const ARM64: Self =
        Self { architecture: "aarch64", platform: "linux/arm64", ..Self::AMD64 };

    /// The image with its updates in reach or not.
    #[must_use]
    pub const fn with(self, updates: ApkUpdates) -> Self {
        Self { updates, ..self }
    }

    /// Makes sure that an engine has the image and the repository is served.
    pub fn ensure(self, engine: &Engine, name: &str) -> Result<()> {
        let folder = engine.folder();
        let key = RsaKey::of(folder)?;
        let root = AlpineRoot::of(engine, self.architecture)?;
        self.ensure_repositories(folder, &root, &key)?;
        let tools = if self.architecture == env::consts::ARCH {
            root.bytes.clone()
        } else {
            AlpineRoot::of(engine, env::consts::ARCH)?.bytes
        };
        let (configuration, text) = CHANGED_CONFIGURATION;
        let mut context = BuildContext::new()
            .file("Dockerfile", include_str!("../images/alpine/Dockerfile"))
            .file("author", include_str!("../images/alpine/author"))
            .file("entrypoint", include_str!("../images/application/entrypoint"))
            .file("greeting", include_str!("../images/application/greeting"))
            .file("configuration", text)
            .file("tools.tar.gz", tools)
            .file("root.tar.gz", root.bytes)
            .file("signer", key.public_bytes()?)
            .file("repositories", self.repositories(engine)?)
            .argument("SIGNER", RsaKey::FILE_NAME)
            .argument("TRUSTED", if self.updates == ApkUpdates::UnknownKey { "" } else { "yes" })
            .platform(self.platform)
            .argument("ARCHITECTURE", self.architecture)
            .argument("PINNED", PINNED)
            .argument("STRIPPED", &STRIPPED.join(" "))
            .argument("CONFIGURATION", configuration);
        let installed = small_packages(&INSTALLED, self.architecture, &key)?;
        let base = format!("base/{}", self.architecture);
        context = context.file(&format!("{base}/APKINDEX.tar.gz"), index(&installed, Some(&key))?);
        for package in installed {
            context = context.file(&format!("{base}/{}", package.file_name), package.bytes);
        }
        context.ensure(engine, name)
    }

    /// What the image says of its repositories.
    fn repositories(self, engine: &Engine) -> Result<String> {
        let server = engine.repository_server()?;
        let server = match self.updates {
            ApkUpdates::Unreachable => server.unreachable_url(),
            _ => server.url(),
        };
        Ok(format!("# The lab's own.\n{server}/{}/v3.20/main\n", self.updates.folder()))
    }

    /// Makes the repositories of the architecture unless they are there as they should be.
    fn ensure_repositories(
        self,
        folder: &LabFolder,
        root: &AlpineRoot,
        key: &RsaKey,
    ) -> Result<()> {
        let digests = [&root.bytes, &key.public_bytes()?].map(|bytes| digest::of_bytes(bytes));
        let parts = [&RECIPE[..], &digests.each_ref().map(String::as_str)].concat();
        let recipe = digest::of_bytes(parts.join("\n").as_bytes());
        let marker = folder.folder("alpine")?.join(format!("complete-{}", self.architecture));
        if fs::read_to_string(&marker).is_ok_and(|made| made == recipe) {
            return Ok(());
        }
        eprintln!("making Alpine's repositories for {}", self.architecture);
        let mut packages = small_packages(&SERVED, self.architecture, key)?;
        for (package, installed, fixed) in UPDATES {
            packages.push(root.rebuilt(package, installed, fixed)?.write(key)?);
        }
        let served = folder.folder("repositories")?;
        for (updates, key) in [
            (ApkUpdates::Good, Some(key)),
            (ApkUpdates::Unsigned, None),
            (ApkUpdates::Tampered, Some(key)),
        ] {
            let main = served.join(updates.folder()).join("v3.20/main");
            self.write_repository(&main, &packages, key, updates == ApkUpdates::Tampered)?;
        }
        fs::write(&marker, recipe).with_context(|| format!("cannot write: {}", marker.display()))
    }

    /// Writes one repository in place of the last one.
    fn write_repository(
        self,
        main: &Path,
        packages: &[WrittenPackage],
        key: Option<&RsaKey>,
        is_tampered: bool,
    ) -> Result<()> {
        let finished = main.join(self.architecture);
        let unfinished = main.join(format!("{}.unfinished", self.architecture));
        for folder in [&finished, &unfinished] {
            if folder.exists() {
                fs::remove_dir_all(folder)
                    .with_context(|| format!("cannot remove: {}", folder.display()))?;
            }
        }
        apk_repository::write(&unfinished, packages, key)?;
        if is_tampered {
            for package in packages {
                let path = unfinished.join(&package.file_name);
                let mut bytes = package.bytes.clone();
                let middle = bytes.len() / 2;
                if let Some(byte) = bytes.get_mut(middle) {
                    *byte ^= 1;
                }
                fs::write(&path, bytes)
                    .with_context(|| format!("cannot write: {}", path.display()))?;
            }
        }
        fs::rename(&unfinished, &finished)
            .with_context(|| format!("cannot write: {}", finished.display()))
    }
}

/// Writes packages that only the lab has.
fn small_packages(
    packages: &[SmallPackage],
    architecture: &str,
    key: &RsaKey,
) -> Result<Vec<WrittenPackage>> {
    packages.iter().map(|package| small_package(package, architecture).write(key)).collect()
}

/// A package that only the lab has.
fn small_package(package: &SmallPackage, architecture: &str) -> ApkPackage {
    let SmallPackage { name, version, depends, .. } = *package;
    let folder = |path: &str| File { path: path.to_owned(), mode: 0o755, kind: Kind::Folder };
    let text = |path: &str, text: String| File {
        path: path.to_owned(),
        mode: 0o644,
        kind: Kind::Regular(text.into_bytes()),
    };
    let mut files = Vec::new();
    if !package.files.is_empty() {
        files.push(folder("etc"));
        files.extend(package.files.iter().map(|(path, content)| text(path, (*content).to_owned())));
    }
    let own = format!("usr/share/{name}");
    files.extend([folder("usr"), folder("usr/share"), folder(&own)]);
    files.push(text(&format!("{own}/version"), format!("{version}\n")));
    let script = package.script.map(|(when, script)| {
        let script = format!("#!/bin/sh\nset -e\n{script}\n");
        (format!(".{when}"), script.into_bytes())
    });
    let depends = (!depends.is_empty()).then(|| ('D', depends.to_owned()));
    ApkPackage {
        name: name.to_owned(),
        version: version.to_owned(),
        architecture: architecture.to_owned(),
        origin: name.to_owned(),
        description: format!("{name} of the lab"),
        fields: depends.into_iter().collect(),
        triggers: None,
        scripts: script.into_iter().collect(),
        files,
    }
}
