//! Seeded bugs that are made in the rows: what a wrong handler would write.

use super::bug::Bug;
use super::client::Sent;
use crate::store::{ApplyError, LedgerRow, Reservation, StoreError, Tx};
use crate::supervisor::command::Action;
use crate::supervisor::event::{AttemptReport, Closed, Effect, SupervisorEvent};
use crate::supervisor::steps::Handled;
use crate::task::{Actor, AttemptId, Event, Task, Timestamp, Tokens};

/// A run that is settled twice has its second row under this much later an attempt.
const AGAIN: u32 = 1_000_000;

fn apply(tx: &Tx<'_>, task: &Task, event: &Event, now: Timestamp) -> Result<(), StoreError> {
    match tx.apply(task, event, now, Actor::Daemon) {
        Err(ApplyError::Store(error)) => Err(error),
        Ok(_) | Err(_) => Ok(()),
    }
}

/// Before an event is handled.
///
/// # Errors
/// The store's.
pub fn before(
    bug: Option<Bug>,
    tx: &Tx<'_>,
    sent: &Sent,
    now: Timestamp,
) -> Result<(), StoreError> {
    let (Some(Bug::ResumeAttached), Sent::Act(request)) = (bug, sent) else {
        return Ok(());
    };
    let is_meant = matches!(request.action, Action::Resume { .. }) && !request.dry_run;
    let attached = |task: &Task| task.life.attached().is_some();
    match tx.task(&request.id)?.filter(attached).filter(|_| is_meant) {
        Some(task) => apply(tx, &task, &Event::Detached, now),
        None => Ok(()),
    }
}

/// Before the claims: what running attempts have reserved is out of sight.
///
/// # Errors
/// The store's.
pub fn hide(bug: Option<Bug>, tx: &Tx<'_>, now: Timestamp) -> Result<Vec<Reservation>, StoreError> {
    let mut hidden = Vec::new();
    if bug != Some(Bug::OverlookShares) {
        return Ok(hidden);
    }
    for task in tx.running()? {
        let attempt = task.attempt();
        if let (Some(prompt), Some(share)) = (task.prompt_there(), tx.release(&attempt)?) {
            hidden.push(Reservation {
                attempt,
                at: now,
                project: task.spec.cwd.to_string_lossy().into_owned(),
                agent: prompt.agent.clone(),
                account: prompt.account.clone(),
                share,
            });
        }
    }
    Ok(hidden)
}

/// After the claims: it is there again.
///
/// # Errors
/// The store's.
pub fn show(tx: &Tx<'_>, hidden: &[Reservation]) -> Result<(), StoreError> {
    hidden.iter().try_for_each(|row| tx.reserve(row))
}

/// After the claims.
///
/// # Errors
/// The store's.
pub fn after(
    bug: Option<Bug>,
    tx: &Tx<'_>,
    handled: &[Handled],
    claims: &[Effect],
    now: Timestamp,
) -> Result<(), StoreError> {
    let effects = handled.iter().flat_map(|done| &done.effects).chain(claims);
    for effect in effects {
        match (bug, effect) {
            (Some(Bug::FallbackGoesBack), Effect::Changed(change)) => {
                if let Some(task) = tx.task(&change.id)?
                    && let Some(event) = way_back(&task)
                {
                    apply(tx, &task, &event, now)?;
                }
            }
            (Some(Bug::ReserveNothing), Effect::Launch(launch)) => {
                tx.release(&launch.task.attempt())?;
            }
            _ => {}
        }
    }
    for done in handled {
        if let SupervisorEvent::Attempt(AttemptReport::Closed(closed)) = &done.event {
            spoil_end(bug, tx, closed, now)?;
        }
    }
    Ok(())
}

fn spoil_end(
    bug: Option<Bug>,
    tx: &Tx<'_>,
    closed: &Closed,
    now: Timestamp,
) -> Result<(), StoreError> {
    let attempt = &closed.attempt;
    let Some(task) = tx.task(&attempt.task)? else {
        return Ok(());
    };
    let Some(prompt) = task.prompt_there() else {
        return Ok(());
    };
    let project = task.spec.cwd.to_string_lossy().into_owned();
    match bug {
        Some(Bug::KeepShare) if !prompt.budget().is_none() => tx.reserve(&Reservation {
            attempt: attempt.clone(),
            at: now,
            project,
            agent: prompt.agent.clone(),
            account: prompt.account.clone(),
            share: prompt.budget(),
        }),
        Some(Bug::SettleTwice) => {
            let cost = closed.report.as_ref().and_then(|it| it.cost_micro_usd);
            tx.add_to_ledger(&LedgerRow {
                attempt: AttemptId {
                    generation: attempt.generation + AGAIN,
                    ..attempt.clone()
                },
                at: now,
                uid: task.uid,
                project,
                agent: prompt.agent.clone(),
                account: prompt.account.clone(),
                model: String::new(),
                micro_usd: Some(cost.unwrap_or(0)),
                estimated: false,
                tokens: Tokens::default(),
                run_ms: 0,
                task_type: task.spec.task_type,
                chunks: 1,
                done: false,
                allowed_micro_usd: None,
            })
        }
        _ => Ok(()),
    }
}

fn way_back(task: &Task) -> Option<Event> {
    let moved = task.life.agent.as_ref()?.moved.as_ref()?;
    Some(Event::Moved {
        to: Box::new(task.spec.command.prompt()?.place()),
        from: Box::new(moved.to.clone()),
        why: "its first account is open again".to_owned(),
        tried: moved.tried.saturating_sub(1),
    })
}
