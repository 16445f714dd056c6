//! The contract with the command: what it finds in its environment and in its checkpoint directory.
//!
//! | variable | value |
//! |---|---|
//! | `AUTO_CLAUDE_TASK_ID` | the task's id |
//! | `AUTO_CLAUDE_ATTEMPT` | the attempt's number, from 1 |
//! | `AUTO_CLAUDE_ATTEMPT_ID` | both; every process of the tree carries it |
//! | `AUTO_CLAUDE_RESUME` | `1` when this attempt goes on from a checkpoint, else `0` |
//! | `AUTO_CLAUDE_CHECKPOINT_DIR` | holds `progress.json` (and `context.txt`) on a resume; made for medium and heavy tasks, for lightweight ones with their first checkpoint |
//! | `AUTO_CLAUDE_CHUNK` | heavy tasks: the chunk to begin with, from 0 |
//! | `AUTO_CLAUDE_CONTEXT_FILE` | medium tasks on a resume: the last lines of the former output |
//! | `AUTO_CLAUDE_DOOR`, `AUTO_CLAUDE_TOKEN` | for `taskctl checkpoint` |
//! | `AUTO_CLAUDE_DAEMON_SOCKET` | the daemon's control socket, for every other `taskctl`; set by the daemon, the worker does not know it |

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use crate::attempt::protocol::Progress;
use crate::attempt::spec::{Handover, MARKER_VAR, WorkerSpec};
use crate::checkpoint::{Checkpoints, next_chunk};
use crate::output::{Filter, Reader};
use crate::task::TaskType;

/// Lines of the former output that a medium task gets.
const CONTEXT_LINES: usize = 500;
/// And at most so many bytes of them.
const CONTEXT_MAX_BYTES: usize = 4 * 1024 * 1024;
const CONTEXT_NAME: &str = "context.txt";
const PROGRESS_NAME: &str = "progress.json";

/// What the agent starts with.
#[derive(Debug)]
pub(super) struct Prepared {
    pub(super) env: BTreeMap<String, String>,
    /// The progress of the attempts before, on a resume.
    pub(super) progress: Option<Progress>,
    /// What could not be prepared, in words.
    pub(super) problems: Vec<String>,
}

/// Prepares directory and environment. What fails is told, and never keeps the command from its start.
pub(super) fn prepare(handover: &Handover, checkpoints: &Checkpoints) -> Prepared {
    let spec = &handover.spec;
    let mut prepared = Prepared {
        env: spec.env.clone(),
        progress: None,
        problems: Vec::new(),
    };
    prepared.env.extend(handover.secrets.clone());
    for (name, value) in fixed(spec, checkpoints) {
        prepared.env.insert(name.to_owned(), value);
    }
    if spec.task_type != TaskType::Lightweight
        && let Err(error) = checkpoints.make_dir()
    {
        prepared.problems.push(error.to_string());
    }
    let newest = if spec.resume {
        checkpoints
            .newest_telling(&mut prepared.problems)
            .unwrap_or_else(|error| {
                prepared.problems.push(error.to_string());
                None
            })
    } else {
        None
    };
    if spec.task_type == TaskType::HeavyContext {
        prepared.env.insert(
            "AUTO_CLAUDE_CHUNK".to_owned(),
            next_chunk(newest.as_ref()).to_string(),
        );
    }
    prepared.progress = newest.and_then(|newest| newest.progress);
    if spec.resume {
        prepared.hand_on(spec, checkpoints);
    }
    prepared
}

fn fixed(spec: &WorkerSpec, checkpoints: &Checkpoints) -> [(&'static str, String); 7] {
    [
        ("AUTO_CLAUDE_TASK_ID", spec.attempt.task.to_string()),
        ("AUTO_CLAUDE_ATTEMPT", spec.attempt.generation.to_string()),
        (MARKER_VAR, spec.attempt.to_string()),
        ("AUTO_CLAUDE_RESUME", u8::from(spec.resume).to_string()),
        (
            "AUTO_CLAUDE_CHECKPOINT_DIR",
            checkpoints.dir().to_string_lossy().into_owned(),
        ),
        ("AUTO_CLAUDE_DOOR", spec.door.to_string_lossy().into_owned()),
        ("AUTO_CLAUDE_TOKEN", spec.token.clone()),
    ]
}

impl Prepared {
    /// Writes what a resumed command finds. Made anew at each resume, so nothing is synced.
    fn hand_on(&mut self, spec: &WorkerSpec, checkpoints: &Checkpoints) {
        if let Err(error) = checkpoints.make_dir() {
            self.problems.push(error.to_string());
            return;
        }
        let progress =
            serde_json::to_vec(&self.progress.clone().unwrap_or_default()).unwrap_or_default();
        self.put(&checkpoints.dir().join(PROGRESS_NAME), &progress);
        if spec.task_type != TaskType::MediumContext {
            return;
        }
        match context(&spec.task_dir) {
            Ok(context) => {
                let path = checkpoints.dir().join(CONTEXT_NAME);
                if let Some(path) = self.put(&path, &context) {
                    self.env.insert(
                        "AUTO_CLAUDE_CONTEXT_FILE".to_owned(),
                        path.to_string_lossy().into_owned(),
                    );
                }
            }
            Err(error) => self
                .problems
                .push(format!("the former output cannot be read: {error}")),
        }
    }

    fn put(&mut self, path: &Path, bytes: &[u8]) -> Option<PathBuf> {
        let temporary = path.with_extension("tmp");
        // The folder is the command's, too: whatever it left under this name (a FIFO would never let go of us) goes first.
        let _ = fs::remove_file(&temporary);
        let write = || File::create_new(&temporary)?.write_all(bytes);
        match write().and_then(|()| fs::rename(&temporary, path)) {
            Ok(()) => Some(path.to_owned()),
            Err(error) => {
                self.problems
                    .push(format!("cannot write {}: {error}", path.display()));
                None
            }
        }
    }
}

fn context(task_dir: &Path) -> io::Result<Vec<u8>> {
    let pieces =
        Reader::open(task_dir)?.tail_lines(CONTEXT_LINES, CONTEXT_MAX_BYTES, &Filter::AGENT)?;
    Ok(pieces.into_iter().flat_map(|piece| piece.bytes).collect())
}
