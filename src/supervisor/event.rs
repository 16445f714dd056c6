//! Every source of events becomes one enum, and every consequence another: the handler stands between them.

use super::account::AccountSpec;
use super::command::{Command, Refusal, Reply, ReplyTo};
use super::notice::{Notice, Told};
use super::transition::Transition;
use crate::budget::Budget;
use crate::config::Settings;
use crate::store::SetAside;
use crate::task::{AttemptId, Intent, Outcome, Report, Task, TaskId, Timestamp};
use std::sync::Arc;

/// What reaches the supervisor.
#[derive(Debug)]
pub enum SupervisorEvent {
    /// A client's wish, and where the reply goes.
    Command(Command, ReplyTo),
    /// What the carriers saw of an attempt.
    Attempt(AttemptReport),
    /// What became of telling a notice.
    Told(Told),
    /// A time that the handler asked to be woken at has come, or the wall clock was set.
    Timer,
    /// New settings, checked.
    Settings(Arc<Settings>),
    /// Nothing has happened for a while: time to tidy up.
    Quiet,
    /// The daemon is to leave: commit what is queued, then stop.
    Leave,
}

/// What the carriers saw of an attempt.
#[derive(Debug, Clone, PartialEq)]
pub enum AttemptReport {
    /// The worker said that the command runs.
    Started {
        /// Which attempt.
        attempt: AttemptId,
        /// When.
        started_at: Timestamp,
    },
    /// What its agent has said so far concerns its account: its server has answered, or told how far a window is used.
    Heard {
        /// Which attempt.
        attempt: AttemptId,
        /// What it has said so far.
        report: Box<Report>,
    },
    /// The attempt is over: its record says so (or was closed by us under its lock) and its tree is empty.
    Closed(Closed),
    /// Its tree cannot be emptied: the slot stays held, a person is told.
    Stuck {
        /// Which attempt.
        attempt: AttemptId,
        /// What remains.
        detail: String,
    },
}

impl AttemptReport {
    /// Which attempt it is about.
    #[must_use]
    pub fn attempt(&self) -> &AttemptId {
        match self {
            Self::Started { attempt, .. }
            | Self::Heard { attempt, .. }
            | Self::Stuck { attempt, .. } => attempt,
            Self::Closed(closed) => &closed.attempt,
        }
    }
}

/// How a closed attempt ended.
#[derive(Debug, Clone, PartialEq)]
pub struct Closed {
    /// Which attempt.
    pub attempt: AttemptId,
    /// How it truly ended.
    pub outcome: Outcome,
    /// When.
    pub ended_at: Timestamp,
    /// When its command started, if it did.
    pub started_at: Option<Timestamp>,
    /// What an agent said about the run.
    pub report: Option<Box<Report>>,
    /// It never ran because the machine could not start a worker: claims pause for a moment.
    pub launch_failed: bool,
    /// It was begun before this boot: the machine went down under it.
    pub machine_went_down: bool,
}

/// What is to be done after the commit.
#[derive(Debug)]
#[must_use]
pub enum Effect {
    /// Start the worker of a claimed attempt.
    Launch(Box<Launch>),
    /// Carry out a committed intent.
    Stop {
        /// Which attempt.
        attempt: AttemptId,
        /// The intent.
        intent: Intent,
    },
    /// The attempt's outcome is committed: its record may go.
    Forget(AttemptId),
    /// These tasks are gone from the store: their files may go.
    RemoveFiles(Vec<TaskId>),
    /// A task changed.
    Changed(super::command::Change),
    /// What was committed, for the log.
    Log(Box<LogLine>),
    /// A notice is to be told, at its time.
    Tell(Box<Tell>),
    /// Something a person should look at.
    Attention(Attention),
    /// A condition a person was told of is over.
    AttentionOver(&'static str),
}

/// A line of the log. Written after the commit of what it tells, for what was rolled back has not happened.
#[derive(Debug, Clone, PartialEq)]
pub enum LogLine {
    /// A task changed.
    Task(Transition),
    /// A notice was told, or not, for the so manieth time.
    Notice(Told, u32),
}

impl LogLine {
    /// Writes it.
    pub fn log(&self) {
        match self {
            Self::Task(transition) => transition.log(),
            Self::Notice(told, tries) => told.log(*tries),
        }
    }
}

/// A claimed attempt that is to be started.
#[derive(Debug, Clone)]
pub struct Launch {
    /// Its task.
    pub task: Task,
    /// How its account is reached, where it has one that is not the agent's own.
    pub account: AccountSpec,
    /// It is a probe of the daemon's own, and no task's attempt.
    pub is_probe: bool,
    /// What it may use up.
    pub share: Budget,
}

/// A notice that is to be told.
#[derive(Debug)]
pub struct Tell {
    /// The notice.
    pub notice: Notice,
    /// The task in whose environment; `None` = it is gone.
    pub task: Option<Task>,
}

/// Something a person should look at, shown in `system status` and logged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attention {
    /// What kind, stable.
    pub kind: &'static str,
    /// One sentence.
    pub text: String,
}

impl Attention {
    /// So many tasks are set aside, and this one is the first.
    #[must_use]
    pub fn set_aside(count: u64, first: &SetAside) -> Self {
        let tasks = if count == 1 {
            "1 damaged task is".to_owned()
        } else {
            format!("{count} damaged tasks are")
        };
        Self {
            kind: "set_aside",
            text: format!(
                "{tasks} set aside, the first is {}: {}",
                first.id, first.reason
            ),
        }
    }
}

/// The handler's answer to one event.
pub type Answer = Result<Reply, Refusal>;
