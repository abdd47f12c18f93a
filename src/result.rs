//! The metadata of a result, from which exporters make the image and clients their output.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde_json::json;

use crate::platform::Platform;

/// An image to return: it always has a configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResultImage {
    /// The image configuration.
    pub config: Vec<u8>,
    /// The configuration of the image before, if there was one.
    pub base_config: Option<Vec<u8>>,
    /// What the image is for.
    pub platform: Platform,
    /// Text that the client prints.
    pub summary: String,
    /// Seconds since 1970 that clamp every new time.
    pub source_date_epoch: Option<i64>,
}

/// The metadata of a result: of one image, or of an index.
///
/// The note ends the text that the client prints.
pub fn metadata(images: &[ResultImage], is_index: bool, note: &str) -> BTreeMap<String, Bytes> {
    let platforms: Vec<_> = images
        .iter()
        .map(|image| json!({ "ID": image.platform.to_string(), "Platform": image.platform }))
        .collect();
    let mut summaries: Vec<String> = images.iter().map(|image| image.summary.clone()).collect();
    if !note.is_empty() {
        summaries.push(format!("{note}\n"));
    }
    let mut metadata = BTreeMap::from([
        ("refs.platforms".to_owned(), Bytes::from(json!({ "Platforms": platforms }).to_string())),
        ("frontend.result.inlinemessage".to_owned(), Bytes::from(summaries.join("\n"))),
    ]);
    for image in images {
        let suffix = if is_index { format!("/{}", image.platform) } else { String::new() };
        let epoch = image.source_date_epoch.map(|epoch| epoch.to_string().into_bytes());
        let values = [
            ("containerimage.config", Some(image.config.clone())),
            // It tells the exporter which layers' times not to touch.
            ("containerimage.base.config", image.base_config.clone()),
            ("source.date.epoch", epoch),
        ];
        for (key, value) in values {
            metadata.extend(value.map(|value| (format!("{key}{suffix}"), Bytes::from(value))));
        }
    }
    metadata
}
