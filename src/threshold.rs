//! The lowest version that will do, and whose numbering it is in.
//!
//! A package and the source that it was built from may have versions that have nothing in common: in
//! Debian 12, `dmsetup` 2:1.02.185-2 comes from lvm2 2.03.16-2. Debian's and Ubuntu's lists of
//! vulnerabilities give the source's version; Red Hat's give the package's. Scanners pass on what their
//! list says, often without the epoch, and a report does not tell which of the two it is.

use serde::{Deserialize, Serialize};

use crate::package::PackageName;
use crate::pkgdb::InstalledPackage;
use crate::version::{Scheme, Version, VersionError};

/// The lowest version that will do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "Written", try_from = "Written")]
pub struct Threshold {
    /// The version.
    pub version: Version,
    /// The source package whose version it is; `None` is the package itself.
    pub source: Option<PackageName>,
}

/// A threshold in JSON.
#[derive(Serialize, Deserialize)]
struct Written {
    scheme: Scheme,
    version: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    source: Option<PackageName>,
}

/// A version that must be reached, as somebody wrote it.
#[derive(Clone, Copy, Debug)]
pub struct Wanted<'a> {
    /// The version.
    pub text: &'a str,
    /// The version that was found to be too old, if the text comes from a scanner.
    pub seen: Option<&'a str>,
}

/// Whose version a text is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Numbering {
    Package,
    Source,
}

impl Wanted<'_> {
    /// Whether the scanner saw the version that this package has.
    pub fn saw(&self, package: &InstalledPackage) -> bool {
        let Some(seen) = self.seen else { return false };
        let is_seen = |version: &Version| {
            Version::parse(version.scheme(), seen)
                .is_ok_and(|seen| seen.with_default_epoch(version.epoch()) == *version)
        };
        is_seen(&package.version) || is_seen(&package.source.version)
    }
}

impl Threshold {
    /// What `wanted` means for an installed package.
    ///
    /// The version is that of the package or of its source, whichever looks more like it. If neither does,
    /// a scanner's list for dpkg's packages is by source, and everything else is by package. A version
    /// without epoch gets the one of what it is compared with: scanners leave it out, and no scanner finds
    /// 1:1.0 to be older than 2.0.
    pub fn read(wanted: Wanted<'_>, package: &InstalledPackage) -> Result<Self, VersionError> {
        let version = Version::parse(package.version.scheme(), wanted.text)?;
        let of = |numbering| match numbering {
            Numbering::Package => {
                Self { version: version.with_default_epoch(package.version.epoch()), source: None }
            }
            Numbering::Source => {
                let epoch = package.source.version.epoch();
                Self {
                    version: match version.scheme() {
                        // A source package's name in rpm's database has no epoch (`parse_source`).
                        Scheme::Rpm => version.with_epoch(epoch),
                        Scheme::Apk | Scheme::Deb => version.with_default_epoch(epoch),
                    },
                    source: Some(package.source.name.clone()),
                }
            }
        };
        let (likely, other) = numberings(wanted, package);
        let threshold = of(likely);
        // A scanner that saw this very version has found it too old.
        let contradicts = wanted.saw(package) && threshold.is_met_by(package);
        match other.map(of) {
            Some(other) if contradicts && !other.is_met_by(package) => Ok(other),
            _ => Ok(threshold),
        }
    }

    /// Whether a package of this version, from a source of that one, will do.
    pub fn is_met(&self, version: &Version, source: &Version) -> bool {
        let compared = if self.source.is_some() { source } else { version };
        *compared >= self.version
    }

    /// Whether this package will do.
    pub fn is_met_by(&self, package: &InstalledPackage) -> bool {
        self.is_met(&package.version, &package.source.version)
    }
}

/// Whose version the wanted one may be, the likely one first; only one if there is no doubt.
fn numberings(wanted: Wanted<'_>, package: &InstalledPackage) -> (Numbering, Option<Numbering>) {
    use Numbering::{Package, Source};
    let own = package.version.without_epoch();
    let source = package.source.version.without_epoch();
    if without_rebuild(own) == source {
        return (Package, None);
    }
    let scheme = package.version.scheme();
    let bare = |text| Version::parse(scheme, text).ok().map(|it| it.without_epoch().to_owned());
    if wanted.seen.and_then(bare).as_deref() == Some(source) {
        return (Source, None);
    }
    let text = bare(wanted.text).unwrap_or_default();
    match alike(&text, own).cmp(&alike(&text, source)) {
        std::cmp::Ordering::Less => (Source, None),
        std::cmp::Ordering::Greater => (Package, None),
        std::cmp::Ordering::Equal if scheme == Scheme::Deb && wanted.seen.is_some() => {
            (Source, Some(Package))
        }
        std::cmp::Ordering::Equal => (Package, Some(Source)),
    }
}

/// The version without Debian's number of a rebuild from the same source: `+b1` (Developer's Reference, 5.10.2.1).
fn without_rebuild(version: &str) -> &str {
    match version.rsplit_once("+b") {
        Some((built, number)) if number.bytes().all(|sign| sign.is_ascii_digit()) => built,
        _ => version,
    }
}

/// How many numbers, words and signs two versions have in common before they differ.
fn alike(one: &str, other: &str) -> usize {
    parts(one).zip(parts(other)).take_while(|(one, other)| one == other).count()
}

/// Runs of digits and runs of letters, and all other characters on their own.
fn parts(text: &str) -> impl Iterator<Item = &str> {
    let kind = |sign: char| (sign.is_ascii_digit(), sign.is_ascii_alphabetic());
    let mut rest = text;
    std::iter::from_fn(move || {
        let first = kind(rest.chars().next()?);
        let is_run = first != (false, false);
        let end = rest.char_indices().skip(1).find(|(_, sign)| !is_run || kind(*sign) != first);
        let (part, after) = rest.split_at(end.map_or(rest.len(), |(position, _)| position));
        rest = after;
        Some(part)
    })
}

impl From<Threshold> for Written {
    fn from(threshold: Threshold) -> Self {
        Self {
            scheme: threshold.version.scheme(),
            version: threshold.version.as_str().to_owned(),
            source: threshold.source,
        }
    }
}

impl TryFrom<Written> for Threshold {
    type Error = VersionError;

    fn try_from(written: Written) -> Result<Self, VersionError> {
        let version = Version::parse(written.scheme, &written.version)?;
        Ok(Self { version, source: written.source })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pkgdb::{Database, dpkg, rpm};

    fn deb(version: &str, source: &str) -> Database {
        let status = format!(
            "Package: a\nStatus: install ok installed\nVersion: {version}\nArchitecture: amd64\n\
             Source: b ({source})\n"
        );
        dpkg::parse_status(status.as_bytes()).unwrap()
    }

    fn rpm(epoch: u32, version: &str, source: &str) -> Database {
        let (version, release) = version.split_once('-').unwrap();
        let line = format!("a\t{epoch}\t{version}\t{release}\tnoarch\tb-{source}.src.rpm\n");
        rpm::listing::parse(&line).unwrap()
    }

    fn read(text: &str, seen: Option<&str>, database: &Database) -> String {
        let package = &database.packages()[0];
        let threshold = Threshold::read(Wanted { text, seen }, package).unwrap();
        let of = if threshold.source.is_some() { "source " } else { "" };
        let met = if threshold.is_met_by(package) { " is met" } else { "" };
        format!("{of}{}{met}", threshold.version)
    }

    #[test]
    fn a_fixed_version_is_read_in_the_numbering_it_is_in() {
        let bsdutils = deb("1:2.38.1-5+deb12u3", "2.38.1-5+deb12u3");
        let epoch = deb("1:1.0", "1:1.0");
        let dmsetup = deb("2:1.02-1.0", "2.03-1");
        let login = deb("1:4.16.0-2+really2.41-5", "2.41-5");
        let rebuilt = deb("1:1.2.13-1+b1", "1:1.2.13-1");
        let lower = deb("0.5-1.0", "3.0-1");
        let compiler = deb("4:12.2.0-3", "1.203");
        let perl = rpm(0, "2.38-488", "5.34.1-488");
        let openssl = rpm(1, "3.0.7-27.el9", "3.0.7-27.el9");
        for (database, seen, text, expected) in [
            (&bsdutils, "1:2.38.1-5+deb12u3", "2.38.1-5+deb12u99", "1:2.38.1-5+deb12u99"),
            (&bsdutils, "1:2.38.1-5+deb12u2", "2.38.1-5+deb12u3", "1:2.38.1-5+deb12u3 is met"),
            (&epoch, "1:1.0", "2.0", "1:2.0"),
            (&epoch, "1:1.0", "2:0.1", "2:0.1"),
            (&dmsetup, "2:1.02-1.0", "2.03-2", "source 2.03-2"),
            (&dmsetup, "2:1.02-0", "2.03-1", "source 2.03-1 is met"),
            (&dmsetup, "2:1.02-1.0", "3.0-1", "source 3.0-1"),
            (&dmsetup, "2:1.02-1.0", "2:1.02-2", "2:1.02-2"),
            (&login, "1:4.16.0-2+really2.41-5", "2.41-6", "source 2.41-6"),
            (&login, "1:4.16.0-2+really2.41-4", "2.41-5", "source 2.41-5 is met"),
            (&rebuilt, "1:1.2.13-1+b1", "1:1.2.13-1+deb12u1", "1:1.2.13-1+deb12u1"),
            (&lower, "0.5-1.0", "3.0-2", "source 3.0-2"),
            (&lower, "0.5-0.9", "3.0-1", "source 3.0-1 is met"),
            (&lower, "0.5-1.0", "0.5-2", "0.5-2"),
            // Nothing alike, and by the source it would not have been found.
            (&lower, "0.5-1.0", "2.0", "2.0"),
            (&compiler, "4:12.2.0-3", "1.204", "source 1.204"),
            (&perl, "2.38-488", "5.34.1-489", "source 5.34.1-489"),
            (&perl, "2.38-488", "4:5.34.1-489", "source 5.34.1-489"),
            (&perl, "2.38-488", "0:2.38-489", "0:2.38-489"),
            (&perl, "2.38-488", "3.0-1", "3.0-1"),
            (&openssl, "1:3.0.7-27.el9", "3.0.7-28.el9", "1:3.0.7-28.el9"),
        ] {
            assert_eq!(read(text, Some(seen), database), expected, "{seen} {text}");
        }
        assert_eq!(read("9-1", None, &dmsetup), "2:9-1");
        assert_eq!(read("2.03-2", None, &dmsetup), "source 2.03-2");
    }

    #[test]
    fn json() {
        let database = deb("2:1.02-1.0", "2.03-1");
        let wanted = Wanted { text: "2.03-2", seen: None };
        let threshold = Threshold::read(wanted, &database.packages()[0]).unwrap();
        let json = serde_json::to_string(&threshold).unwrap();
        assert_eq!(json, r#"{"scheme":"deb","version":"2.03-2","source":"b"}"#);
        assert_eq!(serde_json::from_str::<Threshold>(&json).unwrap(), threshold);
    }

    #[test]
    fn parts_of_versions() {
        let of = |text| parts(text).collect::<Vec<_>>();
        assert_eq!(of("2.38~rc1-5"), ["2", ".", "38", "~", "rc", "1", "-", "5"]);
        assert_eq!(of(".."), [".", "."]);
    }
}
