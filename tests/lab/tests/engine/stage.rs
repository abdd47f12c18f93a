//! What all scenarios share: the engine with its images, and what was seen and measured.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex, OnceLock, PoisonError, RwLock};

use anyhow::{Result, anyhow};
use suture_lab::engine::Engine;
use suture_lab::folder::LabFolder;
use suture_lab::frontend_image;
use suture_lab::lab_image;
use suture_lab::started_image::System;
use suture_lab::stored_image::StoredImage;

use super::observed::Observed;

/// Something that is made once, or fails once for all.
type Once<T> = OnceLock<Result<T, String>>;

/// What has been seen, by name.
type Known<T> = Mutex<BTreeMap<String, Arc<Once<T>>>>;

/// What all scenarios share.
#[derive(Debug, Default)]
pub(crate) struct Stage {
    engine: Once<Engine>,
    originals: Known<Observed>,
    systems: Known<Arc<System>>,
    measured: Mutex<BTreeMap<String, Measured>>,
    alone: RwLock<()>,
}

/// What a scenario has cost.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Measured {
    /// How long the user's commands took.
    pub(crate) commands: f64,
    /// How long everything took.
    pub(crate) everything: f64,
    /// Entries and bytes of the new layer, if there is one.
    pub(crate) layer: Option<(usize, u64)>,
}

/// Keeps other scenarios from running, or those that want to be alone.
pub(crate) enum Place<'a> {
    /// Beside others.
    Shared(#[expect(dead_code, reason = "held, never read")] std::sync::RwLockReadGuard<'a, ()>),
    /// Nobody else.
    Alone(#[expect(dead_code, reason = "held, never read")] std::sync::RwLockWriteGuard<'a, ()>),
}

impl Stage {
    /// A stage where nothing has happened.
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// The engine, with the frontend's image as the sources make it now.
    pub(crate) fn engine(&self) -> Result<&Engine> {
        let engine = self.engine.get_or_init(|| prepare().map_err(|error| format!("{error:#}")));
        engine.as_ref().map_err(|error| anyhow!("{error}"))
    }

    /// A place to play in.
    pub(crate) fn place(&self, alone: bool) -> Place<'_> {
        if alone {
            Place::Alone(self.alone.write().unwrap_or_else(PoisonError::into_inner))
        } else {
            Place::Shared(self.alone.read().unwrap_or_else(PoisonError::into_inner))
        }
    }

    /// An image that scenarios patch, looked at once.
    pub(crate) fn original(&self, image: &str) -> Result<Observed> {
        once(&self.originals, image, || Observed::of(self, image))
    }

    /// The inside of an image, looked at once for all images of the same layers.
    pub(crate) fn system(&self, image: &str, stored: &StoredImage) -> Result<Arc<System>> {
        let layers: Vec<&str> = stored.layers.iter().map(|layer| layer.digest.as_str()).collect();
        let engine = self.engine()?;
        once(&self.systems, &layers.join(" "), || {
            System::look_once(engine, image, &stored.layers).map(Arc::new)
        })
    }

    /// Notes what a scenario has cost.
    pub(crate) fn note(&self, scenario: &str, measured: Measured) {
        let mut all = self.measured.lock().unwrap_or_else(PoisonError::into_inner);
        all.insert(scenario.to_owned(), measured);
    }

    /// All that was noted, as a table.
    pub(crate) fn measurements(&self) -> String {
        let all = self.measured.lock().unwrap_or_else(PoisonError::into_inner);
        if all.is_empty() {
            return String::new();
        }
        let width = all.keys().map(String::len).max().unwrap_or(0);
        let mut table = format!("{:width$}   commands      all  layer\n", "scenario");
        for (scenario, measured) in &*all {
            let Measured { commands, everything, layer } = measured;
            let layer = layer.map_or_else(String::new, |(entries, bytes)| {
                format!("{entries} entries, {bytes} bytes")
            });
            // Writing to a string cannot fail.
            let _ =
                writeln!(table, "{scenario:width$}  {commands:7.1} s {everything:6.1} s  {layer}");
        }
        table
    }
}

/// Something that is known, or is found out now while others who want it wait.
fn once<T: Clone>(known: &Known<T>, name: &str, find: impl FnOnce() -> Result<T>) -> Result<T> {
    let mut all = known.lock().unwrap_or_else(PoisonError::into_inner);
    let one = Arc::clone(all.entry(name.to_owned()).or_default());
    drop(all);
    let found = one.get_or_init(|| find().map_err(|error| format!("{error:#}")));
    found.clone().map_err(|error| anyhow!("{error}"))
}

/// Makes everything that every scenario needs.
fn prepare() -> Result<Engine> {
    let chosen = std::env::var("SUTURE_LAB_ENGINE").ok().filter(|version| !version.is_empty());
    let folder = LabFolder::locate()?;
    System::forget_old_looks(&folder)?;
    let engine = Engine::usable(&folder, chosen.as_deref())?;
    frontend_image::build(&engine, &frontend_image::name())?;
    engine.repository_server()?;
    lab_image::ensure(&engine, "lab/debian:hermetic")?;
    Ok(engine)
}
