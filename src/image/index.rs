//! What a registry has above an image: the index of its platforms, and the manifest of one.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::digest::Digest;
use crate::platform::Platform;

/// Annotations by key.
pub type Annotations = BTreeMap<String, String>;

/// What a digest in a registry stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Document {
    /// Images for several platforms.
    Index(Index),
    /// The image of one platform.
    Manifest(Annotations),
}

/// An index of images (OCI image specification, «Image Index»; Docker's manifest list).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Index {
    /// Its own annotations.
    pub annotations: Annotations,
    /// Its images in their order, without attestations and other things that have no platform.
    pub images: Vec<(Platform, Digest)>,
}

/// Why bytes are neither an index nor a manifest.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("neither an image index nor a manifest: {0}")]
pub struct DocumentError(String);

/// `oci-spec` loses `os.version`, without which images of Windows cannot be told apart.
#[derive(Deserialize)]
struct RawDocument {
    manifests: Option<Vec<RawDescriptor>>,
    annotations: Option<Annotations>,
    config: Option<IgnoredAny>,
}

#[derive(Deserialize)]
struct RawDescriptor {
    digest: String,
    platform: Option<Platform>,
}

impl RawDescriptor {
    /// The image that it stands for, if it is one.
    fn image(self) -> Option<(Platform, Digest)> {
        let raw = self.platform.filter(|it| it.os() != UNKNOWN && it.architecture() != UNKNOWN)?;
        let platform = Platform::new(raw.os(), raw.architecture(), raw.variant())
            .with_os_version(raw.os_version().to_owned(), raw.os_features().to_vec());
        Some((platform, self.digest.parse().ok()?))
    }
}

/// The platform of what is not an image, such as attestations.
const UNKNOWN: &str = "unknown";

impl Document {
    /// Reads an index or a manifest.
    pub fn parse(bytes: &[u8]) -> Result<Self, DocumentError> {
        let RawDocument { manifests, annotations, config } =
            serde_json::from_slice(bytes).map_err(|error| DocumentError(error.to_string()))?;
        let annotations = annotations.unwrap_or_default();
        match (manifests, config) {
            (Some(manifests), _) => {
                let images = manifests.into_iter().filter_map(RawDescriptor::image).collect();
                Ok(Self::Index(Index { annotations, images }))
            }
            (None, Some(_)) => Ok(Self::Manifest(annotations)),
            (None, None) => {
                Err(DocumentError("it has neither manifests nor a configuration".to_owned()))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_index_tells_its_platforms() {
        let digest = format!("sha256:{}", "0".repeat(64));
        let entry = |platform: &str| {
            format!(
                r#"{{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"{digest}","size":1{platform}}}"#
            )
        };
        let entries = [
            r#","platform":{"os":"linux","architecture":"arm64","variant":"v8"}"#,
            r#","platform":{"os":"unknown","architecture":"unknown"}"#,
            r#","platform":{"os":"windows","architecture":"amd64","os.version":"10.0"}"#,
            "",
        ];
        let entries = entries.map(entry).join(",");
        let text = format!(
            r#"{{"schemaVersion":2,"manifests":[{entries}],"annotations":{{"b":"2","a":"1"}}}}"#
        );
        let Ok(Document::Index(index)) = Document::parse(text.as_bytes()) else { panic!("{text}") };
        let names: Vec<String> = index.images.iter().map(|(it, _)| it.to_string()).collect();
        assert_eq!(names, ["linux/arm64", "windows(10.0)/amd64"]);
        assert_eq!(index.annotations.keys().collect::<Vec<_>>(), ["a", "b"]);
    }

    #[test]
    fn a_manifest_tells_its_annotations() {
        let text = format!(
            r#"{{"schemaVersion":2,"config":{{"mediaType":"a/b","digest":"sha256:{}","size":1}},"layers":[],"annotations":{{"a":"1"}}}}"#,
            "0".repeat(64)
        );
        let Ok(Document::Manifest(found)) = Document::parse(text.as_bytes()) else {
            panic!("{text}")
        };
        assert_eq!(found["a"], "1");
        for bytes in [&b""[..], b"[]", b"{}", b"{\"manifests\":1}"] {
            assert!(Document::parse(bytes).is_err());
        }
    }
}
