//! Why a command of `taskctl` ended without doing what was asked: an exit code and one sentence.

use std::io;

use crate::api::wire::ErrorBody;
use crate::supervisor::command::RefusalCode;

use super::exit;

/// The name of [`CliError::no_daemon`].
const NO_DAEMON_CODE: &str = "no_daemon";

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub enum CliError {
    /// One sentence for stderr, and the exit code.
    #[error("{message}")]
    Said {
        /// One of [`exit`]'s codes.
        exit: u8,
        /// A stable name of the reason, for `--json`.
        code: &'static str,
        /// What, where, what to do.
        message: String,
    },
    /// The daemon refused.
    #[error("{}", .0.message)]
    Refused(ErrorBody),
    /// Whoever read our output has gone (`| head`): nothing to say, nothing failed.
    #[error("the output was closed")]
    OutputClosed,
}

impl CliError {
    /// The command line or the input is wrong.
    pub fn usage(message: impl Into<String>) -> Self {
        Self::said(exit::USAGE, "bad_request", message)
    }

    /// It could not be done.
    pub fn failed(message: impl Into<String>) -> Self {
        Self::said(exit::FAILED, "failed", message)
    }

    /// No daemon answers.
    pub fn no_daemon(message: impl Into<String>) -> Self {
        Self::said(exit::NO_DAEMON, NO_DAEMON_CODE, message)
    }

    /// A daemon takes connections and gives no answer. Not [`Self::is_no_daemon`]: to connect anew would not help.
    pub fn no_answer(message: impl Into<String>) -> Self {
        Self::said(exit::NO_DAEMON, "no_answer", message)
    }

    /// Something was refused on this side.
    pub fn refused(message: impl Into<String>) -> Self {
        Self::said(exit::REFUSED, "refused", message)
    }

    /// With a code of one's own.
    pub fn said(exit: u8, code: &'static str, message: impl Into<String>) -> Self {
        Self::Said {
            exit,
            code,
            message: message.into(),
        }
    }

    /// A failed write to stdout.
    #[must_use]
    pub fn output(error: &io::Error) -> Self {
        if error.kind() == io::ErrorKind::BrokenPipe {
            Self::OutputClosed
        } else {
            Self::failed(format!("failed to write the output: {error}"))
        }
    }

    /// The exit code.
    #[must_use]
    pub const fn exit(&self) -> u8 {
        match self {
            Self::Said { exit, .. } => *exit,
            Self::Refused(body) => exit::for_refusal(body.code),
            Self::OutputClosed => exit::OK,
        }
    }

    /// As the one line for stderr under `--json`; `None` when there is nothing to say.
    #[must_use]
    pub fn to_json(&self) -> Option<String> {
        let body = match self {
            Self::Said { code, message, .. } => {
                serde_json::json!({ "error": { "code": code, "message": message } })
            }
            Self::Refused(body) => serde_json::json!({ "error": body }),
            Self::OutputClosed => return None,
        };
        Some(body.to_string())
    }

    /// Whether the same request may be answered soon, by the next daemon: none was reached, or this one is leaving.
    #[must_use]
    pub fn is_away(&self) -> bool {
        let leaves = matches!(self, Self::Refused(body) if body.code == RefusalCode::ShuttingDown);
        leaves || self.is_no_daemon()
    }

    /// Whether the daemon could not be reached (as opposed to: it answered).
    #[must_use]
    pub fn is_no_daemon(&self) -> bool {
        matches!(self, Self::Said { code, .. } if *code == NO_DAEMON_CODE)
    }
}
