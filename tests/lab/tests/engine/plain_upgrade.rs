//! The same image upgraded as its owner would have done it, and whether the patched one has the same files.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::process::Stdio;

use anyhow::{Context, Result, ensure};
use suture_lab::engine::Engine;
use suture_lab::file_tree::{FileTree, Node, NodeKind};
use suture_lab::started_image::System;
use suture_lab::stored_image::{Layer, StoredImage};

/// Most differences that are told.
const TOLD_LIMIT: usize = 40;

/// Builds the image that a plain upgrade with these commands makes.
pub(crate) fn build(
    engine: &Engine,
    image: &str,
    commands: &str,
    tag: &str,
) -> Result<StoredImage> {
    let mut build = engine.docker()?;
    // Its repositories may have other packages than the last time.
    build.args(["buildx", "build", "--no-cache", "--tag", tag, "-"]);
    build.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut build = build.spawn().context("cannot start: docker buildx build")?;
    let text = format!("FROM {image}\nUSER root\nRUN <<END\nset -e\n{commands}\nEND\n");
    build.stdin.take().context("no stdin")?.write_all(text.as_bytes())?;
    let built = build.wait_with_output()?;
    let said = String::from_utf8_lossy(&built.stderr);
    ensure!(built.status.success(), "the plain upgrade fails:\n{said}");
    StoredImage::read(engine, tag)
}

/// What differs between two images that are made from the same one: everything but times, but what the author had
/// removed, which a plain upgrade brings back, and but what the family or the scenario names with a reason.
pub(crate) fn differences(
    engine: &Engine,
    original: &System,
    plain: &StoredImage,
    patched: &StoredImage,
    differs: &BTreeMap<String, String>,
) -> Result<Vec<String>> {
    let both = plain.layers.iter().zip(&patched.layers);
    let common = both.take_while(|(one, other)| one == other).count();
    let base = patched.unpack(engine, layers(patched, 0, common), FileTree::default())?;
    let plain = plain.unpack(engine, layers(plain, common, plain.layers.len()), base.clone())?;
    let patched = patched.unpack(engine, layers(patched, common, patched.layers.len()), base)?;

    let known = original.family.may_differ.iter().map(|(pattern, _)| *pattern);
    let known: Vec<&str> = known.chain(differs.keys().map(String::as_str)).collect();
    let may_differ = |path: &str| known.iter().any(|pattern| matches(pattern, path));
    let paths: BTreeSet<&String> = plain.nodes().keys().chain(patched.nodes().keys()).collect();
    let mut found = Vec::new();
    let mut used = BTreeSet::new();
    for path in paths {
        let (wanted, is) = (plain.nodes().get(path), patched.nodes().get(path));
        let Some(difference) = difference(wanted, is) else { continue };
        used.extend(differs.keys().filter(|pattern| matches(pattern, path)));
        let is_stripped = is.is_none() && is_removed_by_author(original, path);
        if !is_stripped && !may_differ(path) {
            found.push(format!("{path}: {difference}"));
        }
    }
    let names = |tree: &FileTree| -> BTreeSet<String> {
        let links = tree.hard_links();
        let links = links.iter().filter(|names| !names.iter().any(|name| may_differ(name)));
        links.map(|names| names.join(" = ")).collect()
    };
    for names in names(&plain).symmetric_difference(&names(&patched)) {
        found.push(format!("one file with several names in one image alone: {names}"));
    }
    let more = found.len().saturating_sub(TOLD_LIMIT);
    found.truncate(TOLD_LIMIT);
    let mut complaints: Vec<String> =
        found.iter().map(|it| format!("not as after a plain upgrade: {it}")).collect();
    if more > 0 {
        complaints.push(format!("and {more} more"));
    }
    for pattern in differs.keys().filter(|pattern| !used.contains(pattern)) {
        complaints.push(format!("nothing differs at {pattern}"));
    }
    Ok(complaints)
}

fn layers(image: &StoredImage, from: usize, to: usize) -> &[Layer] {
    image.layers.get(from..to).unwrap_or_default()
}

/// What is different at a path, if anything is.
fn difference(wanted: Option<&Node>, is: Option<&Node>) -> Option<String> {
    let (wanted, is) = match (wanted, is) {
        (Some(wanted), Some(is)) => (wanted, is),
        (Some(_), None) => return Some("missing".to_owned()),
        (None, Some(_)) => return Some("should not be there".to_owned()),
        (None, None) => return None,
    };
    let content = match (&wanted.kind, &is.kind) {
        // The number of a file is that of one tree alone.
        (NodeKind::File { content: wanted, .. }, NodeKind::File { content: is, .. }) => {
            (wanted != is).then(|| "other content".to_owned())
        }
        (wanted, is) => (wanted != is).then(|| format!("{is:?} instead of {wanted:?}")),
    };
    let mode =
        (wanted.mode != is.mode).then(|| format!("mode {} instead of {}", is.mode, wanted.mode));
    let owner = (wanted.owner != is.owner)
        .then(|| format!("owner {:?} instead of {:?}", is.owner, wanted.owner));
    let attributes =
        (wanted.attributes != is.attributes).then(|| "other extended attributes".to_owned());
    let all: Vec<String> = [content, mode, owner, attributes].into_iter().flatten().collect();
    (!all.is_empty()).then(|| all.join(", "))
}

/// Whether a path is something that the original's packages have, and the original has not, or in such a folder.
fn is_removed_by_author(original: &System, path: &str) -> bool {
    let slashes = path.match_indices('/').map(|(position, _)| position);
    let mut prefixes = slashes.chain([path.len()]).filter_map(|end| path.get(..end));
    let listed = original.lists.values();
    prefixes.any(|prefix| {
        // Packages need not own the folders of their files.
        let below = format!("{prefix}/");
        let holds = |list: &BTreeSet<String>| {
            list.contains(prefix) || list.iter().any(|path| path.starts_with(&below))
        };
        !original.exists(prefix) && listed.clone().any(holds)
    })
}

/// Whether a pattern means a path: the path itself, a folder above it, or what begins and ends like it around a `*`.
fn matches(pattern: &str, path: &str) -> bool {
    match pattern.split_once('*') {
        Some((start, end)) => path.starts_with(start) && path.ends_with(end),
        None => path.strip_prefix(pattern).is_some_and(|it| it.is_empty() || it.starts_with('/')),
    }
}
