//! The clocks. Wall time is for people and records; every duration and limit uses the monotonic clock, which stands
//! still while the machine is suspended: an agent that could not work has used up none of its time.

use rustix::time::{ClockId, clock_gettime};

use crate::task::Timestamp;

/// The wall clock.
#[must_use]
pub fn now() -> Timestamp {
    let time = clock_gettime(ClockId::Realtime);
    Timestamp::from_ms(
        time.tv_sec
            .saturating_mul(1000)
            .saturating_add(time.tv_nsec / 1_000_000),
    )
}

/// `CLOCK_MONOTONIC` in milliseconds: of this boot, without the time spent suspended.
#[must_use]
pub fn monotonic_ms() -> u64 {
    let time = clock_gettime(ClockId::Monotonic);
    u64::try_from(
        time.tv_sec
            .saturating_mul(1000)
            .saturating_add(time.tv_nsec / 1_000_000),
    )
    .unwrap_or(0)
}
