//! The promises, checked on a world whose tasks are all final.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use auto_claude::api::wire::JournalView;
use auto_claude::task::{Event, Outcome, OutcomeKind};

use super::{Job, Jobs, Kind};
use crate::common::{World, alive};

/// Checks all of them; stops the daemon for the last one.
pub fn check(jobs: &Jobs, world: &mut World) {
    let ids: Vec<&str> = jobs
        .all
        .iter()
        .map(|job| job.id.as_deref().unwrap())
        .collect();
    let listed = world.ask("GET", "/tasks?limit=1000", None);
    let listed: Vec<&str> = listed["tasks"]
        .as_array()
        .unwrap()
        .iter()
        .map(|task| task["id"].as_str().unwrap())
        .collect();
    assert_eq!(
        listed.len(),
        ids.len(),
        "each task is there exactly once: {listed:?} {ids:?}\n{}",
        world.story()
    );
    for job in &jobs.all {
        one_job(job, world);
    }
    world.wait_for("no record is left", |world| {
        leftovers(world, "records").is_empty().then_some(())
    });
    world.wait_for("no door is left", |world| {
        leftovers(world, "run").is_empty().then_some(())
    });
    world.wait_for("no process is left", |_| {
        processes_of(&ids).is_empty().then_some(())
    });
    world.wait_for("no cgroup is left", |_| {
        cgroups_of(&ids).is_empty().then_some(())
    });
    let status = world.stop_daemon();
    assert!(status.success(), "{status}\n{}", world.story());
    database_is_sound(world);
}

/// The database is sound: every journal folds to its row.
pub fn database_is_sound(world: &World) {
    let report =
        auto_claude::store::check(&world.dir().join("auto-claude.db"), &mut |_| {}).unwrap();
    assert!(
        report.is_sound(),
        "{:?}\n{}",
        report.problems,
        world.story()
    );
    assert!(report.set_aside.is_empty(), "{:?}", report.set_aside);
}

/// Whether a command of this end may have begun so often.
fn may_have_started(kind: OutcomeKind, count: usize) -> bool {
    match kind {
        OutcomeKind::NeverRan | OutcomeKind::SpawnFailed => count == 0,
        OutcomeKind::Succeeded | OutcomeKind::Exited => count == 1,
        // Ended by a signal, perhaps before its first line.
        OutcomeKind::Signaled
        | OutcomeKind::OutOfMemory
        | OutcomeKind::TimedOut
        | OutcomeKind::Idle
        | OutcomeKind::Interrupted
        | OutcomeKind::Limited
        | OutcomeKind::Lost => count <= 1,
        // No agent runs here that could say such a thing.
        OutcomeKind::ToolsDenied
        | OutcomeKind::ToolDeferred
        | OutcomeKind::MaxTurns
        | OutcomeKind::MaxBudget
        | OutcomeKind::Refused
        | OutcomeKind::PromptTooLong
        | OutcomeKind::UnknownSession
        | OutcomeKind::ResumeFailed
        | OutcomeKind::PoisonedSession
        | OutcomeKind::ModelUnavailable
        | OutcomeKind::AgentError
        | OutcomeKind::NoResult
        | OutcomeKind::DependencyFailed => false,
    }
}

fn one_job(job: &Job, world: &World) {
    let id = job.id.as_deref().unwrap();
    let journal = world.ask("GET", &format!("/tasks/{id}/journal"), None);
    let marks = std::fs::read_to_string(world.dir().join(&job.key)).unwrap_or_default();
    let tale = || {
        format!(
            "{job:?}\n{journal:#}\n--- marks ---\n{marks}\n{}",
            world.story()
        )
    };
    let task = world.task(id);
    let (state, code) = (
        task["state"].as_str().unwrap(),
        task["outcome"]["exit_code"].as_i64(),
    );
    let wanted = match job.kind {
        Kind::Quick | Kind::Retried | Kind::Gated | Kind::Waiting | Kind::Dependent => {
            ("completed", Some(0))
        }
        Kind::Failing => ("failed", Some(7)),
        Kind::Long => ("cancelled", code),
    };
    assert_eq!((state, code), wanted, "{}", tale());
    for word in ["overlap", "forgotten", "early"] {
        assert!(
            job.marks(world.dir(), word).is_empty(),
            "{word}: {}",
            tale()
        );
    }
    let attempts = attempts(serde_json::from_value(journal.clone()).unwrap());
    let starts = job.marks(world.dir(), "start");
    for (generation, ended) in &attempts {
        let count = starts.iter().filter(|start| *start == generation).count();
        let ended = ended
            .as_ref()
            .unwrap_or_else(|| panic!("attempt {generation} has no end: {}", tale()));
        let right = may_have_started(ended.kind, count);
        assert!(
            right,
            "attempt {generation} ended as {ended:?} and has started {count} times: {}",
            tale()
        );
    }
    assert!(
        starts.iter().all(|start| attempts.contains_key(start)),
        "an attempt that nobody claimed: {}",
        tale()
    );
    assert!(starts.is_sorted(), "generations only grow: {}", tale());
}

/// The attempts by generation, with their ends.
fn attempts(journal: Vec<JournalView>) -> BTreeMap<u32, Option<Outcome>> {
    let mut attempts = BTreeMap::new();
    let mut newest = 0;
    for row in journal {
        if let Event::Claimed { generation, .. } = &row.event {
            assert_eq!(*generation, newest + 1, "generations grow by one");
            newest = *generation;
            attempts.insert(newest, None);
        }
        if let Event::Ended { outcome, .. } = row.event {
            let former = attempts.insert(newest, Some(outcome));
            assert_eq!(former, Some(None), "one end for each attempt");
        }
    }
    attempts
}

/// What is in a folder of the state directory.
fn leftovers(world: &World, folder: &str) -> Vec<String> {
    let entries = std::fs::read_dir(world.dir().join(folder))
        .into_iter()
        .flatten()
        .flatten();
    entries
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect()
}

/// Living processes that carry the marker of one of these tasks.
pub fn processes_of(ids: &[&str]) -> Vec<i32> {
    let wanted: Vec<String> = ids
        .iter()
        .map(|id| format!("AUTO_CLAUDE_ATTEMPT_ID={id}."))
        .collect();
    let pids = std::fs::read_dir("/proc")
        .unwrap()
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    pids.filter(|pid| {
        let environ = std::fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        let carries = |entry: &[u8]| {
            wanted
                .iter()
                .any(|wanted| entry.starts_with(wanted.as_bytes()))
        };
        environ.split(|byte| *byte == 0).any(carries) && alive(*pid)
    })
    .collect()
}

/// Control groups of these tasks.
#[expect(clippy::disallowed_methods, reason = "a test looks at the machine")]
fn cgroups_of(ids: &[&str]) -> Vec<String> {
    let root = Path::new("/sys/fs/cgroup");
    let found = Command::new("find")
        .arg(root)
        .args(["-maxdepth", "8", "-type", "d", "-name", "task_*"])
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&found.stdout).into_owned();
    text.lines()
        .filter(|line| ids.iter().any(|id| line.contains(id)))
        .map(str::to_owned)
        .collect()
}
