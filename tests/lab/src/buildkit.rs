//! `BuildKit` without Docker, in an engine's network: for what only registries and newer daemons have.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::debian_packages::PackageSet;
use crate::digest;
use crate::folder::LabFolder;
use crate::own_engine;
use crate::program;
use crate::registry;
use crate::service::{Service, Start};

/// Which `BuildKit`, and the sums of all that it is made of.
const MODULE: [(&str, &str); 2] = [
    ("go.mod", include_str!("../buildkitd/go.mod")),
    ("go.sum", include_str!("../buildkitd/go.sum")),
];

/// What is built of it.
const PACKAGES: [&str; 2] =
    ["github.com/moby/buildkit/cmd/buildkitd", "github.com/moby/buildkit/cmd/buildctl"];

/// The oldest Go that [`MODULE`] is for: its second number.
const OLDEST_GO: u32 = 26;

/// The Go of those whose machine has none, or an older one.
const GO: PackageSet<'_> =
    PackageSet { name: "go", suite: "forky", packages: &["golang-1.26-go", "golang-1.26-src"] };

/// The daemon beside one engine.
#[derive(Debug)]
pub struct Buildkit {
    /// The folder with `buildkitd` and `buildctl`.
    pub programs: PathBuf,
    /// Where the daemon listens, as `BUILDKIT_HOST` has it.
    pub address: String,
}

/// Starts the daemon unless it runs, and builds it first unless that was done before. Its records and
/// images are kept in `home`; it works in the network of a process, or in the machine's.
pub fn start(folder: &LabFolder, home: &Path, network_of: Option<u32>) -> Result<Buildkit> {
    let programs = built(folder)?;
    let socket = home.join("buildkitd.sock");
    let address = format!("unix://{}", socket.display());
    service(home).start(folder, network_of, || {
        program::require_root("BuildKit")?;
        let tools = own_engine::tools(folder)?;
        let settings = home.join("buildkitd.toml");
        fs::write(&settings, text(&home.join("buildkitd"), &address)?)
            .with_context(|| format!("cannot write: {}", settings.display()))?;
        Ok(Start {
            program: programs.join("buildkitd"),
            arguments: vec!["--config".into(), settings.into()],
            environment: vec![("PATH", program::path_with(&[&tools.join("usr/sbin")])?)],
        })
    })?;
    Ok(Buildkit { programs, address })
}

/// Stops the daemon. Says whether it ran.
pub fn stop(home: &Path) -> Result<bool> {
    service(home).stop()
}

/// The daemon as a service.
fn service(home: &Path) -> Service<'_> {
    Service { name: "buildkitd", home, says: "running server on" }
}

/// The daemon's settings. A string of JSON is one of TOML too.
fn text(root: &Path, address: &str) -> Result<String> {
    let root = serde_json::to_string(root).context("a path is not UTF-8")?;
    let address = serde_json::to_string(address)?;
    let (strict, lenient) = (registry::STRICT, registry::LENIENT);
    Ok(format!(
        "root = {root}\n\
         [grpc]\naddress = [{address}]\n\
         [worker.oci]\nenabled = true\nnetworkMode = \"host\"\nsnapshotter = \"overlayfs\"\n\
         [worker.containerd]\nenabled = false\n\
         [registry.\"{strict}\"]\nhttp = true\n\
         [registry.\"{lenient}\"]\nhttp = true\n"
    ))
}

/// The folder with the programs, built unless they are there as they should be.
fn built(folder: &LabFolder) -> Result<PathBuf> {
    let _alone = folder.lock("buildkit")?;
    let made = folder.folder("buildkit")?;
    let programs = folder.folder("buildkit/bin")?;
    let marker = made.join("complete");
    let recipe = digest::of_bytes(MODULE.map(|(_, text)| text).concat().as_bytes());
    if fs::read_to_string(&marker).is_ok_and(|built| built == recipe) {
        return Ok(programs);
    }
    eprintln!("building BuildKit");
    for (name, text) in MODULE {
        fs::write(made.join(name), text).with_context(|| format!("cannot write: {name}"))?;
    }
    program::run(
        Command::new(go(folder)?)
            .arg("build")
            .arg("-o")
            .arg(&programs)
            .args(PACKAGES)
            // Static, so that it starts wherever the lab does; and with this Go, not one from elsewhere.
            .envs([("CGO_ENABLED", "0"), ("GOTOOLCHAIN", "local")])
            .current_dir(&made),
    )?;
    fs::write(&marker, recipe).with_context(|| format!("cannot write: {}", marker.display()))?;
    Ok(programs)
}

/// The go program: the machine's, if it is new enough.
fn go(folder: &LabFolder) -> Result<PathBuf> {
    if let Some(found) = program::find("go") {
        let version = program::output(Command::new(&found).arg("version").current_dir("/"))?;
        if minor_version(&version).is_some_and(|minor| minor >= OLDEST_GO) {
            return Ok(found);
        }
    }
    Ok(GO.unpacked(folder)?.join("usr/lib/go-1.26/bin/go"))
}

/// The second number of what `go version` says, `go version go1.26.5 linux/amd64`.
fn minor_version(said: &str) -> Option<u32> {
    let version = said.split(' ').nth(2)?.strip_prefix("go1.")?;
    let digits = version.split(|character: char| !character.is_ascii_digit()).next()?;
    digits.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_of_go_is_read() {
        assert_eq!(minor_version("go version go1.26.8 linux/amd64\n"), Some(26));
        assert_eq!(minor_version("go version go1.19 linux/amd64"), Some(19));
        assert_eq!(minor_version("go version go1.27rc1 linux/amd64"), Some(27));
        assert_eq!(minor_version("go version devel +a1b2 linux/amd64"), None);
    }
}
