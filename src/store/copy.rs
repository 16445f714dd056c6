//! Backup and restore: whole files or none, never in place of something.
//!
//! A copy is written beside its target, synced, and then given its name. Nothing here opens a database's file directly
//! while a connection to it is open in this process.

use std::fs::File;
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use rusqlite::backup::{Backup, StepResult};
use rusqlite::{Connection, OpenFlags};
use rustix::fs::RenameFlags;

use super::open::{self, Role};
use super::schema::{self, Header};
use super::{CopyError, OpenError, OpenOptions, Reader, StoreError, beside, check};

/// How far a copy is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CopyProgress {
    /// Pages copied.
    pub done: u64,
    /// Pages in all.
    pub total: u64,
}

/// Pages copied between two reports.
const PAGES_PER_STEP: i32 = 1_024;

/// Saves the database of `options` as the new file `to`, while others read and write it: the copy is the database as it
/// was at one moment. `to` is complete and synced when this returns, or not there.
///
/// # Errors
/// [`CopyError`]; [`CopyError::Exists`] when `to` is there already.
pub fn backup(
    options: &OpenOptions,
    to: &Path,
    progress: &mut dyn FnMut(CopyProgress),
) -> Result<(), CopyError> {
    Reader::open(options)?.backup(to, progress)
}

/// Puts the backup `from` in the place of the database `to`, after a full check of it. The replaced database is kept as
/// `TO.before-restore-N`; its path is returned (`None` when there was no database). Nobody else may have `to` open: the caller
/// holds the lock of the state directory. A crash leaves the one or the other, whole.
///
/// # Errors
/// [`CopyError`]; [`CopyError::Unsound`] when the check of `from` finds a problem. `to` is then as it was.
pub fn restore(
    from: &Path,
    to: &Path,
    progress: &mut dyn FnMut(CopyProgress),
) -> Result<Option<PathBuf>, CopyError> {
    let fresh = with_suffix(to, ".restore");
    let copied = open_source(from).and_then(|source| {
        discard(&fresh)?;
        copy_pages(&source, &fresh, progress)
    });
    let sound = copied.and_then(|()| {
        check(&fresh, &mut |_| {}).and_then(|report| match report.problems.first() {
            None => Ok(()),
            Some(first) => Err(CopyError::Unsound {
                path: from.to_owned(),
                problems: report.problem_count,
                first: first.to_string(),
            }),
        })
    });
    if let Err(error) = sound {
        discard(&fresh)?;
        return Err(blame(from, error));
    }
    discard_companions(&fresh)?;
    // A log without a main file is what is left of a database; beside the restored one it would be applied to that.
    let is_there = to.exists() || with_suffix(to, "-wal").exists();
    let kept = if is_there { Some(keep(to)?) } else { None };
    crate::crash::point("restore.kept");
    std::fs::rename(&fresh, to).map_err(file_error("put the restored database in place as", to))?;
    sync_directory(to).map_err(file_error("sync the directory of", to))?;
    Ok(kept)
}

/// Damage that shows in the copy is the source's.
fn blame(from: &Path, error: CopyError) -> CopyError {
    let detail = if let CopyError::Store(StoreError::Corrupt(source)) = &error {
        source.to_string()
    } else if let CopyError::Open(OpenError::Corrupt { detail, .. }) = error {
        detail
    } else {
        return error;
    };
    CopyError::Open(OpenError::Corrupt {
        path: from.to_owned(),
        detail,
    })
}

/// Opens a backup for reading, and refuses what is not a database of ours.
fn open_source(from: &Path) -> Result<Connection, CopyError> {
    let explain = |error| CopyError::Open(open::explain(from, error));
    let about = std::fs::metadata(from).map_err(file_error("read", from))?;
    if about.is_dir() {
        return Err(file_error("read", from)(io::ErrorKind::IsADirectory.into()));
    }
    beside::refuse_bereft(from, &[])?;
    beside::refuse_damaged_log(from, None)?;
    let source = open::connect(&OpenOptions::at(from), Role::Reader).map_err(explain)?;
    let header = Header::read(&source).map_err(explain)?;
    header.accept(from, schema::newest(schema::MIGRATIONS))?;
    if header.is_blank() {
        return Err(OpenError::Foreign {
            path: from.to_owned(),
            application_id: 0,
        }
        .into());
    }
    Ok(source)
}

/// Gives the database a second name that survives its replacement, and ends its write-ahead log: a log that outlived the
/// replacement would be applied to the new database.
fn keep(to: &Path) -> Result<PathBuf, CopyError> {
    // A sound database takes its log in when it is closed. A damaged one keeps its log beside the kept copy, and one that
    // is not whole is not opened at all: SQLite would delete a log beside an empty file, and cut a damaged one.
    let is_whole = beside::refuse_bereft(to, &[])
        .and_then(|()| beside::refuse_damaged_log(to, None))
        .is_ok();
    if is_whole {
        let taken_in = open::connect(&OpenOptions::at(to), Role::Writer).and_then(|conn| {
            Header::read(&conn)?;
            open::leave_untouched(&conn, false)
        });
        drop(taken_in);
    }
    let kept = free_name(to, ".before-restore");
    let log = with_suffix(to, "-wal");
    if log.exists() {
        duplicate(&log, &with_suffix(&kept, "-wal"))?;
    }
    if to.exists() {
        duplicate(to, &kept)?;
    } else {
        // An empty file and a log say the same as a log alone, and keep the name.
        File::create_new(&kept).map_err(file_error("create", &kept))?;
    }
    sync_directory(to).map_err(file_error("sync the directory of", to))?;
    discard_companions(to)?;
    sync_directory(to).map_err(file_error("sync the directory of", to))?;
    Ok(kept)
}

/// A second name for the same file where the file system has such, else a synced copy.
fn duplicate(from: &Path, to: &Path) -> Result<(), CopyError> {
    if std::fs::hard_link(from, to).is_ok() {
        return Ok(());
    }
    std::fs::copy(from, to)
        .and_then(|_| File::open(to)?.sync_all())
        .map_err(file_error("keep the replaced database as", to))
}

/// Copies the database behind `source` into the new file `to`.
pub(super) fn copy_out(
    source: &Connection,
    to: &Path,
    progress: &mut dyn FnMut(CopyProgress),
) -> Result<(), CopyError> {
    if to.symlink_metadata().is_ok() {
        return Err(CopyError::Exists(to.to_owned()));
    }
    let partial = with_suffix(to, ".partial");
    discard(&partial)?;
    let copied = copy_pages(source, &partial, progress);
    crate::crash::point("backup.copied");
    let copied = copied.and_then(|()| rename_new(&partial, to));
    if copied.is_err() {
        // The error that matters is the one reported.
        let _ = discard(&partial);
    }
    copied
}

/// Writes a copy to `to`, which does not exist, and syncs it. The copy has no write-ahead log.
fn copy_pages(
    source: &Connection,
    to: &Path,
    progress: &mut dyn FnMut(CopyProgress),
) -> Result<(), CopyError> {
    std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(to)
        .map_err(file_error("create", to))?;
    let mut target = open::open_raw(to, OpenFlags::SQLITE_OPEN_READ_WRITE, None)?;
    // One read transaction around all steps: the copy is of one moment and never begins again.
    let snapshot = source.unchecked_transaction()?;
    snapshot.query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(()))?;
    {
        let backup = Backup::new(&snapshot, &mut target)?;
        loop {
            let step = backup.step(PAGES_PER_STEP)?;
            let now = backup.progress();
            let total = u64::try_from(now.pagecount).unwrap_or(0);
            progress(CopyProgress {
                done: total - u64::try_from(now.remaining).unwrap_or(0),
                total,
            });
            if step == StepResult::Done {
                break;
            }
        }
    }
    drop(snapshot);
    target.pragma_update(None, "journal_mode", "DELETE")?;
    target.close().map_err(|(_, error)| error)?;
    File::open(to)
        .and_then(|file| file.sync_all())
        .map_err(file_error("sync", to))
}

fn rename_new(partial: &Path, to: &Path) -> Result<(), CopyError> {
    use rustix::fs::{CWD, renameat_with};
    use rustix::io::Errno;
    match renameat_with(CWD, partial, CWD, to, RenameFlags::NOREPLACE) {
        Ok(()) => {}
        Err(Errno::EXIST) => return Err(CopyError::Exists(to.to_owned())),
        // The file system knows no such rename; a link does not replace either.
        Err(Errno::INVAL | Errno::NOSYS) => {
            std::fs::hard_link(partial, to)
                .and_then(|()| std::fs::remove_file(partial))
                .map_err(file_error("write", to))?;
        }
        Err(error) => return Err(file_error("write", to)(error.into())),
    }
    sync_directory(to).map_err(file_error("sync the directory of", to))
}

fn discard(path: &Path) -> Result<(), CopyError> {
    remove_if_there(path)?;
    discard_companions(path)
}

fn discard_companions(path: &Path) -> Result<(), CopyError> {
    // The log's index before the log, as SQLite does it: an index alone tells of a log that was taken away.
    ["-shm", "-wal", "-journal"]
        .iter()
        .try_for_each(|suffix| remove_if_there(&with_suffix(path, suffix)))
}

fn remove_if_there(path: &Path) -> Result<(), CopyError> {
    match std::fs::remove_file(path) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(file_error("remove", path)(error)),
    }
}

fn file_error(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> CopyError {
    let path = path.to_owned();
    move |source| CopyError::File {
        action,
        path,
        source,
    }
}

/// The path with `suffix` after its last name.
pub(super) fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

/// The first of `PATHsuffix-1`, `PATHsuffix-2`, … that is not there.
pub(super) fn free_name(path: &Path, suffix: &str) -> PathBuf {
    let name = |n: u32| with_suffix(path, &format!("{suffix}-{n}"));
    (1..u32::MAX)
        .map(name)
        .find(|path| path.symlink_metadata().is_err())
        .unwrap_or_else(|| name(u32::MAX))
}

/// The directory that holds `path`.
pub(super) fn directory_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if parent.as_os_str().is_empty() => Path::new("."),
        Some(parent) => parent,
        None => Path::new("/"),
    }
}

/// Syncs the directory that holds `path`: a new or changed name in it is durable.
pub(super) fn sync_directory(path: &Path) -> io::Result<()> {
    File::open(directory_of(path))?.sync_all()
}
