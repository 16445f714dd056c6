//! How an agent's login is looked at and made.

use serde::{Deserialize, Serialize};

/// How an agent tells whether it has a login, and how a person logs in.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Login {
    /// The arguments by which it tells whether there is one. They cost nothing and ask no model. Empty = it cannot tell.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub check: Vec<String>,
    /// What it prints when there is none, for an agent whose exit code does not tell: a regular expression.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub none: Option<String>,
    /// The arguments that begin its login on a terminal. Empty = the program by itself asks.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub run: Vec<String>,
    /// Variables that are a login by themselves, which `check` may not look at.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub variables: Vec<String>,
}

impl Login {
    /// Whether this answer to `check` says that there is a login.
    #[must_use]
    pub fn is_there(&self, exit_code: Option<i32>, said: &str) -> bool {
        let says_none = self
            .none
            .as_ref()
            .and_then(|pattern| regex::Regex::new(pattern).ok())
            .is_some_and(|pattern| pattern.is_match(said));
        exit_code == Some(0) && !says_none
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exit_code_and_words_both_deny() {
        let login = Login {
            none: Some("(?i)no authentication".to_owned()),
            ..Login::default()
        };
        assert!(login.is_there(Some(0), "API key"));
        assert!(!login.is_there(Some(1), "API key"));
        assert!(!login.is_there(None, "API key"));
        assert!(!login.is_there(Some(0), "No authentication method configured."));
    }
}
