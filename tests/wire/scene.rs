//! What the tests' builds are about: one small Debian image and a daemon that has it.

use bytes::Bytes;
use prost::Message as _;
use suture::pb;
use tonic::{Code, Status};

use crate::script::{self, Call, Reply, Script};

/// What a current daemon announces of its calls, as far as the tests go.
const CALLS: &[&str] = &["gateway.warnings", "source.metaresolver"];
/// What a current daemon announces of its graphs, as far as the tests go.
const OPERATIONS: &[&str] = &[
    "constraints",
    "meta.description",
    "platform",
    "source.image",
    "source.local",
    "source.local.followpaths",
    "source.local.sessionid",
    "source.local.sharedkeyhint",
];

/// The daemon's name for the image that the build file names.
const SOURCE: &str = "docker-image://docker.io/library/debian:sid";
/// The image that this name stands for.
const PINNED: &str = "docker-image://docker.io/library/debian:sid@\
    sha256:1111111111111111111111111111111111111111111111111111111111111111";
/// The digest in it.
const DIGEST: &str = "sha256:1111111111111111111111111111111111111111111111111111111111111111";

/// A build file that demands what the image already has.
pub const BUILD_FILE: &str = "# syntax=suture\nARG IMAGE=debian:sid\nARG PACKAGES=libc6=2.41-1\n";
/// The image's configuration, with a key that nobody knows.
pub const CONFIG: &str =
    r#"{"architecture":"amd64","os":"linux","x":[],"rootfs":{"type":"layers","diff_ids":[]}}"#;
/// The image's packages.
pub const STATUS: &str = "Package: libc6\nStatus: install ok installed\n\
    Architecture: amd64\nVersion: 2.41-2\n";
/// A release whose support never ends: the tests must not, either.
const OS_RELEASE: &str = "ID=debian\nVERSION_CODENAME=sid\n";

/// Pieces in which files are read; half of a daemon's largest message.
pub const PIECE: usize = 8 << 20;
/// Pieces in which reports are read.
pub const REPORT_PIECE: usize = 4 << 20;

/// Answer to `Ping`: a current daemon that lacks these capabilities.
pub fn daemon_without(missing: &[&str]) -> Reply {
    let announce = |ids: &[&str]| {
        let ids = ids.iter().filter(|id| !missing.contains(id));
        ids.map(|id| pb::ApiCap { id: (*id).to_owned(), enabled: true, ..Default::default() })
            .collect()
    };
    let platform = pb::Platform {
        os: "linux".to_owned(),
        architecture: "amd64".to_owned(),
        ..Default::default()
    };
    let worker = pb::WorkerRecord { platforms: vec![platform], ..Default::default() };
    Reply::message(pb::PongResponse {
        frontend_api_caps: announce(CALLS),
        llb_caps: announce(OPERATIONS),
        workers: vec![worker],
    })
}

/// A graph that is one source.
pub fn solve(source: &str) -> Call {
    Call::Solve(source.to_owned())
}

/// The first piece of a file.
pub fn read(tree: &str, path: &str) -> Call {
    script::read(tree, path, 0, PIECE)
}

/// A piece of the report.
pub fn read_report(number: usize) -> Call {
    script::read("context", "/report.json", number, REPORT_PIECE)
}

fn stat(tree: &str, path: &str) -> Call {
    Call::StatFile { tree: tree.to_owned(), path: path.to_owned() }
}

/// The call for the sources that lie in a folder of their own.
pub fn read_sources_folder() -> Call {
    read_directory("image", "/etc/apt/sources.list.d")
}

fn read_directory(tree: &str, path: &str) -> Call {
    Call::ReadDir { tree: tree.to_owned(), path: path.to_owned() }
}

/// From the start until the build file is known.
pub fn build_file(text: &str) -> Script {
    Script::default().expect(Call::Ping, daemon_without(&[])).then(build_file_after_ping(text))
}

/// The build file is read.
pub fn build_file_after_ping(text: &str) -> Script {
    Script::default().expect(solve("local://dockerfile"), Reply::tree("dockerfile")).expect_file(
        "dockerfile",
        "Dockerfile",
        text.as_bytes(),
        PIECE,
    )
}

/// The image is looked up.
pub fn image(config: impl Into<Bytes>) -> Script {
    let image = pb::ResolveSourceImageResponse { digest: DIGEST.to_owned(), config: config.into() };
    let response = pb::ResolveSourceMetaResponse { image: Some(image), ..Default::default() };
    Script::default()
        .expect(Call::ResolveSourceMeta(SOURCE.to_owned()), Reply::message(response))
        .expect(solve(PINNED), Reply::tree("image"))
}

/// The image is looked up as daemons before 0.13 were asked.
pub fn image_from_old_daemon() -> Script {
    let response = pb::ResolveImageConfigResponse {
        digest: DIGEST.to_owned(),
        config: CONFIG.into(),
        r#ref: String::new(),
    };
    let call = Call::ResolveImageConfig("docker.io/library/debian:sid".to_owned());
    Script::default()
        .expect(call, Reply::message(response))
        .expect(solve(PINNED), Reply::tree("image"))
}

/// The context's `report.json` is read.
pub fn report(text: &[u8]) -> Script {
    report_found(text.len()).expect_file("context", "/report.json", text, REPORT_PIECE)
}

/// The context's `report.json` is found, and has this many bytes; no ignore file is.
pub fn report_found(size: usize) -> Script {
    Script::default()
        .expect(read("dockerfile", "Dockerfile.dockerignore"), Reply::absent())
        .expect(solve("local://context"), Reply::tree("ignore file"))
        .expect(read("ignore file", ".dockerignore"), Reply::absent())
        .expect(solve("local://context"), Reply::tree("context"))
        .expect(stat("context", "/report.json"), Reply::file(size))
}

/// The image is looked into; its packages are these.
pub fn system(status: &[u8]) -> Script {
    system_with(status, Reply::absent())
}

/// The same with this answer about the folder of sources.
pub fn system_with(status: &[u8], sources_folder: Reply) -> Script {
    let sources = "deb http://deb.example.org/debian sid main\n";
    let one = Script::default;
    Script::default()
        .expect_file("image", "/etc/os-release", OS_RELEASE.as_bytes(), PIECE)
        .meanwhile([
            one().expect_file("image", "/var/lib/dpkg/status", status, PIECE),
            one().expect(stat("image", "/usr/bin/apt-get"), Reply::file(1)),
            one().expect(stat("image", "/usr/bin/dpkg"), Reply::file(1)),
            one().expect(read("image", "/var/lib/dpkg/arch"), Reply::absent()),
            one().expect(read_directory("image", "/var/lib/dpkg/updates"), Reply::absent()),
            one().expect(read_sources_folder(), sources_folder).expect_file(
                "image",
                "/etc/apt/sources.list",
                sources.as_bytes(),
                PIECE,
            ),
        ])
}

/// The end of the build.
pub fn the_end() -> Script {
    Script::default().expect(Call::Return, Reply::message(pb::ReturnResponse {}))
}

/// An error as Go's gRPC server writes it: the details are a whole status in a trailer.
pub fn refusal(status: &pb::Status) -> Reply {
    let details = status.encode_to_vec().into();
    Reply::Refusal(Status::with_details(Code::from(status.code), &status.message, details))
}
