//! Vulnerability reports: what a scanner found in an image.
//!
//! A report is read as a stream and folded into a [`Report`] while it is read, so memory grows with the findings kept,
//! not with the file. Each scanner's format has a module of its own.

mod guard;
pub mod trivy;

use std::fmt;
use std::io::{self, BufReader, Read};
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::package::{Architecture, Excerpt, PackageError, PackageName};
use guard::{Fault, Guard};

/// The largest report read, in bytes.
pub const SIZE_LIMIT: u64 = 128 << 20;
/// The most findings kept from one report.
pub const FINDING_LIMIT: usize = 250_000;
/// The deepest nesting of arrays and objects; real reports stay below 20.
pub const DEPTH_LIMIT: usize = 64;

/// The longest string in a report, in bytes; descriptions stay below a tenth of it.
pub const TEXT_LIMIT: usize = 1 << 20;

const VULNERABILITY_ID_LIMIT: usize = 128;
/// The longest version kept; anything longer is not a version.
const VERSION_LIMIT: usize = 1024;
/// The most fixed versions of one finding; distributions have one, rarely a few.
const FIXED_LIMIT: usize = 16;

/// The formats of reports that have a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ReportFormat {
    /// Whatever the marks in the data say.
    Auto,
    /// Trivy's own JSON.
    Trivy,
    /// Grype's own JSON.
    Grype,
    /// `CycloneDX` with vulnerabilities.
    CycloneDx,
    /// The generic format of copacetic.
    Copa,
    /// SARIF.
    Sarif,
}

impl fmt::Display for ReportFormat {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(match self {
            Self::Auto => "auto",
            Self::Trivy => "trivy",
            Self::Grype => "grype",
            Self::CycloneDx => "cyclonedx",
            Self::Copa => "copa",
            Self::Sarif => "sarif",
        })
    }
}

/// What a scanner found in one image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// The distribution the scanner saw, if it names one.
    pub os: Option<ReportedOs>,
    /// The image the scanner looked at.
    pub image: ReportedImage,
    /// The findings in packages of the distribution, sorted, each once.
    pub findings: Vec<Finding>,
    /// How many findings the report has in packages of programming languages. They are not kept.
    pub library_findings: usize,
}

/// The distribution as the scanner names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReportedOs {
    /// Mostly the `ID` of os-release(5), in the scanner's own spelling: `debian`, `alma`.
    pub family: String,
    /// The scanner's version of it, `12.15`; may be empty.
    pub name: String,
}

/// The image as the scanner names it. Where it gives no usable digest, there is none here.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ReportedImage {
    /// What the scanner was asked to look at: a reference, a path of an archive or directory.
    pub artifact_name: String,
    /// The digest of the image's configuration; of its manifest or index where the scanner read a
    /// containerd image store.
    pub image_id: Option<Digest>,
    /// The digests of the uncompressed layers, lowest first.
    pub diff_ids: Vec<Digest>,
    /// The digests by which registries know the image.
    pub repo_digests: Vec<Digest>,
    /// The architecture that the image's configuration names.
    pub architecture: Option<String>,
}

/// One vulnerability of one package.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Finding {
    /// The package.
    pub package: PackageName,
    /// Its architecture, if the report names it.
    pub architecture: Option<Architecture>,
    /// The vulnerability.
    pub id: VulnerabilityId,
    /// The version that is installed, as the scanner writes it.
    pub installed: Arc<str>,
    /// The versions that fix it, as the scanner writes them; none if there is no fix.
    pub fixed: Vec<Arc<str>>,
    /// How bad the scanner says it is.
    pub severity: Severity,
}

/// How bad a vulnerability is; later is worse.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// The scanner does not know.
    Unknown,
    /// Low.
    Low,
    /// Medium.
    Medium,
    /// High.
    High,
    /// Critical.
    Critical,
}

impl Severity {
    /// Reads a scanner's word in any case; a word that we do not know is [`Self::Unknown`].
    pub fn from_word(word: &str) -> Self {
        [Self::Low, Self::Medium, Self::High, Self::Critical]
            .into_iter()
            .find(|severity| severity.as_str().eq_ignore_ascii_case(word))
            .unwrap_or(Self::Unknown)
    }

    /// The word for it in lower case.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Critical => "critical",
        }
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.as_str())
    }
}

/// The name of a vulnerability in some database: `CVE-2026-1000`, `DSA-5000-1`, `RHSA-2026:1`.
///
/// Letters, digits and `-._:`, beginning with a letter or digit, 128 at most. Cheap to clone.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct VulnerabilityId(Arc<str>);

/// Why a text is not the name of a vulnerability.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("invalid vulnerability identifier: {text}")]
pub struct VulnerabilityIdError {
    /// The text.
    pub text: Excerpt,
}

impl VulnerabilityId {
    /// The text as it was given.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn from_shared(text: Arc<str>) -> Result<Self, VulnerabilityIdError> {
        let valid = text.len() <= VULNERABILITY_ID_LIMIT
            && text.starts_with(|start: char| start.is_ascii_alphanumeric())
            && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._:".contains(&byte));
        if valid { Ok(Self(text)) } else { Err(VulnerabilityIdError { text: Excerpt::of(&text) }) }
    }
}

impl FromStr for VulnerabilityId {
    type Err = VulnerabilityIdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::from_shared(Arc::from(text))
    }
}

impl TryFrom<String> for VulnerabilityId {
    type Error = VulnerabilityIdError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<VulnerabilityId> for String {
    fn from(id: VulnerabilityId) -> Self {
        id.as_str().to_owned()
    }
}

impl fmt::Display for VulnerabilityId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(&self.0)
    }
}

/// What a report that is not text looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BinaryKind {
    /// UTF-16, as older shells of Windows write redirected output.
    Utf16,
    /// A gzip file.
    Gzip,
    /// A Zstandard file.
    Zstandard,
    /// Something else.
    Other,
}

impl fmt::Display for BinaryKind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Utf16 => "it looks like UTF-16, which PowerShell writes; save it as UTF-8",
            Self::Gzip => "it looks like a gzip file; unpack it",
            Self::Zstandard => "it looks like a Zstandard file; unpack it",
            Self::Other => "a report is a JSON text",
        })
    }
}

/// Why a report cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    /// There is nothing in it.
    #[error("report is empty")]
    Empty,
    /// It ends in the middle.
    #[error("report is cut off at line {line}, column {column}")]
    Truncated {
        /// Where it ends.
        line: usize,
        /// Where it ends.
        column: usize,
    },
    /// It is not text.
    #[error("report is not UTF-8 text at byte {offset}: {kind}")]
    NotText {
        /// The offset of the first wrong byte.
        offset: u64,
        /// What it may be instead.
        kind: BinaryKind,
    },
    /// It is a text, but not JSON.
    #[error("report is not JSON at line {line}, column {column}: {message}")]
    NotJson {
        /// Where it is wrong.
        line: usize,
        /// Where it is wrong.
        column: usize,
        /// What is wrong.
        message: String,
    },
    /// Arrays and objects nested too deeply.
    #[error("report is nested more than {DEPTH_LIMIT} levels deep")]
    TooDeep,
    /// More than [`SIZE_LIMIT`] bytes, or more than [`TEXT_LIMIT`] in one string.
    #[error(
        "report is larger than {} MiB, or a single text in it than {} MiB",
        SIZE_LIMIT >> 20,
        TEXT_LIMIT >> 20
    )]
    TooLarge,
    /// More than [`FINDING_LIMIT`] findings.
    #[error("report has more than {FINDING_LIMIT} findings")]
    TooManyFindings,
    /// A format that we know, but do not read yet.
    #[error("reports in the format `{format}` cannot be read yet, only `trivy`")]
    FormatNotYet {
        /// The format.
        format: ReportFormat,
    },
    /// JSON without the marks of any format.
    #[error("report has none of the marks of a known format")]
    Unrecognised,
    /// The data is of another format than the one asked for.
    #[error("report is not in the format `{expected}`, it looks like `{found}`")]
    OtherFormat {
        /// What was asked for.
        expected: ReportFormat,
        /// What the marks say.
        found: ReportFormat,
    },
    /// Trivy's schema is not the one we read.
    #[error(
        "report has Trivy's schema version {found}, only 2 and the array before it are supported"
    )]
    SchemaVersion {
        /// Its version.
        found: i64,
    },
    /// A value is of another type than the format says.
    #[error("report has an unexpected value at line {line}, column {column}: {message}")]
    Shape {
        /// Where it is.
        line: usize,
        /// Where it is.
        column: usize,
        /// What was expected.
        message: String,
    },
    /// Something that each finding must have is not there.
    #[error("report lacks `{field}` in {place}")]
    MissingField {
        /// The field.
        field: &'static str,
        /// Where it should be: `Results[0].Vulnerabilities[3]`.
        place: String,
    },
    /// A finding is not about something that could be a vulnerability.
    #[error("report has an invalid finding in {place}: {source}")]
    VulnerabilityId {
        /// Where it is.
        place: String,
        /// What is wrong.
        source: VulnerabilityIdError,
    },
    /// A finding names something that cannot be a package.
    #[error("report has an invalid finding {finding}: {source}")]
    PackageName {
        /// Which finding.
        finding: VulnerabilityId,
        /// What is wrong.
        source: PackageError,
    },
    /// A finding's package URL has something that cannot be an architecture.
    #[error("report has an invalid finding {finding}: {source}")]
    Architecture {
        /// Which finding.
        finding: VulnerabilityId,
        /// What is wrong.
        source: PackageError,
    },
    /// A finding has a version longer than any.
    #[error(
        "report has an invalid finding {finding}: version is longer than {VERSION_LIMIT} characters: {text}"
    )]
    VersionTooLong {
        /// Which finding.
        finding: VulnerabilityId,
        /// The version's beginning.
        text: Excerpt,
    },
    /// A finding has more than sixteen fixed versions.
    #[error("report has an invalid finding {finding}: more than {FIXED_LIMIT} fixed versions")]
    TooManyFixes {
        /// Which finding.
        finding: VulnerabilityId,
    },
    /// The reader failed.
    #[error("reading the report failed")]
    Read(#[source] io::Error),
}

/// Reads a report of the `expected` format, or, for [`ReportFormat::Auto`], of whatever format it is.
pub fn parse(reader: impl Read, expected: ReportFormat) -> Result<Report, ReportError> {
    match expected {
        ReportFormat::Auto | ReportFormat::Trivy => {}
        ReportFormat::Grype
        | ReportFormat::CycloneDx
        | ReportFormat::Copa
        | ReportFormat::Sarif => return Err(ReportError::FormatNotYet { format: expected }),
    }
    let mut guard = Guard::new(reader).map_err(ReportError::Read)?;
    let mut folded = trivy::Folded::default();
    let outcome = {
        let buffered = BufReader::with_capacity(1 << 16, &mut guard);
        let mut deserializer = serde_json::Deserializer::from_reader(buffered);
        folded.read(&mut deserializer).and_then(|()| deserializer.end())
    };
    match outcome {
        Ok(()) => folded.finish(expected),
        Err(error) => Err(match guard.fault() {
            Some(fault) => fault.into(),
            None => folded.refusal().unwrap_or_else(|| json_error(error, guard.is_blank())),
        }),
    }
}

impl From<Fault> for ReportError {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::TooLarge | Fault::LongText => Self::TooLarge,
            Fault::TooDeep => Self::TooDeep,
            Fault::NotText { offset, kind } => Self::NotText { offset, kind },
        }
    }
}

fn json_error(error: serde_json::Error, is_blank: bool) -> ReportError {
    use serde_json::error::Category;

    let (line, column) = (error.line(), error.column());
    let mut message = error.to_string();
    if let Some(end) = message.rfind(" at line ") {
        message.truncate(end);
    }
    match error.classify() {
        Category::Io => ReportError::Read(error.into()),
        Category::Eof if is_blank => ReportError::Empty,
        Category::Eof => ReportError::Truncated { line, column },
        Category::Syntax => ReportError::NotJson { line, column, message },
        Category::Data => ReportError::Shape { line, column, message },
    }
}

#[cfg(test)]
mod tests;
