//! [`QuietHours`] as text: `HH:MM-HH:MM`.

use super::QuietHours;

/// Minutes of a day.
const MINUTES_PER_DAY: u16 = 1440;

impl std::fmt::Display for QuietHours {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (start, end) = (self.start_minute, self.end_minute);
        write!(
            out,
            "{:02}:{:02}-{:02}:{:02}",
            start / 60,
            start % 60,
            end / 60,
            end % 60
        )
    }
}

/// A text that is no span of local time, `HH:MM-HH:MM` with different ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("read a span of the day: expected HH:MM-HH:MM with different ends")]
pub struct NotQuietHours;

impl std::str::FromStr for QuietHours {
    type Err = NotQuietHours;

    fn from_str(text: &str) -> Result<Self, NotQuietHours> {
        let (start, end) = text.split_once('-').ok_or(NotQuietHours)?;
        let span = Self {
            start_minute: minute_of_day(start).ok_or(NotQuietHours)?,
            // `24:00` is how people write the end of a day.
            end_minute: if end == "24:00" {
                0
            } else {
                minute_of_day(end).ok_or(NotQuietHours)?
            },
        };
        if span.start_minute == span.end_minute {
            Err(NotQuietHours)
        } else {
            Ok(span)
        }
    }
}

/// `HH:MM` as minutes after midnight, below 1440.
fn minute_of_day(text: &str) -> Option<u16> {
    let (hours, minutes) = text.split_once(':')?;
    let number = |digits: &str| -> Option<u16> {
        (digits.len() == 2 && digits.bytes().all(|byte| byte.is_ascii_digit()))
            .then(|| digits.parse().ok())?
    };
    let (hours, minutes) = (number(hours)?, number(minutes)?);
    (minutes < 60)
        .then_some(hours * 60 + minutes)
        .filter(|minute| *minute < MINUTES_PER_DAY)
}
