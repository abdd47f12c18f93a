//! The scenarios on the real engine: one test for each folder of `scenarios`.
//!
//! Without a usable engine they fail; they are never skipped.

mod judge;
mod observed;
mod plain_upgrade;
mod scenario;
mod stage;

use std::env;
use std::io::{Write, stdout};
use std::num::NonZero;
use std::process::ExitCode;
use std::sync::Arc;
use std::thread;

use anyhow::{Context, Result};
use libtest_mimic::{Arguments, Trial};
use suture_lab::background;

use scenario::Scenario;
use stage::Stage;

/// Runs the tests, or what the lab has started this program for in the background.
fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let outcome = background::run(&words).map_or_else(test, |done| done.map(|()| true));
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Runs the tests that the arguments select; says whether all have passed.
fn test() -> Result<bool> {
    let mut arguments = Arguments::from_args();
    // A scenario mostly waits for the engine: 18 of them took 22 s instead of 25 on two cores.
    let cores = thread::available_parallelism().map_or(1, NonZero::get);
    arguments.test_threads.get_or_insert(2 * cores);
    let scenarios = scenario::chosen()?;
    let stage = Arc::new(Stage::new());
    let trials = scenarios.into_iter().map(|scenario| trial(&stage, scenario)).collect();
    let conclusion = libtest_mimic::run(&arguments, trials);
    stdout()
        .write_all(stage.measurements().as_bytes())
        .context("cannot write to the standard output")?;
    Ok(!conclusion.has_failed())
}

/// The test of a scenario.
fn trial(stage: &Arc<Stage>, scenario: Scenario) -> Trial {
    let stage = Arc::clone(stage);
    Trial::test(scenario.name.clone(), move || {
        let complaints = play(&stage, &scenario).map_err(|error| format!("{error:#}"))?;
        if complaints.is_empty() { Ok(()) } else { Err(complaints.join("\n").into()) }
    })
}

/// Plays a scenario; what comes back is wrong.
fn play(stage: &Stage, scenario: &Scenario) -> Result<Vec<String>> {
    let engine = stage.engine()?;
    let _place = stage.place(scenario.alone);
    scenario.play(stage, engine).with_context(|| format!("scenario {}", scenario.name))
}
