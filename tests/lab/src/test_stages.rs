//! `cargo lab test`: everything that must hold, in the order in which it is quickest to know.

use std::env;
use std::ffi::OsString;
use std::io::{BufRead, BufReader, Write, stdout};
use std::ops::AddAssign;
use std::panic::resume_unwind;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use crate::engine::Engine;
use crate::frontend_image;
use crate::lab_image;

/// The components of Rust's toolchain that are needed beyond the compiler.
const COMPONENTS: [(&str, &str); 2] = [("fmt", "rustfmt"), ("clippy", "clippy")];

/// What needs no engine: a name for people, arguments of cargo.
const WITHOUT_ENGINE: [(&str, &[&str]); 5] = [
    ("format", &["fmt", "--all", "--check"]),
    ("lints", &["clippy", "--quiet", "--workspace", "--all-targets", "--", "-D", "warnings"]),
    ("documentation", &["doc", "--quiet", "--workspace", "--no-deps"]),
    ("tests", &["test", "--quiet", "--workspace", "--exclude", "suture-lab"]),
    ("tests of the lab", &["test", "--quiet", "--package", "suture-lab", "--lib", "--bins"]),
];

/// The dependencies' licences and known defects, for those who have the program.
const DEPENDENCIES: (&str, &[&str]) = ("dependencies", &["deny", "--log-level=warn", "check"]);

/// What needs the engine.
const SCENARIOS: (&str, &[&str]) =
    ("scenarios on the engine", &["test", "--package", "suture-lab", "--test", "engine"]);

/// Some of it on the oldest engine that the frontend is made for: a name for people, and the version.
const OLDEST_ENGINE: (&str, &str) = ("scenarios on engine 26.1", "26.1");

/// How many tests passed and failed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Count {
    passed: u64,
    failed: u64,
}

impl AddAssign for Count {
    fn add_assign(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
    }
}

/// A stage that has ended.
struct Done {
    stage: &'static str,
    took: Duration,
    count: Count,
}

/// Runs all stages up to the first that fails. `engine` finds or starts the engine, when it is time.
pub fn run(engine: impl FnOnce() -> Result<Engine>) -> Result<()> {
    require_components()?;
    let mut all = Vec::new();
    for (stage, arguments) in WITHOUT_ENGINE {
        run_command(stage, cargo(arguments), &mut all)?;
    }
    if cargo(&["deny", "--version"]).output().is_ok_and(|version| version.status.success()) {
        run_command(DEPENDENCIES.0, cargo(DEPENDENCIES.1), &mut all)?;
    } else {
        eprintln!("\n== {}: not run, cargo-deny is not installed", DEPENDENCIES.0);
    }
    run_stage("engine and images", &mut all, || {
        let engine = engine()?;
        // The compiler ends in one long step on one core, and images mostly wait.
        thread::scope(|scope| {
            let frontend =
                scope.spawn(|| frontend_image::build(&engine, frontend_image::DEFAULT_NAME));
            lab_image::ensure_all(&engine, &lab_image::IMAGES.map(|(name, _)| name))?;
            frontend.join().unwrap_or_else(|panic| resume_unwind(panic))
        })?;
        Ok((true, Count::default()))
    })?;
    let mut scenarios = cargo(SCENARIOS.1);
    scenarios.env_remove("SUTURE_LAB_SCENARIOS");
    run_command(SCENARIOS.0, scenarios, &mut all)?;
    let mut scenarios = cargo(SCENARIOS.1);
    scenarios
        .envs([("SUTURE_LAB_ENGINE", OLDEST_ENGINE.1), ("SUTURE_LAB_SCENARIOS", "everywhere")]);
    run_command(OLDEST_ENGINE.0, scenarios, &mut all)?;
    eprintln!();
    for done in &all {
        eprintln!("{:>7.1} s  {}", done.took.as_secs_f64(), done.stage);
    }
    let total = total(&all);
    eprintln!("{} passed, {} failed", total.passed, total.failed);
    Ok(())
}

/// All tests of all stages.
fn total(all: &[Done]) -> Count {
    let mut total = Count::default();
    for done in all {
        total += done.count;
    }
    total
}

/// Says in one sentence what the toolchain lacks.
fn require_components() -> Result<()> {
    for (subcommand, component) in COMPONENTS {
        let version = cargo(&[subcommand, "--version"]).output().context("cannot start cargo")?;
        ensure!(
            version.status.success(),
            "the Rust toolchain lacks {component}: rustup component add {component}"
        );
    }
    Ok(())
}

/// Runs a stage that is one call of cargo.
fn run_command(stage: &'static str, mut command: Command, all: &mut Vec<Done>) -> Result<()> {
    run_stage(stage, all, || {
        let mut child = command
            .env("RUSTDOCFLAGS", "-D warnings")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .context("cannot start cargo")?;
        let output = child.stdout.take().context("cargo has no output")?;
        let count = pass_on(BufReader::new(output), &mut stdout())?;
        Ok((child.wait().context("cannot wait for cargo")?.success(), count))
    })
}

/// Runs a stage and tells people about it.
fn run_stage(
    stage: &'static str,
    all: &mut Vec<Done>,
    work: impl FnOnce() -> Result<(bool, Count)>,
) -> Result<()> {
    eprintln!("\n== {stage}");
    let start = Instant::now();
    let (success, count) = work()?;
    let took = start.elapsed();
    eprintln!("== {stage}: {:.1} s", took.as_secs_f64());
    all.push(Done { stage, took, count });
    if !success {
        let total = total(all);
        bail!("failed at: {stage}: {} passed, {} failed", total.passed, total.failed);
    }
    Ok(())
}

/// Passes a program's output on as it comes, and counts the tests it tells of.
fn pass_on(mut output: impl BufRead, to: &mut impl Write) -> Result<Count> {
    let mut count = Count::default();
    let mut bytes = Vec::new();
    while output.read_until(b'\n', &mut bytes).context("cannot read cargo's output")? > 0 {
        to.write_all(&bytes).context("cannot write to the standard output")?;
        count += of_line(&String::from_utf8_lossy(&bytes));
        bytes.clear();
    }
    Ok(count)
}

/// The tests that a line tells of: `test result: ok. 3 passed; 0 failed; …`.
fn of_line(line: &str) -> Count {
    let mut count = Count::default();
    let Some((_, result)) = line.split_once("test result: ") else { return count };
    for part in result.split([';', '.']) {
        match part.trim().split_once(' ') {
            Some((number, "passed")) => count.passed = number.parse().unwrap_or(0),
            Some((number, "failed")) => count.failed = number.parse().unwrap_or(0),
            _ => {}
        }
    }
    count
}

/// A call of cargo in the project.
fn cargo(arguments: &[&str]) -> Command {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo"));
    let mut command = Command::new(cargo);
    command.args(arguments).current_dir(frontend_image::project());
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tests_are_counted() {
        let text = "running 2 tests\n..\n\
                    test result: ok. 2 passed; 0 failed; 0 ignored; finished in 0.01s\n\
                    test result: FAILED. 10 passed; 3 failed; 1 ignored; finished in 0.01s\n";
        let mut passed_on = Vec::new();
        let count = pass_on(text.as_bytes(), &mut passed_on).unwrap();
        assert_eq!(count, Count { passed: 12, failed: 3 });
        assert_eq!(passed_on, text.as_bytes());
    }
}
