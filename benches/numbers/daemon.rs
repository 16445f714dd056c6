//! Our side: a daemon of its own in a fresh state directory, and `taskctl` beside it.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::{Bench, Res, sys};

const AUTO_CLAUDE: &str = env!("CARGO_BIN_EXE_auto-claude");
const TASKCTL: &str = env!("CARGO_BIN_EXE_taskctl");

/// Longer than any start should take; a longer one is an error, not a figure.
const START_LIMIT: Duration = Duration::from_secs(120);
/// Of many tasks, so many of the last are waited for: twice the slots.
const LAST: usize = 16;
/// How long a daemon may take to leave.
const STOP_LIMIT: Duration = Duration::from_secs(20);

/// A running daemon. It is stopped, with everything it runs, and its state removed, when this is dropped.
pub(crate) struct Daemon {
    child: Child,
    state: PathBuf,
}

impl Daemon {
    /// Starts one in a fresh directory `name`, with `slots` slots.
    pub(crate) fn fresh(bench: &Bench, name: &str, slots: u32) -> Res<Self> {
        let state = bench.base.join(name);
        sys::fresh_dir(&state)?;
        // The free space of a build machine's disk is not what is measured.
        let settings = format!("num_workers = {slots}\nmin_disk_space_gb = 0.0\n");
        std::fs::write(state.join("config.toml"), settings)
            .map_err(|e| format!("cannot write {}: {e}", state.join("config.toml").display()))?;
        Ok(Self::start(&state)?.0)
    }

    /// Starts one on a state directory that is there; with the time until its first answer.
    fn start(state: &Path) -> Res<(Self, Duration)> {
        let log = std::fs::File::create(state.join("bench-daemon.log"))
            .map_err(|e| format!("cannot create the daemon's log: {e}"))?;
        let begun = Instant::now();
        let child = Command::new(AUTO_CLAUDE)
            .arg("serve")
            .arg("--state-dir")
            .arg(state)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .map_err(|e| format!("cannot run {AUTO_CLAUDE}: {e}"))?;
        let mut daemon = Self {
            child,
            state: state.to_path_buf(),
        };
        let socket = state.join("auto-claude.sock");
        sys::wait_until("the daemon listens", START_LIMIT, || {
            if let Ok(Some(status)) = daemon.child.try_wait() {
                return Err(format!(
                    "the daemon left ({status}): {}",
                    daemon.last_words()
                ));
            }
            Ok(std::os::unix::net::UnixStream::connect(&socket).is_ok())
        })?;
        // A listener may be there before the tasks are: ready is who answers a question about them.
        daemon.ctl(&["task", "list", "--limit", "1", "--json"])?;
        Ok((daemon, begun.elapsed()))
    }

    fn last_words(&self) -> String {
        let text = std::fs::read_to_string(self.state.join("bench-daemon.log")).unwrap_or_default();
        text.lines().last().unwrap_or("it said nothing").to_owned()
    }

    /// The daemon's process.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Where its state is.
    pub(crate) fn state(&self) -> &Path {
        &self.state
    }

    /// A `taskctl` for this daemon, its arguments to be added.
    pub(crate) fn taskctl(&self) -> Command {
        let mut command = Command::new(TASKCTL);
        command
            .arg("--state-dir")
            .arg(&self.state)
            .stdin(Stdio::null());
        command
    }

    /// Runs `taskctl` to its end and gives its output.
    pub(crate) fn ctl(&self, args: &[&str]) -> Res<String> {
        sys::capture(self.taskctl().args(args))
    }

    /// Submits the lines of `file`; the ids, in order.
    pub(crate) fn submit(&self, file: &Path) -> Res<Vec<String>> {
        let out = sys::capture(
            self.taskctl()
                .args(["task", "create", "--json", "--from"])
                .arg(file),
        )?;
        ids(&out)
    }

    /// Waits until the last of these are final. Claims are first in, first out, so with them the others have ended or are about
    /// to; asking for each of a thousand would be a load of its own.
    pub(crate) fn wait_for_last(&self, ids: &[String]) -> Res<()> {
        let last = &ids[ids.len().saturating_sub(LAST)..];
        sys::capture(self.taskctl().args(["task", "wait"]).args(last)).map(drop)
    }

    /// Waits until nothing waits and nothing runs.
    pub(crate) fn wait_until_drained(&self, limit: Duration) -> Res<()> {
        let args = ["task", "list", "--json", "--limit", "1"];
        let states = [
            "--state",
            "pending",
            "--state",
            "processing",
            "--state",
            "retrying",
        ];
        sys::wait_until("nothing waits and nothing runs", limit, || {
            Ok(self.ctl(&[&args[..], &states[..]].concat())?.trim() == "[]")
        })
        .map(drop)
    }

    /// The tasks in `state`, at most `limit`, as JSON.
    pub(crate) fn list(&self, state: &str, limit: usize) -> Res<Vec<serde_json::Value>> {
        let limit = limit.to_string();
        let out = self.ctl(&[
            "task", "list", "--state", state, "--limit", &limit, "--json",
        ])?;
        serde_json::from_str(&out)
            .map_err(|e| format!("taskctl task list printed no JSON array: {e}"))
    }

    /// Fails unless every task there is ended as `completed`: a figure over tasks that failed would be worth nothing.
    pub(crate) fn all_completed(&self) -> Res<()> {
        let others = [
            "pending",
            "processing",
            "paused",
            "waiting_unban",
            "retrying",
            "testing",
            "needs_human_review",
            "failed",
            "cancelled",
        ];
        for state in others {
            if let Some(task) = self.list(state, 1)?.first() {
                return Err(format!("a task is {state}, not completed: {task}"));
            }
        }
        if self.list("completed", 1)?.is_empty() {
            return Err("no task completed".to_owned());
        }
        Ok(())
    }

    /// Ends the daemon as a crash would, and waits until it is gone.
    pub(crate) fn kill(&mut self) -> Res<()> {
        self.child
            .kill()
            .map_err(|e| format!("cannot kill the daemon: {e}"))?;
        self.child
            .wait()
            .map(drop)
            .map_err(|e| format!("cannot wait for the daemon: {e}"))
    }

    /// Asks the daemon to leave, and waits until it is gone.
    pub(crate) fn stop(&mut self) -> Res<()> {
        if matches!(self.child.try_wait(), Ok(Some(_))) {
            // Waited for: the number may belong to another process by now.
            return Ok(());
        }
        sys::signal(self.pid(), Signal::TERM);
        sys::wait_until("the daemon has left", STOP_LIMIT, || {
            self.child
                .try_wait()
                .map(|status| status.is_some())
                .map_err(|e| e.to_string())
        })
        .map(drop)
    }

    /// Starts it again after [`Self::kill`] or [`Self::stop`]; the time until its first answer.
    pub(crate) fn again(&mut self) -> Res<Duration> {
        let (mut daemon, time) = Self::start(&self.state)?;
        // The old child has been waited for; the new one takes its place, and the old handle is dropped with nothing to do.
        std::mem::swap(&mut self.child, &mut daemon.child);
        daemon.state = PathBuf::new();
        Ok(time)
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // Left empty by `again`: nothing of ours runs there.
        if self.state.as_os_str().is_empty() {
            return;
        }
        // Workers outlive the daemon, so they are told first.
        let _ = self.ctl(&["system", "stop-all", "--yes"]);
        if self.stop().is_err() {
            let _ = self.kill();
        }
        if std::env::var_os("BENCH_KEEP").is_none() {
            let _ = std::fs::remove_dir_all(&self.state);
        }
    }
}

/// The ids in a stream of JSON values: one array, or one object per line.
pub(crate) fn ids(text: &str) -> Res<Vec<String>> {
    let mut found = Vec::new();
    for value in serde_json::Deserializer::from_str(text).into_iter::<serde_json::Value>() {
        let value = value.map_err(|e| format!("taskctl printed no JSON: {e}"))?;
        let many = value.as_array().cloned().unwrap_or_else(|| vec![value]);
        for task in many {
            // A submission may be wrapped: {"task": {…}}.
            let id = task.get("id").or_else(|| task.get("task")?.get("id"));
            let id = id
                .and_then(serde_json::Value::as_str)
                .ok_or(format!("a reply without an id: {task}"))?;
            found.push(id.to_owned());
        }
    }
    Ok(found)
}

/// Writes a file of `count` submissions that each run `command`.
pub(crate) fn write_batch(
    path: &Path,
    count: usize,
    priority: &str,
    command: &serde_json::Value,
) -> Res<()> {
    let mut text = String::new();
    for index in 0..count {
        let line = serde_json::json!({
            "name": format!("bench {index}"), "command": command, "priority": priority,
        });
        text.push_str(&line.to_string());
        text.push('\n');
    }
    std::fs::write(path, text).map_err(|e| format!("cannot write {}: {e}", path.display()))
}

/// The command that does nothing.
pub(crate) fn nothing() -> serde_json::Value {
    serde_json::json!(["/bin/true"])
}
