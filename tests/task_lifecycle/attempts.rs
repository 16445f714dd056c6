//! Claims, starts, wishes and ends of attempts.

use auto_claude::task::{
    ApplyError, Event, Intent, IntentKind, Lifecycle, Next, OutcomeKind, PauseReason, PauseReasons,
    ResumeTo, State,
};

use super::{RETRY, at, born, claimed, ended, intend, live};

#[test]
fn a_life_begins_with_its_submission_and_only_once() {
    assert_eq!(
        Lifecycle::birth(&Event::Held),
        Err(ApplyError::NotSubmitted)
    );
    let again = born().apply(&Event::Submitted { not_before: None }, at(1));
    assert!(matches!(again, Err(ApplyError::Illegal(_))));
    let row = Lifecycle::birth(&Event::Submitted {
        not_before: Some(at(7)),
    })
    .unwrap();
    assert_eq!(
        (row.state, row.generation, row.not_before),
        (State::Pending, 0, Some(at(7)))
    );
}

#[test]
fn only_the_next_generation_is_claimed() {
    for given in [0, 2, u32::MAX] {
        let error = born().apply(
            &Event::Claimed {
                generation: given,
                slot: 0,
                run: None,
            },
            at(1),
        );
        assert_eq!(error, Err(ApplyError::WrongGeneration { former: 0, given }));
    }
    let mut last = born();
    last.generation = u32::MAX;
    for given in [0, u32::MAX] {
        assert!(
            last.apply(
                &Event::Claimed {
                    generation: given,
                    slot: 0,
                    run: None
                },
                at(1)
            )
            .is_err()
        );
    }
}

#[test]
fn an_attempt_starts_once() {
    let started = claimed()
        .apply(&Event::Started { started_at: at(2) }, at(3))
        .unwrap();
    assert_eq!(started.started_at, Some(at(2)));
    let again = started.apply(&Event::Started { started_at: at(4) }, at(4));
    assert_eq!(again, Err(ApplyError::AlreadyStarted));
}

#[test]
fn a_stronger_intent_replaces_a_weaker_and_nothing_else_does() {
    for current in IntentKind::ALL {
        let row = claimed().apply(&intend(current), at(2)).unwrap();
        for wished in IntentKind::ALL {
            let result = row.apply(&intend(wished), at(3));
            let new_reason = wished.pause_reason().is_some() && current != IntentKind::Cancel;
            if wished > current {
                assert_eq!(result.unwrap().intent.unwrap().kind, wished);
            } else if wished != current && new_reason {
                let row = result.unwrap();
                assert_eq!(row.intent.unwrap().kind, current, "the stronger goes on");
                assert!(row.pause_reasons.contains(&wished.pause_reason().unwrap()));
            } else {
                assert_eq!(result, Err(ApplyError::NotStronger { current, wished }));
            }
        }
    }
}

#[test]
fn a_shorter_grace_makes_the_same_wish_stronger() {
    let cancel = |grace_ms| Event::IntentSet {
        intent: Intent {
            kind: IntentKind::Cancel,
            grace_ms,
        },
    };
    let row = claimed().apply(&cancel(Some(60_000)), at(2)).unwrap();
    for grace_ms in [None, Some(60_000), Some(60_001)] {
        assert!(matches!(
            row.apply(&cancel(grace_ms), at(3)),
            Err(ApplyError::NotStronger { .. })
        ));
    }
    let row = row.apply(&cancel(Some(0)), at(3)).unwrap();
    assert_eq!(row.intent.unwrap().grace_ms, Some(0));
    // Beside the grace of the settings, which is not known here, only none at all is surely shorter.
    let row = claimed().apply(&cancel(None), at(2)).unwrap();
    assert!(matches!(
        row.apply(&cancel(Some(1)), at(3)),
        Err(ApplyError::NotStronger { .. })
    ));
    assert!(row.apply(&cancel(Some(0)), at(3)).is_ok());
}

#[test]
fn never_ran_goes_back_as_if_it_had_not_been_claimed() {
    let row = live(&[
        Event::Claimed {
            generation: 1,
            slot: 0,
            run: None,
        },
        ended(
            OutcomeKind::Lost,
            Next::Retry {
                not_before: at(0),
                spends_retry: false,
                counts_as_restart: true,
                resume: true,
            },
        ),
        Event::Claimed {
            generation: 2,
            slot: 0,
            run: None,
        },
        ended(OutcomeKind::NeverRan, Next::Pending),
    ]);
    assert_eq!(
        (row.state, row.generation, row.retries),
        (State::Pending, 2, 0)
    );
    assert!(
        row.resume,
        "what the lost attempt left is still there to go on from"
    );
    assert_eq!(row.restarts, [at(9)]);
}

#[test]
fn nothing_but_a_success_completes_whatever_was_decided() {
    for kind in OutcomeKind::ALL {
        let result = claimed().apply(&ended(kind, Next::Complete), at(9));
        // What was done in spite of denied tools may be called done: a setting says so.
        let may = matches!(kind, OutcomeKind::Succeeded | OutcomeKind::ToolsDenied);
        assert_eq!(result.is_ok(), may, "{kind:?}");
    }
}

#[test]
fn a_limit_fails_nothing_and_spends_nothing_whatever_was_decided() {
    for next in [Next::Fail, RETRY, Next::Complete, Next::Pending] {
        let result = claimed().apply(&ended(OutcomeKind::Limited, next), at(9));
        assert_eq!(
            result,
            Err(ApplyError::Misfit {
                outcome: OutcomeKind::Limited,
                next
            })
        );
    }
    let row = claimed()
        .apply(&ended(OutcomeKind::Limited, Next::Wait), at(9))
        .unwrap();
    assert_eq!(
        (row.state, row.retries, row.resume),
        (State::WaitingUnban, 0, true)
    );
}

#[test]
fn a_limit_during_a_pause_is_not_forgotten() {
    let row = live(&[
        Event::Claimed {
            generation: 1,
            slot: 0,
            run: None,
        },
        intend(IntentKind::Pause),
        ended(
            OutcomeKind::Limited,
            Next::Pause {
                reason: PauseReason::Person,
            },
        ),
    ]);
    assert_eq!(
        (row.state, row.resume_to),
        (State::Paused, ResumeTo::WaitingUnban)
    );
    let row = row
        .apply(
            &Event::Resumed {
                reason: PauseReason::Person,
            },
            at(10),
        )
        .unwrap();
    assert_eq!(
        (row.state, row.resume_to),
        (State::WaitingUnban, ResumeTo::Pending)
    );
}

#[test]
fn every_reason_that_was_wished_must_end_before_a_task_goes_on() {
    let row = live(&[
        Event::Claimed {
            generation: 1,
            slot: 0,
            run: None,
        },
        intend(IntentKind::Pause),
        intend(IntentKind::Budget),
        ended(
            OutcomeKind::Signaled,
            Next::Pause {
                reason: PauseReason::Budget,
            },
        ),
    ]);
    assert_eq!(
        row.pause_reasons,
        PauseReasons::from([PauseReason::Person, PauseReason::Budget])
    );
    let resumed = |reason| Event::Resumed { reason };
    let absent = row.apply(&resumed(PauseReason::Resources), at(10));
    assert_eq!(
        absent,
        Err(ApplyError::NotPausedFor(PauseReason::Resources))
    );
    let row = row.apply(&resumed(PauseReason::Budget), at(10)).unwrap();
    assert_eq!(row.state, State::Paused, "the person's pause holds");
    let absent = row.apply(&resumed(PauseReason::Budget), at(11));
    assert_eq!(absent, Err(ApplyError::NotPausedFor(PauseReason::Budget)));
    let row = row.apply(&resumed(PauseReason::Person), at(11)).unwrap();
    assert_eq!((row.state, row.resume), (State::Retrying, true));
}

fn again(spends_retry: bool, counts_as_restart: bool, resume: bool) -> Next {
    Next::Retry {
        not_before: at(0),
        spends_retry,
        counts_as_restart,
        resume,
    }
}

#[test]
fn a_loss_spends_no_retry_whatever_was_decided() {
    let next = again(true, true, false);
    let result = claimed().apply(&ended(OutcomeKind::Lost, next), at(9));
    assert_eq!(
        result,
        Err(ApplyError::Misfit {
            outcome: OutcomeKind::Lost,
            next
        })
    );
}

#[test]
fn an_attempt_that_could_not_start_loses_no_checkpoint_and_makes_none() {
    let interrupted = ended(OutcomeKind::Interrupted, again(false, false, true));
    let not_started = ended(OutcomeKind::SpawnFailed, again(true, false, false));
    let first = live(&[
        Event::Claimed {
            generation: 1,
            slot: 0,
            run: None,
        },
        interrupted,
    ]);
    let second = first
        .apply(
            &Event::Claimed {
                generation: 2,
                slot: 0,
                run: None,
            },
            at(9),
        )
        .unwrap();
    assert!(second.apply(&not_started, at(9)).unwrap().resume);
    let wants_resume = ended(OutcomeKind::SpawnFailed, again(true, false, true));
    assert!(!claimed().apply(&wants_resume, at(9)).unwrap().resume);
}

#[test]
fn only_the_newest_restarts_are_kept() {
    let mut row = born();
    let lives = u32::try_from(Lifecycle::RESTARTS_KEPT).unwrap() + 5;
    for generation in 1..=lives {
        row = row
            .apply(
                &Event::Claimed {
                    generation,
                    slot: 0,
                    run: None,
                },
                at(0),
            )
            .unwrap();
        let lost = ended(OutcomeKind::Lost, again(false, true, false));
        row = row.apply(&lost, at(generation.into())).unwrap();
        row.check().unwrap();
    }
    assert_eq!(row.restarts.len(), Lifecycle::RESTARTS_KEPT);
    assert_eq!(
        (row.restarts[0], row.restarts.last()),
        (at(6), Some(&at(lives.into())))
    );
}
