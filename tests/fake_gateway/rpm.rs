//! rpm's database out of a text.

use crate::rpm_database::{EPOCH, header, ndb};

/// A database of the packages in a text: paragraphs with a `Name`, an `Architecture` and a `Version`, which has
/// the epoch and the release.
pub(crate) fn database(text: &str) -> Vec<u8> {
    let paragraphs = text.split("\n\n").filter(|paragraph| !paragraph.trim().is_empty());
    let headers = paragraphs.map(|paragraph| {
        let field = |name: &str| {
            let fields = paragraph.lines().filter_map(|line| line.split_once(": "));
            let mut values = fields.filter(|(field, _)| *field == name).map(|(_, value)| value);
            values.next().unwrap_or_else(|| panic!("{paragraph}: no {name}"))
        };
        let version = field("Version");
        let (epoch, version) = version.split_once(':').unwrap_or(("0", version));
        let (version, release) = version.rsplit_once('-').expect("a release");
        let (name, architecture) = (field("Name"), field("Architecture"));
        let epoch = [(EPOCH, epoch)];
        let epoch = if epoch[0].1 == "0" { &epoch[..0] } else { &epoch[..] };
        let tags = [(1000, name), (1001, version), (1002, release), (1022, architecture)];
        header(&[epoch, &tags].concat())
    });
    ndb(&headers.collect::<Vec<_>>())
}
