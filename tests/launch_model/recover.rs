//! The daemon in recovery: it looks, asks the real `plan`, acts, and looks again.

use auto_claude::attempt::recovery::{
    self, Boot, Content, Facts, Heartbeat, Lock, Plan, Tree, Wait,
};

use crate::daemon::signal_worker;
use crate::protocol::Launch;
use crate::state::{Attempt, Daemon, Exit, Locker, Mutation, Phase, Sector, State, Step};
use crate::worker;

/// Looks at an attempt and plans. `impatient`: the wait is over and the heartbeat too old, for whatever reason.
pub(crate) fn look(model: &Launch, last: &State, impatient: bool) -> Option<State> {
    let (generation, tree) = match last.daemon {
        Daemon::Supervising => (last.row.generation, Tree::NotSwept),
        Daemon::Looking { generation, tree } => (generation, tree),
        Daemon::Down
        | Daemon::Idle
        | Daemon::RecordMade
        | Daemon::ClaimMade
        | Daemon::Launching
        | Daemon::Decided { .. }
        | Daemon::Closing { .. }
        | Daemon::ClosedEarly { .. }
        | Daemon::Cancelling
        | Daemon::CancelDone => return None,
    };
    let mut state = *last;
    let attempt = last.attempt(generation);
    if impatient {
        // The wait covers a worker that was launched and never came as far as its lock, too.
        let waited_for = attempt.holder() == Locker::Worker
            || (last.daemon == Daemon::Supervising && attempt.worker.alive());
        if model.with(Mutation::WaitForever) || !waited_for {
            return None;
        }
        if !attempt.worker.hung {
            // The limit fires on a healthy holder: that is a fault of the machine, or of the limit.
            state.spend(|left| &mut left.impatience)?;
        }
    } else if last.daemon == Daemon::Supervising && attempt.worker.alive() {
        return None;
    }
    let facts = facts(model, &mut state, generation, tree, impatient);
    let mut plan = recovery::plan(&facts);
    if plan == Plan::CommitExitThenWaitTree && model.with(Mutation::DeferCommit) {
        plan = match (facts.lock, facts.tree) {
            (Lock::Held, _) if facts.wait == Wait::Over => Plan::EndHolder,
            (Lock::Held, _) => Plan::WaitForHolder,
            (Lock::Free, Tree::Stuck) => Plan::HoldSlot,
            (Lock::Free, Tree::NotSwept | Tree::Remains | Tree::Empty) => Plan::Sweep,
        };
    }
    // What was swept is carried on; what `exit` states is read anew at each look, together with its lock.
    let tree = if model.with(Mutation::CarryCertificate) {
        facts.tree
    } else {
        tree
    };
    state.daemon = Daemon::Decided {
        generation,
        tree,
        plan,
    };
    Some(state)
}

/// Reads the facts in the order that `recovery` asks for; takes the lock when it is free.
fn facts(
    model: &Launch,
    state: &mut State,
    generation: usize,
    tree: Tree,
    impatient: bool,
) -> Facts {
    let row = if generation > state.row.generation {
        recovery::Row::Unknown
    } else if generation < state.row.generation {
        recovery::Row::Past
    } else if state.row.phase == Phase::Open {
        recovery::Row::Open
    } else if state.row.settled {
        recovery::Row::Settled
    } else {
        recovery::Row::Past
    };
    let attempt = state.attempt_mut(generation);
    let content = content(attempt);
    let named = matches!(content, Content::Started | Content::Exit);
    let worker = match (named, attempt.worker.alive()) {
        (false, _) => recovery::Worker::Unknown,
        (true, true) => recovery::Worker::Alive,
        (true, false) => recovery::Worker::Dead,
    };
    let holder = attempt.holder();
    let certified = attempt.record.is_some_and(|record| record.clean);
    let tree = if content == Content::Exit && certified && tree == Tree::NotSwept {
        Tree::Empty
    } else {
        tree
    };
    let mut lock = Lock::Free;
    let mut boot = Boot::This;
    if let Some(record) = &mut attempt.record
        && record.linked
    {
        if !record.this_boot && !model.with(Mutation::NeverRanAcrossBoots) {
            boot = Boot::Other;
        }
        let past = matches!(row, recovery::Row::Past | recovery::Row::Unknown);
        if model.with(Mutation::CloseWithoutLock)
            || (past && model.with(Mutation::UnlinkWithoutLock))
        {
            lock = Lock::Free;
        } else if holder == Locker::Worker {
            lock = Lock::Held;
        } else {
            record.lock = Locker::Daemon;
        }
    }
    let trusted = model.with(Mutation::SkipSweepOfEmpty) && content == Content::Empty;
    Facts {
        row,
        content,
        boot,
        lock,
        worker,
        heartbeat: if impatient {
            Heartbeat::Stale
        } else {
            Heartbeat::Fresh
        },
        wait: if impatient { Wait::Over } else { Wait::Waiting },
        tree: if trusted || model.with(Mutation::SkipSweep) {
            Tree::Empty
        } else {
            tree
        },
    }
}

/// What a reader of the path sees.
pub(crate) fn content(attempt: &Attempt) -> Content {
    match attempt.record {
        None => Content::Missing,
        Some(record) if !record.linked => Content::Missing,
        Some(record) if record.torn => Content::Unreadable,
        Some(record) if record.exit != Sector::Blank => Content::Exit,
        Some(record) if record.started != Sector::Blank => Content::Started,
        Some(_) => Content::Empty,
    }
}

/// Carries the plan out.
pub(crate) fn act(model: &Launch, state: &mut State, generation: usize, tree: Tree, plan: Plan) {
    match plan {
        Plan::Nothing | Plan::HoldSlot => rest(state, generation),
        Plan::Adopt => {
            if state.row.intent && !model.with(Mutation::ForgetIntent) {
                signal_worker(state, generation);
            }
            state.daemon = Daemon::Supervising;
        }
        Plan::WaitForHolder => state.daemon = Daemon::Looking { generation, tree },
        Plan::EndHolder => {
            let left = kill_tree(state, generation);
            let tree = if left == Tree::Stuck {
                left
            } else {
                Tree::NotSwept
            };
            state.daemon = Daemon::Looking { generation, tree };
        }
        Plan::Sweep => {
            let tree = kill_tree(state, generation);
            state.daemon = Daemon::Looking { generation, tree };
        }
        Plan::CommitExit | Plan::CommitExitThenWaitTree => {
            commit_read(model, state, generation);
            if plan == Plan::CommitExit || model.with(Mutation::SkipTreeWait) {
                rest(state, generation);
            } else {
                state.row.settled = true;
                state.daemon = Daemon::Looking { generation, tree };
            }
        }
        Plan::CloseNeverRan => close(model, state, generation, Exit::NeverRan),
        Plan::CloseLost => {
            let exit = if model.with(Mutation::InventSuccess) {
                Exit::Ok
            } else {
                Exit::Lost
            };
            close(model, state, generation, exit);
        }
        Plan::SetAsideAndLose => {
            unlink(state, generation);
            state.daemon = Daemon::Closing {
                generation,
                exit: Exit::Lost,
            };
        }
        Plan::Release => {
            state.row.settled = false;
            rest(state, generation);
        }
        Plan::Discard => {
            unlink(state, generation);
            rest(state, generation);
            if generation > state.row.generation {
                state.attempt_mut(generation).record = None; // nobody was ever given it
            }
        }
        Plan::KeepFile => {
            state.attempt_mut(generation).kept = true;
            rest(state, generation);
        }
    }
}

/// Commits the `exit` that was read. A daemon that died may have written it and not synced it: that one is made sure of
/// first, or else its record may be blank again when a late worker opens it.
fn commit_read(model: &Launch, state: &mut State, generation: usize) {
    let record = state.attempt_mut(generation).record.as_mut();
    let record = record.expect("planned from a record that was read");
    let exit = record
        .exit
        .get()
        .expect("planned from a readable exit, which never changes");
    if matches!(exit, Exit::NeverRan | Exit::Lost) && !model.with(Mutation::SkipResync) {
        record.exit = Sector::Synced(exit);
    }
    commit(model, state, generation, exit);
}

fn close(model: &Launch, state: &mut State, generation: usize, exit: Exit) {
    if model.with(Mutation::CommitBeforeExit) {
        commit(model, state, generation, exit);
        state.daemon = Daemon::ClosedEarly { generation, exit };
    } else {
        write_exit(model, state, generation, exit);
        state.daemon = Daemon::Closing { generation, exit };
    }
}

pub(crate) fn write_exit(model: &Launch, state: &mut State, generation: usize, exit: Exit) {
    if model.with(Mutation::CloseByUnlink) {
        unlink(state, generation);
    } else if let Some(record) = &mut state.attempt_mut(generation).record
        && record.linked
    {
        record.exit = Sector::Written(exit);
    }
}

fn unlink(state: &mut State, generation: usize) {
    if let Some(record) = &mut state.attempt_mut(generation).record {
        record.linked = false;
    }
}

/// SIGKILL for everything that carries the attempt's marker. A child that has not exec'ed carries none.
fn kill_tree(state: &mut State, generation: usize) -> Tree {
    let step = state.attempt(generation).worker.step;
    if step > Step::Forked && step < Step::Gone {
        worker::leave(state, generation);
    }
    worker::kill_agent(state, generation);
    if state.attempt(generation).agent.alive() {
        Tree::Stuck
    } else {
        Tree::Empty
    }
}

/// A sweep whose signals have not had their effect yet.
pub(crate) fn sweep_slowly(last: &State) -> Option<State> {
    let mut state = *last;
    if let Daemon::Decided {
        generation,
        plan: Plan::Sweep,
        tree,
    } = last.daemon
        && tree != Tree::Remains
    {
        state.daemon = Daemon::Looking {
            generation,
            tree: Tree::Remains,
        };
        Some(state)
    } else {
        None
    }
}

/// One commit: the outcome, and where the task goes. Frees the slot unless the caller says `settled`.
pub(crate) fn commit(model: &Launch, state: &mut State, generation: usize, exit: Exit) {
    state.attempt_mut(generation).closed = Some(exit);
    let last = generation == model.generations;
    if state.row.intent {
        state.row.phase = Phase::Cancelled;
        return;
    }
    state.row.phase = match exit {
        Exit::Ok => Phase::Completed,
        Exit::Fail | Exit::Stopped if last => Phase::Failed,
        Exit::Fail | Exit::Stopped | Exit::NeverRan | Exit::Lost => Phase::Pending,
    };
}

/// Lets go of the record.
pub(crate) fn rest(state: &mut State, generation: usize) {
    if let Some(record) = &mut state.attempt_mut(generation).record
        && record.lock == Locker::Daemon
    {
        record.lock = Locker::Nobody;
    }
    state.daemon = Daemon::Idle;
}
