//! The proof: the package database of the result against the plan.

use std::collections::{BTreeMap, BTreeSet};

use crate::package::{Architecture, NamePattern, PackageName};
use crate::patch::task::{FetchOutcome, Removed, Upgrade};
use crate::pkgdb::{Database, InstalledPackage};
use crate::plan::{Assessment, Plan, Verdict};

/// What was seen in the result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified {
    /// Packages that have another version now, or are new.
    pub changes: Vec<Upgrade>,
    /// Packages that were removed with the upgrades, as announced.
    pub removed: Vec<Removed>,
    /// The demands and their outcomes.
    pub plan: Plan,
}

/// A result that is not what was planned.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VerifyError {
    /// Packages are gone.
    #[error("packages are missing from the result: {}", .0.join(", "))]
    Removed(Vec<String>),
    /// Packages were left half-installed.
    #[error("packages are half-installed in the result: {}", .0.join(", "))]
    Unfinished(Vec<String>),
    /// Packages have versions that fetch did not choose.
    #[error("packages have other versions than planned: {}", .0.join(", "))]
    OtherVersions(Vec<String>),
    /// Packages went back to older versions.
    #[error("packages have gone back to older versions: {}", .0.join(", "))]
    Downgraded(Vec<String>),
    /// Packages that fetch announced are not there.
    #[error("packages that were to come are missing from the result: {}", .0.join(", "))]
    NotThere(Vec<String>),
    /// Packages changed that the user had excluded.
    #[error("excluded packages have changed: {}", .0.join(", "))]
    Excluded(Vec<String>),
    /// A demand that fetch had reached is not met.
    #[error("fixes are not in the result: {}", .0.join(", "))]
    NotFixed(Vec<String>),
}

type Key<'a> = (&'a PackageName, &'a Architecture);

/// Compares the package databases before and after with what fetch announced and with the plan.
pub fn verify(
    before: &Database,
    after: &Database,
    outcome: &FetchOutcome,
    exclude: &[NamePattern],
    plan: Plan,
) -> Result<Verified, VerifyError> {
    refuse(after.unfinished().map(describe).collect(), VerifyError::Unfinished)?;
    let old = by_key(before);
    let new = by_key(after);
    let name = |(name, architecture): Key<'_>| format!("{name}:{architecture}");
    let announced: BTreeMap<Key<'_>, &Upgrade> = outcome
        .upgrades
        .iter()
        .map(|upgrade| ((&upgrade.name, &upgrade.architecture), upgrade))
        .collect();
    // A package that moves between one architecture and `all` is the same package.
    let names: BTreeSet<&PackageName> = new.keys().map(|(name, _)| *name).collect();
    let announced_to_go =
        |name: &PackageName| outcome.removed.iter().any(|removed| removed.name == *name);
    let gone = old.keys().filter(|key| !new.contains_key(*key) && !names.contains(key.0));
    let (removed, lost): (Vec<&Key<'_>>, Vec<_>) = gone.partition(|key| announced_to_go(key.0));
    // Kernels are installed side by side, and an upgrade adds one.
    let announced_to_be_fewer = |key: &Key<'_>| {
        outcome.fewer.iter().any(|fewer| (&fewer.name, &fewer.architecture) == *key)
    };
    let fewer = old.keys().filter(|key| {
        new.contains_key(*key)
            && versions(after, **key).count() < versions(before, **key).count()
            && !announced_to_be_fewer(key)
    });
    let lost = lost.into_iter().chain(fewer).flat_map(|key| {
        let is_lost = |package: &&InstalledPackage| {
            !versions(after, *key).any(|found| found.version == package.version)
        };
        versions(before, *key).filter(is_lost).map(describe)
    });
    refuse(lost.collect(), VerifyError::Removed)?;
    let removed = removed.into_iter().map(|(name, architecture)| Removed {
        name: (*name).clone(),
        architecture: (*architecture).clone(),
    });
    let removed: Vec<Removed> = removed.collect();

    let absent = announced.keys().filter(|key| !new.contains_key(*key));
    refuse(absent.map(|key| name(*key)).collect(), VerifyError::NotThere)?;
    let older = new.iter().filter(|(key, package)| {
        old.get(*key).is_some_and(|before| package.version < before.version)
    });
    refuse(older.map(|(_, package)| describe(package)).collect(), VerifyError::Downgraded)?;

    let mut changes = Vec::new();
    let mut unexpected = Vec::new();
    for (key, package) in &new {
        let to = package.version.as_str().to_owned();
        let upgrade = announced.get(key);
        let planned = upgrade.map(|upgrade| upgrade.to.as_str());
        // One that is now made for another architecture was there for the old one.
        let from = old.get(key).map(|package| package.version.as_str().to_owned());
        let from = from.or_else(|| upgrade?.from.clone());
        if from.as_deref() == Some(to.as_str()) && planned.is_none_or(|planned| planned == to) {
            continue;
        }
        if planned != Some(to.as_str()) {
            unexpected.push(describe(package));
        }
        let (name, architecture) = (package.name.clone(), package.architecture.clone());
        let source = Some(package.source.version.as_str().to_owned()).filter(|it| *it != to);
        changes.push(Upgrade { name, architecture, from, to, source });
    }
    refuse(unexpected, VerifyError::OtherVersions)?;
    // A new dependency was not there to be left alone.
    let excluded = changes.iter().filter(|change| {
        change.from.is_some() && exclude.iter().any(|pattern| pattern.matches(&change.name))
    });
    let excluded = excluded.map(|change| format!("{}:{}", change.name, change.architecture));
    refuse(excluded.collect(), VerifyError::Excluded)?;

    let missed = plan.assessments.iter().filter(|assessment| !is_met(assessment, after, &removed));
    refuse(missed.map(describe_demand).collect(), VerifyError::NotFixed)?;
    Ok(Verified { changes, removed, plan })
}

fn refuse(
    found: Vec<String>,
    error: impl FnOnce(Vec<String>) -> VerifyError,
) -> Result<(), VerifyError> {
    if found.is_empty() { Ok(()) } else { Err(error(found)) }
}

/// The installed versions of a package.
fn versions<'d>(
    database: &'d Database,
    (name, architecture): Key<'d>,
) -> impl Iterator<Item = &'d InstalledPackage> {
    database.find(name).filter(move |package| package.architecture == *architecture)
}

fn by_key(database: &Database) -> BTreeMap<Key<'_>, &InstalledPackage> {
    database.installed().map(|package| ((&package.name, &package.architecture), package)).collect()
}

fn describe(package: &InstalledPackage) -> String {
    format!("{}:{} {}", package.name, package.architecture, package.version)
}

fn describe_demand(assessment: &Assessment) -> String {
    match &assessment.verdict {
        Verdict::Planned(Some(required)) => {
            format!("{} {}", assessment.name, required.version)
        }
        _ => assessment.name.to_string(),
    }
}

/// Whether a planned demand is met by what the result has: also if the package is gone, as announced, because another
/// replaces it.
fn is_met(assessment: &Assessment, after: &Database, removed: &[Removed]) -> bool {
    let Verdict::Planned(Some(required)) = &assessment.verdict else { return true };
    let packages: Vec<&InstalledPackage> =
        after.find(&assessment.name).filter(|package| package.state.is_installed()).collect();
    let exact = assessment
        .architecture
        .as_ref()
        .and_then(|architecture| after.get(&assessment.name, architecture));
    match exact {
        Some(package) => required.is_met_by(package),
        None if packages.is_empty() => removed.iter().any(|gone| gone.name == assessment.name),
        None => packages.iter().all(|package| required.is_met_by(package)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixes::Fixes;
    use crate::pkgdb::dpkg;
    use crate::pkgdb::rpm::listing;
    use crate::request::WantedPackage;

    fn database(packages: &[(&str, &str, &str)]) -> Database {
        let stanza = |(name, version, state): &(&str, &str, &str)| {
            format!(
                "Package: {name}\nStatus: install ok {state}\nArchitecture: amd64\n\
                 Version: {version}\n\n"
            )
        };
        let stanzas: Vec<String> = packages.iter().map(stanza).collect();
        dpkg::parse_status(stanzas.concat().as_bytes()).unwrap()
    }

    fn upgrade(name: &str, to: &str) -> Upgrade {
        Upgrade {
            name: name.parse().unwrap(),
            architecture: "amd64".parse().unwrap(),
            from: None,
            to: to.to_owned(),
            source: None,
        }
    }

    fn outcome(upgrades: &[Upgrade], removed: &[Removed], fewer: &[Removed]) -> FetchOutcome {
        FetchOutcome {
            at: 0,
            upgrades: upgrades.to_vec(),
            removed: removed.to_vec(),
            fewer: fewer.to_vec(),
            unmet: Vec::new(),
            misfits: Vec::new(),
            skipped: Vec::new(),
        }
    }

    fn check(
        after: &[(&str, &str, &str)],
        announced: &[(&str, &str)],
    ) -> Result<usize, VerifyError> {
        let before = database(&[("a", "1", "installed"), ("b", "1", "installed")]);
        let wanted = WantedPackage { name: "a".parse().unwrap(), version: Some("2".to_owned()) };
        let plan = Plan::listed(&Fixes::collect([], &[wanted]), &[], &before);
        let announced: Vec<Upgrade> =
            announced.iter().map(|(name, to)| upgrade(name, to)).collect();
        let exclude = ["c*".parse().unwrap()];
        verify(&before, &database(after), &outcome(&announced, &[], &[]), &exclude, plan)
            .map(|verified| verified.changes.len())
    }

    #[test]
    fn a_result_as_planned_passes() {
        let after = [("a", "2", "installed"), ("b", "1", "installed"), ("c", "1", "installed")];
        assert_eq!(check(&after, &[("a", "2"), ("c", "1")]), Ok(2));
    }

    #[test]
    fn what_is_replaced_is_fixed() {
        let before = database(&[("a", "1", "installed"), ("b", "1", "installed")]);
        let after = database(&[("b", "1", "installed"), ("c", "1", "installed")]);
        let wanted = WantedPackage { name: "a".parse().unwrap(), version: Some("2".to_owned()) };
        let plan = Plan::listed(&Fixes::collect([], &[wanted]), &[], &before);
        let gone = Removed { name: "a".parse().unwrap(), architecture: "amd64".parse().unwrap() };
        let announced = [upgrade("c", "1")];
        let told = outcome(&announced, std::slice::from_ref(&gone), &[]);
        let verified = verify(&before, &after, &told, &[], plan.clone());
        assert_eq!(verified.unwrap().removed, [gone]);
        assert!(verify(&before, &after, &outcome(&announced, &[], &[]), &[], plan).is_err());
    }

    #[test]
    fn every_other_result_is_refused() {
        let both = |one: (&'static str, &'static str, &'static str)| [one, ("b", "1", "installed")];
        assert_eq!(
            check(&both(("a", "2", "half-configured")), &[("a", "2")]),
            Err(VerifyError::Unfinished(vec!["a:amd64 2".to_owned()]))
        );
        assert_eq!(
            check(&[("a", "2", "installed")], &[("a", "2")]),
            Err(VerifyError::Removed(vec!["b:amd64 1".to_owned()]))
        );
        assert_eq!(
            check(&both(("a", "3", "installed")), &[("a", "2")]),
            Err(VerifyError::OtherVersions(vec!["a:amd64 3".to_owned()]))
        );
        let changed = [("a", "2", "installed"), ("b", "1", "installed")];
        let (before, exclude) = (database(&[("a", "1", "installed"), changed[1]]), "a*".parse());
        let plan = Plan::listed(&Fixes::default(), &[], &before);
        let announced = outcome(&[upgrade("a", "2")], &[], &[]);
        assert_eq!(
            verify(&before, &database(&changed), &announced, &[exclude.unwrap()], plan),
            Err(VerifyError::Excluded(vec!["a:amd64".to_owned()]))
        );
        assert_eq!(
            check(&both(("a", "1", "installed")), &[]),
            Err(VerifyError::NotFixed(vec!["a 2".to_owned()]))
        );
    }

    #[test]
    fn a_package_for_another_architecture_is_the_same() {
        let package = |version: &str, architecture: &str| {
            listing::parse(&format!("a\t0\t{version}\t1\t{architecture}\t(none)\n")).unwrap()
        };
        let (before, after) = (package("1", "noarch"), package("2", "x86_64"));
        let upgrade = Upgrade {
            architecture: "x86_64".parse().unwrap(),
            from: Some("1-1".to_owned()),
            ..upgrade("a", "2-1")
        };
        let told = outcome(std::slice::from_ref(&upgrade), &[], &[]);
        let plan = || Plan::listed(&Fixes::default(), &[], &before);
        let verified = verify(&before, &after, &told, &[], plan()).unwrap();
        assert_eq!(verified.changes, [upgrade]);
        let excluded = verify(&before, &after, &told, &["a".parse().unwrap()], plan());
        assert!(matches!(excluded, Err(VerifyError::Excluded(_))));
    }

    #[test]
    fn versions_beside_each_other_stay() {
        let kernels = |versions: &[&str]| {
            let line = |version: &&str| format!("kernel\t0\t{version}\t1\tx86_64\t(none)\n");
            listing::parse(&versions.iter().map(line).collect::<String>()).unwrap()
        };
        let before = kernels(&["5", "6"]);
        let announced = [Upgrade {
            name: "kernel".parse().unwrap(),
            architecture: "x86_64".parse().unwrap(),
            from: None,
            to: "7-1".to_owned(),
            source: None,
        }];
        let plan = || Plan::listed(&Fixes::default(), &[], &before);
        let result = |after: &[&str], fewer: &[Removed]| {
            verify(&before, &kernels(after), &outcome(&announced, &[], fewer), &[], plan())
        };
        assert!(result(&["5", "6", "7"], &[]).is_ok());
        let lost = ["kernel:x86_64 5-1".to_owned(), "kernel:x86_64 6-1".to_owned()];
        assert_eq!(result(&["7"], &[]), Err(VerifyError::Removed(lost.to_vec())));
        let (name, architecture) = ("kernel".parse().unwrap(), "x86_64".parse().unwrap());
        assert!(result(&["7"], &[Removed { name, architecture }]).is_ok());
    }
}
