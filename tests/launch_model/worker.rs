//! The worker's and the agent's steps.

use crate::protocol::Launch;
use crate::state::{Agent, Exit, Locker, Mutation, RecordFile, Sector, State, Step};

/// The worker's next step; `None` when it waits for its agent, is hung or gone.
pub(crate) fn step(model: &Launch, last: &State, generation: usize) -> Option<State> {
    let mut state = *last;
    let attempt = state.attempt_mut(generation);
    if attempt.worker.hung {
        return None;
    }
    match attempt.worker.step {
        Step::None | Step::Gone => return None,
        Step::Forked => attempt.worker.step = Step::Up,
        Step::Up => {
            if !attempt.linked() && model.with(Mutation::OpenCreates) {
                attempt.record = Some(RecordFile::fresh());
            }
            attempt.worker.step = if attempt.linked() {
                Step::Opened
            } else {
                Step::Gone
            };
        }
        Step::Opened => {
            let free = attempt.holder() == Locker::Nobody;
            if free && let Some(record) = &mut attempt.record {
                record.lock = Locker::Worker;
            }
            attempt.worker.step = if free || model.with(Mutation::SkipLockCheck) {
                Step::Locked
            } else {
                Step::Gone
            };
        }
        Step::Locked => check_and_start(model, last, &mut state, generation),
        Step::Started => {
            if let Some(record) = &mut attempt.record
                && record.started.get().is_some()
                && !model.with(Mutation::SkipStartedSync)
            {
                record.started = Sector::Synced(());
            }
            attempt.worker.step = if attempt.agent == Agent::None {
                Step::Ready
            } else {
                Step::Watching
            };
        }
        Step::Ready => {
            if attempt.worker.stop {
                write_exit(model, &mut state, generation, Exit::Stopped);
            } else {
                attempt.agent = Agent::Forked;
                attempt.worker.step = Step::Watching;
            }
        }
        Step::Watching => return watch(model, state, generation),
        Step::Exiting => {
            if !model.with(Mutation::SkipExitSync)
                && let Some(record) = &mut attempt.record
                && let Some(exit) = record.exit.get()
            {
                record.exit = Sector::Synced(exit);
            }
            attempt.promised = true;
            leave(&mut state, generation);
        }
    }
    Some(state)
}

/// Under the lock: path and inode, what the record says, then `started`.
fn check_and_start(model: &Launch, last: &State, state: &mut State, generation: usize) {
    let before = last.attempt(generation);
    let attempt = state.attempt_mut(generation);
    let Some(record) = &mut attempt.record else {
        leave(state, generation);
        return;
    };
    let same_inode = record.linked || model.with(Mutation::SkipInodeCheck);
    let unused = record.started == Sector::Blank && record.exit == Sector::Blank && !record.torn;
    if !same_inode || !(unused || model.with(Mutation::SkipReadCheck)) {
        leave(state, generation);
    } else if model.with(Mutation::SpawnBeforeStarted) && before.agent == Agent::None {
        attempt.agent = Agent::Forked;
    } else {
        record.started = Sector::Written(());
        attempt.worker.step = Step::Started;
    }
}

/// Waits for the agent; ends it when told to.
fn watch(model: &Launch, mut state: State, generation: usize) -> Option<State> {
    let attempt = state.attempt_mut(generation);
    if let Some(real) = attempt.real {
        write_exit(model, &mut state, generation, real);
    } else if attempt.worker.stop && attempt.agent == Agent::Live && !attempt.stuck {
        attempt.agent = Agent::Gone;
        attempt.real = Some(Exit::Stopped);
    } else {
        return None;
    }
    Some(state)
}

fn write_exit(model: &Launch, state: &mut State, generation: usize, exit: Exit) {
    let attempt = state.attempt_mut(generation);
    attempt.real = Some(exit);
    attempt.worker.step = Step::Exiting;
    let clean = !attempt.agent.alive() || model.with(Mutation::CertifyUnswept);
    if let Some(record) = &mut attempt.record {
        record.exit = Sector::Written(exit);
        record.clean = clean;
    }
}

/// The worker is gone, by itself or by force, and its lock with it.
pub(crate) fn leave(state: &mut State, generation: usize) {
    let attempt = state.attempt_mut(generation);
    attempt.worker.step = Step::Gone;
    attempt.worker.hung = false;
    attempt.worker.stop = false;
    drop_stale_lock(state, generation);
}

/// Lets the stored lock say who really has it, so that equal worlds are equal states.
fn drop_stale_lock(state: &mut State, generation: usize) {
    let attempt = state.attempt_mut(generation);
    let holder = attempt.holder();
    if let Some(record) = &mut attempt.record {
        record.lock = holder;
    }
}

/// SIGKILL for the agent's tree; what is stuck stays. A killed agent's end was seen by nobody.
pub(crate) fn kill_agent(state: &mut State, generation: usize) {
    let attempt = state.attempt_mut(generation);
    if attempt.agent.alive() && !attempt.stuck {
        attempt.agent = Agent::Gone;
        attempt.real.get_or_insert(Exit::Lost);
        drop_stale_lock(state, generation);
    }
}

/// The child between fork and exec becomes the agent; the copy of the lock closes.
pub(crate) fn exec_agent(last: &State, generation: usize) -> Option<State> {
    let mut state = *last;
    let attempt = state.attempt_mut(generation);
    if attempt.agent != Agent::Forked {
        return None;
    }
    attempt.agent = Agent::Live;
    drop_stale_lock(&mut state, generation);
    Some(state)
}

/// The agent ends by itself, with or without a descendant that stays.
pub(crate) fn end_agent(
    last: &State,
    generation: usize,
    exit: Exit,
    straggler: bool,
) -> Option<State> {
    let mut state = *last;
    let endless = state.endless;
    let attempt = state.attempt_mut(generation);
    if attempt.agent != Agent::Live || attempt.stuck || endless {
        return None;
    }
    attempt.agent = if straggler {
        Agent::Straggler
    } else {
        Agent::Gone
    };
    attempt.real = Some(exit);
    Some(state)
}

/// The last descendant ends by itself.
pub(crate) fn end_straggler(last: &State, generation: usize) -> Option<State> {
    let mut state = *last;
    let attempt = state.attempt_mut(generation);
    if attempt.agent != Agent::Straggler || attempt.stuck {
        return None;
    }
    attempt.agent = Agent::Gone;
    Some(state)
}
