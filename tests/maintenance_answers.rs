//! What `auto-claude init`, `check` and `restore` answer, and how `auto-claude` says why it failed: reasons once, in bounds,
//! and under `--json` in a form for programs.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on stops")]
#![expect(
    clippy::disallowed_methods,
    reason = "tests start the programs under test"
)]

mod common;

use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use common::{AUTO_CLAUDE, World};
use serde_json::{Value, json};

const FAILED: i32 = 1;
const USAGE: i32 = 2;
const IN_USE: i32 = 4;
const STORE_REFUSED: i32 = 5;
/// A message longer than this is not read.
const MESSAGE_MAX_BYTES: usize = 1_000;
const PAGE_BYTES: u64 = 4_096;

fn run(dir: &Path, arguments: &[&str]) -> Output {
    Command::new(AUTO_CLAUDE)
        .arg("--state-dir")
        .arg(dir)
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

fn err(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// The one object on stdout.
fn object(output: &Output) -> Value {
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let value: Value = serde_json::from_str(&text).unwrap();
    assert!(value.is_object(), "{text}");
    assert_eq!(text.lines().count(), 1, "{text}");
    value
}

/// A stopped world with some hundred tasks, and a backup of it.
fn with_backup() -> (World, PathBuf) {
    let mut world = World::new("disk_reserve_mb = 1");
    world.start();
    assert!(world.taskctl(&["system", "pause"]).status.success());
    for _ in 0..200 {
        world.submit("n", "true");
    }
    let file = world.dir().join("copy.db");
    let made = world.taskctl(&["system", "backup", file.to_str().unwrap()]);
    assert!(made.status.success(), "{made:?}");
    assert!(world.stop_daemon().success());
    (world, file)
}

/// Breaks every leaf of a table or an index but those of the schema, without which nothing could be looked at.
fn scramble(file: &std::fs::File) {
    const LEAVES: [u8; 2] = [0x0a, 0x0d];
    let mut page = [0; PAGE_BYTES as usize];
    for at in (1..file.metadata().unwrap().len() / PAGE_BYTES).map(|n| n * PAGE_BYTES) {
        file.read_exact_at(&mut page, at).unwrap();
        let is_schema = page.windows(7).any(|text| text == b"CREATE ");
        if LEAVES.contains(&page[0]) && !is_schema {
            // The places of its cells, behind its head.
            file.write_all_at(&[0xff; 200], at + 8).unwrap();
        }
    }
}

/// A file of these bytes, changed.
fn changed(path: PathBuf, bytes: &[u8], change: impl Fn(&std::fs::File)) -> PathBuf {
    std::fs::write(&path, bytes).unwrap();
    let options = std::fs::File::options().read(true).write(true).open(&path);
    change(&options.unwrap());
    path
}

#[test]
fn a_restore_that_is_not_done_says_why_once() {
    let (world, backup) = with_backup();
    let at = |name: &str| world.dir().join(name);
    let whole = std::fs::read(&backup).unwrap();
    let half = whole.len() as u64 / PAGE_BYTES / 2 * PAGE_BYTES;
    let cases = [
        (at("nowhere"), FAILED, "No such file or directory"),
        (at("tasks"), FAILED, "is a directory"),
        (
            changed(at("text"), b"no database, only text", |_| {}),
            STORE_REFUSED,
            "it is not an SQLite database",
        ),
        (
            changed(at("foreign"), &whole, |file| {
                file.write_all_at(b"Fire", 68).unwrap();
            }),
            STORE_REFUSED,
            "the database of another program",
        ),
        (
            changed(at("half"), &whole, |file| file.set_len(half).unwrap()),
            STORE_REFUSED,
            "it is damaged",
        ),
        (
            changed(at("pages"), &whole, scramble),
            STORE_REFUSED,
            "problem(s), the first: ",
        ),
    ];
    let database = at("auto-claude.db");
    let before = std::fs::read(&database).unwrap();
    for (file, code, reason) in cases {
        let refused = run(world.dir(), &["restore", file.to_str().unwrap()]);
        let said = err(&refused);
        assert_eq!(refused.status.code(), Some(code), "{said}");
        assert_eq!(said.lines().count(), 1, "{said}");
        assert!(said.len() < MESSAGE_MAX_BYTES, "{said}");
        assert!(said.contains(file.to_str().unwrap()), "{said}");
        assert_eq!(said.matches(reason).count(), 1, "{reason}: {said}");
    }
    assert_eq!(std::fs::read(&database).unwrap(), before);
}

#[test]
fn a_check_of_a_damaged_database_tells_some_and_counts_the_rest() {
    let (world, backup) = with_backup();
    let whole = std::fs::read(&backup).unwrap();
    changed(world.dir().join("auto-claude.db"), &whole, scramble);
    let checked = world.auto_claude("check", &[]);
    let text = String::from_utf8_lossy(&checked.stdout).into_owned();
    assert_eq!(checked.status.code(), Some(FAILED), "{checked:?}");
    assert_eq!(text.matches("problem: ").count(), 20, "{text}");
    assert!(text.contains("more problems"), "{text}");
    assert!(!text.contains("***"), "{text}");
    let answer = object(&world.auto_claude("check", &["--json"]));
    assert_eq!(answer["sound"], false);
    let told = answer["problems"].as_array().unwrap();
    assert!((21..=100).contains(&told.len()), "{answer}");
    assert!(answer["problem_count"].as_u64().unwrap() >= told.len() as u64);
}

#[test]
fn init_and_check_answer_with_objects() {
    let place = tempfile::tempdir().unwrap();
    let dir = place.path().join("state");
    let text = |path: &Path| path.to_str().unwrap().to_owned();
    let (state_dir, database, config) = (
        text(&dir),
        text(&dir.join("auto-claude.db")),
        text(&dir.join("config.toml")),
    );
    assert_eq!(
        object(&run(&dir, &["--json", "init"])),
        json!({
            "state_dir": state_dir, "database": database, "config": config,
            "created": [state_dir, database, config],
        })
    );
    let again = object(&run(&dir, &["--json", "init"]));
    assert_eq!(again["created"], json!([]));
    assert_eq!(
        object(&run(&dir, &["--json", "check"])),
        json!({
            "sound": true, "database": database, "tasks": 0, "journal_rows": 0,
            "problem_count": 0, "problems": [], "set_aside": [],
        })
    );
}

#[test]
fn restore_answers_with_an_object_and_check_names_tasks() {
    let (world, backup) = with_backup();
    let arguments = ["--json", backup.to_str().unwrap()];
    let restored = object(&world.auto_claude("restore", &arguments));
    let database = world.dir().join("auto-claude.db");
    assert_eq!(restored["restored"], database.to_str().unwrap());
    assert_eq!(restored["from"], backup.to_str().unwrap());
    let kept = restored["kept"].as_str().unwrap();
    assert!(Path::new(kept).exists(), "{restored}");
    std::fs::remove_file(&database).unwrap();
    let restored = object(&world.auto_claude("restore", &arguments));
    assert_eq!(restored["kept"], Value::Null);

    let rows = rusqlite::Connection::open(&database).unwrap();
    rows.execute(
        "UPDATE tasks SET retries = 0, generation = 1, name = 'other' WHERE seq = 2",
        [],
    )
    .unwrap();
    drop(rows);
    let checked = world.auto_claude("check", &["--json"]);
    assert_eq!(checked.status.code(), Some(FAILED));
    let answer = object(&checked);
    assert_eq!(answer["sound"], false, "{answer}");
    let problem = &answer["problems"][0];
    assert!(
        problem["task"].as_str().unwrap().starts_with("task_") && problem["text"].is_string(),
        "{answer}"
    );
}

#[test]
fn errors_in_json_are_one_line_with_a_code() {
    let mut world = World::new("disk_reserve_mb = 1");
    world.start();
    let broken = world.dir().join("broken.toml");
    std::fs::write(&broken, "a = 1\nb = 2\nc = [[[[\n").unwrap();
    let broken = broken.to_str().unwrap();
    for (arguments, code, name) in [
        (&["serve"][..], IN_USE, "in_use"),
        (&["check-config", "--config", "/none"], USAGE, "bad_request"),
        (&["check-config", "--config", broken], USAGE, "bad_request"),
        (&["run", "--config", broken, "true"], USAGE, "bad_request"),
        (&["restore", "/none"], IN_USE, "in_use"),
        (&["restore"], USAGE, "bad_request"),
        (&["no-such-command"], USAGE, "bad_request"),
    ] {
        let arguments = [&["--json"], arguments].concat();
        let output = run(world.dir(), &arguments);
        let said = err(&output);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {said}");
        assert_eq!(said.lines().count(), 1, "{said}");
        let value: Value = serde_json::from_str(&said).unwrap();
        assert_eq!(value["error"]["code"], name, "{said}");
        assert!(!value["error"]["message"].as_str().unwrap().is_empty());
        assert!(output.stdout.is_empty(), "{output:?}");
    }
    assert!(world.stop_daemon().success());
    std::fs::write(world.dir().join("auto-claude.db"), "x".repeat(9_000)).unwrap();
    for command in ["serve", "check"] {
        let output = world.auto_claude(command, &["--json"]);
        let said = err(&output);
        assert_eq!(output.status.code(), Some(STORE_REFUSED), "{said}");
        let value: Value = serde_json::from_str(said.lines().last().unwrap()).unwrap();
        assert_eq!(value["error"]["code"], "store_refused", "{said}");
    }
}
