//! The one transition table: where each event leads from each state. Everything that moves a task goes through it.
//!
//! Read it aloud, row by row: "a *claim* leads from `pending` to `processing` … and is illegal anywhere else". It is total:
//! every pair is spelled, there is no catch-all, and the compiler checks that rows and columns stand where their names say.
//! What an event does to the rest of the row is [`super::Lifecycle::apply`]'s matter; `docs/state-machine.md` is
//! generated from this page.

use super::kind::EventKind::{self, *};
use super::state::State;

#[rustfmt::skip]
const TABLE: [(EventKind, [Cell; State::ALL.len()]); EventKind::ALL.len()] = [
//                     pending  processing paused waiting_unban retrying testing review completed failed cancelled
    (Submit,           [_____,  _____,    _____,  _____,        _____,   _____,  _____, _____,    _____, _____]),
    (Claim,            [RUN__,  _____,    _____,  _____,        RUN__,   TEST_,  _____, _____,    _____, _____]),
    (Start,            [_____,  RUN__,    _____,  _____,        _____,   TEST_,  _____, _____,    _____, _____]),
    (Intend,           [_____,  RUN__,    _____,  _____,        _____,   TEST_,  _____, _____,    _____, _____]),
    // how an attempt ends
    (NeverRan,         [_____,  PEND_,    _____,  _____,        _____,   _____,  _____, _____,    _____, _____]),
    (Complete,         [_____,  DONE_,    _____,  _____,        _____,   DONE_,  _____, _____,    _____, _____]),
    (Fail,             [_____,  FAIL_,    _____,  _____,        _____,   FAIL_,  _____, _____,    _____, _____]),
    (Retry,            [_____,  RETRY,    _____,  _____,        _____,   RETRY,  _____, _____,    _____, _____]),
    (Continue,         [_____,  RETRY,    _____,  _____,        _____,   RETRY,  _____, _____,    _____, _____]),
    (Limit,            [_____,  UNBAN,    _____,  _____,        _____,   _____,  _____, _____,    _____, _____]),
    (PauseAttempt,     [_____,  PAUSE,    _____,  _____,        _____,   PAUSE,  _____, _____,    _____, _____]),
    (CancelAttempt,    [_____,  CANC_,    _____,  _____,        _____,   CANC_,  _____, _____,    _____, _____]),
    (ToReview,         [_____,  REVW_,    _____,  _____,        _____,   REVW_,  _____, _____,    _____, _____]),
    (Defer,            [_____,  REVW_,    _____,  _____,        _____,   _____,  _____, _____,    _____, _____]),
    (Test,             [_____,  TEST_,    _____,  _____,        _____,   TEST_,  _____, _____,    _____, _____]),
    // what happens to a task that does not run
    (Pause,            [PAUSE,  _____,    PAUSE,  PAUSE,        PAUSE,   _____,  _____, _____,    _____, _____]),
    (DropReason,       [_____,  _____,    PAUSE,  _____,        _____,   _____,  _____, _____,    _____, _____]),
    (ResumeToPending,  [_____,  _____,    PEND_,  _____,        _____,   _____,  _____, _____,    _____, _____]),
    (ResumeToRetrying, [_____,  _____,    RETRY,  _____,        _____,   _____,  _____, _____,    _____, _____]),
    (ResumeToUnban,    [_____,  _____,    UNBAN,  _____,        _____,   _____,  _____, _____,    _____, _____]),
    (Attach,           [_____,  _____,    PAUSE,  _____,        _____,   _____,  _____, _____,    _____, _____]),
    (Detach,           [_____,  _____,    PAUSE,  _____,        _____,   _____,  _____, _____,    _____, _____]),
    (Cancel,           [CANC_,  _____,    CANC_,  CANC_,        CANC_,   _____,  CANC_, _____,    _____, _____]),
    (Hold,             [_____,  _____,    _____,  _____,        UNBAN,   _____,  _____, _____,    _____, _____]),
    (Release,          [_____,  _____,    _____,  RETRY,        _____,   _____,  _____, _____,    _____, _____]),
    (Move,             [PEND_,  _____,    _____,  RETRY,        RETRY,   _____,  _____, _____,    _____, _____]),
    (DependencyFail,   [FAIL_,  _____,    FAIL_,  _____,        _____,   _____,  _____, _____,    _____, _____]),
    (Edit,             [PEND_,  _____,    PAUSE,  UNBAN,        RETRY,   _____,  _____, _____,    _____, _____]),
    // what a person is asked, and asks for
    (Screen,           [REVW_,  _____,    _____,  _____,        _____,   _____,  _____, _____,    _____, _____]),
    (Approve,          [_____,  _____,    _____,  _____,        _____,   _____,  PEND_, _____,    _____, _____]),
    (Reject,           [_____,  _____,    _____,  _____,        _____,   _____,  CANC_, _____,    _____, _____]),
    (Answer,           [_____,  _____,    _____,  _____,        _____,   _____,  RETRY, _____,    _____, _____]),
    (Reopen,           [_____,  _____,    _____,  _____,        _____,   _____,  _____, PEND_,    PEND_, PEND_]),
];

/// A cell of the table: the next state, or nothing where the pair is illegal.
type Cell = Option<State>;

const _____: Cell = None;
const PEND_: Cell = Some(State::Pending);
const RUN__: Cell = Some(State::Processing);
const PAUSE: Cell = Some(State::Paused);
const UNBAN: Cell = Some(State::WaitingUnban);
const RETRY: Cell = Some(State::Retrying);
const TEST_: Cell = Some(State::Testing);
const REVW_: Cell = Some(State::NeedsHumanReview);
const DONE_: Cell = Some(State::Completed);
const FAIL_: Cell = Some(State::Failed);
const CANC_: Cell = Some(State::Cancelled);

/// The event has no place in the state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("apply {:?} to a task that is {}: there is no such transition", event.name(), state.name())]
pub struct IllegalTransition {
    /// Where the task stands.
    pub state: State,
    /// What was to happen.
    pub event: EventKind,
}

/// Where `event` leads from `state`.
///
/// # Errors
/// [`IllegalTransition`] with both halves when the pair is illegal.
pub const fn next_state(state: State, event: EventKind) -> Result<State, IllegalTransition> {
    let (_, row) = TABLE[event as usize];
    match row[state as usize] {
        Some(next) => Ok(next),
        None => Err(IllegalTransition { state, event }),
    }
}

/// Every legal transition, state by state: (from, event, to).
pub fn transitions() -> impl Iterator<Item = (State, EventKind, State)> {
    State::ALL.into_iter().flat_map(|from| {
        EventKind::ALL.into_iter().filter_map(move |event| {
            let to = next_state(from, event).ok()?;
            Some((from, event, to))
        })
    })
}

// Rows and columns are found by number: refuse to compile when one stands where another belongs.
const _: () = {
    let mut n = 0;
    while n < TABLE.len() {
        assert!(TABLE[n].0 as usize == n && EventKind::ALL[n] as usize == n);
        n += 1;
    }
    let mut n = 0;
    while n < State::ALL.len() {
        assert!(State::ALL[n] as usize == n);
        n += 1;
    }
};
