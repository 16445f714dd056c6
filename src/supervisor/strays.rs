//! Records that no running attempt needs: left by a daemon that died between commit and unlink, or of a database that was
//! restored from a backup. Each is brought to its end before its task may be claimed again.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use tokio::sync::mpsc;

use super::carriers::Shared;
use super::event::{Attention, SupervisorEvent};
use super::forget::remove_door;
use super::handler::Handler;
use super::launch::record_path;
use super::recover::{Recovery, Round};
use super::world::Busy;
use crate::attempt::recovery::Row;
use crate::store::{StoreError, Tx};
use crate::task::{AttemptId, Task};

const TRY_AGAIN: Duration = Duration::from_secs(5);

/// One record, and what the database says of its attempt.
#[derive(Debug, Clone)]
pub struct Stray {
    attempt: AttemptId,
    row: Row,
    is_file: bool,
}

/// Looks for strays. Files that are no records are left alone.
///
/// # Errors
/// When rows cannot be read.
pub fn find(
    records_dir: &std::path::Path,
    running: &[Task],
    handler: &Handler,
    tx: &Tx<'_>,
) -> Result<Vec<Stray>, StoreError> {
    // A directory that cannot be listed is told by the first claim.
    let entries = std::fs::read_dir(records_dir)
        .into_iter()
        .flatten()
        .flatten();
    let mut strays = Vec::new();
    for entry in entries {
        let name = entry.file_name();
        let Some(attempt) = name
            .to_str()
            .and_then(|name| name.parse::<AttemptId>().ok())
        else {
            continue;
        };
        if running.iter().any(|task| task.attempt() == attempt) {
            continue;
        }
        // A damaged task is set aside with all that belongs to it: its worker, if it has one, is not ours to end, and its
        // record tells how it ended once somebody has repaired the row. The row may be readable and wrong.
        if tx.is_set_aside(&attempt.task)? {
            continue;
        }
        let task = match tx.task(&attempt.task) {
            Ok(task) => task,
            Err(StoreError::BadRow { .. }) => continue,
            Err(error) => return Err(error),
        };
        let known = task.is_some_and(|task| task.life.generation >= attempt.generation)
            || handler.is_own_probe(&attempt);
        strays.push(Stray {
            attempt,
            row: if known { Row::Past } else { Row::Unknown },
            // Of what cannot even be asked, recovery finds out.
            is_file: entry.file_type().map_or(true, |kind| kind.is_file()),
        });
    }
    Ok(strays)
}

/// Marks `strays` as busy; of one task there may be several.
pub fn mark(strays: &[Stray], busy: &Busy) {
    let mut busy = busy.lock().unwrap_or_else(PoisonError::into_inner);
    busy.extend(strays.iter().map(|stray| stray.attempt.clone()));
}

/// Brings each to its end, in a task of its own.
pub fn end_all(strays: Vec<Stray>, shared: &Arc<Shared>, events: &mpsc::Sender<SupervisorEvent>) {
    for stray in strays {
        let busy = Arc::clone(&shared.busy);
        tokio::spawn(end(stray, Arc::clone(shared), busy, events.clone()));
    }
}

/// Brings one stray to its end; then its task may be claimed again.
async fn end(stray: Stray, shared: Arc<Shared>, busy: Busy, events: mpsc::Sender<SupervisorEvent>) {
    if stray.is_file {
        if !recover(&stray, &shared).await {
            return;
        }
    } else {
        // No program of ours made it, and none can lock it: there is nothing to end, and nothing to try again.
        shared.attend_to(Attention {
            kind: "stray_record",
            text: format!(
                "{}: it has the name of a record and is no file; it is left alone, move it away",
                record_path(&shared.paths, &stray.attempt).display()
            ),
        });
    }
    remove_door(&shared.paths, &stray.attempt);
    crate::crash::point("stray.ended");
    busy.lock()
        .unwrap_or_else(PoisonError::into_inner)
        .remove(&stray.attempt);
    drop(events.send(SupervisorEvent::Timer).await);
}

/// Runs recovery until the stray is gone; false when that cannot be told, and its task must not be claimed.
async fn recover(stray: &Stray, shared: &Shared) -> bool {
    // What was told last: the same trouble is not told again every few seconds.
    let mut told = String::new();
    let mut recovery = Recovery::new(
        stray.attempt.clone(),
        record_path(&shared.paths, &stray.attempt),
        stray.row,
        shared.settings().heartbeat_timeout_seconds * 1_000,
    );
    loop {
        let round = tokio::task::spawn_blocking(move || {
            let round = recovery.round();
            (recovery, round)
        });
        let Ok((back, round)) = round.await else {
            return false;
        };
        recovery = back;
        match round {
            Ok(Round::Gone(text)) => {
                if let Some(text) = text {
                    shared.attend_to(Attention {
                        kind: "stray_record",
                        text: format!("{}: {text}", stray.attempt),
                    });
                }
                return true;
            }
            // Not for rows that no attempt holds; should the plan say so all the same, nothing is committed for them.
            Ok(Round::Closed(_) | Round::Watch(_)) => return true,
            Ok(Round::Again(after_ms)) => tokio::time::sleep(Duration::from_millis(after_ms)).await,
            Ok(Round::Stuck(text, after_ms)) => {
                tell_once(shared, &mut told, format!("{}: {text}", stray.attempt));
                tokio::time::sleep(Duration::from_millis(after_ms)).await;
            }
            Err(error) => {
                let text = format!("{}: it cannot be dealt with: {error}", stray.attempt);
                tell_once(shared, &mut told, text);
                tokio::time::sleep(TRY_AGAIN).await;
            }
        }
    }
}

fn tell_once(shared: &Shared, told: &mut String, text: String) {
    if *told != text {
        told.clone_from(&text);
        shared.attend_to(Attention {
            kind: "stray_stuck",
            text,
        });
    }
}
