//! Budgets as people write them: `$5`, `5usd`, `200k tokens`, `2h30m`, or several of them: `$5, 200k tokens`.
//!
//! Invariant: what a budget shows as, [`parse`] reads back as the same budget.

use super::amount::{Budget, MEASURES, Measure};

const MICRO_PER_USD: u64 = 1_000_000;
const MICRO_PER_CENT: u64 = 10_000;
/// Digits behind the point that count.
const MICRO_DIGITS: usize = 6;
/// Units of time from large to small: name and milliseconds.
const TIME_UNITS: [(&str, u64); 4] = [
    ("d", 86_400_000),
    ("h", 3_600_000),
    ("m", 60_000),
    ("s", 1_000),
];
/// Units of numbers from large to small.
const COUNT_UNITS: [(char, u64); 3] = [('g', 1_000_000_000), ('m', 1_000_000), ('k', 1_000)];
const HOW: &str = "give money ($5, 5usd), tokens (200k tokens), time (30m), or several of them";
/// Messages quote at most so many characters of what was given.
const QUOTED_CHARS: usize = 60;

/// Reads a budget. A bare number is US dollars.
///
/// # Errors
/// One sentence for the user, without the name of the flag or the setting.
pub fn parse(text: &str) -> Result<Budget, String> {
    let lower = text.to_lowercase();
    let words: Vec<&str> = lower
        .split(|c: char| c.is_whitespace() || c == ',' || c == '+')
        .filter(|word| !word.is_empty())
        .collect();
    if words.is_empty() {
        return Err(format!(
            "an empty budget; {HOW} (a shell makes nothing of an unquoted $5: write '$5' or 5usd)"
        ));
    }
    let mut budget = Budget::NONE;
    let mut words = words.as_slice();
    while let Some((first, rest)) = words.split_first() {
        let next = rest.first().copied().unwrap_or_default();
        let (measure, limit, taken) = part(first, next)
            .ok_or_else(|| format!("{:?} is no budget; {HOW}", clip(text)))?
            .map_err(|()| format!("{:?}: {first} is too large a number", clip(text)))?;
        if budget.get(measure).is_some() {
            let what = word(measure);
            return Err(format!("{:?} names {what} twice", clip(text)));
        }
        budget = budget.with(measure, limit);
        words = rest.get(taken..).unwrap_or_default();
    }
    budget.check()?;
    Ok(budget)
}

/// Reads `NAME = BUDGET`, as lists of settings have it.
///
/// # Errors
/// One sentence for the user.
pub fn parse_entry(text: &str) -> Result<(String, Budget), String> {
    let (name, budget) = text
        .rsplit_once('=')
        .ok_or_else(|| format!("{:?} is not NAME = BUDGET", clip(text)))?;
    let name = name.trim();
    if name.is_empty() {
        return Err(format!("{:?} names nothing before its =", clip(text)));
    }
    Ok((name.to_owned(), parse(budget)?))
}

/// One part of a budget: of `first`, or of `first` and `next` (then one more word is taken). `Err`: too large.
fn part(first: &str, next: &str) -> Option<Result<(Measure, u64, usize), ()>> {
    let is_token_word = |word: &str| matches!(word, "token" | "tokens");
    let is_money_word = |word: &str| matches!(word, "usd" | "dollar" | "dollars");
    let money = |text: &str, taken| Some(micro(text)?.map(|limit| (Measure::Money, limit, taken)));
    let tokens =
        |text: &str, taken| Some(count(text)?.map(|limit| (Measure::Tokens, limit, taken)));
    if let Some(amount) = first.strip_prefix('$') {
        return money(amount, usize::from(is_money_word(next)));
    }
    if is_token_word(next) {
        return tokens(first, 1);
    }
    if is_money_word(next) {
        return money(first, 1);
    }
    let glued = |endings: [&str; 2]| endings.into_iter().find_map(|end| first.strip_suffix(end));
    if let Some(amount) = glued(["usd", "dollars"]) {
        return money(amount, 0);
    }
    if let Some(number) = glued(["tokens", "token"]) {
        return tokens(number, 0);
    }
    money(first, 0).or_else(|| Some(time(first)?.map(|limit| (Measure::Time, limit, 0))))
}

/// Dollars with up to six digits behind the point, in millionths, exactly.
fn micro(text: &str) -> Option<Result<u64, ()>> {
    let (whole, rest) = text.split_once('.').unwrap_or((text, ""));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let is_number = digits(whole) && digits(rest) && !(whole.is_empty() && rest.is_empty());
    if !is_number || rest.len() > MICRO_DIGITS {
        return None;
    }
    let whole: u64 = match whole {
        "" => 0,
        text => match text.parse() {
            Ok(number) => number,
            Err(_) => return Some(Err(())),
        },
    };
    let padded = format!("{rest:0<MICRO_DIGITS$}");
    // Six digits at most: always a number.
    let behind: u64 = padded.parse().unwrap_or(0);
    let sum = whole
        .checked_mul(MICRO_PER_USD)
        .and_then(|micro| micro.checked_add(behind));
    Some(sum.ok_or(()))
}

/// A number with or without a unit of thousands: `1500`, `200k`, `1.5m`. `Err`: too large.
fn count(text: &str) -> Option<Result<u64, ()>> {
    let unit = COUNT_UNITS
        .into_iter()
        .find(|(unit, _)| text.ends_with(*unit));
    let (number, times) = match unit {
        Some((unit, times)) => (text.strip_suffix(unit)?, times),
        None => (text, 1),
    };
    let micro = match micro(number)? {
        Ok(micro) => micro,
        Err(()) => return Some(Err(())),
    };
    let total = u128::from(micro) * u128::from(times);
    if !total.is_multiple_of(u128::from(MICRO_PER_USD)) {
        return None;
    }
    let total = total / u128::from(MICRO_PER_USD);
    Some(u64::try_from(total).map_err(drop))
}

/// `30m`, `2h30m`, in milliseconds: units in falling order, each once.
fn time(text: &str) -> Option<Result<u64, ()>> {
    let mut rest = text;
    let mut total = Some(0_u64);
    let mut units = TIME_UNITS.iter();
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let (number, after) = rest.split_at(digits);
        let letter = after.chars().next()?;
        let (_, ms) = units.find(|(name, _)| name.starts_with(letter))?;
        if number.is_empty() {
            return None;
        }
        let part = number.parse::<u64>().ok().and_then(|n| n.checked_mul(*ms));
        total = total.and_then(|sum| sum.checked_add(part?));
        rest = after.strip_prefix(letter)?;
    }
    Some(total.ok_or(()))
}

const fn word(measure: Measure) -> &'static str {
    match measure {
        Measure::Money => "money",
        Measure::Tokens => "tokens",
        Measure::Time => "time",
    }
}

fn clip(text: &str) -> String {
    text.chars().take(QUOTED_CHARS).collect()
}

/// An amount of dollars, to the cent, or finer where it is less than one.
#[must_use]
pub fn usd(micro: u64) -> String {
    if micro > 0 && micro < MICRO_PER_CENT {
        return format!("$0.{micro:06}");
    }
    let cents = (micro % MICRO_PER_USD + MICRO_PER_CENT / 2) / MICRO_PER_CENT;
    let dollars = micro / MICRO_PER_USD + cents / 100;
    format!("${dollars}.{:02}", cents % 100)
}

/// A number of tokens: `200k`, `1500`.
fn tokens(number: u64) -> String {
    let unit = COUNT_UNITS
        .into_iter()
        .find(|(unit, times)| *unit != 'g' && number > 0 && number.is_multiple_of(*times));
    match unit {
        Some((unit, times)) => {
            let unit = if unit == 'm' { 'M' } else { unit };
            format!("{}{unit}", number / times)
        }
        None => number.to_string(),
    }
}

/// A time: whole seconds, `2h30m`.
fn duration(ms: u64) -> String {
    let mut rest = ms / 1_000 * 1_000;
    let mut text = String::new();
    for (name, unit) in TIME_UNITS {
        if rest >= unit {
            text.push_str(&format!("{}{name}", rest / unit));
            rest %= unit;
        }
    }
    if text.is_empty() {
        "0s".to_owned()
    } else {
        text
    }
}

/// An amount of one measure, with its unit.
#[must_use]
pub fn named(measure: Measure, amount: u64) -> String {
    match measure {
        Measure::Money => usd(amount),
        Measure::Tokens => format!("{} tokens", tokens(amount)),
        Measure::Time => duration(amount),
    }
}

impl std::fmt::Display for Budget {
    /// As it is read; money to the millionth where the cents do not say all of it.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let parts = MEASURES.into_iter().filter_map(|measure| {
            let limit = self.get(measure)?;
            let exact = measure == Measure::Money && !limit.is_multiple_of(MICRO_PER_CENT);
            Some(if exact {
                format!("${}.{:06}", limit / MICRO_PER_USD, limit % MICRO_PER_USD)
            } else {
                named(measure, limit)
            })
        });
        let text = parts.collect::<Vec<_>>().join(", ");
        f.write_str(if text.is_empty() { "none" } else { &text })
    }
}
