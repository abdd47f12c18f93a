//! The files that an image's layers unpack to, with all that a layer says of each.

use std::collections::BTreeMap;
use std::io::Read;

use anyhow::{Context, Result, bail};
use flate2::read::GzDecoder;
use tar::EntryType;

use crate::digest;

/// How a layer marks that something of the layers below is gone.
const WHITEOUT: &str = ".wh.";

/// How a layer marks that nothing of a folder in the layers below is left.
const OPAQUE: &str = ".wh..wh..opq";

/// How an archive names an extended attribute.
const ATTRIBUTE: &str = "SCHILY.xattr.";

/// The files of an image.
#[derive(Clone, Debug, Default)]
pub struct FileTree {
    /// Every path, relative, without a slash at its end.
    nodes: BTreeMap<String, Node>,
    /// How many files there have been so far: the number of the next one.
    files: usize,
}

/// All that can be said of a path, but for its time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// What it is.
    pub kind: NodeKind,
    /// Its mode, in octal digits.
    pub mode: String,
    /// The numbers of its user and its group.
    pub owner: (u64, u64),
    /// Its extended attributes.
    pub attributes: BTreeMap<String, Vec<u8>>,
}

/// What a path is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NodeKind {
    /// A folder.
    Folder,
    /// A file.
    File {
        /// The digest of its content.
        content: String,
        /// Its number, which its other names share.
        number: usize,
    },
    /// A symbolic link to this.
    Link(String),
    /// A device, with its type and its numbers, or a pipe.
    Special(String),
}

impl FileTree {
    /// Every path with what is there.
    pub fn nodes(&self) -> &BTreeMap<String, Node> {
        &self.nodes
    }

    /// The names of each file that has several.
    pub fn hard_links(&self) -> Vec<Vec<&str>> {
        let mut names: BTreeMap<usize, Vec<&str>> = BTreeMap::new();
        for (path, node) in &self.nodes {
            if let NodeKind::File { number, .. } = node.kind {
                names.entry(number).or_default().push(path);
            }
        }
        names.into_values().filter(|names| names.len() > 1).collect()
    }

    /// Puts a layer on top.
    pub fn put(&mut self, layer: &[u8]) -> Result<()> {
        // What is gone is gone from the layers below, wherever in the archive it says so.
        for entry in archive(layer).entries()? {
            let path = path_of(&entry?)?;
            let (folder, name) = path.rsplit_once('/').unwrap_or(("", &path));
            if name == OPAQUE {
                self.remove_below(folder);
            } else if let Some(removed) = name.strip_prefix(WHITEOUT) {
                let slash = if folder.is_empty() { "" } else { "/" };
                let removed = format!("{folder}{slash}{removed}");
                self.remove_below(&removed);
                self.nodes.remove(&removed);
            }
        }
        for entry in archive(layer).entries()? {
            let mut entry = entry?;
            let path = path_of(&entry)?;
            let name = path.rsplit_once('/').map_or(path.as_str(), |(_, name)| name);
            if !name.starts_with(WHITEOUT) {
                let node = self.node(&mut entry);
                let node = node.with_context(|| format!("cannot read from a layer: {path}"))?;
                if node.kind != NodeKind::Folder {
                    self.remove_below(&path);
                }
                self.nodes.insert(path, node);
            }
        }
        Ok(())
    }

    /// What an entry of a layer makes.
    fn node(&mut self, entry: &mut tar::Entry<'_, impl Read>) -> Result<Node> {
        let mut attributes = BTreeMap::new();
        for extension in entry.pax_extensions()?.into_iter().flatten() {
            let extension = extension?;
            if let Some(name) = extension.key()?.strip_prefix(ATTRIBUTE) {
                attributes.insert(name.to_owned(), extension.value_bytes().to_vec());
            }
        }
        let header = entry.header();
        let target = || -> Result<String> {
            let target = entry.link_name()?.context("a link to nothing")?;
            Ok(target.to_string_lossy().into_owned())
        };
        let kind = match header.entry_type() {
            EntryType::Directory => NodeKind::Folder,
            EntryType::Symlink => NodeKind::Link(target()?),
            // Another name of a file: mode, owner and attributes are that file's.
            EntryType::Link => {
                let file = relative(&target()?);
                let node = self.nodes.get(&file);
                return node.cloned().with_context(|| format!("a link to nothing: {file}"));
            }
            EntryType::Fifo => NodeKind::Special("pipe".to_owned()),
            kind @ (EntryType::Char | EntryType::Block) => {
                let numbers = (header.device_major()?, header.device_minor()?);
                NodeKind::Special(format!("{kind:?} {numbers:?}"))
            }
            EntryType::Regular => {
                let mut content = Vec::new();
                entry.read_to_end(&mut content)?;
                self.files += 1;
                NodeKind::File { content: digest::of_bytes(&content), number: self.files }
            }
            kind => bail!("an entry of another kind: {kind:?}"),
        };
        let header = entry.header();
        Ok(Node {
            kind,
            mode: format!("{:o}", header.mode()? & 0o7777),
            owner: (header.uid()?, header.gid()?),
            attributes,
        })
    }

    /// Removes everything in a folder.
    fn remove_below(&mut self, folder: &str) {
        let folder = if folder.is_empty() { String::new() } else { format!("{folder}/") };
        let below = self.nodes.range(folder.clone()..).map(|(path, _)| path);
        let below: Vec<String> =
            below.take_while(|path| path.starts_with(&folder)).cloned().collect();
        for path in below {
            self.nodes.remove(&path);
        }
    }
}

/// A layer as an archive.
fn archive(layer: &[u8]) -> tar::Archive<Box<dyn Read + '_>> {
    tar::Archive::new(if layer.starts_with(&[0x1f, 0x8b]) {
        Box::new(GzDecoder::new(layer))
    } else {
        Box::new(layer)
    })
}

/// The path of an entry, as the tree has it.
fn path_of(entry: &tar::Entry<'_, impl Read>) -> Result<String> {
    Ok(relative(&entry.path()?.to_string_lossy()))
}

/// A path without what an archive writes before and behind it.
fn relative(path: &str) -> String {
    let path = path.strip_prefix("./").unwrap_or(path).trim_matches('/');
    if path == "." { String::new() } else { path.to_owned() }
}

#[cfg(test)]
mod tests {
    use tar::{Builder, EntryType, Header};

    use super::{FileTree, NodeKind};

    /// A layer of entries: type, path, content or target.
    fn layer(entries: &[(EntryType, &str, &str)]) -> Vec<u8> {
        let mut builder = Builder::new(Vec::new());
        for (kind, path, text) in entries {
            let mut header = Header::new_gnu();
            header.set_entry_type(*kind);
            header.set_mode(0o4755);
            header.set_uid(7);
            header.set_gid(8);
            header.set_size(0);
            if kind.is_file() {
                let attribute = ("SCHILY.xattr.user.of", path.as_bytes());
                builder.append_pax_extensions([attribute]).unwrap();
                header.set_size(text.len().try_into().unwrap());
                builder.append_data(&mut header, path, text.as_bytes()).unwrap();
            } else if kind.is_dir() {
                builder.append_data(&mut header, path, &[][..]).unwrap();
            } else {
                builder.append_link(&mut header, path, text).unwrap();
            }
        }
        builder.into_inner().unwrap()
    }

    fn paths(tree: &FileTree) -> Vec<&str> {
        tree.nodes().keys().map(String::as_str).collect()
    }

    #[test]
    fn an_upper_layer_removes_and_replaces() {
        let (folder, file) = (EntryType::Directory, EntryType::Regular);
        let mut tree = FileTree::default();
        let lower = [
            (folder, "a/", ""),
            (file, "a/gone", ""),
            (file, "a-b", ""),
            (folder, "b/", ""),
            (file, "b/c", ""),
            (folder, "d/", ""),
            (file, "d/e", ""),
        ];
        tree.put(&layer(&lower)).unwrap();
        let upper = [
            (file, "a/new", ""),
            (file, "a/.wh..wh..opq", ""),
            (file, ".wh.b", ""),
            (EntryType::Symlink, "d", "a"),
        ];
        tree.put(&layer(&upper)).unwrap();
        assert_eq!(paths(&tree), ["a", "a-b", "a/new", "d"]);
        assert_eq!(tree.nodes()["d"].kind, NodeKind::Link("a".to_owned()));
    }

    #[test]
    fn names_of_a_file_share_all_it_has() {
        let mut tree = FileTree::default();
        let file = (EntryType::Regular, "file", "text");
        tree.put(&layer(&[file, (EntryType::Link, "other", "file")])).unwrap();
        assert_eq!(tree.hard_links(), [["file", "other"]]);
        let other = &tree.nodes()["other"];
        assert_eq!((other.mode.as_str(), other.owner), ("4755", (7, 8)));
        assert_eq!(other.attributes["user.of"], b"file");
        // An upper layer's file has the name alone.
        tree.put(&layer(&[file])).unwrap();
        assert!(tree.hard_links().is_empty());
    }
}
