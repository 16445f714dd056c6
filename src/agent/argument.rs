//! What may stand on an agent's command line.

/// Longest prompt on a command line: the kernel refuses an argument of 128 KiB, its end mark included. A longer one is given
/// on standard input, to agents that take it there.
pub const ARGUMENT_MAX_BYTES: usize = 128 * 1024 - 1;
/// As much of a bad value as an error quotes.
const QUOTED_CHARS: usize = 64;

/// An argument that the kernel or the agent would not take, or would take for something else.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ArgumentError {
    /// Nothing is asked.
    #[error("the prompt is empty: say what the agent is to do")]
    PromptEmpty,
    /// The kernel takes no such argument.
    #[error(
        "the prompt has {bytes} bytes, and this agent takes it as an argument only, which may have {ARGUMENT_MAX_BYTES}: put the text into a file and tell the agent to read it"
    )]
    PromptTooLong {
        /// Its length.
        bytes: usize,
    },
    /// An argument ends at a NUL.
    #[error("{what} holds a NUL character, which no command line can hold")]
    Nul {
        /// Which argument.
        what: &'static str,
    },
    /// It would be read as an option.
    #[error(
        "{what} {value:?} is empty or begins with \"-\", so the agent would take it for an option"
    )]
    Value {
        /// Which value.
        what: &'static str,
        /// What was given.
        value: String,
    },
}

/// Whether a prompt is longer than an argument may be, so that it has to be given on standard input.
#[must_use]
pub const fn is_for_input(prompt: &str) -> bool {
    prompt.len() > ARGUMENT_MAX_BYTES
}

pub(super) fn check_prompt(prompt: &str) -> Result<(), ArgumentError> {
    if prompt.trim().is_empty() {
        return Err(ArgumentError::PromptEmpty);
    }
    no_nul("the prompt", prompt)
}

/// A value that must not be taken for an option.
pub(super) fn check_value(what: &'static str, value: &str) -> Result<(), ArgumentError> {
    if value.trim().is_empty() || value.starts_with('-') {
        return Err(ArgumentError::Value {
            what,
            value: quoted(value),
        });
    }
    no_nul(what, value)
}

pub(super) fn no_nul(what: &'static str, text: &str) -> Result<(), ArgumentError> {
    if text.contains('\0') {
        return Err(ArgumentError::Nul { what });
    }
    Ok(())
}

/// The beginning of a bad value, for an error.
pub(super) fn quoted(text: &str) -> String {
    text.chars().take(QUOTED_CHARS).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// docs/agents.md names it. The kernel counts the end mark as well.
    #[test]
    fn the_longest_prompt_that_is_an_argument_is_the_kernels() {
        assert_eq!(ARGUMENT_MAX_BYTES, 131_071);
        assert!(!is_for_input(&"x".repeat(ARGUMENT_MAX_BYTES)));
        assert!(is_for_input(&"x".repeat(ARGUMENT_MAX_BYTES + 1)));
    }
}
