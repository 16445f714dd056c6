//! Backoff and the count of restarts, at their edges and for any numbers.

use auto_claude::task::Timestamp;
use auto_claude::task::backoff::{ceiling_ms, count_near, full_jitter_ms};
use proptest::prelude::*;

#[test]
fn the_ceiling_doubles_up_to_its_maximum_and_never_overflows() {
    let ceilings: Vec<u64> = (0..6).map(|n| ceiling_ms(n, 10, 100)).collect();
    assert_eq!(ceilings, [10, 20, 40, 80, 100, 100]);
    assert_eq!(ceiling_ms(u32::MAX, u64::MAX, u64::MAX), u64::MAX);
    assert_eq!(ceiling_ms(64, 1, 5), 5);
    assert_eq!(ceiling_ms(200, 0, 5), 0);
}

#[test]
fn the_wait_is_drawn_evenly() {
    const EIGHTH: u64 = 1 << 61;
    let waits = (0..8).map(|part| full_jitter_ms(0, 7, u64::MAX, EIGHTH * part));
    assert!(waits.eq(0..8));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn jitter_stays_inside_its_bounds(n: u32, base: u64, max: u64, random: u64) {
        let wait = full_jitter_ms(n, base, max, random);
        prop_assert!(wait <= ceiling_ms(n, base, max));
        prop_assert!(wait <= max);
    }

    #[test]
    fn jitter_grows_with_its_draw_and_reaches_both_ends(n in 0_u32..40, base in 1_u64..100_000, a: u64, b: u64) {
        let (low, high) = (a.min(b), a.max(b));
        let wait = |random| full_jitter_ms(n, base, u64::MAX, random);
        prop_assert!(wait(low) <= wait(high));
        prop_assert_eq!(wait(0), 0);
        prop_assert_eq!(wait(u64::MAX), ceiling_ms(n, base, u64::MAX));
    }

    #[test]
    fn counting_restarts_never_overflows(times: Vec<i64>, now: i64, window: u64) {
        let times: Vec<Timestamp> = times.into_iter().map(Timestamp::from_ms).collect();
        prop_assert!(count_near(&times, Timestamp::from_ms(now), window) <= times.len());
    }
}
