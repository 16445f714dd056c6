//! The power goes while daemon and workers run: what was acknowledged is there afterwards, what was committed is as it was,
//! nothing that nobody saw is called a success, and nothing that may have started is started again as if it had not.
//!
//! The file system of the state directory is cut off from its disk; its processes are killed; it is mounted again. What
//! really ran is told by a witness on another file system. `SEED=n` repeats a run.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot go on stops"
)]

mod common;
mod fault_kit;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use common::{AUTO_CLAUDE, World, is_root, scratch, signal};
use fault_kit::{Disk, WorldDisk, assert_sound, has_tool};
use serde_json::{Value, json};

const ROUNDS: u64 = 4;
const SETTINGS: &str = "num_workers = 4\nretry_base_seconds = 1\nretry_max_seconds = 1\ndisk_reserve_mb = 1\nrestart_max = 100";

/// Pseudo-random numbers that a seed repeats.
struct Dice(u64);

impl Dice {
    #[expect(
        clippy::disallowed_methods,
        reason = "a seed, printed with every failure"
    )]
    fn new(name: &str) -> Self {
        let given = std::env::var("SEED")
            .ok()
            .and_then(|seed| seed.parse().ok());
        let clock = || {
            u64::from(
                SystemTime::now()
                    .duration_since(UNIX_EPOCH)
                    .unwrap()
                    .subsec_nanos(),
            )
        };
        let seed = given.unwrap_or_else(clock) | 1;
        println!("{name}: SEED={seed}");
        Self(seed)
    }

    /// A number below `end`.
    fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % end
    }
}

/// What really ran, as the commands themselves say.
struct Witness(PathBuf);

impl Witness {
    /// A command that says when it begins and when it ends, with something in between.
    fn command(&self, between: &str, code: u64) -> String {
        let path = self.0.display();
        format!(
            "echo begin $AUTO_CLAUDE_ATTEMPT_ID >> {path}; {between}; echo end $AUTO_CLAUDE_ATTEMPT_ID >> {path}; exit {code}"
        )
    }

    /// The attempts that said this, each as often as they said it.
    fn heard(&self, word: &str) -> Vec<String> {
        let text = std::fs::read_to_string(&self.0).unwrap_or_default();
        text.lines()
            .filter_map(|line| {
                line.strip_prefix(word)?
                    .strip_prefix(' ')
                    .map(str::to_owned)
            })
            .collect()
    }
}

impl Drop for Witness {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
        let _ = std::fs::remove_file(self.0.with_extension("gate"));
    }
}

/// Kills all processes of these tasks, and waits until they are gone.
fn kill_processes(world: &World, ids: &BTreeSet<String>) {
    world.wait_for("the machine is down", |_| {
        let mut left = 0;
        for entry in std::fs::read_dir("/proc").unwrap().flatten() {
            let Some(pid) = entry
                .file_name()
                .to_str()
                .and_then(|name| name.parse().ok())
            else {
                continue;
            };
            let environ = std::fs::read(entry.path().join("environ")).unwrap_or_default();
            let ours = environ.split(|byte| *byte == 0).any(|variable| {
                let attempt = variable
                    .strip_prefix(b"AUTO_CLAUDE_ATTEMPT_ID=")
                    .map(String::from_utf8_lossy);
                attempt.is_some_and(|attempt| {
                    attempt.split('.').next().is_some_and(|id| ids.contains(id))
                })
            });
            if ours {
                left += 1;
                signal(pid, "KILL");
            }
        }
        (left == 0).then_some(())
    });
}

/// Starts the daemon; in a boot of this name when there is one.
fn start(world: &mut World, boot: Option<&str>) {
    let Some(boot) = boot else {
        return world.start();
    };
    let file = scratch(&format!("boot-{boot}"));
    std::fs::write(&file, format!("{boot}\n")).unwrap();
    let mut command = world.serve_command();
    let serve = command
        .get_args()
        .map(ToOwned::to_owned)
        .collect::<Vec<_>>();
    let output = command.get_envs().count();
    assert_eq!(output, 0, "no variables to hand on");
    let mut unshare = common_command("unshare");
    unshare
        .args(["-m", "sh", "-c", "mount --bind \"$1\" /proc/sys/kernel/random/boot_id && rm \"$1\" && shift && exec \"$@\"", "sh"])
        .arg(&file)
        .arg(AUTO_CLAUDE)
        .args(serve);
    let log = std::fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(world.dir().join("daemon.out"))
        .unwrap();
    unshare
        .stdin(std::process::Stdio::null())
        .stdout(log.try_clone().unwrap())
        .stderr(log);
    command = unshare;
    world.start_by(command);
}

#[expect(
    clippy::disallowed_methods,
    reason = "the daemon is started in another namespace"
)]
fn common_command(program: &str) -> std::process::Command {
    std::process::Command::new(program)
}

/// Every task as the daemon knows it.
fn all(world: &World) -> BTreeMap<String, Value> {
    let page = world.ask("GET", "/tasks?limit=1000", None);
    let tasks = page["tasks"].as_array().unwrap().iter();
    tasks
        .map(|task| (task["id"].as_str().unwrap().to_owned(), task.clone()))
        .collect()
}

fn is_final(task: &Value) -> bool {
    ["completed", "failed", "cancelled"]
        .iter()
        .any(|state| task["state"] == *state)
}

/// What the journals say against what really happened.
fn assert_true_to(world: &World, witness: &Witness, ids: &BTreeSet<String>) {
    let (begun, ended) = (witness.heard("begin"), witness.heard("end"));
    let once: BTreeSet<&String> = begun.iter().collect();
    assert_eq!(
        once.len(),
        begun.len(),
        "an attempt began twice: {begun:?}\n{}",
        world.story()
    );
    for id in ids {
        let journal = world.ask("GET", &format!("/tasks/{id}/journal"), None);
        let mut attempt = String::new();
        for row in journal.as_array().unwrap() {
            let event = &row["event"];
            if event["event"] == "claimed" {
                attempt = format!("{id}.{}", event["generation"]);
            } else if event["event"] == "ended" {
                let story = || {
                    format!(
                        "{attempt}: {event}\nbegun {begun:?}\nended {ended:?}\n{}",
                        world.story()
                    )
                };
                match event["outcome"]["kind"].as_str().unwrap() {
                    "never_ran" => assert!(!begun.contains(&attempt), "it did run: {}", story()),
                    "succeeded" | "exited" => {
                        assert!(ended.contains(&attempt), "nobody saw that: {}", story())
                    }
                    "lost" => {}
                    other => panic!("{other}: {}", story()),
                }
            }
        }
    }
}

/// What one run of rounds works with.
struct Machine {
    world: World,
    dice: Dice,
    witness: Witness,
    acknowledged: BTreeSet<String>,
}

impl Machine {
    /// Submits tasks that wait for the gate and tasks that do not.
    fn submit(&mut self, round: u64, gate: &Path) {
        let wait = format!("while ! test -e {}; do sleep 0.02; done", gate.display());
        let mut lines = vec![self.witness.command(&wait, 3); 2];
        for n in 0..3 + self.dice.below(8) {
            lines.push(self.witness.command("true", n % 2));
        }
        for (n, line) in lines.into_iter().enumerate() {
            let task = json!({"name": format!("{round}.{n}"), "command": line, "if_lost": "rerun"});
            self.acknowledged.insert(self.world.submit_with(task));
        }
    }

    /// One loss of power, and what must hold after it.
    fn round(&mut self, round: u64, disk: &mut Disk, boot: Option<&str>) {
        let gate = self.witness.0.with_extension("gate");
        self.submit(round, &gate);
        std::thread::sleep(Duration::from_millis(self.dice.below(250)));
        let mut committed = all(&self.world);
        let running = committed
            .values()
            .filter(|task| task["state"] == "processing")
            .count();
        committed.retain(|_, task| is_final(task));
        disk.power_off().unwrap();
        self.world.kill_daemon();
        kill_processes(&self.world, &self.acknowledged);
        disk.unmount();
        disk.mount();
        start(&mut self.world, boot);

        let world = &self.world;
        let after = all(world);
        for id in &self.acknowledged {
            assert!(
                after.contains_key(id),
                "round {round}: {id} was acknowledged and is gone\n{}",
                world.story()
            );
        }
        for (id, task) in &committed {
            assert_eq!(
                &after[id],
                task,
                "round {round}: what was committed has changed\n{}",
                world.story()
            );
        }
        std::fs::write(&gate, "").unwrap();
        for id in &self.acknowledged {
            let task = world.wait_final(id);
            assert_eq!(
                task["outcome"]["kind"] == "succeeded",
                task["state"] == "completed"
            );
        }
        std::fs::remove_file(&gate).unwrap();
        assert_true_to(world, &self.witness, &self.acknowledged);
        println!(
            "round {round}: {} acknowledged, {} committed, {running} running when the power went",
            self.acknowledged.len(),
            committed.len()
        );
    }
}

fn power_loss(name: &str, another_boot: bool) {
    if !(is_root(name) && has_tool("mke2fs", name) && has_tool("python3", name)) {
        return;
    }
    if another_boot && !has_tool("unshare", name) {
        return;
    }
    let world = World::new(SETTINGS);
    let Some(mut disk) = WorldDisk::over(&world, name, 48, &[]) else {
        return;
    };
    let dice = Dice::new(name);
    let seed = dice.0;
    let boot = |n: u64| another_boot.then(|| format!("{seed:08x}-0000-4000-8000-{n:012}"));
    let witness = Witness(scratch(&format!("witness-{another_boot}")));
    let mut machine = Machine {
        world,
        dice,
        witness,
        acknowledged: BTreeSet::new(),
    };
    start(&mut machine.world, boot(0).as_deref());
    for round in 1..=ROUNDS {
        machine.round(round, &mut disk, boot(round).as_deref());
    }
    let cut_off = machine.witness.heard("begin").len() - machine.witness.heard("end").len();
    assert!(
        cut_off > 0,
        "no attempt was ever under way when the power went: the rounds show nothing"
    );
    assert!(machine.world.stop_daemon().success());
    assert_sound(&machine.world);
    // Before the world goes, which lies below it.
    drop(disk);
}

#[test]
fn power_loss_in_the_same_boot() {
    power_loss("power loss, same boot", false);
}

#[test]
fn power_loss_and_another_boot() {
    power_loss("power loss, another boot", true);
}
