//! What a worker hands on to its command: environment, descriptors, checkpoints; and what it keeps.

mod worker_kit;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use auto_claude::attempt::protocol::{Progress, Request};
use auto_claude::task::{IntentKind, TaskType};
use worker_kit::{Bench, wait_for};

#[test]
#[expect(
    clippy::too_many_lines,
    reason = "one look at everything a process inherits"
)]
fn nothing_leaks_into_worker_and_agent() {
    // As a careless daemon would: an open descriptor without close-on-exec, an ignored and a blocked signal.
    let leak = fs::File::open("/dev/null").unwrap();
    rustix::io::fcntl_setfd(&leak, rustix::io::FdFlags::empty()).unwrap();
    let bench = Bench::sh(
        "ls -l /proc/self/fd; grep -E '^Sig(Blk|Ign)' /proc/self/status; cat /proc/self/oom_score_adj; readlink /proc/self/fd/0; sleep 60",
    );
    let running = bench.start();
    let agent = running.agent();
    let text = wait_for("output", || {
        Some(bench.output()).filter(|text| text.ends_with("/dev/null\n"))
    });
    let numbers: BTreeSet<&str> = text
        .lines()
        .filter(|line| line.contains(" -> "))
        .filter_map(|line| line.split(' ').rev().nth(2))
        .collect();
    // 3 is what ls itself opened.
    assert_eq!(numbers, BTreeSet::from(["0", "1", "2", "3"]), "{text}");
    assert!(
        text.contains("SigBlk:\t0000000000000000\n")
            && text.contains("SigIgn:\t0000000000000000\n"),
        "{text}"
    );
    assert!(
        text.contains("\n300\n") || text.contains("\n1000\n"),
        "{text}"
    );
    let links = |pid: i32| -> BTreeMap<String, String> {
        let entry = |entry: std::io::Result<fs::DirEntry>| {
            let entry = entry.unwrap();
            (
                entry.file_name().into_string().unwrap(),
                fs::read_link(entry.path())
                    .unwrap()
                    .to_string_lossy()
                    .into_owned(),
            )
        };
        fs::read_dir(format!("/proc/{pid}/fd"))
            .unwrap()
            .map(entry)
            .collect()
    };
    assert_eq!(
        links(agent.pid)
            .keys()
            .map(String::as_str)
            .collect::<Vec<_>>(),
        ["0", "1", "2"]
    );
    let worker = links(running.launched.worker.pid);
    assert_eq!(
        (worker["0"].as_str(), worker["1"].as_str()),
        ("/dev/null", "/dev/null")
    );
    let strange: Vec<_> = worker
        .iter()
        .filter(|(number, _)| number.parse::<u32>().unwrap() > 2)
        .filter(|(_, link)| {
            !["socket:", "pipe:", "anon_inode:[signalfd]"]
                .iter()
                .any(|known| link.starts_with(known))
        })
        .filter(|(_, link)| {
            !link.ends_with(&running.spec.attempt.to_string()) && !link.contains("/task/output.")
        })
        .collect();
    // The careless descriptor itself is close-on-exec by now: it is there, and went no further.
    assert!(
        strange.iter().all(|(_, link)| *link == "/dev/null"),
        "{strange:?}"
    );
    running.stop(IntentKind::Cancel, Some(0));
    running.ended();
}

#[test]
fn the_contract_stands_in_the_environment() {
    let mut bench = Bench::sh("env | sort");
    bench
        .spec()
        .env
        .insert("OWN".to_owned(), "value".to_owned());
    bench
        .handover
        .secrets
        .insert("KEY".to_owned(), "secret".to_owned());
    bench.run();
    let text = bench.output();
    let spec = &bench.handover.spec;
    for wanted in [
        format!("AUTO_CLAUDE_TASK_ID={}", spec.attempt.task),
        "AUTO_CLAUDE_ATTEMPT=1".to_owned(),
        format!("AUTO_CLAUDE_ATTEMPT_ID={}", spec.attempt),
        "AUTO_CLAUDE_RESUME=0".to_owned(),
        format!(
            "AUTO_CLAUDE_CHECKPOINT_DIR={}",
            spec.task_dir.join("checkpoints").display()
        ),
        format!("AUTO_CLAUDE_DOOR={}", spec.door.display()),
        "KEY=secret".to_owned(),
        "OWN=value".to_owned(),
    ] {
        assert!(
            text.lines().any(|line| line == wanted),
            "{wanted} is not in\n{text}"
        );
    }
    assert!(!text.contains("AUTO_CLAUDE_CHUNK"));
}

#[test]
fn a_resumed_task_finds_what_it_needs() {
    let mut bench = Bench::sh("seq 1 2000; sleep 60");
    bench.spec().task_type = TaskType::MediumContext;
    let running = bench.start();
    wait_for("output", || {
        bench.output().ends_with("2000\n").then_some(())
    });
    let progress = Progress {
        chunk: Some(4),
        ..Progress::default()
    };
    running.ask(&Request::Checkpoint {
        token: running.spec.token.clone(),
        progress,
    });
    running.stop(IntentKind::Pause, Some(1000));
    running.ended();

    let spec = bench.spec();
    spec.attempt.generation = 2;
    spec.record = spec.record.with_extension("2");
    spec.resume = true;
    spec.argv = ["/bin/sh", "-c", "echo r=$AUTO_CLAUDE_RESUME; wc -l < $AUTO_CLAUDE_CONTEXT_FILE; head -n 1 $AUTO_CLAUDE_CONTEXT_FILE; cat $AUTO_CLAUDE_CHECKPOINT_DIR/progress.json"]
        .map(ToOwned::to_owned)
        .to_vec();
    let before = bench.output().len();
    bench.run();
    assert_eq!(&bench.output()[before..], "r=1\n500\n1501\n{\"chunk\":4}");

    let spec = bench.spec();
    spec.attempt.generation = 3;
    spec.record = spec.record.with_extension("3");
    spec.task_type = TaskType::HeavyContext;
    spec.argv = ["/bin/sh", "-c", "echo; echo chunk=$AUTO_CLAUDE_CHUNK"]
        .map(ToOwned::to_owned)
        .to_vec();
    bench.run();
    assert!(
        bench.output().ends_with("\nchunk=4\n"),
        "{}",
        bench.output()
    );
}

/// A worker waits for hours: what it keeps resident is what a machine with many of them pays. (Unoptimised code is
/// several times as long, so the number of the release build is the benchmark's matter.)
#[test]
fn a_waiting_worker_gives_memory_back() {
    let bench = Bench::sh("sleep 60");
    let running = bench.start();
    running.agent();
    let resident_kib = || {
        let status =
            fs::read_to_string(format!("/proc/{}/status", running.launched.worker.pid)).unwrap();
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix("VmRSS:"))
            .unwrap()
            .to_owned();
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap()
    };
    let first = resident_kib();
    wait_for("less memory", || {
        (resident_kib() < first * 3 / 4).then_some(())
    });
    println!(
        "resident: {first} KiB at the start, {} KiB waiting",
        resident_kib()
    );
    assert_eq!(running.status().exit, None, "it still answers");
    running.stop(IntentKind::Cancel, Some(0));
    running.ended();
}
