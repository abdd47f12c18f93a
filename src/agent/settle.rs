//! The smallest layer: what an upgrade touched without changing it does not belong there.
//!
//! An upgrade rewrites files whose content stays, and leaves logs, caches and backups. With the
//! original root beside it, we restore the tree where nothing had to change; the daemon's differ then
//! leaves those files out of the layer.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::io::{self, Read};
use std::os::unix::fs::{self as unix, FileTypeExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use crate::patch::task::AgentFailure;
use crate::pkgdb::Attributes;

use super::Failure;
use super::attributes::{is_overlay, set_modified, xattrs};
use super::author::{Given, Origin};
use super::links::{self, Last, metadata};
use super::scripts::Deeds;
use super::{python, say};

/// Maximum number of files to name whose attributes are given back: authors may change those of a whole image.
const NAMED_LIMIT: usize = 20;

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
    /// Whether Python's compiled files are made by packages' scripts.
    pub(super) scripts_compile: bool,
}

/// What a package manager leaves behind.
pub(super) struct Remains {
    /// Logs, caches, locks and backups.
    pub(super) traces: &'static [Trace],
    /// More such paths, relative, found in this image.
    pub(super) more_traces: Vec<PathBuf>,
    /// The files that the old and the new version of a package share, by where they are, relative to the root.
    /// Those that the image lacked had been removed by its author, and go again.
    pub(super) common_files: BTreeMap<PathBuf, CommonFile>,
}

/// A file or folder that the old and the new version of a package share.
#[derive(Clone, Debug)]
pub(super) struct CommonFile {
    /// Where it was before, relative to the root: mostly where it is.
    pub(super) before: PathBuf,
    /// What the old version gave it, if the database says that.
    pub(super) packaged: Option<Attributes>,
    /// What the scripts of the old version may have done to it.
    pub(super) deeds: Deeds,
}

impl CommonFile {
    /// One that is where it was, and that scripts leave alone.
    pub(super) fn at(path: PathBuf, packaged: Option<Attributes>) -> Self {
        Self { before: path, packaged, deeds: Deeds::default() }
    }
}

/// A path below the root that ends up as it was before.
#[derive(Clone, Copy, Debug)]
pub(super) enum Trace {
    /// One file.
    File(&'static str),
    /// Everything in a folder.
    Folder(&'static str),
    /// The files of a folder whose names have this ending.
    Suffix(&'static str, &'static str),
}

/// What programs started by packages' scripts leave behind, whatever the package manager.
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

/// What package managers call the copy of a file that they do not replace, or that they have replaced.
const COPIES: &[&str] = &[".apk-new", ".rpmnew", ".rpmorig", ".rpmsave", ".dpkg-dist", ".dpkg-new"];

/// A point in time of the clock that file systems use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Moment {
    seconds: i64,
    nanoseconds: i64,
}

impl Moment {
    /// Now, read from a new file in this folder: file systems use a coarser clock than processes.
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

/// Restores whatever did not have to change.
pub(super) fn run(settle: &Settle<'_>) -> Result<(), Failure> {
    let failure = |error: io::Error| {
        let kind = match error.kind() {
            io::ErrorKind::StorageFull => AgentFailure::NoSpace,
            _ => AgentFailure::Bug,
        };
        Failure::new(kind, format!("cannot settle the tree: {error}"))
    };
    settle.undo_traces().map_err(failure)?;
    settle.undo_copies_beside_mounts().map_err(failure)?;
    settle.remove_what_was_left_out().map_err(failure)?;
    settle.give_back_attributes().map_err(failure)?;
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
                    let mut names = BTreeSet::new();
                    for root in [self.root, self.base] {
                        if let Some(found) = links::resolve(root, folder, Last::Followed)? {
                            names.extend(names_in(&found)?);
                        }
                    }
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

    /// Removes what a package manager put beside a file that it took for edited: the build step mounts its own
    /// `/etc/hosts` and `/etc/resolv.conf` over the image's.
    fn undo_copies_beside_mounts(&self) -> io::Result<()> {
        for mounted in mount_points()? {
            let Ok(path) = mounted.strip_prefix(self.root) else { continue };
            if metadata(&mounted)?.is_none_or(|found| !found.is_file()) {
                continue;
            }
            for suffix in COPIES {
                let mut copy = path.as_os_str().to_owned();
                copy.push(suffix);
                self.undo(Path::new(&copy))?;
            }
        }
        Ok(())
    }

    /// Restores what was at this path; times follow in [`Self::restore_times`].
    fn undo(&self, path: &Path) -> io::Result<()> {
        let (now, before) = (self.root.join(path), links::resolve(self.base, path, Last::Kept)?);
        let before_was = before.as_deref().map_or(Ok(None), metadata)?;
        let (now_is, before) = (metadata(&now)?, before.unwrap_or_default());
        let (Some(was), Some(is)) = (&before_was, &now_is) else {
            return match (before_was, now_is) {
                (None, Some(is)) => remove(&now, &is),
                (Some(was), None) if was.is_symlink() => copy_link(&before, &was, &now),
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
        if was.is_symlink() && !same(&now, is, &before, was)? {
            remove(&now, is)?;
            return copy_link(&before, was, &now);
        }
        if was.is_dir() && is.is_dir() {
            if is.mode() != was.mode() {
                std::fs::set_permissions(&now, was.permissions())?;
            }
            let mut names = names_in(&now)?;
            names.extend(names_in(&before)?);
            return names.into_iter().try_for_each(|name| self.undo(&path.join(name)));
        }
        if was.is_file() && is.is_file() && !same(&now, is, &before, was)? {
            // Into the same file, so that its attributes stay.
            let mut from = std::fs::File::open(&before)?;
            let mut to = std::fs::OpenOptions::new().write(true).truncate(true).open(&now)?;
            io::copy(&mut from, &mut to)?;
            // It may be another file, put in place of the first.
            unix::chown(&now, Some(was.uid()), Some(was.gid()))?;
            std::fs::set_permissions(&now, was.permissions())?;
        }
        Ok(())
    }

    /// Removes files of upgraded packages that the image's author had removed: they would come
    /// back with the new version.
    ///
    /// What a link needs comes back after all: an author may have put one file in place of a library and of the link to
    /// it, and with the new version the link is a link again.
    fn remove_what_was_left_out(&self) -> io::Result<()> {
        let needed = self.needed_by_links()?;
        let mut folders = BTreeSet::new();
        for (path, file) in &self.remains.common_files {
            let now = self.root.join(path);
            let Some(is) = metadata(&now)? else { continue };
            let is_kept = file.deeds.take_away
                || links::resolve(self.base, &file.before, Last::Kept)?.is_some();
            if is_kept || Moment::changed(&is) < self.began {
                continue;
            }
            if needed.contains(&links::resolve(self.root, path, Last::Kept)?.unwrap_or_default()) {
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

    /// What the links of upgraded packages lead to, step by step, where something was before.
    fn needed_by_links(&self) -> io::Result<BTreeSet<PathBuf>> {
        let mut needed = BTreeSet::new();
        for (path, file) in &self.remains.common_files {
            let Some(is) = metadata(&self.root.join(path))? else { continue };
            let was = links::resolve(self.base, &file.before, Last::Followed)?;
            if !is.is_symlink() || was.is_none() {
                continue;
            }
            let mut next = links::resolve(self.root, path, Last::Kept)?;
            while let Some(found) = next.filter(|found| !needed.contains(found)) {
                next = links::step(self.root, &found)?;
                needed.insert(found);
            }
        }
        Ok(needed)
    }

    /// Gives files and folders of upgraded packages the attributes that the image's author had given them.
    fn give_back_attributes(&self) -> io::Result<()> {
        let mut given_back: usize = 0;
        for (path, file) in &self.remains.common_files {
            let now = self.root.join(path);
            let Some(is) = metadata(&now)? else { continue };
            if Moment::changed(&is) < self.began {
                continue;
            }
            let before = links::resolve(self.base, &file.before, Last::Kept)?;
            let Some(before) = before else { continue };
            let was = before.symlink_metadata()?;
            // dpkg, which records nothing, leaves existing folders as they are, and gives configuration what the old
            // file had: any difference after that is the work of scripts.
            let by_scripts = file.packaged.is_none() && (is.is_dir() || path.starts_with("etc"));
            let has_its_own = (is.is_file() || is.is_dir()) && !by_scripts;
            if was.file_type() != is.file_type() || !has_its_own {
                continue;
            }
            let (was, is) = (Given::of(&before, &was)?, Given::of(&now, &is)?);
            let origin = match &file.packaged {
                _ if file.deeds.change => Origin::Script,
                Some(packaged) => Origin::Package(packaged),
                None => Origin::Unknown,
            };
            let kept = was.kept(&is, origin);
            if kept != is {
                kept.give(&now, &is)?;
                given_back += 1;
                if given_back <= NAMED_LIMIT {
                    let kept = kept.told_from(&is);
                    say(&format!("suture: /{} keeps the image's own {kept}", path.display()));
                }
            }
        }
        if let Some(more @ 1..) = given_back.checked_sub(NAMED_LIMIT) {
            say(&format!("suture: and {more} more keep the image's own"));
        }
        Ok(())
    }

    fn restore_times(&self) -> io::Result<()> {
        let mounted = mount_points()?;
        // On overlayfs a changed file has changed parents, which were copied up with it.
        let changed_parents = is_overlay(self.root);
        let packaged = self.remains.common_files.keys().map(PathBuf::as_path).collect();
        let mut folders = vec![PathBuf::new()];
        let mut touched_folders = Vec::new();
        while let Some(folder) = folders.pop() {
            for name in names_in(&self.root.join(&folder))? {
                let path = folder.join(name);
                let now = self.root.join(&path);
                if mounted.contains(&now) {
                    continue;
                }
                let Some(is) = metadata(&now)? else { continue };
                let touched = Moment::changed(&is) >= self.began;
                if !is.is_dir() {
                    if touched {
                        self.restore_time(&path, &is, &packaged)?;
                    }
                    continue;
                }
                if touched || !changed_parents {
                    folders.push(path.clone());
                }
                if touched {
                    touched_folders.push(path);
                }
            }
        }
        // When nothing in them changes any more.
        for path in touched_folders {
            if let Some(is) = metadata(&self.root.join(&path))? {
                self.restore_time(&path, &is, &packaged)?;
            }
        }
        Ok(())
    }

    fn restore_time(
        &self,
        path: &Path,
        is: &std::fs::Metadata,
        packaged: &BTreeSet<&Path>,
    ) -> io::Result<()> {
        let (now, before) = (self.root.join(path), self.base.join(path));
        let was = metadata(&before)?;
        let source = python::Source {
            root: self.root,
            base: self.base,
            path,
            now: is.mtime(),
            before: was.as_ref().map_or(0, std::fs::Metadata::mtime),
        };
        if let Some(was) = was
            && same(&now, is, &before, &was)?
        {
            let is_made = |compiled: &Path| self.scripts_compile && !packaged.contains(compiled);
            if is.mtime() == was.mtime() || source.take_back(is_made)? {
                set_modified(&now, was.mtime(), was.mtime_nsec())?;
            }
            return Ok(());
        }
        match self.latest {
            Some(latest) if is.mtime() >= latest && source.compiled()?.is_empty() => {
                set_modified(&now, latest, 0)
            }
            _ => Ok(()),
        }
    }
}

/// The names in a folder; none if it is not a folder.
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

fn copy_link(link: &Path, was: &std::fs::Metadata, to: &Path) -> io::Result<()> {
    unix::symlink(std::fs::read_link(link)?, to)?;
    unix::lchown(to, Some(was.uid()), Some(was.gid()))
}

/// Whether two files are the same except for their times.
fn same(
    one: &Path,
    is: &std::fs::Metadata,
    other: &Path,
    was: &std::fs::Metadata,
) -> io::Result<bool> {
    // The mode includes the type; a folder's size is up to the file system.
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

#[cfg(test)]
mod tests {
    use super::*;

    const SOURCE: &str = "lib/a.py";
    const COMPILED: &str = "lib/__pycache__/a.cpython-311.pyc";
    const PYTHON_3: [&[u8]; 2] = [b"\xa7\x0d\r\n\0\0\0\0", b"size and code"];
    const PYTHON_2: [&[u8]; 2] = [b"\x03\xf3\r\n", b"c and code"];
    const BEFORE: i64 = 1_600_000_000;
    const NOW: i64 = 1_700_000_000;

    /// A tree before and after an upgrade.
    struct Trees(PathBuf);

    impl Trees {
        /// With a Python source that has not changed, except for its time.
        fn new(name: &str) -> Self {
            let folder = format!("suture-settle-{}-{name}", std::process::id());
            let trees = Self(std::env::temp_dir().join(folder));
            trees.write("base", SOURCE, BEFORE, b"x = 1\n");
            trees.write("root", SOURCE, NOW, b"x = 1\n");
            trees
        }

        fn write(&self, tree: &str, path: &str, time: i64, content: &[u8]) {
            let file = self.0.join(tree).join(path);
            std::fs::create_dir_all(file.parent().unwrap()).unwrap();
            std::fs::write(&file, content).unwrap();
            set_modified(&file, time, 0).unwrap();
        }

        /// A compiled file that holds a time.
        fn compile(&self, tree: &str, path: &str, time: i64, [head, tail]: [&[u8]; 2]) {
            let time_in_file = u32::try_from(time).unwrap().to_le_bytes();
            self.write(tree, path, time + 5, &[head, &time_in_file, tail].concat());
        }

        fn settle(&self, scripts_compile: bool, latest: Option<i64>, packaged: &[&str]) {
            let common = |path: &&str| (PathBuf::from(path), CommonFile::at(path.into(), None));
            let common_files = packaged.iter().map(common).collect();
            run(&Settle {
                root: &self.0.join("root"),
                base: &self.0.join("base"),
                began: Moment { seconds: 0, nanoseconds: 0 },
                remains: &Remains { traces: &[], more_traces: Vec::new(), common_files },
                latest,
                scripts_compile,
            })
            .unwrap();
        }

        fn time(&self, path: &str) -> Option<i64> {
            metadata(&self.0.join("root").join(path)).unwrap().map(|found| found.mtime())
        }

        fn is_as_before(&self, path: &str) -> bool {
            let read = |tree: &str| std::fs::read(self.0.join(tree).join(path)).unwrap();
            self.time(path) == Some(self.base_time(path)) && read("root") == read("base")
        }

        fn base_time(&self, path: &str) -> i64 {
            self.0.join("base").join(path).symlink_metadata().unwrap().mtime()
        }
    }

    impl Drop for Trees {
        fn drop(&mut self) {
            drop(std::fs::remove_dir_all(&self.0));
        }
    }

    #[test]
    fn compiled_python_with_another_time_is_as_before() {
        for (name, path, format) in
            [("python-3", COMPILED, PYTHON_3), ("python-2", "lib/a.pyc", PYTHON_2)]
        {
            let trees = Trees::new(name);
            trees.compile("base", path, BEFORE, format);
            trees.compile("root", path, NOW, format);
            trees.settle(true, None, &[SOURCE]);
            assert!(trees.is_as_before(SOURCE) && trees.is_as_before(path), "{name}");
            assert!(trees.time("lib") == Some(trees.base_time("lib")), "{name}");
        }
    }

    #[test]
    fn a_source_keeps_the_time_that_its_compiled_file_holds() {
        let other = [PYTHON_3[0], b"size and other code"];
        for (name, scripts_compile, packaged, format) in [
            ("changed", true, &[][..], other),
            ("packaged", true, &[COMPILED][..], PYTHON_3),
            ("of-the-package", false, &[][..], PYTHON_3),
        ] {
            let trees = Trees::new(name);
            trees.compile("base", COMPILED, BEFORE, PYTHON_3);
            trees.compile("root", COMPILED, NOW, format);
            // Two of them stay together.
            let second = "lib/__pycache__/a.cpython-311.opt-1.pyc";
            trees.compile("base", second, BEFORE, PYTHON_3);
            trees.compile("root", second, NOW, PYTHON_3);
            trees.settle(scripts_compile, None, packaged);
            assert_eq!(trees.time(SOURCE), Some(NOW), "{name}");
            assert_eq!(trees.time(COMPILED), Some(NOW + 5), "{name}");
            assert_eq!(trees.time(second), Some(NOW + 5), "{name}");
        }
    }

    #[test]
    fn compiled_python_that_was_not_there_goes() {
        let trees = Trees::new("none");
        trees.compile("root", COMPILED, NOW, PYTHON_3);
        trees.settle(true, None, &[SOURCE]);
        assert!(trees.is_as_before(SOURCE));
        assert_eq!(trees.time("lib/__pycache__"), None);
    }

    #[test]
    fn a_source_without_compiled_files_has_its_time_again() {
        let trees = Trees::new("alone");
        // Of another source, and of this one but by its hash.
        trees.compile("root", "lib/__pycache__/ab.cpython-311.pyc", NOW, PYTHON_3);
        let by_hash = [b"\xa7\x0d\r\n\x01\0\0\0".as_slice(), b"hash and code"];
        trees.compile("root", COMPILED, 1, by_hash);
        trees.settle(true, None, &[SOURCE]);
        assert!(trees.is_as_before(SOURCE));
        assert_eq!(trees.time(COMPILED), Some(6));
    }

    #[test]
    fn a_new_source_is_as_old_as_its_compiled_file_says() {
        let (with, without) = ("lib/b.py", "lib/c.py");
        let trees = Trees::new("new");
        trees.write("root", with, NOW, b"x = 2\n");
        trees.write("root", without, NOW, b"x = 2\n");
        let compiled = "lib/__pycache__/b.cpython-311.pyc";
        trees.compile("root", compiled, NOW, PYTHON_3);
        trees.settle(true, Some(BEFORE), &[]);
        assert_eq!(
            [with, without, compiled].map(|path| trees.time(path)),
            [Some(NOW), Some(BEFORE), Some(BEFORE)]
        );
    }
}
