//! How the attempt ended: what was seen of the process, and what its agent said about itself.

use rustix::process::WaitStatus;

use super::run::Run;
use super::stop::{Ending, Why};
use crate::agent::ProcessEnd;
use crate::process;
use crate::task::{Outcome, OutcomeKind};

/// In a raw wait status: a core was dumped.
const CORE_DUMPED: i32 = 0x80;

impl Run {
    /// An agent that reports a result is judged by what it said; by its process only where that says more: it could not be
    /// started, we ended it, or a signal that was not ours did.
    pub(super) fn by_its_own_account(&mut self, seen: Outcome) -> Outcome {
        let Some(reading) = self.reading.take() else {
            return seen;
        };
        let verdict = reading.finish(&ProcessEnd {
            exit_code: seen.exit_code,
            signal: seen.signal,
            stop_sent: seen.stop_sent,
            now: process::now(),
        });
        // What it was busy with when it was ended for want of anything else is why it got nowhere.
        let got_nowhere = seen.kind == OutcomeKind::Idle && verdict.report.block.is_some();
        self.report = Some(verdict.report);
        if got_nowhere && !verdict.proven {
            return Outcome {
                kind: OutcomeKind::Limited,
                ..seen
            }
            .with_detail(verdict.detail);
        }
        let by_itself = matches!(seen.kind, OutcomeKind::Succeeded | OutcomeKind::Exited);
        let by_signal = matches!(
            seen.kind,
            OutcomeKind::Signaled
                | OutcomeKind::OutOfMemory
                | OutcomeKind::TimedOut
                | OutcomeKind::Idle
                | OutcomeKind::Interrupted
        );
        // It may have said how it ended before the signal came.
        let judged = by_itself || (by_signal && verdict.proven);
        if !judged {
            return seen;
        }
        Outcome {
            kind: verdict.kind,
            // A result that was seen needs no exit code: our signal came after it.
            stop_sent: seen.stop_sent && !verdict.proven,
            ..seen
        }
        .with_detail(verdict.detail)
    }

    pub(super) fn seen_outcome(&self) -> Outcome {
        let status = self.status;
        let limited = self.spec.max_memory_bytes > 0;
        let why = self.stop.as_ref().map(|stop| stop.why);
        Ending {
            exit_code: status.and_then(WaitStatus::exit_status),
            signal: status.and_then(WaitStatus::terminating_signal),
            core_dumped: status
                .is_some_and(|status| status.signaled() && status.as_raw() & CORE_DUMPED != 0),
            why,
            killed_by_us: why != Some(Why::Leftovers)
                && self.stop.as_ref().is_some_and(|stop| stop.killing),
            stop_sent: self.stop.as_ref().is_some_and(|stop| stop.agent_told),
            oom_kills: if limited { self.cgroup.oom_kills() } else { 0 },
            descendant_held_pipe: self.descendant_held_pipe,
            timeout_ms: self.spec.timeout_ms,
            idle_timeout_ms: self.spec.idle_timeout_ms,
            trying_timeout_ms: self.spec.trying_timeout_ms,
        }
        .outcome()
    }
}
