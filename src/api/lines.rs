//! Output as lines of JSON: pieces of several attempts and streams become whole lines, each with its time. And an agent's
//! output in words.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::agent::Transcript;
use crate::output::{Piece, Stream, TextDecoder};
use crate::task::Timestamp;

/// A line that goes on beyond this is given in parts. Counted in bytes of the line and cut at exactly this many, however the
/// bytes came: who reads the same output again gets the same parts.
const LINE_MAX_BYTES: usize = 64 * 1024;

/// One line of `GET /tasks/{id}/logs?format=json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct LogLine {
    /// The attempt's generation; 0 when nothing says whose it is.
    pub attempt: u32,
    /// `stdout`, `stderr`, `meta` (a line of ours), `unknown`.
    pub stream: Stream,
    /// When its first byte came.
    pub at: Timestamp,
    /// The line without its end; bytes that are no UTF-8 are U+FFFD.
    pub text: String,
}

/// A line that has begun.
#[derive(Debug, Default)]
struct Begun {
    decoder: TextDecoder,
    text: String,
    /// Bytes that `text` and the decoder hold.
    bytes: usize,
    at: Option<Timestamp>,
}

/// Puts lines together, each stream of each attempt apart. Bounded: a stream holds one line of bounded length.
#[derive(Debug, Default)]
pub(super) struct Lines {
    begun: BTreeMap<(u32, Stream), Begun>,
}

impl Lines {
    /// Takes a piece; complete lines are added to `out`.
    pub(super) fn push(&mut self, piece: &Piece, out: &mut Vec<u8>) {
        let segment = &piece.segment;
        // An attempt is over when a later one speaks: its last line gets no end any more.
        let over: Vec<_> = self
            .begun
            .keys()
            .filter(|(attempt, _)| *attempt < segment.generation)
            .copied()
            .collect();
        for key in over {
            self.finish_one(key, out);
        }
        let at = Timestamp::from_ms(segment.time_ms);
        let begun = self
            .begun
            .entry((segment.generation, segment.stream))
            .or_default();
        let mut rest = piece.bytes.as_slice();
        while !rest.is_empty() {
            let room = rest.len().min(LINE_MAX_BYTES - begun.bytes);
            let end = rest[..room].iter().position(|byte| *byte == b'\n');
            let (part, after) = rest.split_at(end.map_or(room, |end| end + 1));
            rest = after;
            let first = *begun.at.get_or_insert(at);
            begun.decoder.push(part, &mut begun.text);
            begun.bytes += part.len();
            if end.is_some() || begun.bytes == LINE_MAX_BYTES {
                let mut text = std::mem::take(&mut begun.text);
                if end.is_some() {
                    text.pop();
                }
                begun.at = None;
                begun.bytes = 0;
                write(
                    &LogLine {
                        attempt: segment.generation,
                        stream: segment.stream,
                        at: first,
                        text,
                    },
                    out,
                );
            }
        }
    }

    /// Gives what has begun and will not go on.
    pub(super) fn finish(&mut self, out: &mut Vec<u8>) {
        let keys: Vec<_> = self.begun.keys().copied().collect();
        for key in keys {
            self.finish_one(key, out);
        }
    }

    fn finish_one(&mut self, key: (u32, Stream), out: &mut Vec<u8>) {
        let Some(mut begun) = self.begun.remove(&key) else {
            return;
        };
        begun.decoder.finish(&mut begun.text);
        if let Some(at) = begun.at {
            write(
                &LogLine {
                    attempt: key.0,
                    stream: key.1,
                    at,
                    text: begun.text,
                },
                out,
            );
        }
    }
}

fn write(line: &LogLine, out: &mut Vec<u8>) {
    match serde_json::to_writer(&mut *out, line) {
        Ok(()) => out.push(b'\n'),
        // Numbers, an enum and a string: nothing in it can fail to be JSON.
        Err(error) => tracing::error!(%error, "a line of output could not be written as JSON"),
    }
}

/// An agent's output in words; what it writes to stderr stays as it is.
#[derive(Debug)]
pub(super) struct InWords {
    transcript: Transcript,
    /// The attempt that speaks.
    attempt: u32,
}

impl InWords {
    pub(super) const fn new(transcript: Transcript) -> Self {
        Self {
            transcript,
            attempt: 0,
        }
    }

    fn push(&mut self, piece: &Piece, out: &mut Vec<u8>) {
        let mut words = String::new();
        if piece.segment.generation != self.attempt {
            self.transcript.end(&mut words);
            self.attempt = piece.segment.generation;
        }
        match piece.segment.stream {
            Stream::Stdout | Stream::Unknown => self.transcript.push(&piece.bytes, &mut words),
            Stream::Stderr | Stream::Meta => words.push_str(&String::from_utf8_lossy(&piece.bytes)),
        }
        out.extend_from_slice(words.as_bytes());
    }

    fn finish(&mut self, out: &mut Vec<u8>) {
        let mut words = String::new();
        self.transcript.end(&mut words);
        out.extend_from_slice(words.as_bytes());
    }
}

/// How output is written.
#[derive(Debug)]
pub(super) enum Format {
    /// The bytes as they are.
    Raw,
    /// [`LogLine`]s.
    Json(Lines),
    /// In words.
    Words(Box<InWords>),
}

impl Format {
    /// The pieces in this format.
    pub(super) fn write(&mut self, pieces: Vec<Piece>) -> Bytes {
        let mut out = Vec::new();
        for piece in pieces {
            match self {
                Self::Raw if out.is_empty() => out = piece.bytes,
                Self::Raw => out.extend_from_slice(&piece.bytes),
                Self::Json(lines) => lines.push(&piece, &mut out),
                Self::Words(words) => words.push(&piece, &mut out),
            }
        }
        out.into()
    }

    /// What was held back for a line's end that did not come.
    pub(super) fn finish(&mut self) -> Bytes {
        let mut out = Vec::new();
        match self {
            Self::Raw => {}
            Self::Json(lines) => lines.finish(&mut out),
            Self::Words(words) => words.finish(&mut out),
        }
        out.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::Segment;

    fn piece(generation: u32, stream: Stream, time_ms: i64, bytes: &[u8]) -> Piece {
        let length = bytes.len() as u64;
        Piece {
            segment: Segment {
                generation,
                stream,
                time_ms,
                offset: 0,
                length,
            },
            bytes: bytes.to_vec(),
        }
    }

    fn read(bytes: &[u8]) -> Vec<(u32, Stream, i64, String)> {
        let lines = bytes
            .split(|byte| *byte == b'\n')
            .filter(|line| !line.is_empty());
        lines
            .map(|line| serde_json::from_slice::<LogLine>(line).unwrap())
            .map(|line| (line.attempt, line.stream, line.at.as_ms(), line.text))
            .collect()
    }

    #[test]
    fn lines_are_put_together_for_each_stream() {
        let mut format = Format::Json(Lines::default());
        let mut out = format
            .write(vec![
                piece(1, Stream::Stdout, 10, b"half "),
                piece(1, Stream::Stderr, 20, b"other\n"),
                piece(
                    1,
                    Stream::Stdout,
                    30,
                    "line\n\n\u{e9}".as_bytes().split_last().unwrap().1,
                ),
                piece(1, Stream::Stdout, 40, &[0xa9]),
                piece(2, Stream::Stdout, 50, b"again\xff"),
            ])
            .to_vec();
        out.extend_from_slice(&format.finish());
        let expected = [
            (1, Stream::Stderr, 20, "other"),
            (1, Stream::Stdout, 10, "half line"),
            (1, Stream::Stdout, 30, ""),
            (1, Stream::Stdout, 30, "\u{e9}"),
            (2, Stream::Stdout, 50, "again\u{fffd}"),
        ];
        let expected: Vec<_> = expected
            .map(|(attempt, stream, at, text)| (attempt, stream, at, text.to_owned()))
            .into();
        assert_eq!(read(&out), expected);
    }

    #[test]
    fn a_line_without_end_does_not_grow_without_bound() {
        let mut format = Format::Json(Lines::default());
        let out = format.write(
            (0..10)
                .map(|_| piece(1, Stream::Stdout, 1, &[b'x'; 20_000]))
                .collect(),
        );
        let whole: usize = read(&out).iter().map(|line| line.3.len()).sum::<usize>()
            + read(&format.finish())
                .iter()
                .map(|line| line.3.len())
                .sum::<usize>();
        assert_eq!(whole, 200_000);
        assert!(read(&out).iter().all(|line| line.3.len() == LINE_MAX_BYTES));
    }

    #[test]
    fn the_parts_of_a_line_do_not_depend_on_how_its_bytes_came() {
        let mut bytes = "\u{e9}".repeat(100_000).into_bytes();
        bytes.insert(0, b'x');
        bytes.extend_from_slice(b"\nshort\n");
        let parts = |size: usize| {
            let mut format = Format::Json(Lines::default());
            let pieces = bytes
                .chunks(size)
                .map(|part| piece(1, Stream::Stdout, 1, part))
                .collect();
            let mut out = format.write(pieces).to_vec();
            out.extend_from_slice(&format.finish());
            read(&out)
        };
        let whole = parts(bytes.len());
        assert_eq!(whole.len(), 5);
        for size in [1, 1000, 65_537] {
            assert!(parts(size) == whole, "in pieces of {size}");
        }
    }
}
