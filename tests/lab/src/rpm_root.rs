//! Makes an rpm world: its packages, their repositories, and a root file system that its own package
//! manager installed.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result};

use crate::debian_root;
use crate::digest;
use crate::folder::{LabFolder, empty};
use crate::program;
use crate::rpm_batch::write;
use crate::rpm_content::{batches, macros};
use crate::rpm_package::Package;
use crate::rpm_repository::{self, Packages};
use crate::rpm_small_packages::{Place, SMALL_PACKAGES};
use crate::rpm_tools::RpmTools;
use crate::rpm_worlds::{COMMON, Manager, World};
use crate::signing_key::SigningKey;
use crate::unpacked_system::UnpackedSystem;

/// Everything of ours that decides what a world is like.
const RECIPE: [&str; 10] = [
    include_str!("rpm_batch.rs"),
    include_str!("rpm_content.rs"),
    include_str!("rpm_package.rs"),
    include_str!("rpm_repository.rs"),
    include_str!("rpm_root.rs"),
    include_str!("rpm_small_packages.rs"),
    include_str!("rpm_tools.rs"),
    include_str!("rpm_worlds.rs"),
    include_str!("unpacked_system.rs"),
    RETIRED_KEY,
];

/// A key that signs nothing any more, which the images have beside the lab's.
const RETIRED_KEY: &str = include_str!("../images/rpm/retired-key.asc");

/// What an installation leaves behind that images do not have.
const LEFT_BEHIND: [&str; 4] =
    ["var/cache/dnf", "var/cache/libdnf5", "var/cache/ldconfig/aux-cache", "var/log"];

/// A world that was made.
#[derive(Debug)]
pub struct RpmRoot {
    /// Its whole file system.
    pub archive: PathBuf,
    /// The digest of how it was made.
    pub recipe: String,
}

impl RpmRoot {
    /// The root of a world, with its repositories among the served, made unless it was made before.
    pub fn of(folder: &LabFolder, world: &World) -> Result<Self> {
        let _alone = folder.lock(&format!("rpm-{}", world.name))?;
        let home = folder.folder("rpm")?;
        let key = SigningKey::of(folder)?;
        let recipe = recipe(world, &key)?;
        let marker = home.join(format!("{}.complete", world.name));
        let root = Self { archive: home.join(format!("{}.tar", world.name)), recipe };
        if !fs::read_to_string(&marker).is_ok_and(|made| made == root.recipe) {
            eprintln!("making the packages of {}", world.name);
            let tools = RpmTools::for_work(folder, world.name)?;
            let tree = make(folder, world, &key, &tools)?;
            debian_root::pack(&tree.path("lab/root"), &root.archive)?;
            let served = folder.folder("repositories")?.join(world.name);
            empty(&served)?;
            fs::rename(tree.path("lab/repositories"), &served)
                .with_context(|| format!("cannot write: {}", served.display()))?;
            tools.clear()?;
            fs::write(&marker, &root.recipe)
                .with_context(|| format!("cannot write: {}", marker.display()))?;
        }
        Ok(root)
    }
}

/// The digest of everything that decides what comes out.
fn recipe(world: &World, key: &SigningKey) -> Result<String> {
    let key = digest::of_bytes(&key.public_bytes()?);
    let parts = [&RECIPE[..], &[world.name, &key]].concat();
    Ok(digest::of_bytes(parts.join("\n").as_bytes()))
}

/// Makes packages, repositories and root; returns the system that they were cut from, with the last
/// two in its folder of work.
fn make(
    folder: &LabFolder,
    world: &World,
    key: &SigningKey,
    tools: &RpmTools,
) -> Result<UnpackedSystem> {
    let wanted = [&COMMON[..], world.packages].concat();
    let tree = tools.path("tree");
    let system = UnpackedSystem::unpack(folder, world.suite, world.name, &wanted, &tree)?;
    for path in world.removed {
        let path = system.path(path);
        fs::remove_file(&path).with_context(|| format!("cannot remove: {}", path.display()))?;
    }
    compile_python(&system)?;
    let public_key = tools.armoured(key)?;
    let batches = batches(world, &system, &wanted, &public_key)?;
    for (number, batch) in batches.iter().enumerate() {
        batch.build(world, tools, &format!("batch-{number}"))?;
    }
    let packages = |updates: bool| {
        let batches = batches.iter().filter(move |batch| batch.updates == updates);
        batches.flat_map(|batch| batch.packages.iter().cloned()).collect::<Vec<_>>()
    };
    let (base, updates) = (packages(false), packages(true));
    rpm_repository::write(tools, key, &Packages { base: &base, updates: &updates })?;
    let repositories = system.path("lab/repositories");
    fs::rename(tools.path("repositories"), &repositories)
        .with_context(|| format!("cannot write: {}", repositories.display()))?;
    install(world, &system, &base, &public_key)?;
    Ok(system)
}

/// Translates Python's programs, as distributions do in their packages: else the first run of each
/// would write the translations into the image.
fn compile_python(system: &UnpackedSystem) -> Result<()> {
    if !system.path("usr/bin/python3").exists() {
        return Ok(());
    }
    program::run(
        system
            .command("python3")?
            .args(["-m", "compileall", "-qq", "-j", "2", "/usr/lib/python3"])
            .args(["/usr/lib/python3.11"]),
    )
}

/// Installs the world's packages with its own package manager, which comes from the same packages.
fn install(
    world: &World,
    system: &UnpackedSystem,
    packages: &[Package],
    public_key: &str,
) -> Result<()> {
    write(&system.path("etc/rpm/macros"), &macros(world))?;
    write(&system.path("lab/key"), public_key)?;
    write(&system.path("lab/retired-key"), RETIRED_KEY)?;
    let root = system.path("lab/root");
    fs::create_dir_all(&root).context("cannot make a folder")?;
    let left_out = |package: &&Package| {
        !SMALL_PACKAGES.iter().any(|small| small.place == Place::Base && small.name == package.name)
    };
    let packages: Vec<&Package> = packages.iter().filter(left_out).collect();
    let source = "file:///lab/repositories/base/x86_64";
    match world.manager {
        Manager::Dnf | Manager::Dnf5 => {
            let name = if world.manager == Manager::Dnf { "dnf" } else { "dnf5" };
            program::run(
                system
                    .command(name)?
                    .args(["--assumeyes", "--installroot=/lab/root"])
                    .arg(format!("--releasever={}", world.identity.release))
                    .args(["--setopt=reposdir=/nonexistent", "--setopt=install_weak_deps=0"])
                    .arg(format!("--repofrompath=base,{source}"))
                    .args(["--setopt=base.gpgcheck=1", "--setopt=base.gpgkey=file:///lab/key"])
                    .arg("install")
                    .args(packages.iter().map(|package| package.file_stem())),
            )?;
        }
        Manager::Zypper => {
            program::run(system.command("rpm")?.args(["--import", "/lab/key"]))?;
            let folder = "/lab/repositories/base/x86_64";
            program::run(
                system.command("rpm")?.args(["--root=/lab/root", "--install"]).args(
                    packages.iter().map(|package| format!("{folder}/{}", package.file_name())),
                ),
            )?;
        }
    }
    if world.manager == Manager::Dnf {
        // dnf leaves its history in a journal several times as large.
        program::run(
            system
                .command("sqlite3")?
                .arg("/lab/root/var/lib/dnf/history.sqlite")
                .arg("PRAGMA wal_checkpoint(TRUNCATE)"),
        )?;
    }
    // dnf 5's world has yet to learn the lab's key, from its repositories' settings.
    let keys = match world.manager {
        Manager::Dnf5 => &["/lab/retired-key"][..],
        _ => &["/lab/retired-key", "/lab/key"],
    };
    // What the installation took is not what an image has.
    let mut query = system.command("rpm")?;
    query.args(["--root=/lab/root", "--query", "--all", "gpg-pubkey"]);
    let known = program::output(&mut query)?;
    if !known.is_empty() {
        let mut erase = system.command("rpm")?;
        program::run(erase.args(["--root=/lab/root", "--erase"]).args(known.lines()))?;
    }
    program::run(system.command("rpm")?.args(["--root=/lab/root", "--import"]).args(keys))?;
    for path in LEFT_BEHIND {
        let path = root.join(path);
        if path.is_dir() {
            empty(&path)?;
        } else if path.exists() {
            fs::remove_file(&path).with_context(|| format!("cannot remove: {}", path.display()))?;
        }
    }
    Ok(())
}
