//! Recovery's plan over every input there is, and round after round until it is at rest.

use super::*;

mod table;

const ROWS: [Row; 4] = [Row::Open, Row::Settled, Row::Past, Row::Unknown];
const CONTENTS: [Content; 5] = [
    Content::Missing,
    Content::Empty,
    Content::Started,
    Content::Exit,
    Content::Unreadable,
];
const TREES: [Tree; 4] = [Tree::NotSwept, Tree::Empty, Tree::Remains, Tree::Stuck];
/// More rounds than any way to rest takes; one that needs more goes in circles.
const MAX_ROUNDS: usize = 12;

/// Every combination of facts, also those that no machine can show.
fn all_facts() -> Vec<Facts> {
    let mut all = Vec::new();
    for row in ROWS {
        for content in CONTENTS {
            for boot in [Boot::This, Boot::Other] {
                for lock in [Lock::Free, Lock::Held] {
                    for worker in [Worker::Alive, Worker::Dead, Worker::Unknown] {
                        for heartbeat in [Heartbeat::Fresh, Heartbeat::Stale] {
                            for wait in [Wait::Waiting, Wait::Over] {
                                for tree in TREES {
                                    all.push(Facts {
                                        row,
                                        content,
                                        boot,
                                        lock,
                                        worker,
                                        heartbeat,
                                        wait,
                                        tree,
                                    });
                                }
                            }
                        }
                    }
                }
            }
        }
    }
    assert_eq!(all.len(), 4 * 5 * 2 * 2 * 3 * 2 * 2 * 4);
    all
}

/// Checks a promise for each input and prints the input that breaks it.
fn for_all(promise: impl Fn(&Facts, Plan) -> bool) {
    for facts in all_facts() {
        let planned = plan(&facts);
        assert!(promise(&facts, planned), "{facts:?} → {planned:?}");
    }
}

fn loses(planned: Plan) -> bool {
    matches!(planned, Plan::CloseLost | Plan::SetAsideAndLose)
}

#[test]
fn never_ran_only_for_an_empty_record_of_this_boot_under_our_lock() {
    for_all(|facts, planned| {
        planned != Plan::CloseNeverRan
            || (facts.row == Row::Open
                && facts.content == Content::Empty
                && facts.boot == Boot::This
                && facts.lock == Lock::Free
                && facts.tree == Tree::Empty)
    });
}

#[test]
fn nothing_is_lost_while_its_exit_can_be_read() {
    for_all(|facts, planned| {
        !loses(planned) || (facts.content != Content::Exit && facts.row == Row::Open)
    });
}

#[test]
fn an_exit_of_an_open_attempt_is_committed_at_once_and_only_it() {
    for_all(|facts, planned| {
        let commits = matches!(planned, Plan::CommitExit | Plan::CommitExitThenWaitTree);
        commits == (facts.row == Row::Open && facts.content == Content::Exit)
    });
}

#[test]
fn nothing_permits_a_next_attempt_beside_a_holder() {
    for_all(|facts, planned| facts.lock == Lock::Free || !planned.permits_next_attempt());
}

#[test]
fn nothing_permits_a_next_attempt_beside_a_tree() {
    for_all(|facts, planned| {
        // The one exception says that there is no file and no open row: the caller had nothing to sweep for.
        planned == Plan::Nothing
            || !planned.permits_next_attempt()
            || !matches!(facts.tree, Tree::Remains | Tree::Stuck)
    });
}

#[test]
fn once_nothing_of_it_lives_the_next_attempt_may_come() {
    for_all(|facts, planned| {
        facts.lock != Lock::Free || facts.tree != Tree::Empty || planned.permits_next_attempt()
    });
}

#[test]
fn everything_is_swept_before_it_is_closed() {
    for_all(|facts, planned| {
        let closes = loses(planned)
            || matches!(
                planned,
                Plan::CloseNeverRan | Plan::CommitExit | Plan::Release | Plan::KeepFile
            );
        !closes || facts.tree == Tree::Empty
    });
}

#[test]
fn a_worker_that_proves_its_life_is_never_ended() {
    for_all(|facts, planned| {
        let healthy = facts.row == Row::Open
            && facts.content == Content::Started
            && facts.boot == Boot::This
            && facts.lock == Lock::Held
            && facts.worker == Worker::Alive
            && facts.heartbeat == Heartbeat::Fresh;
        !healthy || planned == Plan::Adopt
    });
}

#[test]
fn only_what_runs_is_adopted() {
    for_all(|facts, planned| {
        planned != Plan::Adopt
            || (facts.content == Content::Started
                && facts.boot == Boot::This
                && facts.lock == Lock::Held
                && facts.worker != Worker::Dead)
    });
}

#[test]
fn what_took_a_kill_and_stays_holds_the_slot() {
    for_all(|facts, planned| {
        facts.tree != Tree::Stuck
            || matches!(
                planned,
                // The outcome is committed, life goes on, or there was nothing: none of them starts an attempt of an open
                // or settled row.
                Plan::HoldSlot
                    | Plan::CommitExitThenWaitTree
                    | Plan::Adopt
                    | Plan::WaitForHolder
                    | Plan::Nothing
            )
    });
}

#[test]
fn only_what_is_closed_or_empty_is_unlinked() {
    for_all(|facts, planned| {
        planned != Plan::Discard
            || (facts.lock == Lock::Free
                && match facts.content {
                    Content::Empty => matches!(facts.row, Row::Past | Row::Unknown),
                    Content::Exit => facts.row == Row::Past,
                    Content::Missing | Content::Started | Content::Unreadable => false,
                })
    });
}

/// The facts after the action was carried out in a world in which everything works, and nobody else acts.
fn after(facts: Facts, planned: Plan) -> Facts {
    let ended = Facts {
        worker: Worker::Dead,
        lock: Lock::Free,
        ..facts
    };
    match planned {
        Plan::Nothing | Plan::Adopt | Plan::HoldSlot | Plan::KeepFile => facts,
        Plan::WaitForHolder => Facts {
            wait: Wait::Over,
            heartbeat: Heartbeat::Stale,
            ..facts
        },
        Plan::EndHolder => Facts {
            tree: Tree::NotSwept,
            ..ended
        },
        Plan::Sweep => Facts {
            tree: Tree::Empty,
            ..ended
        },
        Plan::CommitExitThenWaitTree => Facts {
            row: Row::Settled,
            ..facts
        },
        Plan::CommitExit | Plan::Release => Facts {
            row: Row::Past,
            ..facts
        },
        Plan::CloseNeverRan | Plan::CloseLost => {
            let content = if facts.content == Content::Missing {
                Content::Missing
            } else {
                Content::Exit
            };
            Facts {
                row: Row::Past,
                content,
                ..facts
            }
        }
        Plan::SetAsideAndLose => Facts {
            row: Row::Past,
            content: Content::Missing,
            ..facts
        },
        Plan::Discard => Facts {
            content: Content::Missing,
            ..facts
        },
    }
}

#[test]
fn every_way_comes_to_rest_and_a_second_round_does_nothing_more() {
    for start in all_facts() {
        let mut facts = start;
        let mut seen = Vec::new();
        loop {
            let planned = plan(&facts);
            seen.push(planned);
            assert!(
                seen.len() <= MAX_ROUNDS,
                "{start:?} goes in circles: {seen:?}"
            );
            facts = after(facts, planned);
            if planned.is_terminal() {
                break;
            }
        }
        let last = seen[seen.len() - 1];
        let again = plan(&facts);
        assert!(
            at_rest(&facts, last, again),
            "{start:?}: {seen:?}, and then {again:?}"
        );
        // A new daemon knows nothing of the sweep: it may sweep once more and try again what could not be ended, but
        // what it closes then is not closed a second time.
        let anew = plan(&Facts {
            tree: Tree::NotSwept,
            ..facts
        });
        let tries_again =
            !anew.permits_next_attempt() && matches!(last, Plan::HoldSlot | Plan::KeepFile);
        let sweeps_kept = facts.row == Row::Past && anew == Plan::Sweep;
        assert!(
            at_rest(&facts, last, anew) || tries_again || sweeps_kept,
            "{start:?}: {seen:?}, and a new daemon {anew:?}"
        );
    }
}

/// Whether `again` does nothing that `last` had not done already.
fn at_rest(facts: &Facts, last: Plan, again: Plan) -> bool {
    let tidies = matches!(again, Plan::Discard | Plan::Nothing);
    // A released record without an `exit`: the outcome came over the worker's socket, and its disk was full.
    let keeps = facts.row == Row::Past && again == Plan::KeepFile;
    again == last || tidies || keeps
}
