//! The worker's side: takes bytes as they come and never fails.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use super::entry::{ENTRY_BYTES, Entry, Stream};
use super::tail::Tail;
use super::{INDEX_NAME, LOG_NAME};
use crate::task::Timestamp;

/// Kept of the end of an output that goes beyond its limit.
pub const TAIL_BYTES: usize = 64 * 1024;
/// Bytes of one stream that come within this time share an entry: the precision of time in the log.
const MERGE_MS: i64 = 100;
/// Longest run of one entry.
const RUN_MAX_BYTES: u32 = 1 << 30;
/// After files could not be opened, the next try waits this long.
const REOPEN_MS: i64 = 100;
/// After the disk was found full, the next try waits this long: space that comes back goes first to what cannot do without
/// it, the database, and not to the output that fills the disk.
const FULL_DISK_MS: i64 = 500;

/// The output of one attempt. Files are made at the first byte; an attempt without output leaves none.
#[derive(Debug)]
pub struct Writer {
    dir: PathBuf,
    generation: u32,
    max_bytes: u64,
    files: Option<Files>,
    /// Writing or opening failed, and is not tried for a while.
    resting: Option<Resting>,
    seen: u64,
    kept: u64,
    lost: Lost,
    tail: Option<Tail>,
}

/// Why nothing is written for a while, and from when to when.
#[derive(Debug)]
struct Resting {
    from_ms: i64,
    until_ms: i64,
    why: String,
}

impl Resting {
    fn new(now: Timestamp, pause_ms: i64, why: &io::Error) -> Self {
        Self {
            from_ms: now.as_ms(),
            until_ms: now.as_ms().saturating_add(pause_ms),
            why: why.to_string(),
        }
    }

    /// A clock that was set back ends it, too: it would last for as long as the clock was wrong.
    const fn is_over(&self, now: Timestamp) -> bool {
        now.as_ms() >= self.until_ms || now.as_ms() < self.from_ms
    }
}

#[derive(Debug)]
struct Files {
    log: File,
    log_bytes: u64,
    at_line_start: bool,
    index: File,
    index_bytes: u64,
    /// The last entry of this attempt, while more bytes may join it.
    last: Option<Entry>,
}

#[derive(Debug, Default)]
struct Lost {
    /// Not yet told in the log.
    bytes: u64,
    why: String,
    total: u64,
}

impl Lost {
    fn add(&mut self, bytes: u64, why: &io::Error) {
        self.bytes += bytes;
        self.total += bytes;
        self.why = why.to_string();
    }
}

impl Writer {
    /// A writer for attempt `generation`, into the task's directory `dir` (made when needed). Of the output `max_bytes` are
    /// kept, and the last [`TAIL_BYTES`].
    #[must_use]
    pub fn new(dir: &Path, generation: u32, max_bytes: u64) -> Self {
        Self {
            dir: dir.to_owned(),
            generation,
            max_bytes,
            files: None,
            resting: None,
            seen: 0,
            kept: 0,
            lost: Lost::default(),
            tail: None,
        }
    }

    /// Bytes the agent wrote so far, kept or not.
    #[must_use]
    pub const fn seen_bytes(&self) -> u64 {
        self.seen
    }

    /// Bytes that could not be written for want of space or a working disk.
    #[must_use]
    pub const fn lost_bytes(&self) -> u64 {
        self.lost.total
    }

    /// What was lost, in words for the attempt's outcome: a disk that is still full at the end takes no line in the log.
    /// `None` when nothing was.
    #[must_use]
    pub fn loss(&self) -> Option<String> {
        (self.lost.total > 0).then(|| {
            let Lost { total, why, .. } = &self.lost;
            format!("{total} bytes of output were lost: {why}")
        })
    }

    /// Takes `bytes` that came at `now`.
    pub fn append(&mut self, stream: Stream, bytes: &[u8], now: Timestamp) {
        self.seen += bytes.len() as u64;
        let room = usize::try_from(self.max_bytes.saturating_sub(self.kept)).unwrap_or(usize::MAX);
        let (kept, beyond) = bytes.split_at(bytes.len().min(room));
        if !kept.is_empty() {
            self.kept += kept.len() as u64;
            self.put(stream, kept, now);
        }
        if beyond.is_empty() {
            return;
        }
        if self.tail.is_none() {
            let words = format!(
                "output limit of {} bytes reached: of what follows only the last {TAIL_BYTES} bytes are kept",
                self.max_bytes
            );
            // The line that finds no room is no loss by itself: the end says how much was left out.
            let _ = self.say(&words, now);
        }
        self.tail
            .get_or_insert_with(|| Tail::new(TAIL_BYTES))
            .push(stream, beyond);
    }

    /// The attempt is over: writes the kept end of an output that went beyond its limit, and what was lost.
    pub fn finish(&mut self, now: Timestamp) {
        // There is no later try.
        self.resting = None;
        if let Some(tail) = self.tail.take() {
            let dropped = tail.dropped();
            if dropped > 0 {
                let words = format!("{dropped} bytes left out, the last {} follow", tail.len());
                if let Err(error) = self.say(&words, now) {
                    // Left out by the limit; without the line that names them they would be missing in silence.
                    self.lost.add(dropped, &error);
                }
            }
            for (stream, bytes) in tail.into_runs() {
                self.put(stream, &bytes, now);
            }
        }
        self.tell_lost(now);
    }

    /// A line of ours.
    fn say(&mut self, words: &str, now: Timestamp) -> io::Result<()> {
        self.tell_lost(now);
        let line = self.meta_line(words);
        self.write(Stream::Meta, line.as_bytes(), now)
            .map_err(|(_, error)| error)
    }

    fn meta_line(&self, words: &str) -> String {
        let begin = if self.files.as_ref().is_none_or(|files| files.at_line_start) {
            ""
        } else {
            "\n"
        };
        format!("{begin}--- {words} ---\n")
    }

    fn put(&mut self, stream: Stream, bytes: &[u8], now: Timestamp) {
        self.tell_lost(now);
        if let Err((written, error)) = self.write(stream, bytes, now) {
            self.lost.add((bytes.len() - written) as u64, &error);
        }
    }

    fn tell_lost(&mut self, now: Timestamp) {
        if self.lost.bytes == 0 {
            return;
        }
        let line = self.meta_line(&format!(
            "{} bytes of output lost: {}",
            self.lost.bytes, self.lost.why
        ));
        if self.write(Stream::Meta, line.as_bytes(), now).is_ok() {
            self.lost.bytes = 0;
        }
    }

    /// Writes to the log, then to the index. On failure says how many bytes the log has.
    fn write(
        &mut self,
        stream: Stream,
        bytes: &[u8],
        now: Timestamp,
    ) -> Result<(), (usize, io::Error)> {
        let generation = self.generation;
        let files = self.open(now).map_err(|error| (0, error))?;
        let mut written = 0;
        while written < bytes.len() {
            match files.log.write(&bytes[written..]) {
                Ok(0) => return Err((written, io::ErrorKind::WriteZero.into())),
                Ok(count) => {
                    files.record(generation, stream, &bytes[written..written + count], now);
                    written += count;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    if is_full(&error) {
                        self.resting = Some(Resting::new(now, FULL_DISK_MS, &error));
                    }
                    return Err((written, error));
                }
            }
        }
        Ok(())
    }

    fn open(&mut self, now: Timestamp) -> io::Result<&mut Files> {
        if let Some(resting) = &self.resting
            && !resting.is_over(now)
        {
            return Err(io::Error::other(resting.why.clone()));
        }
        let files = match self.files.take() {
            Some(files) => files,
            None => Files::open(&self.dir, self.generation, now).inspect_err(|error| {
                self.resting = Some(Resting::new(now, REOPEN_MS, error));
            })?,
        };
        self.resting = None;
        Ok(self.files.insert(files))
    }
}

fn is_full(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
    )
}

impl Files {
    /// Opens both files, mends what a crash left, and writes the line that separates the attempts.
    fn open(dir: &Path, generation: u32, now: Timestamp) -> io::Result<Self> {
        let mut options = OpenOptions::new();
        options.read(true).create(true).mode(0o600);
        let open_log = || options.clone().append(true).open(dir.join(LOG_NAME));
        let log = match open_log() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
                open_log()?
            }
            other => other?,
        };
        let index = options.write(true).open(dir.join(INDEX_NAME))?;
        let log_bytes = log.metadata()?.len();
        let mut last_byte = [b'\n'];
        if log_bytes > 0 {
            log.read_at(&mut last_byte, log_bytes - 1)?;
        }
        let index_bytes = mend(&index, log_bytes)?;
        let mut files = Self {
            log,
            log_bytes,
            at_line_start: last_byte == *b"\n",
            index,
            index_bytes,
            last: None,
        };
        let begin = if files.at_line_start { "" } else { "\n" };
        let line = format!("{begin}--- attempt {generation}, {now} ---\n");
        let count = files.log.write(line.as_bytes())?;
        files.record(generation, Stream::Meta, &line.as_bytes()[..count], now);
        Ok(files)
    }

    /// Notes bytes that the log has got. A failure costs only the knowledge whose they are.
    fn record(&mut self, generation: u32, stream: Stream, bytes: &[u8], now: Timestamp) {
        let Some(newest) = bytes.last() else { return };
        let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        let joined = self.last.filter(|last| {
            let age = now.as_ms().saturating_sub(last.time_ms);
            last.stream == stream && last.end() == self.log_bytes && (0..MERGE_MS).contains(&age)
        });
        let joined = joined.and_then(|last| {
            last.length
                .checked_add(length)
                .filter(|sum| *sum <= RUN_MAX_BYTES)
                .map(|sum| Entry {
                    length: sum,
                    ..last
                })
        });
        let entry = joined.unwrap_or(Entry {
            generation,
            stream,
            time_ms: now.as_ms(),
            offset: self.log_bytes,
            length,
        });
        // An entry that grows is written again at its place: whole, inside one disk sector.
        let place = if joined.is_some() {
            self.index_bytes - ENTRY_BYTES as u64
        } else {
            self.index_bytes
        };
        self.log_bytes += bytes.len() as u64;
        self.at_line_start = *newest == b'\n';
        if self.index.write_all_at(&entry.encode(), place).is_ok() {
            self.index_bytes = place + ENTRY_BYTES as u64;
            self.last = Some(entry);
        } else {
            self.last = None;
        }
    }
}

/// Takes off the index what does not fit the log: a torn last entry, and entries of bytes that a power loss took from the
/// log (new bytes would seem to be theirs). Returns its length.
fn mend(index: &File, log_bytes: u64) -> io::Result<u64> {
    let size = ENTRY_BYTES as u64;
    let length = index.metadata()?.len();
    let mut end = length / size * size;
    while end > 0 {
        let mut bytes = [0; ENTRY_BYTES];
        index.read_exact_at(&mut bytes, end - size)?;
        match Entry::decode(&bytes) {
            Some(entry) if entry.end() <= log_bytes => break,
            Some(entry) if entry.offset < log_bytes => {
                let left = u32::try_from(log_bytes - entry.offset).unwrap_or(u32::MAX);
                index.write_all_at(
                    &Entry {
                        length: left,
                        ..entry
                    }
                    .encode(),
                    end - size,
                )?;
                break;
            }
            Some(_) | None => end -= size,
        }
    }
    if end != length {
        index.set_len(end)?;
    }
    Ok(end)
}
