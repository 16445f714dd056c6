//! One daemon per state directory and per database: two locks held for life, that name their holder.
//!
//! Invariant: the database's own file is never opened here. Closing any descriptor of it would drop the locks that SQLite
//! holds on it in this process, so the lock lies beside it.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{ErrorKind, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use backon::{BlockingRetryable as _, ConstantBuilder};

use crate::config::Paths;

use super::place::LockPlace;

/// How long a start waits for a daemon that is leaving.
const LOCK_WAIT: Duration = Duration::from_secs(5);
const LOCK_RETRY: Duration = Duration::from_millis(50);
/// The holder's line is short, but for the path of its state directory; more is not ours.
const HOLDER_MAX_BYTES: u64 = 5_000;
/// Only the owner may open a lock: who can open it can also hold it.
const LOCK_MODE: u32 = 0o600;

/// The locks. Dropping them lets the next daemon in.
#[derive(Debug)]
pub struct DaemonLock {
    _database: File,
    state_dir: File,
}

/// Why the locks were not taken.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Somebody has the state directory.
    #[error("the state directory {} is in use by {holder}; stop that one first, or choose another --state-dir", dir.display())]
    Held {
        /// The state directory.
        dir: PathBuf,
        /// Who, as the holder wrote it down.
        holder: String,
    },
    /// Somebody has the database: a daemon of another state directory, whose settings name the same file.
    #[error("the database {} is in use by {holder}; stop that one first, or name another database (database_url)", database.display())]
    DatabaseHeld {
        /// The database.
        database: PathBuf,
        /// Who, as the holder wrote it down.
        holder: String,
    },
    /// The file cannot be opened or locked.
    #[error("cannot lock {}", path.display())]
    Io {
        /// The lock file, or the database that it is to lie beside.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
}

impl DaemonLock {
    /// Takes the locks, trying for 5 s; `role` is what others read while they are held.
    ///
    /// # Errors
    /// [`LockError`].
    pub fn take(paths: &Paths, role: &str) -> Result<Self, LockError> {
        let retry = ConstantBuilder::default()
            .with_delay(LOCK_RETRY)
            .with_max_times((LOCK_WAIT.as_millis() / LOCK_RETRY.as_millis()) as usize);
        (|| Self::try_take(paths, role))
            .retry(retry)
            .when(|error| {
                matches!(
                    error,
                    LockError::Held { .. } | LockError::DatabaseHeld { .. }
                )
            })
            .call()
    }

    /// Takes the locks if they are free at this moment: both or none.
    ///
    /// # Errors
    /// [`LockError`].
    pub fn try_take(paths: &Paths, role: &str) -> Result<Self, LockError> {
        let name = format!("{role}, pid {}", std::process::id());
        let state_dir = lock(&paths.lock_file, &name)?.map_err(|holder| LockError::Held {
            dir: paths.state_dir.clone(),
            holder,
        })?;
        let beside = lock_of(&paths.database).map_err(|source| LockError::Io {
            path: paths.database.clone(),
            source,
        })?;
        // Who is refused looks for the holder by this.
        let name = format!("{name}, state directory {}", paths.state_dir.display());
        let database = lock(&beside, &name)?.map_err(|holder| LockError::DatabaseHeld {
            database: paths.database.clone(),
            holder,
        })?;
        Ok(Self {
            _database: database,
            state_dir,
        })
    }

    /// Where the state directory's was taken.
    ///
    /// # Errors
    /// When it cannot be looked at.
    pub fn place(&self, paths: &Paths) -> std::io::Result<LockPlace> {
        LockPlace::of(&self.state_dir, &paths.lock_file)
    }

    /// Whether somebody has the state directory at this moment. Changes nothing there.
    #[must_use]
    pub fn is_held(paths: &Paths) -> bool {
        File::open(&paths.lock_file)
            .is_ok_and(|file| matches!(file.try_lock(), Err(TryLockError::WouldBlock)))
    }
}

/// The lock of a database: beside the file that all ways to it lead to, so that symbolic links meet there.
fn lock_of(database: &Path) -> std::io::Result<PathBuf> {
    let mut name = canonical(database)?.into_os_string();
    name.push(".lock");
    Ok(PathBuf::from(name))
}

/// The one path of a database that may not be there yet.
///
/// # Errors
/// Its directory is not there, or it is a link to nowhere: two of those could lead to one new file.
pub(super) fn canonical(database: &Path) -> std::io::Result<PathBuf> {
    match database.canonicalize() {
        Err(error)
            if error.kind() == ErrorKind::NotFound && database.symlink_metadata().is_err() =>
        {
            let (Some(dir), Some(name)) = (database.parent(), database.file_name()) else {
                return Err(error);
            };
            Ok(dir.canonicalize()?.join(name))
        }
        found => found,
    }
}

/// Locks the file at `path` in the name of `name`; the inner error is who has it.
fn lock(path: &Path, name: &str) -> Result<Result<File, String>, LockError> {
    let io = |source| LockError::Io {
        path: path.to_owned(),
        source,
    };
    // Never truncated here: what stands in it belongs to the holder. Never through a link: it would be another's file.
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(LOCK_MODE)
        .custom_flags(libc::O_NOFOLLOW)
        .open(path)
        .map_err(io)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Ok(Err(holder(&file))),
        Err(TryLockError::Error(source)) => return Err(io(source)),
    }
    file.set_len(0).map_err(io)?;
    file.seek(SeekFrom::Start(0)).map_err(io)?;
    writeln!(file, "{name}").map_err(io)?;
    Ok(Ok(file))
}

/// Who has the lock, as it wrote itself down.
fn holder(file: &File) -> String {
    let mut text = Vec::new();
    // Best effort: the message is of use without the name, too.
    drop(file.take(HOLDER_MAX_BYTES).read_to_end(&mut text));
    let text = String::from_utf8_lossy(&text);
    if text.trim().is_empty() {
        "another daemon".to_owned()
    } else {
        text.trim().to_owned()
    }
}
