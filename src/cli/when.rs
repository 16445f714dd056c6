//! Points in time as people write them: RFC 3339, `07:00`, `tomorrow 07:00`, `2026-01-31 22:00`, `+2h`, `2h ago`.
//!
//! Pure: the current time comes in as a value, with its time zone. A local time that a clock change skips or repeats is
//! taken as the calendar's usual rule has it (skipped: moved on; repeated: the first).

use jiff::civil::{Date, Time};
use jiff::{ToSpan as _, Zoned};

use crate::task::Timestamp;

use super::duration;

/// Which way a bare time of day or a bare duration points.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Toward {
    /// The next `07:00`.
    Future,
    /// The last `07:00`; `2h` is two hours ago.
    Past,
}

/// Reads a point in time.
///
/// # Errors
/// One sentence for the user, without the name of the flag.
pub fn parse(text: &str, toward: Toward, now: &Zoned) -> Result<Timestamp, String> {
    let text = text.trim();
    parse_offset(text, toward, now)
        .or_else(|| text.parse::<jiff::Timestamp>().ok())
        .or_else(|| parse_local(text, toward, now))
        .map(|time| Timestamp::from_ms(time.as_millisecond()))
        .ok_or_else(|| {
            let offset = match toward {
                Toward::Future => "+2h",
                Toward::Past => "2h (ago)",
            };
            format!("{text:?} is no time; give RFC 3339 (2026-01-31T22:00:00Z), 22:00, 'tomorrow 07:00', '2026-01-31 22:00' or {offset}")
        })
}

/// Words that can only mean a time that is past.
fn points_back(text: &str) -> bool {
    text.starts_with('-') || text.ends_with("ago") || text.starts_with("yesterday")
}

/// Whether the text means the same instant whenever it is read: RFC 3339, or a date.
fn is_fixed(text: &str) -> bool {
    let date = text.split([' ', 'T']).next().unwrap_or(text);
    text.parse::<jiff::Timestamp>().is_ok() || date.parse::<Date>().is_ok()
}

/// Reads the time of `--at`: not before it. With it come the words, where they mean another instant whenever they are
/// read (`+2h`, `22:00`): a submission that is repeated with its key is compared by them.
///
/// A date that is past means at once, as a repeated submission keeps its date; words that only point back are a slip.
///
/// # Errors
/// One sentence for the user, without the name of the flag.
pub fn parse_at(text: &str, now: &Zoned) -> Result<(Timestamp, Option<String>), String> {
    let text = text.trim();
    let at = parse(text, Toward::Future, now)?;
    if points_back(text) {
        return Err(format!(
            "{text:?} is a time that is past; leave it out to start at once, or give one to come, such as +2h or 'tomorrow 07:00'"
        ));
    }
    Ok((at, (!is_fixed(text)).then(|| text.to_owned())))
}

fn parse_offset(text: &str, toward: Toward, now: &Zoned) -> Option<jiff::Timestamp> {
    let (length, back) = if let Some(rest) = text.strip_prefix('+') {
        (rest, false)
    } else if let Some(rest) = text.strip_prefix('-') {
        (rest, true)
    } else if let Some(rest) = text.strip_suffix("ago") {
        (rest, true)
    } else if toward == Toward::Past {
        (text, true)
    } else {
        return None;
    };
    let ms = i64::try_from(duration::parse(length).ok()?).ok()?;
    let ms = if back { -ms } else { ms };
    now.timestamp().checked_add(ms.milliseconds()).ok()
}

fn parse_local(text: &str, toward: Toward, now: &Zoned) -> Option<jiff::Timestamp> {
    let today = now.date();
    let (date, time) = match text.split_once([' ', 'T']) {
        Some((day, time)) => (Some(parse_day(day, today)?), parse_time(time.trim())?),
        None => match parse_time(text) {
            Some(time) => (None, time),
            None => (Some(parse_day(text, today)?), Time::midnight()),
        },
    };
    let at = |date: Date| {
        date.to_datetime(time)
            .to_zoned(now.time_zone().clone())
            .ok()
    };
    if let Some(date) = date {
        return at(date).map(|time| time.timestamp());
    }
    let today_at = at(today)?;
    let nearest = match toward {
        Toward::Future if today_at.timestamp() <= now.timestamp() => at(today.tomorrow().ok()?)?,
        Toward::Past if today_at.timestamp() > now.timestamp() => at(today.yesterday().ok()?)?,
        Toward::Future | Toward::Past => today_at,
    };
    Some(nearest.timestamp())
}

fn parse_day(text: &str, today: Date) -> Option<Date> {
    match text {
        "today" => Some(today),
        "tomorrow" => today.tomorrow().ok(),
        "yesterday" => today.yesterday().ok(),
        date if date.len() == "2026-01-31".len() => date.parse().ok(),
        _ => None,
    }
}

/// `7:00`, `07:00` or `07:00:30`, nothing else (the library alone would take more).
fn parse_time(text: &str) -> Option<Time> {
    let numbers: Vec<&str> = text.split(':').collect();
    let two_digits =
        |part: &&str| part.len() == 2 && part.bytes().all(|byte| byte.is_ascii_digit());
    let (hour, rest) = numbers.split_first()?;
    let hour_fits = (1..=2).contains(&hour.len()) && hour.bytes().all(|byte| byte.is_ascii_digit());
    if !hour_fits || !(1..=2).contains(&rest.len()) || !rest.iter().all(two_digits) {
        return None;
    }
    let second = rest.get(1).map_or(Some(0), |second| second.parse().ok())?;
    Time::new(hour.parse().ok()?, rest.first()?.parse().ok()?, second, 0).ok()
}
