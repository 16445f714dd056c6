//! Opening a database: look first, touch later. A file that is refused stays as it was, byte for byte.

use std::fmt::Write as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags};

use super::schema::{self, Header};
use super::{OpenError, StoreError, beside, network};
use crate::task::Timestamp;

/// How a store is opened.
#[derive(Debug, Clone)]
pub struct OpenOptions {
    /// The database file. Its directory exists.
    pub path: PathBuf,
    /// Size of the reserve file, in bytes; 0 = none.
    pub reserve_bytes: u64,
    /// Name of the SQLite VFS; `None` = the system's. With one that is not named `unix…`, checks that look at the real
    /// file system (network file systems, rights) and the reserve are left out.
    pub vfs: Option<String>,
    /// Page cache of a read-only connection, in KiB.
    pub read_cache_kib: u32,
    /// Directories that hold what tasks leave behind. Where something is in them, an empty database is not a new one.
    pub kin: Vec<PathBuf>,
}

impl OpenOptions {
    /// The default page cache of a reader, in KiB.
    pub const READ_CACHE_KIB: u32 = 2 * 1024;
    /// The default reserve, in bytes: some 10,000 transitions.
    pub const RESERVE_BYTES: u64 = 16 * 1024 * 1024;

    /// The defaults, for the database at `path`.
    #[must_use]
    pub fn at(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            reserve_bytes: Self::RESERVE_BYTES,
            vfs: None,
            read_cache_kib: Self::READ_CACHE_KIB,
            kin: Vec::new(),
        }
    }

    /// The files are real files of this machine.
    pub(super) fn on_disk(&self) -> bool {
        self.vfs.as_ref().is_none_or(|vfs| vfs.starts_with("unix"))
    }
}

/// Page cache of the writer, in KiB.
const WRITE_CACHE_KIB: u32 = 16 * 1024;
/// How long a statement waits for another process's lock (a check or a backup from the command line).
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// A commit that leaves more pages than this in the write-ahead log copies them into the database.
const CHECKPOINT_PAGES: u32 = 4_000;
/// The write-ahead log is cut back to this when it begins anew, in bytes.
const WAL_KEPT_BYTES: u32 = 32 * 1024 * 1024;
/// Databases up to this size, in bytes, are checked whole at each start (some 100 ms); larger ones in the parts that a
/// start needs, and whole by `check`.
const QUICK_CHECK_MAX_BYTES: i64 = 16 * 1024 * 1024;
/// Statements kept prepared.
const STATEMENTS_KEPT: usize = 96;

/// What a connection is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// The one writer.
    Writer,
    /// A reader; it cannot write.
    Reader,
}

/// Opens a connection and sets what holds for every one of ours. Nothing is written; closing it leaves the write-ahead log
/// alone until [`leave_untouched`] says otherwise.
pub(super) fn connect(options: &OpenOptions, role: Role) -> rusqlite::Result<Connection> {
    let access = match role {
        Role::Writer => OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE,
        Role::Reader => OpenFlags::SQLITE_OPEN_READ_ONLY,
    };
    let conn = open_raw(&options.path, access, options.vfs.as_deref())?;
    // Whatever fails from here on: closing must not copy the log into a file that may be damaged, nor remove the log.
    leave_untouched(&conn, true)?;
    conn.busy_timeout(BUSY_TIMEOUT)?;
    conn.set_prepared_statement_cache_capacity(STATEMENTS_KEPT);
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false)?;
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_FKEY, true)?;
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_DQS_DML, false)?;
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_DQS_DDL, false)?;
    // Otherwise the values of parameters shape the plan (of every `LIMIT ?`, and where a partial index might do), and a
    // kept statement is prepared anew each time that it is bound.
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    let kib = match role {
        Role::Writer => WRITE_CACHE_KIB,
        Role::Reader => options.read_cache_kib,
    };
    // A negative size is in KiB.
    conn.pragma_update(None, "cache_size", -i64::from(kib))?;
    conn.pragma_update(None, "mmap_size", 0)?;
    conn.pragma_update(None, "temp_store", "MEMORY")?;
    match role {
        Role::Writer => {
            conn.pragma_update(None, "synchronous", "FULL")?;
            conn.pragma_update(None, "cell_size_check", true)?;
            conn.pragma_update(None, "wal_autocheckpoint", CHECKPOINT_PAGES)?;
            conn.pragma_update(None, "journal_size_limit", WAL_KEPT_BYTES)?;
        }
        Role::Reader => conn.pragma_update(None, "query_only", true)?,
    }
    Ok(conn)
}

pub(super) fn open_raw(
    path: &Path,
    access: OpenFlags,
    vfs: Option<&str>,
) -> rusqlite::Result<Connection> {
    // One thread uses a connection at a time: Rust sees to that, SQLite need not.
    let flags = access | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_EXRESCODE;
    match vfs {
        Some(vfs) => Connection::open_with_flags_and_vfs(path, flags, vfs),
        None => Connection::open_with_flags(path, flags),
    }
}

/// Opens the writer: creates, checks, migrates. Nothing of a refused file is changed.
pub(super) fn open_writer(
    options: &OpenOptions,
    migrations: &[&str],
    now: Timestamp,
) -> Result<Connection, OpenError> {
    let path = &options.path;
    let newest = schema::newest(migrations);
    let failed = |error| explain(path, error);
    let main = if options.on_disk() {
        refuse_network(path)?;
        beside::refuse_bereft(path, &options.kin)?;
        let main = inspect(options, newest)?;
        beside::refuse_damaged_log(path, main.map(|main| main.page_bytes))?;
        create_private(path)?;
        main
    } else {
        inspect(options, newest)?
    };
    let mut conn = connect(options, Role::Writer).map_err(failed)?;
    // Until it is known to be ours, closing must not copy the write-ahead log into the file either.
    leave_untouched(&conn, true).map_err(failed)?;
    let header = Header::read(&conn).map_err(failed)?;
    header.accept(path, newest)?;
    refuse_damage(&conn, path)?;
    if header.is_blank() {
        beside::refuse_kin(path, &options.kin)?;
        prepare_blank(&conn).map_err(failed)?;
    } else {
        schema::refuse_incomplete(&conn, path, migrations, header.version)?;
    }
    schema::migrate(&mut conn, path, migrations, now)?;
    if main.is_none_or(|main| main.version != newest) {
        take_log_in(&conn).map_err(failed)?;
    } else {
        settle_log(&conn, options)?;
    }
    leave_untouched(&conn, false).map_err(failed)?;
    Ok(conn)
}

/// Copies the log into the main file and syncs it. From the first acknowledged task on, the main file has the schema: so a
/// main file without one, whose log is gone, is never taken for a new database.
fn take_log_in(conn: &Connection) -> rusqlite::Result<()> {
    let busy: bool = conn.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0))?;
    if busy {
        let busy = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_BUSY);
        return Err(rusqlite::Error::SqliteFailure(busy, None));
    }
    Ok(())
}

/// Makes durable what the log says, before anybody reads it. A writer that was killed between writing a commit and its sync
/// leaves one that every reader sees and that a power loss takes back: what followed from it would stand on nothing.
///
/// A checkpoint syncs the log before it copies it. Where it cannot copy all (a reader holds a snapshot, the disk is full), the
/// log is synced by its name.
fn settle_log(conn: &Connection, options: &OpenOptions) -> Result<(), OpenError> {
    let checkpoint = conn.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |row| {
        Ok((row.get::<_, i64>(1)?, row.get::<_, i64>(2)?))
    });
    match checkpoint {
        Ok((frames, copied)) if frames == copied => Ok(()),
        Ok(_) | Err(_) if options.on_disk() => sync_log(&options.path),
        Ok(_) => {
            let busy = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_BUSY);
            Err(explain(
                &options.path,
                rusqlite::Error::SqliteFailure(busy, None),
            ))
        }
        Err(error) => Err(explain(&options.path, error)),
    }
}

/// Syncs the log and the directory that names it. The log has none of SQLite's locks, so it may be opened and closed here.
fn sync_log(path: &Path) -> Result<(), OpenError> {
    let log = super::copy::with_suffix(path, "-wal");
    let synced = match std::fs::File::open(&log) {
        Ok(file) => file
            .sync_all()
            .and_then(|()| super::copy::sync_directory(path)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    };
    synced.map_err(|source| OpenError::File { path: log, source })
}

/// Whether closing the connection leaves the write-ahead log alone.
pub(super) fn leave_untouched(conn: &Connection, untouched: bool) -> rusqlite::Result<()> {
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, untouched)
        .map(drop)
}

fn prepare_blank(conn: &Connection) -> rusqlite::Result<()> {
    // Deleted tasks give their pages back in small steps (`Store::tidy`). Only an empty file can be told so.
    conn.pragma_update(None, "auto_vacuum", "INCREMENTAL")?;
    conn.pragma_update(None, "journal_mode", "WAL")
}

fn refuse_network(path: &Path) -> Result<(), OpenError> {
    let directory = super::copy::directory_of(path);
    match network::network_kind(directory) {
        Ok(None) => Ok(()),
        Ok(Some(kind)) => Err(OpenError::Network {
            path: path.to_owned(),
            kind,
        }),
        Err(source) => Err(OpenError::File {
            path: directory.to_owned(),
            source,
        }),
    }
}

/// Creates a missing file, readable for its owner only; SQLite gives its companions the same rights. An empty file is an
/// empty database, so a crash right after this does no harm.
fn create_private(path: &Path) -> Result<(), OpenError> {
    let created = std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path);
    match created {
        Ok(_) => super::copy::sync_directory(path).map_err(|source| OpenError::File {
            path: path.to_owned(),
            source,
        }),
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
        Err(source) => Err(OpenError::File {
            path: path.to_owned(),
            source,
        }),
    }
}

/// What the main file says by itself, without its log.
#[derive(Debug, Clone, Copy)]
struct MainFile {
    version: u32,
    page_bytes: u32,
}

/// Looks at the main file alone, without locks, log or recovery, and refuses what is not ours before anything that could
/// change it (SQLite would roll back the journal of a foreign database). `None` when it can only be read with its log.
fn inspect(options: &OpenOptions, known: u32) -> Result<Option<MainFile>, OpenError> {
    let path = &options.path;
    let uri = PathBuf::from(uri(path, "immutable=1"));
    let read_only = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI;
    let seen = open_raw(&uri, read_only, options.vfs.as_deref()).and_then(|conn| {
        let page_bytes = conn.pragma_query_value(None, "page_size", |row| row.get(0))?;
        Ok((Header::read(&conn)?, page_bytes))
    });
    match seen {
        Ok((header, page_bytes)) => {
            header.accept(path, known)?;
            Ok(Some(MainFile {
                version: header.version,
                page_bytes,
            }))
        }
        Err(error) => match error.sqlite_error_code() {
            // Without its log the main file may be in the middle of a checkpoint, or not be there yet: decided later.
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::CannotOpen) => Ok(None),
            _ => Err(explain(path, error)),
        },
    }
}

fn uri(path: &Path, query: &str) -> String {
    let mut uri = String::from("file:");
    for byte in path.as_os_str().as_bytes() {
        if byte.is_ascii_alphanumeric() || b"/._-~".contains(byte) {
            uri.push(char::from(*byte));
        } else {
            let _ = write!(uri, "%{byte:02X}");
        }
    }
    uri.push('?');
    uri.push_str(query);
    uri
}

/// Refuses a damaged structure, in bounded time. Damage inside one task's row is found by folding, and set aside.
fn refuse_damage(conn: &Connection, path: &Path) -> Result<(), OpenError> {
    let whole = "PRAGMA quick_check(8)";
    let parts = [
        "PRAGMA quick_check(counts)",
        "PRAGMA quick_check(meta)",
        "PRAGMA quick_check(set_aside)",
    ];
    let failed = |error| explain(path, error);
    let number = |name: &str| conn.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
    let pages = number("page_count").map_err(failed)?;
    let page_bytes = number("page_size").map_err(failed)?;
    let checks = if pages.saturating_mul(page_bytes) <= QUICK_CHECK_MAX_BYTES {
        &[whole][..]
    } else {
        &parts[..]
    };
    conn.pragma_update(None, "ignore_check_constraints", true)
        .map_err(failed)?;
    for check in checks {
        if let Some(detail) = first_damage(conn, check).map_err(failed)? {
            return Err(OpenError::Corrupt {
                path: path.to_owned(),
                detail,
            });
        }
    }
    conn.pragma_update(None, "ignore_check_constraints", false)
        .map_err(failed)
}

fn first_damage(conn: &Connection, check: &str) -> rusqlite::Result<Option<String>> {
    let mut statement = conn.prepare(check)?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let line: String = row.get(0)?;
        if line != "ok" && !is_about_one_row(&line) {
            // One line: SQLite puts a heading above what it has found.
            return Ok(Some(line.replace('\n', " ")));
        }
    }
    Ok(None)
}

/// What SQLite's check says of a value that does not fit its column, while the structure around it is sound.
fn is_about_one_row(line: &str) -> bool {
    [
        "NULL value in ",
        "non-",
        "TEXT value in ",
        "NUMERIC value in ",
        "CHECK constraint failed in ",
    ]
    .iter()
    .any(|beginning| line.starts_with(beginning))
}

/// Tells the errors of opening apart.
pub(super) fn explain(path: &Path, error: rusqlite::Error) -> OpenError {
    let path = path.to_owned();
    match error.sqlite_error_code() {
        Some(ErrorCode::NotADatabase) => OpenError::NotADatabase { path },
        Some(ErrorCode::DatabaseCorrupt) => OpenError::Corrupt {
            path,
            detail: error.to_string(),
        },
        _ => OpenError::Store {
            path,
            source: StoreError::from(error),
        },
    }
}
