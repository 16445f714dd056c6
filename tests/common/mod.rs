//! A real daemon on a state directory of its own, and a small blocking client for its API.
//!
//! Every wait is for a condition, with a limit that only a failure reaches; what fails prints the state directory, the
//! daemon's log and the command that repeats it.

#![expect(
    clippy::disallowed_methods,
    reason = "tests start real processes and bound their waits by a clock"
)]
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot go on stops"
)]
#![expect(dead_code, reason = "each test file uses its part")]

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

/// A wait that takes longer has failed.
pub const PATIENCE: Duration = Duration::from_secs(60);
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// The daemon's program.
pub const AUTO_CLAUDE: &str = env!("CARGO_BIN_EXE_auto-claude");
/// The user's program.
pub const TASKCTL: &str = env!("CARGO_BIN_EXE_taskctl");

/// A state directory that goes when the test ends, with everything that still runs there.
pub struct World {
    dir: tempfile::TempDir,
    daemon: Option<Child>,
    env: Vec<(String, String)>,
}

impl World {
    /// An empty state directory with these settings (TOML).
    pub fn new(config: &str) -> Self {
        let dir = tempfile::Builder::new()
            .prefix("auto-claude-test-")
            .tempdir()
            .unwrap();
        // Programs that stand for an agent keep no contract; tests that are about it say so.
        let verify = if config.contains("verify_agents") {
            ""
        } else {
            "verify_agents = \"off\"\n"
        };
        std::fs::write(
            dir.path().join("config.toml"),
            format!("min_disk_space_gb = 0\n{verify}{config}"),
        )
        .unwrap();
        Self {
            dir,
            daemon: None,
            env: Vec::new(),
        }
    }

    /// The state directory.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Sets a variable of the daemons that are started from now on.
    pub fn set_env(&mut self, name: &str, value: &str) {
        self.env.retain(|(known, _)| known != name);
        self.env.push((name.to_owned(), value.to_owned()));
    }

    /// Takes a variable away again.
    pub fn unset_env(&mut self, name: &str) {
        self.env.retain(|(known, _)| known != name);
    }

    /// The command that starts a daemon here.
    pub fn serve_command(&self) -> Command {
        let mut command = Command::new(AUTO_CLAUDE);
        command
            .arg("serve")
            .arg("--state-dir")
            .arg(self.dir())
            .envs(self.env.iter().map(|(name, value)| (name, value)));
        let log = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.dir().join("daemon.out"))
            .unwrap();
        command
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log);
        command
    }

    /// Starts a daemon and waits until it answers.
    pub fn start(&mut self) {
        self.spawn();
        self.wait_for("the daemon answers", |world| {
            world.request("GET", "/health", None).ok().map(|_| ())
        });
    }

    /// Starts a daemon without waiting.
    pub fn spawn(&mut self) {
        assert!(self.daemon.is_none(), "one daemon at a time");
        self.daemon = Some(self.serve_command().spawn().unwrap());
    }

    /// Starts a daemon by this command, which becomes `auto-claude serve` here in the end, and waits until it answers.
    pub fn start_by(&mut self, mut command: Command) {
        assert!(self.daemon.is_none(), "one daemon at a time");
        self.daemon = Some(command.spawn().unwrap());
        self.wait_for("the daemon answers", |world| {
            world.request("GET", "/health", None).ok().map(|_| ())
        });
    }

    /// Pid of the daemon.
    pub fn daemon_pid(&self) -> i32 {
        i32::try_from(self.daemon.as_ref().expect("a daemon runs").id()).unwrap()
    }

    /// SIGKILL for the daemon, and only for it.
    pub fn kill_daemon(&mut self) {
        let mut daemon = self.daemon.take().expect("a daemon runs");
        daemon.kill().unwrap();
        daemon.wait().unwrap();
    }

    /// SIGTERM for the daemon; its exit status.
    pub fn stop_daemon(&mut self) -> std::process::ExitStatus {
        let mut daemon = self.daemon.take().expect("a daemon runs");
        signal(i32::try_from(daemon.id()).unwrap(), "TERM");
        daemon.wait().unwrap()
    }

    /// Waits until the daemon has ended by itself (a crash point).
    pub fn wait_for_death(&mut self) -> std::process::ExitStatus {
        let begun = Instant::now();
        loop {
            if let Some(status) = self
                .daemon
                .as_mut()
                .expect("a daemon was started")
                .try_wait()
                .unwrap()
            {
                self.daemon = None;
                return status;
            }
            assert!(
                begun.elapsed() < PATIENCE,
                "the daemon lives on\n{}",
                self.story()
            );
            std::thread::sleep(LOOK_EVERY);
        }
    }

    /// Whether the daemon has ended.
    pub fn daemon_is_dead(&mut self) -> bool {
        let dead = self
            .daemon
            .as_mut()
            .is_none_or(|daemon| daemon.try_wait().unwrap().is_some());
        if dead {
            self.daemon = None;
        }
        dead
    }

    /// One request; status and body.
    pub fn request(
        &self,
        method: &str,
        route: &str,
        body: Option<&Value>,
    ) -> std::io::Result<(u16, Value)> {
        let body = body.map(Value::to_string).unwrap_or_default();
        let (status, text) = self.request_text(method, route, &body)?;
        Ok((
            status,
            serde_json::from_str(&text).unwrap_or(Value::String(text)),
        ))
    }

    /// One request with a body of any text; status and body as they came.
    pub fn request_text(
        &self,
        method: &str,
        route: &str,
        body: &str,
    ) -> std::io::Result<(u16, String)> {
        let mut stream = UnixStream::connect(self.dir().join("auto-claude.sock"))?;
        stream.set_read_timeout(Some(PATIENCE))?;
        write!(
            stream,
            "{method} /api/v1{route} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        )?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer)?;
        let text = String::from_utf8_lossy(&answer);
        let (head, body) = text
            .split_once("\r\n\r\n")
            .ok_or(std::io::ErrorKind::UnexpectedEof)?;
        let status = head
            .split(' ')
            .nth(1)
            .and_then(|word| word.parse().ok())
            .ok_or(std::io::ErrorKind::InvalidData)?;
        let body = if head
            .to_ascii_lowercase()
            .contains("transfer-encoding: chunked")
        {
            unchunk(body)
        } else {
            body.to_owned()
        };
        Ok((status, body))
    }

    /// A request that must be answered with 2xx.
    pub fn ask(&self, method: &str, route: &str, body: Option<&Value>) -> Value {
        match self.request(method, route, body) {
            Ok((status, body)) if (200..300).contains(&status) => body,
            other => panic!("{method} {route}: {other:?}\n{}", self.story()),
        }
    }

    /// Submits a command line; its id.
    pub fn submit(&self, name: &str, command: &str) -> String {
        self.submit_with(json!({"name": name, "command": command}))
    }

    /// Submits; its id.
    pub fn submit_with(&self, task: Value) -> String {
        self.ask("POST", "/tasks", Some(&task))["id"]
            .as_str()
            .unwrap()
            .to_owned()
    }

    /// One task.
    pub fn task(&self, id: &str) -> Value {
        self.ask("GET", &format!("/tasks/{id}"), None)
    }

    /// A wish about tasks; the answers.
    pub fn act(&self, action: &str, ids: &[&str]) -> Value {
        self.ask(
            "POST",
            "/tasks/actions",
            Some(&json!({"action": action, "ids": ids})),
        )
    }

    /// Waits until the task is in this state.
    pub fn wait_state(&self, id: &str, state: &str) -> Value {
        self.wait_for(&format!("{id} is {state}"), |world| {
            Some(world.task(id)).filter(|task| task["state"] == state)
        })
    }

    /// Waits until the task is final.
    pub fn wait_final(&self, id: &str) -> Value {
        self.wait_for(&format!("{id} is final"), |world| {
            let (_, task) = world.request("GET", &format!("/tasks/{id}"), None).ok()?;
            ["completed", "failed", "cancelled"]
                .iter()
                .any(|state| task["state"] == *state)
                .then_some(task)
        })
    }

    /// Waits for a condition.
    pub fn wait_for<T>(&self, what: &str, condition: impl Fn(&Self) -> Option<T>) -> T {
        let begun = Instant::now();
        loop {
            if let Some(value) = condition(self) {
                return value;
            }
            assert!(
                begun.elapsed() < PATIENCE,
                "waited in vain until {what}\n{}",
                self.story()
            );
            std::thread::sleep(LOOK_EVERY);
        }
    }

    /// A task's output log as it stands.
    pub fn output(&self, id: &str) -> String {
        let bytes =
            std::fs::read(self.dir().join("tasks").join(id).join("output.log")).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Runs `taskctl` on this state directory.
    pub fn taskctl(&self, arguments: &[&str]) -> std::process::Output {
        Command::new(TASKCTL)
            .arg("--state-dir")
            .arg(self.dir())
            .args(arguments)
            .stdin(Stdio::null())
            .output()
            .unwrap()
    }

    /// Runs `auto-claude` on this state directory.
    pub fn auto_claude(&self, command: &str, arguments: &[&str]) -> std::process::Output {
        Command::new(AUTO_CLAUDE)
            .arg(command)
            .arg("--state-dir")
            .arg(self.dir())
            .args(arguments)
            .stdin(Stdio::null())
            .output()
            .unwrap()
    }

    /// What is needed to understand a failure.
    pub fn story(&self) -> String {
        let read = |name: &str| std::fs::read_to_string(self.dir().join(name)).unwrap_or_default();
        format!(
            "state directory: {}\nenvironment: {:?}\n--- daemon ---\n{}\n--- workers ---\n{}",
            self.dir().display(),
            self.env,
            read("daemon.out"),
            read("logs/workers.log")
        )
    }

    /// Pids of processes whose environment names this state directory's attempts or this daemon.
    pub fn workers(&self) -> Vec<i32> {
        let listed = self.ask("GET", "/workers", None);
        listed
            .as_array()
            .unwrap()
            .iter()
            .filter_map(|worker| worker["worker_pid"].as_i64())
            .map(|pid| i32::try_from(pid).unwrap())
            .collect()
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if let Some(mut daemon) = self.daemon.take() {
            let _ = daemon.kill();
            let _ = daemon.wait();
        }
        // Workers outlive daemons: end those whose records still stand here.
        for entry in std::fs::read_dir(self.dir().join("records"))
            .into_iter()
            .flatten()
            .flatten()
        {
            let attempt = entry.file_name().to_string_lossy().into_owned();
            for pid in marked(&attempt) {
                signal(pid, "KILL");
            }
        }
        if std::thread::panicking() {
            let name = self
                .dir()
                .file_name()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned();
            let kept = std::env::temp_dir().join(name.replace("test", "failed"));
            let _ = std::fs::rename(self.dir(), &kept);
            eprintln!("the state directory is kept: {}", kept.display());
        }
    }
}

/// Processes that carry the attempt's marker.
pub fn marked(attempt: &str) -> Vec<i32> {
    let wanted = format!("AUTO_CLAUDE_ATTEMPT_ID={attempt}");
    let pids = std::fs::read_dir("/proc")
        .unwrap()
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    pids.filter(|pid| {
        std::fs::read(format!("/proc/{pid}/environ")).is_ok_and(|environ| {
            environ
                .split(|byte| *byte == 0)
                .any(|entry| entry == wanted.as_bytes())
        })
    })
    .collect()
}

/// Whether the process runs (a zombie does not).
pub fn alive(pid: i32) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| {
        !stat
            .rsplit(')')
            .next()
            .unwrap_or_default()
            .trim_start()
            .starts_with(['Z', 'X'])
    })
}

/// Sends a signal by name.
pub fn signal(pid: i32, name: &str) {
    let _ = Command::new("kill")
        .arg(format!("-{name}"))
        .arg(pid.to_string())
        .stderr(Stdio::null())
        .status();
}

/// Whether this process may mount and trace: prints the reason for a skip where it may not.
pub fn is_root(what: &str) -> bool {
    let root = rustix::process::geteuid().is_root();
    if !root {
        println!("SKIPPED: {what}: needs root");
    }
    root
}

/// A temporary path that a test may use beside its world.
pub fn scratch(name: &str) -> PathBuf {
    std::env::temp_dir().join(format!("auto-claude-{name}-{}", std::process::id()))
}

fn unchunk(body: &str) -> String {
    let mut text = String::new();
    let mut rest = body;
    while let Some((size, after)) = rest.split_once("\r\n") {
        let Ok(size) = usize::from_str_radix(size.trim(), 16) else {
            break;
        };
        if size == 0 || after.len() < size {
            break;
        }
        text.push_str(&after[..size]);
        rest = after[size..].trim_start_matches("\r\n");
    }
    text
}
