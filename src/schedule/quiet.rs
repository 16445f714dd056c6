//! Quiet hours: local times of day in which nothing new is claimed.
//!
//! Invariant: a change of the clocks never shortens them. Where a local time comes twice, the span begins at the first and
//! ends at the second; where it does not come at all, the moment of the change stands for it.

use jiff::civil::{Date, Time};
use jiff::tz::{AmbiguousOffset, TimeZone};
use serde::{Deserialize, Serialize};

use crate::task::Timestamp;

/// One span of local time of day, in minutes after midnight; `start > end` crosses midnight, `start == end` is empty.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct QuietHours {
    /// First minute, 0..1440.
    pub start_minute: u16,
    /// First minute after, 0..1440.
    pub end_minute: u16,
}

/// Spans that follow each other without a gap are joined up to this far ahead: hours that are always quiet have no end, so
/// whoever asks looks again then.
pub const LOOK_AHEAD_MS: i64 = 48 * 60 * 60 * 1000;

/// When the quiet hours that `now` lies in are over; `None` when it lies in none. Always later than `now`.
#[must_use]
pub fn quiet_until(now: Timestamp, hours: &[QuietHours], zone: &TimeZone) -> Option<Timestamp> {
    if hours.is_empty() {
        return None;
    }
    let mut until = None;
    let mut at = now;
    while let Some(end) = end_of_span(at, hours, zone) {
        until = Some(end);
        at = end;
        if end.ms_since(now) >= LOOK_AHEAD_MS {
            break;
        }
    }
    until
}

/// The latest end of the spans that hold `at`.
fn end_of_span(at: Timestamp, hours: &[QuietHours], zone: &TimeZone) -> Option<Timestamp> {
    let today = zone
        .to_datetime(jiff::Timestamp::from_millisecond(at.as_ms()).ok()?)
        .date();
    let spans = hours
        .iter()
        .filter(|span| span.start_minute != span.end_minute);
    // A span that holds `at` began today or, across midnight, yesterday; or tomorrow by the calendar, where the clocks were
    // set back across midnight and `at` comes after the first of the two.
    let days = [today.yesterday().ok(), Some(today), today.tomorrow().ok()];
    spans
        .flat_map(|span| days.iter().flatten().map(move |day| (span, *day)))
        .filter_map(|(span, day)| {
            let last_day = if span.start_minute > span.end_minute {
                day.tomorrow().ok()?
            } else {
                day
            };
            let start = instant(day, span.start_minute, zone, Edge::Start)?;
            let end = instant(last_day, span.end_minute, zone, Edge::End)?;
            (start <= at && at < end).then_some(end)
        })
        .max()
}

#[derive(Clone, Copy)]
enum Edge {
    Start,
    End,
}

fn instant(day: Date, minute: u16, zone: &TimeZone, edge: Edge) -> Option<Timestamp> {
    let (hour, minute) = (
        i8::try_from(minute / 60).ok()?,
        i8::try_from(minute % 60).ok()?,
    );
    let local = day.to_datetime(Time::new(hour, minute, 0, 0).ok()?);
    let ambiguous = zone.to_ambiguous_timestamp(local);
    let time = match (ambiguous.offset(), edge) {
        (AmbiguousOffset::Unambiguous { offset }, _) => offset.to_timestamp(local).ok()?,
        (AmbiguousOffset::Fold { before, .. }, Edge::Start) => before.to_timestamp(local).ok()?,
        (AmbiguousOffset::Fold { after, .. }, Edge::End) => after.to_timestamp(local).ok()?,
        // Read with the later offset, a time inside the gap lies before the change; the change is what follows it.
        (AmbiguousOffset::Gap { after, .. }, _) => {
            let before_change = after.to_timestamp(local).ok()?;
            zone.following(before_change).next()?.timestamp()
        }
    };
    Some(Timestamp::from_ms(time.as_millisecond()))
}
