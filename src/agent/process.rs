//! Programs of the image, started with argument vectors and a clean environment.

use std::io::{self, BufRead, BufReader, Write as _};
use std::process::{Command, Stdio};

use crate::patch::task::AgentFailure;

use super::Failure;

/// What a program said and how it ended.
#[derive(Debug)]
pub(super) struct Finished {
    /// Its exit code; none when a signal ended it.
    pub(super) exit_code: Option<i32>,
    /// What it wrote to stdout.
    pub(super) stdout: String,
    /// What it wrote to stderr.
    pub(super) stderr: String,
}

impl Finished {
    /// Whether it says that all is well.
    pub(super) fn is_success(&self) -> bool {
        self.exit_code == Some(0)
    }
}

/// Whether the user sees a program's output while it runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Echo {
    /// Yes: it is the log of the step.
    Shown,
    /// No: it is only read by us.
    Hidden,
}

/// Variables that the daemon sets for proxies and that programs need.
const PASSED_ON: &[&str] = &[
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "FTP_PROXY",
    "NO_PROXY",
    "ALL_PROXY",
    "http_proxy",
    "https_proxy",
    "ftp_proxy",
    "no_proxy",
    "all_proxy",
];

/// Most of a program's output that is kept, in bytes.
const OUTPUT_LIMIT: usize = 32 << 20;

/// Runs a program to its end.
pub(super) fn run(
    program: &str,
    arguments: &[String],
    environment: &[(&str, &str)],
    echo: Echo,
) -> Result<Finished, Failure> {
    let mut command = Command::new(program);
    command.args(arguments).env_clear().stdin(Stdio::null());
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command.env("PATH", std::env::var_os("PATH").unwrap_or_default());
    for name in PASSED_ON {
        if let Some(value) = std::env::var_os(name) {
            command.env(name, value);
        }
    }
    command.envs(environment.iter().copied());
    let cannot_start = |error: io::Error| {
        Failure::new(AgentFailure::PackageManager, format!("cannot start {program}: {error}"))
    };
    let mut child = command.spawn().map_err(cannot_start)?;
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let (stdout, stderr) = std::thread::scope(|scope| {
        let stdout = scope.spawn(|| stdout.map_or_else(String::new, |pipe| read(pipe, echo)));
        let stderr = stderr.map_or_else(String::new, |pipe| read(pipe, echo));
        (stdout.join().unwrap_or_default(), stderr)
    });
    let status = child.wait().map_err(cannot_start)?;
    Ok(Finished { exit_code: status.code(), stdout, stderr })
}

/// Reads to the end, line by line, showing each on our stderr, which is the step's log.
fn read(pipe: impl io::Read, echo: Echo) -> String {
    let mut text = String::new();
    let mut reader = BufReader::new(pipe);
    let mut line = Vec::new();
    while let Ok(1..) = reader.read_until(b'\n', &mut line) {
        if echo == Echo::Shown {
            // A log that cannot be written is no reason to stop.
            drop(io::stderr().lock().write_all(&line));
        }
        if text.len() < OUTPUT_LIMIT {
            text.push_str(&String::from_utf8_lossy(&line));
        }
        line.clear();
    }
    text
}
