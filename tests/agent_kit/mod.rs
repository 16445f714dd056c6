//! The recorded runs of the real Claude Code, and how the driver reads them.
//!
//! `tests/fixtures/claude-streams/NAME.jsonl` is the output of a run, `.stderr` its error output, `.exit` how it was started
//! and ended. The `old_` ones are of 2.1.197, all others of 2.1.329.

use std::path::{Path, PathBuf};

use auto_claude::agent::{Driver, ProcessEnd, Reading, Verdict};

/// When the runs were recorded, before all of their reset times.
pub const NOW: &str = "2026-11-20T17:41:00Z";

pub fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/claude-streams")
}

/// One recorded run.
pub struct Recorded {
    pub stdout: Vec<u8>,
    pub stderr: Vec<u8>,
    pub end: ProcessEnd,
}

pub fn read(name: &str) -> Recorded {
    let file = |ending: &str| std::fs::read(folder().join(format!("{name}.{ending}")));
    let exit: Option<serde_json::Value> = file("exit")
        .ok()
        .map(|text| serde_json::from_slice(&text).expect("how it ended is JSON"));
    // Recorded by hand, without that file: by what the signals do.
    let code = match name {
        "signal_HUP" => Some(129),
        "signal_INT" => Some(0),
        "signal_KILL" => None,
        "signal_TERM" => Some(143),
        _ => exit
            .and_then(|exit| exit["exit"].as_i64())
            .and_then(|code| i32::try_from(code).ok()),
    };
    Recorded {
        stdout: file("jsonl").expect("the output"),
        stderr: file("stderr").unwrap_or_default(),
        end: ProcessEnd {
            exit_code: code,
            signal: if code.is_none() { Some(9) } else { None },
            stop_sent: false,
            now: NOW.parse().expect("a time"),
        },
    }
}

pub fn claude(resumed: bool) -> Driver {
    Driver::Claude {
        session: String::new(),
        resumed,
    }
}

pub fn verdict_of(stdout: &[u8], run: &Recorded) -> Verdict {
    let mut reading = Reading::new(&claude(false));
    reading.stdout(stdout);
    reading.stderr(&run.stderr);
    reading.finish(&run.end)
}

pub fn names() -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(folder())
        .expect("the folder")
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter_map(|name| name.strip_suffix(".jsonl").map(str::to_owned))
        .collect();
    names.sort();
    names
}
