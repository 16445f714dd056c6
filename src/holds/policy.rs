//! The settings that decide how long an account waits.

use crate::task::Timestamp;

/// Settings of the holds. They belong to the machine, not to the account: a change takes effect with the next answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// Length of the 5-hour window where the agent does not tell its end (`claude_session_limit`).
    pub session_window_ms: u64,
    /// Wait for a limit whose end nobody knows (`default_unban_wait`).
    pub default_wait_ms: u64,
    /// No hold waits longer than this for its probe, whatever was announced.
    pub hold_max_ms: u64,
    /// What follows when extra usage is being paid for.
    pub overage: Overage,
    /// Part of each window, in thousandths, that is kept for high and urgent priority; 0 = nothing.
    pub reserve_permille: u32,
    /// The model of the daemon's own probes where the hold names none; `None` = the agent's own choice.
    pub probe_model: Option<String>,
    /// Time between two starts after an account opened, until one of them was served.
    pub release_interval_ms: u64,
    /// Waits when throttled.
    pub throttle: Backoff,
    /// Waits when the server has no capacity.
    pub overload: Backoff,
    /// Waits when the server fails.
    pub server: Backoff,
    /// Waits when the server cannot be reached.
    pub network: Backoff,
}

/// What follows when extra usage is being paid for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Overage {
    /// The account is closed until its window begins anew: it bills.
    #[default]
    Stop,
    /// It goes on, and pays.
    Allow,
}

/// Waits that double with each strike, drawn with full jitter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    /// First ceiling.
    pub base_ms: u64,
    /// Highest ceiling.
    pub max_ms: u64,
}

const SECOND_MS: u64 = 1000;
const MINUTE_MS: u64 = 60 * SECOND_MS;
const HOUR_MS: u64 = 60 * MINUTE_MS;
const DAY_MS: u64 = 24 * HOUR_MS;

impl Default for Policy {
    fn default() -> Self {
        let backoff = |base_ms, max_ms| Backoff { base_ms, max_ms };
        Self {
            session_window_ms: 5 * HOUR_MS,
            default_wait_ms: HOUR_MS,
            // The longest window is a week; a day more, for a reset that moves.
            hold_max_ms: 8 * DAY_MS,
            overage: Overage::Stop,
            reserve_permille: 0,
            probe_model: None,
            release_interval_ms: 30 * SECOND_MS,
            // The agent itself has tried for up to three minutes before its run ended.
            throttle: backoff(30 * SECOND_MS, 15 * MINUTE_MS),
            overload: backoff(MINUTE_MS, 30 * MINUTE_MS),
            server: backoff(30 * SECOND_MS, 15 * MINUTE_MS),
            // Looking again costs nothing, and a network comes back at once.
            network: backoff(10 * SECOND_MS, 5 * MINUTE_MS),
        }
    }
}

impl Policy {
    /// The latest time that a hold made or looked at now may wait for.
    pub(super) const fn latest(&self, now: Timestamp) -> Timestamp {
        plus(now, self.hold_max_ms)
    }
}

/// `at` plus `ms`, clamped.
pub(super) const fn plus(at: Timestamp, ms: u64) -> Timestamp {
    at.plus_ms(if ms > i64::MAX as u64 {
        i64::MAX
    } else {
        ms.cast_signed()
    })
}
