//! What was asked: the submission, checked.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::{Prompt, TaskId, Timestamp};

/// What a user asked for. Only values that [`TaskSpec::check`] accepts are stored.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TaskSpec {
    /// 1..=200 characters, no control characters.
    pub name: String,
    /// Free text, ≤ 10,000 characters.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// What runs.
    pub command: Command,
    /// How an interrupted attempt goes on.
    #[serde(default, rename = "type")]
    pub task_type: TaskType,
    /// Who goes first.
    #[serde(default)]
    pub priority: Priority,
    /// Absolute path of the working directory, ≤ 4,095 bytes.
    pub cwd: PathBuf,
    /// The environment of the command (whole; nothing is inherited from the daemon). Names `[^=\0]+`, no NUL in values.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub env: BTreeMap<String, String>,
    /// Environment names whose values are resolved at launch and never stored.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub secrets: BTreeMap<String, SecretRef>,
    /// Tasks that must be final before this one may start, ≤ 64.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub after: Vec<TaskId>,
    /// What a failed or cancelled task in `after` means.
    #[serde(default)]
    pub after_failed: AfterFailed,
    /// Not before this time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<Timestamp>,
    /// Wall time of one attempt, 1..=31,536,000; `None` = the setting.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_seconds: Option<u64>,
    /// Idle time of one attempt, 1..=31,536,000; `None` = the setting.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idle_timeout_seconds: Option<u64>,
    /// Retries after failures, 0..=1,000; `None` = the setting.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_retries: Option<u32>,
    /// Which failures of a plain command are retried; empty = none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub retry_on: Vec<RetryOn>,
    /// What follows an attempt whose end nobody saw; `None` = from the task type.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub if_lost: Option<IfLost>,
    /// At most one task with this key runs at a time; 1..=200 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exclusive: Option<String>,
    /// A command line that is run when the task is over or waits for a person; 1..=4,096 bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub notify: Option<String>,
    /// The tasks with this name of one user are told of together; 1..=200 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub batch: Option<String>,
    /// Belongs to a foreground run: an interrupted attempt leaves the task paused instead of starting again.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub foreground: bool,
}

impl TaskSpec {
    /// The plainest submission of this name, command and directory.
    #[must_use]
    pub fn of(name: &str, command: Command, cwd: PathBuf) -> Self {
        Self {
            name: name.to_owned(),
            description: String::new(),
            command,
            task_type: TaskType::default(),
            priority: Priority::default(),
            cwd,
            env: BTreeMap::new(),
            secrets: BTreeMap::new(),
            after: Vec::new(),
            after_failed: AfterFailed::default(),
            at: None,
            timeout_seconds: None,
            idle_timeout_seconds: None,
            max_retries: None,
            retry_on: Vec::new(),
            if_lost: None,
            exclusive: None,
            notify: None,
            batch: None,
            foreground: false,
        }
    }
}

/// What runs: a line for the shell, a program and its arguments, or a prompt for an agent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Command {
    /// A command line for the configured shell (`/bin/sh -c`). 1..=131,071 bytes (what one argument may be).
    Line(String),
    /// A program (looked up in the task's `PATH` unless it has a slash) and its arguments, ≤ 1 MiB in all.
    Argv(Vec<String>),
    /// A prompt for an agent.
    Prompt(Box<Prompt>),
}

impl Command {
    /// The prompt, for a task of an agent.
    #[must_use]
    pub fn prompt(&self) -> Option<&Prompt> {
        match self {
            Self::Prompt(prompt) => Some(prompt),
            Self::Line(_) | Self::Argv(_) => None,
        }
    }
}

/// How an interrupted attempt goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TaskType {
    /// Starts again with the task's context.
    #[default]
    Lightweight,
    /// Starts with the last 500 lines of the former output.
    MediumContext,
    /// Goes on at the chunk it had reached.
    HeavyContext,
}

/// Who goes first; FIFO within.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Priority {
    /// After everything else.
    Low,
    /// The default.
    #[default]
    Normal,
    /// Before normal.
    High,
    /// Before everything else.
    Urgent,
}

/// What a failed or cancelled predecessor means for the task that waits for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AfterFailed {
    /// This task fails too, with outcome `dependency_failed`.
    #[default]
    Fail,
    /// This task runs all the same.
    Run,
}

/// A failure that is retried.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RetryOn {
    /// Every failure below.
    Any,
    /// Any non-zero exit code.
    Exit,
    /// This exit code, 1..=255.
    Code(u8),
    /// Death by a signal that we did not send (out of memory included).
    Signal,
    /// The wall or idle time was over.
    Timeout,
    /// The command could not be started.
    Spawn,
    /// An agent said that its run failed, or ended without a result. What tasks of agents retry when nothing is said.
    Agent,
}

/// What follows an attempt whose end nobody saw.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IfLost {
    /// A new attempt that goes on from the checkpoint (`AUTO_CLAUDE_RESUME=1`).
    Resume,
    /// A new attempt from the beginning.
    Rerun,
    /// A person decides.
    Review,
    /// The task fails.
    Fail,
}

/// Where a secret's value comes from, at launch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SecretRef {
    /// The content of a file (one trailing newline is dropped), ≤ 64 KiB. An absolute path.
    File(PathBuf),
    /// A systemd credential of the daemon's unit.
    Credential(String),
    /// A variable of the daemon's environment.
    Env(String),
}
