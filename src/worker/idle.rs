//! Whether an attempt still works: by evidence, not by quiet alone.
//!
//! Evidence is output, CPU time of the tree, or a change in the set of its processes. The tree is looked at only while
//! there is no output, and a few times per idle window: an attempt is called idle between one window and one and a
//! quarter after its last sign of work.

use crate::attempt::record::ProcessStamp;
use crate::process::ProcStat;

/// Looks per idle window.
const LOOKS_PER_WINDOW: u64 = 4;
/// CPU time below this share of the time between two looks is what a waiting runtime's timers use, not work: 2 ‰.
const CPU_NOISE_PER_MILLE: u64 = 2;
/// Milliseconds of a clock tick (`USER_HZ` is 100 on Linux).
const TICK_MS: u64 = 10;

/// The watch over signs of work.
#[derive(Debug)]
pub(super) struct IdleWatch {
    window_ms: u64,
    last_work_ms: u64,
    next_look_ms: u64,
    before: Option<Look>,
}

#[derive(Debug, PartialEq, Eq)]
struct Look {
    at_ms: u64,
    processes: Vec<ProcessStamp>,
    cpu_ticks: u64,
}

impl IdleWatch {
    /// Watches from `now_ms` on; `window_ms` 0 = no limit.
    pub(super) const fn new(window_ms: u64, now_ms: u64) -> Self {
        Self {
            window_ms,
            last_work_ms: now_ms,
            next_look_ms: now_ms + window_ms / LOOKS_PER_WINDOW,
            before: None,
        }
    }

    /// Output came.
    pub(super) const fn output(&mut self, now_ms: u64) {
        self.last_work_ms = now_ms;
    }

    /// Time since the last sign of work that was seen.
    pub(super) const fn quiet_ms(&self, now_ms: u64) -> u64 {
        now_ms.saturating_sub(self.last_work_ms)
    }

    /// When the next look is due.
    pub(super) const fn deadline_ms(&self) -> Option<u64> {
        if self.window_ms == 0 {
            None
        } else {
            Some(self.next_look_ms)
        }
    }

    /// Looks when it is time to; `tree` is asked only when it matters. Says whether the window is over.
    pub(super) fn is_over(
        &mut self,
        now_ms: u64,
        tree: impl FnOnce() -> Option<Vec<ProcStat>>,
    ) -> bool {
        if self.window_ms == 0 || now_ms < self.next_look_ms {
            return false;
        }
        let interval_ms = (self.window_ms / LOOKS_PER_WINDOW).max(1);
        self.next_look_ms = now_ms + interval_ms;
        if self.quiet_ms(now_ms) < interval_ms {
            self.before = None;
            return false;
        }
        // A tree that cannot be looked at gives no evidence against it.
        let Some(members) = tree() else { return false };
        let mut processes: Vec<ProcessStamp> = members.iter().map(|member| member.stamp).collect();
        processes.sort_unstable();
        let look = Look {
            at_ms: now_ms,
            processes,
            cpu_ticks: members.iter().map(|member| member.cpu_ticks).sum(),
        };
        if self
            .before
            .as_ref()
            .is_some_and(|before| look.shows_work_since(before))
        {
            self.last_work_ms = now_ms;
        }
        self.before = Some(look);
        self.quiet_ms(now_ms) >= self.window_ms
    }
}

impl Look {
    fn shows_work_since(&self, before: &Self) -> bool {
        let used_ms = self.cpu_ticks.saturating_sub(before.cpu_ticks) * TICK_MS;
        let noise_ms = (self.at_ms - before.at_ms) * CPU_NOISE_PER_MILLE / 1000;
        self.processes != before.processes || used_ms > noise_ms
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process::RunState;

    fn tree(pids: &[i32], cpu_ticks: u64) -> Option<Vec<ProcStat>> {
        let stat = |pid: &i32| ProcStat {
            stamp: ProcessStamp {
                pid: *pid,
                start_ticks: 1,
            },
            ppid: 1,
            session: 1,
            state: RunState::Live,
            cpu_ticks: cpu_ticks / pids.len() as u64,
        };
        Some(pids.iter().map(stat).collect())
    }

    /// Time until a tree that is shown as `at(now)` counts as idle, in a window of 1 s; `None` = not within 10 s.
    fn idle_after(output_every_ms: u64, at: impl Fn(u64) -> Option<Vec<ProcStat>>) -> Option<u64> {
        let mut watch = IdleWatch::new(1000, 0);
        (1..10_000_u64).find(|now| {
            if output_every_ms > 0 && now.is_multiple_of(output_every_ms) {
                watch.output(*now);
            }
            watch.is_over(*now, || at(*now))
        })
    }

    #[test]
    fn quiet_alone_is_idle_after_its_window() {
        assert_eq!(idle_after(0, |_| tree(&[7], 3)), Some(1000));
    }

    #[test]
    fn output_or_cpu_time_or_children_are_work() {
        assert_eq!(idle_after(900, |_| tree(&[7], 3)), None);
        assert_eq!(idle_after(0, |now| tree(&[7], now / 20)), None);
        assert_eq!(
            idle_after(0, |now| tree(
                &[7, i32::try_from(now / 300).unwrap_or(0) + 8],
                4
            )),
            None
        );
        assert_eq!(idle_after(0, |_| None), None);
    }
}
