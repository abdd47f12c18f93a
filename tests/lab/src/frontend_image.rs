//! The frontend image: suture as a static binary, in an image with nothing else.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::engine::Engine;
use crate::program;
use crate::registry;

/// The image's name unless somebody asks for another.
pub const DEFAULT_NAME: &str = "suture:lab";

/// The image's name in scenarios: several trees may share an engine.
pub fn name() -> String {
    env::var("SUTURE_LAB_FRONTEND").unwrap_or_else(|_| DEFAULT_NAME.to_owned())
}

/// Builds the static binary and the frontend image around it into an engine.
pub fn build(engine: &Engine, name: &str) -> Result<()> {
    let project = project();
    let binary = build_static(&["--package", "suture"])?;
    let placed = project.join("dist").join(architecture()).join("suture");
    place(&binary, &placed)?;
    program::run(
        engine
            .docker()?
            .args(["buildx", "build", "--quiet", "--provenance=false"])
            .args(["--build-arg", &format!("VERSION={}", env!("CARGO_PKG_VERSION"))])
            .args(["--tag", name, "--file", "frontend.Dockerfile", "."])
            .current_dir(&project),
    )?;
    eprintln!("built {name}, {} bytes", fs::metadata(&placed)?.len());
    Ok(())
}

/// Pushes the frontend image to the registry in an engine's network and returns its name there.
pub fn push(engine: &Engine, name: &str) -> Result<String> {
    engine.registries()?;
    let pushed = format!("{}/{name}", registry::STRICT);
    // The name in the engine is there only meanwhile, and others push too.
    let _alone = engine.folder().lock("frontend-push")?;
    program::run(engine.docker()?.args(["tag", name, &pushed]))?;
    program::run(engine.docker()?.args(["push", "--quiet", &pushed]))?;
    program::run(engine.docker()?.args(["image", "rm", &pushed]))?;
    Ok(pushed)
}

/// The root of the project that this program was built from.
pub fn project() -> PathBuf {
    let lab = Path::new(env!("CARGO_MANIFEST_DIR"));
    lab.ancestors().nth(2).unwrap_or(lab).to_path_buf()
}

/// Builds a program for this machine as the frontend is built, static: no other target has to be
/// installed for that. `chosen` tells cargo which; returns where it put it.
pub fn build_static(chosen: &[&str]) -> Result<PathBuf> {
    let project = project();
    let compiler = program::output(Command::new("rustc").arg("-vV").current_dir(&project))?;
    let target = compiler
        .lines()
        .find_map(|line| line.strip_prefix("host: "))
        .context("rustc does not name the machine's target")?;
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    // Naming the target keeps the flags away from build scripts and procedural macros.
    let built = Command::new(cargo)
        .args(["build", "--quiet", "--release", "--target", target])
        .args(chosen)
        .arg("--message-format=json-render-diagnostics")
        .env("RUSTFLAGS", "-Ctarget-feature=+crt-static")
        .current_dir(&project)
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .context("cannot start cargo")?;
    ensure!(built.status.success(), "cargo cannot build {}", chosen.join(" "));
    String::from_utf8(built.stdout)
        .context("cargo's output is not UTF-8")?
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .find_map(|message| Some(message.get("executable")?.as_str()?.into()))
        .context("cargo built no program")
}

/// This machine's architecture as container images name it.
pub fn architecture() -> &'static str {
    match env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

/// Copies a file unless the same is there already: a newer time would have the engine look again.
fn place(from: &Path, to: &Path) -> Result<()> {
    let bytes = fs::read(from).with_context(|| format!("cannot read: {}", from.display()))?;
    if fs::read(to).is_ok_and(|placed| placed == bytes) {
        return Ok(());
    }
    let folder = to.parent().context("a file has no folder")?;
    fs::create_dir_all(folder)
        .and_then(|()| fs::write(to, bytes))
        .with_context(|| format!("cannot write: {}", to.display()))
}
