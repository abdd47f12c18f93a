//! The build file: a patch Dockerfile, of comments, directives and `ARG` lines, or any other Dockerfile, which another
//! frontend builds and of which we read only the stages and the arguments' names.
//!
//! The grammar is the Dockerfile's (reference, sections «Format», «Parser directives», «ARG»):
//! instructions may span lines, words may be quoted, a default may use earlier arguments as
//! `$NAME`, `${NAME}`, `${NAME:-other}` or `${NAME:+other}`.

use std::collections::{BTreeMap, BTreeSet};

/// A build file as it was written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BuildFile {
    /// The `ARG`s in their order, those before the first other instruction.
    pub arguments: Vec<Argument>,
    /// The image that `# syntax=` names.
    pub syntax: Option<String>,
    /// What `# check=` says.
    pub check: Option<String>,
    /// What else there is.
    pub content: Content,
}

/// What a build file has besides comments and `ARG` lines.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Content {
    /// Nothing: it is a patch Dockerfile.
    #[default]
    Options,
    /// Stages: it is a Dockerfile that builds an image.
    Dockerfile(Dockerfile),
    /// What neither of them begins with.
    Other {
        /// The instruction's name in upper case.
        instruction: String,
        /// Where it stands, from 1.
        line: usize,
    },
}

/// A Dockerfile that builds an image.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Dockerfile {
    /// The names of its stages in lower case, in their order; a stage without one has its number.
    pub stages: Vec<String>,
    /// Every argument that it declares anywhere.
    pub declared: BTreeSet<String>,
}

/// One argument that an `ARG` line declares.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Argument {
    /// Its name.
    pub name: String,
    /// Its default as written, quotes and variables included.
    pub default: Option<String>,
    /// Where the `ARG` stands, from 1.
    pub line: usize,
}

/// A line that is not a Dockerfile line.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {problem}")]
pub struct BuildFileError {
    /// From 1.
    pub line: usize,
    /// What is wrong, naming the text.
    pub problem: String,
}

/// Longest build file that is read, in bytes; Dockerfiles are a few kilobytes.
pub const SIZE_LIMIT: u64 = 1 << 20;

/// Values of arguments by name.
pub type Values = BTreeMap<String, String>;

/// A logical line: its first line's number and its text, continuations joined.
type LogicalLine = (usize, String);

impl BuildFile {
    /// Reads a build file; bytes that are not UTF-8 are an error.
    pub fn parse(bytes: &[u8]) -> Result<Self, BuildFileError> {
        let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
        let text = std::str::from_utf8(bytes).map_err(|error| {
            let before = bytes.get(..error.valid_up_to()).unwrap_or_default();
            let line = before.split(|byte| *byte == b'\n').count();
            BuildFileError { line, problem: "not UTF-8 text".to_owned() }
        })?;
        let Directives { escape, syntax, check } = directives(text);
        let mut file = Self { syntax, check, ..Self::default() };
        let lines = logical_lines(text, escape);
        let mut malformed = None;
        for (position, (line, text)) in lines.iter().enumerate() {
            let (keyword, rest) = instruction(text);
            match keyword.as_str() {
                "ARG" => match arguments(rest, *line) {
                    Ok(arguments) => file.arguments.extend(arguments),
                    Err(error) => malformed = malformed.or(Some(error)),
                },
                "FROM" => {
                    let rest = lines.get(position..).unwrap_or_default();
                    let mut dockerfile = Dockerfile::scan(rest);
                    dockerfile.declared.extend(file.arguments.iter().map(|it| it.name.clone()));
                    file.content = Content::Dockerfile(dockerfile);
                    // The frontend that builds it says what is wrong with it.
                    return Ok(file);
                }
                _ => {
                    let rest = lines.get(position..).unwrap_or_default();
                    let is_from = |(_, text): &LogicalLine| instruction(text).0 == "FROM";
                    if rest.iter().any(is_from) {
                        // Its own frontend says what is wrong with it.
                        file.content = Content::Dockerfile(Dockerfile::scan(rest));
                        return Ok(file);
                    }
                    file.content = Content::Other { instruction: keyword, line: *line };
                    break;
                }
            }
        }
        malformed.map_or(Ok(file), Err)
    }

    /// The Dockerfile that this is, if it is one that builds an image.
    pub fn dockerfile(&self) -> Option<&Dockerfile> {
        match &self.content {
            Content::Dockerfile(dockerfile) => Some(dockerfile),
            Content::Options | Content::Other { .. } => None,
        }
    }

    /// The values of all arguments: `given` wins over a default. Also the names that a default
    /// uses.
    ///
    /// A default of a Dockerfile that cannot be expanded here has no value: its grammar is larger than ours.
    pub fn values(&self, given: &Values) -> Result<(Values, BTreeSet<String>), BuildFileError> {
        let mut values = Values::new();
        let mut used = BTreeSet::new();
        for Argument { name, default, line } in &self.arguments {
            let value = match (given.get(name), default) {
                (Some(given), _) => given.clone(),
                (None, None) => continue,
                (None, Some(default)) => match expand(default, &values, &mut used) {
                    Ok(value) => value,
                    Err(_) if self.dockerfile().is_some() => continue,
                    Err(problem) => return Err(BuildFileError { line: *line, problem }),
                },
            };
            values.insert(name.clone(), value);
        }
        Ok((values, used))
    }

    /// The line on which this argument is declared last.
    pub fn line_of(&self, name: &str) -> Option<usize> {
        self.arguments.iter().rev().find(|argument| argument.name == name).map(|found| found.line)
    }
}

impl Dockerfile {
    /// Reads the lines from the first `FROM` on.
    fn scan(lines: &[LogicalLine]) -> Self {
        let mut found = Self::default();
        let mut heredocs: Vec<String> = Vec::new();
        for (_, text) in lines {
            if let Some(end) = heredocs.first() {
                if text == end {
                    heredocs.remove(0);
                }
                continue;
            }
            let (keyword, rest) = instruction(text);
            match keyword.as_str() {
                "FROM" => {
                    let words: Vec<&str> = rest.split_whitespace().collect();
                    let name = match words.as_slice() {
                        [.., word, name] if word.eq_ignore_ascii_case("AS") => {
                            name.to_ascii_lowercase()
                        }
                        _ => found.stages.len().to_string(),
                    };
                    found.stages.push(name);
                }
                "ARG" => {
                    let arguments = rest.split_whitespace();
                    let names = arguments.filter_map(|word| word.split('=').next());
                    found.declared.extend(names.map(ToOwned::to_owned));
                }
                "RUN" | "COPY" | "ADD" => heredocs = heredoc_ends(rest),
                _ => {}
            }
        }
        found
    }
}

/// The name of an instruction in upper case, and what follows it.
fn instruction(line: &str) -> (String, &str) {
    let (keyword, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
    (keyword.to_ascii_uppercase(), rest)
}

/// The lines that end the heredocs which begin in this one (`<<EOF`, `<<-"EOF"`).
fn heredoc_ends(text: &str) -> Vec<String> {
    let starts = text.match_indices("<<");
    starts
        .filter_map(|(start, mark)| {
            let rest = text.get(start + mark.len()..)?;
            let rest = rest.strip_prefix('-').unwrap_or(rest).trim_start_matches(['"', '\'']);
            let end = rest.find(|next: char| !(next.is_ascii_alphanumeric() || next == '_'));
            let name = rest.get(..end.unwrap_or(rest.len()))?;
            (!name.is_empty()).then(|| name.to_owned())
        })
        .collect()
}

/// The arguments that an `ARG` declares.
fn arguments(text: &str, line: usize) -> Result<Vec<Argument>, BuildFileError> {
    let words = words(text).map_err(|problem| BuildFileError { line, problem })?;
    words.iter().map(|word| argument(word, line)).collect()
}

/// What the directives at the top say.
struct Directives {
    /// The character that continues a line and quotes the next one.
    escape: char,
    syntax: Option<String>,
    check: Option<String>,
}

/// Only the directives' table of the Dockerfile reference is meant here, so the first line that is not a directive ends
/// the scan.
fn directives(text: &str) -> Directives {
    let mut found = Directives { escape: '\\', syntax: None, check: None };
    for line in text.lines() {
        let Some((name, value)) =
            line.trim_start().strip_prefix('#').and_then(|directive| directive.split_once('='))
        else {
            break;
        };
        let value = value.trim();
        match name.trim().to_ascii_lowercase().as_str() {
            "escape" if value == "`" => found.escape = '`',
            "escape" => {}
            "syntax" => found.syntax = value.split_whitespace().next().map(ToOwned::to_owned),
            "check" => found.check = Some(value.to_owned()),
            _ => break,
        }
    }
    found
}

fn logical_lines(text: &str, escape: char) -> Vec<LogicalLine> {
    let mut lines = Vec::new();
    let mut open: Option<LogicalLine> = None;
    for (number, line) in (1..).zip(text.lines()) {
        let trimmed = line.trim();
        // Comments and empty lines inside a continued instruction are dropped.
        if trimmed.is_empty() || trimmed.starts_with('#') {
            continue;
        }
        let (part, continued) = match trimmed.strip_suffix(escape) {
            Some(part) => (part, true),
            None => (trimmed, false),
        };
        let (_, so_far) = open.get_or_insert((number, String::new()));
        so_far.push_str(part);
        // The other quoting character means the same from here on.
        if !continued && let Some((number, text)) = open.take() {
            lines.push((number, normal_escapes(&text, escape)));
        }
    }
    lines.extend(open.map(|(number, text)| (number, normal_escapes(&text, escape))));
    lines
}

fn normal_escapes(text: &str, escape: char) -> String {
    if escape == '\\' {
        return text.to_owned();
    }
    text.replace('\\', "\\\\").replace(escape, "\\")
}

/// The words of an instruction, quotes kept.
fn words(text: &str) -> Result<Vec<String>, String> {
    let mut words = Vec::new();
    let mut word = String::new();
    let mut quote = None;
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        match (quote, character) {
            (None, blank) if blank.is_whitespace() => {
                if !word.is_empty() {
                    words.push(std::mem::take(&mut word));
                }
                continue;
            }
            (None | Some('"'), '\\') => {
                word.push('\\');
                word.extend(characters.next());
                continue;
            }
            (None, '"' | '\'') => quote = Some(character),
            (Some(open), close) if open == close => quote = None,
            _ => {}
        }
        word.push(character);
    }
    if quote.is_some() {
        return Err(format!("a quote is not closed: {text}"));
    }
    if !word.is_empty() {
        words.push(word);
    }
    if words.is_empty() {
        return Err("`ARG` without a name".to_owned());
    }
    Ok(words)
}

fn argument(word: &str, line: usize) -> Result<Argument, BuildFileError> {
    let (name, default) = match word.split_once('=') {
        Some((name, default)) => (name, Some(default.to_owned())),
        None => (word, None),
    };
    if !is_name(name) {
        let problem =
            format!("not the name of an argument: `{name}`; a value with blanks needs quotes");
        return Err(BuildFileError { line, problem });
    }
    Ok(Argument { name: name.to_owned(), default, line })
}

/// Whether this can be an argument's name; the peer's spellings have dashes.
fn is_name(text: &str) -> bool {
    let mut characters = text.chars();
    characters.next().is_some_and(|first| first.is_ascii_alphabetic() || first == '_')
        && characters.all(|other| other.is_ascii_alphanumeric() || other == '_' || other == '-')
}

/// The value of a word: quotes removed, variables replaced.
fn expand(word: &str, values: &Values, used: &mut BTreeSet<String>) -> Result<String, String> {
    let mut text = String::new();
    let mut quote = None;
    let mut rest = word;
    while let Some(character) = rest.chars().next() {
        rest = rest.get(character.len_utf8()..).unwrap_or_default();
        match (quote, character) {
            (Some('\''), '\'') | (Some('"'), '"') => quote = None,
            (Some('\''), other) => text.push(other),
            (None, '\'' | '"') => quote = Some(character),
            (_, '\\') => {
                if let Some(next) = rest.chars().next() {
                    rest = rest.get(next.len_utf8()..).unwrap_or_default();
                    // Between double quotes the backslash quotes only what is special there.
                    if quote.is_some() && !matches!(next, '"' | '$' | '\\') {
                        text.push('\\');
                    }
                    text.push(next);
                }
            }
            (_, '$') => {
                let (value, after) = variable(rest, values, used)?;
                text.push_str(&value);
                rest = after;
            }
            (_, other) => text.push(other),
        }
    }
    Ok(text)
}

/// The value of the variable that `text` begins with, after its `$`, and what follows it.
fn variable<'a>(
    text: &'a str,
    values: &Values,
    used: &mut BTreeSet<String>,
) -> Result<(String, &'a str), String> {
    if let Some(braced) = text.strip_prefix('{') {
        let (inside, after) =
            braced.split_once('}').ok_or_else(|| format!("a brace is not closed: ${text}"))?;
        let (name, modifier) = match inside.split_once(':') {
            Some((name, modifier)) => (name, Some(modifier)),
            None => (inside, None),
        };
        if !is_name(name) {
            return Err(format!("not a variable: ${{{inside}}}"));
        }
        used.insert(name.to_owned());
        let value = values.get(name).filter(|value| !value.is_empty());
        let value = match (modifier.and_then(|text| text.split_at_checked(1)), value) {
            (None, None) if modifier.is_none() => String::new(),
            (None, Some(value)) if modifier.is_none() => value.clone(),
            (Some(("-", _)), Some(value)) => value.clone(),
            (Some(("-", other)), None) | (Some(("+", other)), Some(_)) => {
                expand(other, values, used)?
            }
            (Some(("+", _)), None) => String::new(),
            _ => return Err(format!("not a modifier of a variable: ${{{inside}}}")),
        };
        return Ok((value, after));
    }
    let end = text
        .find(|character: char| !(character.is_ascii_alphanumeric() || character == '_'))
        .unwrap_or(text.len());
    let (name, after) = text.split_at_checked(end).unwrap_or((text, ""));
    if !is_name(name) {
        // A lone `$` is itself.
        return Ok(("$".to_owned(), text));
    }
    used.insert(name.to_owned());
    Ok((values.get(name).cloned().unwrap_or_default(), after))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values_of(text: &str) -> Vec<(String, String)> {
        let file = BuildFile::parse(text.as_bytes()).unwrap();
        file.values(&Values::new()).unwrap().0.into_iter().collect()
    }

    #[test]
    fn defaults_are_read_as_docker_reads_them() {
        for (text, expected) in [
            ("ARG A=1", "1"),
            ("arg A=1", "1"),
            ("# c\n\nARG A=1\n# d", "1"),
            ("ARG \\\n  # inside\n\n  A=1", "1"),
            ("ARG A=\"a b\"", "a b"),
            ("ARG A='a $B'", "a $B"),
            ("ARG A=a\\ b", "a b"),
            ("ARG A=\"x\\\"y\\n\"", "x\"y\\n"),
            ("# escape=`\nARG A=a` b`\n  c", "a bc"),
            ("ARG A=", ""),
            ("ARG A=a$", "a$"),
            ("ARG A=${B:-x}", "x"),
            ("ARG A=${B:+x}", ""),
            ("ARG A=\u{e9}", "\u{e9}"),
            ("\u{feff}ARG A=1\r\n", "1"),
        ] {
            assert_eq!(values_of(text), [("A".to_owned(), expected.to_owned())], "{text}");
        }
    }

    #[test]
    fn a_default_uses_earlier_arguments_and_what_was_given() {
        let file =
            BuildFile::parse(b"ARG TAG=1 NAME\nARG IMAGE=${NAME:-nginx}:$TAG-${TAG:+x}").unwrap();
        let (values, used) = file.values(&Values::new()).unwrap();
        assert_eq!(values["IMAGE"], "nginx:1-x");
        assert_eq!(used.into_iter().collect::<Vec<_>>(), ["NAME", "TAG"]);
        let given = Values::from([("TAG".to_owned(), "2".to_owned())]);
        assert_eq!(file.values(&given).unwrap().0["IMAGE"], "nginx:2-x");
        assert_eq!(file.line_of("IMAGE"), Some(2));
    }

    #[test]
    fn the_first_other_instruction_ends_the_scan() {
        let file = BuildFile::parse(b"ARG A=1\nrun x\nRUN <<E\nARG\nE").unwrap();
        assert_eq!(file.content, Content::Other { instruction: "RUN".to_owned(), line: 2 });
        assert_eq!(file.arguments.len(), 1);
    }

    #[test]
    fn a_dockerfile_tells_its_stages_and_arguments() {
        let text = "# syntax=a:1 x\n# check=error=true\nARG A=${B#x}\nFROM a AS Build\nARG C=1 D\n\
                    RUN <<E cat <<-'F'\nARG G\nE\nFROM b\nF\nFROM --platform=x build\nARG H";
        let file = BuildFile::parse(text.as_bytes()).unwrap();
        let dockerfile = file.dockerfile().unwrap();
        assert_eq!(dockerfile.stages, ["build", "1"]);
        let declared: Vec<&str> = dockerfile.declared.iter().map(String::as_str).collect();
        assert_eq!(declared, ["A", "C", "D", "H"]);
        assert_eq!(
            (file.syntax.as_deref(), file.check.as_deref()),
            (Some("a:1"), Some("error=true"))
        );
        assert!(file.values(&Values::new()).unwrap().0.is_empty());
    }

    #[test]
    fn mistakes_name_their_line() {
        for (text, line) in [("ARG", 1), ("\nARG A=\"x", 2), ("ARG 1=2", 1), ("ARG =2", 1)] {
            assert_eq!(BuildFile::parse(text.as_bytes()).unwrap_err().line, line, "{text}");
        }
        assert_eq!(BuildFile::parse(b"ARG A=1\n\xff").unwrap_err().line, 2);
        for text in ["ARG A=${B", "ARG A=${B:?x}", "ARG A=${-}", "ARG A=${B:}"] {
            let file = BuildFile::parse(text.as_bytes()).unwrap();
            assert!(file.values(&Values::new()).is_err(), "{text}");
        }
    }
}
