//! rpm's database: read from its bytes, and kept in memory while rpm writes to it.
//!
//! rpm waits for the disk after each package that it installs or removes, twenty times for nine packages, and checks
//! each entry's signature when it lists what is installed. In a container neither is useful: nobody gets a half-done
//! result, and what is installed came with the image.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::Metadata;
use std::io;
use std::os::unix::fs::{self as unix, MetadataExt as _};
use std::path::{Path, PathBuf};

use crate::patch::task::{AgentFailure, path};
use crate::pkgdb::rpm::place::{DATABASES, LOG};
use crate::pkgdb::{Database, rpm};

use super::super::Failure;
use super::super::process::Echo;

/// The folder of the files in the agent's space, which is memory.
const MEMORY: &str = "database";

/// What is installed, as far as the database's bytes tell.
pub(super) fn read() -> Option<Database> {
    let file = file()?.canonicalize().ok()?;
    let mut log = file.clone().into_os_string();
    log.push(LOG);
    if Path::new(&log).metadata().is_ok_and(|log| log.len() > 0) {
        return None;
    }
    rpm::parse(&std::fs::read(file).ok()?).ok()
}

/// The file that has the packages.
fn file() -> Option<&'static Path> {
    let mut files = DATABASES.iter().flat_map(|(_, files)| files);
    files.find_map(|(_, path)| Some(Path::new(*path)).filter(|path| path.is_file()))
}

/// Checks that the database which was read is the one that rpm itself uses: images may have it elsewhere, and copies of
/// it.
pub(super) fn is_rpms_own() -> Result<(), Failure> {
    let finished = super::rpm(&["--eval", "%{_dbpath}"], Echo::Hidden)?;
    let configured = Path::new(finished.stdout.trim());
    let read = file().and_then(Path::parent).unwrap_or(Path::new(DATABASES[0].0));
    if configured.canonicalize().ok() == read.canonicalize().ok() {
        return Ok(());
    }
    let (configured, read) = (configured.display(), read.display());
    let message = format!("rpm is set up to keep its database in {configured}, not in {read}");
    Err(Failure::new(AgentFailure::PackageManager, message))
}

/// A database whose files are in memory, with links to them in their places.
pub(super) struct InMemory {
    places: PathBuf,
    memory: PathBuf,
    /// The metadata of the original files.
    files: BTreeMap<OsString, Metadata>,
}

impl InMemory {
    /// Moves the root's database.
    pub(super) fn take() -> Result<Self, Failure> {
        let places = file().and_then(Path::parent).unwrap_or(Path::new(DATABASES[0].0));
        Self::take_from(places, &Path::new(path::WORK).join(MEMORY))
            .map_err(|error| Failure::file("move into memory", places, &error))
    }

    fn take_from(places: &Path, memory: &Path) -> io::Result<Self> {
        let files = regular_files(places)?;
        std::fs::create_dir(memory)?;
        for name in files.keys() {
            let (place, file) = (places.join(name), memory.join(name));
            std::fs::copy(&place, &file)?;
            std::fs::remove_file(&place)?;
            unix::symlink(&file, &place)?;
        }
        Ok(Self { places: places.to_path_buf(), memory: memory.to_path_buf(), files })
    }

    /// Puts the files back.
    pub(super) fn put_back(&self) -> Result<(), Failure> {
        self.put_files_back().map_err(|error| Failure::file("put back", &self.places, &error))
    }

    fn put_files_back(&self) -> io::Result<()> {
        for name in self.files.keys() {
            let place = self.places.join(name);
            if place.symlink_metadata().is_ok_and(|is| is.is_symlink()) {
                std::fs::remove_file(&place)?;
            } else {
                // An upgrade of rpm itself has removed or replaced it.
                drop(std::fs::remove_file(self.memory.join(name)));
            }
        }
        for name in regular_files(&self.memory)?.keys() {
            let place = self.places.join(name);
            std::fs::copy(self.memory.join(name), &place)?;
            if let Some(was) = self.files.get(name) {
                unix::chown(&place, Some(was.uid()), Some(was.gid()))?;
            }
        }
        Ok(())
    }
}

fn regular_files(folder: &Path) -> io::Result<BTreeMap<OsString, Metadata>> {
    let mut files = BTreeMap::new();
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let metadata = entry.path().symlink_metadata()?;
        if metadata.is_file() {
            files.insert(entry.file_name(), metadata);
        }
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_come_back_as_rpm_left_them() {
        let folder = std::env::temp_dir().join(format!("suture-database-{}", std::process::id()));
        let (places, memory) = (folder.join("rpm"), folder.join("memory"));
        std::fs::create_dir_all(places.join("pubkeys")).unwrap();
        for name in ["changed", "gone", "kept", "replaced"] {
            std::fs::write(places.join(name), "before").unwrap();
        }
        let database = InMemory::take_from(&places, &memory).unwrap();
        assert!(places.join("kept").symlink_metadata().unwrap().is_symlink());
        assert_eq!(std::fs::read(places.join("kept")).unwrap(), b"before");
        std::fs::write(places.join("changed"), "after").unwrap();
        std::fs::remove_file(memory.join("gone")).unwrap();
        std::fs::remove_file(places.join("replaced")).unwrap();
        std::fs::write(places.join("replaced"), "other").unwrap();
        std::fs::write(memory.join("new"), "new").unwrap();

        database.put_files_back().unwrap();
        let files = regular_files(&places).unwrap();
        let content = |name: &OsString| {
            let text = std::fs::read_to_string(places.join(name)).unwrap();
            format!("{}: {text}", name.display())
        };
        assert_eq!(
            files.keys().map(content).collect::<Vec<_>>(),
            ["changed: after", "kept: before", "new: new", "replaced: other"]
        );
        assert!(places.join("pubkeys").is_dir());
        std::fs::remove_dir_all(folder).unwrap();
    }
}
