//! What we hand out about a patch: the summary, the labels, the history entry.

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::code::Code;
use crate::digest::Digest;
use crate::fixes::Demand;
use crate::image::Change;
use crate::patch::task::{Manager, Unmet, UnmetReason, Upgrade};
use crate::plan::{Assessment, Obstacle, Plan, Verdict};
use crate::platform::Platform;
use crate::reference::ImageReference;
use crate::request::Problem;

pub mod table;

use table::Table;

/// Everything that a summary tells.
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
    /// Packages that have another version now, or are new.
    pub changes: &'a [Upgrade],
    /// Demands with what became of them.
    pub plan: &'a Plan,
    /// Packages that were kept back although nobody demanded anything of them in particular.
    pub kept_back: &'a [Unmet],
    /// How many findings the reports have in libraries, which are not patched.
    pub library_findings: usize,
}

/// Label with our version, by which a patched image is known.
pub const VERSION_LABEL: &str = "suture.version";
/// Label with the name of the image that was patched (OCI image specification, annotations).
pub const BASE_NAME_LABEL: &str = "org.opencontainers.image.base.name";
/// Label with the digest of the image that was patched.
pub const BASE_DIGEST_LABEL: &str = "org.opencontainers.image.base.digest";

/// Most rows of one of the summary's tables.
const ROW_LIMIT: usize = 200;
/// Most vulnerabilities named in one row.
const NAMED_LIMIT: usize = 6;

impl Evidence<'_> {
    /// The history entry and the labels of the patched image.
    pub fn change(
        &self,
        manager: Manager,
        created: Timestamp,
        user_labels: &BTreeMap<String, String>,
    ) -> Change {
        let mut labels = BTreeMap::new();
        labels.insert(VERSION_LABEL.to_owned(), env!("CARGO_PKG_VERSION").to_owned());
        if let Some(name) = self.image {
            labels.insert(BASE_NAME_LABEL.to_owned(), name.canonical());
        }
        if let Some(digest) = self.digest {
            labels.insert(BASE_DIGEST_LABEL.to_owned(), digest.as_str().to_owned());
        }
        labels.extend(user_labels.clone());
        let mut packages: Vec<String> = self
            .changes
            .iter()
            .take(ROW_LIMIT)
            .map(|change| format!("{}={}", change.name, change.to))
            .collect();
        if self.changes.len() > ROW_LIMIT {
            packages.push(format!("and {} more", self.changes.len() - ROW_LIMIT));
        }
        Change {
            created,
            created_by: format!("suture: {} upgrade {}", manager.as_str(), packages.join(" ")),
            comment: format!("suture {}", env!("CARGO_PKG_VERSION")),
            labels,
        }
    }

    /// The text that the client prints after the build.
    pub fn summary(&self) -> String {
        let mut text = self.headline();
        let changes = self.changes_table();
        if !changes.is_empty() {
            text.push_str(&format!("\n{changes}"));
        }
        let left = self.left_table();
        if !left.is_empty() {
            text.push_str(&format!("\n{left}"));
        }
        let without_fix =
            self.count(|verdict| matches!(verdict, Verdict::Impossible(Obstacle::NoFix)));
        let notes = [
            (self.count(|verdict| *verdict == Verdict::AlreadyMet), "already fixed in the image"),
            (without_fix, "without a fixed version"),
            (self.library_findings, "in libraries, which are not patched yet"),
        ];
        let notes: Vec<String> = notes
            .iter()
            .filter(|(count, _)| *count > 0)
            .map(|(count, what)| format!("{} {what}", counted(*count, "finding")))
            .collect();
        if !notes.is_empty() {
            text.push_str(&format!("\n{}\n", notes.join("; ")));
        }
        text
    }

    fn headline(&self) -> String {
        let name = self.image.map_or_else(|| "image".to_owned(), ImageReference::familiar);
        let place = format!("{name} ({}, {})", self.distro, self.platform);
        if self.changes.is_empty() {
            return format!("{place} is unchanged: {}\n", self.why_unchanged());
        }
        let packages = counted(self.changes.len(), "package");
        let demanded =
            self.count(|verdict| matches!(verdict, Verdict::Planned(_) | Verdict::Unmet(..)));
        let met = self.count(|verdict| matches!(verdict, Verdict::Planned(_)));
        let fixed = if demanded == 0 {
            String::new()
        } else {
            format!(", {met} of {} reached", counted(demanded, "fix"))
        };
        format!("{place} is patched: {packages} upgraded{fixed}\n")
    }

    fn why_unchanged(&self) -> &'static str {
        if self.plan.assessments.is_empty() && self.kept_back.is_empty() {
            "the distro offers nothing newer"
        } else if self.plan.unmet().next().is_some() || !self.kept_back.is_empty() {
            "nothing that is left can be upgraded"
        } else if self.count(|verdict| *verdict == Verdict::AlreadyMet) > 0 {
            "all that can be fixed is fixed already"
        } else {
            "nothing of what was found can be fixed"
        }
    }

    fn count(&self, matches: impl Fn(&Verdict) -> bool) -> usize {
        self.plan.assessments.iter().filter(|assessment| matches(&assessment.verdict)).count()
    }

    fn changes_table(&self) -> Table {
        let mut table = Table::new(["package", "from", "to", "fixes"]);
        for change in self.changes.iter().take(ROW_LIMIT) {
            let fixed = self.plan.assessments.iter().filter(|assessment| {
                assessment.name == change.name
                    && assessment.architecture.as_ref().is_none_or(|it| *it == change.architecture)
                    && matches!(assessment.verdict, Verdict::Planned(_))
            });
            let fixes: Vec<&str> = fixed.filter_map(|assessment| id(&assessment.demand)).collect();
            let from = change.from.as_deref().unwrap_or("(new)");
            table.push([change.name.as_str(), from, &change.to, &named(&fixes)]);
        }
        table.more(self.changes.len());
        table
    }

    /// What is left and why: unmet demands, packages kept back, obstacles that somebody can mend.
    fn left_table(&self) -> Table {
        let mut table = Table::new(["left", "installed", "needs", "finding", "why"]);
        let mut rows = 0;
        for assessment in &self.plan.assessments {
            let Some((needs, why)) = left(assessment) else { continue };
            rows += 1;
            if rows > ROW_LIMIT {
                continue;
            }
            let installed = assessment.installed.as_ref().map_or("", |version| version.as_str());
            let finding = id(&assessment.demand).unwrap_or("");
            table.push([assessment.name.as_str(), installed, &needs, finding, &why]);
        }
        for unmet in self.kept_back {
            rows += 1;
            if rows <= ROW_LIMIT {
                table.push([unmet.name.as_str(), "", "", "", &reason(&unmet.reason)]);
            }
        }
        table.more(rows);
        table
    }
}

/// A number with its noun.
pub fn counted(number: usize, noun: &str) -> String {
    let ending = match (number, noun.ends_with('x')) {
        (1, _) => "",
        (_, true) => "es",
        (_, false) => "s",
    };
    format!("{number} {noun}{ending}")
}

fn id(demand: &Demand) -> Option<&str> {
    match demand {
        Demand::Finding { id, .. } => Some(id.as_str()),
        Demand::Named { .. } => None,
    }
}

fn named(ids: &[&str]) -> String {
    let shown = ids.iter().take(NAMED_LIMIT).copied().collect::<Vec<_>>().join(", ");
    match ids.len().saturating_sub(NAMED_LIMIT) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

/// What an unmet demand needs, and why it is left; nothing for the others.
fn left(assessment: &Assessment) -> Option<(String, String)> {
    let version = |required: &Option<crate::version::Version>| {
        required.as_ref().map_or_else(String::new, |version| version.as_str().to_owned())
    };
    match &assessment.verdict {
        Verdict::Unmet(required, why) => Some((version(required), reason(why))),
        Verdict::Impossible(Obstacle::NotInstalled) => {
            Some((String::new(), "not installed in this image".to_owned()))
        }
        Verdict::Impossible(Obstacle::Excluded) => {
            Some((String::new(), "excluded by EXCLUDE".to_owned()))
        }
        Verdict::Impossible(Obstacle::Unreadable(text)) => {
            Some((text.clone(), "not a version of this distro".to_owned()))
        }
        Verdict::Impossible(Obstacle::NoFix) | Verdict::AlreadyMet | Verdict::Planned(_) => None,
    }
}

/// A reason for the user.
pub fn reason(reason: &UnmetReason) -> String {
    match reason {
        UnmetReason::NoCandidate { newest } => {
            format!("the newest in the repositories is {newest}")
        }
        UnmetReason::Held => "held by the image".to_owned(),
        UnmetReason::Removal { of } => {
            let names: Vec<&str> = of.iter().map(crate::package::PackageName::as_str).collect();
            format!("would remove {}", named(&names))
        }
        UnmetReason::Unsolvable { because } => because.clone(),
        UnmetReason::NotInstalled => "not installed in this image".to_owned(),
    }
}

/// An unmet demand as a failure or a warning.
pub fn unmet_problem(
    assessment: &Assessment,
    required: Option<&crate::version::Version>,
    why: &UnmetReason,
) -> Problem {
    let version = required.map_or_else(String::new, |version| format!(" {version}"));
    let finding = id(&assessment.demand).map_or_else(String::new, |id| format!(" for {id}"));
    Problem {
        code: Code::UnmetFix,
        message: format!(
            "a fix cannot be reached: {}{version}{finding}: {}",
            assessment.name,
            reason(why)
        ),
        hint: None,
        line: None,
    }
}
