//! What an engine of ours does while a build runs, seen from outside it.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::Value;

use crate::own_engine::OwnEngine;

/// How often we look for containers; the shortest of them takes ten times as long.
const POLL: Duration = Duration::from_millis(5);

/// The gauges of one engine.
#[derive(Debug)]
pub(super) struct Gauges {
    /// The engine's first process, for its network.
    daemon: u32,
    /// Where the control groups of the containers that build something may be.
    control_groups: Vec<PathBuf>,
}

impl Gauges {
    /// The gauges of a running engine.
    pub(super) fn of(engine: &OwnEngine) -> Result<Self> {
        let settings = engine.home().join("daemon.json");
        let text = fs::read_to_string(&settings)
            .with_context(|| format!("cannot read: {}", settings.display()))?;
        let settings: Value = serde_json::from_str(&text)?;
        let parent = settings.get("cgroup-parent").and_then(Value::as_str).unwrap_or_default();
        let below = format!("{}/buildkit", parent.trim_start_matches('/'));
        let mounts = fs::read_to_string("/proc/mounts").context("cannot read /proc/mounts")?;
        let control_groups = mounts
            .lines()
            .filter_map(|line| {
                let mut fields = line.split(' ').skip(1);
                let mounted = fields.next()?;
                matches!(fields.next()?, "cgroup" | "cgroup2").then(|| mounted.into())
            })
            .map(|mounted: PathBuf| mounted.join(&below))
            .collect();
        let daemon = engine.daemon().running().context("the engine does not run")?;
        Ok(Self { daemon, control_groups })
    }

    /// The bytes that have come into the engine's network from outside since the engine started:
    /// whoever asked for them, and with the little that packets add.
    pub(super) fn received(&self) -> Result<u64> {
        let path = format!("/proc/{}/net/dev", self.daemon);
        let table = fs::read_to_string(&path).with_context(|| format!("cannot read: {path}"))?;
        // The only interface that is neither a bridge nor an end of a container's cable.
        let counters = table
            .lines()
            .find_map(|line| line.trim_start().strip_prefix("tap0:"))
            .context("the engine has no way out")?;
        let received = counters.split_whitespace().next().unwrap_or_default();
        received.parse().context("not a number of bytes")
    }

    /// The containers that `BuildKit` starts until `done`: each has a control group of its own.
    pub(super) fn watch_containers(&self, done: &AtomicBool) -> usize {
        let before = self.containers();
        let mut seen = BTreeSet::new();
        while !done.load(Ordering::Relaxed) {
            seen.extend(self.containers());
            sleep(POLL);
        }
        seen.difference(&before).count()
    }

    /// The names of the containers that build something right now.
    fn containers(&self) -> BTreeSet<OsString> {
        // A hierarchy has the same names as every other.
        let folders = self.control_groups.iter().filter_map(|folder| fs::read_dir(folder).ok());
        folders
            .flatten()
            .flatten()
            .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
            .map(|entry| entry.file_name())
            .collect()
    }
}
