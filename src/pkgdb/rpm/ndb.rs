//! rpm's own format «ndb»: the file `Packages.db`.
//!
//! Its only description is rpm's source (`lib/backend/ndb/rpmpkg.c`). All numbers have the least significant byte
//! first; blocks have 16 bytes, pages 4096.
//!
//! * Header, two blocks: `RpmP`, version, generation, number of slot pages, next package index.
//! * Slots, one block each, up to the end of the slot pages: `Slot`, package index, first block, number of
//!   blocks. A slot whose first block is 0 is free.
//! * A package: `BlbS`, package index, time, length; then its header, padding, and as the last twelve bytes
//!   of its last block a checksum, the length again and `BlbE`.
//!
//! Like rpm when it reads, we ignore the checksum (Adler-32).

use super::blob::{Allowance, Blob, Overlap};
use super::integer::ByteOrder::Little;

const MAGIC: &[u8] = b"RpmP";
const SLOT_MAGIC: &[u8] = b"Slot";
const START_MAGIC: &[u8] = b"BlbS";
const END_MAGIC: &[u8] = b"BlbE";

const BLOCK: usize = 16;
const PAGE: usize = 4096;
const HEADER: usize = 2 * BLOCK;
const START: usize = 16;
const END: usize = 12;

/// Why an ndb database cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NdbError {
    /// An unknown version of the format.
    #[error("unknown version {version}")]
    Version {
        /// The version.
        version: u32,
    },
    /// The file is shorter than its slots.
    #[error("the file has {length} bytes, too few for {pages} pages of slots")]
    Truncated {
        /// How many bytes there are.
        length: usize,
        /// How many pages of slots are said to be there.
        pages: usize,
    },
    /// A slot is not one.
    #[error("slot {slot} is damaged")]
    Slot {
        /// Its number.
        slot: usize,
    },
    /// What a slot refers to is not a package.
    #[error("slot {slot} refers to no package at block {block}")]
    Package {
        /// The number of the slot.
        slot: usize,
        /// Where the package should begin.
        block: usize,
    },
    /// Packages overlap.
    #[error(transparent)]
    Overlap(#[from] Overlap),
}

pub(super) fn is_ndb(bytes: &[u8]) -> bool {
    bytes.starts_with(MAGIC)
}

/// The headers of all packages.
pub(super) fn blobs(bytes: &[u8]) -> Result<Vec<Blob<'_>>, NdbError> {
    let version = Little.four_at(bytes, 4).unwrap_or(0);
    if version != 0 {
        return Err(NdbError::Version { version });
    }
    let pages = Little.size_at(bytes, 12).unwrap_or(0);
    let slots = pages
        .checked_mul(PAGE)
        .and_then(|end| bytes.get(HEADER..end))
        .ok_or(NdbError::Truncated { length: bytes.len(), pages })?;
    let mut allowance = Allowance::of(bytes);
    let mut blobs = Vec::new();
    for (slot, number) in slots.chunks_exact(BLOCK).zip(HEADER / BLOCK..) {
        let damaged = NdbError::Slot { slot: number };
        let field = |offset| Little.size_at(slot, offset).ok_or(NdbError::Slot { slot: number });
        if !slot.starts_with(SLOT_MAGIC) {
            return Err(damaged);
        }
        let (index, block, count) = (field(4)?, field(8)?, field(12)?);
        if block == 0 {
            continue;
        }
        if index == 0 {
            return Err(damaged);
        }
        let content =
            content(bytes, index, block, count).ok_or(NdbError::Package { slot: number, block })?;
        let mut blob = allowance.blob(content.len())?;
        blob.add(content);
        blobs.push(blob);
    }
    Ok(blobs)
}

/// The header of the package with this index in these blocks.
fn content(bytes: &[u8], index: usize, block: usize, count: usize) -> Option<&[u8]> {
    let start = block.checked_mul(BLOCK)?;
    let end = start.checked_add(count.checked_mul(BLOCK)?)?;
    let (head, rest) = bytes.get(start..end)?.split_at_checked(START)?;
    let (rest, tail) = rest.split_at_checked(rest.len().checked_sub(END)?)?;
    let length = Little.size_at(head, 12)?;
    let is_sound = head.starts_with(START_MAGIC)
        && Little.size_at(head, 4) == Some(index)
        && Little.size_at(tail, 4) == Some(length)
        && tail.ends_with(END_MAGIC);
    if is_sound { rest.get(..length) } else { None }
}
