//! Whether a run may start now, and when to ask again.

use std::fmt;

use super::account::Account;
use super::hold::{Hold, Probe, Run, lasts};
use super::kind::HoldKind;
use super::policy::Policy;
use super::window::{Seen, reserved};
use crate::task::{BlockKind, Priority, Timestamp};

/// Who asks.
#[derive(Debug, Clone, Copy)]
pub struct Ask<'a> {
    /// The model that the run will use; `None` = nobody knows, so it waits for the holds of all models.
    pub model: Option<&'a str>,
    /// Its priority.
    pub priority: Priority,
    /// Now.
    pub now: Timestamp,
}

/// Whether a run may start now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gate<'a> {
    /// It may.
    Open,
    /// It may, as the probe: the time of every hold over it has come, and no probe is under way.
    Probe {
        /// The hold that has lasted longest.
        hold: &'a Hold,
    },
    /// It must wait.
    Closed {
        /// When time alone changes the answer; `None` = only an event does: a probe's verdict, a person.
        until: Option<Timestamp>,
        /// What for.
        why: Why<'a>,
    },
}

/// What a run waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why<'a> {
    /// A hold: of those over it, the one whose time comes last.
    Hold(&'a Hold),
    /// A probe is under way, and tests this hold.
    Probing {
        /// The hold.
        hold: &'a Hold,
        /// The probe.
        probe: &'a Probe,
    },
    /// The rest of this window is kept for more important work.
    Reserve(&'a Seen),
    /// The account has just opened; runs start one after the other.
    Release,
}

/// What [`Account::start`] allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Start {
    /// The run starts as any other.
    Free,
    /// The run is the probe.
    Probe,
    /// It must not start; [`Account::gate`] says why.
    Refused,
}

impl Account {
    /// Whether a run may start now. Nothing changes by asking.
    #[must_use]
    pub fn gate(&self, ask: &Ask<'_>, policy: &Policy) -> Gate<'_> {
        let closed = |until, why| Gate::Closed { until, why };
        let over = || self.holds_over(ask.model, policy);
        let waits = over().filter(|hold| !hold.due(ask.now, policy));
        if let Some(hold) = waits.max_by_key(|hold| lasts(hold.until)) {
            return closed(hold.until, Why::Hold(hold));
        }
        let due = over().min_by_key(|hold| hold.since);
        if let (Some(hold), Some(probe)) = (due, self.probe()) {
            let hold = over().find(|hold| hold.on_trial).unwrap_or(hold);
            return closed(None, Why::Probing { hold, probe });
        }
        let kept = reserved(self.windows(), ask.model, ask.priority, ask.now, policy);
        if let Some((seen, until)) = kept {
            return closed(Some(until), Why::Reserve(seen));
        }
        if let Some(hold) = due {
            return Gate::Probe { hold };
        }
        let release = self.release().filter(|release| release.covers(ask.model));
        match release.and_then(|release| release.next_start(ask.now, policy)) {
            Some(until) => closed(Some(until), Why::Release),
            None => Gate::Open,
        }
    }

    /// A run starts, if it may: the one way in. To be committed together with the claim.
    pub fn start(&mut self, run: &Run, ask: &Ask<'_>, policy: &Policy) -> Start {
        match self.gate(ask, policy) {
            Gate::Closed { .. } => Start::Refused,
            Gate::Open => {
                self.started(ask.model, ask.now);
                Start::Free
            }
            Gate::Probe { .. } if *run == Run::OwnProbe && self.may_bill(ask, policy) => {
                Start::Refused
            }
            Gate::Probe { .. } => {
                self.probe_began(run, ask.model, ask.now, policy);
                Start::Probe
            }
        }
    }

    fn may_bill(&self, ask: &Ask<'_>, policy: &Policy) -> bool {
        self.holds_over(ask.model, policy)
            .any(|hold| hold.kind == HoldKind::Block(BlockKind::Overage))
    }

    pub(super) fn holds_over<'a, 'b>(
        &'a self,
        model: Option<&'b str>,
        policy: &'b Policy,
    ) -> impl Iterator<Item = &'a Hold> + use<'a, 'b> {
        self.holds()
            .iter()
            .filter(move |hold| hold.counts(policy) && hold.covers(model))
    }

    /// When time alone next changes an answer of [`Self::gate`], to whomever; always later than now. `None` when only an
    /// event does.
    #[must_use]
    pub fn next_look(&self, now: Timestamp, policy: &Policy) -> Option<Timestamp> {
        let holds = self
            .holds()
            .iter()
            .filter(|hold| hold.counts(policy) && !hold.due(now, policy))
            .filter_map(|hold| hold.until);
        let release = self
            .release()
            .and_then(|release| release.next_start(now, policy));
        // Each window on its own: the one that is over first may free some model.
        let reserve = self
            .windows()
            .iter()
            .filter_map(|seen| {
                reserved(std::slice::from_ref(seen), None, Priority::Low, now, policy)
            })
            .map(|(_, until)| until);
        holds.chain(release).chain(reserve).min()
    }
}

/// In words, without the time: `5-hour limit`, `weekly limit: a probe is under way (task_….2)`.
impl fmt::Display for Why<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Hold(hold) => write!(f, "{hold}"),
            Self::Probing { hold, probe } => {
                write!(f, "{hold}: a probe is under way ({})", probe.run)
            }
            Self::Reserve(seen) => write!(
                f,
                "{} is used to {} %; the rest is kept for high priority",
                seen.window.name,
                seen.window.used_permille / 10
            ),
            Self::Release => f.write_str("the account has just opened; tasks start one by one"),
        }
    }
}
