//! The image that has our binary, to be mounted into containers.

use crate::failure::Failure;
use crate::gateway::{Gateway, ImageSource};
use crate::image::ImageConfig;
use crate::llb::source::ResolveMode;
use crate::llb::{Display, Output, source};
use crate::platform::Platform;
use crate::reference::ImageReference;
use crate::request::environment::Environment;

/// Our image, as containers get it.
#[derive(Clone, Debug)]
pub struct OwnImage {
    /// Its root filesystem.
    pub output: Output,
    /// Whether its binary is for another platform than the kernel runs, for an emulator of the daemon's.
    pub is_foreign: bool,
}

/// Our image for containers of this platform.
///
/// It is the one that runs here: its binary is static, so the kernel runs it next to programs of any platform, which it
/// knows too or hands to an emulator. If the daemon supplies its own emulator (`solver/llbsolver/ops/exec_binfmt.go`),
/// it runs the container's first program with it, so our binary must be the platform's own.
pub async fn for_platform(
    gateway: &impl Gateway,
    environment: &Environment,
    platform: &Platform,
) -> Result<OwnImage, Failure> {
    let daemon = gateway.daemon();
    let runs = daemon.platforms.iter().any(|known| known.is_same_machine(platform));
    if !runs && let Some(image) = foreign(gateway, environment, platform).await {
        return Ok(OwnImage { output: image, is_foreign: true });
    }
    let is_foreign = false;
    if let Some(definition) = &environment.own_image
        && let Some(output) = Output::from_definition_bytes(definition)?
    {
        return Ok(OwnImage { output, is_foreign });
    }
    let reference =
        name(environment).ok_or_else(|| Failure::bug("our image has no usable name"))?;
    Ok(OwnImage { output: load(&reference, &daemon.platform), is_foreign })
}

/// Our image for a platform that the kernel does not run; nothing if we are not built for it.
async fn foreign(
    gateway: &impl Gateway,
    environment: &Environment,
    platform: &Platform,
) -> Option<Output> {
    let reference = name(environment)?;
    let mode = ResolveMode::Default;
    let source = ImageSource::Registry { reference: reference.clone(), mode };
    let resolved = gateway.resolve_image(&source, platform).await.ok()?;
    let found = ImageConfig::parse(&resolved.config).ok()?.platform();
    let reference =
        resolved.digest.map_or(reference.clone(), |digest| reference.with_digest(&digest));
    found.is_same_machine(platform).then(|| load(&reference, platform))
}

fn name(environment: &Environment) -> Option<ImageReference> {
    environment.option("source")?.parse().ok()
}

fn load(reference: &ImageReference, platform: &Platform) -> Output {
    let display = Display::named(format!("load {}", reference.without_digest().familiar()));
    source::image(reference, platform, ResolveMode::Default, &display)
}
