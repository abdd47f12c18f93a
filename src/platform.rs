//! Platforms as `BuildKit` names them: `linux/amd64`, `linux/arm/v7`.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// What an image or a container is built for, always in normal form.
///
/// The JSON form is the one of the OCI image index (`architecture`, `os`, `variant`, …).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Platform {
    architecture: String,
    os: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    variant: String,
    #[serde(default, rename = "os.version", skip_serializing_if = "String::is_empty")]
    os_version: String,
    #[serde(default, rename = "os.features", skip_serializing_if = "Vec::is_empty")]
    os_features: Vec<String>,
}

/// Why a text is not a platform.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a platform: {0:?}, expected `os/architecture` or `os/architecture/variant`")]
pub struct PlatformError(String);

/// Architecture and variant spellings that mean another pair (containerd's normalization).
///
/// A row is (architecture, variant) as written and as meant; `*` stands for every variant.
const ALIASES: &[(&str, &str, &str, &str)] = &[
    ("x86_64", "*", "amd64", "*"),
    ("x86-64", "*", "amd64", "*"),
    ("amd64", "v1", "amd64", ""),
    ("i386", "*", "386", ""),
    ("aarch64", "*", "arm64", "*"),
    ("arm64", "8", "arm64", ""),
    ("arm64", "v8", "arm64", ""),
    ("arm64", "v8.0", "arm64", ""),
    ("arm64", "9", "arm64", "v9"),
    ("arm64", "9.0", "arm64", "v9"),
    ("arm64", "v9.0", "arm64", "v9"),
    ("armhf", "*", "arm", "v7"),
    ("armel", "*", "arm", "v6"),
    ("arm", "", "arm", "v7"),
    ("arm", "5", "arm", "v5"),
    ("arm", "6", "arm", "v6"),
    ("arm", "7", "arm", "v7"),
    ("arm", "8", "arm", "v8"),
];

impl Platform {
    /// The platform of these parts; an empty `variant` means the architecture's usual one.
    pub fn new(os: &str, architecture: &str, variant: &str) -> Self {
        let os = match os.to_ascii_lowercase().as_str() {
            "" => "linux".to_owned(),
            "macos" => "darwin".to_owned(),
            other => other.to_owned(),
        };
        let mut architecture = architecture.to_ascii_lowercase();
        let mut variant = variant.to_ascii_lowercase();
        for (from, from_variant, to, to_variant) in ALIASES {
            if architecture == *from && (*from_variant == "*" || variant == *from_variant) {
                (*to).clone_into(&mut architecture);
                if *to_variant != "*" {
                    (*to_variant).clone_into(&mut variant);
                }
            }
        }
        Self { architecture, os, variant, os_version: String::new(), os_features: Vec::new() }
    }

    /// The same platform restricted to an operating system version (Windows images have one).
    #[must_use]
    pub fn with_os_version(mut self, os_version: String, os_features: Vec<String>) -> Self {
        self.os_version = os_version;
        self.os_features = os_features;
        self
    }

    /// Whether both are for the same operating system and architecture, whatever the variants.
    pub fn is_same_machine(&self, other: &Self) -> bool {
        (&self.os, &self.architecture) == (&other.os, &other.architecture)
    }

    /// Operating system, such as `linux`.
    pub fn os(&self) -> &str {
        &self.os
    }

    /// Architecture in Go's naming, such as `amd64`.
    pub fn architecture(&self) -> &str {
        &self.architecture
    }

    /// Variant of the architecture, such as `v7`; empty when it is the usual one.
    pub fn variant(&self) -> &str {
        &self.variant
    }

    /// Version of the operating system; empty where it does not matter.
    pub fn os_version(&self) -> &str {
        &self.os_version
    }

    /// Features of the operating system that the image requires.
    pub fn os_features(&self) -> &[String] {
        &self.os_features
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}", self.os)?;
        if !self.os_version.is_empty() {
            write!(formatter, "({}", self.os_version)?;
            self.os_features.iter().try_for_each(|feature| write!(formatter, "+{feature}"))?;
            write!(formatter, ")")?;
        }
        write!(formatter, "/{}", self.architecture)?;
        if !self.variant.is_empty() {
            write!(formatter, "/{}", self.variant)?;
        }
        Ok(())
    }
}

impl FromStr for Platform {
    type Err = PlatformError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let valid = |part: &&str| {
            !part.is_empty()
                && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
        };
        let parts: Vec<&str> = text.split('/').collect();
        match parts.as_slice() {
            [os, architecture] if [os, architecture].into_iter().all(valid) => {
                Ok(Self::new(os, architecture, ""))
            }
            [os, architecture, variant] if parts.iter().all(valid) => {
                Ok(Self::new(os, architecture, variant))
            }
            _ => Err(PlatformError(text.to_owned())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn normal_form_is_containerds() {
        for (text, normal) in [
            ("linux/amd64", "linux/amd64"),
            ("linux/x86_64", "linux/amd64"),
            ("Linux/AMD64/v1", "linux/amd64"),
            ("linux/amd64/v3", "linux/amd64/v3"),
            ("linux/aarch64", "linux/arm64"),
            ("linux/arm64/v8", "linux/arm64"),
            ("linux/aarch64/9", "linux/arm64/v9"),
            ("linux/arm", "linux/arm/v7"),
            ("linux/armhf", "linux/arm/v7"),
            ("linux/armel", "linux/arm/v6"),
            ("linux/i386", "linux/386"),
            ("macos/arm64", "darwin/arm64"),
        ] {
            assert_eq!(text.parse::<Platform>().unwrap().to_string(), normal, "{text}");
        }
    }

    #[test]
    fn other_texts_are_refused() {
        for text in ["", "linux", "linux/", "/amd64", "linux/amd64/v1/x", "linux/amd 64", "all"] {
            assert!(text.parse::<Platform>().is_err(), "{text}");
        }
    }
}
