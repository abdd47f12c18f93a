//! The graphs of a patch: fetch has the network, apply changes the image.

use jiff::Timestamp;

use crate::digest::Digest;
use crate::llb::capability::Capabilities;
use crate::llb::exec::{ContentKey, Exec, Executed, Mount, MountKind, Network, Sharing};
use crate::llb::{Caching, Display, Output, file};
use crate::platform::Platform;
use crate::request::Request;

pub mod task;

use task::{ApplyTask, FetchTask, Manager, Task, path};

/// What both steps need.
#[derive(Clone, Debug)]
pub struct Steps<'a> {
    /// The image that has our binary.
    pub agent: &'a Output,
    /// Whether our binary is for another platform than the kernel runs.
    pub is_foreign: bool,
    /// The root filesystem of the image to patch.
    pub root: &'a Output,
    /// What the image is for.
    pub platform: &'a Platform,
    /// Prefix of the steps' names, to tell those of several platforms apart.
    pub label: &'a str,
    /// What the user asked for.
    pub request: &'a Request,
    /// What the daemon can do.
    pub capabilities: &'a Capabilities,
    /// The time of the build.
    pub now: Timestamp,
}

/// The step that has the network.
#[derive(Clone, Debug)]
pub struct Fetch<'a> {
    /// What to do.
    pub task: &'a FetchTask,
    /// Name of the cache of the packages that apt downloads: distro, release, architecture.
    pub cache: &'a str,
    /// Text whose change makes an earlier result stale.
    pub freshness: String,
    /// The line in the progress output.
    pub name: &'a str,
}

/// The program search path inside every step, since an image's own may be anything.
///
/// The system's own programs come first: what an author has put into `/usr/local` may be a wrapper that
/// refuses to run.
const SEARCH_PATH: &str = "/usr/sbin:/usr/bin:/sbin:/bin:/usr/local/sbin:/usr/local/bin";

/// A step in which the agent runs.
#[derive(Clone, Debug)]
pub struct Step {
    /// What it hands out.
    pub output: Output,
    /// The key of the note that it leaves if it fails.
    pub note: String,
}

impl Steps<'_> {
    /// The tree that fetch hands out: the files and what was found.
    pub fn fetch(&self, fetch: &Fetch<'_>) -> Option<Step> {
        let task = Task::Fetch(fetch.task.clone());
        let mut mounts = vec![
            mount(path::OUT, MountKind::Output(None)),
            mount(path::WORK, MountKind::Tmpfs { size: None }),
        ];
        if fetch.task.manager == Manager::Apt {
            // Private, so that a fleet's builds do not wait for each other.
            let kind = self.cache(fetch.cache, Sharing::Private);
            mounts.push(mount(path::CACHE, kind));
        }
        let freshness = ("SUTURE_FRESHNESS".to_owned(), fetch.freshness.clone());
        let (network, name) = (self.request.network, fetch.name);
        let (executed, note) = self.exec(self.root, &task, mounts, network, vec![freshness], name);
        Some(Step { output: executed.output(path::OUT)?, note })
    }

    /// The tree that has the list of what is installed in an image.
    pub fn list(&self, root: &Output) -> Option<Step> {
        let mounts = vec![
            mount(path::OUT, MountKind::Output(None)),
            mount(path::WORK, MountKind::Tmpfs { size: None }),
        ];
        let name = "list the installed packages, no network";
        let (executed, note) =
            self.exec(root, &Task::List, mounts, Network::None, Vec::new(), name);
        Some(Step { output: executed.output(path::OUT)?, note })
    }

    /// The tree that has the note of a failed step.
    pub fn tell(&self, note: &str) -> Option<Output> {
        let mounts = vec![mount(path::OUT, MountKind::Output(None))];
        let name = "[internal] read why";
        let task = Task::Tell { note: note.to_owned(), at: self.now.to_string() };
        let (executed, _) = self.exec(self.agent, &task, mounts, Network::None, Vec::new(), name);
        executed.output(path::OUT)
    }

    fn cache(&self, name: &str, sharing: Sharing) -> MountKind {
        let namespace = self.request.cache_namespace.as_deref();
        let namespace = namespace.map_or(String::new(), |it| format!("{it}/"));
        MountKind::Cache { id: format!("{namespace}suture/{name}"), sharing }
    }

    /// The patched root filesystem: the image and one more layer.
    pub fn apply(&self, task: &ApplyTask, fetched: &Output, name: &str) -> Step {
        let task = Task::Apply(task.clone());
        // The content of the image need not be read: its definition names its digest.
        let content = if self.capabilities.has("exec.mount.cache.content") {
            ContentKey::Definition
        } else {
            ContentKey::Content
        };
        let base =
            MountKind::ReadOnly { tree: self.root.clone(), selector: String::new(), content };
        // When another fetch gives the same files, an earlier apply is as good.
        let files = MountKind::ReadOnly {
            tree: fetched.clone(),
            selector: path::FILES_IN_OUT.to_owned(),
            content: ContentKey::Content,
        };
        let mounts = vec![
            mount(path::BASE, base),
            mount(path::FILES, files),
            mount(path::WORK, MountKind::Tmpfs { size: None }),
        ];
        let (executed, note) = self.exec(self.root, &task, mounts, Network::None, Vec::new(), name);
        Step { output: executed.root(), note }
    }

    fn exec(
        &self,
        root: &Output,
        task: &Task,
        mut mounts: Vec<Mount>,
        network: Network,
        mut environment: Vec<(String, String)>,
        name: &str,
    ) -> (Executed, String) {
        let json = serde_json::to_vec(task).unwrap_or_default();
        let note = Digest::of(&[root.digest().as_str().as_bytes(), &json].concat());
        let note = note.hex().to_owned();
        mounts.push(mount(path::NOTES, self.cache("notes", Sharing::Shared)));
        let caching = match task {
            Task::Tell { .. } => Caching::Allowed,
            Task::Fetch(_) | Task::List => self.request.caching.fetch,
            Task::Apply(_) => self.request.caching.apply,
        };
        let display = Display::named("[internal] write the task");
        let task = file::make_file(None, path::TASK_FILE, 0o444, &json, &display);
        for (destination, tree) in [(path::AGENT, self.agent.clone()), (path::TASK, task)] {
            let content = ContentKey::Content;
            let kind = MountKind::ReadOnly { tree, selector: String::new(), content };
            mounts.push(mount(destination, kind));
        }
        environment.insert(0, ("PATH".to_owned(), SEARCH_PATH.to_owned()));
        environment.insert(1, ("SUTURE_VERSION".to_owned(), env!("CARGO_PKG_VERSION").to_owned()));
        environment.push((path::NOTE_VARIABLE.to_owned(), note.clone()));
        let exec = Exec {
            arguments: vec![
                path::BINARY.to_owned(),
                "agent".to_owned(),
                format!("{}{}", path::TASK, path::TASK_FILE),
            ],
            environment,
            directory: "/".to_owned(),
            user: "0:0".to_owned(),
            root: Some(root.clone()),
            mounts,
            network,
            sandbox: self.request.sandbox.clone(),
            platform: self.platform.clone(),
        };
        let name = format!("{}{name}", self.label);
        (exec.build(&Display { name, caching }), note)
    }
}

fn mount(destination: &str, kind: MountKind) -> Mount {
    Mount { destination: destination.to_owned(), kind }
}
