//! Two registries in an engine's network, on the loopback address, where every engine and builder speaks
//! plain HTTP without being told. What they hold lives as long as they run.

use std::ffi::OsString;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use crate::debian_packages::PackageSet;
use crate::folder::{LabFolder, empty};
use crate::service::{Service, Start};

/// The address of the first registry, seen from the engine's network; fixed, because images are named
/// after it. It is Docker's, version 2, which shows an index or a manifest of OCI only to those who say
/// that they accept just that: to `Accept: */*`, as `BuildKit` asks for blobs, it has none.
pub const STRICT: &str = "127.0.0.1:8643";

/// The address of the second, which does not look at what is accepted.
pub const LENIENT: &str = "127.0.0.1:8644";

/// The programs; they start on older systems than their suite too.
const PROGRAMS: PackageSet<'_> =
    PackageSet { name: "registry", suite: "forky", packages: &["crane", "docker-registry"] };

/// Starts the registries unless they run. Their records are kept in `home`; they listen in the network of
/// a process, or in the machine's.
pub fn start(folder: &LabFolder, home: &Path, network_of: Option<u32>) -> Result<()> {
    let [strict, lenient] = services(home);
    strict.start(folder, network_of, || {
        let storage = home.join("registry");
        empty(&storage)?;
        let settings = home.join("registry.yml");
        // A path in JSON's quotes is one in YAML too.
        let quoted = serde_json::to_string(&storage).context("a path is not UTF-8")?;
        let text = format!(
            "version: 0.1\nstorage:\n  filesystem:\n    rootdirectory: {quoted}\n\
             http:\n  addr: {STRICT}\n"
        );
        fs::write(&settings, text)
            .with_context(|| format!("cannot write: {}", settings.display()))?;
        program(folder, "docker-registry", vec!["serve".into(), settings.into()])
    })?;
    lenient.start(folder, network_of, || {
        let storage = home.join("lenient-registry");
        empty(&storage)?;
        let arguments = ["registry", "serve", "--address", LENIENT, "--disk"];
        let mut arguments: Vec<OsString> = arguments.map(OsString::from).into();
        arguments.push(storage.into());
        program(folder, "crane", arguments)
    })
}

/// Stops the registries. Says whether any ran.
pub fn stop(home: &Path) -> Result<bool> {
    let [strict, lenient] = services(home);
    Ok(strict.stop()? | lenient.stop()?)
}

/// The registries as services.
fn services(home: &Path) -> [Service<'_>; 2] {
    [
        Service { name: "registry", home, says: "listening on" },
        Service { name: "lenient-registry", home, says: "serving on" },
    ]
}

/// How one of the programs is started.
fn program(folder: &LabFolder, name: &str, arguments: Vec<OsString>) -> Result<Start> {
    let program = PROGRAMS.unpacked(folder)?.join("usr/bin").join(name);
    Ok(Start { program, arguments, environment: Vec::new() })
}
