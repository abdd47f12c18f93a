//! The variables of addresses: `$releasever`, `$basearch` and the image's own (dnf.conf(5), «Repo variables»).

use std::collections::BTreeMap;

use crate::distro::{self, OsRelease};
use crate::package::Architecture;
use crate::pkgdb::{Database, rpm};

/// How long a text may become when its variables are filled in.
const LENGTH_LIMIT: usize = 4096;

/// Architectures of packages whose repositories have another name (`$basearch`), as dnf's `rpm/arch` has them.
const BASE_ARCHITECTURES: &[(&str, &str)] = &[
    ("armv7hl", "armhfp"),
    ("armv7hnl", "armhfp"),
    ("i486", "i386"),
    ("i586", "i386"),
    ("i686", "i386"),
];

/// What the managers' own variables stand for in an image; what is not known leaves an address without one.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Variables {
    values: BTreeMap<&'static str, String>,
}

impl Variables {
    /// The variables of an image of this release, whose packages are of this architecture.
    pub fn new(release: Option<&str>, architecture: Option<&Architecture>) -> Self {
        let mut values = BTreeMap::new();
        if let Some(release) = release {
            let (major, minor) = release.split_once('.').unwrap_or((release, ""));
            values.insert("releasever", release.to_owned());
            values.insert("releasever_major", major.to_owned());
            values.insert("releasever_minor", minor.to_owned());
        }
        if let Some(architecture) = architecture.map(Architecture::as_str) {
            let base = BASE_ARCHITECTURES.iter().find(|(name, _)| *name == architecture);
            values.insert("arch", architecture.to_owned());
            values.insert("basearch", base.map_or(architecture, |(_, base)| *base).to_owned());
        }
        Self { values }
    }

    /// The variables of the image that says this about itself and has these packages.
    pub fn of(os_release: &OsRelease, database: &Database) -> Self {
        let architecture = rpm::native_architecture(database);
        Self::new(distro::release_variable(os_release), architecture.as_ref())
    }

    /// Fills in `$name` and `${name}`, the image's own before ours; nothing if one of them is not known or
    /// the text becomes too long.
    pub(super) fn expand(&self, text: &str, own: &BTreeMap<String, String>) -> Option<String> {
        let mut expanded = String::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('$') {
            expanded.push_str(before);
            let (name, after) = if let Some(braced) = after.strip_prefix('{') {
                braced.split_once('}')?
            } else {
                let is_end = |letter: char| !letter.is_ascii_alphanumeric() && letter != '_';
                after.split_at(after.find(is_end).unwrap_or(after.len()))
            };
            let own = own.get(name);
            expanded.push_str(own.or_else(|| self.values.get(name))?);
            rest = after;
            if expanded.len() > LENGTH_LIMIT {
                return None;
            }
        }
        expanded.push_str(rest);
        (expanded.len() <= LENGTH_LIMIT).then_some(expanded)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_are_filled_in() {
        let own = [("stream", "9-stream"), ("empty", ""), ("basearch", "mine")];
        let own: BTreeMap<String, String> =
            own.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        let architecture = "i686".parse().unwrap();
        let variables = Variables::new(Some("9.4"), Some(&architecture));
        for (text, expected) in [
            ("plain", Some("plain")),
            ("$releasever-$arch/", Some("9.4-i686/")),
            ("${releasever_major}x$releasever_minor", Some("9x4")),
            ("$stream$empty.e.org", Some("9-stream.e.org")),
            ("$basearch", Some("mine")),
            ("$unknown", None),
            ("${open", None),
            ("$", None),
        ] {
            assert_eq!(variables.expand(text, &own).as_deref(), expected, "{text}");
        }
        assert_eq!(variables.expand("$basearch", &BTreeMap::new()).as_deref(), Some("i386"));
        let long = BTreeMap::from([("a".to_owned(), "x".repeat(4000))]);
        assert_eq!(variables.expand("$a$a", &long), None);
        assert_eq!(Variables::default().expand("$releasever", &own), None);
    }
}
