//! Distributions whose updates are the lab's own, and what people write to have them.

use crate::rpm_worlds::ALMALINUX;
use crate::trivy_report::Finding;

/// A distribution that a row is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Distribution {
    /// Alpine, with everything there is.
    Alpine,
    /// `AlmaLinux`, with what a report names. One of its repositories has an index as large as a
    /// distribution's, which a Dockerfile leaves in its layer.
    Almalinux,
    /// The same with nothing but the lab's own repositories, whose indexes are tiny.
    AlmalinuxTiny,
}

/// What the distributions differ in: one row each.
#[derive(Debug)]
pub(super) struct Terms {
    /// Its name.
    pub(super) name: &'static str,
    /// The image that is patched.
    pub(super) image: &'static str,
    /// What a Dockerfile runs, before the names of packages.
    upgrade: &'static str,
    /// The packages that are upgraded; without any, all.
    packages: &'static [&'static str],
    /// The part of the Dockerfile's layer that suture's may have.
    pub(super) layer: f64,
}

impl Distribution {
    /// All of them.
    pub(super) const ALL: [Self; 3] = [Self::Alpine, Self::Almalinux, Self::AlmalinuxTiny];

    /// Its row.
    pub(super) fn terms(self) -> &'static Terms {
        match self {
            Self::Alpine => &ALPINE_TERMS,
            Self::Almalinux => &ALMALINUX_TERMS,
            Self::AlmalinuxTiny => &ALMALINUX_TINY_TERMS,
        }
    }
}

static ALPINE_TERMS: Terms = Terms {
    name: "alpine",
    image: "lab/alpine:3.20",
    upgrade: "apk upgrade --no-cache",
    packages: &[],
    layer: 0.9,
};

static ALMALINUX_TERMS: Terms = Terms {
    name: "almalinux",
    image: "lab/almalinux:9.4-bench",
    upgrade: "dnf -y upgrade",
    packages: &ALMALINUX.reported,
    layer: 0.75,
};

static ALMALINUX_TINY_TERMS: Terms =
    Terms { name: "almalinux-tiny", image: "lab/almalinux:9.4", ..ALMALINUX_TERMS };

impl Terms {
    /// The Dockerfile that people write without suture. An image of an application has a user, who may
    /// not upgrade anything.
    pub(super) fn dockerfile(&self) -> String {
        let command = [&[self.upgrade], self.packages].concat().join(" ");
        format!("FROM {}\nUSER root\nRUN {command}\n", self.image)
    }

    /// The report that names the packages, if there is one.
    pub(super) fn report(&self) -> Option<String> {
        (!self.packages.is_empty()).then(|| format!("{}.json", self.name))
    }

    /// What that report says.
    pub(super) fn findings(&self) -> Vec<Finding> {
        let updates = ALMALINUX.updates.iter();
        let reported = updates.filter(|update| self.packages.contains(&update.package));
        reported
            .zip(1000..)
            .map(|(update, number)| Finding {
                id: format!("CVE-2026-{number}"),
                package: update.package.to_owned(),
                fixed: Some(update.fixed.to_owned()),
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::Distribution;

    #[test]
    fn a_report_names_what_the_dockerfile_does() {
        for distribution in Distribution::ALL {
            let terms = distribution.terms();
            let findings = terms.findings();
            assert_eq!(findings.is_empty(), terms.report().is_none());
            let dockerfile = terms.dockerfile();
            assert!(findings.iter().all(|finding| dockerfile.contains(&finding.package)));
        }
    }
}
