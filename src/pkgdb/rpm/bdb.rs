//! Berkeley DB's hash format: the file `Packages`.
//!
//! Written from Berkeley DB's `dbinc/db_page.h`; rpm's read-only reader (`lib/backend/bdb_ro.c`) reads the
//! same. Numbers have the byte order of the machine that made the file; the magic tells which.
//!
//! * Page 0 describes the file. Every other page has a head of 26 bytes: previous and next page, number of
//!   items, type. Pages of no type are free.
//! * Items lie at the end of a hash page, the first one last, each from its own offset to that of the item
//!   before; the offsets follow the head. Keys and values alternate.
//! * A value that is too long for a page lies in a chain of overflow pages; its item says where and how
//!   long.
//!
//! Keys are the numbers of packages; under number 0 rpm keeps the highest one. Where in the hash a package lies does
//! not matter here, so the pages are read one after the other.

use super::blob::{Allowance, Blob, Overlap};
use super::integer::ByteOrder;

const MAGIC: u32 = 0x0006_1561;
const MAGIC_OFFSET: usize = 12;

const HEAD: usize = 26;

const FREE_PAGE: u8 = 0;
const OLD_HASH_PAGE: u8 = 2;
const OVERFLOW_PAGE: u8 = 7;
const HASH_PAGE: u8 = 13;

const INLINE_ITEM: u8 = 1;
const OVERFLOW_ITEM: u8 = 3;

/// Why a Berkeley DB cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BdbError {
    /// Its page size is invalid.
    #[error("impossible page size: {size}")]
    PageSize {
        /// The size.
        size: usize,
    },
    /// Its pages are encrypted.
    #[error("it is encrypted")]
    Encrypted,
    /// A page that is referred to is not there.
    #[error("page {page} is missing: the file has {length} bytes")]
    MissingPage {
        /// The number of the page.
        page: usize,
        /// How many bytes the file has.
        length: usize,
    },
    /// A page is of a type that does not belong there.
    #[error("page {page} has the unexpected type {kind}")]
    PageType {
        /// The number of the page.
        page: usize,
        /// The number of the type.
        kind: u8,
    },
    /// An item is not a key or a value.
    #[error("page {page} has a damaged item {item}")]
    Item {
        /// The number of the page.
        page: usize,
        /// The number of the item.
        item: usize,
    },
    /// A chain of pages ends too early.
    #[error("a value of {length} bytes ends {missing} bytes too early, on page {page}")]
    Chain {
        /// How long the value should be.
        length: usize,
        /// How much of it is not there.
        missing: usize,
        /// The last page.
        page: usize,
    },
    /// Packages overlap.
    #[error(transparent)]
    Overlap(#[from] Overlap),
}

pub(super) fn is_bdb(bytes: &[u8]) -> bool {
    byte_order(bytes).is_some()
}

fn byte_order(bytes: &[u8]) -> Option<ByteOrder> {
    [ByteOrder::Little, ByteOrder::Big]
        .into_iter()
        .find(|order| order.four_at(bytes, MAGIC_OFFSET) == Some(MAGIC))
}

/// The headers of all packages.
pub(super) fn blobs(bytes: &[u8]) -> Result<Vec<Blob<'_>>, BdbError> {
    let pages = Pages::of(bytes)?;
    let mut allowance = Allowance::of(bytes);
    let mut blobs = Vec::new();
    for number in 1..=pages.last {
        let page = pages.page(number)?;
        match page.kind {
            HASH_PAGE | OLD_HASH_PAGE => {}
            FREE_PAGE | OVERFLOW_PAGE => continue,
            kind => return Err(BdbError::PageType { page: number, kind }),
        }
        for item in (0..page.items).step_by(2) {
            // A package's number has four bytes, whichever comes first.
            if page.key(item)?.iter().all(|byte| *byte == 0) {
                continue;
            }
            blobs.push(pages.value(&page, item + 1, &mut allowance)?);
        }
    }
    Ok(blobs)
}

/// The pages of a file whose description could be read.
struct Pages<'a> {
    bytes: &'a [u8],
    order: ByteOrder,
    page_size: usize,
    last: usize,
}

struct Page<'a> {
    number: usize,
    bytes: &'a [u8],
    order: ByteOrder,
    kind: u8,
    items: usize,
}

impl<'a> Pages<'a> {
    fn of(bytes: &'a [u8]) -> Result<Self, BdbError> {
        let missing = BdbError::MissingPage { page: 0, length: bytes.len() };
        let Some(order) = byte_order(bytes) else { return Err(missing) };
        let (Some(page_size), Some(encryption), Some(last)) =
            (order.size_at(bytes, 20), bytes.get(24), order.size_at(bytes, 32))
        else {
            return Err(missing);
        };
        if !(512..=65536).contains(&page_size) || !page_size.is_power_of_two() {
            return Err(BdbError::PageSize { size: page_size });
        }
        if *encryption != 0 {
            return Err(BdbError::Encrypted);
        }
        Ok(Self { bytes, order, page_size, last })
    }

    fn page(&self, number: usize) -> Result<Page<'a>, BdbError> {
        let bytes = number
            .checked_mul(self.page_size)
            .and_then(|start| self.bytes.get(start..)?.get(..self.page_size));
        let page = bytes.and_then(|bytes| {
            let items = usize::from(self.order.two_at(bytes, 20)?);
            let kind = *bytes.get(25)?;
            Some(Page { number, bytes, order: self.order, kind, items })
        });
        page.ok_or(BdbError::MissingPage { page: number, length: self.bytes.len() })
    }

    /// A value, wherever it lies.
    fn value(
        &self,
        page: &Page<'a>,
        item: usize,
        allowance: &mut Allowance,
    ) -> Result<Blob<'a>, BdbError> {
        let damaged = BdbError::Item { page: page.number, item };
        let content = page.item(item)?;
        match content.split_first() {
            Some((&INLINE_ITEM, value)) => {
                let mut blob = allowance.blob(value.len())?;
                blob.add(value);
                Ok(blob)
            }
            Some((&OVERFLOW_ITEM, _)) => {
                let (Some(first), Some(length)) =
                    (self.order.size_at(content, 4), self.order.size_at(content, 8))
                else {
                    return Err(damaged);
                };
                self.chain(first, length, allowance)
            }
            _ => Err(damaged),
        }
    }

    /// A value of `length` bytes in the chain of pages that begins with `first`.
    fn chain(
        &self,
        first: usize,
        length: usize,
        allowance: &mut Allowance,
    ) -> Result<Blob<'a>, BdbError> {
        let mut blob = allowance.blob(length)?;
        let mut number = first;
        while blob.missing() > 0 {
            let page = self.page(number)?;
            if page.kind != OVERFLOW_PAGE {
                return Err(BdbError::PageType { page: number, kind: page.kind });
            }
            let piece = page.overflow().unwrap_or_default();
            blob.add(piece);
            number = match page.next() {
                _ if blob.missing() == 0 => break,
                // A page without content that refers to itself would be read for ever.
                Some(next) if next != 0 && !piece.is_empty() => next,
                _ => {
                    let missing = blob.missing();
                    return Err(BdbError::Chain { length, missing, page: number });
                }
            };
        }
        Ok(blob)
    }
}

impl<'a> Page<'a> {
    fn item(&self, item: usize) -> Result<&'a [u8], BdbError> {
        let offset = |item: usize| {
            let offset = self.order.two_at(self.bytes, HEAD + 2 * item)?;
            Some(usize::from(offset))
        };
        let end = match item.checked_sub(1) {
            None => Some(self.bytes.len()),
            Some(before) => offset(before),
        };
        let range = offset(item).zip(end).filter(|_| item < self.items);
        range
            .and_then(|(start, end)| self.bytes.get(start..end))
            .ok_or(BdbError::Item { page: self.number, item })
    }

    fn key(&self, item: usize) -> Result<&'a [u8], BdbError> {
        match self.item(item)? {
            [INLINE_ITEM, key @ ..] if key.len() == 4 => Ok(key),
            _ => Err(BdbError::Item { page: self.number, item }),
        }
    }

    /// What an overflow page holds; the place of the first free byte counts the bytes there.
    fn overflow(&self) -> Option<&'a [u8]> {
        let length = usize::from(self.order.two_at(self.bytes, 22)?);
        self.bytes.get(HEAD..)?.get(..length)
    }

    fn next(&self) -> Option<usize> {
        self.order.size_at(self.bytes, 16)
    }
}
