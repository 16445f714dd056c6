//! The last lines, searched backwards: the cost is that of what is found, not of the log.

use std::io;

use super::piece::{Filter, Piece, Segment};
use super::reader::Reader;
use super::segments::BLOCK_ENTRIES;

/// Bytes of the log read at once.
const CHUNK_BYTES: u64 = 64 * 1024;

impl Reader {
    /// The last `lines` lines that `filter` takes, at most `max_bytes` of them (then the first line is cut). A last line
    /// without a newline counts as a line.
    ///
    /// # Errors
    /// When log or index cannot be read.
    pub fn tail_lines(
        &self,
        lines: usize,
        max_bytes: usize,
        filter: &Filter,
    ) -> io::Result<Vec<Piece>> {
        let mut tail = TailSearch {
            pieces: Vec::new(),
            breaks_left: lines,
            room: max_bytes,
            newest_seen: false,
        };
        if lines == 0 {
            return Ok(tail.pieces);
        }
        let end = self.end()?;
        let entries = self.entries()?;
        let mut last = entries;
        loop {
            let first = last.saturating_sub(BLOCK_ENTRIES);
            let stop = if last == entries {
                end
            } else {
                self.start_of(last, end)?
            };
            let segments = self
                .block(first, last, stop)?
                .collect::<io::Result<Vec<_>>>()?;
            for segment in segments
                .iter()
                .rev()
                .filter(|segment| filter.takes(segment))
            {
                if tail.take(self, *segment)? {
                    return Ok(tail.finish());
                }
            }
            if first == 0 {
                return Ok(tail.finish());
            }
            last = first;
        }
    }
}

/// Collects lines backwards.
struct TailSearch {
    /// Newest first.
    pieces: Vec<Piece>,
    breaks_left: usize,
    room: usize,
    newest_seen: bool,
}

impl TailSearch {
    /// Takes a segment, its end first. Says whether that is enough.
    fn take(&mut self, reader: &Reader, segment: Segment) -> io::Result<bool> {
        let mut left = segment.length;
        while left > 0 {
            let length = left.min(CHUNK_BYTES);
            left -= length;
            let bytes =
                reader.read_range(segment.offset + left, usize::try_from(length).unwrap_or(0))?;
            if self.take_bytes(
                Segment {
                    offset: segment.offset + left,
                    ..segment
                },
                bytes,
            ) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn take_bytes(&mut self, segment: Segment, mut bytes: Vec<u8>) -> bool {
        let mut start = bytes.len().saturating_sub(self.room);
        let mut enough = start > 0;
        for (place, byte) in bytes.iter().enumerate().skip(start).rev() {
            // The newline that ends the last line separates nothing.
            if *byte == b'\n' && self.newest_seen {
                self.breaks_left -= 1;
                if self.breaks_left == 0 {
                    start = place + 1;
                    enough = true;
                    break;
                }
            }
            self.newest_seen = true;
        }
        bytes.drain(..start);
        self.room -= bytes.len();
        if !bytes.is_empty() {
            let segment = Segment {
                offset: segment.offset + start as u64,
                length: bytes.len() as u64,
                ..segment
            };
            self.pieces.push(Piece { segment, bytes });
        }
        enough || self.room == 0
    }

    /// In order, oldest first.
    fn finish(mut self) -> Vec<Piece> {
        self.pieces.reverse();
        self.pieces
    }
}
