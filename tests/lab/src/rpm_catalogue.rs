//! A repository that tells of as many packages as a distribution's, and has none of them: what package
//! managers download, read and leave in a layer is then of a real size. The other repositories of the
//! rpm worlds have a few small packages, and indexes of 70 kB.
//!
//! Names, versions, summaries and needs are those of Debian's packages, so that they pack as well as
//! a distribution's do; Debian's index tells nothing of files, so their names are made up of its words.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use flate2::Compression;
use flate2::write::GzEncoder;

use crate::debian_packages::Archive;
use crate::digest;
use crate::folder::{LabFolder, empty};
use crate::rpm_repository::ARCHITECTURE;
use crate::rpm_worlds::World;
use crate::signing_key::SigningKey;

/// How many packages it tells of.
const PACKAGES: usize = 2_000;

/// How many packages' summaries make a description.
const SENTENCES: usize = 4;

/// For how many KiB of a package there is one file.
const FILE: usize = 24;

/// The fewest and the most files of a package.
const FILES: (usize, usize) = (4, 250);

/// Every so many files there is one that debuggers look up, in a folder named by a digest.
const BUILD_IDS: usize = 6;

/// Endings of files' names.
const ENDINGS: [&str; 6] = [".so.1", ".py", ".mo", ".conf", ".1.gz", ".html"];

/// The namespaces of the indexes.
const NAMESPACE: &str = "http://linux.duke.edu/metadata";

/// The folder of a world's catalogue, below all that are served.
pub fn folder_of(world: &World) -> String {
    format!("{}-catalogue", world.name)
}

/// Makes sure that the catalogue of a world is served; `made` is how the world itself was.
pub fn ensure(folder: &LabFolder, world: &World, made: &str) -> Result<()> {
    let _alone = folder.lock("rpm-catalogue")?;
    let key = SigningKey::of(folder)?;
    let public = digest::of_bytes(&key.public_bytes()?);
    let recipe = [include_str!("rpm_catalogue.rs"), world.name, made, &public].join("\n");
    let recipe = digest::of_bytes(recipe.as_bytes());
    let name = folder_of(world);
    let marker = folder.folder("rpm")?.join(format!("{name}.complete"));
    if fs::read_to_string(&marker).is_ok_and(|made| made == recipe) {
        return Ok(());
    }
    eprintln!("making the catalogue of {}", world.name);
    let served = folder.folder("repositories")?;
    let index = Archive::of_suite(folder, world.suite)?.index()?;
    let taken = package_names(&served.join(world.name))?;
    let catalogue = Catalogue::new(&index, &taken)?;
    let repodata = served.join(name).join(ARCHITECTURE).join("repodata");
    empty(&repodata)?;
    let files = [("primary", catalogue.primary()?), ("filelists", catalogue.file_lists()?)];
    let mut entries = String::new();
    for (kind, text) in files {
        entries.push_str(&write_index(&repodata, kind, &text)?);
    }
    let index = repodata.join("repomd.xml");
    write(
        &index,
        format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<repomd xmlns=\"{NAMESPACE}/repo\">\n\
             <revision>1</revision>\n{entries}</repomd>\n"
        )
        .as_bytes(),
    )?;
    key.sign_apart(&index, &repodata.join("repomd.xml.asc"))?;
    write(&marker, recipe.as_bytes())
}

/// The names of the packages in a world's repositories: a newer one of the same name would be an upgrade.
fn package_names(repositories: &Path) -> Result<BTreeSet<String>> {
    let mut names = BTreeSet::new();
    for repository in ["base", "updates", "updates-conflicting"] {
        let folder = repositories.join(repository).join(ARCHITECTURE);
        let entries =
            fs::read_dir(&folder).with_context(|| format!("cannot list: {}", folder.display()))?;
        for entry in entries {
            let file = entry?.file_name().to_string_lossy().into_owned();
            let mut parts = file.rsplitn(3, '-');
            if let (Some(_), Some(_), Some(name)) = (parts.next(), parts.next(), parts.next()) {
                names.insert(name.to_owned());
            }
        }
    }
    ensure!(!names.is_empty(), "a world has no packages: {}", repositories.display());
    Ok(names)
}

/// Packs an index and returns its entry in the index of indexes.
fn write_index(repodata: &Path, kind: &str, text: &str) -> Result<String> {
    let mut packed = GzEncoder::new(Vec::new(), Compression::default());
    packed.write_all(text.as_bytes())?;
    let packed = packed.finish()?;
    let (checksum, open) = (digest::of_bytes(&packed), digest::of_bytes(text.as_bytes()));
    let name = format!("{checksum}-{kind}.xml.gz");
    write(&repodata.join(&name), &packed)?;
    Ok(format!(
        "<data type=\"{kind}\"><checksum type=\"sha256\">{checksum}</checksum>\
         <open-checksum type=\"sha256\">{open}</open-checksum>\
         <location href=\"repodata/{name}\"/><timestamp>1</timestamp>\
         <size>{}</size><open-size>{}</open-size></data>\n",
        packed.len(),
        text.len(),
    ))
}

fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    fs::write(path, bytes).with_context(|| format!("cannot write: {}", path.display()))
}

/// What the index of a Debian suite says of a package.
#[derive(Debug, Default)]
struct Package<'a> {
    name: &'a str,
    version: &'a str,
    summary: &'a str,
    homepage: &'a str,
    needs: Vec<&'a str>,
    /// Its size when installed, in KiB.
    kibibytes: usize,
    /// The size of its file.
    size: usize,
}

impl<'a> Package<'a> {
    fn parse(stanza: &'a str) -> Option<Self> {
        let mut package = Package::default();
        for line in stanza.lines() {
            let Some((field, value)) = line.split_once(": ") else { continue };
            match field {
                "Package" => package.name = value,
                "Version" => package.version = value,
                "Description" => package.summary = value,
                "Homepage" => package.homepage = value,
                "Depends" => package.needs = needs(value),
                "Installed-Size" => package.kibibytes = value.parse().ok()?,
                "Size" => package.size = value.parse().ok()?,
                _ => {}
            }
        }
        (!package.name.is_empty() && !package.version.is_empty()).then_some(package)
    }

    /// Epoch, version and release as rpm takes them.
    fn parts(&self) -> (&str, String, String) {
        let (epoch, rest) = self.version.split_once(':').unwrap_or(("0", self.version));
        let (version, release) = rest.rsplit_once('-').unwrap_or((rest, "1"));
        (epoch, version.replace('-', "."), format!("{release}.el9"))
    }

    /// Stands for the digest of its file, and for everything else that nobody can guess.
    fn chance(&self, number: usize) -> String {
        digest::of_bytes(format!("{} {} {number}", self.name, self.version).as_bytes())
    }
}

/// The first of each alternative, without versions and architectures.
fn needs(depends: &str) -> Vec<&str> {
    let names = depends.split(", ").filter_map(|need| need.split([' ', ':', '|']).next());
    names.filter(|name| !name.is_empty()).collect()
}

/// The packages that are told of, and the words their texts and files' names are made of.
struct Catalogue<'a> {
    packages: Vec<Package<'a>>,
    words: Vec<&'a str>,
}

impl<'a> Catalogue<'a> {
    /// Packages from all of an index, but none of these names.
    fn new(index: &'a str, taken: &BTreeSet<String>) -> Result<Self> {
        let all: Vec<_> = index
            .split("\n\n")
            .filter_map(Package::parse)
            .filter(|package| !taken.contains(package.name))
            .collect();
        let step = all.len() / PACKAGES;
        ensure!(step > 0, "Debian's index has only {} packages", all.len());
        let packages: Vec<_> = all.into_iter().step_by(step).take(PACKAGES).collect();
        let is_word =
            |word: &&str| word.len() > 3 && word.bytes().all(|letter| letter.is_ascii_lowercase());
        let words = packages.iter().flat_map(|package| package.summary.split(' ')).filter(is_word);
        let words: BTreeSet<_> = words.collect();
        Ok(Self { words: words.into_iter().collect(), packages })
    }

    /// `primary.xml`.
    fn primary(&self) -> Result<String> {
        let mut text = format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<metadata xmlns=\"{NAMESPACE}/common\" \
             xmlns:rpm=\"{NAMESPACE}/rpm\" packages=\"{}\">\n",
            self.packages.len()
        );
        for (number, package) in self.packages.iter().enumerate() {
            let name = escape(package.name);
            let (epoch, version, release) = package.parts();
            let (version, release) = (escape(&version), escape(&release));
            let others = self.packages.iter().cycle().skip(number).take(SENTENCES);
            let description: Vec<_> = others.map(|other| escape(other.summary)).collect();
            write!(
                text,
                "<package type=\"rpm\">\n  <name>{name}</name>\n  <arch>{ARCHITECTURE}</arch>\n  \
                 <version epoch=\"{epoch}\" ver=\"{version}\" rel=\"{release}\"/>\n  \
                 <checksum type=\"sha256\" pkgid=\"YES\">{}</checksum>\n  \
                 <summary>{}</summary>\n  <description>{}.</description>\n  \
                 <packager>Lab</packager>\n  <url>{}</url>\n  \
                 <time file=\"1767225600\" build=\"1767225600\"/>\n  \
                 <size package=\"{}\" installed=\"{}\" archive=\"{}\"/>\n  \
                 <location href=\"{name}-{version}-{release}.{ARCHITECTURE}.rpm\"/>\n  <format>\n    \
                 <rpm:license>Various</rpm:license>\n    <rpm:vendor>Lab</rpm:vendor>\n    \
                 <rpm:group>Unspecified</rpm:group>\n    \
                 <rpm:buildhost>lab.example.org</rpm:buildhost>\n    \
                 <rpm:sourcerpm>{name}-{version}-{release}.src.rpm</rpm:sourcerpm>\n    \
                 <rpm:header-range start=\"4504\" end=\"{}\"/>\n",
                package.chance(0),
                escape(package.summary),
                description.join(".\n"),
                escape(package.homepage),
                package.size,
                package.kibibytes * 1024,
                package.kibibytes * 1024 + 512,
                4504 + 80 * self.files(package).len(),
            )?;
            text.push_str("    <rpm:provides>\n");
            for provided in [name.clone(), format!("{name}(x86-64)")] {
                writeln!(
                    text,
                    "      <rpm:entry name=\"{provided}\" flags=\"EQ\" epoch=\"{epoch}\" \
                     ver=\"{version}\" rel=\"{release}\"/>"
                )?;
            }
            text.push_str("    </rpm:provides>\n    <rpm:requires>\n");
            for need in &package.needs {
                writeln!(text, "      <rpm:entry name=\"{}\"/>", escape(need))?;
            }
            text.push_str("    </rpm:requires>\n");
            // Only the files that other packages may need.
            for file in self.files(package).iter().filter(|file| file.contains("bin/")) {
                writeln!(text, "    <file>{file}</file>")?;
            }
            text.push_str("  </format>\n</package>\n");
        }
        text.push_str("</metadata>\n");
        Ok(text)
    }

    /// `filelists.xml`.
    fn file_lists(&self) -> Result<String> {
        let mut text = format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<filelists xmlns=\"{NAMESPACE}/filelists\" \
             packages=\"{}\">\n",
            self.packages.len()
        );
        for package in &self.packages {
            let (epoch, version, release) = package.parts();
            writeln!(
                text,
                "<package pkgid=\"{}\" name=\"{}\" arch=\"{ARCHITECTURE}\">\n  \
                 <version epoch=\"{epoch}\" ver=\"{}\" rel=\"{}\"/>",
                package.chance(0),
                escape(package.name),
                escape(&version),
                escape(&release),
            )?;
            for file in self.files(package) {
                writeln!(text, "  <file>{file}</file>")?;
            }
            text.push_str("</package>\n");
        }
        text.push_str("</filelists>\n");
        Ok(text)
    }

    /// The files of a package, as XML takes them.
    fn files(&self, package: &Package<'_>) -> Vec<String> {
        let (fewest, most) = FILES;
        let count = (package.kibibytes / FILE).clamp(fewest, most);
        let name = escape(package.name);
        let mut files =
            vec![format!("/usr/bin/{name}"), format!("/usr/share/licenses/{name}/COPYING")];
        for number in 1..=count {
            let chance = package.chance(number);
            let (folder, rest) = chance.split_at(2);
            let pick = |part: usize, among: &[&'a str]| {
                let digits = rest.get(part * 8..part * 8 + 8).unwrap_or_default();
                let number = usize::from_str_radix(digits, 16).unwrap_or_default();
                among.get(number.checked_rem(among.len()).unwrap_or(0)).copied().unwrap_or_default()
            };
            files.push(if number.is_multiple_of(BUILD_IDS) {
                format!("/usr/lib/.build-id/{folder}/{}", rest.get(..38).unwrap_or(rest))
            } else {
                let (first, second) = (pick(0, &self.words), pick(1, &self.words));
                format!("/usr/share/{name}/{first}/{second}{}", pick(2, &ENDINGS))
            });
        }
        files
    }
}

/// A text as XML takes it, between tags or in quotes.
fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stanza_becomes_a_package() {
        let package = Package::parse(
            "Package: a\nVersion: 1:2-rc-3\nInstalled-Size: 48\nSize: 7\n\
             Depends: b (>= 1), c:any | d, e\nDescription: some <thing>\n",
        )
        .unwrap();
        assert_eq!(package.needs, ["b", "c", "e"]);
        assert_eq!(package.parts(), ("1", "2.rc".to_owned(), "3.el9".to_owned()));
        assert_eq!(escape(package.summary), "some &lt;thing&gt;");
        assert!(Package::parse("Package: a\n").is_none());
    }
}
