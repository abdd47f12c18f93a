//! Distributions: what an image says it is, and what we know about that.
//!
//! An image says it in os-release(5). Only `ID`, `ID_LIKE` and `VERSION_ID` decide, never a part of `NAME`.
//! What we know is one static table; a new distribution is a new row.

use std::collections::BTreeMap;
use std::str;

use jiff::civil::{Date, date};

use crate::package::Excerpt;

/// What os-release(5) prescribes where `ID` is missing.
const DEFAULT_ID: &str = "linux";

/// The fields of an os-release file that we use.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct OsRelease {
    values: BTreeMap<String, String>,
}

impl OsRelease {
    /// Reads `/etc/os-release` or `/usr/lib/os-release`.
    ///
    /// The format is that of shell assignments without expansion. As the manual asks, lines that are not such
    /// assignments are skipped; the last of several for one name wins.
    pub fn parse(bytes: &[u8]) -> Self {
        let values = bytes
            .split(|&byte| byte == b'\n')
            .filter_map(|line| parse_assignment(str::from_utf8(line).ok()?.trim()))
            .filter(|(name, _)| FIELDS.contains(&name.as_str()))
            .collect();
        Self { values }
    }

    fn value(&self, name: &str) -> Option<&str> {
        self.values.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// `ID`, for instance `debian`; `linux` if there is none, as os-release(5) prescribes.
    pub fn id(&self) -> &str {
        self.value("ID").unwrap_or(DEFAULT_ID)
    }

    /// Whether the file really has an `ID`.
    pub fn has_id(&self) -> bool {
        self.value("ID").is_some()
    }

    /// `ID_LIKE`: related distributions, the closest first.
    pub fn id_like(&self) -> impl Iterator<Item = &str> {
        self.value("ID_LIKE").unwrap_or_default().split_whitespace()
    }

    /// `VERSION_ID`, for instance `12`; rolling releases have none.
    pub fn version_id(&self) -> Option<&str> {
        self.value("VERSION_ID")
    }

    /// `VERSION_CODENAME`, for instance `bookworm`.
    pub fn version_codename(&self) -> Option<&str> {
        self.value("VERSION_CODENAME")
    }

    /// The code name of the distribution below this one, as Linux Mint has it: `UBUNTU_CODENAME` or
    /// `DEBIAN_CODENAME`.
    pub fn base_codename(&self) -> Option<&str> {
        self.value("UBUNTU_CODENAME").or_else(|| self.value("DEBIAN_CODENAME"))
    }

    /// `PRETTY_NAME`, else `NAME`, else the ID: what a message calls the distribution.
    pub fn pretty_name(&self) -> &str {
        self.value("PRETTY_NAME").or_else(|| self.name()).unwrap_or_else(|| self.id())
    }

    /// `NAME`, for instance `Debian GNU/Linux`.
    pub fn name(&self) -> Option<&str> {
        self.value("NAME")
    }
}

const FIELDS: [&str; 8] = [
    "DEBIAN_CODENAME",
    "ID",
    "ID_LIKE",
    "NAME",
    "PRETTY_NAME",
    "UBUNTU_CODENAME",
    "VERSION_CODENAME",
    "VERSION_ID",
];

/// `NAME=value` with the value unquoted.
fn parse_assignment(line: &str) -> Option<(String, String)> {
    let (name, value) = line.split_once('=')?;
    let is_name = |character: char| character.is_ascii_alphanumeric() || character == '_';
    // Values are shown: an unprintable one is not a value (os-release(5)).
    if name.is_empty() || !name.chars().all(is_name) || value.contains(char::is_control) {
        return None;
    }
    Some((name.to_owned(), unquote(value)?))
}

/// Removes the shell's quotes; nothing if they are not closed, or if something follows them.
fn unquote(value: &str) -> Option<String> {
    let mut characters = value.chars();
    let quote = match value.chars().next() {
        Some(quote @ ('"' | '\'')) => {
            characters.next();
            Some(quote)
        }
        _ => None,
    };
    let mut plain = String::new();
    let mut closed = quote.is_none();
    while let Some(character) = characters.next() {
        match (character, quote) {
            (_, Some(quote)) if character == quote => {
                closed = true;
                break;
            }
            ('\\', Some('"')) => match characters.next()? {
                escaped @ ('"' | '\\' | '$' | '`') => plain.push(escaped),
                other => plain.extend(['\\', other]),
            },
            ('\\', None) => plain.push(characters.next()?),
            (blank, None) if blank.is_whitespace() => break,
            _ => plain.push(character),
        }
    }
    let rest = characters.as_str().trim_start();
    (closed && (rest.is_empty() || rest.starts_with('#'))).then_some(plain)
}

/// What a distribution manages its packages with; each has a database format and a version scheme.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Family {
    /// apk.
    Apk,
    /// dpkg and apt.
    Dpkg,
    /// rpm and what resolves and downloads for it.
    Rpm,
}

/// A release and the day until which it gets security updates without a contract.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Release {
    /// Its `VERSION_ID`.
    pub version_id: &'static str,
    /// The last day.
    pub end_of_life: Date,
}

/// How much of `VERSION_ID` the variable `$releasever` of rpm's repositories is: it is the version of the package that
/// says which release this is, and is often written differently.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReleaseVariable {
    /// All.
    Whole,
    /// What is before the first dot.
    Major,
    /// What is before the second dot.
    MajorAndMinor,
    /// It cannot be derived from `VERSION_ID`.
    Unknown,
}

/// A row of the table of distributions.
#[derive(Debug, PartialEq, Eq)]
pub struct Distro {
    /// Its `ID`.
    pub id: &'static str,
    /// Its family.
    pub family: Family,
    /// The releases whose end of life is known.
    pub releases: &'static [Release],
    /// Names under which a repository offers the whole distribution, besides the code name.
    pub base_aliases: &'static [&'static str],
    /// What scanners call it besides its `ID` (Trivy's `OS.Family`, Grype's `distro.name`).
    pub scanner_names: &'static [&'static str],
    /// What `$releasever` is.
    pub release_variable: ReleaseVariable,
}

const fn release(version_id: &'static str, year: i16, month: i8, day: i8) -> Release {
    Release { version_id, end_of_life: date(year, month, day) }
}

/// `eol-lts` of Debian's `distro-info-data` 0.58: with the LTS project, whose updates are in the same
/// repositories.
const DEBIAN_RELEASES: &[Release] = &[
    release("7", 2018, 5, 31),
    release("8", 2020, 6, 30),
    release("9", 2022, 6, 30),
    release("10", 2024, 6, 30),
    release("11", 2026, 8, 31),
    release("12", 2028, 6, 30),
    release("13", 2030, 6, 30),
];

/// `eol` of Debian's `distro-info-data` 0.58: without Ubuntu Pro.
const UBUNTU_RELEASES: &[Release] = &[
    release("12.04", 2017, 4, 28),
    release("14.04", 2019, 4, 25),
    release("16.04", 2021, 4, 30),
    release("16.10", 2017, 7, 20),
    release("17.04", 2018, 1, 13),
    release("17.10", 2018, 7, 19),
    release("18.04", 2023, 5, 31),
    release("18.10", 2019, 7, 18),
    release("19.04", 2020, 1, 23),
    release("19.10", 2020, 7, 17),
    release("20.04", 2025, 5, 29),
    release("20.10", 2021, 7, 22),
    release("21.04", 2022, 1, 20),
    release("21.10", 2022, 7, 14),
    release("22.04", 2027, 6, 1),
    release("22.10", 2023, 7, 20),
    release("23.04", 2024, 1, 25),
    release("23.10", 2024, 7, 11),
    release("24.04", 2029, 5, 31),
    release("24.10", 2025, 7, 10),
    release("25.04", 2026, 1, 15),
    release("25.10", 2026, 7, 9),
    release("26.04", 2031, 5, 29),
    release("26.10", 2027, 7, 15),
];

/// End of support of the branches of Alpine, as its release table has it.
const ALPINE_RELEASES: &[Release] = &[
    release("3.10", 2021, 5, 1),
    release("3.11", 2021, 11, 1),
    release("3.12", 2022, 5, 1),
    release("3.13", 2022, 11, 1),
    release("3.14", 2023, 5, 1),
    release("3.15", 2023, 11, 1),
    release("3.16", 2024, 5, 23),
    release("3.17", 2024, 11, 22),
    release("3.18", 2025, 5, 9),
    release("3.19", 2025, 11, 1),
    release("3.20", 2026, 4, 1),
    release("3.21", 2026, 11, 1),
    release("3.22", 2027, 5, 1),
    release("3.23", 2027, 11, 1),
];

const DEBIAN_ALIASES: &[&str] =
    &["stable", "oldstable", "oldoldstable", "testing", "unstable", "sid"];

const LEAP_NAMES: &[&str] = &["opensuse", "opensuse.leap"];
const TUMBLEWEED_NAMES: &[&str] = &["opensuse", "opensuse.tumbleweed"];
const SLE_NAMES: &[&str] = &["suse linux enterprise server", "sles", "sle_hpc"];

/// Its wiki, «Release Notes».
const ALMALINUX_RELEASES: &[Release] =
    &[release("8", 2029, 3, 1), release("9", 2032, 5, 31), release("10", 2035, 5, 31)];

/// AWS, «Amazon Linux 2 FAQs» and the guide of Amazon Linux 2023, «Release cadence».
const AMAZON_RELEASES: &[Release] =
    &[release("2018.03", 2023, 12, 31), release("2", 2026, 6, 30), release("2023", 2029, 6, 30)];

/// Microsoft, «Azure Linux release cadence and lifecycle»; before 3.0 it was named Mariner.
const AZURE_RELEASES: &[Release] =
    &[release("1.0", 2023, 8, 31), release("2.0", 2025, 7, 31), release("3.0", 2027, 8, 31)];

/// centos.org, «End Dates». `CentOS` Linux 8, which ended on 2021-12-31, says the same of itself as Stream 8.
const CENTOS_RELEASES: &[Release] = &[
    release("6", 2020, 11, 30),
    release("7", 2024, 6, 30),
    release("8", 2024, 5, 31),
    release("9", 2027, 5, 31),
    release("10", 2030, 1, 1),
];

/// Fedora's schedules, as endoflife.date has them: four weeks after the release after the next.
const FEDORA_RELEASES: &[Release] = &[
    release("35", 2022, 12, 13),
    release("36", 2023, 5, 16),
    release("37", 2023, 12, 5),
    release("38", 2024, 5, 21),
    release("39", 2024, 11, 26),
    release("40", 2025, 5, 13),
    release("41", 2025, 12, 15),
    release("42", 2026, 5, 13),
    release("43", 2026, 12, 9),
];

/// en.opensuse.org/Lifetime.
const LEAP_RELEASES: &[Release] = &[
    release("15.0", 2019, 12, 3),
    release("15.1", 2021, 2, 2),
    release("15.2", 2022, 1, 4),
    release("15.3", 2022, 12, 31),
    release("15.4", 2023, 12, 7),
    release("15.5", 2024, 12, 31),
    release("15.6", 2026, 4, 30),
    release("16.0", 2027, 10, 31),
];

/// Oracle, «Lifetime Support Policy: Operating Systems», Premier Support.
const ORACLE_RELEASES: &[Release] = &[
    release("7", 2024, 12, 31),
    release("8", 2029, 7, 31),
    release("9", 2032, 6, 30),
    release("10", 2035, 6, 30),
];

/// Broadcom's life cycle, as endoflife.date has it; that of 5.0 is open.
const PHOTON_RELEASES: &[Release] = &[
    release("1.0", 2022, 2, 28),
    release("2.0", 2022, 12, 1),
    release("3.0", 2025, 10, 2),
    release("4.0", 2027, 10, 11),
];

/// Red Hat, «Enterprise Linux Life Cycle», maintenance support.
const RHEL_RELEASES: &[Release] = &[
    release("6", 2020, 11, 30),
    release("7", 2024, 6, 30),
    release("8", 2029, 5, 31),
    release("9", 2032, 5, 31),
    release("10", 2035, 5, 31),
];

/// Rocky's wiki, «Rocky Linux Release and Version Guide».
const ROCKY_RELEASES: &[Release] =
    &[release("8", 2029, 5, 31), release("9", 2032, 5, 31), release("10", 2035, 5, 31)];

/// SUSE, «Product Support Lifecycle», general support.
const SLE_RELEASES: &[Release] = &[
    release("12.5", 2024, 10, 31),
    release("15.1", 2021, 1, 31),
    release("15.2", 2021, 12, 31),
    release("15.3", 2022, 12, 31),
    release("15.4", 2023, 12, 31),
    release("15.5", 2024, 12, 31),
    release("15.6", 2025, 12, 31),
    release("15.7", 2031, 7, 31),
    release("16.0", 2027, 11, 30),
    release("16.1", 2028, 11, 30),
];

/// A row of the rpm family.
const fn rpm_based(
    id: &'static str,
    releases: &'static [Release],
    release_variable: ReleaseVariable,
    scanner_names: &'static [&'static str],
) -> Distro {
    let family = Family::Rpm;
    Distro { id, family, releases, base_aliases: &[], scanner_names, release_variable }
}

/// A row of another family.
const fn other(
    id: &'static str,
    family: Family,
    releases: &'static [Release],
    base_aliases: &'static [&'static str],
) -> Distro {
    let release_variable = ReleaseVariable::Unknown;
    Distro { id, family, releases, base_aliases, scanner_names: &[], release_variable }
}

/// The distributions that we know, sorted by `ID`.
pub const DISTROS: &[Distro] = &[
    rpm_based("almalinux", ALMALINUX_RELEASES, ReleaseVariable::Major, &["alma"]),
    other("alpine", Family::Apk, ALPINE_RELEASES, &[]),
    // Its `$releasever` is a day's version such as `2023.5.20240805`.
    rpm_based("amzn", AMAZON_RELEASES, ReleaseVariable::Unknown, &["amazon", "amazonlinux"]),
    rpm_based("azurelinux", AZURE_RELEASES, ReleaseVariable::MajorAndMinor, &[]),
    rpm_based("centos", CENTOS_RELEASES, ReleaseVariable::Major, &["centos-stream"]),
    other("chainguard", Family::Apk, &[], &[]),
    other("debian", Family::Dpkg, DEBIAN_RELEASES, DEBIAN_ALIASES),
    // Devuan follows Debian's releases under numbers of its own, and announces no dates.
    other("devuan", Family::Dpkg, &[], DEBIAN_ALIASES),
    rpm_based("fedora", FEDORA_RELEASES, ReleaseVariable::Whole, &[]),
    other("kali", Family::Dpkg, &[], &["kali-rolling", "kali-last-snapshot"]),
    other("linuxmint", Family::Dpkg, &[], &[]),
    rpm_based("mariner", AZURE_RELEASES, ReleaseVariable::MajorAndMinor, &["cbl-mariner"]),
    rpm_based("ol", ORACLE_RELEASES, ReleaseVariable::Major, &["oracle", "oraclelinux"]),
    rpm_based("opensuse-leap", LEAP_RELEASES, ReleaseVariable::Whole, LEAP_NAMES),
    rpm_based("opensuse-tumbleweed", &[], ReleaseVariable::Whole, TUMBLEWEED_NAMES),
    rpm_based("photon", PHOTON_RELEASES, ReleaseVariable::MajorAndMinor, &[]),
    other("postmarketos", Family::Apk, &[], &[]),
    // Raspbian takes Debian's releases, but has no LTS project; so Debian's days are the latest possible.
    other("raspbian", Family::Dpkg, DEBIAN_RELEASES, DEBIAN_ALIASES),
    rpm_based("rhel", RHEL_RELEASES, ReleaseVariable::Major, &["redhat"]),
    rpm_based("rocky", ROCKY_RELEASES, ReleaseVariable::Major, &["rockylinux"]),
    rpm_based("sled", SLE_RELEASES, ReleaseVariable::Whole, SLE_NAMES),
    rpm_based("sles", SLE_RELEASES, ReleaseVariable::Whole, SLE_NAMES),
    other("ubuntu", Family::Dpkg, UBUNTU_RELEASES, &["devel"]),
    other("wolfi", Family::Apk, &[], &[]),
];

/// Why an image's distribution cannot be patched.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DistroError {
    /// The os-release file has no `ID`, and nothing in `ID_LIKE` helps.
    #[error("os-release has no field `ID`, supported are: {}", supported())]
    NoId,
    /// Neither `ID` nor `ID_LIKE` names a distribution of the table.
    #[error("unsupported distribution: {id}, supported are: {}", supported())]
    Unsupported {
        /// The `ID`.
        id: Excerpt,
    },
}

/// The supported distributions, for messages.
fn supported() -> String {
    let ids: Vec<&str> = DISTROS.iter().map(|distro| distro.id).collect();
    format!("{} and distributions made from them", ids.join(", "))
}

fn find(id: &str) -> Option<&'static Distro> {
    DISTROS.iter().find(|distro| distro.id == id)
}

/// The row for an image: that of its `ID`, else that of the first one known in `ID_LIKE`.
pub fn identify(os_release: &OsRelease) -> Result<&'static Distro, DistroError> {
    if let Some(distro) = find(os_release.id()).or_else(|| os_release.id_like().find_map(find)) {
        return Ok(distro);
    }
    if os_release.has_id() {
        return Err(DistroError::Unsupported { id: Excerpt::of(os_release.id()) });
    }
    Err(DistroError::NoId)
}

/// The last day on which the image's release gets security updates, if we know it. For releases older than all that we
/// know, it was at the latest that of the oldest.
///
/// Only by `ID`: `ID_LIKE` does not tell how a derived distribution is numbered or supported.
pub fn end_of_life(os_release: &OsRelease) -> Option<Date> {
    let version_id = os_release.version_id()?;
    let releases = find(os_release.id())?.releases;
    let is_older = |release: &&Release| numbers(version_id) < numbers(release.version_id);
    let oldest = releases.iter().min_by_key(|release| numbers(release.version_id)).filter(is_older);
    release_of(releases, version_id).or(oldest).map(|release| release.end_of_life)
}

/// The numbers of a release, for ordering; one that is not made of numbers is newer than all.
fn numbers(version: &str) -> Vec<u64> {
    version.split('.').map(|part| part.parse().unwrap_or(u64::MAX)).collect()
}

/// The value of `$releasever` in the addresses of rpm's repositories, if `VERSION_ID` gives it.
///
/// Only by `ID`, like the end of life.
pub fn release_variable(os_release: &OsRelease) -> Option<&str> {
    let version = os_release.version_id()?;
    let dots = match find(os_release.id())?.release_variable {
        ReleaseVariable::Whole => return Some(version),
        ReleaseVariable::Major => 1,
        ReleaseVariable::MajorAndMinor => 2,
        ReleaseVariable::Unknown => return None,
    };
    let end = version.match_indices('.').nth(dots - 1);
    end.map_or(Some(version), |(end, _)| version.get(..end))
}

/// The row that a version belongs to: `3.20` includes `3.20.3`.
fn release_of(releases: &'static [Release], version: &str) -> Option<&'static Release> {
    releases.iter().find(|release| is_within(version, release.version_id))
}

fn is_within(version: &str, release: &str) -> bool {
    version.strip_prefix(release).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

/// Whether two versions are of one release of a distribution: packages of one fit the other.
pub fn is_same_release(distro: &Distro, one: &str, other: &str) -> bool {
    let known =
        |version: &str| release_of(distro.releases, version).map(|release| release.version_id);
    is_within(one, other)
        || is_within(other, one)
        || known(one).is_some_and(|release| known(other) == Some(release))
}

/// The names under which a repository may offer the image's whole release: its code names and aliases.
pub fn base_suites<'a>(os_release: &'a OsRelease, distro: &Distro) -> Vec<&'a str> {
    let codenames = [os_release.version_codename(), os_release.base_codename()];
    codenames.into_iter().flatten().chain(distro.base_aliases.iter().copied()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOOKWORM: &str = "PRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\nNAME=\"Debian GNU/Linux\"\n\
        VERSION_ID=\"12\"\nVERSION=\"12 (bookworm)\"\nVERSION_CODENAME=bookworm\nID=debian\n\
        HOME_URL=\"https://www.debian.org/\"\n";

    #[test]
    fn a_real_one() {
        let os_release = OsRelease::parse(BOOKWORM.as_bytes());
        assert_eq!(os_release.id(), "debian");
        assert!(os_release.has_id());
        assert_eq!(os_release.version_id(), Some("12"));
        assert_eq!(os_release.version_codename(), Some("bookworm"));
        assert_eq!(os_release.pretty_name(), "Debian GNU/Linux 12 (bookworm)");
        assert_eq!(os_release.name(), Some("Debian GNU/Linux"));
        let distro = identify(&os_release).unwrap();
        assert_eq!((distro.id, distro.family), ("debian", Family::Dpkg));
        assert_eq!(end_of_life(&os_release), Some(date(2028, 6, 30)));
        assert_eq!(base_suites(&os_release, distro)[..2], ["bookworm", "stable"]);
    }

    #[test]
    fn values() {
        for (line, id) in [
            ("ID=debian", "debian"),
            ("ID=\"debian\"", "debian"),
            ("ID='debian'", "debian"),
            ("  ID=debian  ", "debian"),
            ("ID=debian\r", "debian"),
            ("ID=debian # why", "debian"),
            ("ID=\"a\\\"b\\\\\\$\\`\\c\"", "a\"b\\$`\\c"),
            ("ID='a\\'", "a\\"),
            ("ID=a\\ b", "a b"),
            ("ID=a\nID=b", "b"),
            ("ID=a\nID=\"b", "a"),
            ("ID=a\n#ID=b", "a"),
            ("ID=a\nID =b", "a"),
            ("ID=a\nID=\"b\"c", "a"),
            ("ID=", "linux"),
            ("ID=\"\"", "linux"),
            ("", "linux"),
            ("\u{0}\nnothing", "linux"),
        ] {
            assert_eq!(OsRelease::parse(line.as_bytes()).id(), id, "{line:?}");
        }
        assert_eq!(OsRelease::parse(b"ID=debian\nNAME=\xff\n").id(), "debian");
        assert!(!OsRelease::parse(b"NAME=x").has_id());
    }

    #[test]
    fn identified() {
        for (text, id) in [
            ("ID=ubuntu\nID_LIKE=debian", "ubuntu"),
            ("ID=pop\nID_LIKE=\"ubuntu debian\"", "ubuntu"),
            ("ID=neon\nID_LIKE=\"unknown debian\"", "debian"),
            ("ID_LIKE=debian", "debian"),
            ("ID=eurolinux\nID_LIKE=\"rhel fedora centos\"", "rhel"),
        ] {
            assert_eq!(identify(&OsRelease::parse(text.as_bytes())).unwrap().id, id, "{text}");
        }
        let list = "almalinux, alpine, amzn, azurelinux, centos, chainguard, debian, devuan, fedora, \
                    kali, linuxmint, mariner, ol, opensuse-leap, opensuse-tumbleweed, photon, \
                    postmarketos, raspbian, rhel, rocky, sled, sles, ubuntu, wolfi and distributions \
                    made from them";
        for (text, message) in [
            (
                "ID=plan9\nNAME=debian",
                format!("unsupported distribution: `plan9`, supported are: {list}"),
            ),
            ("NAME=debian", format!("os-release has no field `ID`, supported are: {list}")),
        ] {
            let error = identify(&OsRelease::parse(text.as_bytes())).unwrap_err();
            assert_eq!(error.to_string(), message);
        }
    }

    #[test]
    fn ends_of_life() {
        for (text, expected) in [
            ("ID=ubuntu\nVERSION_ID=\"22.04\"", Some(date(2027, 6, 1))),
            ("ID=debian", None),
            ("ID=debian\nVERSION_ID=5", Some(date(2018, 5, 31))),
            ("ID=debian\nVERSION_ID=99", None),
            ("ID=alpine\nVERSION_ID=3.9.6", Some(date(2021, 5, 1))),
            ("ID=fedora\nVERSION_ID=rawhide", None),
            ("ID=pop\nID_LIKE=ubuntu\nVERSION_ID=22.04", None),
        ] {
            assert_eq!(end_of_life(&OsRelease::parse(text.as_bytes())), expected, "{text}");
        }
    }

    #[test]
    fn variables_of_repositories() {
        for (id, version, expected) in [
            ("almalinux", "9.4", Some("9")),
            ("amzn", "2023", None),
            ("debian", "12", None),
            ("fedora", "43", Some("43")),
            ("foo", "1", None),
            ("mariner", "2.0.20240123", Some("2.0")),
            ("opensuse-leap", "15.6", Some("15.6")),
            ("photon", "5.0", Some("5.0")),
        ] {
            let text = format!("ID={id}\nVERSION_ID={version}\n");
            let os_release = OsRelease::parse(text.as_bytes());
            assert_eq!(release_variable(&os_release), expected, "{text}");
        }
    }

    #[test]
    fn the_table_is_sorted() {
        assert!(DISTROS.is_sorted_by(|left, right| left.id < right.id));
    }

    #[test]
    fn suites_of_a_derived_distribution() {
        let mint = OsRelease::parse(
            b"ID=linuxmint\nID_LIKE=\"ubuntu debian\"\nVERSION_CODENAME=wilma\nUBUNTU_CODENAME=noble\n",
        );
        assert_eq!(base_suites(&mint, identify(&mint).unwrap()), ["wilma", "noble"]);
    }
}
