//! What a driver relies on, clause by clause, and whether it was found so.

use serde::{Deserialize, Serialize};

use crate::agent::{Standing, Version};

/// One thing that the driver relies on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Clause {
    /// A stable name.
    pub name: String,
    /// What is relied on, in words.
    pub what: String,
    /// It was found so.
    pub kept: bool,
    /// What was found instead; empty when it is kept.
    pub found: String,
}

/// The result of a check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Contract {
    /// The version that the program tells; `None` = it tells none.
    pub version: Option<Version>,
    /// Where that stands to the versions that were tried.
    pub standing: Standing,
    /// The clauses, in the order in which they were checked.
    pub clauses: Vec<Clause>,
}

impl Contract {
    /// Whether every clause is kept.
    #[must_use]
    pub fn is_kept(&self) -> bool {
        self.clauses.iter().all(|clause| clause.kept)
    }

    /// What is broken, in one line; empty when it is kept.
    #[must_use]
    pub fn broken(&self) -> String {
        let broken: Vec<&Clause> = self.clauses.iter().filter(|clause| !clause.kept).collect();
        let Some(first) = broken.first() else {
            return String::new();
        };
        let more = match broken.len() - 1 {
            0 => String::new(),
            more => format!(", and {more} more"),
        };
        let version = self
            .version
            .map_or_else(String::new, |version| format!("{version}: "));
        format!("{version}{}: {}{more}", first.name, first.found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_broken_is_told_in_one_line() {
        let clause = |name: &str, kept: bool| Clause {
            name: name.to_owned(),
            what: "w".to_owned(),
            kept,
            found: if kept { "" } else { "nothing" }.to_owned(),
        };
        let mut contract = Contract {
            version: Some(Version(9, 0, 1)),
            standing: Standing::Newer,
            clauses: vec![clause("a", true)],
        };
        assert!(contract.is_kept());
        assert_eq!(contract.broken(), "");
        contract
            .clauses
            .extend([clause("b", false), clause("c", false)]);
        assert!(!contract.is_kept());
        assert_eq!(contract.broken(), "9.0.1: b: nothing, and 1 more");
    }
}
