//! Vulnerability reports in Trivy's form: what Trivy would write if it knew the lab's advisories.

use serde_json::{Value, json};

use crate::started_image::System;
use crate::stored_image::StoredImage;

/// A vulnerability of a package.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The vulnerability's name.
    pub id: String,
    /// The package.
    pub package: String,
    /// The version without the vulnerability, if there is one.
    pub fixed: Option<String>,
}

/// The report on an image.
pub fn write(name: &str, image: &StoredImage, system: &System, findings: &[Finding]) -> Value {
    let (family, release) = (&system.distribution, &system.release);
    let vulnerabilities: Vec<Value> =
        findings.iter().map(|finding| found(finding, system)).collect();
    let repository = name.rsplit_once(':').map_or(name, |(repository, _)| repository);
    json!({
        "SchemaVersion": 2,
        "Trivy": { "Version": "lab" },
        "ArtifactName": name,
        "ArtifactType": "container_image",
        "Metadata": {
            "OS": { "Family": family, "Name": release },
            "ImageID": image.config_digest,
            "DiffIDs": image.diff_ids(),
            "RepoTags": [name],
            "RepoDigests": [format!("{repository}@{}", image.digest)],
            "ImageConfig": image.config,
        },
        "Results": [{
            "Target": format!("{name} ({family} {release})"),
            "Class": "os-pkgs",
            "Type": family,
            "Vulnerabilities": vulnerabilities,
        }],
    })
}

/// A finding as Trivy writes it. It leaves the fixed version out when there is none.
fn found(finding: &Finding, system: &System) -> Value {
    let Finding { id, package, fixed } = finding;
    let System { architecture, distribution, .. } = system;
    let purl_type = system.family.purl_type;
    let installed = system.version(package).unwrap_or("0");
    let (version, epoch) = match installed.split_once(':') {
        Some((epoch, version)) => (version, format!("&epoch={epoch}")),
        None => (installed, String::new()),
    };
    let mut value = json!({
        "VulnerabilityID": id,
        "PkgID": format!("{package}@{installed}"),
        "PkgName": package,
        "PkgIdentifier": {
            "PURL": format!(
                "pkg:{purl_type}/{distribution}/{package}@{version}?arch={architecture}{epoch}"
            ),
        },
        "InstalledVersion": installed,
        "Status": if fixed.is_some() { "fixed" } else { "affected" },
        "Severity": "HIGH",
    });
    if let (Some(fixed), Some(fields)) = (fixed, value.as_object_mut()) {
        fields.insert("FixedVersion".to_owned(), fixed.as_str().into());
    }
    value
}
