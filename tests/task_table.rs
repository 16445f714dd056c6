//! The transition table, exhaustively: a second bookkeeping of it, written state by state, and the rules that it must obey.

use std::collections::BTreeSet;

use auto_claude::task::table::{next_state, transitions};
use auto_claude::task::{BlockKind, EventKind, IllegalTransition, State};

/// What may happen in each state, and where it leads. Whatever is not named here is illegal.
fn expected(state: State) -> Vec<(EventKind, State)> {
    use EventKind::*;
    match state {
        State::Pending => vec![
            (Claim, State::Processing),
            (Pause, State::Paused),
            (Cancel, State::Cancelled),
            (DependencyFail, State::Failed),
            (Move, State::Pending),
            (Edit, State::Pending),
            (Screen, State::NeedsHumanReview),
        ],
        State::Processing => vec![
            (Start, State::Processing),
            (Intend, State::Processing),
            (NeverRan, State::Pending),
            (Complete, State::Completed),
            (Fail, State::Failed),
            (Retry, State::Retrying),
            (Continue, State::Retrying),
            (Limit, State::WaitingUnban),
            (PauseAttempt, State::Paused),
            (CancelAttempt, State::Cancelled),
            (ToReview, State::NeedsHumanReview),
            (Defer, State::NeedsHumanReview),
            (Test, State::Testing),
        ],
        State::Paused => while_paused(),
        State::WaitingUnban => vec![
            (Pause, State::Paused),
            (Cancel, State::Cancelled),
            (Release, State::Retrying),
            (Move, State::Retrying),
            (Edit, State::WaitingUnban),
        ],
        State::Retrying => vec![
            (Claim, State::Processing),
            (Pause, State::Paused),
            (Cancel, State::Cancelled),
            (Hold, State::WaitingUnban),
            (Move, State::Retrying),
            (Edit, State::Retrying),
        ],
        State::Testing => vec![
            (Claim, State::Testing),
            (Start, State::Testing),
            (Intend, State::Testing),
            (Complete, State::Completed),
            (Fail, State::Failed),
            (Retry, State::Retrying),
            (Continue, State::Retrying),
            (PauseAttempt, State::Paused),
            (CancelAttempt, State::Cancelled),
            (ToReview, State::NeedsHumanReview),
            (Test, State::Testing),
        ],
        State::NeedsHumanReview => vec![
            (Cancel, State::Cancelled),
            (Approve, State::Pending),
            (Reject, State::Cancelled),
            (Answer, State::Retrying),
        ],
        State::Completed | State::Failed | State::Cancelled => vec![(Reopen, State::Pending)],
    }
}

fn while_paused() -> Vec<(EventKind, State)> {
    use EventKind::*;
    vec![
        (Pause, State::Paused),
        (DropReason, State::Paused),
        (ResumeToPending, State::Pending),
        (ResumeToRetrying, State::Retrying),
        (ResumeToUnban, State::WaitingUnban),
        (Attach, State::Paused),
        (Detach, State::Paused),
        (Cancel, State::Cancelled),
        (DependencyFail, State::Failed),
        (Edit, State::Paused),
    ]
}

#[test]
fn every_pair_is_as_expected() {
    for state in State::ALL {
        let legal = expected(state);
        for event in EventKind::ALL {
            let to = legal
                .iter()
                .find(|(kind, _)| *kind == event)
                .map(|(_, to)| *to);
            let want = to.ok_or(IllegalTransition { state, event });
            assert_eq!(
                next_state(state, event),
                want,
                "{event} in {}",
                state.name()
            );
        }
    }
}

#[test]
fn an_illegal_pair_names_both_halves() {
    let error = next_state(State::Completed, EventKind::Claim).expect_err("final");
    assert_eq!(
        (error.state, error.event),
        (State::Completed, EventKind::Claim)
    );
    assert_eq!(
        error.to_string(),
        "apply \"claim\" to a task that is completed: there is no such transition"
    );
}

#[test]
fn final_is_final_but_for_a_persons_reopening() {
    for (from, event, to) in transitions() {
        if from.is_final() {
            assert_eq!((event, to), (EventKind::Reopen, State::Pending));
        } else {
            assert_ne!(event, EventKind::Reopen);
        }
    }
}

#[test]
fn a_slot_is_only_entered_by_a_claim() {
    for (from, event, to) in transitions() {
        if to.holds_slot() && !from.holds_slot() {
            assert_eq!(event, EventKind::Claim, "{} -> {}", from.name(), to.name());
            assert!(from.is_claimable());
        }
    }
}

#[test]
fn a_claim_is_legal_exactly_where_a_task_is_claimable_or_acceptance_needs_an_attempt() {
    for state in State::ALL {
        let legal = next_state(state, EventKind::Claim).is_ok();
        assert_eq!(
            legal,
            state.is_claimable() || state == State::Testing,
            "{}",
            state.name()
        );
    }
}

#[test]
fn a_running_attempt_is_stopped_by_intent_and_never_by_decree() {
    use EventKind::{Approve, Cancel, DependencyFail, Edit, Hold, Pause, Release, Screen};
    for state in State::ALL.into_iter().filter(|state| state.holds_slot()) {
        for event in [
            Approve,
            Cancel,
            DependencyFail,
            Edit,
            Hold,
            Pause,
            Release,
            Screen,
        ] {
            assert!(
                next_state(state, event).is_err(),
                "{event} in {}",
                state.name()
            );
        }
        assert_eq!(next_state(state, EventKind::Intend), Ok(state));
    }
}

#[test]
fn every_task_that_does_not_run_and_is_not_final_can_be_cancelled() {
    for state in State::ALL {
        let legal = next_state(state, EventKind::Cancel).is_ok();
        assert_eq!(
            legal,
            !state.is_final() && !state.holds_slot(),
            "{}",
            state.name()
        );
    }
}

#[test]
fn paused_is_left_only_by_its_last_reason_or_for_good() {
    use EventKind::{Cancel, DependencyFail, ResumeToPending, ResumeToRetrying, ResumeToUnban};
    let leaving: BTreeSet<EventKind> = transitions()
        .filter(|(from, _, to)| *from == State::Paused && to != from)
        .map(|(_, event, _)| event)
        .collect();
    let allowed = [
        Cancel,
        DependencyFail,
        ResumeToPending,
        ResumeToRetrying,
        ResumeToUnban,
    ];
    assert_eq!(leaving, BTreeSet::from(allowed));
}

#[test]
fn every_state_can_be_reached_and_left() {
    for state in State::ALL {
        let entered = transitions().any(|(from, _, to)| to == state && from != state);
        let left = transitions().any(|(from, _, to)| from == state && to != state);
        assert!(entered && left, "{}", state.name());
    }
}

#[test]
fn a_submission_moves_no_task() {
    assert!(transitions().all(|(_, event, _)| event != EventKind::Submit));
}

#[test]
fn names_are_unique_and_come_back() {
    let states: BTreeSet<&str> = State::ALL.iter().map(|state| state.name()).collect();
    let events: BTreeSet<&str> = EventKind::ALL.iter().map(|event| event.name()).collect();
    assert_eq!(
        (states.len(), events.len()),
        (State::ALL.len(), EventKind::ALL.len())
    );
    for state in State::ALL {
        assert_eq!(State::from_name(state.name()), Some(state));
        assert_eq!(serde_json::to_value(state).ok(), Some(state.name().into()));
    }
    for block in BlockKind::ALL {
        assert_eq!(serde_json::to_value(block).ok(), Some(block.name().into()));
    }
}
