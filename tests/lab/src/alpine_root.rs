//! Alpine's root file system, which the lab's Alpine is made from. It is no part of the project.

use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use tar::{Archive, EntryType};

use crate::alpine_packages::RELEASE;
use crate::apk_package::{ApkPackage, File, Kind};
use crate::engine::Engine;
use crate::program;

/// Where the archives of root file systems are.
const VARIABLE: &str = "SUTURE_LAB_ALPINE";

/// The first bytes of every program and shared library.
const ELF: &[u8] = b"\x7fELF";

/// The root file system of Alpine's own image, as a compressed archive.
fn pulled(engine: &Engine, architecture: &str) -> Result<Vec<u8>> {
    let image = format!("docker.io/library/alpine:{RELEASE}");
    let platform = match architecture {
        "aarch64" => "--platform=linux/arm64",
        _ => "--platform=linux/amd64",
    };
    let mut create = engine.docker()?;
    create.args(["container", "create", "--pull=missing", "--quiet", platform, &image, "true"]);
    let container = program::output(&mut create)?;
    let container = container.trim();
    let exported = engine.docker()?.args(["container", "export", container]).output();
    program::run(engine.docker()?.args(["container", "rm", "--force", container]))?;
    let exported = exported.context("cannot start: docker container export")?;
    ensure!(exported.status.success(), "cannot export a container of {image}");
    let mut archive = GzEncoder::new(Vec::new(), Compression::default());
    archive.write_all(&exported.stdout)?;
    Ok(archive.finish()?)
}

/// The root file system for one architecture.
#[derive(Debug)]
pub struct AlpineRoot {
    /// The archive.
    pub bytes: Vec<u8>,
    files: BTreeMap<String, File>,
}

impl AlpineRoot {
    /// Reads the root file system of an architecture, as Alpine calls it: from a folder of archives,
    /// else from what the engine finds under Alpine's name.
    pub fn of(engine: &Engine, architecture: &str) -> Result<Self> {
        let name = format!("alpine-minirootfs-{RELEASE}-{architecture}.tar.gz");
        let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/images");
        let folder = env::var_os(VARIABLE).filter(|folder| !folder.is_empty());
        let mut path = folder.map_or(beside, PathBuf::from).join(&name);
        if !path.is_file() {
            path = engine.folder().folder("roots")?.join(&name);
        }
        if !path.is_file() {
            let root = pulled(engine, architecture).with_context(|| {
                format!("{name} is missing: set {VARIABLE} to the folder it is in")
            })?;
            fs::write(&path, root).with_context(|| format!("cannot write: {}", path.display()))?;
        }
        let bytes = fs::read(&path).with_context(|| format!("cannot read: {}", path.display()))?;
        let files = read_archive(GzDecoder::new(bytes.as_slice()))
            .with_context(|| format!("not a root file system: {}", path.display()))?;
        Ok(Self { bytes, files })
    }

    /// A package that is installed, as another version: every program and library in it gets a few more
    /// bytes, as in a real update most files differ only in their times.
    pub fn rebuilt(&self, package: &str, installed: &str, version: &str) -> Result<ApkPackage> {
        let database = self.text("lib/apk/db/installed")?;
        let name_line = format!("P:{package}");
        let record = database
            .split("\n\n")
            .find(|record| record.lines().any(|line| line == name_line))
            .with_context(|| format!("Alpine has no package {package}"))?;
        let field = |letter: char| {
            record.lines().find_map(|line| line.strip_prefix(letter)?.strip_prefix(':'))
        };
        let required = |letter: char| {
            let value = field(letter).map(ToOwned::to_owned);
            value.with_context(|| format!("Alpine's package {package} has no field {letter}"))
        };
        ensure!(required('V')? == installed, "Alpine's package {package} is not {installed}");
        let checksum = required('C')?;
        let fields = ['D', 'p', 'r', 'q', 'k', 'i'].into_iter().filter_map(|letter| {
            Some((letter, field(letter)?.replace(&format!("={installed}"), &format!("={version}"))))
        });
        let triggers = self.text("lib/apk/db/triggers")?;
        let triggers =
            triggers.lines().find_map(|line| line.strip_prefix(&checksum)?.strip_prefix(' '));
        Ok(ApkPackage {
            name: package.to_owned(),
            version: version.to_owned(),
            architecture: required('A')?,
            origin: required('o')?,
            description: required('T')?,
            fields: fields.collect(),
            triggers: triggers.map(ToOwned::to_owned),
            scripts: self.scripts(&checksum)?,
            files: self.package_files(record, &format!("\0fixed in {version}\0"))?,
        })
    }

    /// The files that a record of the database names, programs with some bytes added.
    fn package_files(&self, record: &str, mark: &str) -> Result<Vec<File>> {
        let mut files = Vec::new();
        let mut folder = "";
        for line in record.lines() {
            let path = match line.split_once(':') {
                Some(("F", path)) => {
                    folder = path;
                    path.to_owned()
                }
                Some(("R", name)) if folder.is_empty() => name.to_owned(),
                Some(("R", name)) => format!("{folder}/{name}"),
                _ => continue,
            };
            if path.is_empty() {
                continue;
            }
            let file = self.files.get(&path).with_context(|| format!("Alpine has no {path}"))?;
            let mut file = file.clone();
            if let Kind::Regular(bytes) = &mut file.kind
                && bytes.starts_with(ELF)
            {
                bytes.extend_from_slice(mark.as_bytes());
            }
            files.push(file);
        }
        Ok(files)
    }

    /// The scripts of the package with a checksum.
    fn scripts(&self, checksum: &str) -> Result<Vec<(String, Vec<u8>)>> {
        let archive = self.bytes_of("lib/apk/db/scripts.tar")?;
        let scripts = read_archive(archive)?.into_values().filter_map(|file| {
            let (_, name) = file.path.split_once(&format!(".{checksum}"))?;
            match file.kind {
                Kind::Regular(bytes) => Some((name.to_owned(), bytes)),
                Kind::Folder | Kind::Link(_) => None,
            }
        });
        Ok(scripts.collect())
    }

    /// A text file.
    fn text(&self, path: &str) -> Result<String> {
        String::from_utf8(self.bytes_of(path)?.to_vec())
            .with_context(|| format!("Alpine's {path} is not text"))
    }

    /// The bytes of a file.
    fn bytes_of(&self, path: &str) -> Result<&[u8]> {
        match self.files.get(path).map(|file| &file.kind) {
            Some(Kind::Regular(bytes)) => Ok(bytes),
            _ => bail!("Alpine has no file {path}"),
        }
    }
}

/// The files of an archive by their paths.
fn read_archive(archive: impl Read) -> Result<BTreeMap<String, File>> {
    let mut files: BTreeMap<String, File> = BTreeMap::new();
    for entry in Archive::new(archive).entries()? {
        let mut entry = entry?;
        let path = entry.path()?.to_string_lossy().into_owned();
        let path = path.strip_prefix("./").unwrap_or(&path).trim_end_matches('/').to_owned();
        let mode = entry.header().mode()? & 0o7777;
        let target = entry.link_name()?.map(|target| target.to_string_lossy().into_owned());
        let kind = match entry.header().entry_type() {
            EntryType::Directory => Kind::Folder,
            EntryType::Symlink => Kind::Link(target.context("a link leads nowhere")?),
            EntryType::Regular => {
                let mut bytes = Vec::new();
                entry.read_to_end(&mut bytes)?;
                Kind::Regular(bytes)
            }
            other => bail!("{path} is of an unexpected kind: {other:?}"),
        };
        files.insert(path.clone(), File { path, mode, kind });
    }
    Ok(files)
}
