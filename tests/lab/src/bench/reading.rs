//! Large inputs, and what reading them takes.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::debian_root::DebianRoot;
use crate::folder::LabFolder;
use crate::frontend_image;
use crate::program;
use crate::rpm_tools::RpmTools;

/// The size of the report, in bytes.
const REPORT_SIZE: usize = 100_000_000;

/// The packages that the report has findings for.
const REPORTED_PACKAGES: usize = 700;

/// How often the packages of a small Debian are in the package database: more than 500 altogether.
const DATABASE_COPIES: usize = 7;

/// The packages of the rpm database.
const RPM_PACKAGES: usize = 500;

/// The entries of each package's change log. With them a header has some 80 kB, as many as the headers of
/// a distribution have.
const CHANGES: usize = 400;

/// The inputs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Input {
    /// A report of a scanner.
    Report,
    /// dpkg's database.
    Status,
    /// rpm's database.
    RpmDatabase,
}

impl Input {
    /// The word for it that the reader knows, and the name of its file.
    fn names(self) -> (&'static str, &'static str) {
        match self {
            Self::Report => ("report", "large-report.json"),
            Self::Status => ("status", "large-status"),
            Self::RpmDatabase => ("rpmdb", "large-rpmdb.sqlite"),
        }
    }
}

/// What reading an input once took.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Reading {
    /// The time, without the start of the process.
    pub(super) seconds: f64,
    /// The most memory that the process ever had, in bytes.
    pub(super) memory: u64,
    /// The findings or packages that were read.
    pub(super) count: u64,
}

/// A process that reads inputs with the frontend's own code and optimisation, each time anew.
#[derive(Debug)]
pub(super) struct Reader {
    program: PathBuf,
    home: PathBuf,
}

impl Reader {
    /// Builds the program and writes the inputs.
    pub(super) fn prepare(folder: &LabFolder) -> Result<Self> {
        let reader = Self {
            program: frontend_image::build_static(&[
                "--package",
                "suture-lab",
                "--example",
                "read_input",
            ])?,
            home: folder.folder("bench")?,
        };
        write_report(&reader.path(Input::Report))?;
        write_status(folder, &reader.path(Input::Status))?;
        write_rpm_database(folder, &reader.path(Input::RpmDatabase))?;
        Ok(reader)
    }

    /// Reads an input.
    pub(super) fn read(&self, input: Input) -> Result<Reading> {
        let (kind, _) = input.names();
        let mut command = Command::new(&self.program);
        let said = program::output(command.arg(kind).arg(self.path(input)))?;
        let said: Value = serde_json::from_str(&said).context("the reader does not say JSON")?;
        let number = |field: &str| said.get(field).context("the reader leaves something out");
        Ok(Reading {
            seconds: number("seconds")?.as_f64().context("no time")?,
            memory: number("memory")?.as_u64().context("no memory")?,
            count: number("count")?.as_u64().context("no count")?,
        })
    }

    /// The size of an input, in bytes.
    pub(super) fn size(&self, input: Input) -> Result<u64> {
        let path = self.path(input);
        let read = fs::metadata(&path).with_context(|| format!("cannot read: {}", path.display()));
        Ok(read?.len())
    }

    fn path(&self, input: Input) -> PathBuf {
        self.home.join(input.names().1)
    }
}

/// Writes a report of [`REPORT_SIZE`] in the shape of Trivy's own, unless it is there.
fn write_report(path: &Path) -> Result<()> {
    if path.exists() {
        return Ok(());
    }
    let unfinished = path.with_extension("unfinished");
    let failure = || format!("cannot write: {}", unfinished.display());
    let mut file = BufWriter::new(File::create(&unfinished).with_context(failure)?);
    let head = json!({
        "SchemaVersion": 2,
        "Trivy": { "Version": "lab" },
        "CreatedAt": "2026-11-21T09:16:05.654198389Z",
        "ArtifactName": "large:1",
        "ArtifactType": "container_image",
        "Metadata": { "OS": { "Family": "debian", "Name": "12.15" } },
    });
    let head = head.to_string();
    let head = head.strip_suffix('}').unwrap_or(&head);
    let result = "\"Target\":\"large:1 (debian 12.15)\",\"Class\":\"os-pkgs\",\"Type\":\"debian\"";
    write!(file, "{head},\"Results\":[{{{result},\"Vulnerabilities\":[").with_context(failure)?;
    let mut size = 0;
    for number in 0.. {
        // Trivy indents its reports, so the reader has blanks to skip.
        let finding = serde_json::to_string_pretty(&finding(number))?;
        size += finding.len();
        let comma = if number == 0 { "" } else { "," };
        write!(file, "{comma}\n{finding}").with_context(failure)?;
        if size >= REPORT_SIZE {
            break;
        }
    }
    write!(file, "]}}]}}").and_then(|()| file.flush()).with_context(failure)?;
    fs::rename(&unfinished, path).with_context(failure)
}

/// A finding with all that Trivy says of a real one.
fn finding(number: usize) -> Value {
    let package = format!("libexample{}", number % REPORTED_PACKAGES);
    let id = format!("CVE-2026-{}", 1000 + number / 3);
    let sentence = "A flaw was found in the way the library handles crafted input: a \"remote\" \
                    attacker could read beyond the end of a buffer \u{2014} or crash it.\n";
    let layer = format!("sha256:{}", "41".repeat(32));
    let references: Vec<_> =
        (0..12).map(|reference| format!("https://example.org/{id}/{reference}")).collect();
    json!({
        "VulnerabilityID": id,
        "PkgID": format!("{package}@1:2.36-9+deb12u14"),
        "PkgName": package,
        "PkgIdentifier": {
            "PURL": format!("pkg:deb/debian/{package}@2.36-9%2Bdeb12u14?arch=amd64&distro=debian-12.15&epoch=1"),
            "UID": "163a6e5e3a1cf2bf",
        },
        "InstalledVersion": "1:2.36-9+deb12u14",
        "FixedVersion": format!("1:2.36-9+deb12u{}", 15 + number % 5),
        "Status": "fixed",
        "Layer": { "Digest": layer, "DiffID": layer },
        "SeveritySource": "debian",
        "PrimaryURL": format!("https://example.org/{id}"),
        "DataSource": {
            "ID": "debian",
            "Name": "Debian Security Tracker",
            "URL": "https://example.org/tracker",
        },
        "Fingerprint": layer,
        "Title": "libexample: buffer over-read on crafted input",
        "Description": sentence.repeat(5),
        "Severity": "HIGH",
        "CweIDs": ["CWE-125", "CWE-787"],
        "VendorSeverity": { "amazon": 3, "nvd": 4, "redhat": 2, "ubuntu": 2 },
        "CVSS": {
            "nvd": { "V3Vector": "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:N/A:H", "V3Score": 9.1 },
            "redhat": { "V3Vector": "CVSS:3.1/AV:N/AC:H/PR:N/UI:R/S:U/C:L/I:N/A:L", "V3Score": 5 },
        },
        "References": references,
        "PublishedDate": "2026-01-02T03:04:05.123Z",
        "LastModifiedDate": "2026-06-07T08:09:10.123Z",
    })
}

/// Writes dpkg's database with every package of a small Debian under several names.
fn write_status(folder: &LabFolder, path: &Path) -> Result<()> {
    let status = DebianRoot::of_suite(folder, "bookworm")?.status;
    let status = fs::read_to_string(&status)
        .with_context(|| format!("cannot read: {}", status.display()))?;
    let mut text = String::new();
    for copy in 0..DATABASE_COPIES {
        for line in status.lines() {
            text.push_str(line);
            if line.starts_with("Package: ") {
                text.push_str(&format!("-{copy}"));
            }
            text.push('\n');
        }
    }
    fs::write(path, text).with_context(|| format!("cannot write: {}", path.display()))
}

/// Has rpm itself make a database of [`RPM_PACKAGES`] with long change logs, unless it is there.
fn write_rpm_database(folder: &LabFolder, path: &Path) -> Result<()> {
    if path.exists() {
        return Ok(());
    }
    let mut spec = String::from("Name: lab-0\nVersion: 1.0\nRelease: 1\n");
    spec.push_str("Summary: nothing\nLicense: MIT\n%description\nNothing.\n%files\n");
    for number in 1..RPM_PACKAGES {
        let name = format!("-n lab-{number}\n");
        spec.push_str(&format!("%package {name}Summary: nothing\n%description {name}Nothing.\n"));
        spec.push_str(&format!("%files {name}"));
    }
    spec.push_str("%changelog\n");
    for number in (0..CHANGES).rev() {
        let sentence = "- fix how the library handles crafted input, which could be read too far\n";
        spec.push_str(&format!("* Thu Jan 01 2026 Lab <lab@example.org> - 1.0-{number}\n"));
        spec.push_str(&sentence.repeat(2));
    }
    let tools = RpmTools::for_work(folder, "bench")?;
    let file = tools.path("large.spec");
    fs::write(&file, spec).with_context(|| format!("cannot write: {}", file.display()))?;
    tools.build("large.spec", "x86_64", "packages")?;
    tools.install("packages", "database")?;
    fs::rename(tools.path("database/rpmdb.sqlite"), path)
        .with_context(|| format!("cannot write: {}", path.display()))?;
    tools.clear()
}
