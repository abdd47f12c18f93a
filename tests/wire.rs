//! The real process on real pipes: the test is the daemon.
//!
//! What the process does as a whole is tested here, above all how it begins and how it ends. What
//! a build decides has tests of its own, without a process.

#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]
#![expect(unreachable_pub, reason = "nothing of a test can be reached, `pub` only parts its files")]

use std::fs::File;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use base64::Engine as _;
use bytes::Bytes;
use serde_json::{Value, json};
use suture::digest::Digest;
use suture::pb;
use tokio::io::AsyncReadExt as _;
use tonic::Status;

#[path = "wire/daemon.rs"]
mod daemon;
#[allow(
    unreachable_pub,
    unused_qualifications,
    clippy::all,
    clippy::pedantic,
    clippy::restriction,
    reason = "generated code follows its generator's style"
)]
mod generated {
    //! The service's server, as `tests/generated.rs` writes it.
    include!("wire/llb_bridge_server.rs");
}
#[path = "wire/scene.rs"]
mod scene;
#[path = "wire/script.rs"]
mod script;

use daemon::{Frontend, PREFACE};
use scene::{BUILD_FILE, CONFIG, PIECE, REPORT_PIECE, STATUS};
use script::{Call, Reply, Script};

/// The daemon waits for the process's end, so this is the user's time.
const PROMPTLY: Duration = Duration::from_secs(1);

/// Type of the detail that makes clients show lines of the build file.
const SOURCE_DETAIL: &str = "github.com/moby/buildkit/errdefs.Source+json";

fn summary(image: &pb::Result) -> &str {
    std::str::from_utf8(&image.metadata["frontend.result.inlinemessage"]).unwrap()
}

#[tokio::test]
async fn a_build_with_nothing_to_do_gives_the_image_back() {
    let build_file = "ARG IMAGE=debian:sid\nARG REPORT=report.json\n";
    let finding = |fixed| {
        json!({
            "VulnerabilityID": "CVE-2026-1", "PkgName": "libc6",
            "InstalledVersion": "2.41-2", "FixedVersion": fixed,
        })
    };
    let report = json!({
        "SchemaVersion": 2, "ArtifactName": "debian:sid", "ArtifactType": "container_image",
        "Metadata": { "OS": { "Family": "debian", "Name": "sid" } },
        "Results": [{
            "Target": "debian:sid", "Class": "os-pkgs", "Type": "debian",
            "Vulnerabilities": [finding("2.41-1"), finding("2.41-2")],
        }],
    });
    let script = scene::build_file(build_file)
        .meanwhile([scene::image(CONFIG), scene::report(report.to_string().as_bytes())])
        .then(scene::system(STATUS.as_bytes()))
        .then(scene::the_end());
    let ended = Frontend::start(&[]).play(script).await;
    // The pipes are still open.
    assert!(ended.lingered < PROMPTLY, "{:?}", ended.lingered);
    assert_eq!(ended.status.code(), Some(0), "{}", ended.log);

    let image = ended.image();
    // Without a value in it a reference to nothing would not be sent.
    let tree = pb::Ref { id: "image".to_owned(), def: Some(pb::Definition::default()) };
    assert_eq!(image.result, Some(pb::result::Result::Ref(tree)));
    assert_eq!(image.metadata["containerimage.config"], CONFIG);
    assert_eq!(image.metadata["containerimage.base.config"], CONFIG);
    let platforms: Value = serde_json::from_slice(&image.metadata["refs.platforms"]).unwrap();
    let platform = json!({ "architecture": "amd64", "os": "linux" });
    let expected = json!({ "Platforms": [{ "ID": "linux/amd64", "Platform": platform }] });
    assert_eq!(platforms, expected);
    assert!(summary(&image).contains("is unchanged"), "{}", summary(&image));
    assert_eq!(image.metadata.len(), 4, "{:?}", image.metadata.keys());
}

#[tokio::test]
async fn a_mistake_is_answered_once_with_its_line() {
    let build_file = "ARG IMAGE=debian:sid\nARG REPROT=report.json\n";
    let script = scene::build_file(build_file).then(scene::the_end());
    let ended = Frontend::start(&[]).play(script).await;
    assert!(ended.lingered < PROMPTLY, "{:?}", ended.lingered);

    let error = ended.error();
    assert_eq!(error.code, 2, "clients print any other code in front of the message");
    let first = error.message.lines().next().unwrap();
    assert!(first.contains("REPROT") && first.ends_with("[unknown-option]"), "{first}");
    let [detail] = &error.details[..] else { panic!("{:?}", error.details) };
    assert_eq!(detail.type_url, SOURCE_DETAIL);
    let detail: Value = serde_json::from_slice(&detail.value).unwrap();
    let data = base64::engine::general_purpose::STANDARD.encode(build_file);
    let info = json!({ "filename": "Dockerfile", "data": data, "language": "Dockerfile" });
    assert_eq!(detail["info"], info);
    assert_eq!(detail["ranges"], json!([{ "start": { "line": 2 }, "end": { "line": 2 } }]));
}

#[tokio::test]
async fn an_unknown_question_is_declined() {
    let script =
        Script::default().expect(Call::Ping, scene::daemon_without(&[])).then(scene::the_end());
    let ended = Frontend::start(&[("requestid", "frontend.convertllb")]).play(script).await;
    let error = ended.error();
    assert_eq!(error.message, "unsupported request frontend.convertllb");
    let [detail] = &error.details[..] else { panic!("{:?}", error.details) };
    assert_eq!(detail.type_url, "github.com/moby/buildkit/errdefs.Subrequest+json");
}

#[tokio::test]
async fn a_defect_is_answered_like_any_failure() {
    // There is no room for such a stack, so the thread that reads the report cannot be started,
    // and starting it panics.
    let stack = ("RUST_MIN_STACK", "4611686018427387904");
    let build_file = "ARG IMAGE=debian:sid\nARG REPORT=report.json\n";
    let script = scene::build_file(build_file)
        .meanwhile([scene::image(CONFIG), scene::report_found(1)])
        .then(scene::the_end());
    let ended = Frontend::start_with(&[], &[stack]).play(script).await;
    assert_eq!(ended.status.code(), Some(0), "{}", ended.log);
    let message = ended.error().message;
    assert!(message.lines().next().unwrap().ends_with("[bug]"), "{message}");
}

/// Fills up with something that means nothing in the file.
fn fill(file: &mut String, filler: char, length: usize) {
    file.extend(std::iter::repeat_n(filler, length - file.len()));
}

/// Fails unless both demands were found to be met, which a lost byte would prevent.
fn assert_both_met(image: &pb::Result) {
    let summary = summary(image);
    assert!(summary.contains("\n2 ") && !summary.contains("not installed"), "{summary}");
}

#[tokio::test]
async fn a_database_larger_than_any_message_arrives_whole() {
    // Each piece ends within the name of a package.
    let mut status = STATUS.to_owned();
    for name in ["first", "second"] {
        status.push('#');
        let end = status.len().next_multiple_of(PIECE);
        fill(&mut status, ' ', end - "\n\nPackage: fi".len());
        status.push_str(&format!("\n\n{}", STATUS.replace("libc6", name)));
    }
    status.push('#');
    fill(&mut status, ' ', 20 << 20);
    let build_file = "ARG IMAGE=debian:sid\nARG PACKAGES=first=1,second=1\n";
    let script = scene::build_file(build_file)
        .then(scene::image(CONFIG))
        .then(scene::system(status.as_bytes()))
        .then(scene::the_end());
    let image = Frontend::start(&[]).play(script).await.image();
    assert_both_met(&image);
}

#[tokio::test]
async fn a_report_in_pieces_arrives_whole() {
    let mut report = r#"{"SchemaVersion":2,"ArtifactName":"x","ArtifactType":"container_image",
        "Metadata":{},"Results":[{"Class":"os-pkgs","Type":"debian","Vulnerabilities":["#
        .to_owned();
    for piece in [1, 2] {
        let finding = json!({
            "PkgName": "libc6", "VulnerabilityID": format!("CVE-2026-{piece}"),
            "InstalledVersion": "2.41-2", "FixedVersion": "2.41-2",
        });
        // The piece ends within the finding.
        fill(&mut report, ' ', piece * REPORT_PIECE - 20);
        report.push_str(&format!("{finding}{}", if piece == 1 { "," } else { "]}]}" }));
    }
    // Another piece is asked for, which is empty.
    fill(&mut report, ' ', 3 * REPORT_PIECE);
    let script = scene::build_file("ARG IMAGE=debian:sid\nARG REPORT=report.json\n")
        .meanwhile([scene::image(CONFIG), scene::report(report.as_bytes())])
        .then(scene::system(STATUS.as_bytes()))
        .then(scene::the_end());
    let image = Frontend::start(&[]).play(script).await.image();
    assert_both_met(&image);
}

#[tokio::test]
async fn messages_of_twelve_mebibytes_pass_both_ways() {
    let long = "x".repeat(12 << 20);
    let entry = pb::Stat { path: "x".to_owned(), linkname: long, ..Default::default() };
    let entries = Reply::message(pb::ReadDirResponse { entries: vec![entry] });
    // It is returned twice: as the image's and as the base image's.
    let long = "x".repeat(6 << 20);
    let config = CONFIG.replacen("[]", &format!("[\"{long}\"]"), 1);
    let script = scene::build_file(BUILD_FILE)
        .then(scene::image(config.clone()))
        .then(scene::system_with(STATUS.as_bytes(), entries))
        .then(scene::the_end());
    let image = Frontend::start(&[]).play(script).await.image();
    assert!(image.metadata["containerimage.config"] == config);
}

#[tokio::test]
async fn an_error_of_the_daemon_is_passed_on_whole() {
    let detail = |kind: &str, size| pb::StatusDetail {
        type_url: format!("github.com/moby/buildkit/{kind}+json"),
        value: Bytes::from(format!("{{\"x\":\"{}\"}}", "x".repeat(size))),
    };
    let status = pb::Status {
        code: 13,
        message: "failed to load cache key: 100 % lost, \u{e9}".to_owned(),
        // As headers they are a third longer; hyper takes 16 KiB when it is not told otherwise.
        details: vec![detail("errdefs.Solve", 500_000), detail("stack.Stack", 500_000)],
    };
    let script = scene::build_file(BUILD_FILE)
        .then(scene::image(CONFIG))
        .expect(scene::read("image", "/etc/os-release"), scene::refusal(&status))
        .then(scene::the_end());
    let error = Frontend::start(&[]).play(script).await.error();
    assert_eq!(error.code, 13);
    assert_eq!(error.message, format!("{} [engine]", status.message));
    // Ours comes behind: without it the client would show the `# syntax` line as the culprit.
    let [first, second, line] = &error.details[..] else { panic!("{}", error.details.len()) };
    assert!([first, second] == [&status.details[0], &status.details[1]], "the very same details");
    assert_eq!(line.type_url, SOURCE_DETAIL);
}

#[tokio::test]
async fn when_the_daemon_dies_the_process_ends() {
    let points = [
        ("Ping", Script::default().expect(Call::Ping, Reply::Death)),
        (
            "the first graph",
            Script::default()
                .expect(Call::Ping, scene::daemon_without(&[]))
                .expect(scene::solve("local://dockerfile"), Reply::Death),
        ),
        (
            "reading a file",
            scene::build_file(BUILD_FILE)
                .then(scene::image(CONFIG))
                .expect(scene::read("image", "/etc/os-release"), Reply::Death),
        ),
        (
            "reading a report",
            scene::build_file("ARG IMAGE=debian:sid\nARG REPORT=report.json\n").meanwhile([
                scene::image(CONFIG),
                scene::report_found(REPORT_PIECE + 1)
                    .expect(scene::read_report(0), Reply::bytes(vec![b' '; REPORT_PIECE]))
                    .expect(scene::read_report(1), Reply::Death),
            ]),
        ),
        ("Return", scene::build_file("RUN x").expect(Call::Return, Reply::Death)),
    ];
    for (point, script) in points {
        let ended = Frontend::start(&[]).play(script).await;
        assert!(!ended.status.success(), "{point}");
        assert!(ended.lingered < PROMPTLY, "{point}: {:?}", ended.lingered);
        assert_eq!(ended.log.lines().count(), 1, "{point}: {}", ended.log);
    }
}

#[tokio::test]
async fn the_connection_is_opened_before_the_daemon_says_anything() {
    let mut frontend = Frontend::start(&[]);
    let mut start = vec![0; PREFACE.len() + 9];
    let read = tokio::time::timeout(PROMPTLY, frontend.stdout.read_exact(&mut start)).await;
    read.expect("the daemon waits only a few seconds").unwrap();
    let (preface, frame) = start.split_at(PREFACE.len());
    assert_eq!(preface, PREFACE);
    assert_eq!(frame[3], 4, "the daemon waits for the frame SETTINGS");
    // A daemon that does not go on from there is a dead one.
    let (status, log) = frontend.hang_up().await.expect("the process hangs");
    assert!(!status.success(), "{log}");
}

#[tokio::test]
async fn a_daemon_without_source_metadata_is_asked_the_old_way() {
    let script = Script::default()
        .expect(Call::Ping, scene::daemon_without(&["source.metaresolver"]))
        .then(scene::build_file_after_ping(BUILD_FILE))
        .then(scene::image_from_old_daemon())
        .then(scene::system(STATUS.as_bytes()))
        .then(scene::the_end());
    let image = Frontend::start(&[]).play(script).await.image();
    assert_eq!(image.metadata["containerimage.config"], CONFIG);
}

#[tokio::test]
async fn warnings_hang_on_a_step_that_the_user_sees() {
    let words = "unused-build-argument: build argument `GIT_SHA` is not used";
    let script = scene::build_file(BUILD_FILE)
        .then(scene::image(CONFIG))
        .then(scene::system(STATUS.as_bytes()))
        .expect(Call::Warn(words.to_owned()), Reply::message(pb::WarnResponse {}))
        .then(scene::the_end());
    let ended = Frontend::start(&[("build-arg:GIT_SHA", "1")]).play(script).await;
    let load_build_file = &ended.sent.solved[0].definition.as_ref().unwrap().def[0];
    let [warning] = &ended.sent.warned[..] else { panic!("one warning is expected") };
    assert_eq!(warning.digest, Digest::of(load_build_file).as_str());
    assert_eq!(warning.level, 1);
}

#[tokio::test]
async fn a_daemon_without_warnings_gets_none() {
    let script = Script::default()
        .expect(Call::Ping, scene::daemon_without(&["gateway.warnings"]))
        .then(scene::build_file_after_ping(BUILD_FILE))
        .then(scene::image(CONFIG))
        .then(scene::system(STATUS.as_bytes()))
        .then(scene::the_end());
    let ended = Frontend::start(&[("build-arg:GIT_SHA", "1")]).play(script).await;
    assert_eq!(ended.status.code(), Some(0), "{}", ended.log);
}

#[tokio::test]
async fn what_a_daemon_lacks_is_said_before_it_is_asked_for() {
    let script = Script::default()
        .expect(Call::Ping, scene::daemon_without(&["source.local.followpaths"]))
        .then(scene::the_end());
    let message = Frontend::start(&[]).play(script).await.error().message;
    let sentence = "this BuildKit cannot do what the build needs: source.local.followpaths \
                    [missing-capability]";
    assert_eq!(message.lines().next(), Some(sentence));
}

#[tokio::test]
async fn an_answer_that_the_daemon_refuses_is_a_failure_of_the_process() {
    let refusal = Reply::Refusal(Status::unknown("gateway result is already set"));
    let script = scene::build_file("RUN x").expect(Call::Return, refusal);
    let ended = Frontend::start(&[]).play(script).await;
    assert!(!ended.status.success(), "the daemon must not take the build for done");
    assert!(ended.lingered < PROMPTLY, "{:?}", ended.lingered);
    assert!(ended.log.contains("gateway result is already set"), "{}", ended.log);
}

fn assert_one_line(text: &[u8]) {
    let text = String::from_utf8_lossy(text);
    assert_eq!(text.lines().count(), 1, "{text}");
}

#[test]
fn somebody_who_starts_it_by_hand_is_told_how() {
    let file = File::open(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml")).unwrap();
    let program = env!("CARGO_BIN_EXE_suture");
    let mut closed = Command::new("/bin/sh");
    closed.args(["-c", "exec \"$0\" <&-", program]);
    let mut started = [Command::new(program), Command::new(program), closed];
    started[0].stdin(file);
    started[1].stdin(Stdio::null());
    for command in &mut started {
        let Output { status, stdout, stderr } = command.output().unwrap();
        assert!(!status.success());
        assert_eq!(stdout, b"");
        assert_one_line(&stderr);
        let words = String::from_utf8_lossy(&stderr);
        assert!(words.contains("start suture as `# syntax=` image"), "{words}");
    }
}

#[test]
fn an_agent_without_a_task_says_so() {
    let program = env!("CARGO_BIN_EXE_suture");
    let output = Command::new(program).args(["agent", "missing.json"]).output().unwrap();
    assert_eq!(output.status.code(), Some(70));
    assert_eq!(output.stdout, b"");
    assert_one_line(&output.stderr);
    let words = String::from_utf8_lossy(&output.stderr);
    assert!(words.contains("missing.json"), "{words}");
}
