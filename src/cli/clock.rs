//! The only place of this room that reads clocks; everything else gets the time as a value.

use std::time::Instant;

use crate::task::Timestamp;

/// The wall clock.
#[must_use]
#[expect(
    clippy::disallowed_methods,
    reason = "the command line's one reading of the wall clock"
)]
pub fn now() -> Timestamp {
    Timestamp::from_ms(jiff::Timestamp::now().as_millisecond())
}

/// The wall clock in the system's time zone, for times such as `07:00`.
#[must_use]
#[expect(
    clippy::disallowed_methods,
    reason = "the command line's one reading of the wall clock"
)]
pub fn now_local() -> jiff::Zoned {
    jiff::Zoned::now()
}

/// A monotonic clock, for deadlines and progress.
#[must_use]
#[expect(
    clippy::disallowed_methods,
    reason = "the command line's one reading of the monotonic clock"
)]
pub fn instant() -> Instant {
    Instant::now()
}
