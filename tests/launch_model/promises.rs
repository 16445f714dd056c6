//! The promises as properties of states, and the proof that everything moves.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use auto_claude::attempt::recovery::Plan;
use stateright::{Model, Property};

use crate::protocol::{Action, Launch};
use crate::state::{Agent, Attempt, Daemon, Exit, Phase, State, Step, Worker};

#[expect(clippy::too_many_lines, reason = "every promise, one after the other")]
pub(crate) fn properties() -> Vec<Property<Launch>> {
    vec![
        Property::always("never two at work on one task", |_, state: &State| {
            !two_at_work(state)
        }),
        Property::always(
            "what may have started is never taken for never ran",
            |_, state: &State| {
                state.attempts.iter().all(|attempt| {
                    attempt.closed != Some(Exit::NeverRan) || attempt.agent == Agent::None
                })
            },
        ),
        Property::always(
            "what is closed as lost does not live",
            |_, state: &State| {
                state
                    .attempts
                    .iter()
                    .all(|attempt| attempt.closed != Some(Exit::Lost) || !attempt.agent.alive())
            },
        ),
        Property::always("no outcome is invented", |_, state: &State| {
            !invented(state)
        }),
        Property::always("an acknowledged cancel holds", |_, state: &State| {
            !state.acked || matches!(state.row.phase, Phase::Open | Phase::Cancelled)
        }),
        Property::always(
            "an outcome that came before the cancel wins",
            |_, state: &State| !state.came_late || state.row.phase != Phase::Cancelled,
        ),
        Property::always(
            "our own stop is never taken for the task's failure",
            |_, state: &State| {
                state
                    .attempts
                    .iter()
                    .all(|attempt| attempt.real != Some(Exit::Stopped))
                    || matches!(state.row.phase, Phase::Open | Phase::Cancelled)
            },
        ),
        Property::always("what a person was told stays true", |_, state: &State| {
            !state.told_finished || matches!(state.row.phase, Phase::Open | Phase::Completed)
        }),
        Property::always(
            "without worse than a daemon's crash nothing is lost",
            |_, state: &State| {
                state.beyond_daemon
                    || state
                        .attempts
                        .iter()
                        .all(|attempt| attempt.closed != Some(Exit::Lost))
            },
        ),
        Property::always(
            "an honest disk keeps an outcome",
            |model: &Launch, state: &State| {
                let deleted = state.left.delete < model.faults.delete;
                state.lied
                    || deleted
                    || state
                        .attempts
                        .iter()
                        .all(|attempt| !attempt.promised || attempt.closed != Some(Exit::Lost))
            },
        ),
        Property::sometimes(
            "a task completes in its second attempt",
            |_, state: &State| state.row.phase == Phase::Completed && state.row.generation == 2,
        ),
        Property::sometimes(
            "a task is cancelled while its agent runs",
            |_, state: &State| state.attempts[0].closed == Some(Exit::Stopped),
        ),
        Property::sometimes(
            "an attempt is lost and the next one runs",
            |_, state: &State| {
                state.attempts[0].closed == Some(Exit::Lost)
                    && state.attempts[1].agent == Agent::Live
            },
        ),
        Property::sometimes(
            "an attempt never ran and the next one runs beside its late worker",
            |_, state: &State| {
                state.attempts[0].closed == Some(Exit::NeverRan)
                    && state.attempts[0].worker.step == Step::Opened
                    && state.attempts[1].agent == Agent::Live
            },
        ),
    ]
}

/// Two trees alive, or a tree beside a worker of another attempt that has passed its checks.
fn two_at_work(state: &State) -> bool {
    let works = |step: Step| step >= Step::Started && step <= Step::Watching;
    let at_work = |attempt: &Attempt| attempt.agent.alive() || works(attempt.worker.step);
    state
        .attempts
        .iter()
        .filter(|attempt| at_work(attempt))
        .count()
        > 1
}

/// An outcome in the database that is not what really happened.
fn invented(state: &State) -> bool {
    state.attempts.iter().any(|attempt| match attempt.closed {
        Some(exit @ (Exit::Ok | Exit::Fail | Exit::Stopped)) => attempt.real != Some(exit),
        Some(Exit::NeverRan | Exit::Lost) | None => false,
    }) || (state.row.phase == Phase::Completed
        && state.attempt(state.row.generation).closed != Some(Exit::Ok))
}

/// At rest: final, slot free, nothing alive, no record left over; or at work under a daemon that watches.
fn at_rest(state: &State) -> bool {
    // One that hangs before `started` while its record is closed or gone: should it ever wake, it leaves.
    let harmless = |worker: Worker| !worker.alive() || (worker.hung && worker.step < Step::Started);
    let quiet = state.attempts.iter().all(|attempt| {
        !attempt.agent.alive() && harmless(attempt.worker) && (!attempt.linked() || attempt.kept)
    });
    let done =
        state.daemon == Daemon::Idle && state.row.phase.is_final() && !state.row.settled && quiet;
    let busy = state.endless
        && state.row.phase == Phase::Open
        && !state.row.intent
        && state.daemon == Daemon::Supervising
        && state.attempt(state.row.generation).agent == Agent::Live
        && state.attempt(state.row.generation).worker.step == Step::Watching;
    done || busy
}

/// What a walk over every reachable state found.
pub(crate) struct Walk {
    pub(crate) states: usize,
    /// Steps from the start to the nearest state that can never come to rest, and the way there.
    pub(crate) stranded: Option<Vec<Action>>,
    /// The plans that the daemon has made somewhere.
    pub(crate) plans: Vec<Plan>,
}

/// Visits every reachable state and asks of each: once faults and people leave it alone, can it still come to rest?
/// As every step that is possible again and again is taken in the end (each process gets its turn, and the daemon's
/// wait ends), a yes for every state means that everything comes to rest. Stateright's own `eventually` looks at single
/// paths and misses cycles, so it is not used here.
pub(crate) fn walk(model: &Launch) -> Walk {
    let mut states = model.init_states();
    let mut index: HashMap<State, u32> = HashMap::new();
    let mut parents: Vec<Option<(u32, Action)>> = vec![None; states.len()];
    let mut edges: Vec<(u32, u32)> = Vec::new();
    let mut plans = Vec::new();
    let id = |position: usize| u32::try_from(position).expect("fewer than 2^32 states");
    for (position, state) in states.iter().enumerate() {
        index.insert(*state, id(position));
    }
    let mut next = 0;
    while next < states.len() {
        let state = states[next];
        if let Daemon::Decided { plan, .. } = state.daemon
            && !plans.contains(&plan)
        {
            plans.push(plan);
        }
        let mut actions = Vec::new();
        model.actions(&state, &mut actions);
        for action in actions {
            let Some(reached) = model.next_state(&state, action) else {
                continue;
            };
            let to = match index.entry(reached) {
                Entry::Occupied(entry) => *entry.get(),
                Entry::Vacant(entry) => {
                    states.push(reached);
                    parents.push(Some((id(next), action)));
                    *entry.insert(id(states.len() - 1))
                }
            };
            if action.is_progress() {
                edges.push((to, id(next)));
            }
        }
        next += 1;
    }
    let stranded = first_stranded(&states, &mut edges).map(|position| way_to(&parents, position));
    Walk {
        states: states.len(),
        stranded,
        plans,
    }
}

/// The first state (in order of distance) from which no state at rest is reached. `edges` go backwards.
fn first_stranded(states: &[State], edges: &mut [(u32, u32)]) -> Option<usize> {
    edges.sort_unstable();
    let mut safe: Vec<bool> = states.iter().map(at_rest).collect();
    let mut todo: Vec<usize> = (0..states.len())
        .filter(|&position| safe[position])
        .collect();
    while let Some(position) = todo.pop() {
        let first = edges.partition_point(|edge| (edge.0 as usize) < position);
        for &(to, from) in &edges[first..] {
            if to as usize != position {
                break;
            }
            if !std::mem::replace(&mut safe[from as usize], true) {
                todo.push(from as usize);
            }
        }
    }
    safe.iter().position(|safe| !safe)
}

fn way_to(parents: &[Option<(u32, Action)>], position: usize) -> Vec<Action> {
    let mut way = Vec::new();
    let mut at = position;
    while let Some((parent, action)) = parents[at] {
        way.push(action);
        at = parent as usize;
    }
    way.reverse();
    way
}
