//! Probes of the daemon's own.

use super::super::Overage;
use super::*;

#[test]
fn own_probes_of_a_hold_are_few_and_their_pauses_double() {
    let mut account = Account::default();
    let policy = Policy::default();
    let _ = strike(&mut account, &Block::of(BlockKind::Network), t(0));
    let mut now = t(HOUR_MS);
    for n in 0..Account::OWN_PROBES_MAX {
        let probe = account.next_own(now, &policy).expect("due");
        assert_eq!((probe.generation, &probe.model), (n + 1, &None));
        assert!(account.start_own(&probe, 7, now, &policy));
        assert_eq!(account.next_own(now, &policy), None, "one at a time");
        // Nobody knows what became of it.
        account.own_ended();
        let next = now.plus_ms((5 * MINUTE_MS) << n);
        assert_eq!(account.next_own(next.plus_ms(-1), &policy), None);
        let another = n + 1 < Account::OWN_PROBES_MAX;
        assert_eq!(account.next_own_look(now), another.then_some(next));
        now = next;
    }
    assert_eq!(account.next_own(now.plus_ms(DAY_MS), &policy), None);
    // A task is a probe all the same, and a hold that comes later has its own.
    assert_eq!(begin(&mut account, 2, None, now), Start::Probe);
    let _ = account.served(&run(2), now, now);
    let _ = strike(&mut account, &Block::of(BlockKind::Weekly), now);
    let due = now.plus_ms(HOUR_MS);
    assert!(account.next_own(due, &policy).is_some());
    let allowed = Policy {
        overage: Overage::Allow,
        ..Policy::default()
    };
    assert_eq!(
        account.next_own(due, &allowed),
        None,
        "it might be paid for"
    );
    account.give_up_own(due, &policy);
    assert_eq!(account.next_own(due, &policy), None);
}

#[test]
fn an_own_probe_that_is_served_opens_the_account() {
    let mut account = Account::default();
    let policy = Policy {
        probe_model: Some("haiku".to_owned()),
        ..Policy::default()
    };
    let _ = strike(&mut account, &Block::of(BlockKind::FiveHour), t(0));
    let _ = strike(&mut account, &model_limit("opus", t(DAY_MS)), t(0));
    let now = t(HOUR_MS);
    let probe = account.next_own(now, &policy).expect("due");
    assert_eq!(probe.model.as_deref(), Some("haiku"));
    assert_eq!(Run::Attempt(probe.like.clone()), run(1));
    assert!(account.start_own(&probe, 7, now, &policy));
    let ended = account.served(&Run::OwnProbe, now, now);
    account.own_ended();
    assert_eq!(ended.len(), 1);
    assert_eq!(account.holds().len(), 1, "opus waits on");
}

#[test]
fn an_own_probe_is_known_to_the_next_daemon() {
    let mut account = Account::default();
    let policy = Policy::default();
    let _ = strike(&mut account, &Block::of(BlockKind::Network), t(0));
    let now = t(HOUR_MS);
    assert_eq!(account.own(), None);
    let probe = account.next_own(now, &policy).expect("due");
    assert!(account.start_own(&probe, 7, now, &policy));
    let stored = serde_json::to_string(&account).unwrap();
    let mut account: Account = serde_json::from_str(&stored).unwrap();
    let own = account.own().expect("it was begun");
    assert_eq!((own.generation, own.uid, own.running), (1, 7, true));
    assert_eq!(account.holds()[0].own_probes, 1);
    account.own_ended();
    assert_eq!(account.own().map(|own| own.running), Some(false));
}

#[test]
fn a_hold_that_was_never_probed_reads_as_it_was_written_before_there_were_own_probes() {
    let mut account = Account::default();
    let _ = strike(&mut account, &Block::of(BlockKind::Network), t(0));
    let stored = serde_json::to_string(&account).unwrap();
    assert!(!stored.contains("own_probes"), "{stored}");
}
