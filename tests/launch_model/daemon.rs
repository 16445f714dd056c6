//! The daemon's steps outside recovery: claim, launch, cancel.

use auto_claude::attempt::recovery::{Content, Tree};

use crate::protocol::Launch;
use crate::recover::{act, commit, content, rest, write_exit};
use crate::state::{Daemon, Exit, Locker, Mutation, Phase, RecordFile, Sector, State, Step};

/// The daemon's next step, where it has one that needs no look at the world.
pub(crate) fn step(model: &Launch, last: &State) -> Option<State> {
    let mut state = *last;
    match last.daemon {
        Daemon::Supervising | Daemon::Looking { .. } => return None,
        Daemon::Down => state.daemon = Daemon::Idle,
        Daemon::Idle => return idle(model, state),
        Daemon::RecordMade => {
            let next = last.row.generation + 1;
            sync_entry(model, &mut state, next);
            claim(&mut state);
            state.daemon = Daemon::Launching;
        }
        Daemon::ClaimMade => {
            let generation = last.row.generation;
            state.attempt_mut(generation).record = Some(RecordFile::fresh());
            sync_entry(model, &mut state, generation);
            state.daemon = Daemon::Launching;
        }
        Daemon::Launching => {
            state.attempt_mut(last.row.generation).worker.step = Step::Forked;
            state.daemon = Daemon::Supervising;
        }
        Daemon::Decided {
            generation,
            tree,
            plan,
        } => act(model, &mut state, generation, tree, plan),
        Daemon::Closing { generation, exit } => {
            if !model.with(Mutation::SkipCloseSync)
                && let Some(record) = &mut state.attempt_mut(generation).record
                && let Some(written) = record.exit.get()
            {
                record.exit = Sector::Synced(written);
            }
            commit(model, &mut state, generation, exit);
            rest(&mut state, generation);
        }
        Daemon::ClosedEarly { generation, exit } => {
            write_exit(model, &mut state, generation, exit);
            rest(&mut state, generation);
        }
        Daemon::Cancelling => carry_cancel(model, &mut state),
        Daemon::CancelDone => journal_intent(&mut state),
    }
    Some(state)
}

/// With nothing in its hands: the open row first, then what is not released, then strays, then a claim.
fn idle(model: &Launch, mut state: State) -> Option<State> {
    let row = state.row;
    let look = |generation| Daemon::Looking {
        generation,
        tree: Tree::NotSwept,
    };
    if row.phase == Phase::Open || (row.settled && !model.with(Mutation::ForgetSettled)) {
        state.daemon = look(row.generation);
        return Some(state);
    }
    let stray = (1..=model.generations).find(|&generation| {
        let attempt = state.attempt(generation);
        let unclaimed = generation > row.generation && model.with(Mutation::ForgetUnclaimed);
        attempt.linked()
            && !attempt.kept
            && !unclaimed
            && (!row.settled || generation != row.generation)
    });
    if let Some(generation) = stray {
        state.daemon = look(generation);
        return Some(state);
    }
    if row.phase != Phase::Pending || row.settled {
        return None;
    }
    if row.generation == model.generations {
        state.row.phase = Phase::Review;
    } else if model.with(Mutation::ClaimBeforeRecord) {
        claim(&mut state);
        state.daemon = Daemon::ClaimMade;
    } else {
        let next = state.attempt_mut(row.generation + 1);
        if next.linked() {
            return None; // create fails: it exists
        }
        next.record = Some(RecordFile::fresh());
        state.daemon = Daemon::RecordMade;
    }
    Some(state)
}

fn sync_entry(model: &Launch, state: &mut State, generation: usize) {
    if let Some(record) = &mut state.attempt_mut(generation).record {
        record.entry_synced = !model.with(Mutation::SkipDirectorySync);
    }
}

fn claim(state: &mut State) {
    state.row.generation += 1;
    state.row.phase = Phase::Open;
}

/// A person asks to cancel; the daemon looks for an `exit` first.
pub(crate) fn cancel(model: &Launch, last: &State) -> Option<State> {
    let generation = last.row.generation;
    let listens = if let Daemon::Looking {
        generation: seen, ..
    } = last.daemon
    {
        seen == generation && last.attempt(seen).holder() != Locker::Daemon
    } else {
        matches!(last.daemon, Daemon::Idle | Daemon::Supervising)
    };
    if !listens || !last.may_cancel || last.row.phase.is_final() {
        return None;
    }
    let mut state = *last;
    state.may_cancel = false;
    if last.row.phase == Phase::Pending {
        state.row.phase = Phase::Cancelled;
        state.acked = true;
        return Some(state);
    }
    let attempt = last.attempt(generation);
    let finished = content(attempt) == Content::Exit;
    let ok = finished
        && attempt
            .record
            .is_some_and(|record| record.exit.get() == Some(Exit::Ok));
    state.came_late = ok;
    if finished && !model.with(Mutation::SkipExitCheck) {
        // Told only after the commit; here nobody waits for the answer.
        state.told_finished = ok && model.with(Mutation::RefuseBeforeCommit);
        state.daemon = Daemon::Looking {
            generation,
            tree: Tree::NotSwept,
        };
    } else {
        state.daemon = Daemon::Cancelling;
    }
    Some(state)
}

fn carry_cancel(model: &Launch, state: &mut State) {
    if model.with(Mutation::IntentAfterSignal) {
        let generation = state.row.generation;
        signal_worker(state, generation);
        state.daemon = Daemon::CancelDone;
    } else if model.with(Mutation::AckBeforeCommit) {
        state.acked = true;
        state.daemon = Daemon::CancelDone;
    } else {
        journal_intent(state);
    }
}

/// Commits the intent, answers, and then goes to see what there is to stop.
fn journal_intent(state: &mut State) {
    state.row.intent = true;
    state.acked = true;
    state.daemon = Daemon::Looking {
        generation: state.row.generation,
        tree: Tree::NotSwept,
    };
}

/// Tells a worker that has said `started` to stop its agent.
pub(crate) fn signal_worker(state: &mut State, generation: usize) {
    let worker = &mut state.attempt_mut(generation).worker;
    if worker.step >= Step::Started && worker.step < Step::Gone {
        worker.stop = true;
    }
}
