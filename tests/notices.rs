//! Notices under the shipped daemon: told once all is committed, at least once through any death, never to the harm of a
//! task.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot go on stops, and says where"
)]

mod common;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use common::{World, alive};
use serde_json::{Value, json};

/// Tries soon follow each other here.
const QUICK: &str = "notify_retry_seconds = 1\n";

fn world(settings: &str) -> World {
    let mut world = World::new(&format!("{QUICK}{settings}"));
    world.start();
    world
}

/// A command line that writes what it was told into a new file of `dir`.
fn teller(dir: &Path) -> String {
    std::fs::create_dir_all(dir).unwrap();
    let dir = dir.display();
    format!("env > {dir}/$$.new && mv {dir}/$$.new {dir}/$$.told")
}

/// All that was told into `dir`.
fn told(dir: &Path) -> Vec<BTreeMap<String, String>> {
    let files = std::fs::read_dir(dir).unwrap().flatten();
    let files = files.filter(|file| file.path().extension().is_some_and(|end| end == "told"));
    let texts = files.map(|file| std::fs::read_to_string(file.path()).unwrap());
    let facts = |text: String| {
        let lines = text.lines().filter_map(|line| line.split_once('='));
        lines
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect()
    };
    texts.map(facts).collect()
}

fn wait_told(world: &World, dir: &Path, count: usize) -> Vec<BTreeMap<String, String>> {
    world.wait_for(&format!("{count} notices were told"), |_| {
        Some(told(dir)).filter(|told| told.len() >= count)
    })
}

/// The daemon's log.
fn log(world: &World) -> String {
    let files = std::fs::read_dir(world.dir().join("logs"))
        .unwrap()
        .flatten();
    let texts = files.filter_map(|file| std::fs::read_to_string(file.path()).ok());
    texts.collect()
}

/// Waits until it is committed that this was told: nobody tells it again.
fn wait_noted(world: &World, facts: &BTreeMap<String, String>) {
    let id = &facts["AUTO_CLAUDE_NOTICE_ID"];
    world.wait_for(&format!("{id} is noted"), |world| {
        let log = log(world);
        let mut lines = log.lines();
        lines
            .any(|line| line.contains("a notice was taken") && line.contains(id))
            .then_some(())
    });
}

fn attention(world: &World) -> String {
    world.ask("GET", "/status", None)["attention"].to_string()
}

fn place(world: &World, name: &str) -> PathBuf {
    world.dir().join(name)
}

#[test]
fn who_is_told_hears_the_facts_and_the_setting_speaks_where_a_task_does_not() {
    let dir = tempfile::tempdir().unwrap();
    let (own, general) = (dir.path().join("own"), dir.path().join("general"));
    let world = world(&format!("notify_command = {:?}\n", teller(&general)));
    let command = "exit 3";
    let failed = world.submit_with(json!({
        "name": "fails & 'quotes'", "command": command, "cwd": "/tmp", "notify": teller(&own),
        "env": {"PATH": std::env::var("PATH").unwrap(), "OF_THE_TASK": "yes", "AUTO_CLAUDE_ODD": "no"},
    }));
    world.wait_final(&failed);
    let facts = &wait_told(&world, &own, 1)[0];
    for (name, value) in [
        ("AUTO_CLAUDE_NOTICE", "final"),
        ("AUTO_CLAUDE_NOTICE_TRY", "1"),
        ("AUTO_CLAUDE_TASK_ID", failed.as_str()),
        ("AUTO_CLAUDE_TASK_NAME", "fails & 'quotes'"),
        ("AUTO_CLAUDE_TASK_STATE", "failed"),
        ("AUTO_CLAUDE_TASK_OUTCOME", "exited"),
        ("AUTO_CLAUDE_TASK_EXIT_CODE", "3"),
        ("AUTO_CLAUDE_TASK_ATTEMPT", "1"),
        ("OF_THE_TASK", "yes"),
        ("PWD", "/tmp"),
    ] {
        assert_eq!(
            facts.get(name).map(String::as_str),
            Some(value),
            "{name}: {facts:?}"
        );
    }
    assert!(!facts.contains_key("AUTO_CLAUDE_ODD"), "{facts:?}");
    assert!(!facts.contains_key("AUTO_CLAUDE_TASK_COST_USD"));
    // The setting, and nobody.
    let usual = world.submit("usual", "true");
    let silent = world
        .submit_with(json!({"name": "silent", "command": "true", "cwd": "/tmp", "notify": ""}));
    world.wait_final(&usual);
    world.wait_final(&silent);
    let heard = wait_told(&world, &general, 1);
    assert_eq!(heard[0]["AUTO_CLAUDE_TASK_ID"], usual);
    assert_eq!(world.task(&silent)["notify"], Value::Null);
    // Cancelled before it ran: over is over.
    world.ask("POST", "/system/pause", None);
    let cancelled = world.submit("cancelled", "true");
    world.act("cancel", &[&cancelled]);
    let heard = wait_told(&world, &general, 2);
    assert!(
        heard
            .iter()
            .any(|facts| facts["AUTO_CLAUDE_TASK_STATE"] == "cancelled")
    );
    assert_eq!(told(&own).len(), 1);
}

/// Who tells of a task now: the commands and what they have started.
fn telling(task: &str) -> Vec<i32> {
    let wanted = format!("AUTO_CLAUDE_NOTICE_ID={task}.");
    let pids = std::fs::read_dir("/proc")
        .unwrap()
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    pids.filter(|pid| {
        std::fs::read(format!("/proc/{pid}/environ")).is_ok_and(|environ| {
            environ
                .split(|byte| *byte == 0)
                .any(|entry| entry.starts_with(wanted.as_bytes()))
        })
    })
    .collect()
}

/// Waits until somebody tells of it who is none of these.
fn wait_telling(world: &World, task: &str, but: &[i32]) -> Vec<i32> {
    world.wait_for("it is being told", |_| {
        let others: Vec<i32> = telling(task)
            .into_iter()
            .filter(|pid| !but.contains(pid))
            .collect();
        (!others.is_empty()).then_some(others)
    })
}

#[test]
fn an_outcome_that_is_committed_is_told_through_a_killed_daemon() {
    let mut world = world("");
    let dir = place(&world, "heard");
    let (go, begun) = (place(&world, "go"), place(&world, "begun"));
    let waits = format!(
        "touch {}; while [ ! -e {} ]; do sleep 0.05; done; {}",
        begun.display(),
        go.display(),
        teller(&dir)
    );
    let id = world
        .submit_with(json!({"name": "told", "command": "true", "cwd": "/tmp", "notify": waits}));
    world.wait_final(&id);
    world.wait_for("it is being told", |_| begun.exists().then_some(()));
    world.kill_daemon();
    // The first one's shell is still there, and nobody bounds its time: the second daemon ends it before it tells it again.
    let first: Vec<i32> = wait_telling(&world, &id, &[]);
    std::fs::remove_file(&begun).unwrap();
    world.start();
    let second = wait_telling(&world, &id, &first);
    world.wait_for("it is being told again", |_| begun.exists().then_some(()));
    assert!(
        telling(&id).iter().all(|pid| !first.contains(pid)),
        "{first:?} {second:?} {:?}",
        telling(&id)
    );
    std::fs::write(&go, "").unwrap();
    let heard = wait_told(&world, &dir, 1);
    assert_eq!(heard.len(), 1, "{heard:?}");
    assert_eq!(heard[0]["AUTO_CLAUDE_TASK_ID"], id);
    assert_eq!(world.task(&id)["state"], "completed");
}

#[test]
fn who_dies_between_telling_and_noting_it_tells_it_again_under_the_same_name() {
    let mut world = World::new(QUICK);
    world.set_env("AUTO_CLAUDE_CRASH", "notice.told");
    world.start();
    let dir = place(&world, "heard");
    world.submit_with(json!({
        "name": "twice", "command": "true", "cwd": "/tmp", "notify": teller(&dir),
    }));
    world.wait_for_death();
    assert_eq!(told(&dir).len(), 1);
    world.unset_env("AUTO_CLAUDE_CRASH");
    world.start();
    let heard = wait_told(&world, &dir, 2);
    assert_eq!(
        heard[0]["AUTO_CLAUDE_NOTICE_ID"],
        heard[1]["AUTO_CLAUDE_NOTICE_ID"]
    );
    // Noted at last, it is not told by the next one.
    wait_noted(&world, &heard[0]);
    world.kill_daemon();
    world.start();
    let last = world.submit_with(json!({
        "name": "last", "command": "true", "cwd": "/tmp", "notify": teller(&dir),
    }));
    let heard = wait_told(&world, &dir, 3);
    let of_last = heard
        .iter()
        .filter(|facts| facts["AUTO_CLAUDE_TASK_ID"] == last);
    assert_eq!((heard.len(), of_last.count()), (3, 1), "{heard:?}");
}

#[test]
fn a_command_that_fails_is_tried_again_and_then_given_up_and_its_task_is_none_the_worse() {
    let world = world("notify_tries = 3\n");
    let dir = place(&world, "heard");
    let tries = place(&world, "tries");
    // Taken the second time.
    let second = format!(
        "echo x >> {tries}; [ $(wc -l < {tries}) -ge 2 ] || exit 7; {}",
        teller(&dir),
        tries = tries.display()
    );
    let id = world
        .submit_with(json!({"name": "second", "command": "true", "cwd": "/tmp", "notify": second}));
    let heard = wait_told(&world, &dir, 1);
    assert_eq!(
        (
            heard[0]["AUTO_CLAUDE_NOTICE_TRY"].as_str(),
            heard[0]["AUTO_CLAUDE_TASK_ID"].as_str()
        ),
        ("2", id.as_str())
    );
    // Never taken.
    let never = world.submit_with(json!({
        "name": "never", "command": "true", "cwd": "/tmp", "notify": "echo not today >&2; exit 9",
    }));
    world.wait_for("it was given up", |world| {
        let text = attention(world);
        (text.contains("given up after 3 tries") && text.contains("exit code 9")).then_some(())
    });
    assert!(log(&world).contains("it said: not today"));
    assert_eq!(world.task(&never)["state"], "completed");
    assert_eq!(world.task(&never)["retries"], 0);
    // A program that is not there is no better.
    let missing = json!({"name": "missing", "command": "true", "cwd": "/tmp", "notify": "/nonexistent/teller"});
    world.submit_with(missing);
    world.wait_for("it was given up", |world| {
        attention(world).contains("exit code 127").then_some(())
    });
}

#[test]
fn a_command_that_hangs_is_ended_with_its_group() {
    let world = world("notify_tries = 1\nnotify_timeout_seconds = 1\n");
    let pids = place(&world, "pids");
    let hangs = format!(
        "trap '' TERM; sleep 600 & echo $$ $! > {0}.new; mv {0}.new {0}; wait; sleep 600",
        pids.display()
    );
    let id = world
        .submit_with(json!({"name": "hangs", "command": "true", "cwd": "/tmp", "notify": hangs}));
    world.wait_for("it was given up", |world| {
        attention(world)
            .contains("ran longer than 1 s")
            .then_some(())
    });
    let pids = std::fs::read_to_string(pids).unwrap();
    for pid in pids.split_whitespace() {
        let pid = pid.parse().unwrap();
        world.wait_for("all of it has ended", |_| (!alive(pid)).then_some(()));
    }
    assert_eq!(world.task(&id)["state"], "completed");
}

#[test]
fn a_file_of_tasks_is_told_of_once_when_all_of_it_is_over() {
    let mut world = world("");
    let dir = place(&world, "heard");
    let file = place(&world, "tasks.jsonl");
    let own = place(&world, "own");
    let line = |name: &str, command: &str, more: Value| {
        let mut line = json!({"name": name, "command": command});
        for (field, value) in more.as_object().unwrap() {
            line[field] = value.clone();
        }
        line.to_string()
    };
    let hold = place(&world, "hold");
    std::fs::write(&hold, "").unwrap();
    let lasts = format!("while [ -e {} ]; do sleep 0.05; done", hold.display());
    let lines = [
        line("a", "true", json!({"notify": teller(&own)})),
        line("b", "exit 1", json!({})),
        line("c", &lasts, json!({})),
        line("bad", "", json!({})),
    ];
    std::fs::write(&file, lines.join("\n")).unwrap();
    let notify = teller(&dir);
    let created = world.taskctl(&[
        "task",
        "create",
        "--from",
        file.to_str().unwrap(),
        "--cwd",
        "/tmp",
        "--notify",
        &notify,
    ]);
    let ids: Vec<String> = String::from_utf8(created.stdout.clone())
        .unwrap()
        .lines()
        .map(str::to_owned)
        .collect();
    assert_eq!(ids.len(), 3, "{created:?}");
    for id in &ids[..2] {
        world.wait_final(id);
    }
    let heard = wait_told(&world, &own, 1);
    assert_eq!(
        heard[0]["AUTO_CLAUDE_TASK_NAME"], "a",
        "a line's own notice"
    );
    assert_eq!(told(&dir).len(), 0, "one of them still runs");
    world.kill_daemon();
    world.start();
    std::fs::remove_file(&hold).unwrap();
    let heard = wait_told(&world, &dir, 1);
    for (name, value) in [
        ("AUTO_CLAUDE_NOTICE", "batch"),
        ("AUTO_CLAUDE_BATCH_TASKS", "3"),
        ("AUTO_CLAUDE_BATCH_COMPLETED", "2"),
        ("AUTO_CLAUDE_BATCH_FAILED", "1"),
        ("AUTO_CLAUDE_BATCH_CANCELLED", "0"),
        ("AUTO_CLAUDE_BATCH_COST_USD", "0.000000"),
    ] {
        assert_eq!(heard[0][name], value, "{heard:?}");
    }
    let batch = world.task(&ids[0])["batch"].as_str().unwrap().to_owned();
    assert_eq!(heard[0]["AUTO_CLAUDE_BATCH_ID"], batch);
    // Done again, it is not told of again.
    world.act("retry", &[&ids[1]]);
    world.wait_for("it ran again", |world| {
        (world.task(&ids[1])["attempt"] == 2).then_some(())
    });
    world.wait_final(&ids[1]);
    assert_eq!(told(&dir).len(), 1);
}

#[test]
fn a_batch_that_is_over_before_it_is_complete_is_told_of_at_once_and_takes_no_more() {
    let world = world("");
    let dir = place(&world, "heard");
    let task =
        |name: &str| json!({"name": name, "command": "true", "cwd": "/tmp", "batch": "night"});
    let (one, two) = (task("one"), task("two"));
    let ids = [world.submit_with(one), world.submit_with(two)];
    for id in &ids {
        world.wait_final(id);
    }
    // One that is done again is open again.
    world.ask("POST", "/system/pause", None);
    world.act("retry", &[&ids[0]]);
    let complete = json!({"notify": teller(&dir)});
    let answer = world.ask("POST", "/batches/night", Some(&complete));
    assert_eq!(answer, json!({"open": 1}));
    let (status, refused) = world
        .request("POST", "/tasks", Some(&task("three")))
        .unwrap();
    assert_eq!(status, 400, "{refused}");
    assert!(refused["message"].to_string().contains("complete already"));
    world.ask("POST", "/system/resume", None);
    let heard = wait_told(&world, &dir, 1);
    assert_eq!(heard[0]["AUTO_CLAUDE_BATCH_TASKS"], "2");
    assert_eq!(heard[0]["AUTO_CLAUDE_BATCH_COMPLETED"], "2");
}

#[test]
fn what_cannot_be_told_is_refused_in_one_line() {
    let world = world("");
    let long = "x".repeat(4097);
    for (given, part) in [
        (json!({"notify": long}), "notify: has 4097 bytes"),
        (json!({"notify": " "}), "notify: is empty"),
        (json!({"notify": "a\u{0}b"}), "NUL"),
        (json!({"batch": ""}), "batch: "),
    ] {
        let mut task = json!({"name": "n", "command": "true", "cwd": "/tmp"});
        for (field, value) in given.as_object().unwrap() {
            task[field] = value.clone();
        }
        let (status, body) = world.request("POST", "/tasks", Some(&task)).unwrap();
        let message = body["message"].as_str().unwrap();
        assert!(
            status == 400 && message.contains(part) && !message.contains('\n'),
            "{message}"
        );
    }
    let complete = json!({"notify": "true"});
    let (status, body) = world
        .request("POST", "/batches/nobody", Some(&complete))
        .unwrap();
    assert_eq!(status, 404, "{body}");
    let file = place(&world, "tasks.jsonl");
    std::fs::write(&file, "{\"name\":\"n\",\"command\":\"true\"}\n").unwrap();
    let refused = world.taskctl(&[
        "task",
        "create",
        "--from",
        file.to_str().unwrap(),
        "--notify",
        &long,
    ]);
    assert_eq!(refused.status.code(), Some(2), "{refused:?}");
    let all = world.ask("GET", "/tasks", None);
    assert_eq!(all["tasks"], json!([]), "nothing was half done");
}
