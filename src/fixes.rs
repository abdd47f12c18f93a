//! From findings to fixes: what each package has to reach.

use std::collections::{BTreeMap, BTreeSet};

use crate::package::{Architecture, PackageName};
use crate::report::{Finding, Severity, VulnerabilityId};
use crate::request::WantedPackage;
use crate::version::Version;

/// What has to be reached, by package; each vulnerability once, whatever reports name it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fixes {
    packages: BTreeMap<Subject, Vec<Demand>>,
}

/// A package that something is demanded of.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Subject {
    /// Its name.
    pub name: PackageName,
    /// Its architecture; `None` is each that the image has.
    pub architecture: Option<Architecture>,
}

/// Who wants a newer version, and which one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Demand {
    /// A report has found a vulnerability.
    Finding {
        /// Which.
        id: VulnerabilityId,
        /// How bad the report says it is.
        severity: Severity,
        /// The version that the scanner saw.
        seen: String,
        /// Versions without the vulnerability, of one line of development each.
        fixed: BTreeSet<String>,
    },
    /// The user has named the package.
    Named {
        /// The least version that will do; `None` is the newest.
        version: Option<String>,
    },
}

/// What a demand means for the version that is installed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Requirement {
    /// Nothing: it is met.
    Met,
    /// At least this version; `None` is the newest there is.
    AtLeast(Option<Version>),
    /// There is no fixed version.
    NoFix,
    /// The fixed version cannot be read as a version of this package's kind.
    Unreadable(String),
}

impl Fixes {
    /// The fixes for these findings and these packages named by the user.
    pub fn collect<'a>(
        findings: impl IntoIterator<Item = &'a Finding>,
        packages: &[WantedPackage],
    ) -> Self {
        let mut found: BTreeMap<(Subject, VulnerabilityId), Demand> = BTreeMap::new();
        for finding in findings {
            let subject = Subject {
                name: finding.package.clone(),
                architecture: finding.architecture.clone(),
            };
            let new = finding.fixed.iter().map(ToString::to_string);
            let demand =
                found.entry((subject, finding.id.clone())).or_insert_with(|| Demand::Finding {
                    id: finding.id.clone(),
                    severity: finding.severity,
                    seen: finding.installed.to_string(),
                    fixed: BTreeSet::new(),
                });
            if let Demand::Finding { severity, fixed, .. } = demand {
                *severity = finding.severity.max(*severity);
                fixed.extend(new);
            }
        }
        let mut fixes = Self::default();
        for ((subject, _), demand) in found {
            fixes.packages.entry(subject).or_default().push(demand);
        }
        for package in packages {
            let subject = Subject { name: package.name.clone(), architecture: None };
            let demand = Demand::Named { version: package.version.clone() };
            fixes.packages.entry(subject).or_default().push(demand);
        }
        fixes
    }

    /// The packages with what is demanded of them.
    pub fn packages(&self) -> impl Iterator<Item = (&Subject, &[Demand])> {
        self.packages.iter().map(|(subject, demands)| (subject, demands.as_slice()))
    }
}

impl Demand {
    /// What this means when `installed` is in the image.
    ///
    /// Of several fixed versions the nearest above the installed one counts: the others belong to
    /// other lines of development. When the image has another version than the scanner saw, a
    /// fixed version at or below it means that the fix is in.
    pub fn requirement(&self, installed: &Version) -> Requirement {
        let scheme = installed.scheme();
        match self {
            Self::Named { version: None } => Requirement::AtLeast(None),
            Self::Named { version: Some(text) } => match Version::parse(scheme, text) {
                Ok(version) if version <= *installed => Requirement::Met,
                Ok(version) => Requirement::AtLeast(Some(version)),
                Err(_) => Requirement::Unreadable(text.clone()),
            },
            Self::Finding { seen, fixed, .. } => {
                let mut versions = Vec::new();
                for text in fixed {
                    match Version::parse(scheme, text) {
                        Ok(version) => versions.push(version),
                        Err(_) => return Requirement::Unreadable(text.clone()),
                    }
                }
                if versions.is_empty() {
                    return Requirement::NoFix;
                }
                let seen_here =
                    Version::parse(scheme, seen).is_ok_and(|version| version == *installed);
                let mut above: Vec<Version> =
                    versions.iter().filter(|version| *version > installed).cloned().collect();
                above.sort_by(|one, other| {
                    one.partial_cmp(other).unwrap_or(std::cmp::Ordering::Equal)
                });
                if !seen_here && above.len() < versions.len() {
                    return Requirement::Met;
                }
                above
                    .into_iter()
                    .next()
                    .map_or(Requirement::Met, |version| Requirement::AtLeast(Some(version)))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::version::Scheme;

    fn demand(seen: &str, fixed: &[&str]) -> Demand {
        Demand::Finding {
            id: "CVE-1".parse().unwrap(),
            severity: Severity::High,
            seen: seen.to_owned(),
            fixed: fixed.iter().map(|&text| text.to_owned()).collect(),
        }
    }

    #[test]
    fn the_nearest_fixed_version_above_counts() {
        let version = |text: &str| Version::parse(Scheme::Deb, text).unwrap();
        for (seen, fixed, installed, required) in [
            ("1.0", &["1.1"][..], "1.0", Some("1.1")),
            ("1.0", &["1.1"], "1.1", None),
            ("1.0", &["1.1"], "1.0.5", Some("1.1")),
            ("1.5", &["1.2", "2.0"], "1.5", Some("2.0")),
            ("1.0", &["1.2", "2.0"], "1.0", Some("1.2")),
            ("1.0", &["1.2", "2.0"], "1.3", None),
            ("1.0", &["1.2", "2.0"], "1.2", None),
        ] {
            let expected =
                required.map_or(Requirement::Met, |text| Requirement::AtLeast(Some(version(text))));
            let got = demand(seen, fixed).requirement(&version(installed));
            assert_eq!(got, expected, "{seen} {fixed:?} {installed}");
        }
        let installed = version("1.0");
        assert_eq!(demand("1.0", &[]).requirement(&installed), Requirement::NoFix);
        assert_eq!(
            demand("1.0", &["not yet"]).requirement(&installed),
            Requirement::Unreadable("not yet".to_owned())
        );
    }
}
