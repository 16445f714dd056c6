//! The handler in its own steps, on a real store of its own: what requests in one transaction make of each other, without
//! processes and at a time of the test's choice.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on stops")]

use std::sync::Arc;

use auto_claude::config::Settings;
use auto_claude::store::{OpenOptions, Store};
use auto_claude::supervisor::clock::Moment;
use auto_claude::supervisor::command::{ActRequest, Action, Command, SubmitRequest};
use auto_claude::supervisor::event::{Effect, SupervisorEvent};
use auto_claude::supervisor::handler::{ClaimRefused, Handler, World};
use auto_claude::supervisor::steps;
use auto_claude::task::{Actor, AttemptId, TaskId, TaskSpec, Timestamp};

/// Who asks.
const UID: u32 = 7;

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

/// A handler, its store, and the time.
pub struct Steps {
    _dir: tempfile::TempDir,
    pub store: Store,
    handler: Handler,
    pub now: Timestamp,
}

impl Steps {
    /// With the default settings and no task.
    pub fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let now = Timestamp::from_ms(1_700_000_000_000);
        let options = OpenOptions {
            reserve_bytes: 0,
            ..OpenOptions::at(dir.path().join("tasks.db"))
        };
        let mut store = Store::open(&options, now).unwrap();
        let settings = Arc::new(Settings::default());
        let mut batch = store.batch().unwrap();
        let handler = batch.step(|tx| Handler::new(settings, false, tx)).unwrap();
        drop(batch);
        Self {
            _dir: dir,
            store,
            handler,
            now,
        }
    }

    /// All of these in one transaction, none of which is refused, then the claims; what follows from them.
    pub fn at_once(&mut self, events: Vec<SupervisorEvent>) -> Vec<Effect> {
        let moment = Moment {
            now: self.now,
            random: 1,
        };
        let mut effects = Vec::new();
        let mut batch = self.store.batch().unwrap();
        for event in events {
            let handled = steps::handle(&mut batch, &mut self.handler, &Quiet, moment, event);
            let handled = handled.unwrap();
            assert!(handled.answer.is_ok(), "{handled:?}");
            effects.extend(handled.effects);
        }
        let (claims, _) = steps::claim(&mut batch, &mut self.handler, &Quiet, moment).unwrap();
        effects.extend(claims);
        batch.commit().unwrap();
        effects
    }
}

/// A command whose answer nobody waits for.
pub fn command(command: Command) -> SupervisorEvent {
    SupervisorEvent::Command(command, tokio::sync::oneshot::channel().0)
}

/// A submission of task number `n`.
pub fn submit(
    n: u32,
    what: auto_claude::task::Command,
    change: impl FnOnce(&mut TaskSpec),
) -> (TaskId, SupervisorEvent) {
    let id = TaskId::from_random(u128::from(n));
    let mut spec = TaskSpec::of("n", what, "/".into());
    change(&mut spec);
    let request = SubmitRequest {
        id: id.clone(),
        key: format!("key {n}"),
        spec,
        at_written: None,
        uid: UID,
    };
    (id, command(Command::Submit(Box::new(request))))
}

/// A person acts on a task.
pub fn act(id: &TaskId, action: Action) -> SupervisorEvent {
    command(Command::Act(ActRequest {
        id: id.clone(),
        action,
        actor: Actor::User(UID),
        dry_run: false,
    }))
}
