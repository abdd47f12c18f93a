//! Reads one large input with the frontend's own code and says what that took: for `cargo lab bench`,
//! which wants a process of its own for each time, and that process to be built as the frontend is.

use std::fs::{self, File};
use std::io::{Write, stdout};
use std::time::Instant;
use std::{env, hint};

use anyhow::{Context, Result, bail};
use serde_json::json;
use suture::pkgdb::{dpkg, rpm};
use suture::report::{self, ReportFormat};

fn main() -> Result<()> {
    let mut arguments = env::args().skip(1);
    let kind = arguments.next().context("usage: read_input report|status|rpmdb FILE")?;
    let path = arguments.next().context("no file is named")?;
    let (seconds, count) = match kind.as_str() {
        "report" => {
            // As in the frontend, the text is never in memory as a whole.
            let file = File::open(&path)?;
            let clock = Instant::now();
            let report = hint::black_box(report::parse(file, ReportFormat::Auto)?);
            (clock.elapsed(), report.findings.len())
        }
        "status" => {
            let text = fs::read(&path)?;
            let clock = Instant::now();
            let database = hint::black_box(dpkg::parse_status(&text)?);
            (clock.elapsed(), database.packages().len())
        }
        "rpmdb" => {
            let bytes = fs::read(&path)?;
            let clock = Instant::now();
            let database = hint::black_box(rpm::parse(&bytes)?);
            (clock.elapsed(), database.packages().len())
        }
        _ => bail!("unknown kind: {kind}"),
    };
    let said =
        json!({ "seconds": seconds.as_secs_f64(), "memory": most_memory()?, "count": count });
    writeln!(stdout(), "{said}")?;
    Ok(())
}

/// The most memory that this process ever had, in bytes.
fn most_memory() -> Result<u64> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kilobytes = line.and_then(|line| line.trim().strip_suffix(" kB"));
    Ok(kilobytes.context("the kernel tells no peak")?.parse::<u64>()? * 1024)
}
