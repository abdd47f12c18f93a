//! The few questions the lab asks an engine directly: starting the docker program for each would
//! take longer than the answer.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

/// How long an engine may take to answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// Asks the engine behind a socket and returns its answer.
pub fn get(socket: &Path, path: &str) -> Result<Value> {
    let answer = exchange(socket, path)
        .with_context(|| format!("no engine answers at {}", socket.display()))?;
    let (head, body) = answer.split_once("\r\n\r\n").context("engine's answer has no body")?;
    let status = head.split(' ').nth(1).unwrap_or_default();
    ensure!(status == "200", "engine refuses GET {path}: {}", head.lines().next().unwrap_or(head));
    serde_json::from_str(body).with_context(|| format!("engine's answer is not JSON: GET {path}"))
}

/// Whether an engine behind a socket is ready for work.
pub fn serves(socket: &Path) -> bool {
    exchange(socket, "/_ping").is_ok_and(|answer| answer.split(' ').nth(1) == Some("200"))
}

/// One request and its whole answer. HTTP 1.0 spares us chunks and connections kept open.
fn exchange(socket: &Path, path: &str) -> Result<String> {
    let mut stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    write!(stream, "GET {path} HTTP/1.0\r\nHost: docker\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}
