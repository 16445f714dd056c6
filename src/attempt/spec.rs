//! What a worker needs to know to run one attempt: handed over in memory (a sealed memfd), never written to disk.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::agent::Driver;
use crate::task::{AttemptId, TaskType};

/// Version of [`WorkerSpec`] and of the door's protocol. A worker of version N is driven by daemons of N and N+1.
pub const PROTOCOL_VERSION: u32 = 2;

/// Environment variable by which every process of an attempt can be found: its value is the attempt's id. The daemon sets
/// it for the worker, the worker for the agent.
pub const MARKER_VAR: &str = "AUTO_CLAUDE_ATTEMPT_ID";

/// One attempt, fully resolved: absolute paths, whole environment, limits in their smallest unit.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WorkerSpec {
    /// [`PROTOCOL_VERSION`] of the writer.
    pub version: u32,
    /// Which attempt.
    pub attempt: AttemptId,
    /// Its slot.
    pub slot: u32,
    /// Program and arguments; the program is a path or a name to look up in `env`'s `PATH`.
    pub argv: Vec<String>,
    /// What the program reads on its standard input; `None` = nothing. (Since version 2.)
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input: Option<String>,
    /// An agent that does nothing but try a failed request again for so long is ended; 0 = no limit. (Since version 2.)
    #[serde(default)]
    pub trying_timeout_ms: u64,
    /// What reads the agent's output; `None` = a plain command, whose exit status says everything. (Since version 2.)
    #[serde(default)]
    pub driver: Option<Driver>,
    /// Working directory.
    pub cwd: PathBuf,
    /// The whole environment, the contract's `AUTO_CLAUDE_*` included (secrets are joined at spawn).
    pub env: BTreeMap<String, String>,
    /// How an interrupted attempt goes on.
    pub task_type: TaskType,
    /// This attempt goes on from the checkpoint.
    pub resume: bool,
    /// The record file; exists, created by the daemon.
    pub record: PathBuf,
    /// `tasks/<id>`: holds `output.log`, `output.idx`, `checkpoints/`. Created by the worker when first needed.
    pub task_dir: PathBuf,
    /// The worker's door (a Unix socket).
    pub door: PathBuf,
    /// What a process of this task must present at the door: 32 hex digits.
    pub token: String,
    /// Wall time; 0 = none.
    pub timeout_ms: u64,
    /// Idle time; 0 = none.
    pub idle_timeout_ms: u64,
    /// Between SIGTERM and SIGKILL.
    pub grace_ms: u64,
    /// Output kept.
    pub max_output_bytes: u64,
    /// Interval of the proof of life.
    pub heartbeat_ms: u64,
    /// Processes of the tree; 0 = no limit.
    pub max_processes: u64,
    /// Memory of the tree; 0 = no limit.
    pub max_memory_bytes: u64,
    /// A process whose end ends this attempt (a foreground run's).
    pub owner: Option<Owner>,
    /// When the daemon launched it, milliseconds since the epoch (so that worker and daemon agree on the first time).
    pub launched_at_ms: i64,
}

/// A process, named so that a reused pid is not taken for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Owner {
    /// Its pid.
    pub pid: i32,
    /// Its start time in clock ticks after boot (`/proc/PID/stat`, field 22).
    pub start_ticks: u64,
}

/// Everything the memfd holds: one JSON value.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Handover {
    /// The attempt.
    pub spec: WorkerSpec,
    /// Values of secrets by environment name; only ever in memory.
    pub secrets: BTreeMap<String, String>,
}
