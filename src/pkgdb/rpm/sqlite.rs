//! The sqlite format, as much of it as rpm uses: the table `Packages` of `rpmdb.sqlite`.
//!
//! Written from sqlite's «Database File Format». Numbers have the most significant byte first.
//!
//! * The first hundred bytes describe the file. Page 1 is the root of the schema, a table like every other:
//!   a tree of pages, with the rows on the leaves.
//! * A row is a record: the length of its head, the types of its columns, their values. What is too long
//!   for its page continues in a chain of overflow pages.
//! * `Packages` has the columns `hnum`, which is the row's own number and therefore empty, and `blob`, the
//!   header.
//!
//! We looked at crates: `rusqlite` brings the C library, `sqlite-rs` 0.3 calls itself under development, `sqlite-core`
//! 0.10 a prototype for forensics. We need only one walk of one table.

use super::blob::{Allowance, Blob, Overlap};
use super::integer::ByteOrder::Big;

const MAGIC: &[u8] = b"SQLite format 3\0";
const DESCRIPTION: usize = 100;
const TABLE: &[u8] = b"Packages";

const INNER_PAGE: u8 = 5;
const LEAF_PAGE: u8 = 13;

/// sqlite itself needs this many bytes of a page.
const LEAST_USABLE: usize = 480;

/// Why a sqlite database cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SqliteError {
    /// It ends within its description.
    #[error("the file has only {length} bytes")]
    Short {
        /// How many it has.
        length: usize,
    },
    /// Its page size is invalid.
    #[error("impossible page size: {size}, of which {reserved} reserved")]
    PageSize {
        /// The size.
        size: usize,
        /// How much of a page is reserved.
        reserved: usize,
    },
    /// A page that is referred to is not there.
    #[error("page {page} is missing: the file has {length} bytes")]
    MissingPage {
        /// The number of the page.
        page: usize,
        /// How many bytes the file has.
        length: usize,
    },
    /// A page is not one of a table.
    #[error("page {page} has the unexpected type {kind}")]
    PageType {
        /// The number of the page.
        page: usize,
        /// The number of the type.
        kind: u8,
    },
    /// More pages are referred to than there are.
    #[error("the pages of a table refer to each other in a circle")]
    Circle,
    /// A row is not one.
    #[error("page {page} has a damaged cell {cell}")]
    Cell {
        /// The number of the page.
        page: usize,
        /// The number of the cell on it.
        cell: usize,
    },
    /// It is a database of something else.
    #[error("there is no table `Packages`")]
    NoTable,
    /// Packages overlap.
    #[error(transparent)]
    Overlap(#[from] Overlap),
}

pub(super) fn is_sqlite(bytes: &[u8]) -> bool {
    bytes.starts_with(MAGIC)
}

/// The headers of all packages.
pub(super) fn blobs(bytes: &[u8]) -> Result<Vec<Blob<'_>>, SqliteError> {
    let pages = Pages::of(bytes)?;
    let mut root = None;
    pages.walk(1, |row| {
        root = root.or(table_root(&row));
        Ok(())
    })?;
    let mut allowance = Allowance::of(bytes);
    let mut blobs = Vec::new();
    pages.walk(root.ok_or(SqliteError::NoTable)?, |row| {
        let damaged = SqliteError::Cell { page: row.page, cell: row.cell };
        let Some((start, length)) = header_range(&row) else { return Err(damaged) };
        let mut blob = allowance.blob(length)?;
        blob.add(start);
        let mut next = row.overflow;
        while blob.missing() > 0 {
            let Some(number) = next else { return Err(damaged) };
            let page = pages.page(number)?;
            let (head, content) = page.split_at_checked(4).unwrap_or_default();
            next = Big.size_at(head, 0).filter(|next| *next != 0);
            blob.add(content);
        }
        blobs.push(blob);
        Ok(())
    })?;
    Ok(blobs)
}

/// Where the tree of the table begins, if this row of the schema is about it.
///
/// The columns are type, name, name of the table, root page and SQL.
fn table_root(row: &Row<'_>) -> Option<usize> {
    let mut record = Record::of(row.local)?;
    let (kind, name) = (record.next()?, record.next()?);
    let (_table, root) = (record.next()?, record.next()?);
    let is_it = kind.value == b"table" && name.value == TABLE;
    is_it.then(|| root.number()).flatten()
}

/// The beginning of the header in the row's own page, and its length.
fn header_range<'a>(row: &Row<'a>) -> Option<(&'a [u8], usize)> {
    let mut record = Record::of(row.local)?;
    record.next()?;
    let (kind, _) = varint(record.types)?;
    // Even types from 12 on are blobs; nothing follows this one.
    let length = kind.checked_sub(12).filter(|double| double % 2 == 0)? / 2;
    let length = usize::try_from(length).ok()?;
    let before = row.local.len().checked_sub(record.values.len())?;
    (before.checked_add(length)? == row.length).then_some((record.values, length))
}

/// The pages of a file whose description could be read.
struct Pages<'a> {
    bytes: &'a [u8],
    page_size: usize,
    usable: usize,
}

/// A row as it lies on a leaf.
struct Row<'a> {
    page: usize,
    cell: usize,
    /// How long its record is.
    length: usize,
    /// As much of the record as lies on the leaf.
    local: &'a [u8],
    /// The page where the record continues.
    overflow: Option<usize>,
}

impl<'a> Pages<'a> {
    fn of(bytes: &'a [u8]) -> Result<Self, SqliteError> {
        let Some(description) = bytes.get(..DESCRIPTION) else {
            return Err(SqliteError::Short { length: bytes.len() });
        };
        let size = match Big.two_at(description, 16).unwrap_or(0) {
            // The one size that two bytes cannot hold.
            1 => 65536,
            size => usize::from(size),
        };
        let reserved = usize::from(description.get(20).copied().unwrap_or(0));
        match size.checked_sub(reserved) {
            Some(usable) if usable >= LEAST_USABLE && size.is_power_of_two() => {
                Ok(Self { bytes, page_size: size, usable })
            }
            _ => Err(SqliteError::PageSize { size, reserved }),
        }
    }

    /// A page without what is reserved. The first one has number 1.
    fn page(&self, number: usize) -> Result<&'a [u8], SqliteError> {
        number
            .checked_sub(1)
            .and_then(|index| self.bytes.get(index.checked_mul(self.page_size)?..))
            .and_then(|rest| rest.get(..self.page_size)?.get(..self.usable))
            .ok_or(SqliteError::MissingPage { page: number, length: self.bytes.len() })
    }

    /// Shows `visit` every row of the table whose tree begins at `root`.
    fn walk(
        &self,
        root: usize,
        mut visit: impl FnMut(Row<'a>) -> Result<(), SqliteError>,
    ) -> Result<(), SqliteError> {
        let mut pages_left = self.bytes.len() / self.page_size;
        let mut waiting = vec![root];
        while let Some(number) = waiting.pop() {
            let page = self.page(number)?;
            pages_left = pages_left.checked_sub(1).ok_or(SqliteError::Circle)?;
            let head = if number == 1 { DESCRIPTION } else { 0 };
            let kind = page.get(head).copied().unwrap_or(0);
            let cells = usize::from(Big.two_at(page, head + 3).unwrap_or(0));
            let offsets = match kind {
                LEAF_PAGE => head + 8,
                INNER_PAGE => head + 12,
                _ => return Err(SqliteError::PageType { page: number, kind }),
            };
            for cell in 0..cells {
                let damaged = SqliteError::Cell { page: number, cell };
                let start = Big.two_at(page, offsets + 2 * cell);
                let Some(start) = start.and_then(|start| page.get(usize::from(start)..)) else {
                    return Err(damaged);
                };
                if kind == LEAF_PAGE {
                    visit(self.row(number, cell, start).ok_or(damaged)?)?;
                } else {
                    waiting.push(Big.size_at(start, 0).ok_or(damaged)?);
                }
            }
            if kind == INNER_PAGE {
                waiting.extend(Big.size_at(page, head + 8));
            }
        }
        Ok(())
    }

    /// Reads a cell of a leaf: length of the record, number of the row, the record.
    fn row(&self, page: usize, cell: usize, bytes: &'a [u8]) -> Option<Row<'a>> {
        let (length, rest) = varint(bytes)?;
        let (_number, rest) = varint(rest)?;
        let length = usize::try_from(length).ok()?;
        // «Cell payload overflow pages»: the most that may stay here, and the least.
        let most = self.usable - 35;
        if length <= most {
            return Some(Row { page, cell, length, local: rest.get(..length)?, overflow: None });
        }
        let least = (self.usable - 12) * 32 / 255 - 23;
        let fitting = least + (length - least) % (self.usable - 4);
        let here = if fitting <= most { fitting } else { least };
        let (local, rest) = rest.split_at_checked(here)?;
        Some(Row { page, cell, length, local, overflow: Some(Big.size_at(rest, 0)?) })
    }
}

/// The columns of a record, as far as they lie on the leaf.
struct Record<'a> {
    types: &'a [u8],
    values: &'a [u8],
}

struct Column<'a> {
    kind: u64,
    value: &'a [u8],
}

impl<'a> Record<'a> {
    fn of(record: &'a [u8]) -> Option<Self> {
        let (length, rest) = varint(record)?;
        let (_, values) = record.split_at_checked(usize::try_from(length).ok()?)?;
        let types = rest.get(..rest.len().checked_sub(values.len())?)?;
        Some(Self { types, values })
    }

    fn next(&mut self) -> Option<Column<'a>> {
        let (kind, types) = varint(self.types)?;
        let length = match kind {
            0 | 8 | 9 => 0,
            1..=4 => kind,
            5 => 6,
            6 | 7 => 8,
            10 | 11 => return None,
            _ => (kind - 12) / 2,
        };
        let (value, values) = self.values.split_at_checked(usize::try_from(length).ok()?)?;
        *self = Self { types, values };
        Some(Column { kind, value })
    }
}

impl Column<'_> {
    /// A number that is not negative.
    fn number(&self) -> Option<usize> {
        match self.kind {
            1..=6 => {
                let number =
                    self.value.iter().fold(0, |number, byte| number << 8 | u64::from(*byte));
                usize::try_from(number).ok()
            }
            8 => Some(0),
            9 => Some(1),
            _ => None,
        }
    }
}

/// A number of one to nine bytes: seven bits of each while its highest bit is set, all eight of the ninth.
fn varint(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let mut number = 0;
    for (index, byte) in bytes.iter().enumerate().take(9) {
        if index == 8 {
            return Some((number << 8 | u64::from(*byte), bytes.split_at(index + 1).1));
        }
        number = number << 7 | u64::from(byte & 0x7f);
        if byte & 0x80 == 0 {
            return Some((number, bytes.split_at(index + 1).1));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn varints() {
        for (bytes, number) in [
            (&b"\x00"[..], 0),
            (b"\x7f", 127),
            (b"\x81\x00", 128),
            (b"\xff\x7f", 16383),
            (b"\xff\xff\xff\xff\xff\xff\xff\xff\xff", u64::MAX),
        ] {
            let with_more = [bytes, b"rest"].concat();
            assert_eq!(varint(&with_more), Some((number, &b"rest"[..])));
            assert_eq!(varint(&bytes[..bytes.len() - 1]), None);
        }
    }
}
