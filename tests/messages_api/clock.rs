//! The stand-in's clock: the machine's, shifted by what a test says. Resets and windows follow it.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

/// Seconds by which the clock differs from the machine's.
#[derive(Debug, Default)]
pub struct Clock(AtomicI64);

impl Clock {
    /// Milliseconds since the epoch.
    pub fn now_ms(&self) -> i64 {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        i64::try_from(since.as_millis()).unwrap() + self.0.load(Ordering::SeqCst) * 1000
    }

    /// Seconds since the epoch.
    pub fn now_s(&self) -> i64 {
        self.now_ms().div_euclid(1000)
    }

    /// Sets the difference.
    pub fn shift_s(&self, seconds: i64) {
        self.0.store(seconds, Ordering::SeqCst);
    }
}
