//! Unsigned integers at a place in bytes.

/// Which byte of a number comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ByteOrder {
    /// The most significant one.
    Big,
    /// The least significant one.
    Little,
}

impl ByteOrder {
    /// The number of two bytes at `offset`, if they are there.
    pub(super) fn two_at(self, bytes: &[u8], offset: usize) -> Option<u16> {
        let field = *bytes.get(offset..)?.first_chunk()?;
        Some(match self {
            Self::Big => u16::from_be_bytes(field),
            Self::Little => u16::from_le_bytes(field),
        })
    }

    /// The number of four bytes at `offset`, if they are there.
    pub(super) fn four_at(self, bytes: &[u8], offset: usize) -> Option<u32> {
        let field = *bytes.get(offset..)?.first_chunk()?;
        Some(match self {
            Self::Big => u32::from_be_bytes(field),
            Self::Little => u32::from_le_bytes(field),
        })
    }

    /// The same as a length or an offset.
    pub(super) fn size_at(self, bytes: &[u8], offset: usize) -> Option<usize> {
        usize::try_from(self.four_at(bytes, offset)?).ok()
    }
}
