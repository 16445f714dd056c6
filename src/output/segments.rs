//! From entries to segments: every byte of the log once, in order, whatever the index looks like.

use std::io;
use std::os::unix::fs::FileExt as _;

use super::entry::{ENTRY_BYTES, Entry, Stream};
use super::piece::Segment;
use super::reader::Reader;

/// Entries read at once.
pub(super) const BLOCK_ENTRIES: u64 = 512;

impl Reader {
    /// The segments of the bytes `offset..stop`, cut to them.
    pub(super) fn segments_from(
        &self,
        offset: u64,
        stop: u64,
    ) -> io::Result<impl Iterator<Item = io::Result<Segment>>> {
        let entries = self.entries()?;
        // The first entry that begins behind `offset`; damaged ones in the way are passed over to the left.
        let (mut low, mut high) = (0, entries);
        while low < high {
            let middle = low.midpoint(high);
            match self.valid_before(middle + 1)? {
                Some((_, entry)) if entry.offset > offset => high = middle,
                Some(_) | None => low = middle + 1,
            }
        }
        let first = self.valid_before(low)?.map_or(0, |(place, _)| place);
        let cut = move |segment: Segment| {
            let end = segment.offset + segment.length;
            let start = segment.offset.max(offset);
            (start < end).then(|| Segment {
                offset: start,
                length: end - start,
                ..segment
            })
        };
        let mut segments = self.block(first, entries, stop)?;
        // Already so in an index that we wrote; in any other no byte may be passed over.
        segments.position = segments.position.min(offset);
        Ok(segments.filter_map(move |segment| segment.map(cut).transpose()))
    }

    /// The segments from the entry at `first` to the log's byte `stop`, by entries `first..last`.
    pub(super) fn block(&self, first: u64, last: u64, stop: u64) -> io::Result<Segments<'_>> {
        let before = self.valid_before(first)?.map(|(_, entry)| entry);
        Ok(Segments {
            reader: self,
            next: first,
            last,
            stop,
            position: before.map_or(0, |entry| entry.end()),
            before,
            waiting: None,
            loaded: Vec::new().into_iter(),
        })
    }

    /// Where the block that begins with entry `place` begins in the log: behind the valid entry before it.
    pub(super) fn start_of(&self, place: u64, end: u64) -> io::Result<u64> {
        Ok(self
            .valid_before(place)?
            .map_or(0, |(_, entry)| entry.end())
            .min(end))
    }

    /// The nearest entry before `place` that can be read, and its place.
    pub(super) fn valid_before(&self, place: u64) -> io::Result<Option<(u64, Entry)>> {
        for place in (0..place).rev() {
            if let Some(entry) = self.load(place, 1)?.first().copied() {
                return Ok(Some((place, entry)));
            }
        }
        Ok(None)
    }

    pub(super) fn entries(&self) -> io::Result<u64> {
        self.index.as_ref().map_or(Ok(0), |index| {
            Ok(index.metadata()?.len() / ENTRY_BYTES as u64)
        })
    }

    /// The readable ones of `count` entries from `first`.
    pub(super) fn load(&self, first: u64, count: u64) -> io::Result<Vec<Entry>> {
        let Some(index) = &self.index else {
            return Ok(Vec::new());
        };
        let mut bytes = vec![0; usize::try_from(count).unwrap_or(0) * ENTRY_BYTES];
        index.read_exact_at(&mut bytes, first * ENTRY_BYTES as u64)?;
        Ok(bytes
            .chunks_exact(ENTRY_BYTES)
            .filter_map(Entry::decode)
            .collect())
    }
}

/// Iterates over segments; fills what no entry covers.
pub(super) struct Segments<'a> {
    reader: &'a Reader,
    next: u64,
    last: u64,
    stop: u64,
    pub(super) position: u64,
    before: Option<Entry>,
    waiting: Option<Entry>,
    loaded: std::vec::IntoIter<Entry>,
}

impl Segments<'_> {
    fn next_entry(&mut self) -> io::Result<Option<Entry>> {
        loop {
            if let Some(entry) = self.waiting.take().or_else(|| self.loaded.next()) {
                return Ok(Some(entry));
            }
            if self.next >= self.last {
                return Ok(None);
            }
            let count = (self.last - self.next).min(BLOCK_ENTRIES);
            self.loaded = self.reader.load(self.next, count)?.into_iter();
            self.next += count;
        }
    }

    /// The bytes from here to `end`, of which no entry tells.
    fn gap(&self, end: u64, after: Option<Entry>) -> Segment {
        let near = self.before.or(after);
        Segment {
            generation: near.map_or(0, |entry| entry.generation),
            stream: Stream::Unknown,
            time_ms: near.map_or(0, |entry| entry.time_ms),
            offset: self.position,
            length: end - self.position,
        }
    }

    fn advance(&mut self) -> io::Result<Option<Segment>> {
        while self.position < self.stop {
            let segment = match self.next_entry()? {
                None => self.gap(self.stop, None),
                Some(entry) if entry.end() <= self.position => continue,
                Some(entry) if entry.offset > self.position => {
                    self.waiting = Some(entry);
                    self.gap(entry.offset.min(self.stop), Some(entry))
                }
                Some(entry) => {
                    self.before = Some(entry);
                    let end = entry.end().min(self.stop);
                    Segment {
                        generation: entry.generation,
                        stream: entry.stream,
                        time_ms: entry.time_ms,
                        offset: self.position,
                        length: end - self.position,
                    }
                }
            };
            self.position = segment.offset + segment.length;
            return Ok(Some(segment));
        }
        Ok(None)
    }
}

impl Iterator for Segments<'_> {
    type Item = io::Result<Segment>;

    fn next(&mut self) -> Option<Self::Item> {
        self.advance().transpose()
    }
}
