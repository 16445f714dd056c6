//! The daemon's own probes in the handler's own steps: how their attempts are named.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot go on stops"
)]

use std::sync::Arc;

use auto_claude::config::Settings;
use auto_claude::store::{OpenOptions, Store};
use auto_claude::supervisor::account::AccountChange;
use auto_claude::supervisor::clock::Moment;
use auto_claude::supervisor::command::{ActRequest, Action, Command, SubmitRequest};
use auto_claude::supervisor::event::{AttemptReport, Closed, Effect, Launch, SupervisorEvent};
use auto_claude::supervisor::handler::{ClaimRefused, Handler, World};
use auto_claude::supervisor::steps;
use auto_claude::task::{
    Actor, AttemptId, Block, BlockKind, Outcome, OutcomeKind, Prompt, Report, TaskId, TaskSpec,
    Timestamp,
};

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

const MINUTE_MS: i64 = 60_000;
/// Looks for a probe: beyond the longest wait of an unannounced limit.
const LOOKS_MAX: u32 = 2_000;

struct Clocked {
    _dir: tempfile::TempDir,
    store: Store,
    handler: Handler,
    now: Timestamp,
}

impl Clocked {
    fn new() -> Self {
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

    /// One transaction; what it launches.
    fn commit(&mut self, events: Vec<SupervisorEvent>) -> Vec<Launch> {
        let moment = Moment {
            now: self.now,
            random: 1,
        };
        let mut batch = self.store.batch().unwrap();
        for event in events {
            let handled = steps::handle(&mut batch, &mut self.handler, &Quiet, moment, event);
            let handled = handled.unwrap();
            assert!(handled.answer.is_ok(), "{handled:?}");
        }
        let (claims, _) = steps::claim(&mut batch, &mut self.handler, &Quiet, moment).unwrap();
        batch.commit().unwrap();
        let launched = claims.into_iter().filter_map(|effect| match effect {
            Effect::Launch(launch) => Some(*launch),
            Effect::Stop { .. }
            | Effect::Forget(_)
            | Effect::RemoveFiles(_)
            | Effect::Changed(_)
            | Effect::Log(_)
            | Effect::Tell(_)
            | Effect::Attention(_)
            | Effect::AttentionOver(_) => None,
        });
        launched.collect()
    }

    /// The attempt has run into a limit.
    fn limited(&self, attempt: &AttemptId) -> SupervisorEvent {
        let report = Report {
            block: Some(Block::of(BlockKind::FiveHour)),
            ..Report::default()
        };
        SupervisorEvent::Attempt(AttemptReport::Closed(Closed {
            attempt: attempt.clone(),
            outcome: Outcome::of(OutcomeKind::Limited),
            ended_at: self.now,
            started_at: Some(self.now),
            report: Some(Box::new(report)),
            launch_failed: false,
            machine_went_down: false,
        }))
    }

    /// A task runs into a limit of its account and is cancelled: the daemon itself finds out when the account is open again.
    fn own_probe(&mut self, n: u32) -> AttemptId {
        let id = TaskId::from_random(u128::from(n));
        let prompt = Prompt::of(
            "do it".to_owned(),
            Prompt::DEFAULT_AGENT.to_owned(),
            Prompt::DEFAULT_ACCOUNT.to_owned(),
        );
        let of_agent = auto_claude::task::Command::Prompt(Box::new(prompt));
        let request = SubmitRequest {
            id: id.clone(),
            key: format!("key {n}"),
            spec: TaskSpec::of("n", of_agent, "/".into()),
            at_written: None,
            uid: 7,
        };
        let launched = self.commit(vec![command(Command::Submit(Box::new(request)))]);
        assert_eq!(launched.len(), 1, "{launched:?}");
        let cancel = command(Command::Act(ActRequest {
            id,
            action: Action::Cancel { grace_ms: None },
            actor: Actor::User(7),
            dry_run: false,
        }));
        let limited = self.limited(&launched[0].task.attempt());
        assert!(self.commit(vec![limited, cancel]).is_empty());
        for _ in 0..LOOKS_MAX {
            self.now = self.now.plus_ms(MINUTE_MS);
            if let [probe] = self.commit(vec![SupervisorEvent::Timer]).as_slice() {
                assert!(probe.is_probe);
                return probe.task.attempt();
            }
        }
        panic!("no probe was sent");
    }
}

fn command(command: Command) -> SupervisorEvent {
    SupervisorEvent::Command(command, tokio::sync::oneshot::channel().0)
}

#[test]
fn an_account_that_was_removed_and_is_there_again_names_no_probe_as_before() {
    let mut world = Clocked::new();
    let first = world.own_probe(1);
    let ended = world.limited(&first);
    let remove = command(Command::Account {
        agent: Prompt::DEFAULT_AGENT.to_owned(),
        name: Prompt::DEFAULT_ACCOUNT.to_owned(),
        change: AccountChange::Remove,
    });
    world.commit(vec![ended, remove]);
    let second = world.own_probe(2);
    assert_eq!(second.task, first.task);
    assert_eq!(second.generation, first.generation + 1);
}
