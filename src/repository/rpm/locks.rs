//! Packages that the image's author keeps at their version, in the managers' own files.
//!
//! | manager | file | from |
//! |---|---|---|
//! | dnf 4, yum | `versionlock.list` | the manual of the plugin, dnf-versionlock(8) |
//! | dnf 5 | `versionlock.toml` | dnf5-versionlock(8) |
//! | zypper | `locks` | locks(5) of libzypp |
//! | tdnf | `locks.d/*.conf` | tdnf's wiki, «Configuration Options» |
//!
//! A lock that allows another version holds nothing here: the manager itself obeys it.

use crate::glob;
use crate::pkgdb::InstalledPackage;
use crate::version::Version;
use crate::version::rpm::RpmVersion;

/// One thing that is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Lock {
    /// One version of a package, spelled with its name: `NAME-[EPOCH:]VERSION-RELEASE[.ARCHITECTURE]`.
    Spelled(String),
    /// One version of the packages that a pattern stands for.
    Version {
        /// The pattern.
        name: String,
        /// The version.
        version: RpmVersion,
    },
    /// All packages of a name, in whatever version.
    Name {
        /// The name or what stands for it.
        text: String,
        /// How a name fits the text.
        fit: Fit,
        /// Whether `A` and `a` are different letters.
        case_sensitive: bool,
        /// Only those of this architecture.
        architecture: Option<String>,
    },
}

/// How a name fits a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fit {
    /// It is the text.
    Exact,
    /// The text is a pattern for it.
    Glob,
    /// The text is a part of it.
    Substring,
}

impl Lock {
    /// Whether the package is kept at its version.
    pub(super) fn holds(&self, package: &InstalledPackage) -> bool {
        let name = package.name.as_str();
        match self {
            Self::Spelled(text) => spellings(package).any(|spelling| spelling == *text),
            Self::Version { name: pattern, version } => {
                glob::matches(pattern, name) && package.version == Version::Rpm(version.clone())
            }
            Self::Name { text, fit, case_sensitive, architecture } => {
                let fold = |text: &str| {
                    if *case_sensitive { text.to_owned() } else { text.to_ascii_lowercase() }
                };
                let (text, name) = (fold(text), fold(name));
                let fits = match fit {
                    Fit::Exact => name == text,
                    Fit::Glob => glob::matches(&text, &name),
                    Fit::Substring => name.contains(&text),
                };
                let machine = package.architecture.as_str();
                fits && architecture.as_deref().is_none_or(|wanted| wanted == machine)
            }
        }
    }
}

/// The ways to write a package with its version; without an epoch any is meant.
fn spellings(package: &InstalledPackage) -> impl Iterator<Item = String> {
    let (name, architecture) = (&package.name, &package.architecture);
    let (epoch, rest) = match &package.version {
        Version::Rpm(version) => {
            let release = version.release().map(|release| format!("-{release}"));
            let rest = format!("{}{}", version.version(), release.unwrap_or_default());
            (version.epoch(), rest)
        }
        other => (0, other.to_string()),
    };
    let spellings = [
        format!("{name}-{rest}"),
        format!("{name}-{epoch}:{rest}"),
        format!("{epoch}:{name}-{rest}"),
    ];
    let endings = [String::new(), format!(".{architecture}"), ".*".to_owned()];
    spellings
        .into_iter()
        .flat_map(move |spelling| endings.clone().map(|ending| format!("{spelling}{ending}")))
}

/// The lines of a list; comments and what is not text are left out.
fn lines(bytes: &[u8]) -> impl Iterator<Item = &str> {
    let lines = bytes.split(|byte| *byte == b'\n');
    let texts = lines.filter_map(|line| str::from_utf8(line.trim_ascii()).ok());
    texts.filter(|line| !line.starts_with('#'))
}

/// The lines of such a list that say something.
pub(super) fn entries(bytes: &[u8]) -> impl Iterator<Item = &str> {
    lines(bytes).filter(|line| !line.is_empty())
}

/// dnf 4's and yum's list. A line with `!` excludes one version and so keeps none.
pub(super) fn versionlock_list(bytes: &[u8]) -> Vec<Lock> {
    let kept = entries(bytes).filter(|line| !line.starts_with('!'));
    kept.map(|line| Lock::Spelled(line.to_owned())).collect()
}

/// dnf 5's file. Of TOML it has `[[packages]]` with a `name`, and `[[packages.conditions]]` with `key`, `comparator`
/// and `value`, all strings that dnf 5 itself writes on lines of their own; a TOML parser for these would outweigh the
/// rest of this module.
pub(super) fn versionlock_toml(bytes: &[u8]) -> Vec<Lock> {
    let mut locks = Vec::new();
    let mut name = None;
    let mut condition = [None, None, None];
    for line in lines(bytes) {
        if line.starts_with("[[") {
            condition = [None, None, None];
            if line == "[[packages]]" {
                name = None;
            }
            continue;
        }
        let Some((key, value)) = assignment(line) else { continue };
        match key {
            "name" => name = Some(value),
            "key" => condition[0] = Some(value),
            "comparator" => condition[1] = Some(value),
            "value" => condition[2] = Some(value),
            _ => {}
        }
        if let (Some(name), [Some("evr"), Some("=" | "=="), Some(version)]) = (name, condition)
            && let Ok(version) = RpmVersion::parse_recorded(version)
        {
            locks.push(Lock::Version { name: name.to_owned(), version });
        }
    }
    locks
}

/// `key = "value"`, in either of TOML's quotes.
fn assignment(line: &str) -> Option<(&str, &str)> {
    let (key, value) = line.split_once('=')?;
    let value = value.trim_ascii();
    let quote = value.chars().next().filter(|letter| matches!(letter, '"' | '\''))?;
    let value = value.strip_prefix(quote)?.split(quote).next()?;
    Some((key.trim_ascii(), value))
}

/// zypper's file: stanzas of `key: value` with blank lines between them.
pub(super) fn zypp_locks(bytes: &[u8]) -> Vec<Lock> {
    let mut locks = Vec::new();
    let mut stanza = Vec::new();
    for line in lines(bytes).chain([""]) {
        match line.split_once(':') {
            Some((key, value)) => stanza.push((key.trim_ascii(), value.trim_ascii())),
            None if line.is_empty() => {
                locks.extend(zypp_lock(&stanza));
                stanza.clear();
            }
            None => {}
        }
    }
    locks
}

fn zypp_lock(stanza: &[(&str, &str)]) -> Vec<Lock> {
    let mut fit = Fit::Substring;
    let mut case_sensitive = false;
    let mut architecture = None;
    let mut names = Vec::new();
    for (key, value) in stanza {
        match (*key, *value) {
            ("type", "package") => {}
            ("match_type", "exact") => fit = Fit::Exact,
            ("match_type", "glob") => fit = Fit::Glob,
            ("match_type", "substring") => fit = Fit::Substring,
            ("case_sensitive", value) => case_sensitive = value.eq_ignore_ascii_case("on"),
            ("solvable_arch", value) => architecture = Some(value.to_owned()),
            ("solvable_name", value) => names.push(value),
            // Other kinds, and locks on a repository or on some versions only.
            _ => return Vec::new(),
        }
    }
    let lock = |name: &str| {
        let architecture = architecture.clone();
        Lock::Name { text: name.to_owned(), fit, case_sensitive, architecture }
    };
    names.into_iter().map(lock).collect()
}

/// tdnf's files: one name per line.
pub(super) fn tdnf_locks(bytes: &[u8]) -> Vec<Lock> {
    let names = entries(bytes).flat_map(str::split_ascii_whitespace);
    names
        .map(|name| Lock::Name {
            text: name.to_owned(),
            fit: Fit::Glob,
            case_sensitive: true,
            architecture: None,
        })
        .collect()
}
