//! What is still to be told, and batches of tasks that are told of together. What the texts mean is the supervisor's matter.
//!
//! Rows of `meta`, for they are few and short-lived: a notice goes once it was told, a batch once its last task is over.
//! They are written in the transaction of the change that they tell of, so neither can be without the other.

use super::{StoreError, Tx};

const NOTICE: &str = "notice.";
const BATCH: &str = "batch.";

impl Tx<'_> {
    /// Keeps a notice until it is told; kept again under the same name, it is replaced.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn put_notice(&self, id: &str, text: &str) -> Result<(), StoreError> {
        self.set_meta(&format!("{NOTICE}{id}"), Some(text))
    }

    /// A notice that is still to be told.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn notice(&self, id: &str) -> Result<Option<String>, StoreError> {
        self.meta(&format!("{NOTICE}{id}"))
    }

    /// Forgets a notice: it was told, or given up.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn delete_notice(&self, id: &str) -> Result<(), StoreError> {
        self.set_meta(&format!("{NOTICE}{id}"), None)
    }

    /// All notices that are still to be told, in the order of their names.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn notices(&self) -> Result<Vec<String>, StoreError> {
        let mut statement = self
            .conn
            .prepare_cached("SELECT value FROM meta WHERE key >= ?1 AND key < ?2 ORDER BY key")?;
        let rows = statement.query_map(range(NOTICE), |row| row.get(0))?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }

    /// What is known of a batch of this user.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn batch_of(&self, uid: u32, batch: &str) -> Result<Option<String>, StoreError> {
        self.meta(&format!("{BATCH}{uid}.{batch}"))
    }

    /// Keeps what is known of a batch; `None` forgets it.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn set_batch(&self, uid: u32, batch: &str, text: Option<&str>) -> Result<(), StoreError> {
        self.set_meta(&format!("{BATCH}{uid}.{batch}"), text)
    }

    /// Forgets all notices and batches.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn forget_notices(&self) -> Result<(), StoreError> {
        for prefix in [NOTICE, BATCH] {
            self.conn
                .prepare_cached("DELETE FROM meta WHERE key >= ?1 AND key < ?2")?
                .execute(range(prefix))?;
        }
        Ok(())
    }
}

/// All keys that begin so: from the first up to, and without, the second.
fn range(prefix: &str) -> [String; 2] {
    // `/` follows `.`, in which every prefix ends.
    let after = format!("{}/", prefix.trim_end_matches('.'));
    [prefix.to_owned(), after]
}
