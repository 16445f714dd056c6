//! Whether a worker proves that it lives: judged by proofs that change, not by how old one looks.
//!
//! Only time during which this daemon itself was awake counts: when the machine (or the daemon) stood still, the worker
//! stood still with it, and shooting it for that would be wrong.

use crate::attempt::record::Beat;
use crate::attempt::recovery::Heartbeat;

/// A look that comes later than this many intervals after the one before says that the daemon stood still itself.
const LATE_LOOK_FACTOR: u64 = 3;

/// What was seen of one worker's proofs of life.
#[derive(Debug, Clone)]
pub struct Pulse {
    last: Option<Beat>,
    /// `CLOCK_MONOTONIC` when `last` was first seen, or when looking began.
    seen_at_ms: u64,
    looked_at_ms: u64,
}

impl Pulse {
    /// Looking begins now.
    #[must_use]
    pub fn new(now_ms: u64) -> Self {
        Self {
            last: None,
            seen_at_ms: now_ms,
            looked_at_ms: now_ms,
        }
    }

    /// One look: `beat` is the newest proof; looks come every `interval_ms`; a proof may be `timeout_ms` old.
    pub fn look(
        &mut self,
        beat: Option<&Beat>,
        now_ms: u64,
        interval_ms: u64,
        timeout_ms: u64,
    ) -> Heartbeat {
        let stood_still =
            now_ms.saturating_sub(self.looked_at_ms) > interval_ms.saturating_mul(LATE_LOOK_FACTOR);
        self.looked_at_ms = now_ms;
        if stood_still || self.last.as_ref() != beat {
            self.last = beat.cloned();
            self.seen_at_ms = now_ms;
        }
        if now_ms.saturating_sub(self.seen_at_ms) >= timeout_ms {
            Heartbeat::Stale
        } else {
            Heartbeat::Fresh
        }
    }

    /// Time since the last sign of life.
    #[must_use]
    pub fn quiet_ms(&self, now_ms: u64) -> u64 {
        now_ms.saturating_sub(self.seen_at_ms)
    }

    /// The worker answered at its door: as good a proof as one in the record, which may be on a disk that takes no writes.
    pub fn answered(&mut self, now_ms: u64) {
        self.seen_at_ms = now_ms;
        self.looked_at_ms = now_ms;
    }

    /// The worker was asked at its door and did not answer for so long: time in which this daemon did not stand still.
    pub fn asked_in_vain(&mut self, waited_ms: u64) {
        self.looked_at_ms = self.looked_at_ms.saturating_add(waited_ms);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn beat(monotonic_ms: u64) -> Beat {
        Beat {
            monotonic_ms,
            output_bytes: 0,
        }
    }

    #[test]
    fn a_proof_that_changes_is_life() {
        let mut pulse = Pulse::new(0);
        for n in 1..100 {
            assert_eq!(
                pulse.look(Some(&beat(n)), n * 15_000, 15_000, 60_000),
                Heartbeat::Fresh
            );
        }
    }

    #[test]
    fn a_proof_that_stays_the_same_is_stale_after_the_timeout() {
        let mut pulse = Pulse::new(0);
        assert_eq!(
            pulse.look(Some(&beat(1)), 1_000, 15_000, 60_000),
            Heartbeat::Fresh
        );
        for n in 1..4 {
            assert_eq!(
                pulse.look(Some(&beat(1)), 1_000 + n * 15_000, 15_000, 60_000),
                Heartbeat::Fresh
            );
        }
        assert_eq!(
            pulse.look(Some(&beat(1)), 61_000, 15_000, 60_000),
            Heartbeat::Stale
        );
    }

    #[test]
    fn a_worker_that_never_beats_is_stale_after_the_timeout_too() {
        let mut pulse = Pulse::new(0);
        for n in 1..4 {
            assert_eq!(
                pulse.look(None, n * 15_000, 15_000, 60_000),
                Heartbeat::Fresh
            );
        }
        assert_eq!(pulse.look(None, 60_000, 15_000, 60_000), Heartbeat::Stale);
    }

    #[test]
    fn standing_still_oneself_is_no_evidence() {
        let mut pulse = Pulse::new(0);
        assert_eq!(
            pulse.look(Some(&beat(1)), 15_000, 15_000, 60_000),
            Heartbeat::Fresh
        );
        assert_eq!(
            pulse.look(Some(&beat(1)), 3_600_000, 15_000, 60_000),
            Heartbeat::Fresh,
            "the daemon slept, too"
        );
        assert_eq!(
            pulse.look(Some(&beat(2)), 3_615_000, 15_000, 60_000),
            Heartbeat::Fresh
        );
    }

    #[test]
    fn an_answer_at_the_door_is_life_and_waiting_for_one_is_no_standing_still() {
        let mut pulse = Pulse::new(0);
        assert_eq!(pulse.look(None, 750, 750, 3_000), Heartbeat::Fresh);
        pulse.answered(2_900);
        assert_eq!(pulse.look(None, 3_700, 750, 3_000), Heartbeat::Fresh);
        assert_eq!(pulse.look(None, 4_400, 750, 3_000), Heartbeat::Fresh);
        pulse.asked_in_vain(5_000);
        assert_eq!(pulse.look(None, 9_500, 750, 3_000), Heartbeat::Stale);
    }
}
