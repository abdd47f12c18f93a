//! Sources: where trees come from.

use std::collections::BTreeMap;

use crate::digest::Digest;
use crate::pb;
use crate::platform::Platform;
use crate::reference::ImageReference;

use super::{Display, Inputs, Output};

/// Where an image that a reference names is looked for (`image.resolvemode`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ResolveMode {
    /// The registry, or the daemon's own store, as the daemon is set up.
    #[default]
    Default,
    /// Always the registry (`--pull`).
    Pull,
    /// The daemon's own store first.
    PreferLocal,
}

impl ResolveMode {
    /// The mode's name on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Default => "default",
            Self::Pull => "pull",
            Self::PreferLocal => "local",
        }
    }
}

/// Attributes of a source; empty values are left out, since prost would write them differently
/// from Go.
type Attributes = BTreeMap<String, String>;

fn build(
    identifier: String,
    attributes: Attributes,
    platform: Option<&Platform>,
    display: &Display,
    capabilities: &[&str],
) -> Output {
    let attrs = attributes.into_iter().filter(|(_, value)| !value.is_empty()).collect();
    let op = pb::op::Op::Source(pb::SourceOp { identifier, attrs });
    let vertex = Output::make(op, &Inputs::default(), platform, display, capabilities);
    Output { vertex, index: 0 }
}

/// The identifier of an image source.
pub(crate) fn image_identifier(reference: &ImageReference) -> String {
    format!("docker-image://{}", reference.canonical())
}

/// The root filesystem of an image.
pub fn image(
    reference: &ImageReference,
    platform: &Platform,
    mode: ResolveMode,
    display: &Display,
) -> Output {
    let mut attributes = Attributes::new();
    let mut capabilities = vec!["source.image"];
    if mode != ResolveMode::Default {
        attributes.insert("image.resolvemode".to_owned(), mode.as_str().to_owned());
        capabilities.push("source.image.resolvemode");
    }
    build(image_identifier(reference), attributes, Some(platform), display, &capabilities)
}

/// An image in an OCI layout that the client offers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OciLayout {
    /// Any name, shown to the user.
    pub name: String,
    /// Manifest or index in the layout.
    pub digest: Digest,
    /// The client's store.
    pub store: String,
    /// Session of the client that has the store.
    pub session: String,
}

impl OciLayout {
    /// The identifier of the source.
    pub(crate) fn identifier(&self) -> String {
        format!("oci-layout://{}@{}", self.name, self.digest)
    }

    /// The attributes of the source.
    pub(crate) fn attributes(&self) -> BTreeMap<String, String> {
        BTreeMap::from([
            ("oci.session".to_owned(), self.session.clone()),
            ("oci.store".to_owned(), self.store.clone()),
        ])
    }

    /// The root filesystem of the image.
    pub fn build(&self, platform: &Platform, display: &Display) -> Output {
        let capabilities = ["source.ocilayout"];
        build(self.identifier(), self.attributes(), Some(platform), display, &capabilities)
    }
}

/// A blob of an image's repository, such as its index or a manifest, as one file named `filename`.
///
/// The daemon does not accept a name with a tag for a blob (`source/containerblob/identifier.go`).
pub fn image_blob(
    reference: &ImageReference,
    digest: &Digest,
    filename: &str,
    display: &Display,
) -> Output {
    let repository = format!("{}/{}", reference.domain(), reference.path());
    let identifier = format!("docker-image+blob://{repository}@{digest}");
    let attributes = Attributes::from([("http.filename".to_owned(), filename.to_owned())]);
    build(identifier, attributes, None, display, &["source.imageblob"])
}

/// A revision of a Git repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Git {
    /// Its address.
    pub repository: String,
    /// Branch, tag or commit; empty is the repository's own choice.
    pub revision: String,
    /// A folder in it; empty is all of it.
    pub folder: String,
    /// Whether the client's SSH agent is asked.
    pub with_ssh_agent: bool,
}

impl Git {
    /// The tree.
    pub fn build(&self, display: &Display) -> Output {
        let (identifier, attributes) = (self.identifier(), self.attributes());
        build(identifier, attributes, None, display, &["source.git", "source.git.fullurl"])
    }

    /// The identifier of the source: the address without its scheme, and which part of the repository is meant.
    pub(crate) fn identifier(&self) -> String {
        let address = self.repository.split_once("://").map_or_else(
            // `git@host:path` is written as an address.
            || self.repository.rsplit('@').next().unwrap_or_default().replacen(':', "/", 1),
            |(_, rest)| rest.to_owned(),
        );
        let what = match (self.revision.as_str(), self.folder.as_str()) {
            ("", "") => String::new(),
            (revision, "") => format!("#{revision}"),
            (revision, folder) => format!("#{revision}:{folder}"),
        };
        format!("git://{address}{what}")
    }

    /// The attributes of the source, as Go's client sets them.
    pub(crate) fn attributes(&self) -> BTreeMap<String, String> {
        let mut attributes = BTreeMap::from([
            ("git.fullurl".to_owned(), self.repository.clone()),
            ("git.authheadersecret".to_owned(), "GIT_AUTH_HEADER".to_owned()),
            ("git.authtokensecret".to_owned(), "GIT_AUTH_TOKEN".to_owned()),
        ]);
        if self.with_ssh_agent {
            attributes.insert("git.mountsshsock".to_owned(), "default".to_owned());
        }
        attributes
    }
}

/// A directory that the client offers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Local {
    /// The name the client gave the directory, such as `context`.
    pub name: String,
    /// Session of the client.
    pub session: String,
    /// Only these paths and what they link to; empty means everything.
    pub follow_paths: Vec<String>,
    /// Patterns of what is left out.
    pub exclude_patterns: Vec<String>,
    /// Directories with the same hint share what was already transferred.
    pub shared_key_hint: String,
    /// Compare by content instead of by metadata.
    pub without_differ: bool,
}

impl Local {
    /// The whole directory `name` of the client of `session`.
    pub fn named(name: &str, session: &str) -> Self {
        Self {
            name: name.to_owned(),
            session: session.to_owned(),
            follow_paths: Vec::new(),
            exclude_patterns: Vec::new(),
            shared_key_hint: name.to_owned(),
            without_differ: false,
        }
    }

    /// The tree.
    pub fn build(&self, display: &Display) -> Output {
        let list = |items: &[String]| {
            if items.is_empty() { String::new() } else { serde_json::json!(items).to_string() }
        };
        let rows = [
            ("local.session", self.session.clone(), "source.local.sessionid"),
            ("local.followpaths", list(&self.follow_paths), "source.local.followpaths"),
            ("local.excludepatterns", list(&self.exclude_patterns), "source.local.excludepatterns"),
            ("local.sharedkeyhint", self.shared_key_hint.clone(), "source.local.sharedkeyhint"),
        ];
        let mut attributes = Attributes::new();
        let mut capabilities = vec!["source.local"];
        for (key, value, capability) in rows {
            if !value.is_empty() {
                attributes.insert(key.to_owned(), value);
                capabilities.push(capability);
            }
        }
        if self.without_differ {
            // Go's client lists `source.local.differ` only when it insists on it.
            attributes.insert("local.differ".to_owned(), "none".to_owned());
        }
        build(format!("local://{}", self.name), attributes, None, display, &capabilities)
    }
}

/// One file from a web server, named `filename` in an otherwise empty tree.
pub fn http(url: &str, filename: &str, display: &Display) -> Output {
    let attributes = Attributes::from([("http.filename".to_owned(), filename.to_owned())]);
    build(url.to_owned(), attributes, None, display, &["source.http"])
}
