//! On what the figures were made: without this they say nothing.

use std::path::Path;

use crate::Bench;

/// One paragraph: cores, processor, memory, kernel, file system, load, runs.
pub(crate) fn describe(bench: &Bench) -> String {
    let cores = std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
    let cpu = first_value("/proc/cpuinfo", "model name")
        .unwrap_or_else(|| "unknown processor".to_owned());
    let memory_gib = first_value("/proc/meminfo", "MemTotal")
        .and_then(|text| text.split_whitespace().next()?.parse::<f64>().ok())
        .map_or(0.0, |kib| kib / (1024.0 * 1024.0));
    let kernel = read("/proc/sys/kernel/osrelease");
    let load = read("/proc/loadavg")
        .split_whitespace()
        .next()
        .unwrap_or("?")
        .to_owned();
    let date = jiff::Timestamp::now().strftime("%Y-%m-%d").to_string();
    format!(
        "Measured {date}: version {}, {cores} cores ({cpu}), {memory_gib:.0} GiB, Linux {kernel}, state on {}, load \
         {load} at the start, median of {} runs.",
        env!("CARGO_PKG_VERSION"),
        file_system(&bench.base),
        bench.runs
    )
}

fn read(path: &str) -> String {
    std::fs::read_to_string(path)
        .unwrap_or_default()
        .trim()
        .to_owned()
}

/// The first value of `key` in a file of `key : value` lines.
fn first_value(path: &str, key: &str) -> Option<String> {
    let text = std::fs::read_to_string(path).ok()?;
    let line = text.lines().find(|line| {
        line.split(':')
            .next()
            .is_some_and(|name| name.trim() == key)
    })?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

/// The type of the file system that holds `path`: the mount point that is its longest prefix.
fn file_system(path: &Path) -> String {
    let text = std::fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    text.lines()
        .filter_map(|line| {
            let mut fields = line.split(' ').skip(1);
            Some((fields.next()?, fields.next()?))
        })
        .filter(|(point, _)| path.starts_with(point))
        // Of two on the same point the later one covers the other, and `max_by_key` takes the last.
        .max_by_key(|(point, _)| point.len())
        .map_or_else(|| "an unknown file system".to_owned(), |(_, kind)| kind.to_owned())
}
