//! An engine of our own: Debian's dockerd, containerd and runc, unpacked into the lab folder and run
//! in namespaces of their own. It shares nothing with an engine of the machine but the kernel, and
//! when its first process ends, the kernel ends every other and takes mounts and network with them.

use std::env;
use std::fs::{self, File};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::mount::{MountFlags, mount, mount_bind};
use serde_json::json;

use crate::buildkit;
use crate::debian_packages::PackageSet;
use crate::digest;
use crate::docker_api;
use crate::folder::LabFolder;
use crate::network;
use crate::program;
use crate::recorded_process::{RecordedProcess, children};
use crate::registry;
use crate::repository_server::RepositoryServer;

/// An engine we can run, and the Debian suite its packages come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Release {
    /// The version as people name it.
    pub version: &'static str,
    suite: &'static str,
}

/// Every engine we can run; the first is the one people get unless they ask for another.
pub const RELEASES: [Release; 2] =
    [Release { version: "28.5", suite: "forky" }, Release { version: "26.1", suite: "trixie" }];

impl Release {
    /// The release with this version.
    pub fn named(version: &str) -> Result<Self> {
        RELEASES.into_iter().find(|release| release.version == version).with_context(|| {
            let known: Vec<_> = RELEASES.iter().map(|release| release.version).collect();
            format!("unknown engine: {version}: there are {}", known.join(" and "))
        })
    }

    /// The folder with the engine's programs and those of its users, `docker` and buildx.
    pub fn programs(self, folder: &LabFolder) -> Result<PathBuf> {
        PackageSet {
            name: &format!("engine-{}", self.version),
            suite: self.suite,
            packages: &["containerd", "docker-buildx", "docker-cli", "docker.io"],
        }
        .unpacked(folder)
    }
}

/// Programs beside the engine's own. They come from one older suite whatever the engine: that
/// suite's C library is older than any machine's that the lab runs on, and newer ones of runc and
/// iptables do not start on it.
const TOOLS: PackageSet<'_> = PackageSet {
    name: "tools",
    suite: "bookworm",
    packages: &[
        "iptables",
        "libglib2.0-0",
        "libip4tc2",
        "libip6tc2",
        "libmnl0",
        "libnetfilter-conntrack3",
        "libnfnetlink0",
        "libnftnl11",
        "libpcre2-8-0",
        "libslirp0",
        "libxtables12",
        "runc",
        "slirp4netns",
        "tini",
    ],
};

/// The folder with the programs beside an engine's own, among them runc.
pub fn tools(folder: &LabFolder) -> Result<PathBuf> {
    TOOLS.unpacked(folder)
}

/// How long an engine may take to come up: the first start on a slow disk makes its databases.
const START_PATIENCE: Duration = Duration::from_mins(1);

/// How long an engine may take to end: it gives its containers ten seconds.
const STOP_PATIENCE: Duration = Duration::from_secs(30);

/// One engine of our own and everything recorded of it.
#[derive(Debug)]
pub struct OwnEngine {
    folder: LabFolder,
    release: Release,
    home: PathBuf,
}

impl OwnEngine {
    /// The engine of a release, running or not.
    pub fn new(folder: &LabFolder, release: Release) -> Result<Self> {
        let home = folder.folder(Path::new("engine").join(release.version))?;
        Ok(Self { folder: folder.clone(), release, home })
    }

    /// The socket the engine listens on.
    pub fn socket(&self) -> PathBuf {
        self.home.join("docker.sock")
    }

    /// The folder of everything that belongs to this engine.
    pub fn home(&self) -> &Path {
        &self.home
    }

    /// The release this engine is of.
    pub fn release(&self) -> Release {
        self.release
    }

    /// Where it keeps images' blobs, each named after its digest: containerd's content store.
    pub fn content_store(&self) -> PathBuf {
        self.home.join("data/containerd/daemon/io.containerd.content.v1.content/blobs/sha256")
    }

    /// The engine's first process; the only one in its namespaces that the machine can end alone.
    pub fn daemon(&self) -> RecordedProcess {
        RecordedProcess::at(self.home.join("dockerd.process"))
    }

    /// The process that carries the engine's network traffic.
    fn way_out(&self) -> RecordedProcess {
        RecordedProcess::at(self.home.join("slirp4netns.process"))
    }

    /// The server of the lab's repositories, reachable from the engine and its containers alike.
    pub fn repository_server(&self) -> Result<RepositoryServer> {
        let daemon = self.daemon().running();
        let address = network::bridge_address()?;
        Ok(RepositoryServer::new(&self.folder, &self.home, daemon, address))
    }

    /// Whether the engine is ready for work.
    pub fn serves(&self) -> bool {
        self.daemon().running().is_some()
            && self.way_out().running().is_some()
            && docker_api::serves(&self.socket())
    }

    /// Starts the engine unless it serves already.
    pub fn start(&self) -> Result<()> {
        if self.serves() {
            return self.repository_server()?.start();
        }
        let _alone = self.folder.lock(&format!("engine-{}", self.release.version))?;
        // Somebody else may have started it while we waited for the lock.
        if self.serves() {
            return self.repository_server()?.start();
        }
        program::require_root("an engine of the lab's own")?;
        self.stop()?;
        let tools = tools(&self.folder)?;
        self.release.programs(&self.folder)?;
        self.write_settings(&tools)?;
        if let Err(error) = self.bring_up(&tools) {
            // Half an engine is of no use to anybody.
            self.stop()?;
            return Err(error);
        }
        self.repository_server()?.start()
    }

    /// Starts the engine and its way out, and waits until it serves.
    fn bring_up(&self, tools: &Path) -> Result<()> {
        eprintln!("starting engine {} of Debian {}", self.release.version, self.release.suite);
        let mut unshare = self.spawn_daemon(tools)?;
        let daemon = self.await_daemon(&mut unshare)?;
        self.daemon().note(daemon)?;
        let log = self.home.join("slirp4netns.log");
        network::open_way_out(tools, daemon, &log, &self.way_out())?;
        let start = Instant::now();
        while !docker_api::serves(&self.socket()) {
            if unshare.try_wait()?.is_some() || start.elapsed() > START_PATIENCE {
                bail!("the engine does not come up:\n{}", self.last_words());
            }
            sleep(Duration::from_millis(10));
        }
        Ok(())
    }

    /// Stops the engine and everything that serves it. Says whether anything ran.
    pub fn stop(&self) -> Result<bool> {
        let buildkit = buildkit::stop(&self.home)?;
        let daemon = self.daemon().stop(STOP_PATIENCE)?;
        let way_out = self.way_out().stop(Duration::from_secs(5))?;
        let server = RepositoryServer::stop(&self.home)? | registry::stop(&self.home)?;
        self.remove_control_groups()?;
        match fs::remove_file(self.socket()) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(error).context("cannot remove the engine's socket")
            }
            _ => Ok(buildkit || daemon || way_out || server),
        }
    }

    /// Writes what the engine reads when it starts.
    fn write_settings(&self, tools: &Path) -> Result<()> {
        let settings = json!({
            "bip": network::BRIDGE,
            // The engine looks at the records of all builds whenever it removes a container or an image:
            // the 3,600 of two days made `docker image rm` take 1.3 s instead of 0.1.
            // Its own bound for the cache: by default BuildKit throws it away where less than a fifth of the
            // disk is free, and every test then starts cold.
            "builder": {
                "gc": { "enabled": true, "policy": [{ "all": true, "keepStorage": "20GB" }] },
                "history": { "maxAge": "10m", "maxEntries": 50 },
            },
            "cgroup-parent": format!("/{}", self.control_group()),
            "data-root": self.home.join("data"),
            "dns": [network::NAME_SERVER],
            // A machine with systemd would have the engine ask systemd for control groups, which
            // does not see the engine's process namespace.
            "exec-opts": ["native.cgroupdriver=cgroupfs"],
            "exec-root": "/run/docker",
            "features": { "containerd-snapshotter": true },
            "hosts": [format!("unix://{}", self.socket().display())],
            "init-path": tools.join("usr/bin/tini-static"),
            "pidfile": "/run/docker.pid",
        });
        let programs = self.home.join("bin");
        network::write_firewall_programs(tools, &programs)?;
        network::link(&tools.join("usr/sbin/runc"), &programs.join("runc"))?;
        self.write("daemon.json", &serde_json::to_string_pretty(&settings)?)?;
        self.write("resolv.conf", &format!("nameserver {}\n", network::NAME_SERVER))
    }

    /// Writes a text file into the engine's folder.
    fn write(&self, name: &str, text: &str) -> Result<()> {
        let path = self.home.join(name);
        fs::write(&path, text).with_context(|| format!("cannot write: {}", path.display()))
    }

    /// Starts the engine in namespaces of its own. tini is its first process there: it passes
    /// signals on and reaps the processes that containers leave behind.
    fn spawn_daemon(&self, tools: &Path) -> Result<Child> {
        let path = self.home.join("dockerd.log");
        let log =
            File::create(&path).with_context(|| format!("cannot make: {}", path.display()))?;
        program::system("setsid")?
            .arg(program::find("unshare").context("the program unshare is missing")?)
            .args(["--net", "--mount", "--pid", "--fork", "--mount-proc", "--"])
            .arg(tools.join("usr/bin/tini-static"))
            .arg("--")
            .arg(env::current_exe().context("cannot find our own program")?)
            .args(["inside", self.release.version])
            .env("SUTURE_LAB_DIR", self.folder.root())
            .current_dir("/")
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .context("cannot start unshare")
    }

    /// The first process in the new namespaces, a child of `unshare`; its existence means that the
    /// namespaces exist too.
    fn await_daemon(&self, unshare: &mut Child) -> Result<u32> {
        let start = Instant::now();
        loop {
            if let Some(&daemon) = children(unshare.id())?.first() {
                return Ok(daemon);
            }
            if unshare.try_wait()?.is_some() || start.elapsed() > START_PATIENCE {
                bail!("the engine gets no namespaces of its own:\n{}", self.last_words());
            }
            sleep(Duration::from_millis(5));
        }
    }

    /// The end of the engine's log.
    fn last_words(&self) -> String {
        let log = fs::read_to_string(self.home.join("dockerd.log")).unwrap_or_default();
        program::last_lines(&log, 15)
    }

    /// The control group above those of all the engine's containers: one for each lab folder and
    /// engine, because whoever stops the engine removes it.
    fn control_group(&self) -> String {
        let digest = digest::of_bytes(self.home.as_os_str().as_encoded_bytes());
        format!("suture-lab-{}", digest.get(..8).unwrap_or(&digest))
    }

    /// Removes the engine's control groups, which outlive their processes.
    fn remove_control_groups(&self) -> Result<()> {
        let mounts = fs::read_to_string("/proc/mounts").context("cannot read /proc/mounts")?;
        for line in mounts.lines() {
            let mut fields = line.split(' ').skip(1);
            if let (Some(mounted), Some("cgroup" | "cgroup2")) = (fields.next(), fields.next()) {
                remove_folders(&Path::new(mounted).join(self.control_group()))?;
            }
        }
        Ok(())
    }
}

/// Removes a folder that holds nothing but folders, as far as anyone looking can remove anything:
/// the files in a control group come and go with it.
fn remove_folders(folder: &Path) -> Result<()> {
    if !folder.is_dir() {
        return Ok(());
    }
    for entry in
        fs::read_dir(folder).with_context(|| format!("cannot list: {}", folder.display()))?
    {
        let path = entry?.path();
        if path.is_dir() {
            remove_folders(&path)?;
        }
    }
    fs::remove_dir(folder).with_context(|| format!("cannot remove: {}", folder.display()))
}

/// Becomes the engine, inside the namespaces that [`OwnEngine::start`] made. Returns only on failure.
pub fn become_engine(folder: &LabFolder, release: Release) -> Result<()> {
    let engine = OwnEngine::new(folder, release)?;
    let programs = release.programs(folder)?;
    hide_machine(&engine.home.join("resolv.conf"))?;
    network::await_way_out()?;
    let own_programs = engine.home.join("bin");
    let firewall = network::working_firewall_programs(&own_programs)?;
    let path = program::path_with(&[
        &own_programs,
        &firewall,
        &programs.join("usr/sbin"),
        &programs.join("usr/bin"),
    ])?;
    let error = Command::new(programs.join("usr/sbin/dockerd"))
        .arg("--config-file")
        .arg(engine.home.join("daemon.json"))
        .env("PATH", path)
        // Our own users' settings are none of the engine's.
        .env_remove("DOCKER_HOST")
        .env_remove("DOCKER_CONFIG")
        .exec();
    Err(error).context("cannot start dockerd")
}

/// Gives this mount namespace a name server that it can reach, and an empty `/run` in place of the
/// machine's, where another engine keeps its sockets and containers.
fn hide_machine(resolver_settings: &Path) -> Result<()> {
    let settings = Path::new("/etc/resolv.conf");
    // Often a link to a file below /run, which is about to vanish.
    let seen = fs::canonicalize(settings).unwrap_or_else(|_| settings.to_path_buf());
    mount(c"tmpfs", c"/run", c"tmpfs", MountFlags::NOSUID | MountFlags::NODEV, c"mode=0755")
        .context("cannot mount an empty /run")?;
    if seen.starts_with("/run") {
        let parent = seen.parent().context("a file has no folder")?;
        fs::create_dir_all(parent)?;
        fs::copy(resolver_settings, &seen).map(drop)
    } else {
        mount_bind(resolver_settings, &seen).map_err(Into::into)
    }
    .with_context(|| format!("cannot replace: {}", seen.display()))?;
    show_own_interfaces()
}

/// Puts our own network interfaces where `/sys` shows the machine's: the engine reads the state of
/// its bridge there. The rest of `/sys` has mounts of its own and stays.
fn show_own_interfaces() -> Result<()> {
    let own = Path::new("/run/own-sys");
    fs::create_dir(own).with_context(|| format!("cannot make a folder: {}", own.display()))?;
    mount(c"sysfs", own, c"sysfs", MountFlags::NOSUID | MountFlags::NODEV, None)
        .context("cannot mount a /sys for the network namespace")?;
    // The former holds links to the latter.
    for folder in ["class/net", "devices/virtual/net"] {
        let machines = Path::new("/sys").join(folder);
        mount_bind(own.join(folder), &machines)
            .with_context(|| format!("cannot replace: {}", machines.display()))?;
    }
    Ok(())
}
