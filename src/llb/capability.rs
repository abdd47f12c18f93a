//! What the daemon says it can do.

use std::collections::BTreeMap;

/// Capability ids with whether they are enabled, from `Ping`.
#[derive(Clone, Debug, Default)]
pub struct Capabilities {
    announced: BTreeMap<String, Announced>,
    everything: bool,
}

#[derive(Clone, Debug)]
enum Announced {
    Enabled,
    Disabled { reason: String },
}

/// A capability that an operation needs and the daemon does not have.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this BuildKit cannot do what the build needs: {capability}{reason}")]
pub struct MissingCapability {
    /// The id, such as `exec.mount.cache`.
    pub capability: String,
    /// Empty, or the daemon's own reason in parentheses.
    pub reason: String,
}

impl Capabilities {
    /// From (id, enabled, reason for being disabled).
    pub fn new<'a>(announced: impl IntoIterator<Item = (&'a str, bool, &'a str)>) -> Self {
        let announced = announced.into_iter().map(|(id, enabled, reason)| {
            let state = if enabled {
                Announced::Enabled
            } else {
                Announced::Disabled { reason: reason.to_owned() }
            };
            (id.to_owned(), state)
        });
        Self { announced: announced.collect(), everything: false }
    }

    /// A daemon that can do everything, for describing graphs without one.
    pub fn everything() -> Self {
        Self { announced: BTreeMap::new(), everything: true }
    }

    /// Whether this capability is announced and enabled.
    pub fn has(&self, id: &str) -> bool {
        self.require(id).is_ok()
    }

    /// An error unless this capability is announced and enabled.
    pub fn require(&self, id: &str) -> Result<(), MissingCapability> {
        let reason = match self.announced.get(id) {
            Some(Announced::Enabled) => return Ok(()),
            None if self.everything => return Ok(()),
            Some(Announced::Disabled { reason }) if !reason.is_empty() => format!(" ({reason})"),
            Some(Announced::Disabled { .. }) => " (disabled)".to_owned(),
            None => String::new(),
        };
        Err(MissingCapability { capability: id.to_owned(), reason })
    }
}
