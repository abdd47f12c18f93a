//! Module streams: repositories with several streams of one module, and an image of `AlmaLinux` that
//! has one of them enabled.

use std::fmt::Write as _;
use std::fs;

use anyhow::{Context, Result};

use crate::build_context::BuildContext;
use crate::digest;
use crate::engine::Engine;
use crate::folder::{LabFolder, empty};
use crate::rpm_batch::{Batch, write};
use crate::rpm_content::KEY;
use crate::rpm_image::RpmImage;
use crate::rpm_package::Architecture;
use crate::rpm_repository::ARCHITECTURE;
use crate::rpm_small_packages::{Place, SmallPackage};
use crate::rpm_tools::RpmTools;
use crate::rpm_worlds::ALMALINUX;
use crate::signing_key::SigningKey;

/// The image that the module is added to.
const ROOT_IMAGE: &str = "lab/almalinux:9.4";

/// The folder of the repositories among the served: beside the world's, which is emptied when that is
/// made again.
const REPOSITORIES: &str = "almalinux-9.4-modular";

/// The repository with its modules.
const COMPLETE: &str = "complete";

/// The same without the metadata of modules, as mirrors have it that index the packages again.
const WITHOUT_MODULES: &str = "without-modules";

/// The system that the module is for, which dnf takes from `os-release` if it is not set.
const PLATFORM: &str = "el9";

/// The module.
const MODULE: &str = "lab-service";

/// What each of its builds has.
const PACKAGES: [&str; 2] = ["lab-service", "lab-service-client"];

/// One build of the module, as a document of the repository's metadata describes it.
struct Build {
    stream: &'static str,
    number: u8,
    version: &'static str,
}

/// What the image has installed; its stream is enabled there.
const INSTALLED: Build = Build { stream: "1", number: 1, version: "1.0-1.module_el9+5+abc" };

/// All builds: the last one has the highest version, in a stream that the image has not enabled.
const BUILDS: [Build; 3] = [
    INSTALLED,
    Build { stream: "1", number: 2, version: "1.1-1.module_el9+6+abc" },
    Build { stream: "2", number: 1, version: "2.0-1.module_el9+7+abc" },
];

/// Everything of ours that decides what the repositories are like.
const RECIPE: [&str; 4] = [
    include_str!("rpm_batch.rs"),
    include_str!("rpm_module.rs"),
    include_str!("rpm_package.rs"),
    include_str!("rpm_tools.rs"),
];

/// Makes sure that the repositories are there and an engine has the image.
pub fn ensure(engine: &Engine, name: &str) -> Result<()> {
    RpmImage::of(&ALMALINUX).ensure(engine, ROOT_IMAGE)?;
    let _alone = engine.folder().lock("rpm-module")?;
    let recipe = ensure_repositories(engine.folder())?;
    let repository = format!(
        "[modular]\nname=Lab modules\nbaseurl={}/{REPOSITORIES}/{COMPLETE}/$basearch/\n\
         enabled=1\ngpgcheck=1\ngpgkey=file://{KEY}\n",
        engine.repository_server()?.url()
    );
    let installed = PACKAGES.map(|package| format!("{package}-{}", INSTALLED.version));
    BuildContext::new()
        .file("Dockerfile", include_str!("../images/modular/Dockerfile"))
        .file("modular.repo", repository)
        .argument("PLATFORM", PLATFORM)
        .argument("STREAM", &format!("{MODULE}:{}", INSTALLED.stream))
        .argument("INSTALLED", &installed.join(" "))
        .argument("REPOSITORIES_RECIPE", &recipe)
        .root(engine, ROOT_IMAGE)?
        .ensure(engine, name)
}

/// Makes the repositories unless they are there as they should be; returns the digest of how they are
/// made.
fn ensure_repositories(folder: &LabFolder) -> Result<String> {
    let key = SigningKey::of(folder)?;
    let key_digest = digest::of_bytes(&key.public_bytes()?);
    let recipe = digest::of_bytes([&RECIPE[..], &[&key_digest]].concat().join("\n").as_bytes());
    let marker = folder.folder("rpm")?.join(format!("{REPOSITORIES}.complete"));
    if !fs::read_to_string(&marker).is_ok_and(|made| made == recipe) {
        eprintln!("making the packages of {REPOSITORIES}");
        let tools = RpmTools::for_work(folder, REPOSITORIES)?;
        make(&tools, &key)?;
        let served = folder.folder("repositories")?.join(REPOSITORIES);
        empty(&served)?;
        fs::rename(tools.path("repositories"), &served)
            .with_context(|| format!("cannot write: {}", served.display()))?;
        tools.clear()?;
        fs::write(&marker, &recipe)
            .with_context(|| format!("cannot write: {}", marker.display()))?;
    }
    Ok(recipe)
}

/// Makes the repositories in a folder of work.
fn make(tools: &RpmTools, key: &SigningKey) -> Result<()> {
    empty(&tools.path("tree"))?;
    let mut packages = Vec::new();
    for build in BUILDS {
        let batch = build.batch();
        batch.build(&ALMALINUX, tools, &format!("batch-{}-{}", build.stream, build.number))?;
        packages
            .extend(batch.packages.iter().map(|package| format!("base/{}", package.file_name())));
    }
    let inside: Vec<_> = packages.iter().map(|package| tools.inside(package)).collect();
    tools.sign(key, &inside)?;
    let copy = |repository: &str| -> Result<String> {
        let home = format!("repositories/{repository}/{ARCHITECTURE}");
        empty(&tools.path(&home))?;
        for package in &packages {
            let from = tools.path(package);
            let name = from.file_name().context("a file has no name")?;
            fs::copy(&from, tools.path(&home).join(name))
                .with_context(|| format!("cannot copy: {}", from.display()))?;
        }
        Ok(home)
    };
    let complete = copy(COMPLETE)?;
    // createrepo_c adds what it finds under this name to the repository's metadata.
    write(
        &tools.path(&format!("{complete}/modules.yaml")),
        &BUILDS.map(|build| build.document()).concat(),
    )?;
    tools.index(key, &complete, None)?;
    tools.index(key, &copy(WITHOUT_MODULES)?, None)
}

impl Build {
    /// What rpmbuild makes for it.
    fn batch(&self) -> Batch {
        let mut batch = Batch::new(false, ARCHITECTURE);
        for name in PACKAGES {
            batch.add_small(&SmallPackage {
                place: Place::Base,
                name,
                version: self.version,
                architecture: Architecture::Any,
                tags: "",
                files: &[],
                script: "",
            });
        }
        for package in &mut batch.packages {
            package.tags =
                format!("ModularityLabel: {MODULE}:{}:{}:abc\n", self.stream, self.number);
        }
        batch
    }

    /// The document of `modules.yaml` that describes it, in the form of libmodulemd's
    /// `yaml_specs/modulemd_stream_v2.yaml`.
    fn document(&self) -> String {
        let Self { stream, number, version } = self;
        let mut text = format!(
            "---\ndocument: modulemd\nversion: 2\ndata:\n  name: {MODULE}\n  stream: \"{stream}\"\n  \
             version: {number}\n  context: abc\n  arch: {ARCHITECTURE}\n  summary: A module\n  \
             description: A module of the lab.\n  license:\n    module: [MIT]\n  dependencies:\n  \
             - requires:\n      platform: [{PLATFORM}]\n  artifacts:\n    rpms:\n"
        );
        for package in PACKAGES {
            // A string cannot fail to take more.
            let _ = writeln!(text, "    - {package}-0:{version}.noarch");
        }
        text.push_str("...\n");
        text
    }
}
