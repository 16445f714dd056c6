//! A commit under which the daemon died is there whole, or not at all.

use super::{Judge, Judged, Observation, Violation, demand};
use crate::sim::met::Met;
use crate::sim::truth::Truths;
use crate::store::{StoreError, Tx};

impl Judge {
    /// The process died in the midst of this commit, or its sync failed.
    pub fn may_have_committed(&mut self, observed: Observation) {
        // That the time of a task has come may be all that it wrote, and no row shows it.
        self.latest = self.latest.max(observed.now);
        self.maybe.push(observed);
    }

    /// A daemon has opened the database: everything committed is there, and of a commit under which the process died all or
    /// nothing.
    ///
    /// # Errors
    /// What is lost, or half there.
    pub fn reread(
        &mut self,
        tx: &Tx<'_>,
        truths: &mut Truths,
        met: &mut Met,
    ) -> Result<Judged, StoreError> {
        let maybe = std::mem::take(&mut self.maybe);
        let is_empty = maybe.is_empty();
        let mut came_back: Option<Observation> = None;
        // The one that explains most; of two that explain as much, the newest.
        for observed in maybe.into_iter().rev() {
            let explained = came_back.as_ref().map_or(0, |best| best.tasks.len());
            let explains_more = came_back.is_none() || observed.tasks.len() > explained;
            if explains_more && self.is_there(tx, &observed)? {
                came_back = Some(observed);
            }
        }
        if let Some(mut observed) = came_back {
            met.meet("a commit under which the daemon died came back");
            observed.is_written = true;
            if let Err(violation) = self.committed(observed, truths, met) {
                return Ok(Err(violation));
            }
        } else if !is_empty {
            met.meet("a commit under which the daemon died is gone");
        }
        for (id, seen) in &self.tasks {
            let row = tx.task(id)?;
            if row.as_ref() != Some(&seen.task) {
                let text = format!("{id} was committed as {:?}, now it is {row:?}", seen.task);
                return Ok(Err(Violation::new("no acknowledged task is lost", text)));
            }
            let rest = tx.journal_after(id, seen.events)?;
            if !rest.is_empty() {
                let text = format!("{id}: its journal has more than its row");
                return Ok(Err(Violation::new("the journal folds to the row", text)));
            }
        }
        if let Err(violation) = self.budgets.reread(tx)? {
            return Ok(Err(violation));
        }
        let total = tx.counts()?.total();
        Ok(demand(
            total == self.tasks.len() as u64,
            "no task comes from nowhere",
            || {
                format!(
                    "{total} tasks are there, {} were committed",
                    self.tasks.len()
                )
            },
        ))
    }

    /// Whether the database is as this commit leaves it, and was otherwise before.
    fn is_there(&self, tx: &Tx<'_>, observed: &Observation) -> Result<bool, StoreError> {
        let mut differs = observed.accounts != self.holds.rows();
        if tx.accounts()? != observed.accounts {
            return Ok(false);
        }
        if let Some(rows) = &observed.notice_rows {
            if self.notices.rows(tx, &observed.notices)?.as_ref() != Some(rows) {
                return Ok(false);
            }
            differs |= self.notices.differs(rows);
        }
        match self.budgets.is_there(tx, observed)? {
            None => return Ok(false),
            Some(is_news) => differs |= is_news,
        }
        for (id, (task, journal)) in &observed.tasks {
            let row = tx.task(id)?;
            if row.as_ref() != task.as_ref() {
                return Ok(false);
            }
            let seen = self.tasks.get(id);
            differs |= row.as_ref() != seen.map(|seen| &seen.task);
            // Paused and resumed in one commit, a row is as it was: only its journal tells.
            if row.is_some() {
                let known = seen.map_or(0, |seen| seen.events);
                if tx.journal_after(id, known)? != *journal {
                    return Ok(false);
                }
                differs |= !journal.is_empty();
            }
        }
        Ok(differs)
    }
}
