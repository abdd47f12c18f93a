//! What apt says, in its own English (`LC_ALL=C.UTF-8`).

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

use percent_encoding::percent_decode_str;

use crate::digest::Digest;
use crate::package::{Architecture, PackageName};
use crate::patch::task::{AgentFailure, LockedPackage, Skipped};
use crate::pkgdb::control::{Stanza, stanzas};
use crate::pkgdb::dpkg;
use crate::repository::local_path;
use crate::version::{Scheme, Version};

use super::super::process::Finished;
use super::super::words::{self, Meaning};
use super::repair::Complaint;

/// Messages of apt and dpkg by meaning; the first matching row decides.
const MEANINGS: &[Meaning] = &[
    (AgentFailure::NoSpace, &["No space left on device", "You don't have enough free space"]),
    (
        AgentFailure::Broken,
        &[
            "required for verification, but neither seems installed",
            "Couldn't create temporary file",
            "did not start correctly",
            "Failed to exec method",
            "Could not execute '",
            "Couldn't execute ",
        ],
    ),
    (AgentFailure::Untrusted, &["BADSIG", "REVKEYSIG"]),
    (AgentFailure::Expired, &["is expired", "is not valid yet"]),
    (AgentFailure::Key, KEYS),
    (
        AgentFailure::Inconsistent,
        &["Mirror sync in progress", "Hash Sum mismatch", "File has unexpected size"],
    ),
    (
        AgentFailure::Untrusted,
        &[
            "is not signed",
            "is no longer signed",
            "couldn't be verified",
            "could not be verified",
            "signatures were invalid",
            "Signed file isn't valid",
            "Clearsigned file isn't valid",
            "cannot be authenticated",
            "Insufficient information available to perform this download securely",
        ],
    ),
    (
        AgentFailure::Unreachable,
        &[
            "Failed to fetch",
            "Could not resolve",
            "Temporary failure resolving",
            "Could not connect",
            "Unable to connect",
            "Connection failed",
            "Connection timed out",
            "does not have a Release file",
            "Some index files failed to download",
        ],
    ),
];

/// Messages about keys that the image lacks, or that have expired: gpgv's, and those of sqv (apt 2.9 and later).
const KEYS: &[&str] =
    &["NO_PUBKEY", "EXPKEYSIG", "KEYEXPIRED", "Missing key ", "The primary key is not live"];

/// The kind of failure that a program's output indicates.
pub(super) fn failure_kind(finished: &Finished) -> AgentFailure {
    words::meaning(MEANINGS, finished).unwrap_or(AgentFailure::PackageManager)
}

/// Whether an update that reports success has left an index behind.
///
/// apt before 2.1 knows no `APT::Update::Error-Mode` and only warns.
pub(super) fn update_is_incomplete(stderr: &str) -> bool {
    stderr.lines().any(|line| {
        line.starts_with("W: Failed to fetch")
            || line.starts_with("W: Some index files failed to download")
            || line.starts_with("W: GPG error")
    })
}

/// Why a program failed: its first line that indicates this kind of failure, else the first error.
pub(super) fn because(kind: AgentFailure, finished: &Finished) -> String {
    let rows = MEANINGS.iter().filter(|(meant, _)| *meant == kind);
    let words: Vec<&str> = rows.flat_map(|(_, words)| *words).copied().collect();
    let mut lines = finished.stderr.lines().chain(finished.stdout.lines()).map(str::trim);
    let telling = lines.find(|line| words.iter().any(|word| line.contains(word)));
    let telling = telling.map(|line| {
        ["E: ", "W: "].iter().find_map(|level| line.strip_prefix(level)).unwrap_or(line)
    });
    let because = telling.or_else(|| first_error(&finished.stderr)).map(str::to_owned);
    words::breakage(finished).or(because).unwrap_or_else(|| finished.end())
}

/// The repositories that an update complains about, each with the kind of failure that its lines indicate.
pub(super) fn skipped(finished: &Finished) -> Vec<Skipped> {
    let asked: Vec<(&str, &str)> = finished.stdout.lines().filter_map(asked).collect();
    let mut lines: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for line in finished.stderr.lines().map(str::trim) {
        let Some(words) = ["E: ", "W: "].iter().find_map(|level| line.strip_prefix(level)) else {
            continue;
        };
        if let Some(repository) = repository(words).or_else(|| repository_of_index(words, &asked)) {
            lines.entry(repository).or_default().push(words);
        }
    }
    let of_lines = |(repository, lines): (String, Vec<&str>)| {
        let all = lines.join("\n");
        let (failure, words) = MEANINGS.iter().find_map(|(failure, words)| {
            let words: Vec<&str> = words.iter().copied().filter(|it| all.contains(it)).collect();
            (!words.is_empty()).then_some((*failure, words))
        })?;
        let telling = lines.iter().find(|line| words.iter().any(|word| line.contains(word)))?;
        // After the address, in the forms of `repository`.
        let reason = ["Release: ", "  "].iter().find_map(|end| telling.split_once(end));
        let reason = reason.map_or(*telling, |(_, reason)| reason).trim().to_owned();
        Some(Skipped { repository: words::without_credentials(&repository), failure, reason })
    };
    lines.into_iter().filter_map(of_lines).collect()
}

/// The repository that apt says it asks: `Get:1 ADDRESS SUITE InRelease`, also with other prefixes.
fn asked(line: &str) -> Option<(&str, &str)> {
    let mut words = line.split_whitespace().skip(1);
    let (address, suite, file) = (words.next()?, words.next()?, words.next()?);
    (file == "InRelease" || file == "Release").then_some((address, suite))
}

/// The repository whose index a message is about, among those that apt has asked.
fn repository_of_index(words: &str, asked: &[(&str, &str)]) -> Option<String> {
    let address = words.split_whitespace().find(|word| word.contains(":/"))?;
    let below = |(repository, suite): &&(&str, &str)| {
        let start = match suite.strip_suffix('/') {
            Some(path) => format!("{repository}/{path}"),
            None => format!("{repository}/dists/{suite}/"),
        };
        address.starts_with(&start)
    };
    asked.iter().find(below).map(|(repository, suite)| format!("{repository} {suite}"))
}

/// The repository that a message is about: `ADDRESS SUITE Release`, or `ADDRESS/dists/SUITE/Release`; `InRelease` too.
fn repository(words: &str) -> Option<String> {
    let mut rest = words.split_whitespace().skip_while(|word| !word.contains(":/"));
    let address = rest.next()?.trim_matches(['\'', '"', ',']);
    let (suite, file) = (rest.next().unwrap_or_default(), rest.next().unwrap_or_default());
    if file.trim_matches([':', '\'']).ends_with("Release") {
        return Some(format!("{address} {suite}"));
    }
    let (repository, file) = address.rsplit_once('/')?;
    if !file.ends_with("Release") {
        // An index; its release has its own lines.
        return None;
    }
    Some(match repository.split_once("/dists/") {
        Some((address, suite)) => format!("{address} {suite}"),
        None => format!("{repository} ./"),
    })
}

/// What `apt-get check` says about packages that do not fit: ` NAME : Depends: RELATION but WHY`, and more such fields
/// on the lines below.
pub(super) fn complaints(stdout: &str) -> Vec<Complaint> {
    let mut complaints = Vec::new();
    let (mut package, mut field) = (String::new(), String::new());
    for line in stdout.lines().filter(|line| line.starts_with(' ')) {
        let mut words = line.trim();
        if let Some((name, rest)) = words.split_once(" : ") {
            name.trim().clone_into(&mut package);
            words = rest;
        }
        // The second of two alternatives has no field of its own.
        if let Some((name, rest)) = words.split_once(": ") {
            name.trim().clone_into(&mut field);
            words = rest;
        }
        let Some((relation, why)) = words.trim().split_once(" but ") else { continue };
        // These are reported too, but prevent no upgrade.
        if matches!(field.as_str(), "Recommends" | "Suggests") {
            continue;
        }
        let why = why.trim().trim_end_matches(" or").to_owned();
        let (package, field) = (package.clone(), field.clone());
        complaints.push(Complaint { package, field, relation: relation.trim().to_owned(), why });
    }
    complaints
}

/// The hook that apt says has failed: `Problem executing scripts NAME 'COMMAND'`.
pub(super) fn hook(error: &str) -> Option<&str> {
    let (_, command) = error.strip_prefix("Problem executing scripts ")?.split_once(" '")?;
    command.strip_suffix('\'')
}

/// Whether a program that a package's script has started complains about the network.
pub(super) fn wants_network(finished: &Finished) -> bool {
    const WORDS: [&str; 6] = [
        "Temporary failure in name resolution",
        "Temporary failure resolving",
        "Could not resolve host",
        "Name or service not known",
        "unable to resolve host address",
        "Network is unreachable",
    ];
    WORDS.iter().any(|words| finished.stderr.contains(words) || finished.stdout.contains(words))
}

/// The first thing that dpkg or apt calls an error; what dpkg says about one package, or before it aborts, takes two
/// lines.
pub(super) fn first_error(stderr: &str) -> Option<&str> {
    const OF_TWO_LINES: [&str; 2] = ["dpkg: error processing ", "dpkg: unrecoverable fatal error"];
    let mut lines = stderr.lines().map(str::trim);
    let begins = |line: &&str| OF_TWO_LINES.iter().any(|start| line.starts_with(start));
    let second = lines.clone().skip_while(|line| !begins(line)).nth(1);
    second.or_else(|| {
        lines.find_map(|line| {
            line.strip_prefix("E: ").or_else(|| line.strip_prefix("dpkg: error: "))
        })
    })
}

/// What `apt-cache policy` says about a package.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Policy {
    /// The version that apt would take; `(none)` if it would take none.
    pub(super) candidate: Option<String>,
    /// All versions there are, with their priorities (`apt_preferences(5)`).
    pub(super) versions: Vec<(String, i32)>,
}

/// What `apt-cache policy` says, by apt's spelling of the packages' names.
pub(super) fn policies(text: &str) -> BTreeMap<String, Policy> {
    let mut policies = BTreeMap::new();
    let mut policy: Option<&mut Policy> = None;
    for line in text.lines() {
        if let Some(name) = line.strip_suffix(':').filter(|_| !line.starts_with(' ')) {
            policy = Some(policies.entry(name.to_owned()).or_default());
            continue;
        }
        let Some(policy) = policy.as_deref_mut() else { continue };
        if let Some(version) = line.trim_start().strip_prefix("Candidate: ") {
            policy.candidate = Some(version.trim().to_owned());
        } else if let Some(row) = line.strip_prefix("     ").or_else(|| line.strip_prefix(" *** "))
            && !row.starts_with(' ')
            && let Some((version, priority)) = row.split_once(' ')
            && let Ok(priority) = priority.trim().parse()
        {
            policy.versions.push((version.to_owned(), priority));
        }
    }
    policies
}

/// Versions of source packages, by the names and versions of packages made from them.
pub(super) type Sources = BTreeMap<(PackageName, String), Version>;

/// The source versions in the output of `apt-cache show`.
pub(super) fn sources(show: &str) -> Sources {
    let source = |stanza: Result<Stanza<'_>, _>| {
        let stanza = stanza.ok()?;
        let text = |field| stanza.field(field).and_then(|it| str::from_utf8(it.first).ok());
        let name: PackageName = text("Package")?.parse().ok()?;
        let text = text("Version")?;
        let version = Version::parse(Scheme::Deb, text).ok()?;
        let source = dpkg::source_of(&stanza, &name, &version);
        Some(((name, text.to_owned()), source.version))
    };
    stanzas(show.as_bytes()).filter_map(source).collect()
}

/// The packages that a simulation would remove.
pub(super) fn removals(simulation: &str) -> Vec<PackageName> {
    simulation
        .lines()
        .filter_map(|line| line.strip_prefix("Remv "))
        .filter_map(|rest| rest.split([' ', ':']).next()?.parse().ok())
        .collect()
}

/// The files in the output of `apt-get --print-uris`: `'URI' name_version_arch.deb SIZE HASH:…`.
///
/// A line that names no file, or has no SHA-256, is an error: its text.
pub(super) fn files(print_uris: &str) -> Result<Vec<LockedPackage>, String> {
    print_uris
        .lines()
        .filter(|line| line.starts_with('\''))
        .map(|line| file(line).ok_or_else(|| line.to_owned()))
        .collect()
}

fn file(line: &str) -> Option<LockedPackage> {
    let (source, rest) = line.strip_prefix('\'')?.split_once("' ")?;
    let mut words = rest.split(' ');
    let file = words.next()?;
    let digest: Digest = words
        .find_map(|word| word.strip_prefix("SHA256:"))
        .and_then(|hash| format!("sha256:{hash}").parse().ok())?;
    let mut parts = file.strip_suffix(".deb")?.splitn(3, '_');
    let (name, version, architecture) = (parts.next()?, parts.next()?, parts.next()?);
    let name: PackageName = name.parse().ok()?;
    let architecture: Architecture = architecture.parse().ok()?;
    // The name becomes a path, which must not lead elsewhere.
    if file.contains('/') {
        return None;
    }
    Some(LockedPackage {
        name,
        architecture,
        // apt quotes the colon of an epoch in file names, and nothing else a version can have.
        version: version.replace("%3a", ":").replace("%7e", "~").replace("%2b", "+"),
        file: file.to_owned(),
        digest,
        source: Some(words::without_credentials(source)),
    })
}

/// The file that apt uses in place, from a repository that is a folder.
pub(super) fn in_place(package: &LockedPackage) -> Option<PathBuf> {
    let path = local_path(package.source.as_deref()?)?;
    Some(OsString::from_vec(percent_decode_str(path).collect()).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_read_as_apt_prints_them() {
        let hash = "a".repeat(64);
        let text = format!(
            "Reading package lists...\n\
             'http://u:p@x.org/a/perl-base_5.36.0-7%2bdeb12u4_amd64.deb' \
             perl-base_5.36.0-7+deb12u4_amd64.deb 1609000 SHA256:{hash}\n\
             'http://x.org/l.deb' login_1%3a4.13+dfsg1-1_amd64.deb 1 SHA256:{hash} \n\
             'file:/srv/a%2bb/l.deb' l_1_all.deb 1 SHA256:{hash}\n"
        );
        let files = files(&text).unwrap();
        assert_eq!(files.len(), 3);
        assert_eq!(
            files.iter().map(in_place).collect::<Vec<_>>(),
            [None, None, Some(PathBuf::from("/srv/a+b/l.deb"))]
        );
        assert_eq!(files[0].version, "5.36.0-7+deb12u4");
        assert_eq!(
            files[0].source.as_deref(),
            Some("http://x.org/a/perl-base_5.36.0-7%2bdeb12u4_amd64.deb")
        );
        assert_eq!(
            (files[1].name.as_str(), files[1].version.as_str()),
            ("login", "1:4.13+dfsg1-1")
        );
    }

    #[test]
    fn a_file_without_a_strong_digest_is_refused() {
        assert!(files("'http://x/a.deb' a_1_all.deb 1 MD5Sum:abc").is_err());
        assert!(files("'http://x/a.deb' ../a_1_all.deb 1").is_err());
    }

    #[test]
    fn policies_are_read_by_package() {
        let text = "libc6:\n  Installed: 2.36-9\n  Candidate: 2.36-10\n  Version table:\n     \
                    2.36-11 -1\n        500 http://x bookworm/main amd64 Packages\n     2.36-10 500\n \
                    *** 2.36-9 100\n        100 /var/lib/dpkg/status\n     3.0 1\n        1 http://y\n\
                    libc6:i386:\n  Installed: 1\n  Candidate: (none)\n";
        let policies = policies(text);
        assert_eq!(policies["libc6"].candidate.as_deref(), Some("2.36-10"));
        let versions = [("2.36-11", -1), ("2.36-10", 500), ("2.36-9", 100), ("3.0", 1)];
        let versions = versions.map(|(version, priority)| (version.to_owned(), priority));
        assert_eq!(policies["libc6"].versions, versions);
        assert_eq!(policies["libc6:i386"].candidate.as_deref(), Some("(none)"));
    }

    #[test]
    fn skipped_repositories_are_told_with_their_reasons() {
        let finished = Finished {
            exit_code: Some(100),
            signal: None,
            stdout: "Get:1 http://d.org/debian bookworm InRelease [1 kB]\n".to_owned(),
            stderr: "W: GPG error: http://u:p@v.org/apt stable InRelease: The following signatures couldn't be \
                     verified because the public key is not available: NO_PUBKEY 0123\n\
                     E: The repository 'http://u:p@v.org/apt stable InRelease' is not signed.\n\
                     E: Failed to fetch http://g.org/x/dists/sid/InRelease  Could not connect to g.org:80\n\
                     E: The repository 'file:/srv/own ./ Release' does not have a Release file.\n\
                     E: Failed to fetch http://d.org/debian/dists/bookworm/main/binary-amd64/Packages  \
                     File has unexpected size (1 != 2). Mirror sync in progress?\n\
                     E: Some index files failed to download.\n"
                .to_owned(),
        };
        let told: Vec<String> = skipped(&finished)
            .into_iter()
            .map(|it| format!("{} {:?}", it.repository, it.failure))
            .collect();
        assert_eq!(
            told,
            [
                "file:/srv/own ./ Unreachable",
                "http://d.org/debian bookworm Inconsistent",
                "http://g.org/x sid Unreachable",
                "http://v.org/apt stable Key",
            ]
        );
    }

    #[test]
    fn complaints_are_read() {
        let text = "Reading package lists...\n\
                    The following packages have unmet dependencies:\n \
                    e2fsprogs : Depends: logsave but it is not installed\n \
                    foo : Depends: bar (>= 2) but 1.0 is installed or\n              \
                    baz but it is not installed\n       \
                    Breaks: qux (< 3) but 2.0 is installed\n       \
                    Recommends: more but it is not installable\n";
        let told: Vec<String> = complaints(text)
            .iter()
            .map(|it| format!("{} {} {}, {}", it.package, it.field, it.relation, it.why))
            .collect();
        assert_eq!(
            told,
            [
                "e2fsprogs Depends logsave, it is not installed",
                "foo Depends bar (>= 2), 1.0 is installed",
                "foo Depends baz, it is not installed",
                "foo Breaks qux (< 3), 2.0 is installed",
            ]
        );
    }

    #[test]
    fn words_have_meanings() {
        for (words, kind) in [
            ("E: The repository 'x' is not signed.", AgentFailure::Untrusted),
            ("E: Failed to fetch http://x  Hash Sum mismatch", AgentFailure::Inconsistent),
            ("W: GPG error: x: NO_PUBKEY 1\nE: 'x' is not signed.", AgentFailure::Key),
            ("W: GPG error: x: BADSIG 1\nE: 'x' is not signed.", AgentFailure::Untrusted),
            ("E: Failed to fetch http://x  Could not connect", AgentFailure::Unreachable),
            ("dpkg: error: cannot copy: No space left on device", AgentFailure::NoSpace),
            ("E: Unmet dependencies", AgentFailure::PackageManager),
        ] {
            let finished = Finished {
                exit_code: Some(100),
                signal: None,
                stdout: String::new(),
                stderr: words.to_owned(),
            };
            assert_eq!(failure_kind(&finished), kind, "{words}");
        }
        assert_eq!(first_error("x\nE: no\nE: never\n"), Some("no"));
        assert_eq!(
            first_error(
                "dpkg: error processing archive /a.deb (--unpack):\n trying to overwrite '/b', which is \
                 also in package c\nE: Sub-process /usr/bin/dpkg returned an error code (1)\n"
            ),
            Some("trying to overwrite '/b', which is also in package c")
        );
        assert_eq!(
            removals("Inst a [1] (2 x [amd64])\nRemv lab-victim [1]\nRemv b:i386 [1]\n")
                .iter()
                .map(PackageName::as_str)
                .collect::<Vec<_>>(),
            ["lab-victim", "b"]
        );
    }
}
