//! The smallest layer: what an upgrade touched without changing it does not belong there.
//!
//! An upgrade rewrites files whose content stays, and leaves logs, caches and backups. With the
//! original root beside it, the tree is put back where nothing had to change; the daemon's differ
//! then leaves those files out of the layer.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::io::{self, Read};
use std::os::unix::fs::{self as unix, FileTypeExt as _, MetadataExt as _};
use std::path::{Component, Path, PathBuf};

use crate::patch::task::AgentFailure;

use super::Failure;
use super::attributes::{is_overlay, set_modified, xattrs};

/// What to settle.
pub(super) struct Settle<'a> {
    /// The tree after the upgrade.
    pub(super) root: &'a Path,
    /// The tree before it.
    pub(super) base: &'a Path,
    /// When the upgrade began.
    pub(super) began: Moment,
    /// What the package manager left.
    pub(super) remains: &'a Remains,
    /// The latest modification time that anything new may have, in seconds since 1970.
    pub(super) latest: Option<i64>,
}

/// What a package manager leaves behind.
pub(super) struct Remains {
    /// Logs, caches, locks and backups.
    pub(super) traces: &'static [Trace],
    /// More such paths, relative, found in this image.
    pub(super) more_traces: Vec<PathBuf>,
    /// Relative paths that the old and the new version of a package share. Those that the image
    /// had not are what its author had removed, and go again.
    pub(super) common_files: Vec<PathBuf>,
}

/// A path below the root that ends as it was before.
#[derive(Clone, Copy, Debug)]
pub(super) enum Trace {
    /// One file.
    File(&'static str),
    /// Everything in a folder.
    Folder(&'static str),
    /// The files of a folder whose names end so.
    Suffix(&'static str, &'static str),
}

/// What programs leave that packages' scripts start, whatever the package manager.
const TRACES_OF_SCRIPTS: &[Trace] = &[
    Trace::File("var/cache/ldconfig/aux-cache"),
    Trace::Folder("var/cache/man"),
    Trace::Folder("var/cache/fontconfig"),
    Trace::File("etc/.pwd.lock"),
    Trace::File("etc/passwd-"),
    Trace::File("etc/group-"),
    Trace::File("etc/shadow-"),
    Trace::File("etc/gshadow-"),
    Trace::File("etc/subuid-"),
    Trace::File("etc/subgid-"),
];

/// A point in time of the clock that file systems use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Moment {
    seconds: i64,
    nanoseconds: i64,
}

impl Moment {
    /// Now, told by a new file in this folder: file systems use a coarser clock than processes.
    pub(super) fn now(folder: &Path) -> Result<Self, Failure> {
        let file = folder.join("now");
        let failure = |error| Failure::file("write", &file, &error);
        std::fs::write(&file, []).map_err(failure)?;
        Ok(Self::changed(&file.symlink_metadata().map_err(failure)?))
    }

    /// When the file's content or attributes last changed.
    fn changed(metadata: &std::fs::Metadata) -> Self {
        Self { seconds: metadata.ctime(), nanoseconds: metadata.ctime_nsec() }
    }
}

/// Longest chain of symbolic links that is followed, as in Linux.
const LINK_LIMIT: usize = 40;

/// Puts back whatever had not to change.
pub(super) fn run(settle: &Settle<'_>) -> Result<(), Failure> {
    let failure = |error: io::Error| {
        let kind = match error.kind() {
            io::ErrorKind::StorageFull => AgentFailure::NoSpace,
            _ => AgentFailure::Bug,
        };
        Failure::new(kind, format!("cannot settle the tree: {error}"))
    };
    settle.undo_traces().map_err(failure)?;
    settle.remove_what_was_left_out().map_err(failure)?;
    settle.restore_times().map_err(failure)
}

impl Settle<'_> {
    fn undo_traces(&self) -> io::Result<()> {
        for trace in self.remains.traces.iter().chain(TRACES_OF_SCRIPTS) {
            match trace {
                Trace::File(path) => self.undo(Path::new(path))?,
                Trace::Folder(folder) => self.undo(Path::new(folder))?,
                Trace::Suffix(folder, suffix) => {
                    let folder = Path::new(folder);
                    let mut names = names_in(&self.root.join(folder))?;
                    names.extend(names_in(&self.base.join(folder))?);
                    for name in names {
                        if name.to_string_lossy().ends_with(suffix) {
                            self.undo(&folder.join(name))?;
                        }
                    }
                }
            }
        }
        self.remains.more_traces.iter().try_for_each(|path| self.undo(path))
    }

    /// Makes what is at this path what it was; times follow in [`Self::restore_times`].
    fn undo(&self, path: &Path) -> io::Result<()> {
        let (now, before) = (self.root.join(path), self.base.join(path));
        let (now_is, before_was) = (metadata(&now)?, metadata(&before)?);
        let (Some(was), Some(is)) = (&before_was, &now_is) else {
            return match (before_was, now_is) {
                (None, Some(is)) => remove(&now, &is),
                (Some(was), _) if was.is_file() => {
                    std::fs::copy(&before, &now)?;
                    unix::chown(&now, Some(was.uid()), Some(was.gid()))
                }
                (Some(_) | None, _) => Ok(()),
            };
        };
        if Moment::changed(is) < self.began {
            return Ok(());
        }
        if was.is_dir() && is.is_dir() {
            let mut names = names_in(&now)?;
            names.extend(names_in(&before)?);
            return names.into_iter().try_for_each(|name| self.undo(&path.join(name)));
        }
        if was.is_file() && is.is_file() && !same(&now, is, &before, was)? {
            // Into the same file, so that owner, mode and attributes stay.
            let mut from = std::fs::File::open(&before)?;
            let mut to = std::fs::OpenOptions::new().write(true).truncate(true).open(&now)?;
            io::copy(&mut from, &mut to)?;
        }
        Ok(())
    }

    /// Removes files of upgraded packages that the image's author had removed: they would come
    /// back with the new version.
    fn remove_what_was_left_out(&self) -> io::Result<()> {
        let mut folders = BTreeSet::new();
        for path in &self.remains.common_files {
            let now = self.root.join(path);
            let Some(is) = metadata(&now)? else { continue };
            if resolves(self.base, path)? || Moment::changed(&is) < self.began {
                continue;
            }
            if is.is_dir() {
                folders.insert(now);
            } else {
                std::fs::remove_file(&now)?;
            }
        }
        // Deepest first; one that still has something in it has become needed.
        for folder in folders.iter().rev() {
            match std::fs::remove_dir(folder) {
                Err(error) if error.kind() != io::ErrorKind::DirectoryNotEmpty => {
                    return Err(error);
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn restore_times(&self) -> io::Result<()> {
        let mounted = mount_points()?;
        // On overlayfs a changed file has changed parents, which were copied up with it.
        let changed_parents = is_overlay(self.root);
        let mut folders = vec![PathBuf::new()];
        while let Some(folder) = folders.pop() {
            for name in names_in(&self.root.join(&folder))? {
                let path = folder.join(name);
                let now = self.root.join(&path);
                if mounted.contains(&now) {
                    continue;
                }
                let Some(is) = metadata(&now)? else { continue };
                let touched = Moment::changed(&is) >= self.began;
                if is.is_dir() && (touched || !changed_parents) {
                    folders.push(path.clone());
                }
                if touched {
                    self.restore_time(&path, &now, &is)?;
                }
            }
        }
        Ok(())
    }

    fn restore_time(&self, path: &Path, now: &Path, is: &std::fs::Metadata) -> io::Result<()> {
        let before = self.base.join(path);
        if let Some(was) = metadata(&before)?
            && same(now, is, &before, &was)?
        {
            return set_modified(now, was.mtime(), was.mtime_nsec());
        }
        match self.latest {
            Some(latest) if is.mtime() >= latest => set_modified(now, latest, 0),
            _ => Ok(()),
        }
    }
}

/// What is at a path, links not followed; nothing when nothing is there.
fn metadata(path: &Path) -> io::Result<Option<std::fs::Metadata>> {
    match path.symlink_metadata() {
        Ok(metadata) => Ok(Some(metadata)),
        Err(error) => match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => Ok(None),
            _ => Err(error),
        },
    }
}

/// The names in a folder; none when it is no folder.
fn names_in(folder: &Path) -> io::Result<BTreeSet<OsString>> {
    match metadata(folder)? {
        Some(found) if found.is_dir() => {
            std::fs::read_dir(folder)?.map(|entry| entry.map(|entry| entry.file_name())).collect()
        }
        _ => Ok(BTreeSet::new()),
    }
}

fn remove(path: &Path, is: &std::fs::Metadata) -> io::Result<()> {
    if is.is_dir() { std::fs::remove_dir_all(path) } else { std::fs::remove_file(path) }
}

/// Whether two files are the same but for their times.
fn same(
    one: &Path,
    is: &std::fs::Metadata,
    other: &Path,
    was: &std::fs::Metadata,
) -> io::Result<bool> {
    // Mode has the type; folders have sizes of the file system's own.
    let attributes = |metadata: &std::fs::Metadata| {
        (metadata.mode(), metadata.uid(), metadata.gid(), metadata.rdev())
    };
    if attributes(is) != attributes(was) || xattrs(one)? != xattrs(other)? {
        return Ok(false);
    }
    let kind = is.file_type();
    if kind.is_symlink() {
        return Ok(std::fs::read_link(one)? == std::fs::read_link(other)?);
    }
    if kind.is_file() {
        return Ok(is.len() == was.len() && same_content(one, other)?);
    }
    Ok(kind.is_dir() || kind.is_fifo() || kind.is_char_device() || kind.is_block_device())
}

fn same_content(one: &Path, other: &Path) -> io::Result<bool> {
    let (mut one, mut other) = (std::fs::File::open(one)?, std::fs::File::open(other)?);
    let (mut left, mut right) = (vec![0; 1 << 16], vec![0; 1 << 16]);
    loop {
        let (read, also) = (fill(&mut one, &mut left)?, fill(&mut other, &mut right)?);
        if left.get(..read) != right.get(..also) {
            return Ok(false);
        }
        if read == 0 {
            return Ok(true);
        }
    }
}

/// Reads until the buffer is full or the file ends.
fn fill(file: &mut std::fs::File, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while let Some(rest) = buffer.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match file.read(rest)? {
            0 => break,
            read => filled += read,
        }
    }
    Ok(filled)
}

/// Everything that is mounted, from `/proc/self/mountinfo` (proc(5)): the fifth field, with
/// blanks as `\040`.
fn mount_points() -> io::Result<BTreeSet<PathBuf>> {
    let text = std::fs::read_to_string("/proc/self/mountinfo")?;
    Ok(text
        .lines()
        .filter_map(|line| line.split(' ').nth(4))
        .map(|path| PathBuf::from(path.replace("\\040", " ")))
        .collect())
}

/// Whether a path exists below a root, links followed within it.
///
/// Package lists name paths as they were before `/lib` became a link to `/usr/lib`.
fn resolves(root: &Path, path: &Path) -> io::Result<bool> {
    let mut resolved = PathBuf::new();
    let mut waiting: Vec<OsString> = components(path);
    let mut links = 0;
    while let Some(name) = waiting.pop() {
        if name == ".." {
            resolved.pop();
            continue;
        }
        let next = resolved.join(&name);
        let Some(found) = metadata(&root.join(&next))? else { return Ok(false) };
        // The last link itself is what the package has.
        if found.is_symlink() && !waiting.is_empty() {
            links += 1;
            if links > LINK_LIMIT {
                return Ok(false);
            }
            let target = std::fs::read_link(root.join(&next))?;
            if target.is_absolute() {
                resolved = PathBuf::new();
            }
            waiting.extend(components(&target));
        } else {
            resolved = next;
        }
    }
    Ok(true)
}

/// The names of a path, the first one last.
fn components(path: &Path) -> Vec<OsString> {
    let names = path.components().rev().filter_map(|component| match component {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some(OsString::from("..")),
        Component::RootDir | Component::CurDir | Component::Prefix(_) => None,
    });
    names.collect()
}
