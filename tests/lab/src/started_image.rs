//! An image as somebody sees it who starts it.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Stdio;

use anyhow::{Context, Result, bail, ensure};

use crate::engine::Engine;
use crate::family::{FAMILIES, Family};

/// The label of every container that the lab starts, by which others know it is not theirs.
pub const CONTAINER_LABEL: &str = "suture.lab.container";

/// Writes the content of every file, one fact a line behind its kind.
const CONTENT: &str = r#"
tab="$(printf '\t')"
find / -xdev -type f ! -path /etc/hosts ! -path /etc/hostname ! -path /etc/resolv.conf \
    ! -path /.dockerenv -print0 | xargs -0 sha256sum | sed "s/^/content\t/; s/  \//\t/"
"#;

/// Everything inside a started container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct System {
    /// What it is.
    pub family: &'static Family,
    /// Every path but those that the engine makes, relative.
    pub paths: BTreeMap<String, Path>,
    /// The installed packages with their versions.
    pub packages: BTreeMap<String, String>,
    /// The paths that belong to each package, relative.
    pub lists: BTreeMap<String, BTreeSet<String>>,
    /// The packages that were installed for the sake of others.
    pub automatic: BTreeSet<String>,
    /// The packages on hold.
    pub held: BTreeSet<String>,
    /// What the package manager complains about.
    pub audit: Vec<String>,
    /// The system's version.
    pub release: String,
    /// The architecture as the system calls it.
    pub architecture: String,
}

/// What can be said of a path.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Path {
    /// Type, mode, owner and link target.
    pub attributes: String,
    /// The digest of a file's content.
    pub content: Option<String>,
}

impl System {
    /// Starts an image and looks around.
    pub fn look(engine: &Engine, image: &str) -> Result<Self> {
        let said = run(engine, &["--user=0", "--entrypoint=sh", image, "-c", &script()])?;
        let mut lines = said.output.lines();
        let family =
            lines.next().and_then(|name| FAMILIES.into_iter().find(|row| row.name == name));
        let family = family.with_context(|| format!("of no family: {image}: {}", said.errors))?;
        let mut system = Self::empty(family);
        for line in lines {
            system.note(line).with_context(|| format!("cannot understand: {line}"))?;
        }
        ensure!(!system.packages.is_empty(), "cannot look into {image}: {}", said.errors);
        Ok(system)
    }

    /// A system of which nothing is known.
    fn empty(family: &'static Family) -> Self {
        Self {
            family,
            paths: BTreeMap::new(),
            packages: BTreeMap::new(),
            lists: BTreeMap::new(),
            automatic: BTreeSet::new(),
            held: BTreeSet::new(),
            audit: Vec::new(),
            release: String::new(),
            architecture: String::new(),
        }
    }

    /// Takes in one fact.
    fn note(&mut self, line: &str) -> Result<()> {
        let facts: Vec<&str> = line.split('\t').collect();
        match facts.as_slice() {
            ["path", path, attributes @ ..] => {
                self.paths.entry((*path).to_owned()).or_default().attributes = attributes.join(" ");
            }
            ["content", digest, path] => {
                self.paths.entry((*path).to_owned()).or_default().content =
                    Some((*digest).to_owned());
            }
            ["package", name, version, "ii " | "hi "] => {
                self.packages.insert((*name).to_owned(), (*version).to_owned());
            }
            ["package", ..] => {}
            ["list", package, path] => {
                let path = path.trim_start_matches('/');
                self.lists.entry((*package).to_owned()).or_default().insert(path.to_owned());
            }
            ["audit", words] => self.audit.push((*words).to_owned()),
            ["automatic", package] => {
                self.automatic.insert((*package).to_owned());
            }
            ["held", package] => {
                self.held.insert((*package).to_owned());
            }
            ["release", version] => (*version).clone_into(&mut self.release),
            ["architecture", name] => (*name).clone_into(&mut self.architecture),
            _ => bail!("unknown fact"),
        }
        Ok(())
    }

    /// Whether a path of a package's list is there; the list may name it by a folder that is a link
    /// to one below `usr`.
    pub fn exists(&self, path: &str) -> bool {
        self.paths.contains_key(path) || self.paths.contains_key(&self.merged(path))
    }

    /// A path of a package's list as it is where folders of the root are links to those below `usr`.
    pub fn merged(&self, path: &str) -> String {
        let first = path.split('/').next().unwrap_or_default();
        if self.family.merged.contains(&first) { format!("usr/{path}") } else { path.to_owned() }
    }

    /// The version of a package whose architecture does not matter.
    pub fn version(&self, package: &str) -> Option<&str> {
        let with_architecture = format!("{package}:");
        let mut packages = self.packages.iter();
        let found =
            packages.find(|(name, _)| *name == package || name.starts_with(&with_architecture));
        found.map(|(_, version)| version.as_str())
    }

    /// The packages that have another version here than in an original, or are new.
    pub fn changed_since<'a>(&'a self, original: &Self) -> BTreeMap<&'a str, &'a str> {
        self.packages
            .iter()
            .filter(|(name, version)| original.packages.get(*name) != Some(version))
            .map(|(name, version)| (name.as_str(), version.as_str()))
            .collect()
    }
}

/// Writes all that [`System`] knows, the family's name first.
fn script() -> String {
    let rows = FAMILIES.map(|Family { name, database, look, .. }| {
        format!("if [ -e {database} ]; then echo {name}\n{CONTENT}{look}exit\nfi\n")
    });
    rows.concat()
}

/// What a container said before it ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Said {
    /// How it ended.
    pub code: Option<i32>,
    /// What it wrote.
    pub output: String,
    /// What it wrote to its standard error.
    pub errors: String,
}

/// Runs a container without a network; `arguments` are options, the image, and a command if any.
pub fn run(engine: &Engine, arguments: &[&str]) -> Result<Said> {
    let finished = engine
        .docker()?
        .args(["run", "--rm", "--network=none", "--hostname=lab", "--label", CONTAINER_LABEL])
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .context("cannot start: docker run")?;
    Ok(Said {
        code: finished.status.code(),
        output: String::from_utf8_lossy(&finished.stdout).into_owned(),
        errors: String::from_utf8_lossy(&finished.stderr).into_owned(),
    })
}
