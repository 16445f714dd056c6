//! The JSON of the HTTP API, shared by the router and by `taskctl`. Stable and documented: fields are added, never
//! renamed or removed; absent values are `null` where a field is always present.

use std::collections::BTreeMap;
use std::path::PathBuf;

mod actions;
mod agents;
mod budgets;
mod system;

use serde::{Deserialize, Serialize};

pub use crate::agent::ByHand;
pub use actions::{ActionName, ActionResult, ActionsRequest};
pub use agents::{
    AccountView, AgentView, AttachedView, ContractFound, CostView, HoldRequest, HoldView,
    NewPrompt, WindowView,
};
pub use budgets::{BudgetView, EstimateView, SpreadView};
pub use system::{ClaimsView, SystemStatus, WorkerView};

use crate::supervisor::command::RefusalCode;
use crate::task::{
    AfterFailed, Command, IfLost, Intent, OnLoss, OutcomeKind, PauseReason, Priority, RetryOn,
    SecretRef, State, TaskId, TaskType, Timestamp,
};

/// Prefix of every route.
pub const API: &str = "/api/v1";
/// Header of an answer that is not all it should be, with the reason.
pub const WARNING_HEADER: &str = "auto-claude-warning";
/// Longest body of one request that is not a stream.
pub const MAX_BODY_BYTES: usize = 4 * 1024 * 1024;
/// Longest line of a streamed batch.
pub const MAX_LINE_BYTES: usize = 2 * 1024 * 1024;
/// Header of an answer with output: where in the task's log it begins, in bytes.
pub const OFFSET_HEADER: &str = "auto-claude-offset";
/// Largest page of a listing.
pub const MAX_PAGE: u32 = 1000;
/// Page of a listing when nothing is said.
pub const DEFAULT_PAGE: u32 = 50;

/// A submission: the body of `POST /tasks`, and each line of `POST /tasks/batch`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewTask {
    /// 1..=200 characters.
    pub name: String,
    /// A string is a line for the shell, an array a program and its arguments. Needed, unless there is a `prompt`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<CommandText>,
    /// Asks an agent something instead; or, without a text, says on which account and with which budget a command line of
    /// Claude Code runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prompt: Option<NewPrompt>,
    /// Makes a repeated submission the same task. 1..=200 characters. `null` = every submission is a task of its own; `taskctl` draws one.
    #[serde(default)]
    pub key: Option<String>,
    /// Free text.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// How an interrupted attempt goes on. `null` = `lightweight` for a command, `medium_context` for a prompt,
    /// `heavy_context` for one with chunks.
    #[serde(default, rename = "type", skip_serializing_if = "Option::is_none")]
    pub task_type: Option<TaskType>,
    /// Who goes first.
    #[serde(default)]
    pub priority: Priority,
    /// Absolute working directory; `null` = the home directory of the daemon's user, or `/`.
    #[serde(default)]
    pub cwd: Option<PathBuf>,
    /// The whole environment; `null` = a minimal one (PATH, HOME, USER, LANG).
    #[serde(default)]
    pub env: Option<BTreeMap<String, String>>,
    /// Environment names whose values are resolved at launch.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub secrets: BTreeMap<String, SecretRef>,
    /// Tasks to wait for: ids or short unique prefixes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub after: Vec<String>,
    /// What a failed one means.
    #[serde(default)]
    pub after_failed: AfterFailed,
    /// Not before.
    #[serde(default)]
    pub at: Option<Timestamp>,
    /// How `at` was written, where the words mean another instant whenever they are read (`+2h`); 1..=100 characters.
    /// Compared in place of `at` when the key is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at_written: Option<String>,
    /// Wall time of one attempt.
    #[serde(default)]
    pub timeout_seconds: Option<u64>,
    /// Idle time of one attempt.
    #[serde(default)]
    pub idle_timeout_seconds: Option<u64>,
    /// Retries.
    #[serde(default)]
    pub max_retries: Option<u32>,
    /// What is retried.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub retry_on: Vec<RetryOn>,
    /// What follows a lost attempt.
    #[serde(default)]
    pub if_lost: Option<IfLost>,
    /// At most one with this key runs.
    #[serde(default)]
    pub exclusive: Option<String>,
    /// A command line that is run when it is over or waits for a person; empty = none, `null` = the setting (none for a
    /// task of a batch).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub notify: Option<String>,
    /// The tasks with this name are told of together, once `POST /batches/{name}` has said that it is complete.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub batch: Option<String>,
    /// Belongs to a foreground run.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub foreground: bool,
}

/// The body of `POST /batches/{batch}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BatchNotice {
    /// A command line that is run when all tasks of the batch are over.
    pub notify: String,
}

/// The answer to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct BatchOpen {
    /// Tasks of the batch that are not over; 0 = it is told of now.
    pub open: u64,
}

/// A command as it is submitted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum CommandText {
    /// A line for the shell.
    Line(String),
    /// A program and its arguments.
    Argv(Vec<String>),
}

impl From<CommandText> for Command {
    fn from(text: CommandText) -> Self {
        match text {
            CommandText::Line(line) => Self::Line(line),
            CommandText::Argv(argv) => Self::Argv(argv),
        }
    }
}

/// A task as the API shows it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TaskView {
    /// `task_…`.
    pub id: TaskId,
    /// Its name.
    pub name: String,
    /// Where it stands.
    pub state: State,
    /// Its type.
    #[serde(rename = "type")]
    pub task_type: TaskType,
    /// Its priority.
    pub priority: Priority,
    /// Generation of the running or last attempt; 0 before the first.
    pub attempt: u32,
    /// When it was acknowledged.
    pub created_at: Timestamp,
    /// When the running or last attempt's command started.
    pub started_at: Option<Timestamp>,
    /// When it became final.
    pub finished_at: Option<Timestamp>,
    /// Not claimed before.
    pub not_before: Option<Timestamp>,
    /// Retries spent.
    pub retries: u32,
    /// How the last attempt ended.
    pub outcome: Option<OutcomeView>,
    /// Free text.
    pub description: String,
    /// What runs.
    pub command: Command,
    /// Where.
    pub cwd: PathBuf,
    /// Local uid of the submitter.
    pub uid: u32,
    /// Order of submission.
    pub seq: i64,
    /// The slot of the running attempt.
    pub slot: Option<u32>,
    /// Why it is paused.
    pub pause_reasons: Vec<PauseReason>,
    /// The wish to stop the running attempt.
    pub intent: Option<Intent>,
    /// What it waits for.
    pub after: Vec<TaskId>,
    /// What a failed one means.
    pub after_failed: AfterFailed,
    /// At most one with this key runs.
    pub exclusive: Option<String>,
    /// Its wishes; `null` = the setting.
    pub timeout_seconds: Option<u64>,
    /// Its wishes; `null` = the setting.
    pub max_retries: Option<u32>,
    /// What is retried.
    pub retry_on: Vec<RetryOn>,
    /// Its wishes; `null` = the setting.
    #[serde(default)]
    pub idle_timeout_seconds: Option<u64>,
    /// Its wishes about a lost attempt; `null` = by its type, and `pause` for a foreground run.
    #[serde(default)]
    pub if_lost: Option<IfLost>,
    /// What follows a lost attempt. `null` only from a daemon that does not tell yet.
    #[serde(default)]
    pub if_lost_effective: Option<OnLoss>,
    /// Who is told when it is over or waits for a person.
    #[serde(default)]
    pub notify: Option<String>,
    /// The batch it is told of with.
    #[serde(default)]
    pub batch: Option<String>,
    /// Names of the variables whose values are resolved at launch. Neither values nor where they come from.
    #[serde(default)]
    pub secrets: Vec<String>,
    /// What is known of its agent; `null` for a plain command.
    #[serde(default)]
    pub agent: Option<AgentView>,
    /// Of `GET /tasks` and `GET /tasks/{id}`: it was found damaged and is left out of everything; what is wrong with it.
    /// Absent for all others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub set_aside: Option<String>,
}

/// A task that cannot be shown.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct UnreadableView {
    /// Its id, as far as it can be read.
    pub id: String,
    /// What is wrong.
    pub reason: String,
}

/// How an attempt ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OutcomeView {
    /// What happened.
    pub kind: OutcomeKind,
    /// The exit code.
    pub exit_code: Option<i32>,
    /// The signal's number.
    pub signal: Option<i32>,
    /// It left a core dump.
    #[serde(default)]
    pub core_dumped: bool,
    /// A descendant still held its pipes.
    #[serde(default)]
    pub descendant_held_pipe: bool,
    /// We had told it to stop before it ended: exit code 0 is then how it left, and does not say that its work is done.
    #[serde(default)]
    pub stop_sent: bool,
    /// A few words.
    #[serde(default)]
    pub detail: String,
}

/// One page of tasks.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Page {
    /// The tasks.
    pub tasks: Vec<TaskView>,
    /// Tasks that belong here and are damaged beyond reading.
    #[serde(default)]
    pub unreadable: Vec<UnreadableView>,
    /// Give it back as `cursor` for the next page; `null` at the end.
    pub next_cursor: Option<String>,
}

/// One acknowledged line of a batch, in the order of the lines.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BatchLine {
    /// Durable.
    Task {
        /// Line number, from 1.
        line: u64,
        /// The key was known: the same task as before.
        known: bool,
        /// Its id.
        id: TaskId,
    },
    /// Refused; the other lines go on.
    Error {
        /// Line number, from 1.
        line: u64,
        /// Why.
        error: ErrorBody,
    },
}

/// The body of every refused request, and of refused parts of one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ErrorBody {
    /// A stable code.
    pub code: RefusalCode,
    /// One sentence: what, where, what to do.
    pub message: String,
}

/// A journal row.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct JournalView {
    /// From 1.
    pub n: u64,
    /// When.
    pub at: Timestamp,
    /// Who.
    pub actor: crate::task::Actor,
    /// What.
    pub event: crate::task::Event,
}

/// One line of `GET /events`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EventLine {
    /// A task changed.
    Task(Box<TaskView>),
    /// Changes were missed: read again what you care for.
    Lagged,
    /// Nothing happened for a while.
    Alive,
}

/// Routes, below [`API`]:
///
/// | route | answer |
/// |---|---|
/// | `GET /health` | 200 `{"ok":true}` |
/// | `GET /status` | [`SystemStatus`] |
/// | `POST /tasks` | 201 [`TaskView`], 200 when the key was known |
/// | `POST /tasks/estimate` | [`EstimateView`] of a [`NewTask`] that is checked and not created |
/// | `POST /tasks/batch` | NDJSON of [`NewTask`] in, NDJSON of [`BatchLine`] out, line by line as they become durable |
/// | `GET /tasks?state=&since=&limit=&cursor=&order=` | [`Page`] |
/// | `GET /tasks/{id}` | [`TaskView`] (id or short unique prefix here and below) |
/// | `GET /tasks/{id}/journal` | array of [`JournalView`] |
/// | `GET /tasks/{id}/logs?attempt=&stream=&tail=&follow=&format=raw\|json` | the output, streamed; `json`: NDJSON of `{attempt, stream, at, text}` |
/// | `GET /tasks/{id}/wait?timeout_seconds=` | [`TaskView`] once it is final or waits for a person, 202 with the task when time is over |
/// | `GET /tasks/{id}/checkpoint` | the newest checkpoint |
/// | `POST /tasks/actions` | array of [`ActionResult`] |
/// | `POST /tasks/{id}/lease` | streams [`EventLine`]s; when the client goes away without `DELETE`, the task is paused (a foreground run was killed) |
/// | `DELETE /tasks/{id}/lease` | the foreground run lets go (`--detach`, or it is over) |
/// | `GET /events?task=` | [`EventLine`]s, NDJSON |
/// | `GET /budgets` | array of [`BudgetView`] |
/// | `GET /workers` | array of [`WorkerView`] |
/// | `POST /system/pause`, `POST /system/resume` | 200 [`ClaimsView`] |
/// | `POST /system/stop-all` | 200 `{"count":n}`: claims stop, running attempts are ended and their tasks paused |
/// | `POST /system/cleanup {"days":n,"dry_run":false}` | 200 `{"count":n}` |
/// | `POST /system/backup {"path":"/abs"}` | 200 `{"path":…,"bytes":n}`; `path` absent: `<state>/backups/<time>.db` |
/// | `POST /system/reset {"backup":"/abs"}` | 200 `{"count":n}`; makes the backup first, refused while attempts run |
pub mod routes {}
