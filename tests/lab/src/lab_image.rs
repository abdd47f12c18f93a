//! The images that the tests patch, made when they are first wanted and kept in the engine.

use std::collections::BTreeMap;
use std::panic::resume_unwind;
use std::thread;

use anyhow::{Result, bail};

use crate::alpine::{AlpineImage, ApkUpdates};
use crate::build_context::{self, BuildContext, RECIPE_LABEL};
use crate::debian_packages::{ARCHIVE_KEYRING, Mirror};
use crate::debian_root::DebianRoot;
use crate::engine::Engine;
use crate::hermetic::{self, Sources};
use crate::hermetic_packages::SUITE;
use crate::rpm_image::{RpmImage, StandIn};
use crate::rpm_module;
use crate::rpm_repository::Updates;
use crate::rpm_worlds::{ALMALINUX, FEDORA, OPENSUSE};

/// What an image of the lab is made of.
#[derive(Clone, Copy, Debug)]
pub enum Recipe {
    /// A Debian suite's `main` alone, with the mirror's updates in reach.
    Main(&'static str),
    /// The same without what Docker's own images add to apt's configuration: as debootstrap makes it.
    Plain(&'static str),
    /// The hermetic world's packages, with their updates in reach or not.
    Hermetic(Sources),
    /// An image of an rpm world.
    Rpm(RpmImage),
    /// `AlmaLinux` with a module, one stream of which is enabled.
    Modular,
    /// Alpine, with its updates in reach or not.
    Alpine(AlpineImage),
    /// A Debian that cannot be patched, for one instruction's reason.
    Odd(&'static str),
}

/// Every image the lab can make.
pub const IMAGES: [(&str, Recipe); 48] = [
    ("lab/almalinux:9.4", Recipe::Rpm(RpmImage::of(&ALMALINUX))),
    ("lab/almalinux:9.4-bench", Recipe::Rpm(RpmImage::of(&ALMALINUX).with_catalogue())),
    (
        "lab/almalinux:9.4-conflicting",
        Recipe::Rpm(RpmImage::of(&ALMALINUX).with(Updates::Conflicting)),
    ),
    (
        "lab/almalinux:9.4-microdnf",
        Recipe::Rpm(RpmImage::of(&ALMALINUX).managed_by(StandIn::Microdnf)),
    ),
    (
        "lab/almalinux:9.4-microdnf-conflicting",
        Recipe::Rpm(
            RpmImage::of(&ALMALINUX).managed_by(StandIn::Microdnf).with(Updates::Conflicting),
        ),
    ),
    (
        "lab/almalinux:9.4-microdnf-tampered",
        Recipe::Rpm(RpmImage::of(&ALMALINUX).managed_by(StandIn::Microdnf).with(Updates::Tampered)),
    ),
    (
        "lab/almalinux:9.4-microdnf-unsigned",
        Recipe::Rpm(RpmImage::of(&ALMALINUX).managed_by(StandIn::Microdnf).with(Updates::Unsigned)),
    ),
    ("lab/almalinux:9.4-modular", Recipe::Modular),
    ("lab/almalinux:9.4-tdnf", Recipe::Rpm(RpmImage::of(&ALMALINUX).managed_by(StandIn::Tdnf))),
    (
        "lab/almalinux:9.4-tdnf-conflicting",
        Recipe::Rpm(RpmImage::of(&ALMALINUX).managed_by(StandIn::Tdnf).with(Updates::Conflicting)),
    ),
    (
        "lab/almalinux:9.4-tdnf-tampered",
        Recipe::Rpm(RpmImage::of(&ALMALINUX).managed_by(StandIn::Tdnf).with(Updates::Tampered)),
    ),
    (
        "lab/almalinux:9.4-tdnf-unsigned",
        Recipe::Rpm(RpmImage::of(&ALMALINUX).managed_by(StandIn::Tdnf).with(Updates::Unsigned)),
    ),
    ("lab/almalinux:9.4-yum", Recipe::Rpm(RpmImage::of(&ALMALINUX).managed_by(StandIn::Yum))),
    (
        "lab/almalinux:9.4-yum-conflicting",
        Recipe::Rpm(RpmImage::of(&ALMALINUX).managed_by(StandIn::Yum).with(Updates::Conflicting)),
    ),
    (
        "lab/almalinux:9.4-yum-tampered",
        Recipe::Rpm(RpmImage::of(&ALMALINUX).managed_by(StandIn::Yum).with(Updates::Tampered)),
    ),
    (
        "lab/almalinux:9.4-yum-unsigned",
        Recipe::Rpm(RpmImage::of(&ALMALINUX).managed_by(StandIn::Yum).with(Updates::Unsigned)),
    ),
    ("lab/almalinux:9.4-tampered", Recipe::Rpm(RpmImage::of(&ALMALINUX).with(Updates::Tampered))),
    (
        "lab/almalinux:9.4-unreachable",
        Recipe::Rpm(RpmImage::of(&ALMALINUX).with(Updates::Unreachable)),
    ),
    ("lab/almalinux:9.4-unsigned", Recipe::Rpm(RpmImage::of(&ALMALINUX).with(Updates::Unsigned))),
    ("lab/alpine:3.20", Recipe::Alpine(AlpineImage::AMD64)),
    ("lab/alpine:3.20-arm64", Recipe::Alpine(AlpineImage::ARM64)),
    ("lab/alpine:3.20-tampered", Recipe::Alpine(AlpineImage::AMD64.with(ApkUpdates::Tampered))),
    (
        "lab/alpine:3.20-unknown-key",
        Recipe::Alpine(AlpineImage::AMD64.with(ApkUpdates::UnknownKey)),
    ),
    (
        "lab/alpine:3.20-unreachable",
        Recipe::Alpine(AlpineImage::AMD64.with(ApkUpdates::Unreachable)),
    ),
    ("lab/alpine:3.20-unsigned", Recipe::Alpine(AlpineImage::AMD64.with(ApkUpdates::Unsigned))),
    ("lab/debian:bookworm-main", Recipe::Main("bookworm")),
    ("lab/debian:bookworm-plain", Recipe::Plain("bookworm")),
    ("lab/debian:bullseye-main", Recipe::Main("bullseye")),
    ("lab/debian:trixie-main", Recipe::Main("trixie")),
    ("lab/debian:hermetic", Recipe::Hermetic(Sources::Good)),
    ("lab/debian:hermetic-failing", Recipe::Hermetic(Sources::Failing)),
    ("lab/debian:hermetic-tampered", Recipe::Hermetic(Sources::Tampered)),
    ("lab/debian:hermetic-unknown-key", Recipe::Hermetic(Sources::UnknownKey)),
    ("lab/debian:hermetic-unreachable", Recipe::Hermetic(Sources::Unreachable)),
    ("lab/debian:hermetic-unsigned", Recipe::Hermetic(Sources::Unsigned)),
    ("lab/fedora:43", Recipe::Rpm(RpmImage::of(&FEDORA))),
    ("lab/fedora:43-conflicting", Recipe::Rpm(RpmImage::of(&FEDORA).with(Updates::Conflicting))),
    ("lab/fedora:43-tampered", Recipe::Rpm(RpmImage::of(&FEDORA).with(Updates::Tampered))),
    ("lab/fedora:43-unreachable", Recipe::Rpm(RpmImage::of(&FEDORA).with(Updates::Unreachable))),
    ("lab/fedora:43-unsigned", Recipe::Rpm(RpmImage::of(&FEDORA).with(Updates::Unsigned))),
    ("lab/none:no-apt", Recipe::Odd("RUN rm -r /usr/bin/apt* /usr/lib/apt /etc/apt")),
    ("lab/none:no-os-release", Recipe::Odd("RUN rm /etc/os-release /usr/lib/os-release")),
    (
        "lab/none:unsupported",
        Recipe::Odd(
            r#"RUN printf 'ID=plan9\nNAME="Plan 9"\nVERSION_ID=4\n' > /usr/lib/os-release"#,
        ),
    ),
    ("lab/opensuse:15.6", Recipe::Rpm(RpmImage::of(&OPENSUSE))),
    (
        "lab/opensuse:15.6-conflicting",
        Recipe::Rpm(RpmImage::of(&OPENSUSE).with(Updates::Conflicting)),
    ),
    ("lab/opensuse:15.6-tampered", Recipe::Rpm(RpmImage::of(&OPENSUSE).with(Updates::Tampered))),
    (
        "lab/opensuse:15.6-unreachable",
        Recipe::Rpm(RpmImage::of(&OPENSUSE).with(Updates::Unreachable)),
    ),
    ("lab/opensuse:15.6-unsigned", Recipe::Rpm(RpmImage::of(&OPENSUSE).with(Updates::Unsigned))),
];

/// Makes sure that an engine has an image of the lab.
pub fn ensure(engine: &Engine, name: &str) -> Result<()> {
    let Some((name, recipe)) = IMAGES.into_iter().find(|(known, _)| *known == name) else {
        let known: Vec<_> = IMAGES.iter().map(|(name, _)| *name).collect();
        bail!("unknown image: {name}: there are {}", known.join(", "));
    };
    // An rpm world takes long to make, and has locks of its own.
    let _alone = match recipe {
        Recipe::Rpm(_) | Recipe::Modular => None,
        _ => Some(engine.folder().lock("images")?),
    };
    match recipe {
        Recipe::Rpm(image) => image.ensure(engine, name),
        Recipe::Modular => rpm_module::ensure(engine, name),
        Recipe::Main(suite) => ensure_main(engine, name, suite),
        Recipe::Plain(suite) => ensure_plain(engine, name, suite),
        Recipe::Hermetic(sources) => ensure_hermetic(engine, name, sources),
        Recipe::Alpine(image) => image.ensure(engine, name),
        Recipe::Odd(instruction) => ensure_odd(engine, name, instruction),
    }
}

/// Makes sure that an engine has these images; distributions side by side, since each mostly waits for a
/// mirror, for a disk or for one program.
pub fn ensure_all(engine: &Engine, names: &[&str]) -> Result<()> {
    let distribution = |name: &&str| {
        name.split_once(':').map_or(*name, |(distribution, _)| distribution).to_owned()
    };
    let mut distributions: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for name in names {
        distributions.entry(distribution(name)).or_default().push(name);
    }
    thread::scope(|scope| {
        let makers: Vec<_> = distributions
            .values()
            .map(|names| scope.spawn(|| names.iter().try_for_each(|name| ensure(engine, name))))
            .collect();
        makers.into_iter().try_for_each(|maker| match maker.join() {
            Ok(made) => made,
            Err(panic) => resume_unwind(panic),
        })
    })
}

/// An image of a suite's `main` alone, whose sources offer the mirror's updates.
fn ensure_main(engine: &Engine, name: &str, suite: &str) -> Result<()> {
    let mirror = Mirror::of_this_machine()?;
    let (path, sources) = if suite == "bullseye" {
        ("sources/sources.list", one_line_sources(&mirror, suite))
    } else {
        ("sources/sources.list.d/debian.sources", stanza_sources(&mirror, suite))
    };
    application(engine, &ensure_root(engine, suite)?)?.file(path, sources).ensure(engine, name)
}

/// The image of [`ensure_main`], its apt as Debian ships it.
fn ensure_plain(engine: &Engine, name: &str, suite: &str) -> Result<()> {
    let main = format!("lab/debian:{suite}-main");
    ensure_main(engine, &main, suite)?;
    let text = format!(
        "ARG ROOT\nFROM ${{ROOT}}\nUSER root\nRUN rm /etc/apt/apt.conf.d/docker-*\nUSER nobody\n\
         ARG RECIPE\nLABEL {RECIPE_LABEL}=${{RECIPE}}\n"
    );
    BuildContext::new().file("Dockerfile", text).root(engine, &main)?.ensure(engine, name)
}

/// An image of the hermetic world.
fn ensure_hermetic(engine: &Engine, name: &str, sources: Sources) -> Result<()> {
    let root = hermetic::ensure_root(engine, &ensure_root(engine, SUITE)?)?;
    application(engine, root)?
        .file("sources/sources.list.d/lab.sources", sources.text(engine)?)
        .ensure(engine, name)
}

/// An image that cannot be patched, for one instruction's reason.
fn ensure_odd(engine: &Engine, name: &str, instruction: &str) -> Result<()> {
    let root = ensure_root(engine, SUITE)?;
    let text = format!(
        "ARG ROOT\nFROM ${{ROOT}}\n{instruction}\nARG RECIPE\nLABEL {RECIPE_LABEL}=${{RECIPE}}\n"
    );
    BuildContext::new().file("Dockerfile", text).root(engine, &root)?.ensure(engine, name)
}

/// The bare root of a suite as an image.
fn ensure_root(engine: &Engine, suite: &str) -> Result<String> {
    let name = format!("lab/root:{suite}");
    let root = DebianRoot::of_suite(engine.folder(), suite)?;
    build_context::ensure_imported(engine, &name, &root.archive, &root.recipe)?;
    Ok(name)
}

/// An application on top of an image, with every kind of setting that a patched image must keep.
fn application(engine: &Engine, root: &str) -> Result<BuildContext> {
    BuildContext::new()
        .file("Dockerfile", include_str!("../images/application/Dockerfile"))
        .file("entrypoint", include_str!("../images/application/entrypoint"))
        .file("greeting", include_str!("../images/application/greeting"))
        .root(engine, root)
}

/// The mirror's suites as Debian's images name them from bookworm on. A mirror may stand still, so
/// the age of its indexes is no fault; their signatures are checked all the same.
fn stanza_sources(mirror: &Mirror, suite: &str) -> String {
    let stanza = |address: &str, suites: &str| {
        format!(
            "Types: deb\nURIs: {address}\nSuites: {suites}\nComponents: main\n\
             Check-Valid-Until: no\nSigned-By: {ARCHIVE_KEYRING}\n"
        )
    };
    let archive = stanza(&mirror.archive, &format!("{suite} {suite}-updates"));
    let security = stanza(&mirror.security, &format!("{suite}-security"));
    format!("{archive}\n{security}")
}

/// The same as Debian's older images name them.
fn one_line_sources(mirror: &Mirror, suite: &str) -> String {
    let line =
        |address: &str, suite: &str| format!("deb [check-valid-until=no] {address} {suite} main\n");
    [
        line(&mirror.archive, suite),
        line(&mirror.security, &format!("{suite}-security")),
        line(&mirror.archive, &format!("{suite}-updates")),
    ]
    .concat()
}
