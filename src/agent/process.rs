//! Programs of the image, started with argument vectors and a clean environment.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read as _, Write as _};
use std::os::unix::process::ExitStatusExt as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rustix::io::Errno;

use crate::patch::task::AgentFailure;

use super::Failure;

/// What a program said and how it ended.
#[derive(Debug)]
pub(super) struct Finished {
    /// Its exit code; none if a signal ended it.
    pub(super) exit_code: Option<i32>,
    /// The signal that ended it, if one did.
    pub(super) signal: Option<i32>,
    /// What it wrote to stdout.
    pub(super) stdout: String,
    /// What it wrote to stderr.
    pub(super) stderr: String,
}

impl Finished {
    /// Whether it reports success.
    pub(super) fn is_success(&self) -> bool {
        self.exit_code == Some(0)
    }

    /// How it ended, if it printed no known message: its last line, or what the kernel says.
    pub(super) fn end(&self) -> String {
        if let Some(signal) = self.signal {
            // 9 is SIGKILL, which a kernel without memory sends (signal(7)).
            let why = if signal == 9 { ", as when memory runs out" } else { "" };
            return format!("ended by signal {signal}{why}");
        }
        let last =
            |text: &str| text.lines().map(str::trim).rfind(|it| !it.is_empty()).map(str::to_owned);
        last(&self.stderr).or_else(|| last(&self.stdout)).unwrap_or_else(|| {
            format!(
                "it says nothing, and ends with exit code {}",
                self.exit_code.unwrap_or_default()
            )
        })
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

/// Maximum number of bytes of a program's output that are kept.
const OUTPUT_LIMIT: usize = 32 << 20;

/// How long a program's output may take to arrive once it has ended. Only a daemon left behind by a
/// package's script takes that long: it has the output open, and ends with us.
const GRACE: Duration = Duration::from_secs(2);

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
        let kind = match Errno::from_io_error(&error) {
            Some(Errno::NOEXEC) => AgentFailure::Foreign,
            Some(Errno::NOMEM | Errno::AGAIN) => AgentFailure::PackageManager,
            // Missing, not allowed, without its interpreter or its libraries.
            _ => AgentFailure::Broken,
        };
        Failure::new(kind, format!("cannot start {program}: {error}"))
    };
    let mut child = command.spawn().map_err(cannot_start)?;
    let output = [
        child.stdout.take().map(|pipe| Reading::start(pipe, echo)),
        child.stderr.take().map(|pipe| Reading::start(pipe, echo)),
    ];
    let status = child.wait().map_err(cannot_start)?;
    let until = Instant::now() + GRACE;
    let [stdout, stderr] =
        output.map(|reading| reading.map_or_else(String::new, |reading| reading.text(until)));
    Ok(Finished { exit_code: status.code(), signal: status.signal(), stdout, stderr })
}

/// The file of a program, if it is a script.
pub(super) fn find_script(program: &str) -> Option<PathBuf> {
    let folders = std::env::var_os("PATH")?;
    let mut files = std::env::split_paths(&folders).map(|folder| folder.join(program));
    let file = files.find(|file| file.is_file())?;
    let mut start = [0; 2];
    File::open(&file).and_then(|mut it| it.read_exact(&mut start)).ok()?;
    (start == *b"#!").then_some(file)
}

/// A thread that reads what a program writes.
struct Reading {
    text: Arc<Mutex<String>>,
    ended: Receiver<()>,
}

impl Reading {
    fn start(pipe: impl io::Read + Send + 'static, echo: Echo) -> Self {
        let text = Arc::new(Mutex::new(String::new()));
        let (end, ended) = mpsc::channel();
        let into = Arc::clone(&text);
        thread::spawn(move || {
            read(pipe, echo, &into);
            drop(end);
        });
        Self { text, ended }
    }

    /// The text at the end, or at this time if something still holds the other end open.
    fn text(self, until: Instant) -> String {
        // Nothing is ever sent: the sender is dropped when the reading ends.
        let _ended = self.ended.recv_timeout(until.saturating_duration_since(Instant::now()));
        std::mem::take(&mut *locked(&self.text))
    }
}

fn locked(text: &Mutex<String>) -> MutexGuard<'_, String> {
    text.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Reads to the end, line by line, showing each on our stderr, which is the step's log.
fn read(pipe: impl io::Read, echo: Echo, text: &Mutex<String>) {
    let mut reader = BufReader::new(pipe);
    let mut line = Vec::new();
    while let Ok(1..) = reader.read_until(b'\n', &mut line) {
        if echo == Echo::Shown {
            // A log that cannot be written is no reason to stop.
            drop(io::stderr().lock().write_all(&line));
        }
        let mut text = locked(text);
        if text.len() < OUTPUT_LIMIT {
            text.push_str(&String::from_utf8_lossy(&line));
        }
        line.clear();
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn shell(script: &str) -> Finished {
        run("sh", &["-c".to_owned(), script.to_owned()], &[], Echo::Hidden).unwrap()
    }

    #[test]
    fn everything_that_is_said() {
        let lines = "echo out; seq 1 99999; echo err >&2; exit 3";
        let finished = shell(lines);
        assert_eq!(finished.exit_code, Some(3));
        assert!(finished.stdout.starts_with("out\n1\n") && finished.stdout.ends_with("\n99999\n"));
        assert_eq!(finished.stderr, "err\n");
    }

    #[test]
    fn how_a_program_ends() {
        for (script, expected) in [
            ("echo out; echo; echo ' err ' >&2; exit 1", "err"),
            ("echo out; echo; exit 1", "out"),
            ("exit 3", "it says nothing, and ends with exit code 3"),
            ("echo out; kill -9 $$", "ended by signal 9, as when memory runs out"),
            ("kill -15 $$", "ended by signal 15"),
        ] {
            assert_eq!(shell(script).end(), expected, "{script}");
        }
    }

    #[test]
    fn a_program_of_another_platform() {
        let folder = std::env::temp_dir().join(format!("suture-foreign-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let program = folder.join("program");
        // Written by another process: a test that forks meanwhile would keep ours open, and busy.
        let written = shell(&format!("printf '\\177ELF of nothing known' >{}", program.display()));
        assert!(written.is_success());
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
        let failure = run(program.to_str().unwrap(), &[], &[], Echo::Hidden).unwrap_err();
        std::fs::remove_dir_all(&folder).unwrap();
        assert_eq!(failure.kind, AgentFailure::Foreign);
    }

    #[test]
    fn a_program_left_behind_is_not_waited_for() {
        let began = Instant::now();
        let finished = shell("echo out; sleep 20 & echo err >&2");
        assert!(began.elapsed() < Duration::from_secs(10));
        assert!(finished.is_success());
        assert_eq!((finished.stdout.as_str(), finished.stderr.as_str()), ("out\n", "err\n"));
    }
}
