//! What events do to a row: each payload by hand, and random lives against the invariants and the fold.
#![expect(clippy::unwrap_used, reason = "tests")]

mod agents;
mod attempts;
mod random;
mod waiting;

use auto_claude::task::{
    Event, Intent, IntentKind, Lifecycle, Next, Outcome, OutcomeKind, Timestamp,
};

pub(crate) const fn at(ms: i64) -> Timestamp {
    Timestamp::from_ms(1_800_000_000_000 + ms)
}

pub(crate) fn born() -> Lifecycle {
    Lifecycle::birth(&Event::Submitted { not_before: None }).unwrap()
}

pub(crate) fn claimed() -> Lifecycle {
    born()
        .apply(
            &Event::Claimed {
                generation: 1,
                slot: 0,
                run: None,
            },
            at(1),
        )
        .unwrap()
}

pub(crate) fn ended(kind: OutcomeKind, next: Next) -> Event {
    Event::Ended {
        outcome: Outcome::of(kind),
        ended_at: at(5),
        next,
        report: None,
    }
}

pub(crate) fn intend(kind: IntentKind) -> Event {
    Event::IntentSet {
        intent: Intent::of(kind),
    }
}

pub(crate) const RETRY: Next = Next::Retry {
    not_before: at(100),
    spends_retry: true,
    counts_as_restart: false,
    resume: false,
};

/// Applies all, checking each row.
pub(crate) fn live(events: &[Event]) -> Lifecycle {
    events.iter().fold(born(), |row, event| {
        let next = row.apply(event, at(9)).unwrap();
        next.check().unwrap();
        next
    })
}
