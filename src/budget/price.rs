//! What an interrupted run has cost, as far as that can be reckoned: its agent is gone without a word about money, but its
//! tokens were seen, and runs of the same model that told both say what a token costs.

use super::amount::Tokens;

/// What kinds of tokens cost beside one another, in hundredths of a token that is read: written 5, read from the cache
/// 0.1, put into it 1.25. The same for all models of the one maker that agents report prices of.
const WEIGHT_INPUT: u128 = 100;
const WEIGHT_OUTPUT: u128 = 500;
const WEIGHT_CACHE_READ: u128 = 10;
const WEIGHT_CACHE_WRITE: u128 = 125;

/// Tokens of all kinds as one number: hundredths of a token that is read.
#[must_use]
pub fn weighted(tokens: &Tokens) -> u128 {
    u128::from(tokens.input) * WEIGHT_INPUT
        + u128::from(tokens.output) * WEIGHT_OUTPUT
        + u128::from(tokens.cache_read) * WEIGHT_CACHE_READ
        + u128::from(tokens.cache_write) * WEIGHT_CACHE_WRITE
}

/// What runs whose cost is known have cost for their tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// Their cost.
    pub micro_usd: u64,
    /// Their tokens.
    pub tokens: Tokens,
}

impl Rate {
    /// What these tokens cost at this rate; `None` where it says nothing.
    #[must_use]
    pub fn cost_of(&self, tokens: &Tokens) -> Option<u64> {
        let (known, seen) = (weighted(&self.tokens), weighted(tokens));
        if known == 0 || seen == 0 || self.micro_usd == 0 {
            return None;
        }
        let cost = u128::from(self.micro_usd)
            .checked_mul(seen)?
            .div_ceil(known);
        u64::try_from(cost).ok()
    }
}
