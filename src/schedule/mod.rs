//! PURE. Decisions about *when*, from values: quiet hours, what may be claimed, the daemon's restart intensity.
//!
//! Invariant: knows no clock, file, socket, process, thread or random state; the time and the zone come in as values. What
//! is due, and in which order, is the store's index; this room says whether and how many. Backoff belongs to the retry
//! decision and lives in [`crate::task::backoff`].

pub mod claims;
pub mod intensity;
pub mod quiet;
pub mod span;

#[cfg(test)]
mod tests;

pub use claims::{Blocked, Claims, View, plan};
pub use intensity::Intensity;
pub use quiet::{QuietHours, quiet_until};
pub use span::NotQuietHours;
