//! An exhaustive model of how an attempt is launched, stopped, closed and recovered.
//!
//! # What it is
//!
//! One task, and everything that may touch it, cut into the smallest steps that another process can get between. The
//! checker takes every step of everybody in every order, with every fault at every moment (within a budget), and looks
//! at each state that comes of it. Recovery's decisions are made by the real `auto_claude::attempt::recovery::plan`; the
//! rest is the protocol as the daemon and the worker are to follow it:
//!
//! - **daemon** (`daemon.rs`, `recover.rs`): creates the record → commits the claim → forks the worker → watches; in recovery it looks
//!   (try-locks, reads, `plan`), acts, looks again; it closes by writing `exit` under the lock, then commits. A cancel:
//!   look for an `exit` → commit the intent and answer → look, and stop what runs. Every commit to the database is one
//!   durable step. A new daemon starts from the row and the records alone.
//! - **worker** (`worker.rs`): exec → open without creating → try-lock → same inode? nothing in it? → write `started` →
//!   sync → spawn the agent → wait → write `exit` → sync → leave. It may rest between any two steps for as long as it
//!   likes. That is also what is left of an old daemon when a new one runs (the state directory's lock is held for
//!   life, so there are never two of them at work): its children that come late.
//! - **agent**: a fork that still holds a copy of the lock → runs → ends well, badly, or leaving a descendant behind;
//!   it may outlive its worker. In every other world it never ends by itself.
//! - **faults** (`faults.rs`): the daemon dies; a worker dies or hangs; a time limit fires on a healthy process; the machine
//!   goes down; the state directory's file system goes down alone, in the same boot; what was not synced is kept, lost
//!   or torn, and a drive loses what it had called synced; the record is deleted; the agent sticks in the kernel.
//!
//! # What it proves
//!
//! The promises are properties of states (`promises.rs`), checked by stateright in breadth-first order, so a
//! counterexample is a shortest one. "Everything moves" is proved by a walk over all states: from each of them, with no
//! further fault and no person, a good end can still be reached. `sometimes` properties and the list of plans that were
//! made keep the model from being true because nothing happens in it.
//!
//! Each step of the protocol is then left out or done wrong ([`Mutation`]), and the checker has to find the promise
//! that breaks. What that taught is in `docs/decisions/0002-recovery-and-the-model.md`.

#![expect(clippy::panic, reason = "tests")]

#[path = "launch_model/daemon.rs"]
mod daemon;
#[path = "launch_model/faults.rs"]
mod faults;
#[path = "launch_model/promises.rs"]
mod promises;
#[path = "launch_model/protocol.rs"]
mod protocol;
#[path = "launch_model/recover.rs"]
mod recover;
#[path = "launch_model/state.rs"]
mod state;
#[path = "launch_model/worker.rs"]
mod worker;

use auto_claude::attempt::recovery::Plan;
use stateright::{Checker, DiscoveryClassification, HasDiscoveries, Model};

use protocol::Launch;
use state::{Faults, Mutation};

/// Any two faults of all kinds, in any order and at any moment.
const ANY_TWO: Faults = Faults {
    any: 2,
    daemon_crash: 2,
    worker: 2,
    reboot: 1,
    disk: 1,
    delete: 1,
    stick: 1,
    impatience: 1,
};
/// Any single fault.
const ANY_ONE: Faults = Faults { any: 1, ..ANY_TWO };
/// Processes and the machine only, but more of them at once.
const CRASHES: Faults = Faults {
    any: 4,
    daemon_crash: 2,
    worker: 1,
    reboot: 1,
    disk: 0,
    delete: 0,
    stick: 0,
    impatience: 0,
};

/// Checks every promise over every reachable state.
fn keeps_its_promises(model: Launch) {
    let checker = model.checker().threads(2).spawn_bfs().join();
    println!("{} states", checker.unique_state_count());
    checker.assert_properties();
}

#[test]
fn promises_hold_through_any_two_faults() {
    keeps_its_promises(Launch {
        faults: ANY_TWO,
        generations: 2,
        mutations: vec![],
    });
}

#[test]
fn promises_hold_through_crashes_of_daemon_worker_and_machine() {
    keeps_its_promises(Launch {
        faults: CRASHES,
        generations: 2,
        mutations: vec![],
    });
}

#[test]
fn promises_hold_over_three_attempts() {
    keeps_its_promises(Launch {
        faults: ANY_ONE,
        generations: 3,
        mutations: vec![],
    });
}

#[test]
#[ignore = "machine: minutes and gigabytes"]
fn promises_hold_over_three_attempts_through_any_two_faults() {
    keeps_its_promises(Launch {
        faults: ANY_TWO,
        generations: 3,
        mutations: vec![],
    });
}

#[test]
fn everything_moves_once_faults_stop() {
    for (faults, generations) in [(ANY_TWO, 2), (ANY_ONE, 3)] {
        let walk = promises::walk(&Launch {
            faults,
            generations,
            mutations: vec![],
        });
        println!("{} states, plans made: {:?}", walk.states, walk.plans);
        assert_eq!(
            walk.stranded, None,
            "no good end can be reached after these steps"
        );
        // Every plan is made somewhere. `Nothing` is not: the model's daemon looks only at records that are there.
        for plan in [
            Plan::Adopt,
            Plan::WaitForHolder,
            Plan::EndHolder,
            Plan::Sweep,
            Plan::CommitExit,
            Plan::CommitExitThenWaitTree,
            Plan::CloseNeverRan,
            Plan::CloseLost,
            Plan::SetAsideAndLose,
            Plan::Release,
            Plan::HoldSlot,
            Plan::Discard,
            Plan::KeepFile,
        ] {
            assert!(
                walk.plans.contains(&plan),
                "{plan:?} is never made: the model does not reach it"
            );
        }
    }
}

/// Finds the promises that the mutated protocol breaks first, prints the way there, and wants `promise` among those
/// that break for it anywhere.
fn breaks(mutation: Mutation, promise: &'static str) {
    let wanted = HasDiscoveries::AnyOf([promise].into());
    let model = Launch {
        faults: ANY_TWO,
        generations: 2,
        mutations: vec![mutation],
    };
    let checker = model.checker().finish_when(wanted).spawn_bfs().join();
    let way = checker
        .discovery(promise)
        .unwrap_or_else(|| panic!("without {mutation:?} the model still holds"));
    assert!(matches!(
        checker.discovery_classification(promise),
        DiscoveryClassification::Counterexample
    ));
    let actions = way.into_actions();
    println!(
        "{mutation:?} breaks “{promise}” in {} steps: {actions:?}",
        actions.len()
    );
}

/// Wants every promise to hold without the step: it is a second belt, and the decision page says so.
fn holds_without(mutation: Mutation) {
    keeps_its_promises(Launch {
        faults: ANY_TWO,
        generations: 2,
        mutations: vec![mutation],
    });
}

/// The same for a promise that is about what can still happen.
fn strands(mutation: Mutation, faults: Faults) {
    let walk = promises::walk(&Launch {
        faults,
        generations: 2,
        mutations: vec![mutation],
    });
    let way = walk
        .stranded
        .unwrap_or_else(|| panic!("with {mutation:?} everything still moves"));
    assert!(
        !way.is_empty(),
        "{mutation:?}: nothing moves at all, which shows nothing"
    );
    println!(
        "{mutation:?} strands the task in {} steps: {way:?}",
        way.len()
    );
}

macro_rules! breaking {
    ($($name:ident: $mutation:ident => $promise:literal;)*) => {
        $(#[test]
        fn $name() {
            breaks(Mutation::$mutation, $promise);
        })*
    };
}

mod without_a_step {
    use super::{ANY_ONE, ANY_TWO, Mutation, breaks, strands};

    breaking! {
        the_worker_does_not_lock: SkipLockCheck => "what may have started is never taken for never ran";
        the_worker_does_not_read: SkipReadCheck => "what may have started is never taken for never ran";
        the_worker_creates_its_record: OpenCreates => "what may have started is never taken for never ran";
        the_worker_does_not_compare_inodes: SkipInodeCheck => "what may have started is never taken for never ran";
        the_agent_comes_before_started: SpawnBeforeStarted => "what may have started is never taken for never ran";
        started_is_not_synced: SkipStartedSync => "what may have started is never taken for never ran";
        exit_is_not_synced: SkipExitSync => "an honest disk keeps an outcome";
        the_directory_is_not_synced: SkipDirectorySync => "an honest disk keeps an outcome";
        the_closing_exit_is_not_synced: SkipCloseSync => "what may have started is never taken for never ran";
        a_found_closing_is_not_synced: SkipResync => "what may have started is never taken for never ran";
        the_claim_comes_before_the_record: ClaimBeforeRecord => "without worse than a daemon's crash nothing is lost";
        recovery_does_not_lock: CloseWithoutLock => "never two at work on one task";
        the_row_is_closed_before_the_record: CommitBeforeExit => "what may have started is never taken for never ran";
        the_record_is_unlinked_instead_of_closed: CloseByUnlink => "without worse than a daemon's crash nothing is lost";
        boots_are_not_compared: NeverRanAcrossBoots => "what may have started is never taken for never ran";
        nothing_is_swept: SkipSweep => "never two at work on one task";
        an_outcome_does_not_wait_for_its_tree: SkipTreeWait => "never two at work on one task";
        the_worker_does_not_sweep: CertifyUnswept => "never two at work on one task";
        an_unseen_end_is_a_success: InventSuccess => "no outcome is invented";
        the_signal_comes_before_the_intent: IntentAfterSignal => "our own stop is never taken for the task's failure";
        the_answer_comes_before_the_intent: AckBeforeCommit => "an acknowledged cancel holds";
        a_cancel_does_not_look_for_an_exit: SkipExitCheck => "an outcome that came before the cancel wins";
        a_refusal_comes_before_the_outcome: RefuseBeforeCommit => "what a person was told stays true";
    }

    #[test]
    fn an_adopted_worker_is_not_told_the_intent() {
        strands(Mutation::ForgetIntent, ANY_ONE);
    }

    #[test]
    fn a_stated_tree_is_trusted_without_its_lock() {
        strands(Mutation::CarryCertificate, ANY_TWO);
    }

    #[test]
    fn a_settled_row_is_not_looked_at() {
        strands(Mutation::ForgetSettled, ANY_ONE);
    }

    #[test]
    fn an_unclaimed_record_is_not_looked_at() {
        strands(Mutation::ForgetUnclaimed, ANY_ONE);
    }

    #[test]
    fn the_wait_has_no_bound() {
        strands(Mutation::WaitForever, ANY_ONE);
    }
}

mod without_a_second_belt {
    use super::{ANY_TWO, Launch, Mutation, holds_without, promises};

    #[test]
    fn an_outcome_is_committed_with_its_release_only() {
        holds_without(Mutation::DeferCommit);
        let walk = promises::walk(&Launch {
            faults: ANY_TWO,
            generations: 2,
            mutations: vec![Mutation::DeferCommit],
        });
        assert_eq!(walk.stranded, None);
    }

    #[test]
    fn a_past_record_is_unlinked_without_its_lock() {
        holds_without(Mutation::UnlinkWithoutLock);
    }

    #[test]
    fn an_empty_record_is_closed_without_a_sweep() {
        holds_without(Mutation::SkipSweepOfEmpty);
    }
}
