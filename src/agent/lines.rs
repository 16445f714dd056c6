//! Bytes as they come → lines, and a line → the JSON objects in it.
//!
//! Nested objects are never looked into: they hold what the agent says, and an object that imitates an event would become
//! one. So an object counts only at the start of a line, behind another object, or behind noise that cannot be the torn end
//! of an object.

use std::borrow::Cow;

use serde_json::value::RawValue;

/// Longest line that is read; what is longer is skipped up to its end. Agents put whole files into one event.
pub const LINE_MAX_BYTES: usize = 16 * 1024 * 1024;
/// A buffer that grew beyond this for one long line is given back after it.
const BUFFER_KEPT_BYTES: usize = 256 * 1024;
/// Most objects that are taken from one line: agents write one, rarely a few.
const OBJECTS_PER_LINE_MAX: usize = 1024;
/// Longest noise in front of an object: a progress bar, a title sequence.
const NOISE_MAX_BYTES: usize = 1024;

/// Puts lines together from pieces.
#[derive(Debug, Default)]
pub(super) struct Lines {
    /// The line that has not ended yet.
    open: Vec<u8>,
    /// The open line is too long: nothing more is kept of it.
    skipping: bool,
}

impl Lines {
    /// Takes a piece and calls `each` with every line that ends in it.
    pub(super) fn push(&mut self, bytes: &[u8], mut each: impl FnMut(&str)) {
        let mut rest = bytes;
        while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
            let (head, tail) = rest.split_at(end);
            rest = tail.get(1..).unwrap_or_default();
            if self.open.is_empty() && !self.skipping {
                give(head, &mut each);
            } else {
                self.keep(head);
                self.end(&mut each);
            }
        }
        self.keep(rest);
    }

    /// The stream is over: an open line ends here.
    pub(super) fn end(&mut self, mut each: impl FnMut(&str)) {
        if !self.skipping {
            give(&self.open, &mut each);
        }
        self.skipping = false;
        self.open.clear();
        self.open.shrink_to(BUFFER_KEPT_BYTES);
    }

    fn keep(&mut self, bytes: &[u8]) {
        if self.skipping {
            return;
        }
        if self.open.len().saturating_add(bytes.len()) > LINE_MAX_BYTES {
            self.skipping = true;
            self.open = Vec::new();
            return;
        }
        self.open.extend_from_slice(bytes);
    }
}

/// Hands a line on as text: what is no UTF-8 is replaced, so that one bad byte does not hide an event.
fn give(line: &[u8], each: &mut impl FnMut(&str)) {
    if line.len() <= LINE_MAX_BYTES && !line.trim_ascii().is_empty() {
        each(&String::from_utf8_lossy(line));
    }
}

/// Calls `each` with every JSON object of a line, in order.
pub(super) fn objects(line: &str, mut each: impl FnMut(&RawValue)) {
    let line = mended(line);
    let mut rest = &*line;
    for _ in 0..OBJECTS_PER_LINE_MAX {
        let Some(start) = rest.find('{') else { return };
        let (noise, from) = rest.split_at(start);
        if noise.len() > NOISE_MAX_BYTES || noise.contains('"') {
            return;
        }
        let mut values = serde_json::Deserializer::from_str(from).into_iter::<&RawValue>();
        let Some(Ok(object)) = values.next() else {
            return;
        };
        each(object);
        rest = from.get(values.byte_offset()..).unwrap_or_default();
    }
}

/// An escape such as `\ud83d`.
const ESCAPE_BYTES: usize = 6;
/// What stands for a character that is not there, as the digits of an escape.
const REPLACEMENT: &[u8] = b"fffd";

/// The line with a replacement for each half of a character that an escape names. Agents that cut texts by UTF-16 units
/// write such halves (`\ud83d` without the other one), and no parser of JSON takes a text that has one: the whole event
/// would be lost for it.
fn mended(line: &str) -> Cow<'_, str> {
    if !line.contains("\\u") {
        return line.into();
    }
    let bytes = line.as_bytes();
    let mut mended: Option<Vec<u8>> = None;
    let mut at = 0;
    let backslash = |from: usize| {
        let mut rest = bytes.get(from..)?.iter();
        rest.position(|byte| *byte == b'\\')
    };
    while let Some(found) = backslash(at) {
        at += found;
        let Some(unit) = escaped(bytes, at) else {
            // Another escape: what follows the backslash is no beginning of one.
            at += 2;
            continue;
        };
        let next = at + ESCAPE_BYTES;
        let is_pair = (0xd800..0xdc00).contains(&unit)
            && escaped(bytes, next).is_some_and(|low| (0xdc00..0xe000).contains(&low));
        if is_pair {
            at = next + ESCAPE_BYTES;
            continue;
        }
        if (0xd800..0xe000).contains(&unit) {
            let mended = mended.get_or_insert_with(|| bytes.to_vec());
            mended[next - REPLACEMENT.len()..next].copy_from_slice(REPLACEMENT);
        }
        at = next;
    }
    match mended {
        // ASCII digits took the place of ASCII digits: nothing is lost.
        Some(bytes) => String::from_utf8_lossy(&bytes).into_owned().into(),
        None => line.into(),
    }
}

/// The UTF-16 unit that the escape at `at` names, if one is there.
fn escaped(bytes: &[u8], at: usize) -> Option<u16> {
    let digits = bytes
        .get(at..at.checked_add(ESCAPE_BYTES)?)?
        .strip_prefix(b"\\u")?;
    let digits = std::str::from_utf8(digits).ok()?;
    // A sign is no digit.
    let is_hex = digits.bytes().all(|digit| digit.is_ascii_hexdigit());
    is_hex.then(|| u16::from_str_radix(digits, 16).ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(pieces: &[&[u8]]) -> Vec<String> {
        let mut seen = Vec::new();
        let mut lines = Lines::default();
        for piece in pieces {
            lines.push(piece, |line| seen.push(line.to_owned()));
        }
        lines.end(|line| seen.push(line.to_owned()));
        seen
    }

    fn found(line: &str) -> Vec<String> {
        let mut seen = Vec::new();
        objects(line, |object| seen.push(object.get().to_owned()));
        seen
    }

    #[test]
    fn pieces_become_lines() {
        assert_eq!(lines(&[b"a\nb", b"c\n", b"\n \n", b"d"]), ["a", "bc", "d"]);
        assert_eq!(lines(&[b"", b"\n\n"]), [""; 0]);
        assert_eq!(lines(&[b"x\xff\n"]), ["x\u{fffd}"]);
    }

    #[test]
    fn a_line_too_long_is_skipped_and_the_next_one_read() {
        let long = vec![b'x'; LINE_MAX_BYTES];
        let seen = lines(&[&long, b"y", b"z\nnext\n"]);
        assert_eq!(seen, ["next"]);
        let whole = [&long[..], b"\nnext"].concat();
        assert_eq!(lines(&[&whole]).len(), 2);
        let longer = [&long[..], b"y\nnext"].concat();
        assert_eq!(lines(&[&longer]), ["next"]);
        // In pieces it may be as long.
        assert_eq!(lines(&[&long[1..], b"y\nnext"]).len(), 2);
    }

    #[test]
    fn nothing_is_kept_of_a_line_too_long() {
        let mut lines = Lines::default();
        lines.push(&vec![b'x'; LINE_MAX_BYTES], |_| {});
        lines.push(b"yz", |_| {});
        assert_eq!(lines.open.capacity(), 0);
    }

    #[test]
    fn noise_of_a_screenful_hides_no_object_and_more_is_no_noise() {
        let noise = |bytes| format!("{}{{}}", ".".repeat(bytes));
        assert_eq!(found(&noise(NOISE_MAX_BYTES)), ["{}"]);
        assert_eq!(found(&noise(NOISE_MAX_BYTES + 1)), [""; 0]);
    }

    #[test]
    fn objects_stand_alone_side_by_side_and_behind_noise() {
        for (line, expected) in [
            ("{}", &["{}"][..]),
            ("  {\"a\":1}\r", &["{\"a\":1}"]),
            (
                "{\"a\":1}{\"b\":{}} {\"c\":[{}]}",
                &["{\"a\":1}", "{\"b\":{}}", "{\"c\":[{}]}"],
            ),
            (
                "\u{1b}[2K 12 % {\"a\":1} done {\"b\":2}",
                &["{\"a\":1}", "{\"b\":2}"],
            ),
            ("no object", &[]),
            ("[1,2]", &[]),
            ("{\"a\":", &[]),
        ] {
            assert_eq!(found(line), expected, "{line}");
        }
    }

    #[test]
    fn nothing_inside_a_torn_object_counts() {
        assert_eq!(found(r#"{"input":{"type":"result"}"#), [""; 0]);
        assert_eq!(found(r#"put":{"type":"result"}}"#), [""; 0]);
        assert_eq!(
            found(r#"{"a":1}, "input":{"type":"result"}}"#),
            [r#"{"a":1}"#]
        );
    }

    #[test]
    fn a_half_of_a_character_costs_no_event() {
        for (line, expected) in [
            (r#"{"a":"x\ud83d"}"#, r#"{"a":"x\ufffd"}"#),
            (r#"{"a":"\uDE00x"}"#, r#"{"a":"\ufffdx"}"#),
            (
                r#"{"a":"\ud83d\ud83d\ude00"}"#,
                r#"{"a":"\ufffd\ud83d\ude00"}"#,
            ),
            (
                r#"{"a":"\ud83d\ude00 \ud83d"}"#,
                r#"{"a":"\ud83d\ude00 \ufffd"}"#,
            ),
            (r#"{"a":"\ud83d\n"}"#, r#"{"a":"\ufffd\n"}"#),
            // A backslash of the text itself begins no escape.
            (r#"{"a":"\\ud83d"}"#, r#"{"a":"\\ud83d"}"#),
            (r#"{"a":"\\\ud83d"}"#, r#"{"a":"\\\ufffd"}"#),
            (r#"{"a":"\u00e9é"}"#, r#"{"a":"\u00e9é"}"#),
        ] {
            assert_eq!(found(line), [expected], "{line}");
            assert!(serde_json::from_str::<serde_json::Value>(expected).is_ok());
        }
        for torn in [r"\u", r"\ud8", r"\", r"\u+fff", r"x\ud83d\", r"\uéé"] {
            let _ = mended(torn);
        }
    }

    #[test]
    fn depth_is_no_matter() {
        let deep = format!("{{\"a\":{}{}}}", "[".repeat(100_000), "]".repeat(100_000));
        assert_eq!(found(&deep).len(), 1);
        assert_eq!(found(&"{\"a\":".repeat(100_000)).len(), 0);
    }
}
