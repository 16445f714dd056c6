//! Outcomes in plain words.

use crate::api::wire::{OutcomeView, TaskView};
use crate::task::{OutcomeKind, State};

/// What a verdict is made of.
#[derive(Debug, Clone, Copy)]
pub struct Ending<'a> {
    /// Where the task stands.
    pub state: State,
    /// How its last attempt ended.
    pub outcome: Option<&'a OutcomeView>,
}

impl<'a> Ending<'a> {
    /// Of a task.
    #[must_use]
    pub const fn of(task: &'a TaskView) -> Self {
        Self {
            state: task.state,
            outcome: task.outcome.as_ref(),
        }
    }
}

/// How an attempt ended, as the end of a sentence: `exited with code 3`.
#[must_use]
pub fn words(outcome: &OutcomeView) -> String {
    let mut text = match outcome.kind {
        OutcomeKind::Succeeded if outcome.stop_sent => left_when_told(outcome),
        OutcomeKind::Exited if outcome.stop_sent => left_when_told(outcome),
        OutcomeKind::Succeeded => "succeeded".to_owned(),
        OutcomeKind::Exited => outcome.exit_code.map_or_else(
            || "exited".to_owned(),
            |code| format!("exited with code {code}"),
        ),
        OutcomeKind::Signaled => {
            let name = outcome.signal.map(signal_name);
            let told = if outcome.stop_sent {
                " when told to stop"
            } else {
                ""
            };
            format!("ended by {}{told}", name.as_deref().unwrap_or("a signal"))
        }
        OutcomeKind::OutOfMemory => "ended by the kernel for want of memory".to_owned(),
        OutcomeKind::TimedOut => "timed out".to_owned(),
        OutcomeKind::Idle => "showed no sign of work for its idle time".to_owned(),
        OutcomeKind::Interrupted => "interrupted".to_owned(),
        OutcomeKind::SpawnFailed => "could not be started".to_owned(),
        OutcomeKind::NeverRan => "never ran".to_owned(),
        OutcomeKind::Limited => "its account must wait".to_owned(),
        OutcomeKind::ToolsDenied => "ended, but tools were denied".to_owned(),
        OutcomeKind::ToolDeferred => "a tool call waits for an answer".to_owned(),
        OutcomeKind::MaxTurns => "used up its turns".to_owned(),
        OutcomeKind::MaxBudget => "used up its budget".to_owned(),
        OutcomeKind::Refused => "the model refused".to_owned(),
        OutcomeKind::PromptTooLong => "too long for the model".to_owned(),
        OutcomeKind::UnknownSession => "its session is not known any more".to_owned(),
        OutcomeKind::ResumeFailed => "its session could not be resumed".to_owned(),
        OutcomeKind::PoisonedSession => "its session could not be resumed twice".to_owned(),
        OutcomeKind::ModelUnavailable => "its model is not to be had".to_owned(),
        OutcomeKind::AgentError => "the agent failed".to_owned(),
        OutcomeKind::NoResult => "ended without a result".to_owned(),
        OutcomeKind::Lost => "lost: nobody saw how it ended".to_owned(),
        OutcomeKind::DependencyFailed => "did not run: a task it waited for failed".to_owned(),
    };
    if outcome.core_dumped {
        text.push_str(" (core dumped)");
    }
    if !outcome.detail.is_empty() {
        text.push_str(": ");
        text.push_str(&crate::cli::output::plain(&outcome.detail));
    }
    if outcome.descendant_held_pipe {
        text.push_str("; a descendant still held its output");
    }
    text
}

/// An exit code after our signal says how the command left, not how its work went: `left with code 0 when told to stop`.
fn left_when_told(outcome: &OutcomeView) -> String {
    match outcome.exit_code {
        Some(code) => format!("left with code {code} when told to stop"),
        None => "left when told to stop".to_owned(),
    }
}

/// Where the task stands, and why if it is over: `failed: exited with code 3`, `processing`. The outcome of a task that is not
/// over is that of a former attempt, and is no part of this; see [`last_attempt`].
#[must_use]
pub fn standing(ending: &Ending<'_>) -> String {
    let name = ending.state.name();
    match ending.outcome {
        Some(outcome) if ending.state.is_final() && !is_plain_success(ending.state, outcome) => {
            format!("{name}: {}", words(outcome))
        }
        Some(_) | None => name.to_owned(),
    }
}

/// How the last attempt of a task that goes on, or may go on, ended. Nothing while it runs: of the attempt that everybody
/// asks about nothing is known yet.
#[must_use]
pub fn last_attempt(ending: &Ending<'_>) -> Option<String> {
    let shown = !ending.state.is_final() && !ending.state.holds_slot();
    ending.outcome.filter(|_| shown).map(words)
}

/// Both as one phrase: `failed: exited with code 3`, `paused; last attempt: left with code 0 when told to stop`.
#[must_use]
pub fn verdict(ending: &Ending<'_>) -> String {
    match last_attempt(ending) {
        Some(last) => format!("{}; last attempt: {last}", standing(ending)),
        None => standing(ending),
    }
}

/// The state says all of it.
fn is_plain_success(state: State, outcome: &OutcomeView) -> bool {
    state == State::Completed && outcome.kind == OutcomeKind::Succeeded
}

/// `SIGTERM`, or `signal 34` for one without a name.
#[must_use]
pub fn signal_name(number: i32) -> String {
    nix::sys::signal::Signal::try_from(number).map_or_else(
        |_| format!("signal {number}"),
        |signal| signal.as_str().to_owned(),
    )
}
