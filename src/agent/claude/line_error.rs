//! What can be wrong with a command line of Claude Code that a user wrote.

use super::argv::ArgvError;

/// Longest command line that is read.
pub(super) const LINE_MAX_BYTES: usize = 256 * 1024;

/// A command line that would not do what it says.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LineError {
    /// Longer than any that is meant.
    #[error("the command line has {bytes} bytes; {LINE_MAX_BYTES} are read")]
    TooLong {
        /// Its length.
        bytes: usize,
    },
    /// A quote that is not closed.
    #[error("a quote is opened and not closed in {line:?}")]
    Quote {
        /// The beginning of the line.
        line: String,
    },
    /// Nothing is asked, and there is no terminal to ask at.
    #[error("no prompt: an unattended agent needs one, as in claude -p \"fix the failing tests\"")]
    NoPrompt,
    /// The agent would drop the second one in silence.
    #[error(
        "two prompts, {first:?} and {second:?}: the agent takes one argument, so quote the whole prompt"
    )]
    TwoPrompts {
        /// The first.
        first: String,
        /// The second.
        second: String,
    },
    /// An option without the value it takes.
    #[error("the option {flag} has no value")]
    NoValue {
        /// Which.
        flag: String,
    },
    /// A value that the agent does not take.
    #[error("{value:?} is no value of {flag}: {expected}")]
    Value {
        /// Of which option.
        flag: String,
        /// What was given.
        value: String,
        /// What is taken.
        expected: &'static str,
    },
    /// An option we do not know, in front of what may be its value or the prompt.
    #[error(
        "{flag} is not known here, so whether {next:?} is its value or the prompt cannot be told: write {flag}=VALUE, or put the prompt behind --"
    )]
    Unknown {
        /// Which.
        flag: String,
        /// What stands behind it.
        next: String,
    },
    /// It goes on with whatever session was the last one.
    #[error(
        "{flag} goes on with whatever session was the last one in this directory: name the session with --resume ID"
    )]
    Continue {
        /// As written.
        flag: String,
    },
    /// What the agent would not take.
    #[error(transparent)]
    Argv(#[from] ArgvError),
}
