//! apt's record of what it installed on its own: `/var/lib/apt/extended_states`.
//!
//! Stanzas with `Package`, `Architecture` and `Auto-Installed`, as apt-mark(8) keeps them. apt writes the native
//! architecture for packages of architecture `all`; when reading, it accepts both.

use std::collections::BTreeSet;
use std::str;

use super::control::stanzas;
use crate::package::{Architecture, PackageName};

/// The packages marked as automatically installed.
///
/// apt skips what it does not understand in this file, and so do we: an unreadable stanza ends the reading, one without
/// a usable name or architecture is left out.
pub fn parse(bytes: &[u8]) -> BTreeSet<(PackageName, Architecture)> {
    let mut automatic = BTreeSet::new();
    for stanza in stanzas(bytes).map_while(Result::ok) {
        let value = |name| str::from_utf8(stanza.field(name)?.first).ok();
        let key = || Some((value("Package")?.parse().ok()?, value("Architecture")?.parse().ok()?));
        if value("Auto-Installed") == Some("1") {
            automatic.extend(key());
        }
    }
    automatic
}

/// `original` byte for byte, followed by stanzas for those packages that it does not mark yet.
///
/// A package marked otherwise in `original` ends up as automatic: for apt one stanza that says so is enough.
pub fn merge(
    original: &[u8],
    automatic: impl IntoIterator<Item = (PackageName, Architecture)>,
) -> Vec<u8> {
    let known = parse(original);
    let new: BTreeSet<_> = automatic.into_iter().filter(|key| !known.contains(key)).collect();
    let mut merged = original.to_vec();
    if !new.is_empty() && !merged.is_empty() {
        if !merged.ends_with(b"\n") {
            merged.push(b'\n');
        }
        if !merged.ends_with(b"\n\n") {
            merged.push(b'\n');
        }
    }
    for (name, architecture) in new {
        let stanza =
            format!("Package: {name}\nArchitecture: {architecture}\nAuto-Installed: 1\n\n");
        merged.extend_from_slice(stanza.as_bytes());
    }
    merged
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(name: &str) -> (PackageName, Architecture) {
        (name.parse().unwrap(), "amd64".parse().unwrap())
    }

    const ORIGINAL: &[u8] = b"Package: a\nArchitecture: amd64\nAuto-Installed: 1\n\n\
        Package: b\nArchitecture: amd64\nAuto-Installed: 0\n\n";

    #[test]
    fn parsed() {
        assert_eq!(parse(ORIGINAL), BTreeSet::from([key("a")]));
        assert_eq!(parse(b"\xff\n"), BTreeSet::new());
        assert_eq!(
            parse(b"Package: --x\nArchitecture: amd64\nAuto-Installed: 1\n"),
            BTreeSet::new()
        );
    }

    #[test]
    fn merged() {
        assert_eq!(merge(ORIGINAL, [key("a")]), ORIGINAL);
        let new = b"Package: b\nArchitecture: amd64\nAuto-Installed: 1\n\n";
        assert_eq!(merge(ORIGINAL, [key("a"), key("b"), key("b")]), [ORIGINAL, new].concat());
        assert_eq!(merge(b"", [key("b")]), new);
        for end in [&b"Auto-Installed: 0"[..], b"Auto-Installed: 0\n", b"Auto-Installed: 0\n\n"] {
            let original = [b"Package: b\nArchitecture: amd64\n", end].concat();
            let merged = merge(&original, [key("b")]);
            assert!(merged.starts_with(&original));
            assert_eq!(parse(&merged), BTreeSet::from([key("b")]));
            assert!(merged.ends_with(&[&b"Auto-Installed: 0\n\n"[..], new].concat()));
        }
    }
}
