//! Budgets: what a claim reserves, when a task is paused for money, and what a person is told of it. What the end of a run is
//! charged is [`super::settle`]'s matter.
//!
//! What is used and reserved are rows, written with the claim and with the outcome; how much an attempt may use is the room
//! `budget`'s decision. Invariants:
//! - An attempt that a budget concerns has a reservation from its claim to its outcome, whatever dies in between.
//! - Memory holds only what a person was told: a brake on saying it again.

use std::collections::BTreeMap;

use super::{Handler, Step, StepError, act};
use crate::budget::{Alarm, Budget, Change, Level, Room, Scope, Standing, share};
use crate::store::{LedgerRow, Reservation, StoreError};
use crate::supervisor::budgets::{self, Line};
use crate::supervisor::command::{ActEffect, Refusal, RefusalCode};
use crate::supervisor::event::{Attention, Effect};
use crate::task::{
    Actor, AttemptId, Event, IntentKind, PauseReason, Report, State, Task, TaskId, Timestamp,
};

/// What a person is told of when a budget is nearly or wholly used up.
const BUDGET: &str = "budget";
/// What a person is told of when much is spent in an hour.
const SPEND_RATE: &str = "spend_rate";
/// The window of the alarm.
const HOUR_MS: i64 = 3_600_000;
/// While the alarm is on, it is looked at this often.
const RATE_LOOK_MS: i64 = 60_000;
/// A person is told of so many budgets by name.
const NAMED_MAX: usize = 10;
const MICRO_PER_USD: f64 = 1e6;

/// What a person was told of budgets.
#[derive(Debug, Clone)]
pub(super) struct Budgets {
    /// Budgets that are nearly or wholly used up, and tasks that are paused for one that is not any more; with the words for
    /// each.
    near: BTreeMap<Scope, (Level, String)>,
    /// Of these a person was told.
    told: BTreeMap<Scope, Level>,
    /// The day that `near` is of.
    day: Option<Timestamp>,
    /// Settings or tasks have changed: all budgets are to be looked at.
    look: bool,
    /// Runs have ended since the rate was looked at.
    spent: bool,
    alarm: Alarm,
    /// A task waits for the day to be over.
    waits_for_tomorrow: bool,
}

impl Default for Budgets {
    fn default() -> Self {
        Self {
            near: BTreeMap::new(),
            told: BTreeMap::new(),
            day: None,
            look: true,
            spent: true,
            alarm: Alarm::default(),
            waits_for_tomorrow: false,
        }
    }
}

impl Budgets {
    /// Settings or tasks have changed.
    pub(super) const fn look_again(&mut self) {
        self.look = true;
        self.spent = true;
    }

    /// A person changes tasks: those that a person was told of are to be looked at.
    pub(super) fn mind_changes(&mut self) {
        self.look |= !self.near.is_empty();
    }

    /// A run has ended, and costs something.
    pub(super) const fn has_spent(&mut self) {
        self.spent = true;
    }

    /// The task is over: its budget concerns nobody any more.
    pub(super) fn forget(&mut self, task: &TaskId) {
        self.near.remove(&Scope::Task {
            id: task.to_string(),
        });
    }

    /// All that there is to say, the first of it by name.
    fn words(&self) -> String {
        let words = self.near.values().map(|(_, words)| words.clone());
        let mut named: Vec<String> = words.take(NAMED_MAX).collect();
        let more = self.near.len() - named.len();
        if more > 0 {
            named.push(format!("and {more} more (`taskctl cost --budgets`)"));
        }
        named.join("; ")
    }

    /// Notes where a budget stands.
    pub(super) fn note(&mut self, line: &Line) {
        let scope = line.of.scope.clone();
        match line.standing.level() {
            Level::Open => drop(self.near.remove(&scope)),
            level @ (Level::Warned | Level::UsedUp) => {
                drop(self.near.insert(scope, (level, line.words())))
            }
        }
    }
}

impl Handler {
    /// What an attempt of this task may use up, when `slots` can still be given; `None` = it cannot begin now. A task that
    /// has begun, or whose own budget it is, is paused when one is used up.
    pub(super) fn share_of(
        &mut self,
        step: &mut Step<'_>,
        task: &Task,
        slots: u32,
    ) -> Result<Option<Budget>, StepError> {
        let now = step.moment.now;
        let lines = budgets::lines_of(&self.settings, step.tx.ledger(), task, slots, now)?;
        let standings: Vec<Standing> = lines.iter().map(|line| line.standing).collect();
        match share(&standings) {
            Room::Share(share) => Ok(Some(share)),
            Room::Wait(_) => Ok(None),
            Room::UsedUp(place) => {
                let line = &lines[place];
                self.budgets.note(line);
                self.budgets.waits_for_tomorrow |= line.of.scope.is_daily();
                // Who has not begun stays in its place, and begins when the budget has room again.
                let has_begun = task.life.generation > 0;
                if has_begun || matches!(line.of.scope, Scope::Task { .. }) {
                    let reason = PauseReason::Budget;
                    step.apply(task, &Event::Paused { reason }, Actor::Daemon)?;
                }
                Ok(None)
            }
        }
    }

    /// Whether the budgets have room for a probe of the daemon's own on this account. When they have none, it is looked at
    /// again on the next day, and when something has ended.
    pub(super) fn has_room_for_probe(
        &mut self,
        step: &Step<'_>,
        account: (&str, &str),
    ) -> Result<bool, StepError> {
        let (now, ledger) = (step.moment.now, step.tx.ledger());
        let lines = budgets::lines_of_probe(&self.settings, ledger, account, now)?;
        let standings: Vec<Standing> = lines.iter().map(|line| line.standing).collect();
        let has_room = matches!(share(&standings), Room::Share(_));
        self.budgets.waits_for_tomorrow |= !has_room;
        Ok(has_room)
    }

    /// Notes what an attempt may use up, in the transaction of its claim.
    pub(super) fn reserve(
        step: &Step<'_>,
        task: &Task,
        attempt: &AttemptId,
        share: Budget,
    ) -> Result<(), StepError> {
        let Some(prompt) = task.prompt_there().filter(|_| !share.is_none()) else {
            return Ok(());
        };
        step.tx.reserve(&Reservation {
            attempt: attempt.clone(),
            at: step.moment.now,
            project: task.spec.cwd.to_string_lossy().into_owned(),
            agent: prompt.agent.clone(),
            account: prompt.account.clone(),
            share,
        })?;
        Ok(())
    }

    /// A running agent has used so many tokens: beyond its share it gets another one, or is stopped.
    pub(super) fn count_tokens(
        &self,
        step: &mut Step<'_>,
        task: &Task,
        report: &Report,
    ) -> Result<(), StepError> {
        let attempt = task.attempt();
        let Some(mut reserved) = step.tx.ledger().reservation(&attempt)? else {
            return Ok(());
        };
        let seen = LedgerRow::tokens_of(report).sum();
        let Some(most) = reserved.tokens.filter(|most| seen >= *most) else {
            return Ok(());
        };
        let now = step.moment.now;
        let lines = budgets::lines_of(&self.settings, step.tx.ledger(), task, 1, now)?;
        let standings: Vec<Standing> = lines.iter().map(|line| line.standing).collect();
        let more = match share(&standings) {
            Room::Share(share) => share
                .tokens
                .filter(|more| most.saturating_add(*more) > seen),
            Room::Wait(_) | Room::UsedUp(_) => None,
        };
        if let Some(more) = more {
            reserved.tokens = Some(most.saturating_add(more));
            return Self::reserve(step, task, &attempt, reserved);
        }
        if !step.world.has_ended(&attempt) {
            act::wish(step, task.clone(), IntentKind::Budget, None, Actor::Daemon)?;
        }
        Ok(())
    }

    /// A person wants a task to go on that is paused for money: it may when its budgets have room again.
    pub(super) fn resume_with_budget(
        &mut self,
        step: &mut Step<'_>,
        task: Task,
        actor: Actor,
    ) -> Result<(Task, ActEffect), StepError> {
        let now = step.moment.now;
        let lines = budgets::lines_of(&self.settings, step.tx.ledger(), &task, 1, now)?;
        let used_up = lines
            .iter()
            .find(|line| line.standing.level() == Level::UsedUp);
        if let Some(line) = used_up {
            let text = format!("{} cannot be resumed: {}", task.id, line.words());
            return Err(Refusal::new(RefusalCode::IllegalTransition, text).into());
        }
        let mut task = task;
        for reason in [PauseReason::Budget, PauseReason::Person] {
            if task.life.pause_reasons.contains(&reason) {
                task = step.apply(&task, &Event::Resumed { reason }, actor)?;
            }
        }
        self.budgets.look_again();
        Ok((task, ActEffect::Done))
    }

    /// Tells a person of budgets that are nearly used up and of those that are, once each time that changes, and of much
    /// money in an hour.
    pub(super) fn tell_budgets(&mut self, step: &mut Step<'_>) -> Result<(), StepError> {
        let now = step.moment.now;
        let today = budgets::day_of(now);
        if std::mem::take(&mut self.budgets.look) || self.budgets.day != Some(today) {
            self.budgets.day = Some(today);
            self.look_at_all(step)?;
        }
        let levels: BTreeMap<Scope, Level> = self
            .budgets
            .near
            .iter()
            .map(|(scope, (level, _))| (scope.clone(), *level))
            .collect();
        if levels != self.budgets.told {
            let text = self.budgets.words();
            step.effects.push(if levels.is_empty() {
                Effect::AttentionOver(BUDGET)
            } else {
                Effect::Attention(Attention { kind: BUDGET, text })
            });
            self.budgets.told = levels;
        }
        self.mind_the_rate(step)
    }

    /// Looks at every budget there is, as after a start.
    fn look_at_all(&mut self, step: &Step<'_>) -> Result<(), StoreError> {
        let now = step.moment.now;
        let ledger = step.tx.ledger();
        let accounts = budgets::accounts(&self.settings, self.accounts.keys());
        let mut lines = budgets::of_settings(&self.settings, ledger, accounts, now)?;
        let known = self.budgets.near.keys().filter_map(|scope| match scope {
            Scope::Task { id } => id.parse().ok(),
            Scope::Session { .. } | Scope::Account { .. } | Scope::Day => None,
        });
        let mut ids: Vec<TaskId> = known.chain(ledger.tasks_with_budgets()?).collect();
        ids.sort_unstable();
        ids.dedup();
        let mut may_go_on = Vec::new();
        for id in ids {
            let task = step.tx.task(&id)?;
            for task in task.iter().filter(|task| !task.life.state.is_final()) {
                let of_task = budgets::lines_of(&self.settings, ledger, task, 1, now)?;
                let used_up = |line: &Line| line.standing.level() == Level::UsedUp;
                let paused = task.life.pause_reasons.contains(&PauseReason::Budget);
                if paused && task.life.state == State::Paused && !of_task.iter().any(used_up) {
                    may_go_on.push(task.id.to_string());
                }
                lines.extend(of_task);
            }
        }
        self.budgets.near.clear();
        for line in &lines {
            self.budgets.note(line);
        }
        // The day is over, or somebody has raised what was used up: whether it goes on is asked all the same.
        for id in may_go_on {
            let words = format!(
                "{id} is paused for money, and its budgets have room again: `taskctl task resume {id}`"
            );
            let scope = Scope::Task { id };
            self.budgets.near.insert(scope, (Level::Open, words));
        }
        Ok(())
    }

    fn mind_the_rate(&mut self, step: &mut Step<'_>) -> Result<(), StepError> {
        let limit = micro(self.settings.spend_alarm_usd_per_hour);
        let is_news = std::mem::take(&mut self.budgets.spent) || self.budgets.alarm.is_on();
        if !is_news || (limit == 0 && !self.budgets.alarm.is_on()) {
            return Ok(());
        }
        let used = step
            .tx
            .ledger()
            .used(&Scope::Day, step.moment.now.plus_ms(-HOUR_MS))?;
        match self.budgets.alarm.look(used.amounts.micro_usd, limit) {
            Change::Raised => {
                let text = format!(
                    "{} were spent in the last hour, spend_alarm_usd_per_hour warns from {} on: `taskctl cost --since 1h`, \
                     `taskctl system pause`",
                    crate::budget::usd(used.amounts.micro_usd),
                    crate::budget::usd(limit)
                );
                step.effects.push(Effect::Attention(Attention {
                    kind: SPEND_RATE,
                    text,
                }));
            }
            Change::Over => step.effects.push(Effect::AttentionOver(SPEND_RATE)),
            Change::Same => {}
        }
        Ok(())
    }

    /// When to look again for the budgets' sake: when the alarm may be over, and when the day is that a task waits for.
    pub(super) fn next_look_at_budgets(&mut self, now: Timestamp) -> Option<Timestamp> {
        let alarm = self
            .budgets
            .alarm
            .is_on()
            .then(|| now.plus_ms(RATE_LOOK_MS));
        let tomorrow = budgets::day_of(now).plus_ms(24 * HOUR_MS);
        let waits = std::mem::take(&mut self.budgets.waits_for_tomorrow)
            || self.budgets.near.keys().any(Scope::is_daily);
        alarm.into_iter().chain(waits.then_some(tomorrow)).min()
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a setting in its range, not negative; a cast from a float saturates"
)]
fn micro(usd: f64) -> u64 {
    (usd * MICRO_PER_USD).round() as u64
}
