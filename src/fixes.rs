//! From findings to fixes: what each package has to reach.

use std::collections::{BTreeMap, BTreeSet};

use crate::package::{Architecture, PackageName};
use crate::pkgdb::InstalledPackage;
use crate::report::{Finding, Severity, VulnerabilityId};
use crate::request::WantedPackage;
use crate::threshold::{self, Threshold};

/// What has to be reached, by package; each vulnerability once, however many reports name it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fixes {
    packages: BTreeMap<Affected, Vec<Demand>>,
}

/// A package with demands on it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Affected {
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
        /// The lowest version that will do; `None` is the newest.
        version: Option<String>,
    },
}

/// What a demand means for the version that is installed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Requirement {
    /// Nothing: it is met.
    Met,
    /// At least this version; `None` is the newest there is.
    AtLeast(Option<Threshold>),
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
        let mut found: BTreeMap<(Affected, VulnerabilityId), Demand> = BTreeMap::new();
        for finding in findings {
            let affected = Affected {
                name: finding.package.clone(),
                architecture: finding.architecture.clone(),
            };
            let new = finding.fixed.iter().map(ToString::to_string);
            let demand =
                found.entry((affected, finding.id.clone())).or_insert_with(|| Demand::Finding {
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
        for ((affected, _), demand) in found {
            fixes.packages.entry(affected).or_default().push(demand);
        }
        for package in packages {
            let affected = Affected { name: package.name.clone(), architecture: None };
            let demand = Demand::Named { version: package.version.clone() };
            fixes.packages.entry(affected).or_default().push(demand);
        }
        fixes
    }

    /// The packages with what is demanded of them.
    pub fn packages(&self) -> impl Iterator<Item = (&Affected, &[Demand])> {
        self.packages.iter().map(|(affected, demands)| (affected, demands.as_slice()))
    }
}

impl Demand {
    /// What this means when `installed` is in the image.
    ///
    /// Of several fixed versions the nearest above the installed one counts: the others belong to
    /// other lines of development. If the image has a different version than the scanner saw, a fixed
    /// version at or below it means that the fix is in.
    pub fn requirement(&self, installed: &InstalledPackage) -> Requirement {
        let wanted = |text, seen| threshold::Wanted { text, seen };
        let read = |wanted| Threshold::read(wanted, installed);
        match self {
            Self::Named { version: None } => Requirement::AtLeast(None),
            Self::Named { version: Some(text) } => match read(wanted(text, None)) {
                Ok(threshold) if threshold.is_met_by(installed) => Requirement::Met,
                Ok(threshold) => Requirement::AtLeast(Some(threshold)),
                Err(_) => Requirement::Unreadable(text.clone()),
            },
            Self::Finding { seen, fixed, .. } => {
                let mut thresholds = Vec::new();
                for text in fixed {
                    match read(wanted(text, Some(seen))) {
                        Ok(threshold) => thresholds.push(threshold),
                        Err(_) => return Requirement::Unreadable(text.clone()),
                    }
                }
                if thresholds.is_empty() {
                    return Requirement::NoFix;
                }
                let all = thresholds.len();
                thresholds.retain(|threshold| !threshold.is_met_by(installed));
                if thresholds.len() < all && !wanted("", Some(seen)).saw(installed) {
                    return Requirement::Met;
                }
                let nearest = thresholds.into_iter().reduce(|nearest, one| {
                    if one.version < nearest.version { one } else { nearest }
                });
                nearest.map_or(Requirement::Met, |one| Requirement::AtLeast(Some(one)))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pkgdb::dpkg;
    use crate::version::{Scheme, Version};

    fn demand(seen: &str, fixed: &[&str]) -> Demand {
        Demand::Finding {
            id: "CVE-1".parse().unwrap(),
            severity: Severity::High,
            seen: seen.to_owned(),
            fixed: fixed.iter().map(|&text| text.to_owned()).collect(),
        }
    }

    fn package(version: &str) -> InstalledPackage {
        let status = format!(
            "Package: a\nStatus: install ok installed\nVersion: {version}\nArchitecture: amd64\n"
        );
        dpkg::parse_status(status.as_bytes()).unwrap().packages()[0].clone()
    }

    #[test]
    fn the_nearest_fixed_version_above_counts() {
        let threshold = |text: &str| Threshold {
            version: Version::parse(Scheme::Deb, text).unwrap(),
            source: None,
        };
        for (seen, fixed, installed, required) in [
            ("1.0", &["1.1"][..], "1.0", Some("1.1")),
            ("1.0", &["1.1"], "1.1", None),
            ("1.0", &["1.1"], "1.0.5", Some("1.1")),
            ("1.5", &["1.2", "2.0"], "1.5", Some("2.0")),
            ("1.0", &["1.2", "2.0"], "1.0", Some("1.2")),
            ("1.0", &["1.2", "2.0"], "1.3", None),
            ("1.0", &["1.2", "2.0"], "1.2", None),
        ] {
            let expected = required
                .map_or(Requirement::Met, |text| Requirement::AtLeast(Some(threshold(text))));
            let got = demand(seen, fixed).requirement(&package(installed));
            assert_eq!(got, expected, "{seen} {fixed:?} {installed}");
        }
        let installed = package("1.0");
        assert_eq!(demand("1.0", &[]).requirement(&installed), Requirement::NoFix);
        assert_eq!(
            demand("1.0", &["not yet"]).requirement(&installed),
            Requirement::Unreadable("not yet".to_owned())
        );
    }
}
