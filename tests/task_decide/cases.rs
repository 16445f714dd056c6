//! Cases of the decision, and all of their combinations.

use auto_claude::task::agent::AgentFacts;
use auto_claude::task::{
    Facts, IfLost, Intent, IntentKind, Next, Outcome, OutcomeKind, PauseReason, PauseReasons,
    Policy, RetryOn, TaskType, Timestamp, decide,
};

pub(crate) const NOW: Timestamp = Timestamp::from_ms(1_800_000_000_000);
pub(crate) const HOUR_MS: u64 = 3_600_000;

pub(crate) fn policy() -> Policy {
    Policy {
        task_type: TaskType::Lightweight,
        max_retries: 3,
        retry_on: vec![],
        if_lost: None,
        base_ms: 10_000,
        max_ms: HOUR_MS,
        restart_max: 3,
        restart_window_ms: HOUR_MS,
    }
}

/// One combination.
#[derive(Debug, Clone)]
pub(crate) struct Case {
    pub(crate) outcome: Outcome,
    pub(crate) intent: Option<Intent>,
    pub(crate) reasons: PauseReasons,
    pub(crate) retries: u32,
    pub(crate) restarts: Vec<Timestamp>,
    pub(crate) policy: Policy,
    pub(crate) foreground: bool,
    pub(crate) agent: AgentFacts,
}

impl Case {
    pub(crate) fn of(kind: OutcomeKind) -> Self {
        Self {
            outcome: Outcome::of(kind),
            intent: None,
            reasons: PauseReasons::new(),
            retries: 0,
            restarts: vec![],
            policy: policy(),
            foreground: false,
            agent: AgentFacts::default(),
        }
    }

    pub(crate) fn intending(mut self, kind: IntentKind) -> Self {
        self.intent = Some(Intent::of(kind));
        self.reasons.extend(kind.pause_reason());
        self
    }

    pub(crate) fn decide(&self) -> Next {
        decide(&Facts {
            outcome: &self.outcome,
            intent: self.intent.as_ref(),
            pause_reasons: &self.reasons,
            retries: self.retries,
            restarts: &self.restarts,
            policy: &self.policy,
            foreground: self.foreground,
            agent: self.agent,
            now: NOW,
            random: u64::MAX / 2,
        })
    }
}

pub(crate) fn outcomes() -> Vec<Outcome> {
    let both = |kind| {
        [false, true].map(|stop_sent| Outcome {
            stop_sent,
            ..Outcome::of(kind)
        })
    };
    let mut all: Vec<Outcome> = OutcomeKind::ALL.into_iter().flat_map(both).collect();
    for outcome in &mut all {
        if outcome.kind == OutcomeKind::Succeeded {
            outcome.exit_code = Some(0);
        } else if outcome.kind == OutcomeKind::Exited {
            outcome.exit_code = Some(75);
        }
    }
    all
}

pub(crate) fn intents() -> Vec<(Option<Intent>, PauseReasons)> {
    let mut all = vec![(None, PauseReasons::new())];
    for kind in IntentKind::ALL {
        let own: PauseReasons = kind.pause_reason().into_iter().collect();
        let with_person = own.iter().copied().chain([PauseReason::Person]).collect();
        all.push((Some(Intent::of(kind)), own));
        all.push((Some(Intent::of(kind)), with_person));
    }
    all
}

pub(crate) fn policies() -> Vec<Policy> {
    let types = [
        TaskType::Lightweight,
        TaskType::MediumContext,
        TaskType::HeavyContext,
    ];
    let losts = [
        None,
        Some(IfLost::Resume),
        Some(IfLost::Rerun),
        Some(IfLost::Review),
        Some(IfLost::Fail),
    ];
    let retried = [
        vec![],
        vec![RetryOn::Any],
        vec![RetryOn::Exit],
        vec![RetryOn::Code(75)],
        vec![RetryOn::Signal, RetryOn::Code(1)],
        vec![RetryOn::Timeout, RetryOn::Spawn],
    ];
    let mut all = vec![];
    for task_type in types {
        for if_lost in losts {
            for retry_on in &retried {
                all.push(Policy {
                    task_type,
                    if_lost,
                    retry_on: retry_on.clone(),
                    ..policy()
                });
            }
        }
    }
    all
}

/// Every combination; the facts that are numbers stand for themselves at their edges.
pub(crate) fn for_every_case(mut see: impl FnMut(&Case)) {
    let ago = |ms: i64| NOW.plus_ms(-ms);
    let restart_sets = [
        vec![],
        vec![ago(2000), ago(1000)],
        vec![ago(2 * 3_600_000), ago(-365 * 24 * 3_600_000), ago(-10)],
    ];
    for outcome in outcomes() {
        for (intent, reasons) in intents() {
            for policy in policies() {
                for restarts in &restart_sets {
                    for bits in 0..16_u8 {
                        see(&Case {
                            outcome: outcome.clone(),
                            intent: intent.clone(),
                            reasons: reasons.clone(),
                            retries: if bits & 1 == 0 { 0 } else { policy.max_retries },
                            restarts: restarts.clone(),
                            policy: policy.clone(),
                            foreground: bits & 2 != 0,
                            agent: AgentFacts {
                                resumed: bits & 4 != 0,
                                budget_left: bits & 8 != 0,
                                ..AgentFacts::default()
                            },
                        });
                    }
                }
            }
        }
    }
}

pub(crate) fn spends(next: Next) -> bool {
    matches!(
        next,
        Next::Retry {
            spends_retry: true,
            ..
        }
    )
}

pub(crate) fn goes_on(next: Next) -> bool {
    matches!(
        next,
        Next::Pending | Next::Retry { .. } | Next::Wait | Next::Test
    )
}
