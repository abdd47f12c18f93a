//! Packages of the image that do not fit together as they are.
//!
//! apt upgrades nothing as long as any installed package lacks something that it needs, which an author may have
//! removed by force. So we show apt a status file in which these packages do not need it. They are left as they are,
//! and named; dpkg, which looks only at what it configures, works with the image's own file.

use std::path::{Path, PathBuf};

use crate::package::PackageName;
use crate::patch::task::{Misfit, path};

use super::super::Failure;
use super::super::process::Echo;
use super::{STATUS, output, run};

/// Maximum rounds of asking apt what does not fit: it reports all at once, except what hides behind an alternative.
const ROUNDS: usize = 8;

/// dpkg's status file as apt is to see it.
#[derive(Debug, Default)]
pub(super) struct Repaired {
    /// Where it is, if it is not the image's own.
    pub(super) status: Option<PathBuf>,
    /// The packages that do not fit.
    pub(super) misfits: Vec<Misfit>,
}

/// A complaint of `apt-get check`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Complaint {
    /// The package, with its architecture if apt says so.
    pub(super) package: String,
    /// The field of its stanza: `Depends`, `Breaks`, ….
    pub(super) field: String,
    /// What the field names, with its version.
    pub(super) relation: String,
    /// What is wrong with that.
    pub(super) why: String,
}

/// Asks apt what does not fit, and makes it fit.
pub(super) fn repair() -> Result<Repaired, Failure> {
    let mut repaired = Repaired::default();
    for _ in 0..ROUNDS {
        let mut arguments = super::common_options();
        arguments.extend(repaired.options());
        // Without sources it starts at once.
        for setting in ["Dir::Etc::sourcelist=/dev/null", "Dir::Etc::sourceparts=/dev/null"] {
            arguments.extend(["-o".to_owned(), setting.to_owned()]);
        }
        arguments.extend(["check", "-q"].map(str::to_owned));
        let finished = run("apt-get", &arguments, Echo::Hidden)?;
        if finished.is_success() {
            return Ok(repaired);
        }
        let complaints = output::complaints(&finished.stdout);
        let file = repaired.status.as_deref().unwrap_or(Path::new(STATUS));
        let status = std::fs::read(file).map_err(|error| Failure::file("read", file, &error))?;
        // Descriptions may be in another encoding, and do not matter.
        let before = String::from_utf8_lossy(&status);
        let after = without(&before, &complaints);
        if complaints.is_empty() || after == before {
            break;
        }
        let file = Path::new(path::WORK).join("status");
        std::fs::write(&file, after).map_err(|error| Failure::file("write", &file, &error))?;
        repaired.misfits.extend(complaints.iter().filter_map(misfit));
        repaired.status = Some(file);
    }
    // It complains about something else: the upgrade will tell.
    Ok(Repaired::default())
}

impl Repaired {
    /// Options that make apt read this status file.
    pub(super) fn options(&self) -> Vec<String> {
        let status =
            self.status.iter().map(|file| format!("Dir::State::status={}", file.display()));
        status.flat_map(|option| ["-o".to_owned(), option]).collect()
    }
}

/// A complaint in our words.
fn misfit(complaint: &Complaint) -> Option<Misfit> {
    let Complaint { package, field, relation, why } = complaint;
    let name: PackageName = package.split(':').next()?.parse().ok()?;
    let verb = match field.as_str() {
        "Breaks" | "Conflicts" => "does not go with",
        _ => "needs",
    };
    let why = match why.as_str() {
        "it is not installed" | "it is not going to be installed" | "it is not installable" => {
            ", which is not installed".to_owned()
        }
        why => format!(", but {why}"),
    };
    Some(Misfit { name, because: format!("{verb} {relation}{why}") })
}

/// A status file in which the packages no longer say what apt complains about.
fn without(status: &str, complaints: &[Complaint]) -> String {
    let mut changed = String::new();
    let mut package = "";
    for line in status.split_inclusive('\n') {
        let (field, value) = line.split_once(": ").unwrap_or((line, ""));
        if field == "Package" {
            package = value.trim();
        }
        let of_line = |it: &&Complaint| {
            it.package.split(':').next() == Some(package) && it.field == field.replace('-', "")
        };
        let relations: Vec<&str> =
            complaints.iter().filter(of_line).map(|it| it.relation.as_str()).collect();
        if relations.is_empty() {
            changed.push_str(line);
            continue;
        }
        let name = |relation: &str| {
            let name = relation.trim().split([' ', '(', ':', '[']).next().unwrap_or_default();
            name.to_owned()
        };
        let names: Vec<String> = relations.iter().map(|relation| name(relation)).collect();
        let stays = |clause: &&str| !clause.split('|').any(|it| names.contains(&name(it)));
        let kept: Vec<&str> = value.split(',').map(str::trim).filter(stays).collect();
        if !kept.is_empty() {
            changed.push_str(&format!("{field}: {}\n", kept.join(", ")));
        }
    }
    changed
}

#[cfg(test)]
mod tests {
    use super::*;

    const STATUS: &str = "Package: a\nStatus: install ok installed\nPre-Depends: libc6\n\
        Depends: b (>= 1), c | d, e\n\nPackage: b\nDepends: c\n\n";

    fn complaint(field: &str, relation: &str, why: &str) -> Complaint {
        let [package, field, relation, why] = ["a", field, relation, why].map(str::to_owned);
        Complaint { package, field, relation, why }
    }

    #[test]
    fn what_is_complained_about_is_taken_out() {
        let complaints = [
            complaint("Depends", "d", "it is not installed"),
            complaint("PreDepends", "libc6 (>= 9)", "2.36 is installed"),
        ];
        assert_eq!(
            without(STATUS, &complaints),
            "Package: a\nStatus: install ok installed\nDepends: b (>= 1), e\n\nPackage: b\nDepends: c\n\n"
        );
    }

    #[test]
    fn complaints_are_told() {
        let told = |complaint: &Complaint| misfit(complaint).unwrap().because;
        for (field, relation, why, expected) in [
            ("Depends", "b", "it is not installed", "needs b, which is not installed"),
            ("Depends", "b (>= 2)", "1 is installed", "needs b (>= 2), but 1 is installed"),
            ("Breaks", "b (< 2)", "1 is installed", "does not go with b (< 2), but 1 is installed"),
        ] {
            assert_eq!(told(&complaint(field, relation, why)), expected);
        }
    }
}
