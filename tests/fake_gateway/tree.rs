//! A root filesystem in memory, made of folders laid over each other.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use bytes::Bytes;
use suture::gateway::{FileKind, FileStat};
use suture::glob;
use suture::ignore::IgnoreFile;

/// Files by path; paths have no slash in front, the root is the empty path.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tree {
    nodes: BTreeMap<String, Node>,
}

#[derive(Clone, Debug)]
enum Node {
    Directory,
    File(Bytes),
    Symlink(String),
}

/// How a look at a path ends badly, in the operating system's words.
pub(crate) const ABSENT: &str = "no such file or directory";
const NO_DIRECTORY: &str = "not a directory";
const NO_REGULAR_FILE: &str = "not a regular file";
const LOOP: &str = "too many levels of symbolic links";

/// Links followed on the way to one file; the kernel's own limit.
const LINK_LIMIT: usize = 40;

impl Tree {
    /// Lays a folder over the tree; a folder that does not exist changes nothing.
    pub(crate) fn add_folder(&mut self, folder: &Path) {
        self.add(folder, "");
    }

    fn add(&mut self, folder: &Path, prefix: &str) {
        let Ok(entries) = fs::read_dir(folder) else { return };
        for entry in entries {
            let entry = entry.expect("an entry of a scenario's folder");
            let name = entry.file_name().into_string().expect("a name in UTF-8");
            let path = join(prefix, &name);
            let kind = entry.file_type().expect("the kind of an entry");
            let node = if kind.is_symlink() {
                let target = fs::read_link(entry.path()).expect("a link");
                Node::Symlink(target.to_str().expect("a link in UTF-8").to_owned())
            } else if kind.is_dir() {
                Node::Directory
            } else {
                Node::File(fs::read(entry.path()).expect("a file of a scenario").into())
            };
            if !matches!((&node, self.nodes.get(&path)), (Node::Directory, Some(Node::Directory))) {
                self.remove(&path);
            }
            self.nodes.insert(path.clone(), node);
            self.add(&entry.path(), &path);
        }
    }

    /// Takes away a file or a directory with all it holds; whether there was one.
    pub(crate) fn remove(&mut self, path: &str) -> bool {
        let below = format!("{path}/");
        let before = self.nodes.len();
        self.nodes.retain(|known, _| known != path && !known.starts_with(&below));
        self.nodes.len() < before
    }

    /// Writes a file, its directories included.
    pub(crate) fn write(&mut self, path: &str, content: Bytes) {
        let path = path.trim_start_matches('/');
        for (slash, _) in path.match_indices('/') {
            self.nodes.entry(path[..slash].to_owned()).or_insert(Node::Directory);
        }
        self.nodes.insert(path.to_owned(), Node::File(content));
    }

    /// Lays another tree over this one.
    pub(crate) fn overlay(&mut self, upper: &Self) {
        self.nodes.extend(upper.nodes.clone());
    }

    /// Whether nothing is in it.
    pub(crate) fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// The file at a path, links followed.
    pub(crate) fn read(&self, path: &str) -> Result<Bytes, &'static str> {
        match self.find(path)? {
            (_, Some(Node::File(content))) => Ok(content.clone()),
            _ => Err(NO_REGULAR_FILE),
        }
    }

    /// What is at a path, links followed.
    pub(crate) fn stat(&self, path: &str) -> Result<FileStat, &'static str> {
        let (real, node) = self.find(path)?;
        let name = real.rsplit('/').next().unwrap_or_default().to_owned();
        Ok(stat(name, node.unwrap_or(&Node::Directory)))
    }

    /// The entries of a directory, its own links followed but not theirs.
    pub(crate) fn list(&self, path: &str) -> Result<Vec<FileStat>, &'static str> {
        let (real, node) = self.find(path)?;
        if !matches!(node, None | Some(Node::Directory)) {
            return Err(NO_DIRECTORY);
        }
        let entries = self.nodes.iter().filter_map(|(path, node)| {
            let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
            (folder == real).then(|| stat(name.to_owned(), node))
        });
        Ok(entries.collect())
    }

    /// The real path and what is there; nothing is the root, which is a directory.
    fn find(&self, path: &str) -> Result<(String, Option<&Node>), &'static str> {
        let mut parts: Vec<String> = path.rsplit('/').map(ToOwned::to_owned).collect();
        let mut real = String::new();
        let mut links = 0;
        while let Some(part) = parts.pop() {
            match part.as_str() {
                "" | "." => continue,
                ".." => {
                    real.truncate(real.rfind('/').unwrap_or(0));
                    continue;
                }
                _ => {}
            }
            if !real.is_empty() && !matches!(self.nodes.get(&real), Some(Node::Directory)) {
                return Err(NO_DIRECTORY);
            }
            let next = join(&real, &part);
            match self.nodes.get(&next) {
                None => return Err(ABSENT),
                Some(Node::Symlink(target)) => {
                    links += 1;
                    if links > LINK_LIMIT {
                        return Err(LOOP);
                    }
                    if target.starts_with('/') {
                        real.clear();
                    }
                    parts.extend(target.rsplit('/').map(ToOwned::to_owned));
                }
                Some(Node::Directory | Node::File(_)) => real = next,
            }
        }
        let node = self.nodes.get(&real);
        Ok((real, node))
    }

    /// What a client sends when only these paths are asked for: they, what is below them, the
    /// directories above them, and what they link to (`local.followpaths`). Links below them are
    /// sent as they are, and may then lead nowhere. Without patterns everything is sent.
    pub(crate) fn following(&self, patterns: &[String]) -> Self {
        if patterns.is_empty() {
            return self.clone();
        }
        let mut wanted: Vec<String> = patterns.to_vec();
        let mut sent = BTreeMap::new();
        let mut followed = BTreeSet::new();
        while let Some(pattern) = wanted.pop() {
            for (path, node) in &self.nodes {
                let is_file = matches!(node, Node::File(_));
                if !is_on_the_way(&pattern, path, is_file) {
                    continue;
                }
                sent.insert(path.clone(), node.clone());
                if let Node::Symlink(target) = node
                    && path.split('/').count() <= parts(&pattern).len()
                    && followed.insert(path.clone())
                {
                    let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
                    wanted.push(join(if target.starts_with('/') { "" } else { folder }, target));
                }
            }
        }
        Self { nodes: sent }
    }

    /// Without what fits patterns (`local.excludepatterns`).
    pub(crate) fn without(mut self, ignored: &IgnoreFile) -> Self {
        self.nodes.retain(|path, _| ignored.hides(path).is_none());
        self
    }
}

/// Whether a path matches the pattern, is below a match, or, as a directory, above one.
fn is_on_the_way(pattern: &str, path: &str, is_file: bool) -> bool {
    let pattern = parts(pattern);
    let path: Vec<&str> = path.split('/').collect();
    let fits = pattern.iter().zip(&path).all(|(pattern, part)| glob::matches(pattern, part));
    fits && !(is_file && path.len() < pattern.len())
}

/// The parts of a pattern or a link's target, `..` taken back.
fn parts(pattern: &str) -> Vec<&str> {
    let mut parts = Vec::new();
    for part in pattern.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            _ => parts.push(part),
        }
    }
    parts
}

fn stat(name: String, node: &Node) -> FileStat {
    let (kind, size) = match node {
        Node::Directory => (FileKind::Directory, 0),
        Node::File(content) => (FileKind::Regular, content.len() as u64),
        Node::Symlink(target) => (FileKind::Symlink, target.len() as u64),
    };
    FileStat { name, kind, size }
}

fn join(folder: &str, name: &str) -> String {
    if folder.is_empty() { name.to_owned() } else { format!("{folder}/{name}") }
}
