//! The few questions the lab asks an engine directly: starting the docker program for each would
//! take longer than the answer.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::Value;

/// How long an engine may take to answer.
const PATIENCE: Duration = Duration::from_secs(30);

/// Asks the engine behind a socket and returns its answer.
pub fn get(socket: &Path, path: &str) -> Result<Value> {
    find(socket, path)?.with_context(|| format!("engine does not know: {path}"))
}

/// Asks the engine behind a socket for something it may not have.
pub fn find(socket: &Path, path: &str) -> Result<Option<Value>> {
    ask(socket, "GET", path)
}

/// Removes something from the engine behind a socket, which may not have it.
pub fn remove(socket: &Path, path: &str) -> Result<()> {
    ask(socket, "DELETE", path).map(drop)
}

/// The answer of the engine behind a socket, unless it does not know what the request is about.
fn ask(socket: &Path, method: &str, path: &str) -> Result<Option<Value>> {
    let answer = exchange(socket, method, path)
        .with_context(|| format!("no engine answers at {}", socket.display()))?;
    let (head, body) = answer.split_once("\r\n\r\n").context("engine's answer has no body")?;
    match status(head) {
        "200" => serde_json::from_str(body)
            .map(Some)
            .with_context(|| format!("engine's answer is not JSON: {method} {path}")),
        "404" => Ok(None),
        _ => bail!("engine refuses {method} {path}: {}", head.lines().next().unwrap_or(head)),
    }
}

/// Whether an engine behind a socket is ready for work.
pub fn serves(socket: &Path) -> bool {
    exchange(socket, "GET", "/_ping").is_ok_and(|answer| status(&answer) == "200")
}

/// The status in the head of an answer.
fn status(head: &str) -> &str {
    head.split(' ').nth(1).unwrap_or_default()
}

/// One request and its whole answer. HTTP 1.0 spares us chunks and connections kept open.
fn exchange(socket: &Path, method: &str, path: &str) -> Result<String> {
    let mut stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    write!(stream, "{method} {path} HTTP/1.0\r\nHost: docker\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}
