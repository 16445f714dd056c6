//! How many tasks may be claimed now, why none, and when to look again.
//!
//! Invariant: event-driven. `wake_at` is set only where time alone changes the answer; every other change (a slot gets free,
//! a person resumes, a task arrives) is an event that asks anew. When the next waiting task is due is the store's to say.

use std::fmt;

use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

use super::quiet::{QuietHours, quiet_until};
use crate::task::Timestamp;

/// What the plan looks at.
#[derive(Debug, Clone)]
pub struct View<'a> {
    /// Now.
    pub now: Timestamp,
    /// Slots in all. May be less than are busy, after the setting was lowered.
    pub num_workers: u32,
    /// Slots with an attempt.
    pub busy: u32,
    /// A person stopped claims.
    pub stopped_by_person: bool,
    /// Too many attempts were lost lately ([`super::Intensity::exceeded`]).
    pub restarts_exceeded: bool,
    /// A launch failed for want of something; nothing is claimed before this time.
    pub launch_wait_until: Option<Timestamp>,
    /// The quiet hours.
    pub quiet_hours: &'a [QuietHours],
    /// Their zone.
    pub zone: &'a TimeZone,
}

/// Why nothing is claimed, however many slots are free. The first is what a person should look at first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(tag = "reason", rename_all = "snake_case")]
pub enum Blocked {
    /// A person stopped claims; a person lets them go on.
    StoppedByPerson,
    /// Too many attempts were lost lately; a person lets claims go on.
    RestartsExceeded,
    /// A launch has just failed; it is tried again by itself.
    LaunchFailed {
        /// When.
        until: Timestamp,
    },
    /// Quiet hours; it goes on by itself.
    QuietHours {
        /// Their end.
        until: Timestamp,
    },
}

/// The plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Claims {
    /// Claim at most this many tasks that are due; 0 when blocked or when every slot is busy.
    pub claims: u32,
    /// The first reason why nothing is claimed; `None` also while every slot is busy.
    pub blocked: Option<Blocked>,
    /// When every reason will have passed by itself; `None` when nothing is blocked or a person must act. Later than now.
    pub wake_at: Option<Timestamp>,
}

/// A wait for the next launch that is longer than this was set by a clock that has been set back since: it is over.
pub const LAUNCH_WAIT_MAX_MS: i64 = 60_000;

/// How many may be claimed, why none, and when to look again.
#[must_use]
pub fn plan(view: &View<'_>) -> Claims {
    let reasons = [
        view.stopped_by_person.then_some(Blocked::StoppedByPerson),
        view.restarts_exceeded.then_some(Blocked::RestartsExceeded),
        launch_wait(view).map(|until| Blocked::LaunchFailed { until }),
        quiet_until(view.now, view.quiet_hours, view.zone)
            .map(|until| Blocked::QuietHours { until }),
    ];
    let mut stands = reasons.into_iter().flatten();
    let Some(first) = stands.next() else {
        let claims = view.num_workers.saturating_sub(view.busy);
        return Claims {
            claims,
            blocked: None,
            wake_at: None,
        };
    };
    // The reasons are in order: where the first passes by itself, so do the others, and the last to pass decides.
    let wake_at = stands.fold(first.passes_at(), |latest, reason| {
        latest.max(reason.passes_at())
    });
    let wake_at = first.passes_at().and(wake_at);
    Claims {
        claims: 0,
        blocked: Some(first),
        wake_at,
    }
}

fn launch_wait(view: &View<'_>) -> Option<Timestamp> {
    let left_ms = |until: &Timestamp| until.ms_since(view.now);
    view.launch_wait_until
        .filter(|until| (1..=LAUNCH_WAIT_MAX_MS).contains(&left_ms(until)))
}

impl Blocked {
    /// When it passes by itself; `None` when a person must act.
    #[must_use]
    pub const fn passes_at(self) -> Option<Timestamp> {
        match self {
            Self::StoppedByPerson | Self::RestartsExceeded => None,
            Self::LaunchFailed { until } | Self::QuietHours { until } => Some(until),
        }
    }
}

impl fmt::Display for Blocked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::StoppedByPerson => f.write_str("stopped by a person"),
            Self::RestartsExceeded => {
                f.write_str("too many attempts were lost lately; a person must let it go on")
            }
            Self::LaunchFailed { until } => {
                write!(f, "no worker could be started; trying again at {until}")
            }
            Self::QuietHours { until } => write!(f, "quiet hours until {until}"),
        }
    }
}
