//! What all three formats store: one blob of bytes per package, cut into pieces where pages end.

/// Minimum number of bytes of a header: its introduction and an entry of its index.
const SHORTEST: usize = 24;

/// More bytes of blobs than the file has bytes.
///
/// No format compresses or shares, so this is a damaged or a malicious file. It bounds what a reader takes:
/// pages that refer to each other in a circle, or a page that counts a thousand times, end here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("its packages overlap: they have more bytes than the file, {length}")]
pub struct Overlap {
    /// The length of the file.
    pub length: usize,
}

/// One blob: its pieces in order, as they lie in the file.
#[derive(Debug)]
pub(super) struct Blob<'a> {
    pieces: Vec<&'a [u8]>,
    missing: usize,
}

impl<'a> Blob<'a> {
    /// Adds what is still missing from the beginning of `bytes`; the rest does not belong to the blob.
    pub(super) fn add(&mut self, bytes: &'a [u8]) {
        let (piece, _) = bytes.split_at(bytes.len().min(self.missing));
        self.missing -= piece.len();
        self.pieces.push(piece);
    }

    /// How many bytes have not been added yet.
    pub(super) fn missing(&self) -> usize {
        self.missing
    }

    /// Writes the whole blob to `buffer`, replacing its former content.
    pub(super) fn copy_to(&self, buffer: &mut Vec<u8>) {
        buffer.clear();
        for piece in &self.pieces {
            buffer.extend_from_slice(piece);
        }
    }
}

/// Counts the bytes of all blobs of a file.
#[derive(Debug)]
pub(super) struct Allowance {
    length: usize,
    left: usize,
}

impl Allowance {
    pub(super) fn of(file: &[u8]) -> Self {
        Self { length: file.len(), left: file.len() }
    }

    /// A blob of `length` bytes, none of which is there yet. One that is too short for a header counts like the
    /// shortest, or a page could name it for free.
    pub(super) fn blob<'a>(&mut self, length: usize) -> Result<Blob<'a>, Overlap> {
        let error = Overlap { length: self.length };
        self.left = self.left.checked_sub(length.max(SHORTEST)).ok_or(error)?;
        Ok(Blob { pieces: Vec::new(), missing: length })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blobs_of_nothing_count() {
        let mut allowance = Allowance::of(&[0; 100]);
        let found = std::iter::repeat_with(|| allowance.blob(0)).take_while(Result::is_ok).count();
        assert_eq!(found, 100 / SHORTEST);
    }
}
