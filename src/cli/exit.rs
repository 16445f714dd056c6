//! The exit codes of `taskctl` and of `auto-claude run`: stable, named, documented in `docs/cli.md`.
//!
//! Invariant: a code is never given a second meaning; new ones are added at the end of their block.

use crate::supervisor::command::RefusalCode;
use crate::task::{OutcomeKind, State};

use super::render::outcome::Ending;

/// Done.
pub const OK: u8 = 0;
/// It could not be done, for a reason that has no code of its own.
pub const FAILED: u8 = 1;
/// The command line or the input is wrong.
pub const USAGE: u8 = 2;
/// No daemon answers.
pub const NO_DAEMON: u8 = 3;
/// No such task, or the id prefix names several.
pub const NOT_FOUND: u8 = 4;
/// The daemon refused: the task's state, a key conflict or missing rights do not allow it.
pub const REFUSED: u8 = 5;
/// `wait --timeout`: time was over before the task was.
pub const WAIT_TIMED_OUT: u8 = 6;
/// A task that was waited for was cancelled.
pub const CANCELLED: u8 = 7;
/// A task that was waited for failed.
pub const TASK_FAILED: u8 = 8;
/// A task that was waited for is paused or waits for a person's decision.
pub const NEEDS_PERSON: u8 = 9;
/// The daemon cannot take it now (queue full, disk low, leaving); the same command may work later.
pub const TRY_AGAIN: u8 = 10;
/// `agent check`, `auto-claude agent verify`: an agent is not installed, too old, or described wrongly.
pub const AGENT_MISSING: u8 = 11;
/// `agent check`, `auto-claude agent verify`: an agent does not keep the contract that its driver relies on.
pub const AGENT_CONTRACT: u8 = 12;
/// `agent check`, `account login`: an account has no login that works.
pub const AGENT_LOGIN: u8 = 13;
/// `auto-claude run`: the task's wall or idle time was over (as `timeout` reports it).
pub const TASK_TIMED_OUT: u8 = 124;
/// `auto-claude run`: nobody saw how the task ended.
pub const TASK_LOST: u8 = 125;
/// `auto-claude run`: the command could not be started.
pub const CANNOT_START: u8 = 127;
/// Added to a signal's number: ended by that signal, as shells report it.
pub const SIGNAL_BASE: u8 = 128;
/// Interrupted by Ctrl-C.
pub const INTERRUPTED: u8 = 130;

/// A code with its name and meaning, for the documentation.
#[derive(Debug, Clone, Copy)]
pub struct Named {
    /// The code.
    pub code: u8,
    /// Its name.
    pub name: &'static str,
    /// What it says.
    pub meaning: &'static str,
}

const fn named(code: u8, name: &'static str, meaning: &'static str) -> Named {
    Named {
        code,
        name,
        meaning,
    }
}

/// All codes, in ascending order.
pub const ALL: [Named; 18] = [
    named(OK, "OK", "done; of `wait`: every task completed"),
    named(
        FAILED,
        "FAILED",
        "it could not be done, for a reason that has no code of its own",
    ),
    named(USAGE, "USAGE", "the command line or the input is wrong"),
    named(
        NO_DAEMON,
        "NO_DAEMON",
        "no daemon answers: none is there, or it has shown no sign of life for 10 s",
    ),
    named(
        NOT_FOUND,
        "NOT_FOUND",
        "no such task, or the id prefix names several",
    ),
    named(
        REFUSED,
        "REFUSED",
        "the task's state, a key conflict or missing rights do not allow it",
    ),
    named(
        WAIT_TIMED_OUT,
        "WAIT_TIMED_OUT",
        "`wait --timeout`: time was over before the task was",
    ),
    named(
        CANCELLED,
        "CANCELLED",
        "a task that was waited for was cancelled",
    ),
    named(
        TASK_FAILED,
        "TASK_FAILED",
        "a task that was waited for failed",
    ),
    named(
        NEEDS_PERSON,
        "NEEDS_PERSON",
        "a task that was waited for is paused or waits for a person's decision",
    ),
    named(
        TRY_AGAIN,
        "TRY_AGAIN",
        "the daemon cannot take it now (queue full, disk low, leaving): try again later",
    ),
    named(
        AGENT_MISSING,
        "AGENT_MISSING",
        "`agent check`, `auto-claude agent verify`: an agent is not installed, too old, or described wrongly",
    ),
    named(
        AGENT_CONTRACT,
        "AGENT_CONTRACT",
        "`agent check`, `auto-claude agent verify`: an agent does not keep the contract that its driver relies on",
    ),
    named(
        AGENT_LOGIN,
        "AGENT_LOGIN",
        "`agent check`, `account login`: an account has no login that works",
    ),
    named(
        TASK_TIMED_OUT,
        "TASK_TIMED_OUT",
        "`auto-claude run`: the task's wall or idle time was over",
    ),
    named(
        TASK_LOST,
        "TASK_LOST",
        "`auto-claude run`: nobody saw how the task ended",
    ),
    named(
        CANNOT_START,
        "CANNOT_START",
        "`auto-claude run`: the command could not be started",
    ),
    named(
        INTERRUPTED,
        "INTERRUPTED",
        "interrupted by Ctrl-C; `auto-claude run`: otherwise the task's own exit code, or 128 and its signal's number",
    ),
];

/// The code for a daemon's refusal.
#[must_use]
pub const fn for_refusal(code: RefusalCode) -> u8 {
    match code {
        RefusalCode::BadRequest | RefusalCode::TooLarge => USAGE,
        RefusalCode::NotFound | RefusalCode::AmbiguousId => NOT_FOUND,
        RefusalCode::KeyConflict | RefusalCode::IllegalTransition | RefusalCode::Forbidden => {
            REFUSED
        }
        RefusalCode::QueueFull
        | RefusalCode::DiskLow
        | RefusalCode::ShuttingDown
        | RefusalCode::RequestTimeout => TRY_AGAIN,
        RefusalCode::StoreFailed | RefusalCode::Internal => FAILED,
    }
}

/// The code of `wait` for a task in this state; `None` while it is on its way.
#[must_use]
pub const fn for_waited(state: State) -> Option<u8> {
    match state {
        State::Completed => Some(OK),
        State::Failed => Some(TASK_FAILED),
        State::Cancelled => Some(CANCELLED),
        State::NeedsHumanReview | State::Paused => Some(NEEDS_PERSON),
        State::Pending
        | State::Processing
        | State::WaitingUnban
        | State::Retrying
        | State::Testing => None,
    }
}

/// The code of several waited-for tasks: the worst, where a failed task weighs more than a cancelled one, and that
/// more than one that waits for a person, and that more than one whose time was over.
#[must_use]
pub fn worst(codes: impl IntoIterator<Item = u8>) -> u8 {
    const HEAVIEST_FIRST: [u8; 5] = [FAILED, TASK_FAILED, CANCELLED, NEEDS_PERSON, WAIT_TIMED_OUT];
    let codes: Vec<u8> = codes.into_iter().filter(|code| *code != OK).collect();
    HEAVIEST_FIRST
        .into_iter()
        .find(|heavy| codes.contains(heavy))
        .or_else(|| codes.first().copied())
        .unwrap_or(OK)
}

/// The exit code of a foreground run: the task's own exit status where it has one.
#[must_use]
pub fn for_run(ending: &Ending<'_>) -> u8 {
    let Some(outcome) = ending.outcome else {
        return for_waited(ending.state).unwrap_or(FAILED);
    };
    match outcome.kind {
        OutcomeKind::TimedOut | OutcomeKind::Idle => return TASK_TIMED_OUT,
        OutcomeKind::Lost => return TASK_LOST,
        OutcomeKind::SpawnFailed => return CANNOT_START,
        OutcomeKind::Succeeded
        | OutcomeKind::Exited
        | OutcomeKind::Signaled
        | OutcomeKind::OutOfMemory
        | OutcomeKind::Interrupted
        | OutcomeKind::NeverRan
        | OutcomeKind::Limited
        | OutcomeKind::ToolsDenied
        | OutcomeKind::ToolDeferred
        | OutcomeKind::MaxTurns
        | OutcomeKind::MaxBudget
        | OutcomeKind::Refused
        | OutcomeKind::PromptTooLong
        | OutcomeKind::UnknownSession
        | OutcomeKind::ResumeFailed
        | OutcomeKind::PoisonedSession
        | OutcomeKind::ModelUnavailable
        | OutcomeKind::AgentError
        | OutcomeKind::NoResult
        | OutcomeKind::DependencyFailed => {}
    }
    let own = outcome.exit_code.and_then(|code| u8::try_from(code).ok());
    let by_signal = outcome
        .signal
        .and_then(|signal| u8::try_from(signal).ok())
        .map(|signal| SIGNAL_BASE.saturating_add(signal));
    match own.or(by_signal) {
        // A task that is not `completed` never ends its run with 0.
        Some(OK) if ending.state != State::Completed => for_waited(ending.state).unwrap_or(FAILED),
        Some(code) => code,
        None => for_waited(ending.state).unwrap_or(FAILED),
    }
}
