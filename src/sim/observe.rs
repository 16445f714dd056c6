//! What a transaction leaves, gathered inside it for the judge.

use super::daemon::touched;
use super::judge::notices::Step;
use super::judge::rules::intent_of;
use super::judge::{Judge, Observation, Violation};
use std::sync::Arc;

use crate::config::Settings;
use crate::store::{StoreError, Tx};
use crate::supervisor::account::AccountChange;
use crate::supervisor::command::{
    ActEffect, ActRequest, Action, Command, Refusal, RefusalCode, Reply, SubmitRequest,
};
use crate::supervisor::event::{Effect, SupervisorEvent};
use crate::supervisor::steps::Handled;
use crate::task::{IntentKind, Prompt, Task, Timestamp};

/// What a person is told of when the daemon's own events or claims were refused: a bug, always.
const OWN_REFUSALS: [&str; 2] = ["report_refused", "claims_refused"];

/// Gathers it.
///
/// # Errors
/// The store's.
pub fn observe(
    judge: &Judge,
    tx: &Tx<'_>,
    handled: &[Handled],
    claims: &[Effect],
    now: Timestamp,
    settings: &Arc<Settings>,
) -> Result<Observation, StoreError> {
    let mut observed = Observation {
        now: Some(now),
        num_workers: settings.num_workers,
        settings: Some(Arc::clone(settings)),
        ..Observation::default()
    };
    let mut told = std::collections::BTreeMap::new();
    for done in handled {
        for effect in &done.effects {
            match effect {
                Effect::Changed(change) => {
                    told.insert(change.id.clone(), change.state);
                }
                Effect::RemoveFiles(ids) => {
                    let last = |id: &crate::task::TaskId| (id.clone(), told.get(id).copied());
                    observed.gone.extend(ids.iter().map(last));
                }
                Effect::Launch(_)
                | Effect::Stop { .. }
                | Effect::Forget(_)
                | Effect::Log(_)
                | Effect::Tell(_)
                | Effect::Attention(_)
                | Effect::AttentionOver(_) => {}
            }
        }
        note(judge, done, &mut observed);
        note_notices(judge, &done.effects, &mut observed);
    }
    note_notices(judge, claims, &mut observed);
    let effects = handled.iter().flat_map(|done| &done.effects).chain(claims);
    for effect in effects {
        if let Effect::Launch(launch) = effect {
            let prompt = launch.task.spec.command.prompt();
            let place = prompt.filter(|_| launch.is_probe).map(Prompt::place);
            let launched = (launch.task.attempt(), launch.share, place);
            observed.money.launched.push(launched);
        }
        if let Effect::Attention(attention) = effect
            && OWN_REFUSALS.contains(&attention.kind)
        {
            let broken = Violation::new("the daemon never refuses itself", &attention.text);
            observed.complaint = observed.complaint.take().or(Some(broken));
        }
    }
    judge.observe(tx, touched(handled, claims), &mut observed)?;
    Ok(observed)
}

fn note(judge: &Judge, done: &Handled, observed: &mut Observation) {
    match (&done.event, &done.answer) {
        (SupervisorEvent::Attempt(report), Ok(_)) => observed.reports.push(report.clone()),
        (SupervisorEvent::Settings(settings), _) => {
            observed.num_workers = settings.num_workers;
            observed.settings = Some(Arc::clone(settings));
        }
        (
            SupervisorEvent::Command(
                Command::Account {
                    agent,
                    name,
                    change,
                },
                _,
            ),
            Ok(_),
        ) if !matches!(change, AccountChange::Put(_)) => {
            observed.cleared.push((agent.clone(), name.clone()));
        }
        (SupervisorEvent::Told(told), Ok(_)) => {
            let taken = told.failed.is_none();
            observed.notices.push(Step::Told(told.id.clone(), taken));
        }
        (SupervisorEvent::Command(Command::CloseBatch { batch, .. }, _), Ok(_)) => {
            observed.notices.push(Step::Closed(batch.clone()));
        }
        (
            SupervisorEvent::Command(Command::Submit(_), _),
            Ok(Reply::Submitted { task, fresh: true }),
        ) => {
            if let Some(batch) = &task.spec.batch {
                observed
                    .notices
                    .push(Step::New(task.id.clone(), batch.clone()));
            }
        }
        (SupervisorEvent::Command(Command::Act(request), _), Ok(Reply::Acted { task, effect })) => {
            if request.action == Action::Detach && !request.dry_run {
                observed.handed_back.insert(task.id.clone());
            }
            if let Some(wish) = wish_of(request, task, *effect) {
                observed.wishes.push((task.attempt(), wish));
            }
        }
        (SupervisorEvent::Command(Command::Submit(request), _), Err(refusal)) => {
            let broken = refused_again(judge, request, refusal, observed);
            observed.complaint = observed.complaint.take().or(broken);
        }
        _ => {}
    }
}

/// What it does that concerns notices, in its order.
fn note_notices(judge: &Judge, effects: &[Effect], observed: &mut Observation) {
    for effect in effects {
        match effect {
            Effect::Changed(change) => {
                let is_new = |step: &Step| matches!(step, Step::New(id, _) if *id == change.id);
                if judge.is_in_a_batch(&change.id) || observed.notices.iter().any(is_new) {
                    let moved = Step::Moved(change.id.clone(), change.state);
                    observed.notices.push(moved);
                }
            }
            Effect::Tell(tell) => {
                let notice = Box::new(tell.notice.clone());
                observed.notices.push(Step::Tell(notice));
            }
            Effect::Launch(_)
            | Effect::Stop { .. }
            | Effect::Forget(_)
            | Effect::RemoveFiles(_)
            | Effect::Log(_)
            | Effect::Attention(_)
            | Effect::AttentionOver(_) => {}
        }
    }
}

/// The wish to stop an attempt that an answer acknowledges.
fn wish_of(request: &ActRequest, task: &Task, effect: ActEffect) -> Option<IntentKind> {
    let kind = match &request.action {
        Action::Cancel { .. } => IntentKind::Cancel,
        Action::Pause { reason } => intent_of(*reason),
        // Of a running attempt it is a pause, until it comes again.
        Action::Attach { .. } => IntentKind::Pause,
        Action::Resume { .. }
        | Action::Detach
        | Action::Retry
        | Action::Approve
        | Action::Reject
        | Action::Edit(_) => return None,
    };
    let stops = effect == ActEffect::Stopping || task.life.state.holds_slot();
    (stops && !request.dry_run).then_some(kind)
}

/// Sent again it is the same task, however full queue and disk are.
fn refused_again(
    judge: &Judge,
    request: &SubmitRequest,
    refusal: &Refusal,
    observed: &Observation,
) -> Option<Violation> {
    let (id, fingerprint) = judge.known_key(&request.key)?;
    let is_same = *fingerprint == request.fingerprint() && !observed.gone.contains_key(id);
    is_same.then(|| {
        Violation::new(
            "sent again it is the same task",
            format!("{id} was acknowledged; sent again it is refused: {refusal}"),
        )
    })
}

/// What a refusal is counted as.
#[must_use]
pub const fn refused(code: RefusalCode) -> &'static str {
    match code {
        RefusalCode::BadRequest => "refused: BadRequest",
        RefusalCode::NotFound => "refused: NotFound",
        RefusalCode::KeyConflict => "refused: KeyConflict",
        RefusalCode::IllegalTransition => "refused: IllegalTransition",
        RefusalCode::QueueFull => "refused: QueueFull",
        RefusalCode::DiskLow => "refused: DiskLow",
        RefusalCode::StoreFailed => "refused: StoreFailed",
        _ => "refused: other",
    }
}
