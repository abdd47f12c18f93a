//! rpm's database out of a text: paragraphs with a `Name`, an `Architecture` and a `Version`, which has the
//! epoch and the release; a `Source` is the name of the source package's file without its ending.

use suture::pkgdb::rpm::header::Tag;

use crate::rpm_database::{header, ndb};

/// One paragraph, taken apart.
struct Package<'a> {
    name: &'a str,
    epoch: &'a str,
    version: &'a str,
    release: &'a str,
    architecture: &'a str,
    source: Option<String>,
}

fn packages(text: &str) -> impl Iterator<Item = Package<'_>> {
    let paragraphs = text.split("\n\n").filter(|paragraph| !paragraph.trim().is_empty());
    paragraphs.map(|paragraph| {
        let find = |name: &str| {
            let fields = paragraph.lines().filter_map(|line| line.split_once(": "));
            let mut values = fields.filter(|(field, _)| *field == name).map(|(_, value)| value);
            values.next()
        };
        let field = |name: &str| find(name).unwrap_or_else(|| panic!("{paragraph}: no {name}"));
        let version = field("Version");
        let (epoch, version) = version.split_once(':').unwrap_or(("0", version));
        let (version, release) = version.rsplit_once('-').expect("a release");
        Package {
            name: field("Name"),
            epoch,
            version,
            release,
            architecture: field("Architecture"),
            source: find("Source").map(|source| format!("{source}.src.rpm")),
        }
    })
}

/// The database's bytes.
pub(crate) fn database(text: &str) -> Vec<u8> {
    let headers = packages(text).map(|package| {
        let mut tags = vec![
            (Tag::Name, package.name),
            (Tag::Epoch, package.epoch),
            (Tag::Version, package.version),
            (Tag::Release, package.release),
            (Tag::Architecture, package.architecture),
        ];
        tags.extend(package.source.as_ref().map(|source| (Tag::SourceRpm, source.as_str())));
        header(&tags.iter().map(|(tag, value)| (*tag as u32, *value)).collect::<Vec<_>>())
    });
    ndb(&headers.collect::<Vec<_>>())
}

/// What rpm lists of it, in the form that the agent asks for.
pub(crate) fn list(text: &str) -> String {
    let lines = packages(text).map(|package| {
        let Package { name, epoch, version, release, architecture, source } = package;
        let source = source.as_deref().unwrap_or("(none)");
        format!("{name}\t{epoch}\t{version}\t{release}\t{architecture}\t{source}\n")
    });
    lines.collect()
}
