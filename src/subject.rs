//! What a build patches: an image for each of its platforms, wherever it comes from.

use std::collections::BTreeMap;

use bytes::Bytes;
use futures_util::future::join_all;
use serde::Deserialize;

use crate::digest::Digest;
use crate::gateway::{
    Built, EngineStatus, Gateway, GatewayError, ImageSource, ResolvedImage, SolvedTree, Trees,
    read_file,
};
use crate::image::index::{Annotations, Document, DocumentError, Index};
use crate::image::{ImageConfig, ImageConfigError};
use crate::llb::{Display, Output, source};
use crate::platform::Platform;
use crate::reference::ImageReference;
use crate::request::{NestedBuild, Origin, Platforms, Request, Target};

/// An image of one platform.
#[derive(Clone, Debug)]
pub struct Subject {
    /// Its name without a digest; an image built by the client has none.
    pub name: Option<ImageReference>,
    /// What the name points to.
    pub digest: Option<Digest>,
    /// What it is for.
    pub platform: Platform,
    /// Its configuration.
    pub config: ImageConfig,
    /// The configuration of what it was itself built upon, if it was built just now.
    pub base_config: Option<Vec<u8>>,
    /// Its root filesystem; nothing if that is empty.
    pub root: Option<SolvedTree>,
}

impl Subject {
    /// The configuration of what was there before this build added anything.
    pub fn base_config(&self) -> &[u8] {
        self.base_config.as_deref().unwrap_or_else(|| self.config.original())
    }
}

/// Everything that a build patches.
#[derive(Debug)]
pub struct Subjects {
    /// One for each platform, in their order.
    pub list: Vec<(Platform, Result<Subject, SubjectError>)>,
    /// Whether the result is an index.
    pub is_index: bool,
    /// What the Dockerfile's frontend says about its result besides the configurations.
    pub metadata: BTreeMap<String, Bytes>,
}

impl Subjects {
    /// The error of the only one, if it has one.
    fn or_only_error(mut self) -> Result<Self, SubjectError> {
        if self.list.len() == 1
            && let Some((_, Err(error))) = self.list.pop_if(|(_, subject)| subject.is_err())
        {
            return Err(error);
        }
        Ok(self)
    }
}

/// Why there is no image to patch.
#[derive(Debug, thiserror::Error)]
pub enum SubjectError {
    /// The daemon failed.
    #[error(transparent)]
    Gateway(#[from] GatewayError),
    /// The Dockerfile does not build.
    #[error("{}", .0.message)]
    Nested(Box<EngineStatus>),
    /// The Dockerfile's frontend returned something other than images.
    #[error("the Dockerfile's frontend gave no image configuration for {0}")]
    NestedConfig(String),
    /// The image is for another platform than the one asked for.
    #[error("the image is for {found}, not for {wanted}")]
    OtherPlatform {
        /// What the user asked for.
        wanted: Box<Platform>,
        /// What the configuration says.
        found: Box<Platform>,
    },
    /// The image cannot be found or loaded.
    #[error("the image cannot be loaded: {name}: {source}")]
    Unavailable {
        /// Its name.
        name: String,
        /// The daemon's words.
        source: GatewayError,
    },
    /// No named context is for the platform.
    #[error("no named context `image` is for {0}")]
    NoOrigin(Box<Platform>),
    /// The daemon cannot read an index.
    #[error("this BuildKit cannot list the platforms of an image")]
    NoBlobs,
    /// Only a name in a registry leads to an index.
    #[error("`PLATFORM=all` needs an image that a registry has")]
    NoIndex,
    /// The index cannot be loaded.
    #[error("the index of {name} cannot be loaded: {source}")]
    NoDocument {
        /// The image.
        name: String,
        /// The daemon's words.
        source: GatewayError,
    },
    /// The index cannot be read.
    #[error("{name}: {source}")]
    Document {
        /// The image.
        name: String,
        /// Why.
        source: DocumentError,
    },
    /// The configuration cannot be read.
    #[error(transparent)]
    Config(#[from] ImageConfigError),
    /// The client did not send the input that a named context points to.
    #[error("named context `image` points to input `{0}`, which the client did not send")]
    NoInput(String),
    /// An input is not an image.
    #[error("named context `image` points to input `{0}`, which has no image configuration")]
    NoConfig(String),
}

/// Largest index or manifest; registries refuse more (OCI distribution specification, «Pushing Manifests»).
const DOCUMENT_LIMIT: u64 = 4 << 20;

/// The images that the request is about.
pub async fn all(gateway: &impl Gateway, request: &Request) -> Result<Subjects, SubjectError> {
    if let Some(Origin::Dockerfile(nested)) = &request.origin.general {
        if request.target == Target::Check {
            // Nothing is built for a question, and there is nothing yet to look at.
            return Ok(Subjects { list: Vec::new(), is_index: false, metadata: BTreeMap::new() });
        }
        return built(gateway, nested).await;
    }
    let wanted = match &request.platforms {
        Platforms::Own => vec![None],
        Platforms::Listed(platforms) => platforms.iter().cloned().map(Some).collect(),
        Platforms::All => platforms_of(gateway, request).await?.into_iter().map(Some).collect(),
    };
    let is_index = request.always_index || wanted.len() > 1;
    let found = wanted.into_iter().map(|wanted| async move {
        let platform = wanted.clone().unwrap_or_else(|| gateway.daemon().platform.clone());
        let subject = existing(gateway, request, wanted, &platform, is_index).await;
        (subject.as_ref().map_or(platform, |subject| subject.platform.clone()), subject)
    });
    Subjects { list: join_all(found).await, is_index, metadata: BTreeMap::new() }.or_only_error()
}

/// What stands in front of the steps' names, to tell those of several platforms apart.
pub fn label(platform: &Platform, is_index: bool) -> String {
    if is_index { format!("[{platform}] ") } else { String::new() }
}

/// Finds an image, pins what its name points to and reads its configuration.
async fn existing(
    gateway: &impl Gateway,
    request: &Request,
    wanted: Option<Platform>,
    platform: &Platform,
    is_index: bool,
) -> Result<Subject, SubjectError> {
    let label = label(platform, is_index);
    let origin = request.origin.of(platform);
    let (name, digest, config, root) = match origin {
        Some(Origin::Named(reference)) => {
            let resolved = resolve(gateway, named(request, reference), platform).await?;
            let pinned = match &resolved.digest {
                Some(digest) => reference.with_digest(digest),
                None => reference.clone(),
            };
            let display = Display::named(format!("{label}load {}", reference.familiar()));
            let root = source::image(&pinned, platform, request.resolve_mode, &display);
            let name = reference.without_digest();
            (Some(name), resolved.digest, ImageConfig::parse(&resolved.config)?, root)
        }
        Some(Origin::OciLayout(layout)) => {
            let source = ImageSource::OciLayout(layout.clone());
            let resolved = resolve(gateway, source, platform).await?;
            let display = Display::named(format!("{label}load image from OCI layout"));
            let root = layout.build(platform, &display);
            (None, resolved.digest, ImageConfig::parse(&resolved.config)?, root)
        }
        Some(Origin::Input { name, config }) => {
            let mut inputs = gateway.inputs().await?;
            let absent = || SubjectError::NoInput(name.clone());
            let root: Output = inputs.remove(name).flatten().ok_or_else(absent)?;
            let config = config.as_ref().ok_or_else(|| SubjectError::NoConfig(name.clone()))?;
            (None, None, ImageConfig::parse(config)?, root)
        }
        Some(Origin::Dockerfile(_)) | None => {
            return Err(SubjectError::NoOrigin(Box::new(platform.clone())));
        }
    };
    let reading = gateway.solve(&root).await?;
    // A name may lead to an image for one other platform: what it says about itself counts.
    let found = config.platform();
    if let Some(wanted) = wanted.filter(|wanted| !wanted.is_same_machine(&found)) {
        let (wanted, found) = (Box::new(wanted), Box::new(found));
        return Err(SubjectError::OtherPlatform { wanted, found });
    }
    let root = Some(SolvedTree { reading, output: root });
    // Several variants may lead to one image, or to images that do not name theirs: an index needs each by its own.
    let platform = if is_index { platform.clone() } else { found };
    Ok(Subject { name, digest, platform, config, base_config: None, root })
}

fn named(request: &Request, reference: &ImageReference) -> ImageSource {
    ImageSource::Registry { reference: reference.clone(), mode: request.resolve_mode }
}

async fn resolve(
    gateway: &impl Gateway,
    source: ImageSource,
    platform: &Platform,
) -> Result<ResolvedImage, SubjectError> {
    let resolved = gateway.resolve_image(&source, platform).await;
    resolved.map_err(|error| {
        let name = match source {
            ImageSource::Registry { reference, .. } => reference.familiar(),
            ImageSource::OciLayout(layout) => layout.name,
        };
        SubjectError::Unavailable { name, source: error }
    })
}

/// The platforms of the named image's index.
async fn platforms_of(
    gateway: &impl Gateway,
    request: &Request,
) -> Result<Vec<Platform>, SubjectError> {
    let Some(Origin::Named(reference)) = &request.origin.general else {
        return Err(SubjectError::NoIndex);
    };
    if !can_read_blobs(gateway) {
        return Err(SubjectError::NoBlobs);
    }
    let source = named(request, reference);
    let resolved = resolve(gateway, source, &gateway.daemon().platform).await?;
    let digest = resolved.digest.ok_or(SubjectError::NoIndex)?;
    match document(gateway, reference, &digest).await? {
        Document::Index(Index { images, .. }) => {
            Ok(images.into_iter().map(|(platform, _)| platform).collect())
        }
        Document::Manifest(_) => Ok(vec![ImageConfig::parse(&resolved.config)?.platform()]),
    }
}

fn can_read_blobs(gateway: &impl Gateway) -> bool {
    gateway.daemon().llb.has("source.imageblob")
}

/// The index or the manifest that a reference with a digest stands for.
async fn document(
    gateway: &impl Gateway,
    reference: &ImageReference,
    digest: &Digest,
) -> Result<Document, SubjectError> {
    let name = reference.familiar();
    let display = Display::named(format!("[internal] load manifest of {name}"));
    let blob = source::image_blob(reference, digest, "manifest", &display);
    let unavailable = |source| SubjectError::NoDocument { name: name.clone(), source };
    let tree = gateway.solve(&blob).await.map_err(unavailable)?;
    let bytes =
        read_file(gateway, &tree, "/manifest", DOCUMENT_LIMIT).await.map_err(unavailable)?;
    Document::parse(&bytes).map_err(|source| SubjectError::Document { name, source })
}

/// The annotations of the original index, and of the subjects' manifests by their platforms.
#[derive(Clone, Debug, Default)]
pub struct OriginalAnnotations {
    /// Those of the index.
    pub index: Annotations,
    /// Those of the manifests.
    pub manifests: BTreeMap<Platform, Annotations>,
}

/// Reads the annotations of the subjects' originals; none where the daemon cannot.
pub async fn annotations(gateway: &impl Gateway, subjects: &[&Subject]) -> OriginalAnnotations {
    let mut found = OriginalAnnotations::default();
    if !can_read_blobs(gateway) {
        return found;
    }
    let pinned = |subject: &&Subject| Some((subject.name.clone()?, subject.digest.clone()?));
    let Some((reference, digest)) = subjects.iter().find_map(pinned) else { return found };
    match document(gateway, &reference, &digest).await {
        Ok(Document::Manifest(annotations)) => {
            let platforms = subjects.iter().map(|subject| subject.platform.clone());
            found.manifests.extend(platforms.map(|platform| (platform, annotations.clone())));
        }
        Ok(Document::Index(index)) => {
            found.index = index.annotations;
            let manifests = subjects.iter().map(|subject| async {
                let is_its = |(platform, _): &&(Platform, Digest)| *platform == subject.platform;
                let (platform, digest) = index.images.iter().find(is_its)?;
                match document(gateway, &reference, digest).await {
                    Ok(Document::Manifest(annotations)) => Some((platform.clone(), annotations)),
                    Ok(Document::Index(_)) | Err(_) => None,
                }
            });
            found.manifests.extend(join_all(manifests).await.into_iter().flatten());
        }
        // An image of the daemon's own store, for one: the patch does not depend on them.
        Err(error) => tracing::warn!("the original's annotations are not kept: {error}"),
    }
    found
}

/// Keys of a result's metadata that the patched image has its own values for.
const OWN_METADATA: &[&str] =
    &["containerimage.config", "containerimage.base.config", "refs.platforms"];

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct PlatformList {
    platforms: Vec<PlatformEntry>,
}

#[derive(Deserialize)]
struct PlatformEntry {
    #[serde(rename = "ID")]
    id: String,
    #[serde(rename = "Platform")]
    platform: Platform,
}

/// What the Dockerfile builds.
async fn built(gateway: &impl Gateway, nested: &NestedBuild) -> Result<Subjects, SubjectError> {
    let Built { trees, mut metadata } = gateway.build(nested).await.map_err(of_nested)?;
    let listed = metadata.get("refs.platforms").and_then(|json| serde_json::from_slice(json).ok());
    let listed: Vec<PlatformEntry> = listed.map_or_else(Vec::new, |it: PlatformList| it.platforms);
    let is_index = matches!(trees, Trees::Index(_));
    let single = listed.first().map(|entry| entry.id.clone()).unwrap_or_default();
    let trees = match trees {
        Trees::None => BTreeMap::from([(single, None)]),
        Trees::Single(root) => BTreeMap::from([(single, root)]),
        Trees::Index(trees) => trees,
    };
    let found = trees.into_iter().map(|(key, root)| {
        let entry = listed.iter().find(|entry| entry.id == key);
        let platform = entry.map(|entry| entry.platform.clone());
        let value = |name: &str| {
            metadata.get(&format!("{name}/{key}")).or_else(|| metadata.get(name)).cloned()
        };
        let config = value("containerimage.config");
        let base_config = value("containerimage.base.config").map(|bytes| bytes.to_vec());
        async move {
            let subject = built_subject(gateway, &key, config, root).await;
            let subject = subject.map(|subject| Subject { base_config, ..subject });
            let of_config = subject.as_ref().ok().map(|subject| subject.platform.clone());
            let own = || gateway.daemon().platform.clone();
            let platform = platform.or(of_config).unwrap_or_else(own);
            (platform.clone(), subject.map(|subject| Subject { platform, ..subject }))
        }
    });
    let list = join_all(found.collect::<Vec<_>>()).await;
    metadata.retain(|key, _| {
        !OWN_METADATA.iter().any(|own| key.strip_prefix(own).is_some_and(is_end_of_key))
    });
    Subjects { list, is_index, metadata }.or_only_error()
}

fn is_end_of_key(rest: &str) -> bool {
    rest.is_empty() || rest.starts_with('/')
}

async fn built_subject(
    gateway: &impl Gateway,
    key: &str,
    config: Option<Bytes>,
    root: Option<SolvedTree>,
) -> Result<Subject, SubjectError> {
    let config = config.ok_or_else(|| SubjectError::NestedConfig(key.to_owned()))?;
    let config = ImageConfig::parse(&config)?;
    if let Some(root) = &root {
        // Now it is built, and what fails is the Dockerfile's.
        gateway.stat(&root.reading, "/").await.map_err(of_nested)?;
    }
    let platform = config.platform();
    Ok(Subject { name: None, digest: None, platform, config, base_config: None, root })
}

fn of_nested(error: GatewayError) -> SubjectError {
    match error {
        GatewayError::Engine(status) => SubjectError::Nested(status),
        other => other.into(),
    }
}
