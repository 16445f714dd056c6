//! Notices: written with what they tell of, never before it; told at least once; of a batch when all of its tasks are over.

use std::collections::{BTreeMap, BTreeSet};

use super::{Judge, Judged, Observation, demand};
use crate::sim::client::UID;
use crate::sim::notices::TRIES;
use crate::store::{StoreError, Tx};
use crate::supervisor::notice::Notice;
use crate::task::{Lifecycle, PauseReason, State, Task, TaskId};

const WITH_ITS_CHANGE: &str = "a notice is written with what it tells of";
const OF_A_BATCH: &str = "a batch is told of once all of its tasks are over";
const AT_LEAST_ONCE: &str = "a notice is told at least once";

/// Rows about notices: those that are to be told, and what is known of batches.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rows {
    notices: Vec<String>,
    batches: BTreeMap<String, Option<String>>,
}

/// What a transaction does that concerns notices, in its order.
#[derive(Debug, Clone)]
pub enum Step {
    /// A new task of a batch.
    New(TaskId, String),
    /// A task moved.
    Moved(TaskId, State),
    /// No more tasks come.
    Closed(String),
    /// A notice is written, or is to be told again.
    Tell(Box<Notice>),
    /// What became of telling one.
    Told(String, bool),
}

/// A notice that nobody has heard yet.
#[derive(Debug)]
struct Owed {
    notice: Notice,
    fails: u32,
}

#[derive(Debug, Default)]
struct Batch {
    tasks: BTreeMap<TaskId, State>,
    is_closed: bool,
}

impl Batch {
    fn is_over(&self) -> bool {
        self.is_closed && self.tasks.values().all(|state| state.is_final())
    }

    fn count(&self, of: State) -> String {
        let is_it = |state: &&State| **state == of;
        self.tasks.values().filter(is_it).count().to_string()
    }
}

/// What is owed to whom.
#[derive(Debug, Default)]
pub(super) struct Notices {
    owed: Vec<Owed>,
    /// Every notice that was committed, with what it says.
    committed: BTreeSet<(String, String)>,
    batches: BTreeMap<String, Batch>,
    batch_of: BTreeMap<TaskId, String>,
    /// As they were committed last.
    rows: Rows,
    /// What the commit at hand must write: the task, and the word.
    due: Vec<(TaskId, &'static str)>,
    met: Vec<&'static str>,
}

fn fact<'a>(notice: &'a Notice, name: &str) -> &'a str {
    let value = notice.facts.get(&format!("AUTO_CLAUDE_{name}"));
    value.map_or("", String::as_str)
}

/// What it says, without how often that was tried.
fn name_of(notice: &Notice) -> (String, String) {
    (notice.id.clone(), format!("{:?}", notice.facts))
}

impl Notices {
    /// The rows that these steps touch; `None` = none.
    pub(super) fn rows(&self, tx: &Tx<'_>, steps: &[Step]) -> Result<Option<Rows>, StoreError> {
        if steps.is_empty() {
            return Ok(None);
        }
        let mut rows = Rows {
            notices: tx.notices()?,
            ..Rows::default()
        };
        for step in steps {
            let name = match step {
                Step::New(_, name) | Step::Closed(name) => Some(name),
                Step::Moved(id, _) => self.batch_of.get(id),
                Step::Tell(_) | Step::Told(..) => None,
            };
            if let Some(name) = name {
                rows.batches.insert(name.clone(), tx.batch_of(UID, name)?);
            }
        }
        Ok(Some(rows))
    }

    /// Whether these are other rows than those that were committed last.
    pub(super) fn differs(&self, rows: &Rows) -> bool {
        let mut batches = rows.batches.iter();
        rows.notices != self.rows.notices
            || batches.any(|(name, row)| {
                let known = self.rows.batches.get(name).cloned().flatten();
                *row != known
            })
    }

    /// Whether a task is of a batch that is still to be told of.
    pub(super) fn is_in_a_batch(&self, id: &TaskId) -> bool {
        self.batch_of.contains_key(id)
    }

    /// A task moved: somebody may have to be told.
    pub(super) fn moved(&mut self, task: &Task, before: &Lifecycle, after: &Lifecycle) {
        if task.spec.notify.is_none() {
            return;
        }
        let entered = |state: State| after.state == state && before.state != state;
        let asks = entered(State::NeedsHumanReview)
            || entered(State::Paused) && after.pause_reasons.contains(&PauseReason::Budget);
        if after.state.is_final() && !before.state.is_final() {
            self.due.push((task.id.clone(), "final"));
        } else if asks {
            self.due.push((task.id.clone(), "waits"));
        }
    }

    /// The commit at hand, after its journals were folded. Returns what was met.
    pub(super) fn committed(
        &mut self,
        observed: &Observation,
    ) -> Result<Vec<&'static str>, super::Violation> {
        let mut due = std::mem::take(&mut self.due);
        if let Some(rows) = &observed.notice_rows {
            self.rows.notices.clone_from(&rows.notices);
            self.rows.batches.extend(rows.batches.clone());
        }
        for step in &observed.notices {
            match step {
                Step::New(id, name) => {
                    let batch = self.batches.entry(name.clone()).or_default();
                    let is_closed = batch.is_closed;
                    demand(!is_closed, OF_A_BATCH, || {
                        format!("{id} comes to {name}, which is complete")
                    })?;
                    batch.tasks.insert(id.clone(), State::Pending);
                    self.batch_of.insert(id.clone(), name.clone());
                }
                Step::Moved(id, state) => self.note_state(id, *state),
                Step::Closed(name) => {
                    if let Some(batch) = self.batches.get_mut(name) {
                        batch.is_closed = true;
                    }
                }
                Step::Tell(notice) => self.written(notice, &mut due, observed)?,
                Step::Told(id, taken) => self.was_told(id, *taken),
            }
        }
        demand(due.is_empty(), WITH_ITS_CHANGE, || {
            format!("nobody is told of {due:?}")
        })?;
        let over = self.batches.iter().find(|(_, batch)| batch.is_over());
        demand(over.is_none(), OF_A_BATCH, || {
            format!("nobody is told of {over:?}")
        })?;
        Ok(std::mem::take(&mut self.met))
    }

    fn note_state(&mut self, id: &TaskId, state: State) {
        let batch = self
            .batch_of
            .get(id)
            .and_then(|it| self.batches.get_mut(it));
        if let Some(known) = batch.and_then(|batch| batch.tasks.get_mut(id)) {
            *known = state;
        }
    }

    fn written(
        &mut self,
        notice: &Notice,
        due: &mut Vec<(TaskId, &'static str)>,
        observed: &Observation,
    ) -> Judged {
        if notice.tries > 0 {
            self.met.push("a notice is told again");
            return Ok(());
        }
        let word = fact(notice, "NOTICE");
        if word == "batch" {
            self.batch_is_told_of(fact(notice, "BATCH_ID"), notice)?;
        } else {
            let is_it = |(id, due): &(TaskId, &str)| *id == notice.task && *due == word;
            if let Some(place) = due.iter().position(is_it) {
                due.swap_remove(place);
            } else {
                // Of a task that is gone with this commit no journal is left; and of an account that only a person opens a
                // person is told as well.
                let is_gone = observed.gone.contains_key(&notice.task);
                demand(is_gone || word == "waits", WITH_ITS_CHANGE, || {
                    format!("{} is told {word}, and is not", notice.task)
                })?;
            }
        }
        self.committed.insert(name_of(notice));
        self.owed.push(Owed {
            notice: notice.clone(),
            fails: 0,
        });
        Ok(())
    }

    fn batch_is_told_of(&mut self, name: &str, notice: &Notice) -> Judged {
        let batch = self.batches.remove(name).unwrap_or_default();
        self.batch_of.retain(|_, of| of != name);
        demand(batch.is_over(), OF_A_BATCH, || {
            format!("{name} is told of as {:?}, it is {batch:?}", notice.facts)
        })?;
        let counts = [
            ("BATCH_TASKS", batch.tasks.len().to_string()),
            ("BATCH_COMPLETED", batch.count(State::Completed)),
            ("BATCH_FAILED", batch.count(State::Failed)),
            ("BATCH_CANCELLED", batch.count(State::Cancelled)),
        ];
        for (fact_name, count) in counts {
            let told = fact(notice, fact_name);
            demand(
                told == count,
                "a batch's notice tells what became of it",
                || format!("{name}: {fact_name} is {told}, it is {count}"),
            )?;
        }
        self.met.push("a batch is told of");
        Ok(())
    }

    fn was_told(&mut self, id: &str, taken: bool) {
        if taken {
            return;
        }
        for owed in &mut self.owed {
            owed.fails += u32::from(owed.notice.id == id);
        }
        let former = self.owed.len();
        self.owed.retain(|owed| owed.fails < TRIES);
        if self.owed.len() < former {
            self.met.push("a notice is given up unheard");
        }
    }

    /// Somebody has heard a notice.
    pub(super) fn heard(&mut self, notice: &Notice) -> Judged {
        let name = name_of(notice);
        demand(
            self.committed.contains(&name),
            "nothing is told before its commit",
            || format!("{name:?} was told, and is not committed"),
        )?;
        self.owed.retain(|owed| name_of(&owed.notice) != name);
        Ok(())
    }

    /// Whether somebody still has to hear something.
    pub(super) fn owes(&self) -> bool {
        !self.owed.is_empty()
    }

    /// Nothing goes on any more: everybody must have heard everything.
    pub(super) fn all_heard(&self) -> Judged {
        let first = self.owed.first().map(|owed| &owed.notice);
        demand(first.is_none(), AT_LEAST_ONCE, || {
            format!("nobody has heard {first:?}")
        })
    }
}

impl Judge {
    /// Somebody has heard a notice.
    ///
    /// # Errors
    /// When it is not committed.
    pub fn heard(&mut self, notice: &Notice) -> Judged {
        self.notices.heard(notice)
    }

    /// Whether somebody still has to hear something.
    #[must_use]
    pub fn owes_notices(&self) -> bool {
        self.notices.owes()
    }

    /// Whether a task is of a batch that is still to be told of.
    #[must_use]
    pub fn is_in_a_batch(&self, id: &TaskId) -> bool {
        self.notices.is_in_a_batch(id)
    }

    /// Everybody must have heard everything.
    ///
    /// # Errors
    /// What nobody has heard.
    pub fn all_heard(&self) -> Judged {
        self.notices.all_heard()
    }
}
