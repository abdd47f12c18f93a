//! What fetch does to the managers' configuration in the root that is thrown away.

use std::path::Path;

use crate::package::NamePattern;

use super::super::Failure;
use super::manager::Exclude;
use super::write;

/// The one list of locks that must not be empty, because it is TOML with a version.
const VERSION_LOCKS: &str = "/etc/dnf/versionlock.toml";

/// Lists of locks, each a file of its own.
const LOCK_LISTS: [&str; 4] = [
    VERSION_LOCKS,
    "/etc/dnf/plugins/versionlock.list",
    "/etc/yum/pluginconf.d/versionlock.list",
    "/etc/zypp/locks",
];

/// Folder of files that each lock packages.
const LOCK_FOLDER: &str = "/etc/tdnf/locks.d/";

/// The settings that exclude packages.
const EXCLUDES: [&str; 2] = ["exclude", "excludepkgs"];

/// Tells a manager without an option for it what not to touch.
pub(super) fn exclude(how: Exclude, patterns: &[NamePattern]) -> Result<(), Failure> {
    if patterns.is_empty() {
        return Ok(());
    }
    match how {
        Exclude::Option => Ok(()),
        Exclude::Configuration(file) => {
            let names: Vec<&str> = patterns.iter().map(NamePattern::as_str).collect();
            set(file, &format!("exclude={}", names.join(" ")))
        }
        Exclude::Locks(file) => {
            let file = Path::new(file);
            let mut locks = std::fs::read_to_string(file).unwrap_or_default();
            for pattern in patterns {
                let lock = format!(
                    "\ntype: package\nmatch_type: glob\ncase_sensitive: on\nsolvable_name: {pattern}\n"
                );
                locks.push_str(&lock);
            }
            write(file, &locks)
        }
    }
}

/// Adds a line to the section `[main]` of a configuration file.
pub(super) fn set(file: &str, line: &str) -> Result<(), Failure> {
    let file = Path::new(file);
    let text = std::fs::read_to_string(file).unwrap_or_default();
    let (before, after) = text.split_once("[main]").unwrap_or(("", &text));
    write(file, &format!("{before}[main]\n{line}\n{after}"))
}

/// Takes all holds off, so that the manager lists what they keep back.
pub(super) fn lift() -> Result<(), Failure> {
    for file in super::configuration_files() {
        let name = file.display().to_string();
        if name == VERSION_LOCKS {
            std::fs::remove_file(&file).map_err(|error| Failure::file("remove", &file, &error))?;
        } else if LOCK_LISTS.contains(&name.as_str()) || name.starts_with(LOCK_FOLDER) {
            write(&file, "")?;
        } else if let Ok(text) = std::fs::read_to_string(&file) {
            let without = without_excludes(&text);
            if without != text {
                write(&file, &without)?;
            }
        }
    }
    Ok(())
}

/// The text of a configuration file without the settings that exclude packages, and the lines that
/// continue them.
fn without_excludes(text: &str) -> String {
    let mut within = false;
    let mut kept = String::new();
    for line in text.split_inclusive('\n') {
        if !line.starts_with([' ', '\t']) {
            let setting = line.split_once('=').map_or("", |(name, _)| name.trim());
            within = EXCLUDES.contains(&setting);
        }
        if !within {
            kept.push_str(line);
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn excludes_are_left_out() {
        let text = "[main]\nexcludepkgs = a,\n  b\n\tc\nbest=1\n\n[x]\nexclude=d\nname=x\n";
        assert_eq!(without_excludes(text), "[main]\nbest=1\n\n[x]\nname=x\n");
        assert_eq!(without_excludes(""), "");
    }
}
