//! apt's repositories: `sources.list` with one per line, and `*.sources` in stanzas (sources.list(5)).
//!
//! What is not obvious:
//!
//! * In a `.list` file, `#` ends a line anywhere but within the brackets of the options.
//! * A suite that ends with `/` is a path: the repository is flat and has no components.
//! * In a `.sources` file each of types, URIs and suites may have several values, and the product of all
//!   is meant. `Signed-By` may hold a whole key over many lines.
//! * Debian's code name as a suite is the whole release, tens of megabytes of index; security and other
//!   updates are suites of their own.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::str;

use crate::package::Excerpt;
use crate::pkgdb::control::{ControlError, Field, Stanza, stanzas};

/// Maximum number of entries read from one image; nobody writes a configuration with more.
const ENTRY_LIMIT: usize = 10_000;

/// All repositories of an image, in the order in which its files name them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AptSources {
    entries: Vec<Entry>,
}

/// What an entry offers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum PackageType {
    /// `deb`: packages to install.
    Binary,
    /// `deb-src`: what they were built from.
    Source,
}

impl PackageType {
    fn as_str(self) -> &'static str {
        match self {
            Self::Binary => "deb",
            Self::Source => "deb-src",
        }
    }
}

/// A line of a `.list` file or a stanza of a `.sources` file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The file it is from.
    pub file: String,
    /// The number of its (first) line in the file.
    pub line: usize,
    /// Whether apt uses it.
    pub enabled: bool,
    /// What it offers.
    pub types: Vec<PackageType>,
    /// Where it is.
    pub uris: Vec<String>,
    /// The releases wanted, or paths that end with `/`.
    pub suites: Vec<String>,
    /// The parts of the release wanted; none where suites are paths.
    pub components: Vec<String>,
    /// Everything else, in its order: `("signed-by", "/usr/share/keyrings/x.gpg")`. The names are in
    /// lower case; a value over several lines keeps its line breaks.
    pub options: Vec<(String, String)>,
    form: Form,
}

/// The form an entry was written in, kept so that it can be written again.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Form {
    /// The line.
    Line(String),
    /// The fields: names and values as written.
    Stanza(Vec<(String, String)>),
}

/// Why apt's sources cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AptSourcesError {
    /// A `.sources` file does not consist of fields.
    #[error("apt sources `{file}`: {source}")]
    Syntax {
        /// The file.
        file: String,
        /// What is wrong.
        source: ControlError,
    },
    /// A type other than `deb` and `deb-src`.
    #[error("apt sources `{file}`: line {line} has an unknown type: {text}")]
    Type {
        /// The file.
        file: String,
        /// The line.
        line: usize,
        /// The type.
        text: Excerpt,
    },
    /// An entry lacks its types, URIs or suites.
    #[error("apt sources `{file}`: the entry at line {line} has no {part}")]
    Missing {
        /// The file.
        file: String,
        /// The entry's first line.
        line: usize,
        /// What is missing.
        part: &'static str,
    },
    /// The brackets of the options are not closed.
    #[error("apt sources `{file}`: the options at line {line} are not closed with `]`")]
    Options {
        /// The file.
        file: String,
        /// The line.
        line: usize,
    },
    /// An entry is not UTF-8.
    #[error("apt sources `{file}`: line {line} is not text: {text}")]
    NotText {
        /// The file.
        file: String,
        /// The line.
        line: usize,
        /// The line's text.
        text: Excerpt,
    },
    /// More than ten thousand entries.
    #[error("apt sources `{file}`: more than {ENTRY_LIMIT} entries")]
    TooMany {
        /// The file that passes the limit.
        file: String,
    },
}

impl AptSources {
    /// Reads source files, given as path and content in apt's own order: `sources.list` first, then the
    /// files of `sources.list.d` by name. A path that ends with `.sources` has stanzas, any other lines.
    pub fn parse<'a>(
        files: impl IntoIterator<Item = (&'a str, &'a [u8])>,
    ) -> Result<Self, AptSourcesError> {
        let mut entries = Vec::new();
        for (file, bytes) in files {
            if file.ends_with(".sources") {
                parse_stanzas(file, bytes, &mut entries)?;
            } else {
                parse_lines(file, bytes, &mut entries)?;
            }
        }
        Ok(Self { entries })
    }

    /// The entries, the disabled ones too.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The entries from which apt takes packages.
    pub fn binary(&self) -> impl Iterator<Item = &Entry> {
        self.entries.iter().filter(|entry| entry.offers_binary())
    }

    /// Whether apt would find any packages at all.
    pub fn has_binary(&self) -> bool {
        self.binary().next().is_some()
    }

    /// The repositories of packages without the distribution's whole release: security and other updates
    /// and those of third parties.
    ///
    /// `base_suites` are the names of the whole release (`distro::base_suites`). Backports are left out
    /// too: apt never takes an upgrade from them unless the user says so. A third party that names its
    /// suite as the distribution does is left out with it, which costs a second, complete run at worst.
    #[must_use]
    pub fn small(&self, base_suites: &[&str]) -> Self {
        let is_small = |suite: &str| {
            !base_suites.contains(&suite)
                && !suite.ends_with("-backports")
                && !suite.ends_with("-backports-sloppy")
        };
        Self { entries: self.binary().filter_map(|entry| entry.restricted(is_small)).collect() }
    }

    /// Where the signed index of each enabled repository of packages is, its `InRelease` file, sorted, each
    /// once; nothing if one cannot be asked for with a plain HTTP request.
    pub fn release_addresses(&self) -> Option<Vec<String>> {
        let addresses = self.binary().flat_map(|entry| {
            entry
                .uris
                .iter()
                .flat_map(|uri| entry.suites.iter().map(move |suite| release_address(uri, suite)))
        });
        let addresses: BTreeSet<String> = addresses.collect::<Option<_>>()?;
        Some(addresses.into_iter().collect())
    }

    /// The content of each source file: its entries in the form they were written in, without comments.
    pub fn files(&self) -> BTreeMap<&str, String> {
        let mut files: BTreeMap<&str, String> = BTreeMap::new();
        for entry in &self.entries {
            files.entry(&entry.file).or_default().push_str(&entry.render());
        }
        files
    }
}

impl Entry {
    fn offers_binary(&self) -> bool {
        self.enabled && self.types.contains(&PackageType::Binary)
    }

    /// The value of an option; the last one if it is given several times.
    pub fn option(&self, name: &str) -> Option<&str> {
        let found = self.options.iter().rev().find(|(option, _)| option == name);
        found.map(|(_, value)| value.as_str())
    }

    /// The entry as text of its file: a line, or a stanza and an empty line.
    pub fn render(&self) -> String {
        match &self.form {
            Form::Line(line) => format!("{line}\n"),
            Form::Stanza(fields) => {
                let mut text = String::new();
                for (name, value) in fields {
                    let space = if value.starts_with('\n') { "" } else { " " };
                    // Writing to a string cannot fail.
                    let _ = writeln!(text, "{name}:{space}{value}");
                }
                text.push('\n');
                text
            }
        }
    }

    /// The entry for its packages and these suites alone, if any is left.
    ///
    /// A line has only one suite; in a stanza, `Types` and `Suites` are rewritten if something was left out, and all
    /// else stays as it is.
    fn restricted(&self, keep: impl Fn(&str) -> bool) -> Option<Self> {
        let suites: Vec<String> = self.suites.iter().filter(|suite| keep(suite)).cloned().collect();
        if suites.is_empty() {
            return None;
        }
        let mut restricted = Self { types: vec![PackageType::Binary], suites, ..self.clone() };
        if let Form::Stanza(fields) = &mut restricted.form {
            for (name, value) in fields {
                if name.eq_ignore_ascii_case("Types") && restricted.types != self.types {
                    PackageType::Binary.as_str().clone_into(value);
                }
                if name.eq_ignore_ascii_case("Suites") && restricted.suites != self.suites {
                    *value = restricted.suites.join(" ");
                }
            }
        }
        Some(restricted)
    }
}

/// Nothing if it needs another transport (`cdrom:`, `file:`, `mirror+http:`, …), a password or a variable such as
/// `$(ARCH)`, which only apt fills in.
fn release_address(uri: &str, suite: &str) -> Option<String> {
    let (scheme, rest) = uri.split_once("://")?;
    let is_http = ["http", "https"].iter().any(|known| scheme.eq_ignore_ascii_case(known));
    let has_credentials = rest.split('/').next().unwrap_or_default().contains('@');
    if !is_http || has_credentials || uri.contains("$(") || suite.contains("$(") {
        return None;
    }
    let slash = if uri.ends_with('/') { "" } else { "/" };
    Some(match suite.strip_suffix('/') {
        Some("") => format!("{uri}{slash}InRelease"),
        Some(path) => format!("{uri}{slash}{path}/InRelease"),
        None => format!("{uri}{slash}dists/{suite}/InRelease"),
    })
}

fn push(entries: &mut Vec<Entry>, entry: Entry) -> Result<(), AptSourcesError> {
    if entries.len() >= ENTRY_LIMIT {
        return Err(AptSourcesError::TooMany { file: entry.file });
    }
    entries.push(entry);
    Ok(())
}

fn parse_types<'a>(
    file: &str,
    line: usize,
    words: impl Iterator<Item = &'a str>,
) -> Result<Vec<PackageType>, AptSourcesError> {
    words
        .map(|word| match word {
            "deb" => Ok(PackageType::Binary),
            "deb-src" => Ok(PackageType::Source),
            _ => {
                Err(AptSourcesError::Type { file: file.to_owned(), line, text: Excerpt::of(word) })
            }
        })
        .collect()
}

/// One-line style: `deb [option=value …] uri suite component…`.
fn parse_lines(file: &str, bytes: &[u8], entries: &mut Vec<Entry>) -> Result<(), AptSourcesError> {
    for (bytes, line) in bytes.split(|&byte| byte == b'\n').zip(1_usize..) {
        let bytes = without_comment(bytes).trim_ascii();
        if bytes.is_empty() {
            continue;
        }
        let text = str::from_utf8(bytes).map_err(|_| AptSourcesError::NotText {
            file: file.to_owned(),
            line,
            text: Excerpt::of_bytes(bytes),
        })?;
        push(entries, parse_line(file, line, text)?)?;
    }
    Ok(())
}

/// The line up to its comment. A comment begins anywhere but within brackets that close.
fn without_comment(line: &[u8]) -> &[u8] {
    let mut position = 0;
    while let Some(rest) = line.get(position..) {
        match rest.first() {
            None => return line,
            Some(b'#') => return line.get(..position).unwrap_or(line),
            Some(b'[') => {
                position += rest.iter().position(|&byte| byte == b']').unwrap_or(0) + 1;
            }
            Some(_) => position += 1,
        }
    }
    line
}

fn parse_line(file: &str, line: usize, text: &str) -> Result<Entry, AptSourcesError> {
    let missing = |part| AptSourcesError::Missing { file: file.to_owned(), line, part };
    let (kind, rest) = text.split_once(|c: char| c.is_ascii_whitespace()).unwrap_or((text, ""));
    let types = parse_types(file, line, std::iter::once(kind))?;
    let rest = rest.trim_ascii_start();
    let (options, rest) = match rest.strip_prefix('[') {
        Some(rest) => rest
            .split_once(']')
            .ok_or_else(|| AptSourcesError::Options { file: file.to_owned(), line })?,
        None => ("", rest),
    };
    let options = options
        .split_ascii_whitespace()
        .filter_map(|option| option.split_once('='))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
        .collect();
    let mut words = rest.split_ascii_whitespace().map(str::to_owned);
    let uri = words.next().ok_or_else(|| missing("URI"))?;
    let suite = words.next().ok_or_else(|| missing("suite"))?;
    Ok(Entry {
        file: file.to_owned(),
        line,
        enabled: true,
        types,
        uris: vec![uri],
        suites: vec![suite],
        components: words.collect(),
        options,
        form: Form::Line(text.to_owned()),
    })
}

/// Stanza style: fields `Types`, `URIs`, `Suites`, `Components`, `Enabled` and options.
fn parse_stanzas(
    file: &str,
    bytes: &[u8],
    entries: &mut Vec<Entry>,
) -> Result<(), AptSourcesError> {
    for stanza in stanzas(bytes) {
        let stanza =
            stanza.map_err(|source| AptSourcesError::Syntax { file: file.to_owned(), source })?;
        push(entries, parse_stanza(file, &stanza)?)?;
    }
    Ok(())
}

fn parse_stanza(file: &str, stanza: &Stanza<'_>) -> Result<Entry, AptSourcesError> {
    let line = stanza.line();
    let fields =
        stanza.fields.iter().map(|field| field_text(file, field)).collect::<Result<Vec<_>, _>>()?;
    let value = |wanted: &str| {
        let found = fields.iter().rev().find(|(name, _)| name.eq_ignore_ascii_case(wanted));
        found.map_or("", |(_, value)| value.as_str())
    };
    let words = |wanted: &str| -> Vec<String> {
        value(wanted).split_whitespace().map(str::to_owned).collect()
    };
    // apt takes anything but these words as yes.
    let enabled = !["no", "false", "without", "off", "disable", "0"]
        .iter()
        .any(|no| value("Enabled").trim().eq_ignore_ascii_case(no));
    let entry = Entry {
        file: file.to_owned(),
        line,
        enabled,
        types: parse_types(file, line, value("Types").split_whitespace())?,
        uris: words("URIs"),
        suites: words("Suites"),
        components: words("Components"),
        options: fields
            .iter()
            .map(|(name, value)| (name.to_ascii_lowercase(), value.clone()))
            .filter(|(name, _)| {
                !["types", "uris", "suites", "components", "enabled"].contains(&name.as_str())
            })
            .collect(),
        form: Form::Stanza(fields),
    };
    // apt ignores the rest of a disabled entry.
    let missing = [
        ("types", entry.types.is_empty()),
        ("URIs", entry.uris.is_empty()),
        ("suites", entry.suites.is_empty()),
    ];
    match missing.iter().find(|(_, is_missing)| entry.enabled && *is_missing) {
        Some((part, _)) => Err(AptSourcesError::Missing { file: file.to_owned(), line, part }),
        None => Ok(entry),
    }
}

/// Name and value of a field, the value with its continuation lines as they were written.
fn field_text(file: &str, field: &Field<'_>) -> Result<(String, String), AptSourcesError> {
    let text = |bytes: &[u8]| {
        str::from_utf8(bytes).map(str::to_owned).map_err(|_| AptSourcesError::NotText {
            file: file.to_owned(),
            line: field.line,
            text: Excerpt::of_bytes(bytes),
        })
    };
    let mut value = text(field.first)?;
    for continuation in field.continuation() {
        value.push('\n');
        value.push_str(&text(continuation)?);
    }
    Ok((text(field.name)?, value))
}

#[cfg(test)]
mod tests {
    use super::*;

    const BASE: &[&str] = &["bookworm", "stable", "testing"];

    const LIST: &str = "\
# a comment with caf\u{e9}
deb http://deb.example.org/debian bookworm main contrib # trailing
deb-src http://deb.example.org/debian bookworm main
deb http://deb.example.org/debian bookworm-updates main
deb http://deb.example.org/debian bookworm-backports main
deb [ arch=amd64,arm64 signed-by=/k#1.gpg ] https://example.org/apt/ ./
   deb\thttp://security.example.org/debian-security   bookworm-security main
";

    const STANZAS: &str = "\
Types: deb deb-src
# snapshot
URIs: http://deb.example.org/debian
Suites: bookworm bookworm-updates
 bookworm-backports
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg

Enabled: no
Types: deb

types: deb
URIs: https://example.org/a
 https://example.org/b/
Suites: sec
Components: main
X-Unknown: kept
Signed-By:
 -----BEGIN PGP PUBLIC KEY BLOCK-----
 .
 mDMEY865
 -----END PGP PUBLIC KEY BLOCK-----
";

    fn parse(file: &str, text: &str) -> Result<AptSources, AptSourcesError> {
        AptSources::parse([(file, text.as_bytes())])
    }

    #[test]
    fn lines() {
        let sources = parse("/etc/apt/sources.list", LIST).unwrap();
        let entries = sources.entries();
        assert_eq!(entries.len(), 6);
        assert_eq!(entries[0].components, ["main", "contrib"]);
        assert_eq!((entries[0].line, &entries[0].types[..]), (2, &[PackageType::Binary][..]));
        assert_eq!(entries[4].option("signed-by"), Some("/k#1.gpg"));
        assert_eq!(entries[4].option("arch"), Some("amd64,arm64"));
        assert_eq!(entries[4].suites, ["./"]);
        assert_eq!(entries[5].uris, ["http://security.example.org/debian-security"]);
        assert_eq!(
            sources.small(BASE).files()["/etc/apt/sources.list"],
            "deb http://deb.example.org/debian bookworm-updates main\n\
             deb [ arch=amd64,arm64 signed-by=/k#1.gpg ] https://example.org/apt/ ./\n\
             deb\thttp://security.example.org/debian-security   bookworm-security main\n"
        );
        assert_eq!(
            sources.release_addresses().unwrap(),
            [
                "http://deb.example.org/debian/dists/bookworm-backports/InRelease",
                "http://deb.example.org/debian/dists/bookworm-updates/InRelease",
                "http://deb.example.org/debian/dists/bookworm/InRelease",
                "http://security.example.org/debian-security/dists/bookworm-security/InRelease",
                "https://example.org/apt/./InRelease",
            ]
        );
    }

    #[test]
    fn stanza_files() {
        let sources = parse("a.sources", STANZAS).unwrap();
        let enabled: Vec<bool> = sources.entries().iter().map(|entry| entry.enabled).collect();
        assert_eq!(enabled, [true, false, true]);
        assert_eq!(
            sources.entries()[0].suites,
            ["bookworm", "bookworm-updates", "bookworm-backports"]
        );
        assert_eq!(sources.entries()[2].uris, ["https://example.org/a", "https://example.org/b/"]);
        assert!(sources.entries()[2].option("signed-by").unwrap().contains("mDMEY865"));
        let small = sources.small(BASE);
        assert_eq!(
            small.files()["a.sources"],
            "Types: deb\nURIs: http://deb.example.org/debian\nSuites: bookworm-updates\nComponents: main\n\
             Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg\n\n\
             types: deb\nURIs: https://example.org/a\n https://example.org/b/\nSuites: sec\n\
             Components: main\nX-Unknown: kept\nSigned-By:\n -----BEGIN PGP PUBLIC KEY BLOCK-----\n .\n \
             mDMEY865\n -----END PGP PUBLIC KEY BLOCK-----\n\n"
        );
        let again = parse("a.sources", &small.files()["a.sources"]).unwrap();
        assert_eq!(again.files(), small.files());
        assert_eq!(again.small(BASE).files(), small.files());
    }

    #[test]
    fn addresses() {
        for (uri, suite, expected) in [
            ("https://e.org/a", "/", "https://e.org/a/InRelease"),
            ("https://e.org/a/", "x/y/", "https://e.org/a/x/y/InRelease"),
            ("HTTP://e.org", "s", "HTTP://e.org/dists/s/InRelease"),
            ("https://e.org/@a", "s", "https://e.org/@a/dists/s/InRelease"),
            ("http://e.org", "buster/updates", "http://e.org/dists/buster/updates/InRelease"),
        ] {
            assert_eq!(release_address(uri, suite).as_deref(), Some(expected));
        }
        for (uri, suite) in [
            ("cdrom:[Debian_12]/", "s"),
            ("file:///repo", "s"),
            ("copy:/repo", "s"),
            ("mirror+http://e.org/list", "s"),
            ("tor+https://e.org", "s"),
            ("https://user:secret@e.org/a", "s"),
            ("https://e.org/a", "$(ARCH)/"),
        ] {
            assert_eq!(release_address(uri, suite), None, "{uri}");
        }
    }

    #[test]
    fn whether_there_are_packages() {
        for (file, text, expected) in [
            ("a.list", "", false),
            ("a.list", "deb-src http://e.org s main", false),
            ("a.list", "deb http://e.org s main", true),
            ("a.sources", "Enabled: No\nTypes: deb\nURIs: http://e.org\nSuites: s\n", false),
            ("a.sources", "Enabled: yes\nTypes: deb\nURIs: http://e.org\nSuites: s\n", true),
        ] {
            assert_eq!(parse(file, text).unwrap().has_binary(), expected, "{text}");
        }
    }

    #[test]
    fn errors_say_where() {
        for (file, text, message) in [
            ("a.list", "\nrpm x y", "apt sources `a.list`: line 2 has an unknown type: `rpm`"),
            ("a.list", "deb", "apt sources `a.list`: the entry at line 1 has no URI"),
            (
                "a.list",
                "deb http://e.org",
                "apt sources `a.list`: the entry at line 1 has no suite",
            ),
            (
                "a.list",
                "deb [arch=amd64 http://e.org s",
                "apt sources `a.list`: the options at line 1 are not closed with `]`",
            ),
            ("a.sources", "x", "apt sources `a.sources`: line 1 is not a field: `x`"),
            (
                "a.sources",
                "URIs: x\nSuites: s",
                "apt sources `a.sources`: the entry at line 1 has no types",
            ),
            (
                "a.sources",
                "Types: deb\nSuites: s",
                "apt sources `a.sources`: the entry at line 1 has no URIs",
            ),
            (
                "a.sources",
                "Types: deb\nURIs: x",
                "apt sources `a.sources`: the entry at line 1 has no suites",
            ),
        ] {
            assert_eq!(parse(file, text).unwrap_err().to_string(), message);
        }
        let error = AptSources::parse([("a.list", &b"# \xff\ndeb \xff"[..])]).unwrap_err();
        assert!(matches!(error, AptSourcesError::NotText { line: 2, .. }));
        let many = "deb http://e.org s main\n".repeat(ENTRY_LIMIT + 1);
        assert!(matches!(parse("a.list", &many), Err(AptSourcesError::TooMany { .. })));
    }
}
