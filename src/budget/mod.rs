//! PURE. What runs of agents may use up: budgets, their reservations, the warning before the end, forecasts.
//!
//! Three measures are counted side by side: money, tokens, and the time of runs. A *budget* limits some of them within a
//! [`Scope`]. What was *used* is the ledger's matter, what is *reserved* belongs to attempts that run; both come in as
//! values. A claim takes its [`share()`]: what it may use at most, handed on to the agent where the agent can keep to it.
//!
//! Invariants:
//! - A share is never more than what is free: used + reserved + share stays within the budget. So however many run at once,
//!   each goes beyond by the one request at most in which it notices.
//! - A cost that nobody knows is never nothing: a budget is charged what the run was allowed to use.
//! - Knows no clock, file, socket, process, thread or random state.

mod amount;
mod forecast;
mod price;
mod rate;
mod scope;
mod share;
mod words;

pub use amount::{Amounts, Budget, MEASURES, Measure, Tokens};
pub use forecast::{Forecast, Likeness, SAMPLES_ENOUGH, Sample, Spread, forecast};
pub use price::{Rate, weighted};
pub use rate::{Alarm, Change};
pub use scope::Scope;
pub use share::{LEAST_MICRO_USD, Level, Room, Standing, WARN_PERCENT, after, share};
pub use words::{named, parse, parse_entry, usd};

#[cfg(test)]
mod tests;
