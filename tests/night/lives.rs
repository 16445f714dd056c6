//! The journals of the night, attempt by attempt, with what the stand-in served to each.

use auto_claude::task::{AgentRun, Event, Next, Outcome, Report, Timestamp, Tokens};
use serde_json::Value;

use crate::kit::{Asked, Night};
use crate::messages_api::answer::Usage;
use crate::messages_api::record::Request;

/// One attempt.
pub struct Attempt {
    /// `task.generation`.
    pub name: String,
    pub task: usize,
    pub account: String,
    pub run: AgentRun,
    pub claimed: Timestamp,
    pub ended: Timestamp,
    pub outcome: Outcome,
    pub report: Option<Report>,
    pub next: Next,
    /// What it asked its server in its main loop or beside, in order.
    pub requests: Vec<Request>,
}

impl Attempt {
    /// What the agent said that it has read and written.
    pub fn told(&self) -> Tokens {
        let tokens = self.report.iter().flat_map(|report| report.tokens.values());
        tokens.fold(Tokens::default(), |sum, one| Tokens {
            input: sum.input + one.input,
            output: sum.output + one.output,
            cache_read: sum.cache_read + one.cache_read,
            cache_write: sum.cache_write + one.cache_write,
        })
    }

    /// What the stand-in has served it to the end.
    pub fn served(&self) -> Tokens {
        self.sum(|request| request.complete)
    }

    /// The same with what it had announced of answers that were then cut.
    pub fn announced(&self) -> Tokens {
        self.sum(|_| true)
    }

    /// When it asked what was the first to be answered to its end.
    pub fn first_served(&self) -> Option<Timestamp> {
        let served = |request: &&Request| request.main && request.complete && request.status == 200;
        let first = self.requests.iter().find(served);
        first.map(|request| Timestamp::from_ms(request.at_ms))
    }

    /// Whether an answer to it had begun and was cut.
    pub fn was_cut(&self) -> bool {
        self.served() != self.announced()
    }

    fn sum(&self, of: impl Fn(&Request) -> bool) -> Tokens {
        let usages = self.requests.iter().filter(|request| of(request));
        tokens(usages.fold(Usage::NONE, |sum, request| sum.plus(request.usage)))
    }

    /// What it has cost: the agent's word, or reckoned from what was seen of it.
    pub fn cost(&self) -> Option<u64> {
        self.report.as_ref()?.cost_micro_usd
    }

    /// Whether its cost is reckoned.
    pub fn is_estimated(&self) -> bool {
        let report = self.report.as_ref();
        report.is_some_and(|report| report.cost_estimated)
    }
}

/// The stand-in's word for tokens in ours.
pub const fn tokens(usage: Usage) -> Tokens {
    Tokens {
        input: usage.input,
        output: usage.output,
        cache_read: usage.cache_read,
        cache_write: usage.cache_creation,
    }
}

/// All attempts in the order of their claims.
pub fn attempts(night: &Night) -> Vec<Attempt> {
    let mut all = Vec::new();
    for (index, task) in night.tasks.iter().enumerate() {
        all.extend(of_task(&night.journal(&task.id), index, task));
    }
    all.sort_by_key(|attempt| attempt.claimed);
    for request in night.api.requests() {
        // Attempts in one session follow each other.
        let at = Timestamp::from_ms(request.at_ms);
        let asked = all.iter_mut().rev().find(|attempt| {
            Some(&attempt.run.session) == request.session.as_ref() && attempt.claimed <= at
        });
        if let Some(attempt) = asked {
            attempt.requests.push(request);
        } else {
            assert_eq!(
                request.usage,
                Usage::NONE,
                "nobody asked for {} {}",
                request.method,
                request.path
            );
        }
    }
    all
}

fn of_task(journal: &[Value], index: usize, task: &Asked) -> Vec<Attempt> {
    let mut attempts = Vec::new();
    let mut claim = None;
    for row in journal {
        let at: Timestamp = serde_json::from_value(row["at"].clone()).unwrap();
        match serde_json::from_value(row["event"].clone()).unwrap() {
            Event::Claimed {
                generation,
                run: Some(run),
                ..
            } => claim = Some((generation, *run, at)),
            Event::Ended {
                outcome,
                next,
                report,
                ..
            } => {
                let (generation, run, claimed) = claim.take().unwrap();
                attempts.push(Attempt {
                    name: format!("{}.{generation}", task.id),
                    task: index,
                    account: task.account.clone(),
                    run,
                    claimed,
                    ended: at,
                    outcome,
                    report: report.map(|report| *report),
                    next,
                    requests: Vec::new(),
                });
            }
            _ => {}
        }
    }
    assert!(claim.is_none(), "an attempt of {} has no end", task.id);
    attempts
}
