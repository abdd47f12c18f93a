//! Image configurations: read through types, kept and written as they were.
//!
//! `oci-spec` drops what Docker has added to the format (`Healthcheck`, `OnBuild`, `Shell`, …), so
//! the JSON value itself is kept and only what changes is laid over it.

use std::collections::BTreeMap;

use jiff::Timestamp;
use oci_spec::image::{History, HistoryBuilder, ImageConfiguration};
use serde_json::{Map, Value};

use crate::digest::Digest;
use crate::platform::Platform;

pub mod index;

/// The configuration of an image, unknown keys included.
#[derive(Clone, Debug, PartialEq)]
pub struct ImageConfig {
    original: Vec<u8>,
    value: Map<String, Value>,
    typed: ImageConfiguration,
}

/// Why bytes are not an image configuration.
#[derive(Debug, thiserror::Error)]
pub enum ImageConfigError {
    /// Not a JSON object.
    #[error("the image configuration is no JSON object")]
    Json(#[source] serde_json::Error),
    /// Not as the OCI image specification has it.
    #[error("the image configuration does not follow the OCI image specification: {0}")]
    Form(String),
}

/// One change of an image, as its history records it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// When.
    pub created: Timestamp,
    /// What made the layer.
    pub created_by: String,
    /// More about it.
    pub comment: String,
    /// Labels to set.
    pub labels: BTreeMap<String, String>,
}

impl ImageConfig {
    /// Reads a configuration.
    pub fn parse(bytes: &[u8]) -> Result<Self, ImageConfigError> {
        let value: Map<String, Value> =
            serde_json::from_slice(bytes).map_err(ImageConfigError::Json)?;
        // Docker writes `null` where an image has no layers, and the type wants a list.
        let mut complete = value.clone();
        let rootfs = object(&mut complete, "rootfs");
        rootfs.entry("type").or_insert_with(|| "layers".into());
        list(rootfs, "diff_ids");
        let typed: ImageConfiguration = serde_json::from_value(Value::Object(complete))
            .map_err(|error| ImageConfigError::Form(error.to_string()))?;
        Ok(Self { original: bytes.to_vec(), value, typed })
    }

    /// The bytes as they came.
    pub fn original(&self) -> &[u8] {
        &self.original
    }

    /// Digest of the bytes as they came, which is the image's id.
    pub fn digest(&self) -> Digest {
        Digest::of(&self.original)
    }

    /// Digests of the layers' uncompressed archives, lowest first.
    pub fn diff_ids(&self) -> Vec<Digest> {
        self.typed.rootfs().diff_ids().iter().filter_map(|text| text.parse().ok()).collect()
    }

    /// When the image was made, if it says so.
    pub fn created(&self) -> Option<Timestamp> {
        self.typed.created().as_ref()?.parse().ok()
    }

    /// What the image is for.
    pub fn platform(&self) -> Platform {
        let (os, architecture) = (self.typed.os(), self.typed.architecture());
        let variant = self.typed.variant().clone().unwrap_or_default();
        let os_version = self.typed.os_version().clone().unwrap_or_default();
        let features = self.typed.os_features().clone().unwrap_or_default();
        Platform::new(&os.to_string(), &architecture.to_string(), &variant)
            .with_os_version(os_version, features)
    }

    /// The configuration of this very image, with more labels if there are any.
    pub fn with_labels(&self, labels: &BTreeMap<String, String>) -> Vec<u8> {
        if labels.is_empty() {
            return self.original.clone();
        }
        let mut value = self.value.clone();
        set_labels(&mut value, labels);
        Value::Object(value).to_string().into_bytes()
    }

    /// The configuration of this image with one more layer.
    ///
    /// Everything else stays, keys unknown to us and their order too. The daemon writes `rootfs`.
    pub fn with_change(&self, change: &Change) -> Vec<u8> {
        let mut value = self.value.clone();
        let created = change.created.to_string();
        value.insert("created".to_owned(), Value::String(created.clone()));
        let history: Option<History> = HistoryBuilder::default()
            .created(created)
            .created_by(change.created_by.clone())
            .comment(change.comment.clone())
            .build()
            .ok();
        let entry = serde_json::to_value(history).unwrap_or(Value::Null);
        let entries = list(&mut value, "history");
        // Some builders write none for their layers; readers hand out entries from the lowest layer on.
        let is_of_layer = |entry: &&Value| entry.get("empty_layer") != Some(&Value::Bool(true));
        let missing =
            self.diff_ids().len().saturating_sub(entries.iter().filter(is_of_layer).count());
        entries.extend(std::iter::repeat_n(Value::Object(Map::new()), missing));
        entries.push(entry);
        set_labels(&mut value, &change.labels);
        // Left over from an inline cache of the base; the exporter writes its own.
        value.remove("moby.buildkit.cache.v0");
        Value::Object(value).to_string().into_bytes()
    }
}

fn set_labels(value: &mut Map<String, Value>, labels: &BTreeMap<String, String>) {
    if !labels.is_empty() {
        let object = object(object(value, "config"), "Labels");
        for (key, text) in labels {
            object.insert(key.clone(), Value::String(text.clone()));
        }
    }
}

/// The object under this key, made when there is none.
fn object<'a>(parent: &'a mut Map<String, Value>, key: &str) -> &'a mut Map<String, Value> {
    let value = parent.entry(key).or_insert(Value::Null);
    if !value.is_object() {
        *value = Value::Object(Map::new());
    }
    match value {
        Value::Object(object) => object,
        _ => unreachable!("it was just made an object"),
    }
}

/// The list under this key, made when there is none.
fn list<'a>(parent: &'a mut Map<String, Value>, key: &str) -> &'a mut Vec<Value> {
    let value = parent.entry(key).or_insert(Value::Null);
    if !value.is_array() {
        *value = Value::Array(Vec::new());
    }
    match value {
        Value::Array(list) => list,
        _ => unreachable!("it was just made a list"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONFIG: &str = r#"{"architecture":"arm64","variant":"v8","os":"linux","zzz":[1],
        "config":{"User":"nobody","Healthcheck":{"Test":["CMD","x"],"Interval":30000000000},
        "Labels":{"a":"b"},"Shell":["/bin/bash"]},"created":"2020-01-01T00:00:00Z",
        "history":[{"created_by":"x"}],"moby.buildkit.cache.v0":"x",
        "rootfs":{"type":"layers","diff_ids":[]}}"#;

    fn change() -> Change {
        Change {
            created: Timestamp::from_second(1_700_000_000).unwrap(),
            created_by: "suture".to_owned(),
            comment: "c".to_owned(),
            labels: BTreeMap::from([("k".to_owned(), "v".to_owned())]),
        }
    }

    #[test]
    fn only_history_labels_and_created_change() {
        let config = ImageConfig::parse(CONFIG.as_bytes()).unwrap();
        let changed: Value = serde_json::from_slice(&config.with_change(&change())).unwrap();
        let mut expected: Value = serde_json::from_str(CONFIG).unwrap();
        let fields = expected.as_object_mut().unwrap();
        fields.remove("moby.buildkit.cache.v0");
        fields["created"] = "2023-11-14T22:13:20Z".into();
        fields["config"]["Labels"]["k"] = "v".into();
        fields["history"].as_array_mut().unwrap().push(serde_json::json!({
            "created": "2023-11-14T22:13:20Z", "created_by": "suture", "comment": "c"
        }));
        assert_eq!(changed, expected);
        assert_eq!(config.platform().to_string(), "linux/arm64");
    }

    #[test]
    fn a_configuration_without_the_usual_objects_gets_them() {
        let bare = br#"{"architecture":"amd64","os":"linux","config":null,"history":null,
            "rootfs":{"type":"layers","diff_ids":[]}}"#;
        let config = ImageConfig::parse(bare).unwrap();
        let changed: Value = serde_json::from_slice(&config.with_change(&change())).unwrap();
        assert_eq!(changed["config"]["Labels"]["k"], "v");
        assert_eq!(changed["history"].as_array().unwrap().len(), 1);
    }

    #[test]
    fn an_image_without_layers_is_an_image() {
        for rootfs in [r#"{"type":"layers","diff_ids":null}"#, "null", r#"{"type":"layers"}"#] {
            let text = format!(r#"{{"architecture":"amd64","os":"linux","rootfs":{rootfs}}}"#);
            assert!(ImageConfig::parse(text.as_bytes()).unwrap().diff_ids().is_empty());
        }
    }

    #[test]
    fn other_bytes_are_an_error() {
        for bytes in [&b""[..], b"[]", b"{", b"{\"os\":1}"] {
            assert!(ImageConfig::parse(bytes).is_err());
        }
    }
}
