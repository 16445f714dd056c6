//! Ends whatever is left of an attempt's tree.

use std::io;
use std::time::Duration;

use rustix::process::Signal;

use super::clock::monotonic_ms;
use super::identity::{ProcStat, RunState};
use super::pidfd;
use super::tree::{Snapshot, Target};
use crate::attempt::record::ProcessStamp;

/// First pause between two passes; doubled up to [`PAUSE_MAX_MS`].
const PAUSE_MS: u64 = 2;
/// Longest pause between two passes.
const PAUSE_MAX_MS: u64 = 100;
/// Passes in a row that must find nothing.
const EMPTY_PASSES: u32 = 2;

/// What a sweep leaves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SweepResult {
    /// Nothing: two passes in a row found no process of the tree.
    Empty,
    /// So many are still there (they start faster than they are ended, or may not be signalled).
    Remains(usize),
    /// These cannot be ended now: they wait uninterruptibly (D state) in the kernel.
    Stuck(Vec<ProcessStamp>),
}

/// Sends `signal` to each of `members`; gone ones and refusals are passed over. Returns how many got it.
pub fn signal_members(members: &[ProcStat], signal: Signal) -> usize {
    members
        .iter()
        .filter(|member| pidfd::signal(member.stamp, signal).unwrap_or(false))
        .count()
}

/// Ends the tree: SIGTERM and `grace_ms` of time first when that is not 0, then SIGKILL again and again until two passes
/// find nothing or `limit_ms` (counted from the first SIGKILL) is over. Blocks the calling thread.
///
/// # Errors
/// When `/proc` cannot be listed.
pub fn sweep(target: &Target, grace_ms: u64, limit_ms: u64) -> io::Result<SweepResult> {
    let begin = monotonic_ms();
    let mut pause = PAUSE_MS;
    let mut empty = 0;
    let mut asked = false;
    loop {
        let members = Snapshot::take()?.members(target);
        if members.is_empty() {
            empty += 1;
            if empty == EMPTY_PASSES {
                return Ok(SweepResult::Empty);
            }
            continue;
        }
        empty = 0;
        let elapsed = monotonic_ms() - begin;
        if elapsed < grace_ms {
            if !asked {
                signal_members(&members, Signal::TERM);
                asked = true;
            }
        } else if elapsed < grace_ms + limit_ms {
            if let Some(cgroup) = &target.cgroup {
                cgroup.kill();
            }
            signal_members(&members, Signal::KILL);
        } else {
            return Ok(left(&members));
        }
        std::thread::sleep(Duration::from_millis(pause));
        pause = (pause * 2).min(PAUSE_MAX_MS);
    }
}

fn left(members: &[ProcStat]) -> SweepResult {
    let stuck: Vec<ProcessStamp> = members
        .iter()
        .filter(|member| member.state == RunState::Stuck)
        .map(|member| member.stamp)
        .collect();
    if stuck.is_empty() {
        SweepResult::Remains(members.len())
    } else {
        SweepResult::Stuck(stuck)
    }
}
