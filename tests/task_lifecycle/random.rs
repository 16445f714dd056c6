//! Random lives.

use auto_claude::task::{
    AgentRun, Event, Further, Intent, IntentKind, Lifecycle, Next, Outcome, OutcomeKind,
    PauseReason, Place, Report, Timestamp,
};
use proptest::prelude::*;

use super::{at, born};

fn time() -> impl Strategy<Value = Timestamp> {
    prop_oneof![
        8 => (0_i64..10_000_000).prop_map(at),
        1 => any::<i64>().prop_map(Timestamp::from_ms),
    ]
}

fn reason() -> impl Strategy<Value = PauseReason> {
    proptest::sample::select(PauseReason::ALL.to_vec())
}

fn next() -> impl Strategy<Value = Next> {
    prop_oneof![
        Just(Next::Pending),
        Just(Next::Complete),
        Just(Next::Fail),
        (time(), any::<bool>(), any::<bool>(), any::<bool>()).prop_map(
            |(not_before, spends_retry, counts_as_restart, resume)| Next::Retry {
                not_before,
                spends_retry,
                counts_as_restart,
                resume,
            }
        ),
        (
            time(),
            proptest::sample::select(vec![Further::Chunk, Further::WrapUp])
        )
            .prop_map(|(not_before, why)| Next::Continue { not_before, why }),
        Just(Next::Wait),
        reason().prop_map(|reason| Next::Pause { reason }),
        Just(Next::Cancel),
        Just(Next::Review),
        Just(Next::Defer),
        Just(Next::Test),
    ]
}

/// An outcome that the decision could have met with that answer, most of the time.
fn end() -> impl Strategy<Value = Event> {
    let kinds = OutcomeKind::ALL.to_vec();
    (
        next(),
        proptest::sample::select(kinds),
        any::<bool>(),
        time(),
        proptest::option::of(report()),
    )
        .prop_map(|(next, any_kind, fitting, ended_at, report)| {
            let kind = match next {
                Next::Pending if fitting => OutcomeKind::NeverRan,
                Next::Complete | Next::Continue { .. } if fitting => OutcomeKind::Succeeded,
                Next::Wait if fitting => OutcomeKind::Limited,
                Next::Pending
                | Next::Complete
                | Next::Fail
                | Next::Retry { .. }
                | Next::Continue { .. }
                | Next::Wait
                | Next::Pause { .. }
                | Next::Cancel
                | Next::Review
                | Next::Defer
                | Next::Test => any_kind,
            };
            Event::Ended {
                outcome: Outcome::of(kind),
                ended_at,
                next,
                report: report.map(Box::new),
            }
        })
}

/// How the attempt of an agent begins: one of few sessions, so that some are resumed.
fn run() -> impl Strategy<Value = AgentRun> {
    (0_u32..3, any::<bool>(), any::<bool>()).prop_map(|(session, resume, probe)| AgentRun {
        session: format!("session-{session}"),
        resume,
        probe,
        budget_micro_usd: None,
    })
}

fn report() -> impl Strategy<Value = Report> {
    (any::<Option<u64>>(), proptest::option::of("[a-z]{1,8}")).prop_map(
        |(cost_micro_usd, session)| Report {
            cost_micro_usd,
            session,
            ..Report::default()
        },
    )
}

fn place(account: &str) -> Place {
    Place {
        agent: "claude".to_owned(),
        account: account.to_owned(),
        model: None,
    }
}

fn event() -> impl Strategy<Value = Event> {
    let intent = (
        proptest::sample::select(IntentKind::ALL.to_vec()),
        any::<Option<u64>>(),
    );
    prop_oneof![
        1 => proptest::option::of(time()).prop_map(|not_before| Event::Submitted { not_before }),
        // Generation 0 stands for "the right one" (see below).
        12 => (prop_oneof![9 => Just(0), 1 => any::<u32>()], 0_u32..4, proptest::option::of(run()))
            .prop_map(|(generation, slot, run)| Event::Claimed { generation, slot, run: run.map(Box::new) }),
        3 => time().prop_map(|started_at| Event::Started { started_at }),
        3 => intent.prop_map(|(kind, grace_ms)| Event::IntentSet { intent: Intent { kind, grace_ms } }),
        10 => end(),
        2 => reason().prop_map(|reason| Event::Paused { reason }),
        4 => reason().prop_map(|reason| Event::Resumed { reason }),
        3 => any::<u32>().prop_map(|by| Event::Attached { by }),
        2 => Just(Event::Detached),
        2 => (0_u32..4).prop_map(|tried| Event::Moved {
            to: Box::new(place("to")),
            from: Box::new(place("from")),
            why: "5-hour limit".to_owned(),
            tried,
        }),
        1 => Just(Event::Cancelled),
        2 => Just(Event::Held),
        2 => Just(Event::Released),
        1 => Just(Event::DependencyFailed { dependency: "task_0000000000000".to_owned() }),
        1 => Just(Event::Screened { question: "?".to_owned() }),
        2 => Just(Event::Approved),
        1 => Just(Event::Rejected),
        2 => Just(Event::Answered),
        4 => Just(Event::Reopened),
        2 => (any::<bool>(), proptest::option::of(time())).prop_map(|(at, not_before)| Event::Edited {
            fields: if at { vec!["at".to_owned()] } else { vec![] },
            not_before,
        }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_life_stays_sound_and_is_the_fold_of_its_journal(
        events in proptest::collection::vec((event(), time()), 1..200)
    ) {
        let mut row = born();
        let mut journal = vec![(Event::Submitted { not_before: None }, at(0))];
        for (event, time) in events {
            let event = if let Event::Claimed { generation: 0, slot, run } = event {
                Event::Claimed { generation: row.generation + 1, slot, run }
            } else {
                event
            };
            let Ok(next) = row.apply(&event, time) else { continue };
            prop_assert_eq!(next.check(), Ok(()), "after {:?} on {:?}", event, row);
            let claimed = matches!(event, Event::Claimed { .. });
            prop_assert_eq!(next.generation - row.generation, u32::from(claimed), "only a claim fences");
            if row.attached().is_some() && event != Event::Detached {
                prop_assert!(
                    next.attached() == row.attached() || next.state.is_final(),
                    "{:?} let go of a session in a person's hands", event
                );
            }
            prop_assert_eq!(
                row.state.is_final() && event != Event::Reopened, false,
                "{:?} moved a final task", event
            );
            let stored = serde_json::to_string(&next).unwrap();
            prop_assert_eq!(serde_json::from_str::<Lifecycle>(&stored).unwrap(), next.clone());
            // The journal is kept as text: what is folded is what was read back.
            let text = serde_json::to_string(&event).unwrap();
            journal.push((serde_json::from_str(&text).unwrap(), time));
            row = next;
        }
        prop_assert_eq!(Lifecycle::fold(journal), Ok(row));
    }
}
