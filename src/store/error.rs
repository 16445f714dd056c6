//! What can go wrong in the store, sorted by what the caller can do about it.

use std::path::PathBuf;

use rusqlite::ErrorCode;

use crate::task::{self, TaskId};

/// An error with what caused it, each once: an error's own words often leave the reason to its source.
#[must_use]
pub fn in_full(error: &dyn std::error::Error) -> String {
    let mut last = error.to_string();
    let mut text = last.clone();
    let mut source = error.source();
    while let Some(cause) = source {
        let words = cause.to_string();
        // Some errors tell their source's words, some sources repeat their error's.
        if !text.contains(&words) && !words.contains(&last) {
            text = format!("{text}: {words}");
            last = words;
        }
        source = cause.source();
    }
    text
}

/// A read or a write failed. Whatever the transaction had done so far is undone at the latest when its batch is dropped.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// No space is left. Release the reserve for what must be written, refuse what need not.
    #[error("write to the database: the disk is full")]
    DiskFull(#[source] rusqlite::Error),
    /// Reading, writing or syncing failed. The store opens its files again before the next batch.
    #[error("read or write the database: input/output error")]
    Io(#[source] rusqlite::Error),
    /// Another process kept the database locked for the whole time that we wait.
    #[error("get hold of the database: another process keeps it locked")]
    Busy(#[source] rusqlite::Error),
    /// The file's structure is damaged.
    #[error("read the database: the file is damaged (run the check, then restore a backup)")]
    Corrupt(#[source] rusqlite::Error),
    /// One task cannot be read, or was set aside. The others are not affected.
    #[error("read task {id}: {reason}")]
    BadRow {
        /// Its id, as far as it can be read.
        id: String,
        /// What is wrong.
        reason: String,
    },
    /// The schema's rules refuse the row: two tasks in one slot, two running tasks with one exclusive key, nonsense.
    #[error("write a row that the database's rules refuse")]
    Refused(#[source] rusqlite::Error),
    /// An earlier error has undone the whole batch; nothing of it is stored.
    #[error("go on with a batch that an earlier error has undone")]
    Undone,
    /// Anything else.
    #[error("use the database")]
    Other(#[source] rusqlite::Error),
}

impl StoreError {
    /// No space is left on the device (or within the quota).
    #[must_use]
    pub const fn is_disk_full(&self) -> bool {
        matches!(self, Self::DiskFull(_))
    }

    /// The connection should not be trusted any more.
    pub(super) const fn spoils_connection(&self) -> bool {
        matches!(self, Self::DiskFull(_) | Self::Io(_) | Self::Corrupt(_))
    }
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        let extended = error
            .sqlite_error()
            .map_or(0, |failure| failure.extended_code);
        match error.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => Self::DiskFull(error),
            // The shared-memory index could not grow: the disk is full as well.
            Some(ErrorCode::SystemIoFailure) if extended == rusqlite::ffi::SQLITE_IOERR_SHMSIZE => {
                Self::DiskFull(error)
            }
            Some(ErrorCode::SystemIoFailure) => Self::Io(error),
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Self::Busy(error),
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => Self::Corrupt(error),
            Some(ErrorCode::ConstraintViolation) => Self::Refused(error),
            _ => Self::Other(error),
        }
    }
}

/// The database cannot be opened. Its files are as they were.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The directory is on a network file system, where locks and syncs cannot be relied on.
    #[error("open {}: it is on a network file system ({kind}); move the state directory to a local disk", path.display())]
    Network {
        /// The database.
        path: PathBuf,
        /// The file system's name.
        kind: String,
    },
    /// The file is something else.
    #[error("open {}: it is not an SQLite database; restore a backup, or move it away to begin anew", path.display())]
    NotADatabase {
        /// The file.
        path: PathBuf,
    },
    /// The database belongs to another program.
    #[error("open {}: it is the database of another program (application id {application_id:#010x})", path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
        /// What it calls itself.
        application_id: i32,
    },
    /// A newer auto-claude has written it.
    #[error("open {}: it has schema {found}, this program knows schemas up to {known}; use the newer program", path.display())]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its schema.
        found: u32,
        /// The newest schema known here.
        known: u32,
    },
    /// The structure is damaged.
    #[error("open {}: it is damaged ({detail}); restore a backup", path.display())]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// The first damage found.
        detail: String,
    },
    /// There is no database, or an empty one, but something of a former one is left.
    #[error(
        "open {}: it is missing or empty, but {} is left of a database that held tasks; restore a backup, or move what is left \
         away to begin anew", path.display(), left.display()
    )]
    Bereft {
        /// The database.
        path: PathBuf,
        /// What is left.
        left: PathBuf,
    },
    /// Its write-ahead log was taken away before it was closed.
    #[error(
        "open {}: its write-ahead log (…-wal) was taken away, and with it what was stored last; put it back, or restore a \
         backup; to go on without it, remove {}", path.display(), index.display()
    )]
    LogMissing {
        /// The database.
        path: PathBuf,
        /// The log's index, which tells of it.
        index: PathBuf,
    },
    /// Something else has its name.
    #[error("open {}: it is {kind}, not a file; move it away", path.display())]
    NotAFile {
        /// What.
        path: PathBuf,
        /// Its kind.
        kind: &'static str,
    },
    /// The backup before a migration failed; nothing was migrated.
    #[error("save {} before its schema is brought up to date", path.display())]
    Backup {
        /// The database.
        path: PathBuf,
        /// Why.
        #[source]
        source: Box<CopyError>,
    },
    /// The file or its directory cannot be used.
    #[error("open {}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Anything SQLite says.
    #[error("open {}", path.display())]
    Store {
        /// The database.
        path: PathBuf,
        /// Why.
        source: StoreError,
    },
}

/// A submission was not stored.
#[derive(Debug, thiserror::Error)]
pub enum SubmitError {
    /// The same user has already used this key, for something else: this task.
    #[error("submit the task: its key is already used by {0}, which asks for something else")]
    KeyConflict(TaskId),
    /// The id is in use: take another random one.
    #[error("submit the task: its id is already used")]
    IdTaken,
    /// It waits for a task that is not here.
    #[error("submit the task: it waits for {0}, which does not exist")]
    UnknownDependency(TaskId),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<rusqlite::Error> for SubmitError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Store(error.into())
    }
}

/// An event was not applied.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// The table has no such transition from where the task stands.
    #[error(transparent)]
    Illegal(#[from] task::ApplyError),
    /// The task has moved since it was read: read it again and decide anew.
    #[error("change {0}: it has changed meanwhile")]
    Stale(TaskId),
    /// It is to wait for a task that is not here.
    #[error("change the task: it is to wait for {0}, which does not exist")]
    UnknownDependency(TaskId),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<rusqlite::Error> for ApplyError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Store(error.into())
    }
}

/// A backup, a restore or a check failed. Existing files are as they were.
#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    /// The target is there already.
    #[error("write {}: it exists already", .0.display())]
    Exists(PathBuf),
    /// The source is not sound.
    #[error("restore from {}: {problems} problem(s), the first: {first}; take another backup", path.display())]
    Unsound {
        /// The source.
        path: PathBuf,
        /// How many.
        problems: u64,
        /// The first, on one line.
        first: String,
    },
    /// The source cannot be opened as a database of ours.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// A file operation failed.
    #[error("{action} {}", path.display())]
    File {
        /// What was tried.
        action: &'static str,
        /// On which file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// SQLite failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<rusqlite::Error> for CopyError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Store(error.into())
    }
}
