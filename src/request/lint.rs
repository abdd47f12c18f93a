//! What is odd about a request that can be understood (`--call=check`), and where each option was set
//! (`--call=outline`).

use crate::code::Code;

use super::build_file::BuildFile;
use super::environment::Environment;
use super::option::{Key, PREFIX, Row, TABLE};
use super::reader::Reader;
use super::{Origin, Problem, Request, Wanted};

/// An option and its value.
#[derive(Clone, Debug)]
pub struct Setting {
    /// The option.
    pub row: &'static Row,
    /// Its value, given or by default; empty is nothing.
    pub value: String,
    /// Line of the build file, if it is set there.
    pub line: Option<usize>,
}

/// Every option with its value.
pub fn settings(environment: &Environment, build_file: &BuildFile) -> Vec<Setting> {
    let reader = Reader::new(environment, build_file);
    TABLE
        .iter()
        .map(|row| Setting { row, value: reader.text(row.key), line: reader.line(row.key) })
        .collect()
}

/// What is odd about a request, although it can be done.
pub fn odd(environment: &Environment, build_file: &BuildFile, request: &Request) -> Vec<Problem> {
    let reader = Reader::new(environment, build_file);
    let mut found = Vec::new();
    let mut add = |code, message: String, hint: &str, line| {
        found.push(Problem { code, message, hint: Some(hint.to_owned()), line });
    };
    for row in TABLE {
        let spellings = spellings(environment, build_file, row);
        if let [first, second, ..] = spellings.as_slice() {
            let message = format!("`{first}` and `{second}` are the same option: `{first}` counts");
            let line = build_file.line_of(second);
            add(Code::SameOptionTwice, message, "give one of them", line);
        }
    }
    if let Some(Origin::Named(reference)) = &request.origin.general
        && reference.digest().is_none()
    {
        let message = format!(
            "`IMAGE` names a tag, which may be another image tomorrow: {}",
            reference.familiar()
        );
        add(Code::MovingTag, message, "pin it: name:tag@sha256:…", reader.line(Key::Image));
    }
    let is_dockerfile = build_file.dockerfile().is_some();
    let has_reports =
        matches!(&request.wanted, Wanted::Listed { reports, .. } if !reports.is_empty());
    let is_everything = request.wanted == Wanted::Everything;
    let rules = [
        (Key::DockerfileSyntax, !is_dockerfile, "there is no Dockerfile with `FROM`"),
        (Key::ReportFormat, !has_reports, "there is no report"),
        (Key::OnUnmet, is_everything, "without a report and `PACKAGES` nothing is demanded"),
        (Key::LibraryPatchLevel, true, "libraries are not patched yet"),
    ];
    for (key, holds, why) in rules {
        let row = TABLE.iter().find(|row| row.key == key);
        if let Some(row) = row.filter(|_| holds && reader.is_given(key)) {
            let message = format!("`{}` has no effect: {why}", row.name);
            add(Code::NoEffect, message, "leave it out", reader.line(key));
        }
    }
    found
}

/// The spellings by which an option is given, the one that counts first.
fn spellings(environment: &Environment, build_file: &BuildFile, row: &Row) -> Vec<String> {
    let alias = row.alias.as_ref().map(|alias| alias.name.to_owned());
    let names = [Some(format!("{PREFIX}{}", row.name)), Some(row.name.to_owned()), alias];
    let is_given = |name: &String| {
        let is_ours = name.starts_with(PREFIX)
            || build_file.dockerfile().is_none_or(|it| !it.declared.contains(name));
        let in_file = build_file.arguments.iter().any(|argument| {
            argument.name == *name && argument.default.as_deref().is_some_and(|it| !it.is_empty())
        });
        is_ours && (in_file || environment.option(&format!("build-arg:{name}")).is_some())
    };
    names.into_iter().flatten().filter(is_given).collect()
}
