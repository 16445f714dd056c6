//! What must hold after every step, judged with a bookkeeping of its own: from the journal and the rows as they were committed,
//! from what clients were told, and from what truly happened ([`super::truth`]).

mod budgets;
mod fold;
mod holds;
mod ledger;
pub mod notices;
mod reread;
pub mod rules;
mod sessions;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::met::Met;
use super::truth::Truths;
use crate::config::Settings;
use crate::store::{AccountRow, JournalRow, StoreError, Tx};
use crate::supervisor::event::AttemptReport;
use crate::task::{AttemptId, Event, IntentKind, OutcomeKind, State, Task, TaskId, Timestamp};

/// A promise that was broken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// Which; stable, so that a shorter script can be known by it.
    pub rule: &'static str,
    /// What happened.
    pub text: String,
}

impl Violation {
    /// A broken promise.
    pub fn new(rule: &'static str, text: impl Into<String>) -> Self {
        Self {
            rule,
            text: text.into(),
        }
    }
}

impl std::fmt::Display for Violation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.rule, self.text)
    }
}

/// Shorthand.
pub type Judged = Result<(), Violation>;

/// Fails with this rule unless it holds.
pub(in crate::sim) fn demand(
    holds: bool,
    rule: &'static str,
    text: impl FnOnce() -> String,
) -> Judged {
    if holds {
        Ok(())
    } else {
        Err(Violation::new(rule, text()))
    }
}

/// What is known of one task.
#[derive(Debug, Clone)]
struct Seen {
    task: Task,
    events: u64,
}

/// What one transaction leaves, read inside it right before its commit.
#[derive(Debug, Clone, Default)]
pub struct Observation {
    /// When.
    pub now: Option<Timestamp>,
    /// The tasks that it touched: the row (`None` = cleaned up), and what is new in the journal.
    pub tasks: BTreeMap<TaskId, (Option<Task>, Vec<JournalRow>)>,
    /// The accounts.
    pub accounts: Vec<AccountRow>,
    /// Tasks that it cleaned up, with the last state that was told of them in it.
    pub gone: BTreeMap<TaskId, Option<State>>,
    /// What was reported of attempts, and taken.
    pub reports: Vec<AttemptReport>,
    /// Wishes of clients that it acknowledges.
    pub wishes: Vec<(AttemptId, IntentKind)>,
    /// Accounts about which a person knew better.
    pub cleared: Vec<(String, String)>,
    /// Sessions that clients hand back.
    pub handed_back: BTreeSet<TaskId>,
    /// All notices that are to be told and the batches that it touched, where it touched any.
    pub notice_rows: Option<notices::Rows>,
    /// What concerns notices, in its order.
    pub notices: Vec<notices::Step>,
    /// The settings at its end.
    pub settings: Option<Arc<Settings>>,
    /// Money.
    pub money: budgets::Money,
    /// Slots that may be given.
    pub num_workers: u32,
    /// Its commit has written something.
    pub is_written: bool,
    /// A promise that an answer breaks.
    pub complaint: Option<Violation>,
}

/// The bookkeeping.
#[derive(Debug, Default)]
pub struct Judge {
    tasks: BTreeMap<TaskId, Seen>,
    keys: BTreeMap<String, (TaskId, u64)>,
    wishes: BTreeMap<AttemptId, BTreeSet<IntentKind>>,
    launched: BTreeSet<AttemptId>,
    completed: BTreeSet<TaskId>,
    final_once: BTreeSet<TaskId>,
    /// A person did not mind that a predecessor had failed.
    reopened: BTreeSet<TaskId>,
    /// The latest time of a commit: a task whose time has come stays due when the clock is set back.
    latest: Option<Timestamp>,
    was_set_back: bool,
    holds: holds::Shadow,
    budgets: budgets::Budgets,
    sessions: sessions::Sessions,
    notices: notices::Notices,
    /// What was first reported as an attempt's end.
    ends: BTreeMap<AttemptId, OutcomeKind>,
    /// Commits under which the process died or whose sync failed, since the last that went well: one of them may have happened,
    /// and then whole.
    maybe: Vec<Observation>,
}

impl Judge {
    /// Reads what a transaction leaves of the tasks `ids`, inside it.
    ///
    /// # Errors
    /// The store's.
    pub fn observe(
        &self,
        tx: &Tx<'_>,
        ids: BTreeSet<TaskId>,
        observed: &mut Observation,
    ) -> Result<(), StoreError> {
        for id in ids {
            let seen = self.tasks.get(&id);
            let journal = tx.journal_after(&id, seen.map_or(0, |seen| seen.events))?;
            // What was asked is read again when it was changed, and whole by each daemon that starts.
            let is_edited = |row: &JournalRow| matches!(row.event, Event::Edited { .. });
            let task = match seen.filter(|_| !journal.iter().any(is_edited)) {
                Some(seen) => tx.task_again(&seen.task)?,
                None => tx.task(&id)?,
            };
            observed.tasks.insert(id, (task, journal));
        }
        observed.accounts = tx.accounts()?;
        budgets::read(tx, observed)?;
        observed.notice_rows = self.notices.rows(tx, &observed.notices)?;
        Ok(())
    }

    /// All tasks that are known.
    pub fn ids(&self) -> impl Iterator<Item = &TaskId> {
        self.tasks.keys()
    }

    /// The tasks as they were committed.
    pub fn tasks(&self) -> impl Iterator<Item = &Task> {
        self.tasks.values().map(|seen| &seen.task)
    }

    /// A task as it was committed.
    #[must_use]
    pub fn task(&self, id: &TaskId) -> Option<&Task> {
        self.tasks.get(id).map(|seen| &seen.task)
    }

    /// The tasks that hold a slot.
    pub fn running(&self) -> impl Iterator<Item = &Task> {
        self.tasks().filter(|task| task.slot.is_some())
    }

    /// A transaction was committed.
    ///
    /// # Errors
    /// The promise that it breaks.
    pub fn committed(
        &mut self,
        observed: Observation,
        truths: &mut Truths,
        met: &mut Met,
    ) -> Judged {
        if let Some(complaint) = &observed.complaint {
            return Err(complaint.clone());
        }
        if observed.is_written {
            // What was lost before this is overwritten by it.
            self.maybe.clear();
        }
        let now = observed.now.unwrap_or(Timestamp::from_ms(0));
        self.was_set_back |= self.latest > Some(now);
        self.latest = self.latest.max(Some(now));
        self.holds.heard(&observed);
        self.sessions.begin_commit();
        self.budgets.settle(&observed, &self.tasks, truths)?;
        for (attempt, kind) in &observed.wishes {
            self.wishes
                .entry(attempt.clone())
                .or_default()
                .insert(*kind);
        }
        let mut claimed = Vec::new();
        for (id, (task, journal)) in &observed.tasks {
            let Some(task) = task else {
                self.gone(id, &observed.gone)?;
                truths.forget(id);
                continue;
            };
            if self.fold(task, journal, &observed, truths, met)? {
                claimed.push(id.clone());
            }
        }
        for what in self.notices.committed(&observed)? {
            met.meet(what);
        }
        for what in self.budgets.met() {
            met.meet(what);
        }
        truths.in_hand = self.sessions.in_hand().cloned().collect();
        let of_claims = claimed.iter().filter_map(|id| self.tasks.get(id));
        let of_claims: Vec<&Task> = of_claims.map(|seen| &seen.task).collect();
        self.budgets.claimed(&observed, &of_claims, now)?;
        self.holds.settle(&observed);
        for id in &claimed {
            self.check_predecessors(id)?;
            if let Some(seen) = self.tasks.get(id) {
                self.holds.claimed(&seen.task, &observed, now)?;
            }
        }
        self.holds.remember(&observed.accounts);
        self.check_slots(&claimed, observed.num_workers)
    }

    /// A client was told that its submission is kept.
    ///
    /// # Errors
    /// One key, two tasks; or a task that is not there.
    pub fn acknowledged(&mut self, key: &str, id: &TaskId, fingerprint: u64) -> Judged {
        demand(
            self.tasks.contains_key(id) || self.final_once.contains(id),
            "no reply before its commit",
            || format!("{id} was acknowledged and is not committed"),
        )?;
        if !self.tasks.contains_key(id) {
            return Ok(());
        }
        let mine = (id.clone(), fingerprint);
        let known = self.keys.entry(key.to_owned()).or_insert(mine);
        let text = format!("{key} is {} and {id}", known.0);
        demand(
            *known == (id.clone(), fingerprint),
            "one key, one task",
            || text,
        )
    }

    /// The accounts that only a person opens.
    #[must_use]
    pub fn closed_accounts(&self) -> Vec<(String, String)> {
        self.holds.closed()
    }

    /// The settings with which a daemon starts.
    pub fn set(&mut self, settings: &Arc<Settings>) {
        self.budgets.set(settings);
    }

    /// What a key was acknowledged as.
    #[must_use]
    pub fn known_key(&self, key: &str) -> Option<&(TaskId, u64)> {
        self.keys.get(key)
    }

    /// A launch is carried out.
    ///
    /// # Errors
    /// When its claim is not committed, or it was carried out before.
    pub fn launches(&mut self, attempt: &AttemptId, of_task: bool) -> Judged {
        if of_task {
            let fits = self
                .task(&attempt.task)
                .is_some_and(|task| task.slot.is_some() && task.attempt() == *attempt);
            // It may have been closed since, by a daemon that came between.
            let past = self
                .task(&attempt.task)
                .is_some_and(|task| task.life.generation >= attempt.generation);
            demand(fits || past, "no launch before its claim", || {
                format!("{attempt} is launched, the row knows nothing of it")
            })?;
        }
        demand(
            self.launched.insert(attempt.clone()) || !of_task,
            "one launch per attempt",
            || format!("{attempt} is launched twice"),
        )
    }

    /// An end is reported. Told again by a later daemon it is the same end.
    ///
    /// # Errors
    /// When it is another one.
    pub fn reported(&mut self, report: &AttemptReport, truths: &Truths) -> Judged {
        let AttemptReport::Closed(closed) = report else {
            return Ok(());
        };
        let (attempt, kind) = (&closed.attempt, closed.outcome.kind);
        let first = *self.ends.entry(attempt.clone()).or_insert(kind);
        let excused = truths
            .of(attempt)
            .is_some_and(|truth| truth.tampered || truth.power_lost || truth.worker_killed);
        demand(
            first == kind || excused,
            "recovery twice is recovery once",
            || format!("{attempt} ended as {first:?}, and now as {kind:?}"),
        )
    }
}
