//! One hold, and the probe that tests it.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::kind::HoldKind;
use super::model::same_model;
use super::policy::{Overage, Policy};
use super::wait::End;
use crate::task::{AttemptId, BlockKind, Timestamp, Trouble};

/// Why an account must wait, and until when.
///
/// Identified by kind and model: a further hit of the same kind on the same model lengthens it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hold {
    /// What for.
    pub kind: HoldKind,
    /// Only this model waits; `None` = the whole account.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// When it began.
    pub since: Timestamp,
    /// When a probe may test whether it is over; `None` = only a person, or what a person does, ends it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
    /// `until` is what the agent or its server said; otherwise it is our guess, or a person's word.
    #[serde(default)]
    pub announced: bool,
    /// Hits in a row without a success: the exponent of the backoff, plus one.
    #[serde(default)]
    pub strikes: u32,
    /// What was wrong with the network.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trouble: Option<Trouble>,
    /// A few words for a person, ≤ [`Self::DETAIL_MAX_BYTES`], without control characters.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub detail: String,
    /// The last attempt of a task that ran into it: the daemon's own probe is sent as that one was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<AttemptId>,
    /// Probes of the daemon's own that have tested it.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub own_probes: u32,
    /// No further one before this time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) next_own_probe: Option<Timestamp>,
    /// The probe tests it: its time had come when the probe began, and it has not been lengthened since.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) on_trial: bool,
}

/// Who used the account: an attempt of a task, or the daemon's own probe.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Run {
    /// An attempt of a task.
    Attempt(AttemptId),
    /// The cheap probe that is sent when no task waits.
    OwnProbe,
}

/// The one run that is under way to find out whether holds are over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Probe {
    /// Which.
    pub run: Run,
    /// When it began.
    pub since: Timestamp,
}

/// What a hit did to a hold.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub struct Held {
    /// What changed.
    pub change: Change,
    /// The hold as it is now.
    pub hold: Hold,
}

/// What a hit did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// It is new.
    Began,
    /// It waits longer than before; or, its time having been written before the clock was set back, until a time that is
    /// bounded again.
    Lengthened,
    /// A person gave it another time.
    Replaced,
    /// Its time is as it was.
    Same,
}

impl Hold {
    /// Longest detail, in bytes.
    pub const DETAIL_MAX_BYTES: usize = 200;

    pub(super) fn new(kind: HoldKind, model: Option<String>, at: Timestamp, end: End) -> Self {
        Self {
            kind,
            model,
            since: at,
            until: end.until,
            announced: end.announced,
            strikes: 0,
            trouble: None,
            detail: String::new(),
            by: None,
            own_probes: 0,
            next_own_probe: None,
            on_trial: false,
        }
    }

    /// Whether it keeps a run of this model waiting: its own model or, where it names none, all. A run whose model nobody
    /// knows may use any, so it waits for every hold, and its success speaks for every hold.
    #[must_use]
    pub fn covers(&self, model: Option<&str>) -> bool {
        match (&self.model, model) {
            (Some(held), Some(asked)) => same_model(held, asked),
            (None, _) | (_, None) => true,
        }
    }

    /// Whether its time has come, so that a probe may test it.
    ///
    /// A time further ahead than any hold may wait was written before the clock was set back: nobody knows when it would
    /// come, so a probe finds out. A probe too early costs one refused request.
    #[must_use]
    pub fn due(&self, now: Timestamp, policy: &Policy) -> bool {
        self.until
            .is_some_and(|until| until <= now || until > policy.latest(now))
    }

    /// Whether the settings still want it: extra usage may have been allowed meanwhile.
    pub(super) const fn counts(&self, policy: &Policy) -> bool {
        let overage = matches!(self.kind, HoldKind::Block(BlockKind::Overage));
        !(overage && matches!(policy.overage, Overage::Allow))
    }

    /// Takes the end that a further hit gives it, and says what that did. `anew`: the hit is of the probe.
    ///
    /// A guess is taken only from a probe, or when the time has come: what ran before the hold began and hits the same wall
    /// knows nothing new about its end.
    pub(super) fn lengthen(
        &mut self,
        end: End,
        anew: bool,
        at: Timestamp,
        policy: &Policy,
    ) -> Change {
        let guess = !end.announced && end.until.is_some();
        if guess && !anew && !self.due(at, policy) {
            return Change::Same;
        }
        let beyond = self.until.is_some_and(|until| until > policy.latest(at));
        if !beyond && lasts(self.until) >= lasts(end.until) {
            return Change::Same;
        }
        self.until = end.until;
        self.announced = end.announced;
        self.on_trial = false;
        Change::Lengthened
    }
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "the form that serde asks for"
)]
const fn is_zero(count: &u32) -> bool {
    *count == 0
}

/// How long a hold lasts, as an order: without a time it outlasts every time.
pub(super) fn lasts(until: Option<Timestamp>) -> (bool, Option<Timestamp>) {
    (until.is_none(), until)
}

/// `text` without control characters, cut at a character boundary to `max_bytes`.
pub(super) fn plain(text: &str, max_bytes: usize) -> String {
    let mut plain: String = text.chars().filter(|c| !c.is_control()).collect();
    plain.truncate(plain.floor_char_boundary(max_bytes));
    plain
}

const fn trouble_words(trouble: Trouble) -> &'static str {
    match trouble {
        Trouble::Refused => "the connection is refused",
        Trouble::Reset => "the connection breaks",
        Trouble::Dns => "the server's name cannot be resolved",
        Trouble::Tls => "no secure connection comes about",
        Trouble::Proxy => "a proxy is in the way",
        Trouble::TimedOut => "no answer in time",
        Trouble::Silent => "answers stop in their middle",
        Trouble::Other => "the server cannot be reached",
    }
}

/// What it is for, in words: `5-hour limit`, `limit of model opus`, `network: the connection is refused`,
/// `login needed: taskctl account login`. When it ends is for the caller to say: in local time, and in how long.
impl fmt::Display for Hold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.kind, &self.model) {
            (HoldKind::Block(BlockKind::Model), Some(model)) => {
                write!(f, "limit of model {model}")?;
            }
            (kind, Some(model)) => write!(f, "{kind} (model {model})")?,
            (kind, None) => write!(f, "{kind}")?,
        }
        if let Some(trouble) = self.trouble {
            write!(f, ": {}", trouble_words(trouble))?;
        }
        match self.kind.advice() {
            Some(advice) if self.until.is_none() => write!(f, ": {advice}"),
            Some(_) | None => Ok(()),
        }
    }
}

impl fmt::Display for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Attempt(attempt) => write!(f, "{attempt}"),
            Self::OwnProbe => f.write_str("a probe of the daemon"),
        }
    }
}
