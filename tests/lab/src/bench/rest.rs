//! When a machine is at rest: what one build leaves for the kernel to tidy up must not slow the next.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context, Result};

/// How many seconds the disk is given to come to rest between builds.
const PATIENCE: usize = 30;

/// What a disk at rest reads and writes in a second, in sectors of 512 bytes.
const QUIET: u64 = 512;

/// How long ext4 without a journal does not use a deleted file's inode again, and a second more.
///
/// Whoever makes a file in that time looks at every such inode of a group first (`recently_deleted`
/// in the kernel's `fs/ext4/ialloc.c`). A thrown away image leaves thousands: applying a patch right
/// afterwards took 4.4 s instead of 2.4, whoever had made the image.
const RECENTLY_DELETED: Duration = Duration::from_secs(61);

/// Waits until what was deleted from this folder's disk is written, and no longer in anybody's way.
pub(super) fn wait(folder: &Path) -> Result<()> {
    for _ in 0..PATIENCE {
        rustix::fs::sync();
        let before = sectors()?;
        sleep(Duration::from_secs(1));
        if sectors()?.saturating_sub(before) < QUIET {
            break;
        }
    }
    if is_ext4_without_journal(folder)? {
        sleep(RECENTLY_DELETED);
    }
    Ok(())
}

/// What the machine's disks have read and written, in sectors: the sixth and the tenth field of each
/// line of `/proc/diskstats` (kernel documentation, `iostats`).
fn sectors() -> Result<u64> {
    let text = fs::read_to_string("/proc/diskstats").context("cannot read /proc/diskstats")?;
    let fields = text.lines().flat_map(|line| {
        let mut fields = line.split_whitespace().skip(5).step_by(4);
        [fields.next(), fields.next()]
    });
    Ok(fields.flatten().filter_map(|field| field.parse::<u64>().ok()).sum())
}

/// Whether a folder lies on ext4 that keeps no journal. The kernel lists every ext4 by its disk's
/// name, `/proc/fs/ext4/vda`, and the journals inside by disk and inode, `/proc/fs/jbd2/vda-8`; a
/// journal on another disk is not found, which costs time only.
fn is_ext4_without_journal(folder: &Path) -> Result<bool> {
    let device = fs::metadata(folder)
        .with_context(|| format!("cannot look at: {}", folder.display()))?
        .dev();
    let number = format!("{}:{}", rustix::fs::major(device), rustix::fs::minor(device));
    let Ok(disk) = fs::canonicalize(Path::new("/sys/dev/block").join(number)) else {
        return Ok(false);
    };
    let name = disk.file_name().unwrap_or_default().to_string_lossy().into_owned();
    if !Path::new("/proc/fs/ext4").join(&name).exists() {
        return Ok(false);
    }
    let journals = fs::read_dir("/proc/fs/jbd2").into_iter().flatten().flatten();
    let of_this_disk = format!("{name}-");
    Ok(!journals
        .into_iter()
        .any(|journal| journal.file_name().to_string_lossy().starts_with(&of_this_disk)))
}
