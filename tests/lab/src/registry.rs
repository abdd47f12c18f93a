//! A registry in an engine's network: Debian's, on the loopback address, where every engine and builder
//! speaks plain HTTP without being told. What it holds lives as long as it runs.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use crate::debian_packages::PackageSet;
use crate::folder::LabFolder;
use crate::service::{Service, Start};

/// The registry's address, seen from the engine's network; fixed, because images are named after it.
pub const ADDRESS: &str = "127.0.0.1:8643";

/// The program; it starts on older systems than its suite too.
const PROGRAMS: PackageSet<'_> =
    PackageSet { name: "registry", suite: "forky", packages: &["docker-registry"] };

/// Starts the registry unless it runs. Its records are kept in `home`; it listens in the network of a
/// process, or in the machine's.
pub fn start(folder: &LabFolder, home: &Path, network_of: Option<u32>) -> Result<()> {
    service(home).start(folder, network_of, || {
        let program = PROGRAMS.unpacked(folder)?.join("usr/bin/docker-registry");
        let storage = home.join("registry");
        if storage.exists() {
            fs::remove_dir_all(&storage)
                .with_context(|| format!("cannot remove: {}", storage.display()))?;
        }
        let settings = home.join("registry.yml");
        // A path in JSON's quotes is one in YAML too.
        let quoted = serde_json::to_string(&storage).context("a path is not UTF-8")?;
        let text = format!(
            "version: 0.1\nstorage:\n  filesystem:\n    rootdirectory: {quoted}\n\
             http:\n  addr: {ADDRESS}\n"
        );
        fs::write(&settings, text)
            .with_context(|| format!("cannot write: {}", settings.display()))?;
        Ok(Start {
            program,
            arguments: vec!["serve".into(), settings.into()],
            environment: Vec::new(),
        })
    })
}

/// Stops the registry. Says whether it ran.
pub fn stop(home: &Path) -> Result<bool> {
    service(home).stop()
}

/// The registry as a service.
fn service(home: &Path) -> Service<'_> {
    Service { name: "registry", home, says: "listening on" }
}
