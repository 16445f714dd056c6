//! Daemon and workers die around claims, reservations, reports, outcomes and notices of tasks with budgets: the ledger has
//! each run once, nothing stays reserved, and everybody is told, of the right sums. With an agent that a file describes, so
//! that every step can be died at.
//!
//! `MONEY_ONLY=point:hit cargo test --features crashpoints --test crash_money` repeats one case.

#![cfg(feature = "crashpoints")]
#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot go on stops, and says where"
)]
#![expect(
    clippy::disallowed_methods,
    reason = "tests start real processes and bound their waits by a clock"
)]

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::PermissionsExt as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use common::World;
use serde_json::{Value, json};

/// What a run costs, in millionths of a dollar.
const RUN_MICRO_USD: u64 = 10_000;
/// What a task may cost.
const TASK_MICRO_USD: u64 = 1_000_000;
/// The tasks; one does not end well.
const NAMES: [&str; 3] = ["first", "second", "bad"];
/// Cases at a time: they wait for most of their time.
const AT_ONCE: usize = 4;

const DESCRIPTION: &str = r#"
name = "scripted"
program = "PROGRAM"
start = ["--", "{prompt}"]
[[events]]
when = { "/type" = "done" }
means = "success"
cost_usd = "/cost"
[[events]]
when = { "/type" = "refused" }
means = "refused"
cost_usd = "/cost"
"#;

/// Notes each run by its prompt, and its end.
const SCRIPT: &str = r#"#!/bin/sh
echo "$2" >> DIR/runs
sleep 0.2
case $2 in bad) type=refused ;; *) type=done ;; esac
echo "{\"type\":\"$type\",\"cost\":0.01}"
echo "$2" >> DIR/ends
"#;

/// Where somebody dies, and at which pass. Those of workers are passed by each of them.
const DAEMON: [(&str, &[u32]); 13] = [
    ("engine.before_commit", &[2, 4, 5, 6, 7, 8, 9, 10]),
    ("store.before_commit", &[6, 8, 10]),
    ("store.after_commit", &[5, 7, 9, 10]),
    ("engine.after_commit", &[4, 6, 8]),
    ("engine.committed", &[3, 5, 7, 8, 9]),
    ("engine.replied", &[4, 6, 8]),
    ("record.created", &[1, 2, 3]),
    ("launch.before_spawn", &[1, 2]),
    ("launch.after_spawn", &[1, 3]),
    ("attend.launched", &[2]),
    ("attend.settling", &[1, 3]),
    ("record.unlinking", &[1, 2, 3]),
    ("notice.told", &[1, 2, 3, 4]),
];
const WORKER: [&str; 7] = [
    "worker.started.synced",
    "worker.agent.spawned",
    "worker.agent.stamped",
    "worker.agent.ended",
    "worker.report.written",
    "worker.exit.synced",
    "worker.door.closed",
];

struct Case {
    world: World,
    kept: tempfile::TempDir,
    /// Who dies is a worker: then nobody knows what its run has cost, which with budgets is a matter for a person.
    of_worker: bool,
}

impl Case {
    fn new(of_worker: bool) -> Self {
        let kept = tempfile::tempdir().unwrap();
        let dir = kept.path();
        let program = dir.join("agent.sh");
        std::fs::write(&program, SCRIPT.replace("DIR", dir.to_str().unwrap())).unwrap();
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
        let file = dir.join("scripted.toml");
        let text = DESCRIPTION.replace("PROGRAM", program.to_str().unwrap());
        std::fs::write(&file, text).unwrap();
        std::fs::create_dir(dir.join("heard")).unwrap();
        let budget = if of_worker {
            ""
        } else {
            "budget_day = \"$100\"\n"
        };
        let world = World::new(&format!(
            "agent_files = [{file:?}]\nnum_workers = 2\n{budget}notify_retry_seconds = 1\n\
             retry_base_seconds = 1\nretry_max_seconds = 1\ngrace_seconds = 1\nrestart_max = 100\n"
        ));
        Self {
            world,
            kept,
            of_worker,
        }
    }

    fn dir(&self) -> &Path {
        self.kept.path()
    }

    /// A command line that writes what it was told into a new file.
    fn teller(&self) -> String {
        let heard = self.dir().join("heard");
        let heard = heard.display();
        format!("env > {heard}/$$.new && mv {heard}/$$.new {heard}/$$.told")
    }

    /// All that was told.
    fn told(&self) -> Vec<BTreeMap<String, String>> {
        let files = std::fs::read_dir(self.dir().join("heard")).unwrap();
        let paths = files.map(|file| file.unwrap().path());
        let told = paths.filter(|path| path.extension().is_some_and(|end| end == "told"));
        let facts = |path: PathBuf| {
            let text = std::fs::read_to_string(path).unwrap();
            let lines = text.lines().filter_map(|line| line.split_once('='));
            lines
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .collect()
        };
        told.map(facts).collect()
    }

    fn lines(&self, file: &str, name: &str) -> usize {
        let text = std::fs::read_to_string(self.dir().join(file)).unwrap_or_default();
        text.lines().filter(|line| *line == name).count()
    }

    /// Asks for all tasks, and completes their batch. An error means that the daemon died.
    fn submit(&self) -> std::io::Result<Vec<String>> {
        let mut ids = Vec::new();
        let budget = (!self.of_worker).then_some(TASK_MICRO_USD);
        for name in NAMES {
            let cwd = self.dir().join(name);
            std::fs::create_dir_all(&cwd)?;
            let task = json!({
                "name": name, "key": name, "batch": "night", "notify": self.teller(), "cwd": cwd,
                "prompt": {"text": name, "agent": "scripted", "budget_micro_usd": budget},
                "env": {"PATH": std::env::var("PATH").unwrap()},
            });
            let (_, answer) = self.world.request("POST", "/tasks", Some(&task))?;
            let id = answer["id"]
                .as_str()
                .ok_or(std::io::ErrorKind::UnexpectedEof)?;
            ids.push(id.to_owned());
        }
        let notify = json!({"notify": self.teller()});
        // 404: it is over and was told of.
        self.world
            .request("POST", "/batches/night", Some(&notify))?;
        Ok(ids)
    }

    /// The story with a daemon or workers that die, then to its end without.
    fn run(&mut self, point: &str, hit: u32) {
        let log = self.dir().join("passes");
        self.world
            .set_env("AUTO_CLAUDE_CRASH", &format!("{point}:{hit}"));
        self.world
            .set_env("AUTO_CLAUDE_CRASH_LOG", log.to_str().unwrap());
        self.world.spawn();
        let all_told = |case: &Self| case.told().len() > NAMES.len();
        let passed = || {
            let text = std::fs::read_to_string(&log).unwrap_or_default();
            text.lines().any(|line| line == point)
        };
        let begun = std::time::Instant::now();
        let mut submitted = false;
        let over = |case: &mut Self| {
            case.world.daemon_is_dead() || all_told(case) || case.of_worker && passed()
        };
        while !over(self) {
            submitted = submitted || self.submit().is_ok();
            std::thread::sleep(std::time::Duration::from_millis(20));
            let lasts = begun.elapsed();
            assert!(lasts < common::PATIENCE, "{}", self.world.story());
        }
        if !self.world.daemon_is_dead() {
            self.world.kill_daemon();
        }
        assert!(passed() || hit > 1, "{point} was never passed");
        self.world.unset_env("AUTO_CLAUDE_CRASH");
        self.world.unset_env("AUTO_CLAUDE_CRASH_LOG");
        self.world.start();
        let ids = self.submit().unwrap();
        for id in &ids {
            self.world.wait_final(id);
        }
        let tasks: BTreeSet<&String> = ids.iter().collect();
        self.world
            .wait_for("all of them and the batch were told of", |_| {
                let told = self.told();
                let of = |kind: &str| {
                    told.iter()
                        .filter(|facts| facts["AUTO_CLAUDE_NOTICE"] == kind)
                        .count()
                };
                let known = told
                    .iter()
                    .filter_map(|facts| facts.get("AUTO_CLAUDE_TASK_ID"));
                let known: BTreeSet<&String> = known.collect();
                (known == tasks && of("batch") > 0).then_some(())
            });
        self.check(&ids);
    }

    fn check(&self, ids: &[String]) {
        let costs = self.world.ask("GET", "/costs?by=task", None);
        let mut known = 0;
        for (id, name) in ids.iter().zip(NAMES) {
            let tale = || format!("{name} {id}: {costs:#}\n{}", self.world.story());
            let state = if name == "bad" { "failed" } else { "completed" };
            let task = self.world.task(id);
            assert_eq!(task["state"], state, "{}", tale());
            let journal = self.world.ask("GET", &format!("/tasks/{id}/journal"), None);
            let ends = journal.as_array().unwrap().iter();
            let ends = ends.filter(|row| row["event"]["event"] == "ended");
            let kinds: Vec<&str> = ends
                .map(|row| row["event"]["outcome"]["kind"].as_str().unwrap())
                .collect();
            let ran = kinds.iter().filter(|kind| **kind != "never_ran").count() as u64;
            let rows: Vec<&Value> = costs
                .as_array()
                .unwrap()
                .iter()
                .filter(|row| row["group"] == **id)
                .collect();
            assert_eq!(rows.len(), 1, "{}", tale());
            let count = |field: &str| rows[0][field].as_u64().unwrap();
            assert_eq!(count("runs"), ran, "{kinds:?} {}", tale());
            let told = count("runs") - count("unknown_runs");
            assert_eq!(count("micro_usd"), told * RUN_MICRO_USD, "{}", tale());
            assert!(
                told >= 1 && told as usize <= self.lines("ends", name).max(1),
                "{}",
                tale()
            );
            // Who was not lost has run once, and no more.
            let lost = kinds.iter().filter(|kind| **kind == "lost").count();
            assert!(self.lines("runs", name) <= 1 + lost, "{kinds:?} {}", tale());
            assert_eq!(
                task["agent"]["spent_micro_usd"],
                count("micro_usd"),
                "{task:#}"
            );
            known += count("micro_usd");
        }
        let budgets = self.world.ask("GET", "/budgets", None);
        for budget in budgets.as_array().unwrap() {
            assert_eq!(budget["reserved"]["micro_usd"], 0, "{budgets:#}");
            // Only that of the day is about tasks that are over.
            assert_eq!(budget["used"]["micro_usd"], known, "{budgets:#}\n{costs:#}");
        }
        assert_eq!(
            budgets.as_array().unwrap().len(),
            usize::from(!self.of_worker)
        );
        self.check_notices(known);
        let status = self.world.ask("GET", "/status", None);
        assert_eq!(status["attention"], json!([]), "{status}");
    }

    /// What was told, when all has cost this.
    fn check_notices(&self, known: u64) {
        let told = self.told();
        let names = |facts: &BTreeMap<String, String>| facts["AUTO_CLAUDE_NOTICE_ID"].clone();
        let ids: BTreeSet<String> = told.iter().map(names).collect();
        assert_eq!(
            ids.len(),
            NAMES.len() + 1,
            "told again under the same name: {told:#?}"
        );
        for facts in told
            .iter()
            .filter(|facts| facts["AUTO_CLAUDE_NOTICE"] == "batch")
        {
            let of = |name: &str| facts[&format!("AUTO_CLAUDE_BATCH_{name}")].as_str();
            assert_eq!(
                (of("TASKS"), of("COMPLETED"), of("FAILED")),
                ("3", "2", "1"),
                "{facts:?}"
            );
            let sum = format!("{}.{:06}", known / 1_000_000, known % 1_000_000);
            assert_eq!(of("COST_USD"), sum, "{facts:?}");
        }
    }
}

#[test]
fn whoever_dies_the_sums_are_right_and_everybody_is_told() {
    let of_daemon = DAEMON
        .iter()
        .flat_map(|(point, hits)| hits.iter().map(|hit| (*point, *hit)));
    let of_workers = WORKER.iter().map(|point| (*point, 1));
    let only = std::env::var("MONEY_ONLY").ok();
    let mut cases: Vec<(&str, u32)> = of_daemon.chain(of_workers).collect();
    cases.retain(|(point, hit)| {
        only.as_ref()
            .is_none_or(|only| *only == format!("{point}:{hit}"))
    });
    assert!(!cases.is_empty(), "no such case: {only:?}");
    let (waiting, failed) = (Mutex::new(cases), Mutex::new(Vec::new()));
    let next = || waiting.lock().unwrap().pop();
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                while let Some((point, hit)) = next() {
                    let result = catch_unwind(AssertUnwindSafe(|| {
                        Case::new(point.starts_with("worker.")).run(point, hit)
                    }));
                    if result.is_err() {
                        failed.lock().unwrap().push(format!("{point}:{hit}"));
                    }
                }
            });
        }
    });
    let failed = failed.into_inner().unwrap();
    assert!(
        failed.is_empty(),
        "repeat one with MONEY_ONLY=…: {failed:?}"
    );
}
