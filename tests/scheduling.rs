//! Who runs when: priorities, waits, limits, retries, lanes, quiet hours, and what steers the whole system.

#![expect(
    clippy::disallowed_methods,
    reason = "times of the tasks are set from the clock"
)]
#![expect(clippy::unwrap_used, reason = "tests")]

mod common;

use common::{World, alive, signal};
use serde_json::{Value, json};

/// One slot, quick retries.
const QUICK: &str =
    "num_workers = 1\ngrace_seconds = 1\nretry_base_seconds = 1\nretry_max_seconds = 1\n";

/// A time `ms` from now.
fn later(ms: i64) -> String {
    (jiff::Timestamp::now() + jiff::SignedDuration::from_millis(ms)).to_string()
}

fn time(task: &Value, field: &str) -> jiff::Timestamp {
    task[field].as_str().unwrap().parse().unwrap()
}

/// The words that tasks appended to the file `order`.
fn order(world: &World) -> Vec<String> {
    let text = std::fs::read_to_string(world.dir().join("order")).unwrap_or_default();
    text.split_whitespace().map(str::to_owned).collect()
}

/// A task that appends its name to `order`.
fn noting(world: &World, name: &str, more: Value) -> String {
    let mut task =
        json!({"name": name, "command": format!("echo {name} >>order"), "cwd": world.dir()});
    task.as_object_mut()
        .unwrap()
        .extend(more.as_object().unwrap().clone());
    world.submit_with(task)
}

#[test]
fn priorities_first_then_the_order_of_submission() {
    let mut world = World::new(QUICK);
    world.start();
    world.ask("POST", "/system/pause", None);
    let mut ids = Vec::new();
    for (n, priority) in [
        "low", "normal", "urgent", "normal", "high", "low", "urgent", "high",
    ]
    .iter()
    .enumerate()
    {
        ids.push(noting(
            &world,
            &format!("{priority}{n}"),
            json!({"priority": priority}),
        ));
    }
    assert!(
        order(&world).is_empty(),
        "nothing starts while claims are paused"
    );
    world.ask("POST", "/system/resume", None);
    for id in &ids {
        world.wait_final(id);
    }
    assert_eq!(
        order(&world),
        [
            "urgent2", "urgent6", "high4", "high7", "normal1", "normal3", "low0", "low5"
        ]
    );
}

#[test]
fn a_dependant_waits_and_a_flag_decides_what_a_failure_means() {
    let mut world = World::new("num_workers = 4");
    world.start();
    let gated = |exit: u8| {
        json!({"name": "first", "cwd": world.dir(),
        "command": format!("while ! test -e gate; do sleep 0.05; done; echo first >>order; exit {exit}")})
    };
    let good = world.submit_with(gated(0));
    let bad = world.submit_with(gated(5));
    let after_good = noting(&world, "after_good", json!({"after": [good]}));
    let fails = noting(&world, "fails", json!({"after": [bad]}));
    let chain = noting(&world, "chain", json!({"after": [fails]}));
    let runs = noting(
        &world,
        "runs",
        json!({"after": [bad, good], "after_failed": "run"}),
    );
    for id in [&after_good, &fails, &chain, &runs] {
        assert_eq!(world.task(id)["state"], "pending");
    }
    std::fs::write(world.dir().join("gate"), "").unwrap();
    assert_eq!(world.wait_final(&after_good)["state"], "completed");
    assert_eq!(world.wait_final(&runs)["state"], "completed");
    for id in [&fails, &chain] {
        let task = world.wait_final(id);
        assert_eq!(
            (&task["state"], &task["outcome"]["kind"], &task["attempt"]),
            (&json!("failed"), &json!("dependency_failed"), &json!(0)),
            "{task}"
        );
    }
    let ran = order(&world);
    assert!(
        !ran.iter().any(|name| name == "fails" || name == "chain"),
        "{ran:?}"
    );
    // On one that has ended already.
    let late = noting(&world, "late", json!({"after": [bad]}));
    assert_eq!(world.task(&late)["state"], "failed");
}

#[test]
fn a_task_starts_at_its_time_even_when_the_daemon_slept_over_it() {
    let mut world = World::new(QUICK);
    world.start();
    let at = later(1500);
    let awake = noting(&world, "awake", json!({"at": at}));
    assert_eq!(world.task(&awake)["state"], "pending");
    let task = world.wait_final(&awake);
    assert!(time(&task, "started_at") >= at.parse().unwrap(), "{task}");
    let at = later(1000);
    let asleep = noting(&world, "asleep", json!({"at": at}));
    world.stop_daemon();
    world.wait_for("its time has come", |_| {
        (jiff::Timestamp::now() > at.parse::<jiff::Timestamp>().unwrap()).then_some(())
    });
    world.start();
    assert_eq!(world.wait_final(&asleep)["state"], "completed");
}

#[test]
fn time_limits_end_the_attempt_with_its_tree() {
    let mut world =
        World::new(&format!("{QUICK}num_workers = 3\n").replacen("num_workers = 1\n", "", 1));
    world.start();
    let stubborn = "echo $$ >stubborn; (trap '' TERM; while :; do sleep 1; done) & trap '' TERM; while :; do sleep 0.1; done";
    let wall = world.submit_with(
        json!({"name": "wall", "command": stubborn, "timeout_seconds": 1, "cwd": world.dir()}),
    );
    let quiet = world.submit_with(
        json!({"name": "idle", "command": "echo once; sleep 600", "idle_timeout_seconds": 1}),
    );
    // Not a word, but work: it must not be taken for idle.
    let busy = world.submit_with(json!({"name": "busy", "idle_timeout_seconds": 1,
        "command": "end=$(($(date +%s) + 4)); while [ $(date +%s) -lt $end ]; do :; done"}));
    let task = world.wait_final(&wall);
    assert_eq!(
        (&task["state"], &task["outcome"]["kind"]),
        (&json!("failed"), &json!("timed_out")),
        "{task}"
    );
    let pid: i32 = std::fs::read_to_string(world.dir().join("stubborn"))
        .unwrap()
        .trim()
        .parse()
        .unwrap();
    assert!(!alive(pid));
    assert!(common::marked(&format!("{wall}.1")).is_empty());
    let task = world.wait_final(&quiet);
    assert_eq!(task["outcome"]["kind"], "idle", "{task}");
    let task = world.wait_final(&busy);
    assert_eq!(task["state"], "completed", "{task}");
}

#[test]
fn failures_are_retried_as_asked_and_only_so() {
    let mut world = World::new(QUICK);
    world.start();
    let line = "echo $AUTO_CLAUDE_ATTEMPT; test $AUTO_CLAUDE_ATTEMPT = 3";
    let plain = world.submit("plain", line);
    let task = world.wait_final(&plain);
    assert_eq!(
        (&task["state"], &task["attempt"]),
        (&json!("failed"), &json!(1)),
        "not unless asked"
    );
    let asked = world.submit_with(json!({"name": "asked", "command": line, "retry_on": ["exit"]}));
    let task = world.wait_final(&asked);
    assert_eq!(
        (&task["state"], &task["attempt"], &task["retries"]),
        (&json!("completed"), &json!(3), &json!(2)),
        "{task}"
    );
    let few = world.submit_with(
        json!({"name": "few", "command": "exit 4", "retry_on": ["exit"], "max_retries": 1}),
    );
    let task = world.wait_final(&few);
    assert_eq!(
        (&task["state"], &task["attempt"]),
        (&json!("failed"), &json!(2)),
        "{task}"
    );
    let other =
        world.submit_with(json!({"name": "other", "command": "exit 4", "retry_on": ["signal"]}));
    assert_eq!(world.wait_final(&other)["attempt"], 1);
}

#[test]
fn a_retry_waits_no_longer_than_its_ceiling_and_not_at_all_when_a_person_asks() {
    let mut world = World::new("retry_base_seconds = 600\nretry_max_seconds = 86400\n");
    world.start();
    let id = world.submit_with(
        json!({"name": "n", "retry_on": ["exit"], "command": "test $AUTO_CLAUDE_ATTEMPT = 2"}),
    );
    // The draw may be near zero: then it is through already.
    let task = world.wait_for("it waits or is through", |world| {
        Some(world.task(&id))
            .filter(|task| task["state"] == "retrying" || task["state"] == "completed")
    });
    if task["state"] == "retrying" {
        let ended: jiff::Timestamp = jiff::Timestamp::now();
        assert!(
            time(&task, "not_before") <= ended + jiff::SignedDuration::from_secs(600),
            "{task}"
        );
        world.act("retry", &[&id]);
    }
    assert_eq!(world.wait_final(&id)["state"], "completed");
}

#[test]
fn an_exclusive_key_lets_one_run_at_a_time() {
    let mut world = World::new("num_workers = 4");
    world.start();
    let line = "mkdir lane || echo two >>order; sleep 0.2; rmdir lane";
    let ids: Vec<_> = (0..5)
        .map(|n| world.submit_with(json!({"name": format!("e{n}"), "command": line, "exclusive": "lane", "cwd": world.dir()})))
        .collect();
    // Another key does not wait for them.
    let free = world.submit_with(json!({"name": "free", "command": "true", "exclusive": "other"}));
    assert_eq!(world.wait_final(&free)["state"], "completed");
    assert_ne!(world.task(&ids[4])["state"], "completed");
    for id in &ids {
        assert_eq!(world.wait_final(id)["state"], "completed");
    }
    assert!(order(&world).is_empty());
}

#[test]
fn nothing_starts_in_quiet_hours_and_a_reload_ends_them() {
    let now = jiff::Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC);
    let hour = jiff::SignedDuration::from_hours(2);
    let (from, to) = (now.saturating_sub(hour), now.saturating_add(hour));
    let quiet = format!(
        "quiet_hours = [\"{}-{}\"]\ntime_zone = \"UTC\"\n",
        from.strftime("%H:%M"),
        to.strftime("%H:%M")
    );
    let mut world = World::new(&quiet);
    world.start();
    let id = world.submit("n", "true");
    let status = world.ask("GET", "/status", None);
    assert_eq!(status["claims"]["enabled"], false);
    assert!(
        status["claims"]["why_not"]
            .as_str()
            .unwrap()
            .contains("quiet hours until"),
        "{status}"
    );
    assert_eq!(world.task(&id)["state"], "pending");
    std::fs::write(world.dir().join("config.toml"), "min_disk_space_gb = 0\n").unwrap();
    signal(world.daemon_pid(), "HUP");
    assert_eq!(world.wait_final(&id)["state"], "completed");
}

#[test]
fn fewer_slots_after_a_reload_let_running_attempts_go_on() {
    let mut world = World::new("num_workers = 3");
    world.start();
    let gated = |n: u8| json!({"name": format!("g{n}"), "command": format!("while ! test -e gate{n}; do sleep 0.05; done"), "cwd": world.dir()});
    let running: Vec<_> = (0..3).map(|n| world.submit_with(gated(n))).collect();
    for id in &running {
        world.wait_state(id, "processing");
    }
    let next = world.submit("next", "true");
    std::fs::write(
        world.dir().join("config.toml"),
        "min_disk_space_gb = 0\nnum_workers = 1\n",
    )
    .unwrap();
    signal(world.daemon_pid(), "HUP");
    world.wait_for("the reload is done", |world| {
        (world.ask("GET", "/status", None)["num_workers"] == 1).then_some(())
    });
    for (n, id) in running[..2].iter().enumerate() {
        std::fs::write(world.dir().join(format!("gate{n}")), "").unwrap();
        assert_eq!(world.wait_final(id)["state"], "completed");
        assert_eq!(world.task(&next)["state"], "pending", "one still runs");
    }
    std::fs::write(world.dir().join("gate2"), "").unwrap();
    assert_eq!(world.wait_final(&next)["state"], "completed");
    assert_eq!(world.task(&running[2])["attempt"], 1);
}

#[test]
fn stop_all_ends_agents_pauses_their_tasks_and_survives_a_restart() {
    let mut world = World::new("num_workers = 2\ngrace_seconds = 60");
    world.start();
    let ids: Vec<_> = (0..2)
        .map(|n| world.submit(&format!("s{n}"), "sleep 600"))
        .collect();
    let queued = world.submit("queued", "true");
    for id in &ids {
        world.wait_state(id, "processing");
    }
    let refused = world.taskctl(&["system", "stop-all"]);
    assert!(
        !refused.status.success(),
        "without a terminal it needs --yes: {refused:?}"
    );
    assert!(
        world
            .taskctl(&["system", "stop-all", "--yes"])
            .status
            .success()
    );
    for id in &ids {
        world.wait_state(id, "paused");
        assert!(common::marked(&format!("{id}.1")).is_empty());
    }
    world.stop_daemon();
    world.start();
    assert_eq!(
        world.ask("GET", "/status", None)["claims"]["enabled"],
        false
    );
    assert_eq!(world.task(&queued)["state"], "pending");
    world.ask("POST", "/system/resume", None);
    assert_eq!(world.wait_final(&queued)["state"], "completed");
    assert_eq!(
        world.task(&ids[0])["state"],
        "paused",
        "tasks are resumed one by one"
    );
}
