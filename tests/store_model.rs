//! The store against a model: random batches on a real database, with steps that fail, batches that are dropped, and the
//! store opened again at any point. After each batch everything the store says must be what the model says; at the end
//! the full check must be clean.
#![expect(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod store_support;

use std::collections::{BTreeMap, BTreeSet};

use auto_claude::store::{
    ApplyError, Batch, ListFilter, NewTask, PROMOTE_CHUNK, Reader, Store, StoreError, Submission,
    SubmitError, Tx, check,
};
use auto_claude::task::{
    Actor, Event, Intent, IntentKind, Next, Outcome, OutcomeKind, PauseReason, Priority, State,
    Task, TaskId, Timestamp,
};
use proptest::prelude::*;
use store_support::{at, id, new, options, spec};

#[derive(Debug, Clone)]
enum Cmd {
    Submit {
        key: u8,
        content: u8,
        priority: Priority,
        lane: Option<u8>,
        after: Vec<u8>,
        delay: Option<i16>,
        env: u8,
    },
    Claim,
    Apply {
        pick: u8,
        event: EventKind,
    },
    Edit {
        pick: u8,
        priority: Priority,
        lane: Option<u8>,
        delay: Option<i16>,
    },
    Promote {
        pass_ms: u16,
    },
    Delete {
        limit: u8,
    },
    Stale {
        pick: u8,
    },
}

#[derive(Debug, Clone, Copy)]
enum EventKind {
    Started,
    Complete,
    Fail,
    Retry(u8),
    NeverRan,
    Lost,
    Cancel,
    IntendPause,
    EndPaused,
    Pause,
    Resume,
    Reopen,
    Screen,
    Approve,
    DependencyFailed,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum End {
    Commit,
    Drop,
    CommitAndReopen,
    DropAndReopen,
}

/// What the store should hold.
#[derive(Debug, Clone, Default)]
struct Model {
    tasks: BTreeMap<i64, Known>,
    keys: BTreeMap<(u32, String), (u64, i64)>,
    now_ms: i64,
}

#[derive(Debug, Clone)]
struct Known {
    task: Task,
    waits: BTreeSet<TaskId>,
    journal: Vec<(Timestamp, Event)>,
}

impl Known {
    fn can_be_claimed(&self) -> bool {
        self.task.life.state.is_claimable() && self.waits.is_empty()
    }
}

impl Model {
    fn pick(&self, pick: u8) -> Option<Known> {
        let n = self.tasks.len();
        (n > 0).then(|| {
            self.tasks
                .values()
                .nth(usize::from(pick) % n)
                .unwrap()
                .clone()
        })
    }

    fn by_id(&self, id: &TaskId) -> Option<&Known> {
        self.tasks.values().find(|known| known.task.id == *id)
    }

    fn unfinished(&self, ids: &[TaskId]) -> BTreeSet<TaskId> {
        let open = |id: &&TaskId| {
            self.by_id(id)
                .is_some_and(|known| !known.task.life.state.is_final())
        };
        ids.iter().filter(open).cloned().collect()
    }

    fn claimable(&self, now: Timestamp) -> Vec<Task> {
        let busy: BTreeSet<_> = self
            .tasks
            .values()
            .filter(|known| known.task.slot.is_some())
            .filter_map(|known| known.task.spec.exclusive.clone())
            .collect();
        let mut ready: Vec<_> = self
            .tasks
            .values()
            .filter(|known| {
                known.can_be_claimed() && known.task.life.not_before.is_none_or(|time| time <= now)
            })
            .map(|known| known.task.clone())
            .collect();
        ready.sort_by_key(|task| (std::cmp::Reverse(task.spec.priority), task.seq));
        let mut lanes = busy;
        ready.retain(|task| {
            task.spec
                .exclusive
                .clone()
                .is_none_or(|lane| lanes.insert(lane))
        });
        ready
    }

    fn next_due(&self, now: Timestamp) -> Option<Timestamp> {
        self.tasks
            .values()
            .filter(|known| known.can_be_claimed())
            .filter_map(|known| known.task.life.not_before.filter(|time| *time > now))
            .min()
    }

    fn free_slot(&self) -> u32 {
        (0..)
            .find(|slot| {
                self.tasks
                    .values()
                    .all(|known| known.task.slot != Some(*slot))
            })
            .unwrap()
    }

    /// What the model expects of an event, with the waits of others left to [`Model::settle`].
    fn moved(&self, known: &Known, event: &Event, now: Timestamp) -> Option<Known> {
        let life = known.task.life.apply(event, now).ok()?;
        let mut after = known.clone();
        let claimed = if let Event::Claimed { slot, .. } = event {
            Some(*slot)
        } else {
            known.task.slot
        };
        after.task.slot = claimed.filter(|_| life.state.holds_slot());
        if matches!(event, Event::Reopened) {
            after.waits = self.unfinished(&known.task.spec.after);
        } else if life.state.is_final() {
            after.waits.clear();
        }
        after.task.life = life;
        after.journal.push((now, event.clone()));
        Some(after)
    }
}

fn event_of(kind: EventKind, task: &Task, now: Timestamp) -> Event {
    let ended = |kind, next| Event::Ended {
        outcome: Outcome::of(kind),
        ended_at: now,
        next,
        report: None,
    };
    match kind {
        EventKind::Started => Event::Started { started_at: now },
        EventKind::Complete => ended(OutcomeKind::Succeeded, Next::Complete),
        EventKind::Fail => ended(OutcomeKind::Exited, Next::Fail),
        EventKind::Retry(delay) => ended(
            OutcomeKind::Signaled,
            Next::Retry {
                not_before: now.plus_ms(i64::from(delay)),
                spends_retry: true,
                counts_as_restart: false,
                resume: true,
            },
        ),
        EventKind::NeverRan => ended(OutcomeKind::NeverRan, Next::Pending),
        EventKind::Lost => ended(
            OutcomeKind::Lost,
            Next::Retry {
                not_before: now,
                spends_retry: false,
                counts_as_restart: true,
                resume: true,
            },
        ),
        EventKind::Cancel => {
            if task.life.state.holds_slot() {
                ended(OutcomeKind::Signaled, Next::Cancel)
            } else {
                Event::Cancelled
            }
        }
        EventKind::IntendPause => Event::IntentSet {
            intent: Intent {
                kind: IntentKind::Pause,
                grace_ms: Some(5),
            },
        },
        EventKind::EndPaused => ended(
            OutcomeKind::Signaled,
            Next::Pause {
                reason: PauseReason::Person,
            },
        ),
        EventKind::Pause => Event::Paused {
            reason: PauseReason::Person,
        },
        EventKind::Resume => Event::Resumed {
            reason: PauseReason::Person,
        },
        EventKind::Reopen => Event::Reopened,
        EventKind::Screen => Event::Screened {
            question: String::from("really?"),
        },
        EventKind::Approve => Event::Approved,
        EventKind::DependencyFailed => Event::DependencyFailed {
            dependency: id(0).to_string(),
        },
    }
}

/// Applies one event to both; a task that becomes final satisfies its dependants, as the supervisor does it.
fn apply(model: &mut Model, tx: &Tx<'_>, known: &Known, event: &Event, now: Timestamp) {
    let expected = model.moved(known, event, now);
    let got = tx.apply(&known.task, event, now, Actor::Daemon);
    let Some(expected) = expected else {
        assert!(
            matches!(got, Err(ApplyError::Illegal(_))),
            "{event:?} on {known:?} gave {got:?}"
        );
        return;
    };
    assert_eq!(got.unwrap(), expected.task, "{event:?}");
    let finished = expected.task.life.state.is_final() && !known.task.life.state.is_final();
    let on = expected.task.id.clone();
    model.tasks.insert(expected.task.seq, expected);
    if finished {
        let dependants = tx.dependants(&on).unwrap();
        let waiting: Vec<Task> = model
            .tasks
            .values()
            .filter(|known| known.waits.contains(&on))
            .map(|known| known.task.clone())
            .collect();
        assert_eq!(dependants, waiting, "dependants of {on}");
        for dependant in dependants {
            tx.satisfy(&dependant, &on).unwrap();
            model
                .tasks
                .get_mut(&dependant.seq)
                .unwrap()
                .waits
                .remove(&on);
        }
    }
}

fn submit(model: &mut Model, tx: &Tx<'_>, asked: &NewTask, now: Timestamp) {
    let got = tx.submit(asked, now, Actor::User(asked.uid));
    let key = (asked.uid, asked.key.clone());
    match model.keys.get(&key) {
        Some((fingerprint, seq)) if *fingerprint == asked.fingerprint => {
            assert_eq!(
                got.unwrap(),
                Submission::Same(model.tasks[seq].task.clone())
            );
        }
        Some((_, seq)) => {
            let other = model.tasks[seq].task.id.clone();
            assert!(
                matches!(&got, Err(SubmitError::KeyConflict(id)) if *id == other),
                "{got:?}"
            );
        }
        None if model.by_id(&asked.id).is_some() => {
            assert!(matches!(got, Err(SubmitError::IdTaken)), "{got:?}")
        }
        None => {
            let Ok(Submission::Fresh(task)) = got else {
                panic!("{got:?}")
            };
            assert_eq!(
                (&task.id, &task.spec, task.uid, task.created_at),
                (&asked.id, &asked.spec, asked.uid, now)
            );
            assert!(
                model.tasks.keys().all(|seq| *seq < task.seq),
                "order of submission"
            );
            model.keys.insert(key, (asked.fingerprint, task.seq));
            let journal = vec![(
                now,
                Event::Submitted {
                    not_before: asked.spec.at,
                },
            )];
            model.tasks.insert(
                task.seq,
                Known {
                    task,
                    waits: asked.unmet.iter().cloned().collect(),
                    journal,
                },
            );
        }
    }
}

fn lane_name(lane: Option<u8>) -> Option<String> {
    lane.map(|lane| format!("lane {lane}"))
}

#[expect(clippy::too_many_lines, reason = "one arm for each command")]
fn run(model: &mut Model, tx: &Tx<'_>, cmd: &Cmd, serial: u64) {
    let now = at(model.now_ms);
    match cmd {
        Cmd::Submit {
            key,
            content,
            priority,
            lane,
            after,
            delay,
            env,
        } => {
            let mut wanted = spec(&format!("content {content}"));
            wanted.priority = *priority;
            wanted.exclusive = lane_name(*lane);
            wanted.at = delay.map(|delay| now.plus_ms(i64::from(delay)));
            wanted.after = after
                .iter()
                .filter_map(|pick| model.pick(*pick))
                .map(|known| known.task.id)
                .collect();
            wanted.after.dedup();
            wanted.env.insert(String::from("N"), env.to_string());
            if *env == 0 {
                wanted.env.clear();
            }
            let unmet = model.unfinished(&wanted.after).into_iter().collect();
            let asked = NewTask {
                key: format!("key {key}"),
                fingerprint: u64::MAX - u64::from(*content),
                spec: wanted,
                unmet,
                ..new(serial)
            };
            submit(model, tx, &asked, now);
        }
        Cmd::Claim => {
            if let Some(task) = tx.claimable(1).unwrap().first() {
                let slot = model.free_slot();
                let known = model.tasks[&task.seq].clone();
                let event = Event::Claimed {
                    generation: task.life.generation + 1,
                    slot,
                    run: None,
                };
                apply(model, tx, &known, &event, now);
            }
        }
        Cmd::Apply { pick, event } => {
            if let Some(known) = model.pick(*pick) {
                let event = event_of(*event, &known.task, now);
                apply(model, tx, &known, &event, now);
            }
        }
        Cmd::Edit {
            pick,
            priority,
            lane,
            delay,
        } => {
            let Some(known) = model.pick(*pick) else {
                return;
            };
            let mut wanted = known.task.spec.clone();
            wanted.priority = *priority;
            wanted.exclusive = lane_name(*lane);
            wanted
                .env
                .insert(String::from("EDITED"), serial.to_string());
            let mut fields = vec![String::from("priority"), String::from("exclusive")];
            if delay.is_some() {
                wanted.at = delay.map(|delay| now.plus_ms(i64::from(delay)));
                fields.push(String::from("at"));
            }
            let not_before = if delay.is_some() { wanted.at } else { None };
            let event = Event::Edited {
                fields: fields.clone(),
                not_before,
            };
            let expected = model.moved(&known, &event, now);
            let got = tx.edit(&known.task, &wanted, fields, now, Actor::User(1000));
            match expected {
                None => assert!(matches!(got, Err(ApplyError::Illegal(_))), "{got:?}"),
                Some(mut expected) => {
                    expected.task.spec = wanted;
                    assert_eq!(got.unwrap(), expected.task);
                    model.tasks.insert(expected.task.seq, expected);
                }
            }
        }
        Cmd::Promote { pass_ms } => model.now_ms += i64::from(*pass_ms),
        Cmd::Delete { limit } => delete(model, tx, u32::from(*limit)),
        Cmd::Stale { pick } => {
            let Some(known) = model.pick(*pick) else {
                return;
            };
            let mut stale = known.task;
            stale.life.generation += 1;
            let got = tx.apply(&stale, &Event::Cancelled, now, Actor::Daemon);
            assert!(
                matches!(got, Err(ApplyError::Stale(_) | ApplyError::Illegal(_))),
                "{got:?}"
            );
        }
    }
}

fn delete(model: &mut Model, tx: &Tx<'_>, limit: u32) {
    let before = at(model.now_ms);
    let awaited: BTreeSet<_> = model
        .tasks
        .values()
        .flat_map(|known| known.waits.iter().cloned())
        .collect();
    let mut old: Vec<_> = model
        .tasks
        .values()
        .filter(|known| {
            known
                .task
                .life
                .finished_at
                .is_some_and(|time| time < before)
                && !awaited.contains(&known.task.id)
        })
        .map(|known| {
            (
                known.task.life.finished_at,
                known.task.seq,
                known.task.id.clone(),
            )
        })
        .collect();
    old.sort();
    old.truncate(limit as usize);
    let expected: Vec<_> = old.iter().map(|(_, _, id)| id.clone()).collect();
    assert_eq!(tx.delete_final(before, limit).unwrap(), expected);
    for (_, seq, _) in old {
        model.tasks.remove(&seq);
        model.keys.retain(|_, (_, kept)| *kept != seq);
    }
}

/// Everything the store says, against the model.
fn compare(model: &Model, store: &mut Store, reader: &Reader) {
    let now = at(model.now_ms);
    let mut batch = store.batch().unwrap();
    step(&mut batch, |tx| {
        while tx.promote_due(now).unwrap() == u64::from(PROMOTE_CHUNK) {}
        assert_eq!(
            tx.claimable(1_000).unwrap(),
            model.claimable(now),
            "claimable"
        );
        assert_eq!(tx.next_due().unwrap(), model.next_due(now), "next due");
        let mut running: Vec<_> = model
            .tasks
            .values()
            .filter(|known| known.task.slot.is_some())
            .map(|known| known.task.clone())
            .collect();
        running.sort_by_key(|task| task.slot);
        assert_eq!(tx.running().unwrap(), running, "running");
    });
    batch.commit().unwrap();

    let all: Vec<Task> = model
        .tasks
        .values()
        .map(|known| known.task.clone())
        .collect();
    let mut listed = Vec::new();
    let mut filter = ListFilter {
        oldest_first: true,
        limit: 3,
        ..ListFilter::default()
    };
    loop {
        let page = reader.list(&filter).unwrap();
        assert!(page.unreadable.is_empty(), "{:?}", page.unreadable);
        listed.extend(page.tasks);
        filter.cursor = page.next_cursor;
        if filter.cursor.is_none() {
            break;
        }
    }
    assert_eq!(listed, all, "list");
    let counts = reader.counts().unwrap();
    for state in State::ALL {
        let expected = all.iter().filter(|task| task.life.state == state).count() as u64;
        assert_eq!(counts.of(state), expected, "{state:?}");
    }
}

fn step(batch: &mut Batch<'_>, f: impl FnOnce(&Tx<'_>)) {
    batch
        .step(|tx| {
            f(tx);
            Ok::<_, StoreError>(())
        })
        .unwrap();
}

fn priority() -> impl Strategy<Value = Priority> {
    prop_oneof![
        Just(Priority::Low),
        Just(Priority::Normal),
        Just(Priority::High),
        Just(Priority::Urgent)
    ]
}

fn event_kind() -> impl Strategy<Value = EventKind> {
    prop_oneof![
        3 => Just(EventKind::Complete),
        1 => Just(EventKind::Started),
        1 => Just(EventKind::Fail),
        2 => any::<u8>().prop_map(EventKind::Retry),
        1 => Just(EventKind::NeverRan),
        1 => Just(EventKind::Lost),
        1 => Just(EventKind::Cancel),
        1 => Just(EventKind::IntendPause),
        1 => Just(EventKind::EndPaused),
        1 => Just(EventKind::Pause),
        1 => Just(EventKind::Resume),
        1 => Just(EventKind::Reopen),
        1 => Just(EventKind::Screen),
        1 => Just(EventKind::Approve),
        1 => Just(EventKind::DependencyFailed),
    ]
}

fn cmd() -> impl Strategy<Value = Cmd> {
    let lane = || proptest::option::of(0_u8..2);
    let delay = || proptest::option::weighted(0.3, -50_i16..200);
    prop_oneof![
        5 => (0_u8..20, 0_u8..3, priority(), lane(), proptest::collection::vec(any::<u8>(), 0..3), delay(), 0_u8..3).prop_map(
            |(key, content, priority, lane, after, delay, env)| Cmd::Submit { key, content, priority, lane, after, delay, env }
        ),
        4 => Just(Cmd::Claim),
        6 => (any::<u8>(), event_kind()).prop_map(|(pick, event)| Cmd::Apply { pick, event }),
        1 => (any::<u8>(), priority(), lane(), delay())
            .prop_map(|(pick, priority, lane, delay)| Cmd::Edit { pick, priority, lane, delay }),
        1 => (0_u16..100).prop_map(|pass_ms| Cmd::Promote { pass_ms }),
        1 => (1_u8..5).prop_map(|limit| Cmd::Delete { limit }),
        1 => any::<u8>().prop_map(|pick| Cmd::Stale { pick }),
    ]
}

fn end() -> impl Strategy<Value = End> {
    prop_oneof![5 => Just(End::Commit), 1 => Just(End::Drop), 1 => Just(End::CommitAndReopen), 1 => Just(End::DropAndReopen)]
}

/// A batch: its commands, each with whether its step fails afterwards, and how it ends.
fn batches() -> impl Strategy<Value = Vec<(Vec<(Cmd, bool)>, End)>> {
    let step = (cmd(), proptest::bool::weighted(0.1));
    proptest::collection::vec((proptest::collection::vec(step, 1..8), end()), 1..14)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

    #[test]
    fn the_store_does_what_the_model_does(batches in batches()) {
        let directory = tempfile::tempdir().unwrap();
        let mut store = store_support::open(directory.path());
        let mut model = Model::default();
        let mut serial = 0;
        for (commands, end) in batches {
            let before = model.clone();
            let mut batch = store.batch().unwrap();
            for (cmd, fails) in commands {
                serial += 1;
                let kept = model.clone();
                let result = batch.step(|tx| {
                    run(&mut model, tx, &cmd, serial);
                    if fails { Err(StoreError::Undone) } else { Ok(()) }
                });
                if result.is_err() {
                    let now_ms = model.now_ms;
                    model = Model { now_ms, ..kept };
                }
            }
            if matches!(end, End::Commit | End::CommitAndReopen) {
                batch.commit().unwrap();
            } else {
                drop(batch);
                let now_ms = model.now_ms;
                model = Model { now_ms, ..before };
            }
            if matches!(end, End::CommitAndReopen | End::DropAndReopen) {
                drop(store);
                store = store_support::open(directory.path());
                prop_assert!(store.set_aside().is_empty(), "{:?}", store.set_aside());
            }
            let reader = store.reader().unwrap();
            compare(&model, &mut store, &reader);
        }
        let reader = store.reader().unwrap();
        for known in model.tasks.values() {
            let journal: Vec<_> =
                reader.journal(&known.task.id).unwrap().into_iter().map(|row| (row.at, row.event)).collect();
            prop_assert_eq!(&journal, &known.journal);
        }
        let report = check(&options(directory.path()).path, &mut |_| {}).unwrap();
        prop_assert!(report.is_sound(), "{:?}", report.problems);
        prop_assert_eq!(report.tasks, model.tasks.len() as u64);
    }
}
