//! Apk packages of version 2, written as apk-v2(5) has them: three gzip streams one after the other, with
//! the signature, what the package is, and its files.
//!
//! The first two hold archives without the blocks that end one, so that the three together are one.

use std::io::Write;

use anyhow::{Context, Result};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use flate2::Compression;
use flate2::write::GzEncoder;
use sha1::{Digest, Sha1};
use tar::{Builder, EntryType, Header};

use crate::digest;
use crate::rsa_key::RsaKey;

/// When every package of ours was made: 1 January 2026.
const MADE_AT: u64 = 1_767_225_600;

/// The blocks that end an archive.
const ARCHIVE_END: usize = 1024;

/// A file of a package.
#[derive(Clone, Debug)]
pub struct File {
    /// Where it is, without a slash in front.
    pub path: String,
    /// Its permissions.
    pub mode: u32,
    /// What it is.
    pub kind: Kind,
}

/// What a file of a package is.
#[derive(Clone, Debug)]
pub enum Kind {
    /// A folder.
    Folder,
    /// A file with these bytes.
    Regular(Vec<u8>),
    /// A link to this path.
    Link(String),
}

/// A package that is to be written.
#[derive(Clone, Debug, Default)]
pub struct ApkPackage {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Its architecture.
    pub architecture: String,
    /// What it was built from.
    pub origin: String,
    /// What it says of itself.
    pub description: String,
    /// Its relations to others and its other fields, by their letter in the database.
    pub fields: Vec<(char, String)>,
    /// The folders whose changes run its trigger.
    pub triggers: Option<String>,
    /// Its scripts, by their names with the dot in front.
    pub scripts: Vec<(String, Vec<u8>)>,
    /// Its files, folders before what is in them.
    pub files: Vec<File>,
}

/// A package as it is served.
#[derive(Clone, Debug)]
pub struct WrittenPackage {
    /// The name of its file.
    pub file_name: String,
    /// The file.
    pub bytes: Vec<u8>,
    /// What the index says of it.
    pub record: String,
}

/// How the fields are called in a package: letter in the database, name.
const FIELDS: [(char, &str); 6] = [
    ('D', "depend"),
    ('p', "provides"),
    ('r', "replaces"),
    ('q', "replaces_priority"),
    ('k', "provider_priority"),
    ('i', "install_if"),
];

impl ApkPackage {
    /// Writes and signs the package.
    pub fn write(&self, key: &RsaKey) -> Result<WrittenPackage> {
        let data = compressed(&self.data()?)?;
        // apk does not unpack a package of size 0, not even for a link that is all it has.
        let size = self.files.iter().map(size).sum::<usize>().max(1);
        let control = compressed(&cut(self.control(size, &data)?))?;
        let file_name = format!("{}-{}.apk", self.name, self.version);
        let bytes = [signature(key, &control)?, control.clone(), data].concat();
        let mut record = format!(
            "C:Q1{}\nP:{}\nV:{}\nA:{}\nS:{}\nI:{size}\nT:{}\nL:MIT\no:{}\nt:{MADE_AT}\n",
            STANDARD.encode(Sha1::digest(&control)),
            self.name,
            self.version,
            self.architecture,
            bytes.len(),
            self.description,
            self.origin,
        );
        for (letter, value) in self.fields.iter().filter(|(letter, _)| "Dpki".contains(*letter)) {
            record.push_str(&format!("{letter}:{value}\n"));
        }
        Ok(WrittenPackage { file_name, bytes, record })
    }

    /// The archive with the files.
    fn data(&self) -> Result<Vec<u8>> {
        let mut archive = Builder::new(Vec::new());
        for file in &self.files {
            let (entry, target, bytes) = match &file.kind {
                Kind::Folder => (EntryType::Directory, "", &[][..]),
                Kind::Regular(bytes) => (EntryType::Regular, "", bytes.as_slice()),
                Kind::Link(target) => (EntryType::Symlink, target.as_str(), &[][..]),
            };
            let summed = if target.is_empty() { bytes } else { target.as_bytes() };
            if entry != EntryType::Directory {
                let sum = digest::hexadecimal(&Sha1::digest(summed));
                // The crate's own writing of such a header leaves its name empty, and that ends an archive for
                // apk. The number in front is the length of the line.
                let line = format!("68 APK-TOOLS.checksum.SHA1={sum}\n");
                let mut header = header(EntryType::XHeader, 0o644, line.len())?;
                archive.append_data(&mut header, "PaxHeader", line.as_bytes())?;
            }
            let mut header = header(entry, file.mode, bytes.len())?;
            if !target.is_empty() {
                header.set_link_name(target)?;
            }
            archive.append_data(&mut header, &file.path, bytes)?;
        }
        archive.into_inner().context("cannot write an archive")
    }

    /// The archive with what the package is, and with its scripts.
    fn control(&self, size: usize, data: &[u8]) -> Result<Vec<u8>> {
        let mut information = format!(
            "pkgname = {}\npkgver = {}\npkgdesc = {}\nurl = https://example.org/\n\
             builddate = {MADE_AT}\npackager = suture's lab\nsize = {size}\narch = {}\norigin = {}\n\
             license = MIT\n",
            self.name, self.version, self.description, self.architecture, self.origin
        );
        for (letter, value) in &self.fields {
            let known = FIELDS.iter().find(|(known, _)| known == letter);
            let (_, name) =
                known.with_context(|| format!("unknown field of a package: {letter}"))?;
            for word in value.split(' ').filter(|word| !word.is_empty()) {
                information.push_str(&format!("{name} = {word}\n"));
            }
        }
        if let Some(folders) = &self.triggers {
            information.push_str(&format!("triggers = {folders}\n"));
        }
        information.push_str(&format!("datahash = {}\n", digest::of_bytes(data)));
        let mut archive = Builder::new(Vec::new());
        add(&mut archive, ".PKGINFO", 0o644, information.as_bytes())?;
        for (name, script) in &self.scripts {
            add(&mut archive, name, 0o755, script)?;
        }
        archive.into_inner().context("cannot write an archive")
    }
}

/// An index of packages, signed if there is a key.
pub fn index(packages: &[WrittenPackage], key: Option<&RsaKey>) -> Result<Vec<u8>> {
    let records: String =
        packages.iter().flat_map(|package| [package.record.as_str(), "\n"]).collect();
    let mut archive = Builder::new(Vec::new());
    add(&mut archive, "DESCRIPTION", 0o644, b"suture's lab")?;
    add(&mut archive, "APKINDEX", 0o644, records.as_bytes())?;
    let index = compressed(&archive.into_inner().context("cannot write an archive")?)?;
    let signature = key.map(|key| signature(key, &index)).transpose()?;
    Ok([signature.unwrap_or_default(), index].concat())
}

/// The stream that signs the one that follows it.
fn signature(key: &RsaKey, signed: &[u8]) -> Result<Vec<u8>> {
    let mut archive = Builder::new(Vec::new());
    add(&mut archive, &format!(".SIGN.RSA.{}", RsaKey::FILE_NAME), 0o644, &key.sign(signed)?)?;
    compressed(&cut(archive.into_inner().context("cannot write an archive")?))
}

/// Adds a file to an archive.
fn add(archive: &mut Builder<Vec<u8>>, path: &str, mode: u32, bytes: &[u8]) -> Result<()> {
    archive.append_data(&mut header(EntryType::Regular, mode, bytes.len())?, path, bytes)?;
    Ok(())
}

/// What an archive says of a file of root's.
fn header(entry: EntryType, mode: u32, size: usize) -> Result<Header> {
    let mut header = Header::new_ustar();
    header.set_entry_type(entry);
    header.set_mode(mode);
    header.set_uid(0);
    header.set_gid(0);
    header.set_username("root")?;
    header.set_groupname("root")?;
    header.set_mtime(MADE_AT);
    header.set_size(size.try_into()?);
    Ok(header)
}

/// An archive without its end.
fn cut(mut archive: Vec<u8>) -> Vec<u8> {
    archive.truncate(archive.len().saturating_sub(ARCHIVE_END));
    archive
}

/// The same bytes in every run.
fn compressed(bytes: &[u8]) -> Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes)?;
    Ok(encoder.finish()?)
}

/// What a file takes when it is installed.
fn size(file: &File) -> usize {
    match &file.kind {
        Kind::Regular(bytes) => bytes.len(),
        Kind::Folder | Kind::Link(_) => 0,
    }
}
