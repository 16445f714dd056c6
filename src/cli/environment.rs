//! What of the submitter's environment goes with a task, and what does not.
//!
//! Promise: a variable whose *name* looks like a credential's is not stored unless the user names it; the user is told
//! which ones were left out and how to pass them. Values are never shown.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::Path;

use super::error::CliError;
use super::values::EnvArg;

/// Ends of names that look like a credential's (compared without regard to case, a plural `S` allowed).
const CREDENTIAL_ENDS: [&str; 7] = [
    "KEY",
    "TOKEN",
    "SECRET",
    "PASSWORD",
    "PASSWD",
    "PASSPHRASE",
    "CREDENTIAL",
];

/// Variables that speak of the submitting process, not of the task: its place in the tree of shells, its supervisor's
/// sockets.
const OF_THE_SUBMITTER: [&str; 13] = [
    "_",
    "PWD",
    "OLDPWD",
    "SHLVL",
    "NOTIFY_SOCKET",
    "LISTEN_FDS",
    "LISTEN_PID",
    "LISTEN_FDNAMES",
    "WATCHDOG_PID",
    "WATCHDOG_USEC",
    "INVOCATION_ID",
    "JOURNAL_STREAM",
    "CREDENTIALS_DIRECTORY",
];

/// Variables of an outer task: a task submitted from inside a task is a task of its own.
const OF_AN_OUTER_TASK: &str = "AUTO_CLAUDE_";

/// What goes with the task, and what was left out.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Captured {
    /// The task's environment.
    pub env: BTreeMap<String, String>,
    /// Names that look like credentials.
    pub credentials: Vec<String>,
    /// Names of variables that are no text and cannot be stored.
    pub not_text: Vec<String>,
}

/// Whether the name looks like a credential's.
#[must_use]
pub fn looks_like_credential(name: &str) -> bool {
    let name = name.to_ascii_uppercase();
    let name = name.strip_suffix('S').unwrap_or(&name);
    CREDENTIAL_ENDS.iter().any(|end| name.ends_with(end))
}

/// Sorts the submitter's variables.
#[must_use]
pub fn capture(vars: impl IntoIterator<Item = (OsString, OsString)>) -> Captured {
    let mut captured = Captured::default();
    for (name, value) in vars {
        let shown = name.to_string_lossy().into_owned();
        if OF_THE_SUBMITTER.contains(&shown.as_str()) || shown.starts_with(OF_AN_OUTER_TASK) {
            continue;
        }
        match (name.into_string(), value.into_string()) {
            (Ok(name), _) if looks_like_credential(&name) => captured.credentials.push(name),
            (Ok(name), Ok(value)) => {
                captured.env.insert(name, value);
            }
            (Ok(_) | Err(_), _) => captured.not_text.push(shown),
        }
    }
    captured.credentials.sort();
    captured.not_text.sort();
    captured
}

impl Captured {
    /// The task's environment with what was given by name; `PWD` is the task's directory.
    ///
    /// # Errors
    /// When `--env NAME` names a variable that the submitter does not have.
    pub fn with(mut self, given: &[EnvArg], cwd: &Path) -> Result<Self, CliError> {
        if let Some(cwd) = cwd.to_str() {
            self.env.insert("PWD".to_owned(), cwd.to_owned());
        }
        for arg in given {
            let (name, value) = resolved(arg)?;
            self.credentials.retain(|left_out| *left_out != name);
            self.not_text.retain(|left_out| *left_out != name);
            self.env.insert(name, value);
        }
        Ok(self)
    }

    /// The line for stderr about what was left out; `None` when nothing was. `passed` are names given as secrets.
    #[must_use]
    pub fn notice(&self, passed: &[&str]) -> Option<String> {
        let left_out: Vec<&str> = self
            .credentials
            .iter()
            .map(String::as_str)
            .filter(|name| !passed.contains(name))
            .collect();
        let mut parts = Vec::new();
        if let Some(first) = left_out.first() {
            parts.push(format!(
                "not passed on, as their names look like credentials: {} (by reference: --secret {first}=file:PATH, or \
                 --secret {first}=env:{first} from the daemon's environment; stored as it is: --env {first}; an agent has its own by its account: taskctl account add)",
                left_out.join(", ")
            ));
        }
        if !self.not_text.is_empty() {
            parts.push(format!(
                "not passed on, as they are not UTF-8: {}",
                self.not_text.join(", ")
            ));
        }
        (!parts.is_empty()).then(|| parts.join("; "))
    }
}

/// A variable's name and value; the value is the present one where none is given.
///
/// # Errors
/// There is none.
pub fn resolved(arg: &EnvArg) -> Result<(String, String), CliError> {
    match arg {
        EnvArg::Set(name, value) => Ok((name.clone(), value.clone())),
        EnvArg::Keep(name) => {
            let value = std::env::var(name).map_err(|_| {
                CliError::usage(format!("--env {name}: there is no such variable here; give its value with --env {name}=VALUE"))
            })?;
            Ok((name.clone(), value))
        }
    }
}
