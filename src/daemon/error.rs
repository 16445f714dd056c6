//! How `auto-claude` fails: one sentence and a named exit code.

use crate::api::BindError;
use crate::config::{ConfigError, PathError};
use crate::store::{CopyError, in_full};
use crate::supervisor::lock::LockError;
use crate::supervisor::start::StartError;

/// A failure, as the user sees it.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct ExitError {
    /// What, where, what to do.
    pub message: String,
    /// The exit code (see the constants).
    pub code: u8,
}

impl ExitError {
    /// Something went wrong.
    pub const FAILED: u8 = 1;
    /// The command line or the settings are wrong.
    pub const USAGE: u8 = 2;
    /// Another daemon has the state directory or the database.
    pub const IN_USE: u8 = 4;
    /// The database is damaged, or of a newer version.
    pub const STORE_REFUSED: u8 = 5;

    /// A failure with the code [`Self::FAILED`].
    pub fn failed(message: impl std::fmt::Display) -> Self {
        Self {
            message: message.to_string(),
            code: Self::FAILED,
        }
    }

    /// A failure with the code [`Self::FAILED`], and with what caused it: an error's own words often leave that to its source.
    pub fn of(error: &dyn std::error::Error) -> Self {
        Self::failed(in_full(error))
    }

    /// A stable name of the reason, for `--json`.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self.code {
            Self::USAGE => "bad_request",
            Self::IN_USE => "in_use",
            Self::STORE_REFUSED => "store_refused",
            _ => "failed",
        }
    }

    /// As the one line for stderr under `--json`.
    #[must_use]
    pub fn to_json(&self) -> String {
        let code = match self.code {
            Self::USAGE => "bad_request",
            Self::IN_USE => "in_use",
            Self::STORE_REFUSED => "store_refused",
            _ => "failed",
        };
        serde_json::json!({ "error": { "code": code, "message": self.message } }).to_string()
    }

    /// The same with another code.
    #[must_use]
    pub fn with_code(mut self, code: u8) -> Self {
        self.code = code;
        self
    }
}

impl From<ConfigError> for ExitError {
    fn from(error: ConfigError) -> Self {
        Self::failed(error).with_code(Self::USAGE)
    }
}

impl From<PathError> for ExitError {
    fn from(error: PathError) -> Self {
        Self::failed(error).with_code(Self::USAGE)
    }
}

impl From<StartError> for ExitError {
    fn from(error: StartError) -> Self {
        let code = match &error {
            StartError::Lock(LockError::Held { .. } | LockError::DatabaseHeld { .. }) => {
                Self::IN_USE
            }
            StartError::Open(_) | StartError::Elsewhere { .. } => Self::STORE_REFUSED,
            StartError::Rights(_) => Self::USAGE,
            StartError::Lock(LockError::Io { .. })
            | StartError::StateDir { .. }
            | StartError::Store(_)
            | StartError::Machine(_) => Self::FAILED,
        };
        Self::of(&error).with_code(code)
    }
}

impl From<CopyError> for ExitError {
    fn from(error: CopyError) -> Self {
        let code = match &error {
            CopyError::Unsound { .. } | CopyError::Open(_) => Self::STORE_REFUSED,
            CopyError::Exists(_) | CopyError::File { .. } | CopyError::Store(_) => Self::FAILED,
        };
        Self::of(&error).with_code(code)
    }
}

impl From<BindError> for ExitError {
    fn from(error: BindError) -> Self {
        let code = match &error {
            BindError::Path(_) | BindError::Rights(_) => Self::USAGE,
            BindError::InUse { .. } | BindError::NotASocket { .. } | BindError::Io { .. } => {
                Self::FAILED
            }
        };
        Self::of(&error).with_code(code)
    }
}

impl From<std::io::Error> for ExitError {
    fn from(error: std::io::Error) -> Self {
        Self::failed(error)
    }
}
