//! The engine that the lab works with: one that is already there, else one of our own.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::net::{IpAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::buildkit::{self, Buildkit};
use crate::docker_api;
use crate::folder::LabFolder;
use crate::network;
use crate::own_engine::{OwnEngine, RELEASES, Release};
use crate::program;
use crate::registry;
use crate::repository_server::RepositoryServer;

/// Where an engine listens unless told otherwise.
const DEFAULT_SOCKET: &str = "/var/run/docker.sock";

/// The oldest engine that the frontend is made for.
const OLDEST_VERSION: u32 = 26;

/// Where the docker program looks for its plugins, besides the user's own folder.
const PLUGIN_FOLDERS: [&str; 4] = [
    "/usr/local/lib/docker/cli-plugins",
    "/usr/local/libexec/docker/cli-plugins",
    "/usr/lib/docker/cli-plugins",
    "/usr/libexec/docker/cli-plugins",
];

/// A usable engine.
#[derive(Debug)]
pub struct Engine {
    folder: LabFolder,
    kind: Kind,
}

/// Whose engine it is.
#[derive(Debug)]
enum Kind {
    /// The machine's or the user's.
    Existing { socket: PathBuf },
    /// One that we started.
    Own(OwnEngine),
}

impl Engine {
    /// A usable engine, started if need be. `wanted` is the version the user asked for: then no
    /// engine that happens to be there will do.
    pub fn usable(folder: &LabFolder, wanted: Option<&str>) -> Result<Self> {
        let release = if let Some(version) = wanted {
            Release::named(version)?
        } else if let Some(release) = own_release_in_use(folder)? {
            release
        } else {
            if let Some(socket) = existing_socket() {
                return Ok(Self { folder: folder.clone(), kind: Kind::Existing { socket } });
            }
            let [default, ..] = RELEASES;
            default
        };
        let own = OwnEngine::new(folder, release)?;
        own.start()?;
        Ok(Self { folder: folder.clone(), kind: Kind::Own(own) })
    }

    /// The lab folder that goes with it.
    pub fn folder(&self) -> &LabFolder {
        &self.folder
    }

    /// The engine's socket.
    pub fn socket(&self) -> PathBuf {
        match &self.kind {
            Kind::Existing { socket } => socket.clone(),
            Kind::Own(own) => own.socket(),
        }
    }

    /// The folder where our own engine keeps images' blobs, named after their digests.
    pub fn content_store(&self) -> Option<PathBuf> {
        match &self.kind {
            Kind::Existing { .. } => None,
            Kind::Own(own) => Some(own.content_store()).filter(|folder| folder.is_dir()),
        }
    }

    /// The server of the lab's repositories for this engine, running.
    pub fn repository_server(&self) -> Result<RepositoryServer> {
        let server = match &self.kind {
            Kind::Existing { socket } => {
                let gateway = gateway(&docker_api::get(socket, "/networks/bridge")?)?;
                RepositoryServer::new(&self.folder, &self.home()?, None, gateway)
            }
            Kind::Own(own) => own.repository_server()?,
        };
        server.start()?;
        Ok(server)
    }

    /// The process in whose network the engine and what serves it are, unless that is the machine's.
    pub fn network_of(&self) -> Option<u32> {
        match &self.kind {
            Kind::Existing { .. } => None,
            Kind::Own(own) => own.daemon().running(),
        }
    }

    /// Makes sure that the registries in the engine's network run.
    pub fn registries(&self) -> Result<()> {
        registry::start(&self.folder, &self.home()?, self.network_of())
    }

    /// `BuildKit` without Docker in the engine's network, running.
    pub fn buildkit(&self) -> Result<Buildkit> {
        buildkit::start(&self.folder, &self.home()?, self.network_of())
    }

    /// What the docker program needs to find in its environment to work with this engine.
    pub fn environment(&self) -> Result<Vec<(&'static str, OsString)>> {
        let mut variables = vec![
            ("DOCKER_HOST", format!("unix://{}", self.socket().display()).into()),
            // A builder the user chose for other work would not see this engine's images.
            ("BUILDX_BUILDER", "default".into()),
        ];
        let settings = self.home()?.join("docker-settings");
        if !machine_has_buildx(self.folder.root()) {
            let plugins = settings.join("cli-plugins");
            fs::create_dir_all(&plugins)
                .with_context(|| format!("cannot make a folder: {}", plugins.display()))?;
            let plugin = self.programs()?.join("usr/libexec/docker/cli-plugins/docker-buildx");
            network::link(&plugin, &plugins.join("docker-buildx"))?;
            variables.push(("DOCKER_CONFIG", settings.into()));
        }
        if program::find("docker").is_none_or(|found| found.starts_with(self.folder.root())) {
            let programs = self.programs()?.join("usr/bin");
            variables.push(("PATH", program::path_with(&[&programs])?));
        }
        Ok(variables)
    }

    /// The docker program, set up for this engine.
    pub fn docker(&self) -> Result<Command> {
        let variables = self.environment()?;
        let program = match program::find("docker") {
            Some(program) => program,
            None => self.programs()?.join("usr/bin/docker"),
        };
        let mut command = Command::new(program);
        command.envs(variables);
        Ok(command)
    }

    /// The folder of what we keep for this engine.
    fn home(&self) -> Result<PathBuf> {
        match &self.kind {
            Kind::Existing { .. } => existing_home(&self.folder),
            Kind::Own(own) => Ok(own.home().to_path_buf()),
        }
    }

    /// The folder with the docker program and buildx: the newest that we have, whatever the engine. The older
    /// engine's own buildx, 0.13, knows no `--call` and prints no summary.
    fn programs(&self) -> Result<PathBuf> {
        let [newest, ..] = RELEASES;
        newest.programs(&self.folder)
    }
}

/// Where we keep what belongs to an engine that is not ours.
fn existing_home(folder: &LabFolder) -> Result<PathBuf> {
    folder.folder("engine/existing")
}

/// Stops every engine of ours. Says whether any ran.
pub fn stop_all(folder: &LabFolder) -> Result<bool> {
    let existing = existing_home(folder)?;
    let mut ran = buildkit::stop(&existing)?;
    ran |= RepositoryServer::stop(&existing)? | registry::stop(&existing)?;
    for release in RELEASES {
        ran |= OwnEngine::new(folder, release)?.stop()?;
    }
    Ok(ran)
}

/// The release of our own engine that `DOCKER_HOST` points to, if it is one: an earlier `cargo lab
/// engine` has put it there.
fn own_release_in_use(folder: &LabFolder) -> Result<Option<Release>> {
    let host = env::var("DOCKER_HOST").unwrap_or_default();
    for release in RELEASES {
        let socket = OwnEngine::new(folder, release)?.socket();
        if host.strip_prefix("unix://").map(Path::new) == Some(&socket) {
            return Ok(Some(release));
        }
    }
    Ok(None)
}

/// The socket of an engine that is there and usable: where `DOCKER_HOST` points, else the default.
fn existing_socket() -> Option<PathBuf> {
    let named = env::var("DOCKER_HOST").ok().filter(|host| !host.is_empty());
    let host = named.clone().unwrap_or_else(|| format!("unix://{DEFAULT_SOCKET}"));
    let socket = Path::new(host.strip_prefix("unix://").unwrap_or_default());
    if named.is_none() && !socket.exists() {
        return None;
    }
    match check_existing(&host) {
        Ok(()) => Some(socket.to_path_buf()),
        Err(reason) => {
            eprintln!("not using the engine at {host}: {reason:#}");
            None
        }
    }
}

/// Checks that an engine we did not start has what we need.
fn check_existing(host: &str) -> Result<()> {
    let socket = host.strip_prefix("unix://").context("it may be on another machine")?;
    let information = docker_api::get(Path::new(socket), "/info")?;
    check_information(&information)?;
    let bridge = docker_api::get(Path::new(socket), "/networks/bridge")?;
    let gateway = gateway(&bridge)?;
    // A virtual machine's engine is behind a local socket too.
    TcpListener::bind((gateway, 0)).context("its bridge is not on this machine")?;
    Ok(())
}

/// Checks what an engine says of itself.
fn check_information(information: &Value) -> Result<()> {
    let version = information.get("ServerVersion").and_then(Value::as_str).unwrap_or_default();
    let major: u32 = version.split('.').next().and_then(|major| major.parse().ok()).unwrap_or(0);
    ensure!(major >= OLDEST_VERSION, "its version is {version}, older than {OLDEST_VERSION}");
    let system = information.get("OSType").and_then(Value::as_str);
    ensure!(system == Some("linux"), "it does not run Linux containers");
    let store = information.get("DriverStatus").and_then(Value::as_array).into_iter().flatten();
    ensure!(
        store
            .into_iter()
            .any(|row| row.get(1).and_then(Value::as_str) == Some("io.containerd.snapshotter.v1")),
        "it does not use the containerd image store"
    );
    Ok(())
}

/// The address of the machine on an engine's default bridge.
fn gateway(bridge: &Value) -> Result<IpAddr> {
    bridge
        .pointer("/IPAM/Config/0/Gateway")
        .and_then(Value::as_str)
        .and_then(|address| address.parse().ok())
        .context("its default bridge has no gateway")
}

/// Whether the machine's docker program finds a buildx plugin by itself. Our own plugin, put into
/// the environment by an earlier `cargo lab engine`, does not count.
fn machine_has_buildx(lab_folder: &Path) -> bool {
    let settings = env::var_os("DOCKER_CONFIG")
        .map(PathBuf::from)
        .or_else(|| Some(PathBuf::from(env::var_os("HOME")?).join(".docker")))
        .filter(|settings| !settings.starts_with(lab_folder))
        .map(|settings| settings.join("cli-plugins"));
    settings
        .into_iter()
        .chain(PLUGIN_FOLDERS.iter().map(PathBuf::from))
        .any(|folder| folder.join("docker-buildx").exists())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn information(version: &str, driver: &str) -> Value {
        json!({
            "ServerVersion": version,
            "OSType": "linux",
            "DriverStatus": [["driver-type", driver]],
        })
    }

    #[test]
    fn an_engine_needs_a_recent_version_and_the_containerd_store() {
        let snapshotter = "io.containerd.snapshotter.v1";
        assert!(check_information(&information("28.5.2+dfsg4", snapshotter)).is_ok());
        assert!(check_information(&information("24.0.7", snapshotter)).is_err());
        assert!(check_information(&information("28.5.2", "overlay2")).is_err());
        assert!(check_information(&json!({})).is_err());
    }

    #[test]
    fn the_gateway_is_read_from_the_bridge() {
        let bridge = json!({ "IPAM": { "Config": [{ "Gateway": "172.17.0.1" }] } });
        assert_eq!(gateway(&bridge).unwrap().to_string(), "172.17.0.1");
        assert!(gateway(&json!({})).is_err());
    }
}
