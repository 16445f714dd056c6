//! The daemon's restart intensity: how many attempts of all tasks were lost lately.
//!
//! One task that keeps getting lost is asked about on its own (`restart_max`). Many at once mean that this machine loses
//! them, and each further claim would only add to it: then claims stop until a person lets them go on.

use std::collections::VecDeque;

use crate::task::Timestamp;
use crate::task::backoff::count_near;

/// Losses inside a window. What is kept is bounded by the limit.
#[derive(Debug, Clone)]
pub struct Intensity {
    max: u32,
    window_ms: u64,
    times: VecDeque<Timestamp>,
    tripped: bool,
}

impl Intensity {
    /// No losses yet; `max` of them within `window_ms` are too many.
    #[must_use]
    pub const fn new(max: u32, window_ms: u64) -> Self {
        Self {
            max,
            window_ms,
            times: VecDeque::new(),
            tripped: false,
        }
    }

    /// An attempt was lost at `now`. Returns whether this one made it too many (true once, until [`Self::clear`]).
    ///
    /// Attempts that were lost because the machine itself went down are one loss together, not one each: a power cut under
    /// many running tasks must not keep them from going on.
    pub fn record(&mut self, now: Timestamp) -> bool {
        self.times.push_back(now);
        let kept = usize::try_from(self.max).unwrap_or(usize::MAX);
        while self.times.len() > kept {
            self.times.pop_front();
        }
        let near = count_near(&self.times, now, self.window_ms);
        let trips = !self.tripped && near >= kept;
        self.tripped |= trips;
        trips
    }

    /// Too many were lost, and no person has let claims go on since. The window's end alone does not change it: whatever
    /// loses attempts would go on losing them, a window's worth at a time.
    #[must_use]
    pub const fn exceeded(&self) -> bool {
        self.tripped
    }

    /// A person lets claims go on: what was lost before is forgotten.
    pub fn clear(&mut self) {
        self.times.clear();
        self.tripped = false;
    }

    /// Takes new settings; what was recorded stays.
    pub const fn set_limit(&mut self, max: u32, window_ms: u64) {
        self.max = max;
        self.window_ms = window_ms;
    }
}
