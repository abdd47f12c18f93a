//! apt and dpkg.

pub(super) mod apply;
mod diversions;
pub(super) mod fetch;
mod indexes;
mod output;
mod repair;

use std::path::{Path, PathBuf};

use crate::package::{Architecture, PackageName};
use crate::patch::task::{AgentFailure, path};
use crate::pkgdb::{Database, dpkg};

use super::Failure;
use super::process::{self, Echo, Finished};

/// Where dpkg records what is installed.
const STATUS: &str = "/var/lib/dpkg/status";

/// What runs packages' scripts, hooks, and apt's own scripts.
const SHELL: &str = "/bin/sh";

/// The environment of every program of the family: English, and no questions.
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
        // The user asked for upgrades, not for what apt would tidy up besides.
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

/// Runs a program of the family and classifies a failure by its output.
fn run(program: &str, arguments: &[String], echo: Echo) -> Result<Finished, Failure> {
    process::run(program, arguments, ENVIRONMENT, echo)
}

/// The failure that a program's output indicates.
fn failure(call: &str, finished: &Finished) -> Failure {
    let kind = output::failure_kind(finished);
    let because = output::because(kind, finished);
    let program = call.split(' ').next().unwrap_or(call);
    if kind == AgentFailure::PackageManager
        && let Some(script) = process::find_script(program)
    {
        let message = format!("{} is a script, not apt's own program: {because}", script.display());
        return Failure::new(AgentFailure::Broken, message);
    }
    let further = match kind {
        // Before apt 2.9, apt's own signature check is a shell script.
        AgentFailure::Broken if !Path::new(SHELL).exists() => format!(" ({SHELL} is missing)"),
        AgentFailure::PackageManager => {
            output::hook(&because).and_then(file_with_hook).map_or_else(String::new, |file| {
                format!(" (set in {}, and does not work in a build step)", file.display())
            })
        }
        _ => String::new(),
    };
    Failure::new(kind, format!("{call} failed: {because}{further}"))
}

/// The file of apt's configuration that sets a hook.
fn file_with_hook(hook: &str) -> Option<PathBuf> {
    let parts = std::fs::read_dir("/etc/apt/apt.conf.d").into_iter().flatten().flatten();
    let mut files = parts.map(|entry| entry.path()).chain(["/etc/apt/apt.conf".into()]);
    files.find(|file| std::fs::read_to_string(file).is_ok_and(|text| text.contains(hook)))
}

fn database() -> Result<Database, Failure> {
    let file = Path::new(STATUS);
    let bytes = std::fs::read(file).map_err(|error| Failure::file("read", file, &error))?;
    dpkg::parse_status(&bytes).map_err(|error| {
        Failure::new(AgentFailure::PackageManager, format!("cannot read {STATUS}: {error}"))
    })
}

/// How apt names a package: with its architecture if that is a foreign one.
fn spelled(name: &PackageName, architecture: &Architecture, native: &Architecture) -> String {
    if architecture == native || architecture.is_any() {
        name.to_string()
    } else {
        format!("{name}:{architecture}")
    }
}
