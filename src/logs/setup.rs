//! Puts the log together: filter, layer, outputs and the threads that write them.
//!
//! Invariants: the file takes every line (a full queue holds its sender up); so does the journal. A terminal or pipe on
//! stderr may drop lines instead, since a stopped terminal must not stop the daemon and the file has them all.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tracing::Dispatch;
use tracing::level_filters::LevelFilter;
use tracing_appender::non_blocking::{NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::{Layer as _, Registry, reload};

use super::journal::stderr_is_journal;
use super::layer::{LogLayer, Output};
use super::line::{Format, Line};
use super::rotate::{RotatingFile, Rotation};
use crate::config::Settings;

/// Lines that may wait for the disk before senders are held up. The queue is allocated at once: 40 bytes each.
const QUEUED_LINES: usize = 4096;
/// Bytes of a mebibyte.
const MIB: u64 = 1024 * 1024;
/// Targets of this package's own events begin with this.
const OWN_TARGET: &str = "auto_claude";
/// How long [`Guard`]'s drop waits for the lines that are still under way.
const LAST_FLUSH: Duration = Duration::from_secs(5);
/// How often a waiting flush looks.
const FLUSH_LOOK: Duration = Duration::from_millis(2);

/// Why there is no log.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The directory cannot be made.
    #[error("create the log directory {}", path.display())]
    Directory {
        /// The directory.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// The file cannot be opened.
    #[error("open the log {}", path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// The process has a log already.
    #[error("start the log: this process has one already")]
    AlreadyStarted,
    /// A level that does not exist.
    #[error("set the log level `{0}`: must be one of error, warn, info, debug, trace")]
    Level(String),
}

/// Keeps the log alive; dropped last, it writes what is still under way.
pub struct Guard {
    level: reload::Handle<Targets, Registry>,
    sent: Arc<AtomicU64>,
    done: Arc<AtomicU64>,
    _threads: Vec<WorkerGuard>,
}

impl Guard {
    /// Changes the level (a reload of the settings).
    ///
    /// # Errors
    /// [`LogError::Level`] for a word that is no level.
    pub fn set_level(&self, level: &str) -> Result<(), LogError> {
        let targets = targets(level)?;
        // It fails only when the subscriber is gone; then there is nothing to change.
        let _ = self.level.reload(targets);
        Ok(())
    }

    /// Waits until every line logged before this call is in the file (or counted as lost), at most `limit`.
    /// Returns whether it is so.
    #[must_use]
    #[expect(
        clippy::disallowed_methods,
        reason = "a bounded wait of the log, not a decision"
    )]
    pub fn flush(&self, limit: Duration) -> bool {
        let sent = self.sent.load(Ordering::Acquire);
        let started = Instant::now();
        while self.done.load(Ordering::Acquire) < sent {
            if started.elapsed() >= limit {
                return false;
            }
            std::thread::sleep(FLUSH_LOOK);
        }
        true
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        // tracing-appender's own guard waits for one second only.
        let _ = self.flush(LAST_FLUSH);
    }
}

/// Starts the log of this process in `dir` (created where missing), and on stderr if asked.
///
/// # Errors
/// The directory or file cannot be made, or the process has a log already.
pub fn init(dir: &Path, settings: &Settings, also_stderr: bool) -> Result<Guard, LogError> {
    let (dispatch, guard) = subscriber(dir, settings, also_stderr)?;
    tracing::dispatcher::set_global_default(dispatch).map_err(|_| LogError::AlreadyStarted)?;
    Ok(guard)
}

/// The log as a subscriber that is nobody's default yet.
///
/// # Errors
/// As [`init`], without the last.
pub fn subscriber(
    dir: &Path,
    settings: &Settings,
    also_stderr: bool,
) -> Result<(Dispatch, Guard), LogError> {
    let format = if settings.log_json {
        Format::Json
    } else {
        Format::Text
    };
    std::fs::create_dir_all(dir).map_err(|source| LogError::Directory {
        path: dir.to_path_buf(),
        source,
    })?;
    let rotation = Rotation {
        max_bytes: settings.max_log_size_mb * MIB,
        kept: settings.max_log_files,
    };
    let (sent, done) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let loss_note =
        Box::new(move |lost, reason: &str| loss_line(lost, reason).render(format, true));
    let file =
        RotatingFile::open(dir, rotation, loss_note, Arc::clone(&done)).map_err(|source| {
            LogError::Open {
                path: dir.join(super::LOG_NAME),
                source,
            }
        })?;

    let mut outputs = Vec::new();
    let mut threads = Vec::new();
    let builder = |name: &str, lossy: bool| {
        NonBlockingBuilder::default()
            .lossy(lossy)
            .buffered_lines_limit(QUEUED_LINES)
            .thread_name(name)
    };
    let (writer, thread) = builder("log-file", false).finish(file);
    outputs.push(Output {
        writer,
        format,
        journal: false,
        sent: Arc::clone(&sent),
    });
    threads.push(thread);
    if also_stderr {
        let journal = stderr_is_journal();
        let (writer, thread) = builder("log-stderr", !journal).finish(io::stderr());
        outputs.push(Output {
            writer,
            format,
            journal,
            sent: Arc::new(AtomicU64::new(0)),
        });
        threads.push(thread);
    }
    let (filter, level) = reload::Layer::new(targets(&settings.log_level)?);
    let dispatch =
        Dispatch::new(Registry::default().with(LogLayer { outputs }.with_filter(filter)));
    Ok((
        dispatch,
        Guard {
            level,
            sent,
            done,
            _threads: threads,
        },
    ))
}

/// What is logged at `level`: of this package all of it, of libraries nothing below `info`, where they speak of their
/// own insides.
fn targets(level: &str) -> Result<Targets, LogError> {
    let level = match level.to_ascii_lowercase().as_str() {
        "error" => LevelFilter::ERROR,
        "warn" => LevelFilter::WARN,
        "info" => LevelFilter::INFO,
        "debug" => LevelFilter::DEBUG,
        "trace" => LevelFilter::TRACE,
        _ => return Err(LogError::Level(level.to_owned())),
    };
    Ok(Targets::new()
        .with_default(level.min(LevelFilter::INFO))
        .with_target(OWN_TARGET, level))
}

fn loss_line(lost: u64, reason: &str) -> Line {
    let mut fields = serde_json::Map::new();
    fields.insert("lost_lines".to_owned(), lost.into());
    fields.insert("reason".to_owned(), reason.into());
    Line {
        timestamp: super::line::now(),
        level: tracing::Level::WARN,
        target: "auto_claude::logs".to_owned(),
        event: "lines of this log were lost".to_owned(),
        fields,
    }
}
