//! What an engine builds an image from: files held in memory, so that their digest tells whether the
//! image it has is still the one they make.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use crate::digest;
use crate::docker_api;
use crate::engine::Engine;
use crate::program;

/// The label that says what an image was made from.
pub const RECIPE_LABEL: &str = "suture.lab.recipe";

/// A Dockerfile and the files and arguments it uses.
#[derive(Clone, Debug, Default)]
pub struct BuildContext {
    files: BTreeMap<String, Vec<u8>>,
    arguments: BTreeMap<String, String>,
    platform: Option<String>,
}

impl BuildContext {
    /// A context with nothing in it.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a file; the one named `Dockerfile` says what is built.
    #[must_use]
    pub fn file(mut self, path: &str, bytes: impl Into<Vec<u8>>) -> Self {
        self.files.insert(path.to_owned(), bytes.into());
        self
    }

    /// Adds the value of a build argument.
    #[must_use]
    pub fn argument(mut self, name: &str, value: &str) -> Self {
        self.arguments.insert(name.to_owned(), value.to_owned());
        self
    }

    /// Says which platform the image is for, if not the engine's own.
    #[must_use]
    pub fn platform(mut self, platform: &str) -> Self {
        self.platform = Some(platform.to_owned());
        self
    }

    /// Adds the image to build from, under the argument `ROOT`, by what it is and not only its name.
    pub fn root(self, engine: &Engine, image: &str) -> Result<Self> {
        let identity =
            identity(engine, image)?.with_context(|| format!("engine lacks an image: {image}"))?;
        Ok(self.argument("ROOT", image).argument("ROOT_IDENTITY", &identity))
    }

    /// Builds the image unless the engine has it just as it would come out.
    pub fn ensure(&self, engine: &Engine, image: &str) -> Result<()> {
        let recipe = self.recipe();
        if has(engine, image, &recipe)? {
            return Ok(());
        }
        eprintln!("building {image}");
        let folder = engine.folder().join("contexts").join(image.replace([':', '/'], "-"));
        if folder.exists() {
            fs::remove_dir_all(&folder)
                .with_context(|| format!("cannot remove: {}", folder.display()))?;
        }
        for (path, bytes) in &self.files {
            let path = folder.join(path);
            let parent = path.parent().unwrap_or(&folder);
            fs::create_dir_all(parent)
                .and_then(|()| fs::write(&path, bytes))
                .with_context(|| format!("cannot write: {}", path.display()))?;
        }
        let mut build = engine.docker()?;
        build.args(["buildx", "build", "--quiet", "--provenance=false", "--tag", image]);
        build.arg("--build-arg").arg(format!("RECIPE={recipe}"));
        for (name, value) in &self.arguments {
            build.arg("--build-arg").arg(format!("{name}={value}"));
        }
        if let Some(platform) = &self.platform {
            build.arg("--platform").arg(platform);
        }
        program::run(build.arg(&folder))
    }

    /// The digest of everything that decides what comes out.
    fn recipe(&self) -> String {
        let files = self.files.iter().map(|(path, bytes)| (path, digest::of_bytes(bytes)));
        let arguments = self.arguments.iter().map(|(name, value)| (name, value.clone()));
        let platform = self.platform.iter().map(|platform| (platform, String::new()));
        let parts: Vec<_> = files.chain(arguments).chain(platform).collect();
        digest::of_bytes(format!("{parts:?}").as_bytes())
    }
}

/// Imports an archive of a root file system as an image, unless the engine has it.
pub fn ensure_imported(engine: &Engine, image: &str, archive: &Path, recipe: &str) -> Result<()> {
    if has(engine, image, recipe)? {
        return Ok(());
    }
    eprintln!("importing {image}");
    program::run(
        engine
            .docker()?
            .args(["image", "import", "--change", "CMD [\"bash\"]"])
            .args(["--change", &format!("LABEL {RECIPE_LABEL}={recipe}")])
            .arg(archive)
            .arg(image),
    )
}

/// Whether an engine has an image made by this recipe.
fn has(engine: &Engine, image: &str, recipe: &str) -> Result<bool> {
    let found = docker_api::find(&engine.socket(), &format!("/images/{image}/json"))?;
    let label = found.as_ref().and_then(|image| image.pointer("/Config/Labels")?.get(RECIPE_LABEL));
    Ok(label.and_then(serde_json::Value::as_str) == Some(recipe))
}

/// What an engine knows an image by, if it has it.
fn identity(engine: &Engine, image: &str) -> Result<Option<String>> {
    let found = docker_api::find(&engine.socket(), &format!("/images/{image}/json"))?;
    Ok(found.and_then(|image| Some(image.get("Id")?.as_str()?.to_owned())))
}
