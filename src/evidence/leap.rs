//! Upgrades that go further than anybody asked for.

use crate::package::words_of;
use crate::patch::task::Upgrade;
use crate::plan::{Plan, Verdict};
use crate::version::Version;

/// First numbers from here on are dates, such as that of `ca-certificates` 20230311.
const YEAR: u64 = 1000;

/// The upgrades to a new major version where a fix for the installed one was requested that no repository has: one
/// sentence each.
pub fn leaps(plan: &Plan, changes: &[Upgrade]) -> Vec<String> {
    let mut leaps: Vec<String> = plan
        .assessments
        .iter()
        .filter_map(|assessment| {
            let Verdict::Planned(Some(required)) = &assessment.verdict else { return None };
            let installed = assessment.installed.as_ref()?;
            let change = changes.iter().find(|change| {
                change.name == assessment.name
                    && change.from.as_deref() == Some(installed.as_str())
            })?;
            let to = Version::parse(installed.scheme(), &change.to).ok()?;
            let is_leap = required.source.is_none()
                && major(installed)? == major(&required.version)?
                && major(&to)? != major(installed)?;
            is_leap.then(|| {
                let (name, from) = (&change.name, words_of(installed.as_str()));
                let (to, asked) = (words_of(&change.to), words_of(required.version.as_str()));
                format!("{name} goes from {from} to {to}, a new major version: no repository has {asked}")
            })
        })
        .collect();
    leaps.sort();
    leaps.dedup();
    leaps
}

/// The first number of a version, unless it is a date.
fn major(version: &Version) -> Option<u64> {
    let text = version.without_epoch();
    let end = text.find(|sign: char| !sign.is_ascii_digit()).unwrap_or(text.len());
    let number = text.get(..end)?.parse().ok()?;
    (number < YEAR).then_some(number)
}
