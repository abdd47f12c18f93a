//! The form of the configuration: sections of `name=value`, as dnf's and yum's manuals (dnf.conf(5),
//! yum.conf(5)) and zypp.conf(5) describe it, and as the managers' parsers read it.
//!
//! What is not obvious: a line that begins with white space continues the value before it, and a comment ends at its
//! line, so one may stand between a value and its continuation. A section begins in any column.

use std::collections::BTreeMap;
use std::sync::Arc;

/// What a section assigns.
pub(super) type Section = BTreeMap<String, String>;

/// How a manager reads what the manuals leave open.
pub(super) struct Form {
    /// What separates a name from its value.
    separators: &'static [char],
    /// Whether names are the same in upper and lower case.
    ignores_case: bool,
    /// Whether an indented line may assign.
    assigns_indented: bool,
    /// What begins a comment after white space in a value's first line; else it is part of the value.
    comment: Option<char>,
    /// Whether quotes around a value are not part of it.
    unquotes: bool,
    /// The section whose values apply to all others of its file.
    defaults: Option<&'static str>,
}

/// libdnf's and libdnf5's `IniParser`.
pub(super) const LIBDNF: Form = Form {
    separators: &['='],
    ignores_case: false,
    assigns_indented: false,
    comment: None,
    unquotes: true,
    defaults: None,
};

/// tdnf's `llconf/ini.c` and libzypp's `IniParser`.
pub(super) const LINES: Form = Form { assigns_indented: true, unquotes: false, ..LIBDNF };

/// Python's iniparse, for yum.
pub(super) const INIPARSE: Form = Form {
    separators: &['=', ':'],
    ignores_case: true,
    comment: Some(';'),
    unquotes: false,
    defaults: Some("DEFAULT"),
    ..LIBDNF
};

impl Form {
    /// The name and the value of a line.
    fn assignment(&self, text: &str) -> Option<(String, String)> {
        let (name, value) = text.split_once(self.separators)?;
        let name = name.trim_ascii_end();
        let name = if self.ignores_case { name.to_ascii_lowercase() } else { name.to_owned() };
        let value = value.trim_ascii_start();
        let before_comment = self.comment.and_then(|begin| Some(value.split_once(begin)?.0));
        let ends_blank = |text: &&str| text.ends_with(|letter: char| letter.is_ascii_whitespace());
        let value = before_comment.filter(ends_blank).map_or(value, str::trim_ascii_end);
        Some((name, value.to_owned()))
    }

    /// A value without its quotes.
    fn unquote(&self, value: &mut String) {
        let inner =
            ['"', '\''].iter().find_map(|quote| value.strip_prefix(*quote)?.strip_suffix(*quote));
        if let Some(inner) = inner.filter(|_| self.unquotes) {
            *value = inner.to_owned();
        }
    }
}

/// The sections of a file by name; parts of one section are joined, of two values for one name the last wins.
///
/// What is neither a section's beginning nor an assignment says nothing to the managers, or stops them; here it is
/// skipped. So is what is not UTF-8: nothing that counts is written in it.
pub(super) fn parse(bytes: &[u8], form: &Form) -> BTreeMap<String, Section> {
    let mut sections: BTreeMap<String, Section> = BTreeMap::new();
    let mut section = String::new();
    let mut key: Option<String> = None;
    let bytes = bytes.strip_prefix(BYTE_ORDER_MARK).unwrap_or(bytes);
    for bytes in bytes.split(|byte| *byte == b'\n') {
        let trimmed = bytes.trim_ascii();
        if trimmed.is_empty() || matches!(trimmed.first(), Some(b'#' | b';')) {
            continue;
        }
        let text = String::from_utf8_lossy(trimmed);
        if let Some(name) = text.strip_prefix('[').and_then(|rest| rest.split(']').next()) {
            name.clone_into(&mut section);
            sections.entry(section.clone()).or_default();
            key = None;
            continue;
        }
        // What comes before the first section is in none.
        let Some(values) = sections.get_mut(&section) else { continue };
        let assignment = form.assignment(&text);
        let is_indented = key.is_some() && bytes.first().is_some_and(u8::is_ascii_whitespace);
        let assigns =
            !is_indented || (form.assigns_indented && assignment.as_ref().is_some_and(is_plain));
        if !assigns {
            if let Some(value) = key.as_ref().and_then(|key| values.get_mut(key)) {
                value.push('\n');
                value.push_str(&text);
            }
        } else if let Some((name, value)) = assignment {
            values.insert(name.clone(), value);
            key = Some(name);
        }
    }
    let defaults = form.defaults.and_then(|name| sections.remove(name)).unwrap_or_default();
    for values in sections.values_mut() {
        for value in values.values_mut() {
            form.unquote(value);
        }
        for (name, value) in &defaults {
            values.entry(name.clone()).or_insert_with(|| value.clone());
        }
    }
    sections
}

/// Whether a name is one for libzypp; else the line is an address, one more of a list.
fn is_plain((name, _): &(String, String)) -> bool {
    !name.contains([':', '/', '?', '|', ',', '\\'])
}

/// What some Windows editors put at the beginning of a file.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// What is said about one thing in several places, the weakest first.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Values(Vec<Arc<Section>>);

impl Values {
    /// Adds what outweighs all before.
    pub(super) fn push(&mut self, section: Arc<Section>) {
        self.0.push(section);
    }

    /// The value that counts.
    pub(super) fn get(&self, key: &str) -> Option<&str> {
        self.0.iter().rev().find_map(|section| section.get(key)).map(String::as_str)
    }

    /// Yes or no; nothing if it is not set, or set to a word that means neither.
    pub(super) fn is_on(&self, key: &str) -> Option<bool> {
        boolean(self.get(key)?)
    }

    /// Yes unless the value is a plain no; nothing if it is not set.
    pub(super) fn is_on_in_doubt(&self, key: &str) -> Option<bool> {
        Some(boolean(self.get(key)?).unwrap_or(true))
    }

    /// The elements of the value that counts.
    pub(super) fn list(&self, key: &str) -> Vec<String> {
        self.get(key).map(|value| words(value).collect()).unwrap_or_default()
    }

    /// The elements of all values of these names. As dnf.conf(5) says of such lists, one that begins with a comma
    /// discards what was before it.
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
        let text = "\u{feff}lost=1\n; comment\n[main]\r\n a = b\nlist = one, two\n# between\n\tthree \n\
            odd line\n[ ]\n[repo]\nurl=http://e.org/?a=b # c\n[main]\na=c\n";
        let sections = parse(text.as_bytes(), &LIBDNF);
        let value = |section: &str, key: &str| sections[section].get(key).map(String::as_str);
        assert_eq!(value("main", "a"), Some("c"));
        assert_eq!(value("main", "list"), Some("one, two\nthree"));
        assert_eq!(value("repo", "url"), Some("http://e.org/?a=b # c"));
        assert_eq!(sections.keys().collect::<Vec<_>>(), [" ", "main", "repo"]);
        assert!(parse("\u{feff}[main]\n".as_bytes(), &LIBDNF).contains_key("main"));
    }

    #[test]
    fn forms() {
        for (text, libdnf, lines, iniparse) in [
            ("a=1", Some("1"), Some("1"), Some("1")),
            ("a: 1", None, None, Some("1")),
            ("A=1", None, None, Some("1")),
            ("a=1 ;b;c", Some("1 ;b;c"), Some("1 ;b;c"), Some("1")),
            ("a=1;b ;c", Some("1;b ;c"), Some("1;b ;c"), Some("1;b ;c")),
            ("a=1 # b", Some("1 # b"), Some("1 # b"), Some("1 # b")),
            ("a=\"1 2\"", Some("1 2"), Some("\"1 2\""), Some("\"1 2\"")),
            ("a='1\n 2'", Some("1\n2"), Some("'1\n2'"), Some("'1\n2'")),
            ("a='1", Some("'1"), Some("'1"), Some("'1")),
            ("a=1\n a=2", Some("1\na=2"), Some("2"), Some("1\na=2")),
            (
                "a=1\n http://b?c=2",
                Some("1\nhttp://b?c=2"),
                Some("1\nhttp://b?c=2"),
                Some("1\nhttp://b?c=2"),
            ),
            ("a=1\n  [other]\na=2", Some("1"), Some("1"), Some("1")),
            ("b=1\n[DEFAULT]\na=2", None, None, Some("2")),
            ("a=1\n[DEFAULT]\na=2", Some("1"), Some("1"), Some("1")),
        ] {
            let text = format!("[main]\n{text}\n");
            for (form, expected) in [(&LIBDNF, libdnf), (&LINES, lines), (&INIPARSE, iniparse)] {
                let sections = parse(text.as_bytes(), form);
                assert_eq!(sections["main"].get("a").map(String::as_str), expected, "{text}");
            }
        }
    }

    #[test]
    fn values() {
        let mut values = Values::default();
        for text in ["[m]\na=Yes\nlist=x y\nb=0", "[m]\nlist=z", "[m]\na=off\nother=,w, v"] {
            let section = parse(text.as_bytes(), &LIBDNF).remove("m").unwrap();
            values.push(Arc::new(section));
        }
        assert_eq!(values.is_on("a"), Some(false));
        assert_eq!(values.is_on("b"), Some(false));
        assert_eq!(values.is_on("list"), None);
        for (key, expected) in [("b", Some(false)), ("list", Some(true)), ("absent", None)] {
            assert_eq!(values.is_on_in_doubt(key), expected, "{key}");
        }
        assert_eq!(values.list("list"), ["z"]);
        assert_eq!(values.appended(&["list"]), ["x", "y", "z"]);
        assert_eq!(values.appended(&["list", "other"]), ["w", "v"]);
    }
}
