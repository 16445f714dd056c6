//! What must hold after every commit, judged from the journal and the rows, with a bookkeeping of its own. Only of a task
//! that is gone with its journal it is taken from what watchers were told.

use std::collections::{BTreeMap, BTreeSet};

use auto_claude::store::{JournalRow, Reader};
use auto_claude::task::{
    AfterFailed, AttemptId, Event, EventKind, IntentKind, Lifecycle, Next, OutcomeKind,
    PauseReason, State, Task, TaskId, Timestamp,
};

use crate::sometimes::Sometimes;

/// What was seen of one task so far.
#[derive(Debug)]
struct Seen {
    task: Task,
    life: Lifecycle,
    events: usize,
}

/// The bookkeeping.
#[derive(Debug, Default)]
pub(crate) struct Watch {
    tasks: BTreeMap<TaskId, Seen>,
    /// Acknowledged wishes to stop an attempt.
    wishes: BTreeMap<AttemptId, BTreeSet<IntentKind>>,
    launched: BTreeSet<AttemptId>,
    completed: BTreeSet<TaskId>,
    final_once: BTreeSet<TaskId>,
    /// A person did not mind that a predecessor had failed.
    reopened: BTreeSet<TaskId>,
    /// The latest time of a commit: a task whose time has come stays due when the clock is set back.
    latest: Option<Timestamp>,
    /// The clock has been set back in this life.
    was_set_back: bool,
}

impl Watch {
    /// A submission was acknowledged.
    pub(crate) fn acknowledged(&mut self, task: &Task) {
        self.tasks.entry(task.id.clone()).or_insert_with(|| Seen {
            life: task.life.clone(),
            task: task.clone(),
            events: 0,
        });
    }

    /// A wish was acknowledged.
    pub(crate) fn wished(&mut self, attempt: AttemptId, kind: IntentKind) {
        self.wishes.entry(attempt).or_default().insert(kind);
    }

    pub(crate) fn ids(&self) -> Vec<TaskId> {
        self.tasks.keys().cloned().collect()
    }

    pub(crate) fn tasks(&self) -> impl Iterator<Item = &Task> {
        self.tasks.values().map(|seen| &seen.task)
    }

    /// A launch is released: after the commit of its claim, and once for each generation.
    pub(crate) fn launched(&mut self, task: &Task, reader: &Reader) {
        let row = reader.task(&task.id).unwrap().unwrap();
        assert_eq!(&row, task, "launched as claimed");
        assert!(row.life.state.holds_slot(), "launched before its claim");
        assert!(
            self.launched.insert(task.attempt()),
            "{} is launched twice",
            task.attempt()
        );
    }

    /// Reads what the commit has changed. `cleaned` is what it removed, with the last state that was told of it in the same
    /// commit.
    pub(crate) fn committed(
        &mut self,
        reader: &Reader,
        now: Timestamp,
        num_workers: u32,
        cleaned: &BTreeMap<TaskId, Option<State>>,
        met: &mut Sometimes,
    ) {
        self.was_set_back |= self.latest > Some(now);
        self.latest = self.latest.max(Some(now));
        let mut claimed = Vec::new();
        for id in self.ids() {
            let Some(task) = reader.task(&id).unwrap() else {
                let told = cleaned.get(&id);
                assert!(told.is_some(), "{id} was acknowledged and is gone");
                self.gone(&id, told.copied().flatten());
                continue;
            };
            let seen = &self.tasks[&id];
            if seen.events > 0 && seen.task == task {
                continue;
            }
            let journal = reader.journal(&id).unwrap();
            if self.fold(&task, &journal, num_workers, met) {
                claimed.push(id);
            }
        }
        for id in &claimed {
            self.check_predecessors(id, reader);
        }
        let running = self.running();
        assert!(
            claimed.is_empty() || running.len() <= num_workers as usize,
            "{} run in {num_workers} slots",
            running.len()
        );
        let mut slots = BTreeSet::new();
        let mut lanes = BTreeSet::new();
        for task in running.values() {
            assert!(slots.insert(task.slot.unwrap()), "two tasks in one slot");
            if let Some(lane) = &task.spec.exclusive {
                assert!(lanes.insert(lane.clone()), "two tasks of {lane} run");
            }
            self.check_wishes(task);
        }
    }

    /// The tasks that hold a slot, by slot.
    pub(crate) fn running(&self) -> BTreeMap<u32, Task> {
        self.tasks()
            .filter_map(|task| Some((task.slot?, task.clone())))
            .collect()
    }

    /// Folds the new part of a journal, event by event. Whether the task was claimed in it.
    fn fold(
        &mut self,
        task: &Task,
        journal: &[JournalRow],
        num_workers: u32,
        met: &mut Sometimes,
    ) -> bool {
        let seen = &self.tasks[&task.id];
        let (mut life, first) = (seen.life.clone(), seen.events);
        let mut claimed = false;
        for row in &journal[first..] {
            // Two events of one batch may leave the row as it was: then they are read with a later one.
            assert!(Some(row.at) <= self.latest, "journaled ahead of time");
            if let Event::Submitted { .. } = row.event {
                life = Lifecycle::birth(&row.event).unwrap();
                met.meet(EventKind::Submit.name());
                continue;
            }
            met.meet(EventKind::of(&row.event, &life).name());
            let next = life.apply(&row.event, row.at).unwrap();
            next.check().unwrap();
            self.check_step(task, &life, &row.event, &next);
            if let Event::Claimed { slot, .. } = row.event {
                claimed = true;
                assert!(slot <= num_workers, "slot {slot} of {num_workers}");
                // A retry whose time has moved away with a clock that was set back does not wait for it.
                let excused = self.was_set_back && life.state == State::Retrying;
                let due = life.not_before <= self.latest || excused;
                assert!(due, "{} was claimed before its time", task.id);
            }
            self.note_final(&task.id, next.state);
            met.meet(next.state.name());
            life = next;
        }
        assert_eq!(life, task.life, "the journal folds to the row");
        let seen = Seen {
            task: task.clone(),
            life,
            events: journal.len(),
        };
        self.tasks.insert(task.id.clone(), seen);
        claimed
    }

    /// It was cleaned up. An end that is reported late may be older than what is kept, so that it is noted and cleaned up in
    /// one commit: no row ever showed it, and those that waited for it go on all the same.
    fn gone(&mut self, id: &TaskId, told: Option<State>) {
        let seen = self.tasks.remove(id).unwrap();
        let last = told.unwrap_or(seen.life.state);
        assert!(last.is_final(), "{id} was {last:?} and was cleaned up");
        self.note_final(id, last);
    }

    fn note_final(&mut self, id: &TaskId, state: State) {
        if state.is_final() {
            self.final_once.insert(id.clone());
        }
        if state == State::Completed {
            self.completed.insert(id.clone());
        }
    }

    fn check_step(&mut self, task: &Task, before: &Lifecycle, event: &Event, after: &Lifecycle) {
        let id = &task.id;
        if before.state.is_final() {
            assert_eq!(event, &Event::Reopened, "{id} was final and moved");
        }
        assert!(after.generation >= before.generation);
        let attempt = AttemptId {
            task: id.clone(),
            generation: before.generation,
        };
        match event {
            Event::IntentSet { intent } => self.wished(attempt, intent.kind),
            Event::Ended { outcome, next, .. } => {
                let free = matches!(
                    outcome.kind,
                    OutcomeKind::NeverRan
                        | OutcomeKind::Lost
                        | OutcomeKind::Interrupted
                        | OutcomeKind::Limited
                );
                assert!(
                    !free || after.retries == before.retries,
                    "{id}: {outcome:?} spent a retry"
                );
                let stopped = outcome.stop_sent;
                let kept = self.wishes.remove(&attempt).unwrap_or_default();
                if kept.contains(&IntentKind::Cancel) {
                    assert_eq!(*next, Next::Cancel, "{id}: its cancel was acknowledged");
                } else if kept.iter().any(|kind| kind.pause_reason().is_some()) {
                    let holds = match next {
                        Next::Pause { .. } => true,
                        Next::Complete => outcome.kind == OutcomeKind::Succeeded && !stopped,
                        Next::Fail | Next::Review => outcome.kind == OutcomeKind::Lost,
                        Next::Pending
                        | Next::Retry { .. }
                        | Next::Continue { .. }
                        | Next::Wait
                        | Next::Cancel
                        | Next::Defer
                        | Next::Test => false,
                    };
                    assert!(holds, "{id}: its pause was acknowledged, now {next:?}");
                }
            }
            Event::Reopened => {
                self.reopened.insert(id.clone());
            }
            Event::Claimed { .. } => {
                assert_eq!(after.generation, before.generation + 1);
            }
            Event::Submitted { .. }
            | Event::Started { .. }
            | Event::Paused { .. }
            | Event::Resumed { .. }
            | Event::Moved { .. }
            | Event::Attached { .. }
            | Event::Detached
            | Event::Cancelled
            | Event::Held
            | Event::Released
            | Event::DependencyFailed { .. }
            | Event::Screened { .. }
            | Event::Approved
            | Event::Rejected
            | Event::Answered
            | Event::Edited { .. } => {}
        }
    }

    /// An acknowledged wish is in the row until its attempt has ended.
    fn check_wishes(&self, task: &Task) {
        let Some(wishes) = self.wishes.get(&task.attempt()) else {
            return;
        };
        let strongest = wishes.iter().max().unwrap();
        let intent = task.life.intent.as_ref().map(|intent| intent.kind);
        assert!(
            intent >= Some(*strongest),
            "{}: {wishes:?} was acknowledged, the row has {intent:?}",
            task.id
        );
        for reason in wishes.iter().filter_map(|kind| kind.pause_reason()) {
            let kept = task.life.pause_reasons.contains(&reason);
            assert!(kept, "{}: the reason {reason:?} is forgotten", task.id);
        }
    }

    fn check_predecessors(&self, id: &TaskId, reader: &Reader) {
        let spec = &self.tasks[id].task.spec;
        for on in &spec.after {
            let was_final = self.final_once.contains(on) || ended_and_reopened(on, reader);
            let satisfied = match spec.after_failed {
                AfterFailed::Fail if !self.reopened.contains(id) => self.completed.contains(on),
                AfterFailed::Fail | AfterFailed::Run => was_final,
            };
            assert!(satisfied, "{id} was claimed before {on} was over");
        }
    }

    /// Whether the task goes on without a person: not final, not paused, not asking, not behind such a one.
    pub(crate) fn goes_on(&self, task: &Task) -> bool {
        let by_itself = match task.life.state {
            State::Pending | State::Processing | State::Retrying | State::Testing => true,
            State::Paused
            | State::WaitingUnban
            | State::NeedsHumanReview
            | State::Completed
            | State::Failed
            | State::Cancelled => false,
        };
        by_itself
            && task.spec.after.iter().all(|on| {
                self.tasks.get(on).is_none_or(|on| {
                    on.task.life.state.is_final()
                        || self.goes_on(&on.task)
                        || task.life.state != State::Pending
                })
            })
    }
}

/// Cancelled and reopened in one batch: its row is as it was, only the journal tells.
fn ended_and_reopened(id: &TaskId, reader: &Reader) -> bool {
    let journal = reader.journal(id).unwrap();
    journal.iter().any(|row| row.event == Event::Reopened)
}

/// The wish that a pause of a running attempt is.
pub(crate) const fn intent_of(reason: PauseReason) -> IntentKind {
    match reason {
        PauseReason::Person => IntentKind::Pause,
        PauseReason::Resources => IntentKind::Pressure,
        PauseReason::Budget => IntentKind::Budget,
    }
}
