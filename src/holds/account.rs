//! An account as this room knows it, and what changes it.

use serde::{Deserialize, Serialize};

use super::hold::{Change, Held, Hold, Probe, Run, lasts, plain};
use super::kind::HoldKind;
use super::own::Own;
use super::policy::{Overage, Policy};
use super::release::Release;
use super::wait::{self, End};
use super::window::{self, Seen};
use crate::task::{Block, BlockKind, Report, Timestamp, Window};

/// The holds of an account, and what is known of its windows. An account that nothing is known of is open.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Account {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) holds: Vec<Hold>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    windows: Vec<Seen>,
    #[serde(skip_serializing_if = "Option::is_none")]
    probe: Option<Probe>,
    #[serde(skip_serializing_if = "Option::is_none")]
    release: Option<Release>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) own: Option<Own>,
}

/// Who ran into a block, and when.
#[derive(Debug, Clone, Copy)]
pub struct Hit<'a> {
    /// The run that ended.
    pub run: &'a Run,
    /// When.
    pub at: Timestamp,
    /// Uniformly random: the jitter.
    pub random: u64,
    /// A few words for a person.
    pub detail: &'a str,
}

/// A hold that a person (or a check that a person relies on) wishes.
#[derive(Debug, Clone, Copy)]
pub struct Wish<'a> {
    /// What for.
    pub kind: HoldKind,
    /// Only this model; `None` = the account.
    pub model: Option<&'a str>,
    /// When a probe may test it; `None` = it stays until it is cleared.
    pub until: Option<Timestamp>,
    /// A few words.
    pub detail: &'a str,
}

/// Such a hold cannot be set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SetError {
    /// Its time is over already.
    #[error("the time {until} has passed")]
    Past {
        /// What was wished.
        until: Timestamp,
    },
    /// Longer than any hold may be.
    #[error(
        "{until} is too far ahead: at most until {latest}, or without a time until it is cleared"
    )]
    TooFar {
        /// What was wished.
        until: Timestamp,
        /// What may be.
        latest: Timestamp,
    },
    /// There are [`Account::MODEL_HOLDS_MAX`] already.
    #[error(
        "too many models of the account are closed already; clear some, or close the whole account"
    )]
    TooMany,
}

impl Account {
    /// Most holds that name a model. Names come from agents: when there would be more, those of one kind become one hold
    /// over the whole account. Of those that name none there is one of each kind at most.
    pub const MODEL_HOLDS_MAX: usize = 16;

    /// Its holds.
    #[must_use]
    pub fn holds(&self) -> &[Hold] {
        &self.holds
    }

    /// What was last heard of its windows.
    #[must_use]
    pub fn windows(&self) -> &[Seen] {
        &self.windows
    }

    /// The probe that is under way. Who starts after a crash looks whether it still runs, and says [`Self::ended`] if not.
    #[must_use]
    pub fn probe(&self) -> Option<&Probe> {
        let on_trial = self.holds.iter().any(|hold| hold.on_trial);
        self.probe.as_ref().filter(|_| on_trial)
    }

    /// It has just opened, and runs start one after the other.
    #[must_use]
    pub const fn release(&self) -> Option<&Release> {
        self.release.as_ref()
    }

    /// A run ended for this block: makes the hold, or lengthens it; never shortens it.
    ///
    /// Strikes count for the first hit and for probes. Every other run that hits the same wall was going before the hold
    /// began, however its clock reads.
    pub fn block(&mut self, block: &Block, hit: &Hit<'_>, policy: &Policy) -> Held {
        let by_probe = self.take_probe(hit.run);
        let kind = HoldKind::Block(block.kind);
        let model = block.model.as_deref().filter(|_| kind.may_name_a_model());
        let model = model.map(|model| plain(model, Report::NAME_MAX_BYTES));
        let known = self.position(kind, model.as_deref());
        let strikes = match known.and_then(|index| self.holds.get(index)) {
            None => 1,
            Some(hold) => hold.strikes.saturating_add(u32::from(by_probe)).max(1),
        };
        let since = known
            .and_then(|index| self.holds.get(index))
            .map_or(hit.at, |hold| hold.since);
        let facts = wait::Facts {
            block,
            strikes,
            since,
            windows: &self.windows,
            at: hit.at,
            random: hit.random,
        };
        let end = wait::end(&facts, policy);
        let (change, hold) = match known.and_then(|index| self.holds.get_mut(index)) {
            Some(hold) => (hold.lengthen(end, by_probe, hit.at, policy), hold),
            None => {
                let hold = self.add(Hold::new(kind, model, hit.at, end), policy);
                (Change::Began, hold)
            }
        };
        hold.strikes = strikes.max(hold.strikes);
        hold.trouble = block.trouble.or(hold.trouble);
        if let Run::Attempt(attempt) = hit.run {
            hold.by = Some(attempt.clone());
        }
        if !hit.detail.is_empty() {
            hold.detail = plain(hit.detail, Hold::DETAIL_MAX_BYTES);
        }
        Held {
            change,
            hold: hold.clone(),
        }
    }

    /// What a run said about the windows, also one that succeeded. Extra usage in use makes a hold of its own when the
    /// settings want that stopped.
    ///
    /// To be told before [`Self::served`]: an answer that was paid for does not show that a limit is over.
    pub fn observe(
        &mut self,
        windows: &[Window],
        overage: bool,
        hit: &Hit<'_>,
        policy: &Policy,
    ) -> Option<Held> {
        window::merge(&mut self.windows, windows, hit.at);
        match policy.overage {
            Overage::Allow => {
                self.remove(|hold| hold.kind == HoldKind::Block(BlockKind::Overage));
                None
            }
            Overage::Stop => {
                overage.then(|| self.block(&Block::of(BlockKind::Overage), hit, policy))
            }
        }
    }

    /// A run that began at `began` was served: its server answered it. Known as soon as the first answer comes; a long probe
    /// need not end first.
    ///
    /// Of the probe, it ends the holds that it tests: those over its model whose time had come when it began and which were
    /// not lengthened since. They are returned. Then runs start one after the other ([`Release`]), until a further one that
    /// began after that is served. Every other run began before the hold did, and proves nothing.
    pub fn served(&mut self, run: &Run, began: Timestamp, at: Timestamp) -> Vec<Hold> {
        let is_probe = self.probe.as_ref().is_some_and(|probe| probe.run == *run);
        if is_probe {
            let ended = self.remove(|hold| hold.on_trial);
            self.open(&ended, at);
            return ended;
        }
        let further = |release: &Release| began >= release.since;
        if self.release.as_ref().is_some_and(further) {
            self.release = None;
        }
        Vec::new()
    }

    /// A run ended without a verdict about the account (cancelled, lost, failed by itself). When it was the probe, the next
    /// may be chosen. To be told of every end, after [`Self::block`] and [`Self::served`]; told twice it does nothing more.
    pub fn ended(&mut self, run: &Run) {
        self.take_probe(run);
    }

    /// A person knows better: sets a hold, also a shorter one than there is.
    ///
    /// # Errors
    /// When the time has passed or is further ahead than any hold may be, or when there are too many holds.
    pub fn set(
        &mut self,
        wish: &Wish<'_>,
        at: Timestamp,
        policy: &Policy,
    ) -> Result<Held, SetError> {
        if let Some(until) = wish.until {
            let latest = policy.latest(at);
            if until <= at {
                return Err(SetError::Past { until });
            }
            if until > latest {
                return Err(SetError::TooFar { until, latest });
            }
        }
        let model = wish.model.filter(|_| wish.kind.may_name_a_model());
        let model = model.map(|model| plain(model, Report::NAME_MAX_BYTES));
        let end = End {
            until: wish.until,
            announced: false,
        };
        let mut hold = Hold::new(wish.kind, model, at, end);
        hold.detail = plain(wish.detail, Hold::DETAIL_MAX_BYTES);
        let change = match self.position(wish.kind, hold.model.as_deref()) {
            Some(index) => {
                self.holds.remove(index);
                Change::Replaced
            }
            None if !self.has_room_for(&hold) => return Err(SetError::TooMany),
            None => Change::Began,
        };
        self.holds.push(hold.clone());
        self.settle_probe();
        Ok(Held { change, hold })
    }

    /// Ends holds at once: a person knows better, has logged in, has verified the agent. Of one kind, or all; of one model,
    /// or whatever they name. Those that ended are returned.
    ///
    /// Then runs start one after the other, so that a mistake costs one run. When all is cleared, what was heard of windows
    /// is forgotten too: a reserve would go on closing what a person wants open.
    pub fn clear(
        &mut self,
        kind: Option<HoldKind>,
        model: Option<&str>,
        at: Timestamp,
    ) -> Vec<Hold> {
        if kind.is_none() && model.is_none() {
            self.windows.clear();
        }
        let ended = self.remove(|hold| {
            kind.is_none_or(|kind| hold.kind == kind)
                && model.is_none_or(|model| hold.model.as_deref() == Some(model))
        });
        self.open(&ended, at);
        ended
    }

    /// A run started although no hold is over it.
    pub(super) fn started(&mut self, model: Option<&str>, now: Timestamp) {
        if let Some(release) = &mut self.release
            && release.covers(model)
        {
            release.started(now);
        }
    }

    /// A run became the probe: it tests every hold over its model.
    pub(super) fn probe_began(
        &mut self,
        run: &Run,
        model: Option<&str>,
        now: Timestamp,
        policy: &Policy,
    ) {
        for hold in &mut self.holds {
            hold.on_trial = hold.counts(policy) && hold.covers(model);
        }
        self.probe = Some(Probe {
            run: run.clone(),
            since: now,
        });
    }

    /// Whether `run` was the probe; it is not any more.
    fn take_probe(&mut self, run: &Run) -> bool {
        let is_probe = self.probe().is_some_and(|probe| probe.run == *run);
        if is_probe {
            self.probe = None;
            for hold in &mut self.holds {
                hold.on_trial = false;
            }
        }
        is_probe
    }

    fn position(&self, kind: HoldKind, model: Option<&str>) -> Option<usize> {
        self.holds
            .iter()
            .position(|hold| hold.kind == kind && hold.model.as_deref() == model)
    }

    fn remove(&mut self, gone: impl Fn(&Hold) -> bool) -> Vec<Hold> {
        let (ended, kept) = std::mem::take(&mut self.holds).into_iter().partition(gone);
        self.holds = kept;
        self.settle_probe();
        ended
    }

    /// Adds a hold that there is not. When there are too many, all of its kind become one over the whole account, which
    /// lasts as long as the longest.
    fn add(&mut self, mut hold: Hold, policy: &Policy) -> &mut Hold {
        if !self.has_room_for(&hold) {
            let kind = hold.kind;
            let latest = policy.latest(hold.since);
            hold.model = None;
            for old in self.remove(|old| old.kind == kind) {
                hold.since = hold.since.min(old.since);
                hold.strikes = hold.strikes.max(old.strikes);
                let bounded = old.until.map(|until| until.min(latest));
                if lasts(bounded) > lasts(hold.until) {
                    hold.until = bounded;
                    hold.announced = old.announced;
                }
            }
        }
        self.holds.push_mut(hold)
    }

    fn has_room_for(&self, hold: &Hold) -> bool {
        let named = self.holds.iter().filter(|hold| hold.model.is_some());
        hold.model.is_none() || named.count() < Self::MODEL_HOLDS_MAX
    }

    /// Without a hold on trial there is no probe: its run goes on as any other.
    fn settle_probe(&mut self) {
        if !self.holds.iter().any(|hold| hold.on_trial) {
            self.probe = None;
        }
    }

    /// Holds ended: what waited for them starts one after the other.
    fn open(&mut self, ended: &[Hold], at: Timestamp) {
        let Some(first) = ended.first() else { return };
        let same = |model: &Option<String>| ended.iter().all(|hold| hold.model == *model);
        let model = first.model.clone().filter(|_| same(&first.model));
        let before = self.release.take();
        let model = model.filter(|model| {
            before
                .as_ref()
                .is_none_or(|before| before.model.as_ref() == Some(model))
        });
        self.release = Some(Release {
            model,
            since: at,
            last_start: before.and_then(|before| before.last_start),
        });
    }
}
