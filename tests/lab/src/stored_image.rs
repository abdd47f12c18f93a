//! An image as an engine stores it: manifest, configuration, layers.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fs;
use std::io::{Cursor, Read};
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use flate2::read::GzDecoder;
use serde_json::Value;
use tar::EntryType;

use crate::docker_api;
use crate::engine::Engine;
use crate::file_tree::FileTree;

/// What an image is made of.
#[derive(Clone, Debug)]
pub struct StoredImage {
    /// How the engine knows it.
    name: String,
    /// The digest of its manifest.
    pub digest: String,
    /// The digest of its configuration.
    pub config_digest: String,
    /// Its configuration, as it was written.
    pub config: Value,
    /// Its layers, from the bottom.
    pub layers: Vec<Layer>,
    /// The bytes of its last layer.
    last_layer: Arc<[u8]>,
}

/// A layer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layer {
    /// The digest of its blob.
    pub digest: String,
    /// The bytes of its blob, compressed.
    pub size: u64,
}

/// A path in a layer.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Entry {
    /// The path, relative, without a slash at its end.
    pub path: String,
    /// What the layer says of it.
    pub kind: EntryKind,
}

/// What a layer says of a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum EntryKind {
    /// It is a folder.
    Folder,
    /// It is a file, a link or anything else that is no folder.
    File,
    /// What the layers below have there is gone.
    Removed,
}

impl StoredImage {
    /// Reads an image out of an engine.
    pub fn read(engine: &Engine, name: &str) -> Result<Self> {
        let image = match engine.content_store() {
            Some(store) => Self::read_store(engine, name, &store),
            None => Self::read_saved(engine, name),
        };
        image.with_context(|| format!("cannot read the image: {name}"))
    }

    /// Reads it where our own engine keeps it: saving copies all layers, which took 1.5 s.
    fn read_store(engine: &Engine, name: &str, store: &Path) -> Result<Self> {
        let image = docker_api::get(&engine.socket(), &format!("/images/{name}/json"))?;
        Self::parse(name, text(&image, "/Id")?, |digest| stored_blob(store, digest).map(Cow::Owned))
    }

    fn read_saved(engine: &Engine, name: &str) -> Result<Self> {
        let saved = save(engine, name)?;
        let files = files(&saved)?;
        let index = files.get("index.json").context("no file: index.json")?;
        Self::parse(name, first_image(&serde_json::from_slice(index)?)?, |digest| {
            saved_blob(&files, digest).map(Cow::Borrowed)
        })
    }

    /// Reads an image, given the digest of its manifest or of an index of several.
    fn parse<'b>(
        name: &str,
        mut digest: String,
        blob: impl Fn(&str) -> Result<Cow<'b, [u8]>>,
    ) -> Result<Self> {
        let json = |digest: &str| -> Result<Value> {
            serde_json::from_slice(&blob(digest)?).with_context(|| format!("not JSON: {digest}"))
        };
        let mut manifest = json(&digest)?;
        while manifest.get("manifests").is_some() {
            digest = first_image(&manifest)?;
            manifest = json(&digest)?;
        }
        let config_digest = text(&manifest, "/config/digest")?;
        let layers = manifest
            .get("layers")
            .and_then(Value::as_array)
            .context("the manifest has no layers")?
            .iter()
            .map(|layer| {
                let size = layer.get("size").and_then(Value::as_u64).context("no size")?;
                Ok(Layer { digest: text(layer, "/digest")?, size })
            })
            .collect::<Result<Vec<_>>>()?;
        let last = layers.last().context("the image has no layer")?;
        Ok(Self {
            name: name.to_owned(),
            config: json(&config_digest)?,
            last_layer: blob(&last.digest)?.into(),
            digest,
            config_digest,
            layers,
        })
    }

    /// What its last layer holds: read when asked for, since that of an original is a whole system.
    pub fn last_layer(&self) -> Result<Vec<Entry>> {
        entries(&self.last_layer)
    }

    /// The files that some of its layers unpack to, put on top of those below.
    pub fn unpack(
        &self,
        engine: &Engine,
        layers: &[Layer],
        mut below: FileTree,
    ) -> Result<FileTree> {
        let store = engine.content_store();
        let saved = match store {
            Some(_) => Vec::new(),
            None => save(engine, &self.name)?,
        };
        let files = if store.is_none() { files(&saved)? } else { BTreeMap::new() };
        for Layer { digest, .. } in layers {
            match &store {
                Some(store) => below.put(&stored_blob(store, digest)?),
                None => below.put(saved_blob(&files, digest)?),
            }
            .with_context(|| format!("cannot unpack a layer of {}: {digest}", self.name))?;
        }
        Ok(below)
    }

    /// The digests of its layers' content, from the bottom.
    pub fn diff_ids(&self) -> Vec<&str> {
        let ids = self.config.pointer("/rootfs/diff_ids").and_then(Value::as_array);
        ids.into_iter().flatten().filter_map(Value::as_str).collect()
    }
}

/// A blob of our own engine's.
fn stored_blob(store: &Path, digest: &str) -> Result<Vec<u8>> {
    let (_, hexadecimal) = digest.split_once(':').context("not a digest")?;
    fs::read(store.join(hexadecimal)).with_context(|| format!("no blob: {digest}"))
}

/// An image with all its blobs, as an archive.
fn save(engine: &Engine, name: &str) -> Result<Vec<u8>> {
    let saved = engine
        .docker()?
        .args(["image", "save", name])
        .stdin(Stdio::null())
        .output()
        .context("cannot start: docker image save")?;
    ensure!(
        saved.status.success(),
        "docker image save: {}",
        String::from_utf8_lossy(&saved.stderr).trim()
    );
    Ok(saved.stdout)
}

/// A blob of a saved image.
fn saved_blob<'a>(files: &BTreeMap<String, &'a [u8]>, digest: &str) -> Result<&'a [u8]> {
    let path = format!("blobs/{}", digest.replace(':', "/"));
    files.get(&path).copied().with_context(|| format!("no file: {path}"))
}

/// The files of an archive.
fn files(archive: &[u8]) -> Result<BTreeMap<String, &[u8]>> {
    let mut files = BTreeMap::new();
    for entry in tar::Archive::new(Cursor::new(archive)).entries_with_seek()? {
        let entry = entry?;
        let start = usize::try_from(entry.raw_file_position())?;
        let end = start + usize::try_from(entry.size())?;
        let bytes = archive.get(start..end).context("the archive is cut off")?;
        files.insert(entry.path()?.to_string_lossy().into_owned(), bytes);
    }
    Ok(files)
}

/// The digest of the first manifest of an index that is no attestation.
fn first_image(index: &Value) -> Result<String> {
    let manifests = index.get("manifests").and_then(Value::as_array);
    let image = manifests
        .into_iter()
        .flatten()
        .find(|manifest| {
            manifest.pointer("/platform/os").and_then(Value::as_str) != Some("unknown")
        })
        .context("the index has no image")?;
    text(image, "/digest")
}

/// A text in a JSON value.
fn text(value: &Value, pointer: &str) -> Result<String> {
    let found = value.pointer(pointer).and_then(Value::as_str);
    Ok(found.with_context(|| format!("no text at {pointer}"))?.to_owned())
}

/// What a layer holds.
fn entries(blob: &[u8]) -> Result<Vec<Entry>> {
    let reader: Box<dyn Read + '_> = if blob.starts_with(&[0x1f, 0x8b]) {
        Box::new(GzDecoder::new(blob))
    } else {
        Box::new(blob)
    };
    let mut entries = Vec::new();
    for entry in tar::Archive::new(reader).entries()? {
        let entry = entry?;
        let path = entry.path()?.to_string_lossy().trim_matches('/').to_owned();
        let (folder, name) = path.rsplit_once('/').unwrap_or(("", &path));
        entries.push(if let Some(removed) = name.strip_prefix(".wh.") {
            let slash = if folder.is_empty() { "" } else { "/" };
            Entry { path: format!("{folder}{slash}{removed}"), kind: EntryKind::Removed }
        } else if entry.header().entry_type() == EntryType::Directory {
            Entry { path, kind: EntryKind::Folder }
        } else {
            Entry { path, kind: EntryKind::File }
        });
    }
    Ok(entries)
}
