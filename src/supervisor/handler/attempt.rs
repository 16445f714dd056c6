//! What the carriers saw of attempts: the outcome is recorded as it truly was, the task follows.

use super::agents::RunNote;
use super::claim::LAUNCH_WAIT_MS;
use super::settle::Settled;
use super::{Handler, MS_PER_SECOND, Step, StepError};
use crate::supervisor::event::{Attention, Closed, Effect};
use crate::task::agent::{FAILED_RESUMES_MAX, SERVER_FAILURES_MAX};
use crate::task::retry::{self, Facts, Policy};
use crate::task::{
    Actor, AttemptId, BlockKind, Event, News, Next, OutcomeKind, RetryOn, State, Task, Timestamp,
};

/// What a person is told of when no worker can be started.
const LAUNCH_FAILED: &str = "launch_failed";
/// What a person is told of when an attempt cannot be ended.
const TREE_STUCK: &str = "tree_stuck";

impl Handler {
    pub(super) fn started(
        &mut self,
        step: &mut Step<'_>,
        attempt: &AttemptId,
        started_at: Timestamp,
    ) -> Result<(), StepError> {
        if let Some(task) = running(step, attempt)?
            && task.life.started_at.is_none()
        {
            step.apply(&task, &Event::Started { started_at }, Actor::Worker)?;
            self.launches_work(step);
        }
        Ok(())
    }

    /// Its tree cannot be ended: a person is told, until it is gone.
    pub(super) fn stuck(&mut self, step: &mut Step<'_>, attempt: &AttemptId, detail: &str) {
        self.stuck.insert(attempt.clone());
        step.effects.push(Effect::Attention(Attention {
            kind: TREE_STUCK,
            text: format!(
                "attempt {attempt} cannot be ended ({detail}); its slot stays held until it is gone"
            ),
        }));
    }

    pub(super) fn closed(&mut self, step: &mut Step<'_>, closed: &Closed) -> Result<(), StepError> {
        // Told twice (a daemon died between commit and unlink), or of an older generation: the row already knows better.
        step.effects.push(Effect::Forget(closed.attempt.clone()));
        let Some(mut task) = running(step, &closed.attempt)? else {
            self.slots.retain(|_, held| *held != closed.attempt);
            return self.own_closed(step, closed);
        };
        if let (None, Some(started_at)) = (task.life.started_at, closed.started_at) {
            task = step.apply(&task, &Event::Started { started_at }, Actor::Worker)?;
        }
        let (closed, settled) = self.settle(step, &task, judged(&task, closed))?;
        let closed = &closed;
        let next = self.next(&task, closed, &settled, step);
        let event = Event::Ended {
            outcome: closed.outcome.clone(),
            ended_at: closed.ended_at,
            next,
            report: closed.report.clone().filter(|_| task.life.agent.is_some()),
        };
        let ended = step.apply(&task, &event, Actor::Daemon)?;
        let note = RunNote {
            settled: &settled,
            done: ended.life.state == State::Completed,
        };
        self.note_run(step, &task, closed, &note)?;
        if ended.life.state.is_final() {
            self.budgets.forget(&ended.id);
            self.tell_dependants(step, &ended)?;
        }
        let now = step.moment.now;
        if ended.life.state == State::WaitingUnban
            && self.only_a_person_opens(&ended, now)
            && self.way_out(&ended, now).is_none()
        {
            step.tell_of(&ended, News::Waits)?;
        }
        self.note_restart(step, closed);
        if closed.launch_failed {
            let text = format!("no worker could be started: {}", closed.outcome.detail);
            self.launches_fail(step, text);
        } else if closed.outcome.kind.may_have_run() {
            self.launches_work(step);
        }
        if self.stuck.remove(&closed.attempt) && self.stuck.is_empty() {
            step.effects.push(Effect::AttentionOver(TREE_STUCK));
        }
        self.slots.retain(|_, held| *held != closed.attempt);
        Ok(())
    }

    /// The machine is short of something: no claims for a moment, and a person is told.
    pub(super) fn launches_fail(&mut self, step: &mut Step<'_>, text: String) {
        self.launch_wait_until = Some(step.moment.now.plus_ms(LAUNCH_WAIT_MS));
        self.told_launch_failed = true;
        step.effects.push(Effect::Attention(Attention {
            kind: LAUNCH_FAILED,
            text,
        }));
    }

    fn launches_work(&mut self, step: &mut Step<'_>) {
        if std::mem::take(&mut self.told_launch_failed) {
            step.effects.push(Effect::AttentionOver(LAUNCH_FAILED));
        }
    }

    fn next(&self, task: &Task, closed: &Closed, settled: &Settled, step: &Step<'_>) -> Next {
        retry::decide(&Facts {
            outcome: &closed.outcome,
            intent: task.life.intent.as_ref(),
            pause_reasons: &task.life.pause_reasons,
            retries: task.life.retries,
            restarts: &task.life.restarts,
            policy: &self.policy(task),
            foreground: task.spec.foreground,
            agent: self.agent_facts(task, closed, settled),
            now: step.moment.now,
            random: step.moment.random,
        })
    }

    /// The task's wishes joined with the settings.
    fn policy(&self, task: &Task) -> Policy {
        let settings = &self.settings;
        Policy {
            task_type: task.spec.task_type,
            max_retries: task.spec.max_retries.unwrap_or(settings.max_retries),
            retry_on: retry_on(task),
            if_lost: task.spec.if_lost,
            base_ms: settings.retry_base_seconds * MS_PER_SECOND,
            max_ms: settings.retry_max_seconds * MS_PER_SECOND,
            restart_max: settings.restart_max,
            restart_window_ms: settings.restart_window_seconds * MS_PER_SECOND,
        }
    }

    /// Many lost attempts in a short time are the machine's fault, not the tasks': stop claiming, ask a person. What was lost
    /// because the machine itself went down is one loss, however many attempts ran.
    fn note_restart(&mut self, step: &mut Step<'_>, closed: &Closed) {
        if closed.outcome.kind != OutcomeKind::Lost
            || (closed.machine_went_down && std::mem::replace(&mut self.reboot_counted, true))
            || !self.restarts.record(step.moment.now)
        {
            return;
        }
        step.effects.push(Effect::Attention(Attention {
            kind: "restart_intensity",
            text: format!(
                "{} attempts were lost in {} s; nothing is claimed until `taskctl system resume`",
                self.settings.daemon_restart_max, self.settings.restart_window_seconds
            ),
        }));
    }
}

/// An agent's failures are retried unless its task says otherwise; a command's only when it says so.
fn retry_on(task: &Task) -> Vec<RetryOn> {
    if task.spec.retry_on.is_empty() && task.spec.command.prompt().is_some() {
        vec![RetryOn::Agent, RetryOn::Signal, RetryOn::Timeout]
    } else {
        task.spec.retry_on.clone()
    }
}

/// The end as the task's history makes it appear: a session that could not be resumed twice is given up, and a server that
/// always fails under this one task fails because of it.
fn judged(task: &Task, closed: &Closed) -> Closed {
    let mut closed = closed.clone();
    let failed_before = task
        .life
        .agent
        .as_ref()
        .map_or(0, |agent| agent.failed_resumes);
    if closed.outcome.kind == OutcomeKind::ResumeFailed && failed_before + 1 >= FAILED_RESUMES_MAX {
        closed.outcome.kind = OutcomeKind::PoisonedSession;
    }
    let server_failures = task
        .life
        .agent
        .as_ref()
        .map_or(0, |agent| agent.server_failures);
    let block = closed
        .report
        .as_deref()
        .and_then(|report| report.block.as_ref());
    if closed.outcome.kind == OutcomeKind::Limited
        && server_failures >= SERVER_FAILURES_MAX
        && block.is_some_and(|block| block.kind == BlockKind::Server)
    {
        closed.outcome.kind = OutcomeKind::AgentError;
    }
    closed
}

/// The task, if this attempt is the one that holds its slot.
pub(super) fn running(step: &Step<'_>, attempt: &AttemptId) -> Result<Option<Task>, StepError> {
    let task = step.tx.task(&attempt.task)?;
    Ok(task
        .filter(|task| task.life.state.holds_slot() && task.life.generation == attempt.generation))
}
