//! The decision after an attempt's end: over all combinations of its inputs, and rule by rule.
#![expect(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod by_hand;
mod cases;
mod every;
