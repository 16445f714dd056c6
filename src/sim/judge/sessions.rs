//! Sessions in a person's hands, and tasks that go on elsewhere.

use std::collections::{BTreeMap, BTreeSet};

use super::{Judge, Judged, Observation, demand};
use crate::holds::{Account, Policy};
use crate::sim::machine::{Kind, Machine};
use crate::task::{Event, Lifecycle, PauseReason, Place, Task, TaskId, Timestamp};

const IN_HAND: &str = "nobody else gets into a session that a person has";
const SAME_SESSION: &str = "what is handed back goes on in the same session";
const FORWARD: &str = "a task only goes forward in the list of its places";

/// Who has which session, and how far tasks have gone in the lists of their places.
#[derive(Debug, Default)]
pub(super) struct Sessions {
    /// The user and the session.
    hands: BTreeMap<TaskId, (u32, Option<String>)>,
    /// Handed back, and not gone on yet.
    back: BTreeMap<TaskId, Option<String>>,
    /// Was ever attached.
    ever: BTreeSet<TaskId>,
    /// Newly attached by the last commit.
    fresh: Vec<TaskId>,
    /// So many fallbacks are behind it.
    places: BTreeMap<TaskId, u32>,
}

fn session_of(life: &Lifecycle) -> Option<String> {
    life.agent.as_ref().and_then(|agent| agent.session.clone())
}

/// Where a task of an agent is asked, as this row of it says.
pub(super) fn place_of(task: &Task, life: &Lifecycle) -> Option<Place> {
    let prompt = task.spec.command.prompt()?;
    let moved = life.agent.as_ref().and_then(|agent| agent.moved.as_ref());
    Some(moved.map_or_else(|| prompt.place(), |moved| moved.to.clone()))
}

impl Sessions {
    pub(super) fn begin_commit(&mut self) {
        self.fresh.clear();
    }

    /// Tasks whose sessions the last commit has handed to a person.
    pub(super) fn fresh(&self) -> &[TaskId] {
        &self.fresh
    }

    /// The tasks whose sessions persons have.
    pub(super) fn in_hand(&self) -> impl Iterator<Item = &TaskId> {
        self.hands.keys()
    }

    /// Whether a person has, or had, the session of this task.
    pub(super) fn was_attached(&self, id: &TaskId) -> bool {
        self.ever.contains(id)
    }

    pub(super) fn forget(&mut self, id: &TaskId) {
        self.hands.remove(id);
        self.back.remove(id);
        self.ever.remove(id);
        self.places.remove(id);
    }

    pub(super) fn check(
        &mut self,
        task: &Task,
        before: &Lifecycle,
        event: &Event,
        after: &Lifecycle,
        observed: &Observation,
    ) -> Judged {
        let id = &task.id;
        match event {
            Event::Attached { by } => {
                let agent = before.agent.as_ref();
                let has_session = agent.is_some_and(|agent| agent.begun && agent.session.is_some());
                demand(has_session, IN_HAND, || {
                    format!("{id}: there is no session to attach")
                })?;
                let former = self.hands.insert(id.clone(), (*by, session_of(before)));
                demand(
                    former.is_none(),
                    "one holder of a session at a time",
                    || format!("{id}: user {by} gets what {former:?} has"),
                )?;
                self.ever.insert(id.clone());
                self.fresh.push(id.clone());
            }
            Event::Detached => {
                let held = self.hands.remove(id);
                let asked = observed.handed_back.contains(id);
                demand(held.is_some() && asked, IN_HAND, || {
                    format!("{id}: taken out of {held:?}'s hands, asked for: {asked}")
                })?;
                self.back.insert(id.clone(), session_of(before));
            }
            Event::Claimed { run, .. } => {
                if let Some(session) = self.back.remove(id) {
                    let goes_on = run
                        .as_ref()
                        .is_some_and(|run| run.resume && Some(&run.session) == session.as_ref());
                    demand(goes_on, SAME_SESSION, || {
                        format!("{id}: {session:?} was handed back, and {run:?} follows")
                    })?;
                }
            }
            Event::Moved {
                to, from, tried, ..
            } => {
                self.back.remove(id);
                self.check_move(task, before, after, (from, to, *tried))?;
            }
            Event::Reopened => {
                self.back.remove(id);
                self.places.remove(id);
            }
            _ => {}
        }
        if after.state.is_final() {
            self.hands.remove(id);
            self.back.remove(id);
        }
        let Some((by, session)) = self.hands.get(id) else {
            return demand(after.attached().is_none(), IN_HAND, || {
                format!("{id}: nobody has taken {:?}", after.attached())
            });
        };
        let is_kept = after.attached().is_some_and(|it| it.by == *by)
            && after.pause_reasons.contains(&PauseReason::Person)
            && session_of(after) == *session
            && !after.state.holds_slot();
        demand(is_kept, IN_HAND, || {
            format!("{id}: user {by} has {session:?}, and {event:?} makes it {after:?}")
        })
    }

    fn check_move(
        &mut self,
        task: &Task,
        before: &Lifecycle,
        after: &Lifecycle,
        (from, to, tried): (&Place, &Place, u32),
    ) -> Judged {
        let id = &task.id;
        let former = self.places.insert(id.clone(), tried).unwrap_or(0);
        demand(tried > former, FORWARD, || {
            format!("{id}: place {tried} after {former}")
        })?;
        let prompt = task.spec.command.prompt();
        let named = prompt.and_then(|prompt| prompt.fallback.get(tried as usize - 1));
        demand(named == Some(to), FORWARD, || {
            format!("{id}: goes to {to}, place {tried} is {named:?}")
        })?;
        demand(
            place_of(task, before).as_ref() == Some(from),
            FORWARD,
            || {
                format!(
                    "{id}: goes from {from}, it was at {:?}",
                    place_of(task, before)
                )
            },
        )?;
        demand(session_of(after).is_none(), FORWARD, || {
            format!("{id}: takes its session along")
        })?;
        let (spent, was) = (after.retries, before.retries);
        demand(spent == was, "going on elsewhere costs no retry", || {
            format!("{id}: {spent} retries after {was}")
        })
    }
}

/// Where a task goes it may start now, and where it comes from it would have had to wait.
pub(super) fn check_doors(
    id: &TaskId,
    (from, to): (&Place, &Place),
    account_of: &dyn Fn(&Place) -> Option<Account>,
    policy: &Policy,
    now: Timestamp,
) -> Judged {
    let model = |place: &Place| place.model.clone();
    let there = account_of(to);
    let shut = there.as_ref().and_then(|account| {
        let mut holds = account.holds().iter();
        let covers = |hold: &&crate::holds::Hold| hold.covers(model(to).as_deref());
        holds.find(|hold| covers(hold) && !hold.due(now, policy))
    });
    demand(
        shut.is_none(),
        "nobody goes on where it must wait, too",
        || format!("{id}: goes to {to}, which is held by {shut:?}"),
    )?;
    let here = account_of(from);
    let waits = here.is_some_and(|account| {
        let mut holds = account.holds().iter();
        holds.any(|hold| hold.covers(model(from).as_deref()))
    });
    demand(waits, "nobody leaves an account that is open", || {
        format!("{id}: leaves {from}")
    })
}

impl Judge {
    /// The tasks whose sessions persons have.
    pub fn in_hand(&self) -> impl Iterator<Item = &TaskId> {
        self.sessions.in_hand()
    }

    /// A person was told that they have the session now.
    ///
    /// # Errors
    /// When that is not committed.
    pub fn handed_over(&self, id: &TaskId) -> Judged {
        let is_so = self.sessions.was_attached(id) || !self.tasks.contains_key(id);
        demand(is_so, "no reply before its commit", || {
            format!("{id} was handed over, and is not attached")
        })
    }

    /// Nothing of a task runs any more when its session is handed to a person.
    ///
    /// # Errors
    /// What does.
    pub fn check_hands(&self, machine: &Machine) -> Judged {
        for id in self.sessions.fresh() {
            let mut all = machine.processes.values();
            let runs = all.find(|it| it.attempt.task == *id && it.kind == Kind::Member);
            demand(
                runs.is_none(),
                "nothing of a task runs when its session is handed over",
                || format!("{id} is attached, and {runs:?} lives"),
            )?;
        }
        Ok(())
    }
}
