//! The supervisor in its deterministic simulation, bounded: fixed seeds, a fresh one that is printed, seeded bugs that must be
//! found, a script that is made shorter. `SIM_SEED=n` takes the place of the fresh seed; `make soak` goes on for hours.

#![expect(
    clippy::disallowed_methods,
    reason = "a fresh seed comes from the clock, and a soak ends by it"
)]
#![expect(clippy::panic, reason = "tests")]

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use auto_claude::sim::shrink::shrink;
use auto_claude::sim::{Bug, Failed, Op, Options, Passed, Scenario, Setup, play, run};

/// Steps of a fixed seed, without and with the disk model. A debug build is some twenty times slower than what ships.
const STEPS: u64 = 6_000;
const STEPS_ON_DISK: u64 = 6_000;

fn told(failed: &Failed, options: &Options) -> String {
    format!(
        "{}\nafter {} steps; again: auto-claude-sim --seed {} --steps {} --scenario {}{}",
        failed.violation,
        failed.steps,
        options.seed,
        options.steps,
        options.scenario.name(),
        if options.disk { " --disk" } else { "" },
    )
}

#[track_caller]
fn is_clean(options: &Options) -> Passed {
    match run(options, &mut |_| {}) {
        Ok(passed) => passed,
        Err(failed) => panic!("{}", told(&failed, options)),
    }
}

#[test]
fn fixed_seeds_keep_every_promise() {
    for (seed, scenario) in (1..).zip(Scenario::ALL) {
        is_clean(&Options {
            seed,
            steps: STEPS,
            scenario,
            ..Options::default()
        });
    }
}

#[test]
fn fixed_seeds_keep_every_promise_on_a_disk_that_takes_writes_back() {
    for (seed, scenario) in [
        (1, Scenario::All),
        (2, Scenario::Crashes),
        (3, Scenario::Disk),
    ] {
        is_clean(&Options {
            seed,
            steps: STEPS_ON_DISK,
            scenario,
            disk: true,
            ..Options::default()
        });
    }
}

#[test]
fn a_fresh_seed_keeps_every_promise() {
    let given = std::env::var("SIM_SEED")
        .ok()
        .and_then(|text| text.parse().ok());
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let seed = given.unwrap_or_else(|| u64::from(now.subsec_nanos()) ^ now.as_secs());
    println!("SIM_SEED={seed}");
    for disk in [false, true] {
        is_clean(&Options {
            seed,
            steps: STEPS_ON_DISK,
            disk,
            ..Options::default()
        });
    }
}

#[test]
fn two_runs_of_a_seed_are_the_same_to_the_byte() {
    let options = Options {
        seed: 7,
        steps: 3_000,
        scenario: Scenario::Crashes,
        disk: true,
        ..Options::default()
    };
    let (one, two) = (is_clean(&options), is_clean(&options));
    assert_eq!((one.hash, one.steps), (two.hash, two.steps));
    assert_eq!(one.met.to_string(), two.met.to_string());
    let other = is_clean(&Options { seed: 8, ..options });
    assert_ne!(one.hash, other.hash);
}

/// The script of a run in which `bug` was found.
fn found(bug: Bug) -> Failed {
    let options = Options {
        seed: 1,
        steps: bug.found_within(),
        scenario: bug.scenario(),
        disk: bug.needs_disk(),
        bug: Some(bug),
    };
    match run(&options, &mut |_| {}) {
        Err(failed) => *failed,
        Ok(passed) => panic!("{} is not found in {} steps", bug.name(), passed.steps),
    }
}

/// Those that are found soon; the others are left to `auto-claude-sim --find-bugs`, which takes minutes.
const QUICK_BUGS: [Bug; 16] = [
    Bug::SkipSync,
    Bug::SkipStartSync,
    Bug::DropLockCheck,
    Bug::SpawnBeforeCommit,
    Bug::ReplyBeforeCommit,
    Bug::CountLimitAsRetry,
    Bug::ForgetAdopted,
    Bug::SkipRecordLock,
    Bug::ForgetSlots,
    Bug::RecordAfterClaim,
    Bug::RepeatLaunch,
    Bug::ReserveNothing,
    Bug::SettleTwice,
    Bug::UnknownIsNothing,
    Bug::ForgetNotices,
    Bug::ResumeAttached,
];

#[test]
fn seeded_bugs_are_found() {
    for bug in QUICK_BUGS {
        let failed = found(bug);
        println!(
            "{}: {} after {} steps",
            bug.name(),
            failed.violation.rule,
            failed.steps
        );
    }
}

#[test]
fn a_failing_script_is_made_short_and_fails_again() {
    let bug = Bug::RepeatLaunch;
    let setup = Setup {
        bug: Some(bug),
        ..Setup::default()
    };
    let failed = found(bug);
    let short = shrink(&failed.script, failed.violation.rule, setup);
    assert!(short.len() <= 12, "{} steps are left", short.len());
    let text: Vec<String> = short.iter().map(Op::to_string).collect();
    let again: Vec<Op> = text.iter().map(|line| line.parse().unwrap()).collect();
    let traced = Setup {
        trace: true,
        ..setup
    };
    let (one, broken) = play(&again, traced);
    assert_eq!(broken.unwrap().rule, failed.violation.rule);
    let (two, _) = play(&again, traced);
    assert!(!one.trace.is_empty());
    assert_eq!(one.trace, two.trace);
}

/// Seeds for `SOAK_SECONDS`, from `SOAK_SEED` on, with and without the disk model.
#[test]
#[ignore = "soak: hours of simulated lives"]
fn soak_simulated_lives_keep_every_promise() {
    let number = |name: &str| std::env::var(name).ok()?.parse::<u64>().ok();
    let limit = Duration::from_secs(number("SOAK_SECONDS").unwrap_or(60));
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let first = number("SOAK_SEED").unwrap_or(now.as_secs());
    println!("SOAK_SEED={first}");
    let begin = Instant::now();
    let mut steps = 0;
    for seed in first.. {
        for scenario in Scenario::ALL {
            for disk in [false, true] {
                steps += is_clean(&Options {
                    seed,
                    steps: 200_000,
                    scenario,
                    disk,
                    ..Options::default()
                })
                .steps;
                if begin.elapsed() >= limit {
                    println!("{steps} steps, the last seed was {seed}");
                    return;
                }
            }
        }
    }
}
