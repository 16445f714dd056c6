//! The daemon's own probe: one tiny request, for when the time of a hold has come and no task waits that could find out.
//!
//! It is a convenience, so it is bounded: a few for one hold, with a pause that doubles, and never where the answer might be
//! paid for or only a person can help. What waits goes first: a task is a probe that costs nothing more.

use serde::{Deserialize, Serialize};

use super::account::Account;
use super::gate::{Ask, Gate, Start};
use super::hold::{Hold, Run};
use super::kind::HoldKind;
use super::policy::{Overage, Policy, plus};
use crate::task::{AttemptId, BlockKind, Priority, Timestamp};

/// The last probe of the daemon's own on an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Own {
    /// Its number, from 1: the generation of its attempt.
    pub generation: u32,
    /// Local uid of who asked for the task that it is sent like: its cost is that user's.
    pub uid: u32,
    /// It has not ended yet, as far as is known.
    #[serde(default)]
    pub running: bool,
}

/// A probe that may be sent now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnProbe {
    /// Its number.
    pub generation: u32,
    /// Its model; `None` = the agent's own choice.
    pub model: Option<String>,
    /// It is sent as this attempt was: on the same account, in the same environment.
    pub like: AttemptId,
}

impl Account {
    /// Most probes of the daemon's own for one hold; then it waits for a task, or for a person.
    pub const OWN_PROBES_MAX: u32 = 4;
    /// Pause after the first one; doubled with each.
    pub const OWN_PROBE_PAUSE_MS: u64 = 5 * 60 * 1000;

    /// The hold that the daemon's own probe may test now, for when no task waits.
    ///
    /// Never one under which a request might be paid for: that one waits for a task that is worth it.
    #[must_use]
    pub fn own_probe(&self, now: Timestamp, policy: &Policy) -> Option<&Hold> {
        if self.own.is_some_and(|own| own.running) {
            return None;
        }
        self.holds.iter().find(|hold| {
            let ask = Ask {
                model: probe_model(hold, policy),
                priority: Priority::Urgent,
                now,
            };
            hold.counts(policy)
                && hold.covers(ask.model)
                && hold.own_probes < Self::OWN_PROBES_MAX
                && next(hold, now).is_none()
                && matches!(self.gate(&ask, policy), Gate::Probe { .. })
                && self
                    .holds_over(ask.model, policy)
                    .all(|over| may_be_tested(over, policy))
        })
    }

    /// What the next such probe would be.
    #[must_use]
    pub fn next_own(&self, now: Timestamp, policy: &Policy) -> Option<OwnProbe> {
        let hold = self.own_probe(now, policy)?;
        let before = self.own.map_or(0, |own| own.generation);
        Some(OwnProbe {
            generation: before.saturating_add(1),
            model: probe_model(hold, policy).map(str::to_owned),
            like: hold.by.clone()?,
        })
    }

    /// It is sent, for this user: to be committed before it is. Whether it may be.
    pub fn start_own(
        &mut self,
        probe: &OwnProbe,
        uid: u32,
        now: Timestamp,
        policy: &Policy,
    ) -> bool {
        let ask = Ask {
            model: probe.model.as_deref(),
            priority: Priority::Urgent,
            now,
        };
        if self.start(&Run::OwnProbe, &ask, policy) != Start::Probe {
            return false;
        }
        self.own = Some(Own {
            generation: probe.generation,
            uid,
            running: true,
        });
        for hold in self.holds.iter_mut().filter(|hold| hold.on_trial) {
            let pause_ms = Self::OWN_PROBE_PAUSE_MS << hold.own_probes.min(Self::OWN_PROBES_MAX);
            hold.own_probes = hold.own_probes.saturating_add(1);
            hold.next_own_probe = Some(plus(now, pause_ms));
        }
        true
    }

    /// The last such probe, if there was one.
    #[must_use]
    pub const fn own(&self) -> Option<&Own> {
        self.own.as_ref()
    }

    /// The probe that runs is over. To be told after what it has found; told twice it does nothing more.
    pub fn own_ended(&mut self) {
        self.ended(&Run::OwnProbe);
        if let Some(own) = &mut self.own {
            own.running = false;
        }
    }

    /// Nobody knows how to send one for this hold (the task that ran into it is gone): it waits for a task.
    pub fn give_up_own(&mut self, now: Timestamp, policy: &Policy) {
        let given_up = self.own_probe(now, policy).cloned();
        for hold in &mut self.holds {
            if given_up.as_ref() == Some(hold) {
                hold.own_probes = Self::OWN_PROBES_MAX;
            }
        }
    }

    /// When the next pause between two such probes is over; always later than now.
    #[must_use]
    pub fn next_own_look(&self, now: Timestamp) -> Option<Timestamp> {
        let waits = self
            .holds
            .iter()
            .filter(|hold| hold.own_probes < Self::OWN_PROBES_MAX);
        waits.filter_map(|hold| next(hold, now)).min()
    }
}

/// Until when no further probe is sent. A time further ahead than any pause was written before the clock was set back.
fn next(hold: &Hold, now: Timestamp) -> Option<Timestamp> {
    let longest_ms = Account::OWN_PROBE_PAUSE_MS << Account::OWN_PROBES_MAX;
    hold.next_own_probe
        .filter(|next| *next > now && *next <= plus(now, longest_ms))
}

fn probe_model<'a>(hold: &'a Hold, policy: &'a Policy) -> Option<&'a str> {
    hold.model.as_deref().or(policy.probe_model.as_deref())
}

/// Whether a request that finds out costs no more than itself, and could be served without a person.
const fn may_be_tested(hold: &Hold, policy: &Policy) -> bool {
    // Where extra usage is allowed, nobody can tell before whether the next request is paid for.
    if matches!(policy.overage, Overage::Allow) {
        return false;
    }
    match hold.kind {
        HoldKind::Contract | HoldKind::Person => false,
        HoldKind::Block(kind) => match kind {
            BlockKind::FiveHour
            | BlockKind::Weekly
            | BlockKind::Model
            | BlockKind::Throttle
            | BlockKind::Overload
            | BlockKind::Server
            | BlockKind::Network => true,
            BlockKind::Overage | BlockKind::Credit | BlockKind::Spend | BlockKind::Login => false,
        },
    }
}
