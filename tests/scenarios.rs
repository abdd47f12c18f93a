//! Whole builds against a daemon in memory: what a user gives, what the daemon is asked for, and
//! what the user gets. A case is a folder of `tests/scenarios`; its README says what is in one.

#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::string_slice,
    reason = "a test fails by panicking"
)]

mod fake_gateway;
mod rpm_database;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::panic::{AssertUnwindSafe, catch_unwind};

use base64::Engine as _;
use bytes::Bytes;
use serde_json::Value;
use suture::code::Code;
use suture::deliver::Finished;
use suture::failure::Failure;
use suture::frontend;
use suture::gateway::{Excerpt, Ref, Trees, Warning};
use suture::patch::task::path;
use suture::pb;
use suture::request::{Problem, option};

use fake_gateway::{FakeGateway, SNAPSHOTS, Scenario, Step, readable};

/// What came of a build, as the snapshots show it.
#[derive(Debug, PartialEq, Eq)]
struct Played {
    /// What the user gets.
    result: String,
    /// What the daemon was asked for.
    calls: String,
    /// Codes of all failures and warnings.
    codes: BTreeSet<String>,
}

/// Every scenario gives what its snapshots say. `SCENARIO=word` plays those with the word in
/// their name only.
#[test]
fn scenarios_end_as_their_snapshots_say() {
    let word = std::env::var("SCENARIO").unwrap_or_default();
    let mut failed = Vec::new();
    for scenario in Scenario::all().iter().filter(|it| it.name.contains(&word)) {
        let compared = catch_unwind(AssertUnwindSafe(|| {
            let played = play(scenario);
            assert_eq!(played, play(scenario), "the same build twice");
            let mut settings = insta::Settings::clone_current();
            settings.set_snapshot_path(&scenario.folder);
            settings.set_prepend_module_to_snapshot(false);
            settings.set_omit_expression(true);
            settings.bind(|| {
                insta::assert_snapshot!(SNAPSHOTS[0], played.result);
                insta::assert_snapshot!(SNAPSHOTS[1], played.calls);
            });
        }));
        if compared.is_err() {
            failed.push(scenario.name.clone());
        }
    }
    assert!(failed.is_empty(), "scenarios that failed: {failed:?}");
}

/// A code that no scenario shows is a message that nobody has looked at.
#[test]
fn every_code_is_shown_by_a_scenario() {
    let shown: BTreeSet<String> =
        Scenario::all().iter().flat_map(|scenario| play(scenario).codes).collect();
    let missing: Vec<&str> = Code::TABLE
        .iter()
        .map(|(code, _)| code.as_str())
        .filter(|code| !shown.contains(*code))
        .collect();
    assert!(missing.is_empty(), "codes without a scenario: {missing:?}");
}

/// An option that no scenario gives may do anything.
#[test]
fn every_option_is_given_by_a_scenario() {
    let scenarios = Scenario::all();
    let is_given = |name: &str| {
        let keys = [format!("build-arg:{name}"), name.to_owned()];
        scenarios.iter().any(|scenario| {
            let options = &scenario.environment.options;
            keys.iter().any(|key| options.contains_key(key))
        })
    };
    let missing: Vec<&str> = option::TABLE
        .iter()
        .flat_map(|row| [Some(row.name), row.alias.as_ref().map(|alias| alias.name)])
        .flatten()
        .filter(|name| !is_given(name))
        .collect();
    assert!(missing.is_empty(), "options without a scenario: {missing:?}");
}

/// Runs a build and checks what holds for every one.
fn play(scenario: &Scenario) -> Played {
    let gateway = FakeGateway::new(scenario);
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
    let outcome = runtime.block_on(frontend::run(&gateway, &scenario.environment));
    check_steps(scenario, &gateway, &outcome);
    check_warnings(&gateway);
    let mut result = String::new();
    let mut codes = BTreeSet::new();
    for warning in gateway.warnings() {
        codes.insert(warning.short.split(':').next().unwrap_or_default().to_owned());
        show_warning(&mut result, &warning);
    }
    match outcome {
        Ok(finished) => {
            codes.extend(codes_of(&finished.metadata));
            show_finished(&mut result, scenario, &gateway, &finished);
        }
        Err(failure) => {
            check_style(&failure);
            codes.extend(failure.problems.iter().map(|problem| problem.code.to_string()));
            show_failure(&mut result, failure);
        }
    }
    let calls = readable::text(&gateway.calls());
    Played { result: readable::text(&result), calls, codes }
}

/// What holds for the containers of every build.
fn check_steps(
    scenario: &Scenario,
    gateway: &FakeGateway<'_>,
    outcome: &Result<Finished, Failure>,
) {
    let steps = gateway.steps();
    let count = |wanted: Step| steps.values().filter(|step| **step == wanted).count();
    let platforms = scenario.daemon.index.len().max(1);
    assert!(count(Step::Apply) <= platforms, "the image is changed by one container");
    assert!(count(Step::Fetch) <= scenario.fetches.len().max(1), "fetched without need");
    if let Ok(Finished { trees: Trees::Single(Some(tree)), .. }) = outcome {
        let is_used = ["patched", "files", "layer"].contains(&tree.as_str());
        assert!(is_used || count(Step::Apply) == 0, "an upgrade for nothing");
    }
    let operations = gateway.operations();
    for (digest, step) in &steps {
        let Some(pb::op::Op::Exec(exec)) = &operations[digest].op else {
            panic!("a step is a container")
        };
        let meta = exec.meta.as_ref().expect("a process");
        // The task is a file: nothing that a report or an image says is ever an argument.
        let task = format!("{}{}", path::TASK, path::TASK_FILE);
        assert_eq!(meta.args, [path::BINARY, "agent", &task]);
        let names: Vec<&str> =
            meta.env.iter().filter_map(|variable| variable.split('=').next()).collect();
        let known = ["PATH", "SUTURE_VERSION", "SUTURE_FRESHNESS", path::NOTE_VARIABLE];
        assert!(names.iter().all(|name| known.contains(name)), "an image's environment: {names:?}");
        assert_eq!(meta.user, "0:0", "a package manager is root's");
        if *step != Step::Fetch {
            assert_eq!(exec.network(), pb::NetMode::None, "only fetch has a network");
        }
        for mount in &exec.mounts {
            // Elsewhere a mount would leave its mount point in the image.
            let leaves_nothing = mount.dest == "/" || mount.dest.starts_with("/dev/");
            assert!(leaves_nothing, "mounted at {}", mount.dest);
            assert!(mount.dest != "/" || mount.output == 0, "the root is the first output");
        }
    }
}

/// A client shows only warnings that hang on an operation which it has seen.
fn check_warnings(gateway: &FakeGateway<'_>) {
    let operations = gateway.operations();
    for warning in gateway.warnings() {
        let vertex = warning.vertex.as_str();
        assert!(operations.contains_key(vertex), "{} hangs on nothing", warning.short);
    }
}

/// Messages are fragments of one line, so that they can stand in others.
fn check_style(failure: &Failure) {
    let is_nested = failure.problems.is_empty() && failure.engine.is_some();
    assert!(is_nested || !failure.problems.is_empty(), "a failure without a reason");
    for Problem { message, hint, .. } in &failure.problems {
        for text in [Some(message), hint.as_ref()].into_iter().flatten() {
            assert!(!text.is_empty() && !text.contains('\n'), "not one line: {text:?}");
            assert!(!text.ends_with('.'), "a sentence: {text}");
        }
    }
}

fn line(text: &mut String, arguments: std::fmt::Arguments<'_>) {
    // Writing to a string cannot fail.
    let _: std::fmt::Result = writeln!(text, "{arguments}");
}

fn show_warning(text: &mut String, warning: &Warning) {
    line(text, format_args!("warning: {}", warning.short));
    for detail in &warning.detail {
        line(text, format_args!("  detail: {detail}"));
    }
    if let Some(Excerpt { filename, text: file, lines }) = &warning.excerpt {
        show_lines(text, filename, file, *lines);
    }
    line(text, format_args!(""));
}

/// The lines that a client prints below a failure or a warning.
fn show_lines(text: &mut String, filename: &str, file: &[u8], (first, last): (i32, i32)) {
    let file = String::from_utf8_lossy(file);
    let numbered: Vec<(i32, &str)> = (1..).zip(file.lines()).collect();
    let shown = numbered.iter().filter(|(number, _)| (first..=last).contains(number));
    let mut count = 0;
    for (number, content) in shown {
        line(text, format_args!("  {filename}:{number} | {content}"));
        count += 1;
    }
    assert!(count > 0, "lines that {filename} does not have: {first} to {last}");
}

fn show_failure(text: &mut String, failure: Failure) {
    let status = failure.into_status();
    assert_ne!(status.code, 0, "a failure with the code of success");
    line(text, format_args!("failure, code {}", status.code));
    for message in status.message.lines() {
        line(text, format_args!("  {message}"));
    }
    for (kind, value) in &status.details {
        let value: Value = serde_json::from_slice(value).expect("a detail in JSON");
        if kind != "github.com/moby/buildkit/errdefs.Source+json" {
            line(text, format_args!("detail {kind}\n  {value}"));
            continue;
        }
        let info = &value["info"];
        let file = base64::engine::general_purpose::STANDARD
            .decode(info["data"].as_str().expect("a file"))
            .expect("base64");
        let position = |end: &str| {
            let line = value["ranges"][0][end]["line"].as_i64().expect("a line");
            i32::try_from(line).expect("a line")
        };
        line(text, format_args!("excerpt"));
        let filename = info["filename"].as_str().expect("a name");
        show_lines(text, filename, &file, (position("start"), position("end")));
    }
}

fn show_finished(
    text: &mut String,
    scenario: &Scenario,
    gateway: &FakeGateway<'_>,
    finished: &Finished,
) {
    let Finished { trees, metadata } = finished;
    if *trees == Trees::None {
        show_answer(text, metadata);
        return;
    }
    let name =
        |tree: &Option<Ref>| tree.as_ref().map_or_else(String::new, |it| it.as_str().to_owned());
    match trees {
        Trees::None => {}
        Trees::Single(tree) => line(text, format_args!("result: tree `{}`", name(tree))),
        Trees::Index(trees) => {
            line(text, format_args!("result: index"));
            for (platform, tree) in trees {
                line(text, format_args!("  {platform}: tree `{}`", name(tree)));
            }
        }
    }
    let platforms: Value = serde_json::from_slice(&metadata["refs.platforms"]).expect("JSON");
    let only = platforms["Platforms"][0]["ID"].as_str().expect("a platform");
    let config_of = |key: &str| {
        let platform = key.split_once('/').map_or(only, |(_, platform)| platform);
        scenario.config_of(&platform.parse().expect("a platform"))
    };
    for (key, value) in metadata {
        if key.starts_with("containerimage.base.config") {
            let json = |bytes: &[u8]| serde_json::from_slice::<Value>(bytes).expect("JSON");
            assert_eq!(json(value), json(&config_of(key)), "the configuration of the image before");
        } else if !key.starts_with("containerimage.config") && key != SUMMARY {
            line(text, format_args!("  {key} = {}", String::from_utf8_lossy(value)));
        }
    }
    line(text, format_args!("\nsummary"));
    let summary = String::from_utf8_lossy(&metadata[SUMMARY]).into_owned();
    for content in summary.lines() {
        let indent = if content.is_empty() { "" } else { "  " };
        line(text, format_args!("{indent}{content}"));
    }
    for (path, content) in gateway.files().iter().filter(|(path, _)| path != path::TASK_FILE) {
        line(text, format_args!("\n{path}"));
        for content in String::from_utf8_lossy(content).lines() {
            line(text, format_args!("{}", format!("  {content}").trim_end()));
        }
    }
    for (key, config) in metadata {
        let Some(suffix) = key.strip_prefix("containerimage.config") else { continue };
        let old = config_of(key);
        let of = suffix.strip_prefix('/').map_or_else(String::new, |it| format!(" of {it}"));
        if *config == old {
            line(text, format_args!("\nconfiguration{of}: the image's own, byte for byte"));
            continue;
        }
        line(text, format_args!("\nconfiguration{of}, against the image's own"));
        let old: Value = serde_json::from_slice(&old).expect("a configuration");
        let new: Value = serde_json::from_slice(config).expect("a configuration");
        show_changes(text, "", &old, &new);
    }
}

/// The answer to a question.
fn show_answer(text: &mut String, metadata: &BTreeMap<String, Bytes>) {
    for (key, value) in metadata {
        line(text, format_args!("answer {key}"));
        let value = String::from_utf8_lossy(value).into_owned();
        let pretty = match serde_json::from_str::<Value>(&value) {
            Ok(json) if key == "result.json" => serde_json::to_string_pretty(&json).expect("JSON"),
            _ => value,
        };
        for content in pretty.lines() {
            line(text, format_args!("{}", format!("  {content}").trim_end()));
        }
    }
}

/// The codes of an answer's findings.
fn codes_of(metadata: &BTreeMap<String, Bytes>) -> Vec<String> {
    let json =
        metadata.get("result.json").map(|it| serde_json::from_slice::<Value>(it).expect("JSON"));
    let warnings = json.as_ref().and_then(|json| json["warnings"].as_array());
    let names = warnings.into_iter().flatten().filter_map(|it| it["ruleName"].as_str());
    names.map(ToOwned::to_owned).collect()
}

/// What the client prints after a build.
const SUMMARY: &str = "frontend.result.inlinemessage";

/// What is other (`-` before, `+` now), by path.
fn show_changes(text: &mut String, path: &str, old: &Value, new: &Value) {
    match (old, new) {
        (Value::Object(old), Value::Object(new)) => {
            let added = new.keys().filter(|key| !old.contains_key(*key));
            for key in old.keys().chain(added) {
                let path = format!("{path}.{key}");
                show_change(text, &path, old.get(key), new.get(key));
            }
        }
        (Value::Array(old), Value::Array(new)) => {
            for number in 0..old.len().max(new.len()) {
                let path = format!("{path}[{number}]");
                show_change(text, &path, old.get(number), new.get(number));
            }
        }
        _ => show_change(text, path, Some(old), Some(new)),
    }
}

fn show_change(text: &mut String, path: &str, old: Option<&Value>, new: Option<&Value>) {
    let nested = |value: Option<&Value>| value.is_some_and(|it| it.is_object() || it.is_array());
    if let (Some(old), Some(new)) = (old, new)
        && nested(Some(old))
        && nested(Some(new))
    {
        show_changes(text, path, old, new);
    } else if old != new {
        for (sign, value) in [('-', old), ('+', new)] {
            let Some(value) = value else { continue };
            let pretty = serde_json::to_string_pretty(value).expect("JSON");
            let mut lines = pretty.lines();
            line(text, format_args!("{sign} {path}: {}", lines.next().unwrap_or_default()));
            for more in lines {
                line(text, format_args!("{sign}   {more}"));
            }
        }
    }
}
