//! Clients: what they ask, drawn at random, and what they remember.

use std::path::PathBuf;
use std::sync::Arc;

use super::chance::Chance;
use super::money;
use super::notices;
use super::server::{ACCOUNTS, MODELS, PLACES};
use crate::budget::Budget;
use crate::config::Settings;
use crate::supervisor::account::AccountChange;
use crate::supervisor::command::{ActRequest, Action, Command as Wish, SpecPatch, SubmitRequest};
use crate::supervisor::event::{AttemptReport, SupervisorEvent};
use crate::supervisor::notice::Told;
use crate::task::{
    Actor, AfterFailed, Command, IfLost, PauseReason, Place, Priority, Prompt, RetryOn, TaskId,
    TaskSpec, TaskType, Timestamp,
};

/// Who asks.
pub const UID: u32 = 1000;
/// Somebody else on this machine.
const OTHER_UID: u32 = 1001;
/// Where tasks work.
pub const DIRECTORIES: [&str; 3] = ["/app", "/lib", "/doc"];
/// A task that would wait longer than this for its account goes on elsewhere.
const FALLBACK_AFTER_SECONDS: u64 = 60;
/// Keys that clients use: few, so that they meet again.
const KEYS: u64 = 400;
/// A task is kept so long after its end.
const KEPT_MS: i64 = 60_000;

/// An event on its way to the daemon; it can be sent more than once.
#[derive(Debug, Clone)]
pub enum Sent {
    /// A submission.
    Submit(Box<SubmitRequest>),
    /// A wish about a task.
    Act(ActRequest),
    /// What the carriers saw.
    Report(AttemptReport),
    /// Claims stop or go on.
    SetClaims(bool),
    /// Everything stops.
    StopAll,
    /// What is over for long goes.
    Cleanup(Timestamp),
    /// A person knows better about an account of an agent.
    Account(String, String, AccountChange),
    /// A batch is complete.
    CloseBatch(String),
    /// What became of telling a notice.
    Told(Told),
    /// New settings.
    Settings(Arc<Settings>),
    /// Time has come.
    Timer,
}

impl Sent {
    /// As the supervisor takes it.
    #[must_use]
    pub fn event(&self) -> SupervisorEvent {
        let command = match self {
            Self::Submit(request) => Wish::Submit(request.clone()),
            Self::Act(request) => Wish::Act(request.clone()),
            Self::SetClaims(enabled) => Wish::SetClaims { enabled: *enabled },
            Self::StopAll => Wish::StopAll {
                actor: Actor::User(UID),
            },
            Self::Cleanup(before) => Wish::Cleanup {
                before: *before,
                dry_run: false,
            },
            Self::Account(agent, name, change) => Wish::Account {
                agent: agent.clone(),
                name: name.clone(),
                change: change.clone(),
            },
            Self::CloseBatch(name) => Wish::CloseBatch {
                uid: UID,
                batch: name.clone(),
                notify: notices::COMMAND.to_owned(),
            },
            Self::Told(told) => return SupervisorEvent::Told(told.clone()),
            Self::Report(report) => return SupervisorEvent::Attempt(report.clone()),
            Self::Settings(settings) => return SupervisorEvent::Settings(Arc::clone(settings)),
            Self::Timer => return SupervisorEvent::Timer,
        };
        // Nobody listens: the answer is read where it is made.
        SupervisorEvent::Command(command, tokio::sync::oneshot::channel().0)
    }

    /// A command is answered with a refusal when its transaction is lost; everything else comes again.
    #[must_use]
    pub const fn comes_again(&self) -> bool {
        matches!(
            self,
            Self::Report(_) | Self::Told(_) | Self::Settings(_) | Self::Timer
        )
    }
}

fn new_id(chance: &mut Chance) -> TaskId {
    TaskId::from_random(u128::from(chance.draw()) << 60 | u128::from(chance.draw()))
}

fn known(chance: &mut Chance, ids: &[&TaskId]) -> TaskId {
    match chance.pick(ids) {
        Some(id) if !chance.percent(2) => (*id).clone(),
        Some(_) | None => new_id(chance),
    }
}

/// The same request again, as a client sends it that has heard nothing: another id, the same key.
#[must_use]
pub fn again(request: &SubmitRequest, chance: &mut Chance) -> SubmitRequest {
    let mut request = request.clone();
    request.id = new_id(chance);
    request
}

/// A submission.
#[must_use]
pub fn submission(chance: &mut Chance, ids: &[&TaskId], now: Timestamp) -> SubmitRequest {
    let command = if chance.percent(50) {
        Command::Line("true".to_owned())
    } else {
        let mut prompt = Prompt::of(
            "do it".to_owned(),
            Prompt::DEFAULT_AGENT.to_owned(),
            chance.one_of(ACCOUNTS).to_owned(),
        );
        prompt.model = chance.percent(50).then(|| chance.one_of(MODELS).to_owned());
        if chance.percent(15) {
            prompt.prompt = "do {chunk}".to_owned();
            prompt.chunks = vec!["one".to_owned(), "two".to_owned()];
        }
        if chance.percent(30) {
            prompt.set_budget(money::of_task(chance));
        }
        while prompt.fallback.len() < 2 && chance.percent(35) {
            let place = place(chance, prompt.model.clone());
            let is_new = place != prompt.place() && !prompt.fallback.contains(&place);
            prompt.fallback.extend(is_new.then_some(place));
        }
        Command::Prompt(Box::new(prompt))
    };
    let mut spec = TaskSpec::of("task", command, PathBuf::from(chance.one_of(DIRECTORIES)));
    while spec.after.len() < 2 && chance.percent(20) {
        spec.after.push(known(chance, ids));
    }
    spec.task_type = chance.one_of([TaskType::Lightweight, TaskType::HeavyContext]);
    spec.priority = chance.one_of([Priority::Low, Priority::Normal, Priority::Urgent]);
    spec.after_failed = chance.one_of([AfterFailed::Fail, AfterFailed::Run]);
    spec.at = chance
        .percent(20)
        .then(|| now.plus_ms(chance.ms(60_000) - 5_000));
    spec.max_retries = chance
        .percent(50)
        .then(|| u32::try_from(chance.below(3)).unwrap_or(0));
    spec.retry_on = match chance.below(3) {
        0 => Vec::new(),
        1 => vec![RetryOn::Any],
        _ => vec![RetryOn::Exit, RetryOn::Spawn],
    };
    spec.if_lost = chance.one_of([
        None,
        None,
        Some(IfLost::Rerun),
        Some(IfLost::Resume),
        Some(IfLost::Review),
        Some(IfLost::Fail),
    ]);
    spec.exclusive = chance
        .percent(25)
        .then(|| format!("lane {}", chance.below(2)));
    if spec.exclusive.is_none() && chance.percent(20) {
        spec.exclusive = Some(format!("dir:{}", spec.cwd.display()));
    }
    spec.foreground = chance.percent(4);
    notices::wish_for(&mut spec, chance);
    SubmitRequest {
        id: new_id(chance),
        key: format!("key {}", chance.below(KEYS)),
        at_written: None,
        spec,
        uid: UID,
    }
}

/// Where a task may go on; another agent has its own idea of models.
fn place(chance: &mut Chance, model: Option<String>) -> Place {
    let (agent, account) = chance.one_of(PLACES);
    Place {
        agent: agent.to_owned(),
        account: account.to_owned(),
        model: model.filter(|_| agent == Prompt::DEFAULT_AGENT),
    }
}

/// A wish about one of the tasks.
#[must_use]
pub fn act(chance: &mut Chance, ids: &[&TaskId], now: Timestamp) -> ActRequest {
    let reason = chance.one_of(PauseReason::ALL);
    let action = match chance.below(30) {
        0..4 => Action::Cancel {
            grace_ms: chance.percent(30).then(|| chance.below(2) * 500),
        },
        4..8 => Action::Pause { reason },
        8..15 => Action::Resume { reason },
        15..18 => Action::Retry,
        18 | 19 => Action::Approve,
        20 => Action::Reject,
        21..24 => Action::Edit(Box::new(patch(chance, now))),
        24..27 => Action::Attach {
            by: chance.one_of([UID, OTHER_UID]),
        },
        _ => Action::Detach,
    };
    ActRequest {
        id: known(chance, ids),
        action,
        actor: Actor::User(UID),
        dry_run: chance.percent(8),
    }
}

fn patch(chance: &mut Chance, now: Timestamp) -> SpecPatch {
    let mut patch = SpecPatch::default();
    match chance.below(7) {
        // The door refuses it; the handler must, too.
        0 => patch.name = Some(String::new()),
        1 => patch.at = Some(now.plus_ms(chance.ms(30_000))),
        2 => patch.priority = Some(Priority::High),
        3 => patch.budget = Some(Budget::NONE),
        4 | 5 => patch.budget = Some(money::of_task(chance)),
        _ => patch.max_retries = Some(u32::try_from(chance.below(4)).unwrap_or(0)),
    }
    patch
}

/// A wish about the whole system.
#[must_use]
pub fn system(chance: &mut Chance, now: Timestamp) -> Sent {
    match chance.below(26) {
        0 => Sent::StopAll,
        1 => Sent::SetClaims(false),
        2..12 => Sent::SetClaims(true),
        20.. => Sent::CloseBatch(notices::batch(chance)),
        _ => Sent::Cleanup(now.plus_ms(-KEPT_MS)),
    }
}

/// A person knows better about an account.
#[must_use]
pub fn account(chance: &mut Chance, now: Timestamp) -> Sent {
    let (agent, name) = chance.one_of(PLACES);
    let change = match chance.below(6) {
        0 => AccountChange::Put(crate::supervisor::account::AccountSpec::default()),
        1 => AccountChange::Hold {
            kind: crate::holds::HoldKind::Person,
            until: chance
                .percent(80)
                .then(|| now.plus_ms(1_000 + chance.ms(600_000))),
        },
        2 => AccountChange::Remove,
        _ => AccountChange::Clear(None),
    };
    Sent::Account(agent.to_owned(), name.to_owned(), change)
}

/// The settings of a simulation: small, so that limits are met.
#[must_use]
pub fn settings(num_workers: u32) -> Settings {
    Settings {
        num_workers,
        retry_base_seconds: 1,
        retry_max_seconds: 5,
        restart_max: 3,
        daemon_restart_max: 3,
        max_queue_length: 14,
        time_zone: "UTC".to_owned(),
        fallback_after_seconds: FALLBACK_AFTER_SECONDS,
        notify_tries: notices::TRIES,
        notify_retry_seconds: notices::RETRY_SECONDS,
        min_disk_space_gb: 1.0,
        ..Settings::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_clients_submit_is_what_a_door_lets_in() {
        let mut chance = Chance::new(1);
        for _ in 0..2_000 {
            let request = submission(&mut chance, &[], Timestamp::from_ms(0));
            assert_eq!(request.spec.check(), Ok(()), "{:?}", request.spec);
        }
    }
}
