//! Python's sources and what is compiled from them.
//!
//! A compiled file holds the time of its source, and Python accepts no other: it would compile again
//! at every start, since most containers cannot keep the result. The time is a little-endian number
//! in the second or, from Python 3.7 on, the third field of the header (PEP 552), of four bytes each.
//! The value in the other field is never as large.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

/// Where in a compiled file the time may be.
const PLACES: [usize; 2] = [4, 8];
/// Length of a time.
const LENGTH: usize = 4;
/// How much of a file is read to find it.
const HEADER: u64 = 12;
/// Where compiled files are, beside the source. Python 2 has them in the source's own folder.
const FOLDER: &str = "__pycache__";

/// A source with the times that it has and had, in seconds since 1970.
#[derive(Clone, Copy, Debug)]
pub(super) struct Source<'a> {
    /// The tree after the upgrade.
    pub(super) root: &'a Path,
    /// The tree before it.
    pub(super) base: &'a Path,
    /// Where it is in both.
    pub(super) path: &'a Path,
    /// Its time now.
    pub(super) now: i64,
    /// Its time before.
    pub(super) before: i64,
}

impl Source<'_> {
    /// Whether the source can get its old time back, for its compiled files.
    ///
    /// Compiled files that packages' scripts have made, and in which only the time is new, are then as before too;
    /// `is_made` says which those are.
    pub(super) fn take_back(&self, is_made: impl Fn(&Path) -> bool) -> io::Result<bool> {
        let compiled = self.compiled()?;
        let mut befores = Vec::new();
        for path in &compiled {
            if !is_made(path) {
                return Ok(false);
            }
            let before = match std::fs::read(self.base.join(path)) {
                Ok(before) => Some(before),
                Err(error) if error.kind() == io::ErrorKind::NotFound => None,
                Err(error) => return Err(error),
            };
            if let Some(before) = &before {
                let mut now = std::fs::read(self.root.join(path))?;
                replace(&mut now, self.now, self.before);
                if now != *before {
                    return Ok(false);
                }
            }
            befores.push((path, before));
        }
        for (path, before) in befores {
            let file = self.root.join(path);
            if let Some(before) = before {
                std::fs::write(file, before)?;
            } else {
                // The image's author wants none.
                std::fs::remove_file(file)?;
                self.remove_new_folder(path);
            }
        }
        Ok(true)
    }

    /// Removes the folder of a compiled file if it is new and empty.
    fn remove_new_folder(&self, path: &Path) {
        let Some(folder) = path.parent() else { return };
        if !self.base.join(folder).exists() {
            drop(std::fs::remove_dir(self.root.join(folder)));
        }
    }

    /// The relative paths of the compiled files that hold the source's present time.
    pub(super) fn compiled(&self) -> io::Result<Vec<PathBuf>> {
        let Some(name) = self.path.file_name().and_then(|name| name.to_str()) else {
            return Ok(Vec::new());
        };
        let Some(stem) = name.strip_suffix(".py") else { return Ok(Vec::new()) };
        let folder = self.path.with_file_name(FOLDER);
        let mut found = vec![self.path.with_extension("pyc"), self.path.with_extension("pyo")];
        for entry in std::fs::read_dir(self.root.join(&folder)).into_iter().flatten() {
            let name = entry?.file_name();
            let name = name.to_string_lossy();
            let rest = name.strip_prefix(stem).and_then(|rest| rest.strip_prefix('.'));
            if rest.is_some_and(|rest| rest.ends_with(".pyc")) {
                found.push(folder.join(&*name));
            }
        }
        found.retain(|path| holds(&self.root.join(path), self.now).unwrap_or(false));
        Ok(found)
    }
}

fn in_file(time: i64) -> [u8; LENGTH] {
    let [one, two, three, four, ..] = time.to_le_bytes();
    [one, two, three, four]
}

fn holds(file: &Path, time: i64) -> io::Result<bool> {
    let mut header = Vec::new();
    File::open(file)?.take(HEADER).read_to_end(&mut header)?;
    Ok(PLACES.iter().any(|&place| header.get(place..place + LENGTH) == Some(&in_file(time))))
}

fn replace(compiled: &mut [u8], now: i64, before: i64) {
    for place in PLACES {
        if let Some(time) = compiled.get_mut(place..place + LENGTH)
            && *time == in_file(now)
        {
            time.copy_from_slice(&in_file(before));
        }
    }
}
