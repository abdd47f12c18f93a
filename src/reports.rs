//! Which reports are about the image at hand.

use crate::code::Code;
use crate::context::LoadedReport;
use crate::digest::Digest;
use crate::distro;
use crate::failure::Failure;
use crate::probe::Probe;
use crate::request::Problem;
use crate::subject::Subject;

/// The reports to go by.
#[derive(Clone, Debug)]
pub struct Relevant {
    /// Those about this image, as far as can be told.
    pub reports: Vec<LoadedReport>,
    /// What the user should know about the others.
    pub notices: Vec<Problem>,
}

/// Whether a report was made for an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Match {
    /// For this one.
    Same,
    /// It does not say.
    Unknown,
    /// For another one.
    Other,
}

/// The reports of each platform.
#[derive(Clone, Debug)]
pub struct Assigned {
    /// For each subject those about its platform; nothing if there is none although others have one.
    pub by_subject: Vec<Option<Vec<LoadedReport>>>,
    /// What the user should know about the others.
    pub notices: Vec<Problem>,
}

/// Assigns reports to platforms: by their named context, else by the image's digests, else by the architecture that the
/// report names, else by one in its file's name. A report that says nothing is about all platforms.
pub fn assign(reports: &[LoadedReport], subjects: &[&Subject]) -> Result<Assigned, Failure> {
    if subjects.len() < 2 && reports.iter().all(|loaded| loaded.platform.is_none()) {
        let by_subject = subjects.iter().map(|_| Some(reports.to_vec())).collect();
        return Ok(Assigned { by_subject, notices: Vec::new() });
    }
    let mut by_subject: Vec<Vec<LoadedReport>> = vec![Vec::new(); subjects.len()];
    let mut others = Vec::new();
    for loaded in reports {
        let mut fits: Vec<bool> = match &loaded.platform {
            Some(platform) => subjects.iter().map(|it| it.platform == *platform).collect(),
            None => subjects.iter().map(|subject| is_of_config(loaded, subject)).collect(),
        };
        if loaded.platform.is_none() && !fits.contains(&true) {
            let architecture = architecture_of(loaded);
            let is_its = |subject: &&Subject| {
                let own = subject.platform.architecture();
                architecture.as_deref().is_none_or(|architecture| architecture == own)
            };
            fits = subjects.iter().map(is_its).collect();
        }
        if !fits.contains(&true) {
            others.push(loaded.path.clone());
        }
        for (list, _) in by_subject.iter_mut().zip(fits).filter(|(_, fits)| *fits) {
            list.push(loaded.clone());
        }
    }
    let other = |path: &String| {
        let message = format!("{path} is left out, it is about none of the platforms");
        Problem::new(Code::ReportOtherImage, message)
    };
    let notices: Vec<Problem> = others.iter().map(other).collect();
    if !reports.is_empty() && others.len() == reports.len() {
        let names: Vec<String> = subjects.iter().map(|it| it.platform.to_string()).collect();
        let message = format!("no report is about any of the platforms: {}", names.join(", "));
        let hint = "scan every platform: trivy image --platform linux/arm64 …";
        return Err(Failure::new(Code::ReportOtherImage, message, Some(hint)));
    }
    let found = |list: Vec<LoadedReport>| (reports.is_empty() || !list.is_empty()).then_some(list);
    Ok(Assigned { by_subject: by_subject.into_iter().map(found).collect(), notices })
}

/// Whether the report is about this very image; the digest of an index is that of all its images.
fn is_of_config(loaded: &LoadedReport, subject: &Subject) -> bool {
    let (image, config) = (&loaded.report.image, &subject.config);
    // The layers identify an image even when only its configuration was rewritten on the way.
    let same_layers = !image.diff_ids.is_empty() && image.diff_ids == config.diff_ids();
    same_layers || has_digest(loaded, &config.digest())
}

/// Whether the report names this digest as its image's.
fn has_digest(loaded: &LoadedReport, digest: &Digest) -> bool {
    let image = &loaded.report.image;
    image.image_id.iter().chain(&image.repo_digests).any(|known| known == digest)
}

/// Architectures as file names spell them, and as platforms do.
const SPELLINGS: &[(&str, &str)] = &[
    ("amd64", "amd64"),
    ("x86_64", "amd64"),
    ("arm64", "arm64"),
    ("aarch64", "arm64"),
    ("armhf", "arm"),
    ("armv6", "arm"),
    ("armv7", "arm"),
    ("arm", "arm"),
    ("386", "386"),
    ("i386", "386"),
    ("ppc64le", "ppc64le"),
    ("s390x", "s390x"),
    ("riscv64", "riscv64"),
    ("loong64", "loong64"),
];

/// The architecture that a report is about, as platforms spell it.
fn architecture_of(loaded: &LoadedReport) -> Option<String> {
    let named = loaded.report.image.architecture.clone().filter(|text| !text.is_empty());
    let in_name = || {
        let lower = loaded.path.to_ascii_lowercase();
        let is_part = |character: char| !(character.is_ascii_alphanumeric() || character == '_');
        let parts: Vec<&str> = lower.split(is_part).collect();
        let of_part = |part: &str| {
            let words = part.split('_');
            let known = |word: &str| SPELLINGS.iter().find(|(there, _)| *there == word);
            known(part).or_else(|| words.into_iter().find_map(known)).map(|(_, here)| *here)
        };
        parts.into_iter().find_map(of_part).map(ToOwned::to_owned)
    };
    named.or_else(in_name)
}

/// Sorts out reports about other images.
///
/// Of several reports those for other images are left out. A single one is used anyway, with a
/// warning: images are rebuilt and retagged. A report about another distro is an error: its versions
/// mean nothing here.
pub fn relevant(
    reports: Vec<LoadedReport>,
    target: &Subject,
    probe: &Probe,
) -> Result<Relevant, Failure> {
    let matches: Vec<Match> = reports.iter().map(|loaded| match_of(loaded, target)).collect();
    let some_fit = matches.contains(&Match::Same);
    let mut relevant = Relevant { reports: Vec::new(), notices: Vec::new() };
    let mut others = Vec::new();
    for (loaded, found) in reports.into_iter().zip(matches) {
        let other = found == Match::Other;
        if other {
            let what = if some_fit { "is left out" } else { "is used all the same" };
            let LoadedReport { path, report, .. } = &loaded;
            let message = format!(
                "{path} {what}, it was made for another image: {}",
                report.image.artifact_name
            );
            relevant.notices.push(Problem::new(Code::ReportOtherImage, message));
        }
        if other && some_fit {
            continue;
        }
        others.extend(other_distro(&loaded, probe));
        relevant.reports.push(loaded);
    }
    if others.is_empty() { Ok(relevant) } else { Err(Failure::of(others)) }
}

fn match_of(loaded: &LoadedReport, target: &Subject) -> Match {
    let image = &loaded.report.image;
    let is_of_digest = target.digest.as_ref().is_some_and(|digest| has_digest(loaded, digest));
    if is_of_digest || is_of_config(loaded, target) {
        Match::Same
    } else if image.image_id.is_none() && image.repo_digests.is_empty() && image.diff_ids.is_empty()
    {
        Match::Unknown
    } else {
        Match::Other
    }
}

fn other_distro(loaded: &LoadedReport, probe: &Probe) -> Option<Problem> {
    let os = loaded.report.os.as_ref()?;
    let (id, version) = (probe.os_release.id(), probe.os_release.version_id());
    let family = os.family.as_str();
    let row = probe.distro;
    let is_row = family == row.id || row.scanner_names.contains(&family);
    let same_family = family.is_empty() || family == id || is_row;
    // Scanners name point releases (`12.15`), more than a version (`2 (Karoo)`) and, for development
    // releases, words. A derived distribution has its own release numbers.
    let name = os.name.split_whitespace().next().unwrap_or_default();
    let version = version.filter(|_| family == id || (is_row && id == row.id));
    let same_version = version.is_none_or(|version| {
        !name.starts_with(|start: char| start.is_ascii_digit())
            || distro::is_same_release(row, name, version)
    });
    if same_family && same_version {
        return None;
    }
    let message = format!(
        "{} was made for {} {}, the image is {id} {}",
        loaded.path,
        os.family,
        os.name,
        probe.os_release.version_id().unwrap_or_default()
    );
    let hint = Some("scan the image that `IMAGE` names".to_owned());
    Some(Problem { code: Code::ReportOtherDistro, message, hint, line: None })
}
