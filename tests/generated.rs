//! Generated code is committed; these tests write it anew when the definitions have changed.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::string_slice,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

use std::path::Path;

/// Generates the code for `proto/` with the given builder and returns the file's text.
fn generate(builder: tonic_prost_build::Builder, name: &str) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let out = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::create_dir_all(&out).unwrap();
    let descriptors = protox::compile(["gateway.proto"], [root.join("proto")]).unwrap();
    builder
        .btree_map(".")
        .bytes(".")
        .disable_comments(["."])
        .out_dir(&out)
        .compile_fds(descriptors)
        .unwrap();
    std::fs::read_to_string(out.join("moby.buildkit.v1.frontend.rs")).unwrap()
}

/// Compares with the committed file; a difference is written down and then fails.
fn assert_fresh(path: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    if std::fs::read_to_string(&path).is_ok_and(|committed| committed == text) {
        return;
    }
    std::fs::write(&path, text).unwrap();
    panic!("{} was out of date and is written anew: commit it", path.display());
}

#[test]
fn messages_and_client_follow_the_definitions() {
    let builder = tonic_prost_build::configure().build_server(false).build_transport(false);
    assert_fresh("src/pb/generated.rs", &generate(builder, "client"));
}

#[test]
fn the_fake_daemons_server_follows_the_definitions() {
    let builder = tonic_prost_build::configure()
        .build_client(false)
        .build_transport(false)
        .extern_path(".moby.buildkit.v1.frontend", "::suture::pb");
    assert_fresh("tests/wire/llb_bridge_server.rs", &generate(builder, "server"));
}
