//! How long a retry waits, and how many restarts lie inside a window.
//!
//! Full jitter: the wait is drawn evenly from nothing to a ceiling that doubles with each retry, so that tasks which failed
//! together do not come back together. The draw comes in as a number.

use super::Timestamp;

/// The wait before retry number `retries` (0 for the first), in milliseconds: evenly from `0..=min(max_ms, base_ms · 2^retries)`.
///
/// `random` is uniform over all of `u64`. A `max_ms` below `base_ms` wins.
#[must_use]
pub fn full_jitter_ms(retries: u32, base_ms: u64, max_ms: u64, random: u64) -> u64 {
    let ceiling = ceiling_ms(retries, base_ms, max_ms);
    // The high half of random · (ceiling + 1): even to within one part in 2^64 / ceiling, and never above the ceiling.
    let scaled = (u128::from(random) * (u128::from(ceiling) + 1)) >> u64::BITS;
    u64::try_from(scaled).unwrap_or(ceiling)
}

/// The longest wait that [`full_jitter_ms`] can give.
#[must_use]
pub fn ceiling_ms(retries: u32, base_ms: u64, max_ms: u64) -> u64 {
    let factor = 1_u64.checked_shl(retries).unwrap_or(u64::MAX);
    base_ms.saturating_mul(factor).min(max_ms)
}

/// How many of `times` lie less than `window_ms` away from `now`, on either side.
///
/// A time in the future means that the clock was set back. It counts while it is near and not when it is far: so a small
/// correction hides no restart loop, and a large one cannot hold a task for as long as the clock was wrong.
#[must_use]
pub fn count_near<'a>(
    times: impl IntoIterator<Item = &'a Timestamp>,
    now: Timestamp,
    window_ms: u64,
) -> usize {
    let near = |time: &&Timestamp| now.ms_since(**time).unsigned_abs() < window_ms;
    times.into_iter().filter(near).count()
}
