//! What is counted, and what is limited.

use serde::{Deserialize, Serialize};

/// One of the three things that runs use up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Measure {
    /// Money.
    Money,
    /// Tokens of all kinds: read, written, and those of the cache.
    Tokens,
    /// The time of runs, added up.
    Time,
}

/// All measures.
pub const MEASURES: [Measure; 3] = [Measure::Money, Measure::Tokens, Measure::Time];

/// Tokens by kind.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tokens {
    /// Read by the model, not from its cache.
    pub input: u64,
    /// Written by the model.
    pub output: u64,
    /// Read from the cache.
    pub cache_read: u64,
    /// Written to the cache.
    pub cache_write: u64,
}

impl Tokens {
    /// All kinds.
    #[must_use]
    pub const fn sum(&self) -> u64 {
        self.input
            .saturating_add(self.output)
            .saturating_add(self.cache_read)
            .saturating_add(self.cache_write)
    }
}

/// What was used, or is reserved.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Amounts {
    /// Millionths of a US dollar.
    pub micro_usd: u64,
    /// Tokens.
    pub tokens: u64,
    /// Milliseconds of runs.
    pub run_ms: u64,
}

impl Amounts {
    /// One of them.
    #[must_use]
    pub const fn get(self, measure: Measure) -> u64 {
        match measure {
            Measure::Money => self.micro_usd,
            Measure::Tokens => self.tokens,
            Measure::Time => self.run_ms,
        }
    }

    /// Both together.
    #[must_use]
    pub const fn plus(self, other: Self) -> Self {
        Self {
            micro_usd: self.micro_usd.saturating_add(other.micro_usd),
            tokens: self.tokens.saturating_add(other.tokens),
            run_ms: self.run_ms.saturating_add(other.run_ms),
        }
    }
}

/// What may be used at most; a measure that is `None` is not limited.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Budget {
    /// Millionths of a US dollar.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub micro_usd: Option<u64>,
    /// Tokens of all kinds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokens: Option<u64>,
    /// Milliseconds of runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run_ms: Option<u64>,
}

impl Budget {
    /// No limit at all.
    pub const NONE: Self = Self {
        micro_usd: None,
        tokens: None,
        run_ms: None,
    };
    /// The least amount of money: a cent.
    pub const MICRO_USD_MIN: u64 = 10_000;
    /// The most: a million dollars. More is a slip of the pen.
    pub const MICRO_USD_MAX: u64 = 1_000_000_000_000;
    /// The least number of tokens.
    pub const TOKENS_MIN: u64 = 1;
    /// The most: a trillion.
    pub const TOKENS_MAX: u64 = 1_000_000_000_000;
    /// The least time: a second.
    pub const RUN_MS_MIN: u64 = 1_000;
    /// The most: a year.
    pub const RUN_MS_MAX: u64 = 365 * 86_400 * 1_000;

    /// Whether nothing is limited.
    #[must_use]
    pub const fn is_none(&self) -> bool {
        self.micro_usd.is_none() && self.tokens.is_none() && self.run_ms.is_none()
    }

    /// The limit of one measure.
    #[must_use]
    pub const fn get(self, measure: Measure) -> Option<u64> {
        match measure {
            Measure::Money => self.micro_usd,
            Measure::Tokens => self.tokens,
            Measure::Time => self.run_ms,
        }
    }

    /// The same with another limit of one measure.
    #[must_use]
    pub const fn with(mut self, measure: Measure, limit: u64) -> Self {
        match measure {
            Measure::Money => self.micro_usd = Some(limit),
            Measure::Tokens => self.tokens = Some(limit),
            Measure::Time => self.run_ms = Some(limit),
        }
        self
    }

    /// Whether every limit is inside its range.
    ///
    /// # Errors
    /// The first that is not, and what is allowed.
    pub fn check(&self) -> Result<(), String> {
        let ranges = [
            (
                Self::MICRO_USD_MIN,
                Self::MICRO_USD_MAX,
                "$0.01 to $1000000",
            ),
            (Self::TOKENS_MIN, Self::TOKENS_MAX, "1 to 1000000M tokens"),
            (Self::RUN_MS_MIN, Self::RUN_MS_MAX, "1s to 365d"),
        ];
        for (measure, (min, max, allowed)) in MEASURES.into_iter().zip(ranges) {
            let limit = self.get(measure).unwrap_or(min);
            if !(min..=max).contains(&limit) {
                let shown = super::named(measure, limit);
                return Err(format!(
                    "{shown} is outside the range; allowed is {allowed}"
                ));
            }
        }
        Ok(())
    }

    /// The limits as amounts; what is not limited is nothing.
    #[must_use]
    pub fn amounts(&self) -> Amounts {
        Amounts {
            micro_usd: self.micro_usd.unwrap_or(0),
            tokens: self.tokens.unwrap_or(0),
            run_ms: self.run_ms.unwrap_or(0),
        }
    }
}
