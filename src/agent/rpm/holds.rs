//! What fetch does to the managers' configuration in the root that is thrown away.

use std::path::Path;

use crate::package::NamePattern;
use crate::repository::rpm::RpmRepository;

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
            let text = std::fs::read_to_string(file).unwrap_or_default();
            // If a setting is twice in a section, the last one counts.
            let (without, values) = without(&text, &EXCLUDES);
            let all = [values.join(" "), names.join(" ")].join(" ");
            write(Path::new(file), &in_main(&without, &format!("exclude={all}")))
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

/// Sets something in the section `[main]` of a configuration file.
pub(super) fn set(file: &str, name: &str, value: &str) -> Result<(), Failure> {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    let (without, _) = without(&text, &[name]);
    write(Path::new(file), &in_main(&without, &format!("{name}={value}")))
}

/// A configuration file's text with one more line in the section `[main]`.
fn in_main(text: &str, line: &str) -> String {
    let (before, after) = text.split_once("[main]").unwrap_or(("", text));
    format!("{before}[main]\n{line}\n{after}")
}

/// Removes all holds, also those in the named folders of repositories, so that the manager lists what they keep back.
pub(super) fn lift(named_folders: &[String]) -> Result<(), Failure> {
    for file in super::configuration_files(named_folders) {
        let name = file.display().to_string();
        if name == VERSION_LOCKS {
            std::fs::remove_file(&file).map_err(|error| Failure::file("remove", &file, &error))?;
        } else if LOCK_LISTS.contains(&name.as_str()) || name.starts_with(LOCK_FOLDER) {
            write(&file, "")?;
        } else if let Ok(text) = std::fs::read_to_string(&file) {
            let (without, excludes) = without(&text, &EXCLUDES);
            if !excludes.is_empty() {
                write(&file, &without)?;
            }
        }
    }
    Ok(())
}

/// Keeps the manager from asking a repository.
pub(super) fn disable(repository: &RpmRepository) -> Result<(), Failure> {
    let file = Path::new(&repository.file);
    let text =
        std::fs::read_to_string(file).map_err(|error| Failure::file("read", file, &error))?;
    write(file, &disabled(&text, &repository.id))
}

/// A file of repositories in which one is not enabled.
fn disabled(text: &str, id: &str) -> String {
    let mut within = false;
    let mut changed = String::new();
    for line in text.split_inclusive('\n') {
        if let Some(section) = line.trim().strip_prefix('[').and_then(|it| it.strip_suffix(']')) {
            within = section == id;
            changed.push_str(line);
            if within {
                changed.push_str("enabled=0\n");
            }
        } else if !within || line.split('=').next().is_none_or(|name| name.trim() != "enabled") {
            changed.push_str(line);
        }
    }
    changed
}

/// The text of a configuration file without these settings and the lines that continue them, and the
/// settings' values without quotes.
fn without(text: &str, settings: &[&str]) -> (String, Vec<String>) {
    let mut within = false;
    let mut kept = String::new();
    let mut values = Vec::new();
    for line in text.split_inclusive('\n') {
        let mut value = line;
        if !line.starts_with([' ', '\t']) {
            let (name, rest) = line.split_once('=').unwrap_or(("", line));
            within = settings.contains(&name.trim());
            value = rest;
        }
        if within {
            values.push(value.trim().trim_matches(['"', '\'']).to_owned());
        } else {
            kept.push_str(line);
        }
    }
    (kept, values)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_left_out() {
        let text = "[main]\nexcludepkgs = \"a,\n  b\n\tc\"\nbest=1\n\n[x]\nexclude='d'\nname=x\n";
        let (kept, values) = without(text, &EXCLUDES);
        assert_eq!(kept, "[main]\nbest=1\n\n[x]\nname=x\n");
        assert_eq!(values, ["a,", "b", "c", "d"]);
        assert_eq!(without("", &EXCLUDES), (String::new(), Vec::new()));
    }

    #[test]
    fn a_repository_is_disabled() {
        let text = "[a]\nenabled = 1\nbaseurl=x\n[b]\nenabled=1\n";
        assert_eq!(disabled(text, "a"), "[a]\nenabled=0\nbaseurl=x\n[b]\nenabled=1\n");
        assert_eq!(disabled(text, "c"), text);
    }

    #[test]
    fn a_setting_is_added_to_the_main_section() {
        assert_eq!(in_main("[main]\nbest=1\n", "keepcache=1"), "[main]\nkeepcache=1\n\nbest=1\n");
        assert_eq!(in_main("", "keepcache=1"), "[main]\nkeepcache=1\n");
    }
}
