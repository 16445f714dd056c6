//! What a reader gives and takes: segments, pieces, filters, pages; and pieces as text.

use super::entry::Stream;
use super::text::TextDecoder;

/// A run of bytes whose origin is known (or known to be unknown).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Segment {
    /// The attempt's generation; 0 when nothing says whose they are.
    pub generation: u32,
    /// Who wrote them.
    pub stream: Stream,
    /// When the first of them came, milliseconds since the epoch.
    pub time_ms: i64,
    /// Where they begin in the log.
    pub offset: u64,
    /// How many there are.
    pub length: u64,
}

/// A segment, or a part of one, with its bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Piece {
    /// What it is; offset and length are those of `bytes`.
    pub segment: Segment,
    /// The bytes.
    pub bytes: Vec<u8>,
}

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Filter {
    /// One attempt only.
    pub generation: Option<u32>,
    /// Standard output.
    pub stdout: bool,
    /// Standard error.
    pub stderr: bool,
    /// Our own lines.
    pub meta: bool,
}

impl Filter {
    /// Everything.
    pub const ALL: Self = Self {
        generation: None,
        stdout: true,
        stderr: true,
        meta: true,
    };
    /// What agents wrote, without our lines.
    pub const AGENT: Self = Self {
        meta: false,
        ..Self::ALL
    };

    /// Whether `segment` is asked for. Bytes of an unknown stream are an agent's, of either stream.
    #[must_use]
    pub fn takes(&self, segment: &Segment) -> bool {
        let stream = match segment.stream {
            Stream::Stdout => self.stdout,
            Stream::Stderr => self.stderr,
            Stream::Meta => self.meta,
            Stream::Unknown => self.stdout || self.stderr,
        };
        stream
            && self
                .generation
                .is_none_or(|wanted| wanted == segment.generation)
    }
}

/// Some pieces, and where to go on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// The pieces that the filter took.
    pub pieces: Vec<Piece>,
    /// The first byte that was not looked at; ask from here next time.
    pub next: u64,
    /// Length of the log now.
    pub end: u64,
}

impl Page {
    /// Whether all there is was looked at.
    #[must_use]
    pub const fn is_last(&self) -> bool {
        self.next >= self.end
    }
}

/// The part of the log that belongs to one attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AttemptSpan {
    /// The attempt's generation.
    pub generation: u32,
    /// Time of its first entry, milliseconds since the epoch.
    pub first_ms: i64,
    /// Time of its last entry.
    pub last_ms: i64,
    /// Its first byte.
    pub start: u64,
    /// The first byte behind it.
    pub end: u64,
}

/// The text of pieces in their order; each attempt's streams are decoded apart.
#[must_use]
pub fn text_of(pieces: &[Piece]) -> String {
    let mut decoders: Vec<((u32, Stream), TextDecoder)> = Vec::new();
    let mut text = String::new();
    for piece in pieces {
        let key = (piece.segment.generation, piece.segment.stream);
        let place = decoders
            .iter()
            .position(|(known, _)| *known == key)
            .unwrap_or_else(|| {
                decoders.push((key, TextDecoder::new()));
                decoders.len() - 1
            });
        decoders[place].1.push(&piece.bytes, &mut text);
    }
    for (_, decoder) in &mut decoders {
        decoder.finish(&mut text);
    }
    text
}
