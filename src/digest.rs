//! Content digests (OCI image specification, «Digests»).

use std::fmt::{self, Write as _};
use std::io::{self, Read};
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::package::Excerpt;

/// `sha256:` or `sha512:` and as many lower-case hexadecimal digits as the algorithm gives.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Digest(String);

/// Why a text is not a digest.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DigestError {
    /// The prefix `ALGORITHM:` is missing.
    #[error("digest has no algorithm: {text}")]
    NoAlgorithm {
        /// The text.
        text: Excerpt,
    },
    /// An algorithm other than sha256 and sha512.
    #[error("digest algorithm is neither sha256 nor sha512: {text}")]
    Algorithm {
        /// The text.
        text: Excerpt,
    },
    /// Not as many digits as the algorithm produces.
    #[error("digest has {found} characters after the algorithm, expected {expected}: {text}")]
    Length {
        /// What the algorithm produces.
        expected: usize,
        /// What is there.
        found: usize,
        /// The text.
        text: Excerpt,
    },
    /// Something other than `0`–`9` and `a`–`f`.
    #[error("digest is not lower-case hexadecimal: {text}")]
    Character {
        /// The text.
        text: Excerpt,
    },
}

impl Digest {
    /// The sha256 digest of `bytes`.
    pub fn of(bytes: &[u8]) -> Self {
        Self::sha256(Sha256::digest(bytes).as_slice())
    }

    /// The sha256 digest of everything that comes out of `reader`.
    pub fn of_stream(reader: &mut impl Read) -> io::Result<Self> {
        let mut hasher = Sha256::new();
        let mut buffer = vec![0; 1 << 16];
        loop {
            match reader.read(&mut buffer)? {
                0 => return Ok(Self::sha256(hasher.finalize().as_slice())),
                read => hasher.update(buffer.get(..read).unwrap_or_default()),
            }
        }
    }

    fn sha256(hash: &[u8]) -> Self {
        let mut text = String::from("sha256:");
        for byte in hash {
            // Writing to a string cannot fail.
            let _ = write!(text, "{byte:02x}");
        }
        Self(text)
    }

    /// The hexadecimal digits alone.
    pub fn hex(&self) -> &str {
        self.as_str().split_once(':').map_or("", |(_, hex)| hex)
    }

    /// The digest as it is written everywhere.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Digest {
    type Err = DigestError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (algorithm, hexadecimal) = text
            .split_once(':')
            .ok_or_else(|| DigestError::NoAlgorithm { text: Excerpt::of(text) })?;
        let expected = match algorithm {
            "sha256" => 64,
            "sha512" => 128,
            _ => return Err(DigestError::Algorithm { text: Excerpt::of(text) }),
        };
        let found = hexadecimal.chars().count();
        if found != expected {
            return Err(DigestError::Length { expected, found, text: Excerpt::of(text) });
        }
        if !hexadecimal.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')) {
            return Err(DigestError::Character { text: Excerpt::of(text) });
        }
        Ok(Self(text.to_owned()))
    }
}

impl TryFrom<String> for Digest {
    type Error = DigestError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<Digest> for String {
    fn from(digest: Digest) -> Self {
        digest.0
    }
}

impl AsRef<str> for Digest {
    fn as_ref(&self) -> &str {
        self.as_str()
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_nothing() {
        assert_eq!(
            Digest::of(b"").as_str(),
            "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
        );
    }

    #[test]
    fn texts() {
        for text in [format!("sha256:{}", "0f".repeat(32)), format!("sha512:{}", "0f".repeat(64))] {
            assert_eq!(text.parse::<Digest>().unwrap().to_string(), text);
        }
        for (text, message) in [
            (String::new(), "digest has no algorithm: ``".to_owned()),
            (
                "sha1:00".to_owned(),
                "digest algorithm is neither sha256 nor sha512: `sha1:00`".to_owned(),
            ),
            (
                "sha256:00".to_owned(),
                "digest has 2 characters after the algorithm, expected 64: `sha256:00`".to_owned(),
            ),
            (
                format!("sha256:{}", "F".repeat(64)),
                format!("digest is not lower-case hexadecimal: `sha256:{}…`", "F".repeat(57)),
            ),
        ] {
            assert_eq!(text.parse::<Digest>().unwrap_err().to_string(), message);
        }
    }
}
