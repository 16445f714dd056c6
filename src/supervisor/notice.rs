//! A notice: what a person is told of a task or a batch, to whom it goes, and how often that was tried.
//!
//! A notice is written in the transaction of the change that it tells of, and goes once somebody has taken it: so what is
//! committed is told at least once, whatever dies. Who takes it is a [`Sink`]; there is one kind of them today.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::task::{News, OutcomeKind, State, Task, TaskId, Timestamp};

/// Millionths of a dollar in one.
const MICRO_PER_USD: u64 = 1_000_000;
/// Longest detail of an outcome that goes into a variable, in bytes.
const DETAIL_MAX_BYTES: usize = 4096;

/// What a person is told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notice {
    /// Its name, the same each time it is told.
    pub id: String,
    /// Who takes it.
    pub sink: Sink,
    /// The task in whose directory and environment a command runs: the one it tells of, of a batch the last one.
    pub task: TaskId,
    /// What is told, as variables.
    pub facts: BTreeMap<String, String>,
    /// Times that it was told in vain.
    pub tries: u32,
    /// Not told (again) before this time.
    pub due: Timestamp,
}

/// Who takes a notice.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Sink {
    /// A command line for the shell; it has taken it when it ends with exit code 0.
    Command(String),
}

/// What became of telling a notice once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    /// Which.
    pub id: String,
    /// Why it was in vain; `None` = it was taken.
    pub failed: Option<String>,
}

impl Told {
    /// Writes it into the log; `tries` is how often it was tried.
    pub fn log(&self, tries: u32) {
        let notice = self.id.as_str();
        match &self.failed {
            None => tracing::info!(notice, tries, "a notice was taken"),
            Some(why) => tracing::warn!(notice, tries, why, "a notice was not taken"),
        }
    }
}

/// The tasks of one submission that are told of together.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Batch {
    /// All of them.
    pub tasks: u64,
    /// Those that are not over.
    pub open: u64,
    /// Those that are completed.
    pub completed: u64,
    /// Those that failed.
    pub failed: u64,
    /// Those that were cancelled.
    pub cancelled: u64,
    /// What those that are over have cost, as far as it is known.
    pub micro_usd: u64,
    /// Their runs whose cost nobody knows.
    pub unknown_costs: u64,
    /// The one that was over last.
    pub last: Option<TaskId>,
    /// Who takes the notice; `None` = more tasks may come.
    pub sink: Option<Sink>,
    /// The number of its first task. What is older belongs to a former batch of the same name, which was told of.
    pub first: Option<i64>,
}

impl Batch {
    /// A task became final, or (with `open_again`) is to be done again.
    pub fn count(&mut self, task: &Task, state: State, open_again: bool) {
        let agent = task.life.agent.as_ref();
        let spent = agent.map_or(0, |agent| agent.spent_micro_usd);
        let unknown = agent.map_or(0, |agent| u64::from(agent.unknown_costs));
        let add = |sum: u64, one: u64, taken_back: bool| {
            if taken_back {
                sum.saturating_sub(one)
            } else {
                sum.saturating_add(one)
            }
        };
        self.open = add(self.open, 1, !open_again);
        let of_state = match state {
            State::Completed => &mut self.completed,
            State::Cancelled => &mut self.cancelled,
            State::Failed
            | State::Pending
            | State::Processing
            | State::Paused
            | State::WaitingUnban
            | State::Retrying
            | State::Testing
            | State::NeedsHumanReview => &mut self.failed,
        };
        *of_state = add(*of_state, 1, open_again);
        self.micro_usd = add(self.micro_usd, spent, open_again);
        self.unknown_costs = add(self.unknown_costs, unknown, open_again);
        if !open_again {
            self.last = Some(task.id.clone());
        }
    }

    /// Whether all is over and nothing more comes: who is to be told, and in which task's place.
    #[must_use]
    pub fn to_tell(&self) -> Option<(&Sink, &TaskId)> {
        let sink = self.sink.as_ref().filter(|_| self.open == 0)?;
        Some((sink, self.last.as_ref()?))
    }
}

/// The variable that names a notice to its command, and its command to us.
pub const NOTICE_ID_VAR: &str = "AUTO_CLAUDE_NOTICE_ID";

impl Notice {
    /// What is told of a task.
    #[must_use]
    pub fn of_task(task: &Task, news: News, sink: Sink, now: Timestamp) -> Self {
        let life = &task.life;
        let id = format!("{}.{}", task.id, now.as_ms());
        let mut facts = BTreeMap::new();
        let mut add = |name: &str, value: String| facts.insert(variable(name), value);
        add("NOTICE", news.name().to_owned());
        add("TASK_ID", task.id.to_string());
        add("TASK_NAME", task.spec.name.clone());
        add("TASK_STATE", life.state.name().to_owned());
        add("TASK_ATTEMPT", life.generation.to_string());
        if let Some(outcome) = &life.outcome {
            add("TASK_OUTCOME", word(outcome.kind));
            let end = outcome.detail.floor_char_boundary(DETAIL_MAX_BYTES);
            add("TASK_DETAIL", outcome.detail[..end].replace('\0', " "));
            if let Some(code) = outcome.exit_code {
                add("TASK_EXIT_CODE", code.to_string());
            }
        }
        if let Some(agent) = &life.agent {
            add("TASK_COST_USD", usd(agent.spent_micro_usd));
            add("TASK_UNKNOWN_COSTS", agent.unknown_costs.to_string());
        }
        Self {
            id,
            sink,
            task: task.id.clone(),
            facts,
            tries: 0,
            due: now,
        }
    }

    /// What is told of a batch whose tasks are all over; `task` is the last of them.
    #[must_use]
    pub fn of_batch(
        name: &str,
        uid: u32,
        batch: &Batch,
        task: TaskId,
        sink: Sink,
        now: Timestamp,
    ) -> Self {
        // The name may be that of a former batch, whose notice is another one.
        let id = format!("batch.{uid}.{name}.{}", now.as_ms());
        let facts = [
            ("NOTICE", "batch".to_owned()),
            ("BATCH_ID", name.to_owned()),
            ("BATCH_TASKS", batch.tasks.to_string()),
            ("BATCH_COMPLETED", batch.completed.to_string()),
            ("BATCH_FAILED", batch.failed.to_string()),
            ("BATCH_CANCELLED", batch.cancelled.to_string()),
            ("BATCH_COST_USD", usd(batch.micro_usd)),
            ("BATCH_UNKNOWN_COSTS", batch.unknown_costs.to_string()),
        ];
        Self {
            id,
            sink,
            task,
            facts: facts
                .into_iter()
                .map(|(name, value)| (variable(name), value))
                .collect(),
            tries: 0,
            due: now,
        }
    }
}

fn variable(name: &str) -> String {
    format!("AUTO_CLAUDE_{name}")
}

/// The word that JSON has for an outcome.
fn word(kind: OutcomeKind) -> String {
    let value = serde_json::to_value(kind).ok();
    value
        .and_then(|value| value.as_str().map(str::to_owned))
        .unwrap_or_default()
}

/// In dollars, with all its digits.
fn usd(micro: u64) -> String {
    format!("{}.{:06}", micro / MICRO_PER_USD, micro % MICRO_PER_USD)
}
