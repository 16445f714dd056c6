//! Processes as `/proc` shows them, and how to end them.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::Res;

/// How often a condition is looked at.
const POLL: Duration = Duration::from_millis(2);

/// A field of `/proc/<pid>/status` that is in kB, such as `VmRSS` or `VmHWM`.
pub(crate) fn status_kib(pid: u32, field: &str) -> Option<u64> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = text
        .lines()
        .find(|line| line.split(':').next() == Some(field))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

/// How often all threads of the process have given up the processor by themselves: each time, something woke them.
pub(crate) fn wakeups(pid: u32) -> Option<u64> {
    let threads = std::fs::read_dir(format!("/proc/{pid}/task")).ok()?;
    let mut sum = 0;
    for thread in threads.flatten() {
        let Ok(text) = std::fs::read_to_string(thread.path().join("status")) else {
            continue;
        };
        let count = text
            .lines()
            .find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
        sum += count
            .and_then(|count| count.trim().parse::<u64>().ok())
            .unwrap_or(0);
    }
    Some(sum)
}

/// Sends a signal to a process that this program started and has not yet waited for, so the number is still its own.
pub(crate) fn signal(pid: u32, signal: rustix::process::Signal) {
    if let Some(pid) = i32::try_from(pid)
        .ok()
        .and_then(rustix::process::Pid::from_raw)
    {
        let _ = rustix::process::kill_process(pid, signal);
    }
}

/// Waits until `condition` holds; `what` is what the message says when it did not within `limit`.
pub(crate) fn wait_until(
    what: &str,
    limit: Duration,
    mut condition: impl FnMut() -> Res<bool>,
) -> Res<Duration> {
    let begun = Instant::now();
    loop {
        if condition()? {
            return Ok(begun.elapsed());
        }
        if begun.elapsed() > limit {
            return Err(format!("waited {} s in vain until {what}", limit.as_secs()));
        }
        std::thread::sleep(POLL);
    }
}

/// Runs a command to its end, its standard output returned; another status than 0 is an error with its last words.
pub(crate) fn capture(command: &mut Command) -> Res<String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command
        .stdin(Stdio::null())
        .output()
        .map_err(|e| format!("cannot run {name}: {e}"))?;
    if output.status.success() {
        return String::from_utf8(output.stdout).map_err(|_| format!("{name} printed no UTF-8"));
    }
    let first: Vec<String> = command
        .get_args()
        .take(6)
        .map(|arg| arg.to_string_lossy().into_owned())
        .collect();
    let words = String::from_utf8_lossy(&output.stderr);
    Err(format!(
        "{name} {}: {}: {}",
        first.join(" "),
        output.status,
        words.trim()
    ))
}

/// Whether a program of this name is on the PATH.
pub(crate) fn on_path(name: &str) -> bool {
    std::env::var_os("PATH")
        .is_some_and(|path| std::env::split_paths(&path).any(|dir| dir.join(name).is_file()))
}

/// Makes a fresh, empty directory.
pub(crate) fn fresh_dir(path: &Path) -> Res<()> {
    if path.exists() {
        std::fs::remove_dir_all(path)
            .map_err(|e| format!("cannot remove {}: {e}", path.display()))?;
    }
    std::fs::create_dir_all(path).map_err(|e| format!("cannot create {}: {e}", path.display()))
}
