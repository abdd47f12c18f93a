//! apt and dpkg.

pub(super) mod apply;
mod diversions;
pub(super) mod fetch;
mod indexes;
mod output;

use std::collections::BTreeSet;
use std::path::Path;

use crate::package::{Architecture, PackageName};
use crate::patch::task::{AgentFailure, path};
use crate::pkgdb::{Database, dpkg};

use super::Failure;
use super::process::{self, Echo, Finished};

/// Where dpkg keeps what is installed.
const STATUS: &str = "/var/lib/dpkg/status";

/// The environment of every program of the family: English without asking questions.
const ENVIRONMENT: &[(&str, &str)] = &[
    ("LC_ALL", "C.UTF-8"),
    ("HOME", "/root"),
    ("DEBIAN_FRONTEND", "noninteractive"),
    ("DEBCONF_NONINTERACTIVE_SEEN", "true"),
    ("DEBCONF_NOWARNINGS", "yes"),
    ("APT_LISTCHANGES_FRONTEND", "none"),
    ("NEEDRESTART_SUSPEND", "1"),
    ("UCF_FORCE_CONFFOLD", "1"),
    ("TMPDIR", path::WORK),
];

/// What every call of apt is told: keep your own books in our folder, not in the image's.
fn common_options() -> Vec<String> {
    let work = path::WORK;
    [
        format!("Dir::State::lists={work}/lists"),
        format!("Dir::Cache={work}/cache"),
        format!("Dir::Log={work}/log"),
        "Dir::Log::Planner=".to_owned(),
        // The files are ours, and a build container may not change users.
        "APT::Sandbox::User=root".to_owned(),
        "Acquire::Languages=none".to_owned(),
        "Dpkg::Use-Pty=false".to_owned(),
        "APT::Color=false".to_owned(),
        // Upgrades are what the user asked for, not what apt would tidy up besides.
        "APT::Get::AutomaticRemove=false".to_owned(),
        "APT::Install-Recommends=false".to_owned(),
        "APT::Install-Suggests=false".to_owned(),
    ]
    .into_iter()
    .flat_map(|option| ["-o".to_owned(), option])
    .collect()
}

/// Makes the folders that [`common_options`] points to.
fn make_folders() -> Result<(), Failure> {
    for folder in ["lists/partial", "cache/archives/partial", "log"] {
        let folder = Path::new(path::WORK).join(folder);
        std::fs::create_dir_all(&folder).map_err(|error| Failure::file("make", &folder, &error))?;
    }
    Ok(())
}

/// Runs a program of the family and tells a failure's kind by its words.
fn run(program: &str, arguments: &[String], echo: Echo) -> Result<Finished, Failure> {
    process::run(program, arguments, ENVIRONMENT, echo)
}

/// The failure that a program's words mean.
fn failure(program: &str, finished: &Finished) -> Failure {
    let kind = output::failure_kind(finished);
    let because = output::first_error(&finished.stderr)
        .map_or_else(String::new, |error| format!(": {error}"));
    Failure::new(kind, format!("{program} failed{because}"))
}

fn database() -> Result<Database, Failure> {
    let file = Path::new(STATUS);
    let bytes = std::fs::read(file).map_err(|error| Failure::file("read", file, &error))?;
    dpkg::parse_status(&bytes).map_err(|error| {
        Failure::new(AgentFailure::PackageManager, format!("cannot read {STATUS}: {error}"))
    })
}

/// The packages that are installed.
fn installed(database: &Database) -> BTreeSet<(PackageName, Architecture)> {
    database
        .installed()
        .map(|package| (package.name.clone(), package.architecture.clone()))
        .collect()
}

/// How apt names a package: with its architecture when it is a foreign one.
fn spelled(name: &PackageName, architecture: &Architecture, native: &Architecture) -> String {
    if architecture == native || architecture.as_str() == "all" {
        name.to_string()
    } else {
        format!("{name}:{architecture}")
    }
}
