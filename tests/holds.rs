//! The promises of `src/holds`, over any sequence of hits, successes, probes, wishes of a person and jumps of the clock.
//!
//! A second, slower account of the same events is kept beside the room (`Shadow`): which runs live, which of them started
//! under which hold, and what each hold's time was then. The promises are judged by it, not by the room's own marks.

#![expect(clippy::unwrap_used, reason = "tests")]

#[path = "holds/shadow.rs"]
mod shadow;
#[path = "holds/steps.rs"]
mod steps;

use auto_claude::holds::{Account, Ask, Gate, HoldKind, Overage, Policy, Run, Start, Why};
use auto_claude::task::{BlockKind, Priority, Timestamp};
use proptest::prelude::*;

use shadow::{Shadow, attempt};
use steps::{MODELS, Step, policies, starts, steps};

fn config() -> ProptestConfig {
    ProptestConfig {
        failure_persistence: None,
        cases: 1500,
        ..ProptestConfig::default()
    }
}

const DAY_MS: i64 = 24 * 3_600_000;

fn lived(policy: &Policy, begin: Timestamp, steps: &[Step]) -> Shadow {
    let mut shadow = Shadow::new(policy.clone(), begin);
    for step in steps {
        shadow.take(step);
    }
    shadow
}

fn ask(model: Option<&'static str>, priority: Priority, now: Timestamp) -> Ask<'static> {
    Ask {
        model,
        priority,
        now,
    }
}

/// All who may ask.
fn asks(now: Timestamp) -> Vec<Ask<'static>> {
    let models = MODELS.into_iter().map(Some).chain([None]);
    models
        .flat_map(|model| {
            [
                ask(model, Priority::Low, now),
                ask(model, Priority::Urgent, now),
            ]
        })
        .collect()
}

/// The answer without its times.
fn answer(gate: Gate<'_>) -> &'static str {
    match gate {
        Gate::Open => "open",
        Gate::Probe { .. } => "probe",
        Gate::Closed { why, .. } => match why {
            Why::Hold(_) => "held",
            Why::Probing { .. } => "probing",
            Why::Reserve(_) => "reserve",
            Why::Release => "release",
        },
    }
}

proptest! {
    #![proptest_config(config())]

    /// `Shadow::take` judges each step: what may shorten or end a hold, who may start, how far a time may lie, what counts
    /// as a strike.
    #[test]
    fn every_step_keeps_the_promises(
        policy in policies(), begin in starts(), steps in proptest::collection::vec(steps(), 1..60)
    ) {
        let _ = lived(&policy, begin, &steps);
    }

    /// When runs succeed, every hold with a time is over after at most `hold_max_ms`, and the account is open. After a clock
    /// was set back it may take that once more: a time too far ahead counts as come, but another hold may make its probe
    /// wait until it is near enough to be believed.
    #[test]
    fn every_hold_with_a_time_ends_when_runs_succeed(
        steps in proptest::collection::vec(steps(), 1..60), begin in starts()
    ) {
        let policy = Policy::default();
        let mut shadow = lived(&policy, begin, &steps);
        // What runs comes to its end; what waits for a person gets one.
        shadow.end_all_runs();
        let mut account = shadow.account;
        let stays: Vec<_> = account.holds().iter().filter(|hold| hold.until.is_none()).cloned().collect();
        for hold in stays {
            let _ = account.clear(Some(hold.kind), hold.model.as_deref(), shadow.now);
        }
        let mut now = shadow.now;
        let times = if shadow.clock_was_set_back { 2 } else { 1 };
        let last = now.plus_ms(times * i64::try_from(policy.hold_max_ms).unwrap());
        let mut rounds = 0_u32;
        while let Some(hold) = account.holds().first() {
            rounds += 1;
            prop_assert!(rounds < 200, "no end of {account:?}");
            let model = hold.model.clone();
            let ask = Ask { model: model.as_deref(), priority: Priority::Urgent, now };
            let run = attempt(1_000_000 + rounds);
            match account.gate(&ask, &policy) {
                Gate::Closed { until: Some(until), .. } => {
                    prop_assert!(until > now);
                    let look = account.next_look(now, &policy);
                    prop_assert!(look.is_some_and(|look| now < look && look <= until), "{look:?} {until}");
                    now = until;
                }
                Gate::Probe { .. } => {
                    prop_assert_eq!(account.start(&run, &ask, &policy), Start::Probe);
                    let ended = account.served(&run, now, now);
                    prop_assert!(!ended.is_empty());
                }
                other @ (Gate::Open | Gate::Closed { until: None, .. }) => prop_assert!(false, "{other:?}"),
            }
        }
        prop_assert!(now <= last, "{now} is later than {last}");
        // Then one after the other, and after one success all at once.
        let urgent = |now| ask(None, Priority::Urgent, now);
        if let Gate::Closed { until, .. } = account.gate(&urgent(now), &policy) {
            now = until.unwrap();
        }
        let run = attempt(2_000_000);
        prop_assert_eq!(account.start(&run, &urgent(now), &policy), Start::Free);
        let _ = account.served(&run, now, now);
        prop_assert_eq!(account.gate(&urgent(now), &policy), Gate::Open);
    }

    /// Between now and the next look, no answer changes by itself; and at `until` the asker's answer does.
    #[test]
    fn nobody_has_to_look_before_the_next_look(
        policy in policies(), steps in proptest::collection::vec(steps(), 1..40), part in 0.0..1.0_f64
    ) {
        // A clock that is set back leaves times that cannot come: they are judged elsewhere.
        let steps: Vec<Step> = steps.into_iter().filter(|step| !matches!(step, Step::Clock(..0))).collect();
        let shadow = lived(&policy, "2026-11-25T01:00:00Z".parse().unwrap(), &steps);
        let (account, now) = (&shadow.account, shadow.now);
        let look = account.next_look(now, &policy);
        prop_assert!(look.is_none_or(|look| look > now));
        let end = look.unwrap_or_else(|| now.plus_ms(30 * DAY_MS));
        #[expect(clippy::cast_possible_truncation, clippy::cast_precision_loss, reason = "some time between")]
        let between = now.plus_ms((end.ms_since(now) as f64 * part) as i64).min(end.plus_ms(-1));
        for (before, after) in asks(now).into_iter().zip(asks(between)) {
            let (one, other) = (account.gate(&before, &policy), account.gate(&after, &policy));
            prop_assert_eq!(answer(one), answer(other), "{:?} at {}", before, between);
            if let Gate::Closed { until: Some(until), .. } = one {
                prop_assert!(until > now);
                prop_assert!(look.is_some_and(|look| look <= until));
            }
        }
    }

    /// What is asked changes nothing, what starts is what was said, and the account reads as it was written.
    #[test]
    fn a_start_does_what_the_gate_said_and_a_value_survives_storage(
        policy in policies(), begin in starts(), steps in proptest::collection::vec(steps(), 1..40)
    ) {
        let shadow = lived(&policy, begin, &steps);
        let json = serde_json::to_string(&shadow.account).unwrap();
        let read: Account = serde_json::from_str(&json).unwrap();
        prop_assert_eq!(&read, &shadow.account);
        for ask in asks(shadow.now) {
            let said = answer(shadow.account.gate(&ask, &policy));
            let started = shadow.account.clone().start(&attempt(9_999_999), &ask, &policy);
            let expected = match said {
                "open" => Start::Free,
                "probe" => Start::Probe,
                _ => Start::Refused,
            };
            prop_assert_eq!(started, expected);
        }
        if let Some(hold) = shadow.account.own_probe(shadow.now, &policy) {
            let model = hold.model.clone().or_else(|| policy.probe_model.clone());
            let ask = Ask { model: model.as_deref(), priority: Priority::Urgent, now: shadow.now };
            let started = shadow.account.clone().start(&Run::OwnProbe, &ask, &policy);
            prop_assert_eq!(started, Start::Probe);
            prop_assert_eq!(policy.overage, Overage::Stop, "it might be paid for");
            let person = [HoldKind::Person, HoldKind::Contract];
            let money = [BlockKind::Overage, BlockKind::Credit, BlockKind::Spend, BlockKind::Login];
            for hold in shadow.account.holds().iter().filter(|hold| hold.covers(model.as_deref())) {
                prop_assert!(!person.contains(&hold.kind), "{:?}", hold);
                prop_assert!(!money.map(HoldKind::Block).contains(&hold.kind), "{:?}", hold);
            }
            // Whatever comes of them, there are a few and no more.
            let (mut account, mut now, mut sent) = (shadow.account.clone(), shadow.now, 0);
            while let Some(probe) = account.next_own(now, &policy) {
                prop_assert!(account.start_own(&probe, 0, now, &policy));
                prop_assert!(account.own_probe(now, &policy).is_none(), "one at a time");
                account.own_ended();
                sent += 1;
                prop_assert!(sent <= Account::OWN_PROBES_MAX as usize * account.holds().len());
                now = now.plus_ms(i64::try_from(Account::OWN_PROBE_PAUSE_MS << 5).unwrap());
            }
        }
    }
}
