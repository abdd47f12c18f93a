//! The header of a package: what rpm knows about it, as tagged values.
//!
//! Described in rpm's reference manual, `format_header.md` and `tags.md`. All numbers have the most
//! significant byte first. In a package file a header begins with eight bytes of magic; in a
//! database these are left out:
//!
//! | bytes | what |
//! |---|---|
//! | 4 | number of index entries |
//! | 4 | length of the data |
//! | 16 each | index entries: tag, type, offset in the data, count |
//! | … | the data |
//!
//! Entries that rpm added at installation follow those of the package, so the index is not sorted.

use std::fmt;
use std::str;

use super::integer::ByteOrder::Big;
use crate::package::Excerpt;

const MAGIC: &[u8] = b"\x8e\xad\xe8\x01\0\0\0\0";
const INTRODUCTION: usize = 8;
const ENTRY: usize = 16;

const INT32: u32 = 4;
const STRING: u32 = 6;
const I18N_STRING: u32 = 9;

/// The values we read, named as rpm names them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub enum Tag {
    /// The package's name.
    Name = 1000,
    /// What its author calls the version.
    Version = 1001,
    /// What its distributor adds to that.
    Release = 1002,
    /// A number that outweighs both; most packages have none.
    Epoch = 1003,
    /// Its architecture, or `noarch`.
    Architecture = 1022,
    /// The file name of the source package it was built from.
    SourceRpm = 1044,
}

impl fmt::Display for Tag {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Name => "NAME",
            Self::Version => "VERSION",
            Self::Release => "RELEASE",
            Self::Epoch => "EPOCH",
            Self::Architecture => "ARCH",
            Self::SourceRpm => "SOURCERPM",
        })
    }
}

/// Why bytes are not a header, or not one with this value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HeaderError {
    /// There is not even a beginning.
    #[error("package header has only {length} bytes")]
    Short {
        /// How many there are.
        length: usize,
    },
    /// The numbers at the beginning do not fit the length.
    #[error(
        "package header of {length} bytes cannot have {entries} entries and {data} bytes of data"
    )]
    Length {
        /// How many bytes there are.
        length: usize,
        /// How many entries are said to be there.
        entries: u32,
        /// How many bytes of data are said to be there.
        data: u32,
    },
    /// A value is of a type that its tag never has.
    #[error("package header has a value of type {kind} for {tag}")]
    Type {
        /// The tag.
        tag: Tag,
        /// The number of the type.
        kind: u32,
    },
    /// A value does not lie within the data.
    #[error("package header has its {tag} outside of its data, at {offset}")]
    Outside {
        /// The tag.
        tag: Tag,
        /// Where it is said to be.
        offset: u32,
    },
    /// A text is not UTF-8.
    #[error("package header has a value for {tag} that is not text: {text}")]
    NotText {
        /// The tag.
        tag: Tag,
        /// The bytes.
        text: Excerpt,
    },
}

/// A header as it lies in a database. Values are looked up when they are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header<'a> {
    bytes: &'a [u8],
    index: &'a [u8],
    data: &'a [u8],
}

/// What the index says about one value.
struct Entry {
    kind: u32,
    offset: u32,
}

impl<'a> Header<'a> {
    /// Reads a header with or without its magic.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, HeaderError> {
        let bytes = bytes.strip_prefix(MAGIC).unwrap_or(bytes);
        let length = bytes.len();
        let (Some(entries), Some(data)) = (Big.four_at(bytes, 0), Big.four_at(bytes, 4)) else {
            return Err(HeaderError::Short { length });
        };
        let (_, content) = bytes.split_at(INTRODUCTION);
        let split = usize::try_from(entries)
            .ok()
            .and_then(|entries| content.split_at_checked(entries.checked_mul(ENTRY)?))
            .filter(|(_, rest)| u32::try_from(rest.len()) == Ok(data));
        match split {
            Some((index, data)) => Ok(Self { bytes, index, data }),
            None => Err(HeaderError::Length { length, entries, data }),
        }
    }

    /// The whole header, without its magic.
    pub fn as_bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// A text; the first one if there is one per language.
    pub fn text(&self, tag: Tag) -> Result<Option<&'a str>, HeaderError> {
        let Some(Entry { kind, offset }) = self.entry(tag) else { return Ok(None) };
        if !matches!(kind, STRING | I18N_STRING) {
            return Err(HeaderError::Type { tag, kind });
        }
        let outside = HeaderError::Outside { tag, offset };
        let Some(start) = self.data_from(offset) else { return Err(outside) };
        let Some(end) = start.iter().position(|byte| *byte == 0) else { return Err(outside) };
        let (text, _) = start.split_at(end);
        str::from_utf8(text)
            .map(Some)
            .map_err(|_| HeaderError::NotText { tag, text: Excerpt::of_bytes(text) })
    }

    /// A number.
    pub fn number(&self, tag: Tag) -> Result<Option<u32>, HeaderError> {
        let Some(Entry { kind, offset }) = self.entry(tag) else { return Ok(None) };
        if kind != INT32 {
            return Err(HeaderError::Type { tag, kind });
        }
        let number = self.data_from(offset).and_then(|start| Big.four_at(start, 0));
        number.map(Some).ok_or(HeaderError::Outside { tag, offset })
    }

    fn entry(&self, tag: Tag) -> Option<Entry> {
        let is_it = |entry: &&[u8]| Big.four_at(entry, 0) == Some(tag as u32);
        let entry = self.index.chunks_exact(ENTRY).find(is_it)?;
        Some(Entry { kind: Big.four_at(entry, 4)?, offset: Big.four_at(entry, 8)? })
    }

    fn data_from(&self, offset: u32) -> Option<&'a [u8]> {
        self.data.get(usize::try_from(offset).ok()?..)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A header of these entries: tag, type, offset.
    fn header(entries: &[(u32, u32, u32)], data: &[u8]) -> Vec<u8> {
        let number = |value: usize| u32::try_from(value).unwrap().to_be_bytes();
        let mut bytes = [number(entries.len()), number(data.len())].concat();
        for (tag, kind, offset) in entries {
            bytes.extend([tag, kind, offset, &1].iter().flat_map(|field| field.to_be_bytes()));
        }
        bytes.extend(data);
        bytes
    }

    #[test]
    fn values() {
        let bytes = header(
            &[(63, 7, 0), (1000, 6, 0), (1003, 4, 4), (1044, 9, 8), (1000, 6, 8)],
            b"abc\0\0\0\x01\x02de\0f\0",
        );
        for bytes in [[MAGIC, &bytes].concat(), bytes.clone()] {
            let parsed = Header::parse(&bytes).unwrap();
            assert_eq!(parsed.text(Tag::Name), Ok(Some("abc")));
            assert_eq!(parsed.number(Tag::Epoch), Ok(Some(258)));
            assert_eq!(parsed.text(Tag::SourceRpm), Ok(Some("de")));
            assert_eq!(parsed.text(Tag::Release), Ok(None));
            assert_eq!(parsed.as_bytes().len(), bytes.len() / 16 * 16 + 5);
        }
    }

    #[test]
    fn wrong_lengths() {
        let bytes = header(&[(1000, 6, 0)], b"abc\0");
        for (bytes, message) in [
            (&b""[..], "package header has only 0 bytes"),
            (b"\0\0\0\0\0\0\0", "package header has only 7 bytes"),
            (&bytes[..27], "package header of 27 bytes cannot have 1 entries and 4 bytes of data"),
            (
                b"\xff\xff\xff\xff\xff\xff\xff\xff",
                "package header of 8 bytes cannot have 4294967295 entries and 4294967295 bytes of data",
            ),
        ] {
            assert_eq!(Header::parse(bytes).unwrap_err().to_string(), message);
        }
        assert!(Header::parse(&[&bytes[..], b"x"].concat()).is_err());
    }

    #[test]
    fn wrong_values() {
        let bytes = header(
            &[(1000, 4, 0), (1001, 6, 99), (1002, 6, 2), (1003, 4, 1), (1022, 6, 0)],
            b"\xff\0ab",
        );
        let parsed = Header::parse(&bytes).unwrap();
        for (error, message) in [
            (parsed.text(Tag::Name).err(), "package header has a value of type 4 for NAME"),
            (
                parsed.text(Tag::Version).err(),
                "package header has its VERSION outside of its data, at 99",
            ),
            (
                parsed.text(Tag::Release).err(),
                "package header has its RELEASE outside of its data, at 2",
            ),
            (
                parsed.number(Tag::Epoch).err(),
                "package header has its EPOCH outside of its data, at 1",
            ),
            (
                parsed.text(Tag::Architecture).err(),
                "package header has a value for ARCH that is not text: `\u{fffd}`",
            ),
        ] {
            assert_eq!(error.unwrap().to_string(), message);
        }
    }
}
