//! A scenario: a folder of `tests/scenarios`, laid over the folder of the image that it begins
//! with. `tests/scenarios/README.md` says what may be in it.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use bytes::Bytes;
use jiff::Timestamp;
use serde::Deserialize;
use suture::gateway::EngineStatus;
use suture::llb::{Display, source};
use suture::patch::task::{FetchOutcome, Misfit, Note, Removed, Skipped, Unmet, Upgrade};
use suture::pb;
use suture::platform::Platform;
use suture::reference::ImageReference;
use suture::request::environment::Environment;

use prost::Message as _;
use suture::llb::capability::Capabilities;

use super::tree::Tree;

/// One build with everything around it.
#[derive(Clone, Debug)]
pub(crate) struct Scenario {
    /// Name of its folder.
    pub(crate) name: String,
    /// Where its snapshots are.
    pub(crate) folder: PathBuf,
    /// What the frontend's process is given.
    pub(crate) environment: Environment,
    /// How the daemon differs from an ordinary one.
    pub(crate) daemon: DaemonFile,
    /// The configuration of the target image.
    pub(crate) config: Bytes,
    /// The root filesystem of the target image.
    pub(crate) image: Tree,
    /// Files that apply leaves otherwise than it should.
    pub(crate) patched: Tree,
    /// The client's directories by name.
    pub(crate) locals: BTreeMap<String, Tree>,
    /// Other images, by the last part of their repository's name.
    pub(crate) images: BTreeMap<String, Tree>,
    /// Trees of the client's inputs.
    pub(crate) inputs: BTreeMap<String, Tree>,
    /// Files of web servers: host, then path.
    pub(crate) web: Tree,
    /// Indexes and manifests, by the first two digits of their digests.
    pub(crate) blobs: Tree,
    /// Git repositories by name.
    pub(crate) repositories: BTreeMap<String, Tree>,
    /// What the fetch steps give, one after the other.
    pub(crate) fetches: Vec<FetchOutcome>,
}

/// How the daemon differs from an ordinary one (`daemon.json`).
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct DaemonFile {
    /// The time of the build.
    pub(crate) now: Timestamp,
    /// What the first worker runs.
    pub(crate) platform: String,
    /// What its kernel runs by an emulator.
    pub(crate) emulated: Vec<String>,
    /// Platforms for which the image has another configuration: its architecture is theirs.
    pub(crate) index: Vec<String>,
    /// Capabilities that it does not announce.
    pub(crate) without: Vec<String>,
    /// Capabilities that are there and switched off, with the reason.
    pub(crate) disabled: BTreeMap<String, String>,
    /// Whether it hands out the graph of the frontend's image.
    pub(crate) hands_out_frontend_image: bool,
    /// Whether it tells the digest of an image.
    pub(crate) tells_digests: bool,
    /// When the build context was made.
    pub(crate) made_at: Option<i64>,
    /// What the Dockerfile's frontend answers.
    pub(crate) built: BuiltFile,
    /// Directories that the client does not offer.
    pub(crate) without_locals: Vec<String>,
    /// Inputs that the client has built.
    pub(crate) inputs: Vec<String>,
    /// Sizes to announce instead of the real ones, by `TREE:/PATH`.
    pub(crate) sizes: BTreeMap<String, u64>,
    /// Errors: by `TREE:/PATH`, by step (`fetch`, `apply`), or by call (`resolve`, `inputs`).
    pub(crate) errors: BTreeMap<String, ErrorFile>,
}

impl Default for DaemonFile {
    fn default() -> Self {
        Self {
            now: "2026-11-20T12:00:00Z".parse().expect("a time"),
            platform: "linux/amd64".to_owned(),
            emulated: Vec::new(),
            index: Vec::new(),
            without: Vec::new(),
            disabled: BTreeMap::new(),
            hands_out_frontend_image: true,
            tells_digests: true,
            made_at: None,
            built: BuiltFile::default(),
            without_locals: Vec::new(),
            inputs: Vec::new(),
            sizes: BTreeMap::new(),
            errors: BTreeMap::new(),
        }
    }
}

/// What the Dockerfile's frontend answers.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct BuiltFile {
    /// The platforms of an index; without any it is one image of the daemon's own.
    pub(crate) platforms: Vec<String>,
    /// Whether the root filesystem is empty.
    pub(crate) empty: bool,
    /// More metadata.
    pub(crate) metadata: BTreeMap<String, String>,
}

/// An error of the daemon.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub(crate) enum ErrorFile {
    /// The agent ended with this code.
    Process {
        /// Its exit code.
        exit_code: i64,
        /// The note that it left.
        note: Option<Note>,
    },
    /// The daemon's own words.
    Status {
        /// gRPC code.
        code: i32,
        /// The words.
        message: String,
        /// Typed details.
        #[serde(default)]
        details: BTreeMap<String, serde_json::Value>,
    },
}

impl ErrorFile {
    /// As the gateway hands it on.
    pub(crate) fn status(&self) -> EngineStatus {
        match self {
            Self::Process { exit_code, .. } => EngineStatus {
                code: UNKNOWN,
                message: format!(
                    "process \"/dev/.suture/agent/suture agent /dev/.suture/task/task.json\" \
                     did not complete successfully: exit code: {exit_code}"
                ),
                details: vec![(
                    "github.com/moby/buildkit/gatewayapi.ExitMessage+json".to_owned(),
                    format!("{{\"Code\":{exit_code}}}").into(),
                )],
            },
            Self::Status { code, message, details } => EngineStatus {
                code: *code,
                message: message.clone(),
                details: details
                    .iter()
                    .map(|(kind, value)| (kind.clone(), value.to_string().into()))
                    .collect(),
            },
        }
    }
}

/// gRPC's code for an error of no particular kind, which the daemon gives most of its own.
pub(crate) const UNKNOWN: i32 = 2;

/// The name that the frontend's own image has in every scenario.
const FRONTEND: &str = "registry.example.org/suture:1";

/// Names that a build file may have, and the ignore file of one.
const BUILD_FILES: [&str; 3] = ["Dockerfile", "Dockerfile.dockerignore", "patch.Dockerfile"];

/// What else a scenario or an image may have beside its snapshots.
const FILES: &[&str] = &[
    "absent.txt",
    "blobs",
    "config.json",
    "context",
    "daemon.json",
    "fetch.json",
    "git",
    "image",
    "images",
    "inputs",
    "local",
    "options.txt",
    "patched",
    "web",
];

/// Snapshots of a scenario.
pub(crate) const SNAPSHOTS: [&str; 2] = ["result", "calls"];

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FetchFile {
    /// When; at the time of the build if it is not said.
    at: Option<Timestamp>,
    upgrades: Vec<Upgrade>,
    #[serde(default)]
    removed: Vec<Removed>,
    #[serde(default)]
    unmet: Vec<Unmet>,
    #[serde(default)]
    misfits: Vec<Misfit>,
    #[serde(default)]
    skipped: Vec<Skipped>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum FetchFiles {
    One(FetchFile),
    Several(Vec<FetchFile>),
}

impl Scenario {
    /// The configuration of the image for a platform: another one where the image has several.
    pub(crate) fn config_of(&self, platform: &Platform) -> Bytes {
        if !self.daemon.index.iter().any(|known| *known == platform.to_string()) {
            return self.config.clone();
        }
        let mut config: serde_json::Value =
            serde_json::from_slice(&self.config).expect("a configuration");
        let fields = config.as_object_mut().expect("an object");
        fields.insert("architecture".to_owned(), platform.architecture().into());
        fields.insert("os".to_owned(), platform.os().into());
        config.to_string().into()
    }

    /// All scenarios, in the order of their names.
    pub(crate) fn all() -> Vec<Self> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scenarios");
        let mut names: Vec<String> = fs::read_dir(&root)
            .expect("tests/scenarios")
            .map(|entry| entry.expect("an entry").file_name().into_string().expect("UTF-8"))
            .filter(|name| !name.starts_with(['_', '.']) && name != "README.md")
            .collect();
        names.sort();
        names.iter().map(|name| Self::load(&root, name)).collect()
    }

    fn load(root: &Path, name: &str) -> Self {
        let base = name.split('-').next().unwrap_or_default();
        let layers = [root.join("_images").join(base), root.join(name)];
        for folder in &layers {
            check_entries(folder);
        }
        let [_, folder] = &layers;
        let file =
            |name: &str| layers.iter().rev().find_map(|folder| fs::read(folder.join(name)).ok());
        let text =
            |name: &str| file(name).map(|bytes| String::from_utf8(bytes).expect("a file of text"));
        let tree = |name: &str| {
            let mut tree = Tree::default();
            for folder in &layers {
                tree.add_folder(&folder.join(name));
            }
            tree
        };
        let trees = |name: &str| {
            let names = layers.iter().flat_map(|folder| folders(&folder.join(name)));
            let trees = names.map(|each| (each.clone(), tree(&format!("{name}/{each}"))));
            trees.collect::<BTreeMap<String, Tree>>()
        };
        let daemon: DaemonFile = text("daemon.json").map_or_else(DaemonFile::default, |text| {
            serde_json::from_str(&text)
                .unwrap_or_else(|error| panic!("{name}/daemon.json: {error}"))
        });
        let config = file("config.json").unwrap_or_default();
        let mut scenario = Self {
            name: name.to_owned(),
            folder: folder.clone(),
            environment: environment(text("options.txt").as_deref(), &config, &daemon),
            image: tree("image"),
            patched: tree("patched"),
            locals: trees("local"),
            images: trees("images"),
            inputs: trees("inputs"),
            web: tree("web"),
            blobs: tree("blobs"),
            repositories: trees("git"),
            fetches: fetches(name, text("fetch.json").as_deref(), daemon.now),
            config: config.into(),
            daemon,
        };
        let mut build_files = Tree::default();
        for name in BUILD_FILES {
            if let Some(bytes) = file(name) {
                build_files.write(name, bytes.into());
            }
        }
        scenario.locals.insert("dockerfile".to_owned(), build_files);
        scenario.locals.insert("context".to_owned(), tree("context"));
        for path in text("absent.txt").iter().flat_map(|text| text.lines()) {
            let (place, path) = path.split_once('/').expect("a tree and a path");
            let tree = match place {
                "image" => &mut scenario.image,
                "web" => &mut scenario.web,
                local => scenario.locals.get_mut(local).expect("a tree"),
            };
            assert!(tree.remove(path), "{name}/absent.txt: {path} is not there anyway");
        }
        for local in &scenario.daemon.without_locals {
            scenario.locals.remove(local).expect("a directory that is there otherwise");
        }
        scenario
    }
}

fn folders(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten();
    entries
        .map(|entry| entry.expect("an entry").file_name().into_string().expect("UTF-8"))
        .collect()
}

/// A misspelt name would silently be no part of the scenario.
fn check_entries(folder: &Path) {
    assert!(folder.is_dir(), "no such folder: {}", folder.display());
    for name in folders(folder) {
        let is_snapshot = SNAPSHOTS
            .iter()
            .any(|known| name == format!("{known}.snap") || name == format!("{known}.snap.new"));
        let place = folder.display();
        let known = is_snapshot || BUILD_FILES.iter().chain(FILES).any(|known| *known == name);
        assert!(known, "{place} has an unknown {name}");
    }
}

fn fetches(name: &str, text: Option<&str>, now: Timestamp) -> Vec<FetchOutcome> {
    let Some(text) = text else { return Vec::new() };
    let files = serde_json::from_str(text).unwrap_or_else(|error| panic!("{name}: {error}"));
    let files = match files {
        FetchFiles::One(file) => vec![file],
        FetchFiles::Several(files) => files,
    };
    files
        .into_iter()
        .map(|FetchFile { at, upgrades, removed, unmet, misfits, skipped }| FetchOutcome {
            misfits,
            skipped,
            at: at.unwrap_or(now).as_second(),
            upgrades,
            removed,
            fewer: Vec::new(),
            unmet,
        })
        .collect()
}

/// The environment that the daemon gives the frontend.
fn environment(options: Option<&str>, config: &[u8], daemon: &DaemonFile) -> Environment {
    let lines = options.unwrap_or_default().lines();
    let mut variables: Vec<(String, String)> =
        vec![("BUILDKIT_SESSION_ID".to_owned(), "session".to_owned())];
    let options = [format!("source={FRONTEND}"), format!("cmdline={FRONTEND}")];
    let given = lines.filter(|line| !line.is_empty()).map(|line| with_config(line, config));
    for (number, option) in options.into_iter().chain(given).enumerate() {
        variables.push((format!("BUILDKIT_FRONTEND_OPT_{number}"), option));
    }
    let own_image = daemon.hands_out_frontend_image.then(|| own_image(daemon));
    Environment::from_variables(variables.into_iter()).at(daemon.now).with_own_image(own_image)
}

/// `input-metadata:NAME=config.json` stands for the metadata with the image's configuration.
fn with_config(line: &str, config: &[u8]) -> String {
    match line.split_once('=') {
        Some((key, "config.json")) if key.starts_with("input-metadata:") => {
            let config = base64::engine::general_purpose::STANDARD.encode(config);
            format!("{key}={}", serde_json::json!({ "containerimage.config": config }))
        }
        _ => line.to_owned(),
    }
}

/// What `/run/config/buildkit/metadata/frontend.bin` has.
fn own_image(daemon: &DaemonFile) -> Vec<u8> {
    let name = format!("{FRONTEND}@sha256:{}", "5e".repeat(32));
    let reference: ImageReference = name.parse().expect("a reference");
    let platform: Platform = daemon.platform.parse().expect("a platform");
    let mode = source::ResolveMode::Default;
    let image = source::image(&reference, &platform, mode, &Display::default());
    let definition: pb::Definition =
        image.definition(&Capabilities::everything()).expect("nothing is missing");
    definition.encode_to_vec()
}
