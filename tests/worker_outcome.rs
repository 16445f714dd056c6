//! What a worker writes down about how its command ended, with real processes.

#![expect(
    clippy::disallowed_methods,
    reason = "a test: it may stop, and it starts programs of its own"
)]

#[path = "fault_kit/disk.rs"]
mod disk;
mod worker_kit;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::ExitStatusExt as _;
use std::process::Command;

use auto_claude::attempt::protocol::StartLine;
use auto_claude::process::WorkerEnd;
use auto_claude::task::OutcomeKind;
use disk::Disk;
use worker_kit::{Bench, is_root};

#[test]
fn exit_codes_are_true() {
    for code in [0, 1, 7, 126, 127, 255] {
        let ended = Bench::sh(&format!("exit {code}")).run();
        let outcome = &ended.exit.outcome;
        assert_eq!((outcome.exit_code, outcome.signal), (Some(code), None));
        assert_eq!(
            outcome.kind == OutcomeKind::Succeeded,
            code == 0,
            "{outcome:?}"
        );
        assert_eq!(ended.end, WorkerEnd::Left(0));
        assert!(matches!(ended.line, Some(StartLine::Started(_))));
    }
}

#[test]
fn signals_are_true() {
    for (name, number) in [
        ("TERM", 15),
        ("KILL", 9),
        ("PIPE", 13),
        ("USR1", 10),
        ("ALRM", 14),
    ] {
        let outcome = Bench::sh(&format!("kill -{name} $$; sleep 60"))
            .run()
            .exit
            .outcome;
        assert_eq!(
            (outcome.kind, outcome.exit_code, outcome.signal),
            (OutcomeKind::Signaled, None, Some(number))
        );
    }
}

#[test]
fn a_core_dump_is_told_as_the_system_tells_it() {
    let script = "ulimit -c unlimited 2>/dev/null; cd /tmp; kill -SEGV $$; sleep 60";
    let plain = Command::new("/bin/sh")
        .args(["-c", script])
        .status()
        .unwrap();
    let outcome = Bench::sh(script).run().exit.outcome;
    assert_eq!(outcome.signal, Some(11));
    assert_eq!(outcome.core_dumped, plain.core_dumped());
}

#[test]
fn a_command_that_cannot_start_says_why() {
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str, mode| {
        let path = dir.path().join(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let plain = file("plain", "echo no\n", 0o755);
    let denied = file("denied", "#!/bin/sh\n", 0o644);
    let no_interpreter = file("lost", "#!/nowhere/sh\n", 0o755);
    let cases = [
        ("no-such-program", "not found in PATH"),
        ("/no/such/program", "No such file or directory"),
        (&plain, "neither a program for this machine nor a script"),
        (&denied, "Permission denied"),
        (&no_interpreter, "the interpreter it names does not exist"),
        ("", "the command is empty"),
        ("/tmp", "Permission denied"),
    ];
    for (program, reason) in cases {
        let ended = Bench::argv(&[program]).run();
        let outcome = &ended.exit.outcome;
        assert_eq!(
            (outcome.kind, outcome.exit_code),
            (OutcomeKind::SpawnFailed, None),
            "{program}: {outcome:?}"
        );
        assert!(outcome.detail.contains(reason), "{program}: {outcome:?}");

        assert_eq!(ended.line, Some(StartLine::Refused(outcome.detail.clone())));
        assert_eq!(ended.end, WorkerEnd::Left(0));
    }
}

#[test]
fn a_missing_directory_and_too_long_arguments_say_so() {
    let mut bench = Bench::sh("true");
    bench.spec().cwd = "/no/such/directory".into();
    let outcome = bench.run().exit.outcome;
    assert_eq!(outcome.kind, OutcomeKind::SpawnFailed);
    assert_eq!(
        outcome.detail,
        "cannot enter the working directory \"/no/such/directory\": No such file or directory"
    );

    let outcome = Bench::argv(&["/bin/true", &"x".repeat(200_000)])
        .run()
        .exit
        .outcome;
    assert_eq!(outcome.kind, OutcomeKind::SpawnFailed);
    assert!(outcome.detail.contains("too long"), "{outcome:?}");
}

#[test]
fn wall_time_ends_an_agent_that_ignores_sigterm() {
    let mut bench = Bench::sh("trap '' TERM; echo ready; while :; do sleep 0.05; done");
    bench.spec().timeout_ms = 1_300;
    bench.spec().grace_ms = 200;
    let ended = bench.run();
    let outcome = &ended.exit.outcome;
    assert_eq!(
        (outcome.kind, outcome.signal),
        (OutcomeKind::TimedOut, Some(9))
    );
    assert!(outcome.detail.contains("1300 ms"), "{outcome:?}");
    assert_eq!(bench.output(), "ready\n");
}

#[test]
fn sigterm_first_lets_an_agent_tidy_up() {
    let mut bench =
        Bench::sh("trap 'echo tidy; exit 3' TERM; echo ready; while :; do sleep 0.05; done");
    bench.spec().timeout_ms = 1_500;
    let outcome = bench.run().exit.outcome;
    assert_eq!(
        (outcome.kind, outcome.exit_code),
        (OutcomeKind::TimedOut, Some(3))
    );
    // The shell may say before or after it that its `sleep` was terminated, too.
    assert!(
        bench.output().starts_with("ready\n") && bench.output().contains("tidy\n"),
        "{:?}",
        bench.output()
    );
}

#[test]
fn idle_is_judged_by_evidence() {
    let mut quiet = Bench::sh("sleep 60");
    quiet.spec().idle_timeout_ms = 800;
    assert_eq!(quiet.run().exit.outcome.kind, OutcomeKind::Idle);

    // Quiet, but it uses the CPU for three windows.
    let mut busy = Bench::sh(
        "end=$(($(date +%s%N) + 2400000000)); while [ $(date +%s%N) -lt $end ]; do :; done",
    );
    busy.spec().idle_timeout_ms = 800;
    assert_eq!(busy.run().exit.outcome.kind, OutcomeKind::Succeeded);

    let mut talkative = Bench::sh("for n in 1 2 3 4 5 6; do sleep 0.4; echo $n; done");
    talkative.spec().idle_timeout_ms = 800;
    assert_eq!(talkative.run().exit.outcome.kind, OutcomeKind::Succeeded);
}

#[test]
fn memory_that_ends_is_out_of_memory() {
    if !is_root("a memory cgroup") {
        return;
    }
    let mut bench = Bench::sh("x=x; while :; do x=$x$x; done");
    bench.spec().max_memory_bytes = 32 << 20;
    let running = bench.start();
    let text = running.log.clone();
    let outcome = running.ended().exit.outcome;
    if fs::read_to_string(text)
        .unwrap()
        .contains("no memory controller")
    {
        println!("SKIPPED: no memory controller can be used here");
        return;
    }
    assert_eq!(
        (outcome.kind, outcome.signal),
        (OutcomeKind::OutOfMemory, Some(9)),
        "{outcome:?}"
    );
}

#[test]
fn a_full_disk_eats_output_but_no_outcome() {
    let bench = Bench::sh("head -c 1000000 /dev/zero | tr '\\0' x; exit 4");
    let _disk = match Disk::tmpfs(bench.dir.path(), "256k") {
        Ok(disk) => disk,
        Err(error) => return println!("SKIPPED: no disk was filled: {error}"),
    };
    let running = bench.start();
    let end = running.wait_end();
    let record = running.record();
    let kept = bench.output().len();
    assert_eq!(end, WorkerEnd::Left(0));
    let exit = record.exit.value().unwrap();
    assert_eq!(
        (exit.outcome.exit_code, exit.output_bytes),
        (Some(4), 1_000_000)
    );
    assert!(kept > 10_000 && kept < 256 << 10, "{kept}");
    let lost = format!(
        "{} bytes of output were lost: No space left",
        1_000_000 - kept
    );
    assert!(exit.outcome.detail.starts_with(&lost), "{exit:?}");
}

#[test]
fn on_a_disk_that_is_full_to_the_end_the_outcome_counts_every_byte() {
    // Beyond its limit, too: neither the line that says so nor the kept end finds any room.
    let mut bench = Bench::sh("head -c 300000 /dev/zero | tr '\\0' x; exit 4");
    bench.spec().max_output_bytes = 1_000;
    let _disk = match Disk::tmpfs(bench.dir.path(), "256k") {
        Ok(disk) => disk,
        Err(error) => return println!("SKIPPED: no disk was filled: {error}"),
    };
    drop(bench.create_record());
    fs::create_dir(&bench.handover.spec.task_dir).unwrap();
    fs::write(bench.path("workers.log"), "").unwrap();
    fs::write(bench.path("ballast"), vec![0; 1 << 20]).unwrap_err();
    let ended = bench.launch().ended();
    assert_eq!(bench.output(), "");
    assert_eq!(
        ended.exit.outcome.detail,
        "300000 bytes of output were lost: No space left on device (os error 28)"
    );
    assert_eq!(ended.exit.outcome.exit_code, Some(4));
}

#[test]
fn a_loss_of_output_stands_beside_what_else_is_to_say() {
    let mut bench = Bench::sh("head -c 1000000 /dev/zero | tr '\\0' x; sleep 60");
    bench.spec().timeout_ms = 1_000;
    let _disk = match Disk::tmpfs(bench.dir.path(), "256k") {
        Ok(disk) => disk,
        Err(error) => return println!("SKIPPED: no disk was filled: {error}"),
    };
    let running = bench.start();
    running.wait_end();
    let outcome = running.record().exit.value().unwrap().outcome.clone();
    assert_eq!(outcome.kind, OutcomeKind::TimedOut);
    assert!(
        outcome.detail.starts_with("its time of 1 s was over; ")
            && outcome.detail.contains(" bytes of output were lost: "),
        "{outcome:?}"
    );
}
