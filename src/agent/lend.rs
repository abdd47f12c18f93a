//! Folders that every program expects and an image may lack: present for the step, and removed after it.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use super::Failure;
use super::links;

/// The folders with their modes (Filesystem Hierarchy Standard 3.0).
const FOLDERS: [(&str, u32); 6] = [
    ("/tmp", 0o1777),
    ("/var/tmp", 0o1777),
    ("/run", 0o755),
    ("/var/log", 0o755),
    ("/var/cache", 0o755),
    ("/var/lib", 0o755),
];

/// What was made, the uppermost folder of each.
#[derive(Debug)]
pub(super) struct Lent(Vec<PathBuf>);

/// Makes the missing folders, also at the end of dangling links.
pub(super) fn lend() -> Result<Lent, Failure> {
    lend_below(Path::new("/"))
}

fn lend_below(root: &Path) -> Result<Lent, Failure> {
    let mut lent = Vec::new();
    for (folder, mode) in FOLDERS {
        let failure = |error| Failure::file("make", Path::new(folder), &error);
        // A path that leads through a file, or in circles, is left for the package manager to complain about.
        let Ok(Some(place)) = links::place(root, Path::new(folder)) else { continue };
        if place.exists() {
            continue;
        }
        let missing = place.ancestors().take_while(|it| !it.exists()).last();
        lent.extend(missing.map(Path::to_path_buf));
        fs::create_dir_all(&place).map_err(failure)?;
        fs::set_permissions(&place, fs::Permissions::from_mode(mode)).map_err(failure)?;
    }
    Ok(Lent(lent))
}

impl Lent {
    /// Removes the folders with what is in them now: where a folder was not wanted, nothing in it was.
    pub(super) fn take_back(self) -> Result<(), Failure> {
        for folder in self.0 {
            match fs::remove_dir_all(&folder) {
                // Gone already, with all that was not wanted.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                removed => removed.map_err(|error| Failure::file("remove", &folder, &error))?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_lent() {
        let root = std::env::temp_dir().join(format!("suture-lend-{}", std::process::id()));
        fs::create_dir_all(root.join("var/log")).unwrap();
        fs::create_dir_all(root.join("var/lib")).unwrap();
        std::os::unix::fs::symlink("/volatile/tmp", root.join("tmp")).unwrap();
        fs::write(root.join("run"), "a file").unwrap();
        let lent = lend_below(&root).unwrap();
        fs::remove_dir(root.join("var/tmp")).unwrap();
        assert!(root.join("volatile/tmp").is_dir() && root.join("var/cache").is_dir());
        lent.take_back().unwrap();
        let mut left: Vec<_> =
            fs::read_dir(&root).unwrap().map(|it| it.unwrap().file_name()).collect();
        left.sort();
        assert_eq!(left, ["run", "tmp", "var"]);
        let mut left: Vec<_> =
            fs::read_dir(root.join("var")).unwrap().map(|it| it.unwrap().file_name()).collect();
        left.sort();
        assert_eq!(left, ["lib", "log"]);
        fs::remove_dir_all(&root).unwrap();
    }
}
