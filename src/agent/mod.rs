//! The half of suture that runs inside fetch and apply containers.
//!
//! Started as `suture agent TASK.json`. It never starts a shell and gives programs argument
//! vectors only. Messages to the user go to stderr, the log of the step; messages to the frontend are
//! files in its output mount, or an exit code.

#![allow(
    clippy::disallowed_methods,
    reason = "the agent is the part that touches files, processes and the clock"
)]

mod apk;
mod apt;
mod attributes;
mod author;
mod changes;
mod fetched;
mod lend;
mod lift;
mod links;
mod note;
mod process;
mod python;
mod rpm;
mod scripts;
mod settle;
mod words;

use std::fmt;
use std::io;
use std::path::Path;

use crate::patch::task::{AgentFailure, ApplyTask, FetchTask, Lock, Manager, Task, path};

/// Why a task was not done.
#[derive(Debug)]
pub struct Failure {
    kind: AgentFailure,
    message: String,
}

impl Failure {
    fn new(kind: AgentFailure, message: impl Into<String>) -> Self {
        Self { kind, message: message.into() }
    }

    /// A failed operation on a file; a full disk is distinguished from the rest.
    fn file(what: &str, file: &Path, error: &io::Error) -> Self {
        let kind = match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => AgentFailure::NoSpace,
            _ => AgentFailure::Bug,
        };
        Self::new(kind, format!("cannot {what} {}: {error}", file.display()))
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.message)
    }
}

/// Does the task in this file; the result is the process's exit code.
pub fn run(task_file: &Path) -> u8 {
    let outcome = read_task(task_file).and_then(|task| match task {
        Task::Fetch(task) => fetch(&task),
        Task::Apply(task) => apply(&task),
        Task::List => lend::lend().and_then(|_| rpm::list()),
        Task::Tell { note, .. } => note::tell(&note),
    });
    match outcome {
        Ok(()) => 0,
        Err(failure) => {
            say(&format!("suture: {failure} [{}]", failure.kind.code()));
            note::leave(&failure);
            failure.kind.exit_code()
        }
    }
}

/// Writes a line to the step's log.
#[expect(clippy::print_stderr, reason = "stderr is the step's log, which the user sees")]
fn say(line: &str) {
    eprintln!("{line}");
}

fn read_task(file: &Path) -> Result<Task, Failure> {
    let bytes = std::fs::read(file).map_err(|error| Failure::file("read", file, &error))?;
    serde_json::from_slice(&bytes)
        .map_err(|error| Failure::new(AgentFailure::Bug, format!("no task: {error}")))
}

fn write_json(file: &Path, value: &impl serde::Serialize) -> Result<(), Failure> {
    let json = serde_json::to_vec_pretty(value)
        .map_err(|error| Failure::new(AgentFailure::Bug, error.to_string()))?;
    std::fs::write(file, json).map_err(|error| Failure::file("write", file, &error))
}

fn fetch(task: &FetchTask) -> Result<(), Failure> {
    let files = format!("{}{}", path::OUT, path::FILES_IN_OUT);
    let files = Path::new(&files);
    std::fs::create_dir_all(files).map_err(|error| Failure::file("make", files, &error))?;
    lend::lend()?;
    let (outcome, lock) = match task.manager {
        Manager::Apk => apk::fetch(task, files)?,
        Manager::Apt => apt::fetch::run(task, files)?,
        Manager::Rpm(manager) => rpm::fetch::run(task, manager, files)?,
    };
    write_json(&files.join(path::LOCK), &lock)?;
    write_json(Path::new(&format!("{}{}", path::OUT, path::OUTCOME_IN_OUT)), &outcome)
}

fn apply(task: &ApplyTask) -> Result<(), Failure> {
    let began = settle::Moment::now(Path::new(path::WORK))?;
    let files = Path::new(path::FILES);
    let lock_file = files.join(path::LOCK);
    let bytes =
        std::fs::read(&lock_file).map_err(|error| Failure::file("read", &lock_file, &error))?;
    let lock: Lock = serde_json::from_slice(&bytes)
        .map_err(|error| Failure::new(AgentFailure::Bug, format!("no lock: {error}")))?;
    let lent = lend::lend()?;
    let remains = match task.manager {
        Manager::Apk => apk::apply(&lock, files)?,
        Manager::Apt => apt::apply::run(&lock, files)?,
        Manager::Rpm(manager) => rpm::apply::run(manager, &lock, files, task.source_date_epoch)?,
    };
    settle::run(&settle::Settle {
        root: Path::new("/"),
        base: Path::new(path::BASE),
        began,
        remains: &remains,
        latest: task.source_date_epoch,
        // In other families compiled files are packages' own, whose digests the database has.
        scripts_compile: task.manager == Manager::Apt,
    })?;
    lent.take_back()
}
