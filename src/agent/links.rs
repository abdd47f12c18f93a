//! Paths below a root that is not this process's: its links lead within it, wherever the kernel would follow
//! them to.

use std::ffi::OsString;
use std::fs::Metadata;
use std::io;
use std::path::{Component, Path, PathBuf};

/// Longest chain of symbolic links that is followed, as in Linux.
const LINK_LIMIT: usize = 40;

/// What to do with a link at the end of a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Last {
    /// The link itself is meant.
    Kept,
    /// Its target is meant.
    Followed,
}

/// What a path, relative to a root or not, leads to; nothing if nothing is there.
pub(super) fn resolve(root: &Path, path: &Path, last: Last) -> io::Result<Option<PathBuf>> {
    Ok(walk(root, path, last)?.filter(|(_, missing)| missing.is_empty()).map(|(found, _)| found))
}

/// Where the target of a path is, or would be; nothing if its links form a loop.
pub(super) fn place(root: &Path, path: &Path) -> io::Result<Option<PathBuf>> {
    let walked = walk(root, path, Last::Followed)?;
    Ok(walked.map(|(found, missing)| missing.iter().rev().fold(found, |it, name| it.join(name))))
}

/// The existing part of a path, and the missing names, the first one last.
fn walk(root: &Path, path: &Path, last: Last) -> io::Result<Option<(PathBuf, Vec<OsString>)>> {
    let mut resolved = PathBuf::new();
    let mut waiting: Vec<OsString> = components(path);
    let mut links = 0;
    while let Some(name) = waiting.pop() {
        if name == ".." {
            resolved.pop();
            continue;
        }
        let next = resolved.join(&name);
        let Some(found) = metadata(&root.join(&next))? else {
            waiting.push(name);
            return Ok(Some((root.join(resolved), waiting)));
        };
        if found.is_symlink() && (last == Last::Followed || !waiting.is_empty()) {
            links += 1;
            if links > LINK_LIMIT {
                return Ok(None);
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
    Ok(Some((root.join(resolved), waiting)))
}

/// The direct target of the link at a path below a root, even if that is a link again; nothing if it is not a link, or
/// dangling.
pub(super) fn step(root: &Path, link: &Path) -> io::Result<Option<PathBuf>> {
    if !metadata(link)?.is_some_and(|found| found.is_symlink()) {
        return Ok(None);
    }
    let folder = link.parent().and_then(|folder| folder.strip_prefix(root).ok());
    let target = folder.unwrap_or(Path::new("")).join(std::fs::read_link(link)?);
    resolve(root, &target, Last::Kept)
}

/// The content of a file below a root.
pub(super) fn read(root: &Path, path: &Path) -> io::Result<Vec<u8>> {
    let file = resolve(root, path, Last::Followed)?;
    std::fs::read(file.ok_or(io::ErrorKind::NotFound)?)
}

/// What is at a path, links not followed; nothing if nothing is there.
pub(super) fn metadata(path: &Path) -> io::Result<Option<Metadata>> {
    match path.symlink_metadata() {
        Ok(metadata) => Ok(Some(metadata)),
        Err(error) => match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => Ok(None),
            _ => Err(error),
        },
    }
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

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn links_lead_within_the_root() {
        let root = std::env::temp_dir().join(format!("suture-links-{}", std::process::id()));
        std::fs::create_dir_all(root.join("usr/lib")).unwrap();
        std::fs::write(root.join("usr/lib/file"), "text").unwrap();
        for (link, target) in [
            ("lib", "/usr/lib"),
            ("up", "usr/../../lib"),
            ("usr/lib/link", "/lib/file"),
            ("round", "round"),
            ("elsewhere", "/proc/self/status"),
        ] {
            symlink(target, root.join(link)).unwrap();
        }
        let found = |path: &str, last| {
            let found = resolve(&root, Path::new(path), last).unwrap()?;
            Some(found.strip_prefix(&root).unwrap().display().to_string())
        };
        for (path, kept, followed) in [
            ("lib/file", Some("usr/lib/file"), Some("usr/lib/file")),
            ("/up/file", Some("usr/lib/file"), Some("usr/lib/file")),
            ("lib/link", Some("usr/lib/link"), Some("usr/lib/file")),
            ("lib", Some("lib"), Some("usr/lib")),
            ("round", Some("round"), None),
            ("elsewhere", Some("elsewhere"), None),
            ("lib/file/more", None, None),
            ("nothing", None, None),
        ] {
            assert_eq!(found(path, Last::Kept).as_deref(), kept, "{path}");
            assert_eq!(found(path, Last::Followed).as_deref(), followed, "{path}");
        }
        let steps = |path: &str| {
            let found = step(&root, &root.join(path)).unwrap()?;
            Some(found.strip_prefix(&root).unwrap().display().to_string())
        };
        assert_eq!(steps("lib").as_deref(), Some("usr/lib"));
        assert_eq!(steps("up").as_deref(), Some("lib"));
        assert_eq!(steps("usr/lib/link").as_deref(), Some("usr/lib/file"));
        assert_eq!((steps("elsewhere"), steps("usr/lib/file")), (None, None));
        assert_eq!(read(&root, Path::new("lib/link")).unwrap(), b"text");
        let error = read(&root, Path::new("elsewhere")).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
        std::fs::remove_dir_all(root).unwrap();
    }
}
