//! The daemon's log on real files: its two forms, rotation under many writers, a full disk, a level that changes.

#![expect(
    clippy::disallowed_methods,
    reason = "tests start real processes and look at the clock"
)]
#![expect(clippy::unwrap_used, reason = "tests")]

#[path = "fault_kit/disk.rs"]
mod disk;

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use auto_claude::config::Settings;
use auto_claude::logs::rotate::{RotatingFile, Rotation};
use auto_claude::logs::{LOG_NAME, subscriber};
use disk::Disk;
use serde_json::Value;
use tracing::dispatcher::with_default;

/// Far above what a flush takes, so that only a hang runs into it.
const FLUSH_LIMIT: Duration = Duration::from_secs(60);

fn json_settings() -> Settings {
    Settings {
        log_json: true,
        ..Settings::default()
    }
}

/// Runs `work` under a log in a fresh directory and returns the log's text.
fn logged(settings: &Settings, work: impl FnOnce(&auto_claude::logs::Guard)) -> String {
    let dir = tempfile::tempdir().unwrap();
    let logs = dir.path().join("made/logs");
    let (dispatch, guard) = subscriber(&logs, settings, false).unwrap();
    with_default(&dispatch, || work(&guard));
    assert!(guard.flush(FLUSH_LIMIT), "all lines are written");
    fs::read_to_string(logs.join(LOG_NAME)).unwrap()
}

#[test]
fn json_lines_have_the_promised_fields_first() {
    let text = logged(&json_settings(), |_| {
        tracing::info!(target: "auto_claude::test", task_id = "task_1", agent = "claude", slot = 3, "attempt started");
        tracing::warn!(target: "auto_claude::test", level = "mine", ok = true, "odd \"text\"\nnext");
    });
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 2, "{text}");
    let first: Value = serde_json::from_str(lines[0]).unwrap();
    assert_eq!(
        (
            &first["level"],
            &first["event"],
            &first["task_id"],
            &first["agent"],
            &first["slot"]
        ),
        (
            &"info".into(),
            &"attempt started".into(),
            &"task_1".into(),
            &"claude".into(),
            &3.into()
        )
    );
    let stamp: jiff::Timestamp = first["timestamp"].as_str().unwrap().parse().unwrap();
    assert!(stamp.duration_until(jiff::Timestamp::now()).as_secs() < 60);
    let order: Vec<usize> = [
        "\"timestamp\":",
        "\"level\":",
        "\"event\":",
        "\"task_id\":",
        "\"agent\":",
    ]
    .iter()
    .map(|name| lines[0].find(name).unwrap())
    .collect();
    assert!(order.is_sorted() && order[0] == 1, "{}", lines[0]);
    let second: Value = serde_json::from_str(lines[1]).unwrap();
    assert_eq!(
        (&second["task_id"], &second["agent"]),
        (&Value::Null, &Value::Null)
    );
    assert_eq!(
        (&second["level"], &second["field_level"], &second["ok"]),
        (&"warn".into(), &"mine".into(), &true.into())
    );
    assert_eq!(second["event"], "odd \"text\"\nnext");
}

#[test]
fn the_task_of_the_span_around_is_the_task_of_the_line() {
    let text = logged(&json_settings(), |_| {
        let span = tracing::info_span!(target: "auto_claude::test", "attempt", task_id = "task_7", agent = tracing::field::Empty);
        span.record("agent", "codex");
        span.in_scope(|| tracing::info!(target: "auto_claude::test", "inside"));
        tracing::info!(target: "auto_claude::test", "outside");
    });
    let lines: Vec<Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(
        (&lines[0]["task_id"], &lines[0]["agent"]),
        (&"task_7".into(), &"codex".into())
    );
    assert_eq!(lines[1]["task_id"], Value::Null);
}

#[test]
fn nothing_in_a_value_can_forge_a_text_line() {
    let text = logged(&Settings::default(), |_| {
        tracing::error!(target: "auto_claude::test", name = "a\n2026 ERROR fake", esc = "\u{1b}[2J", "first\r\nsecond\u{2028}third");
        tracing::info!(target: "auto_claude::test", long = "x".repeat(100_000), "cut");
    });
    assert_eq!(text.lines().count(), 2, "{text}");
    assert!(!text.contains('\u{1b}') && !text.contains('\u{2028}') && !text.contains('\r'));
    assert!(
        text.contains("ERROR auto_claude::test: first\\r\\nsecond"),
        "{text}"
    );
    assert!(text.lines().nth(1).unwrap().len() < 10_000 && text.contains("…[cut]"));
}

#[test]
fn the_level_changes_while_running_and_libraries_stay_quiet() {
    let text = logged(&Settings::default(), |guard| {
        tracing::debug!(target: "auto_claude::test", "one");
        guard.set_level("debug").unwrap();
        tracing::debug!(target: "auto_claude::test", "two");
        tracing::debug!(target: "hyper::proto", "three");
        guard.set_level("error").unwrap();
        tracing::warn!(target: "auto_claude::test", "four");
        assert!(guard.set_level("loud").is_err());
        tracing::error!(target: "auto_claude::test", "five");
    });
    let said: Vec<&str> = text
        .lines()
        .map(|line| line.rsplit(' ').next().unwrap())
        .collect();
    assert_eq!(said, ["two", "five"], "{text}");
}

/// All logs of a directory, the oldest first.
fn all_logs(dir: &Path) -> Vec<String> {
    let mut names: Vec<(u32, std::path::PathBuf)> = fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .map(|path| {
            (
                path.extension()
                    .and_then(|end| end.to_str())
                    .and_then(|end| end.parse().ok())
                    .unwrap_or(0),
                path,
            )
        })
        .collect();
    names.sort_by_key(|(age, _)| std::cmp::Reverse(*age));
    names
        .into_iter()
        .map(|(_, path)| fs::read_to_string(path).unwrap())
        .collect()
}

#[test]
fn no_line_is_lost_or_torn_by_rotation_under_many_writers() {
    const WRITERS: usize = 8;
    const LINES: usize = 2500;
    let settings = Settings {
        max_log_size_mb: 1,
        max_log_files: 50,
        ..json_settings()
    };
    let dir = tempfile::tempdir().unwrap();
    let (dispatch, guard) = subscriber(dir.path(), &settings, false).unwrap();
    std::thread::scope(|scope| {
        for writer in 0..WRITERS {
            let dispatch = &dispatch;
            scope.spawn(move || {
                with_default(dispatch, || {
                    for number in 0..LINES {
                        tracing::info!(target: "auto_claude::test", writer, number, padding = "p".repeat(200), "line");
                    }
                });
            });
        }
    });
    drop(guard);
    let logs = all_logs(dir.path());
    assert!(logs.len() >= 4, "{} files", logs.len());
    assert!(
        logs.iter()
            .all(|log| log.len() <= 1024 * 1024 && log.ends_with('\n')),
        "no file is larger than asked"
    );
    let mut next = [0_u64; WRITERS];
    for line in logs.iter().flat_map(|log| log.lines()) {
        let line: Value = serde_json::from_str(line)
            .unwrap_or_else(|error| unreachable!("torn line: {error}: {line}"));
        let writer = usize::try_from(line["writer"].as_u64().unwrap()).unwrap();
        assert_eq!(
            line["number"].as_u64().unwrap(),
            next[writer],
            "writer {writer} in order, without a gap"
        );
        next[writer] += 1;
    }
    assert_eq!(next, [LINES as u64; WRITERS]);
}

fn plain_file(dir: &Path, max_bytes: u64, kept: u32) -> (RotatingFile, Arc<AtomicU64>) {
    let done = Arc::new(AtomicU64::new(0));
    let note = Box::new(|lost: u64, reason: &str| format!("LOST {lost}: {reason}\n"));
    (
        RotatingFile::open(dir, Rotation { max_bytes, kept }, note, Arc::clone(&done)).unwrap(),
        done,
    )
}

/// Hands over one whole line, as the layer does.
fn put(log: &mut RotatingFile, line: &str) {
    log.write_all(format!("{line}\n").as_bytes()).unwrap();
}

#[test]
fn only_as_many_files_are_kept_as_asked() {
    let dir = tempfile::tempdir().unwrap();
    let (mut log, done) = plain_file(dir.path(), 100, 2);
    for number in 0..50 {
        put(&mut log, &format!("line {number:04} {}", "x".repeat(30)));
        log.flush().unwrap();
    }
    let logs = all_logs(dir.path());
    assert_eq!(logs.len(), 3);
    assert!(logs[2].contains("line 0049") && logs.iter().all(|log| log.len() <= 100));
    assert_eq!(done.load(Ordering::Acquire), 50);
    // A line larger than a whole file still gets one.
    put(&mut log, &"y".repeat(500));
    log.flush().unwrap();
    assert_eq!(
        fs::read_to_string(dir.path().join(LOG_NAME)).unwrap().len(),
        501
    );
}

#[test]
fn a_log_that_was_cut_off_or_moved_away_goes_on_with_whole_lines() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(LOG_NAME);
    fs::write(&path, "whole\ntor").unwrap();
    let (mut log, _) = plain_file(dir.path(), 1000, 2);
    put(&mut log, "after");
    log.flush().unwrap();
    assert_eq!(fs::read_to_string(&path).unwrap(), "whole\ntor\nafter\n");
    fs::rename(&path, dir.path().join("taken")).unwrap();
    put(&mut log, "again");
    log.flush().unwrap();
    assert_eq!(fs::read_to_string(&path).unwrap(), "again\n");
}

#[test]
fn a_log_that_cannot_be_opened_is_said() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("file"), "").unwrap();
    let error = subscriber(&dir.path().join("file"), &Settings::default(), false)
        .err()
        .unwrap()
        .to_string();
    assert!(error.starts_with("create the log directory"), "{error}");
    fs::create_dir(dir.path().join(LOG_NAME)).unwrap();
    let error = subscriber(dir.path(), &Settings::default(), false)
        .err()
        .unwrap()
        .to_string();
    assert!(error.starts_with("open the log"), "{error}");
}

#[test]
fn a_full_disk_loses_counted_whole_lines_and_the_log_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let disk = match Disk::tmpfs(dir.path(), "1m") {
        Ok(disk) => disk,
        Err(error) => return println!("SKIPPED: no disk was filled: {error}"),
    };
    let ballast = disk.point().join("ballast");
    fs::write(&ballast, vec![0; 900 * 1024]).unwrap();
    let (mut log, done) = plain_file(disk.point(), 10 * 1024 * 1024, 2);
    for number in 0..5000 {
        put(&mut log, &format!("line {number:06} {}", "x".repeat(100)));
    }
    log.flush().unwrap();
    assert_eq!(
        done.load(Ordering::Acquire),
        5000,
        "nobody waits for lines that will never be written"
    );
    let full = fs::read_to_string(disk.point().join(LOG_NAME)).unwrap();
    assert!(
        full.ends_with('\n') && full.lines().all(|line| line.len() == 112),
        "whole lines only"
    );
    let written = full.lines().count();
    assert!(written > 100 && written < 5000, "{written} lines fitted");

    fs::remove_file(ballast).unwrap();
    put(&mut log, "room again");
    log.flush().unwrap();
    let text = fs::read_to_string(disk.point().join(LOG_NAME)).unwrap();
    let tail: Vec<&str> = text.lines().skip(written).collect();
    assert!(
        tail[0].starts_with(&format!("LOST {}: No space left", 5000 - written)),
        "{tail:?}"
    );
    assert_eq!(tail[1..], ["room again"]);
}

/// The journal's form, seen from outside: this test runs itself with stderr on a file that `JOURNAL_STREAM` names.
#[test]
fn under_the_journal_lines_have_a_level_and_no_time() {
    const INNER: &str = "LOGS_TEST_INNER";
    if std::env::var_os(INNER).is_some() {
        let dir = tempfile::tempdir().unwrap();
        let (dispatch, guard) = subscriber(dir.path(), &Settings::default(), true).unwrap();
        with_default(&dispatch, || {
            tracing::warn!(target: "auto_claude::test", task_id = "task_1", "for the journal");
        });
        drop(guard);
        return;
    }
    for journal in [true, false] {
        let stderr = tempfile::NamedTempFile::new().unwrap();
        let about = std::os::unix::fs::MetadataExt::ino(&stderr.as_file().metadata().unwrap());
        let device = std::os::unix::fs::MetadataExt::dev(&stderr.as_file().metadata().unwrap());
        // A stream that was sent elsewhere is not the journal, whatever the inherited variable says.
        let stream = if journal {
            format!("{device}:{about}")
        } else {
            format!("{device}:{}", about + 1)
        };
        let status = std::process::Command::new(std::env::current_exe().unwrap())
            .args([
                "--exact",
                "under_the_journal_lines_have_a_level_and_no_time",
                "--nocapture",
            ])
            .env(INNER, "1")
            .env("JOURNAL_STREAM", stream)
            .stdout(std::process::Stdio::null())
            .stderr(stderr.reopen().unwrap())
            .status()
            .unwrap();
        assert!(status.success());
        let text = fs::read_to_string(stderr.path()).unwrap();
        let plain = text.contains("<4>auto_claude::test: for the journal task_id=task_1\n");
        assert_eq!(plain, journal, "{text}");
        assert!(text.contains("for the journal"), "{text}");
    }
}
