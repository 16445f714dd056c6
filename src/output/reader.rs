//! Everybody's side: who wrote what when, forwards from any offset or backwards from the end.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use super::piece::{AttemptSpan, Filter, Page, Piece, Segment};
use super::{INDEX_NAME, LOG_NAME};

/// An open log. What is appended later is seen too.
#[derive(Debug)]
pub struct Reader {
    log: Option<File>,
    pub(super) index: Option<File>,
}

impl Reader {
    /// Opens the output of the task with directory `dir`. A task without output has none: an empty reader.
    ///
    /// # Errors
    /// When a file is there and cannot be opened.
    pub fn open(dir: &Path) -> io::Result<Self> {
        let open = |name| match File::open(dir.join(name)) {
            Ok(file) => Ok(Some(file)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        };
        Ok(Self {
            log: open(LOG_NAME)?,
            index: open(INDEX_NAME)?,
        })
    }

    /// Length of the log in bytes.
    ///
    /// # Errors
    /// When it cannot be looked at.
    pub fn end(&self) -> io::Result<u64> {
        self.log
            .as_ref()
            .map_or(Ok(0), |log| Ok(log.metadata()?.len()))
    }

    /// The raw bytes from `offset`, at most `length`; fewer at the end of the log.
    ///
    /// # Errors
    /// When they cannot be read.
    pub fn read_range(&self, offset: u64, length: usize) -> io::Result<Vec<u8>> {
        let Some(log) = &self.log else {
            return Ok(Vec::new());
        };
        let room = usize::try_from(self.end()?.saturating_sub(offset)).unwrap_or(usize::MAX);
        let mut bytes = vec![0; length.min(room)];
        let mut filled = 0;
        while filled < bytes.len() {
            match log.read_at(&mut bytes[filled..], offset + filled as u64) {
                Ok(0) => break,
                Ok(count) => filled += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        bytes.truncate(filled);
        Ok(bytes)
    }

    /// The pieces from `offset` that `filter` takes, at most `max_bytes` of log looked at.
    ///
    /// # Errors
    /// When log or index cannot be read.
    pub fn page(&self, offset: u64, max_bytes: usize, filter: &Filter) -> io::Result<Page> {
        let end = self.end()?;
        let stop = offset.saturating_add(max_bytes as u64).min(end);
        let mut page = Page {
            pieces: Vec::new(),
            next: offset.max(stop),
            end,
        };
        if offset >= stop {
            return Ok(page);
        }
        for segment in self.segments_from(offset, stop)? {
            let segment = segment?;
            if filter.takes(&segment) {
                let bytes = self.read_range(
                    segment.offset,
                    usize::try_from(segment.length).unwrap_or(usize::MAX),
                )?;
                page.pieces.push(Piece { segment, bytes });
            }
        }
        Ok(page)
    }

    /// The attempts in the log, in order of their first byte.
    ///
    /// # Errors
    /// When the index cannot be read.
    pub fn attempts(&self) -> io::Result<Vec<AttemptSpan>> {
        let mut spans: Vec<AttemptSpan> = Vec::new();
        for segment in self.segments()? {
            let segment = segment?;
            let end = segment.offset + segment.length;
            match spans.last_mut() {
                Some(span) if span.generation == segment.generation => {
                    span.end = end;
                    span.last_ms = segment.time_ms;
                }
                Some(_) | None => spans.push(AttemptSpan {
                    generation: segment.generation,
                    first_ms: segment.time_ms,
                    last_ms: segment.time_ms,
                    start: segment.offset,
                    end,
                }),
            }
        }
        Ok(spans)
    }

    /// All segments, without gaps or overlaps, in order.
    ///
    /// # Errors
    /// When the files cannot be looked at.
    pub fn segments(&self) -> io::Result<impl Iterator<Item = io::Result<Segment>>> {
        self.segments_from(0, self.end()?)
    }
}
