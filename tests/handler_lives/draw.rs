//! What clients may ask, drawn at random.

use std::collections::BTreeMap;
use std::path::PathBuf;

use auto_claude::supervisor::command::{ActRequest, Action, Command, SpecPatch, SubmitRequest};
use auto_claude::supervisor::event::{AttemptReport, SupervisorEvent};
use auto_claude::task::{
    self, Actor, AfterFailed, IfLost, PauseReason, Priority, RetryOn, TaskId, TaskSpec, TaskType,
    Timestamp,
};

use crate::chance::Chance;

/// Who asks.
const UID: u32 = 1000;

/// An event that can be sent more than once.
#[derive(Debug, Clone)]
pub(crate) enum Sent {
    Submit(Box<SubmitRequest>),
    Act(ActRequest),
    Report(AttemptReport),
    SetClaims(bool),
    StopAll,
    Cleanup(Timestamp),
    Settings(std::sync::Arc<auto_claude::config::Settings>),
    Timer,
}

impl Sent {
    pub(crate) fn event(&self) -> SupervisorEvent {
        let command = match self {
            Self::Submit(request) => Command::Submit(request.clone()),
            Self::Act(request) => Command::Act(request.clone()),
            Self::SetClaims(enabled) => Command::SetClaims { enabled: *enabled },
            Self::StopAll => Command::StopAll {
                actor: Actor::User(UID),
            },
            Self::Cleanup(before) => Command::Cleanup {
                before: *before,
                dry_run: false,
            },
            Self::Report(report) => return SupervisorEvent::Attempt(report.clone()),
            Self::Settings(settings) => return SupervisorEvent::Settings(settings.clone()),
            Self::Timer => return SupervisorEvent::Timer,
        };
        // Nobody listens: the answer is read where it is made.
        SupervisorEvent::Command(command, tokio::sync::oneshot::channel().0)
    }

    /// A command is answered with a refusal when its transaction is lost; everything else comes again.
    pub(crate) const fn comes_again(&self) -> bool {
        matches!(self, Self::Report(_) | Self::Settings(_) | Self::Timer)
    }
}

pub(crate) fn new_id(chance: &mut Chance) -> TaskId {
    TaskId::from_random(u128::from(chance.next()) << 60 | u128::from(chance.next()))
}

fn known(chance: &mut Chance, ids: &[TaskId]) -> TaskId {
    match chance.pick(ids) {
        Some(id) if !chance.percent(2) => id.clone(),
        Some(_) | None => new_id(chance),
    }
}

pub(crate) fn submission(chance: &mut Chance, ids: &[TaskId], now: Timestamp) -> SubmitRequest {
    let mut after = Vec::new();
    while after.len() < 3 && chance.percent(30) {
        after.push(known(chance, ids));
    }
    let spec = TaskSpec {
        name: format!("task {}", chance.below(1_000_000)),
        description: String::new(),
        command: task::Command::Line("true".to_owned()),
        task_type: *chance
            .pick(&[TaskType::Lightweight, TaskType::HeavyContext])
            .unwrap(),
        priority: *chance
            .pick(&[Priority::Low, Priority::Normal, Priority::Urgent])
            .unwrap(),
        cwd: PathBuf::from("/"),
        env: BTreeMap::new(),
        secrets: BTreeMap::new(),
        after,
        after_failed: *chance.pick(&[AfterFailed::Fail, AfterFailed::Run]).unwrap(),
        at: chance
            .percent(25)
            .then(|| now.plus_ms(chance.below(60_000).cast_signed() - 5_000)),
        timeout_seconds: None,
        idle_timeout_seconds: None,
        max_retries: chance.percent(50).then(|| chance.below(3) as u32),
        retry_on: chance
            .pick(&[
                vec![],
                vec![RetryOn::Any],
                vec![RetryOn::Exit, RetryOn::Spawn],
            ])
            .unwrap()
            .clone(),
        if_lost: *chance
            .pick(&[
                None,
                None,
                Some(IfLost::Rerun),
                Some(IfLost::Resume),
                Some(IfLost::Review),
                Some(IfLost::Fail),
            ])
            .unwrap(),
        exclusive: chance
            .percent(30)
            .then(|| format!("lane {}", chance.below(2))),
        notify: None,
        batch: None,
        foreground: chance.percent(5),
    };
    SubmitRequest {
        id: new_id(chance),
        key: format!("key {}", chance.below(60)),
        at_written: None,
        spec,
        uid: UID,
    }
}

pub(crate) fn act(chance: &mut Chance, ids: &[TaskId], now: Timestamp) -> ActRequest {
    let reason = *chance.pick(&PauseReason::ALL).unwrap();
    let action = match chance.below(22) {
        0..4 => Action::Cancel {
            grace_ms: chance.percent(30).then(|| chance.below(2) * 500),
        },
        4..8 => Action::Pause { reason },
        8..12 => Action::Resume { reason },
        12..15 => Action::Retry,
        15 | 16 => Action::Approve,
        17 => Action::Reject,
        18 => Action::Attach { by: UID },
        19 => Action::Detach,
        _ => Action::Edit(Box::new(patch(chance, now))),
    };
    ActRequest {
        id: known(chance, ids),
        action,
        actor: Actor::User(UID),
        dry_run: chance.percent(15),
    }
}

fn patch(chance: &mut Chance, now: Timestamp) -> SpecPatch {
    let mut patch = SpecPatch::default();
    match chance.below(4) {
        // The door refuses it; the handler must, too.
        0 => patch.name = Some(String::new()),
        1 => patch.at = Some(now.plus_ms(chance.below(30_000).cast_signed())),
        2 => patch.priority = Some(Priority::High),
        _ => patch.max_retries = Some(chance.below(4) as u32),
    }
    patch
}
