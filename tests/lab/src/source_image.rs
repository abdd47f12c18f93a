//! The frontend image from source: the project's own `Dockerfile`, built without a registry.
//!
//! Its base image, the official one of Rust, is replaced by one made from the machine's toolchain.
//! The crates come from their registry, as for everybody who builds it.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::engine::Engine;
use crate::frontend_image;
use crate::lab_image;
use crate::program;
use crate::stored_image::StoredImage;

/// The image's name unless somebody asks for another.
pub const DEFAULT_NAME: &str = "suture:source";

/// What stands in for the official image of Rust.
const RUST: &str = "lab/rust:machine";

/// What it is made from; the C library must not be newer than that of a common base image.
const ROOT: &str = "lab/debian:bookworm-main";

/// Where machines keep the certificates they trust, unless `SSL_CERT_FILE` says otherwise.
const CERTIFICATES: &str = "/etc/ssl/certs/ca-certificates.crt";

/// Builds the frontend image from source into an engine, and checks that it says of itself what the
/// one does that [`frontend_image::build`] makes.
pub fn build(engine: &Engine, name: &str) -> Result<()> {
    let project = frontend_image::project();
    build_rust_image(engine, &project)?;
    let dockerfile =
        fs::read_to_string(project.join("Dockerfile")).context("cannot read: Dockerfile")?;
    let base = base_image(&dockerfile).context("Dockerfile names no base image")?;
    eprintln!("building {name} from source");
    program::run(
        engine
            .docker()?
            .args(["buildx", "build", "--progress=plain", "--provenance=false"])
            // Under the name of the base image in this build alone: tagged with it, the stand-in
            // would pass for the official image in others.
            .args(["--build-context", &format!("{base}=docker-image://{RUST}")])
            .args(["--build-arg", &format!("VERSION={}", env!("CARGO_PKG_VERSION"))])
            .args(["--tag", name, "."])
            .current_dir(&project),
    )?;
    frontend_image::build(engine, frontend_image::DEFAULT_NAME)?;
    let prebuilt = StoredImage::read(engine, frontend_image::DEFAULT_NAME)?;
    let from_source = StoredImage::read(engine, name)?;
    ensure!(
        from_source.config.get("config") == prebuilt.config.get("config"),
        "{name} says something else of itself than {}",
        frontend_image::DEFAULT_NAME
    );
    Ok(())
}

/// Makes the stand-in for the official image of Rust.
fn build_rust_image(engine: &Engine, project: &Path) -> Result<()> {
    lab_image::ensure(engine, ROOT)?;
    let toolchain =
        program::output(Command::new("rustc").args(["--print", "sysroot"]).current_dir(project))?;
    let certificates =
        env::var_os("SSL_CERT_FILE").map_or_else(|| CERTIFICATES.into(), PathBuf::from);
    let certificates = if certificates.is_file() { certificates } else { "/dev/null".into() };
    eprintln!("building {RUST}");
    program::run(
        engine
            .docker()?
            .args(["buildx", "build", "--progress=plain", "--provenance=false"])
            .args(["--build-arg", &format!("ROOT={ROOT}")])
            .args(["--build-context", &format!("toolchain={}", toolchain.trim())])
            .args(["--secret", &format!("id=certificates,src={}", certificates.display())])
            .args(["--tag", RUST])
            .arg(project.join("tests/lab/images/rust")),
    )
}

/// The base image that the project's `Dockerfile` has unless somebody asks for another.
fn base_image(dockerfile: &str) -> Option<&str> {
    dockerfile.lines().find_map(|line| line.strip_prefix("ARG RUST_IMAGE="))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(name: &str) -> String {
        fs::read_to_string(frontend_image::project().join(name)).unwrap()
    }

    #[test]
    fn both_ways_to_build_describe_the_image_alike() {
        let description = |name| {
            let text = read(name);
            let (_, last_stage) = text.rsplit_once("FROM scratch\n").unwrap();
            let (_, description) = last_stage.split_once("\nLABEL ").unwrap();
            description.to_owned()
        };
        assert_eq!(description("Dockerfile"), description("frontend.Dockerfile"));
    }

    #[test]
    fn the_base_image_has_the_pinned_toolchain() {
        let toolchain = read("rust-toolchain.toml");
        let (_, channel) = toolchain.split_once("channel = \"").unwrap();
        let (version, _) = channel.split_once('"').unwrap();
        let dockerfile = read("Dockerfile");
        let base = base_image(&dockerfile).unwrap();
        assert!(base.contains(&format!("rust:{version}-")), "{base} is not {version}");
    }
}
