//! Names of tasks and attempts.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The public id of a task: `task_` and 13 characters of Crockford base 32 in lower case (65 random bits).
///
/// Random characters come first, so a short prefix is enough to name a task among many.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TaskId(String);

/// One try at a task: the task and its generation (1 for the first). Written `task_….N`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct AttemptId {
    /// The task.
    pub task: TaskId,
    /// Its generation, from 1: the fencing number.
    pub generation: u32,
}

/// The text names no task or attempt.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not {expected}")]
pub struct ParseIdError {
    text: String,
    expected: &'static str,
}

const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

/// Whether it is one of [`ALPHABET`]; each row that is read asks for each of its letters.
const fn is_of_alphabet(byte: u8) -> bool {
    matches!(byte, b'0'..=b'9' | b'a'..=b'z') && !matches!(byte, b'i' | b'l' | b'o' | b'u')
}

impl TaskId {
    /// What every id begins with.
    pub const PREFIX: &'static str = "task_";
    /// Characters after the prefix.
    pub const RANDOM_CHARS: usize = 13;

    /// Builds the id from random bits (the low 65 are used).
    #[must_use]
    pub fn from_random(bits: u128) -> Self {
        let mut text = String::with_capacity(Self::PREFIX.len() + Self::RANDOM_CHARS);
        text.push_str(Self::PREFIX);
        for n in 0..Self::RANDOM_CHARS {
            let index = (bits >> (5 * n)) & 31;
            text.push(char::from(ALPHABET[index as usize]));
        }
        Self(text)
    }

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether `text` could be the beginning of an id: the prefix, or characters that may follow it. Returns the full
    /// prefix to look for (`k3` becomes `task_k3`).
    ///
    /// # Errors
    /// When nothing is left of `text` without the prefix (every task would match), when it is too long, or holds characters that no id has.
    pub fn parse_prefix(text: &str) -> Result<String, ParseIdError> {
        let body = text.strip_prefix(Self::PREFIX).unwrap_or(text);
        let fits = !body.is_empty()
            && body.len() <= Self::RANDOM_CHARS
            && body.bytes().all(is_of_alphabet);
        if fits {
            Ok(format!("{}{body}", Self::PREFIX))
        } else {
            Err(ParseIdError {
                text: clip(text),
                expected: "a task id (task_ and up to 13 characters of 0-9 a-z without i l o u)",
            })
        }
    }
}

/// Error texts quote at most this much of what was given.
const QUOTED_CHARS: usize = 40;

pub(super) fn clip(text: &str) -> String {
    text.chars().take(QUOTED_CHARS).collect()
}

impl FromStr for TaskId {
    type Err = ParseIdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let whole = text.strip_prefix(Self::PREFIX).is_some_and(|body| {
            body.len() == Self::RANDOM_CHARS && body.bytes().all(is_of_alphabet)
        });
        if whole {
            Ok(Self(text.to_owned()))
        } else {
            Err(ParseIdError {
                text: clip(text),
                expected: "a task id",
            })
        }
    }
}

impl TryFrom<String> for TaskId {
    type Error = ParseIdError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<TaskId> for String {
    fn from(id: TaskId) -> Self {
        id.0
    }
}

impl fmt::Display for TaskId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for AttemptId {
    type Err = ParseIdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || ParseIdError {
            text: clip(text),
            expected: "an attempt id (a task id, a dot, a number from 1)",
        };
        let (task, generation) = text.split_once('.').ok_or_else(wrong)?;
        let canonical =
            !generation.starts_with('0') && generation.bytes().all(|byte| byte.is_ascii_digit());
        let generation = generation
            .parse()
            .ok()
            .filter(|_| canonical)
            .ok_or_else(wrong)?;
        Ok(Self {
            task: task.parse().map_err(|_| wrong())?,
            generation,
        })
    }
}

impl TryFrom<String> for AttemptId {
    type Error = ParseIdError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<AttemptId> for String {
    fn from(id: AttemptId) -> Self {
        id.to_string()
    }
}

impl fmt::Display for AttemptId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.task, self.generation)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_id_may_hold_is_what_it_is_made_of() {
        for byte in 0..=u8::MAX {
            assert_eq!(is_of_alphabet(byte), ALPHABET.contains(&byte), "{byte}");
        }
    }
}
