//! Running other programs, with errors that say what is missing and what went wrong.

use std::env;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use anyhow::{Context, Result, bail, ensure};

/// The system programs the lab runs, each with the Debian package it comes from.
const PACKAGES: &[(&str, &str)] = &[
    ("apt-cache", "apt"),
    ("apt-config", "apt"),
    ("apt-get", "apt"),
    ("dpkg", "dpkg"),
    ("dpkg-deb", "dpkg"),
    ("gpg", "gnupg"),
    ("gpg-connect-agent", "gpgconf"),
    ("md5sum", "coreutils"),
    ("mknod", "coreutils"),
    ("nsenter", "util-linux"),
    ("openssl", "openssl"),
    ("setsid", "util-linux"),
    ("tar", "tar"),
    ("unshare", "util-linux"),
];

/// Where a program may be beyond `PATH`: people who are not root often lack these two.
const SYSTEM_FOLDERS: [&str; 2] = ["/usr/sbin", "/sbin"];

/// The path of a program, if the machine has it.
pub fn find(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path)
        .chain(SYSTEM_FOLDERS.iter().map(PathBuf::from))
        .map(|folder| folder.join(name))
        .find(|candidate| candidate.is_file())
}

/// A command that runs a system program; a missing one is an error that names its Debian package.
pub fn system(name: &str) -> Result<Command> {
    let Some(program) = find(name) else {
        let package =
            PACKAGES.iter().find(|(program, _)| *program == name).map_or(name, |(_, from)| from);
        bail!("the program {name} is missing: install the Debian package {package}");
    };
    Ok(Command::new(program))
}

/// Says in one sentence that `purpose` needs root, unless we are root.
pub fn require_root(purpose: &str) -> Result<()> {
    ensure!(rustix::process::geteuid().is_root(), "{purpose} needs root: run cargo lab as root");
    Ok(())
}

/// Runs a command whose output nobody needs unless it fails.
pub fn run(command: &mut Command) -> Result<()> {
    output(command).map(drop)
}

/// Runs a command and returns what it wrote to its standard output.
pub fn output(command: &mut Command) -> Result<String> {
    let finished = command
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("cannot start: {}", line(command)))?;
    if !finished.status.success() {
        bail!(failure(command, &finished));
    }
    String::from_utf8(finished.stdout)
        .with_context(|| format!("output is not UTF-8: {}", line(command)))
}

/// What to say of a command that failed: how, and its own last words.
fn failure(command: &Command, finished: &Output) -> String {
    let errors = String::from_utf8_lossy(&finished.stderr);
    let output = String::from_utf8_lossy(&finished.stdout);
    let words = if errors.trim().is_empty() { output } else { errors };
    format!("{}: {}\n{}", finished.status, line(command), last_lines(&words, 20))
}

/// The last `count` lines of a text.
pub fn last_lines(text: &str, count: usize) -> String {
    let lines: Vec<&str> = text.trim_end().lines().collect();
    lines.get(lines.len().saturating_sub(count)..).unwrap_or_default().join("\n")
}

/// A command as a person would type it.
fn line(command: &Command) -> String {
    std::iter::once(command.get_program())
        .chain(command.get_args())
        .map(OsStr::to_string_lossy)
        .collect::<Vec<_>>()
        .join(" ")
}

/// `PATH` with some folders put in front.
pub fn path_with(folders: &[&Path]) -> Result<std::ffi::OsString> {
    let path = env::var_os("PATH").unwrap_or_default();
    env::join_paths(
        folders.iter().map(|folder| folder.to_path_buf()).chain(env::split_paths(&path)),
    )
    .context("a folder's name holds a colon, so PATH cannot name it")
}
