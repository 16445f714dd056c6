//! The one place that reads the wall clock and draws random numbers for the supervisor.

use crate::task::{TaskId, Timestamp};

/// What the pure rooms need from outside: the time, and chance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    /// Now, wall clock.
    pub now: Timestamp,
    /// Uniformly random: the jitter of backoffs.
    pub random: u64,
}

/// The wall clock.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "the supervisor's one clock")]
pub fn now() -> Timestamp {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    Timestamp::from_ms(since.map_or(0, |time| {
        i64::try_from(time.as_millis()).unwrap_or(i64::MAX)
    }))
}

/// Milliseconds of `CLOCK_MONOTONIC`: comparable between processes of one boot, stands still while the machine sleeps.
#[must_use]
pub fn monotonic_ms() -> u64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    u64::try_from(time.tv_sec).unwrap_or(0) * 1000
        + u64::try_from(time.tv_nsec).unwrap_or(0) / 1_000_000
}

/// The clock and a fresh random number.
#[must_use]
pub fn moment() -> Moment {
    // Without kernel randomness a backoff is merely less spread: no reason to fail.
    Moment {
        now: now(),
        random: getrandom::u64().unwrap_or(0),
    }
}

/// A new task id.
///
/// # Errors
/// When the kernel gives no randomness: an id must not repeat.
pub fn new_task_id() -> std::io::Result<TaskId> {
    let mut bytes = [0u8; 16];
    getrandom::fill(&mut bytes).map_err(|error| std::io::Error::other(error.to_string()))?;
    Ok(TaskId::from_random(u128::from_le_bytes(bytes)))
}
