//! What follows the end of an attempt: a pure decision, total over its facts.
//!
//! Two steps. First, what would follow if nobody had wished anything (`on_its_own`); then what the journaled intent makes
//! of that. The promises that hold for every input:
//! - `Complete` follows only a success; `lost` never completes and never spends a retry.
//! - A limit spends no retry and never fails a task.
//! - An acknowledged cancel holds, even against a success: who cancels does not want the result, and the outcome still says
//!   that it succeeded.
//! - An acknowledged pause holds: what would go on by itself is paused instead, whatever stronger intent came between.

use serde::{Deserialize, Serialize};

use super::agent::AgentFacts;
use super::backoff::{count_near, full_jitter_ms};
use super::{Further, IfLost, Intent, IntentKind, Next, Outcome, OutcomeKind};
use super::{PauseReason, PauseReasons, RetryOn, TaskType, Timestamp};

/// What the decision looks at.
#[derive(Debug, Clone)]
pub struct Facts<'a> {
    /// How the attempt ended.
    pub outcome: &'a Outcome,
    /// The row's intent, if any. Whoever commits one has seen that the record shows no end yet; an attempt that ends between
    /// that look and the commit is treated as if it had ended after it.
    pub intent: Option<&'a Intent>,
    /// The row's reasons to pause: what was wished while it ran.
    pub pause_reasons: &'a PauseReasons,
    /// Retries spent.
    pub retries: u32,
    /// Restart times so far (this end not counted), newest last.
    pub restarts: &'a [Timestamp],
    /// The task's policy.
    pub policy: &'a Policy,
    /// Belongs to a foreground run.
    pub foreground: bool,
    /// What is to be known beside it of an agent's run.
    pub agent: AgentFacts,
    /// Now.
    pub now: Timestamp,
    /// Uniformly random: the jitter.
    pub random: u64,
}

/// A task's wishes joined with the settings.
#[derive(Debug, Clone)]
pub struct Policy {
    /// How an interrupted attempt goes on.
    pub task_type: TaskType,
    /// Retries allowed.
    pub max_retries: u32,
    /// Failures that are retried.
    pub retry_on: Vec<RetryOn>,
    /// What follows a lost attempt; `None` = from the task type.
    pub if_lost: Option<IfLost>,
    /// First ceiling of the backoff.
    pub base_ms: u64,
    /// Highest ceiling of the backoff.
    pub max_ms: u64,
    /// Restarts in the window at which a person is asked (this many, the present one included).
    pub restart_max: u32,
    /// The window.
    pub restart_window_ms: u64,
}

/// What follows a lost attempt, once the task's wish, its type and its owner are joined.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnLoss {
    /// A new attempt that goes on from the checkpoint.
    Resume,
    /// A new attempt from the beginning.
    Rerun,
    /// A person decides.
    Review,
    /// The task fails.
    Fail,
    /// It is paused: its foreground run is gone.
    Pause,
}

/// What follows a lost attempt of a task that asked for `if_lost`. The decision and what people are shown both come from here,
/// so that nobody is shown a policy that does not hold.
#[must_use]
pub const fn on_loss(if_lost: Option<IfLost>, task_type: TaskType, foreground: bool) -> OnLoss {
    match if_lost {
        Some(IfLost::Resume) => OnLoss::Resume,
        Some(IfLost::Rerun) => OnLoss::Rerun,
        Some(IfLost::Review) => OnLoss::Review,
        Some(IfLost::Fail) => OnLoss::Fail,
        None if foreground => OnLoss::Pause,
        None if goes_on_from_checkpoint(task_type) => OnLoss::Resume,
        None => OnLoss::Rerun,
    }
}

/// What follows the end that `facts` describe.
#[must_use]
pub fn decide(facts: &Facts<'_>) -> Next {
    let own = on_its_own(facts);
    let next = match facts.intent.map(|intent| intent.kind) {
        None => own,
        Some(IntentKind::Cancel) => Next::Cancel,
        Some(IntentKind::Timeout) => after_timeout(facts, own),
        Some(IntentKind::Pause) => after_pause(facts, own, PauseReason::Person),
        Some(IntentKind::Budget) => after_pause(facts, own, PauseReason::Budget),
        Some(IntentKind::Pressure) => after_pause(facts, own, PauseReason::Resources),
    };
    hold_a_pause(facts, next)
}

/// What would follow if nobody had wished anything.
fn on_its_own(facts: &Facts<'_>) -> Next {
    match facts.outcome.kind {
        OutcomeKind::Succeeded => after_success(facts),
        OutcomeKind::ToolsDenied if facts.agent.denied_is_done => Next::Complete,
        OutcomeKind::ToolsDenied => Next::Review,
        // Who answers a tool call is not built yet: until then a person looks at the whole task.
        OutcomeKind::ToolDeferred => Next::Review,
        // Its budget has more than the share that it was cut at: it goes on in the same session, at no cost but that.
        OutcomeKind::MaxBudget if facts.agent.budget_left => Next::Retry {
            not_before: facts.now,
            spends_retry: false,
            counts_as_restart: false,
            resume: true,
        },
        OutcomeKind::MaxBudget => Next::Pause {
            reason: PauseReason::Budget,
        },
        OutcomeKind::UnknownSession | OutcomeKind::ResumeFailed | OutcomeKind::PoisonedSession => {
            after_failed_resume(facts)
        }
        OutcomeKind::NeverRan => Next::Pending,
        OutcomeKind::Limited => Next::Wait,
        OutcomeKind::Interrupted => after_interruption(facts),
        OutcomeKind::Lost => after_loss(facts),
        OutcomeKind::DependencyFailed => Next::Fail,
        OutcomeKind::Exited
        | OutcomeKind::Signaled
        | OutcomeKind::OutOfMemory
        | OutcomeKind::TimedOut
        | OutcomeKind::Idle
        | OutcomeKind::SpawnFailed
        | OutcomeKind::MaxTurns
        | OutcomeKind::Refused
        | OutcomeKind::PromptTooLong
        | OutcomeKind::ModelUnavailable
        | OutcomeKind::AgentError
        | OutcomeKind::NoResult => {
            let retried = facts
                .policy
                .retry_on
                .iter()
                .any(|on| matches(*on, facts.outcome));
            after_failure(facts, retried)
        }
    }
}

/// An agent's task may have more to do: the next chunk, or what a run that was told to come to an end has left.
fn after_success(facts: &Facts<'_>) -> Next {
    let (not_before, why) = match facts.agent.wrap_up_at {
        Some(at) => (at, Further::WrapUp),
        None if facts.agent.more_chunks => (facts.now, Further::Chunk),
        None => return Next::Complete,
    };
    Next::Continue { not_before, why }
}

/// The agent could not go on in its session: nothing was done, so nothing is spent. It counts as a restart, so that it cannot
/// go on for ever; but not when a session that had begun is gone: a new one follows, and it follows a loss more often than
/// not, which has counted already.
fn after_failed_resume(facts: &Facts<'_>) -> Next {
    let counts = !(facts.outcome.kind == OutcomeKind::UnknownSession && facts.agent.resumed);
    if counts && restarts_exceeded(facts) {
        return Next::Review;
    }
    Next::Retry {
        not_before: facts.now,
        spends_retry: false,
        counts_as_restart: counts,
        resume: true,
    }
}

/// Whether this restart is one too many.
fn restarts_exceeded(facts: &Facts<'_>) -> bool {
    let policy = facts.policy;
    let before = count_near(facts.restarts, facts.now, policy.restart_window_ms);
    let reached = u32::try_from(before.saturating_add(1)).unwrap_or(u32::MAX);
    reached >= policy.restart_max
}

/// The machine went down: not the task's fault, so it costs nothing and counts nowhere. A foreground run has nobody left to
/// show it to; it waits for its person.
fn after_interruption(facts: &Facts<'_>) -> Next {
    if facts.foreground {
        return Next::Pause {
            reason: PauseReason::Person,
        };
    }
    Next::Retry {
        not_before: facts.now,
        spends_retry: false,
        counts_as_restart: false,
        resume: true,
    }
}

/// Nobody saw the end. A foreground run's owner is gone too, so it waits for its person unless it was told what to do.
fn after_loss(facts: &Facts<'_>) -> Next {
    let policy = facts.policy;
    let resume = match on_loss(policy.if_lost, policy.task_type, facts.foreground) {
        OnLoss::Review => return Next::Review,
        OnLoss::Fail => return Next::Fail,
        OnLoss::Pause => {
            return Next::Pause {
                reason: PauseReason::Person,
            };
        }
        OnLoss::Resume => true,
        OnLoss::Rerun => false,
    };
    if restarts_exceeded(facts) {
        return Next::Review;
    }
    Next::Retry {
        not_before: facts.now,
        spends_retry: false,
        counts_as_restart: true,
        resume,
    }
}

fn after_failure(facts: &Facts<'_>, retried: bool) -> Next {
    let policy = facts.policy;
    if !retried || facts.retries >= policy.max_retries {
        return Next::Fail;
    }
    let wait_ms = full_jitter_ms(facts.retries, policy.base_ms, policy.max_ms, facts.random);
    Next::Retry {
        not_before: facts
            .now
            .plus_ms(i64::try_from(wait_ms).unwrap_or(i64::MAX)),
        spends_retry: true,
        counts_as_restart: false,
        resume: goes_on_from_checkpoint(policy.task_type),
    }
}

/// Its time was over and we ended it: a failure by time-out, however the command took the signal. What happened without
/// our doing (nothing ran, a limit, a success before the signal, a loss) is judged as itself.
fn after_timeout(facts: &Facts<'_>, own: Next) -> Next {
    let ended_by_us = match facts.outcome.kind {
        OutcomeKind::Exited
        | OutcomeKind::Signaled
        | OutcomeKind::OutOfMemory
        | OutcomeKind::TimedOut
        | OutcomeKind::Idle
        | OutcomeKind::Interrupted
        | OutcomeKind::NoResult
        | OutcomeKind::AgentError => true,
        OutcomeKind::Succeeded | OutcomeKind::ToolsDenied => facts.outcome.stop_sent,
        OutcomeKind::SpawnFailed
        | OutcomeKind::NeverRan
        | OutcomeKind::Limited
        | OutcomeKind::ToolDeferred
        | OutcomeKind::MaxTurns
        | OutcomeKind::MaxBudget
        | OutcomeKind::Refused
        | OutcomeKind::PromptTooLong
        | OutcomeKind::UnknownSession
        | OutcomeKind::ResumeFailed
        | OutcomeKind::PoisonedSession
        | OutcomeKind::ModelUnavailable
        | OutcomeKind::Lost
        | OutcomeKind::DependencyFailed => false,
    };
    if !ended_by_us {
        return own;
    }
    let asked = |on: &RetryOn| matches!(on, RetryOn::Any | RetryOn::Timeout);
    after_failure(facts, facts.policy.retry_on.iter().any(asked))
}

/// Paused, unless there is nothing left to pause:
/// - a success stands when our signal was not sent before it (afterwards, exit code 0 is how a well-behaved program *stops*,
///   and to call that done would lose the rest of its work);
/// - a lost attempt that the user wants failed or reviewed is, so that no later resume runs it unasked.
const fn after_pause(facts: &Facts<'_>, own: Next, reason: PauseReason) -> Next {
    let lost = matches!(
        facts.outcome.kind,
        OutcomeKind::Lost | OutcomeKind::DependencyFailed
    );
    let stands = match own {
        Next::Complete => !facts.outcome.stop_sent,
        Next::Fail | Next::Review => lost,
        Next::Pending
        | Next::Retry { .. }
        | Next::Continue { .. }
        | Next::Wait
        | Next::Pause { .. }
        | Next::Cancel
        | Next::Defer
        | Next::Test => false,
    };
    if stands { own } else { Next::Pause { reason } }
}

/// What would go on by itself stays paused while a wish to pause is on record.
fn hold_a_pause(facts: &Facts<'_>, next: Next) -> Next {
    let goes_on = match next {
        Next::Pending | Next::Retry { .. } | Next::Continue { .. } | Next::Wait | Next::Test => {
            true
        }
        Next::Complete
        | Next::Fail
        | Next::Pause { .. }
        | Next::Cancel
        | Next::Review
        | Next::Defer => false,
    };
    match facts.pause_reasons.first() {
        Some(&reason) if goes_on => Next::Pause { reason },
        _ => next,
    }
}

/// Whether a failure is among those that are retried.
fn matches(on: RetryOn, outcome: &Outcome) -> bool {
    let kind = outcome.kind;
    let signal =
        matches!(kind, OutcomeKind::Signaled | OutcomeKind::OutOfMemory) && !outcome.stop_sent;
    match on {
        RetryOn::Any => true,
        RetryOn::Exit => kind == OutcomeKind::Exited,
        RetryOn::Code(code) => {
            kind == OutcomeKind::Exited && outcome.exit_code == Some(i32::from(code))
        }
        RetryOn::Signal => signal,
        RetryOn::Timeout => matches!(kind, OutcomeKind::TimedOut | OutcomeKind::Idle),
        RetryOn::Spawn => kind == OutcomeKind::SpawnFailed,
        RetryOn::Agent => matches!(kind, OutcomeKind::AgentError | OutcomeKind::NoResult),
    }
}

const fn goes_on_from_checkpoint(task_type: TaskType) -> bool {
    match task_type {
        TaskType::Lightweight => false,
        TaskType::MediumContext | TaskType::HeavyContext => true,
    }
}
