//! Version orders and ignore files against what the real tools say.
//!
//! The tables in `tests/data` hold verdicts of the real tools on what was made here. With
//! `UPDATE=1`, on a machine that has the tool, they are recorded anew.

#![expect(clippy::expect_used, reason = "a test fails by panicking")]

use std::cmp::Ordering;
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering as AtomicOrdering};
use std::{env, fs};

use suture::ignore::IgnoreFile;
use suture::pkgdb::apk::{self, Installed, World};
use suture::version::apk::ApkVersion;
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

fn made_deb_version(numbers: &mut Numbers) -> String {
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

const APK_PIECES: &[&str] = &[
    "0",
    "1",
    "9",
    "00",
    "01",
    "09",
    "2026",
    ".",
    ".",
    ".",
    ".0",
    ".00",
    ".1",
    ".01",
    ".10",
    ".010",
    "a",
    "b",
    "_alpha",
    "_beta1",
    "_pre",
    "_rc2",
    "_cvs",
    "_svn1",
    "_git20260101",
    "_hg",
    "_p",
    "_p1",
    "_p01",
    "-r0",
    "-r1",
    "-r10",
];

/// Pieces that few versions have; many make it invalid. None has the commit hash of apk 3, which the apk
/// that made the table does not know.
const ODD_APK_PIECES: &[&str] = &[
    "_",
    "-",
    "-r",
    "r",
    "-1",
    "ab",
    "A",
    "_foo",
    "_alphab",
    "_P1",
    "+",
    ":",
    "..",
    "-r01",
    "12345678901234567",
    "123456789012345678",
    "é",
    " ",
];

fn made_apk_version(numbers: &mut Numbers) -> String {
    let mut version = String::new();
    if numbers.below(20) != 0 {
        version.push_str(numbers.one_of(&["0", "1", "2", "10", "007"]));
    }
    for _ in 0..numbers.below(5) {
        let pieces = if numbers.below(25) == 0 { ODD_APK_PIECES } else { APK_PIECES };
        version.push_str(numbers.one_of(pieces));
    }
    if numbers.below(2) == 0 {
        version.push_str(numbers.one_of(&["-r0", "-r1", "-r2", "-r10"]));
    }
    version.trim().to_owned()
}

/// Another version that differs from `version` in little.
fn changed_version(version: &str, pieces: &[&str], numbers: &mut Numbers) -> String {
    let characters: Vec<char> = version.chars().collect();
    let position = numbers.below(characters.len() + 1);
    let (before, after) = characters.split_at(position);
    let skipped = numbers.below(2);
    let inserted = if numbers.below(3) == 0 { "" } else { numbers.one_of(pieces) };
    let changed: String = before
        .iter()
        .copied()
        .chain(inserted.chars())
        .chain(after.iter().skip(skipped).copied())
        .collect();
    changed.trim().to_owned()
}

fn made_pairs(made_version: fn(&mut Numbers) -> String, pieces: &[&str]) -> Vec<(String, String)> {
    let mut numbers = Numbers(20_261_121);
    let mut pairs = BTreeSet::new();
    while pairs.len() < PAIRS {
        let left = made_version(&mut numbers);
        let right = if numbers.below(3) == 0 {
            made_version(&mut numbers)
        } else {
            changed_version(&left, pieces, &mut numbers)
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

fn our_deb_validity(version: &str) -> &'static str {
    if DebVersion::parse(version).is_ok() {
        "valid"
    } else if DebVersion::parse_recorded(version).is_ok() {
        "odd"
    } else {
        "invalid"
    }
}

fn deb_pairs() -> Vec<(String, String)> {
    made_pairs(made_deb_version, PIECES)
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

fn our_deb_order(left: &str, right: &str) -> &'static str {
    let read =
        |text| DebVersion::parse_recorded(text).expect("the table says that it is a version");
    sign(read(left).cmp(&read(right)))
}

fn sign(order: Ordering) -> &'static str {
    match order {
        Ordering::Less => "<",
        Ordering::Equal => "=",
        Ordering::Greater => ">",
    }
}

/// The table: first each version with its validity, then each pair of usable ones with its order.
fn table(
    pairs: &[(String, String)],
    validity: impl Fn(&str) -> &'static str,
    order: impl Fn(&str, &str) -> &'static str,
) -> String {
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
    for (left, right) in pairs {
        if usable.contains(left.as_str()) && usable.contains(right.as_str()) {
            writeln!(text, "{left}\t{}\t{right}", order(left, right))
                .expect("a string takes everything");
        }
    }
    text
}

/// Compares our table with the recorded one.
fn check(path: &Path, ours: &str, least: usize) {
    let recorded = fs::read_to_string(path).expect("the table can be read");
    let differences: Vec<_> = recorded
        .lines()
        .zip(ours.lines())
        .filter(|(theirs, ours)| theirs != ours)
        .take(20)
        .collect();
    assert!(differences.is_empty(), "(the real tool, suture): {differences:#?}");
    assert_eq!(recorded.lines().count(), ours.lines().count());
    // The table is worth something only if enough of it is an order.
    let pairs = recorded.lines().filter(|line| line.split('\t').count() == 3).count();
    assert!(pairs >= least, "{pairs} pairs");
}

fn table_path(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/data/versions").join(name)
}

#[test]
fn deb_versions_as_dpkg() {
    let path = table_path("deb.tsv");
    if env::var_os("UPDATE").is_some() && Command::new("dpkg").arg("--version").output().is_ok() {
        fs::write(&path, table(&deb_pairs(), dpkg_validity, dpkg_order))
            .expect("the table can be written");
    }
    check(&path, &table(&deb_pairs(), our_deb_validity, our_deb_order), 2500);
}

/// The real apk, in an Alpine root file system unpacked for as long as this lives.
struct RealApk(PathBuf);

impl RealApk {
    /// The apk of the root file system that the lab uses, if the machine has that and we may run it.
    fn find() -> Option<Self> {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let images = env::var_os("SUTURE_LAB_ALPINE").map_or_else(
            || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared/images"),
            PathBuf::from,
        );
        let archive = images.join("alpine-minirootfs-3.20.3-x86_64.tar.gz");
        if !archive.is_file() {
            return None;
        }
        let root = env::temp_dir().join(format!(
            "suture-apk-{}-{}",
            std::process::id(),
            COUNT.fetch_add(1, AtomicOrdering::Relaxed)
        ));
        fs::create_dir(&root).expect("a folder can be made");
        let apk = Self(root);
        let unpacked = Command::new("tar").arg("-C").arg(&apk.0).arg("-xzf").arg(archive).status();
        assert!(unpacked.expect("tar runs").success());
        let runs = apk.output(&["--version"]).is_some();
        runs.then_some(apk)
    }

    /// What apk says, if it says so with success.
    fn output(&self, arguments: &[&str]) -> Option<String> {
        let mut command = Command::new("chroot");
        command.arg(&self.0).arg("/sbin/apk").args(arguments).stderr(Stdio::null());
        let output = command.output().ok()?;
        output.status.success().then(|| String::from_utf8(output.stdout).expect("apk says text"))
    }

    fn validity(&self, version: &str) -> &'static str {
        match self.output(&["version", "--check", "--", version]) {
            // apk takes no version at all for a valid one.
            Some(_) if !version.is_empty() => "valid",
            // Such a package is installed all the same.
            None if version.bytes().all(|byte| byte.is_ascii_graphic()) => "odd",
            Some(_) | None => "invalid",
        }
    }

    fn order(&self, left: &str, right: &str) -> &'static str {
        let order = self.output(&["version", "--test", "--", left, right]);
        match order.expect("apk compares everything").trim_end() {
            "<" => "<",
            "=" => "=",
            _ => ">",
        }
    }
}

impl Drop for RealApk {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).expect("a folder can be removed");
    }
}

fn our_apk_validity(version: &str) -> &'static str {
    if ApkVersion::parse(version).is_ok() {
        "valid"
    } else if ApkVersion::parse_recorded(version).is_ok() {
        "odd"
    } else {
        "invalid"
    }
}

fn our_apk_order(left: &str, right: &str) -> &'static str {
    let read =
        |text| ApkVersion::parse_recorded(text).expect("the table says that it is a version");
    sign(read(left).cmp(&read(right)))
}

#[test]
fn apk_versions_as_apk() {
    let path = table_path("apk.tsv");
    let pairs = made_pairs(made_apk_version, APK_PIECES);
    if env::var_os("UPDATE").is_some()
        && let Some(apk) = RealApk::find()
    {
        let validity = |version: &str| apk.validity(version);
        let recorded = table(&pairs, validity, |left, right| apk.order(left, right));
        fs::write(&path, recorded).expect("the table can be written");
    }
    check(&path, &table(&pairs, our_apk_validity, our_apk_order), 3500);
}

/// Not a recorded table: where there is no Alpine, there is nothing to compare.
#[test]
fn apk_databases_as_apk() {
    let Some(real) = RealApk::find() else { return };
    let read = |file: &str| fs::read(real.0.join(file)).expect("the file can be read");
    let world = World::parse(&read("etc/apk/world")).expect("valid");
    let database = read("lib/apk/db/installed");
    let installed = Installed::parse(&database, &world).expect("valid");

    let ours: Vec<String> = installed
        .database
        .packages()
        .iter()
        .map(|package| {
            let (name, version) = (&package.name, &package.version);
            format!("{name}-{version} {} {{{}}}", package.architecture, package.source.name)
        })
        .collect();
    let theirs = real.output(&["list", "--installed"]).expect("apk lists");
    let theirs: Vec<&str> =
        theirs.lines().filter_map(|line| Some(line.split_once(" (")?.0)).collect();
    assert!(!ours.is_empty());
    assert_eq!(ours, theirs);

    // apk lists only files, and says of which package they are.
    let files = apk::parse_files(&database);
    for package in installed.database.packages() {
        let name = package.name.as_str();
        let theirs = real.output(&["info", "--quiet", "--contents", name]).expect("apk lists");
        let theirs: BTreeSet<&str> = theirs.lines().filter(|line| !line.is_empty()).collect();
        let ours: BTreeSet<&str> = files
            .get(&package.name)
            .into_iter()
            .flat_map(|files| files.keys())
            .map(String::as_str)
            .collect();
        assert!(ours.is_superset(&theirs), "{name}");
        let beside: Vec<_> = ours.difference(&theirs).collect();
        let is_file = |path: &&&str| real.0.join(path).is_file();
        assert!(!beside.iter().any(is_file), "{name}: {beside:?}");
    }

    let architecture = String::from_utf8(read("etc/apk/arch")).expect("a text");
    let found = installed.architecture().expect("one");
    assert_eq!(found.as_str(), architecture.trim());
}

/// What `moby/patternmatcher` says of patterns made here, asked as the daemon asks it, folder by folder: the
/// number of the line that hides the path, `-`, or `refused`; the path; the lines of the ignore file with `|`
/// between them.
#[test]
fn ignore_files_as_the_daemon_reads_them() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/ignore/patterns.tsv");
    let table = fs::read_to_string(path).expect("the table");
    let mut wrong = Vec::new();
    for row in table.lines() {
        let mut columns = row.splitn(3, '\t');
        let mut column = || columns.next().expect("three columns");
        let (verdict, path, lines) = (column(), column(), column());
        let file = IgnoreFile::parse(lines.replace('|', "\n").as_bytes());
        let ours = match (file.refused(), file.hides(path)) {
            (Some(_), _) => "refused".to_owned(),
            (None, Some(rule)) => rule.line.to_string(),
            (None, None) => "-".to_owned(),
        };
        if ours != verdict {
            wrong.push(format!("{row}: {ours}"));
        }
    }
    assert!(wrong.is_empty(), "{} differ: {:#?}", wrong.len(), &wrong[..wrong.len().min(40)]);
}
