//! Fresh and cached at the same time: the text whose change makes an earlier fetch stale.
//!
//! An upgrade on an unchanged base would be a cache hit for ever; never caching it is slow.

use std::time::Duration;

use futures_util::future::try_join_all;

use crate::digest::Digest;
use crate::gateway::{Gateway, GatewayError, read_file};
use crate::llb::{Display, source};
use crate::probe::System;
use crate::request::environment::Environment;
use crate::request::{Refresh, Request};

/// How long the repositories may take: the daemon itself would wait for ever.
const PATIENCE: Duration = Duration::from_secs(20);

/// Largest signed index that is read; Debian's has 200 kB.
const INDEX_LIMIT: u64 = 16 << 20;

/// What a fetch is asked for, as far as staleness goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Contract {
    /// Given versions: a cached result that has them is right.
    Versions,
    /// Whatever is newest.
    Newest,
}

/// The key of a fetch with this contract.
pub async fn key(
    gateway: &impl Gateway,
    environment: &Environment,
    request: &Request,
    system: &System,
    contract: Contract,
) -> String {
    match (&request.refresh, contract) {
        (Refresh::Always, _) => format!("build {}", environment.now),
        (Refresh::Never, _) | (Refresh::Auto, Contract::Versions) => String::new(),
        (Refresh::Key(key), _) => format!("key {key}"),
        (Refresh::Auto, Contract::Newest) => match repositories(gateway, system).await {
            Some(digest) => format!("repositories {digest}"),
            // Mirror lists, credentials, networks that only containers reach: the day decides.
            None => format!("day {}", today(environment)),
        },
    }
}

/// The current day in UTC.
pub fn today(environment: &Environment) -> jiff::civil::Date {
    environment.now.to_zoned(jiff::tz::TimeZone::UTC).date()
}

/// Digest of the repositories' signed indexes; nothing if one cannot be read from here.
///
/// The daemon asks for them with the digest it knows: an unchanged one costs one small request.
async fn repositories(gateway: &impl Gateway, system: &System) -> Option<Digest> {
    let urls = system.index_addresses()?;
    let asked = try_join_all(urls.iter().map(|url| index(gateway, url)));
    let digests = tokio::time::timeout(PATIENCE, asked).await.ok()?.ok()?;
    let lines = urls.iter().zip(digests).map(|(url, digest)| format!("{url} {digest}\n"));
    Some(Digest::of(lines.collect::<Vec<_>>().concat().as_bytes()))
}

async fn index(gateway: &impl Gateway, url: &str) -> Result<Digest, GatewayError> {
    let display = Display::named(format!("[internal] look for changes in {url}"));
    let tree = gateway.solve(&source::http(url, "index", &display)).await?;
    Ok(Digest::of(&read_file(gateway, &tree, "/index", INDEX_LIMIT).await?))
}
