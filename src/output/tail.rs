//! The last bytes of an output that went beyond its limit.

use std::collections::VecDeque;

use super::Stream;

/// Runs kept at most: an output that changes its stream with every byte must not cost more memory than its bytes.
const RUNS_MAX: usize = 1024;

/// A ring of the last bytes and their streams.
#[derive(Debug)]
pub(super) struct Tail {
    bytes: VecDeque<u8>,
    runs: VecDeque<(Stream, usize)>,
    capacity: usize,
    dropped: u64,
}

impl Tail {
    pub(super) fn new(capacity: usize) -> Self {
        Self {
            bytes: VecDeque::new(),
            runs: VecDeque::new(),
            capacity,
            dropped: 0,
        }
    }

    /// Takes `bytes`; the oldest make room.
    pub(super) fn push(&mut self, stream: Stream, bytes: &[u8]) {
        let skipped = bytes.len().saturating_sub(self.capacity);
        self.dropped += skipped as u64;
        let bytes = &bytes[skipped..];
        self.drop_oldest((self.bytes.len() + bytes.len()).saturating_sub(self.capacity));
        self.bytes.extend(bytes);
        match self.runs.back_mut() {
            Some((last, length)) if *last == stream => *length += bytes.len(),
            Some(_) | None => self.runs.push_back((stream, bytes.len())),
        }
        while self.runs.len() > RUNS_MAX {
            let oldest = self.runs.front().map_or(0, |(_, length)| *length);
            self.drop_oldest(oldest);
        }
    }

    fn drop_oldest(&mut self, count: usize) {
        let mut left = count.min(self.bytes.len());
        self.bytes.drain(..left);
        self.dropped += left as u64;
        while let Some((_, length)) = self.runs.front_mut() {
            if *length > left {
                *length -= left;
                return;
            }
            left -= *length;
            self.runs.pop_front();
        }
    }

    /// Bytes that were given and are gone.
    pub(super) const fn dropped(&self) -> u64 {
        self.dropped
    }

    /// Bytes that are kept.
    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// The kept bytes, run by run.
    pub(super) fn into_runs(mut self) -> impl Iterator<Item = (Stream, Vec<u8>)> {
        let runs = std::mem::take(&mut self.runs);
        runs.into_iter()
            .map(move |(stream, length)| (stream, self.bytes.drain(..length).collect()))
    }
}
