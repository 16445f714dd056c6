//! The model as stateright sees it: who may move, and what each move does.

use stateright::{Model, Property};

use crate::faults::{self, Loss};
use crate::promises;
use crate::state::{Exit, Faults, Mutation, State};
use crate::{daemon, recover, worker};

/// One run's setting.
#[derive(Debug, Clone)]
pub(crate) struct Launch {
    pub(crate) faults: Faults,
    /// Attempts before the task goes to review: 1 to [`MAX_GENERATIONS`](crate::state::MAX_GENERATIONS).
    pub(crate) generations: usize,
    pub(crate) mutations: Vec<Mutation>,
}

impl Launch {
    pub(crate) fn with(&self, mutation: Mutation) -> bool {
        self.mutations.contains(&mutation)
    }
}

/// One move of somebody.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Action {
    /// The daemon starts, or does its next step.
    Daemon,
    /// The daemon looks at an attempt and plans.
    Look,
    /// The same, with the bounded wait over and the heartbeat too old.
    LookImpatiently,
    /// The sweep's signals take their time.
    SweepSlowly,
    /// The worker's next step.
    Worker(usize),
    AgentExecs(usize),
    AgentEnds(usize, Exit),
    /// The agent ends and leaves a descendant behind.
    AgentLeavesStraggler(usize),
    StragglerEnds(usize),
    Unstick(usize),
    Cancel,
    DaemonCrash,
    WorkerCrash(usize),
    WorkerHang(usize),
    Reboot(Loss),
    DiskLoss(Loss),
    DeleteRecord(usize),
    Stick(usize),
}

impl Action {
    /// Whether it happens without a fault or a person.
    pub(crate) fn is_progress(self) -> bool {
        match self {
            Self::Daemon
            | Self::Look
            | Self::LookImpatiently
            | Self::SweepSlowly
            | Self::Worker(_)
            | Self::AgentExecs(_)
            | Self::AgentEnds(..)
            | Self::AgentLeavesStraggler(_)
            | Self::StragglerEnds(_)
            | Self::Unstick(_) => true,
            Self::Cancel
            | Self::DaemonCrash
            | Self::WorkerCrash(_)
            | Self::WorkerHang(_)
            | Self::Reboot(_)
            | Self::DiskLoss(_)
            | Self::DeleteRecord(_)
            | Self::Stick(_) => false,
        }
    }
}

impl Model for Launch {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        vec![
            State::first(self.faults, false),
            State::first(self.faults, true),
        ]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        actions.extend([
            Action::Daemon,
            Action::Look,
            Action::LookImpatiently,
            Action::SweepSlowly,
            Action::Cancel,
        ]);
        let faulty = state.left.any > 0;
        for generation in 1..=state.row.generation {
            actions.extend([
                Action::Worker(generation),
                Action::AgentExecs(generation),
                Action::AgentEnds(generation, Exit::Ok),
                Action::AgentEnds(generation, Exit::Fail),
                Action::AgentLeavesStraggler(generation),
                Action::StragglerEnds(generation),
                Action::Unstick(generation),
            ]);
            if faulty {
                actions.extend([
                    Action::WorkerCrash(generation),
                    Action::WorkerHang(generation),
                    Action::DeleteRecord(generation),
                    Action::Stick(generation),
                ]);
            }
        }
        if faulty {
            actions.push(Action::DaemonCrash);
            for loss in [Loss::Nothing, Loss::Unsynced, Loss::Torn] {
                actions.extend([Action::Reboot(loss), Action::DiskLoss(loss)]);
            }
            actions.push(Action::Reboot(Loss::Synced));
        }
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        match action {
            Action::Daemon => daemon::step(self, last),
            Action::Look => recover::look(self, last, false),
            Action::LookImpatiently => recover::look(self, last, true),
            Action::SweepSlowly => recover::sweep_slowly(last),
            Action::Worker(generation) => worker::step(self, last, generation),
            Action::AgentExecs(generation) => worker::exec_agent(last, generation),
            Action::AgentEnds(generation, exit) => worker::end_agent(last, generation, exit, false),
            Action::AgentLeavesStraggler(generation) => {
                worker::end_agent(last, generation, Exit::Fail, true)
            }
            Action::StragglerEnds(generation) => worker::end_straggler(last, generation),
            Action::Unstick(generation) => faults::unstick(last, generation),
            Action::Cancel => daemon::cancel(self, last),
            Action::DaemonCrash => faults::crash_daemon(last),
            Action::WorkerCrash(generation) => faults::crash_worker(last, generation),
            Action::WorkerHang(generation) => faults::hang_worker(last, generation),
            Action::Reboot(loss) => faults::reboot(last, loss),
            Action::DiskLoss(loss) => faults::lose_disk(last, loss),
            Action::DeleteRecord(generation) => faults::delete_record(last, generation),
            Action::Stick(generation) => faults::stick(last, generation),
        }
    }

    fn properties(&self) -> Vec<Property<Self>> {
        promises::properties()
    }
}
