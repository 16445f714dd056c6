//! Versions of agents' programs, and which of them are known.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A version: three numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version(pub u32, pub u32, pub u32);

impl Version {
    /// The first version in a text: `2.1.329 (Claude Code)`, `codex-cli 0.169.0`. What follows the third number (`-beta`) is
    /// left out.
    #[must_use]
    pub fn in_text(text: &str) -> Option<Self> {
        let mut rest = text;
        while let Some(start) = rest.find(|c: char| c.is_ascii_digit()) {
            let word = rest.get(start..)?;
            let end = word
                .find(|c: char| !c.is_ascii_digit() && c != '.')
                .unwrap_or(word.len());
            let (word, after) = word.split_at(end);
            if let Some(version) = Self::parse(word.trim_end_matches('.')) {
                return Some(version);
            }
            rest = after;
        }
        None
    }

    fn parse(word: &str) -> Option<Self> {
        let mut parts = word.split('.');
        let mut next = || parts.next()?.parse().ok();
        Some(Self(next()?, next()?, next()?))
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.0, self.1, self.2)
    }
}

impl Serialize for Version {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Version {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| {
            serde::de::Error::custom(format!("{text:?} is no version such as 2.1.0"))
        })
    }
}

/// The versions that a driver, or a description, was tried with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tried {
    /// The oldest; an older one is not started where that can be known.
    pub oldest: Version,
    /// The newest; a newer one is started, with a warning.
    pub newest: Version,
}

/// How an installed version stands to the known ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// Inside the range that was tried.
    Tried,
    /// Newer than that: it may behave differently.
    Newer,
    /// Older than that: what is relied on may be missing.
    TooOld,
    /// It tells no version, or nobody says which were tried.
    Unknown,
}

impl Standing {
    /// Where `version` stands.
    #[must_use]
    pub fn of(version: Option<Version>, tried: Option<Tried>) -> Self {
        match (version, tried) {
            (Some(version), Some(tried)) if version < tried.oldest => Self::TooOld,
            (Some(version), Some(tried)) if version > tried.newest => Self::Newer,
            (Some(_), Some(_)) => Self::Tried,
            (_, None) | (None, _) => Self::Unknown,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_found_in_what_programs_print() {
        for (text, version) in [
            ("2.1.329 (Claude Code)\n", Some(Version(2, 1, 329))),
            ("codex-cli 0.169.0", Some(Version(0, 169, 0))),
            ("0.15.10", Some(Version(0, 15, 10))),
            ("node 20, agent v1.2.3-beta.4", Some(Version(1, 2, 3))),
            ("1.2.3.4", Some(Version(1, 2, 3))),
            ("1.2", None),
            ("", None),
            ("99999999999.1.1", None),
        ] {
            assert_eq!(Version::in_text(text), version, "{text:?}");
        }
    }

    #[test]
    fn versions_are_compared_number_by_number() {
        let tried = Some(Tried {
            oldest: Version(2, 1, 197),
            newest: Version(2, 1, 329),
        });
        for (version, standing) in [
            (Some(Version(2, 1, 197)), Standing::Tried),
            (Some(Version(2, 1, 329)), Standing::Tried),
            (Some(Version(2, 1, 1000)), Standing::Newer),
            (Some(Version(2, 2, 0)), Standing::Newer),
            (Some(Version(2, 1, 99)), Standing::TooOld),
            (Some(Version(1, 9, 999)), Standing::TooOld),
            (None, Standing::Unknown),
        ] {
            assert_eq!(Standing::of(version, tried), standing, "{version:?}");
        }
        assert_eq!(
            Standing::of(Some(Version(1, 0, 0)), None),
            Standing::Unknown
        );
    }

    #[test]
    fn in_a_file_a_version_is_a_text() {
        let tried: Tried = toml::from_str("oldest = \"0.169.0\"\nnewest = \"0.170.1\"").unwrap();
        assert_eq!(tried.newest, Version(0, 170, 1));
        assert!(toml::from_str::<Tried>("oldest = \"1\"\nnewest = \"2.0.0\"").is_err());
    }
}
