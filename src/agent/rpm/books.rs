//! dnf 5's and zypper's own records, in text files, of why packages are installed.
//!
//! rpm does not write there, so a package that came with an upgrade would count as wanted by the
//! user, and no clean-up would ever remove it. dnf 4 keeps the same in a database that nobody else
//! writes to: with it, new packages count as wanted.

use std::collections::BTreeSet;
use std::path::Path;

use crate::package::{Architecture, PackageName};
use crate::pkgdb::Database;

use super::super::Failure;
use super::package_file::PackageFile;
use super::write;

/// dnf 5: `"NAME.ARCHITECTURE" = {reason = "User"}`, sorted, below `[packages]`.
const REASONS: &str = "/usr/lib/sysimage/libdnf5/packages.toml";

/// zypper: names of packages installed as dependencies, one per line.
const AUTOMATIC: &str = "/var/lib/zypp/AutoInstalled";

/// A package that an upgrade has brought.
struct New<'a> {
    name: &'a PackageName,
    architecture: &'a Architecture,
    /// What it replaces.
    replaces: Option<&'a PackageName>,
}

/// Enters the packages that were not there before.
pub(super) fn enter(
    files: &[PackageFile],
    before: &Database,
    after: &Database,
) -> Result<(), Failure> {
    let gone = |name: &&PackageName| {
        before.find(name).next().is_some() && after.find(name).next().is_none()
    };
    let is_new = |file: &&PackageFile| before.find(&file.package.name).next().is_none();
    let new: Vec<New<'_>> = files
        .iter()
        .filter(is_new)
        .map(|file| New {
            name: &file.package.name,
            architecture: &file.package.architecture,
            replaces: file.obsoletes.iter().find(gone),
        })
        .collect();
    if new.is_empty() {
        return Ok(());
    }
    edit(Path::new(REASONS), |text| reasons(text, &new))?;
    edit(Path::new(AUTOMATIC), |text| automatic(text, &new))
}

/// Changes a book, if the image has it.
fn edit(file: &Path, change: impl FnOnce(&str) -> String) -> Result<(), Failure> {
    let Ok(text) = std::fs::read_to_string(file) else { return Ok(()) };
    let changed = change(&text);
    if changed == text { Ok(()) } else { write(file, &changed) }
}

fn reasons(text: &str, new: &[New<'_>]) -> String {
    let mut lines: Vec<String> = text.lines().map(ToOwned::to_owned).collect();
    for package in new {
        let key = format!("\"{}.{}\" = ", package.name, package.architecture);
        let predecessor = package.replaces.and_then(|old| {
            let start = format!("\"{old}.");
            let found = lines.iter().position(|line| line.starts_with(&start))?;
            lines.remove(found).split_once(" = ").map(|(_, reason)| reason.to_owned())
        });
        let reason = predecessor.unwrap_or_else(|| "{reason = \"Dependency\"}".to_owned());
        let first = lines.iter().position(|line| line == "[packages]").map_or(0, |line| line + 1);
        let entries = lines.iter().skip(first).take_while(|line| line.starts_with('"'));
        let place = first + entries.take_while(|line| **line < key).count();
        lines.insert(place, key + &reason);
    }
    lines.join("\n") + "\n"
}

fn automatic(text: &str, new: &[New<'_>]) -> String {
    let mut known: BTreeSet<&str> = text.lines().collect();
    let mut changed = text.to_owned();
    for package in new {
        let wanted = package.replaces.is_some_and(|old| !known.contains(old.as_str()));
        if !wanted && known.insert(package.name.as_str()) {
            changed.push_str(package.name.as_str());
            changed.push('\n');
        }
    }
    changed
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_new(change: impl FnOnce(&[New<'_>]) -> String) -> String {
        let [dependency, successor, old]: [PackageName; 3] =
            ["dependency", "successor", "old"].map(|name| name.parse().unwrap());
        let architecture: Architecture = "noarch".parse().unwrap();
        let new = |name, replaces| New { name, architecture: &architecture, replaces };
        change(&[new(&dependency, None), new(&successor, Some(&old))])
    }

    #[test]
    fn dnf5_learns_why_packages_are_there() {
        let text = "version = \"1.0\"\n\n[packages]\n\"bash.x86_64\" = {reason = \"User\"}\n\
            \"old.noarch\" = {reason = \"Group\"}\n\"zlib.x86_64\" = {reason = \"Dependency\"}\n";
        assert_eq!(
            with_new(|new| reasons(text, new)),
            "version = \"1.0\"\n\n[packages]\n\"bash.x86_64\" = {reason = \"User\"}\n\
             \"dependency.noarch\" = {reason = \"Dependency\"}\n\
             \"successor.noarch\" = {reason = \"Group\"}\n\
             \"zlib.x86_64\" = {reason = \"Dependency\"}\n"
        );
    }

    #[test]
    fn zypper_learns_what_came_for_others() {
        assert_eq!(with_new(|new| automatic("# x\n#\nzlib\n", new)), "# x\n#\nzlib\ndependency\n");
        assert_eq!(
            with_new(|new| automatic("old\ndependency\n", new)),
            "old\ndependency\nsuccessor\n"
        );
    }
}
