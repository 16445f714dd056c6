//! A storm of SIGKILLs: daemon and workers are killed at random while tasks are submitted, cancelled, paused and resumed;
//! afterwards every promise is checked.
//!
//! The seed is printed; `STORM_SEED=… cargo test --test storm` repeats it (the order of kills and pauses, not the machine's
//! timing). `STORM_SECONDS` changes the time of a storm.

#![expect(
    clippy::disallowed_methods,
    reason = "tests start real processes and bound their waits by a clock"
)]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on stops")]

mod common;
mod crash_kit;

use std::time::{Duration, Instant};

use auto_claude::record::RecordFile;
use common::{World, signal};
use crash_kit::Jobs;
use crash_kit::promises::check;

const STORM: Duration = Duration::from_secs(20);
const SOAK: Duration = Duration::from_secs(600);
/// Shortest and longest time between two kills.
const PAUSE_MS: (u64, u64) = (20, 600);
const CONFIG: &str = "num_workers = 5\ngrace_seconds = 1\nretry_base_seconds = 1\nretry_max_seconds = 1\n\
                      restart_max = 100\ndaemon_restart_max = 10000\ndisk_reserve_mb = 1\n";

#[test]
fn storm_of_kills() {
    storm(STORM);
}

#[test]
#[ignore = "soak: the storm for ten minutes"]
fn soak_storm() {
    storm(SOAK);
}

fn storm(time: Duration) {
    let number = |name: &str| {
        std::env::var(name)
            .ok()
            .and_then(|text| text.parse::<u64>().ok())
    };
    let mut seed = [0; 8];
    getrandom::fill(&mut seed).unwrap();
    let seed = number("STORM_SEED").unwrap_or_else(|| u64::from_le_bytes(seed));
    let time = number("STORM_SECONDS").map_or(time, Duration::from_secs);
    println!("STORM_SEED={seed}");
    let mut chance = Chance(seed | 1);
    let begun = Instant::now();
    let (mut rounds, mut kills) = (0, (0, 0));
    while begun.elapsed() < time {
        let round = one_round(&mut chance);
        rounds += 1;
        kills = (kills.0 + round.0, kills.1 + round.1);
    }
    println!(
        "{rounds} rounds, {} daemons and {} workers killed",
        kills.0, kills.1
    );
    assert!(kills.0 > 0 && kills.1 > 0, "a storm kills both");
}

/// One state directory: some seconds of storm, then calm and the promises.
fn one_round(chance: &mut Chance) -> (u32, u32) {
    let mut world = World::new(CONFIG);
    let mut jobs = Jobs::one_of_each();
    let deaths = 3 + chance.below(6);
    let (mut daemons, mut workers) = (0, 0);
    world.start();
    for _ in 0..deaths {
        // The client goes as far as it gets while the storm blows.
        let mut left = chance.below(6);
        let after_ms = PAUSE_MS.0 + chance.below(PAUSE_MS.1 - PAUSE_MS.0);
        let daemon = world.daemon_pid();
        let dir = world.dir().to_owned();
        let mut picks: Vec<u64> = (0..left).map(|_| chance.below(1000)).collect();
        let killer = std::thread::spawn(move || {
            let begun = Instant::now();
            let mut killed = 0;
            while begun.elapsed() < Duration::from_millis(after_ms) {
                std::thread::sleep(Duration::from_millis(after_ms / (left + 1)));
                left = left.saturating_sub(1);
                let running = workers_of(&dir);
                if let (Some(pick), false) = (picks.pop(), running.is_empty()) {
                    let place = usize::try_from(pick).unwrap() % running.len();
                    signal(running[place], "KILL");
                    killed += 1;
                }
            }
            signal(daemon, "KILL");
            killed
        });
        // Pauses and resumes again and again, until the daemon dies.
        while jobs.begin(&mut world).is_ok() {}
        workers += killer.join().unwrap();
        daemons += 1;
        world.start();
    }
    jobs.go_on(&mut world);
    check(&jobs, &mut world);
    (daemons, workers)
}

/// Workers that the records name.
fn workers_of(dir: &std::path::Path) -> Vec<i32> {
    let records = std::fs::read_dir(dir.join("records"))
        .into_iter()
        .flatten()
        .flatten();
    let read = |path: std::path::PathBuf| {
        let record = RecordFile::open_existing(&path).ok()?.read().ok()?;
        record
            .started
            .value()
            .map(|started| started.worker)
            .filter(|worker| auto_claude::process::is_alive(*worker))
            .map(|worker| worker.pid)
    };
    records.filter_map(|entry| read(entry.path())).collect()
}

/// xorshift64*: small, and the same everywhere.
struct Chance(u64);

impl Chance {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) % limit.max(1)
    }
}
