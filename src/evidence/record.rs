//! `patch.json`: the same as the summary, for programs. `docs/patch-json.md` describes it.

use serde_json::{Value, json};

use crate::digest::Digest;
use crate::package::words_of;
use crate::platform::Platform;
use crate::reference::ImageReference;

use super::summary::{Names, left, reason};
use super::{Evidence, Stage};

/// Version of the format; a new field keeps it, a removed field or a changed meaning raises it.
const SCHEMA_VERSION: u32 = 1;

impl Evidence<'_> {
    /// What became of the image of one platform.
    pub fn record(&self) -> Value {
        let names = Names::of(self.changes, self.plan);
        let status = match (self.stage, self.changes.is_empty()) {
            (_, true) => "unchanged",
            (Stage::Verified, false) => "patched",
            (Stage::Planned, false) => "planned",
        };
        let changes = self.changes.iter().map(|change| {
            json!({
                "name": change.name.as_str(),
                "architecture": change.architecture.as_str(),
                "from": change.from,
                "to": change.to,
                "fixes": self.fixed_by(&change.name, &change.architecture),
            })
        });
        let removed = self.removed.iter().map(|removed| {
            json!({
                "name": removed.name.as_str(),
                "architecture": removed.architecture.as_str(),
                "fixes": self.fixed_by(&removed.name, &removed.architecture),
            })
        });
        let not_met = left(self.plan, &names).into_iter().map(|row| {
            json!({
                "package": row.package,
                "installed": row.installed,
                "needs": row.needs,
                "findings": row.findings,
                "reason": row.why,
            })
        });
        let kept_back = self.kept_back.iter().map(|unmet| {
            let (package, reason) = (unmet.name.as_str(), reason(&unmet.reason));
            json!({ "package": package, "reason": reason })
        });
        let skipped = self.skipped.iter().map(|skipped| {
            let (repository, reason) = (words_of(&skipped.repository), words_of(&skipped.reason));
            json!({ "repository": repository, "reason": reason })
        });
        json!({
            "platform": self.platform.to_string(),
            "status": status,
            "image": self.image.map(ImageReference::canonical),
            "digest": self.digest.map(Digest::as_str),
            "distribution": self.distro,
            "packageManager": self.manager.as_str(),
            "changes": changes.collect::<Vec<_>>(),
            "removed": removed.collect::<Vec<_>>(),
            "left": not_met.chain(kept_back).collect::<Vec<_>>(),
            "skippedRepositories": skipped.collect::<Vec<_>>(),
            "libraryFindings": self.library_findings,
        })
    }
}

/// What became of an image that nothing can be done with.
pub fn kept(name: Option<&ImageReference>, platform: &Platform, why: &str) -> Value {
    json!({
        "platform": platform.to_string(),
        "status": "kept",
        "image": name.map(ImageReference::canonical),
        "reason": why,
    })
}

/// The file about the images of these records.
pub fn join(records: &[Value]) -> Vec<u8> {
    let file = json!({
        "schemaVersion": SCHEMA_VERSION,
        "generator": format!("suture {}", env!("CARGO_PKG_VERSION")),
        "images": records,
    });
    let mut bytes = serde_json::to_vec_pretty(&file).unwrap_or_default();
    bytes.push(b'\n');
    bytes
}
