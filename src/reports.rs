//! Which reports are about the image at hand.

use crate::code::Code;
use crate::context::LoadedReport;
use crate::distro;
use crate::failure::Failure;
use crate::probe::{Probe, TargetImage};
use crate::request::Problem;

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
enum Origin {
    /// For this one.
    Same,
    /// It does not say.
    Unknown,
    /// For another one.
    Other,
}

/// Sorts out reports about other images.
///
/// Of several reports those for other images are left out. A single one is used all the same,
/// with a warning: images are rebuilt and retagged. A report about another distro is an error:
/// its versions mean nothing here.
pub fn relevant(
    reports: Vec<LoadedReport>,
    target: &TargetImage,
    probe: &Probe,
) -> Result<Relevant, Failure> {
    let origins: Vec<Origin> = reports.iter().map(|loaded| origin(loaded, target)).collect();
    let some_fit = origins.contains(&Origin::Same);
    let mut relevant = Relevant { reports: Vec::new(), notices: Vec::new() };
    let mut others = Vec::new();
    for (loaded, origin) in reports.into_iter().zip(origins) {
        let other = origin == Origin::Other;
        if other {
            let what = if some_fit { "is left out" } else { "is used all the same" };
            let LoadedReport { path, report } = &loaded;
            let message = format!(
                "{path} {what}, it was made for another image: {}",
                report.image.artifact_name
            );
            let code = Code::ReportOtherImage;
            relevant.notices.push(Problem { code, message, hint: None, line: None });
        }
        if other && some_fit {
            continue;
        }
        others.extend(other_distro(&loaded, probe));
        relevant.reports.push(loaded);
    }
    if others.is_empty() { Ok(relevant) } else { Err(Failure::of(others)) }
}

fn origin(loaded: &LoadedReport, target: &TargetImage) -> Origin {
    let image = &loaded.report.image;
    let config = target.config.digest();
    let ids = image.image_id.iter().chain(&image.repo_digests);
    let same_id =
        ids.clone().any(|digest| *digest == config || Some(digest) == target.digest.as_ref());
    // The layers tell an image even when only its configuration was rewritten on the way.
    let same_layers = !image.diff_ids.is_empty() && image.diff_ids == target.config.diff_ids();
    if same_id || same_layers {
        Origin::Same
    } else if ids.count() == 0 && image.diff_ids.is_empty() {
        Origin::Unknown
    } else {
        Origin::Other
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
    // releases, words. A distribution made from another one numbers its releases by itself.
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
