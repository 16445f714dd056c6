//! What the API says of actions: cancel, pause, resume and their like.

use serde::{Deserialize, Serialize};

use super::{ErrorBody, TaskView};
use crate::supervisor::command::{ActEffect, SpecPatch};
use crate::task::State;

/// The body of `POST /tasks/actions`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ActionsRequest {
    /// `cancel`, `pause`, `resume`, `retry`, `approve`, `reject`, `edit`.
    pub action: ActionName,
    /// Ids or short unique prefixes.
    #[serde(default)]
    pub ids: Vec<String>,
    /// Instead of ids: every task in one of these states.
    #[serde(default)]
    pub states: Vec<State>,
    /// With `cancel`: between SIGTERM and SIGKILL.
    #[serde(default)]
    pub grace_ms: Option<u64>,
    /// With `edit`: what to change.
    #[serde(default)]
    pub patch: Option<SpecPatch>,
    /// Say what would happen, change nothing.
    #[serde(default)]
    pub dry_run: bool,
}

/// Names of actions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ActionName {
    /// See [`Action`](crate::supervisor::command::Action).
    Cancel,
    /// See there.
    Pause,
    /// See there.
    Resume,
    /// See there.
    Retry,
    /// See there.
    Approve,
    /// See there.
    Reject,
    /// See there.
    Edit,
    /// See there.
    Attach,
    /// See there.
    Detach,
}

/// What an action did to one task.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ActionResult {
    /// As it was asked.
    pub id: String,
    /// The task after it.
    pub task: Option<TaskView>,
    /// What happened.
    pub effect: Option<ActEffect>,
    /// Why it was refused.
    pub error: Option<ErrorBody>,
}
