//! Builds on a real engine, measured one after the other.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Instant, SystemTime};

use anyhow::{Context, Result, bail, ensure};

use super::distribution::Distribution;
use super::gauge::Gauges;
use super::progress::Progress;
use super::rest;
use crate::engine::Engine;
use crate::folder::LabFolder;
use crate::own_engine::{OwnEngine, RELEASES, Release};
use crate::program;
use crate::started_image::{CONTAINER_LABEL, System};
use crate::stored_image::StoredImage;
use crate::trivy_report::{self, Finding};
use crate::{frontend_image, lab_image};

/// The image that is patched unless somebody asks for another one. Its updates are Debian's own, over
/// the network, as for everybody. It is as debootstrap makes it: images from Docker tell apt to keep no
/// cache of its indexes, which spares the Dockerfile's layer two thirds (`lab/debian:bookworm-main`).
pub(super) const IMAGE: &str = "lab/debian:bookworm-plain";

/// Asks apt in an image what it offers.
const OFFER: &str = "apt-get -qq update && apt-get -qq --simulate upgrade";

/// One way to get a patched image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Way {
    /// What people write without suture.
    Dockerfile,
    /// suture, with a report that names every upgrade there is.
    Report,
    /// suture, with everything there is.
    Everything,
    /// What people write for another distribution without suture.
    Plain(Distribution),
    /// suture, for the same distribution and the same packages.
    Patched(Distribution),
    /// suture, for one platform of an image that has two.
    Platform(&'static str),
    /// suture, for both.
    Platforms,
    /// A Dockerfile on an image that needs nothing.
    Build,
    /// The same with our line on top.
    BuildPatched,
}

/// Two platforms that every machine of the lab's runs by itself.
pub(super) const PLATFORMS: [&str; 2] = ["linux/amd64", "linux/amd64/v2"];

/// The image that has both.
const TWO_PLATFORMS: &str = "suture-bench:two-platforms";

/// The image that needs nothing.
const CURRENT: &str = "suture-bench:current";

impl Way {
    /// What it is called.
    pub(super) fn name(self) -> String {
        match self {
            Self::Dockerfile => "Dockerfile".to_owned(),
            Self::Report => "report".to_owned(),
            Self::Everything => "everything".to_owned(),
            Self::Plain(distribution) => format!("{} Dockerfile", distribution.terms().name),
            Self::Patched(distribution) => distribution.terms().name.to_owned(),
            Self::Platform(platform) => format!("alpine, {platform} alone"),
            Self::Platforms => "alpine, two platforms".to_owned(),
            Self::Build => "a Dockerfile".to_owned(),
            Self::BuildPatched => "a Dockerfile with our line".to_owned(),
        }
    }

    /// The platforms that it is for, where they are named.
    fn platforms(self) -> Option<String> {
        match self {
            Self::Platform(platform) => Some(format!("--platform={platform}")),
            Self::Platforms => Some(format!("--platform={}", PLATFORMS.join(","))),
            _ => None,
        }
    }

    /// The name of the image that comes out.
    fn tag(self) -> String {
        format!("suture-bench:{}", self.name().to_lowercase().replace([' ', ',', '/'], "-"))
    }

    /// The file that is built.
    fn build_file(self) -> String {
        format!("{}.build", self.name().replace([' ', ',', '/'], "-"))
    }
}

/// The image that comes out when there is nothing to do.
const UNCHANGED: &str = "suture-bench:unchanged";

/// What `BuildKit` knows before a build.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cache {
    /// Nothing; the images are there.
    Cold,
    /// All that the build before has left.
    Warm,
}

/// What one build took.
#[derive(Clone, Debug)]
pub(super) struct Measured {
    /// The time from the start of the client to its end, in seconds.
    pub(super) wall: f64,
    /// The bytes that came in from the network.
    pub(super) downloaded: u64,
    /// The containers that were started, a frontend's among them.
    pub(super) containers: usize,
    /// What was done when.
    pub(super) progress: Progress,
}

/// An engine with everything that the builds need.
#[derive(Debug)]
pub(super) struct Contest {
    engine: Engine,
    gauges: Gauges,
    /// Where the engine keeps its data.
    home: PathBuf,
    folder: PathBuf,
    image: String,
}

impl Contest {
    /// Makes everything ready. The engine is always one of the lab's own: every cold build throws
    /// the engine's whole cache away, which would be rude to anybody else's.
    pub(super) fn prepare(folder: &LabFolder, version: Option<&str>, image: &str) -> Result<Self> {
        let [default, ..] = RELEASES;
        let release = version.map_or(Ok(default), Release::named)?;
        let engine = Engine::usable(folder, Some(release.version))?;
        let own = OwnEngine::new(folder, release)?;
        let gauges = Gauges::of(&own)?;
        let home = own.home().to_path_buf();
        frontend_image::build(&engine, &frontend_image::name())?;
        let folder = folder.folder("bench")?;
        Ok(Self { engine, gauges, home, folder, image: image.to_owned() })
    }

    /// Writes what is built of a distribution.
    pub(super) fn write_build_files_of(&self, distribution: Distribution) -> Result<()> {
        let syntax = frontend_image::name();
        let terms = distribution.terms();
        let image = terms.image;
        lab_image::ensure(&self.engine, image)?;
        let mut patch = format!("# syntax={syntax}\nARG IMAGE={image}\n");
        if let Some(report) = terms.report() {
            patch.push_str(&format!("ARG REPORT={report}\n"));
            self.write_report(&report, image, &terms.findings())?;
        }
        self.write(&Way::Plain(distribution).build_file(), &terms.dockerfile())?;
        self.write(&Way::Patched(distribution).build_file(), &patch)
    }

    /// Writes what is built.
    pub(super) fn write_build_files(&self) -> Result<()> {
        let syntax = frontend_image::name();
        let image = &self.image;
        lab_image::ensure(&self.engine, image)?;
        let everything = format!("# syntax={syntax}\nARG IMAGE={image}\n");
        let report = format!("{everything}ARG REPORT=report.json\n");
        self.write(&Way::Dockerfile.build_file(), &upgrade(image))?;
        self.write(&Way::Everything.build_file(), &everything)?;
        self.write(&Way::Report.build_file(), &report)?;
        let findings = self.findings()?;
        ensure!(!findings.is_empty(), "the mirror has no upgrade for {image}: nothing to measure");
        eprintln!("{} upgrades", findings.len());
        self.write_report("report.json", image, &findings)
    }

    /// What apt would upgrade in the image, as findings: all of them can be fixed.
    fn findings(&self) -> Result<Vec<Finding>> {
        let mut run = self.engine.docker()?;
        run.args(["run", "--rm", "--user=0", "--label", CONTAINER_LABEL, "--entrypoint=sh"])
            .arg(&self.image);
        let offer = program::output(run.args(["-c", OFFER]))?;
        Ok(findings(&offer))
    }

    /// Writes a report that has these findings in an image.
    fn write_report(&self, file: &str, image: &str, findings: &[Finding]) -> Result<()> {
        let stored = StoredImage::read(&self.engine, image)?;
        let system = System::look(&self.engine, image)?;
        let report = trivy_report::write(image, &stored, &system, findings);
        self.write(file, &serde_json::to_string_pretty(&report)?)
    }

    /// Writes a file that builds read.
    fn write(&self, name: &str, text: &str) -> Result<()> {
        let path = self.folder.join(name);
        fs::write(&path, text).with_context(|| format!("cannot write: {}", path.display()))
    }

    /// Gets a patched image one way.
    pub(super) fn build(&self, way: Way, cache: Cache) -> Result<Measured> {
        let (tag, file, platforms) = (way.tag(), way.build_file(), way.platforms());
        let arguments = ["--tag", &tag, "--file", &file].into_iter();
        let arguments: Vec<&str> = arguments.chain(platforms.as_deref()).collect();
        self.measure(&arguments, &tag, cache)
    }

    /// Makes an image of two platforms, and writes what is built of it.
    pub(super) fn prepare_platforms(&self) -> Result<()> {
        let base = Distribution::Alpine.terms().image;
        lab_image::ensure(&self.engine, base)?;
        self.write("two-platforms.build", &format!("FROM {base}\n"))?;
        let platforms = Way::Platforms.platforms().unwrap_or_default();
        self.make(TWO_PLATFORMS, &["--file=two-platforms.build", &platforms])?;
        let patch = format!("# syntax={}\nARG IMAGE={TWO_PLATFORMS}\n", frontend_image::name());
        for way in PLATFORMS.map(Way::Platform).into_iter().chain([Way::Platforms]) {
            self.write(&way.build_file(), &patch)?;
        }
        Ok(())
    }

    /// Makes an image that needs nothing, and writes a Dockerfile on it without and with our line.
    pub(super) fn prepare_dockerfiles(&self) -> Result<()> {
        let base = Distribution::Alpine.terms().image;
        lab_image::ensure(&self.engine, base)?;
        let syntax = format!("# syntax={}\n", frontend_image::name());
        self.write("current.build", &format!("{syntax}ARG IMAGE={base}\n"))?;
        self.make(CURRENT, &["--file=current.build"])?;
        let dockerfile = format!("FROM {CURRENT}\nUSER root\nRUN echo built > /built\n");
        self.write(&Way::Build.build_file(), &dockerfile)?;
        self.write(&Way::BuildPatched.build_file(), &format!("{syntax}{dockerfile}"))
    }

    /// Builds something that is not measured.
    fn make(&self, tag: &str, arguments: &[&str]) -> Result<()> {
        let mut build = self.engine.docker()?;
        build.args(["buildx", "build", "--quiet", "--tag", tag]).args(arguments).arg(".");
        program::run(build.current_dir(&self.folder))
    }

    /// Makes an image that needs nothing, and a report on it whose fixes are all in.
    pub(super) fn prepare_unchanged(&self) -> Result<()> {
        let patched = Way::Everything.tag();
        self.build(Way::Everything, Cache::Warm)?;
        let findings: Vec<Finding> = self.findings()?;
        self.write_report("fixed.json", &patched, &findings)
    }

    /// Builds where nothing is to do.
    pub(super) fn build_unchanged(&self, way: Way) -> Result<Measured> {
        let image = format!("IMAGE={}", Way::Everything.tag());
        let file = way.build_file();
        let arguments = ["--tag", UNCHANGED, "--file", &file, "--build-arg", &image];
        let report = ["--build-arg", "REPORT=fixed.json"];
        let report = if way == Way::Report { &report[..] } else { &[] };
        self.measure(&[&arguments[..], report].concat(), UNCHANGED, Cache::Cold)
    }

    /// Runs one build.
    fn measure(&self, arguments: &[&str], tag: &str, cache: Cache) -> Result<Measured> {
        if cache == Cache::Cold {
            self.forget(tag)?;
        }
        let mut build = self.engine.docker()?;
        build.args(["buildx", "build", "--progress=rawjson"]).args(arguments).arg(".");
        build.current_dir(&self.folder).stdin(Stdio::null());
        let received = self.gauges.received()?;
        let done = AtomicBool::new(false);
        let (timed, containers) = thread::scope(|scope| {
            let watch = scope.spawn(|| self.gauges.watch_containers(&done));
            let timed = time(&mut build);
            done.store(true, Ordering::Relaxed);
            (timed, watch.join().unwrap_or_default())
        });
        let (wall, progress) = timed?;
        let downloaded = self.gauges.received()?.saturating_sub(received);
        Ok(Measured { wall, downloaded, containers, progress })
    }

    /// Has the engine forget what it built, and its disk come to rest.
    fn forget(&self, tag: &str) -> Result<()> {
        program::run(self.engine.docker()?.args(["image", "rm", "--force", tag]))?;
        program::run(self.engine.docker()?.args(["builder", "prune", "--all", "--force"]))?;
        // The engine deletes what it forgot when it has time: not while the next build is measured.
        rest::wait(&self.home)
    }

    /// The image that a way made last.
    pub(super) fn result(&self, way: Way) -> Result<StoredImage> {
        StoredImage::read(&self.engine, &way.tag())
    }

    /// The frontend's own image.
    pub(super) fn frontend(&self) -> Result<StoredImage> {
        StoredImage::read(&self.engine, &frontend_image::name())
    }

    /// Removes what the builds have made.
    pub(super) fn clean(&self) -> Result<()> {
        let others = Distribution::ALL.into_iter();
        let images = [Way::Dockerfile, Way::Report, Way::Everything]
            .into_iter()
            .chain(others.flat_map(|other| [Way::Plain(other), Way::Patched(other)]))
            .chain(PLATFORMS.map(Way::Platform))
            .chain([Way::Platforms, Way::Build, Way::BuildPatched])
            .map(Way::tag)
            .chain([UNCHANGED, TWO_PLATFORMS, CURRENT].map(str::to_owned));
        program::run(self.engine.docker()?.args(["image", "rm", "--force"]).args(images))
    }
}

/// What people write without suture. An image of an application has a user, who may not upgrade
/// anything.
fn upgrade(image: &str) -> String {
    format!("FROM {image}\nUSER root\nRUN apt-get update && apt-get upgrade -y\n")
}

/// Runs a build to its end and tells how long it took and what it did.
fn time(build: &mut Command) -> Result<(f64, Progress)> {
    let began = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?.as_secs_f64();
    let clock = Instant::now();
    let finished = build.output().context("cannot start: docker buildx build")?;
    let wall = clock.elapsed().as_secs_f64();
    let output = String::from_utf8_lossy(&finished.stderr);
    if !finished.status.success() {
        bail!("a build fails:\n{}", program::last_lines(&output, 10));
    }
    Ok((wall, Progress::parse(&output, began % 86_400.0)))
}

/// Reads what `apt-get --simulate upgrade` would install:
/// `Inst apt [2.6.1] (2.6.2 Debian-Security:12/oldstable-security [amd64])`.
fn findings(offer: &str) -> Vec<Finding> {
    let upgrades = offer.lines().filter_map(|line| {
        let (package, rest) = line.strip_prefix("Inst ")?.split_once(" [")?;
        let (_, offered) = rest.split_once("] (")?;
        Some((package, offered.split_whitespace().next()?))
    });
    upgrades
        .zip(1000..)
        .map(|((package, fixed), number)| Finding {
            id: format!("CVE-2026-{number}"),
            package: package.to_owned(),
            fixed: Some(fixed.to_owned()),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_apt_offers_becomes_findings() {
        let offer = "Inst apt [2.6.1] (2.6.2 Debian:12/x [amd64])\nConf apt (2.6.2 Debian)\n\
                     Inst new (1 Debian:12/x [amd64])\nInst tzdata [1] (2 A:1, B:2 [all]) []\n";
        let found = findings(offer);
        let fixed = |finding: &Finding| (finding.package.clone(), finding.fixed.clone());
        assert_eq!(
            found.iter().map(fixed).collect::<Vec<_>>(),
            [("apt".into(), Some("2.6.2".into())), ("tzdata".into(), Some("2".into()))]
        );
    }
}
