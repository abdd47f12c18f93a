//! apk's database: `installed` in `/lib/apk/db`, and the files `world` and `arch` in `/etc/apk`.
//!
//! The fields are those of apk-package(5), one letter each; the file `world` is described in apk-world(5).
//! What is not obvious, and was observed with apk 2.14:
//!
//! * `apk add --virtual NAME` makes a package of that name without files, whose dependencies are what the
//!   user asked for. It cannot be upgraded. Its name begins with a dot by convention, not by rule; its
//!   description identifies it.
//! * The field `f` names what went wrong when the package was installed (`f`iles, a `s`cript, `x`attrs).
//!   `apk upgrade` ends with an error as long as it is there.
//! * In `world`, words are separated by spaces and line ends, nothing else. There are no comments.
//! * `name><Q1…` stands for the one file that was installed with `apk add FILE`.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str;

use super::{Attributes, Database, InstalledPackage, SourcePackage, State};
use crate::package::{Architecture, Excerpt, PackageError, PackageName};
use crate::version::apk::ApkVersion;
use crate::version::{Version, VersionError};

/// The description that apk gives the packages it makes itself.
const VIRTUAL: &[u8] = b"virtual meta package";

/// Why apk's database cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ApkError {
    /// A line is not a field.
    #[error("apk database: line {line} is not a field: {text}")]
    Syntax {
        /// The line.
        line: usize,
        /// Its text.
        text: Excerpt,
    },
    /// An installed package lacks a field.
    #[error("apk database: the package at line {line} has no field `{field}`")]
    MissingField {
        /// The field.
        field: char,
        /// The package's first line.
        line: usize,
    },
    /// A package has no valid name.
    #[error("apk database: line {line}: {source}")]
    Name {
        /// The line of the field.
        line: usize,
        /// What is wrong.
        source: PackageError,
    },
    /// A package has no valid version.
    #[error("apk database: package `{package}` at line {line}: {source}")]
    Version {
        /// The package.
        package: PackageName,
        /// The line of the field.
        line: usize,
        /// What is wrong.
        source: VersionError,
    },
    /// A package has no valid architecture.
    #[error("apk database: package `{package}` at line {line}: {source}")]
    Architecture {
        /// The package.
        package: PackageName,
        /// The line of the field.
        line: usize,
        /// What is wrong.
        source: PackageError,
    },
    /// A field that must be ASCII is not even UTF-8.
    #[error("apk database: line {line} is not text: {text}")]
    NotText {
        /// The line.
        line: usize,
        /// Its text.
        text: Excerpt,
    },
    /// A word of the file `world`, or of what a virtual package needs, is not a dependency.
    #[error("apk dependency {text} cannot be read: {problem}")]
    Dependency {
        /// The word.
        text: Excerpt,
        /// What is wrong.
        problem: DependencyProblem,
    },
}

/// Why a word is not a dependency.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DependencyProblem {
    /// It is not UTF-8.
    #[error("it is not text")]
    NotText,
    /// Nothing comes before the operator or tag.
    #[error("it has no name")]
    NoName,
    /// An operator that apk does not know.
    #[error("it has an unknown operator")]
    Operator,
    /// What follows the operator is not a version.
    #[error("{0}")]
    Version(#[from] VersionError),
}

/// How a package's version must compare to the one a dependency names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Operator {
    /// `<`
    Less,
    /// `<=`
    LessOrEqual,
    /// `<~`
    LessOrWithin,
    /// `=`
    Equal,
    /// `~`: equal as far as the named version goes.
    Within,
    /// `>~`
    GreaterOrWithin,
    /// `>=`
    GreaterOrEqual,
    /// `>`
    Greater,
}

impl Operator {
    /// The operators and how they are written; `=~` and `~=` mean `~`.
    fn parse(text: &str) -> Option<Self> {
        Some(match text {
            "<" => Self::Less,
            "<=" => Self::LessOrEqual,
            "<~" => Self::LessOrWithin,
            "=" => Self::Equal,
            "~" | "=~" | "~=" => Self::Within,
            ">~" => Self::GreaterOrWithin,
            ">=" => Self::GreaterOrEqual,
            ">" => Self::Greater,
            _ => return None,
        })
    }
}

/// Which packages of a name satisfy a dependency.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Constraint {
    /// Any.
    None,
    /// Those whose version compares like this to this one.
    Version(Operator, ApkVersion),
    /// The one with this checksum.
    Checksum(String),
}

/// A word of `world` or of a package's dependencies: `[!]name[@tag][operator version]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dependency {
    text: String,
    /// The name of a package, or of something that packages provide, such as `so:libc.so` or `/bin/sh`.
    pub name: String,
    /// Whether such a package must not be there.
    pub is_conflict: bool,
    /// The repositories that the package must come from, besides the untagged ones.
    pub tag: Option<String>,
    /// Which versions are meant.
    pub constraint: Constraint,
}

impl Dependency {
    /// Reads one word.
    pub fn parse(text: &str) -> Result<Self, ApkError> {
        let error = |problem| ApkError::Dependency { text: Excerpt::of(text), problem };
        let (is_conflict, rest) = match text.strip_prefix('!') {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let is_operator = |character: char| matches!(character, '<' | '=' | '>' | '~');
        let (name, rest) = rest.split_at(rest.find(is_operator).unwrap_or(rest.len()));
        let version = rest.trim_start_matches(is_operator);
        let operator = rest.strip_suffix(version).unwrap_or_default();
        let constraint = match operator {
            "" => Constraint::None,
            "><" => Constraint::Checksum(version.to_owned()),
            _ => {
                let operator =
                    Operator::parse(operator).ok_or_else(|| error(DependencyProblem::Operator))?;
                let version = ApkVersion::parse_recorded(version)
                    .map_err(|problem| error(DependencyProblem::Version(problem)))?;
                Constraint::Version(operator, version)
            }
        };
        let (name, tag) = match name.split_once('@') {
            Some((name, tag)) => (name, Some(tag.to_owned())),
            None => (name, None),
        };
        if name.is_empty() {
            return Err(error(DependencyProblem::NoName));
        }
        Ok(Self { text: text.to_owned(), name: name.to_owned(), is_conflict, tag, constraint })
    }

    /// Reads words separated by spaces and line ends.
    fn parse_all(bytes: &[u8]) -> Result<Vec<Self>, ApkError> {
        bytes
            .split(|byte| matches!(byte, b' ' | b'\n'))
            .filter(|word| !word.is_empty())
            .map(|word| {
                let text = str::from_utf8(word).map_err(|_| ApkError::Dependency {
                    text: Excerpt::of_bytes(word),
                    problem: DependencyProblem::NotText,
                })?;
                Self::parse(text)
            })
            .collect()
    }

    /// The dependency as it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether it says more than that the package is wanted.
    fn is_pin(&self) -> bool {
        self.tag.is_some() || self.constraint != Constraint::None
    }

    /// Whether it allows a single version.
    fn is_hold(&self) -> bool {
        let is_single = matches!(
            self.constraint,
            Constraint::Version(Operator::Equal, _) | Constraint::Checksum(_)
        );
        is_single && !self.is_conflict
    }
}

impl fmt::Display for Dependency {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(&self.text)
    }
}

/// What the user has asked apk for: the file `world`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct World {
    dependencies: Vec<Dependency>,
}

impl World {
    /// Reads `/etc/apk/world`.
    pub fn parse(bytes: &[u8]) -> Result<Self, ApkError> {
        Ok(Self { dependencies: Dependency::parse_all(bytes)? })
    }

    /// What is wanted and what must not be there, in the order of the file.
    pub fn dependencies(&self) -> &[Dependency] {
        &self.dependencies
    }
}

/// Where apk keeps what is installed: its own path, then what a link for `/lib` leads to.
pub const DATABASES: [&str; 2] = ["/lib/apk/db/installed", "/usr/lib/apk/db/installed"];

/// What apk's database and `world` say.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Installed {
    /// The packages. Those that the user wants in one version only are held.
    pub database: Database,
    /// Those that the user wants with a condition on their version or repository, held or not.
    pub pinned: BTreeSet<PackageName>,
}

impl Installed {
    /// Reads `/lib/apk/db/installed`. Virtual packages are left out; what they need counts as if it was
    /// in `world`.
    pub fn parse(bytes: &[u8], world: &World) -> Result<Self, ApkError> {
        let mut wanted = world.dependencies().to_vec();
        let mut packages = BTreeMap::new();
        for record in records(bytes) {
            let record = record?;
            let name = record.required('P')?;
            let is_virtual = record.field('T').is_some_and(|field| field.value == VIRTUAL);
            if is_virtual || name.value.starts_with(b".") {
                let needed = record.field('D').map(|needed| Dependency::parse_all(needed.value));
                wanted.extend(needed.transpose()?.into_iter().flatten());
                continue;
            }
            let package = parse_package(&record, name)?;
            packages.insert(package.name.clone(), package);
        }
        let mut pinned = BTreeSet::new();
        for dependency in wanted.iter().filter(|dependency| dependency.is_pin()) {
            // A name that is not a package's is that of something provided.
            let Ok(name) = dependency.name.parse::<PackageName>() else { continue };
            let Some(package) = packages.get_mut(&name) else { continue };
            package.held |= dependency.is_hold();
            pinned.insert(name);
        }
        Ok(Self { database: Database::new(packages.into_values()), pinned })
    }

    /// The architecture of the packages that have one.
    pub fn architecture(&self) -> Option<&Architecture> {
        let mut architectures = self.database.packages().iter().map(|found| &found.architecture);
        architectures.find(|architecture| !architecture.is_any())
    }
}

/// A line of the database: a letter, a colon, and a value.
struct Field<'a> {
    letter: u8,
    value: &'a [u8],
    line: usize,
}

/// The lines about one package.
struct Record<'a> {
    fields: Vec<Field<'a>>,
    line: usize,
}

impl<'a> Record<'a> {
    fn field(&self, letter: char) -> Option<&Field<'a>> {
        self.fields.iter().find(|field| char::from(field.letter) == letter)
    }

    fn required(&self, letter: char) -> Result<&Field<'a>, ApkError> {
        self.field(letter).ok_or(ApkError::MissingField { field: letter, line: self.line })
    }
}

/// The packages of a database, one after the other. Empty lines separate them.
fn records(bytes: &[u8]) -> impl Iterator<Item = Result<Record<'_>, ApkError>> {
    let mut lines = bytes.split(|byte| *byte == b'\n').zip(1_usize..);
    std::iter::from_fn(move || {
        let mut record: Option<Record<'_>> = None;
        for (bytes, line) in lines.by_ref() {
            match bytes {
                [] if record.is_some() => return record.map(Ok),
                [] => {}
                [letter, b':', value @ ..] => {
                    let record = record.get_or_insert(Record { fields: Vec::new(), line });
                    // Nothing is needed here of a package's files, which are most of the lines.
                    if !matches!(letter, b'F' | b'M' | b'R' | b'a' | b'Z') {
                        record.fields.push(Field { letter: *letter, value, line });
                    }
                }
                _ => return Some(Err(ApkError::Syntax { line, text: Excerpt::of_bytes(bytes) })),
            }
        }
        record.map(Ok)
    })
}

fn text<'a>(field: &Field<'a>) -> Result<&'a str, ApkError> {
    str::from_utf8(field.value)
        .map_err(|_| ApkError::NotText { line: field.line, text: Excerpt::of_bytes(field.value) })
}

fn parse_package(record: &Record<'_>, name: &Field<'_>) -> Result<InstalledPackage, ApkError> {
    let (line, name) = (name.line, text(name)?);
    let name: PackageName = name.parse().map_err(|source| ApkError::Name { line, source })?;

    let field = record.required('V')?;
    let version = ApkVersion::parse_recorded(text(field)?).map_err(|source| ApkError::Version {
        package: name.clone(),
        line: field.line,
        source,
    })?;
    let version = Version::Apk(version);

    let field = record.required('A')?;
    let architecture = text(field)?.parse().map_err(|source| ApkError::Architecture {
        package: name.clone(),
        line: field.line,
        source,
    })?;

    // The xattrs of a file are no reason for apk to do anything again.
    let broken = record.field('f').map(|field| field.value).unwrap_or_default();
    let state = if broken.contains(&b'f') {
        State::HalfInstalled
    } else if broken.contains(&b's') {
        State::HalfConfigured
    } else {
        State::Installed
    };

    // apk hardly looks at the origin, and other builders than Alpine's write paths there.
    let origin = record.field('o').and_then(|field| str::from_utf8(field.value).ok()?.parse().ok());
    let source =
        SourcePackage { name: origin.unwrap_or_else(|| name.clone()), version: version.clone() };
    Ok(InstalledPackage { name, architecture, version, state, held: false, source })
}

/// The attributes of a file whose line is not followed by one with attributes (apk-tools, `src/database.c`).
const OF_FILES: Attributes = Attributes { mode: 0o644, owner: 0, group: 0, is_capable: false };
/// The same for a folder.
const OF_FOLDERS: Attributes = Attributes { mode: 0o755, ..OF_FILES };

/// The files and folders of each package in `/lib/apk/db/installed`, without a slash in front, with the attributes that
/// the package gives them. Names that are not UTF-8 are left out, and so is everything after a line that is not a
/// field.
pub fn parse_files(bytes: &[u8]) -> BTreeMap<PackageName, BTreeMap<String, Attributes>> {
    let mut files: BTreeMap<PackageName, BTreeMap<String, Attributes>> = BTreeMap::new();
    let mut package: Option<PackageName> = None;
    let mut folder: Option<&str> = None;
    let mut path: Option<String> = None;
    for line in bytes.split(|byte| *byte == b'\n') {
        let (letter, value) = match line {
            [] => {
                (package, folder, path) = (None, None, None);
                continue;
            }
            [letter, b':', value @ ..] => (letter, str::from_utf8(value).ok()),
            _ => break,
        };
        let attributes = match letter {
            b'P' => {
                package = value.and_then(|name| name.parse().ok());
                continue;
            }
            b'F' => {
                (folder, path) = (value, value.map(str::to_owned));
                OF_FOLDERS
            }
            b'R' => {
                path = folder.zip(value).map(|(folder, name)| match folder {
                    "" => name.to_owned(),
                    folder => format!("{folder}/{name}"),
                });
                OF_FILES
            }
            // Of the folder or file before.
            b'M' | b'a' => match value.and_then(parse_attributes) {
                Some(attributes) => attributes,
                None => continue,
            },
            _ => continue,
        };
        if let (Some(package), Some(path)) = (&package, &path)
            && !path.is_empty()
        {
            files.entry(package.clone()).or_default().insert(path.clone(), attributes);
        }
    }
    files
}

/// Reads `USER:GROUP:MODE`, perhaps with a checksum of the extended attributes after it, which apk keeps of
/// files with capabilities.
fn parse_attributes(value: &str) -> Option<Attributes> {
    let mut fields = value.split(':');
    let (owner, group, mode) = (fields.next()?, fields.next()?, fields.next()?);
    Some(Attributes {
        mode: u32::from_str_radix(mode, 8).ok()?,
        owner: owner.parse().ok()?,
        group: group.parse().ok()?,
        is_capable: fields.next().is_some(),
    })
}

#[cfg(test)]
mod tests {
    use super::super::shown;
    use super::*;

    const DATABASE: &[u8] = include_bytes!("../../tests/data/apk/installed");
    const WORLD: &[u8] = include_bytes!("../../tests/data/apk/world");

    fn name(text: &str) -> PackageName {
        text.parse().unwrap()
    }

    fn read(database: &str, world: &str) -> Result<Installed, ApkError> {
        Installed::parse(database.as_bytes(), &World::parse(world.as_bytes())?)
    }

    #[test]
    fn fixture() {
        let installed = Installed::parse(DATABASE, &World::parse(WORLD).unwrap()).unwrap();
        let shown: Vec<String> = installed.database.packages().iter().map(shown).collect();
        assert_eq!(
            shown,
            [
                "broken-files:x86_64 1.0-r0 HalfInstalled <- broken-files 1.0-r0",
                "broken-script:x86_64 1.0-r0 HalfConfigured <- broken-script 1.0-r0",
                "by-file:x86_64 2-r0 Installed held <- by-file 2-r0",
                "edge-only:x86_64 3.1_git20260101-r2 Installed <- edge-only 3.1_git20260101-r2",
                "libcrypto3:x86_64 3.3.2-r0 Installed <- openssl 3.3.2-r0",
                "libssl3:x86_64 3.3.2-r0 Installed held <- openssl 3.3.2-r0",
                "odd-origin:noarch 1.0-beta1 Installed <- odd-origin 1.0-beta1",
                "zlib:x86_64 1.3.1-r1 Installed <- zlib 1.3.1-r1",
            ]
        );
        let pinned: Vec<&str> = installed.pinned.iter().map(PackageName::as_str).collect();
        assert_eq!(pinned, ["by-file", "edge-only", "libssl3", "zlib"]);
        assert_eq!(installed.architecture().unwrap().as_str(), "x86_64");
    }

    #[test]
    fn dependencies() {
        for text in [
            "a", "a@edge", "a@edge=1", "a=1-r0", "a<2", "a<=2", "a>2", "a>=2", "a~1.2", "a~=1.2",
            "a=~1.2", "a<~1.2", "a>~1.2", "a><Q1x=", "!a", "!a<2",
        ] {
            let dependency = Dependency::parse(text).unwrap();
            assert_eq!((dependency.name.as_str(), dependency.as_str()), ("a", text));
            assert_eq!(dependency.is_conflict, text.starts_with('!'));
            assert_eq!(dependency.tag.as_deref(), text.contains('@').then_some("edge"));
        }
        for (text, message) in [
            ("=1", "apk dependency `=1` cannot be read: it has no name"),
            ("@edge", "apk dependency `@edge` cannot be read: it has no name"),
            ("a==1", "apk dependency `a==1` cannot be read: it has an unknown operator"),
            ("a=", "apk dependency `a=` cannot be read: empty version"),
        ] {
            assert_eq!(Dependency::parse(text).unwrap_err().to_string(), message);
        }
    }

    #[test]
    fn worlds() {
        let world = World::parse(b"busybox so:libz.so.1=1\n\n/bin/sh !foo\n.dependencies=2026\n");
        let world = world.unwrap();
        let names: Vec<&str> =
            world.dependencies().iter().map(|dependency| dependency.name.as_str()).collect();
        assert_eq!(names, ["busybox", "so:libz.so.1", "/bin/sh", "foo", ".dependencies"]);
        assert!(read("", "busybox=1\n").unwrap().pinned.is_empty());
        assert!(World::parse(b"a\xff").is_err());
    }

    #[test]
    fn the_later_of_two_stays() {
        let database = "P:a\nV:2\nA:x\n\n\n\nP:a\nV:1\nA:x\n";
        let installed = read(database, "").unwrap();
        assert_eq!(installed.database.packages().len(), 1);
        assert_eq!(installed.database.packages()[0].version.as_str(), "1");
    }

    #[test]
    fn rejected() {
        for (database, message) in [
            ("x", "apk database: line 1 is not a field: `x`"),
            ("\n\nV:1\nA:x\n", "apk database: the package at line 3 has no field `P`"),
            ("P:a\nA:x\n", "apk database: the package at line 1 has no field `V`"),
            ("P:a\nV:1\n", "apk database: the package at line 1 has no field `A`"),
            (
                "P:-a\nV:1\nA:x\n",
                "apk database: line 1: package name does not begin with a letter or a digit: `-a`",
            ),
            ("P:a\nV:\nA:x\n", "apk database: package `a` at line 2: empty version"),
            (
                "P:a\nV:1\nA:X\n",
                "apk database: package `a` at line 3: architecture does not begin with a letter or a \
                 digit: `X`",
            ),
        ] {
            assert_eq!(read(database, "").unwrap_err().to_string(), message);
        }
        let world = World::default();
        let error = Installed::parse(b"P:a\xff\nV:1\nA:x\n", &world).unwrap_err();
        assert_eq!(error.to_string(), "apk database: line 1 is not text: `a\u{fffd}`");
    }

    #[test]
    fn files() {
        let files = parse_files(DATABASE);
        let paths = |package: &str| files[&name(package)].keys().collect::<Vec<_>>();
        assert_eq!(paths("zlib"), ["lib", "lib/libz.so.1", "lib/libz.so.1.3.1"]);
        assert_eq!(paths("by-file"), ["etc", "etc/by-file", "in-the-root"]);
        assert!(!files.contains_key(&name("libssl3")));
    }

    #[test]
    fn attributes_of_files() {
        let files = parse_files(
            b"P:a\nF:root\nM:0:0:700\nR:plain\nZ:Q1x=\nR:tool\na:0:4:4755\nZ:Q1x=\nF:etc\nR:ping\n\
              a:0:0:755:Q1y=\nR:odd\na:x\n",
        );
        let of = |path: &str| {
            let Attributes { mode, owner, group, is_capable } = files[&name("a")][path];
            (mode, owner, group, is_capable)
        };
        for (path, expected) in [
            ("root", (0o700, 0, 0, false)),
            ("root/plain", (0o644, 0, 0, false)),
            ("root/tool", (0o4755, 0, 4, false)),
            ("etc", (0o755, 0, 0, false)),
            ("etc/ping", (0o755, 0, 0, true)),
            ("etc/odd", (0o644, 0, 0, false)),
        ] {
            assert_eq!(of(path), expected, "{path}");
        }
    }
}
