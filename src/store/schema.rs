//! The schema's versions and the way from one to the next.
//!
//! A released schema is never edited. A migration runs in one transaction, after a backup, so a crash in it leaves the
//! former schema; the number of the schema is `user_version`.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use rusqlite::Connection;
use rusqlite::config::DbConfig;

use super::{CopyError, OpenError, StoreError, copy};
use crate::task::Timestamp;

/// "acld": marks a database as ours in its header.
pub(super) const APPLICATION_ID: i32 = 0x6163_6c64;

/// What brings a database from schema `n` (its index) to `n + 1`.
pub(super) const MIGRATIONS: &[&str] = &[
    include_str!("schema/1.sql"),
    include_str!("schema/2.sql"),
    include_str!("schema/3.sql"),
    include_str!("schema/4.sql"),
];

/// The newest schema that this list leads to.
pub(super) fn newest(migrations: &[&str]) -> u32 {
    u32::try_from(migrations.len()).unwrap_or(u32::MAX)
}

/// What a database's header says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) application_id: i32,
    pub(super) version: u32,
    /// It has tables, though neither number says so.
    is_unmarked: bool,
}

impl Header {
    /// Reads it.
    pub(super) fn read(conn: &Connection) -> rusqlite::Result<Self> {
        let pragma = |name: &str| conn.pragma_query_value(None, name, |row| row.get::<_, i32>(0));
        let application_id = pragma("application_id")?;
        let version = pragma("user_version")?.cast_unsigned();
        // Only where it matters: this reads and parses the whole schema.
        let is_unmarked = application_id == 0
            && version == 0
            && conn.prepare("SELECT 1 FROM sqlite_schema")?.exists([])?;
        Ok(Self {
            application_id,
            version,
            is_unmarked,
        })
    }

    /// Nothing was ever created in it.
    pub(super) const fn is_blank(self) -> bool {
        self.application_id == 0 && self.version == 0 && !self.is_unmarked
    }

    /// Whether a program that knows schemas up to `known` may use it.
    pub(super) fn accept(self, path: &Path, known: u32) -> Result<(), OpenError> {
        if self.is_blank() {
            return Ok(());
        }
        if self.application_id != APPLICATION_ID {
            return Err(OpenError::Foreign {
                path: path.to_owned(),
                application_id: self.application_id,
            });
        }
        // Both numbers are written in one transaction: one without the other was written by somebody else.
        if self.version == 0 {
            return Err(OpenError::Corrupt {
                path: path.to_owned(),
                detail: String::from("the number of its schema (user_version) is gone"),
            });
        }
        if self.version > known {
            return Err(OpenError::Newer {
                path: path.to_owned(),
                found: self.version,
                known,
            });
        }
        Ok(())
    }
}

/// Refuses a database of schema `version` in which a table, an index or a trigger of that schema is missing or another.
/// What it has beside them is its own affair.
pub(super) fn refuse_incomplete(
    conn: &Connection,
    path: &Path,
    migrations: &[&str],
    version: u32,
) -> Result<(), OpenError> {
    let failed = |error: rusqlite::Error| OpenError::Store {
        path: path.to_owned(),
        source: StoreError::from(error),
    };
    // Of our newest schema they are made once.
    static NEWEST: OnceLock<Vec<Object>> = OnceLock::new();
    let is_newest = std::ptr::eq(migrations, MIGRATIONS) && version == newest(migrations);
    let made;
    let expected = match NEWEST.get().filter(|_| is_newest) {
        Some(known) => known,
        None => {
            made = as_made(migrations, version).map_err(failed)?;
            if is_newest {
                NEWEST.get_or_init(|| made)
            } else {
                &made
            }
        }
    };
    let found: BTreeSet<Object> = objects(conn).map_err(failed)?.into_iter().collect();
    match expected.iter().find(|object| !found.contains(object)) {
        None => Ok(()),
        Some(Object { kind, name, .. }) => Err(OpenError::Corrupt {
            path: path.to_owned(),
            detail: format!("its {kind} {name:?} is missing, or not as schema {version} has it"),
        }),
    }
}

/// A table, an index or a trigger.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Object {
    kind: String,
    name: String,
    sql: Option<String>,
}

/// All of a database's, each table before what belongs to it.
fn objects(conn: &Connection) -> rusqlite::Result<Vec<Object>> {
    conn.prepare("SELECT type, name, sql FROM sqlite_schema ORDER BY rowid")?
        .query_map([], |row| {
            Ok(Object {
                kind: row.get(0)?,
                name: row.get(1)?,
                sql: row.get(2)?,
            })
        })?
        .collect()
}

/// Those of a new database of schema `version`.
fn as_made(migrations: &[&str], version: u32) -> rusqlite::Result<Vec<Object>> {
    let fresh = Connection::open_in_memory()?;
    for (_, sql) in (1..=version).zip(migrations) {
        fresh.execute_batch(sql)?;
    }
    objects(&fresh)
}

/// Brings the database up to the newest schema of `migrations`. Returns the backup that was made, if there was
/// anything to back up.
pub(super) fn migrate(
    conn: &mut Connection,
    path: &Path,
    migrations: &[&str],
    now: Timestamp,
) -> Result<Option<PathBuf>, OpenError> {
    let failed = |error: rusqlite::Error| OpenError::Store {
        path: path.to_owned(),
        source: StoreError::from(error),
    };
    let header = Header::read(conn).map_err(failed)?;
    header.accept(path, newest(migrations))?;
    if header.version == newest(migrations) {
        return Ok(None);
    }
    let backup = if header.is_blank() {
        None
    } else {
        let backup_failed = |source| OpenError::Backup {
            path: path.to_owned(),
            source: Box::new(source),
        };
        Some(save_before(conn, path, header.version).map_err(backup_failed)?)
    };
    crate::crash::point("store.migrating");
    advance(conn, migrations, now).map_err(failed)?;
    crate::crash::point("store.migrated");
    Ok(backup)
}

fn save_before(conn: &Connection, path: &Path, version: u32) -> Result<PathBuf, CopyError> {
    let to = copy::free_name(path, &format!(".schema-{version}.backup"));
    copy::copy_out(conn, &to, &mut |_| {})?;
    Ok(to)
}

fn advance(conn: &mut Connection, migrations: &[&str], now: Timestamp) -> rusqlite::Result<()> {
    // A migration may change the text of a table's checks.
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, false)?;
    let advanced = advance_undefended(conn, migrations, now);
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
    advanced
}

fn advance_undefended(
    conn: &mut Connection,
    migrations: &[&str],
    now: Timestamp,
) -> rusqlite::Result<()> {
    let tx = conn.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
    // Read again under the lock: another process may have been quicker.
    let from = Header::read(&tx)?.version;
    for (version, sql) in (1_u32..)
        .zip(migrations)
        .filter(|(version, _)| *version > from)
    {
        tx.execute_batch(sql)?;
        tx.pragma_update(None, "user_version", version)?;
    }
    // Whoever has read the schema before reads it anew, even where only its text has changed.
    let seen: i64 = tx.pragma_query_value(None, "schema_version", |row| row.get(0))?;
    tx.pragma_update(None, "schema_version", seen + 1)?;
    if from == 0 {
        tx.pragma_update(None, "application_id", APPLICATION_ID)?;
        tx.execute(
            "INSERT INTO meta (key, value) VALUES ('created_at', ?1)",
            [now.to_string()],
        )?;
    }
    tx.commit()
}
