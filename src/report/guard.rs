//! A reader that lets only bounded text through.
//!
//! `serde_json` does not check the encoding of what it skips, keeps a byte for each open bracket in it and all of a
//! string, and reads as long as there is input. So encoding, nesting and sizes are checked here, before it sees the
//! bytes.

use std::io::{self, Read};
use std::str;

use super::{BinaryKind, DEPTH_LIMIT, SIZE_LIMIT, TEXT_LIMIT};

/// How much is read at first: enough to see what kind of file it is, and to refuse deep nesting before
/// the parser meets another, less telling error.
const START_LENGTH: u64 = 4096;

/// What the guard refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// More bytes than the limit.
    TooLarge,
    /// More open brackets than the limit.
    TooDeep,
    /// A longer string than the limit.
    LongText,
    /// Bytes that are not UTF-8.
    NotText { offset: u64, kind: BinaryKind },
}

/// A reader of checked bytes, without a leading byte order mark.
pub(super) struct Guard<R> {
    inner: io::Chain<io::Cursor<Vec<u8>>, R>,
    kind: BinaryKind,
    offset: u64,
    /// The beginning of a character whose end has not been read yet.
    partial: Vec<u8>,
    lexer: Lexer,
    blank: bool,
    fault: Option<Fault>,
}

/// As much of JSON's syntax as it takes to count brackets.
#[derive(Debug, Default)]
struct Lexer {
    in_string: bool,
    escaped: bool,
    /// Bytes of the string so far.
    length: usize,
    depth: usize,
}

impl<R: Read> Guard<R> {
    pub(super) fn new(mut reader: R) -> io::Result<Self> {
        let mut start = Vec::new();
        reader.by_ref().take(START_LENGTH).read_to_end(&mut start)?;
        let kind = match start.as_slice() {
            [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => BinaryKind::Utf16,
            [0x1f, 0x8b, ..] => BinaryKind::Gzip,
            [0x28, 0xb5, 0x2f, 0xfd, ..] => BinaryKind::Zstandard,
            _ => BinaryKind::Other,
        };
        if start.starts_with(b"\xef\xbb\xbf") {
            start.drain(..3);
        }
        Ok(Self {
            inner: io::Cursor::new(start).chain(reader),
            kind,
            offset: 0,
            partial: Vec::new(),
            lexer: Lexer::default(),
            blank: true,
            fault: None,
        })
    }

    /// Why reading was stopped, if the guard did it.
    pub(super) fn fault(&self) -> Option<Fault> {
        self.fault
    }

    /// Whether there has been nothing but white space.
    pub(super) fn is_blank(&self) -> bool {
        self.blank
    }

    fn check(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        self.check_encoding(bytes)?;
        self.offset += bytes.len() as u64;
        if self.offset > SIZE_LIMIT {
            return Err(Fault::TooLarge);
        }
        self.blank = self.blank && bytes.iter().all(u8::is_ascii_whitespace);
        self.lexer.advance(bytes)
    }

    fn check_encoding(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        let not_text = |offset| Fault::NotText { offset, kind: self.kind };
        let mut position = 0;
        while !self.partial.is_empty() {
            let Some(byte) = bytes.get(position) else { return Ok(()) };
            position += 1;
            self.partial.push(*byte);
            match str::from_utf8(&self.partial) {
                Ok(_) => self.partial.clear(),
                Err(error) if error.error_len().is_none() => {}
                Err(_) => {
                    // The character began before these bytes, of which `position` were added to it.
                    let began = self.partial.len() - position;
                    return Err(not_text(self.offset - began as u64));
                }
            }
        }
        let rest = bytes.get(position..).unwrap_or_default();
        if let Err(error) = str::from_utf8(rest) {
            let valid = error.valid_up_to();
            if error.error_len().is_some() {
                return Err(not_text(self.offset + (position + valid) as u64));
            }
            self.partial.extend_from_slice(rest.get(valid..).unwrap_or_default());
        }
        Ok(())
    }
}

impl Lexer {
    fn advance(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        for byte in bytes {
            if self.in_string {
                self.length += 1;
                if self.length > TEXT_LIMIT {
                    return Err(Fault::LongText);
                }
                match byte {
                    _ if self.escaped => self.escaped = false,
                    b'\\' => self.escaped = true,
                    b'"' => self.in_string = false,
                    _ => {}
                }
            } else {
                match byte {
                    b'"' => {
                        self.in_string = true;
                        self.length = 0;
                    }
                    b'[' | b'{' => {
                        self.depth += 1;
                        if self.depth > DEPTH_LIMIT {
                            return Err(Fault::TooDeep);
                        }
                    }
                    b']' | b'}' => self.depth = self.depth.saturating_sub(1),
                    _ => {}
                }
            }
        }
        Ok(())
    }
}

impl<R: Read> Read for Guard<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.fault.is_some() {
            return Err(io::Error::other("refused"));
        }
        let count = self.inner.read(buffer)?;
        let bytes = buffer.get(..count).unwrap_or_default();
        if let Err(fault) = self.check(bytes) {
            self.fault = Some(fault);
            return Err(io::Error::other("refused"));
        }
        Ok(count)
    }
}
