//! The decision's rules, one by one.

use auto_claude::task::{
    Further, IfLost, IntentKind, Next, Outcome, OutcomeKind, PauseReason, RetryOn, TaskType,
    Timestamp,
};

use super::cases::{Case, NOW, goes_on, spends};

#[test]
fn a_success_that_came_before_our_signal_completes_a_task_that_was_to_be_paused() {
    let case = Case::of(OutcomeKind::Succeeded).intending(IntentKind::Pause);
    assert_eq!(case.decide(), Next::Complete);
}

#[test]
fn exit_code_0_after_our_signal_is_a_polite_stop_and_stays_paused() {
    let mut case = Case::of(OutcomeKind::Succeeded).intending(IntentKind::Pause);
    case.outcome.stop_sent = true;
    assert_eq!(
        case.decide(),
        Next::Pause {
            reason: PauseReason::Person
        }
    );
}

#[test]
fn a_cancel_holds_against_a_success_and_against_a_retry() {
    let mut case = Case::of(OutcomeKind::Succeeded).intending(IntentKind::Cancel);
    assert_eq!(case.decide(), Next::Cancel);
    case.outcome = Outcome::of(OutcomeKind::Exited);
    case.policy.retry_on = vec![RetryOn::Any];
    assert_eq!(case.decide(), Next::Cancel);
}

#[test]
fn a_persons_pause_outlives_the_budgets_stronger_intent_and_a_time_out() {
    let mut case = Case::of(OutcomeKind::Signaled).intending(IntentKind::Timeout);
    case.policy.retry_on = vec![RetryOn::Timeout];
    assert!(spends(case.decide()));
    case.reasons.insert(PauseReason::Person);
    assert_eq!(
        case.decide(),
        Next::Pause {
            reason: PauseReason::Person
        }
    );
}

#[test]
fn a_limit_during_a_persons_pause_stays_paused_and_goes_on_at_the_hold() {
    let case = Case::of(OutcomeKind::Limited).intending(IntentKind::Pause);
    assert_eq!(
        case.decide(),
        Next::Pause {
            reason: PauseReason::Person
        }
    );
    assert_eq!(Case::of(OutcomeKind::Limited).decide(), Next::Wait);
}

#[test]
fn lost_follows_the_type_unless_told() {
    let lost = |task_type, if_lost| {
        let mut case = Case::of(OutcomeKind::Lost);
        case.policy.task_type = task_type;
        case.policy.if_lost = if_lost;
        case.decide()
    };
    let again = |resume| Next::Retry {
        not_before: NOW,
        spends_retry: false,
        counts_as_restart: true,
        resume,
    };
    assert_eq!(lost(TaskType::Lightweight, None), again(false));
    assert_eq!(lost(TaskType::MediumContext, None), again(true));
    assert_eq!(lost(TaskType::HeavyContext, None), again(true));
    assert_eq!(
        lost(TaskType::HeavyContext, Some(IfLost::Rerun)),
        again(false)
    );
    assert_eq!(
        lost(TaskType::Lightweight, Some(IfLost::Resume)),
        again(true)
    );
    assert_eq!(
        lost(TaskType::Lightweight, Some(IfLost::Review)),
        Next::Review
    );
    assert_eq!(lost(TaskType::Lightweight, Some(IfLost::Fail)), Next::Fail);
}

#[test]
fn the_third_loss_within_the_window_asks_a_person() {
    let mut case = Case::of(OutcomeKind::Lost);
    case.restarts = vec![NOW.plus_ms(-3_599_999), NOW.plus_ms(-1)];
    assert_eq!(case.decide(), Next::Review);
    case.restarts = vec![NOW.plus_ms(-3_600_000), NOW.plus_ms(-1)];
    assert!(
        goes_on(case.decide()),
        "the first lies outside of the window"
    );
}

/// A machine that goes down costs a lost attempt and, when the session had not reached the disk, a resume that fails.
#[test]
fn a_session_that_a_loss_took_along_does_not_count_beside_the_loss() {
    let mut case = Case::of(OutcomeKind::UnknownSession);
    case.restarts = vec![NOW.plus_ms(-2), NOW.plus_ms(-1)];
    assert_eq!(case.decide(), Next::Review, "not even a new one can begin");
    case.agent.resumed = true;
    let next = case.decide();
    assert!(
        matches!(
            next,
            Next::Retry {
                counts_as_restart: false,
                spends_retry: false,
                ..
            }
        ),
        "{next:?}"
    );
    case.outcome = Outcome::of(OutcomeKind::ResumeFailed);
    assert_eq!(case.decide(), Next::Review);
}

#[test]
fn a_clock_that_was_set_back_neither_hides_a_restart_loop_nor_holds_a_task_for_ever() {
    let mut case = Case::of(OutcomeKind::Lost);
    case.restarts = vec![NOW.plus_ms(60_000), NOW.plus_ms(61_000)];
    assert_eq!(case.decide(), Next::Review, "a correction by a minute");
    let year_ms = 365 * 24 * 3_600_000;
    case.restarts = vec![NOW.plus_ms(year_ms), NOW.plus_ms(year_ms + 1)];
    assert!(
        goes_on(case.decide()),
        "times of a clock that was a year ahead"
    );
    case.restarts = vec![Timestamp::from_ms(i64::MIN), Timestamp::from_ms(i64::MAX)];
    assert!(goes_on(case.decide()));
}

#[test]
fn a_foreground_run_that_lost_its_owner_waits_for_its_person() {
    for kind in [OutcomeKind::Interrupted, OutcomeKind::Lost] {
        let mut case = Case::of(kind);
        case.foreground = true;
        assert_eq!(
            case.decide(),
            Next::Pause {
                reason: PauseReason::Person
            }
        );
    }
    let mut told = Case::of(OutcomeKind::Lost);
    told.foreground = true;
    told.policy.if_lost = Some(IfLost::Rerun);
    assert!(goes_on(told.decide()));
}

#[test]
fn each_failure_is_retried_by_its_own_word_only() {
    let retried = |outcome: &Outcome, on| {
        let mut case = Case::of(outcome.kind);
        case.outcome = outcome.clone();
        case.policy.retry_on = vec![on];
        spends(case.decide())
    };
    let words = [
        RetryOn::Any,
        RetryOn::Exit,
        RetryOn::Code(75),
        RetryOn::Code(74),
        RetryOn::Signal,
        RetryOn::Timeout,
        RetryOn::Spawn,
    ];
    let table = [
        (
            OutcomeKind::Exited,
            [true, true, true, false, false, false, false],
        ),
        (
            OutcomeKind::Signaled,
            [true, false, false, false, true, false, false],
        ),
        (
            OutcomeKind::OutOfMemory,
            [true, false, false, false, true, false, false],
        ),
        (
            OutcomeKind::TimedOut,
            [true, false, false, false, false, true, false],
        ),
        (
            OutcomeKind::Idle,
            [true, false, false, false, false, true, false],
        ),
        (
            OutcomeKind::SpawnFailed,
            [true, false, false, false, false, false, true],
        ),
    ];
    for (kind, row) in table {
        let exit_code = (kind == OutcomeKind::Exited).then_some(75);
        let outcome = Outcome {
            exit_code,
            ..Outcome::of(kind)
        };
        assert_eq!(words.map(|on| retried(&outcome, on)), row, "{kind:?}");
    }
}

#[test]
fn a_success_before_the_signal_of_a_time_out_completes_and_one_after_it_is_timed_out() {
    let mut case = Case::of(OutcomeKind::Succeeded).intending(IntentKind::Timeout);
    assert_eq!(case.decide(), Next::Complete);
    case.outcome.stop_sent = true;
    assert_eq!(case.decide(), Next::Fail);
}

#[test]
fn no_pause_hides_that_a_lost_attempt_is_to_be_failed_or_reviewed() {
    for kind in [IntentKind::Pause, IntentKind::Budget, IntentKind::Pressure] {
        let mut case = Case::of(OutcomeKind::Lost).intending(kind);
        assert!(matches!(case.decide(), Next::Pause { .. }));
        case.policy.if_lost = Some(IfLost::Fail);
        assert_eq!(case.decide(), Next::Fail);
        case.policy.if_lost = Some(IfLost::Review);
        assert_eq!(case.decide(), Next::Review);
    }
}

#[test]
fn a_failure_of_its_own_while_it_was_to_be_paused_is_paused() {
    let case = Case::of(OutcomeKind::Exited).intending(IntentKind::Pause);
    assert_eq!(
        case.decide(),
        Next::Pause {
            reason: PauseReason::Person
        }
    );
}

#[test]
fn death_by_our_own_signal_is_not_the_signal_that_is_retried() {
    let mut case = Case::of(OutcomeKind::Signaled);
    case.policy.retry_on = vec![RetryOn::Signal];
    assert!(spends(case.decide()));
    case.outcome.stop_sent = true;
    assert_eq!(case.decide(), Next::Fail);
}

#[test]
fn denied_tools_are_done_only_where_a_setting_says_so() {
    let mut case = Case::of(OutcomeKind::ToolsDenied);
    assert_eq!(case.decide(), Next::Review);
    case.agent.denied_is_done = true;
    assert_eq!(case.decide(), Next::Complete);
}

#[test]
fn a_run_that_was_cut_at_its_share_goes_on_and_at_its_budget_it_is_paused() {
    let mut case = Case::of(OutcomeKind::MaxBudget);
    let reason = PauseReason::Budget;
    assert_eq!(case.decide(), Next::Pause { reason });
    case.agent.budget_left = true;
    let next = case.decide();
    assert!(goes_on(next) && !spends(next), "{next:?}");
}

#[test]
fn a_success_with_more_to_do_goes_on_and_asks_first_what_remains() {
    let mut case = Case::of(OutcomeKind::Succeeded);
    case.agent.more_chunks = true;
    let (not_before, why) = (NOW, Further::Chunk);
    assert_eq!(case.decide(), Next::Continue { not_before, why });
    let at = NOW.plus_ms(5_000);
    case.agent.wrap_up_at = Some(at);
    let (not_before, why) = (at, Further::WrapUp);
    assert_eq!(case.decide(), Next::Continue { not_before, why });
}
