//! `cargo lab demo`: a real vulnerable image, a report, and the build as a user types it.

use std::fs;
use std::process::Stdio;

use anyhow::{Context, Result, ensure};

use crate::engine::Engine;
use crate::frontend_image;
use crate::lab_image;
use crate::program;
use crate::started_image::{CONTAINER_LABEL, System};
use crate::stored_image::StoredImage;
use crate::trivy_report::{self, Finding};

/// The image to patch.
const IMAGE: &str = "lab/debian:bookworm-main";

/// The patched image.
const PATCHED: &str = "lab/debian:bookworm-patched";

/// The folder of the report, in the project.
const CONTEXT: &str = "target/demo";

/// A package without an update, so that the report has what every real one has.
const WITHOUT_FIX: &str = "ncurses-base";

/// Asks the repositories what they offer right now.
const OFFERS: &str = "apt-get -qq update >&2 && apt-get -qq --simulate dist-upgrade";

/// Shows what suture does.
pub fn run(engine: &Engine) -> Result<()> {
    eprintln!("building the frontend image; the first time takes a few minutes");
    frontend_image::build(engine, frontend_image::DEFAULT_NAME)?;
    lab_image::ensure(engine, IMAGE)?;
    let before = StoredImage::read(engine, IMAGE)?;
    let system = System::look(engine, IMAGE)?;
    eprintln!("{IMAGE} is Debian {} as it was released", system.release);
    let updates = write_report(engine, &before, &system)?;

    let build = [
        "buildx",
        "build",
        "-f",
        "examples/patch.Dockerfile",
        "--build-arg",
        &format!("IMAGE={IMAGE}"),
        "-t",
        PATCHED,
        CONTEXT,
    ];
    echo(&build);
    let built = engine
        .docker()?
        .args(build)
        .current_dir(frontend_image::project())
        .stdin(Stdio::null())
        .status()
        .context("cannot start: docker buildx build")?;
    ensure!(built.success(), "the build has failed");

    let after = StoredImage::read(engine, PATCHED)?;
    eprintln!("\nLayers of {PATCHED}:\n");
    for layer in &after.layers {
        let place = if before.layers.contains(layer) { "as before" } else { "new" };
        eprintln!("  {}  {:>9}  {place}", short(&layer.digest), megabytes(layer.size));
    }

    let mut query = vec!["run", "--rm", PATCHED, "dpkg-query", "-W"];
    query.extend(updates.iter().map(String::as_str));
    echo(&query);
    // The image's entrypoint announces itself on the standard error.
    eprint!("{}", program::output(engine.docker()?.args(&query))?);
    eprintln!("\nTo go on by hand: eval \"$(cargo lab engine)\"");
    Ok(())
}

/// Writes a report in which every update that the repositories offer is one finding; returns the
/// packages that have one.
fn write_report(engine: &Engine, image: &StoredImage, system: &System) -> Result<Vec<String>> {
    let offers = program::output(
        engine
            .docker()?
            .args(["run", "--rm", "--user=0", "--label", CONTAINER_LABEL, "--entrypoint=sh"])
            .args([IMAGE, "-c", OFFERS]),
    )
    .context("cannot ask the repositories")?;
    let mut findings: Vec<Finding> = (1..)
        .zip(offers.lines().filter_map(offer))
        .map(|(number, (package, version))| Finding {
            id: format!("LAB-2026-{number:04}"),
            package: package.to_owned(),
            fixed: Some(version.to_owned()),
        })
        .collect();
    let updates = findings.iter().map(|finding| finding.package.clone()).collect::<Vec<_>>();
    findings.push(Finding {
        id: "LAB-2026-9999".to_owned(),
        package: WITHOUT_FIX.to_owned(),
        fixed: None,
    });
    let folder = frontend_image::project().join(CONTEXT);
    let file = folder.join("report.json");
    let report = trivy_report::write(IMAGE, image, system, &findings);
    fs::create_dir_all(&folder)
        .and_then(|()| fs::write(&file, format!("{report:#}\n")))
        .with_context(|| format!("cannot write: {}", file.display()))?;
    eprintln!(
        "{CONTEXT}/report.json is a report as Trivy writes it: {} findings, one for each update that\n\
         Debian offers today and one without a fix",
        findings.len()
    );
    Ok(updates)
}

/// The package and the version in a line of a simulated upgrade:
/// `Inst NAME [INSTALLED] (VERSION ORIGIN [ARCHITECTURE])`. A new package has nothing to fix.
fn offer(line: &str) -> Option<(&str, &str)> {
    let (package, rest) = line.strip_prefix("Inst ")?.split_once(" [")?;
    let (_, version) = rest.split_once("] (")?;
    Some((package, version.split(' ').next()?))
}

/// Shows a command of the docker program before it runs.
fn echo(arguments: &[&str]) {
    eprintln!("\n$ docker {}\n", arguments.join(" "));
}

/// The beginning of a digest, as docker shows it.
fn short(digest: &str) -> &str {
    digest.split_once(':').and_then(|(_, digits)| digits.get(..12)).unwrap_or(digest)
}

/// Bytes as people read them.
fn megabytes(bytes: u64) -> String {
    let tenths = bytes.div_ceil(100_000);
    if tenths < 10 {
        format!("{} kB", bytes.div_ceil(1000))
    } else {
        format!("{}.{} MB", tenths / 10, tenths % 10)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offers_are_read() {
        assert_eq!(
            offer("Inst perl-base [5.36.0-7] (5.36.0-8 Debian:12/oldstable [amd64])"),
            Some(("perl-base", "5.36.0-8"))
        );
        assert_eq!(offer("Inst new (1.0 Debian:12/oldstable [amd64])"), None);
        assert_eq!(offer("Conf perl-base (5.36.0-8 Debian:12/oldstable [amd64])"), None);
    }

    #[test]
    fn sizes_are_short() {
        assert_eq!(megabytes(4_722_570), "4.8 MB");
        assert_eq!(megabytes(167), "1 kB");
    }
}
