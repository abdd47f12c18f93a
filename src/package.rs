//! Names that come from outside and end up as arguments of package managers.
//!
//! Reports, package databases and options name packages. These names later become arguments of a program that runs as
//! root, so a [`PackageName`] can only hold what is a package name in every family we know: it never begins like an
//! option, and has no white space, no slash, no colon and nothing that a shell or a glob would interpret.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::glob;

/// The longest name accepted, in characters.
///
/// Debian sets no limit; a file name (`/var/lib/dpkg/info/NAME.list`) does.
const NAME_LIMIT: usize = 255;

/// How many characters of an outside text a message shows.
const EXCERPT_LIMIT: usize = 64;

/// A piece of outside text as it is shown in a message: in backticks, escaped and cut.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Excerpt(String);

impl Excerpt {
    /// The beginning of `text`, safe to print.
    pub fn of(text: &str) -> Self {
        let mut shown = String::new();
        let mut characters = text.chars();
        for character in characters.by_ref().take(EXCERPT_LIMIT) {
            match character {
                '"' | '\'' => shown.push(character),
                '`' => shown.push_str("\\`"),
                _ => shown.extend(character.escape_debug()),
            }
        }
        if characters.next().is_some() {
            shown.push('…');
        }
        Self(shown)
    }

    /// The same for bytes that may not be UTF-8.
    pub fn of_bytes(bytes: &[u8]) -> Self {
        // A character has at most four bytes, so this is enough for the longest excerpt and its «…».
        let start = bytes.get(..(EXCERPT_LIMIT + 1) * 4).unwrap_or(bytes);
        Self::of(&String::from_utf8_lossy(start))
    }
}

impl fmt::Display for Excerpt {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "`{}`", self.0)
    }
}

/// Longest part of another program's words that is shown.
const WORDS_LIMIT: usize = 400;

/// Text that no terminal and no reader takes for anything but text: without control characters, line feeds aside, and
/// without the characters that turn the direction of what follows (Unicode Standard Annex 9, section 2).
pub fn printable(text: &str) -> String {
    let turns = |character: char| matches!(character, '\u{200e}' | '\u{200f}' | '\u{61c}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let hidden = |character: char| character.is_control() && character != '\n' || turns(character);
    text.chars().map(|character| if hidden(character) { '�' } else { character }).collect()
}

/// Another program's words, safe to print: they may come from an image.
pub fn words_of(text: &str) -> String {
    let start: String = text.chars().take(WORDS_LIMIT).collect();
    let mut shown = printable(&start).replace('\n', "�");
    if text.chars().nth(WORDS_LIMIT).is_some() {
        shown.push('…');
    }
    shown
}

/// What a text was meant to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NameKind {
    /// A [`PackageName`].
    Package,
    /// An [`Architecture`].
    Architecture,
    /// A [`NamePattern`].
    Pattern,
}

impl fmt::Display for NameKind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Package => "package name",
            Self::Architecture => "architecture",
            Self::Pattern => "package name pattern",
        })
    }
}

/// Why a text is not a name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PackageError {
    /// Nothing is there.
    #[error("empty {kind}")]
    Empty {
        /// What it was meant to be.
        kind: NameKind,
    },
    /// More than 255 characters.
    #[error("{kind} is longer than {NAME_LIMIT} characters: {text}")]
    TooLong {
        /// What it was meant to be.
        kind: NameKind,
        /// Its beginning.
        text: Excerpt,
    },
    /// The first character could make it an option or a path.
    #[error("{kind} does not begin with a letter or a digit: {text}")]
    Start {
        /// What it was meant to be.
        kind: NameKind,
        /// The text.
        text: Excerpt,
    },
    /// A character that no such name has.
    #[error("{kind} has an invalid character {character:?}: {text}")]
    Character {
        /// What it was meant to be.
        kind: NameKind,
        /// The first such character.
        character: char,
        /// The text.
        text: Excerpt,
    },
}

/// Checks length, first character and the rest, in that order.
fn check(
    kind: NameKind,
    text: &str,
    first: impl Fn(char) -> bool,
    rest: impl Fn(char) -> bool,
) -> Result<(), PackageError> {
    let Some(start) = text.chars().next() else {
        return Err(PackageError::Empty { kind });
    };
    if text.chars().nth(NAME_LIMIT).is_some() {
        return Err(PackageError::TooLong { kind, text: Excerpt::of(text) });
    }
    if !first(start) {
        return Err(PackageError::Start { kind, text: Excerpt::of(text) });
    }
    match text.chars().find(|&character| !first(character) && !rest(character)) {
        Some(character) => {
            Err(PackageError::Character { kind, character, text: Excerpt::of(text) })
        }
        None => Ok(()),
    }
}

/// The conversions that every checked text has in common.
macro_rules! checked_text {
    ($name:ident, $check:path) => {
        impl $name {
            /// The text as it was given.
            pub fn as_str(&self) -> &str {
                &self.0
            }

            /// The same from a text that others hold too.
            pub fn from_shared(text: Arc<str>) -> Result<Self, PackageError> {
                $check(&text)?;
                Ok(Self(text))
            }
        }

        impl FromStr for $name {
            type Err = PackageError;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                Self::from_shared(Arc::from(text))
            }
        }

        impl TryFrom<String> for $name {
            type Error = PackageError;

            fn try_from(text: String) -> Result<Self, Self::Error> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(value: $name) -> Self {
                value.as_str().to_owned()
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                self.as_str()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.pad(self.as_str())
            }
        }
    };
}

/// The name of a package, without architecture or version.
///
/// Debian Policy 5.6.1 wants lower case, digits and `+-.`; dpkg itself also takes upper case and `_`, rpm
/// `~` and pacman `@`. The union of these, beginning with a letter or digit, is accepted. Cheap to clone.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PackageName(Arc<str>);

checked_text!(PackageName, check_package_name);

fn is_name_character(character: char) -> bool {
    character.is_ascii_alphanumeric() || "+._~@-".contains(character)
}

fn check_package_name(text: &str) -> Result<(), PackageError> {
    check(NameKind::Package, text, |start| start.is_ascii_alphanumeric(), is_name_character)
}

/// A package architecture as its package manager spells it: `amd64`, `x86_64`, `all`, `noarch`.
///
/// Not a platform: `amd64` of dpkg and `x86_64` of apk are the same platform. Cheap to clone.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Architecture(Arc<str>);

checked_text!(Architecture, check_architecture);

impl Architecture {
    /// Whether it stands for all of them: `all` in dpkg's words, `noarch` in those of apk and rpm.
    pub fn is_any(&self) -> bool {
        matches!(self.as_str(), "all" | "noarch")
    }
}

fn check_architecture(text: &str) -> Result<(), PackageError> {
    check(
        NameKind::Architecture,
        text,
        |start| start.is_ascii_lowercase() || start.is_ascii_digit(),
        |character| matches!(character, '_' | '-'),
    )
}

/// A package name or a glob over package names, as the option `EXCLUDE` takes it.
///
/// `*` stands for any run of characters, `?` for one; everything else for itself.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct NamePattern(Arc<str>);

checked_text!(NamePattern, check_name_pattern);

fn check_name_pattern(text: &str) -> Result<(), PackageError> {
    check(
        NameKind::Pattern,
        text,
        |start| start.is_ascii_alphanumeric() || matches!(start, '*' | '?'),
        is_name_character,
    )
}

impl NamePattern {
    /// Whether the pattern stands for `name`.
    pub fn matches(&self, name: &PackageName) -> bool {
        glob::matches(&self.0, name.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn package_names() {
        for name in
            ["libc6", "g++-12", "libstdc++6", "0ad", "python3.11-minimal", "A_b", "a~b", "a@1"]
        {
            assert_eq!(name.parse::<PackageName>().unwrap().as_str(), name);
        }
        for (text, message) in [
            ("", "empty package name"),
            ("--root=/", "package name does not begin with a letter or a digit: `--root=/`"),
            ("$(reboot)", "package name does not begin with a letter or a digit: `$(reboot)`"),
            ("a b", "package name has an invalid character ' ': `a b`"),
            ("a;b", "package name has an invalid character ';': `a;b`"),
            ("libc6:amd64", "package name has an invalid character ':': `libc6:amd64`"),
            ("a*", "package name has an invalid character '*': `a*`"),
            ("a\n`", "package name has an invalid character '\\n': `a\\n\\``"),
            ("é", "package name does not begin with a letter or a digit: `é`"),
        ] {
            assert_eq!(text.parse::<PackageName>().unwrap_err().to_string(), message);
        }
        assert!("a".repeat(255).parse::<PackageName>().is_ok());
        assert_eq!(
            "a".repeat(256).parse::<PackageName>().unwrap_err().to_string(),
            format!("package name is longer than 255 characters: `{}…`", "a".repeat(64))
        );
    }

    #[test]
    fn architectures() {
        for text in ["amd64", "x86_64", "all", "kfreebsd-amd64", "386"] {
            assert_eq!(text.parse::<Architecture>().unwrap().to_string(), text);
        }
        for text in ["", "-o", "AMD64", "amd64 ", "a/b"] {
            assert!(text.parse::<Architecture>().is_err(), "{text}");
        }
    }

    #[test]
    fn patterns() {
        for (pattern, name, expected) in [
            ("libc6", "libc6", true),
            ("libc6", "libc6-dev", false),
            ("libc6*", "libc6-dev", true),
            ("*", "x", true),
            ("*dev", "libc6-dev", true),
            ("lib*-dev", "libc-dev-dev", true),
            ("lib*-dev", "libc-devel", false),
            ("?ibc6", "libc6", true),
            ("libc6?", "libc6", false),
            ("**a*", "bab", true),
            ("*a*a*a*b", "aaaaaaaaaaaaaaaa", false),
        ] {
            let pattern: NamePattern = pattern.parse().unwrap();
            assert_eq!(pattern.matches(&name.parse().unwrap()), expected, "{pattern} {name}");
        }
        for text in ["", "-x", "a b", "[ab]", "a,b"] {
            assert!(text.parse::<NamePattern>().is_err(), "{text}");
        }
    }

    #[test]
    fn words_cannot_steer_a_terminal() {
        assert_eq!(words_of("a\u{1b}[2Jb"), "a�[2Jb");
        assert_eq!(words_of(&"a".repeat(401)).chars().count(), 401);
        assert_eq!(words_of(&"a".repeat(400)), "a".repeat(400));
    }

    #[test]
    fn json_is_checked() {
        assert_eq!(
            serde_json::to_string(&"zlib1g".parse::<PackageName>().unwrap()).unwrap(),
            "\"zlib1g\""
        );
        let error = serde_json::from_str::<PackageName>("\"--root=/\"").unwrap_err();
        assert!(error.to_string().contains("`--root=/`"), "{error}");
    }
}
