//! Connections that were turned away, in the daemon's log: told at once, then counted, so that a client that comes again and
//! again writes a line now and then and not one each time. None is lost: what was counted is told in the end.

use std::time::Duration;

/// Least time between two lines.
const LINES_APART_MS: u64 = 10_000;

/// What is to be told.
#[derive(Debug, Default)]
pub(super) struct TurnedAway {
    /// When the last line was written.
    told_at_ms: Option<u64>,
    /// Turned away since then.
    untold: u64,
}

impl TurnedAway {
    /// One more was turned away; how many the line is about, when there is to be one now.
    pub(super) fn count(&mut self, now_ms: u64) -> Option<u64> {
        self.untold += 1;
        self.due(now_ms)
    }

    /// How many the line is about that is due now.
    pub(super) fn due(&mut self, now_ms: u64) -> Option<u64> {
        if self.untold == 0 || self.wait(now_ms).is_some_and(|wait| !wait.is_zero()) {
            return None;
        }
        self.told_at_ms = Some(now_ms);
        Some(std::mem::take(&mut self.untold))
    }

    /// How many were never told; for the last line.
    pub(super) fn rest(&mut self) -> Option<u64> {
        Some(std::mem::take(&mut self.untold)).filter(|untold| *untold > 0)
    }

    /// Time until the next line is due; `None` when nothing waits for one.
    pub(super) fn wait(&self, now_ms: u64) -> Option<Duration> {
        if self.untold == 0 {
            return None;
        }
        let next_ms = self
            .told_at_ms
            .map_or(0, |told| told.saturating_add(LINES_APART_MS));
        Some(Duration::from_millis(next_ms.saturating_sub(now_ms)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_is_told_at_once_and_a_flood_as_a_number() {
        let mut away = TurnedAway::default();
        assert_eq!(away.wait(5), None, "nothing waits, no timer ticks");
        assert_eq!(away.count(5), Some(1));
        assert_eq!(away.wait(5), None);
        let lines = (0..10_000).filter_map(|n| away.count(5 + n)).count();
        assert_eq!(lines, 0);
        assert_eq!(away.wait(9_005), Some(Duration::from_secs(1)));
        assert_eq!(away.due(9_005), None);
        assert_eq!(away.due(10_005), Some(10_000), "told without another one");
        assert_eq!(away.due(99_999), None);
    }

    #[test]
    fn what_was_only_counted_is_told_at_the_end() {
        let mut away = TurnedAway::default();
        assert_eq!(away.rest(), None);
        assert_eq!(away.count(0), Some(1));
        assert_eq!(away.count(1), None);
        assert_eq!(away.rest(), Some(1));
    }
}
