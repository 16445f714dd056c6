//! Points in time for people: relative in lists, relative and absolute in `show`.

use crate::cli::duration;
use crate::task::Timestamp;

/// `just now`, `3m ago`, `in 2h`.
#[must_use]
pub fn relative(time: Timestamp, now: Timestamp) -> String {
    let ms = now.ms_since(time);
    let away = ms.unsigned_abs();
    if away < 1000 {
        "just now".to_owned()
    } else if ms > 0 {
        format!("{} ago", short(away))
    } else {
        format!("in {}", short(away))
    }
}

/// `2026-01-31 23:00:00 +01:00 (3m ago)`, in the system's time zone.
#[must_use]
pub fn both(time: Timestamp, now: Timestamp) -> String {
    format!("{} ({})", absolute(time), relative(time, now))
}

/// `2026-01-31 23:00:00 +01:00`, in the system's time zone.
#[must_use]
pub fn absolute(time: Timestamp) -> String {
    let zone = jiff::tz::TimeZone::system();
    match jiff::Timestamp::from_millisecond(time.as_ms()) {
        Ok(instant) => instant
            .to_zoned(zone)
            .strftime("%Y-%m-%d %H:%M:%S %:z")
            .to_string(),
        Err(_) => time.to_string(),
    }
}

/// The largest unit only: `3m`, `2h`, `5d`.
fn short(ms: u64) -> String {
    const LARGEST_FIRST: [u64; 4] = [86_400_000, 3_600_000, 60_000, 1000];
    let unit = LARGEST_FIRST
        .into_iter()
        .find(|unit| ms >= *unit)
        .unwrap_or(1);
    duration::format(ms / unit * unit)
        .split_inclusive(char::is_alphabetic)
        .next()
        .unwrap_or_default()
        .to_owned()
}
