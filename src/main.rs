//! The process: a frontend when the daemon starts it, an agent when a container does.

use std::path::Path;
use std::process::ExitCode;

use anyhow::Context as _;
use suture::deliver::Finished;
use suture::failure::Failure;
use suture::frontend;
use suture::gateway::stdio::{Answer, StdioGateway};
use suture::request;
use suture::request::environment::Environment;
use tracing_subscriber::filter::LevelFilter;

fn main() -> ExitCode {
    let mut arguments = std::env::args_os().skip(1);
    if arguments.next().is_some_and(|mode| mode == "agent") {
        let task = arguments.next().unwrap_or_default();
        return ExitCode::from(suture::agent::run(Path::new(&task)));
    }
    // stdout belongs to gRPC; stderr is the daemon's log.
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_max_level(LevelFilter::WARN)
        .without_time()
        .init();
    match serve() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Does the one build that the process was started for.
fn serve() -> anyhow::Result<()> {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().context("no runtime")?;
    let served = runtime.block_on(async {
        // First of all: the daemon waits only a few seconds for the connection.
        let gateway = StdioGateway::connect().await?;
        let answer = build(gateway.clone()).await;
        gateway.answer(answer).await.context("the answer was not taken")
    });
    // Whatever still runs is no longer of use, and must not keep the process alive.
    runtime.shutdown_background();
    served
}

/// The answer to the build; a panic is one, too.
async fn build(gateway: StdioGateway) -> Answer {
    let tasks = tokio::task::LocalSet::new();
    let task = tasks.run_until(async move {
        tokio::task::spawn_local(async move {
            let environment = Environment::of_process();
            let imports = request::cache_imports(&environment).unwrap_or_default();
            match frontend::run(&gateway.with_cache_imports(imports), &environment).await {
                Ok(Finished { trees, metadata }) => Answer::Result { trees, metadata },
                Err(failure) => Answer::Failure(failure.into_status()),
            }
        })
        .await
    });
    task.await
        .unwrap_or_else(|panic| Answer::Failure(Failure::bug(&panic.to_string()).into_status()))
}
