//! A scenario: what a user types, and what must come of it.

use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::iter;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde::Deserialize;
use serde_json::Value;
use suture_lab::docker_api;
use suture_lab::emulator;
use suture_lab::engine::Engine;
use suture_lab::frontend_image;
use suture_lab::lab_image::{self, IMAGES};
use suture_lab::registry;
use suture_lab::service::in_network_of;
use suture_lab::started_image::CONTAINER_LABEL;
use suture_lab::stored_image::StoredImage;
use suture_lab::trivy_report::{self, Finding};

use super::judge;
use super::observed::Observed;
use super::plain_upgrade;
use super::stage::{Measured, Stage};

/// How long the commands of one scenario may take before they are stopped.
const PATIENCE: &str = "300";

/// How long the engine may take to clean up after a build that was stopped.
const CLEAN_UP: Duration = Duration::from_secs(5);

/// How the agent is started inside containers.
const AGENT: &[u8] = b"/dev/.suture/agent/suture";

/// What a user types, and what must come of it: the text of `scenario.toml`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a word of the file, and goes with any other"
)]
pub(crate) struct Scenario {
    /// The folder's name.
    #[serde(skip)]
    pub(crate) name: String,
    /// The folder with the files that the commands use.
    #[serde(skip)]
    folder: PathBuf,
    /// The image to patch: one of the lab's, or one that `setup` makes. `$IMAGE` in the commands.
    #[serde(default)]
    image: String,
    /// Further images of the lab that the commands use.
    #[serde(default)]
    images: Vec<String>,
    /// Whether programs of arm64 must run.
    #[serde(default)]
    emulator: bool,
    /// Whether there must be registries, `$REGISTRY` and `$LENIENT_REGISTRY`. The commands run in their network.
    #[serde(default)]
    registry: bool,
    /// Whether there must be `BuildKit` without Docker, with a registry that has the frontend.
    #[serde(default)]
    buildkit: bool,
    /// What a scanner has found, for `report.json`: `ID PACKAGE [FIXED-VERSION]`.
    #[serde(default)]
    findings: Vec<String>,
    /// Commands that make what the scenario needs.
    #[serde(default)]
    setup: String,
    /// The user's commands. They run in a copy of the scenario's folder and make `$RESULT`.
    run: String,
    /// Whether no other scenario may run meanwhile.
    #[serde(default)]
    pub(crate) alone: bool,
    /// Whether it mostly waits, so that others better run meanwhile.
    #[serde(default)]
    waits: bool,
    /// Whether it is one of the few that are played on the older engine too.
    #[serde(default)]
    everywhere: bool,
    /// What must come of it.
    expect: Expect,
}

/// What must come of a scenario.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Expect {
    /// How it ends.
    pub(crate) outcome: Outcome,
    /// What the commands say; blanks count as one.
    #[serde(default)]
    pub(crate) says: Vec<String>,
    /// What they do not say.
    #[serde(default)]
    pub(crate) says_not: Vec<String>,
    /// The packages that have another version than before, or are new. All others stay.
    #[serde(default)]
    pub(crate) packages: BTreeMap<String, String>,
    /// The packages that are not there any more, with those that have their place.
    #[serde(default)]
    pub(crate) replaced: BTreeMap<String, String>,
    /// Whether some packages are newer, whichever and however much: for live updates.
    #[serde(default)]
    pub(crate) some_packages: bool,
    /// The packages of which an upgrade replaces several versions.
    #[serde(default)]
    pub(crate) merged: Vec<String>,
    /// The paths that the author had removed, and that come back.
    #[serde(default)]
    pub(crate) returns: Vec<String>,
    /// Paths that the new layer may have besides what belongs to the upgraded packages.
    #[serde(default)]
    pub(crate) layer_may_have: Vec<String>,
    /// Paths that are as they were.
    #[serde(default)]
    pub(crate) keeps: Vec<String>,
    /// Labels that the result has besides the original's and ours.
    #[serde(default)]
    pub(crate) labels: BTreeMap<String, String>,
    /// The image that the result is compared with, if not `$IMAGE`.
    pub(crate) original: Option<String>,
    /// The commands of the plain upgrade after which the original has the same files as the result.
    pub(crate) same_as: Option<String>,
    /// What may differ from the plain upgrade in this scenario, with the reason.
    #[serde(default)]
    pub(crate) differs: BTreeMap<String, String>,
    /// Commands that work afterwards.
    #[serde(default)]
    pub(crate) then: String,
}

/// How a scenario ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Outcome {
    /// The result is the original with one more layer.
    Patched,
    /// The result is the original.
    Unchanged,
    /// The commands fail and there is no result.
    Failed,
    /// The commands succeed; what else must hold is said by `says`, `says_not` and `then` alone.
    Done,
}

/// The scenarios that `SUTURE_LAB_SCENARIOS` asks for, all unless it says otherwise, in the order of their
/// names; those that nobody else may run with, and those that wait, come first, so that all cores have work
/// to the end.
pub(crate) fn chosen() -> Result<Vec<Scenario>> {
    let wanted = env::var("SUTURE_LAB_SCENARIOS").unwrap_or_default();
    ensure!(
        ["", "everywhere"].contains(&wanted.as_str()),
        "unknown SUTURE_LAB_SCENARIOS: {wanted}: there is everywhere"
    );
    let mut scenarios = all()?;
    scenarios.retain(|scenario| wanted.is_empty() || scenario.everywhere);
    ensure!(!scenarios.is_empty(), "no scenario is for {wanted}");
    Ok(scenarios)
}

/// All scenarios, in the order of [`chosen`].
fn all() -> Result<Vec<Scenario>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios");
    let mut scenarios = Vec::new();
    for entry in
        fs::read_dir(&folder).with_context(|| format!("cannot list: {}", folder.display()))?
    {
        scenarios.push(Scenario::read(entry?.path())?);
    }
    scenarios.sort_by_key(|scenario: &Scenario| {
        (!scenario.alone, !scenario.waits, scenario.name.clone())
    });
    Ok(scenarios)
}

impl Scenario {
    /// Reads a scenario's folder.
    fn read(folder: PathBuf) -> Result<Self> {
        let file = folder.join("scenario.toml");
        let text = fs::read_to_string(&file)
            .with_context(|| format!("cannot read: {}", file.display()))?;
        let scenario: Self =
            toml::from_str(&text).with_context(|| format!("not a scenario: {}", file.display()))?;
        let name = folder.file_name().context("a folder has no name")?;
        Ok(Self { name: name.to_string_lossy().into_owned(), folder, ..scenario })
    }

    /// Does what the user does and says everything that is wrong with what comes of it.
    pub(crate) fn play(&self, stage: &Stage, engine: &Engine) -> Result<Vec<String>> {
        let begin = Instant::now();
        let work = self.copy(engine)?;
        let result = format!("lab/result:{}", self.name);
        remove(engine, &result)?;
        if IMAGES.iter().any(|(name, _)| *name == self.image) {
            lab_image::ensure(engine, &self.image)?;
        }
        for image in &self.images {
            lab_image::ensure(engine, image)?;
        }
        if self.emulator {
            emulator::ensure(engine.folder())?;
        }
        if !self.setup.is_empty() {
            let done = self.shell(engine, &work, &result, &self.setup)?;
            ensure!(done.success, "setup fails:\n{}", done.output);
        }
        if !self.findings.is_empty() {
            self.write_report(&stage.original(&self.image)?, &work)?;
        }
        let frontend = frontend_image::name();
        let images = [&self.image, &result, frontend.as_str()];
        let containers = containers(engine, &images)?;

        let mut measured = Measured::default();
        let started = Instant::now();
        let done = self.shell(engine, &work, &result, &self.run)?;
        measured.commands = started.elapsed().as_secs_f64();

        let mut complaints = judge::output(&self.expect, &done.output);
        if self.alone && !agents_end() {
            complaints.push("the agent is still running in the engine".to_owned());
        }
        let left = containers_left(engine, &images, &containers)?;
        if !left.is_empty() {
            complaints.push(format!("containers are left: {}", left.join(", ")));
        }
        let succeeds = self.expect.outcome != Outcome::Failed;
        if done.success != succeeds {
            let how = if done.success { "succeed" } else { "fail" };
            complaints.push(format!("the commands {how}"));
        } else if self.expect.outcome == Outcome::Done {
            // Whether there is a `$RESULT` at all is the scenario's own business.
        } else if succeeds {
            let original = self.expect.original.as_ref().unwrap_or(&self.image);
            let original = original.replace("$RESULT", &result);
            if self.expect.outcome == Outcome::Patched {
                let original = stage.original(&original)?;
                let observed = Observed::of(stage, &result)?;
                let layer = observed.stored.last_layer()?;
                let stored = observed.stored.layers.last();
                measured.layer = stored.map(|stored| (layer.len(), stored.size));
                let said = &done.output;
                complaints.extend(judge::patched(&self.expect, &original, &observed, &layer, said));
                if let Some(commands) = &self.expect.same_as {
                    let tag = format!("lab/plain:{}", self.name);
                    let plain = plain_upgrade::build(engine, &self.image, commands, &tag)?;
                    let (system, differs) = (&original.system, &self.expect.differs);
                    let (plain, patched) = (&plain, &observed.stored);
                    complaints.extend(plain_upgrade::differences(
                        engine, system, plain, patched, differs,
                    )?);
                    remove(engine, &tag)?;
                }
            } else {
                let original = StoredImage::read(engine, &original)?;
                let stored = StoredImage::read(engine, &result)?;
                complaints.extend(judge::unchanged(&original, &stored));
            }
        } else if exists(engine, &result)? {
            complaints.push(format!("there is an image after all: {result}"));
        }
        if !self.expect.then.is_empty() {
            let then = self.shell(engine, &work, &result, &self.expect.then)?;
            if !then.success {
                complaints.push(format!("afterwards something fails:\n{}", then.output));
            }
        }
        if complaints.is_empty() {
            remove(engine, &result)?;
        } else {
            complaints.push(format!("the commands said:\n{}", done.output));
        }
        measured.everything = begin.elapsed().as_secs_f64();
        stage.note(&self.name, measured);
        Ok(complaints)
    }

    /// A copy of the scenario's files for its commands to work in.
    fn copy(&self, engine: &Engine) -> Result<PathBuf> {
        let work = engine.folder().join("scenarios").join(&self.name);
        if work.exists() {
            fs::remove_dir_all(&work)
                .with_context(|| format!("cannot remove: {}", work.display()))?;
        }
        copy_folder(&self.folder, &work)?;
        fs::remove_file(work.join("scenario.toml")).context("cannot remove scenario.toml")?;
        Ok(work)
    }

    /// Writes what the scanner has found.
    fn write_report(&self, original: &Observed, work: &Path) -> Result<()> {
        let findings: Vec<Finding> = self
            .findings
            .iter()
            .map(|line| {
                let mut words = line.split_whitespace().map(str::to_owned);
                let (id, package) = words.next().zip(words.next()).context("no finding")?;
                Ok(Finding { id, package, fixed: words.next() })
            })
            .collect::<Result<_>>()?;
        let report =
            trivy_report::write(&self.image, &original.stored, &original.system, &findings);
        fs::write(work.join("report.json"), report.to_string()).context("cannot write report.json")
    }

    /// Runs commands as a user types them.
    fn shell(&self, engine: &Engine, work: &Path, result: &str, commands: &str) -> Result<Done> {
        let mut environment: BTreeMap<_, _> = engine.environment()?.into_iter().collect();
        let mut command = Command::new("timeout");
        if self.registry || self.buildkit {
            // Its address means something only there.
            command = in_network_of(engine.network_of(), "timeout")?;
            engine.registries()?;
            environment.insert("REGISTRY", registry::STRICT.into());
            environment.insert("LENIENT_REGISTRY", registry::LENIENT.into());
        }
        if self.buildkit {
            let pushed = frontend_image::push(engine, &frontend_image::name())?;
            environment.insert("REGISTRY_FRONTEND", pushed.into());
            let buildkit = engine.buildkit()?;
            environment.insert("BUILDKIT_HOST", buildkit.address.into());
            let path = environment.remove("PATH").or_else(|| env::var_os("PATH"));
            let path = path.context("PATH is not set")?;
            let folders = iter::once(buildkit.programs).chain(env::split_paths(&path));
            environment.insert("PATH", env::join_paths(folders)?);
        }
        let finished = command
            .args([PATIENCE, "sh", "-ec", &format!("exec 2>&1\n{commands}")])
            .envs(environment)
            .env("IMAGE", &self.image)
            .env("RESULT", result)
            .env("FRONTEND", frontend_image::name())
            .env("CONTAINER_LABEL", CONTAINER_LABEL)
            .env("PROJECT", frontend_image::project())
            .env("LAB_PROGRAM", env!("CARGO_BIN_EXE_suture-lab"))
            .env("LAB_FOLDER", engine.folder().root())
            .env("OWN_PACKAGES", concat!(env!("CARGO_MANIFEST_DIR"), "/own-packages"))
            .current_dir(work)
            .stdin(Stdio::null())
            .output()
            .context("cannot start: timeout")?;
        let output = [finished.stdout, finished.stderr].concat();
        Ok(Done {
            success: finished.status.success(),
            output: String::from_utf8_lossy(&output).into_owned(),
        })
    }
}

/// What came of some commands.
struct Done {
    success: bool,
    output: String,
}

/// Copies a folder and what is in it.
fn copy_folder(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to).with_context(|| format!("cannot make a folder: {}", to.display()))?;
    for entry in fs::read_dir(from).with_context(|| format!("cannot list: {}", from.display()))? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy_folder(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), &target)
                .with_context(|| format!("cannot write: {}", target.display()))?;
        }
    }
    Ok(())
}

/// Whether an engine has an image.
fn exists(engine: &Engine, image: &str) -> Result<bool> {
    Ok(docker_api::find(&engine.socket(), &format!("/images/{image}/json"))?.is_some())
}

/// Removes an image if the engine has it.
fn remove(engine: &Engine, image: &str) -> Result<()> {
    docker_api::remove(&engine.socket(), &format!("/images/{image}"))
}

/// The containers of some images that the lab has not started itself, running or not. Other people
/// may use the engine too, with other images.
fn containers(engine: &Engine, images: &[&str]) -> Result<Vec<String>> {
    let all = docker_api::get(&engine.socket(), "/containers/json?all=1")?;
    let is_one = |container: &&Value| {
        container.get("Image").and_then(Value::as_str).is_some_and(|image| images.contains(&image))
            && container.pointer(&format!("/Labels/{CONTAINER_LABEL}")).is_none()
    };
    let described = |container: &Value| {
        let facts = ["/Id", "/Image", "/Command"].map(|fact| container.pointer(fact));
        facts.into_iter().flatten().filter_map(Value::as_str).collect::<Vec<_>>().join(" ")
    };
    Ok(all.as_array().into_iter().flatten().filter(is_one).map(described).collect())
}

/// The containers of some images that were not there before and do not go away.
fn containers_left(engine: &Engine, images: &[&str], before: &[String]) -> Result<Vec<String>> {
    let start = Instant::now();
    loop {
        let mut now = containers(engine, images)?;
        now.retain(|container| !before.contains(container));
        if now.is_empty() || start.elapsed() > CLEAN_UP {
            return Ok(now);
        }
        sleep(Duration::from_millis(200));
    }
}

/// Whether the engine soon runs no agent any more.
fn agents_end() -> bool {
    let start = Instant::now();
    while agent_runs() {
        if start.elapsed() > CLEAN_UP {
            return false;
        }
        sleep(Duration::from_millis(50));
    }
    true
}

/// Whether an agent runs in any container: all processes of a machine's engine are its own.
fn agent_runs() -> bool {
    let Ok(processes) = fs::read_dir("/proc") else { return false };
    processes
        .filter_map(|entry| fs::read(entry.ok()?.path().join("cmdline")).ok())
        .any(|line| line.starts_with(AGENT))
}
