//! The form of the configuration: sections of `name=value`, as dnf's and yum's manuals (dnf.conf(5),
//! yum.conf(5)) and zypp.conf(5) describe it.
//!
//! What is not obvious: a line that begins with white space goes on with the value before it, and a comment
//! ends at its line, so one may stand between a value and its continuation. A `#` within a value is part of it.

use std::collections::BTreeMap;
use std::sync::Arc;

/// What a section assigns.
pub(super) type Section = BTreeMap<String, String>;

/// The sections of a file by name; parts of one section are joined, of two values for one name the last holds.
///
/// What is neither a section's beginning nor an assignment says nothing to the managers, or stops them; here it
/// is passed over. So is what is not UTF-8: nothing that counts is written in it.
pub(super) fn parse(bytes: &[u8]) -> BTreeMap<String, Section> {
    let mut sections: BTreeMap<String, Section> = BTreeMap::new();
    let mut section = String::new();
    let mut key: Option<String> = None;
    for bytes in bytes.split(|byte| *byte == b'\n') {
        let trimmed = bytes.trim_ascii();
        if trimmed.is_empty() || matches!(trimmed.first(), Some(b'#' | b';')) {
            continue;
        }
        let text = String::from_utf8_lossy(trimmed);
        let is_continuation = key.is_some() && bytes.first().is_some_and(u8::is_ascii_whitespace);
        if let Some(name) = text.strip_prefix('[').and_then(|rest| rest.split(']').next())
            && !is_continuation
        {
            name.clone_into(&mut section);
            sections.entry(section.clone()).or_default();
            key = None;
            continue;
        }
        // What comes before the first section is in none.
        let Some(values) = sections.get_mut(&section) else { continue };
        if is_continuation {
            if let Some(value) = key.as_ref().and_then(|key| values.get_mut(key)) {
                value.push('\n');
                value.push_str(&text);
            }
        } else if let Some((name, value)) = text.split_once('=') {
            let name = name.trim_ascii_end().to_owned();
            values.insert(name.clone(), value.trim_ascii_start().to_owned());
            key = Some(name);
        }
    }
    sections
}

/// What is said about one thing in several places, the weakest first.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Values(Vec<Arc<Section>>);

impl Values {
    /// Adds what outweighs all before.
    pub(super) fn push(&mut self, section: Arc<Section>) {
        self.0.push(section);
    }

    /// The value that holds.
    pub(super) fn get(&self, key: &str) -> Option<&str> {
        self.0.iter().rev().find_map(|section| section.get(key)).map(String::as_str)
    }

    /// Yes or no; nothing when it is not said, or in no word that means either.
    pub(super) fn is_on(&self, key: &str) -> Option<bool> {
        boolean(self.get(key)?)
    }

    /// The elements of the value that holds.
    pub(super) fn list(&self, key: &str) -> Vec<String> {
        self.get(key).map(|value| words(value).collect()).unwrap_or_default()
    }

    /// The elements of all values of these names. As dnf.conf(5) says of such lists, one that begins with a
    /// comma forgets what was before it.
    pub(super) fn appended(&self, keys: &[&str]) -> Vec<String> {
        let mut elements = Vec::new();
        let values =
            self.0.iter().flat_map(|section| keys.iter().filter_map(|key| section.get(*key)));
        for value in values {
            if value.starts_with(',') {
                elements.clear();
            }
            elements.extend(words(value));
        }
        elements
    }
}

fn boolean(text: &str) -> Option<bool> {
    const WORDS: [(&str, bool); 8] = [
        ("1", true),
        ("yes", true),
        ("true", true),
        ("on", true),
        ("0", false),
        ("no", false),
        ("false", false),
        ("off", false),
    ];
    let found = WORDS.iter().find(|(word, _)| text.eq_ignore_ascii_case(word));
    found.map(|(_, meaning)| *meaning)
}

fn words(value: &str) -> impl Iterator<Item = String> {
    let separator = |letter: char| letter == ',' || letter.is_ascii_whitespace();
    value.split(separator).filter(|word| !word.is_empty()).map(ToOwned::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sections() {
        let text = "lost=1\n; comment\n[main]\r\n a = b\nlist = one, two\n# between\n\tthree \n\
            odd line\n[ ]\n[repo]\nurl=http://e.org/?a=b # c\n[main]\na=c\n";
        let sections = parse(text.as_bytes());
        let value = |section: &str, key: &str| sections[section].get(key).map(String::as_str);
        assert_eq!(value("main", "a"), Some("c"));
        assert_eq!(value("main", "list"), Some("one, two\nthree"));
        assert_eq!(value("repo", "url"), Some("http://e.org/?a=b # c"));
        assert_eq!(sections.keys().collect::<Vec<_>>(), [" ", "main", "repo"]);
    }

    #[test]
    fn values() {
        let mut values = Values::default();
        for text in ["[m]\na=Yes\nlist=x y\nb=0", "[m]\nlist=z", "[m]\na=off\nother=,w, v"] {
            let section = parse(text.as_bytes()).remove("m").unwrap();
            values.push(Arc::new(section));
        }
        assert_eq!(values.is_on("a"), Some(false));
        assert_eq!(values.is_on("b"), Some(false));
        assert_eq!(values.is_on("list"), None);
        assert_eq!(values.list("list"), ["z"]);
        assert_eq!(values.appended(&["list"]), ["x", "y", "z"]);
        assert_eq!(values.appended(&["list", "other"]), ["w", "v"]);
    }
}
