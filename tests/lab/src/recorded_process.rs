//! Processes that outlive `cargo lab`, found again and stopped by what was recorded of them.

use std::fs;
use std::path::PathBuf;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use rustix::process::{Pid, Signal, kill_process};

/// How often we look whether a process is gone.
const POLL: Duration = Duration::from_millis(20);

/// A process noted in a file: its id, when it started, and in which boot of the machine. All three
/// together belong to no other process ever, so a recycled id is never taken for ours.
#[derive(Debug)]
pub struct RecordedProcess {
    record: PathBuf,
}

impl RecordedProcess {
    /// The process whose record is this file, running or not.
    pub fn at(record: PathBuf) -> Self {
        Self { record }
    }

    /// Notes a process that has just been started.
    pub fn note(&self, id: u32) -> Result<()> {
        let identity = identity(id).with_context(|| format!("process ended at once: {id}"))?;
        fs::write(&self.record, identity)
            .with_context(|| format!("cannot write: {}", self.record.display()))
    }

    /// The process id, if exactly the noted process is still running.
    pub fn running(&self) -> Option<u32> {
        let noted = fs::read_to_string(&self.record).ok()?;
        let id = noted.split_whitespace().next()?.parse().ok()?;
        (identity(id)? == noted).then_some(id)
    }

    /// Asks the process to end, waits for it up to `patience`, then ends it. Says whether it ran.
    pub fn stop(&self, patience: Duration) -> Result<bool> {
        let ran = self.running().is_some();
        self.signal(Signal::TERM)?;
        if !self.gone_within(patience) {
            self.signal(Signal::KILL)?;
            ensure!(
                self.gone_within(Duration::from_secs(10)),
                "process cannot be ended, its record is {}",
                self.record.display()
            );
        }
        if self.record.exists() {
            fs::remove_file(&self.record)
                .with_context(|| format!("cannot remove: {}", self.record.display()))?;
        }
        Ok(ran)
    }

    /// Sends a signal, if the process is running.
    fn signal(&self, signal: Signal) -> Result<()> {
        let Some(id) = self.running() else { return Ok(()) };
        let pid = i32::try_from(id).ok().and_then(Pid::from_raw).context("not a process id")?;
        match kill_process(pid, signal) {
            // It ended between our look and the signal.
            Ok(()) | Err(rustix::io::Errno::SRCH) => Ok(()),
            Err(error) => Err(error).with_context(|| format!("cannot signal process {id}")),
        }
    }

    /// Waits for the process to end.
    fn gone_within(&self, patience: Duration) -> bool {
        let start = Instant::now();
        while self.running().is_some() {
            if start.elapsed() >= patience {
                return false;
            }
            sleep(POLL);
        }
        true
    }
}

/// What distinguishes a running process from every other: id, start time, boot. `None` if there is
/// no such process or only its exit status is left.
fn identity(id: u32) -> Option<String> {
    let status = Status::of(id)?;
    if status.state == "Z" {
        return None;
    }
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    Some(format!("{id} {} {boot}", status.start_time))
}

/// The child processes of a process.
pub fn children(parent: u32) -> Result<Vec<u32>> {
    let mut children = Vec::new();
    for entry in fs::read_dir("/proc").context("cannot list /proc")? {
        let name = entry.context("cannot list /proc")?.file_name();
        let Some(id) = name.to_str().and_then(|name| name.parse().ok()) else { continue };
        if Status::of(id).is_some_and(|status| status.parent == parent) {
            children.push(id);
        }
    }
    Ok(children)
}

/// The fields of `/proc/PID/stat` that we use.
struct Status {
    state: String,
    parent: u32,
    start_time: String,
}

impl Status {
    /// The status of a process, if there is one.
    fn of(id: u32) -> Option<Self> {
        let text = fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
        // The second field is the program's name in parentheses and may itself hold spaces.
        let (_, fields) = text.rsplit_once(')')?;
        let mut fields = fields.split_whitespace();
        let state = fields.next()?.to_owned();
        let parent = fields.next()?.parse().ok()?;
        let start_time = fields.nth(17)?.to_owned();
        Some(Self { state, parent, start_time })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::{Command, id};

    #[test]
    fn own_process_has_an_identity_and_a_parent() {
        let status = Status::of(id()).unwrap();
        assert!(status.start_time.parse::<u64>().unwrap() > 0);
        assert!(children(status.parent).unwrap().contains(&id()));
    }

    #[test]
    fn a_process_is_stopped_and_a_recycled_id_is_left_alone() {
        let record = std::env::temp_dir().join(format!("suture-lab-process-{}", id()));
        let process = RecordedProcess::at(record.clone());
        let mut child = Command::new("sleep").arg("60").spawn().unwrap();
        process.note(child.id()).unwrap();
        assert_eq!(process.running(), Some(child.id()));
        assert!(process.stop(Duration::from_secs(5)).unwrap());
        assert!(!child.wait().unwrap().success());

        // Our own process under another start time: a stale record.
        fs::write(&record, format!("{} 1 {}", id(), "boot")).unwrap();
        assert_eq!(process.running(), None);
        assert!(!process.stop(Duration::from_secs(5)).unwrap());
        assert!(!record.exists());
    }
}
