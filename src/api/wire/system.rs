//! What the API says of the daemon and what runs.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::task::{Intent, State, TaskId, Timestamp};

/// A running attempt, as `worker list` shows it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WorkerView {
    /// The slot.
    pub slot: u32,
    /// The task.
    pub task: TaskId,
    /// Its name.
    pub name: String,
    /// Its generation.
    pub attempt: u32,
    /// The worker's pid, once known.
    pub worker_pid: Option<i32>,
    /// The command's pid, once known.
    pub agent_pid: Option<i32>,
    /// When the command started.
    pub started_at: Option<Timestamp>,
    /// Age of the last proof of life.
    pub heartbeat_age_ms: Option<u64>,
    /// Bytes of output so far.
    pub output_bytes: u64,
    /// The wish to stop it.
    pub intent: Option<Intent>,
    /// It was taken over from an earlier daemon.
    pub adopted: bool,
}

/// `GET /status`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SystemStatus {
    /// The daemon's version.
    pub version: String,
    /// Its machine.
    pub machine_id: String,
    /// Its pid.
    pub pid: u32,
    /// Since when it runs.
    pub started_at: Timestamp,
    /// The state directory.
    pub state_dir: PathBuf,
    /// Slots.
    pub num_workers: u32,
    /// Attempts that run.
    pub running: u32,
    /// Tasks by state; empty while the database cannot be read.
    pub tasks: BTreeMap<State, u64>,
    /// Whether claims go on; if not, why.
    pub claims: ClaimsView,
    /// Bytes free where the state directory is.
    pub disk_free_bytes: u64,
    /// Memory that can be had without swapping; null when the system does not tell.
    pub memory_available_bytes: Option<u64>,
    /// Processes that ran or wanted to, on average over the last minute; null when the system does not tell.
    pub load_average_1m: Option<f64>,
    /// Tasks and records that were set aside, and other things a person should look at.
    pub attention: Vec<String>,
}

/// Whether new attempts are started.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClaimsView {
    /// They are.
    pub enabled: bool,
    /// If not: why, and until when where that is known.
    pub why_not: Option<String>,
}
