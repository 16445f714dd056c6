//! Bytes as they come → lines, and a line → the JSON objects in it.
//!
//! Nested objects are never looked into: they hold what the agent says, and an object that imitates an event would become
//! one. So an object counts only at the start of a line, behind another object, or behind noise that cannot be the torn end
//! of an object.

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
    let mut rest = line;
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
    fn depth_is_no_matter() {
        let deep = format!("{{\"a\":{}{}}}", "[".repeat(100_000), "]".repeat(100_000));
        assert_eq!(found(&deep).len(), 1);
        assert_eq!(found(&"{\"a\":".repeat(100_000)).len(), 0);
    }
}
