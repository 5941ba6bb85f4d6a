//! Who used the processors, from Linux's /proc. Elsewhere nothing is told.

use std::fs::read_to_string;

/// Linux counts in hundredths of a second.
const TICK: f64 = 0.01;

/// Seconds of processor time that a process has used.
pub(crate) fn of(pid: u32) -> f64 {
    stat(pid).map_or(0.0, |stat| stat.used)
}

/// The same, to the nanosecond, of the threads that it has.
pub(crate) fn of_threads(pid: u32) -> f64 {
    let threads = std::fs::read_dir(format!("/proc/{pid}/task"));
    let nanoseconds = threads
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|thread| {
            let told = read_to_string(thread.path().join("schedstat")).ok()?;
            told.split(' ').next()?.parse::<f64>().ok()
        });
    nanoseconds.sum::<f64>() / 1e9
}

/// Mebibytes that a process has in memory.
pub(crate) fn resident(pid: u32) -> f64 {
    let told = read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = told.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<f64>().ok());
    kib.unwrap_or(f64::NAN) / 1024.0
}

/// The same of a process and its children that are alive.
pub(crate) fn of_family(pid: u32) -> f64 {
    let children = std::fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter_map(stat)
        .filter(|stat| stat.parent == pid);
    of(pid) + children.map(|stat| stat.used).sum::<f64>()
}

/// Seconds that all processors were busy, and could have been.
pub(crate) fn of_machine() -> (f64, f64) {
    let told = read_to_string("/proc/stat").unwrap_or_default();
    let line = told.lines().next().unwrap_or_default();
    let ticks: Vec<f64> = line
        .split_whitespace()
        .skip(1)
        .take(8)
        .filter_map(|ticks| ticks.parse().ok())
        .collect();
    let all: f64 = ticks.iter().sum();
    let idle: f64 = ticks.iter().skip(3).take(2).sum();
    ((all - idle) * TICK, all * TICK)
}

struct Stat {
    parent: u32,
    used: f64,
}

fn stat(pid: u32) -> Option<Stat> {
    let told = read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name, in brackets, may hold anything.
    let (_, rest) = told.rsplit_once(") ")?;
    let fields: Vec<&str> = rest.split(' ').collect();
    let ticks = |field: usize| fields.get(field)?.parse::<f64>().ok();
    Some(Stat {
        parent: fields.get(1)?.parse().ok()?,
        used: (ticks(11)? + ticks(12)?) * TICK,
    })
}
