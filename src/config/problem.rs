//! What can be wrong with the settings: every problem with its place, key, value and what is allowed.
//!
//! Invariants: all problems of a load are reported together; a value is shown shortened and escaped, and the
//! password of a database address is never shown.

use std::fmt;
use std::path::PathBuf;

/// Characters of a bad value that are shown.
const MAX_SHOWN_CHARS: usize = 80;
/// Problems that are printed; the rest is counted.
const MAX_SHOWN_PROBLEMS: usize = 50;

/// Where a setting, or a problem with it, comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// The configuration file; line and column count from 1, `None` when the whole file is meant.
    File {
        /// The file.
        path: PathBuf,
        /// Line and column of the key or of the syntax error.
        position: Option<(usize, usize)>,
    },
    /// An environment variable.
    Env(&'static str),
}

impl fmt::Display for Place {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File {
                path,
                position: Some((line, column)),
            } => write!(out, "{}:{line}:{column}", path.display()),
            Self::File {
                path,
                position: None,
            } => write!(out, "{}", path.display()),
            Self::Env(name) => write!(out, "environment variable {name}"),
        }
    }
}

/// One thing that is wrong with the settings.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// The file cannot be read as a configuration at all.
    #[error("{place}: {why}")]
    Unreadable {
        /// The file.
        place: Place,
        /// What is wrong and what to do.
        why: String,
    },
    /// The file is not TOML.
    #[error("{place}: not valid TOML: {why}")]
    Syntax {
        /// Line and column.
        place: Place,
        /// The parser's words.
        why: String,
    },
    /// A key that no setting has.
    #[error("{place}: unknown key `{key}`{}", hint(.nearest.as_deref()))]
    UnknownKey {
        /// Where it stands.
        place: Place,
        /// Its full path.
        key: String,
        /// The known key that looks most like it.
        nearest: Option<&'static str>,
    },
    /// A value that its setting does not take.
    #[error("{place}: {key} = {value}: must be {allowed}")]
    BadValue {
        /// Where it stands.
        place: Place,
        /// The setting, with an index when an element of a list is meant.
        key: String,
        /// The value, shortened and escaped.
        value: String,
        /// What is allowed.
        allowed: String,
    },
}

fn hint(nearest: Option<&str>) -> String {
    nearest.map_or_else(
        || "; `auto-claude check-config` lists all keys".to_owned(),
        |name| format!("; did you mean `{name}`?"),
    )
}

impl Problem {
    /// The line of the file, where there is one.
    #[must_use]
    pub fn line(&self) -> Option<usize> {
        match self.place() {
            Place::File { position, .. } => position.map(|(line, _)| line),
            Place::Env(_) => None,
        }
    }

    /// Where the problem is.
    #[must_use]
    pub fn place(&self) -> &Place {
        match self {
            Self::Unreadable { place, .. }
            | Self::Syntax { place, .. }
            | Self::UnknownKey { place, .. }
            | Self::BadValue { place, .. } => place,
        }
    }
}

/// The settings were refused; nothing of them was taken over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError {
    /// All problems, the file's first, in its order. Never empty.
    pub problems: Vec<Problem>,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let [only] = self.problems.as_slice() {
            return write!(out, "load the settings: {only}");
        }
        write!(out, "load the settings: {} problems:", self.problems.len())?;
        for problem in self.problems.iter().take(MAX_SHOWN_PROBLEMS) {
            write!(out, "\n  {problem}")?;
        }
        if self.problems.len() > MAX_SHOWN_PROBLEMS {
            write!(
                out,
                "\n  … and {} more",
                self.problems.len() - MAX_SHOWN_PROBLEMS
            )?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigError {}

/// `text` on one line, escaped, in quotes, not longer than a terminal line.
#[must_use]
pub(super) fn shown(text: &str) -> String {
    let mut short: String = text
        .chars()
        .take(MAX_SHOWN_CHARS)
        .flat_map(char::escape_debug)
        .collect();
    if text.chars().nth(MAX_SHOWN_CHARS).is_some() {
        short.push('…');
    }
    format!("\"{short}\"")
}
