//! Colour for states: only where the reader is a terminal that wants it.

use crate::task::State;

const RESET: &str = "\x1b[0m";

/// `text` in the colour of a state, or as it is.
#[must_use]
pub fn state(colour: bool, state: State, text: &str) -> String {
    if !colour {
        return text.to_owned();
    }
    let code = match state {
        State::Pending | State::Cancelled => "\x1b[2m",
        State::Processing | State::Testing => "\x1b[36m",
        State::Paused | State::WaitingUnban | State::Retrying => "\x1b[33m",
        State::NeedsHumanReview => "\x1b[35m",
        State::Completed => "\x1b[32m",
        State::Failed => "\x1b[31m",
    };
    format!("{code}{text}{RESET}")
}

/// `text` emphasised, or as it is.
#[must_use]
pub fn bold(colour: bool, text: &str) -> String {
    if colour {
        format!("\x1b[1m{text}{RESET}")
    } else {
        text.to_owned()
    }
}
