//! Notices and batches in the handler's own steps: what many requests in one transaction make of them.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on stops")]

mod steps_kit;

use std::collections::BTreeSet;

use auto_claude::supervisor::command::{Action, Command};
use auto_claude::supervisor::event::{Effect, SupervisorEvent};
use auto_claude::supervisor::notice::{Notice, Told};
use auto_claude::task::{TaskId, TaskSpec, Timestamp};
use steps_kit::{Steps, act, command};

/// When nobody looks any more.
const FAR: Timestamp = Timestamp::from_ms(1_900_000_000_000);

fn submit(n: u32, change: impl FnOnce(&mut TaskSpec)) -> (TaskId, SupervisorEvent) {
    let line = auto_claude::task::Command::Line("true".to_owned());
    // Nothing of it is to be claimed.
    steps_kit::submit(n, line, |spec| {
        spec.at = Some(FAR);
        change(spec);
    })
}

/// The notices that are still to be told.
fn untold(steps: &mut Steps) -> Vec<Notice> {
    let mut batch = steps.store.batch().unwrap();
    let texts = batch.step(|tx| tx.notices()).unwrap();
    let notices = texts.iter().map(|text| serde_json::from_str(text).unwrap());
    notices.collect()
}

fn close(batch: &str) -> SupervisorEvent {
    command(Command::CloseBatch {
        uid: 7,
        batch: batch.to_owned(),
        notify: "true".to_owned(),
    })
}

fn told(effects: &[Effect]) -> Vec<&Notice> {
    let told = effects.iter().filter_map(|effect| match effect {
        Effect::Tell(tell) => Some(&tell.notice),
        Effect::Launch(_)
        | Effect::Stop { .. }
        | Effect::Forget(_)
        | Effect::RemoveFiles(_)
        | Effect::Changed(_)
        | Effect::Log(_)
        | Effect::Attention(_)
        | Effect::AttentionOver(_) => None,
    });
    told.collect()
}

const CANCEL: Action = Action::Cancel { grace_ms: None };

#[test]
fn two_notices_of_one_task_in_one_moment_are_two() {
    let mut steps = Steps::new();
    let (id, submitted) = submit(1, |spec| spec.notify = Some("true".to_owned()));
    let effects = steps.at_once(vec![
        submitted,
        act(&id, CANCEL),
        act(&id, Action::Retry),
        act(&id, CANCEL),
    ]);
    let names: BTreeSet<String> = told(&effects).iter().map(|n| n.id.clone()).collect();
    assert_eq!(names.len(), 2, "{names:?}");
    let waiting: BTreeSet<String> = untold(&mut steps).into_iter().map(|n| n.id).collect();
    assert_eq!(waiting, names);
    // The one that is taken takes nothing from the other.
    let first = names.first().unwrap().clone();
    steps.at_once(vec![SupervisorEvent::Told(Told {
        id: first.clone(),
        failed: None,
    })]);
    let left: Vec<String> = untold(&mut steps).into_iter().map(|n| n.id).collect();
    assert!(left.len() == 1 && left[0] != first, "{left:?}");
}

#[test]
fn a_batch_of_a_name_that_was_used_before_is_another_one() {
    let mut steps = Steps::new();
    let of_night = |spec: &mut TaskSpec| spec.batch = Some("night".to_owned());
    let (old, one) = submit(1, of_night);
    let (two, second) = submit(2, of_night);
    let effects = steps.at_once(vec![
        one,
        act(&old, CANCEL),
        second,
        act(&two, CANCEL),
        close("night"),
    ]);
    let first = told(&effects)[0].clone();
    assert_eq!(first.facts["AUTO_CLAUDE_BATCH_TASKS"], "2");
    // The first notice is told in vain and waits, when the name is used again.
    let (new, third) = submit(3, of_night);
    let effects = steps.at_once(vec![
        SupervisorEvent::Told(Told {
            id: first.id.clone(),
            failed: Some("no".to_owned()),
        }),
        third,
        // A task of the former batch is done again meanwhile: that is no matter of this one.
        act(&old, Action::Retry),
        act(&new, CANCEL),
        close("night"),
        act(&old, CANCEL),
    ]);
    let second = told(&effects).last().copied().unwrap().clone();
    assert_ne!(second.id, first.id);
    for (name, value) in [
        ("TASKS", "1"),
        ("CANCELLED", "1"),
        ("COMPLETED", "0"),
        ("FAILED", "0"),
    ] {
        let name = format!("AUTO_CLAUDE_BATCH_{name}");
        assert_eq!(second.facts[&name], value, "{name}");
    }
    let waiting: Vec<(String, u32)> = untold(&mut steps)
        .into_iter()
        .map(|n| (n.id, n.tries))
        .collect();
    assert_eq!(waiting.len(), 2, "{waiting:?}");
    assert!(
        waiting.contains(&(first.id, 1)) && waiting.contains(&(second.id, 0)),
        "{waiting:?}"
    );
}

#[test]
fn what_became_of_a_notice_is_logged_after_its_commit_only() {
    let mut steps = Steps::new();
    let (id, submitted) = submit(1, |spec| spec.notify = Some("true".to_owned()));
    steps.at_once(vec![submitted, act(&id, CANCEL)]);
    let name = untold(&mut steps)[0].id.clone();
    for failed in [Some("no".to_owned()), None] {
        let effects = steps.at_once(vec![SupervisorEvent::Told(Told {
            id: name.clone(),
            failed: failed.clone(),
        })]);
        let lines = effects
            .iter()
            .filter(|effect| matches!(effect, Effect::Log(_)));
        assert_eq!(lines.count(), 1, "{failed:?}: {effects:?}");
    }
    assert_eq!(untold(&mut steps), []);
}
