//! The alarm on money per hour: told once when it is crossed, quiet until it fell below.

/// Whether the alarm is on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Alarm {
    on: bool,
}

/// What became of the alarm.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// It is on now: a person is told.
    Raised,
    /// It is over.
    Over,
    /// As before.
    Same,
}

impl Alarm {
    /// Whether it is on.
    #[must_use]
    pub const fn is_on(self) -> bool {
        self.on
    }

    /// The last hour has cost `micro_usd`; `limit` 0 = no alarm at all.
    pub const fn look(&mut self, micro_usd: u64, limit: u64) -> Change {
        let on = limit > 0 && micro_usd >= limit;
        let change = match (self.on, on) {
            (false, true) => Change::Raised,
            (true, false) => Change::Over,
            (true, true) | (false, false) => Change::Same,
        };
        self.on = on;
        change
    }
}
