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
    /// The configuration of the image before.
    pub base_config: Vec<u8>,
    /// What the image is for.
    pub platform: Platform,
    /// Text that the client prints.
    pub summary: String,
    /// Seconds since 1970 that clamp every new time.
    pub source_date_epoch: Option<i64>,
}

impl ResultImage {
    /// The metadata of a result with one platform.
    pub fn metadata(&self) -> BTreeMap<String, Bytes> {
        let platforms = json!({
            "Platforms": [{ "ID": self.platform.to_string(), "Platform": self.platform }]
        });
        let mut metadata = BTreeMap::from([
            ("containerimage.config".to_owned(), Bytes::from(self.config.clone())),
            // By it the exporter knows which layers' times are not to be touched.
            ("containerimage.base.config".to_owned(), Bytes::from(self.base_config.clone())),
            ("refs.platforms".to_owned(), Bytes::from(platforms.to_string())),
            ("frontend.result.inlinemessage".to_owned(), Bytes::from(self.summary.clone())),
        ]);
        if let Some(epoch) = self.source_date_epoch {
            metadata.insert("source.date.epoch".to_owned(), Bytes::from(epoch.to_string()));
        }
        metadata
    }
}
