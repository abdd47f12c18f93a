//! `--call`: questions about a build instead of the build.
//!
//! The answers are those of `BuildKit`'s subrequests (`frontend/subrequests`): a result without a tree, whose metadata
//! has `result.json` and `result.txt`.

use std::collections::BTreeMap;

use base64::Engine as _;
use bytes::Bytes;
use serde_json::{Value, json};

use crate::code::Code;
use crate::context::LoadedBuildFile;
use crate::deliver::{Finished, Outcome};
use crate::evidence;
use crate::failure::{self, Failure};
use crate::gateway::{Gateway, Trees};
use crate::package::words_of;
use crate::request::build_file::BuildFile;
use crate::request::environment::Environment;
use crate::request::lint::{self, Setting};
use crate::request::{self, Problem, Target, option};

/// What the client asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Call {
    /// The build itself.
    Build,
    /// Which questions there are.
    Describe,
    /// The options.
    Outline,
    /// What can be built.
    Targets,
    /// What is wrong.
    Check,
    /// What would be done.
    Plan,
}

/// Every question: the name that clients send, the version of the answer's form, and what it is about.
const QUESTIONS: &[(Call, &str, &str, &str)] = &[
    (
        Call::Outline,
        "frontend.outline",
        "1.0.0",
        "the options, with their values and where they are set",
    ),
    (Call::Targets, "frontend.targets", "1.0.0", "what can be built"),
    (
        Call::Check,
        "frontend.lint",
        "1.0.0",
        "what is wrong with the options, the image and the reports",
    ),
    (Call::Plan, "frontend.suture.plan", "1.0.0", "what would be upgraded, and why not the rest"),
    (Call::Describe, "frontend.subrequests.describe", "1.0.0", "these questions"),
];

/// Where the codes are explained.
const CODES_PAGE: &str = "docs/codes.md";

impl Call {
    /// What the client asks for.
    pub fn of(environment: &Environment) -> Result<Self, Failure> {
        let Some(name) = environment.option("requestid") else { return Ok(Self::Build) };
        let known = QUESTIONS.iter().find(|(_, known, ..)| *known == name);
        known.map(|(call, ..)| *call).ok_or_else(|| Failure::of_unknown_call(name))
    }

    /// What a build for the answer has to return, if it is not what the request says.
    pub fn target(self) -> Option<Target> {
        match self {
            Self::Check => Some(Target::Check),
            Self::Plan => Some(Target::Plan),
            Self::Build | Self::Describe | Self::Outline | Self::Targets => None,
        }
    }

    fn version(self) -> &'static str {
        let row = QUESTIONS.iter().find(|(call, ..)| *call == self);
        row.map_or("", |(_, _, version, _)| version)
    }

    fn answer(self, json: &Value, text: String) -> Finished {
        let metadata = BTreeMap::from([
            ("result.json".to_owned(), Bytes::from(json.to_string())),
            ("result.txt".to_owned(), Bytes::from(text)),
            ("version".to_owned(), Bytes::from(self.version())),
        ]);
        Finished { trees: Trees::None, metadata }
    }
}

/// The answer to a question that the options and the build file answer; nothing for one that needs a build.
///
/// The Dockerfile's own frontend answers for a Dockerfile, and ours is added.
pub async fn from_options(
    gateway: &impl Gateway,
    environment: &Environment,
    loaded: &LoadedBuildFile,
    call: Call,
) -> Result<Option<Finished>, Failure> {
    let own = match call {
        Call::Describe => return Ok(Some(describe())),
        Call::Outline => outline(environment, loaded),
        Call::Targets => targets(loaded),
        Call::Build | Call::Check | Call::Plan => return Ok(None),
    };
    let (json, text) = match inner(gateway, environment, &loaded.file).await? {
        Some((inner, inner_text)) => (joined(inner, own.0), format!("{inner_text}\n{}", own.1)),
        None => own,
    };
    Ok(Some(call.answer(&json, text)))
}

/// What the Dockerfile's own frontend answers to the same question.
async fn inner(
    gateway: &impl Gateway,
    environment: &Environment,
    file: &BuildFile,
) -> Result<Option<(Value, String)>, Failure> {
    let Some(mut nested) = request::nested_build(environment, file) else { return Ok(None) };
    let question = environment.option("requestid").unwrap_or_default();
    nested.options.insert("requestid".to_owned(), question.to_owned());
    let built = gateway.build(&nested).await.map_err(Failure::of_nested_error)?;
    let text =
        |key: &str| built.metadata.get(key).map(|it| String::from_utf8_lossy(it).into_owned());
    let json = text("result.json").and_then(|json| serde_json::from_str(&json).ok());
    Ok(Some((json.unwrap_or(Value::Null), text("result.txt").unwrap_or_default())))
}

/// Two answers as one: lists are concatenated, and the first one's sources are those of both.
fn joined(first: Value, second: Value) -> Value {
    let (Value::Object(mut first), Value::Object(second)) = (first, second) else {
        return Value::Null;
    };
    for (key, value) in second {
        match (first.get_mut(&key), value) {
            (Some(Value::Array(list)), Value::Array(more)) if key != "sources" => list.extend(more),
            (Some(known), value) if known.is_null() => *known = value,
            (Some(_), _) => {}
            (None, value) => {
                first.insert(key, value);
            }
        }
    }
    Value::Object(first)
}

fn describe() -> Finished {
    let rows = QUESTIONS.iter().map(|(_, name, version, about)| {
        let metadata = ["result.json", "result.txt"].map(|name| json!({ "name": name }));
        json!({
            "name": name,
            "version": version,
            "type": "rpc",
            "description": about,
            "opts": null,
            "metadata": metadata,
        })
    });
    let lines =
        QUESTIONS.iter().map(|(_, name, version, about)| format!("{name}@{version}  {about}\n"));
    Call::Describe.answer(&Value::Array(rows.collect()), lines.collect())
}

/// The only source of an answer: the build file.
fn sources(loaded: &LoadedBuildFile) -> Vec<String> {
    let text = base64::engine::general_purpose::STANDARD.encode(&loaded.text);
    if loaded.text.is_empty() { Vec::new() } else { vec![text] }
}

/// A line of the build file; a client looks at it even if there is none.
fn location(line: Option<usize>) -> Value {
    let Some(line) = line else { return json!({ "sourceIndex": -1, "ranges": [] }) };
    let position = json!({ "line": line });
    json!({ "sourceIndex": 0, "ranges": [{ "start": position, "end": position }] })
}

fn outline(environment: &Environment, loaded: &LoadedBuildFile) -> (Value, String) {
    let prefix = if loaded.file.dockerfile().is_some() { option::PREFIX } else { "" };
    let mut arguments = Vec::new();
    let mut text = String::new();
    for Setting { row, value, line } in lint::settings(environment, &loaded.file) {
        let name = format!("{prefix}{}", row.name);
        let about = format!("{} ({})", row.help, row.values.describe());
        text.push_str(&format!("{name}={value}\n    {about}\n"));
        let mut argument = json!({ "name": name, "description": about, "value": value });
        if let (Value::Object(fields), Some(line)) = (&mut argument, line) {
            fields.insert("location".to_owned(), location(Some(line)));
        }
        arguments.push(argument);
    }
    let about = "patches a container image with its own package manager";
    let json = json!({
        "name": "suture", "description": about, "args": arguments, "sources": sources(loaded),
    });
    (json, text)
}

fn targets(loaded: &LoadedBuildFile) -> (Value, String) {
    let is_dockerfile = loaded.file.dockerfile().is_some();
    let rows = Target::TABLE.iter().map(|(target, name, about)| {
        let is_default = *target == Target::Image && !is_dockerfile;
        json!({ "name": name, "default": is_default, "description": about })
    });
    let text = Target::TABLE.iter().map(|(_, name, about)| format!("{name}  {about}\n"));
    let json = json!({ "targets": rows.collect::<Vec<_>>(), "sources": sources(loaded) });
    (json, text.collect())
}

/// The answer to [`Call::Plan`].
pub fn plan(outcomes: &[Outcome]) -> Finished {
    let records: Vec<Value> = outcomes.iter().map(|outcome| outcome.record.clone()).collect();
    let summaries: Vec<&str> = outcomes.iter().map(|it| it.image.summary.as_str()).collect();
    let json = serde_json::from_slice(&evidence::join_records(&records)).unwrap_or_default();
    Call::Plan.answer(&json, summaries.join("\n"))
}

/// The answer to [`Call::Check`]: everything that was found, and what the Dockerfile's own frontend has found.
pub async fn check(
    gateway: &impl Gateway,
    environment: &Environment,
    loaded: &LoadedBuildFile,
    findings: &[Problem],
) -> Result<Finished, Failure> {
    let line_of = |finding: &Problem| {
        let (first, _) = failure::excerpt(finding, loaded)?.lines;
        usize::try_from(first).ok()
    };
    let warnings = findings.iter().map(|finding| {
        let code = finding.code.as_str();
        json!({
            "ruleName": code,
            "description": finding.message,
            "url": format!("{CODES_PAGE}#{code}"),
            // The only text of a finding that buildx prints.
            "detail": match &finding.hint {
                Some(hint) => format!("{}; {hint}", finding.message),
                None => finding.message.clone(),
            },
            "location": location(line_of(finding)),
        })
    });
    let text = findings.iter().map(|finding| {
        let line = line_of(finding).map_or_else(String::new, |line| format!(" (line {line})"));
        format!("{}: {}{line}\n", finding.code, finding.message)
    });
    let source = json!({
        "filename": loaded.filename,
        "data": base64::engine::general_purpose::STANDARD.encode(&loaded.text),
        "language": "Dockerfile",
    });
    let sources = if loaded.text.is_empty() { Vec::new() } else { vec![source] };
    let own = json!({ "warnings": warnings.collect::<Vec<_>>(), "sources": sources });
    let (json, text) = match inner(gateway, environment, &loaded.file).await? {
        Some((inner, inner_text)) => {
            (joined(inner, own), format!("{inner_text}{}", text.collect::<String>()))
        }
        None => (own, text.collect()),
    };
    let warnings = json.get("warnings").and_then(Value::as_array);
    let fails = json.get("buildError").is_some_and(|error| !error.is_null());
    let is_clean = warnings.is_none_or(Vec::is_empty) && !fails;
    let mut finished = Call::Check.answer(&json, text);
    let status = if is_clean { "0" } else { "1" };
    finished.metadata.insert("result.statuscode".to_owned(), Bytes::from(status));
    Ok(finished)
}

/// What `# check=` says, as in a Dockerfile (Dockerfile reference, «check»); `BUILDKIT_DOCKERFILE_CHECK` wins.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rules {
    skip: Vec<String>,
    /// Whether a warning fails the build.
    is_error: bool,
}

impl Rules {
    /// The rules of the build file, or of the build argument.
    pub fn of(environment: &Environment, file: &BuildFile) -> Result<Self, Failure> {
        let given = environment.option("build-arg:BUILDKIT_DOCKERFILE_CHECK");
        let mut rules = Self::default();
        for part in given.or(file.check.as_deref()).unwrap_or_default().split(';') {
            match part.split_once('=').map(|(key, value)| (key.trim(), value.trim())) {
                Some(("skip", names)) => {
                    rules.skip =
                        names.split(',').map(|name| name.trim().to_ascii_lowercase()).collect();
                }
                Some(("error", "true" | "1")) => rules.is_error = true,
                Some(("error", "false" | "0")) => {}
                // What is malformed in a Dockerfile is for its own frontend to say.
                _ if part.trim().is_empty() || file.dockerfile().is_some() => {}
                _ => {
                    let message = format!("not a rule of `check`: {}", words_of(part));
                    let hint = "rules are skip=CODE,… and error=true, separated by semicolons";
                    return Err(Failure::new(Code::BuildFile, message, Some(hint)));
                }
            }
        }
        Ok(rules)
    }

    /// Fails the build for warnings, if they count as errors.
    pub fn judge(&self, warnings: Vec<Problem>) -> Result<(), Failure> {
        if self.is_error && !warnings.is_empty() {
            return Err(Failure::of(warnings));
        }
        Ok(())
    }

    /// What is not to be skipped.
    pub fn keep(&self, findings: &[Problem]) -> Vec<Problem> {
        let skips = |finding: &&Problem| {
            self.skip.iter().any(|name| name == "all" || name == finding.code.as_str())
        };
        findings.iter().filter(|finding| !skips(finding)).cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_joined() {
        let inner = json!({ "targets": [{ "name": "a" }], "sources": ["x"], "none": null });
        let own = json!({ "targets": [{ "name": "b" }], "sources": ["y"], "none": 1, "more": 2 });
        let both = joined(inner, own);
        assert_eq!(both["targets"].as_array().map(Vec::len), Some(2));
        assert_eq!(
            (&both["sources"], &both["none"], &both["more"]),
            (&json!(["x"]), &json!(1), &json!(2))
        );
    }

    #[test]
    fn rules_are_read_as_in_a_dockerfile() {
        let file = BuildFile {
            check: Some("skip=end-of-life, x;error=true".to_owned()),
            ..BuildFile::default()
        };
        let none = Environment::from_variables(std::iter::empty());
        let rules = Rules::of(&none, &file).unwrap();
        assert_eq!(
            (rules.skip.as_slice(), rules.is_error),
            (["end-of-life".to_owned(), "x".to_owned()].as_slice(), true)
        );
        let variable = "build-arg:BUILDKIT_DOCKERFILE_CHECK=skip=all".to_owned();
        let given = [("BUILDKIT_FRONTEND_OPT_0".to_owned(), variable)];
        let rules = Rules::of(&Environment::from_variables(given.into_iter()), &file).unwrap();
        assert_eq!((rules.skip.as_slice(), rules.is_error), (["all".to_owned()].as_slice(), false));
    }
}
