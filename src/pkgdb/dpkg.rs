//! dpkg's database: the files `status` and `arch` in `/var/lib/dpkg`.
//!
//! The fields are those of deb-control(5) and Debian Policy 5.3; `Status` is described in dpkg(1). What is
//! not obvious:
//!
//! * A package may be there once per architecture (`Multi-Arch: same`).
//! * A stanza without `Status` is a package that is not installed; so is one that says `not-installed`. dpkg
//!   keeps such stanzas to remember a selection.
//! * A package that was never completely unpacked may have no version.

use std::collections::BTreeMap;
use std::str;

use super::control::{ControlError, Field, Stanza, stanzas};
use super::{Database, InstalledPackage, SourcePackage, State};
use crate::package::{Architecture, Excerpt, PackageError, PackageName};
use crate::version::deb::DebVersion;
use crate::version::{Version, VersionError};

/// Why dpkg's database cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DpkgError {
    /// The file does not consist of fields.
    #[error("dpkg status file: {0}")]
    Syntax(#[from] ControlError),
    /// A stanza does not say which package it is about.
    #[error("dpkg status file: stanza at line {line} has no field `Package`")]
    NoPackage {
        /// The stanza's first line.
        line: usize,
    },
    /// A stanza has no valid name.
    #[error("dpkg status file: line {line}: {source}")]
    Name {
        /// The line of the field.
        line: usize,
        /// What is wrong.
        source: PackageError,
    },
    /// An installed package lacks a field.
    #[error("dpkg status file: package `{package}` at line {line} has no field `{field}`")]
    MissingField {
        /// The package.
        package: PackageName,
        /// The field.
        field: &'static str,
        /// The stanza's first line.
        line: usize,
    },
    /// The field `Status` is not three words that dpkg knows.
    #[error("dpkg status file: package `{package}` at line {line} has an unknown status: {text}")]
    Status {
        /// The package.
        package: PackageName,
        /// The line of the field.
        line: usize,
        /// The value.
        text: Excerpt,
    },
    /// The field `Version` is not a version.
    #[error("dpkg status file: package `{package}` at line {line}: {source}")]
    Version {
        /// The package.
        package: PackageName,
        /// The line of the field.
        line: usize,
        /// What is wrong.
        source: VersionError,
    },
    /// The field `Architecture` is not an architecture.
    #[error("dpkg status file: package `{package}` at line {line}: {source}")]
    Architecture {
        /// The package.
        package: PackageName,
        /// The line of the field.
        line: usize,
        /// What is wrong.
        source: PackageError,
    },
    /// A line of the file `arch` is not an architecture.
    #[error("dpkg architecture file: line {line}: {source}")]
    ArchitectureList {
        /// The line.
        line: usize,
        /// What is wrong.
        source: PackageError,
    },
    /// A field that must be ASCII is not even UTF-8.
    #[error("dpkg status file: field `{field}` at line {line} is not text: {text}")]
    NotText {
        /// The field.
        field: &'static str,
        /// Its line.
        line: usize,
        /// The value.
        text: Excerpt,
    },
}

/// Reads `/var/lib/dpkg/status`. Packages that are not installed are left out.
pub fn parse_status(bytes: &[u8]) -> Result<Database, DpkgError> {
    let mut packages = BTreeMap::new();
    for stanza in stanzas(bytes) {
        if let Some(package) = parse_package(&stanza?)? {
            // Of two with the same name and architecture the later one stays, as when dpkg reads the file.
            packages.insert((package.name.clone(), package.architecture.clone()), package);
        }
    }
    Ok(Database::new(packages.into_values()))
}

fn parse_package(stanza: &Stanza<'_>) -> Result<Option<InstalledPackage>, DpkgError> {
    let line = stanza.line();
    let Some(field) = stanza.field("Package") else {
        return Err(DpkgError::NoPackage { line });
    };
    let name: PackageName = text("Package", field)?
        .parse()
        .map_err(|source| DpkgError::Name { line: field.line, source })?;

    let Some(status) = stanza.field("Status") else {
        return Ok(None);
    };
    let Some((held, state)) = parse_state(status.first) else {
        return Err(DpkgError::Status {
            package: name,
            line: status.line,
            text: Excerpt::of_bytes(status.first),
        });
    };
    let Some(state) = state else {
        return Ok(None);
    };
    // What dpkg has not completely unpacked, or has removed, holds nothing that could be upgraded.
    let may_be_bare = matches!(state, State::HalfInstalled | State::ConfigFiles);

    let Some(field) = stanza.field("Version") else {
        let missing = DpkgError::MissingField { package: name, field: "Version", line };
        return if may_be_bare { Ok(None) } else { Err(missing) };
    };
    let version = DebVersion::parse_recorded(text("Version", field)?)
        .map_err(|source| DpkgError::Version { package: name.clone(), line: field.line, source })?;
    let version = Version::Deb(version);

    let Some(field) = stanza.field("Architecture") else {
        let missing = DpkgError::MissingField { package: name, field: "Architecture", line };
        return if may_be_bare { Ok(None) } else { Err(missing) };
    };
    let architecture = text("Architecture", field)?.parse().map_err(|source| {
        DpkgError::Architecture { package: name.clone(), line: field.line, source }
    })?;

    let source = source_of(stanza, &name, &version);
    Ok(Some(InstalledPackage { name, architecture, version, state, held, source }))
}

fn text<'a>(name: &'static str, field: &Field<'a>) -> Result<&'a str, DpkgError> {
    str::from_utf8(field.first).map_err(|_| DpkgError::NotText {
        field: name,
        line: field.line,
        text: Excerpt::of_bytes(field.first),
    })
}

/// Whether the package is on hold, and its state; no state is `not-installed`.
///
/// The three words are what the user wants, whether dpkg found the package damaged, and the state.
fn parse_state(status: &[u8]) -> Option<(bool, Option<State>)> {
    let mut words = status.split(u8::is_ascii_whitespace).filter(|word: &&[u8]| !word.is_empty());
    let (want, flag, state) = (words.next()?, words.next()?, words.next()?);
    let held = match want {
        b"hold" => true,
        b"unknown" | b"install" | b"deinstall" | b"purge" => false,
        _ => return None,
    };
    if !matches!(flag, b"ok" | b"reinstreq" | b"hold" | b"hold-reinstreq") {
        return None;
    }
    let state = match state {
        b"not-installed" => None,
        b"config-files" => Some(State::ConfigFiles),
        b"half-installed" => Some(State::HalfInstalled),
        b"unpacked" => Some(State::Unpacked),
        b"half-configured" => Some(State::HalfConfigured),
        b"triggers-awaited" => Some(State::TriggersAwaited),
        b"triggers-pending" => Some(State::TriggersPending),
        b"installed" => Some(State::Installed),
        _ => return None,
    };
    words.next().is_none().then_some((held, state))
}

/// The source package that a stanza of a package names.
///
/// dpkg never looks at this field, so an odd one must not make an image unpatchable.
pub fn source_of(stanza: &Stanza<'_>, name: &PackageName, version: &Version) -> SourcePackage {
    stanza
        .field("Source")
        .and_then(|field| parse_source(field.first, version))
        .unwrap_or_else(|| SourcePackage { name: name.clone(), version: version.clone() })
}

/// `name` or `name (version)`.
fn parse_source(value: &[u8], binary: &Version) -> Option<SourcePackage> {
    let value = str::from_utf8(value).ok()?;
    let Some((name, version)) = value.split_once('(') else {
        return Some(SourcePackage { name: value.parse().ok()?, version: binary.clone() });
    };
    let version = DebVersion::parse_recorded(version.strip_suffix(')')?.trim()).ok()?;
    Some(SourcePackage { name: name.trim().parse().ok()?, version: Version::Deb(version) })
}

/// The architectures that an image's dpkg installs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Architectures {
    /// The one dpkg itself was built for.
    pub native: Architecture,
    /// The ones added with `dpkg --add-architecture`.
    pub foreign: Vec<Architecture>,
}

/// Reads `/var/lib/dpkg/arch`: the native architecture first, then the foreign ones, one per line.
///
/// The file is only there once an architecture was added; an empty one tells nothing.
pub fn parse_foreign_architectures(bytes: &[u8]) -> Result<Option<Architectures>, DpkgError> {
    let mut architectures = Vec::new();
    for (text, line) in bytes.split(|&byte| byte == b'\n').zip(1_usize..) {
        let text = text.trim_ascii();
        if text.is_empty() {
            continue;
        }
        let architecture: Architecture = String::from_utf8_lossy(text)
            .parse()
            .map_err(|source| DpkgError::ArchitectureList { line, source })?;
        if !architectures.contains(&architecture) {
            architectures.push(architecture);
        }
    }
    let mut architectures = architectures.into_iter();
    Ok(architectures
        .next()
        .map(|native| Architectures { native, foreign: architectures.collect() }))
}

/// The architecture that the image is made for: that of its package `dpkg`, else the most frequent one.
pub fn native_architecture(database: &Database) -> Option<Architecture> {
    let present = || {
        database
            .packages()
            .iter()
            .filter(|package| package.state != State::ConfigFiles && !package.architecture.is_any())
    };
    if let Some(dpkg) = present().find(|package| package.name.as_str() == "dpkg") {
        return Some(dpkg.architecture.clone());
    }
    let mut counts: BTreeMap<&Architecture, usize> = BTreeMap::new();
    for package in present() {
        *counts.entry(&package.architecture).or_default() += 1;
    }
    let most = counts.values().max().copied()?;
    counts
        .into_iter()
        .find(|(_, count)| *count == most)
        .map(|(architecture, _)| architecture.clone())
}

#[cfg(test)]
mod tests {
    use super::super::shown;
    use super::*;

    /// A stanza of an installed package with these lines changed or added.
    fn stanza(lines: &str) -> String {
        format!(
            "Package: a\nStatus: install ok installed\nVersion: 1\nArchitecture: amd64\n{lines}\n"
        )
    }

    #[test]
    fn fixture() {
        let status = include_bytes!("../../tests/data/dpkg/status");
        let database = parse_status(status).unwrap();
        let shown: Vec<String> = database.packages().iter().map(shown).collect();
        assert_eq!(
            shown,
            [
                "adduser:all 3.134 Installed <- adduser 3.134",
                "broken:amd64 1-1 HalfConfigured <- broken 1-1",
                "curl:amd64 7.88.1-10+deb12u12 Installed held <- curl 7.88.1-10+deb12u12",
                "dpkg:amd64 1.21.22 TriggersPending <- dpkg 1.21.22",
                "gone:amd64 2.0-1 ConfigFiles <- gone 2.0-1",
                "libc6:amd64 2.36-9+deb12u10 Installed <- glibc 2.36-9+deb12u10",
                "libc6:i386 2.36-9+deb12u10 Installed <- glibc 2.36-9+deb12u10",
                "libgcc-s1:amd64 12.2.0-14+deb12u1 Installed <- gcc-12 12.2.0-14+deb12u1",
                "liblzma5:amd64 5.4.1-1 Unpacked <- xz-utils 5.4.1-1",
                "man-db:amd64 2.11.2-2 TriggersAwaited <- man-db 2.11.2-2",
                "old-tool:amd64 v1_0 Installed <- old-tool v1_0",
                "zlib1g:amd64 1:1.2.13.dfsg-1+b1 Installed <- zlib 1:1.2.13.dfsg-1",
            ]
        );
        let name = "libc6".parse().unwrap();
        assert_eq!(database.find(&name).count(), 2);
        assert!(database.get(&name, &"i386".parse().unwrap()).is_some());
        assert_eq!(database.find(&"libc".parse().unwrap()).count(), 0);
        assert_eq!(database.installed().count(), 9);
        assert_eq!(database.unfinished().count(), 2);
        assert_eq!(native_architecture(&database).unwrap().as_str(), "amd64");
    }

    #[test]
    fn fixture_with_windows_line_ends() {
        let status = include_bytes!("../../tests/data/dpkg/status");
        let windows = status.split(|&byte| byte == b'\n').collect::<Vec<_>>().join(&b"\r\n"[..]);
        assert_eq!(parse_status(status), parse_status(&windows));
    }

    #[test]
    fn other_encodings_do_not_matter_where_nobody_looks() {
        let mut status = stanza("Maintainer: x").into_bytes();
        status.extend_from_slice(b"Description: caf\xe9\n \xff\xfe\n");
        assert_eq!(parse_status(&status).unwrap().packages().len(), 1);
    }

    #[test]
    fn later_stanzas_win_and_fields_have_any_case() {
        let status = format!("{}\n{}", stanza(""), stanza("").replace("Version: 1", "VERSION: 2"));
        let database = parse_status(status.as_bytes()).unwrap();
        assert_eq!(database.packages().len(), 1);
        assert_eq!(database.packages()[0].version.as_str(), "2");
    }

    #[test]
    fn sources() {
        for (field, name, version) in [
            ("Source: glibc", "glibc", "1"),
            ("Source: glibc (2.36-9)", "glibc", "2.36-9"),
            ("Source: ???", "a", "1"),
            ("Source: glibc (", "a", "1"),
        ] {
            let database = parse_status(stanza(field).as_bytes()).unwrap();
            let source = &database.packages()[0].source;
            assert_eq!((source.name.as_str(), source.version.as_str()), (name, version), "{field}");
        }
    }

    #[test]
    fn errors_say_where() {
        for (status, message) in [
            (
                "Version: 1\nStatus: install ok installed\n".to_owned(),
                "dpkg status file: stanza at line 1 has no field `Package`",
            ),
            (
                format!("{}\nPackage: $(reboot)\n", stanza("")),
                "dpkg status file: line 7: package name does not begin with a letter or a digit: `$(reboot)`",
            ),
            (
                stanza("").replace("Version: 1\n", ""),
                "dpkg status file: package `a` at line 1 has no field `Version`",
            ),
            (
                stanza("").replace("Architecture: amd64\n", ""),
                "dpkg status file: package `a` at line 1 has no field `Architecture`",
            ),
            (
                stanza("").replace("ok installed", "ok splendid"),
                "dpkg status file: package `a` at line 2 has an unknown status: `install ok splendid`",
            ),
            (
                stanza("").replace("Version: 1", "Version: 1 2"),
                "dpkg status file: package `a` at line 3: version has an invalid character ' ': `1 2`",
            ),
            (
                stanza("").replace("amd64", "-x"),
                "dpkg status file: package `a` at line 4: architecture does not begin with a letter or a \
                 digit: `-x`",
            ),
            (stanza("rubbish"), "dpkg status file: line 5 is not a field: `rubbish`"),
        ] {
            assert_eq!(parse_status(status.as_bytes()).unwrap_err().to_string(), message);
        }
    }

    #[test]
    fn not_installed_is_left_out() {
        for status in [
            stanza("").replace("install ok installed", "unknown ok not-installed"),
            stanza("").replace("Status: install ok installed\n", ""),
            stanza("")
                .replace("ok installed", "reinstreq half-installed")
                .replace("Version: 1\n", ""),
            stanza("")
                .replace("ok installed", "ok config-files")
                .replace("Architecture: amd64\n", ""),
        ] {
            assert_eq!(parse_status(status.as_bytes()), Ok(Database::default()), "{status}");
        }
        assert_eq!(parse_status(b""), Ok(Database::default()));
    }

    #[test]
    fn architecture_list() {
        let parsed = parse_foreign_architectures(b"amd64\ni386\n").unwrap().unwrap();
        assert_eq!(parsed.native.as_str(), "amd64");
        assert_eq!(parsed.foreign, ["i386".parse().unwrap()]);
        assert_eq!(parse_foreign_architectures(b"\n"), Ok(None));
        assert!(parse_foreign_architectures(b"amd64\n--x\n").is_err());
    }

    #[test]
    fn native_architecture_without_dpkg() {
        let of = |name: &str, architecture: &str| {
            stanza("")
                .replace("Package: a", &format!("Package: {name}"))
                .replace("amd64", architecture)
        };
        let status =
            [of("a", "all"), of("b", "all"), of("c", "arm64"), of("d", "i386"), of("e", "arm64")];
        let database = parse_status(status.join("\n").as_bytes()).unwrap();
        assert_eq!(native_architecture(&database).unwrap().as_str(), "arm64");
        assert_eq!(native_architecture(&Database::default()), None);
    }
}
