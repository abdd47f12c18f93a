//! Where the lab keeps its state.

use std::env;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

/// The longest path of a Unix socket the kernel takes (108 bytes with the closing zero).
const LONGEST_SOCKET_PATH: usize = 107;

/// The deepest socket below the lab folder.
const DEEPEST_SOCKET: &str = "engine/existing/buildkitd.sock";

/// The folder that holds engines, images and repositories, outside any clone of the project: a
/// fresh clone finds everything warm.
#[derive(Clone, Debug)]
pub struct LabFolder {
    root: PathBuf,
}

impl LabFolder {
    /// Finds the folder: `SUTURE_LAB_DIR`, else the user's cache folder, and makes sure it exists.
    pub fn locate() -> Result<Self> {
        let root = if let Some(chosen) = set_variable("SUTURE_LAB_DIR") {
            chosen
        } else if let Some(cache) = set_variable("XDG_CACHE_HOME") {
            cache.join("suture-lab")
        } else {
            set_variable("HOME")
                .context("neither SUTURE_LAB_DIR, XDG_CACHE_HOME nor HOME is set: set one")?
                .join(".cache/suture-lab")
        };
        Self::at(&root)
    }

    /// Takes `root` as the lab folder.
    pub fn at(root: &Path) -> Result<Self> {
        fs::create_dir_all(root)
            .with_context(|| format!("cannot make the lab folder: {}", root.display()))?;
        let root = fs::canonicalize(root)
            .with_context(|| format!("cannot find the lab folder: {}", root.display()))?;
        // The engine gets a fresh /run of its own, which would hide the folder from it.
        ensure!(
            !root.starts_with("/run"),
            "the lab folder is below /run, which the engine cannot see: {}: set SUTURE_LAB_DIR",
            root.display()
        );
        ensure!(
            root.join(DEEPEST_SOCKET).as_os_str().len() <= LONGEST_SOCKET_PATH,
            "the lab folder's path is too long for the engine's sockets: {}: set SUTURE_LAB_DIR",
            root.display()
        );
        Ok(Self { root })
    }

    /// The folder itself.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// A path below the folder.
    pub fn join(&self, below: impl AsRef<Path>) -> PathBuf {
        self.root.join(below)
    }

    /// A folder below the folder, made if it is missing.
    pub fn folder(&self, below: impl AsRef<Path>) -> Result<PathBuf> {
        let folder = self.root.join(below);
        fs::create_dir_all(&folder)
            .with_context(|| format!("cannot make a folder: {}", folder.display()))?;
        Ok(folder)
    }

    /// Keeps every other `cargo lab` that wants the same lock waiting until the result is dropped.
    pub fn lock(&self, name: &str) -> Result<File> {
        let path = self.folder("locks")?.join(name);
        let file = File::create(&path)
            .with_context(|| format!("cannot make a lock file: {}", path.display()))?;
        file.lock().with_context(|| format!("cannot lock: {}", path.display()))?;
        Ok(file)
    }
}

/// The value of an environment variable, unless it is unset or empty.
fn set_variable(name: &str) -> Option<PathBuf> {
    env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from)
}

/// Makes an empty folder, whatever was there.
pub fn empty(folder: &Path) -> Result<()> {
    if folder.exists() {
        fs::remove_dir_all(folder)
            .with_context(|| format!("cannot remove: {}", folder.display()))?;
    }
    fs::create_dir_all(folder)
        .with_context(|| format!("cannot make a folder: {}", folder.display()))
}
