//! Durations as people write them: `90`, `90s`, `10m`, `2h30m`, `1d`, `500ms`.
//!
//! Invariant: what [`format()`] writes, [`parse`] reads back as the same number of milliseconds.

/// Longest duration that is read: ten years, in milliseconds.
pub const MAX_MS: u64 = 10 * 365 * 86_400_000;
/// Longest wall or idle time of a task, in seconds: one year.
pub const MAX_LIMIT_SECONDS: u64 = 365 * 86_400;

/// Units from large to small: name and milliseconds.
const UNITS: [(&str, u64); 6] = [
    ("w", 604_800_000),
    ("d", 86_400_000),
    ("h", 3_600_000),
    ("m", 60_000),
    ("s", 1000),
    ("ms", 1),
];

/// Reads a duration; a bare number is in seconds. Returns milliseconds.
///
/// # Errors
/// One sentence for the user, without the name of the flag.
pub fn parse(text: &str) -> Result<u64, String> {
    let text = text.trim();
    let wrong =
        || format!("{text:?} is no duration; give seconds or units, such as 90, 90s, 10m or 2h30m");
    let total = if text.bytes().all(|byte| byte.is_ascii_digit()) && !text.is_empty() {
        text.parse::<u64>()
            .ok()
            .and_then(|seconds| seconds.checked_mul(1000))
    } else {
        parse_units(text).ok_or_else(wrong)?
    };
    match total {
        Some(ms) if ms <= MAX_MS => Ok(ms),
        _ => Err(format!(
            "{text:?} is too long; the longest duration is {}",
            format(MAX_MS)
        )),
    }
}

/// The outer `None`: not a duration. The inner: too large for a number.
fn parse_units(text: &str) -> Option<Option<u64>> {
    let mut rest = text;
    let mut total = Some(0_u64);
    let mut units = UNITS.iter();
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let (number, after) = rest.split_at(digits);
        let letters = after.bytes().take_while(u8::is_ascii_alphabetic).count();
        let (unit, after) = after.split_at(letters);
        // Units come in falling order and once each, so `units` is never rewound.
        let (_, ms) = units.find(|(name, _)| *name == unit)?;
        if number.is_empty() {
            return None;
        }
        total = total.and_then(|sum| {
            number
                .parse::<u64>()
                .ok()?
                .checked_mul(*ms)?
                .checked_add(sum)
        });
        rest = after;
    }
    Some(total)
}

/// The shortest exact writing: `2h30m`, `90ms`; zero is `0s`.
#[must_use]
pub fn format(ms: u64) -> String {
    if ms == 0 {
        return "0s".to_owned();
    }
    let mut rest = ms;
    let mut text = String::new();
    for (name, unit) in UNITS {
        if rest >= unit {
            text.push_str(&format!("{}{name}", rest / unit));
            rest %= unit;
        }
    }
    text
}

/// A rounded writing for people: the two largest units, whole seconds above a minute.
#[must_use]
pub fn brief(ms: u64) -> String {
    if ms < 1000 {
        return format!("{ms}ms");
    }
    if ms < 60_000 {
        return format!("{}.{}s", ms / 1000, ms % 1000 / 100);
    }
    let largest = UNITS
        .iter()
        .position(|(_, unit)| ms >= *unit)
        .unwrap_or(UNITS.len() - 1);
    let smallest = UNITS.get(largest + 1).map_or(1, |(_, unit)| *unit);
    format(ms / smallest * smallest)
}

/// Whole seconds for a time limit of a task, 1..=[`MAX_LIMIT_SECONDS`]. For clap.
///
/// # Errors
/// One sentence for the user.
pub fn limit_seconds(text: &str) -> Result<u64, String> {
    let ms = parse(text)?;
    let seconds = ms / 1000;
    if ms % 1000 != 0 || !(1..=MAX_LIMIT_SECONDS).contains(&seconds) {
        return Err(format!(
            "{text:?} is outside the range: whole seconds from 1s to {}",
            format(MAX_LIMIT_SECONDS * 1000)
        ));
    }
    Ok(seconds)
}
