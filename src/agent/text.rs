//! Texts of others, made fit to be kept.

/// Longest text of an agent that is looked at: what says why a run failed stands in its first lines.
pub(super) const TEXT_MAX_BYTES: usize = 4096;

/// `text` on one line, without control characters, at most `max_bytes` long.
pub(super) fn one_line(text: &str, max_bytes: usize) -> String {
    let mut line = String::new();
    for word in cut(text, max_bytes.saturating_mul(2))
        .split(|letter: char| letter.is_whitespace() || letter.is_control())
    {
        if word.is_empty() {
            continue;
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    line.truncate(line.floor_char_boundary(max_bytes));
    line
}

/// The beginning of `text`, cut at a character.
pub(super) fn cut(text: &str, max_bytes: usize) -> &str {
    text.get(..text.floor_char_boundary(max_bytes))
        .unwrap_or_default()
}

/// Whether `text` holds `part`, whatever the case of its ASCII letters. `part` is lower case.
pub(super) fn holds(text: &str, part: &str) -> bool {
    cut(text, TEXT_MAX_BYTES)
        .to_ascii_lowercase()
        .contains(part)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_becomes_one_line() {
        assert_eq!(one_line("  a\n\tb\u{0}c \u{1b}[1m d", 200), "a b c [1m d");
        assert_eq!(one_line(&"é".repeat(300), 201).len(), 200);
        assert_eq!(one_line("", 10), "");
    }

    #[test]
    fn case_is_no_matter() {
        assert!(holds("The OAuth Token is REVOKED", "token is revoked"));
        assert!(!holds("", "x"));
    }
}
