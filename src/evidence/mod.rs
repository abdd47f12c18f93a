//! What we hand out about a patch: the summary, the labels, the history entry.

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::digest::Digest;
use crate::image::Change;
use crate::patch::task::{Manager, Removed, Skipped, Unmet, Upgrade};
use crate::plan::Plan;
use crate::platform::Platform;
use crate::reference::ImageReference;

mod leap;
mod record;
mod summary;
mod table;

pub use leap::leaps;
pub use record::{join as join_records, kept as kept_record};
pub use summary::{counted, kept, misfit, reason, skipped, unmet_problems};

use summary::Names;

/// How far the changes of an image have come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// They were chosen, and nothing is changed.
    Planned,
    /// They were made, and seen in the result.
    Verified,
}

/// Everything that a summary says.
#[derive(Clone, Debug)]
pub struct Evidence<'a> {
    /// Name of the image that was patched.
    pub image: Option<&'a ImageReference>,
    /// Digest of the image that was patched.
    pub digest: Option<&'a Digest>,
    /// What the image is for.
    pub platform: &'a Platform,
    /// What the image says it is.
    pub distro: &'a str,
    /// What has upgraded it.
    pub manager: Manager,
    /// How far the changes have come.
    pub stage: Stage,
    /// Packages that have another version now, or are new.
    pub changes: &'a [Upgrade],
    /// Packages that went with the upgrades.
    pub removed: &'a [Removed],
    /// Demands and their outcomes.
    pub plan: &'a Plan,
    /// Packages that were kept back although nobody demanded anything specific of them.
    pub kept_back: &'a [Unmet],
    /// Repositories that could not be used, and that the user continues without.
    pub skipped: &'a [Skipped],
    /// How many findings the reports have in libraries, which are not patched.
    pub library_findings: usize,
}

/// Label with our version, which identifies a patched image.
pub const VERSION_LABEL: &str = "suture.version";
/// Label with the name of the image that was patched (OCI image specification, annotations).
pub const BASE_NAME_LABEL: &str = "org.opencontainers.image.base.name";
/// Label with the digest of the image that was patched.
pub const BASE_DIGEST_LABEL: &str = "org.opencontainers.image.base.digest";

/// Maximum number of packages named in the history entry.
const HISTORY_LIMIT: usize = 200;

impl Evidence<'_> {
    /// The history entry and the labels of the patched image.
    pub fn change(&self, created: Timestamp, user_labels: &BTreeMap<String, String>) -> Change {
        let mut labels = BTreeMap::new();
        labels.insert(VERSION_LABEL.to_owned(), env!("CARGO_PKG_VERSION").to_owned());
        if let Some(name) = self.image {
            labels.insert(BASE_NAME_LABEL.to_owned(), name.canonical());
        }
        if let Some(digest) = self.digest {
            labels.insert(BASE_DIGEST_LABEL.to_owned(), digest.as_str().to_owned());
        }
        labels.extend(user_labels.clone());
        let names = Names::of(self.changes, self.plan);
        let shown = |change: &Upgrade| {
            format!("{}={}", names.shown(&change.name, Some(&change.architecture)), change.to)
        };
        let mut packages: Vec<String> =
            self.changes.iter().take(HISTORY_LIMIT).map(shown).collect();
        if self.changes.len() > HISTORY_LIMIT {
            packages.push(format!("and {} more", self.changes.len() - HISTORY_LIMIT));
        }
        Change {
            created,
            created_by: format!("suture: {} upgrade {}", self.manager.as_str(), packages.join(" ")),
            comment: format!("suture {}", env!("CARGO_PKG_VERSION")),
            labels,
        }
    }
}
