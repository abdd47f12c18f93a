//! apt's indexes: downloaded and unpacked once per version, and cut down to what an image can need.
//!
//! The index of a whole release is tens of megabytes, which apt downloads, unpacks and parses before
//! it can say that nothing is newer. So apt first gets only the signed release files. An index whose
//! digest one of them names comes from the cache, where an earlier fetch has kept it. apt then parses
//! the image's packages with what their other versions depend on.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::Read as _;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use memchr::{memchr_iter, memmem};

use crate::digest::Digest;
use crate::patch::task::path;
use crate::pkgdb::control::{Field, stanzas};
use crate::pkgdb::{Database, InstalledPackage};

use super::super::Failure;
use super::super::fetched::{cache_has_room, kept};

/// Largest unpacked index that is kept or cut down; the largest suites have 70 MB.
const INDEX_LIMIT: u64 = 256 << 20;
/// Maximum number of indexes in the cache; the least recently used go first.
const KEPT_LIMIT: usize = 32;
/// What apt calls the index of packages, in its configuration and as the creator of a target.
const PACKAGES: &str = "Packages";

/// A file that `apt-get update` would download (apt-get(8), `indextargets`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Target {
    /// The type of the repository: `deb` or `deb-src`.
    of: String,
    /// The name in apt's configuration of what made it a target.
    creator: String,
    /// Its name in the release file.
    key: String,
    /// Where it will be, unpacked.
    file: PathBuf,
}

impl Target {
    /// The format that [`targets`] reads.
    pub(super) const FORMAT: &str = "$(TARGET_OF)\t$(CREATED_BY)\t$(METAKEY)\t$(FILENAME)";

    fn is_packages(&self) -> bool {
        self.of == "deb" && self.creator == PACKAGES
    }

    /// The part before its own name in the names of its release's files.
    ///
    /// apt quotes some characters in file names; a name with any of those is not recognized.
    fn release(&self) -> Option<String> {
        let own = self.key.replace('/', "_");
        Some(self.file.to_str()?.strip_suffix(&own)?.to_owned())
    }
}

/// The targets in the output of `apt-get indextargets`.
pub(super) fn targets(output: &str) -> Vec<Target> {
    output
        .lines()
        .filter_map(|line| {
            let mut words = line.split('\t').map(str::to_owned);
            let (of, creator) = (words.next()?, words.next()?);
            Some(Target { of, creator, key: words.next()?, file: words.next()?.into() })
        })
        .collect()
}

/// The number of repositories these targets belong to.
pub(super) fn count_repositories(targets: &[Target]) -> usize {
    targets.iter().map(Target::release).collect::<BTreeSet<_>>().len()
}

/// Options that keep apt from downloading what no upgrade needs: sources, contents, icons.
pub(super) fn without_others(targets: &[Target]) -> Vec<String> {
    let others: BTreeSet<(&str, &str)> = targets
        .iter()
        .filter(|target| !target.is_packages())
        .map(|target| (target.of.as_str(), target.creator.as_str()))
        .collect();
    others.into_iter().flat_map(|(of, creator)| without(of, creator)).collect()
}

/// Options that keep apt from downloading the indexes of packages.
pub(super) fn without_packages() -> [String; 2] {
    without("deb", PACKAGES)
}

fn without(of: &str, creator: &str) -> [String; 2] {
    ["-o".to_owned(), format!("Acquire::IndexTargets::{of}::{creator}::DefaultEnabled=false")]
}

/// An index of packages that a release file names.
#[derive(Debug)]
pub(super) struct Index {
    file: PathBuf,
    /// The digest of its unpacked content, where the release file has it.
    digest: Option<Digest>,
}

/// The indexes of packages that the downloaded release files name.
pub(super) fn named(targets: &[Target]) -> Vec<Index> {
    let mut releases: BTreeMap<String, Option<BTreeMap<String, Digest>>> = BTreeMap::new();
    targets
        .iter()
        .filter(|target| target.is_packages())
        .filter_map(|target| {
            let file = target.file.clone();
            let Some(prefix) = target.release() else { return Some(Index { file, digest: None }) };
            let names = releases.entry(prefix).or_insert_with_key(|prefix| {
                let read = |name| fs::read(format!("{prefix}{name}")).ok();
                digests(&read("InRelease").or_else(|| read("Release"))?)
            });
            // Without digests that we can read, apt itself decides.
            let Some(names) = names else { return Some(Index { file, digest: None }) };
            let digest = names.get(&target.key).cloned();
            let packed = || names.keys().any(|name| is_packed(name, &target.key));
            (digest.is_some() || packed()).then_some(Index { file, digest })
        })
        .collect()
}

fn is_packed(name: &str, key: &str) -> bool {
    name.strip_prefix(key).is_some_and(|extension| extension.starts_with('.'))
}

/// The SHA-256 digests of a release file, by name: lines of digest, size, and name. `None` without any: an index
/// must not pass for absent because its release has other digests.
///
/// In `InRelease` the text is enclosed in the lines of a signature (RFC 9580, 7), which apt has
/// checked; it refuses a file with anything outside them.
fn digests(release: &[u8]) -> Option<BTreeMap<String, Digest>> {
    let text = memmem::find(release, b"-----BEGIN PGP SIGNED MESSAGE-----")
        .and_then(|start| release.get(start..))
        .and_then(|signed| signed.get(memmem::find(signed, b"\n\n")?..))
        .unwrap_or(release);
    let end = memmem::find(text, b"\n-----BEGIN PGP SIGNATURE-----").unwrap_or(text.len());
    let stanza = stanzas(text.get(..end)?).next()?.ok()?;
    // Without an architecture `all`, or support for it, apt does not ask for its index, though it is named.
    let without_all = stanza
        .field("No-Support-for-Architecture-all")
        .is_some_and(|field| field.first == PACKAGES.as_bytes())
        || stanza.field("Architectures").is_some_and(|field| {
            !field.first.split(u8::is_ascii_whitespace).any(|word| word == b"all")
        });
    let lines = stanza.field("SHA256").into_iter().flat_map(Field::continuation);
    let digests = lines.map(|line| {
        let mut words = str::from_utf8(line).ok()?.split_ascii_whitespace();
        let digest = format!("sha256:{}", words.next()?).parse().ok()?;
        let name = words.nth(1)?;
        Some((name.strip_prefix("./").unwrap_or(name).to_owned(), digest))
    });
    let mut digests: BTreeMap<String, Digest> = digests.collect::<Option<_>>()?;
    if digests.is_empty() {
        return None;
    }
    digests.retain(|name, _| !(without_all && name.contains("/binary-all/")));
    Some(digests)
}

impl Index {
    /// Puts the index where apt looks for it, if the cache has it. apt then takes it for unchanged.
    ///
    /// Anyone's builds may have written to the cache, so its content is trusted only with the digest
    /// that the signed release file names.
    pub(super) fn take_from_cache(&self) -> bool {
        let Some(digest) = &self.digest else { return false };
        let kept = kept(INDEX, digest);
        let Some(content) = read(&kept) else { return false };
        drop(File::open(&kept).and_then(|file| file.set_modified(SystemTime::now())));
        Digest::of(&content) == *digest && fs::write(&self.file, content).is_ok()
    }

    fn put_into_cache(&self, content: &[u8]) {
        let Some(digest) = &self.digest else { return };
        let kept = kept(INDEX, digest);
        let is_wanted = !kept.exists() && cache_has_room() && Digest::of(content) == *digest;
        if is_wanted && fs::write(&kept, content).is_err() {
            drop(fs::remove_file(kept));
        }
    }
}

/// Prefix of the names of indexes in the cache.
const INDEX: &str = "index-";

fn read(file: &Path) -> Option<Vec<u8>> {
    let opened = File::open(file).ok()?;
    let mut content = Vec::new();
    opened.take(INDEX_LIMIT + 1).read_to_end(&mut content).ok()?;
    (content.len() as u64 <= INDEX_LIMIT).then_some(content)
}

/// A stanza: the number of its index, where it begins, its length.
type Span = (usize, u64, usize);

/// The contents of indexes, by name.
#[derive(Default)]
struct Contents {
    packages: BTreeMap<Box<[u8]>, Vec<Span>>,
    /// The packages that provide a name.
    providers: BTreeMap<Box<[u8]>, Vec<Box<[u8]>>>,
}

impl Contents {
    /// Reads an index; `None` when it has a stanza that names no package.
    fn add(&mut self, number: usize, content: &[u8]) -> Option<()> {
        let mut start = 0;
        let ends = memmem::find_iter(content, b"\n\n").map(|end| end + 2);
        for end in ends.chain([content.len()]) {
            let stanza = content.get(start..end)?;
            if !stanza.trim_ascii().is_empty() {
                let name: Box<[u8]> = field(stanza, b"Package:")?.into();
                for provided in field(stanza, b"Provides:").into_iter().flat_map(names) {
                    self.providers.entry(provided.into()).or_default().push(name.clone());
                }
                let span = (number, start as u64, stanza.len());
                self.packages.entry(name).or_default().push(span);
            }
            start = end;
        }
        Some(())
    }
}

/// The value of a field, which starts and ends with its line: both index fields and relations are on
/// one line there (Debian Policy 5.1, «folded» fields are not folded in indexes).
fn field<'a>(stanza: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let start = if stanza.starts_with(name) {
        0
    } else {
        memchr_iter(b'\n', stanza)
            .map(|end| end + 1)
            .find(|&start| stanza.get(start..).is_some_and(|rest| rest.starts_with(name)))?
    };
    let value = stanza.get(start + name.len()..)?;
    Some(value.get(..memchr::memchr(b'\n', value).unwrap_or(value.len()))?.trim_ascii())
}

/// The names in a relation: `a (>= 1) | b:any, c` (Debian Policy 7.1).
fn names(relation: &[u8]) -> impl Iterator<Item = &[u8]> {
    relation.split(|byte| matches!(byte, b',' | b'|')).filter_map(|one| {
        let one = one.trim_ascii();
        let end = one.iter().position(|byte| b" (:[<\t".contains(byte)).unwrap_or(one.len());
        one.get(..end).filter(|name| !name.is_empty())
    })
}

/// Keeps the indexes in the cache, and writes the parts of them that this image can need into another folder with the
/// release files. `None` if these cannot be determined: then apt reads the indexes as they are.
pub(super) fn cut_down(
    indexes: &[Index],
    database: &Database,
    lists: &Path,
    folder: &Path,
) -> Result<Option<()>, Failure> {
    let mut contents = Contents::default();
    let mut files = Vec::new();
    for index in indexes {
        // A link leads to a repository in a folder of the image.
        let Some(content) = read(&index.file) else { return Ok(None) };
        index.put_into_cache(&content);
        if contents.add(files.len(), &content).is_none() {
            return Ok(None);
        }
        let opened = File::open(&index.file);
        files.push(opened.map_err(|error| Failure::file("open", &index.file, &error))?);
    }
    forget_the_oldest();
    let Some(mut needed) = needed(&contents, database, &files) else { return Ok(None) };

    let failed = |error| Failure::file("write", folder, &error);
    fs::create_dir_all(folder.join("partial")).map_err(failed)?;
    for entry in fs::read_dir(lists).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        // An index that apt has but that is not among ours must not be lost.
        if name.contains("Packages") && !indexes.iter().any(|index| index.file == entry.path()) {
            return Ok(None);
        }
        if entry.file_type().is_ok_and(|kind| kind.is_file()) && name.contains("Release") {
            fs::copy(entry.path(), folder.join(entry.file_name())).map_err(failed)?;
        }
    }
    // In the order of the originals: apt takes the first of equal ones.
    needed.sort_unstable();
    for (number, index) in indexes.iter().enumerate() {
        let mut content = Vec::new();
        let (Some(file), Some(name)) = (files.get(number), index.file.file_name()) else {
            continue;
        };
        for span in needed.iter().filter(|span| span.0 == number) {
            content.extend(stanza(file, *span).map_err(failed)?);
            if !content.ends_with(b"\n\n") {
                content.extend(b"\n\n");
            }
        }
        fs::write(folder.join(name), content).map_err(failed)?;
    }
    Ok(Some(()))
}

fn stanza(file: &File, (_, start, length): Span) -> std::io::Result<Vec<u8>> {
    let mut bytes = vec![0; length];
    file.read_exact_at(&mut bytes, start)?;
    Ok(bytes)
}

/// The stanzas of all installed packages, of what their other versions depend on, and so on.
fn needed(contents: &Contents, database: &Database, files: &[File]) -> Option<Vec<Span>> {
    let mut installed: BTreeMap<&[u8], Vec<&InstalledPackage>> = BTreeMap::new();
    for package in database.installed() {
        installed.entry(package.name.as_str().as_bytes()).or_default().push(package);
    }
    let mut seen: BTreeSet<Box<[u8]>> = installed.keys().map(|&name| name.into()).collect();
    let mut rest: Vec<Box<[u8]>> = seen.iter().cloned().collect();
    let mut needed = Vec::new();
    while let Some(name) = rest.pop() {
        let of_the_image = installed.get(&*name);
        let mut further: Vec<Box<[u8]>> = Vec::new();
        if of_the_image.is_none() {
            further.extend(contents.providers.get(&name).into_iter().flatten().cloned());
        }
        for span in contents.packages.get(&name).into_iter().flatten() {
            needed.push(*span);
            let stanza = stanza(files.get(span.0)?, *span).ok()?;
            let version = str::from_utf8(field(&stanza, b"Version:")?).ok()?;
            let is_as_installed =
                |package: &&InstalledPackage| package.version.to_string() == version;
            if of_the_image.is_some_and(|packages| packages.iter().any(is_as_installed)) {
                continue;
            }
            for relation in [b"Depends:".as_slice(), b"Pre-Depends:"] {
                let names = field(&stanza, relation).into_iter().flat_map(names);
                further.extend(names.map(Into::into));
            }
        }
        rest.extend(further.into_iter().filter(|name| seen.insert(name.clone())));
    }
    Some(needed)
}

/// Bounds the cache: apt's own packages are few, but an index comes with every update of a suite.
fn forget_the_oldest() {
    let Ok(entries) = fs::read_dir(path::CACHE) else { return };
    let mut indexes: Vec<_> = entries
        .flatten()
        .filter(|entry| entry.file_name().to_string_lossy().starts_with(INDEX))
        .filter_map(|entry| Some((entry.metadata().ok()?.modified().ok()?, entry.path())))
        .collect();
    indexes.sort_unstable();
    let surplus = indexes.len().saturating_sub(KEPT_LIMIT);
    for (_, file) in indexes.into_iter().take(surplus) {
        drop(fs::remove_file(file));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pkgdb::dpkg;

    fn text(names: &[&[u8]]) -> Vec<String> {
        names.iter().map(|name| String::from_utf8_lossy(name).into_owned()).collect()
    }

    #[test]
    fn what_is_no_index_of_packages_is_left_out() {
        let targets = targets(
            "deb\tPackages\tmain/binary-amd64/Packages\t/l/x_dists_s_main_binary-amd64_Packages\n\
             deb\tContents-deb\tmain/Contents-amd64\t/l/x_dists_s_main_Contents-amd64\n\
             deb\tContents-deb\tmain/Contents-all\t/l/x_dists_s_main_Contents-all\n\
             deb-src\tSources\tmain/source/Sources\t/l/x_dists_s_main_source_Sources\n",
        );
        assert_eq!(
            without_others(&targets),
            [
                "-o",
                "Acquire::IndexTargets::deb::Contents-deb::DefaultEnabled=false",
                "-o",
                "Acquire::IndexTargets::deb-src::Sources::DefaultEnabled=false",
            ]
        );
        assert_eq!(targets[0].release().as_deref(), Some("/l/x_dists_s_"));
        assert_eq!(
            named(&targets).iter().map(|index| index.digest.clone()).collect::<Vec<_>>(),
            [None],
            "without a release file apt decides"
        );
    }

    #[test]
    fn digests_are_those_of_the_signed_text() {
        let (signed, beside) = ("a".repeat(64), "b".repeat(64));
        let release = format!(
            "-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA512\n\nOrigin: x\nMD5Sum:\n {} 1 p\nSHA256:\n \
             {signed} 12 main/binary-amd64/Packages\n {signed}  7 q\n\
             -----BEGIN PGP SIGNATURE-----\n\nxx\n-----END PGP SIGNATURE-----\n\nSHA256:\n {beside} 1 r\n",
            "c".repeat(32)
        );
        let found = digests(release.as_bytes()).unwrap();
        let mut names: Vec<&str> = found.keys().map(String::as_str).collect();
        names.sort_unstable();
        assert_eq!(names, ["main/binary-amd64/Packages", "q"]);
        assert_eq!(found["q"].as_str(), format!("sha256:{signed}"));
        let detached = format!("SHA256:\n {signed} 12 p\n {signed} 1 main/binary-all/Packages\n");
        assert_eq!(digests(detached.as_bytes()).unwrap().len(), 2);
        let detached = format!("No-Support-for-Architecture-all: Packages\n{detached}");
        assert!(digests(detached.as_bytes()).unwrap().keys().eq(["p"]));
        assert_eq!(digests(b"Suite: x\nSHA512:\n ab 12 main/binary-amd64/Packages\n"), None);
        assert_eq!(digests(b"no release"), None);
    }

    #[test]
    fn relations_are_read_for_their_names() {
        let relation = b"libc6 (>= 2.3), a:any | b [amd64],c<!x> , , d";
        assert_eq!(text(&names(relation).collect::<Vec<_>>()), ["libc6", "a", "b", "c", "d"]);
        let stanza = b"Package: x\nDepends: y, z\nX-Depends: q\nVersion: 1\n";
        assert_eq!(field(stanza, b"Depends:"), Some(b"y, z".as_slice()));
        assert_eq!(field(stanza, b"Package:"), Some(b"x".as_slice()));
        assert_eq!(field(stanza, b"Provides:"), None);
    }

    #[test]
    fn what_other_versions_depend_on_is_needed() {
        let index = "Package: one\nVersion: 2\nDepends: new (>= 1), virtual\n\n\
                     Package: same\nVersion: 1\nDepends: not-asked\n\n\
                     Package: new\nVersion: 1\nPre-Depends: newer | other\n\n\
                     Package: newer\nVersion: 1\n\n\
                     Package: provider\nVersion: 1\nProvides: a, virtual (= 2)\n\n\
                     Package: not-asked\nVersion: 1\n\n\
                     Package: unknown\nVersion: 1\nDepends: one\n";
        let status = "Package: one\nStatus: install ok installed\nArchitecture: all\nVersion: 1\n\n\
                      Package: same\nStatus: install ok installed\nArchitecture: all\nVersion: 1\n";
        let database = dpkg::parse_status(status.as_bytes()).unwrap();
        let folder = std::env::temp_dir().join(format!("suture-indexes-{}", std::process::id()));
        let lists = folder.join("lists");
        fs::create_dir_all(&lists).unwrap();
        let file = lists.join("x_Packages");
        fs::write(&file, index).unwrap();
        fs::write(lists.join("x_InRelease"), "signed").unwrap();
        let target = folder.join("needed");
        let indexes = [Index { file, digest: None }];
        let done = cut_down(&indexes, &database, &lists, &target).unwrap();
        let left = fs::read_to_string(target.join("x_Packages")).unwrap();
        assert!(done.is_some() && target.join("x_InRelease").exists());
        fs::remove_dir_all(folder).unwrap();
        let left: Vec<&str> =
            left.lines().filter_map(|line| line.strip_prefix("Package: ")).collect();
        assert_eq!(left, ["one", "same", "new", "newer", "provider"]);
    }
}
