//! CPU time and memory of processes, from `/proc`. Zero where there is none.

use std::fs;
use std::time::Duration;

/// Ticks per second of the times in `/proc`, on every Linux.
const TICKS: u64 = 100;

/// CPU time of the processes so far. That of ended children counts for their parent.
pub fn cpu(ids: &[u32]) -> Duration {
    let ticks: u64 = ids.iter().filter_map(|id| ticks(*id)).sum();
    Duration::from_millis(ticks * 1_000 / TICKS)
}

fn ticks(id: u32) -> Option<u64> {
    let fields = stat(id)?;
    // utime, stime, cutime and cstime.
    let times = fields.get(11..15)?.iter();
    Some(times.filter_map(|time| time.parse::<u64>().ok()).sum())
}

/// The fields of `/proc/ID/stat` behind the name, which may hold blanks.
fn stat(id: u32) -> Option<Vec<String>> {
    let stat = fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
    let (_, rest) = stat.rsplit_once(") ")?;
    Some(rest.split(' ').map(str::to_owned).collect())
}

pub fn parent(id: u32) -> Option<u32> {
    stat(id)?.get(1)?.parse().ok()
}

/// A process and its children.
pub fn family(id: u32) -> Vec<u32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let ids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    ids.filter(|other| *other == id || parent(*other) == Some(id))
        .collect()
}

/// Resident memory in bytes.
pub fn resident(id: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{id}/status")).unwrap_or_default();
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:")?.trim().strip_suffix(" kB"));
    line.and_then(|kilobytes| kilobytes.parse::<u64>().ok())
        .unwrap_or_default()
        * 1024
}

/// Open sockets.
pub fn sockets(id: u32) -> usize {
    let files = fs::read_dir(format!("/proc/{id}/fd")).into_iter().flatten();
    let targets = files.filter_map(|file| fs::read_link(file.ok()?.path()).ok());
    targets
        .filter(|target| target.to_string_lossy().starts_with("socket:"))
        .count()
}

pub fn threads(id: u32) -> usize {
    fs::read_dir(format!("/proc/{id}/task")).map_or(0, Iterator::count)
}
