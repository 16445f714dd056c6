//! The heal phase: faults stop, and whatever does not wait for a person must end within a bound, woken by nothing but what the
//! daemon asked for and what its attempts report.

use super::chance::Chance;
use super::client::{Sent, UID};
use super::judge::Violation;
use super::machine::Kind;
use super::money;
use super::op::{Op, OpKind};
use super::worker::{self, Phase};
use super::world::World;
use std::sync::Arc;

use crate::budget::Budget;
use crate::supervisor::account::AccountChange;
use crate::supervisor::command::{ActRequest, Action, SpecPatch};
use crate::task::{Actor, AttemptId, PauseReason, Prompt, State, Task, TaskId, Timestamp};

/// Rounds in which everything must have ended.
const ROUNDS_MAX: u32 = 20_000;
/// A person looks after what only a person ends (losses that stopped all claims, dead logins) once in so many rounds.
const PERSON_EVERY: u32 = 40;
/// Time passes by so much where nobody knows of a time that is due.
const IDLE_MS: u64 = 500;
/// A chain of predecessors is followed so far.
const DEPTH_MAX: u32 = 64;

impl World {
    /// Stops the faults and waits until everything has ended.
    ///
    /// # Errors
    /// What has not, or a promise that is broken meanwhile.
    pub(super) fn heal(&mut self, chance: &mut Chance) -> Result<&'static str, Violation> {
        self.repair();
        self.server.open();
        self.healing = true;
        let mut settings = (*self.settings).clone();
        money::raise(&mut settings, chance.percent(50));
        self.settings = Arc::new(settings);
        self.start(None)?;
        if let Some(daemon) = &mut self.daemon {
            daemon.healing = true;
            let settings = Sent::Settings(Arc::clone(&self.settings));
            daemon.events.push_back(settings);
        }
        let mut round = 0;
        while self.goes_on() {
            round += 1;
            if round > ROUNDS_MAX {
                self.judge.all_heard()?;
                return Err(self.stays());
            }
            if round % PERSON_EVERY == 1 {
                self.person_looks();
            }
            if !self.round(chance)? {
                self.wait_for_what_is_due();
            }
        }
        self.healing = false;
        if let Some(daemon) = &mut self.daemon {
            daemon.healing = false;
            // What is over makes room: the next round begins with an almost empty queue.
            let all = Timestamp::from_ms(self.machine.get().wall_ms + 1);
            daemon.events.push_back(Sent::Cleanup(all));
        }
        self.met.meet("heal");
        Ok("everything has ended")
    }

    /// Everybody does what there is to do. False when there was nothing.
    fn round(&mut self, chance: &mut Chance) -> Result<bool, Violation> {
        let mut moved = false;
        while self
            .daemon
            .as_ref()
            .is_some_and(|daemon| !daemon.outs.is_empty())
        {
            let what = self.carry(chance)?;
            self.tick(what);
            moved = true;
        }
        if let Some(daemon) = &mut self.daemon {
            let steps = daemon.attend_all(&self.machine, chance, &mut self.met);
            for step in steps {
                self.attended(&step)?;
                self.tick(step.what);
            }
        }
        moved |= self.workers_work(chance)?;
        let now = self.machine.get().now();
        let waits = self.daemon.as_mut().is_some_and(|daemon| {
            daemon.look_at_the_clock(now);
            !daemon.events.is_empty()
        });
        if waits {
            let what = self.batch(chance, false)?;
            self.tick(what);
            moved = true;
        }
        Ok(moved)
    }

    fn tick(&mut self, what: &'static str) {
        self.machine.get().pass(1);
        let op = Op {
            kind: OpKind::Heal,
            roll: 0,
        };
        self.note(op, what);
    }

    fn workers_work(&mut self, chance: &mut Chance) -> Result<bool, Violation> {
        let workers: Vec<(i32, bool)> = {
            let machine = self.machine.get();
            let all = machine.processes.iter();
            all.filter_map(|(pid, it)| match &it.kind {
                Kind::Worker(worker) if worker.hung => None,
                Kind::Worker(worker) => {
                    // What is to be stopped ends by that alone: a wish that nobody brings is found out.
                    let row = self.judge.task(&it.attempt.task);
                    let is_wished = row.is_some_and(|task| {
                        task.attempt() == it.attempt && task.life.intent.is_some()
                    });
                    let waits =
                        worker.phase == Phase::Running && worker.told.is_none() && is_wished;
                    Some((*pid, waits))
                }
                Kind::Member => None,
            })
            .collect()
        };
        let mut moved = false;
        for (pid, waits) in workers {
            if waits {
                continue;
            }
            let mut machine = self.machine.get();
            let what = worker::step(&mut machine, &self.server, pid, true, chance)?;
            drop(machine);
            if what != "no worker" {
                moved = true;
                self.tick(what);
            }
        }
        Ok(moved)
    }

    /// A person lifts what only a person lifts.
    fn person_looks(&mut self) {
        let closed = self.judge.closed_accounts();
        if let Some(daemon) = &mut self.daemon {
            daemon.events.push_back(Sent::SetClaims(true));
            for (agent, name) in closed {
                let clear = AccountChange::Clear(None);
                daemon.events.push_back(Sent::Account(agent, name, clear));
            }
            for id in self.judge.in_hand() {
                daemon.events.push_back(wish(id, Action::Detach));
            }
            let is_paused = |task: &&Task| is_paused_for_money(task);
            for task in self.judge.tasks().filter(is_paused) {
                if task.spec.command.prompt().is_some() {
                    let budget = Some(Budget::NONE);
                    let patch = SpecPatch {
                        budget,
                        ..SpecPatch::default()
                    };
                    let edit = Action::Edit(Box::new(patch));
                    daemon.events.push_back(wish(&task.id, edit));
                }
                let reason = PauseReason::Person;
                let resume = wish(&task.id, Action::Resume { reason });
                daemon.events.push_back(resume);
            }
        }
    }

    fn wait_for_what_is_due(&mut self) {
        let mut machine = self.machine.get();
        let (wall_ms, mono_ms) = (machine.wall_ms, machine.mono_ms);
        let daemon = self.daemon.as_ref();
        let wake = daemon
            .and_then(|daemon| daemon.wake.at)
            .and_then(|at| u64::try_from(at.as_ms() - wall_ms).ok());
        let due = daemon
            .and_then(super::daemon::Daemon::due_ms)
            .and_then(|at| at.checked_sub(mono_ms));
        let next = wake.into_iter().chain(due).filter(|ms| *ms > 0).min();
        machine.pass(next.unwrap_or(IDLE_MS));
    }

    /// Something still moves by itself.
    fn goes_on(&self) -> bool {
        self.judge.owes_notices() || self.judge.tasks().any(|task| self.moves(task, DEPTH_MAX))
    }

    /// Whether the task goes on without a person, or with one that hands its session back or raises its budget: not final, not paused for
    /// anything else, not asking, not behind such a one.
    fn moves(&self, task: &Task, depth: u32) -> bool {
        let by_itself = match task.life.state {
            State::Pending
            | State::Processing
            | State::Retrying
            | State::Testing
            | State::WaitingUnban => true,
            // A person hands back what they have, and raises what is used up.
            State::Paused => task.life.attached().is_some() || is_paused_for_money(task),
            State::NeedsHumanReview | State::Completed | State::Failed | State::Cancelled => false,
        };
        let ready = |on: &TaskId| {
            self.judge.task(on).is_none_or(|on| {
                on.life.state.is_final()
                    || task.life.state != State::Pending
                    || (depth > 0 && self.moves(on, depth - 1))
            })
        };
        by_itself && task.spec.after.iter().all(ready)
    }

    fn stays(&self) -> Violation {
        let stays: Vec<&Task> = self
            .judge
            .tasks()
            .filter(|task| self.moves(task, DEPTH_MAX))
            .collect();
        let all = stays.iter().map(|task| {
            let agent = task.spec.command.prompt().map(Prompt::gate);
            let attempt = task.attempt();
            let machine = self.machine.get();
            let processes: Vec<_> = machine
                .processes
                .values()
                .filter(|it| it.attempt.task == task.id)
                .collect();
            let record = machine.records.get(&attempt);
            let next = AttemptId {
                generation: attempt.generation + 1,
                ..attempt.clone()
            };
            let next = machine.records.get(&next);
            format!(
                "{attempt} {:?} {agent:?}; processes {processes:?}; record {record:?}; of the next one {next:?}; handler {:?}",
                task.life,
                self.daemon.as_ref().map(|daemon| &daemon.handler)
            )
        });
        let all = all.collect::<Vec<_>>().join("\n");
        Violation::new(
            "everything moves once faults stop",
            format!("{} tasks stay: {all}", stays.len()),
        )
    }
}

fn wish(id: &TaskId, action: Action) -> Sent {
    Sent::Act(ActRequest {
        id: id.clone(),
        action,
        actor: Actor::User(UID),
        dry_run: false,
    })
}

/// Whether a person who raises its budget lets it go on.
fn is_paused_for_money(task: &Task) -> bool {
    let reasons = &task.life.pause_reasons;
    task.life.state == State::Paused
        && reasons.contains(&PauseReason::Budget)
        && !reasons.contains(&PauseReason::Resources)
}
