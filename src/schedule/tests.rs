//! Quiet hours across changes of the clocks, the plan of claims over all its inputs, the restart intensity.

use jiff::tz::TimeZone;
use proptest::prelude::*;

use super::quiet::LOOK_AHEAD_MS;
use super::{Blocked, Intensity, QuietHours, View, plan, quiet_until};
use crate::task::Timestamp;

const MINUTE_MS: i64 = 60_000;

fn time(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn span(start: &str, end: &str) -> QuietHours {
    let minute = |text: &str| {
        let (hour, minute) = text.split_once(':').unwrap();
        hour.parse::<u16>().unwrap() * 60 + minute.parse::<u16>().unwrap()
    };
    QuietHours {
        start_minute: minute(start),
        end_minute: minute(end),
    }
}

/// Central European rules: forward at 02:00 on 2026-03-29, back at 03:00 on 2026-10-25.
fn berlin() -> TimeZone {
    TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").unwrap()
}

fn until(now: &str, hours: &[QuietHours], zone: &TimeZone) -> Option<String> {
    quiet_until(time(now), hours, zone).map(|end| end.to_string())
}

#[test]
fn quiet_hours_hold_from_their_first_minute_to_before_their_last() {
    let hours = [span("09:00", "17:30")];
    let utc = TimeZone::UTC;
    let end = Some("2026-06-01T17:30:00.000Z".to_owned());
    assert_eq!(until("2026-06-01T08:59:59.999Z", &hours, &utc), None);
    assert_eq!(until("2026-06-01T09:00:00Z", &hours, &utc), end);
    assert_eq!(until("2026-06-01T17:29:59.999Z", &hours, &utc), end);
    assert_eq!(until("2026-06-01T17:30:00Z", &hours, &utc), None);
    assert_eq!(until("2026-06-01T09:00:00Z", &[], &utc), None);
    assert_eq!(
        until("2026-06-01T09:00:00Z", &[span("09:00", "09:00")], &utc),
        None
    );
}

#[test]
fn quiet_hours_cross_midnight_in_their_own_zone() {
    let hours = [span("22:00", "06:00")];
    let end = Some("2026-06-02T04:00:00.000Z".to_owned());
    for now in [
        "2026-06-01T20:00:00Z",
        "2026-06-01T22:30:00Z",
        "2026-06-02T03:59:59Z",
    ] {
        assert_eq!(until(now, &hours, &berlin()), end, "{now}");
    }
    for now in ["2026-06-01T19:59:59Z", "2026-06-02T04:00:00Z"] {
        assert_eq!(until(now, &hours, &berlin()), None, "{now}");
    }
}

#[test]
fn spans_that_touch_or_overlap_are_one() {
    let hours = [
        span("22:00", "00:00"),
        span("00:00", "05:00"),
        span("04:00", "06:00"),
    ];
    let end = Some("2026-06-02T06:00:00.000Z".to_owned());
    assert_eq!(until("2026-06-01T22:00:00Z", &hours, &TimeZone::UTC), end);
}

#[test]
fn hours_that_never_end_are_looked_at_again() {
    let hours = [span("00:00", "12:00"), span("12:00", "00:00")];
    let now = time("2026-06-01T01:00:00Z");
    let end = quiet_until(now, &hours, &TimeZone::UTC).unwrap();
    assert!((LOOK_AHEAD_MS..=LOOK_AHEAD_MS + 24 * 60 * MINUTE_MS).contains(&end.ms_since(now)));
}

#[test]
fn a_night_with_a_change_of_the_clocks_ends_at_the_right_local_time() {
    let hours = [span("22:00", "06:00")];
    let spring = until("2026-03-28T21:00:00Z", &hours, &berlin());
    assert_eq!(
        spring.as_deref(),
        Some("2026-03-29T04:00:00.000Z"),
        "seven hours"
    );
    let autumn = until("2026-10-24T20:00:00Z", &hours, &berlin());
    assert_eq!(
        autumn.as_deref(),
        Some("2026-10-25T05:00:00.000Z"),
        "nine hours"
    );
}

#[test]
fn a_local_time_that_comes_twice_begins_at_the_first_and_ends_at_the_second() {
    // 02:00 to 03:00 comes twice on 2026-10-25: at 00:00 and at 01:00 UTC.
    let hours = [span("02:15", "02:45")];
    let end = Some("2026-10-25T01:45:00.000Z".to_owned());
    assert_eq!(until("2026-10-25T00:14:00Z", &hours, &berlin()), None);
    for now in [
        "2026-10-25T00:15:00Z",
        "2026-10-25T00:50:00Z",
        "2026-10-25T01:44:00Z",
    ] {
        assert_eq!(until(now, &hours, &berlin()), end, "{now}");
    }
    assert_eq!(until("2026-10-25T01:45:00Z", &hours, &berlin()), None);
}

#[test]
fn a_local_time_that_does_not_come_is_the_moment_of_the_change() {
    // 02:00 to 03:00 does not come on 2026-03-29: the clocks go forward at 01:00 UTC.
    let zone = berlin();
    let change = Some("2026-03-29T01:00:00.000Z".to_owned());
    assert_eq!(
        until("2026-03-29T00:30:00Z", &[span("01:00", "02:30")], &zone),
        change
    );
    let after = [span("02:30", "04:00")];
    assert_eq!(until("2026-03-29T00:59:59Z", &after, &zone), None);
    assert_eq!(
        until("2026-03-29T01:00:00Z", &after, &zone).as_deref(),
        Some("2026-03-29T02:00:00.000Z")
    );
    let inside = [span("02:10", "02:50")];
    assert_eq!(
        until("2026-03-29T01:00:00Z", &inside, &zone),
        None,
        "it does not come at all"
    );
}

#[test]
fn a_span_that_begins_again_after_the_clocks_went_back_across_midnight_is_one() {
    // Back at 00:15 to 23:45 of the day before, at 12:45 UTC; midnight comes at 12:30 and at 13:00 UTC.
    let zone = TimeZone::posix("<+11>-11<+1130>,M10.1.0/0,M4.1.0/0:15").unwrap();
    let hours = [span("00:00", "00:10")];
    let end = Some("2026-04-04T13:10:00.000Z".to_owned());
    for now in [
        "2026-04-04T12:30:00Z",
        "2026-04-04T12:50:00Z",
        "2026-04-04T13:05:00Z",
    ] {
        assert_eq!(until(now, &hours, &zone), end, "{now}");
    }
}

#[test]
fn clocks_that_change_at_midnight_lose_no_minute() {
    // Back at 00:00 to 23:00 of the day before, and by half an hour across midnight.
    let zones = [
        "<-03>3<-02>,M10.3.0/0,M2.3.0/0",
        "<+11>-11<+1130>,M10.1.0/0,M4.1.0/0:15",
    ];
    let hours = [span("23:30", "00:30")];
    for rules in zones {
        let zone = TimeZone::posix(rules).unwrap();
        let start = time("2026-01-01T00:00:00Z");
        for minute in 0..365 * 24 * 60 / 5 {
            let now = start.plus_ms(minute * 5 * MINUTE_MS);
            let at = jiff::Timestamp::from_millisecond(now.as_ms()).unwrap();
            let local = zone.to_datetime(at).time();
            let clock_says_quiet = (local.hour(), local.minute()) >= (23, 30)
                || (local.hour(), local.minute()) < (0, 30);
            let quiet = quiet_until(now, &hours, &zone).is_some();
            assert!(quiet || !clock_says_quiet, "{rules}: {now}: {local}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_end_is_always_later_and_bounded(
        ms: i64, spans in proptest::collection::vec((0_u16..1440, 0_u16..1440), 0..6), zone in 0..3_usize
    ) {
        let rules = ["UTC0", "CET-1CEST,M3.5.0,M10.5.0/3", "<+1030>-10:30<+11>-11,M10.1.0,M4.1.0"];
        let zone = TimeZone::posix(rules[zone]).unwrap();
        let hours: Vec<QuietHours> = spans
            .into_iter()
            .map(|(start_minute, end_minute)| QuietHours { start_minute, end_minute })
            .collect();
        let now = Timestamp::from_ms(ms);
        if let Some(end) = quiet_until(now, &hours, &zone) {
            prop_assert!(end > now);
            prop_assert!(end.ms_since(now) <= LOOK_AHEAD_MS + 26 * 60 * MINUTE_MS);
        }
    }
}

const NIGHT: [QuietHours; 1] = [QuietHours {
    start_minute: 22 * 60,
    end_minute: 6 * 60,
}];

/// Every combination of reasons: person, restarts, a failed launch, quiet hours; with slots free, all busy, and too many busy.
fn for_every_view(mut see: impl FnMut(&View<'_>, [bool; 4])) {
    let zone = TimeZone::UTC;
    for bits in 0..16_u8 {
        let stands = [1, 2, 4, 8].map(|bit| bits & bit != 0);
        let now = time(if stands[3] {
            "2026-06-01T23:00:00Z"
        } else {
            "2026-06-01T12:00:00Z"
        });
        let waits: &[i64] = if stands[2] {
            &[1, 60_000]
        } else {
            &[i64::MIN, -1, 0, 60_001, i64::MAX]
        };
        for wait_ms in waits {
            for busy in [0, 4, 9] {
                let view = View {
                    now,
                    num_workers: 4,
                    busy,
                    stopped_by_person: stands[0],
                    restarts_exceeded: stands[1],
                    launch_wait_until: Some(now.plus_ms(*wait_ms)),
                    quiet_hours: &NIGHT,
                    zone: &zone,
                };
                see(&view, stands);
            }
        }
    }
}

#[test]
fn nothing_is_claimed_while_any_reason_stands_and_all_free_slots_when_none_does() {
    for_every_view(|view, stands| {
        let plan = plan(view);
        let blocked = stands.contains(&true);
        let free = if view.busy == 0 { 4 } else { 0 };
        assert_eq!(plan.blocked.is_some(), blocked, "{view:?}");
        assert_eq!(plan.claims, if blocked { 0 } else { free }, "{view:?}");
    });
}

#[test]
fn the_first_reason_is_the_one_a_person_should_look_at() {
    for_every_view(|view, stands| {
        let rank = |blocked| match blocked {
            Blocked::StoppedByPerson => 0,
            Blocked::RestartsExceeded => 1,
            Blocked::LaunchFailed { .. } => 2,
            Blocked::QuietHours { .. } => 3,
        };
        let first = stands.iter().position(|&stands| stands);
        assert_eq!(plan(view).blocked.map(rank), first, "{view:?}");
    });
}

#[test]
fn it_wakes_only_where_time_alone_changes_the_answer_and_when_the_last_reason_has_passed() {
    for_every_view(|view, [person, restarts, launch, quiet]| {
        let morning = time("2026-06-02T06:00:00Z");
        let want = match (person || restarts, launch, quiet) {
            (true, _, _) | (false, false, false) => None,
            (false, _, true) => Some(morning),
            (false, true, false) => view.launch_wait_until,
        };
        assert_eq!(plan(view).wake_at, want, "{view:?}");
        assert!(
            want.is_none_or(|wake_at| wake_at > view.now),
            "no busy loop"
        );
    });
}

#[test]
fn reasons_read_well_and_have_a_stable_json() {
    let quiet = Blocked::QuietHours {
        until: time("2026-06-02T06:00:00Z"),
    };
    assert_eq!(
        quiet.to_string(),
        "quiet hours until 2026-06-02T06:00:00.000Z"
    );
    let json = serde_json::to_string(&[Blocked::StoppedByPerson, quiet]).unwrap();
    assert_eq!(
        json,
        r#"[{"reason":"stopped_by_person"},{"reason":"quiet_hours","until":"2026-06-02T06:00:00.000Z"}]"#
    );
}

#[test]
fn too_many_losses_trip_once_and_stay_until_a_person_clears_them() {
    let start = time("2026-06-01T12:00:00Z");
    let mut intensity = Intensity::new(3, 1000);
    assert!(!intensity.record(start));
    assert!(!intensity.record(start.plus_ms(1)));
    assert!(
        !intensity.record(start.plus_ms(1000)),
        "the first lies outside of the window"
    );
    assert!(intensity.record(start.plus_ms(1000)));
    assert!(intensity.exceeded());
    assert!(!intensity.record(start.plus_ms(1001)), "only once");
    assert!(!intensity.record(start.plus_ms(1_000_000)));
    assert!(
        intensity.exceeded(),
        "time alone does not mend what loses attempts"
    );
    intensity.clear();
    assert!(!intensity.exceeded());
    assert!(!intensity.record(start.plus_ms(1_000_001)));
}

#[test]
fn a_clock_set_back_far_does_not_trip_it() {
    let start = time("2026-06-01T12:00:00Z");
    let mut intensity = Intensity::new(2, 1000);
    assert!(!intensity.record(start));
    assert!(!intensity.record(start.plus_ms(-1_000_000)));
    assert!(intensity.record(start.plus_ms(-1_000_001)));
}

#[test]
fn what_was_recorded_counts_under_a_limit_that_is_set_anew() {
    let at = Timestamp::from_ms;
    let mut intensity = Intensity::new(2, 1_000);
    assert!(!intensity.record(at(0)));
    intensity.set_limit(4, 10_000);
    assert!(!intensity.record(at(5_000)) && !intensity.record(at(5_001)));
    intensity.set_limit(3, 10_000);
    assert!(
        intensity.record(at(5_002)),
        "the first three are within the longer window"
    );
}

#[test]
fn a_span_of_the_day_reads_as_it_is_written() {
    for (text, start_minute, end_minute) in [
        ("00:00-00:01", 0, 1),
        ("22:30-06:05", 22 * 60 + 30, 6 * 60 + 5),
        ("01:59-23:59", 119, 1_439),
    ] {
        let span = QuietHours {
            start_minute,
            end_minute,
        };
        assert_eq!(text.parse(), Ok(span));
        assert_eq!(span.to_string(), text);
    }
    let to_midnight: QuietHours = "20:00-24:00".parse().unwrap();
    assert_eq!(to_midnight.to_string(), "20:00-00:00");
    for text in [
        "",
        "22:00",
        "22:00-22:00",
        "00:00-24:00",
        "24:00-06:00",
        "22:60-06:00",
        "22:00-25:00",
        "2:00-06:00",
        "002:00-06:00",
        "+2:00-06:00",
        "22:00-06:0x",
        "22-06",
        "22:00-06:00-07:00",
    ] {
        assert!(text.parse::<QuietHours>().is_err(), "{text}");
    }
}
