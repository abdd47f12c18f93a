//! Trivy's own JSON (`trivy image -f json`), schema version 2 and the array before it.
//!
//! The names are those of `types.Report`, `types.Result` and `types.DetectedVulnerability` in Trivy's
//! source; the fixtures in `tests/data/reports` were written by the real program. What is not obvious:
//!
//! * Trivy leaves out what is empty: an image without findings has no `Vulnerabilities`, a scan that found
//!   no packages no `Results`. Some tools that rewrite reports put `null` there.
//! * Keys come in any order after such a rewrite, so a result's `Class` may follow its findings.
//! * Several fixed versions are one string, separated by commas.
//! * The architecture is only in the package URL.
//! * Before 0.20 a report was the array of results alone. The image and its distribution are in the target of
//!   the distribution's result, `debian:10 (debian 10.2)`; there are no digests, no architectures, and mostly
//!   no `Class`: every other result is about a language's packages.

use std::collections::BTreeSet;
use std::fmt;
use std::io::Read;
use std::marker::PhantomData;
use std::mem;
use std::sync::Arc;

use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{
    DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor,
};

use super::{
    FINDING_LIMIT, FIXED_LIMIT, Finding, Report, ReportError, ReportFormat, ReportedImage,
    ReportedOs, Severity, VERSION_LIMIT, VulnerabilityId,
};
use crate::digest::Digest;
use crate::package::{Architecture, Excerpt, PackageName};

const SCHEMA_VERSION: i64 = 2;

/// The most digests kept of one list; an image has at most 127 layers.
const DIGEST_LIMIT: usize = 1000;

/// What has been read so far.
#[derive(Debug, Default)]
pub(super) struct Folded {
    marks: Marks,
    schema_version: Option<i64>,
    layout: Layout,
    artifact_name: String,
    metadata: RawMetadata,
    findings: Vec<Finding>,
    library_findings: usize,
    /// How many results were begun.
    results: usize,
    texts: Texts,
    /// Why reading was given up, where serde has no room for the reason.
    refusal: Option<ReportError>,
}

/// What is around the results.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Layout {
    /// An object, since 0.20.
    #[default]
    Object,
    /// Nothing: the report is their array.
    Array,
}

/// Keys of the outermost object that tell the formats apart.
#[derive(Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is one key, there or not")]
struct Marks {
    artifact_name: bool,
    results: bool,
    matches: bool,
    descriptor: bool,
    bom_format: bool,
    api_version: bool,
    updates: bool,
    runs: bool,
}

/// Each text once, however many findings have it.
#[derive(Debug, Default)]
struct Texts {
    known: BTreeSet<Arc<str>>,
}

impl Texts {
    fn share(&mut self, text: &str) -> Arc<str> {
        if let Some(known) = self.known.get(text) {
            return Arc::clone(known);
        }
        let shared: Arc<str> = Arc::from(text);
        self.known.insert(Arc::clone(&shared));
        shared
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct RawMetadata {
    #[serde(rename = "OS")]
    os: Option<Object<RawOs>>,
    #[serde(rename = "ImageID")]
    image_id: Option<String>,
    #[serde(rename = "DiffIDs")]
    diff_ids: Option<Digests>,
    repo_digests: Option<Digests>,
    image_config: Option<Object<RawImageConfig>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct RawImageConfig {
    architecture: Option<String>,
}

/// What Trivy calls a distribution that it could not make out (`pkg/scan/local/service.go`).
const UNKNOWN_OS: &str = "none";

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct RawOs {
    family: Option<String>,
    name: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct RawVulnerability {
    #[serde(rename = "VulnerabilityID")]
    vulnerability_id: Option<String>,
    pkg_name: Option<String>,
    pkg_identifier: Option<Object<RawIdentifier>>,
    installed_version: Option<String>,
    fixed_version: Option<String>,
    severity: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct RawIdentifier {
    #[serde(rename = "PURL")]
    purl: Option<String>,
}

/// A `T` from a JSON object. What serde derives would also accept an array of its fields.
#[derive(Debug)]
struct Object<T>(T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ObjectVisitor<T>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for ObjectVisitor<T> {
            type Value = Object<T>;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
                T::deserialize(MapAccessDeserializer::new(map)).map(Object)
            }
        }

        deserializer.deserialize_map(ObjectVisitor(PhantomData))
    }
}

/// The digests in an array of texts, alone or after `name@`. What is not a digest that we know cannot
/// be compared with anything and is skipped; so is everything after the limit.
#[derive(Debug, Default)]
struct Digests(Vec<Digest>);

impl<'de> Deserialize<'de> for Digests {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct DigestsVisitor;

        impl<'de> Visitor<'de> for DigestsVisitor {
            type Value = Digests;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("an array of digests")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Digests, A::Error> {
                let mut digests = Vec::new();
                while let Some(text) = sequence.next_element::<String>()? {
                    let digest = text.rsplit('@').next().and_then(|text| text.parse().ok());
                    if digests.len() < DIGEST_LIMIT {
                        digests.extend(digest);
                    }
                }
                Ok(Digests(digests))
            }
        }

        deserializer.deserialize_seq(DigestsVisitor)
    }
}

impl Folded {
    /// Reads one JSON value.
    pub(super) fn read<R: Read>(
        &mut self,
        deserializer: &mut serde_json::Deserializer<serde_json::de::IoRead<R>>,
    ) -> serde_json::Result<()> {
        Document(self).deserialize(deserializer)
    }

    /// The reason why [`Self::read`] failed, if it lies in the content.
    pub(super) fn refusal(&mut self) -> Option<ReportError> {
        self.refusal.take()
    }

    /// The report, if it was one of Trivy's.
    pub(super) fn finish(self, expected: ReportFormat) -> Result<Report, ReportError> {
        match (self.format(), expected) {
            (None, _) => return Err(ReportError::Unrecognised),
            (Some(ReportFormat::Trivy), _) => {}
            (Some(format), ReportFormat::Auto) => {
                return Err(ReportError::FormatNotYet { format });
            }
            (Some(found), expected) => return Err(ReportError::OtherFormat { expected, found }),
        }
        match (self.layout, self.schema_version) {
            (Layout::Array, _) | (Layout::Object, Some(SCHEMA_VERSION)) => {}
            (Layout::Object, Some(found)) => return Err(ReportError::SchemaVersion { found }),
            (Layout::Object, None) => {
                let place = "the report".to_owned();
                return Err(ReportError::MissingField { field: "SchemaVersion", place });
            }
        }
        let mut findings = self.findings;
        findings.sort_unstable();
        findings.dedup();
        let metadata = self.metadata;
        Ok(Report {
            os: metadata.os.and_then(|Object(os)| {
                let family = os.family.unwrap_or_default();
                let name = os.name.unwrap_or_default();
                (family != UNKNOWN_OS).then_some(ReportedOs { family, name })
            }),
            image: ReportedImage {
                artifact_name: self.artifact_name,
                image_id: metadata.image_id.and_then(|text| text.parse().ok()),
                diff_ids: metadata.diff_ids.unwrap_or_default().0,
                repo_digests: metadata.repo_digests.unwrap_or_default().0,
                architecture: metadata.image_config.and_then(|Object(it)| it.architecture),
            },
            findings,
            library_findings: self.library_findings,
        })
    }

    fn format(&self) -> Option<ReportFormat> {
        let marks = &self.marks;
        let formats = [
            (ReportFormat::Trivy, self.schema_version.is_some()),
            (ReportFormat::Trivy, self.layout == Layout::Array && self.results > 0),
            (ReportFormat::Grype, marks.matches && marks.descriptor),
            (ReportFormat::CycloneDx, marks.bom_format),
            (ReportFormat::Copa, marks.api_version && marks.updates),
            (ReportFormat::Sarif, marks.runs),
            (ReportFormat::Trivy, marks.results && marks.artifact_name),
        ];
        formats.into_iter().find(|(_, is_marked)| *is_marked).map(|(format, _)| format)
    }

    /// Gives up. The error returned is for serde alone; [`Self::refusal`] has the reason.
    fn refuse<E: serde::de::Error>(&mut self, reason: ReportError) -> E {
        self.refusal = Some(reason);
        E::custom("refused")
    }

    /// Gives up because the current result lacks a field.
    fn refuse_without<E: serde::de::Error>(&mut self, field: &'static str) -> E {
        let place = self.place(None).to_string();
        self.refuse(ReportError::MissingField { field, place })
    }

    /// A place in the current result.
    fn place(&self, vulnerability: Option<usize>) -> Place {
        Place { layout: self.layout, result: self.results, vulnerability }
    }

    /// The class of a result that need not name one; takes the image and its distribution from the target.
    fn class_of_target(&mut self, target: &str, kind: Option<&str>) -> Class {
        let Some(OsTarget { artifact_name, family, name }) = OsTarget::parse(target, kind) else {
            return Class::LanguagePackages;
        };
        artifact_name.clone_into(&mut self.artifact_name);
        let os = RawOs { family: Some(family.to_owned()), name: Some(name.to_owned()) };
        self.metadata.os = Some(Object(os));
        Class::OsPackages
    }

    /// Checks a finding of a package of the distribution.
    fn finding(&mut self, raw: &RawVulnerability, place: &Place) -> Result<Finding, ReportError> {
        let missing = |field| ReportError::MissingField { field, place: place.to_string() };
        let id = raw.vulnerability_id.as_deref().ok_or_else(|| missing("VulnerabilityID"))?;
        let id = VulnerabilityId::from_shared(self.texts.share(id))
            .map_err(|source| ReportError::VulnerabilityId { place: place.to_string(), source })?;
        let name = raw.pkg_name.as_deref().ok_or_else(|| missing("PkgName"))?;
        let package = PackageName::from_shared(self.texts.share(name))
            .map_err(|source| ReportError::PackageName { finding: id.clone(), source })?;
        let purl = raw.pkg_identifier.as_ref().and_then(|Object(raw)| raw.purl.as_deref());
        let architecture = purl.and_then(architecture_of).filter(|text| !text.is_empty());
        let architecture = match architecture {
            Some(text) => Some(
                Architecture::from_shared(self.texts.share(text))
                    .map_err(|source| ReportError::Architecture { finding: id.clone(), source })?,
            ),
            None => None,
        };
        let installed =
            raw.installed_version.as_deref().ok_or_else(|| missing("InstalledVersion"))?;
        let fixed = raw.fixed_version.as_deref().unwrap_or_default();
        for text in [installed, fixed] {
            if text.len() > VERSION_LIMIT {
                let text = Excerpt::of(text);
                return Err(ReportError::VersionTooLong { finding: id, text });
            }
        }
        let fixed = fixed.split(',').map(str::trim).filter(|text| !text.is_empty());
        if fixed.clone().count() > FIXED_LIMIT {
            return Err(ReportError::TooManyFixes { finding: id });
        }
        Ok(Finding {
            package,
            architecture,
            id,
            installed: self.texts.share(installed),
            fixed: fixed.map(|text| self.texts.share(text)).collect(),
            severity: Severity::from_word(raw.severity.as_deref().unwrap_or_default()),
        })
    }
}

/// The qualifier `arch` of a package URL.
fn architecture_of(purl: &str) -> Option<&str> {
    let (_, qualifiers) = purl.split_once('?')?;
    let qualifiers = qualifiers.split('#').next()?;
    qualifiers.split('&').find_map(|qualifier| qualifier.strip_prefix("arch="))
}

/// The target of a distribution's packages in a report that is an array.
#[derive(Debug, PartialEq, Eq)]
struct OsTarget<'a> {
    artifact_name: &'a str,
    family: &'a str,
    name: &'a str,
}

impl<'a> OsTarget<'a> {
    /// Reads `debian:10 (debian 10.2)`; `kind` is the result's `Type`, which the first releases left out.
    /// A target of another form is a file with a language's packages.
    fn parse(target: &'a str, kind: Option<&'a str>) -> Option<Self> {
        let inside = target.strip_suffix(')')?;
        if let Some(family) = kind {
            let (artifact_name, name) = inside.rsplit_once(&format!(" ({family} "))?;
            return Some(Self { artifact_name, family, name });
        }
        let (artifact_name, os) = inside.split_once(" (")?;
        // A family may have several words: `suse linux enterprise server 15.1`.
        let (at, _) = os
            .match_indices(' ')
            .find(|(at, _)| os.as_bytes().get(at + 1).is_some_and(u8::is_ascii_digit))?;
        let (family, name) = os.split_at_checked(at)?;
        Some(Self { artifact_name, family, name: name.trim_start() })
    }
}

/// Where a finding is in the report.
struct Place {
    layout: Layout,
    result: usize,
    vulnerability: Option<usize>,
}

impl fmt::Display for Place {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self.layout {
            Layout::Object => "Results",
            Layout::Array => "",
        })?;
        write!(formatter, "[{}]", self.result)?;
        match self.vulnerability {
            Some(index) => write!(formatter, ".Vulnerabilities[{index}]"),
            None => Ok(()),
        }
    }
}

/// `Results[].Class` of Trivy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Class {
    OsPackages,
    LanguagePackages,
    /// Misconfigurations, secrets, licences: nothing that a package upgrade would fix.
    Other,
}

impl Class {
    fn from_word(word: &str) -> Self {
        match word {
            "os-pkgs" => Self::OsPackages,
            "lang-pkgs" => Self::LanguagePackages,
            _ => Self::Other,
        }
    }
}

/// The whole report.
struct Document<'a>(&'a mut Folded);

impl<'de> DeserializeSeed<'de> for Document<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Document<'_> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a report object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let folded = self.0;
        while let Some(key) = map.next_key::<String>()? {
            let marks = &mut folded.marks;
            match key.as_str() {
                "SchemaVersion" => {
                    folded.schema_version = map.next_value()?;
                    continue;
                }
                "ArtifactName" => {
                    marks.artifact_name = true;
                    folded.artifact_name = map.next_value::<Option<String>>()?.unwrap_or_default();
                    continue;
                }
                "Metadata" => {
                    let metadata = map.next_value::<Option<Object<RawMetadata>>>()?;
                    folded.metadata = metadata.map(|Object(raw)| raw).unwrap_or_default();
                    continue;
                }
                "Results" => {
                    marks.results = true;
                    map.next_value_seed(Results(folded))?;
                    continue;
                }
                "matches" => marks.matches = true,
                "descriptor" => marks.descriptor = true,
                "bomFormat" => marks.bom_format = true,
                "apiVersion" => marks.api_version = true,
                "updates" => marks.updates = true,
                "runs" => marks.runs = true,
                _ => {}
            }
            map.next_value::<IgnoredAny>()?;
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, sequence: A) -> Result<(), A::Error> {
        self.0.layout = Layout::Array;
        Results(self.0).visit_seq(sequence)
    }
}

/// The array `Results`, or null.
struct Results<'a>(&'a mut Folded);

impl<'de> DeserializeSeed<'de> for Results<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Results<'_> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an array of results")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<(), A::Error> {
        while sequence.next_element_seed(ResultSeed(self.0))?.is_some() {
            self.0.results += 1;
        }
        Ok(())
    }
}

/// One element of `Results`.
struct ResultSeed<'a>(&'a mut Folded);

#[derive(Deserialize)]
#[serde(field_identifier)]
enum ResultKey {
    Target,
    Type,
    Class,
    Vulnerabilities,
    #[serde(other)]
    Other,
}

impl<'de> DeserializeSeed<'de> for ResultSeed<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for ResultSeed<'_> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a result")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let folded = self.0;
        let (mut target, mut kind) = (None::<String>, None::<String>);
        let mut class = None;
        let mut read = Vulnerabilities::default();
        while let Some(key) = map.next_key()? {
            match key {
                ResultKey::Target => target = map.next_value()?,
                ResultKey::Type => kind = map.next_value()?,
                ResultKey::Class => {
                    class = map.next_value::<Option<String>>()?.as_deref().map(Class::from_word);
                }
                ResultKey::Vulnerabilities => {
                    let seed = VulnerabilitiesSeed { folded, class, read: &mut read };
                    map.next_value_seed(seed)?;
                }
                ResultKey::Other => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        if folded.layout == Layout::Array {
            let Some(target) = target else {
                let is_first = folded.results == 0;
                return Err(if is_first {
                    folded.refuse(ReportError::Unrecognised)
                } else {
                    folded.refuse_without("Target")
                });
            };
            let class_of_target = folded.class_of_target(&target, kind.as_deref());
            class = class.or(Some(class_of_target));
        }
        match class {
            Some(Class::OsPackages) => {
                if let Some(reason) = read.refusal {
                    return Err(folded.refuse(reason));
                }
                folded.findings.append(&mut read.findings);
            }
            Some(class) => {
                if class == Class::LanguagePackages {
                    folded.library_findings += read.count;
                }
                // They may hold the texts of findings that are not kept after all.
                folded.texts = Texts::default();
            }
            None if read.count == 0 => {}
            None => {
                return Err(folded.refuse_without("Class"));
            }
        }
        Ok(())
    }
}

/// The findings of one result, until it is clear whether they are kept.
#[derive(Debug, Default)]
struct Vulnerabilities {
    count: usize,
    findings: Vec<Finding>,
    /// The first finding that cannot be right. It does not matter if they turn out to be of another class.
    refusal: Option<ReportError>,
}

/// The array `Vulnerabilities`, or null.
struct VulnerabilitiesSeed<'a> {
    folded: &'a mut Folded,
    class: Option<Class>,
    read: &'a mut Vulnerabilities,
}

impl<'de> DeserializeSeed<'de> for VulnerabilitiesSeed<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for VulnerabilitiesSeed<'_> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an array of vulnerabilities")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<(), A::Error> {
        let Self { folded, class, read } = self;
        if matches!(class, Some(Class::LanguagePackages | Class::Other)) {
            while sequence.next_element::<IgnoredAny>()?.is_some() {
                read.count += 1;
            }
            return Ok(());
        }
        while let Some(Object(raw)) = sequence.next_element::<Object<RawVulnerability>>()? {
            let place = folded.place(Some(read.count));
            read.count += 1;
            if read.refusal.is_some() {
                continue;
            }
            if folded.findings.len() + read.findings.len() >= FINDING_LIMIT {
                read.refusal = Some(ReportError::TooManyFindings);
                read.findings = Vec::new();
                continue;
            }
            match folded.finding(&raw, &place) {
                Ok(finding) => read.findings.push(finding),
                Err(reason) => {
                    read.refusal = Some(reason);
                    read.findings = Vec::new();
                }
            }
            if class.is_some() && read.refusal.is_some() {
                let reason = mem::take(&mut read.refusal);
                return Err(reason
                    .map_or_else(|| A::Error::custom("refused"), |reason| folded.refuse(reason)));
            }
        }
        Ok(())
    }
}
