//! What must hold after every step, judged with a bookkeeping of its own: from the journal and the rows as they were committed,
//! from what clients were told, and from what truly happened ([`super::truth`]).

mod budgets;
mod holds;
mod ledger;
pub mod notices;
pub mod rules;
mod sessions;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::met::Met;
use super::truth::Truths;
use crate::config::Settings;
use crate::store::{AccountRow, JournalRow, StoreError, Tx};
use crate::supervisor::event::AttemptReport;
use crate::task::{
    AttemptId, Event, EventKind, IntentKind, Lifecycle, OutcomeKind, Place, State, Task, TaskId,
    Timestamp,
};
use sessions::place_of;

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
            let task = tx.task(&id)?;
            let known = self.tasks.get(&id).map_or(0, |seen| seen.events);
            let journal = match &task {
                Some(_) => tx.journal_after(&id, known)?,
                None => Vec::new(),
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

    /// Folds the new part of a journal, event by event. Whether the task was claimed in it.
    fn fold(
        &mut self,
        task: &Task,
        journal: &[JournalRow],
        observed: &Observation,
        truths: &Truths,
        met: &mut Met,
    ) -> Result<bool, Violation> {
        const FOLDS: &str = "the journal folds to the row";
        let known = self.tasks.get(&task.id);
        let mut life = known.map(|seen| seen.task.life.clone());
        let mut events = known.map_or(0, |seen| seen.events);
        let mut claimed = false;
        for row in journal {
            events += 1;
            demand(row.n == events, FOLDS, || {
                format!("{}: record {} follows {}", task.id, row.n, events - 1)
            })?;
            let Some(before) = life else {
                met.transition(None, EventKind::Submit);
                let born = Lifecycle::birth(&row.event);
                life = Some(born.map_err(|error| Violation::new(FOLDS, error.to_string()))?);
                continue;
            };
            met.transition(Some(before.state), EventKind::of(&row.event, &before));
            let next = before
                .apply(&row.event, row.at)
                .map_err(|error| Violation::new(FOLDS, format!("{}: {error}", task.id)))?;
            next.check()
                .map_err(|rule| Violation::new("a row makes sense", rule))?;
            self.check_step(task, &before, &row.event, &next, truths)?;
            self.sessions
                .check(task, &before, &row.event, &next, observed)?;
            self.notices.moved(task, &before, &next);
            let now = observed.now.unwrap_or(row.at);
            self.budgets
                .moved(task, &before, &row.event, row.actor, now)?;
            if let Event::Moved { from, to, .. } = &row.event {
                let account = |place: &Place| holds::account_at(place, &observed.accounts);
                let policy = holds::policy_of_sim();
                sessions::check_doors(&task.id, (from, to), &account, &policy, row.at)?;
            }
            if let Event::Ended { outcome, .. } = &row.event {
                met.outcome(outcome.kind);
                let attempt = AttemptId {
                    task: task.id.clone(),
                    generation: before.generation,
                };
                // A report that the power tore says nothing: nobody knows the announced end.
                let whole = truths.of(&attempt).filter(|truth| !truth.power_lost);
                let block = whole.and_then(|truth| truth.block.as_ref());
                // Nobody has seen what a lost run met.
                let seen = block.filter(|_| outcome.kind != OutcomeKind::Lost);
                let place = place_of(task, &before);
                self.holds.ended(place.as_ref(), seen, observed.now);
            }
            if let Event::Claimed { slot, .. } = row.event {
                claimed = true;
                self.check_claim(task, &before, slot, observed.num_workers)?;
            }
            self.note_final(&task.id, next.state);
            life = Some(next);
        }
        demand(life.as_ref() == Some(&task.life), FOLDS, || {
            format!("{}: {life:?}, the row has {:?}", task.id, task.life)
        })?;
        let seen = Seen {
            task: task.clone(),
            events,
        };
        self.tasks.insert(task.id.clone(), seen);
        Ok(claimed)
    }

    /// It was cleaned up. An end that is reported late may be older than what is kept, so that it is noted and cleaned up in
    /// one commit: no row ever showed it, and those that waited for it go on all the same.
    fn gone(&mut self, id: &TaskId, gone: &BTreeMap<TaskId, Option<State>>) -> Judged {
        let told = gone.get(id);
        let Some(seen) = self.tasks.remove(id) else {
            // Submitted, over at once and cleaned up, all in one commit: it was there.
            if let Some(last) = told.copied().flatten() {
                self.note_final(id, last);
            }
            return Ok(());
        };
        demand(told.is_some(), "no acknowledged task is lost", || {
            format!("{id} is gone, it was {}", seen.task.life.state.name())
        })?;
        let last = told.copied().flatten().unwrap_or(seen.task.life.state);
        demand(last.is_final(), "no acknowledged task is lost", || {
            format!("{id} was {} and was cleaned up", last.name())
        })?;
        self.sessions.forget(id);
        self.keys.retain(|_, (known, _)| known != id);
        self.launched.retain(|attempt| attempt.task != *id);
        self.ends.retain(|attempt, _| attempt.task != *id);
        self.wishes.retain(|attempt, _| attempt.task != *id);
        self.note_final(id, last);
        Ok(())
    }

    fn note_final(&mut self, id: &TaskId, state: State) {
        if state.is_final() {
            self.final_once.insert(id.clone());
        }
        if state == State::Completed {
            self.completed.insert(id.clone());
        }
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

    /// The process died in the midst of this commit, or its sync failed.
    pub fn may_have_committed(&mut self, observed: Observation) {
        // That the time of a task has come may be all that it wrote, and no row shows it.
        self.latest = self.latest.max(observed.now);
        self.maybe.push(observed);
    }

    /// A daemon has opened the database: everything committed is there, and of a commit under which the process died all or
    /// nothing.
    ///
    /// # Errors
    /// What is lost, or half there.
    pub fn reread(
        &mut self,
        tx: &Tx<'_>,
        truths: &mut Truths,
        met: &mut Met,
    ) -> Result<Judged, StoreError> {
        let maybe = std::mem::take(&mut self.maybe);
        let is_empty = maybe.is_empty();
        let mut came_back: Option<Observation> = None;
        // The one that explains most; of two that explain as much, the newest.
        for observed in maybe.into_iter().rev() {
            let explained = came_back.as_ref().map_or(0, |best| best.tasks.len());
            let explains_more = came_back.is_none() || observed.tasks.len() > explained;
            if explains_more && self.is_there(tx, &observed)? {
                came_back = Some(observed);
            }
        }
        if let Some(mut observed) = came_back {
            met.meet("a commit under which the daemon died came back");
            observed.is_written = true;
            if let Err(violation) = self.committed(observed, truths, met) {
                return Ok(Err(violation));
            }
        } else if !is_empty {
            met.meet("a commit under which the daemon died is gone");
        }
        for (id, seen) in &self.tasks {
            let row = tx.task(id)?;
            if row.as_ref() != Some(&seen.task) {
                let text = format!("{id} was committed as {:?}, now it is {row:?}", seen.task);
                return Ok(Err(Violation::new("no acknowledged task is lost", text)));
            }
            let rest = tx.journal_after(id, seen.events)?;
            if !rest.is_empty() {
                let text = format!("{id}: its journal has more than its row");
                return Ok(Err(Violation::new("the journal folds to the row", text)));
            }
        }
        if let Err(violation) = self.budgets.reread(tx)? {
            return Ok(Err(violation));
        }
        let total = tx.counts()?.total();
        Ok(demand(
            total == self.tasks.len() as u64,
            "no task comes from nowhere",
            || {
                format!(
                    "{total} tasks are there, {} were committed",
                    self.tasks.len()
                )
            },
        ))
    }

    /// Whether the database is as this commit leaves it, and was otherwise before.
    fn is_there(&self, tx: &Tx<'_>, observed: &Observation) -> Result<bool, StoreError> {
        let mut differs = observed.accounts != self.holds.rows();
        if tx.accounts()? != observed.accounts {
            return Ok(false);
        }
        if let Some(rows) = &observed.notice_rows {
            if self.notices.rows(tx, &observed.notices)?.as_ref() != Some(rows) {
                return Ok(false);
            }
            differs |= self.notices.differs(rows);
        }
        match self.budgets.is_there(tx, observed)? {
            None => return Ok(false),
            Some(is_news) => differs |= is_news,
        }
        for (id, (task, journal)) in &observed.tasks {
            let row = tx.task(id)?;
            if row.as_ref() != task.as_ref() {
                return Ok(false);
            }
            let seen = self.tasks.get(id);
            differs |= row.as_ref() != seen.map(|seen| &seen.task);
            // Paused and resumed in one commit, a row is as it was: only its journal tells.
            if row.is_some() {
                let known = seen.map_or(0, |seen| seen.events);
                if tx.journal_after(id, known)? != *journal {
                    return Ok(false);
                }
                differs |= !journal.is_empty();
            }
        }
        Ok(differs)
    }
}
