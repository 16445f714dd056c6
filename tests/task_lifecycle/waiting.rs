//! Pauses, holds, edits, reviews and reopening; rows and journals that are broken.

use auto_claude::task::{
    ApplyError, Event, FoldError, Intent, IntentKind, Lifecycle, Next, Outcome, OutcomeKind,
    PauseReason, ResumeTo, State, Timestamp,
};

use super::{RETRY, at, born, ended, intend, live};

const CLAIM: Event = Event::Claimed {
    generation: 1,
    slot: 0,
    run: None,
};

#[test]
fn a_pause_goes_back_to_where_it_came_from() {
    let pause = Event::Paused {
        reason: PauseReason::Person,
    };
    let resume = Event::Resumed {
        reason: PauseReason::Person,
    };
    let claim = Event::Claimed {
        generation: 1,
        slot: 0,
        run: None,
    };
    let lives = [
        vec![],
        vec![claim.clone(), ended(OutcomeKind::Exited, RETRY)],
        vec![claim, ended(OutcomeKind::Limited, Next::Wait)],
    ];
    for life in lives {
        let before = live(&life);
        let paused = before.apply(&pause, at(10)).unwrap();
        assert_eq!(paused.state, State::Paused);
        let again = paused.apply(&pause, at(11));
        assert_eq!(again, Err(ApplyError::AlreadyPaused(PauseReason::Person)));
        assert_eq!(
            paused.apply(&resume, at(12)).unwrap(),
            before,
            "a pause leaves no trace"
        );
    }
}

#[test]
fn a_backoff_survives_a_hold_and_its_release() {
    let retrying = live(&[
        Event::Claimed {
            generation: 1,
            slot: 0,
            run: None,
        },
        ended(OutcomeKind::Exited, RETRY),
    ]);
    assert_eq!((retrying.retries, retrying.not_before), (1, Some(at(100))));
    let held = retrying.apply(&Event::Held, at(10)).unwrap();
    assert_eq!(held.apply(&Event::Released, at(11)).unwrap(), retrying);
}

#[test]
fn reopening_begins_anew_and_keeps_the_fence() {
    let row = live(&[
        Event::Claimed {
            generation: 1,
            slot: 0,
            run: None,
        },
        Event::Started { started_at: at(2) },
        ended(OutcomeKind::Exited, RETRY),
        Event::Claimed {
            generation: 2,
            slot: 0,
            run: None,
        },
        ended(OutcomeKind::Exited, Next::Fail),
    ]);
    assert_eq!((row.state, row.finished_at), (State::Failed, Some(at(5))));
    let row = row.apply(&Event::Reopened, at(20)).unwrap();
    assert_eq!(
        (row.state, row.generation, row.retries),
        (State::Pending, 2, 0)
    );
    assert_eq!((row.finished_at, row.resume), (None, false));
    assert!(
        row.apply(
            &Event::Claimed {
                generation: 1,
                slot: 0,
                run: None
            },
            at(21)
        )
        .is_err()
    );
    assert!(
        row.apply(
            &Event::Claimed {
                generation: 3,
                slot: 0,
                run: None
            },
            at(21)
        )
        .is_ok()
    );
}

#[test]
fn an_edit_moves_the_earliest_time_only_when_it_names_it() {
    let edit = |fields: &[&str], not_before| Event::Edited {
        fields: fields.iter().map(|&field| field.to_owned()).collect(),
        not_before,
    };
    let row = Lifecycle::birth(&Event::Submitted {
        not_before: Some(at(7)),
    })
    .unwrap();
    let named = row.apply(&edit(&["priority"], None), at(1)).unwrap();
    assert_eq!(named.not_before, Some(at(7)));
    let moved = row.apply(&edit(&["at"], Some(at(8))), at(1)).unwrap();
    assert_eq!(moved.not_before, Some(at(8)));
    assert_eq!(
        row.apply(&edit(&["at"], None), at(1)).unwrap().not_before,
        None
    );
}

#[test]
fn a_question_about_the_task_is_not_answered_like_one_of_its_agent() {
    let screened = live(&[Event::Screened {
        question: "run it?".to_owned(),
    }]);
    assert_eq!(
        screened.apply(&Event::Answered, at(10)),
        Err(ApplyError::NothingAsked)
    );
    assert_eq!(
        screened.apply(&Event::Approved, at(10)).unwrap().state,
        State::Pending
    );
    assert_eq!(
        screened
            .apply(&Event::Rejected, at(10))
            .unwrap()
            .finished_at,
        Some(at(10))
    );
}

#[test]
fn approval_after_too_many_losses_forgets_them() {
    let lost = Next::Retry {
        not_before: at(0),
        spends_retry: false,
        counts_as_restart: true,
        resume: false,
    };
    let row = live(&[
        Event::Claimed {
            generation: 1,
            slot: 0,
            run: None,
        },
        ended(OutcomeKind::Lost, lost),
        Event::Claimed {
            generation: 2,
            slot: 0,
            run: None,
        },
        ended(OutcomeKind::Lost, Next::Review),
    ]);
    assert_eq!(row.restarts.len(), 1);
    let row = row.apply(&Event::Approved, at(10)).unwrap();
    assert!(row.restarts.is_empty() && row.resume);
}

#[test]
fn a_failed_dependency_says_which() {
    let row = live(&[Event::DependencyFailed {
        dependency: "task_0000000000000".to_owned(),
    }]);
    let outcome = row.outcome.unwrap();
    assert_eq!(
        (row.state, outcome.kind),
        (State::Failed, OutcomeKind::DependencyFailed)
    );
    assert_eq!(outcome.detail, "task_0000000000000 did not complete");
}

#[test]
fn a_broken_row_is_found_and_named() {
    type Damage = fn(&mut Lifecycle);
    let broken: [(&str, Damage); 9] = [
        ("has a reason to be paused", |row| row.state = State::Paused),
        ("only a paused or running task has reasons", |row| {
            row.pause_reasons.insert(PauseReason::Person);
        }),
        ("only a task that holds a slot has an intent", |row| {
            row.intent = Some(Intent::of(IntentKind::Cancel));
        }),
        ("only a paused task says where", |row| {
            row.resume_to = ResumeTo::Retrying
        }),
        ("has finished exactly when", |row| {
            row.finished_at = Some(at(0))
        }),
        ("than are kept", |row| {
            row.restarts = vec![at(0); Lifecycle::RESTARTS_KEPT + 1]
        }),
        ("no more retries than attempts", |row| row.retries = 1),
        ("the outcome fits", |row| row.state = State::Retrying),
        ("shows no trace of an attempt", |row| {
            row.state = State::Processing
        }),
    ];
    for (rule, damage) in broken {
        let mut row = born();
        row.check().unwrap();
        damage(&mut row);
        let error = row.check().expect_err(rule);
        assert!(error.contains(rule), "{rule}: {error}");
    }
}

#[test]
fn every_trace_of_an_attempt_shows_without_the_others() {
    type Trace = fn(&mut Lifecycle);
    let traces: [(&str, Trace); 6] = [
        ("where it goes on", |row| {
            row.state = State::Paused;
            row.pause_reasons.insert(PauseReason::Person);
            row.resume_to = ResumeTo::Retrying;
        }),
        ("a checkpoint", |row| row.resume = true),
        ("a start", |row| row.started_at = Some(at(0))),
        ("a session", |row| {
            row.agent.get_or_insert_default().session = Some("a".to_owned());
        }),
        ("a loss", |row| row.restarts = vec![at(0)]),
        ("an outcome", |row| {
            row.outcome = Some(Outcome::of(OutcomeKind::Exited))
        }),
    ];
    for (trace, leave) in traces {
        let mut row = born();
        leave(&mut row);
        let error = row.check().expect_err(trace);
        assert!(error.contains("shows no trace"), "{trace}: {error}");
        row.generation = 1;
        row.check().expect(trace);
    }
}

#[test]
fn a_running_task_with_a_wish_keeps_its_reason_and_a_reason_its_wish() {
    let wished = live(&[CLAIM, intend(IntentKind::Pause)]);
    let mut without_reason = wished.clone();
    without_reason.pause_reasons.clear();
    let error = without_reason.check().expect_err("no reason");
    assert!(error.contains("is among the reasons to pause"), "{error}");
    let mut without_wish = wished;
    without_wish.intent = None;
    let error = without_wish.check().expect_err("no wish");
    assert!(
        error.contains("with reasons to pause has an intent"),
        "{error}"
    );
}

#[test]
fn a_journal_that_does_not_fold_says_where() {
    let empty: [(Event, Timestamp); 0] = [];
    assert_eq!(Lifecycle::fold(empty), Err(FoldError::Empty));
    let journal = [
        (Event::Submitted { not_before: None }, at(0)),
        (Event::Released, at(1)),
    ];
    let error = Lifecycle::fold(journal).expect_err("illegal");
    assert!(matches!(
        error,
        FoldError::Event {
            number: 2,
            source: ApplyError::Illegal(_)
        }
    ));
    let headless = [(Event::Cancelled, at(0))];
    assert!(matches!(
        Lifecycle::fold(headless),
        Err(FoldError::Event { number: 1, .. })
    ));
}
