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

/// One field of a stanza.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Field<'a> {
    /// The name as written.
    pub name: &'a [u8],
    /// The number of its first line, from 1.
    pub line: usize,
    /// What follows the colon on the first line, trimmed.
    pub first: &'a [u8],
    /// The continuation lines as written, without their line ends.
    pub continuation: Vec<&'a [u8]>,
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

/// A line that is neither a field nor the continuation of one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line} is not a field: {text}")]
pub struct ControlError {
    /// The number of the line, from 1.
    pub line: usize,
    /// The line.
    pub text: Excerpt,
}

/// Splits `bytes` into stanzas, one at a time. After an error nothing more comes.
pub fn stanzas(bytes: &[u8]) -> impl Iterator<Item = Result<Stanza<'_>, ControlError>> {
    let mut lines = bytes.split(|&byte| byte == b'\n').zip(1_usize..).fuse();
    let mut failed = false;
    std::iter::from_fn(move || {
        let mut fields: Vec<Field<'_>> = Vec::new();
        while !failed {
            let Some((text, line)) = lines.next() else { break };
            // Files that went through Windows still make sense.
            let text = text.strip_suffix(b"\r").unwrap_or(text);
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
                ([b' ' | b'\t', ..], Some(field), _) => field.continuation.push(text),
                (_, _, Some((name, first))) => {
                    fields.push(Field { name, line, first, continuation: Vec::new() });
                }
                _ => {
                    failed = true;
                    return Some(Err(ControlError { line, text: Excerpt::of_bytes(text) }));
                }
            }
        }
        (!fields.is_empty()).then_some(Ok(Stanza { fields }))
    })
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
        let text = b"\n\nA: 1\nB:\n x\n# no\n \ty \n\n  \nc : 2\r\n";
        let parsed: Vec<_> = stanzas(text).collect::<Result<_, _>>().unwrap();
        assert_eq!(parsed.len(), 2);
        assert_eq!((parsed[0].line(), parsed[1].line()), (3, 10));
        assert_eq!(parsed[0].field("a").unwrap().first, b"1");
        assert_eq!(parsed[0].field("b").unwrap().continuation, [&b" x"[..], b" \ty "]);
        assert_eq!(parsed[1].field("C").unwrap().first, b"2");
        assert_eq!(parsed[1].field("a"), None);
    }

    #[test]
    fn errors_name_the_line_and_end_it() {
        for text in ["A: 1\nnonsense\n\nB: 2\n", "A: 1\n: x\nB: 2", "A: 1\na b: x"] {
            let parsed: Vec<_> = stanzas(text.as_bytes()).collect();
            assert_eq!(parsed.len(), 1, "{text}");
            assert_eq!(parsed[0].as_ref().unwrap_err().line, 2, "{text}");
        }
        assert!(stanzas(b" x").next().unwrap().is_err());
        assert!(stanzas(b"").next().is_none());
    }
}
