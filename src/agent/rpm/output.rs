//! Messages of the managers and rpm, by meaning.

use std::collections::BTreeSet;

use serde::Deserialize;

use crate::package::{Architecture, PackageName};
use crate::patch::task::{AgentFailure, Misfit};
use crate::repository::rpm::RpmRepository;
use crate::version::{Scheme, Version};

use super::super::Failure;
use super::super::process::Finished;
use super::super::words::{self, Meaning};
use super::manager::Listing;

/// Words by meaning; the first matching row decides.
const MEANINGS: &[Meaning] = &[
    (
        AgentFailure::NoSpace,
        &[
            "No space left on device",
            "more space needed on",
            "needed on the",
            "nsufficient space",
            "nsufficient disk space",
            "Failed writing received data to disk",
            "ot enough free space",
        ],
    ),
    (
        AgentFailure::Key,
        &[
            "signed with an unknown key",
            "Public key for",
            "public key is unavailable",
            "failed to match with known keys",
            "not correct for this package",
            "Failed to retrieve GPG key",
            "GPG key retrieval failed",
            // Where distributions have their keys.
            "file for file:///etc/pki/rpm-gpg/",
        ],
    ),
    (
        AgentFailure::Untrusted,
        &[
            "checksum doesn't match",
            "GPG check FAILED",
            "OpenPGP check for",
            "GPG signature verification",
            "is not signed",
            // microdnf's «package X cannot be verified and repo Y is GPG enabled».
            "is GPG enabled",
            "does not verify",
            "Digest verification failed",
            "ignature verification failed",
            "gpgcheck",
            "Package does not match intended download",
            "Checksum FAILED",
            "checksum does not match",
            "File size does not match",
            "RPM not signed",
            // yum's, of metadata.
            "Metadata file does not match checksum",
            "signature could not be verified",
        ],
    ),
    (
        AgentFailure::Unreachable,
        &[
            "Cannot download",
            "Failed to download",
            "Failed to synchronize cache",
            "Usable URL not found",
            "Valid metadata not found",
            "not been refreshed because of an error",
            "Download (curl) error",
            "cannot update repo",
            "Cannot retrieve repository metadata",
            "Cannot retrieve metalink",
            "One of the configured repositories failed",
            "Cannot find a valid baseurl",
            "No more mirrors to try",
            // tdnf's own, and those of libcurl that it passes on (`include/tdnferror.h`).
            "when downloading http",
            "Error(12",
        ],
    ),
];

/// Messages about one server of perhaps several: if they also say what does not fit together, another one has answered.
const OF_A_SERVER: &[Meaning] =
    &[(AgentFailure::Unreachable, &["Curl error", "Could not resolve host"])];

/// Messages of managers that succeed without a repository that does not answer, because the image allows it
/// (`skip_if_unavailable`), or that they do not know.
const UNANSWERED: [&str; 6] = [
    "Skipping refresh of",
    "Ignoring repositories:",
    "Usable URL not found",
    "Disabling Repo:",
    "Failed to synchronize cache for repo",
    // dnf 4, of a file of repositories that it cannot read.
    "failed loading '",
];

/// Words of lines that say why something cannot be upgraded.
const REASONS: [&str; 6] = [
    "conflicts with",
    "conflicting requests",
    "nothing provides",
    "requires",
    "obsoletes",
    "No available modular metadata",
];

/// Prefixes of lines that say why a program failed.
const ERRORS: [&str; 6] = ["Error: ", "error: ", "Problem: ", "Error(", "Failed to ", "package "];

/// The kind of failure that a program's output indicates, if any.
pub(super) fn meaning(finished: &Finished) -> Option<AgentFailure> {
    words::meaning(MEANINGS, finished)
        .or_else(|| words::meaning(OF_A_SERVER, finished).filter(|_| reason(finished).is_none()))
}

/// The failure that a program's output indicates.
pub(super) fn failure(program: &str, finished: &Finished) -> Failure {
    let kind = meaning(finished).unwrap_or(AgentFailure::PackageManager);
    let meanings = MEANINGS.iter().chain(OF_A_SERVER).filter(|(meant, _)| *meant == kind);
    let words: Vec<&str> = meanings.flat_map(|(_, words)| *words).copied().collect();
    let telling = |line: &&str| words.iter().any(|word| line.contains(word));
    let is_error = |line: &&str| ERRORS.iter().any(|start| line.starts_with(start));
    let because = lines(finished).find(telling).or_else(|| lines(finished).find(is_error));
    let because = because.map_or_else(|| finished.end(), str::to_owned);
    Failure::new(kind, format!("{program} failed: {because}"))
}

/// Whether rpm complains only about scripts whose packages were installed anyway.
pub(super) fn is_about_scripts_only(finished: &Finished) -> bool {
    let warns = |line: &str| line.starts_with("warning: ") && line.contains("scriptlet failed");
    lines(finished).any(warns) && !lines(finished).any(|line| line.starts_with("error: "))
}

/// A manager's line about a repository that it skipped.
pub(super) fn unanswered(finished: &Finished) -> Option<&str> {
    lines(finished).find(|line| UNANSWERED.iter().any(|words| line.contains(words)))
}

/// Whether words are about a repository: they contain the manager's name for it, or where it is.
pub(super) fn names(words: &str, repository: &RpmRepository) -> bool {
    let is_of_name = |sign: char| sign.is_ascii_alphanumeric() || "_.-".contains(sign);
    let by_id = words.match_indices(&repository.id).any(|(start, found)| {
        let before = words.get(..start).unwrap_or_default();
        let behind = words.get(start + found.len()..).unwrap_or_default();
        !before.ends_with(is_of_name) && !behind.starts_with(is_of_name)
    });
    let addresses = repository.addresses();
    let addresses = addresses.iter().map(|address| address.trim_end_matches('/'));
    by_id || addresses.filter(|address| !address.is_empty()).any(|address| words.contains(address))
}

/// The packages that lack what they need, or conflict with another one, according to `rpm --verify`: below a line for
/// each package, or on it (before rpm 4.15).
pub(super) fn misfits(verify: &str) -> Vec<Misfit> {
    const START: &str = "Unsatisfied dependencies for ";
    let mut name: Option<PackageName> = None;
    let mut misfits = Vec::new();
    for line in verify.lines() {
        let mut words = line.trim();
        if let Some((package, rest)) = words.strip_prefix(START).and_then(|it| it.split_once(':')) {
            name = package_name(package);
            words = rest.trim();
        } else if !line.starts_with([' ', '\t']) {
            name = None;
        }
        let Some(name) = &name else { continue };
        let forms = [
            (" is needed by ", "needs ", ", which is not installed"),
            (" conflicts with ", "does not go with ", ""),
            (" is obsoleted by ", "has a successor beside it: ", ""),
        ];
        let form = forms.iter().find_map(|(verb, before, behind)| {
            let (what, _) = words.split_once(verb)?;
            Some(format!("{before}{what}{behind}"))
        });
        misfits.extend(form.map(|because| Misfit { name: name.clone(), because }));
    }
    misfits
}

/// The name in `name-[epoch:]version-release.architecture`.
fn package_name(word: &str) -> Option<PackageName> {
    package(word).map(|(name, ..)| name)
}

/// The first line of `rpm -Kv` about something that is not as its author made it.
pub(super) fn damage(verbose: &str) -> Option<&str> {
    verbose.lines().map(str::trim).find(|line| line.contains(": BAD"))
}

/// The first line that says why packages cannot be upgraded; nothing if the failure is another one.
pub(super) fn reason(finished: &Finished) -> Option<String> {
    // Before that, yum explains at length what may be.
    let is_multilib = |line: &&str| line.contains("Protected multilib versions: ");
    let telling = |line: &&str| REASONS.iter().any(|word| line.contains(word));
    let is_problem = |line: &&str| line.contains("Problem") || after_number(line).is_some();
    let found = lines(finished)
        .find(is_multilib)
        .map(ToOwned::to_owned)
        .or_else(|| missing(finished))
        .or_else(|| lines(finished).find(telling).map(ToOwned::to_owned))
        .or_else(|| lines(finished).find(is_problem).map(ToOwned::to_owned))?;
    let found = after_number(&found).unwrap_or(&found);
    let start = ["- ", "Error: ", "error: ", "Problem: "];
    let found = start.into_iter().fold(found, |found, start| found.trim_start_matches(start));
    Some(found.to_owned())
}

/// What yum says in two lines: `Error: Package: NAME` and `Requires: NAME`.
fn missing(finished: &Finished) -> Option<String> {
    let mut following = lines(finished).skip(1);
    lines(finished).find_map(|line| {
        let needed = following.next()?.strip_prefix("Requires: ")?;
        Some(format!("{} requires {needed}", line.split_once("Package: ")?.1))
    })
}

/// Whether yum, which succeeds without repositories that do not answer, complains about a server. One of several may
/// have been enough.
pub(super) fn complains_about_servers(finished: &Finished) -> bool {
    ["[Errno ", "Could not retrieve mirrorlist"].iter().any(|it| finished.stderr.contains(it))
}

/// The names in a list of repositories: `!NAME/VARIABLES` before more columns, below their titles.
pub(super) fn repositories(list: &str) -> BTreeSet<&str> {
    let names = list.lines().skip(1).filter_map(|line| line.split_whitespace().next());
    names.filter_map(|name| name.trim_start_matches(['!', '*']).split('/').next()).collect()
}

/// What follows the number that tdnf gives each problem: `1. package …`.
fn after_number(line: &str) -> Option<&str> {
    let (number, rest) = line.split_once(". ")?;
    number.bytes().all(|byte| byte.is_ascii_digit()).then_some(rest)
}

/// Whether a reason is about a package: its name occurs alone or followed by a version.
pub(super) fn is_about(reason: &str, name: &PackageName) -> bool {
    let is_of_name = |sign: char| sign.is_ascii_alphanumeric() || "_+.-".contains(sign);
    reason.match_indices(name.as_str()).any(|(start, found)| {
        let before = reason.get(..start).unwrap_or_default();
        let behind = reason.get(start + found.len()..).unwrap_or_default();
        let version = behind.strip_prefix('-').unwrap_or_default();
        let is_version = version.starts_with(|sign: char| sign.is_ascii_digit());
        !before.ends_with(is_of_name) && (is_version || !behind.starts_with(is_of_name))
    })
}

fn lines(finished: &Finished) -> impl Iterator<Item = &str> {
    finished.stderr.lines().chain(finished.stdout.lines()).map(str::trim)
}

/// Whether each file has a good signature of a key that the image trusts, in the words of `rpm -Kv`:
/// a line for the file, and one more, indented, for each thing that was checked.
///
/// The exit code is not enough: it is 0 for a file without a signature.
pub(super) fn unsigned(verbose: &str) -> Vec<&str> {
    let mut files: Vec<(&str, bool)> = Vec::new();
    for line in verbose.lines() {
        let is_good = line.ends_with(": OK") && line.to_ascii_lowercase().contains("signature");
        if line.starts_with('/') {
            files.push((line.trim_end_matches(':'), false));
        } else if let Some((_, is_signed)) = files.last_mut() {
            // A file may have several signatures.
            *is_signed |= is_good;
        }
    }
    files.into_iter().filter(|(_, is_signed)| !is_signed).map(|(file, _)| file).collect()
}

/// A package that has a newer version.
#[derive(Debug, Clone)]
pub(super) struct Listed {
    /// Its name.
    pub(super) name: PackageName,
    /// Its architecture.
    pub(super) architecture: Architecture,
    /// That version as it is written there, if it is; tdnf before 3.5 leaves out the epoch.
    pub(super) version: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct JsonPackage {
    name: String,
    arch: String,
    evr: Option<String>,
}

/// Reads a list of packages that have a newer version, skipping what is not a package.
pub(super) fn listed(listing: Listing, text: &str) -> Vec<Listed> {
    let package = |name: &str, architecture: &str| {
        let (name, architecture) = (name.parse().ok()?, architecture.parse().ok()?);
        Some(Listed { name, architecture, version: None })
    };
    match listing {
        Listing::Words => text
            .lines()
            .filter_map(|line| line.split_once(' '))
            .filter_map(|(name, architecture)| package(name, architecture))
            .collect(),
        Listing::Json => {
            let packages: Vec<JsonPackage> = serde_json::from_str(text).unwrap_or_default();
            let listed =
                |it: JsonPackage| Some(Listed { version: it.evr, ..package(&it.name, &it.arch)? });
            packages.into_iter().filter_map(listed).collect()
        }
        Listing::Xml => text
            .split("<update ")
            .skip(1)
            .filter_map(|update| package(attribute(update, "name")?, attribute(update, "arch")?))
            .collect(),
        Listing::Table => text
            .lines()
            .filter(|line| line.starts_with(' ') && !line.starts_with("  "))
            .filter_map(|line| self::package(line.split_whitespace().next()?))
            .map(|(name, architecture, _)| Listed { name, architecture, version: None })
            .collect(),
        Listing::Columns => text
            .lines()
            .filter_map(|line| line.split_whitespace().next()?.rsplit_once('.'))
            .filter_map(|(name, architecture)| package(name, architecture))
            .collect(),
    }
}

/// Reads `name-[epoch:]version-release.architecture`.
pub(super) fn package(word: &str) -> Option<(PackageName, Architecture, Version)> {
    let (rest, architecture) = word.rsplit_once('.')?;
    let (rest, release) = rest.rsplit_once('-')?;
    let (name, version) = rest.rsplit_once('-')?;
    let version = Version::parse(Scheme::Rpm, &format!("{version}-{release}")).ok()?;
    Some((name.parse().ok()?, architecture.parse().ok()?, version))
}

/// The value of an attribute, from the rest of its tag.
fn attribute<'t>(tag: &'t str, name: &str) -> Option<&'t str> {
    let tag = tag.split('>').next()?;
    let (_, rest) = tag.split_once(&format!(" {name}=\""))?;
    rest.split('"').next()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finished(words: &str) -> Finished {
        Finished {
            exit_code: Some(1),
            signal: None,
            stdout: words.to_owned(),
            stderr: String::new(),
        }
    }

    #[test]
    fn packages_that_do_not_fit_are_named() {
        let verify = "Unsatisfied dependencies for lab-newdep-1.1-1.noarch:\n\
                      \tlab-dependency is needed by (installed) lab-newdep-1.1-1.noarch\n\
                      \tx >= 1:2 is needed by (installed) lab-newdep-1.1-1.noarch\n\
                      Unsatisfied dependencies for a-1-1.noarch: b is needed by (installed) a-1-1.noarch\n\
                      missing /usr/share is needed by nobody\n";
        let told: Vec<String> =
            misfits(verify).iter().map(|it| format!("{} {}", it.name, it.because)).collect();
        assert_eq!(
            told,
            [
                "lab-newdep needs lab-dependency, which is not installed",
                "lab-newdep needs x >= 1:2, which is not installed",
                "a needs b, which is not installed",
            ]
        );
    }

    #[test]
    fn reasons_are_about_whole_names() {
        for (reason, expected) in [
            ("package zlib-1.2.11-40.el9.x86_64 conflicts with x", true),
            ("nothing provides zlib", true),
            ("zlib >= 2 is needed", true),
            ("package zlib-devel-1.2.11-40.el9.x86_64 requires x", false),
            ("package perl-IO-zlib-1.0-1.noarch requires x", false),
            ("nothing provides libzlib2", false),
        ] {
            assert_eq!(is_about(reason, &"zlib".parse().unwrap()), expected, "{reason}");
        }
    }

    #[test]
    fn one_server_of_several_is_no_failure() {
        let dead = ">>> Curl error (7): Could not connect to server for http://x/a.rpm\n";
        let conflict = "Problem: installed package a-1-1.noarch conflicts with b\n";
        let last = "Failed to download packages\n";
        for (words, expected) in [
            ([dead, ""].concat(), Some(AgentFailure::Unreachable)),
            ([dead, conflict].concat(), None),
            ([dead, conflict, last].concat(), Some(AgentFailure::Unreachable)),
            // yum's advice has numbers before it, as tdnf's problems do.
            (
                "One of the configured repositories failed (Unknown),\n 1. Contact the upstream\n"
                    .to_owned(),
                Some(AgentFailure::Unreachable),
            ),
        ] {
            assert_eq!(meaning(&finished(&words)), expected, "{words}");
        }
    }

    #[test]
    fn repositories_that_are_done_without_are_told() {
        for (words, expected) in [
            (
                "Ignoring repositories: base, updates\nNothing to do.",
                Some("Ignoring repositories: base, updates"),
            ),
            (">>> Usable URL not found\nRepositories loaded.", Some(">>> Usable URL not found")),
            (
                "Disabling Repo: 'VMware Photon Linux 5.0 (x86_64) Updates'",
                Some("Disabling Repo: 'VMware Photon Linux 5.0 (x86_64) Updates'"),
            ),
            (
                "(microdnf:9): libdnf-WARNING **: 10:00:00: Skipping refresh of updates: cannot \
                 update repo 'updates'",
                Some(
                    "(microdnf:9): libdnf-WARNING **: 10:00:00: Skipping refresh of updates: cannot \
                     update repo 'updates'",
                ),
            ),
            (
                "Warning: failed loading '/etc/yum.repos.d/a.repo', skipping.",
                Some("Warning: failed loading '/etc/yum.repos.d/a.repo', skipping."),
            ),
            ("[MIRROR] x: Curl error (6): Could not resolve host\nComplete!", None),
        ] {
            assert_eq!(unanswered(&finished(words)), expected);
        }
    }

    #[test]
    fn words_have_meanings() {
        for (words, kind) in [
            (
                "x: Downloading successful, but checksum doesn't match.\nCannot download x",
                AgentFailure::Untrusted,
            ),
            ("Package x is not signed\nError: GPG check FAILED", AgentFailure::Untrusted),
            ("\tpackage x-1-1.noarch does not verify: no signature", AgentFailure::Untrusted),
            (
                "Errors during downloading metadata\n  - Curl error (7): Couldn't connect",
                AgentFailure::Unreachable,
            ),
            (
                "Some of the repositories have not been refreshed because of an error.",
                AgentFailure::Unreachable,
            ),
            ("cpio: write failed - No space left on device", AgentFailure::NoSpace),
            (
                "error: package x-1-1.noarch cannot be verified and repo updates is GPG enabled: \
                 /x.rpm could not be verified.",
                AgentFailure::Untrusted,
            ),
            (
                "Error: 404 when downloading http://x/x.rpm\nError(1622) : Invalid argument",
                AgentFailure::Unreachable,
            ),
            ("Error(1207) : Couldn't connect to server", AgentFailure::Unreachable),
            (
                "Error(1224) : Failed writing received data to disk/application",
                AgentFailure::NoSpace,
            ),
            ("Error: Problem: conflicting requests", AgentFailure::PackageManager),
        ] {
            let meaning = meaning(&finished(words)).unwrap_or(AgentFailure::PackageManager);
            assert_eq!(meaning, kind, "{words}");
        }
    }

    #[test]
    fn reasons() {
        for (words, expected) in [
            (
                "Error: \n Problem: problem with installed package a-1-1.noarch\n  - package b-1-1.noarch \
                 conflicts with a provided by a-1-1.noarch\n",
                Some("package b-1-1.noarch conflicts with a provided by a-1-1.noarch"),
            ),
            ("Problem: b-1-1.noarch conflicts with a", Some("b-1-1.noarch conflicts with a")),
            (
                "No available modular metadata for modular package 'a-1-1.noarch', it cannot be \
                 installed on the system\nError: No available modular metadata for modular package",
                Some(
                    "No available modular metadata for modular package 'a-1-1.noarch', it cannot be \
                     installed on the system",
                ),
            ),
            (
                "Error: \n Problem: a.i686 has inferior architecture",
                Some("a.i686 has inferior architecture"),
            ),
            (
                "1. package a-1:1-1.x86_64 is disabled\nFound 1 problem(s) while resolving\n\
                 Error(1301) : Solv general runtime error",
                Some("package a-1:1-1.x86_64 is disabled"),
            ),
            (
                "error: package b-1-1.noarch conflicts with a provided by a-1-1.noarch",
                Some("package b-1-1.noarch conflicts with a provided by a-1-1.noarch"),
            ),
            (
                "Error: Package: a-1.1-1.noarch (updates)\n           Requires: b\n You could try using \
                 --skip-broken to work around the problem",
                Some("a-1.1-1.noarch (updates) requires b"),
            ),
            (
                "Error:  Multilib version problems found. This often means that the root cause is something \
                 else and multilib version checking is just pointing out that there is a problem.\n \
                 1. You have an upgrade for a which is missing some dependency that another package \
                 requires.\n       Protected multilib versions: a-1-1.x86_64 != a-1-2.i686",
                Some("Protected multilib versions: a-1-1.x86_64 != a-1-2.i686"),
            ),
            ("nonsense", None),
        ] {
            assert_eq!(reason(&finished(words)).as_deref(), expected);
        }
    }

    #[test]
    fn repositories_that_answer() {
        let list = "repo id          repo name     status\n!base/7/x86_64   Lab           30\n*updates         Lab updates   3+1\n";
        assert_eq!(repositories(list), BTreeSet::from(["base", "updates"]));
    }

    #[test]
    fn scripts_that_fail() {
        for (words, expected) in [
            ("warning: %post(a-1-1.noarch) scriptlet failed, exit status 1", true),
            (
                "warning: %post(a-1-1.noarch) scriptlet failed, exit status 1\nerror: a-1-1.noarch: \
                 install failed",
                false,
            ),
            ("error: %prein(a-1-1.noarch) scriptlet failed, exit status 1", false),
            ("warning: a-1-1.noarch: Header V4 RSA/SHA256 Signature, key ID 1: NOKEY", false),
        ] {
            assert_eq!(is_about_scripts_only(&finished(words)), expected, "{words}");
        }
    }

    #[test]
    fn signatures() {
        let verbose = "/a/unsigned.rpm:\n    Header RSA signature: NOTFOUND\n    MD5 digest: OK\n\
            /a/signed.rpm:\n    Header V4 RSA/SHA256 Signature, key ID f782ffa6: OK\n    \
            Header SHA256 digest: OK\n    V4 RSA/SHA256 Signature, key ID f782ffa6: OK\n\
            /a/unknown.rpm:\n    Header V4 RSA/SHA256 Signature, key ID f782ffa6: NOKEY\n";
        assert_eq!(unsigned(verbose), ["/a/unsigned.rpm", "/a/unknown.rpm"]);
        assert_eq!(damage(verbose), None);
    }

    #[test]
    fn lists() {
        for (listing, text) in [
            (Listing::Words, "bash x86_64\nlab-multilib i686\n"),
            (
                Listing::Json,
                r#"[{"Name":"bash","Arch":"x86_64","Evr":"1-1"},{"Name":"lab-multilib","Arch":"i686"}]"#,
            ),
            (
                Listing::Xml,
                r#"<stream><update kind="package" name="bash" edition="1-1" arch="x86_64" edition-old="0"><summary/></update><update kind="package" name="lab-multilib" edition="1" arch="i686">"#,
            ),
            (
                Listing::Table,
                "Package                  Repository   Size\nUpgrading:\n bash-1:5.1.8-10.el9_4.x86_64   updates  6 kB\n  \
                 replacing bash-1:5-9.x86_64\n lab-multilib-1.1-1.i686   updates  6 kB\nTransaction Summary:\n Installing:   3 packages\n",
            ),
            (
                Listing::Columns,
                "Updated Packages\nbash.x86_64   5.1   updates\nlab-multilib.i686  1 updates\n",
            ),
        ] {
            let seen: Vec<String> = listed(listing, text)
                .iter()
                .map(|listed| format!("{}.{}", listed.name, listed.architecture))
                .collect();
            assert_eq!(seen, ["bash.x86_64", "lab-multilib.i686"], "{listing:?}");
        }
    }
}
