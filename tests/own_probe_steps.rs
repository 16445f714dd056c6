//! The daemon's own probes in the handler's own steps: how their attempts are named.

#![expect(clippy::panic, reason = "a test that cannot go on stops")]

mod steps_kit;

use auto_claude::supervisor::account::AccountChange;
use auto_claude::supervisor::command::{Action, Command};
use auto_claude::supervisor::event::{AttemptReport, Closed, Effect, Launch, SupervisorEvent};
use auto_claude::task::{AttemptId, Block, BlockKind, Outcome, OutcomeKind, Prompt, Report};
use steps_kit::{Steps, act, command, submit};

const MINUTE_MS: i64 = 60_000;
/// Looks for a probe: beyond the longest wait of an unannounced limit.
const LOOKS_MAX: u32 = 2_000;

/// One transaction; what it launches.
fn launched(steps: &mut Steps, events: Vec<SupervisorEvent>) -> Vec<Launch> {
    let effects = steps.at_once(events).into_iter();
    let launched = effects.filter_map(|effect| match effect {
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
fn limited(steps: &Steps, attempt: &AttemptId) -> SupervisorEvent {
    let report = Report {
        block: Some(Block::of(BlockKind::FiveHour)),
        ..Report::default()
    };
    SupervisorEvent::Attempt(AttemptReport::Closed(Closed {
        attempt: attempt.clone(),
        outcome: Outcome::of(OutcomeKind::Limited),
        ended_at: steps.now,
        started_at: Some(steps.now),
        report: Some(Box::new(report)),
        launch_failed: false,
        machine_went_down: false,
    }))
}

/// A task runs into a limit of its account and is cancelled: the daemon itself finds out when the account is open again.
fn own_probe(steps: &mut Steps, n: u32) -> AttemptId {
    let prompt = Prompt::of(
        "do it".to_owned(),
        Prompt::DEFAULT_AGENT.to_owned(),
        Prompt::DEFAULT_ACCOUNT.to_owned(),
    );
    let of_agent = auto_claude::task::Command::Prompt(Box::new(prompt));
    let (id, submitted) = submit(n, of_agent, |_| {});
    let first = launched(steps, vec![submitted]);
    assert_eq!(first.len(), 1, "{first:?}");
    let ended = limited(steps, &first[0].task.attempt());
    let cancel = act(&id, Action::Cancel { grace_ms: None });
    assert!(launched(steps, vec![ended, cancel]).is_empty());
    for _ in 0..LOOKS_MAX {
        steps.now = steps.now.plus_ms(MINUTE_MS);
        if let [probe] = launched(steps, vec![SupervisorEvent::Timer]).as_slice() {
            assert!(probe.is_probe);
            return probe.task.attempt();
        }
    }
    panic!("no probe was sent");
}

#[test]
fn an_account_that_was_removed_and_is_there_again_names_no_probe_as_before() {
    let mut steps = Steps::new();
    let first = own_probe(&mut steps, 1);
    let ended = limited(&steps, &first);
    let remove = command(Command::Account {
        agent: Prompt::DEFAULT_AGENT.to_owned(),
        name: Prompt::DEFAULT_ACCOUNT.to_owned(),
        change: AccountChange::Remove,
    });
    launched(&mut steps, vec![ended, remove]);
    let second = own_probe(&mut steps, 2);
    assert_eq!(second.task, first.task);
    assert_eq!(second.generation, first.generation + 1);
}
