//! What became of everything, in words.

use std::collections::{BTreeMap, BTreeSet};

use crate::code::Code;
use crate::fixes::Demand;
use crate::package::{Architecture, PackageName, printable, words_of};
use crate::patch::task::{Manager, Misfit, Skipped, UnmetReason, Upgrade};
use crate::plan::{Assessment, Obstacle, Plan, Verdict};
use crate::platform::Platform;
use crate::reference::ImageReference;
use crate::request::Problem;
use crate::threshold::Threshold;

use super::table::{Table, code};
use super::{Evidence, Stage};

/// Maximum number of rows in one of the summary's tables.
const ROW_LIMIT: usize = 200;
/// Maximum number of vulnerabilities or packages named in one place.
const NAMED_LIMIT: usize = 6;

/// How packages are named: with the architecture if a name occurs with several.
#[derive(Debug)]
pub(super) struct Names(BTreeSet<PackageName>);

impl Names {
    /// The names that these changes and demands use.
    pub(super) fn of(changes: &[Upgrade], plan: &Plan) -> Self {
        let changed = changes.iter().map(|change| (&change.name, &change.architecture));
        let demanded = plan
            .assessments
            .iter()
            .filter_map(|assessment| Some((&assessment.name, assessment.architecture.as_ref()?)));
        let mut architectures: BTreeMap<&PackageName, BTreeSet<&Architecture>> = BTreeMap::new();
        let all = changed.chain(demanded);
        // Moving between one architecture and all of them, a package stays the same.
        for (name, architecture) in all.filter(|(_, it)| !it.is_any()) {
            architectures.entry(name).or_default().insert(architecture);
        }
        let several = architectures.into_iter().filter(|(_, found)| found.len() > 1);
        Self(several.map(|(name, _)| name.clone()).collect())
    }

    /// The package as the user sees it.
    pub(super) fn shown(&self, name: &PackageName, architecture: Option<&Architecture>) -> String {
        match architecture {
            Some(architecture) if self.0.contains(name) => format!("{name}:{architecture}"),
            _ => name.to_string(),
        }
    }
}

/// Demands on one package that are left for one reason.
pub(super) struct Left<'a> {
    pub(super) package: String,
    pub(super) installed: &'a str,
    pub(super) needs: String,
    pub(super) findings: Vec<&'a str>,
    pub(super) why: String,
    /// Whether somebody could have met the demand.
    unmet: bool,
}

impl Evidence<'_> {
    /// The text that the client prints after the build.
    pub fn summary(&self) -> String {
        let mut text = self.headline(|place| place);
        for table in self.tables() {
            text.push_str(&format!("\n{}", table.text()));
        }
        let notes = self.notes();
        if !notes.is_empty() {
            text.push_str(&format!("\n{}\n", notes.join("; ")));
        }
        printable(&text)
    }

    /// The same as Markdown.
    pub fn markdown(&self) -> String {
        let mut text = self.headline(|place| code(&place));
        for table in self.tables() {
            text.push_str(&format!("\n{}", table.markdown()));
        }
        let notes = self.notes();
        if !notes.is_empty() {
            text.push('\n');
            text.extend(notes.iter().map(|note| format!("- {note}\n")));
        }
        printable(&text)
    }

    /// The tables that are not empty.
    fn tables(&self) -> Vec<Table> {
        let names = Names::of(self.changes, self.plan);
        let mut tables =
            vec![self.changes_table(&names), self.left_table(&names), self.skipped_table()];
        tables.retain(|table| !table.is_empty());
        tables
    }

    /// What became of the image, in a sentence; `show` is for what its author has written.
    fn headline(&self, show: impl Fn(String) -> String) -> String {
        let name = self.image.map_or_else(|| "image".to_owned(), ImageReference::familiar);
        let place = show(format!("{name} ({}, {})", self.distro, self.platform));
        if self.changes.is_empty() {
            return format!("{place} is unchanged: {}\n", self.why_unchanged());
        }
        let packages = counted(self.changes.len(), "package");
        let met = self.count(|it| matches!(it.verdict, Verdict::Planned(_)));
        let demanded = met + self.count(|it| matches!(it.verdict, Verdict::Unmet(..)));
        let reached = if demanded == 0 {
            String::new()
        } else {
            format!(", {met} of {} applied", counted(demanded, "fix"))
        };
        match self.stage {
            Stage::Verified => format!("{place} is patched: {packages} upgraded{reached}\n"),
            Stage::Planned => {
                let reached = reached.replace("applied", "available");
                format!("{place} can be patched: {packages} to upgrade{reached}\n")
            }
        }
    }

    fn why_unchanged(&self) -> &'static str {
        let left = self.plan.unmet().next().is_some() || !self.kept_back.is_empty();
        if !self.skipped.is_empty() {
            "the repositories that could be used have no upgrade for it"
        } else if left {
            "no further upgrade is possible"
        } else if self.plan.is_everything() {
            "no upgrades are available"
        } else if self.plan.assessments.is_empty() {
            "the report names nothing to fix"
        } else if self.count(|it| it.verdict == Verdict::AlreadyMet) > 0 {
            "everything that can be fixed is already fixed"
        } else {
            "none of the requested upgrades is possible"
        }
    }

    /// What no table shows.
    fn notes(&self) -> Vec<String> {
        let met = |it: &Assessment| it.verdict == Verdict::AlreadyMet;
        let no_fix = |it: &Assessment| matches!(it.verdict, Verdict::Impossible(Obstacle::NoFix));
        let of_finding = |it: &Assessment| finding(&it.demand).is_some();
        let rows = [
            (self.count(|it| met(it) && of_finding(it)), "finding", "already fixed in the image"),
            (self.count(|it| met(it) && !of_finding(it)), "package", "already new enough"),
            (self.count(no_fix), "finding", "without a fixed version"),
            (self.library_findings, "finding", "in libraries, which are not patched yet"),
        ];
        rows.iter()
            .filter(|(count, ..)| *count > 0)
            .map(|(count, noun, what)| format!("{} {what}", counted(*count, noun)))
            .collect()
    }

    fn count(&self, matches: impl Fn(&Assessment) -> bool) -> usize {
        self.plan.assessments.iter().filter(|assessment| matches(assessment)).count()
    }

    fn changes_table(&self, names: &Names) -> Table {
        let mut table = Table::new(["package", "from", "to", "fixes"]);
        for change in self.changes.iter().take(ROW_LIMIT) {
            let fixes = some_of(&self.fixed_by(&change.name, &change.architecture));
            let package = names.shown(&change.name, Some(&change.architecture));
            let from = change.from.as_deref().unwrap_or("(new)");
            table.push([&package, from, &change.to, &fixes]);
        }
        for removed in self.removed.iter().take(ROW_LIMIT.saturating_sub(self.changes.len())) {
            let package = names.shown(&removed.name, Some(&removed.architecture));
            let fixes = some_of(&self.fixed_by(&removed.name, &removed.architecture));
            table.push([&package, "", self.gone(), &fixes]);
        }
        table.more(self.changes.len() + self.removed.len());
        table
    }

    /// The findings that a change of this package fixes.
    pub(super) fn fixed_by(&self, name: &PackageName, architecture: &Architecture) -> Vec<&str> {
        let changed = |other: &Architecture| {
            self.changes.iter().any(|it| (&it.name, &it.architecture) == (name, other))
        };
        // A package may move to another architecture.
        let is_about = |other: &Architecture| other == architecture || !changed(other);
        let fixed = self.plan.assessments.iter().filter(|assessment| {
            assessment.name == *name
                && assessment.architecture.as_ref().is_none_or(is_about)
                && matches!(assessment.verdict, Verdict::Planned(_))
        });
        fixed.filter_map(|it| finding(&it.demand)).collect()
    }

    /// What became of a package that went.
    fn gone(&self) -> &'static str {
        match self.manager {
            Manager::Apk | Manager::Apt => "(removed)",
            // With rpm, only packages that a new one obsoletes are removed.
            Manager::Rpm(_) => "(replaced)",
        }
    }

    /// The repositories that could not be used.
    fn skipped_table(&self) -> Table {
        let mut table = Table::new(["skipped repository", "why"]);
        for skipped in self.skipped.iter().take(ROW_LIMIT) {
            table.push([&words_of(&skipped.repository), &words_of(&skipped.reason)]);
        }
        table.more(self.skipped.len());
        table
    }

    /// What is left and why: unmet demands, packages kept back, obstacles that somebody can remove.
    fn left_table(&self, names: &Names) -> Table {
        let mut table = Table::new(["left", "installed", "needs", "findings", "why"]);
        let rows = left(self.plan, names);
        for row in rows.iter().take(ROW_LIMIT) {
            let findings = some_of(&row.findings);
            table.push([&row.package, row.installed, &row.needs, &findings, &row.why]);
        }
        for unmet in self.kept_back.iter().take(ROW_LIMIT.saturating_sub(rows.len())) {
            table.push([unmet.name.as_str(), "", "", "", &reason(&unmet.reason)]);
        }
        table.more(rows.len() + self.kept_back.len());
        table
    }
}

/// The summary of an image that comes back as it was because nothing can be done with it, and the same as Markdown.
pub fn kept(name: Option<&ImageReference>, platform: &Platform, why: &str) -> (String, String) {
    let name = name.map_or_else(|| "image".to_owned(), ImageReference::familiar);
    let text = printable(&format!("{name} ({platform}) is unchanged: {why}"));
    (format!("{text}\n"), format!("{}\n", code(&text)))
}

/// The demands that could have been met, as failures or warnings; one for each package and reason.
pub fn unmet_problems(plan: &Plan) -> Vec<Problem> {
    let names = Names::of(&[], plan);
    left(plan, &names).iter().filter(|row| row.unmet).map(|row| unmet_problem(row)).collect()
}

fn unmet_problem(row: &Left<'_>) -> Problem {
    let wanted = if row.needs.is_empty() {
        row.package.clone()
    } else {
        format!("{} {}", row.package, row.needs)
    };
    let (code, message, hint) = if row.findings.is_empty() {
        (
            Code::UnmetPackage,
            format!("package cannot be upgraded: {wanted}: {}", row.why),
            "remove it from PACKAGES, or set ON_UNMET=warn to patch the rest",
        )
    } else {
        (
            Code::UnmetFix,
            format!("fix not available: {wanted} for {}: {}", some_of(&row.findings), row.why),
            "set ON_UNMET=warn to patch the rest, or list the package in EXCLUDE",
        )
    };
    Problem { code, message, hint: Some(hint.to_owned()), line: None }
}

/// What is left, in the order of the packages.
pub(super) fn left<'a>(plan: &'a Plan, names: &Names) -> Vec<Left<'a>> {
    let mut rows: Vec<Left<'a>> = Vec::new();
    for assessment in &plan.assessments {
        let Some((needs, why, unmet)) = why_left(assessment) else { continue };
        let package = names.shown(&assessment.name, assessment.architecture.as_ref());
        let id = finding(&assessment.demand);
        let same = rows.iter_mut().find(|row| {
            (&row.package, &row.needs, &row.why) == (&package, &needs, &why)
                && row.findings.is_empty() == id.is_none()
        });
        match same {
            Some(row) => row.findings.extend(id),
            None => rows.push(Left {
                package,
                installed: assessment.installed.as_ref().map_or("", |version| version.as_str()),
                needs,
                findings: id.into_iter().collect(),
                why,
                unmet,
            }),
        }
    }
    rows
}

/// What a demand that is left needs, why it is left, and whether it could have been met.
fn why_left(assessment: &Assessment) -> Option<(String, String, bool)> {
    match &assessment.verdict {
        Verdict::Unmet(required, why) => {
            let needs = required.as_ref().map_or_else(String::new, needs);
            Some((needs, reason(why), true))
        }
        Verdict::Impossible(Obstacle::NotInstalled) => {
            Some((String::new(), reason(&UnmetReason::NotInstalled), false))
        }
        Verdict::Impossible(Obstacle::Excluded) => {
            Some((String::new(), "excluded by EXCLUDE".to_owned(), false))
        }
        Verdict::Impossible(Obstacle::Unreadable(text)) => {
            Some((words_of(text), "not a valid version".to_owned(), true))
        }
        Verdict::Impossible(Obstacle::NoFix) | Verdict::AlreadyMet | Verdict::Planned(_) => None,
    }
}

/// The version that is needed, and whose it is.
fn needs(required: &Threshold) -> String {
    match &required.source {
        Some(source) => format!("{source} {}", required.version),
        None => required.version.to_string(),
    }
}

/// A warning that a package of the image does not fit.
pub fn misfit(misfit: &Misfit) -> String {
    format!("{} is left as it is: it {}", misfit.name, words_of(&misfit.because))
}

/// A warning that a repository was left out.
pub fn skipped(skipped: &Skipped) -> String {
    let (repository, reason) = (words_of(&skipped.repository), words_of(&skipped.reason));
    format!("package repository skipped: {repository}: {reason}")
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

fn finding(demand: &Demand) -> Option<&str> {
    match demand {
        Demand::Finding { id, .. } => Some(id.as_str()),
        Demand::Named { .. } => None,
    }
}

/// The first of these, and how many more there are.
fn some_of(items: &[&str]) -> String {
    let shown = items.iter().take(NAMED_LIMIT).copied().collect::<Vec<_>>().join(", ");
    match items.len().saturating_sub(NAMED_LIMIT) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

/// A reason for the user.
pub fn reason(reason: &UnmetReason) -> String {
    match reason {
        UnmetReason::NoCandidate { newest } if newest.is_empty() => {
            "not in any repository".to_owned()
        }
        UnmetReason::NoCandidate { newest } => {
            format!("the newest available version is {}", words_of(newest))
        }
        UnmetReason::Held => "held by the image".to_owned(),
        UnmetReason::Removal { of } => {
            let names: Vec<&str> = of.iter().map(PackageName::as_str).collect();
            format!("would remove {}", some_of(&names))
        }
        UnmetReason::Unsolvable { because } => words_of(because),
        UnmetReason::Downgrade { to } => {
            format!("the image prefers the older {}", words_of(to))
        }
        UnmetReason::Misfit { because } => format!("it {}", words_of(because)),
        UnmetReason::NotInstalled => "not installed in this image".to_owned(),
    }
}
