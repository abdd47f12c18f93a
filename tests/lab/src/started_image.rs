//! An image as somebody sees it who starts it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{Read, Write};
use std::process::{self, Stdio};
use std::sync::LazyLock;
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result, bail, ensure};
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;

use crate::digest;
use crate::engine::Engine;
use crate::family::{FAMILIES, Family};
use crate::folder::LabFolder;
use crate::stored_image::Layer;

/// The label of every container that the lab starts, by which others know it is not theirs.
pub const CONTAINER_LABEL: &str = "suture.lab.container";

/// Where the lab keeps what it has seen inside of images.
const SEEN: &str = "seen";

/// How long a look that nobody wants is kept.
const OF_NO_USE: Duration = Duration::from_hours(24);

/// Writes the checksum and size of every file, one fact a line behind its kind.
const CONTENT: &str = r#"
tab="$(printf '\t')"
find / -xdev -type f ! -path /etc/hosts ! -path /etc/hostname ! -path /etc/resolv.conf \
    ! -path /.dockerenv -print0 | xargs -0 cksum | sed "s/^/content\t/; s/ \//\t/"
"#;

/// Everything inside a started container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct System {
    /// What it is.
    pub family: &'static Family,
    /// Every path but those that the engine makes, relative.
    pub paths: BTreeMap<String, Path>,
    /// What scanners call the distribution.
    pub distribution: String,
    /// The installed packages with their versions: several of those that are installed side by side.
    pub packages: BTreeMap<String, BTreeSet<String>>,
    /// The paths that belong to each package, relative.
    pub lists: BTreeMap<String, BTreeSet<String>>,
    /// Whether packages that come with others are marked so.
    pub marks_new_packages: bool,
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
    /// The checksum and the size of a file's content.
    pub content: Option<String>,
}

impl System {
    /// Starts an image and looks around.
    pub fn look(engine: &Engine, image: &str) -> Result<Self> {
        let system = Self::parse(&facts(engine, image)?);
        system.with_context(|| format!("cannot look into {image}"))
    }

    /// The same, unless somebody has looked at the very same layers with the same eyes before: what that
    /// wrote is kept in the lab's folder.
    pub fn look_once(engine: &Engine, image: &str, layers: &[Layer]) -> Result<Self> {
        let digests = layers.iter().map(|layer| layer.digest.as_str());
        let key: Vec<&str> = [SCRIPT.as_str()].into_iter().chain(digests).collect();
        let name = format!("{}.gz", digest::of_bytes(key.join("\n").as_bytes()));
        let path = engine.folder().folder(SEEN)?.join(name);
        if let Ok(mut file) = File::options().read(true).write(true).open(&path) {
            let mut facts = String::new();
            GzDecoder::new(&mut file).read_to_string(&mut facts).context("a look is spoilt")?;
            file.set_modified(SystemTime::now()).context("cannot note a look's use")?;
            return Self::parse(&facts);
        }
        let facts = facts(engine, image)?;
        let system = Self::parse(&facts).with_context(|| format!("cannot look into {image}"))?;
        let unfinished = path.with_extension(process::id().to_string());
        let mut encoder = GzEncoder::new(File::create(&unfinished)?, Compression::fast());
        encoder.write_all(facts.as_bytes())?;
        encoder.finish()?;
        fs::rename(&unfinished, &path).context("cannot keep a look")?;
        Ok(system)
    }

    /// Forgets the looks at layers that have not been of use for a day.
    pub fn forget_old_looks(folder: &LabFolder) -> Result<()> {
        for entry in fs::read_dir(folder.folder(SEEN)?)? {
            let entry = entry?;
            let used = entry.metadata()?.modified()?;
            if used.elapsed().is_ok_and(|unused| unused > OF_NO_USE) {
                fs::remove_file(entry.path()).context("cannot remove a look")?;
            }
        }
        Ok(())
    }

    /// Takes in all that [`SCRIPT`] writes.
    fn parse(facts: &str) -> Result<Self> {
        let mut lines = facts.lines();
        let family =
            lines.next().and_then(|name| FAMILIES.into_iter().find(|row| row.name == name));
        let mut system = Self::empty(family.context("a system of no family")?);
        for line in lines {
            system.note(line).with_context(|| format!("cannot understand: {line}"))?;
        }
        ensure!(!system.packages.is_empty(), "a system without packages");
        Ok(system)
    }

    /// A system of which nothing is known.
    fn empty(family: &'static Family) -> Self {
        Self {
            family,
            distribution: family.name.to_owned(),
            paths: BTreeMap::new(),
            packages: BTreeMap::new(),
            lists: BTreeMap::new(),
            marks_new_packages: false,
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
                self.packages.entry((*name).to_owned()).or_default().insert((*version).to_owned());
            }
            ["package", ..] => {}
            ["list", package, path] => {
                let path = path.trim_start_matches('/');
                self.lists.entry((*package).to_owned()).or_default().insert(path.to_owned());
            }
            ["audit", words] => self.audit.push((*words).to_owned()),
            ["marks"] => self.marks_new_packages = true,
            ["automatic", package] => {
                self.automatic.insert((*package).to_owned());
            }
            ["held", package] => {
                self.held.insert((*package).to_owned());
            }
            ["distribution", name] => (*name).clone_into(&mut self.distribution),
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

    /// The version of a package whose architecture does not matter, or one of its versions.
    pub fn version(&self, package: &str) -> Option<&str> {
        self.versions(package).next_back()?.last().map(String::as_str)
    }

    /// The versions of a package, once for each architecture that it is installed for.
    pub fn versions(&self, package: &str) -> impl DoubleEndedIterator<Item = &BTreeSet<String>> {
        let is_it = move |name: &str| name_of(name) == package;
        self.packages.iter().filter(move |(name, _)| is_it(name)).map(|(_, versions)| versions)
    }

    /// The packages that have another version here than in an original, or are new.
    pub fn changed_since<'a>(&'a self, original: &Self) -> BTreeMap<&'a str, &'a str> {
        let new = |(name, versions): (&'a String, &'a BTreeSet<String>)| {
            let known = original.packages.get(name);
            let is_new = |version: &&String| known.is_none_or(|known| !known.contains(*version));
            Some((name.as_str(), versions.iter().rfind(is_new)?.as_str()))
        };
        self.packages.iter().filter_map(new).collect()
    }

    /// The packages that are not there any more.
    pub fn gone_since<'a>(&self, original: &'a Self) -> BTreeSet<&'a str> {
        let names = original.packages.keys().filter(|name| !self.packages.contains_key(*name));
        names.map(String::as_str).collect()
    }
}

/// A package's name without its architecture.
pub fn name_of(package: &str) -> &str {
    package.split(':').next().unwrap_or(package)
}

/// Writes all that [`System`] knows, the family's name first.
static SCRIPT: LazyLock<String> = LazyLock::new(|| {
    let rows = FAMILIES.map(|Family { name, database, look, .. }| {
        format!("if [ -e {database} ]; then echo {name}\n{CONTENT}{look}exit\nfi\n")
    });
    rows.concat()
});

/// What [`SCRIPT`] writes in an image.
fn facts(engine: &Engine, image: &str) -> Result<String> {
    let said = run(engine, &["--user=0", "--entrypoint=sh", image, "-c", &SCRIPT])?;
    ensure!(!said.output.is_empty(), "cannot look into {image}: {}", said.errors);
    Ok(said.output)
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

#[cfg(test)]
mod tests {
    use super::System;
    use crate::family::RPM;

    fn with(facts: &[&str]) -> System {
        let mut system = System::empty(&RPM);
        for fact in facts {
            system.note(fact).unwrap();
        }
        system
    }

    #[test]
    fn a_package_may_be_there_several_times() {
        let before = with(&[
            "package\tkernel:x86_64\t1-1\tii ",
            "package\tkernel:x86_64\t1-2\tii ",
            "package\told:noarch\t1-1\tii ",
        ]);
        let after = with(&[
            "package\tkernel:x86_64\t1-1\tii ",
            "package\tkernel:x86_64\t1-2\tii ",
            "package\tkernel:x86_64\t1-3\tii ",
            "package\tnew:noarch\t1-1\tii ",
        ]);
        assert_eq!(before.version("kernel"), Some("1-2"));
        assert_eq!(before.versions("kern").count(), 0);
        let changed: Vec<_> = after.changed_since(&before).into_iter().collect();
        assert_eq!(changed, [("kernel:x86_64", "1-3"), ("new:noarch", "1-1")]);
        assert_eq!(after.gone_since(&before).into_iter().collect::<Vec<_>>(), ["old:noarch"]);
        assert!(after.changed_since(&after).is_empty());
    }
}
