//! Version orders against what the real tools say.
//!
//! The tables in `tests/data/versions` hold verdicts of the real tools on versions made here. With
//! `UPDATE=1`, on a machine that has the tool, they are recorded anew.

#![expect(clippy::expect_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::{env, fs};

use suture::version::deb::DebVersion;

/// As many as make the table say something about every rule, and few enough to record in a minute.
const PAIRS: usize = 4000;

/// A small generator of numbers (Knuth's MMIX constants): the same sequence everywhere and for ever.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, limit: usize) -> usize {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from((self.0 >> 33) % limit as u64).unwrap_or_default()
    }

    fn one_of<'a>(&mut self, choices: &[&'a str]) -> &'a str {
        let index = self.below(choices.len());
        choices.get(index).copied().unwrap_or_default()
    }
}

const PIECES: &[&str] = &[
    "0", "1", "9", "10", "00", "01", "100", "2026", "a", "b", "z", "A", "Z", "rc", "alpha", "beta",
    "dfsg", "really", "deb12u", "ubuntu", "build", "bpo", "+", ".", ".", ".", "~", "~~", "-", ":",
    "+b1", "+really", "~rc1", "~bpo12+1", "+deb12u1",
];

/// Pieces that hardly a version has; most make it invalid.
const ODD_PIECES: &[&str] =
    &["_", "/", "*", "!", "=", "^", "%", "@", " ", "--", "::", ".-", "-.", "~-", "$("];

const EPOCHS: &[&str] = &[
    "0:",
    "1:",
    "2:",
    "00:",
    "01:",
    "10:",
    "+0:",
    "-0:",
    "+1:",
    "-1:",
    ":",
    "a:",
    "1a:",
    "2147483647:",
    "2147483648:",
];

fn made_version(numbers: &mut Numbers) -> String {
    let mut version = String::new();
    if numbers.below(8) == 0 {
        version.push_str(numbers.one_of(EPOCHS));
    }
    // Most versions begin with a number; those that do not are a case of their own.
    if numbers.below(12) != 0 {
        version.push_str(numbers.one_of(&["0", "1", "2", "10", "007"]));
    }
    for _ in 0..numbers.below(5) {
        let pieces = if numbers.below(40) == 0 { ODD_PIECES } else { PIECES };
        version.push_str(numbers.one_of(pieces));
    }
    if numbers.below(2) == 0 {
        version.push('-');
        for _ in 0..=numbers.below(3) {
            version.push_str(
                numbers.one_of(&[
                    "0", "1", "2", "10", "01", ".1", "+b1", "+deb12u2", "~bpo1", "ubuntu1",
                ]),
            );
        }
    }
    // dpkg trims what surrounds a version; we are given versions without that.
    version.trim().to_owned()
}

/// Another version that differs from `version` in little.
fn changed_version(version: &str, numbers: &mut Numbers) -> String {
    let characters: Vec<char> = version.chars().collect();
    let position = numbers.below(characters.len() + 1);
    let (before, after) = characters.split_at(position);
    let skipped = numbers.below(2);
    let inserted = if numbers.below(3) == 0 { "" } else { numbers.one_of(PIECES) };
    let changed: String = before
        .iter()
        .copied()
        .chain(inserted.chars())
        .chain(after.iter().skip(skipped).copied())
        .collect();
    changed.trim().to_owned()
}

fn made_pairs() -> Vec<(String, String)> {
    let mut numbers = Numbers(20_261_121);
    let mut pairs = BTreeSet::new();
    while pairs.len() < PAIRS {
        let left = made_version(&mut numbers);
        let right = if numbers.below(3) == 0 {
            made_version(&mut numbers)
        } else {
            changed_version(&left, &mut numbers)
        };
        pairs.insert((left, right));
    }
    pairs.into_iter().collect()
}

fn dpkg(arguments: &[&str]) -> Option<i32> {
    let status = Command::new("dpkg").args(arguments).stderr(Stdio::null()).status();
    status.expect("dpkg runs").code()
}

/// `valid`, `odd` if dpkg has but a warning for it, or `invalid`.
fn dpkg_validity(version: &str) -> &'static str {
    if dpkg(&["--validate-version", "--", version]) == Some(0) {
        "valid"
    } else if dpkg(&["--compare-versions", "--", version, "eq", version]) == Some(0)
        && !version.is_empty()
    {
        // An empty version is allowed there, as «earlier than any».
        "odd"
    } else {
        "invalid"
    }
}

fn our_validity(version: &str) -> &'static str {
    if DebVersion::parse(version).is_ok() {
        "valid"
    } else if DebVersion::parse_recorded(version).is_ok() {
        "odd"
    } else {
        "invalid"
    }
}

fn dpkg_order(left: &str, right: &str) -> &'static str {
    if dpkg(&["--compare-versions", "--", left, "lt", right]) == Some(0) {
        "<"
    } else if dpkg(&["--compare-versions", "--", left, "eq", right]) == Some(0) {
        "="
    } else {
        ">"
    }
}

fn our_order(left: &str, right: &str) -> &'static str {
    let read =
        |text| DebVersion::parse_recorded(text).expect("the table says that it is a version");
    match read(left).cmp(&read(right)) {
        std::cmp::Ordering::Less => "<",
        std::cmp::Ordering::Equal => "=",
        std::cmp::Ordering::Greater => ">",
    }
}

/// The table: first each version with its validity, then each pair of usable ones with its order.
fn table(
    validity: impl Fn(&str) -> &'static str,
    order: impl Fn(&str, &str) -> &'static str,
) -> String {
    let pairs = made_pairs();
    let versions: BTreeSet<&str> =
        pairs.iter().flat_map(|(left, right)| [left.as_str(), right.as_str()]).collect();
    let mut text = String::new();
    let mut usable = BTreeSet::new();
    for version in versions {
        let verdict = validity(version);
        if verdict != "invalid" {
            usable.insert(version);
        }
        writeln!(text, "{verdict}\t{version}").expect("a string takes everything");
    }
    for (left, right) in &pairs {
        if usable.contains(left.as_str()) && usable.contains(right.as_str()) {
            writeln!(text, "{left}\t{}\t{right}", order(left, right))
                .expect("a string takes everything");
        }
    }
    text
}

#[test]
fn deb_versions_as_dpkg() {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/data/versions/deb.tsv");
    if env::var_os("UPDATE").is_some() && Command::new("dpkg").arg("--version").output().is_ok() {
        fs::write(&path, table(dpkg_validity, dpkg_order)).expect("the table can be written");
    }
    let recorded = fs::read_to_string(&path).expect("the table can be read");
    let ours = table(our_validity, our_order);
    let differences: Vec<_> = recorded
        .lines()
        .zip(ours.lines())
        .filter(|(theirs, ours)| theirs != ours)
        .take(20)
        .collect();
    assert!(differences.is_empty(), "(dpkg, suture): {differences:#?}");
    assert_eq!(recorded.lines().count(), ours.lines().count());
    // The table is worth something only if enough of it is an order.
    let pairs = recorded.lines().filter(|line| line.split('\t').count() == 3).count();
    assert!(pairs >= 2500, "{pairs} pairs");
}
