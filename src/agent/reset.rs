//! The time at which a limit ends, where an agent says it only in words: `resets 7:41pm (UTC)`.
//!
//! A fallback. Such a text leaves out what it takes for granted (the day, the year, the seconds), so it is read against the
//! present, and only in UTC, the zone in which agents are run.

use jiff::civil::{Date, DateTime, Time};
use jiff::tz::TimeZone;

use super::text;
use crate::task::Timestamp;

const MINUTE_MS: i64 = 60_000;
const DAY_MS: i64 = 24 * 60 * MINUTE_MS;
/// A time of day this far back is the one that is meant, not tomorrow's: clocks differ, and a run takes a while to end.
const JUST_PASSED_MS: i64 = 10 * MINUTE_MS;
/// A day this far back is the one that is meant, not next year's.
const DAY_JUST_PASSED_MS: i64 = 30 * DAY_MS;
/// More words than any time has.
const TOKENS_MAX: usize = 8;
/// The word in front of the time.
const WORD: &str = "resets ";

/// The time after the last `resets` in `text`, read against `now`. It is the end of the minute that is named, because the
/// agent cuts the seconds off and nothing is gained by asking some seconds too early.
#[must_use]
pub fn in_text(text: &str, now: Timestamp) -> Option<Timestamp> {
    let text = text::cut(text, text::TEXT_MAX_BYTES);
    let start = text.to_ascii_lowercase().rfind(WORD)?;
    parse(text.get(start.saturating_add(WORD.len())..)?, now)
}

/// A time such as `7:41pm (UTC)`, `7pm`, `Nov 23, 1:29am (UTC)` or `May 18th, 2033 3:33 AM`.
#[must_use]
pub fn parse(words: &str, now: Timestamp) -> Option<Timestamp> {
    let words = words.split(" · ").next().unwrap_or(words);
    let (words, zone) = match words.split_once('(') {
        Some((words, zone)) => (words, zone.split(')').next()),
        None => (words, None),
    };
    if !matches!(zone, None | Some("UTC" | "GMT" | "Etc/UTC")) {
        return None;
    }
    let mut tokens = words
        .split(|letter: char| letter == ',' || letter.is_whitespace())
        .map(|token| token.trim_end_matches('.').to_ascii_lowercase())
        .filter(|token| !token.is_empty() && token != "at" && token != "on")
        .take(TOKENS_MAX)
        .peekable();
    let month = tokens.next_if(|token| month(token).is_some());
    let day = match &month {
        Some(_) => Some(day(&tokens.next()?)?),
        None => None,
    };
    let year = tokens.next_if(|token| token.len() == 4 && token.parse::<i16>().is_ok());
    let time = clock(&tokens.collect::<String>())?;
    let begun = match (month.as_deref().and_then(self::month), day, year) {
        (None, None, None) => next_time_of_day(time, now),
        (Some(month), Some(day), None) => next_day(month, day, time, now),
        (Some(month), Some(day), Some(year)) => {
            at(Date::new(year.parse().ok()?, month, day).ok()?, time)
        }
        _ => None,
    }?;
    Some(begun.plus_ms(MINUTE_MS))
}

fn next_time_of_day(time: Time, now: Timestamp) -> Option<Timestamp> {
    let today = at(civil(now)?.date(), time)?;
    let passed = now.ms_since(today) > JUST_PASSED_MS;
    Some(if passed { today.plus_ms(DAY_MS) } else { today })
}

fn next_day(month: i8, day: i8, time: Time, now: Timestamp) -> Option<Timestamp> {
    let year = civil(now)?.year();
    let in_year = |year| at(Date::new(year, month, day).ok()?, time);
    match in_year(year) {
        Some(at) if now.ms_since(at) <= DAY_JUST_PASSED_MS => Some(at),
        // Next year's, or a leap day that this year has not.
        Some(_) | None => in_year(year.checked_add(1)?),
    }
}

/// `nov`, `November` → 11.
fn month(word: &str) -> Option<i8> {
    const MONTHS: [&str; 12] = [
        "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec",
    ];
    let index = MONTHS.iter().position(|name| word.starts_with(name))?;
    i8::try_from(index).ok()?.checked_add(1)
}

/// `23`, `23rd` → 23.
fn day(word: &str) -> Option<i8> {
    word.trim_end_matches(|letter: char| letter.is_ascii_alphabetic())
        .parse()
        .ok()
}

/// `7:41pm`, `7pm`, `19:41`.
fn clock(words: &str) -> Option<Time> {
    let (digits, half) = if let Some(digits) = words.strip_suffix("am") {
        (digits, Some(0))
    } else if let Some(digits) = words.strip_suffix("pm") {
        (digits, Some(12))
    } else {
        (words, None)
    };
    let digits = digits.trim_end();
    let (hour, minute) = match digits.split_once(':') {
        Some((hour, minute)) => (hour, minute.parse().ok()?),
        None if half.is_some() => (digits, 0),
        None => return None,
    };
    let hour: i8 = hour.parse().ok()?;
    let hour = match half {
        Some(_) if !(1..=12).contains(&hour) => return None,
        Some(half) => hour.checked_rem(12)?.checked_add(half)?,
        None => hour,
    };
    Time::new(hour, minute, 0, 0).ok()
}

fn civil(now: Timestamp) -> Option<DateTime> {
    let now = jiff::Timestamp::from_millisecond(now.as_ms()).ok()?;
    Some(now.to_zoned(TimeZone::UTC).datetime())
}

fn at(date: Date, time: Time) -> Option<Timestamp> {
    let zoned = date.to_datetime(time).to_zoned(TimeZone::UTC).ok()?;
    Some(Timestamp::from_ms(zoned.timestamp().as_millisecond()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn time(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn texts_of_the_real_program() {
        let now = time("2026-11-20T17:41:18Z");
        for (text, expected) in [
            (
                "You've hit your 5-hour limit · resets 7:41pm (UTC)",
                "2026-11-20T19:42:00Z",
            ),
            (
                "You've hit your session limit · resets 3pm (UTC)",
                "2026-11-21T15:01:00Z",
            ),
            (
                "You've hit your session limit · resets 12am (UTC)",
                "2026-11-21T00:01:00Z",
            ),
            (
                "You've hit your session limit · resets 12:30pm (UTC)",
                "2026-11-21T12:31:00Z",
            ),
            // It has passed just now: not tomorrow's.
            (
                "You've hit your 5-hour limit · resets 5:41pm (UTC)",
                "2026-11-20T17:42:00Z",
            ),
            (
                "You've hit your weekly limit · resets Nov 23, 1:29am (UTC)",
                "2026-11-23T01:30:00Z",
            ),
            (
                "You've hit your weekly limit · resets Jan 2, 1am (UTC)",
                "2027-01-02T01:01:00Z",
            ),
            (
                "You're out of usage credits · resets May 18, 2033, 3:33am (UTC)",
                "2033-05-18T03:34:00Z",
            ),
            (
                "You've hit your org's monthly spend limit · ask your admin · your 5-hour limit resets 8:22pm (UTC)",
                "2026-11-20T20:23:00Z",
            ),
            (
                "You've hit your 5-hour limit · resets 7:41pm (UTC) · progress saved",
                "2026-11-20T19:42:00Z",
            ),
            (
                "limit · resets 19:41 · out of usage credits",
                "2026-11-20T19:42:00Z",
            ),
        ] {
            assert_eq!(in_text(text, now), Some(time(expected)), "{text}");
        }
    }

    /// The clocks of a server and of this machine differ, and a run takes a while to end.
    #[test]
    fn what_has_passed_just_now_is_meant_and_what_is_further_back_is_the_next_one() {
        let now = time("2026-11-20T17:41:00Z");
        for (text, expected) in [
            ("5:31pm", "2026-11-20T17:32:00Z"),
            ("5:30pm", "2026-11-21T17:31:00Z"),
            ("Oct 21, 5:41pm", "2026-10-21T17:42:00Z"),
            ("Oct 21, 5:40pm", "2027-10-21T17:41:00Z"),
        ] {
            assert_eq!(parse(text, now), Some(time(expected)), "{text}");
        }
    }

    #[test]
    fn other_programs_write_it_otherwise() {
        let now = time("2026-11-20T17:41:18Z");
        for (text, expected) in [
            ("3:05 PM.", "2026-11-21T15:06:00Z"),
            ("May 18th, 2033 3:33 AM.", "2033-05-18T03:34:00Z"),
            ("Nov 21st 3:33 AM", "2026-11-21T03:34:00Z"),
            ("at 19:00", "2026-11-20T19:01:00Z"),
        ] {
            assert_eq!(parse(text, now), Some(time(expected)), "{text}");
        }
    }

    #[test]
    fn what_is_no_time_is_none() {
        let now = time("2026-11-20T17:41:18Z");
        for text in [
            "",
            "resets",
            "resets ",
            "resets soon",
            "resets 25:00 (UTC)",
            "resets 0pm (UTC)",
            "resets 13pm (UTC)",
            "resets 7:61pm (UTC)",
            "resets Feb 30, 1am (UTC)",
            "resets Nov 23 (UTC)",
            "resets 7:41pm (Europe/Berlin)",
            "resets 7 (UTC)",
            "resets Nov, 1, 2, 3, 4pm (UTC)",
            "resets 2033, 4pm (UTC)",
            "resets Nov x, 4pm (UTC)",
        ] {
            assert_eq!(in_text(text, now), None, "{text}");
        }
    }

    #[test]
    fn the_ends_of_time_are_no_trouble() {
        for now in [Timestamp::MIN_MS, Timestamp::MAX_MS] {
            for text in ["resets 11:59pm (UTC)", "resets Dec 31, 11:59pm (UTC)"] {
                let _ = in_text(text, Timestamp::from_ms(now));
            }
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read(text in "(resets )?[0-9a-z:, ()·.]{0,30}", now in any::<i64>()) {
            let _ = in_text(&text, Timestamp::from_ms(now));
        }

        #[test]
        fn a_time_of_day_lies_within_a_day(hour in 1..=12u8, minute in 0..60u8, half in "am|pm", now in 0..4_000_000_000_000i64) {
            let now = Timestamp::from_ms(now);
            let until = in_text(&format!("resets {hour}:{minute:02}{half} (UTC)"), now).unwrap();
            let ahead = until.ms_since(now);
            prop_assert!((MINUTE_MS - JUST_PASSED_MS..=DAY_MS + MINUTE_MS).contains(&ahead));
        }
    }
}
