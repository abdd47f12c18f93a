//! The network of our own engine: a namespace of its own, and a user-mode way out of it, so that the
//! machine's interfaces, routes and firewall rules stay exactly as they are.

use std::fs::{self, File};
use std::net::IpAddr;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::program;
use crate::recorded_process::RecordedProcess;

/// The bridge's own address and network. It is from the range for benchmarks of network devices
/// (RFC 2544), so it hides no real address from the engine.
pub const BRIDGE: &str = "198.18.0.1/24";

/// The engine's own address on its bridge: where its containers reach what listens beside it.
pub fn bridge_address() -> Result<IpAddr> {
    let (address, _) = BRIDGE.split_once('/').context("a network has no length")?;
    address.parse().context("not an address")
}

/// Where slirp4netns answers questions for names, with the machine's own resolver behind it.
pub const NAME_SERVER: &str = "10.0.2.3";

/// The name of the interface that slirp4netns makes.
const INTERFACE: &str = "tap0";

/// How long the way out may take to open.
const PATIENCE: Duration = Duration::from_secs(10);

/// Opens a way out for the network namespace of a process, and notes the process that serves it.
pub fn open_way_out(
    tools: &Path,
    namespace_of: u32,
    log: &Path,
    record: &RecordedProcess,
) -> Result<()> {
    let log_file = File::create(log).with_context(|| format!("cannot make: {}", log.display()))?;
    let mut way_out = program::system("setsid")?
        .arg(tools.join("usr/bin/slirp4netns"))
        // Large packets: every one is copied by a program, so few of them are fast.
        .args(["--configure", "--mtu=65520", "--disable-host-loopback"])
        .arg(namespace_of.to_string())
        .arg(INTERFACE)
        .env("LD_LIBRARY_PATH", libraries(tools)?)
        .stdin(Stdio::null())
        .stdout(log_file.try_clone()?)
        .stderr(log_file)
        .spawn()
        .context("cannot start slirp4netns")?;
    record.note(way_out.id())?;
    let routes = format!("/proc/{namespace_of}/net/route");
    let start = Instant::now();
    while !has_way_out(&routes) {
        if way_out.try_wait()?.is_some() || start.elapsed() > PATIENCE {
            let words = fs::read_to_string(log).unwrap_or_default();
            bail!("slirp4netns opens no way out:\n{}", program::last_lines(&words, 10));
        }
        sleep(Duration::from_millis(5));
    }
    Ok(())
}

/// Waits, from inside the namespace, until [`open_way_out`] has done its work.
pub fn await_way_out() -> Result<()> {
    let start = Instant::now();
    while !has_way_out("/proc/net/route") {
        if start.elapsed() > PATIENCE {
            bail!("no way out of the network namespace after {} s", PATIENCE.as_secs());
        }
        sleep(Duration::from_millis(5));
    }
    Ok(())
}

/// Whether a routing table holds a default route through our interface.
fn has_way_out(routes: &str) -> bool {
    fs::read_to_string(routes).is_ok_and(|table| {
        table.lines().any(|line| {
            let mut fields = line.split_whitespace();
            fields.next() == Some(INTERFACE) && fields.next() == Some("00000000")
        })
    })
}

/// Writes starters for the two iptables programs, once for each of the kernel's packet filters. The
/// programs come with libraries of their own, which only they may see: the rest of what an engine
/// starts belongs to the machine.
pub fn write_firewall_programs(tools: &Path, into: &Path) -> Result<()> {
    let libraries = libraries(tools)?;
    for filter in ["nft", "legacy"] {
        let folder = into.join(filter);
        fs::create_dir_all(&folder)
            .with_context(|| format!("cannot make a folder: {}", folder.display()))?;
        let program = tools.join(format!("usr/sbin/xtables-{filter}-multi"));
        for name in ["iptables", "ip6tables"] {
            let text = format!(
                "#!/bin/sh\nLD_LIBRARY_PATH='{}' XTABLES_LIBDIR='{}' exec '{}' {name} \"$@\"\n",
                libraries.display(),
                libraries.join("xtables").display(),
                program.display(),
            );
            write_executable(&folder.join(name), &text)?;
        }
    }
    Ok(())
}

/// The folder, below the one that [`write_firewall_programs`] filled, whose programs work here.
pub fn working_firewall_programs(written: &Path) -> Result<PathBuf> {
    let mut failures = Vec::new();
    for filter in ["nft", "legacy"] {
        let folder = written.join(filter);
        let mut list = Command::new(folder.join("iptables"));
        match program::run(list.args(["--table", "nat", "--list", "--numeric"])) {
            Ok(()) => return Ok(folder),
            Err(error) => failures.push(error.to_string()),
        }
    }
    bail!(
        "the kernel translates no addresses, by neither of its packet filters:\n{}",
        failures.join("\n")
    )
}

/// The folder of the shared libraries among unpacked packages: the one named after the machine.
pub fn libraries(tools: &Path) -> Result<PathBuf> {
    let parent = tools.join("usr/lib");
    for entry in
        fs::read_dir(&parent).with_context(|| format!("cannot list: {}", parent.display()))?
    {
        let path = entry?.path();
        if path.to_string_lossy().ends_with("-linux-gnu") {
            return Ok(path);
        }
    }
    bail!("no shared libraries among the unpacked packages: {}", parent.display())
}

/// Writes a program's text and makes it executable.
fn write_executable(path: &Path, text: &str) -> Result<()> {
    fs::write(path, text)
        .and_then(|()| fs::set_permissions(path, fs::Permissions::from_mode(0o755)))
        .with_context(|| format!("cannot write: {}", path.display()))
}

/// Points a link at a file, whatever was at the link's place.
pub fn link(target: &Path, at: &Path) -> Result<()> {
    if fs::read_link(at).is_ok_and(|there| there == target) {
        return Ok(());
    }
    if at.symlink_metadata().is_ok() {
        fs::remove_file(at).with_context(|| format!("cannot remove: {}", at.display()))?;
    }
    symlink(target, at).with_context(|| format!("cannot link: {}", at.display()))
}
