//! Notices and batches in the handler's own steps: what many requests in one transaction make of them.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on stops")]

use std::collections::BTreeSet;
use std::sync::Arc;

use auto_claude::config::Settings;
use auto_claude::store::{OpenOptions, Store};
use auto_claude::supervisor::clock::Moment;
use auto_claude::supervisor::command::{ActRequest, Action, Command, SubmitRequest};
use auto_claude::supervisor::event::{Effect, SupervisorEvent};
use auto_claude::supervisor::handler::{ClaimRefused, Handler, World};
use auto_claude::supervisor::notice::{Notice, Told};
use auto_claude::supervisor::steps;
use auto_claude::task::{Actor, AttemptId, TaskId, TaskSpec, Timestamp};

struct Quiet;

impl World for Quiet {
    fn is_in_place(&self) -> bool {
        true
    }

    fn has_ended(&self, _: &AttemptId) -> bool {
        false
    }

    fn disk_free_bytes(&self) -> Option<u64> {
        None
    }

    fn create_record(&self, _: &AttemptId) -> Result<(), ClaimRefused> {
        Ok(())
    }
}

/// A handler on a store of its own, in which no time passes.
struct Still {
    _dir: tempfile::TempDir,
    store: Store,
    handler: Handler,
    moment: Moment,
}

impl Still {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let moment = Moment {
            now: Timestamp::from_ms(1_700_000_000_000),
            random: 1,
        };
        let options = OpenOptions {
            reserve_bytes: 0,
            ..OpenOptions::at(dir.path().join("tasks.db"))
        };
        let mut store = Store::open(&options, moment.now).unwrap();
        let settings = Arc::new(Settings::default());
        let mut batch = store.batch().unwrap();
        let handler = batch.step(|tx| Handler::new(settings, false, tx)).unwrap();
        drop(batch);
        Self {
            _dir: dir,
            store,
            handler,
            moment,
        }
    }

    /// All of these in one transaction; what follows from them.
    fn at_once(&mut self, events: Vec<SupervisorEvent>) -> Vec<Effect> {
        let mut effects = Vec::new();
        let mut batch = self.store.batch().unwrap();
        for event in events {
            let handled = steps::handle(&mut batch, &mut self.handler, &Quiet, self.moment, event);
            let handled = handled.unwrap();
            assert!(handled.answer.is_ok(), "{handled:?}");
            effects.extend(handled.effects);
        }
        batch.commit().unwrap();
        effects
    }

    /// The notices that are still to be told.
    fn waiting(&mut self) -> Vec<Notice> {
        let mut batch = self.store.batch().unwrap();
        let texts = batch.step(|tx| tx.notices()).unwrap();
        let notices = texts.iter().map(|text| serde_json::from_str(text).unwrap());
        notices.collect()
    }
}

fn command(command: Command) -> SupervisorEvent {
    SupervisorEvent::Command(command, tokio::sync::oneshot::channel().0)
}

fn submit(n: u32, change: impl FnOnce(&mut TaskSpec)) -> (TaskId, SupervisorEvent) {
    let id = TaskId::from_random(u128::from(n));
    let line = auto_claude::task::Command::Line("true".to_owned());
    let mut spec = TaskSpec::of("n", line, "/".into());
    change(&mut spec);
    let request = SubmitRequest {
        id: id.clone(),
        key: format!("key {n}"),
        spec,
        at_written: None,
        uid: 7,
    };
    (id, command(Command::Submit(Box::new(request))))
}

fn act(id: &TaskId, action: Action) -> SupervisorEvent {
    command(Command::Act(ActRequest {
        id: id.clone(),
        action,
        actor: Actor::User(7),
        dry_run: false,
    }))
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
    let mut still = Still::new();
    let (id, submitted) = submit(1, |spec| spec.notify = Some("true".to_owned()));
    let effects = still.at_once(vec![
        submitted,
        act(&id, CANCEL),
        act(&id, Action::Retry),
        act(&id, CANCEL),
    ]);
    let names: BTreeSet<String> = told(&effects).iter().map(|n| n.id.clone()).collect();
    assert_eq!(names.len(), 2, "{names:?}");
    let waiting: BTreeSet<String> = still.waiting().into_iter().map(|n| n.id).collect();
    assert_eq!(waiting, names);
    // The one that is taken takes nothing from the other.
    let first = names.first().unwrap().clone();
    still.at_once(vec![SupervisorEvent::Told(Told {
        id: first.clone(),
        failed: None,
    })]);
    let left: Vec<String> = still.waiting().into_iter().map(|n| n.id).collect();
    assert!(left.len() == 1 && left[0] != first, "{left:?}");
}

#[test]
fn a_batch_of_a_name_that_was_used_before_is_another_one() {
    let mut still = Still::new();
    let of_night = |spec: &mut TaskSpec| spec.batch = Some("night".to_owned());
    let (old, one) = submit(1, of_night);
    let (two, second) = submit(2, of_night);
    let effects = still.at_once(vec![
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
    let effects = still.at_once(vec![
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
    let waiting: Vec<(String, u32)> = still
        .waiting()
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
    let mut still = Still::new();
    let (id, submitted) = submit(1, |spec| spec.notify = Some("true".to_owned()));
    still.at_once(vec![submitted, act(&id, CANCEL)]);
    let name = still.waiting()[0].id.clone();
    for failed in [Some("no".to_owned()), None] {
        let effects = still.at_once(vec![SupervisorEvent::Told(Told {
            id: name.clone(),
            failed: failed.clone(),
        })]);
        let lines = effects
            .iter()
            .filter(|effect| matches!(effect, Effect::Log(_)));
        assert_eq!(lines.count(), 1, "{failed:?}: {effects:?}");
    }
    assert_eq!(still.waiting(), []);
}
