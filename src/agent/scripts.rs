//! What packages' own scripts do to the files of their packages.
//!
//! A file that a package lists and the image lacks, or has with other attributes, is its author's doing, unless the
//! package's own script moved, removed or changed it when it was installed: then the new version decides, as in any
//! upgrade. No package manager records which of the two it was, so the scripts are read. They are not run, and
//! what they name by means other than the usual ones of a shell or Lua is not seen.

use std::collections::BTreeMap;
use std::path::Path;

use crate::glob;

/// Words of lines that move or remove files: of the shell, and functions of rpm's Lua.
const TAKING_AWAY: &[&str] = &[
    "rm",
    "rmdir",
    "mv",
    "unlink",
    "-delete",
    "os.remove",
    "os.rename",
    "posix.unlink",
    "posix.rmdir",
];

/// Words of lines that move or remove folders with everything in them.
const WITH_CONTENT: &[&str] = &["mv", "-delete", "os.rename"];

/// Words of lines that change attributes of files.
const CHANGING: &[&str] =
    &["chmod", "chown", "chgrp", "setcap", "setfattr", "install", "posix.chmod", "posix.chown"];

/// Maximum number of bytes read of a package's scripts.
const SIZE_LIMIT: usize = 1 << 20;

/// Maximum number of values considered for a variable, and for a word with variables.
const VALUES_LIMIT: usize = 64;

/// Words before a command.
const BEFORE_COMMANDS: &[&str] = &["then", "do", "else", "if", "elif", "while", "!", "{"];

/// Maximum number of patterns kept of each kind.
const PATTERNS_LIMIT: usize = 1000;

/// What the scripts of a package do to a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Deeds {
    /// Whether they may move or remove it.
    pub(super) take_away: bool,
    /// Whether they may give it other attributes.
    pub(super) change: bool,
}

/// The files that the scripts of a package name where they move, remove or change some.
#[derive(Debug, Default)]
pub(super) struct Scripts {
    taken_away: Vec<Named>,
    changed: Vec<Named>,
}

/// What a line of a script names.
#[derive(Debug)]
struct Named {
    /// An absolute path, perhaps with stars.
    pattern: String,
    /// Whether everything in such a folder is meant as well.
    with_content: bool,
}

impl Scripts {
    /// Reads the scripts of one package, one after the other.
    pub(super) fn parse(text: &str) -> Self {
        let text: String = text.chars().take(SIZE_LIMIT).collect();
        let lines = text.lines().filter(|line| !line.trim_start().starts_with('#'));
        let text = lines.collect::<Vec<_>>().join("\n");
        let text = text.replace("\\\n", " ").replace("${", "$").replace(['"', '\''], "");
        let mut known: BTreeMap<String, Vec<String>> = BTreeMap::new();
        let mut scripts = Self::default();
        for command in text.split(['\n', ';', '&', '|']) {
            let words: Vec<&str> = command
                .split(|part: char| part.is_whitespace() || "(),<>".contains(part))
                .collect();
            let words = words.into_iter().filter(|word| !word.is_empty());
            let mut words = words.skip_while(|word| BEFORE_COMMANDS.contains(word)).peekable();
            match words.peek() {
                Some(&"for") => {
                    let name = words.by_ref().nth(1).unwrap_or_default().to_owned();
                    let values =
                        words.filter(|word| *word != "in").flat_map(|word| expand(word, &known));
                    known.insert(name, values.take(VALUES_LIMIT).collect());
                    continue;
                }
                // `.` stands for the folder that names without one are in.
                Some(&"cd") => {
                    let values = words.nth(1).map(|word| expand(word, &known)).unwrap_or_default();
                    known.entry(".".to_owned()).or_default().extend(values);
                    continue;
                }
                _ => {}
            }
            let words: Vec<&str> = words.collect();
            for (name, value) in words.iter().filter_map(|word| word.split_once('=')) {
                let values = known.entry(name.to_owned()).or_default();
                if values.len() < VALUES_LIMIT {
                    values.push(value.to_owned());
                }
            }
            let names = |verbs: &[&str]| {
                words.iter().any(|word| {
                    let program = word.rsplit('/').next().unwrap_or(word);
                    verbs.contains(word) || verbs.contains(&program)
                })
            };
            for (verbs, patterns) in
                [(TAKING_AWAY, &mut scripts.taken_away), (CHANGING, &mut scripts.changed)]
            {
                if names(verbs) {
                    let room = PATTERNS_LIMIT.saturating_sub(patterns.len());
                    let with_content =
                        names(WITH_CONTENT) || words.iter().any(|word| is_recursive(word));
                    let patterns_of = words.iter().flat_map(|word| paths(word, &known)).take(room);
                    patterns.extend(patterns_of.map(|pattern| Named { pattern, with_content }));
                }
            }
        }
        scripts
    }

    /// What they may do to the file at this path, which has no leading slash.
    pub(super) fn deeds(&self, path: &Path) -> Deeds {
        if self.taken_away.is_empty() && self.changed.is_empty() {
            return Deeds::default();
        }
        let path = format!("/{}", path.display());
        let names = |named: &[Named]| named.iter().any(|named| named.covers(&path));
        Deeds { take_away: names(&self.taken_away), change: names(&self.changed) }
    }
}

impl Named {
    fn covers(&self, path: &str) -> bool {
        let depth = self.pattern.matches('/').count();
        // A star of the shell stops at a slash; and what is said of `/usr` is said of no file.
        let fits =
            |part: &str| part.matches('/').count() == depth && glob::matches(&self.pattern, part);
        let folders = path.match_indices('/').filter_map(|(end, _)| path.get(..end));
        depth > 1 && (fits(path) || self.with_content && folders.into_iter().any(fits))
    }
}

/// Whether a word is an option that makes a program recurse into folders, such as `-R` and `-rf`.
fn is_recursive(word: &str) -> bool {
    let letters = word.strip_prefix('-').filter(|letters| !letters.starts_with('-'));
    word == "--recursive" || letters.is_some_and(|letters| letters.contains(['r', 'R']))
}

/// The absolute paths that a word of a command may stand for.
fn paths(word: &str, known: &BTreeMap<String, Vec<String>>) -> Vec<String> {
    let words = match known.get(".") {
        Some(folders) if !word.starts_with(['/', '$', '-']) => {
            folders.iter().map(|folder| format!("{folder}/{word}")).collect()
        }
        _ => vec![word.to_owned()],
    };
    let expanded = words.iter().flat_map(|word| expand(word, known));
    let paths = expanded.filter(|path| path.starts_with('/'));
    paths.map(|path| path.trim_end_matches('/').to_owned()).collect()
}

/// A word with all that its first two variables may stand for; others stay as they are.
fn expand(word: &str, known: &BTreeMap<String, Vec<String>>) -> Vec<String> {
    let mut expanded = vec![word.to_owned()];
    for _ in 0..2 {
        let next = expanded.iter().flat_map(|word| expand_first(word, known));
        expanded = next.take(VALUES_LIMIT).collect();
    }
    expanded
}

fn expand_first(word: &str, known: &BTreeMap<String, Vec<String>>) -> Vec<String> {
    let Some((before, rest)) = word.split_once('$') else { return vec![word.to_owned()] };
    let is_name = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
    let end = rest.find(|letter| !is_name(letter)).unwrap_or(rest.len());
    let (name, after) = rest.split_at(end);
    // Of `${name}`, whose first brace is gone.
    let after = after.strip_prefix('}').unwrap_or(after);
    match known.get(name) {
        Some(values) => values.iter().map(|value| format!("{before}{value}{after}")).collect(),
        None => vec![word.to_owned()],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scripts_name_what_they_do() {
        let taken = Deeds { take_away: true, change: false };
        let changed = Deeds { take_away: false, change: true };
        let untouched = Deeds::default();
        for (script, path, expected) in [
            ("mv /usr/share/a/data /usr/share/a/moved", "usr/share/a/data", taken),
            ("/bin/rm -rf \"/usr/share/a\" || :", "usr/share/a/data", taken),
            ("test -e /usr/share/a/data; rm -f /usr/share/b", "usr/share/a/data", untouched),
            ("rm -f /usr/share/a/*.old", "usr/share/a/data.old", taken),
            ("rm -f /usr/share/a/*.old", "usr/share/a/more/data.old", untouched),
            ("rm -rf /usr/share/a/*", "usr/share/a/more/data", taken),
            ("rm -rf /usr", "usr/share/a", untouched),
            ("D=/usr/share/a\nrm -f ${D}/data", "usr/share/a/data", taken),
            ("for f in /usr/a/x /usr/a/y; do\n  rm -f \"$f\"\ndone", "usr/a/y", taken),
            ("A=/usr/share B=$A/b\nrm $B/c", "usr/share/b/c", taken),
            ("cd /usr/share/a && \\\n mv data moved", "usr/share/a/data", taken),
            ("os.remove(\"/usr/share/a/data\")", "usr/share/a/data", taken),
            ("chmod u+s /usr/bin/tool", "usr/bin/tool", changed),
            ("chown root:tool /usr/bin/tool", "usr/bin/other", untouched),
            ("echo 'rm is not for /usr/bin/tool' >&2", "usr/bin/other", untouched),
            ("chmod 755 /usr/bin/folder", "usr/bin/folder/tool", untouched),
            ("chown -R root:tool /usr/bin/folder", "usr/bin/folder/tool", changed),
            ("  # rm -f /usr/share/a/data", "usr/share/a/data", untouched),
            ("rm -f $UNKNOWN/data", "usr/share/a/data", untouched),
        ] {
            assert_eq!(Scripts::parse(script).deeds(Path::new(path)), expected, "{script}: {path}");
        }
    }
}
