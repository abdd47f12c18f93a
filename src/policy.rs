//! How the user wants bad news: as a failure, as a warning, or not at all.

use crate::code::Code;
use crate::evidence;
use crate::failure::Failure;
use crate::freshness;
use crate::patch::task::{Skipped, Unmet, UnmetReason};
use crate::plan::Plan;
use crate::probe::{Probe, ProbeError};
use crate::request::environment::Environment;
use crate::request::{OnEndOfLife, OnUnmet, OnUnsupported, OnUpToDate, Problem, Request};

/// Maximum number of unmet fixes that a failure or the warnings name one by one.
const NAMED_LIMIT: usize = 20;

/// A release past its end of life.
pub fn end_of_life(
    environment: &Environment,
    request: &Request,
    probe: &Probe,
) -> Result<Vec<Problem>, Failure> {
    let Some(end) = probe.end_of_life.filter(|end| *end < freshness::today(environment)) else {
        return Ok(Vec::new());
    };
    let message =
        format!("{} has had no security updates since {end}", probe.os_release.pretty_name());
    match request.on_end_of_life {
        OnEndOfLife::Ignore => Ok(Vec::new()),
        OnEndOfLife::Warn => Ok(vec![Problem::new(Code::EndOfLife, message)]),
        OnEndOfLife::Fail => {
            let hint = "build the image from a newer release, or set ON_EOL=warn";
            Err(Failure::new(Code::EndOfLife, message, Some(hint)))
        }
    }
}

/// An image that cannot be patched: the reason to keep it as it is, else the failure.
pub fn unsupported(
    request: &Request,
    is_one_of_several: bool,
    error: ProbeError,
) -> Result<Problem, Failure> {
    // Among several platforms a foreign system is no mistake, and cannot be changed.
    let is_foreign = is_one_of_several && matches!(error, ProbeError::OtherSystem(_));
    let keep = is_foreign || request.on_unsupported == OnUnsupported::Keep;
    if !(keep && error.is_unsupported()) {
        return Err(error.into());
    }
    let failure = Failure::from(error);
    let problem = failure.problems.into_iter().next();
    problem.map(|it| Problem { hint: None, ..it }).ok_or_else(|| Failure::bug("no reason"))
}

/// Demands that could have been met: a failure or warnings.
pub fn unmet(request: &Request, plan: &Plan, kept_back: &[Unmet]) -> Result<Vec<Problem>, Failure> {
    let mut problems = evidence::unmet_problems(plan);
    let more = problems.len().saturating_sub(NAMED_LIMIT);
    problems.truncate(NAMED_LIMIT);
    if let Some(last) = problems.last().filter(|_| more > 0) {
        let message = format!("and {more} more");
        problems.push(Problem { message, line: None, ..last.clone() });
    }
    // A plan is there to be looked at, with what it cannot do.
    let fails = request.on_unmet == OnUnmet::Fail && !request.target.is_question();
    if fails && !problems.is_empty() {
        return Err(Failure::of(problems));
    }
    // The hint says how to get here.
    let mut notices: Vec<Problem> =
        problems.into_iter().map(|problem| Problem { hint: None, ..problem }).collect();
    // What does not fit has a warning of its own.
    let is_told = |unmet: &&Unmet| matches!(unmet.reason, UnmetReason::Misfit { .. });
    for unmet in kept_back.iter().filter(|unmet| !is_told(unmet)).take(NAMED_LIMIT) {
        let why = evidence::reason(&unmet.reason);
        notices
            .push(Problem::new(Code::UnmetFix, format!("{} is not upgraded: {why}", unmet.name)));
    }
    Ok(notices)
}

/// An image with nothing to do.
pub fn up_to_date(request: &Request, summary: &str, skipped: &[Skipped]) -> Result<(), Failure> {
    // Without all repositories nobody knows.
    let fails = request.on_up_to_date == OnUpToDate::Fail && !request.target.is_question();
    if !fails || !skipped.is_empty() {
        return Ok(());
    }
    let message = summary.lines().next().unwrap_or_default();
    let hint = "ON_UP_TO_DATE=fail is set; `keep` returns the original image";
    Err(Failure::new(Code::UpToDate, message, Some(hint)))
}
