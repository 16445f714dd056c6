//! The promises, for every combination of the decision's inputs.

use auto_claude::task::{Event, IntentKind, Lifecycle, Next, Outcome, OutcomeKind, State};

use super::cases::{Case, NOW, for_every_case, goes_on, spends};

#[test]
fn the_promises_hold_for_every_combination() {
    for_every_case(|case| {
        let next = case.decide();
        let kind = case.outcome.kind;
        let wish = case.intent.as_ref().map(|intent| intent.kind);
        let holds = |holds: bool, promise: &str| assert!(holds, "{promise}: {next:?} for {case:?}");
        holds(
            next != Next::Complete || kind == OutcomeKind::Succeeded,
            "only a success completes",
        );
        if kind == OutcomeKind::Limited {
            holds(
                !spends(next) && next != Next::Fail,
                "a limit costs no retry and fails nothing",
            );
        }
        if kind == OutcomeKind::Lost {
            holds(!spends(next), "lost spends no retry");
        }
        if matches!(kind, OutcomeKind::NeverRan | OutcomeKind::Interrupted) && wish.is_none() {
            holds(
                !spends(next) && next != Next::Fail,
                "what was not its fault costs nothing",
            );
        }
        if spends(next) {
            holds(
                case.retries < case.policy.max_retries,
                "no retry beyond those allowed",
            );
            holds(
                !case.policy.retry_on.is_empty(),
                "no failure is retried unasked",
            );
        }
        if wish == Some(IntentKind::Cancel) {
            holds(next == Next::Cancel, "an acknowledged cancel holds");
        } else {
            holds(next != Next::Cancel, "nothing is cancelled unasked");
        }
        if !case.reasons.is_empty() {
            holds(!goes_on(next), "an acknowledged pause holds");
        } else if !case.foreground {
            // A budget that is used up pauses and asks; one that has more does not.
            let is_used_up = kind == OutcomeKind::MaxBudget && !case.agent.budget_left;
            holds(
                !matches!(next, Next::Pause { .. }) || is_used_up,
                "nothing is paused unasked",
            );
        }
    });
}

#[test]
fn the_row_accepts_every_decision_and_stays_sound() {
    let birth = Lifecycle::birth(&Event::Submitted { not_before: None }).unwrap();
    let claimed = birth
        .apply(
            &Event::Claimed {
                generation: 1,
                slot: 0,
                run: None,
            },
            NOW,
        )
        .unwrap();
    for_every_case(|case| {
        if case.outcome.kind == OutcomeKind::DependencyFailed {
            return;
        }
        let mut row = claimed.clone();
        row.intent.clone_from(&case.intent);
        row.pause_reasons.clone_from(&case.reasons);
        row.check().unwrap();
        let next = case.decide();
        let ended = Event::Ended {
            outcome: case.outcome.clone(),
            ended_at: NOW,
            next,
            report: None,
        };
        let after = row.apply(&ended, NOW);
        let after = after.unwrap_or_else(|error| panic_with(case, &error.to_string()));
        after
            .check()
            .unwrap_or_else(|error| panic_with(case, &error));
        assert!(!after.state.holds_slot());
        if after.state == State::Paused {
            assert!(case.reasons.is_subset(&after.pause_reasons), "{case:?}");
        }
    });
}

/// The row after these ends, each of an attempt of its own.
fn after_ends(ends: &[(OutcomeKind, Next)]) -> Lifecycle {
    let mut row = Lifecycle::birth(&Event::Submitted { not_before: None }).unwrap();
    for (kind, next) in ends {
        let generation = row.generation + 1;
        row = row
            .apply(
                &Event::Claimed {
                    generation,
                    slot: 0,
                    run: None,
                },
                NOW,
            )
            .unwrap();
        let ended = Event::Ended {
            outcome: Outcome::of(*kind),
            ended_at: NOW,
            next: *next,
            report: None,
        };
        row = row.apply(&ended, NOW).unwrap();
        row.check().unwrap();
    }
    row
}

#[test]
fn testing_is_in_the_table_but_nothing_enters_it_yet() {
    // Acceptance is an attempt of its own, with a generation of its own; lost, it is made again.
    let row = after_ends(&[
        (OutcomeKind::Succeeded, Next::Test),
        (OutcomeKind::Lost, Next::Test),
        (OutcomeKind::Succeeded, Next::Complete),
    ]);
    assert_eq!((row.state, row.generation), (State::Completed, 3));
    // Its one entry is an end that the decision never gives.
    for_every_case(|case| assert_ne!(case.decide(), Next::Test, "{case:?}"));
}

#[test]
fn deferred_tool_calls_are_in_the_table_but_nothing_enters_them_yet() {
    let row = after_ends(&[(OutcomeKind::Succeeded, Next::Defer)]);
    let row = row.apply(&Event::Answered, NOW).unwrap();
    assert_eq!((row.state, row.resume), (State::Retrying, true));
    for_every_case(|case| assert_ne!(case.decide(), Next::Defer, "{case:?}"));
}

#[test]
fn only_a_limit_sends_a_task_behind_a_hold() {
    let row = after_ends(&[(OutcomeKind::Limited, Next::Wait)]);
    let row = row.apply(&Event::Released, NOW).unwrap();
    assert_eq!(
        row.apply(&Event::Held, NOW).unwrap().state,
        State::WaitingUnban
    );
    for_every_case(|case| {
        let limited = case.outcome.kind == OutcomeKind::Limited;
        assert!(limited || case.decide() != Next::Wait, "{case:?}");
    });
}

fn panic_with(case: &Case, error: &str) -> ! {
    panic!("{error}: {:?} for {case:?}", case.decide())
}
