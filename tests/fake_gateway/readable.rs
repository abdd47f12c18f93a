//! What makes snapshots readable.

use serde_json::Value;

/// The longest JSON value that is shown in one line.
const WIDTH: usize = 100;
/// Hexadecimal digits of a digest that are shown.
const DIGEST: usize = 12;

/// The operations of a graph's text, files of JSON in them with line breaks.
pub(crate) fn operations(text: &str) -> Vec<String> {
    let mut operations: Vec<String> = Vec::new();
    for line in text.lines() {
        let line = line
            .split_once(" {")
            .and_then(|(before, rest)| {
                let value: Value = serde_json::from_str(&format!("{{{rest}")).ok()?;
                let mut shown = format!("{before} ");
                outline(&mut shown, &value, "      ");
                Some(shown)
            })
            .unwrap_or_else(|| line.to_owned());
        match operations.last_mut() {
            Some(operation) if line.starts_with(' ') => {
                operation.push('\n');
                operation.push_str(&line);
            }
            _ => operations.push(line),
        }
    }
    operations
}

/// JSON with line breaks where a value is long, and long texts as they are.
fn outline(text: &mut String, value: &Value, indent: &str) {
    let inside = format!("{indent}  ");
    let compact = value.to_string();
    match value {
        Value::String(content) if content.contains('\n') => {
            text.push_str("text");
            for line in content.lines() {
                text.push_str(format!("\n{inside}| {line}").trim_end());
            }
        }
        Value::Array(items) if compact.len() > WIDTH => {
            text.push('[');
            for item in items {
                text.push_str(&format!("\n{inside}"));
                outline(text, item, &inside);
            }
            text.push_str(&format!("\n{indent}]"));
        }
        Value::Object(fields) if compact.len() > WIDTH => {
            text.push('{');
            for (key, item) in fields {
                text.push_str(&format!("\n{inside}{key}: "));
                outline(text, item, &inside);
            }
            text.push_str(&format!("\n{indent}}}"));
        }
        _ => text.push_str(&compact),
    }
}

/// A snapshot without what would change it for no reason, and without the ends of digests.
pub(crate) fn text(text: &str) -> String {
    const VERSION: &str = env!("CARGO_PKG_VERSION");
    let text = ["SUTURE_VERSION=", "suture.version: \"", "suture.version\": \"", "suture "]
        .iter()
        .fold(text.to_owned(), |text, before| {
            text.replace(&format!("{before}{VERSION}"), &format!("{before}[version]"))
        });
    // Digests, and the keys of notes.
    ["sha256:", "SUTURE_NOTE=", "note: \""].iter().fold(text, |text, mark| shorten(&text, mark))
}

/// The text with only the beginnings of the digests that follow a mark.
fn shorten(text: &str, mark: &str) -> String {
    let mut parts = text.split(mark);
    let mut shortened = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        shortened.push_str(mark);
        let digits = part.bytes().take_while(u8::is_ascii_hexdigit).count();
        if digits == 64 {
            shortened.push_str(&format!("{}…{}", &part[..DIGEST], &part[digits..]));
        } else {
            shortened.push_str(part);
        }
    }
    shortened
}
