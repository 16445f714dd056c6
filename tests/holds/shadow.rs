//! The second account of the same events.

use std::collections::BTreeMap;

use auto_claude::holds::{
    Account, Ask, Change, Hit, Hold, HoldKind, Overage, Policy, Run, Start, Wish, same_model,
};
use auto_claude::task::{AttemptId, Block, BlockKind, Priority, TaskId, Timestamp, Window};
use proptest::sample::Index;

use super::steps::Step;

pub type Key = (HoldKind, Option<String>);

/// A run that lives, and the holds that it started under, as they were then.
struct Live {
    run: Run,
    began: Timestamp,
    tests: BTreeMap<Key, Option<Timestamp>>,
}

pub struct Shadow {
    pub account: Account,
    pub now: Timestamp,
    pub clock_was_set_back: bool,
    policy: Policy,
    live: Vec<Live>,
    runs: u32,
}

pub fn attempt(n: u32) -> Run {
    Run::Attempt(AttemptId {
        task: TaskId::from_random(u128::from(n)),
        generation: 1,
    })
}

fn key(hold: &Hold) -> Key {
    (hold.kind, hold.model.clone())
}

fn kind_of(index: usize) -> HoldKind {
    HoldKind::all().nth(index).unwrap()
}

/// How long a hold lasts, as an order.
fn lasts(until: Option<Timestamp>) -> i64 {
    until.map_or(i64::MAX, Timestamp::as_ms)
}

impl Shadow {
    pub fn new(policy: Policy, now: Timestamp) -> Self {
        let run = |n| Live {
            run: attempt(n),
            began: now,
            tests: BTreeMap::new(),
        };
        Self {
            account: Account::default(),
            now,
            clock_was_set_back: false,
            policy,
            // Some run before anything is known.
            live: (0..4).map(run).collect(),
            runs: 4,
        }
    }

    fn latest(&self) -> Timestamp {
        let max_ms = i64::try_from(self.policy.hold_max_ms).unwrap_or(i64::MAX);
        self.now.plus_ms(max_ms)
    }

    fn find(&self, wanted: &Key) -> Option<&Hold> {
        self.account
            .holds()
            .iter()
            .find(|hold| key(hold) == *wanted)
    }

    pub fn end_all_runs(&mut self) {
        for live in std::mem::take(&mut self.live) {
            self.account.ended(&live.run);
        }
        assert_eq!(
            self.account.probe(),
            None,
            "nothing runs, so nothing probes"
        );
    }

    pub fn take(&mut self, step: &Step) {
        match step {
            Step::Clock(ms) => {
                self.clock_was_set_back |= *ms < 0;
                self.now = self.now.plus_ms(*ms);
            }
            Step::Restart => {
                let json = serde_json::to_vec(&self.account).unwrap();
                self.account = serde_json::from_slice(&json).unwrap();
            }
            Step::Block {
                run,
                block,
                ahead_ms,
                random,
            } => {
                let until = ahead_ms.map(|ms| self.now.plus_ms(ms));
                let block = Block {
                    until,
                    ..block.clone()
                };
                self.block(run, &block, *random);
            }
            Step::Observe {
                run,
                windows,
                overage,
            } => self.observe(run, windows, *overage),
            Step::Served { run } => self.served(run),
            Step::Ended { run } => {
                let before = self.account.holds().to_vec();
                if let Some(index) = self.pick(run) {
                    let live = self.live.remove(index);
                    self.account.ended(&live.run);
                }
                self.only_lengthened(&before);
                assert_eq!(before.len(), self.account.holds().len());
            }
            Step::Start {
                model,
                priority,
                own,
            } => self.start(*model, *priority, *own),
            Step::Set {
                kind,
                model,
                ahead_ms,
            } => self.set(kind_of(*kind), *model, *ahead_ms),
            Step::Clear { kind, model } => {
                let ended = self.account.clear(kind.map(kind_of), *model, self.now);
                for hold in ended {
                    assert!(kind.is_none_or(|kind| hold.kind == kind_of(kind)));
                    assert!(model.is_none_or(|model| hold.model.as_deref() == Some(model)));
                }
            }
        }
        self.sound();
    }

    fn pick(&self, run: &Index) -> Option<usize> {
        (!self.live.is_empty()).then(|| run.index(self.live.len()))
    }

    /// Every hold that there was is there and waits at least as long. A time further ahead than any hold may wait was written
    /// before the clock was set back: it counts as come, for the gate too.
    fn only_lengthened(&self, before: &[Hold]) {
        for old in before {
            let now = self
                .find(&key(old))
                .or_else(|| self.find(&(old.kind, None)))
                .unwrap_or_else(|| unreachable!("{old:?} is gone"));
            let come = |until: &Timestamp| *until > self.latest();
            let bound = old
                .until
                .map(|until| if come(&until) { self.now } else { until });
            assert!(lasts(now.until) >= lasts(bound), "{old:?} became {now:?}");
            assert!(now.strikes >= old.strikes);
        }
    }

    /// What changed is bounded from now.
    fn bounded(&self, hold: &Hold) {
        assert!(
            hold.until.is_none_or(|until| until <= self.latest()),
            "{hold:?}"
        );
        assert!(hold.until.is_none_or(|until| until >= self.now), "{hold:?}");
    }

    fn block(&mut self, run: &Index, block: &Block, random: u64) {
        let Some(index) = self.pick(run) else { return };
        let before = self.account.holds().to_vec();
        let live = self.live.remove(index);
        let probe = self
            .account
            .probe()
            .is_some_and(|probe| probe.run == live.run);
        let hit = Hit {
            run: &live.run,
            at: self.now,
            random,
            detail: "text",
        };
        let held = self.account.block(block, &hit, &self.policy);
        self.only_lengthened(&before);
        assert_eq!(held.hold.kind, HoldKind::Block(block.kind));
        assert_eq!(self.find(&key(&held.hold)), Some(&held.hold));
        let old = before.iter().find(|old| key(old) == key(&held.hold));
        match held.change {
            Change::Began => {
                self.bounded(&held.hold);
                let merged = before.iter().any(|old| old.kind == held.hold.kind);
                assert!(held.hold.strikes == 1 || merged);
            }
            Change::Lengthened => {
                self.bounded(&held.hold);
                assert_ne!(old.unwrap().until, held.hold.until);
            }
            Change::Same => assert_eq!(old.unwrap().until, held.hold.until),
            Change::Replaced => unreachable!("no person acted"),
        }
        if let Some(old) = old {
            let allowed = old.strikes.saturating_add(u32::from(probe)).max(1);
            assert_eq!(
                held.hold.strikes,
                allowed,
                "{old:?} {live:?}",
                live = live.run
            );
        }
        if block.kind == BlockKind::Login {
            assert_eq!(held.hold.until, None);
        }
        assert!(
            self.account
                .probe()
                .is_none_or(|probe| probe.run != live.run)
        );
    }

    fn observe(&mut self, run: &Index, told: &[(Window, Option<i64>)], overage: bool) {
        let Some(index) = self.pick(run) else { return };
        let before = self.account.holds().to_vec();
        let windows: Vec<Window> = told
            .iter()
            .map(|(window, ahead_ms)| Window {
                resets_at: ahead_ms.map(|ms| self.now.plus_ms(ms)),
                ..window.clone()
            })
            .collect();
        let live = &self.live[index];
        let hit = Hit {
            run: &live.run,
            at: self.now,
            random: 7,
            detail: "",
        };
        let held = self.account.observe(&windows, overage, &hit, &self.policy);
        let paid = HoldKind::Block(BlockKind::Overage);
        match self.policy.overage {
            Overage::Stop => {
                self.only_lengthened(&before);
                assert_eq!(held.is_some(), overage);
                if overage {
                    // What was paid for is no proof.
                    self.live[index].tests.clear();
                    assert!(self.find(&(paid, None)).is_some());
                }
            }
            Overage::Allow => {
                let kept: Vec<Hold> = before.into_iter().filter(|old| old.kind != paid).collect();
                self.only_lengthened(&kept);
                assert_eq!(held, None);
            }
        }
    }

    /// Only what a run started under, and only as it was then, ends by its success.
    fn served(&mut self, run: &Index) {
        let Some(index) = self.pick(run) else { return };
        let before = self.account.holds().to_vec();
        let live = &mut self.live[index];
        let tests = std::mem::take(&mut live.tests);
        let ended = self.account.served(&live.run, live.began, self.now);
        for hold in &ended {
            let then = tests.get(&key(hold));
            assert_eq!(then, Some(&hold.until), "{hold:?} was proved over");
        }
        let gone = |old: &Hold| ended.iter().any(|hold| key(hold) == key(old));
        let kept: Vec<Hold> = before.into_iter().filter(|old| !gone(old)).collect();
        assert_eq!(kept.len(), self.account.holds().len());
        self.only_lengthened(&kept);
    }

    /// Under a hold starts one run at most, and only when the time of every hold over it has come.
    fn start(&mut self, model: Option<&'static str>, priority: Priority, own: bool) {
        self.runs += 1;
        let run = if own {
            Run::OwnProbe
        } else {
            attempt(self.runs)
        };
        if own && self.live.iter().any(|live| live.run == run) {
            return;
        }
        let ask = Ask {
            model,
            priority,
            now: self.now,
        };
        let over: Vec<Hold> = self
            .account
            .holds()
            .iter()
            .filter(|hold| {
                let paid = hold.kind == HoldKind::Block(BlockKind::Overage);
                !(paid && self.policy.overage == Overage::Allow)
            })
            .filter(|hold| match (&hold.model, model) {
                (Some(held), Some(asked)) => same_model(held, asked),
                (None, _) | (_, None) => true,
            })
            .cloned()
            .collect();
        let before = self.account.clone();
        match self.account.start(&run, &ask, &self.policy) {
            Start::Refused => {
                assert_eq!(self.account, before, "a refusal changes nothing");
                return;
            }
            Start::Free => assert!(over.is_empty(), "{over:?}"),
            Start::Probe => {
                assert!(!over.is_empty());
                for hold in &over {
                    let until = hold.until.expect("a person's is never tested");
                    assert!(
                        until <= self.now || until > self.latest(),
                        "{hold:?} is not due"
                    );
                    let other = self
                        .live
                        .iter()
                        .find(|live| live.tests.get(&key(hold)) == Some(&hold.until));
                    assert!(other.is_none(), "{hold:?} is tested already");
                }
                assert_eq!(self.account.probe().map(|probe| &probe.run), Some(&run));
            }
        }
        self.live.push(Live {
            run,
            began: self.now,
            tests: over.iter().map(|hold| (key(hold), hold.until)).collect(),
        });
    }

    fn set(&mut self, kind: HoldKind, model: Option<&'static str>, ahead_ms: Option<i64>) {
        let before = self.account.clone();
        let wish = Wish {
            kind,
            model,
            until: ahead_ms.map(|ms| self.now.plus_ms(ms)),
            detail: "",
        };
        match self.account.set(&wish, self.now, &self.policy) {
            Ok(held) => {
                self.bounded(&held.hold);
                assert_eq!(held.hold.until, wish.until);
                let same = |hold: &&Hold| key(hold) == key(&held.hold);
                assert_eq!(self.account.holds().iter().filter(same).count(), 1);
                let replaced = before.holds().iter().any(|hold| same(&hold));
                assert_eq!(held.change == Change::Replaced, replaced);
                // It is another hold than the one that a run may have started under.
                for live in &mut self.live {
                    live.tests.remove(&key(&held.hold));
                }
            }
            Err(_) => assert_eq!(self.account, before, "a refusal changes nothing"),
        }
    }

    /// What holds always.
    fn sound(&mut self) {
        let holds = self.account.holds();
        let mut keys: Vec<Key> = holds.iter().map(key).collect();
        keys.sort();
        keys.dedup();
        assert_eq!(keys.len(), holds.len(), "one hold of each kind and model");
        let named = holds.iter().filter(|hold| hold.model.is_some()).count();
        assert!(named <= Account::MODEL_HOLDS_MAX);
        if let Some(probe) = self.account.probe() {
            let lives = self.live.iter().any(|live| live.run == probe.run);
            assert!(lives, "{probe:?} does not live");
        }
        // A hold that is gone, or was lengthened, is not tested any more by who started under it.
        let now: BTreeMap<Key, Option<Timestamp>> =
            holds.iter().map(|hold| (key(hold), hold.until)).collect();
        for live in &mut self.live {
            live.tests
                .retain(|key, until| now.get(key) == Some(&*until));
        }
        assert!(
            self.account
                .next_look(self.now, &self.policy)
                .is_none_or(|look| look > self.now)
        );
    }
}
