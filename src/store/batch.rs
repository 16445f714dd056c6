//! The writer: a store, its batches (one transaction, one sync), and the steps of a batch (each done whole or not at all).

use rusqlite::Connection;

use super::fold;
use super::open::{self, Role};
use super::{OpenError, OpenOptions, Reader, SetAside, StoreError, Tx, reserve, schema};
use crate::task::Timestamp;

/// Pages given back to the file system by one [`Store::tidy`].
const TIDY_PAGES: u32 = 2_000;

/// The one writer of a database. Not for several threads at a time, and one per database: whoever opens it holds the lock
/// of the state directory.
#[derive(Debug)]
pub struct Store {
    conn: Connection,
    options: OpenOptions,
    /// An input/output error happened on this connection: it is not used for another batch.
    spoiled: bool,
    set_aside: Vec<SetAside>,
    unfolded: u64,
}

impl Store {
    /// Opens the database, creates it when it is missing, brings its schema up to date (after a backup beside it), and
    /// folds the journals of unfinished tasks: what does not fold is set aside.
    ///
    /// `now` is written down as the time of creation.
    ///
    /// # Errors
    /// [`OpenError`]; a file that is refused is as it was.
    pub fn open(options: &OpenOptions, now: Timestamp) -> Result<Self, OpenError> {
        let mut conn = open::open_writer(options, schema::MIGRATIONS, now)?;
        let store = |source| OpenError::Store {
            path: options.path.clone(),
            source,
        };
        let folded = fold::at_start(&mut conn).map_err(store)?;
        if options.on_disk() {
            // A full disk must not keep the daemon from starting: the reserve is made when space has returned.
            let _ = reserve::restore(&options.path, options.reserve_bytes);
        }
        Ok(Self {
            conn,
            options: options.clone(),
            spoiled: false,
            set_aside: folded.set_aside,
            unfolded: folded.left_out,
        })
    }

    /// For an [`Self::open`] that found the disk full: gives up the reserve, so that the next try may find space.
    ///
    /// # Errors
    /// When the reserve cannot be removed.
    pub fn give_up_reserve(options: &OpenOptions) -> std::io::Result<()> {
        reserve::release(&options.path).map(drop)
    }

    /// Every task that is set aside, as of the opening, with the reason.
    #[must_use]
    pub fn set_aside(&self) -> &[SetAside] {
        &self.set_aside
    }

    /// Unfinished tasks whose journals were not folded at the opening, because they were too many for a quick start.
    #[must_use]
    pub const fn unfolded(&self) -> u64 {
        self.unfolded
    }

    /// Begins a batch: one transaction. After an input/output error the files are opened again first.
    ///
    /// # Errors
    /// [`StoreError`]; no batch has begun.
    pub fn batch(&mut self) -> Result<Batch<'_>, StoreError> {
        if self.spoiled {
            self.reopen()?;
        }
        self.conn.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
        Ok(Batch {
            store: self,
            undone: false,
        })
    }

    /// Another connection that reads the same database, for another thread.
    ///
    /// # Errors
    /// [`StoreError`] when it cannot be opened.
    pub fn reader(&self) -> Result<Reader, StoreError> {
        Reader::open(&self.options)
    }

    /// Copies the write-ahead log into the database, empties it, gives some free pages back to the file system, and the page
    /// cache back to the allocator.
    /// To be called when there is nothing else to do. True when there are more free pages to give back.
    ///
    /// # Errors
    /// [`StoreError`]; nothing is lost.
    pub fn tidy(&mut self) -> Result<bool, StoreError> {
        if self.spoiled {
            self.reopen()?;
        }
        // First the log: on a full disk the space that it gives back is what the rest needs.
        self.empty_log()?;
        let free: u32 = self
            .conn
            .pragma_query_value(None, "freelist_count", |row| row.get(0))?;
        if free > 0 {
            // This pragma works while it is stepped, one row for each page.
            let mut statement = self
                .conn
                .prepare(&format!("PRAGMA incremental_vacuum({TIDY_PAGES})"))?;
            let mut rows = statement.query([])?;
            while rows.next()?.is_some() {}
            drop(rows);
            drop(statement);
            self.empty_log()?;
        }
        self.conn.execute_batch("PRAGMA shrink_memory")?;
        Ok(free > TIDY_PAGES)
    }

    /// A reader in the middle of a query only makes this do less.
    fn empty_log(&self) -> Result<(), StoreError> {
        self.conn
            .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
        Ok(())
    }

    /// Gives the reserve to the write-ahead log, so that the last transitions find space on a full disk, whoever else wants
    /// it. True when there was one.
    ///
    /// # Errors
    /// When the file cannot be removed.
    pub fn release_reserve(&self) -> std::io::Result<bool> {
        if self.options.on_disk() {
            reserve::hand_to_log(&self.options.path, self.options.reserve_bytes)
        } else {
            Ok(false)
        }
    }

    /// Makes the reserve again (nothing happens when it is there).
    ///
    /// # Errors
    /// When there is still no space: then nothing of it is kept.
    pub fn restore_reserve(&self) -> std::io::Result<()> {
        if self.options.on_disk() {
            reserve::restore(&self.options.path, self.options.reserve_bytes)
        } else {
            Ok(())
        }
    }

    /// The options it was opened with.
    #[must_use]
    pub const fn options(&self) -> &OpenOptions {
        &self.options
    }

    /// Opens the files again: after a failed sync, the kernel may have forgotten what this descriptor had still to write.
    fn reopen(&mut self) -> Result<(), StoreError> {
        // The old connection's last act must not be a copy of the log into the database.
        open::leave_untouched(&self.conn, true)?;
        self.conn = open::connect(&self.options, Role::Writer)?;
        open::leave_untouched(&self.conn, false)?;
        self.spoiled = false;
        Ok(())
    }
}

/// One transaction. Dropped without [`Batch::commit`] it leaves nothing behind.
#[derive(Debug)]
pub struct Batch<'s> {
    store: &'s mut Store,
    /// An error has undone the transaction behind our back.
    undone: bool,
}

impl Batch<'_> {
    /// Carries out one step: when `f` fails, what it did is undone, and the steps before it stay.
    ///
    /// # Errors
    /// That of `f`, or a [`StoreError`] of the step itself ([`StoreError::Undone`] when an earlier error has undone the
    /// whole batch).
    pub fn step<T, E: From<StoreError>>(
        &mut self,
        f: impl FnOnce(&Tx<'_>) -> Result<T, E>,
    ) -> Result<T, E> {
        if self.undone {
            return Err(StoreError::Undone.into());
        }
        self.run("SAVEPOINT step")?;
        let result = f(&Tx::new(&self.store.conn));
        // A full disk or a failed read can end the transaction; later statements would then commit one by one.
        if self.store.conn.is_autocommit() {
            self.undone = true;
            self.store.spoiled = true;
            return result.and_then(|_| Err(StoreError::Undone.into()));
        }
        if result.is_err() {
            self.run("ROLLBACK TO step")?;
        }
        self.run("RELEASE step")?;
        result
    }

    /// Commits. When this returns `Ok`, everything the steps did survives SIGKILL and power loss.
    ///
    /// # Errors
    /// [`StoreError`]; nothing of the batch is stored. (If the machine dies before the next commit, an unacknowledged batch
    /// whose sync failed may still come back whole, never in part.)
    pub fn commit(mut self) -> Result<(), StoreError> {
        if self.undone {
            return Err(StoreError::Undone);
        }
        crate::crash::point("store.before_commit");
        self.run("COMMIT")?;
        crate::crash::point("store.after_commit");
        Ok(())
    }

    fn run(&mut self, sql: &str) -> Result<(), StoreError> {
        let result = self
            .store
            .conn
            .prepare_cached(sql)
            .and_then(|mut statement| statement.execute([]));
        match result {
            Ok(_) => Ok(()),
            Err(error) => {
                let error = StoreError::from(error);
                self.undone |= self.store.conn.is_autocommit();
                self.store.spoiled |= error.spoils_connection();
                Err(error)
            }
        }
    }
}

impl Drop for Batch<'_> {
    fn drop(&mut self) {
        if !self.store.conn.is_autocommit() {
            // Fails only on a connection that is beyond repair, and that one is opened again before the next batch.
            let rolled_back = self.store.conn.execute_batch("ROLLBACK");
            self.store.spoiled |= rolled_back.is_err();
        }
    }
}
