//! The real handler on the real store, through thousands of random lives: submissions, wishes, ends of every kind, late and
//! repeated reports, clocks that jump, transactions that are lost, daemons and machines that die. Nothing is mocked but
//! processes and their records (`machine`). `HANDLER_LIVES_SEED=n` repeats one life, `HANDLER_LIVES_SEEDS=n` lives more.

#![expect(clippy::disallowed_methods, reason = "the speed of the lives is shown")]
#![expect(clippy::unwrap_used, reason = "tests")]
#![expect(
    clippy::wildcard_enum_match_arm,
    clippy::cast_possible_truncation,
    reason = "draws out of small ranges"
)]

mod chance;
mod draw;
mod life;
mod machine;
mod sometimes;
mod watch;

use std::time::Instant;

use auto_claude::supervisor::event::AttemptReport;
use auto_claude::task::{AfterFailed, AttemptId, IfLost, Outcome, OutcomeKind};

use crate::draw::Sent;
use crate::life::{Fate, Life, settings};
use crate::machine::Record;
use crate::sometimes::{MET, Sometimes};

/// Lives in `make test`.
const SEEDS: u64 = 60;
/// Transactions of a life before its faults stop.
const STEPS: u32 = 250;
/// Transactions in which everything that goes on by itself must be final after that.
const HEAL_STEPS: u32 = 600;

/// Ends that a worker may report.
const ENDS: [OutcomeKind; 9] = [
    OutcomeKind::Succeeded,
    OutcomeKind::Exited,
    OutcomeKind::Signaled,
    OutcomeKind::OutOfMemory,
    OutcomeKind::TimedOut,
    OutcomeKind::Idle,
    OutcomeKind::Interrupted,
    OutcomeKind::Limited,
    OutcomeKind::Lost,
];

impl Life {
    /// Between two transactions: the clock, the machine and its workers.
    fn world_moves(&mut self) {
        let ms = match self.chance.below(20) {
            0 => 3_600_000,
            1 | 2 => self.chance.below(120_000).cast_signed(),
            3 => {
                self.met.meet("clock set back");
                -self.chance.below(100_000).cast_signed()
            }
            _ => self.chance.below(3_000).cast_signed(),
        };
        self.now = self.now.plus_ms(ms);
        {
            let mut machine = self.sim.0.borrow_mut();
            machine.no_records = self.chance.percent(4);
            machine.disk_low = self.chance.percent(6);
            if self.chance.percent(30) {
                machine.busy.clear();
            }
        }
        for _ in 0..self.chance.below(3) {
            let workers: Vec<AttemptId> = self.sim.0.borrow().workers.keys().cloned().collect();
            if let Some(attempt) = self.chance.pick(&workers) {
                self.worker_moves(&attempt.clone());
            }
        }
    }

    fn worker_moves(&mut self, attempt: &AttemptId) {
        let record = self.sim.0.borrow().records.get(attempt).cloned();
        let blank = record == Some(Record::Blank);
        if self.chance.percent(5) {
            let detail = "in state D".to_owned();
            let attempt = attempt.clone();
            return self.report(AttemptReport::Stuck { attempt, detail });
        }
        if blank && self.chance.percent(80) {
            self.starts(attempt);
            return;
        }
        let kind = if blank {
            *self
                .chance
                .pick(&[OutcomeKind::NeverRan, OutcomeKind::SpawnFailed])
                .unwrap()
        } else if self.chance.percent(30) {
            OutcomeKind::Succeeded
        } else {
            *self.chance.pick(&ENDS).unwrap()
        };
        let mut outcome = Outcome::of(kind);
        let told = self
            .sim
            .0
            .borrow()
            .workers
            .get(attempt)
            .is_some_and(Option::is_some);
        outcome.stop_sent = told && self.chance.percent(60);
        let report = self.end(attempt, outcome);
        self.report(report);
    }

    fn starts(&mut self, attempt: &AttemptId) {
        let started_at = self.now;
        self.sim
            .0
            .borrow_mut()
            .records
            .insert(attempt.clone(), Record::Started(started_at));
        if self.chance.percent(60) {
            let attempt = attempt.clone();
            self.report(AttemptReport::Started {
                attempt,
                started_at,
            });
        }
    }

    fn draw_event(&mut self) -> Sent {
        let ids = self.watch.ids();
        match self.chance.below(100) {
            0..3 if !self.sent.is_empty() => {
                // Sent again, as a client does that has heard nothing: another id, the same key.
                let mut again = self.chance.pick(&self.sent).unwrap().clone();
                again.id = draw::new_id(&mut self.chance);
                Sent::Submit(Box::new(again))
            }
            0..25 => {
                let request = draw::submission(&mut self.chance, &ids, self.now);
                self.sent.push(request.clone());
                Sent::Submit(Box::new(request))
            }
            25..45 => Sent::Act(draw::act(&mut self.chance, &ids, self.now)),
            45..60 => {
                let running = self
                    .handler
                    .slots()
                    .map(|(_, attempt)| attempt.task.clone())
                    .collect::<Vec<_>>();
                Sent::Act(draw::act(&mut self.chance, &running, self.now))
            }
            60..85 => match self.chance.take(&mut self.reports) {
                Some(report) => {
                    if self.chance.percent(15) {
                        self.reports.push(report.clone());
                    }
                    Sent::Report(report)
                }
                None => Sent::Timer,
            },
            85..90 => match self.chance.pick(&self.told) {
                // Only what is past may come again: of an attempt that runs, the one true end is on its way.
                Some(report) if !self.is_current(report) => {
                    self.met.meet("late report");
                    Sent::Report(report.clone())
                }
                Some(_) | None => Sent::Timer,
            },
            90..92 => {
                self.settings = settings(1 + self.chance.below(4) as u32);
                Sent::Settings(self.settings.clone())
            }
            92 => Sent::StopAll,
            93..96 => Sent::SetClaims(self.chance.percent(85)),
            96 => Sent::Cleanup(self.now.plus_ms(-60_000)),
            _ => Sent::Timer,
        }
    }

    fn is_current(&self, report: &AttemptReport) -> bool {
        self.handler
            .slots()
            .any(|(_, attempt)| attempt == report.attempt())
    }

    fn step(&mut self) {
        self.world_moves();
        let events = (0..=self.chance.below(4))
            .map(|_| self.draw_event())
            .collect();
        let fate = match self.chance.below(100) {
            0..5 => {
                self.met.meet("Lost transaction");
                Fate::Lost
            }
            5..9 => Fate::DiesBefore,
            9..13 => Fate::DiesAfter,
            _ => Fate::Commits,
        };
        self.transact(events, fate);
        if self.chance.percent(3) {
            self.handler.set_disk_full(true);
        } else if self.chance.percent(50) {
            self.handler.set_disk_full(false);
        }
    }

    /// The faults stop. Whatever does not wait for a person must become final, woken by nothing but what the handler asked
    /// for and what its attempts report.
    fn heal(&mut self) {
        self.healed = true;
        {
            let mut machine = self.sim.0.borrow_mut();
            (machine.no_records, machine.disk_low) = (false, false);
            machine.busy.clear();
            let refused = machine.refused_busy;
            (0..refused).for_each(|_| self.met.meet("refused as busy"));
        }
        self.handler.set_disk_full(false);
        // After what the faults have left: losses that are still to be reported may stop all claims, until a person lifts that.
        let mut events: Vec<_> = self.reports.drain(..).map(Sent::Report).collect();
        events.push(Sent::SetClaims(true));
        self.transact(events, Fate::Commits);
        for _ in 0..HEAL_STEPS {
            let workers: Vec<AttemptId> = self.sim.0.borrow().workers.keys().cloned().collect();
            for attempt in workers {
                if self.sim.0.borrow().records.get(&attempt) == Some(&Record::Blank) {
                    self.starts(&attempt);
                }
                let told = self.sim.0.borrow().workers[&attempt].is_some();
                let fails = told || self.chance.percent(20);
                let kind = if fails {
                    OutcomeKind::Exited
                } else {
                    OutcomeKind::Succeeded
                };
                let mut outcome = Outcome::of(kind);
                outcome.stop_sent = told;
                let report = self.end(&attempt, outcome);
                self.report(report);
            }
            let mut events: Vec<_> = self.reports.drain(..).map(Sent::Report).collect();
            if events.is_empty() {
                match self.wake {
                    wake if wake.at_once => {}
                    // The timer fires when the time has come; one that has passed fires once.
                    wake if wake.at.is_some_and(|at| at > self.now) => self.now = wake.at.unwrap(),
                    _ => break,
                }
                events.push(Sent::Timer);
            }
            self.transact(events, Fate::Commits);
        }
        let stays: Vec<_> = self
            .watch
            .tasks()
            .filter(|task| self.watch.goes_on(task))
            .collect();
        assert!(
            stays.is_empty(),
            "{} stay, the first: {:?}",
            stays.len(),
            stays.first()
        );
    }
}

fn live(seed: u64) -> (Sometimes, u64) {
    let mut life = Life::new(seed);
    for _ in 0..STEPS {
        life.step();
    }
    life.heal();
    life.close()
}

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}

#[test]
fn every_life_keeps_every_promise() {
    if let Some(seed) = number("HANDLER_LIVES_SEED") {
        let (met, _) = live(seed);
        eprintln!("{met}");
        return;
    }
    let seeds = number("HANDLER_LIVES_SEEDS").unwrap_or(SEEDS);
    let (mut met, mut steps) = (Sometimes::default(), 0);
    let begin = Instant::now();
    for seed in 0..seeds {
        let (one, taken) = live(seed);
        met.add(&one);
        steps += taken;
    }
    let seconds = begin.elapsed().as_secs_f64();
    eprintln!(
        "{met}\n{seeds} lives, {steps} transactions, {:.0} per second",
        steps as f64 / seconds
    );
    met.assert_met(&MET);
}

#[test]
fn a_life_repeats_itself() {
    let met = |seed| live(seed).0.to_string();
    assert_eq!(met(7), met(7));
    assert_ne!(met(7), met(8));
}

#[test]
fn more_tasks_are_due_than_one_transaction_takes() {
    let mut life = Life::new(0);
    life.healed = true;
    let due = life.now.plus_ms(1_000);
    let many = u64::from(auto_claude::store::PROMOTE_CHUNK) + 5;
    let mut roomy = (*settings(1)).clone();
    roomy.max_queue_length = many;
    let mut events = vec![Sent::Settings(roomy.into())];
    events.extend((0..many).map(|n| {
        let mut request = draw::submission(&mut life.chance, &[], life.now);
        request.key = format!("key {n}");
        request.spec.at = Some(due);
        request.spec.after.clear();
        request.spec.exclusive = None;
        Sent::Submit(Box::new(request))
    }));
    life.transact(events, Fate::Commits);
    assert_eq!(
        life.wake.at,
        Some(due),
        "it wants to be woken when they are due"
    );
    life.now = due;
    life.transact(vec![Sent::Timer], Fate::Commits);
    assert!(life.wake.at_once, "the rest is not left to the next event");
    life.transact(vec![Sent::Timer], Fate::Commits);
    assert!(!life.wake.at_once);
    assert_eq!(life.wake.at, None, "nothing waits for its time any more");
}

fn submit(life: &mut Life, key: &str) -> auto_claude::task::TaskId {
    let mut request = draw::submission(&mut life.chance, &[], life.now);
    request.key = key.to_owned();
    request.spec.priority = auto_claude::task::Priority::Normal;
    request.spec.if_lost = Some(IfLost::Rerun);
    (request.spec.at, request.spec.exclusive) = (None, None);
    request.spec.after.clear();
    let id = request.id.clone();
    life.transact(vec![Sent::Submit(Box::new(request))], Fate::Commits);
    id
}

#[test]
fn what_waits_for_a_full_disk_is_looked_at_again() {
    let mut life = Life::new(0);
    life.healed = true;
    life.transact(vec![Sent::SetClaims(false)], Fate::Commits);
    submit(&mut life, "one");
    life.handler.set_disk_full(true);
    life.transact(vec![Sent::SetClaims(true)], Fate::Commits);
    assert_eq!(life.watch.running().len(), 0);
    let at = life.wake.at;
    assert!(
        at > Some(life.now),
        "nothing else would tell of space that came back"
    );
    life.handler.set_disk_full(false);
    life.now = at.unwrap();
    life.transact(vec![Sent::Timer], Fate::Commits);
    assert_eq!(life.watch.running().len(), 1);
}

#[test]
fn a_task_that_is_still_being_ended_holds_up_no_other() {
    let mut life = Life::new(0);
    life.healed = true;
    let one = vec![Sent::Settings(settings(1)), Sent::SetClaims(false)];
    life.settings = settings(1);
    life.transact(one, Fate::Commits);
    let first = submit(&mut life, "first");
    let second = submit(&mut life, "second");
    life.sim.0.borrow_mut().busy.insert(first);
    life.transact(vec![Sent::SetClaims(true)], Fate::Commits);
    let running = life.watch.running();
    assert_eq!(running[&1].id, second, "the one slot goes to the next one");
    assert!(
        life.wake.at > Some(life.now),
        "the first is looked at again"
    );
}

/// A daemon that was away for long hears late of an end, and a clean-up comes in the same transaction: the end is older than
/// what is kept, so the task goes at once, and those that waited for it start.
#[test]
fn what_ends_and_is_cleaned_up_at_once_lets_those_that_wait_for_it_start() {
    for after_failed in [AfterFailed::Fail, AfterFailed::Run] {
        let mut life = Life::new(0);
        life.healed = true;
        let first = submit(&mut life, "first");
        let attempt = life.watch.running()[&1].attempt();
        life.starts(&attempt);
        life.reports.clear();
        let mut request = draw::submission(&mut life.chance, &[], life.now);
        request.key = "second".to_owned();
        (request.spec.at, request.spec.exclusive) = (None, None);
        (request.spec.after, request.spec.after_failed) = (vec![first.clone()], after_failed);
        let second = request.id.clone();
        life.transact(vec![Sent::Submit(Box::new(request))], Fate::Commits);
        assert_eq!(life.watch.running().len(), 1, "the second one waits");

        let ended = life.end(&attempt, Outcome::of(OutcomeKind::Succeeded));
        life.now = life.now.plus_ms(3_600_000);
        let before = life.now.plus_ms(-60_000);
        let both = vec![Sent::Report(ended), Sent::Cleanup(before)];
        life.transact(both, Fate::Commits);
        assert!(!life.watch.ids().contains(&first), "the first one is gone");
        assert_eq!(life.watch.running()[&1].id, second, "the second one starts");
    }
}

/// So many losses stop all claims; a person who lifts that after the last one was reported sees everything go on.
#[test]
fn losses_that_are_reported_late_are_lifted_with_the_others() {
    let mut life = Life::new(0);
    for key in ["first", "second"] {
        submit(&mut life, key);
    }
    let running = life.watch.running();
    assert_eq!(running.len(), 2);
    for task in running.values() {
        life.starts(&task.attempt());
        let lost = life.end(&task.attempt(), Outcome::of(OutcomeKind::Lost));
        life.report(lost);
    }
    life.heal();
}
