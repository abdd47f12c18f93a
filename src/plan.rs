//! The decision: what to upgrade, or why nothing is done. A pure function.

use std::collections::BTreeMap;

use crate::fixes::{Affected, Demand, Fixes, Requirement};
use crate::package::{Architecture, NamePattern, PackageName};
use crate::patch::task::{Removed, Target, Targets, Unmet, UnmetReason};
use crate::pkgdb::{Database, InstalledPackage};
use crate::threshold::Threshold;
use crate::version::Version;

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// What to upgrade; nothing if every demand is met or cannot be met.
    pub action: Action,
    /// Every demand and its outcome.
    pub assessments: Vec<Assessment>,
}

/// Whether containers have to run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// The image stays as it is.
    Nothing,
    /// These are upgraded.
    Upgrade(Targets),
}

/// One demand against one package.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Assessment {
    /// The package.
    pub name: PackageName,
    /// Its architecture; nothing if the package is not in the image.
    pub architecture: Option<Architecture>,
    /// Its version in the image.
    pub installed: Option<Version>,
    /// Who wants what.
    pub demand: Demand,
    /// What became of it.
    pub verdict: Verdict,
}

/// What became of a demand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The image meets it as it is.
    AlreadyMet,
    /// Nothing can be done.
    Impossible(Obstacle),
    /// It can be met by this version; `None` is the newest.
    Planned(Option<Threshold>),
    /// It cannot be met, for this reason.
    Unmet(Option<Threshold>, UnmetReason),
}

/// Why nothing could be done about a demand, without anybody being at fault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Obstacle {
    /// No fixed version exists.
    NoFix,
    /// What the report calls a version is not one.
    Unreadable(String),
    /// The package is not in the image.
    NotInstalled,
    /// The user excludes it.
    Excluded,
}

impl Plan {
    /// The plan to upgrade all that the distro offers.
    pub fn everything() -> Self {
        Self { action: Action::Upgrade(Targets::Everything), assessments: Vec::new() }
    }

    /// The plan to meet these fixes.
    pub fn listed(fixes: &Fixes, exclude: &[NamePattern], database: &Database) -> Self {
        let mut assessments = Vec::new();
        for (affected, demands) in fixes.packages() {
            let packages = installed(database, affected);
            for demand in demands {
                if packages.is_empty() {
                    assessments.push(not_installed(affected, demand));
                }
                for package in &packages {
                    let excluded = exclude.iter().any(|pattern| pattern.matches(&package.name));
                    assessments.push(Assessment {
                        name: package.name.clone(),
                        architecture: Some(package.architecture.clone()),
                        installed: Some(package.version.clone()),
                        verdict: assess(demand, package, excluded),
                        demand: demand.clone(),
                    });
                }
            }
        }
        let targets = targets(&assessments);
        let action = if targets.is_empty() {
            Action::Nothing
        } else {
            Action::Upgrade(Targets::Listed(targets))
        };
        Self { action, assessments }
    }

    /// The same plan, knowing which targets fetch did not reach.
    ///
    /// A package may reach some of its fixes: `reached` is the version that it and its source will have. One that an
    /// upgrade removes no longer needs any.
    #[must_use]
    pub fn after_fetch(
        mut self,
        unmet: &[Unmet],
        removed: &[Removed],
        reached: impl Fn(&PackageName, &Architecture) -> Option<(Version, Version)>,
    ) -> Self {
        for assessment in &mut self.assessments {
            let Verdict::Planned(required) = &assessment.verdict else { continue };
            let Some(architecture) = &assessment.architecture else { continue };
            let goes = |removed: &Removed| {
                removed.name == assessment.name && removed.architecture == *architecture
            };
            if removed.iter().any(goes) {
                continue;
            }
            let missed = unmet
                .iter()
                .find(|unmet| unmet.name == assessment.name && unmet.architecture == *architecture);
            let Some(missed) = missed else { continue };
            let enough = match (required, reached(&assessment.name, architecture)) {
                (Some(required), Some((version, source))) => required.is_met(&version, &source),
                // Whoever wants the newest has it when no repository has a newer one.
                (None, Some((version, _))) => {
                    matches!(missed.reason, UnmetReason::NoCandidate { .. })
                        || assessment.installed.as_ref().is_none_or(|old| version > *old)
                }
                (_, None) => false,
            };
            if !enough {
                assessment.verdict = Verdict::Unmet(required.clone(), missed.reason.clone());
            }
        }
        self
    }

    /// Whether all that the distro offers is to be upgraded.
    pub fn is_everything(&self) -> bool {
        self.action == Action::Upgrade(Targets::Everything)
    }

    /// The demands that could have been met and are not.
    pub fn unmet(&self) -> impl Iterator<Item = &Assessment> {
        let unmet = |it: &&Assessment| matches!(it.verdict, Verdict::Unmet(..));
        self.assessments.iter().filter(unmet)
    }
}

/// The packages that a demand is about: of versions side by side, such as kernels, the newest, because only that one is
/// upgraded.
fn installed<'a>(database: &'a Database, affected: &Affected) -> Vec<&'a InstalledPackage> {
    let found = database.find(&affected.name).filter(|package| package.state.is_installed());
    let mut packages: Vec<&InstalledPackage> = Vec::new();
    for package in found {
        match packages.last_mut() {
            Some(older) if older.architecture == package.architecture => *older = package,
            _ => packages.push(package),
        }
    }
    let exact: Vec<&InstalledPackage> = packages
        .iter()
        .copied()
        .filter(|package| affected.architecture.as_ref() == Some(&package.architecture))
        .collect();
    // Scanners name the image's architecture for packages of architecture `all` too.
    if exact.is_empty() { packages } else { exact }
}

fn not_installed(affected: &Affected, demand: &Demand) -> Assessment {
    let verdict = match demand {
        Demand::Finding { .. } => Verdict::Impossible(Obstacle::NotInstalled),
        Demand::Named { .. } => Verdict::Unmet(None, UnmetReason::NotInstalled),
    };
    Assessment {
        name: affected.name.clone(),
        architecture: None,
        installed: None,
        demand: demand.clone(),
        verdict,
    }
}

fn assess(demand: &Demand, package: &InstalledPackage, excluded: bool) -> Verdict {
    match demand.requirement(package) {
        Requirement::Met => Verdict::AlreadyMet,
        Requirement::NoFix => Verdict::Impossible(Obstacle::NoFix),
        Requirement::Unreadable(text) => match demand {
            Demand::Finding { .. } => Verdict::Impossible(Obstacle::Unreadable(text)),
            Demand::Named { .. } => {
                let because = format!("not a valid version: {text}");
                Verdict::Unmet(None, UnmetReason::Unsolvable { because })
            }
        },
        Requirement::AtLeast(_) if excluded => Verdict::Impossible(Obstacle::Excluded),
        Requirement::AtLeast(version) if package.held => Verdict::Unmet(version, UnmetReason::Held),
        Requirement::AtLeast(version) => Verdict::Planned(version),
    }
}

/// One target per package: the highest version, of each numbering, that any of its demands needs.
fn targets(assessments: &[Assessment]) -> Vec<Target> {
    let mut targets: BTreeMap<(&PackageName, &Architecture), Vec<Threshold>> = BTreeMap::new();
    for assessment in assessments {
        let (Verdict::Planned(required), Some(architecture)) =
            (&assessment.verdict, &assessment.architecture)
        else {
            continue;
        };
        let highest = targets.entry((&assessment.name, architecture)).or_default();
        let Some(required) = required else { continue };
        match highest.iter_mut().find(|known| known.source == required.source) {
            Some(known) if required.version > known.version => *known = required.clone(),
            Some(_) => {}
            None => highest.push(required.clone()),
        }
    }
    let target = |((name, architecture), at_least): ((&PackageName, &Architecture), _)| Target {
        name: name.clone(),
        architecture: architecture.clone(),
        at_least,
    };
    targets.into_iter().map(target).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pkgdb::dpkg;
    use crate::request::WantedPackage;
    use crate::version::Scheme;

    fn database() -> Database {
        let stanza = |name: &str, architecture: &str, version: &str, want: &str| {
            format!(
                "Package: {name}\nStatus: {want} ok installed\nArchitecture: {architecture}\n\
                 Version: {version}\n\n"
            )
        };
        let text = [
            stanza("libc6", "amd64", "2.36-9", "install"),
            stanza("libc6", "i386", "2.36-8", "install"),
            stanza("tzdata", "all", "2026a", "install"),
            stanza("bash", "amd64", "5.2", "hold"),
        ]
        .concat();
        dpkg::parse_status(text.as_bytes()).unwrap()
    }

    fn plan(packages: &[(&str, &str)], exclude: &[&str]) -> Plan {
        let packages: Vec<WantedPackage> = packages
            .iter()
            .map(|(name, version)| WantedPackage {
                name: name.parse().unwrap(),
                version: Some((*version).to_owned()).filter(|version| !version.is_empty()),
            })
            .collect();
        let exclude: Vec<NamePattern> = exclude.iter().map(|text| text.parse().unwrap()).collect();
        Plan::listed(&Fixes::collect([], &packages), &exclude, &database())
    }

    fn target_texts(plan: &Plan) -> Vec<String> {
        match &plan.action {
            Action::Upgrade(Targets::Listed(targets)) => targets
                .iter()
                .map(|target| {
                    let first = target.at_least.first();
                    let version = first.map_or("newest", |first| first.version.as_str());
                    format!("{}:{}={version}", target.name, target.architecture)
                })
                .collect(),
            _ => Vec::new(),
        }
    }

    #[test]
    fn every_architecture_gets_what_it_lacks() {
        let plan = plan(&[("libc6", "2.36-9")], &[]);
        assert_eq!(target_texts(&plan), ["libc6:i386=2.36-9"]);
        assert_eq!(plan.assessments.len(), 2);
    }

    #[test]
    fn of_versions_beside_each_other_the_newest_counts() {
        let kernel = |version: &str| InstalledPackage {
            version: Version::parse(Scheme::Rpm, version).unwrap(),
            held: false,
            ..database().packages()[0].clone()
        };
        let database = Database::new([kernel("5.14-2"), kernel("5.14-1")]);
        let name = database.packages()[0].name.clone();
        for (wanted, expected) in [("5.14-2", 0), ("5.14-3", 1)] {
            let wanted = WantedPackage { name: name.clone(), version: Some(wanted.to_owned()) };
            let plan = Plan::listed(&Fixes::collect([], &[wanted]), &[], &database);
            assert_eq!((plan.assessments.len(), target_texts(&plan).len()), (1, expected));
        }
    }

    #[test]
    fn the_highest_demand_is_the_target() {
        let plan = plan(&[("tzdata", "2026b"), ("tzdata", "2026c"), ("tzdata", "")], &[]);
        assert_eq!(target_texts(&plan), ["tzdata:all=2026c"]);
    }

    #[test]
    fn what_is_not_done_is_named() {
        let plan = plan(&[("bash", "6"), ("zsh", "1"), ("tzdata", "2026c")], &["tz*"]);
        assert_eq!(plan.action, Action::Nothing);
        let verdicts: Vec<&Verdict> =
            plan.assessments.iter().map(|assessment| &assessment.verdict).collect();
        let version = Version::parse(Scheme::Deb, "6").unwrap();
        let threshold = Threshold { version, source: None };
        assert_eq!(
            verdicts,
            [
                &Verdict::Unmet(Some(threshold), UnmetReason::Held),
                &Verdict::Impossible(Obstacle::Excluded),
                &Verdict::Unmet(None, UnmetReason::NotInstalled),
            ]
        );
        assert_eq!(plan.unmet().count(), 2);
    }

    #[test]
    fn the_newest_is_not_reached_by_what_is_there() {
        let becomes = |to: &str, reason: UnmetReason| {
            let name = "tzdata".parse().unwrap();
            let unmet = [Unmet { name, architecture: "all".parse().unwrap(), reason }];
            let version = Version::parse(Scheme::Deb, to).unwrap();
            let reached = |_: &_, _: &_| Some((version.clone(), version.clone()));
            plan(&[("tzdata", "")], &[]).after_fetch(&unmet, &[], reached).unmet().count()
        };
        let none = UnmetReason::NoCandidate { newest: "2026a".to_owned() };
        let conflict = UnmetReason::Unsolvable { because: "a conflict".to_owned() };
        assert_eq!(becomes("2026a", none), 0);
        assert_eq!(becomes("2026a", conflict.clone()), 1);
        assert_eq!(becomes("2026b", conflict), 0);
    }

    #[test]
    fn a_part_of_the_fixes_may_be_reached() {
        let plan = plan(&[("tzdata", "2026b"), ("tzdata", "2026z")], &[]);
        let unmet = [Unmet {
            name: "tzdata".parse().unwrap(),
            architecture: "all".parse().unwrap(),
            reason: UnmetReason::NoCandidate { newest: "2026c".to_owned() },
        }];
        let version = Version::parse(Scheme::Deb, "2026c").unwrap();
        let plan = plan.after_fetch(&unmet, &[], |_, _| Some((version.clone(), version.clone())));
        let unmet: Vec<&Verdict> = plan.unmet().map(|assessment| &assessment.verdict).collect();
        assert!(
            matches!(unmet[..], [Verdict::Unmet(Some(needed), _)] if needed.version.as_str() == "2026z")
        );
    }
}
