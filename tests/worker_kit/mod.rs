//! Runs real workers the way the daemon does, in a directory of their own.

#![expect(clippy::unwrap_used, clippy::panic, reason = "tests")]
#![expect(dead_code, reason = "each test program uses its part")]

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use auto_claude::attempt::protocol::{Reply, Request, StartLine, Status};
use auto_claude::attempt::record::{Exit, Header, ProcessStamp, Record};
use auto_claude::attempt::spec::{Handover, PROTOCOL_VERSION, WorkerSpec};
use auto_claude::output::{Filter, Reader, text_of};
use auto_claude::process::{Launched, Launcher, OpenExe, WorkerEnd, boot_id, monotonic_ms, reap};
use auto_claude::record::RecordFile;
use auto_claude::task::{AttemptId, Intent, IntentKind, TaskId, TaskType};
use auto_claude::worker::client;

/// Longest wait for anything.
pub(crate) const PATIENCE_MS: u64 = 30_000;

/// Waits until `look` gives something.
pub(crate) fn wait_for<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let begin = monotonic_ms();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(
            monotonic_ms() - begin < PATIENCE_MS,
            "waited too long for {what}"
        );
        std::thread::sleep(Duration::from_millis(3));
    }
}

/// A state directory with one task in it.
pub(crate) struct Bench {
    pub(crate) dir: tempfile::TempDir,
    pub(crate) handover: Handover,
}

/// A worker under way.
pub(crate) struct Running {
    pub(crate) launched: Launched,
    pub(crate) spec: WorkerSpec,
    pub(crate) log: PathBuf,
}

/// What an ended worker left.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) exit: Exit,
    pub(crate) end: WorkerEnd,
    pub(crate) line: Option<StartLine>,
}

impl Bench {
    /// For `sh -c script`.
    pub(crate) fn sh(script: &str) -> Self {
        Self::argv(&["/bin/sh", "-c", script])
    }

    pub(crate) fn argv(argv: &[&str]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        // Tests run side by side: the directory's random name tells their attempts apart.
        let mut bits = u128::from(std::process::id());
        for byte in dir.path().file_name().unwrap().as_encoded_bytes() {
            bits = bits.wrapping_mul(1_000_003).wrapping_add(u128::from(*byte));
        }
        let attempt = AttemptId {
            task: TaskId::from_random(bits),
            generation: 1,
        };
        let path = |name: &str| dir.path().join(name);
        let spec = WorkerSpec {
            version: PROTOCOL_VERSION,
            input: None,
            trying_timeout_ms: 0,
            driver: None,
            record: path(&attempt.to_string()),
            task_dir: path("task"),
            door: path("door.sock"),
            attempt,
            slot: 0,
            argv: argv.iter().map(ToString::to_string).collect(),
            cwd: dir.path().to_owned(),
            env: BTreeMap::from([("PATH".to_owned(), std::env::var("PATH").unwrap())]),
            task_type: TaskType::Lightweight,
            resume: false,
            token: "0123456789abcdef0123456789abcdef".to_owned(),
            timeout_ms: 0,
            idle_timeout_ms: 0,
            grace_ms: 10_000,
            max_output_bytes: 1 << 30,
            heartbeat_ms: 5_000,
            max_processes: 0,
            max_memory_bytes: 0,
            owner: None,
            launched_at_ms: 0,
        };
        Self {
            dir,
            handover: Handover {
                spec,
                secrets: BTreeMap::new(),
            },
        }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn spec(&mut self) -> &mut WorkerSpec {
        &mut self.handover.spec
    }

    pub(crate) fn header(&self) -> Header {
        Header {
            attempt: self.handover.spec.attempt.clone(),
            boot_id: boot_id().to_owned(),
            version: PROTOCOL_VERSION,
        }
    }

    pub(crate) fn create_record(&self) -> RecordFile {
        RecordFile::create(&self.handover.spec.record, &self.header()).unwrap()
    }

    /// Creates the record and launches.
    pub(crate) fn start(&self) -> Running {
        drop(self.create_record());
        self.launch()
    }

    /// Launches for a record that is there.
    pub(crate) fn launch(&self) -> Running {
        let exe = OpenExe::open(Path::new(env!("CARGO_BIN_EXE_auto-claude"))).unwrap();
        let log = self.path("workers.log");
        let stderr = OpenOptions::new()
            .create(true)
            .append(true)
            .open(&log)
            .unwrap();
        let launched = Launcher::Direct
            .launch(&exe, &self.handover, stderr)
            .unwrap();
        Running {
            launched,
            spec: self.handover.spec.clone(),
            log,
        }
    }

    /// Runs to the end.
    pub(crate) fn run(&self) -> Ended {
        self.start().ended()
    }

    pub(crate) fn output(&self) -> String {
        self.text(&Filter::AGENT)
    }

    pub(crate) fn text(&self, filter: &Filter) -> String {
        let reader = Reader::open(&self.handover.spec.task_dir).unwrap();
        text_of(&reader.page(0, usize::MAX, filter).unwrap().pieces)
    }
}

impl Running {
    pub(crate) fn record(&self) -> Record {
        RecordFile::open_existing(&self.spec.record)
            .unwrap()
            .read()
            .unwrap()
    }

    pub(crate) fn start_line(&self) -> Option<StartLine> {
        let mut text = String::new();
        File::from(self.launched.started.try_clone().unwrap())
            .read_to_string(&mut text)
            .unwrap();
        assert!(text.lines().count() <= 1, "more than one line: {text:?}");
        StartLine::parse(&text)
    }

    pub(crate) fn wait_end(&self) -> WorkerEnd {
        wait_for(
            &format!("the worker's end; its log: {}", self.log_text()),
            || reap(&self.launched.pidfd).unwrap(),
        )
    }

    pub(crate) fn log_text(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    pub(crate) fn ended(self) -> Ended {
        let line = self.start_line();
        let end = self.wait_end();
        let exit = self.record().exit;
        let exit = exit
            .value()
            .unwrap_or_else(|| {
                panic!(
                    "no exit in the record: {exit:?}, {end:?}, {line:?}, {}",
                    self.log_text()
                )
            })
            .clone();
        Ended { exit, end, line }
    }

    pub(crate) fn agent(&self) -> ProcessStamp {
        assert!(
            matches!(self.start_line(), Some(StartLine::Started(_))),
            "{}",
            self.log_text()
        );
        self.record().started.value().unwrap().agent.unwrap()
    }

    pub(crate) fn ask(&self, request: &Request) -> Reply {
        wait_for("an answer at the door", || {
            client::request(&self.spec.door, request).ok()
        })
    }

    pub(crate) fn status(&self) -> Status {
        match self.ask(&Request::Status) {
            Reply::Status(status) => status,
            other @ (Reply::Ok | Reply::Error(_)) => panic!("no status: {other:?}"),
        }
    }

    pub(crate) fn stop(&self, kind: IntentKind, grace_ms: Option<u64>) {
        assert_eq!(
            self.ask(&Request::Stop {
                intent: Intent { kind, grace_ms }
            }),
            Reply::Ok
        );
    }
}

/// Processes that run with `word` as an argument.
pub(crate) fn processes_with(word: &str) -> Vec<i32> {
    fs::read_dir("/proc")
        .unwrap()
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<i32>().ok())
        .filter(|pid| {
            let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            line.split(|byte| *byte == 0)
                .any(|part| part == word.as_bytes())
        })
        .collect()
}

/// Whether the caller is root; says so when not.
pub(crate) fn is_root(what: &str) -> bool {
    let root = rustix::process::geteuid().is_root();
    if !root {
        println!("SKIPPED: {what} needs root");
    }
    root
}
