//! A running CLI, and what is left of it.

use std::cell::Cell;
use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, UNIX_EPOCH};

use serde_json::Value;

use super::PATIENCE;

/// A CLI that runs. Dropped, it is killed.
#[derive(Debug)]
pub struct Running {
    child: Option<Child>,
    lines: Arc<Lines>,
    readers: Vec<JoinHandle<()>>,
    stderr: Arc<Mutex<String>>,
    begun: Instant,
    command: String,
    resumed: bool,
    stop_sent: Cell<bool>,
}

#[derive(Debug, Default)]
struct Lines {
    seen: Mutex<Seen>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Seen {
    events: Vec<Value>,
    stdout: Vec<u8>,
    ended: bool,
}

/// How it ended and what it printed.
#[derive(Debug)]
pub struct Ended {
    /// The wait status.
    pub status: ExitStatus,
    /// Standard output, byte by byte.
    pub stdout: Vec<u8>,
    /// Its lines that are JSON objects.
    pub events: Vec<Value>,
    /// Standard error.
    pub stderr: String,
    /// From start to end.
    pub took: Duration,
    /// By the machine's clock.
    pub ended_at_ms: i64,
    /// It went on with a session.
    pub resumed: bool,
    /// A signal was sent.
    pub stop_sent: bool,
    /// For messages about failures.
    pub command: String,
}

impl Running {
    pub(super) fn start(mut command: Command, input: Option<String>) -> Self {
        let stdin = if input.is_some() {
            Stdio::piped()
        } else {
            Stdio::null()
        };
        let begun = Instant::now();
        let mut child = command
            .stdin(stdin)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = Arc::new(Lines::default());
        let stderr = Arc::new(Mutex::new(String::new()));
        let mut readers = Vec::new();
        let (out, seen) = (child.stdout.take().unwrap(), Arc::clone(&lines));
        readers.push(std::thread::spawn(move || seen.read(BufReader::new(out))));
        let (mut err, text) = (child.stderr.take().unwrap(), Arc::clone(&stderr));
        readers.push(std::thread::spawn(move || {
            let mut bytes = Vec::new();
            let _ = err.read_to_end(&mut bytes);
            text.lock()
                .unwrap()
                .push_str(&String::from_utf8_lossy(&bytes));
        }));
        if let (Some(input), Some(mut stdin)) = (input, child.stdin.take()) {
            readers.push(std::thread::spawn(move || {
                let _ = stdin.write_all(input.as_bytes());
            }));
        }
        Self {
            child: Some(child),
            lines,
            readers,
            stderr,
            begun,
            resumed: command.get_args().any(|argument| argument == "--resume"),
            stop_sent: Cell::new(false),
            command: format!("{command:?}").chars().take(2000).collect(),
        }
    }

    /// Its pid.
    pub fn pid(&self) -> i32 {
        i32::try_from(self.child.as_ref().unwrap().id()).unwrap()
    }

    /// Waits until an event is like this.
    pub fn wait_event(&self, what: &str, is_it: impl Fn(&Value) -> bool) -> Value {
        let begun = Instant::now();
        let mut seen = self.lines.seen.lock().unwrap();
        loop {
            if let Some(event) = seen.events.iter().find(|event| is_it(event)) {
                return event.clone();
            }
            let left = PATIENCE.saturating_sub(begun.elapsed());
            assert!(
                !seen.ended && !left.is_zero(),
                "no {what} among {:#?}",
                seen.events
            );
            seen = self.lines.changed.wait_timeout(seen, left).unwrap().0;
        }
    }

    /// Sends a signal by name.
    pub fn signal(&self, name: &str) {
        let sent = Command::new("kill")
            .arg(format!("-{name}"))
            .arg(self.pid().to_string())
            .status()
            .unwrap();
        assert!(sent.success());
        self.stop_sent.set(true);
    }

    /// Waits for its end. Its pipes may be held by tools that outlive it: they are read until the CLI itself has ended, and
    /// for as long as they are open.
    pub fn wait(mut self) -> Ended {
        let mut child = self.child.take().unwrap();
        let status = loop {
            if let Some(status) = child.try_wait().unwrap() {
                break status;
            }
            if self.begun.elapsed() > PATIENCE {
                let _ = child.kill();
                let _ = child.wait();
                panic!(
                    "{} does not end; it printed {:#?}",
                    self.command,
                    self.lines.seen.lock().unwrap().events
                );
            }
            std::thread::sleep(Duration::from_millis(5));
        };
        let took = self.begun.elapsed();
        for reader in self.readers.drain(..) {
            let _ = reader.join();
        }
        let seen = std::mem::take(&mut *self.lines.seen.lock().unwrap());
        Ended {
            status,
            stdout: seen.stdout,
            events: seen.events,
            stderr: std::mem::take(&mut *self.stderr.lock().unwrap()),
            took,
            ended_at_ms: i64::try_from(UNIX_EPOCH.elapsed().unwrap().as_millis()).unwrap(),
            resumed: self.resumed,
            stop_sent: self.stop_sent.get(),
            command: std::mem::take(&mut self.command),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

impl Lines {
    fn read(&self, mut from: impl BufRead) {
        loop {
            let mut line = Vec::new();
            let count = from.read_until(b'\n', &mut line).unwrap_or(0);
            let mut seen = self.seen.lock().unwrap();
            if count == 0 {
                seen.ended = true;
                self.changed.notify_all();
                return;
            }
            if let Ok(event @ Value::Object(_)) = serde_json::from_slice(&line) {
                seen.events.push(event);
            }
            seen.stdout.extend(line);
            self.changed.notify_all();
        }
    }
}

impl Ended {
    /// Its exit code.
    pub fn code(&self) -> Option<i32> {
        self.status.code()
    }

    /// The signal that ended it.
    pub fn signal(&self) -> Option<i32> {
        self.status.signal()
    }

    /// Events of this type; with a subtype when one is given after a slash: `system/api_retry`.
    pub fn of(&self, wanted: &str) -> Vec<&Value> {
        let (kind, subtype) = wanted
            .split_once('/')
            .map_or((wanted, None), |(kind, subtype)| (kind, Some(subtype)));
        self.events
            .iter()
            .filter(|event| {
                event["type"] == kind && subtype.is_none_or(|subtype| event["subtype"] == subtype)
            })
            .collect()
    }

    /// The last `result`.
    pub fn result(&self) -> Option<&Value> {
        self.of("result").last().copied()
    }

    /// A field of the result; null without one.
    pub fn field(&self, name: &str) -> &Value {
        self.result().map_or(&Value::Null, |result| &result[name])
    }

    /// The text of the result.
    pub fn text(&self) -> &str {
        self.field("result").as_str().unwrap_or_default()
    }

    /// The agent's session.
    pub fn session(&self) -> String {
        self.events
            .iter()
            .find_map(|event| event["session_id"].as_str())
            .unwrap_or_default()
            .to_owned()
    }

    /// The last `rate_limit_info`.
    pub fn limit(&self) -> &Value {
        self.of("rate_limit_event")
            .last()
            .map_or(&Value::Null, |event| &event["rate_limit_info"])
    }

    /// What the driver judges by, in one line:
    /// `exit 1: success, is_error, terminal api_error, said rate_limit, api_error usage_limit_reached, status 429, 0 retries`.
    /// Parts that say nothing are left out.
    pub fn facts(&self) -> String {
        let mut text = match (self.code(), self.signal()) {
            (Some(code), _) => format!("exit {code}:"),
            (None, signal) => format!("signal {}:", signal.unwrap_or_default()),
        };
        let Some(result) = self.result() else {
            return text + " no result";
        };
        let mut add = |name: &str, value: &Value| match value {
            Value::Null => {}
            Value::String(value) => write!(text, " {name} {value},").unwrap(),
            Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => {
                write!(text, " {name} {value},").unwrap();
            }
        };
        add("is", &result["subtype"]);
        add("is_error", &result["is_error"]);
        add("terminal", &result["terminal_reason"]);
        let said = self
            .events
            .iter()
            .rev()
            .find(|event| event["type"] == "assistant");
        add("said", said.map_or(&Value::Null, |event| &event["error"]));
        add("api_error", &result["api_error"]);
        add("status", &result["api_error_status"]);
        add("retries", &Value::from(self.of("system/api_retry").len()));
        text.trim_end_matches(',').to_owned()
    }

    /// For messages about failures.
    pub fn story(&self) -> String {
        format!(
            "{}\nended {:?} after {:?}\nstderr: {}\n{}",
            self.command,
            self.status,
            self.took,
            self.stderr,
            String::from_utf8_lossy(&self.stdout)
        )
    }
}
