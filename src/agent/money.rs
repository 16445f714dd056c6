//! Amounts of money and of tokens as agents write them.

use serde_json::value::RawValue;

const MICRO_PER_USD: f64 = 1e6;
/// What would cost more than this is no cost but nonsense: ten million dollars.
const COST_MAX_USD: f64 = 1e7;
/// No run uses more tokens of a kind: more is nonsense, and would not fit where counts are added up.
const TOKENS_MAX: u64 = 1_000_000_000_000;

/// A number of tokens, as much of it as can be.
pub(super) fn tokens(count: u64) -> u64 {
    count.min(TOKENS_MAX)
}

/// US dollars, as a JSON number, in millionths.
pub(super) fn micro_usd(raw: &RawValue) -> Option<u64> {
    let usd: f64 = serde_json::from_str(raw.get()).ok()?;
    if !(0.0..=COST_MAX_USD).contains(&usd) {
        return None;
    }
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "within 0 and 1e13, checked above"
    )]
    let micro = (usd * MICRO_PER_USD).round() as u64;
    Some(micro)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn micro(number: &str) -> Option<u64> {
        micro_usd(&RawValue::from_string(number.to_owned()).unwrap())
    }

    #[test]
    fn dollars_become_millionths() {
        for (number, expected) in [
            ("0", Some(0)),
            ("0.00606", Some(6060)),
            ("0.015300000000000001", Some(15_300)),
            ("12", Some(12_000_000)),
            ("-1", None),
            ("1e300", None),
            ("\"1\"", None),
            ("null", None),
        ] {
            assert_eq!(micro(number), expected, "{number}");
        }
    }
}
