//! What a foreground run says about its task, on stderr: lines for a person, or with `--json` one JSON object per line.
//!
//! The task's own stderr goes there, too, byte by byte: a line of ours begins at a line's beginning, whatever the task left.

use std::io::Write as _;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::json;

use crate::api::wire::{EventLine, TaskView};
use crate::task::TaskId;

use super::foreground::RunOptions;
use super::render::task::quote;

/// The task's stderr stands in the middle of a line. Changed and read under stderr's lock.
static IN_A_LINE: AtomicBool = AtomicBool::new(false);

/// Passes a piece of the task's stderr on.
pub(super) fn copy_to_stderr(piece: &[u8]) -> std::io::Result<()> {
    let mut stderr = std::io::stderr().lock();
    if let Some(last) = piece.last() {
        IN_A_LINE.store(*last != b'\n', Ordering::Relaxed);
    }
    stderr.write_all(piece)
}

/// How a run speaks, and what it suggests.
#[derive(Debug, Clone, Copy)]
pub struct Words<'a>(pub &'a RunOptions);

impl Words<'_> {
    /// The task as it stands now; `text` says it to a person.
    pub(super) fn state(&self, task: &TaskView, text: &str) {
        let json = || serde_json::to_string(&EventLine::Task(Box::new(task.clone())));
        self.line(&task.id, text, || json().unwrap_or_default());
    }

    /// Something else that is worth a line.
    pub fn note(&self, id: &TaskId, text: &str) {
        self.line(id, text, || {
            json!({ "note": { "id": id, "text": text } }).to_string()
        });
    }

    fn line(&self, id: &TaskId, text: &str, json: impl Fn() -> String) {
        let line = if self.0.json {
            json()
        } else {
            format!("{id}: {text}")
        };
        let mut stderr = std::io::stderr().lock();
        let before = if IN_A_LINE.swap(false, Ordering::Relaxed) {
            "\n"
        } else {
            ""
        };
        // A stderr that is gone is nobody's loss.
        let _ = writeln!(stderr, "{before}{line}");
    }

    /// How the task goes on after its run has left.
    pub(super) fn go_on(&self, id: &TaskId) -> String {
        let taskctl = self.taskctl();
        let first = if self.0.embedded {
            format!("Start a daemon with: {}; then go on", self.serve())
        } else {
            "Go on".to_owned()
        };
        format!(
            "{first} with: {taskctl} task resume {id}; watch it with: {taskctl} task logs -f {id}"
        )
    }

    /// The command that starts a daemon here.
    #[must_use]
    pub fn serve(&self) -> String {
        self.with_state_dir(format!("{} serve", self.program("auto-claude")))
    }

    /// The command that shows the task.
    #[must_use]
    pub fn look(&self, id: &TaskId) -> String {
        format!("{} task show {id}", self.taskctl())
    }

    fn taskctl(&self) -> String {
        self.with_state_dir(self.program("taskctl"))
    }

    /// The program as it can be called from where we were called.
    fn program(&self, name: &str) -> String {
        match &self.0.programs {
            Some(dir) => quote(&dir.join(name).to_string_lossy()),
            None => name.to_owned(),
        }
    }

    fn with_state_dir(&self, command: String) -> String {
        match &self.0.state_dir {
            Some(dir) => format!("{command} --state-dir {}", quote(&dir.to_string_lossy())),
            None => command,
        }
    }
}
