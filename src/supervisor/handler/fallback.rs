//! Tasks that would wait too long for their account go on elsewhere, where they name such a place.
//!
//! Invariants: a task only goes forward in the list of its places, so never back and forth; it goes only where it may start
//! now, as far as holds and reserves go, so never into what an account is held for (extra usage, used up credit); and it
//! costs no retry.

use super::{Handler, MS_PER_SECOND, Step, StepError};
use crate::holds::{Gate as Door, Why};
use crate::task::{Actor, Event, Gate, Place, Priority, Prompt, Task, Timestamp};

/// Tasks of one gate that are looked at in one transaction: the first ones, in their order.
const LOOKED_AT: u32 = 100;

impl Handler {
    /// Moves the tasks whose account is closed for longer than the settings allow.
    pub(super) fn fall_back(&mut self, step: &mut Step<'_>) -> Result<(), StepError> {
        let now = step.moment.now;
        let is_shut = |handler: &Self, gate: &Gate| {
            gate.has_way_out
                && matches!(
                    handler.door(gate, Priority::Urgent, now),
                    Door::Closed { .. }
                )
        };
        // Reserves close a gate for some priorities only, so of gates that are open to urgent tasks each one is asked.
        let keeps_a_part = self.settings.reserve_percent > 0;
        let mut waiting = Vec::new();
        for gate in step.tx.held_gates()? {
            if gate.has_way_out && (keeps_a_part || is_shut(self, &gate)) {
                waiting.extend(step.tx.held_at(&gate, LOOKED_AT)?);
            }
        }
        for gate in step.tx.ready_gates()?.into_iter().flatten() {
            if gate.has_way_out && (keeps_a_part || is_shut(self, &gate)) {
                waiting.extend(step.tx.claimable_at(&[Some(gate)], LOOKED_AT)?);
            }
        }
        for task in waiting {
            // A foreground run moves its own task only.
            let is_another = |only: &Option<_>| only.as_ref() != Some(&task.id);
            if self.only.as_ref().is_some_and(is_another) {
                continue;
            }
            if let Some(event) = self.way_out(&task, now) {
                step.apply(&task, &event, Actor::Daemon)?;
            }
        }
        Ok(())
    }

    /// Where the task goes on instead of waiting; `None` = it waits.
    pub(super) fn way_out(&self, task: &Task, now: Timestamp) -> Option<Event> {
        let agent = task.life.agent.as_ref();
        if agent.is_some_and(|agent| agent.ask_what_remains) {
            // Its work is done, and only its own session can say whether anything remains.
            return None;
        }
        let why = self.waits_too_long(task, now)?;
        let tried = task.life.fallbacks_tried();
        let (place, tried) = task
            .ways_out()
            .iter()
            .zip(tried.saturating_add(1)..)
            .find(|(place, _)| self.takes(task, place, now))?;
        Some(Event::Moved {
            to: Box::new(place.clone()),
            from: Box::new(task.prompt_there()?.place()),
            why,
            tried,
        })
    }

    /// What the task would wait for, when that is longer than the settings allow.
    fn waits_too_long(&self, task: &Task, now: Timestamp) -> Option<String> {
        let gate = task.gate()?;
        let Door::Closed { until, why } = self.door(&gate, task.spec.priority, now) else {
            return None;
        };
        let since = match why {
            Why::Hold(hold) => hold.since,
            Why::Reserve(_) => now,
            // Over in a moment, one way or the other.
            Why::Probing { .. } | Why::Release => return None,
        };
        // Of one that was not there yet, only its own wait counts.
        let since = if task.life.generation == 0 {
            since.max(task.created_at)
        } else {
            since
        };
        let limit = self.settings.fallback_after_seconds * MS_PER_SECOND;
        let is_longer = until.is_none_or(|until| until.ms_since(since) > limit.cast_signed());
        is_longer.then(|| why.to_string())
    }

    /// Whether the task may start there now.
    fn takes(&self, task: &Task, place: &Place, now: Timestamp) -> bool {
        let is_known = place.account == Prompt::DEFAULT_ACCOUNT
            || self.accounts.knows(&place.agent, &place.account);
        let door = self.door(&Gate::of(place, false), task.spec.priority, now);
        is_known && !matches!(door, Door::Closed { .. })
    }
}
