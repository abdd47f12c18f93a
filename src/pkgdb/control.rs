//! The syntax that dpkg and apt share: stanzas of `Field: value` lines (deb822(5), Debian Policy 5.1).
//!
//! Only the syntax is here, on borrowed bytes: values keep their line breaks and may be in any encoding,
//! since descriptions written before UTF-8 was the rule are still installed. What is not obvious:
//!
//! * Field names are compared without regard to case.
//! * A line that begins with a space or a tab continues the field before it.
//! * A line of nothing but white space ends a stanza, as an empty one does.
//! * Lines that begin with `#` are comments, also within a value.

use crate::package::Excerpt;

/// Maximum number of fields in one stanza; dpkg and apt together know under a hundred.
const FIELD_LIMIT: usize = 1000;

/// One field of a stanza.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Field<'a> {
    /// The name as written.
    pub name: &'a [u8],
    /// The number of its first line, from 1.
    pub line: usize,
    /// What follows the colon on the first line, trimmed.
    pub first: &'a [u8],
    /// Where the line after the first one begins.
    after_first: usize,
    /// All lines after the first one, with comments and line ends.
    rest: &'a [u8],
}

impl<'a> Field<'a> {
    /// The lines that continue the first one, as written but without their line ends.
    pub fn continuation(&self) -> impl Iterator<Item = &'a [u8]> {
        let text = self.rest.strip_suffix(b"\n").unwrap_or(self.rest);
        text.split(|&byte| byte == b'\n')
            .map(without_return)
            .filter(|line| line.starts_with(b" ") || line.starts_with(b"\t"))
    }
}

/// Fields that belong together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stanza<'a> {
    /// The fields in their order; never empty.
    pub fields: Vec<Field<'a>>,
}

impl<'a> Stanza<'a> {
    /// The number of the stanza's first line, from 1.
    pub fn line(&self) -> usize {
        self.fields.first().map_or(0, |field| field.line)
    }

    /// The field of this name; the last one if there are several.
    pub fn field(&self, name: &str) -> Option<&Field<'a>> {
        self.fields.iter().rev().find(|field| field.name.eq_ignore_ascii_case(name.as_bytes()))
    }
}

/// Why bytes are not stanzas.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ControlError {
    /// A line that is neither a field nor the continuation of one.
    #[error("line {line} is not a field: {text}")]
    NotAField {
        /// The number of the line, from 1.
        line: usize,
        /// The line.
        text: Excerpt,
    },
    /// A stanza with more than a thousand fields.
    #[error("the stanza that ends at line {line} has more than {FIELD_LIMIT} fields")]
    TooManyFields {
        /// The number of the first line too many, from 1.
        line: usize,
    },
}

/// Splits `bytes` into stanzas, one at a time. After an error nothing more comes.
pub fn stanzas(bytes: &[u8]) -> impl Iterator<Item = Result<Stanza<'_>, ControlError>> {
    let mut reader = Reader { bytes, offset: 0, line: 0, failed: false };
    std::iter::from_fn(move || {
        if reader.failed {
            return None;
        }
        let stanza = reader.stanza();
        reader.failed = stanza.is_err();
        stanza.map(|fields| (!fields.is_empty()).then_some(Stanza { fields })).transpose()
    })
}

struct Reader<'a> {
    bytes: &'a [u8],
    /// Where the next line begins.
    offset: usize,
    /// The number of the last line, from 1.
    line: usize,
    failed: bool,
}

impl<'a> Reader<'a> {
    /// The next line without its end.
    fn next_line(&mut self) -> Option<&'a [u8]> {
        let rest = self.bytes.get(self.offset..).filter(|rest| !rest.is_empty())?;
        let line = rest.split(|&byte| byte == b'\n').next()?;
        self.offset += line.len() + 1;
        self.line += 1;
        Some(without_return(line))
    }

    /// The fields up to the next empty line; none at the end.
    fn stanza(&mut self) -> Result<Vec<Field<'a>>, ControlError> {
        let mut fields: Vec<Field<'a>> = Vec::new();
        while let Some(text) = self.next_line() {
            let line = self.line;
            if text.trim_ascii().is_empty() {
                if fields.is_empty() {
                    continue;
                }
                break;
            }
            if text.starts_with(b"#") {
                continue;
            }
            match (text, fields.last_mut(), split_field(text)) {
                ([b' ' | b'\t', ..], Some(field), _) => {
                    let end = self.offset.min(self.bytes.len());
                    field.rest = self.bytes.get(field.after_first..end).unwrap_or_default();
                }
                (_, _, Some((name, first))) => {
                    if fields.len() >= FIELD_LIMIT {
                        return Err(ControlError::TooManyFields { line });
                    }
                    fields.push(Field { name, line, first, after_first: self.offset, rest: &[] });
                }
                _ => return Err(ControlError::NotAField { line, text: Excerpt::of_bytes(text) }),
            }
        }
        Ok(fields)
    }
}

/// Files that went through Windows still make sense.
fn without_return(line: &[u8]) -> &[u8] {
    line.strip_suffix(b"\r").unwrap_or(line)
}

/// `Name: value` taken apart, if that is what it is.
fn split_field(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let colon = text.iter().position(|&byte| byte == b':')?;
    let (name, value) = (text.get(..colon)?.trim_ascii_end(), text.get(colon + 1..)?);
    let valid = !name.is_empty() && name.iter().all(u8::is_ascii_graphic);
    valid.then_some((name, value.trim_ascii()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn syntax() {
        let text = b"\n\nA: 1\nB:\n x\r\n# no\n \ty z\n\n  \nc : 2\r\n#";
        let parsed: Vec<_> = stanzas(text).collect::<Result<_, _>>().unwrap();
        assert_eq!(parsed.len(), 2);
        assert_eq!((parsed[0].line(), parsed[1].line()), (3, 10));
        assert_eq!(parsed[0].field("a").unwrap().first, b"1");
        assert_eq!(
            parsed[0].field("b").unwrap().continuation().collect::<Vec<_>>(),
            [&b" x"[..], b" \ty z"]
        );
        assert_eq!(parsed[1].field("C").unwrap().first, b"2");
        assert_eq!(parsed[1].field("a"), None);
    }

    #[test]
    fn errors_name_the_line_and_end_it() {
        for text in ["A: 1\nnonsense\n\nB: 2\n", "A: 1\n: x\nB: 2", "A: 1\na b: x"] {
            let parsed: Vec<_> = stanzas(text.as_bytes()).collect();
            assert_eq!(parsed.len(), 1, "{text}");
            assert!(matches!(parsed[0], Err(ControlError::NotAField { line: 2, .. })), "{text}");
        }
        assert!(stanzas(b" x").next().unwrap().is_err());
        assert!(stanzas(b"").next().is_none());
    }

    #[test]
    fn fields_have_a_limit() {
        let many = "A: 1\n".repeat(FIELD_LIMIT);
        assert_eq!(stanzas(many.as_bytes()).next().unwrap().unwrap().fields.len(), FIELD_LIMIT);
        let more = format!("{many}\n\n{many}A: 1\n");
        assert_eq!(
            stanzas(more.as_bytes()).nth(1),
            Some(Err(ControlError::TooManyFields { line: 2 * FIELD_LIMIT + 3 }))
        );
    }
}
