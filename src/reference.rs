//! Image references as `docker` reads them.
//!
//! The rules are those of the Go package `distribution/reference`. `oci-spec` reads references too, and
//! is the oracle of `tests/properties.rs`, but not used here: it accepts `FOO/bar` as a repository of Docker
//! Hub, refuses IPv6 hosts, accepts letters outside ASCII in a tag, and compiles a regular expression for
//! 36 ms in a process that lives for half a second.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::digest::{Digest, DigestError};
use crate::package::Excerpt;

const DEFAULT_DOMAIN: &str = "docker.io";
const LEGACY_DEFAULT_DOMAIN: &str = "index.docker.io";
const OFFICIAL_PREFIX: &str = "library/";
const DEFAULT_TAG: &str = "latest";

/// The longest text looked at: the longest domain, path, tag and digest are together shorter.
const LENGTH_LIMIT: usize = 1024;
/// The longest repository path, as `distribution/reference` has it, and a little more than the longest
/// host name of the DNS.
const PART_LIMIT: usize = 255;

/// A complete reference of an image in a registry: domain, path, and a tag or a digest or both.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ImageReference {
    domain: String,
    path: String,
    tag: Option<String>,
    digest: Option<Digest>,
}

/// Why a text is not an image reference.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReferenceError {
    /// Nothing is there.
    #[error("empty image reference")]
    Empty,
    /// A registry or a repository path longer than any valid one.
    #[error(
        "image reference has a registry or a repository of more than {PART_LIMIT} characters: {text}"
    )]
    TooLong {
        /// Its beginning.
        text: Excerpt,
    },
    /// Upper-case letters in the path.
    #[error("repository name of an image reference must be lower case: {text}")]
    UpperCase {
        /// The text.
        text: Excerpt,
    },
    /// 64 hexadecimal digits, which could as well be an image ID.
    #[error("image reference is an image ID, not a name: {text}")]
    Identifier {
        /// The text.
        text: Excerpt,
    },
    /// A registry that is neither a host name nor an address, each with an optional port.
    #[error("image reference has an invalid registry host: {text}")]
    Domain {
        /// The text.
        text: Excerpt,
    },
    /// The part after `@`.
    #[error("image reference has an invalid digest: {text}")]
    Digest {
        /// The text.
        text: Excerpt,
        /// What is wrong with it.
        source: DigestError,
    },
    /// Anything else that the grammar does not allow.
    #[error("invalid image reference: {text}")]
    Invalid {
        /// The text.
        text: Excerpt,
    },
}

impl ImageReference {
    /// The registry: `docker.io`, `localhost:5000`, `[::1]:5000`.
    pub fn domain(&self) -> &str {
        &self.domain
    }

    /// The repository in the registry: `library/nginx`.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The tag, if one was given or had to be assumed.
    pub fn tag(&self) -> Option<&str> {
        self.tag.as_deref()
    }

    /// The digest, if one was given.
    pub fn digest(&self) -> Option<&Digest> {
        self.digest.as_ref()
    }

    /// The same image name and tag, with `digest` deciding.
    #[must_use]
    pub fn with_digest(&self, digest: &Digest) -> Self {
        Self { digest: Some(digest.clone()), ..self.clone() }
    }

    /// The same name by its tag alone; `latest` if it had none.
    #[must_use]
    pub fn without_digest(&self) -> Self {
        let tag = self.tag.clone().unwrap_or_else(|| DEFAULT_TAG.to_owned());
        Self { tag: Some(tag), digest: None, ..self.clone() }
    }

    /// The complete form that buildkitd wants: `docker.io/library/nginx:1.21.6@sha256:…`.
    pub fn canonical(&self) -> String {
        self.written_as(format_args!("{}/{}", self.domain, self.path))
    }

    /// The form that a user types: `nginx:1.21.6`. Read back, it gives an equal reference.
    pub fn familiar(&self) -> String {
        let short = match self.path.strip_prefix(OFFICIAL_PREFIX) {
            // An image ID could not be read back as a name.
            Some(name) if !name.contains('/') && !is_identifier(name) => name,
            _ => &self.path,
        };
        // Nor could a path whose first part looks like a registry; docker itself does not see that.
        if self.domain != DEFAULT_DOMAIN || split_domain(short) != (DEFAULT_DOMAIN, short) {
            return self.canonical();
        }
        self.written_as(format_args!("{short}"))
    }

    fn written_as(&self, name: fmt::Arguments<'_>) -> String {
        let mut written = name.to_string();
        if let Some(tag) = &self.tag {
            written.push(':');
            written.push_str(tag);
        }
        if let Some(digest) = &self.digest {
            written.push('@');
            written.push_str(digest.as_str());
        }
        written
    }
}

impl FromStr for ImageReference {
    type Err = ReferenceError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let excerpt = || Excerpt::of(text);
        if text.is_empty() {
            return Err(ReferenceError::Empty);
        }
        if text.len() > LENGTH_LIMIT {
            return Err(ReferenceError::TooLong { text: excerpt() });
        }
        if !text.is_ascii() {
            return Err(ReferenceError::Invalid { text: excerpt() });
        }
        if is_identifier(text) {
            return Err(ReferenceError::Identifier { text: excerpt() });
        }
        let (domain, remainder) = split_domain(text);
        let (name, digest) = match remainder.split_once('@') {
            Some((name, digest)) => (name, Some(digest)),
            None => (remainder, None),
        };
        let (path, tag) = match name.split_once(':') {
            Some((path, tag)) => (path, Some(tag)),
            None => (name, None),
        };
        let prefix =
            if domain == DEFAULT_DOMAIN && !path.contains('/') { OFFICIAL_PREFIX } else { "" };
        if domain.len() > PART_LIMIT || prefix.len() + path.len() > PART_LIMIT {
            return Err(ReferenceError::TooLong { text: excerpt() });
        }
        if !is_domain(domain) {
            return Err(ReferenceError::Domain { text: excerpt() });
        }
        if path.contains(|character: char| character.is_ascii_uppercase()) {
            return Err(ReferenceError::UpperCase { text: excerpt() });
        }
        let digest = digest
            .map(str::parse)
            .transpose()
            .map_err(|source| ReferenceError::Digest { text: excerpt(), source })?;
        if !path.split('/').all(is_path_component) || !tag.is_none_or(is_tag) {
            return Err(ReferenceError::Invalid { text: excerpt() });
        }
        // A digest says enough; a name alone means its latest version.
        let default = digest.is_none().then_some(DEFAULT_TAG);
        Ok(Self {
            domain: domain.to_owned(),
            path: format!("{prefix}{path}"),
            tag: tag.or(default).map(str::to_owned),
            digest,
        })
    }
}

/// Lower-case letters and digits, separated by one dot, one or two underscores, or dashes.
fn is_path_component(component: &str) -> bool {
    let is_separator = |byte: char| matches!(byte, '.' | '_' | '-');
    let valid = component
        .bytes()
        .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"._-".contains(&byte));
    let mut separators = component
        .split(|character: char| !is_separator(character))
        .filter(|separator| !separator.is_empty());
    valid
        && !component.is_empty()
        && !component.starts_with(is_separator)
        && !component.ends_with(is_separator)
        && separators.all(|separator| {
            matches!(separator, "." | "_" | "__") || separator.bytes().all(|byte| byte == b'-')
        })
}

/// A word character, then up to 127 of them, dots and dashes.
fn is_tag(tag: &str) -> bool {
    let is_word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    tag.len() <= 128
        && tag.bytes().next().is_some_and(is_word)
        && tag.bytes().all(|byte| is_word(byte) || b".-".contains(&byte))
}

/// Whether docker would take the text for an image ID.
fn is_identifier(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// What is before the first slash is a registry only if it looks like one.
fn split_domain(text: &str) -> (&str, &str) {
    match text.split_once('/') {
        Some((LEGACY_DEFAULT_DOMAIN, remainder)) => (DEFAULT_DOMAIN, remainder),
        Some((domain, remainder))
            if domain == "localhost"
                || domain.contains(['.', ':'])
                || domain.contains(|character: char| character.is_ascii_uppercase()) =>
        {
            (domain, remainder)
        }
        _ => (DEFAULT_DOMAIN, text),
    }
}

/// A host name or an IPv6 address in brackets, then an optional port.
fn is_domain(domain: &str) -> bool {
    let (host, port) = match domain.strip_prefix('[') {
        Some(rest) => {
            let Some((address, port)) = rest.split_once(']') else { return false };
            let valid = !address.is_empty()
                && address.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b':');
            if !valid {
                return false;
            }
            (None, port)
        }
        None => match domain.find(':') {
            Some(colon) => {
                let (host, port) = domain.split_at(colon);
                (Some(host), port)
            }
            None => (Some(domain), ""),
        },
    };
    let valid_host = host.is_none_or(|host| host.split('.').all(is_domain_component));
    let valid_port = port.is_empty()
        || port.strip_prefix(':').is_some_and(|digits| {
            !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())
        });
    valid_host && valid_port
}

fn is_domain_component(component: &str) -> bool {
    !component.is_empty()
        && !component.starts_with('-')
        && !component.ends_with('-')
        && component.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

impl TryFrom<String> for ImageReference {
    type Error = ReferenceError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<ImageReference> for String {
    fn from(reference: ImageReference) -> Self {
        reference.canonical()
    }
}

/// The canonical form.
impl fmt::Display for ImageReference {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(&self.canonical())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIGEST: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    #[test]
    fn normalised() {
        for (text, canonical, familiar) in [
            ("nginx", "docker.io/library/nginx:latest", "nginx:latest"),
            ("nginx:1.21.6", "docker.io/library/nginx:1.21.6", "nginx:1.21.6"),
            ("user/app", "docker.io/user/app:latest", "user/app:latest"),
            ("docker.io/nginx", "docker.io/library/nginx:latest", "nginx:latest"),
            ("index.docker.io/nginx", "docker.io/library/nginx:latest", "nginx:latest"),
            ("docker.io/library/a/b", "docker.io/library/a/b:latest", "library/a/b:latest"),
            ("docker.io/e.org/b", "docker.io/e.org/b:latest", "docker.io/e.org/b:latest"),
            ("localhost/a", "localhost/a:latest", "localhost/a:latest"),
            ("test:5000/repo:tag", "test:5000/repo:tag", "test:5000/repo:tag"),
            ("test.com:5000", "docker.io/library/test.com:5000", "test.com:5000"),
            ("FOO/bar", "FOO/bar:latest", "FOO/bar:latest"),
            ("[::1]:5000/a/b:T", "[::1]:5000/a/b:T", "[::1]:5000/a/b:T"),
            ("[2001:db8::1]/a", "[2001:db8::1]/a:latest", "[2001:db8::1]/a:latest"),
            ("a__b/c--d", "docker.io/a__b/c--d:latest", "a__b/c--d:latest"),
        ] {
            let reference: ImageReference = text.parse().unwrap();
            assert_eq!(reference.canonical(), canonical, "{text}");
            assert_eq!(reference.familiar(), familiar, "{text}");
            assert_eq!(familiar.parse::<ImageReference>().unwrap(), reference, "{text}");
        }
    }

    #[test]
    fn digests() {
        let pinned: ImageReference = format!("nginx:1@{DIGEST}").parse().unwrap();
        assert_eq!(pinned.canonical(), format!("docker.io/library/nginx:1@{DIGEST}"));
        assert_eq!(pinned.familiar(), format!("nginx:1@{DIGEST}"));
        assert_eq!(pinned.digest().unwrap().as_str(), DIGEST);
        assert_eq!(pinned.without_digest(), "nginx:1".parse().unwrap());
        assert_eq!(pinned.without_digest().with_digest(&DIGEST.parse().unwrap()), pinned);

        let untagged: ImageReference = format!("nginx@{DIGEST}").parse().unwrap();
        assert_eq!((untagged.tag(), untagged.familiar()), (None, format!("nginx@{DIGEST}")));
        assert_eq!(untagged.without_digest().canonical(), "docker.io/library/nginx:latest");
    }

    #[test]
    fn a_name_like_an_id_keeps_its_prefix() {
        let name = "a".repeat(64);
        let reference: ImageReference = format!("docker.io/{name}").parse().unwrap();
        assert_eq!(reference.familiar(), format!("library/{name}:latest"));
    }

    #[test]
    fn rejected() {
        for (text, message) in [
            ("", "empty image reference"),
            ("Nginx", "repository name of an image reference must be lower case: `Nginx`"),
            ("foo/BAR", "repository name of an image reference must be lower case: `foo/BAR`"),
            (":tag", "invalid image reference: `:tag`"),
            ("a:é", "invalid image reference: `a:é`"),
            ("a b", "invalid image reference: `a b`"),
            ("a//b", "invalid image reference: `a//b`"),
            ("a/", "invalid image reference: `a/`"),
            ("-a.com/b", "image reference has an invalid registry host: `-a.com/b`"),
            ("a.com:x/b", "image reference has an invalid registry host: `a.com:x/b`"),
            ("[::g]/b", "image reference has an invalid registry host: `[::g]/b`"),
            ("https://a.com/b", "image reference has an invalid registry host: `https://a.com/b`"),
            ("a@sha256:00", "image reference has an invalid digest: `a@sha256:00`"),
            ("a:b:c", "invalid image reference: `a:b:c`"),
            ("a:", "invalid image reference: `a:`"),
            ("a:-b", "invalid image reference: `a:-b`"),
            ("a..b", "invalid image reference: `a..b`"),
            ("a___b", "invalid image reference: `a___b`"),
            ("a-.b", "invalid image reference: `a-.b`"),
            ("$(reboot)", "invalid image reference: `$(reboot)`"),
        ] {
            assert_eq!(text.parse::<ImageReference>().unwrap_err().to_string(), message);
        }
        assert!(matches!(
            "0f".repeat(32).parse::<ImageReference>(),
            Err(ReferenceError::Identifier { .. })
        ));
        assert!(format!("a.com/{}", "a".repeat(255)).parse::<ImageReference>().is_ok());
        for text in [
            format!("a.com/{}", "a".repeat(256)),
            format!("{}a/b", "a.".repeat(128)),
            "a".repeat(2000),
        ] {
            assert!(matches!(text.parse::<ImageReference>(), Err(ReferenceError::TooLong { .. })));
        }
    }
}
