//! What the user should know although it does not stop the build.

use crate::context::LoadedBuildFile;
use crate::failure::{self, Failure};
use crate::gateway::{Gateway, GatewayError, Warning};
use crate::llb::Output;
use crate::package::printable;
use crate::platform::Platform;
use crate::request::Problem;
use crate::subject::Subject;

/// The warnings of a build.
#[derive(Clone, Debug)]
pub struct Notices {
    list: Vec<Problem>,
    /// The operation the client shows them with.
    vertex: Option<Output>,
}

impl Notices {
    /// None so far, to be shown with the build file.
    pub fn of(loaded: &LoadedBuildFile) -> Self {
        Self { list: Vec::new(), vertex: loaded.source.clone() }
    }

    /// Adds some.
    pub fn extend(&mut self, more: impl IntoIterator<Item = Problem>) {
        self.list.extend(more);
    }

    /// Shows them with the first subject, where there is no build file.
    pub fn hang_on(&mut self, subjects: &[&Subject]) {
        let first = subjects.iter().find_map(|subject| subject.root.as_ref());
        self.vertex = self.vertex.take().or_else(|| first.map(|root| root.output.clone()));
    }

    /// The outcomes of all platforms, or all their failures; adds what the user should know about each.
    pub fn take<T>(
        &mut self,
        outcomes: Vec<(Platform, Vec<Problem>, Result<T, Failure>)>,
    ) -> Result<Vec<T>, Failure> {
        let count = outcomes.len();
        let mut notices = Vec::new();
        let mut finished = Vec::new();
        let mut failures = Vec::new();
        for (platform, about, outcome) in outcomes {
            notices.extend(about.into_iter().map(|notice| (platform.clone(), notice)));
            match outcome {
                Ok(outcome) => finished.push(outcome),
                Err(failure) => failures.push((platform, failure)),
            }
        }
        self.list.extend(failure::of_platforms(&notices, count));
        if failures.is_empty() { Ok(finished) } else { Err(Failure::of_platforms(failures, count)) }
    }

    /// All of them.
    pub fn list(&self) -> &[Problem] {
        &self.list
    }

    /// Shows them.
    pub async fn send(
        &self,
        gateway: &impl Gateway,
        loaded: &LoadedBuildFile,
        warnings: &[Problem],
    ) -> Result<(), GatewayError> {
        let Some(vertex) = &self.vertex else { return Ok(()) };
        for notice in warnings {
            let warning = Warning {
                short: printable(&format!("{}: {}", notice.code, notice.message)),
                detail: notice.hint.clone().into_iter().collect(),
                vertex: vertex.digest().clone(),
                excerpt: failure::excerpt(notice, loaded),
            };
            gateway.warn(&warning).await?;
        }
        Ok(())
    }
}
