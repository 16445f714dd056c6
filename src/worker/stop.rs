//! A stop that is under way: why, and when patience ends.

use crate::task::{Intent, Outcome, OutcomeKind};

/// First pause between two rounds of SIGKILL; doubled up to [`KILL_PAUSE_MAX_MS`].
const KILL_PAUSE_MS: u64 = 20;
const KILL_PAUSE_MAX_MS: u64 = 1_000;

/// Why the attempt is stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Why {
    /// Its wall time is over.
    TimedOut,
    /// No sign of work.
    Idle,
    /// It has done nothing but try a failed request again.
    Trying,
    /// The machine, or the owner, goes down.
    Interrupted,
    /// The daemon carries out an intent.
    Intent,
    /// The agent is gone and has left processes behind.
    Leftovers,
}

/// The stop.
#[derive(Debug)]
pub(super) struct Stop {
    pub(super) why: Why,
    pub(super) intent: Option<Intent>,
    kill_at_ms: u64,
    kill_pause_ms: u64,
    /// The first SIGKILL was sent.
    pub(super) killing: bool,
    /// The agent had not ended (as far as we knew) when it was told to.
    pub(super) agent_told: bool,
}

impl Stop {
    pub(super) const fn new(
        why: Why,
        intent: Option<Intent>,
        kill_at_ms: u64,
        agent_told: bool,
    ) -> Self {
        Self {
            why,
            intent,
            kill_at_ms,
            kill_pause_ms: KILL_PAUSE_MS,
            killing: false,
            agent_told,
        }
    }

    /// One more reason: the first one stays the cause, the earlier end of patience holds, a stronger intent replaces a weaker.
    pub(super) fn join(&mut self, intent: Option<Intent>, kill_at_ms: u64) {
        if !self.killing {
            self.kill_at_ms = self.kill_at_ms.min(kill_at_ms);
        }
        if let Some(new) = intent
            && self.intent.as_ref().is_none_or(|old| old.kind < new.kind)
        {
            self.intent = Some(new);
        }
    }

    /// When the next round of SIGKILL is due.
    pub(super) const fn deadline_ms(&self) -> u64 {
        self.kill_at_ms
    }

    /// Whether a round of SIGKILL is due now; the next one is later.
    pub(super) fn kill_is_due(&mut self, now_ms: u64) -> bool {
        if now_ms < self.kill_at_ms {
            return false;
        }
        self.killing = true;
        self.kill_at_ms = now_ms + self.kill_pause_ms;
        self.kill_pause_ms = (self.kill_pause_ms * 2).min(KILL_PAUSE_MAX_MS);
        true
    }
}

/// What is known at the end.
#[derive(Debug)]
pub(super) struct Ending {
    /// Wait status of the agent as the kernel gave it.
    pub(super) exit_code: Option<i32>,
    pub(super) signal: Option<i32>,
    pub(super) core_dumped: bool,
    pub(super) why: Option<Why>,
    /// We had sent SIGKILL.
    pub(super) killed_by_us: bool,
    /// We had told the agent to stop before it ended.
    pub(super) stop_sent: bool,
    pub(super) oom_kills: u64,
    pub(super) descendant_held_pipe: bool,
    pub(super) timeout_ms: u64,
    pub(super) idle_timeout_ms: u64,
    pub(super) trying_timeout_ms: u64,
}

impl Ending {
    /// How the attempt ended, as it truly was: an intent changes nothing about it, a limit of ours names itself.
    pub(super) fn outcome(&self) -> Outcome {
        let ended_by_kill = self.signal == Some(libc::SIGKILL);
        let (kind, detail) = match self.why {
            Some(Why::TimedOut) => (
                OutcomeKind::TimedOut,
                format!("its time of {} was over", seconds(self.timeout_ms)),
            ),
            Some(Why::Idle) => {
                let detail = format!(
                    "no output, CPU use or change of processes for {}",
                    seconds(self.idle_timeout_ms)
                );
                (OutcomeKind::Idle, detail)
            }
            Some(Why::Trying) => (
                OutcomeKind::Idle,
                format!(
                    "nothing but a failed request that it tried again for {}",
                    seconds(self.trying_timeout_ms)
                ),
            ),
            Some(Why::Interrupted) => (OutcomeKind::Interrupted, String::new()),
            Some(Why::Intent | Why::Leftovers) | None
                if ended_by_kill && self.oom_kills > 0 && !self.killed_by_us =>
            {
                (
                    OutcomeKind::OutOfMemory,
                    "its memory limit was reached".to_owned(),
                )
            }
            Some(Why::Intent | Why::Leftovers) | None => {
                let kind = match self.exit_code {
                    Some(0) => OutcomeKind::Succeeded,
                    Some(_) => OutcomeKind::Exited,
                    None => OutcomeKind::Signaled,
                };
                let oom = if self.oom_kills > 0 {
                    "a process of its tree was ended for want of memory"
                } else {
                    ""
                };
                (kind, oom.to_owned())
            }
        };
        let mut outcome = Outcome::of(kind).with_detail(detail);
        outcome.exit_code = self.exit_code;
        outcome.signal = self.signal;
        outcome.core_dumped = self.core_dumped;
        outcome.descendant_held_pipe = self.descendant_held_pipe;
        outcome.stop_sent = self.stop_sent;
        outcome
    }
}

fn seconds(ms: u64) -> String {
    if ms.is_multiple_of(1000) {
        format!("{} s", ms / 1000)
    } else {
        format!("{ms} ms")
    }
}
