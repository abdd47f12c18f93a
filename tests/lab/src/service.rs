//! A program that serves an engine, beside it in its network, and that outlives `cargo lab`.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::folder::LabFolder;
use crate::program;
use crate::recorded_process::RecordedProcess;

/// How long a service may take until it serves.
const PATIENCE: Duration = Duration::from_secs(20);

/// A service of one engine, running or not.
#[derive(Debug)]
pub struct Service<'a> {
    /// What people call it, in words with dashes; its files have this name.
    pub name: &'a str,
    /// The folder of its records.
    pub home: &'a Path,
    /// What it says once it serves.
    pub says: &'a str,
}

/// How a service is started.
#[derive(Debug)]
pub struct Start {
    /// The program.
    pub program: PathBuf,
    /// Its arguments.
    pub arguments: Vec<OsString>,
    /// Variables of its environment, besides ours.
    pub environment: Vec<(&'static str, OsString)>,
}

impl Service<'_> {
    /// Its process.
    fn process(&self) -> RecordedProcess {
        RecordedProcess::at(self.home.join(format!("{}.process", self.name)))
    }

    /// Starts it unless it runs, in the network of a process or in the machine's; `prepare` makes what it
    /// needs.
    pub fn start(
        &self,
        folder: &LabFolder,
        network_of: Option<u32>,
        prepare: impl FnOnce() -> Result<Start>,
    ) -> Result<()> {
        let process = self.process();
        if process.running().is_some() {
            return Ok(());
        }
        let _alone = folder.lock(self.name)?;
        if process.running().is_some() {
            return Ok(());
        }
        let start = prepare()?;
        let log = self.home.join(format!("{}.log", self.name));
        let file = File::create(&log).with_context(|| format!("cannot make: {}", log.display()))?;
        let mut child = in_network_of(network_of, "setsid")?
            .arg(&start.program)
            .args(&start.arguments)
            .envs(start.environment)
            .current_dir("/")
            .stdin(Stdio::null())
            .stdout(file.try_clone()?)
            .stderr(file)
            .spawn()
            .with_context(|| format!("cannot start the {}", self.name))?;
        process.note(child.id())?;
        let begin = Instant::now();
        while !fs::read_to_string(&log).is_ok_and(|text| text.contains(self.says)) {
            if child.try_wait()?.is_some() || begin.elapsed() > PATIENCE {
                let words = fs::read_to_string(&log).unwrap_or_default();
                // What does not serve would be taken for a running one the next time.
                self.stop()?;
                bail!("the {} does not come up:\n{}", self.name, program::last_lines(&words, 5));
            }
            sleep(Duration::from_millis(5));
        }
        Ok(())
    }

    /// Stops it. Says whether it ran.
    pub fn stop(&self) -> Result<bool> {
        self.process().stop(Duration::from_secs(10))
    }
}

/// A command that runs a program of the machine in the network of a process, or in the machine's; the
/// program takes its place, so that it has the command's process id.
pub fn in_network_of(process: Option<u32>, program: impl AsRef<OsStr>) -> Result<Command> {
    let Some(id) = process else { return Ok(Command::new(program)) };
    let mut command = program::system("nsenter")?;
    command.arg(format!("--net=/proc/{id}/ns/net")).arg("--").arg(program);
    Ok(command)
}
