//! A daemon in memory, which answers from a scenario's folder.
//!
//! It builds nothing: it recognises by the graph which tree is meant. As the real one it is lazy:
//! what is wrong with a graph shows when its tree is first read.

pub(crate) mod readable;
mod rpm;
mod scenario;
mod tree;

use std::cell::RefCell;
use std::collections::BTreeMap;

use bytes::Bytes;
use prost::Message as _;
use suture::digest::Digest;
use suture::gateway::{
    Built, Daemon, EngineStatus, FileKind, FileStat, Gateway, GatewayError, ImageSource, Ref,
    ResolvedImage, SolvedTree, Trees, Warning,
};
use suture::ignore::IgnoreFile;
use suture::llb::capability::Capabilities;
use suture::llb::exec::{Exec, Network, Sandbox};
use suture::llb::source::ResolveMode;
use suture::llb::{self, Display, Output, source};
use suture::patch::task::{FetchOutcome, path};
use suture::pb;
use suture::platform::Platform;
use suture::request::NestedBuild;
use suture::request::context::Context;

use scenario::{ErrorFile, UNKNOWN};
pub(crate) use scenario::{SNAPSHOTS, Scenario};
use tree::{ABSENT, Tree};

/// What `BuildKit` 0.31 and Docker Engine 29 announce and a frontend could use.
const LLB_CAPABILITIES: &[&str] = &[
    "constraints",
    "diffop",
    "exec.cgroup",
    "exec.meta.base",
    "exec.meta.cgroup.parent",
    "exec.meta.network",
    "exec.meta.proxyenv",
    "exec.meta.security",
    "exec.meta.setsdefaultpath",
    "exec.meta.ulimit",
    "exec.mount.bind",
    "exec.mount.bind.readwrite-nooutput",
    "exec.mount.cache",
    "exec.mount.cache.content",
    "exec.mount.cache.sharing",
    "exec.mount.secret",
    "exec.mount.selector",
    "exec.mount.ssh",
    "exec.mount.tmpfs",
    "exec.mount.tmpfs.size",
    "exec.secretenv",
    "exec.validexitcode",
    "file.base",
    "file.rm.wildcard",
    "file.symlink.create",
    "mergeop",
    "meta.description",
    "meta.exportcache",
    "meta.ignorecache",
    "platform",
    "source.git",
    "source.git.fullurl",
    "source.http",
    "source.http.checksum",
    "source.image",
    "source.image.checksum",
    "source.image.resolvemode",
    "source.local",
    "source.local.differ",
    "source.local.excludepatterns",
    "source.local.followpaths",
    "source.local.includepatterns",
    "source.local.sessionid",
    "source.local.sharedkeyhint",
    "source.local.unique",
    "source.ocilayout",
];

const GATEWAY_CAPABILITIES: &[&str] =
    &["frontend.inputs", "gateway.warnings", "source.metaresolver"];

/// The daemon.
#[derive(Debug)]
pub(crate) struct FakeGateway<'a> {
    scenario: &'a Scenario,
    daemon: Daemon,
    state: RefCell<State>,
}

/// What has happened so far.
#[derive(Debug, Default)]
struct State {
    /// Trees by the name that their handle has.
    trees: BTreeMap<String, Solved>,
    /// The handle of a graph's result: operation and output.
    names: BTreeMap<(String, i64), String>,
    /// Every operation of every graph.
    operations: BTreeMap<String, pb::Op>,
    /// Graphs as the snapshot shows them, by the name of their result: a text an operation.
    graphs: Vec<(String, Vec<String>)>,
    /// The calls as the snapshot shows them.
    calls: String,
    warnings: Vec<Warning>,
    /// Files that were made to be returned.
    files: Vec<(String, Bytes)>,
}

/// What a graph gives.
#[derive(Clone, Debug)]
enum Solved {
    Tree(Tree),
    Fetched(Tree, FetchOutcome),
    Broken(EngineStatus),
}

impl<'a> FakeGateway<'a> {
    /// The daemon of a scenario.
    pub(crate) fn new(scenario: &'a Scenario) -> Self {
        let capabilities = |ids: &[&str]| {
            let file = &scenario.daemon;
            // With BuildKit 0.28, which a scenario with blobs is about.
            let newer: &[&str] =
                if scenario.blobs.is_empty() { &[] } else { &["source.imageblob"] };
            let announced =
                ids.iter().chain(newer).filter(|id| !file.without.iter().any(|no| no == *id));
            Capabilities::new(announced.map(|id| match file.disabled.get(*id) {
                Some(reason) => (*id, false, reason.as_str()),
                None => (*id, true, ""),
            }))
        };
        let platforms = [&scenario.daemon.platform].into_iter().chain(&scenario.daemon.emulated);
        let daemon = Daemon {
            llb: capabilities(LLB_CAPABILITIES),
            gateway: capabilities(GATEWAY_CAPABILITIES),
            platform: scenario.daemon.platform.parse().expect("a platform"),
            platforms: platforms.map(|text| text.parse().expect("a platform")).collect(),
        };
        Self { scenario, daemon, state: RefCell::default() }
    }

    /// The calls in their order, each graph below the call that brought it first.
    pub(crate) fn calls(&self) -> String {
        self.state.borrow().calls.clone()
    }

    /// The warnings in their order.
    pub(crate) fn warnings(&self) -> Vec<Warning> {
        self.state.borrow().warnings.clone()
    }

    /// Files that were made to be returned: path and content.
    pub(crate) fn files(&self) -> Vec<(String, Bytes)> {
        self.state.borrow().files.clone()
    }

    /// Every operation that was part of a graph, by its digest.
    pub(crate) fn operations(&self) -> BTreeMap<String, pb::Op> {
        self.state.borrow().operations.clone()
    }

    /// The containers in which the agent runs, by digest.
    pub(crate) fn steps(&self) -> BTreeMap<String, Step> {
        let operations = self.operations();
        let steps = operations.into_iter();
        steps.filter_map(|(digest, op)| Some((digest, Step::of(own_step(&op)?)))).collect()
    }

    fn log(&self, line: impl std::fmt::Display) {
        self.state.borrow_mut().calls.push_str(&format!("{line}\n"));
    }

    /// Writes a graph down, but not again what it begins with when an earlier one does too.
    fn log_graph(&self, name: &str, text: &str) {
        let operations = readable::operations(text);
        let common = |known: &[String]| {
            known.iter().zip(&operations).take_while(|(one, other)| one == other).count()
        };
        let known = {
            let state = self.state.borrow();
            let graphs = state.graphs.iter();
            graphs.map(|(name, known)| (common(known), name.clone())).max_by_key(|it| it.0)
        };
        let mut skipped = 0;
        if let Some((count, known)) = known.filter(|(count, _)| *count > 1) {
            self.log(format!("    0 to {} as for {known}", count - 1));
            skipped = count;
        }
        for line in operations.iter().skip(skipped).flat_map(|operation| operation.lines()) {
            self.log(format!("    {line}"));
        }
        self.state.borrow_mut().graphs.push((name.to_owned(), operations));
    }

    /// An error that the scenario has for this key.
    fn error(&self, key: &str) -> Option<EngineStatus> {
        self.scenario.daemon.errors.get(key).map(ErrorFile::status)
    }

    /// Looks at a path and writes the call down.
    fn look<T>(
        &self,
        call: &str,
        tree: &Ref,
        path: &str,
        look: impl Fn(&Tree) -> Result<T, &'static str>,
        show: impl Fn(&T) -> String,
    ) -> Result<T, GatewayError> {
        let name = tree.as_str();
        let slash = if path.starts_with('/') { "" } else { "/" };
        let place = format!("{name}:{slash}{path}");
        let solved = self.state.borrow().trees.get(name).cloned();
        let outcome = match solved.unwrap_or_else(|| panic!("no such handle: {name}")) {
            Solved::Broken(status) => Err(status),
            Solved::Tree(tree) | Solved::Fetched(tree, _) => match self.error(&place) {
                Some(status) => Err(status),
                None => {
                    look(&tree).map_err(|words| status(UNKNOWN, &format!("open {path}: {words}")))
                }
            },
        };
        match &outcome {
            Ok(found) => self.log(format!("{call} {place} -> {}", show(found))),
            Err(status) => self.log(format!("{call} {place} -> {}", short(&status.message))),
        }
        outcome.map_err(engine)
    }

    /// What the last operation of a graph gives, and what to call it.
    fn recognise(&self, last: &pb::Op, index: i64) -> (String, Solved) {
        match &last.op {
            Some(pb::op::Op::Source(source)) => self.source(source),
            Some(pb::op::Op::Exec(exec)) => match own_step(last).map(Step::of) {
                Some(Step::Fetch) => ("fetched".to_owned(), self.fetch(exec, index)),
                Some(Step::List) => ("listed".to_owned(), self.list(last, exec, index)),
                Some(Step::Apply) => ("patched".to_owned(), self.apply(last, exec, index)),
                Some(Step::Tell) => ("note".to_owned(), self.note()),
                None => {
                    let name = exec.meta.as_ref().and_then(|meta| meta.args.last());
                    let name = name.expect("the name of an input").clone();
                    let files = self.scenario.inputs.get(&name);
                    let tree = files.unwrap_or(&self.scenario.image).clone();
                    (format!("input {name}"), Solved::Tree(tree))
                }
            },
            Some(pb::op::Op::File(file)) => {
                let mut tree = Tree::default();
                for action in &file.actions {
                    let Some(pb::file_action::Action::Mkfile(made)) = &action.action else {
                        panic!("an action that no scenario knows: {action:?}")
                    };
                    tree.write(&made.path, made.data.clone());
                    self.state.borrow_mut().files.push((made.path.clone(), made.data.clone()));
                }
                ("files".to_owned(), Solved::Tree(tree))
            }
            Some(pb::op::Op::Merge(_)) => {
                let input = &last.inputs[0];
                let state = self.state.borrow();
                let name = &state.names[&(input.digest.clone(), input.index)];
                (format!("{name}, fetch remembered"), state.trees[name].clone())
            }
            Some(pb::op::Op::Diff(_)) => ("layer".to_owned(), Solved::Tree(Tree::default())),
            other => panic!("a graph that no scenario knows: {other:?}"),
        }
    }

    /// A tree that somebody else has made, by its name.
    fn process(&self, name: &str) -> Output {
        let reference = "docker.io/library/builder:1".parse().expect("a reference");
        let platform = &self.daemon.platform;
        let display = Display::default();
        let root = source::image(&reference, platform, ResolveMode::Default, &display);
        let exec = Exec {
            arguments: vec!["build".to_owned(), name.to_owned()],
            environment: Vec::new(),
            directory: "/".to_owned(),
            user: String::new(),
            root: Some(root),
            mounts: Vec::new(),
            network: Network::Sandbox,
            sandbox: Sandbox::default(),
            platform: platform.clone(),
        };
        exec.build(&display).root()
    }

    fn source(&self, source: &pb::SourceOp) -> (String, Solved) {
        let (scheme, rest) = source.identifier.split_once("://").expect("a scheme");
        match scheme {
            "local" => {
                let list = |key: &str| -> Vec<String> {
                    let list = source.attrs.get(key);
                    list.map_or_else(Vec::new, |list| serde_json::from_str(list).expect("a list"))
                };
                let follow_paths = list("local.followpaths");
                let ignored =
                    IgnoreFile::parse(list("local.excludepatterns").join("\n").as_bytes());
                let solved = match self.scenario.locals.get(rest) {
                    None => {
                        let mut words = format!("no access allowed to dir \"{rest}\"");
                        if self.scenario.locals.is_empty() {
                            "no local sources enabled".clone_into(&mut words);
                        }
                        Solved::Broken(status(UNKNOWN, &words))
                    }
                    Some(_) if ignored.refused().is_some() => {
                        Solved::Broken(status(UNKNOWN, "syntax error in pattern"))
                    }
                    Some(tree) => Solved::Tree(tree.following(&follow_paths).without(&ignored)),
                };
                let is_ignore_file = follow_paths == [".dockerignore"];
                let name =
                    if is_ignore_file { format!("ignore file of {rest}") } else { rest.to_owned() };
                (name, solved)
            }
            "docker-image" | "oci-layout" => {
                let name = rest.rsplit('/').next().unwrap_or_default();
                let name = name.split(['@', ':']).next().unwrap_or_default();
                match self.scenario.images.get(name) {
                    Some(tree) => (format!("image {name}"), Solved::Tree(tree.clone())),
                    None => ("image".to_owned(), Solved::Tree(self.scenario.image.clone())),
                }
            }
            "docker-image+blob" => {
                let digest = rest.split("@sha256:").nth(1).expect("a digest");
                let start: String = digest.chars().take(2).collect();
                let filename = source.attrs.get("http.filename").expect("a file name");
                let solved = match self.scenario.blobs.read(&format!("{start}.json")) {
                    Ok(content) => {
                        let mut tree = Tree::default();
                        tree.write(filename, content);
                        Solved::Tree(tree)
                    }
                    Err(_) => Solved::Broken(status(UNKNOWN, "blob not found")),
                };
                (format!("blob {start}"), solved)
            }
            "git" => {
                let name = rest.split(['#', '?']).next().unwrap_or_default();
                let name = name.rsplit('/').next().unwrap_or_default().trim_end_matches(".git");
                let solved = match self.scenario.repositories.get(name) {
                    Some(tree) => Solved::Tree(tree.clone()),
                    None => Solved::Broken(status(UNKNOWN, "repository does not contain ref main")),
                };
                (format!("git {name}"), solved)
            }
            "http" | "https" => {
                let filename = source.attrs.get("http.filename").expect("a file name");
                let solved = if let Ok(content) = self.scenario.web.read(rest) {
                    let mut tree = Tree::default();
                    tree.write(filename, content);
                    Solved::Tree(tree)
                } else {
                    let url = &source.identifier;
                    let words = format!("failed to load {url}: invalid response status 404");
                    Solved::Broken(status(UNKNOWN, &words))
                };
                (format!("web {rest}"), solved)
            }
            other => panic!("a source that no scenario knows: {other}"),
        }
    }

    fn fetch(&self, exec: &pb::ExecOp, index: i64) -> Solved {
        let out = exec.mounts.iter().find(|mount| mount.dest == path::OUT).expect("a mount");
        assert_eq!(out.output, index, "fetch hands out its output mount");
        if let Some(status) = self.error("fetch") {
            return Solved::Broken(status);
        }
        let earlier = self.state.borrow().trees.values().filter(|it| it.is_fetched()).count();
        let outcome = self.scenario.fetches.get(earlier).unwrap_or_else(|| {
            panic!("{}: fetch {} has no outcome in fetch.json", self.scenario.name, earlier + 1)
        });
        let json = serde_json::to_vec(outcome).expect("JSON");
        let mut tree = Tree::default();
        tree.write(path::OUTCOME_IN_OUT, json.into());
        Solved::Fetched(tree, outcome.clone())
    }

    /// The note of the step that has failed, if it left one.
    fn note(&self) -> Solved {
        let mut tree = Tree::default();
        for error in self.scenario.daemon.errors.values() {
            if let ErrorFile::Process { note: Some(note), .. } = error {
                tree.write(path::NOTE_IN_OUT, serde_json::to_vec(note).expect("JSON").into());
            }
        }
        Solved::Tree(tree)
    }

    /// What rpm lists of an image.
    fn list(&self, op: &pb::Op, exec: &pb::ExecOp, index: i64) -> Solved {
        let out = exec.mounts.iter().find(|mount| mount.dest == path::OUT).expect("a mount");
        assert_eq!(out.output, index, "the list is in its output mount");
        if let Some(status) = self.error("list") {
            return Solved::Broken(status);
        }
        let Solved::Tree(image) = self.mounted(op, exec, "/") else { panic!("an image") };
        let database = image.read(Form::of(&image).database).expect("a package database");
        let mut tree = Tree::default();
        tree.write(path::LIST_IN_OUT, rpm::list(&text(database)).into());
        Solved::Tree(tree)
    }

    /// What a step sees at a path.
    fn mounted(&self, op: &pb::Op, exec: &pb::ExecOp, destination: &str) -> Solved {
        let state = self.state.borrow();
        let mount = exec.mounts.iter().find(|mount| mount.dest == destination);
        let number = mount.expect("a mount").input;
        let input = &op.inputs[usize::try_from(number).expect("an input")];
        let name = state.names.get(&(input.digest.clone(), input.index));
        state.trees[name.unwrap_or_else(|| panic!("{destination} was never solved"))].clone()
    }

    /// The image with the versions that were fetched, and what the scenario has otherwise.
    fn apply(&self, op: &pb::Op, exec: &pb::ExecOp, index: i64) -> Solved {
        assert_eq!(index, 0, "apply hands out its root");
        if let Some(status) = self.error("apply") {
            return Solved::Broken(status);
        }
        let (Solved::Tree(mut tree), Solved::Fetched(_, outcome)) =
            (self.mounted(op, exec, "/"), self.mounted(op, exec, path::FILES))
        else {
            panic!("apply works on an image with fetched files");
        };
        let form = Form::of(&tree);
        let database = tree.read(form.database).expect("a package database");
        tree.write(form.database, form.upgraded(database, &outcome).into());
        tree.overlay(&self.scenario.patched);
        Solved::Tree(tree)
    }
}

impl Solved {
    fn is_fetched(&self) -> bool {
        matches!(self, Self::Fetched(..))
    }
}

/// How a family's database looks: paragraphs of fields.
struct Form {
    /// Where it is.
    database: &'static str,
    /// The beginnings of the lines with a package's name, architecture and version.
    fields: [&'static str; 3],
    /// More lines of a package that is installed.
    installed: &'static str,
}

static FORMS: [Form; 4] = [
    Form {
        database: "/var/lib/dpkg/status",
        fields: ["Package: ", "Architecture: ", "Version: "],
        installed: "Status: install ok installed\n",
    },
    Form { database: "/lib/apk/db/installed", fields: ["P:", "A:", "V:"], installed: "" },
    Form { database: RPM_DATABASES[0], fields: RPM_FIELDS, installed: "" },
    Form { database: RPM_DATABASES[1], fields: RPM_FIELDS, installed: "" },
];

const RPM_FIELDS: [&str; 3] = ["Name: ", "Architecture: ", "Version: "];

/// rpm's databases are texts here too; who reads one gets what rpm would have written.
const RPM_DATABASES: [&str; 2] = ["/usr/lib/sysimage/rpm/Packages.db", "/var/lib/rpm/Packages.db"];

/// The file at a path as the daemon has it.
fn content(tree: &Tree, path: &str) -> Result<Bytes, &'static str> {
    let content = tree.read(path)?;
    if !RPM_DATABASES.contains(&path) {
        return Ok(content);
    }
    Ok(rpm::database(&text(content)).into())
}

fn text(database: Bytes) -> String {
    String::from_utf8(database.into()).expect("a database in UTF-8")
}

impl Form {
    /// That of an image.
    fn of(tree: &Tree) -> &'static Self {
        let form = FORMS.iter().find(|form| tree.read(form.database).is_ok());
        form.expect("a package database")
    }

    /// The database with the new versions, new packages at its end, removed ones gone.
    fn upgraded(&self, database: Bytes, outcome: &FetchOutcome) -> String {
        let mut text = text(database);
        let [name, architecture, version] = self.fields;
        for upgrade in &outcome.upgrades {
            let fields = [
                format!("{name}{}", upgrade.name),
                format!("{architecture}{}", upgrade.architecture),
            ];
            let stanza = text
                .split("\n\n")
                .find(|stanza| fields.iter().all(|field| stanza.lines().any(|line| line == field)));
            let to = format!("{version}{}", upgrade.to);
            match stanza.map(ToOwned::to_owned) {
                Some(stanza) => {
                    let old = stanza.lines().find(|line| line.starts_with(version));
                    let mut new = stanza.replace(old.expect("a version"), &to);
                    // Its source's version follows it.
                    let source = stanza.lines().find(|line| line.starts_with("Source: "));
                    if let (Some(source), Some(version)) = (source, &upgrade.source) {
                        let name = source.rsplitn(3, '-').last().expect("a name");
                        new = new.replace(source, &format!("{name}-{version}"));
                    }
                    text = text.replace(&stanza, &new);
                }
                None => text
                    .push_str(&format!("{}\n{}{}\n{to}\n\n", fields[0], self.installed, fields[1])),
            }
        }
        for removed in &outcome.removed {
            let line = format!("{name}{}", removed.name);
            let stanza = text.split("\n\n").find(|stanza| stanza.lines().any(|it| it == line));
            let stanza = stanza.expect("a package to remove").to_owned();
            text = text.replace(&format!("{stanza}\n\n"), "");
        }
        text
    }
}

fn own_step(op: &pb::Op) -> Option<&pb::ExecOp> {
    let Some(pb::op::Op::Exec(exec)) = &op.op else { return None };
    let arguments = &exec.meta.as_ref()?.args;
    arguments.iter().any(|argument| argument.contains("suture")).then_some(exec)
}

/// What a container of ours is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Hands out files.
    Fetch,
    /// Hands out what is installed.
    List,
    /// Changes the image.
    Apply,
    /// Hands out the note of a failed step.
    Tell,
}

impl Step {
    /// Only fetch goes stale, only apply hands out nothing beside the image, and only a note needs no space to work in.
    pub(crate) fn of(exec: &pb::ExecOp) -> Self {
        let hands_out = exec.mounts.iter().any(|mount| mount.dest == path::OUT);
        let mut variables = exec.meta.iter().flat_map(|meta| &meta.env);
        let goes_stale = variables.any(|variable| variable.starts_with("SUTURE_FRESHNESS="));
        let works = exec.mounts.iter().any(|mount| mount.dest == path::WORK);
        match (hands_out, goes_stale) {
            _ if !works => Self::Tell,
            (true, true) => Self::Fetch,
            (true, false) => Self::List,
            (false, _) => Self::Apply,
        }
    }
}

fn status(code: i32, message: &str) -> EngineStatus {
    EngineStatus { code, message: message.to_owned(), details: Vec::new() }
}

fn engine(status: EngineStatus) -> GatewayError {
    GatewayError::Engine(Box::new(status))
}

/// The part of an error that a reader of the calls needs.
fn short(message: &str) -> &str {
    if message.ends_with(ABSENT) { ABSENT } else { message }
}

fn kind(stat: &FileStat) -> &'static str {
    match stat.kind {
        FileKind::Regular => "file",
        FileKind::Directory => "directory",
        FileKind::Symlink => "link",
        FileKind::Other => "other",
    }
}

impl Gateway for FakeGateway<'_> {
    fn daemon(&self) -> &Daemon {
        &self.daemon
    }

    async fn solve(&self, output: &Output) -> Result<Ref, GatewayError> {
        let definition = output.definition(&self.daemon.llb).inspect_err(|missing| {
            self.log(format!("solve -> missing {}", missing.capability));
        })?;
        let mut operations = BTreeMap::new();
        for bytes in &definition.def {
            let op = pb::Op::decode(bytes.clone()).expect("an operation");
            operations.insert(Digest::of(bytes).as_str().to_owned(), op);
        }
        let last = definition.def.last().expect("a last operation");
        let last = pb::Op::decode(last.clone()).expect("an operation");
        let [input] = last.inputs.as_slice() else { panic!("one output") };
        let key = (input.digest.clone(), input.index);
        self.state.borrow_mut().operations.extend(operations.clone());
        let known = self.state.borrow().names.get(&key).cloned();
        if let Some(name) = known {
            self.log(format!("solve {name}, as before"));
            return Ok(Ref::new(name));
        }
        let (mut name, solved) = self.recognise(&operations[&input.digest], input.index);
        while self.state.borrow().trees.contains_key(&name) {
            name.push_str(" again");
        }
        self.log(format!("solve {name}"));
        self.log_graph(&name, &llb::text::describe(&definition));
        let mut state = self.state.borrow_mut();
        state.names.insert(key, name.clone());
        state.trees.insert(name.clone(), solved);
        Ok(Ref::new(name))
    }

    async fn read_range(
        &self,
        tree: &Ref,
        path: &str,
        offset: u64,
        length: u64,
    ) -> Result<Bytes, GatewayError> {
        let range = |content: Bytes| {
            let from = usize::try_from(offset).unwrap_or(usize::MAX).min(content.len());
            let to = usize::try_from(offset + length).unwrap_or(usize::MAX).min(content.len());
            content.slice(from..to)
        };
        let call = if offset == 0 { "read".to_owned() } else { format!("read from {offset}") };
        let show = |content: &Bytes| format!("{} bytes", content.len());
        self.look(&call, tree, path, |tree| content(tree, path).map(range), show)
    }

    async fn stat(&self, tree: &Ref, path: &str) -> Result<FileStat, GatewayError> {
        let place = format!("{}:{path}", tree.as_str());
        let announced = self.scenario.daemon.sizes.get(&place);
        let look = |tree: &Tree| {
            let stat = tree.stat(path)?;
            Ok(FileStat { size: announced.copied().unwrap_or(stat.size), ..stat })
        };
        let show = |stat: &FileStat| format!("{} of {} bytes", kind(stat), stat.size);
        self.look("stat", tree, path, look, show)
    }

    async fn read_directory(&self, tree: &Ref, path: &str) -> Result<Vec<FileStat>, GatewayError> {
        let show = |entries: &Vec<FileStat>| {
            let names: Vec<String> =
                entries.iter().map(|entry| format!("{} {}", kind(entry), entry.name)).collect();
            if names.is_empty() { "nothing".to_owned() } else { names.join(", ") }
        };
        let sizes = &self.scenario.daemon.sizes;
        let look = |it: &Tree| {
            let mut entries = it.list(path)?;
            for entry in &mut entries {
                let place = format!("{}:{path}/{}", tree.as_str(), entry.name);
                entry.size = sizes.get(&place).copied().unwrap_or(entry.size);
            }
            Ok(entries)
        };
        self.look("list", tree, path, look, show)
    }

    async fn resolve_image(
        &self,
        source: &ImageSource,
        platform: &Platform,
    ) -> Result<ResolvedImage, GatewayError> {
        let what = match source {
            ImageSource::Registry { reference, mode: ResolveMode::Default } => {
                reference.canonical()
            }
            ImageSource::Registry { reference, mode } => {
                format!("{} ({} first)", reference.canonical(), mode.as_str())
            }
            ImageSource::OciLayout(layout) => {
                format!("{}@{} of client's store {}", layout.name, layout.digest, layout.store)
            }
        };
        if let Some(status) = self.error("resolve") {
            self.log(format!("resolve {what} for {platform} -> {}", status.message));
            return Err(engine(status));
        }
        let digest = format!("sha256:{}", "1d".repeat(32));
        let digest = self.scenario.daemon.tells_digests.then(|| digest.parse().expect("a digest"));
        let shown = digest.as_ref().map_or("no digest", Digest::as_str);
        self.log(format!("resolve {what} for {platform} -> {shown}"));
        Ok(ResolvedImage { digest, config: self.scenario.config_of(platform) })
    }

    async fn made_at(&self, context: &Context) -> Result<Option<i64>, GatewayError> {
        self.log(format!("made at {context:?}"));
        Ok(self.scenario.daemon.made_at)
    }

    async fn build(&self, nested: &NestedBuild) -> Result<Built, GatewayError> {
        self.log(format!("build with {}", nested.frontend));
        for (key, value) in &nested.options {
            self.log(format!("    {key} = {value}"));
        }
        if let Some(status) = self.error("build") {
            return Err(engine(status));
        }
        let file = &self.scenario.daemon.built;
        let single = [String::new()];
        let ids = if file.platforms.is_empty() { &single[..] } else { &file.platforms };
        let mut built = Built::default();
        let mut trees = BTreeMap::new();
        let mut platforms = Vec::new();
        for id in ids {
            let platform: Platform =
                if id.is_empty() { self.daemon.platform.clone() } else { id.parse().expect("one") };
            let suffix = if id.is_empty() { String::new() } else { format!("/{id}") };
            let config = self.scenario.config_of(&platform);
            built.metadata.insert(format!("containerimage.config{suffix}"), config);
            platforms.push(serde_json::json!({ "ID": platform.to_string(), "Platform": platform }));
            let tree = if file.empty {
                None
            } else {
                let output = self.process(&format!("Dockerfile{suffix}"));
                Some(SolvedTree { reading: self.solve(&output).await?, output })
            };
            trees.insert(id.clone(), tree);
        }
        built.trees = match trees.remove("") {
            Some(single) => Trees::Single(single),
            None => Trees::Index(trees),
        };
        let platforms = serde_json::json!({ "Platforms": platforms }).to_string();
        built.metadata.insert("refs.platforms".to_owned(), platforms.into());
        for (key, value) in &file.metadata {
            built.metadata.insert(key.clone(), value.clone().into());
        }
        Ok(built)
    }

    async fn inputs(&self) -> Result<BTreeMap<String, Option<Output>>, GatewayError> {
        let names = &self.scenario.daemon.inputs;
        self.log(format!("inputs -> {}", names.join(", ")));
        if let Some(status) = self.error("inputs") {
            return Err(engine(status));
        }
        Ok(names.iter().map(|name| (name.clone(), Some(self.process(name)))).collect())
    }

    async fn warn(&self, warning: &Warning) -> Result<(), GatewayError> {
        self.log(format!("warn {}", warning.short));
        self.state.borrow_mut().warnings.push(warning.clone());
        Ok(())
    }
}
