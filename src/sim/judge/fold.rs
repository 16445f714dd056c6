//! The journal folds to the row, and what is gone was final.

use std::collections::BTreeMap;

use super::sessions::place_of;
use super::{Judge, Judged, Observation, Seen, Violation, demand, holds, sessions};
use crate::sim::met::Met;
use crate::sim::truth::Truths;
use crate::store::JournalRow;
use crate::task::{
    AttemptId, Event, EventKind, Lifecycle, OutcomeKind, Place, State, Task, TaskId,
};

impl Judge {
    /// Folds the new part of a journal, event by event. Whether the task was claimed in it.
    pub(super) fn fold(
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
    pub(super) fn gone(&mut self, id: &TaskId, gone: &BTreeMap<TaskId, Option<State>>) -> Judged {
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

    pub(super) fn note_final(&mut self, id: &TaskId, state: State) {
        if state.is_final() {
            self.final_once.insert(id.clone());
        }
        if state == State::Completed {
            self.completed.insert(id.clone());
        }
    }
}
