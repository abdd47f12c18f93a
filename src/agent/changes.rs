//! What an upgrade did, as the package database shows before and after.

use std::collections::BTreeSet;

use crate::patch::task::{Removed, Upgrade};
use crate::pkgdb::{Database, InstalledPackage};

/// The packages that are new, or whose newest version has changed.
pub(super) fn upgrades(before: &Database, after: &Database) -> Vec<Upgrade> {
    let is_newest = |package: &&InstalledPackage| {
        after
            .get(&package.name, &package.architecture)
            .is_some_and(|newest| newest.version.as_str() == package.version.as_str())
    };
    let upgrade = |package: &InstalledPackage| {
        let from = predecessor(package, before, after).map(|old| old.version.to_string());
        let to = package.version.to_string();
        (from.as_ref() != Some(&to)).then(|| Upgrade {
            name: package.name.clone(),
            architecture: package.architecture.clone(),
            from,
            source: Some(package.source.version.to_string()).filter(|source| *source != to),
            to,
        })
    };
    after.installed().filter(is_newest).filter_map(upgrade).collect()
}

/// The package as it was, perhaps for an architecture that it is no longer made for.
fn predecessor<'b>(
    package: &InstalledPackage,
    before: &'b Database,
    after: &Database,
) -> Option<&'b InstalledPackage> {
    let name = &package.name;
    before
        .get(name, &package.architecture)
        .or_else(|| before.find(name).find(|old| after.get(name, &old.architecture).is_none()))
}

/// The packages with several versions installed, and fewer afterwards: those not made to be installed side by side
/// become one.
pub(super) fn fewer(before: &Database, after: &Database) -> Vec<Removed> {
    let count = |database: &Database, package: &InstalledPackage| {
        let same = database.find(&package.name);
        same.filter(|same| same.architecture == package.architecture).count()
    };
    let is_fewer =
        |package: &&InstalledPackage| (1..count(before, package)).contains(&count(after, package));
    let named = |old: &InstalledPackage| (old.name.clone(), old.architecture.clone());
    let fewer: BTreeSet<_> = before.installed().filter(is_fewer).map(named).collect();
    fewer.into_iter().map(|(name, architecture)| Removed { name, architecture }).collect()
}

/// The packages that are gone, unless one of their name is new for another architecture.
pub(super) fn removed(before: &Database, after: &Database) -> Vec<Removed> {
    let is_new =
        |package: &InstalledPackage| before.get(&package.name, &package.architecture).is_none();
    let is_gone = |old: &&InstalledPackage| {
        after.get(&old.name, &old.architecture).is_none() && !after.find(&old.name).any(is_new)
    };
    let removed = |old: &InstalledPackage| (old.name.clone(), old.architecture.clone());
    let removed: BTreeSet<_> = before.installed().filter(is_gone).map(removed).collect();
    removed.into_iter().map(|(name, architecture)| Removed { name, architecture }).collect()
}
