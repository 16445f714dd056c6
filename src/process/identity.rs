//! Who a process is: boot id, pid and start time; and what `/proc/PID/stat` says about it.

use std::fs::File;
use std::io::{self, Read as _};
use std::sync::OnceLock;

use crate::attempt::record::ProcessStamp;

/// Room for what is read from `/proc` at once: more than any of the files of one process that are read here.
const PROC_READ_BYTES: usize = 4096;
/// Deepest chain of parents that is followed.
const MAX_DEPTH: usize = 4096;

/// What a process does, as far as it matters here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RunState {
    /// Runs, sleeps or is stopped: a signal can end it.
    Live,
    /// Uninterruptible (`D`): even SIGKILL waits.
    Stuck,
    /// Dead (`Z`, `X`), only its status is left.
    Dead,
}

/// One process as `/proc/PID/stat` shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProcStat {
    /// Pid and start time.
    pub stamp: ProcessStamp,
    /// Its parent.
    pub ppid: i32,
    /// Its session.
    pub session: i32,
    /// What it does.
    pub state: RunState,
    /// CPU time used by it and by its children that were waited for, in clock ticks.
    pub cpu_ticks: u64,
}

impl ProcStat {
    /// Reads the process `pid`.
    ///
    /// # Errors
    /// `NotFound` when there is none; `InvalidData` when the kernel's text has another shape than documented.
    pub fn read(pid: i32) -> io::Result<Self> {
        let text = read_proc(&format!("/proc/{pid}/stat")).map_err(gone)?;
        Self::parse(&text)
            .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "unexpected /proc/PID/stat"))
    }

    /// What the text of `/proc/PID/stat` says; `None` when it has another shape. Total.
    ///
    /// The name (field 2) may hold anything, blanks, newlines and parentheses included: the fields after it begin behind the
    /// last closing parenthesis.
    #[must_use]
    pub fn parse(text: &[u8]) -> Option<Self> {
        let open = text.iter().position(|byte| *byte == b'(')?;
        let close = text.iter().rposition(|byte| *byte == b')')?;
        let pid = std::str::from_utf8(text.get(..open)?)
            .ok()?
            .trim()
            .parse()
            .ok()?;
        let rest = std::str::from_utf8(text.get(close + 1..)?).ok()?;
        let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
        // Numbers of proc(5) minus 3: field 3, the state, is the first one here.
        let number = |index: usize| {
            fields
                .get(index)
                .and_then(|field| field.parse::<i64>().ok())
        };
        let ticks = |index: usize| number(index).and_then(|value| u64::try_from(value).ok());
        let state = match *fields.first()? {
            "D" => RunState::Stuck,
            "Z" | "X" | "x" => RunState::Dead,
            _ => RunState::Live,
        };
        Some(Self {
            stamp: ProcessStamp {
                pid,
                start_ticks: ticks(19)?,
            },
            ppid: i32::try_from(number(1)?).ok()?,
            session: i32::try_from(number(3)?).ok()?,
            state,
            cpu_ticks: [11, 12, 13, 14]
                .into_iter()
                .try_fold(0_u64, |sum, index| Some(sum.saturating_add(ticks(index)?)))?,
        })
    }
}

/// A file of `/proc`, whole. Such files say that they are empty, so that `fs::read` would feel its way by small reads.
pub(super) fn read_proc(path: &str) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::with_capacity(PROC_READ_BYTES);
    File::open(path)?.take(u64::MAX).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// A process that ends while it is read answers ESRCH instead of ENOENT.
fn gone(error: io::Error) -> io::Error {
    if error.raw_os_error() == Some(libc::ESRCH) {
        io::ErrorKind::NotFound.into()
    } else {
        error
    }
}

/// The id of this boot; empty where the kernel gives none (then no record is ever "of this boot" by accident: an empty
/// id equals only another empty one).
pub fn boot_id() -> &'static str {
    static BOOT_ID: OnceLock<String> = OnceLock::new();
    BOOT_ID.get_or_init(|| {
        read_proc("/proc/sys/kernel/random/boot_id")
            .map(|text| String::from_utf8_lossy(text.trim_ascii()).into_owned())
            .unwrap_or_default()
    })
}

/// The stamp of process `pid`, dead or alive as long as it has not been waited for.
///
/// # Errors
/// As [`ProcStat::read`].
pub fn stamp_of(pid: i32) -> io::Result<ProcessStamp> {
    ProcStat::read(pid).map(|stat| stat.stamp)
}

/// Whether that very process still runs (a zombie does not).
#[must_use]
pub fn is_alive(stamp: ProcessStamp) -> bool {
    ProcStat::read(stamp.pid).is_ok_and(|stat| stat.stamp == stamp && stat.state != RunState::Dead)
}

/// Whether `pid` is `ancestor` or one of its descendants, by the chain of parents right now.
///
/// # Errors
/// When a link of the chain cannot be read: who asks for a permission then has no answer, and must refuse.
pub fn descends_from(pid: i32, ancestor: i32) -> io::Result<bool> {
    let mut current = pid;
    for _ in 0..MAX_DEPTH {
        if current == ancestor {
            return Ok(true);
        }
        if current <= 1 {
            return Ok(false);
        }
        current = ProcStat::read(current)?.ppid;
    }
    Err(io::Error::other("the chain of parents is too long"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TAIL: &str = "S 7 8 9 0 -1 4194560 1 2 3 4 10 20 30 40 20 0 1 0 98765 1 2 3";

    #[test]
    fn a_name_may_hold_anything() {
        for name in ["sh", "a b", ") R 1 1 1", "((", "x)\n(y", "\u{fffd}"] {
            let stat = ProcStat::parse(format!("42 ({name}) {TAIL}").as_bytes()).unwrap();
            assert_eq!(
                stat.stamp,
                ProcessStamp {
                    pid: 42,
                    start_ticks: 98765
                },
                "{name:?}"
            );
            assert_eq!(
                (stat.ppid, stat.session, stat.cpu_ticks),
                (7, 9, 100),
                "{name:?}"
            );
        }
        assert_eq!(ProcStat::parse(b"42 (sh"), None);
        assert_eq!(ProcStat::parse(b""), None);
        assert!(ProcStat::parse(&[b"42 (\xff\xfe) ", TAIL.as_bytes()].concat()).is_some());
    }

    #[test]
    fn this_process_is_alive_and_another_start_time_is_not() {
        let own = stamp_of(i32::try_from(std::process::id()).unwrap()).unwrap();
        assert!(is_alive(own));
        assert!(!is_alive(ProcessStamp {
            start_ticks: own.start_ticks + 1,
            ..own
        }));
        assert!(descends_from(own.pid, 1).unwrap());
        assert!(!descends_from(1, own.pid).unwrap());
    }
}
