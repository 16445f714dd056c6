//! What holds in the morning.

use std::collections::{BTreeMap, BTreeSet};

use auto_claude::task::{BlockKind, Next, OutcomeKind, Tokens};
use serde_json::json;

use crate::Luck;
use crate::kit::{Night, PROMPTS, SLOTS};
use crate::lives::{Attempt, attempts, tokens};

/// What the page tells of the run.
pub struct Figures {
    pub attempts: BTreeMap<String, usize>,
    pub requests: usize,
    pub micro_usd: u64,
    pub unknown: usize,
    pub cut: usize,
    pub told: Tokens,
    pub served: Tokens,
}

/// All of it.
pub fn all(night: &Night, luck: &Luck) -> Figures {
    let lives = attempts(night);
    everything_is_done_and_no_retry_was_spent(night);
    every_attempt_has_its_reason(night, &lives, luck);
    tools_ran_where_the_journal_says(night, &lives);
    the_last_words_came_once(&lives);
    who_was_stopped_went_on_in_its_session(&lives);
    behind_a_limit_comes_one_probe(night, &lives);
    the_ledger_is_what_was_served(night, &lives)
}

fn everything_is_done_and_no_retry_was_spent(night: &Night) {
    for asked in &night.tasks {
        let task = night.world.task(&asked.id);
        assert_eq!(
            (&task["state"], &task["outcome"]["kind"], &task["retries"]),
            (&json!("completed"), &json!("succeeded"), &json!(0)),
            "{task}"
        );
    }
    for account in night.accounts() {
        let known = night.known(account);
        assert_eq!(
            (&known["holds"], &known["probing"]),
            (&json!([]), &json!(false))
        );
        for count in ["running", "queued", "held"] {
            assert_eq!(known[count], 0, "{known}");
        }
    }
    let status = night.world.ask("GET", "/status", None);
    assert_eq!(status["attention"], json!([]), "nobody need look");
}

/// One success each; before it only what a limit, the network or the power ended.
fn every_attempt_has_its_reason(night: &Night, lives: &[Attempt], luck: &Luck) {
    let mut lost = 0;
    let mut last = vec![None; night.tasks.len()];
    for attempt in lives {
        let story = || {
            format!(
                "{}: {:?}, {:?}",
                attempt.name, attempt.outcome, attempt.next
            )
        };
        assert_ne!(
            last[attempt.task],
            Some(OutcomeKind::Succeeded),
            "done before: {}",
            story()
        );
        let before = last[attempt.task].replace(attempt.outcome.kind);
        match attempt.outcome.kind {
            OutcomeKind::Succeeded => assert_eq!(attempt.next, Next::Complete, "{}", story()),
            OutcomeKind::Limited => assert_eq!(attempt.next, Next::Wait, "{}", story()),
            OutcomeKind::Lost => {
                lost += 1;
                let again = matches!(
                    attempt.next,
                    Next::Retry {
                        spends_retry: false,
                        ..
                    }
                );
                assert!(again, "{}", story());
            }
            // The power may have gone before the session was on the disk.
            OutcomeKind::UnknownSession => {
                assert_eq!(before, Some(OutcomeKind::Lost), "{}", story());
            }
            _ => panic!(
                "no reason for that: {}\n{}",
                story(),
                night.world.output(&night.tasks[attempt.task].id)
            ),
        }
    }
    assert!(
        last.iter()
            .all(|kind| *kind == Some(OutcomeKind::Succeeded))
    );
    assert_eq!(
        lost,
        if luck.rebooted { SLOTS } else { 0 },
        "only the power loses an attempt"
    );
}

/// Each tool left its mark under the name of an attempt that there was: once, and never again in another attempt but one
/// that follows a loss.
fn tools_ran_where_the_journal_says(night: &Night, lives: &[Attempt]) {
    let text = std::fs::read_to_string(night.witness()).unwrap();
    let marks: Vec<&str> = text.lines().collect();
    let once: BTreeSet<&str> = marks.iter().copied().collect();
    assert_eq!(
        once.len(),
        marks.len(),
        "a tool ran twice in one attempt: {marks:?}"
    );
    for (index, task) in night.tasks.iter().enumerate() {
        let own = |attempt: &&Attempt| attempt.task == index;
        let marked = lives
            .iter()
            .filter(own)
            .filter(|attempt| once.contains(attempt.name.as_str()))
            .count();
        let lost = lives
            .iter()
            .filter(own)
            .filter(|attempt| attempt.outcome.kind == OutcomeKind::Lost)
            .count();
        if task.uses_tool {
            assert!(
                (1..=1 + lost).contains(&marked),
                "{}: {marked} marks",
                task.id
            );
        } else {
            assert_eq!(marked, 0, "{} has no tool", task.id);
        }
    }
    let names: BTreeSet<&str> = lives.iter().map(|attempt| attempt.name.as_str()).collect();
    assert!(once.is_subset(&names), "a mark of nobody: {marks:?}");
}

/// The model ended each conversation once, in the attempt that succeeded.
fn the_last_words_came_once(lives: &[Attempt]) {
    let mut ended = vec![0; PROMPTS];
    for attempt in lives {
        let last = attempt.requests.iter().filter(|request| {
            let words = request.answer == "text" || request.brings_result;
            request.main && request.complete && request.status == 200 && words
        });
        let count = last.count();
        ended[attempt.task] += count;
        assert_eq!(
            count,
            usize::from(attempt.outcome.kind == OutcomeKind::Succeeded),
            "{}",
            attempt.name
        );
    }
    assert!(ended.iter().all(|count| *count == 1), "{ended:?}");
}

/// What a limit, the network or the power stopped was resumed, in the agent session that it had.
fn who_was_stopped_went_on_in_its_session(lives: &[Attempt]) {
    let mut stopped: BTreeMap<usize, &Attempt> = BTreeMap::new();
    for attempt in lives {
        if let Some(before) = stopped.remove(&attempt.task) {
            assert_eq!(
                (attempt.run.resume, &attempt.run.session),
                (true, &before.run.session),
                "{} after {:?}",
                attempt.name,
                before.outcome
            );
        }
        match attempt.outcome.kind {
            OutcomeKind::Limited | OutcomeKind::Lost => {
                stopped.insert(attempt.task, attempt);
            }
            _ => {}
        }
    }
    assert!(stopped.is_empty());
}

/// After a limit the account's next start is its probe, not before the announced time; beside a probe that was not served
/// yet nothing starts.
fn behind_a_limit_comes_one_probe(night: &Night, lives: &[Attempt]) {
    for account in night.accounts().map(|account| account.name()) {
        let own: Vec<&Attempt> = lives
            .iter()
            .filter(|attempt| attempt.account == account)
            .collect();
        let neighbours = |block: BlockKind| block == BlockKind::Network;
        for end in lives
            .iter()
            .filter(|attempt| attempt.outcome.kind == OutcomeKind::Limited)
        {
            let block = end
                .report
                .as_ref()
                .and_then(|report| report.block.as_ref())
                .unwrap();
            if end.account != account && !neighbours(block.kind) {
                continue;
            }
            // Claims at the very time of the end may stand on either side of it.
            let next = own.iter().find(|attempt| attempt.claimed > end.ended);
            let Some(next) = next else { continue };
            assert!(next.run.probe, "{} starts after {:?}", next.name, block);
            assert!(
                block.until.is_none_or(|until| until <= next.claimed),
                "{} starts before {:?}",
                next.name,
                block
            );
        }
        for probe in own.iter().filter(|attempt| attempt.run.probe) {
            // It opens the account as soon as it is served, and may go on for long.
            let until = probe.first_served().unwrap_or(probe.ended);
            let beside = own
                .iter()
                .find(|attempt| attempt.claimed > probe.claimed && attempt.claimed < until);
            assert!(
                beside.is_none(),
                "{} starts beside the probe {}",
                beside.unwrap().name,
                probe.name
            );
        }
    }
}

/// Of every run that told its end, the ledger has what was served to it; runs that could not are counted as unknown.
fn the_ledger_is_what_was_served(night: &Night, lives: &[Attempt]) -> Figures {
    for attempt in lives {
        a_run_told_what_it_was_served(attempt);
    }
    let costs = night.world.ask("GET", "/costs?by=account", None);
    let mut figures = figures(night, lives);
    for account in night.accounts() {
        let own = |attempt: &&Attempt| attempt.account == account.name();
        let own: Vec<&Attempt> = lives.iter().filter(own).collect();
        let group = json!(format!("claude/{}", account.name()));
        let mut rows = costs.as_array().unwrap().iter();
        let row = rows.find(|row| row["group"] == group).unwrap();
        let ledger: Tokens = serde_json::from_value(row["tokens"].clone()).unwrap();
        assert_eq!(
            ledger,
            sum(own.iter().map(|attempt| attempt.told())),
            "{row}"
        );
        let known: u64 = own.iter().filter_map(|attempt| attempt.cost()).sum();
        let unknown = own.iter().filter(|attempt| attempt.cost().is_none());
        let unknown: Vec<_> = unknown.collect();
        let estimated: Vec<_> = own
            .iter()
            .filter(|attempt| attempt.is_estimated())
            .collect();
        assert_eq!(
            [
                &row["micro_usd"],
                &row["runs"],
                &row["unknown_runs"],
                &row["estimated_runs"]
            ],
            [
                &json!(known),
                &json!(own.len()),
                &json!(unknown.len()),
                &json!(estimated.len())
            ],
        );
        // The ledger has all that the account was served to the end, but for what came to the runs whose cost nobody knows;
        // and beside it what the agent makes of answers that were cut, and what was seen of runs that told nothing.
        let served = tokens(account.served());
        let untold = unknown.iter().chain(&estimated);
        let lost = sum(untold.map(|attempt| attempt.served()));
        let seen = sum(estimated.iter().map(|attempt| attempt.told()));
        let cut = own
            .iter()
            .filter(|attempt| attempt.cost().is_some() && !attempt.is_estimated())
            .filter(|attempt| attempt.was_cut());
        let cut: Vec<_> = cut.collect();
        let told = sum(cut.iter().map(|attempt| attempt.told()));
        let whole = sum(cut.iter().map(|attempt| attempt.served()));
        assert_eq!(
            sum([ledger, lost, whole]),
            sum([served, told, seen]),
            "{row}"
        );
        figures.told = sum([figures.told, ledger]);
        figures.served = sum([figures.served, served]);
        figures.unknown += unknown.len();
        figures.cut += cut.len();
        figures.micro_usd += known;
    }
    figures
}

/// The agent's word for one run against the stand-in's.
fn a_run_told_what_it_was_served(attempt: &Attempt) {
    let story = || {
        format!(
            "{}: {:?} {:?}",
            attempt.name, attempt.outcome, attempt.report
        )
    };
    if attempt.outcome.kind == OutcomeKind::UnknownSession {
        assert_eq!(
            (attempt.cost(), attempt.told(), attempt.served()),
            (Some(0), Tokens::default(), Tokens::default()),
            "{}",
            story()
        );
        return;
    }
    if attempt.outcome.kind == OutcomeKind::Lost {
        // What was seen of it before the end that nobody saw: its cost is reckoned from that, or unknown, and never nothing.
        let (seen, cost) = (attempt.told(), attempt.cost());
        assert!(
            cost.is_none_or(|cost| cost > 0 && attempt.is_estimated() && seen != Tokens::default()),
            "{}",
            story()
        );
        return;
    }
    let (told, served) = (attempt.told(), attempt.served());
    if attempt.was_cut() {
        // Whether an answer that was cut counts is the agent's choice, and how much was written it reckons itself: only the
        // end of an answer tells.
        let announced = attempt.announced();
        assert!(
            (served.input..=announced.input).contains(&told.input),
            "{}",
            story()
        );
        assert!(told.output >= served.output, "{}", story());
    } else {
        assert_eq!(told, served, "{}", story());
    }
    let cost = attempt.cost();
    assert_eq!(
        cost.map(|cost| cost > 0),
        Some(told != Tokens::default()),
        "{}",
        story()
    );
}

fn figures(night: &Night, lives: &[Attempt]) -> Figures {
    let mut by_end: BTreeMap<String, usize> = BTreeMap::new();
    for attempt in lives {
        *by_end
            .entry(format!("{:?}", attempt.outcome.kind))
            .or_default() += 1;
    }
    Figures {
        attempts: by_end,
        requests: night.api.count(|request| request.main),
        micro_usd: 0,
        unknown: 0,
        cut: 0,
        told: Tokens::default(),
        served: Tokens::default(),
    }
}

fn sum(all: impl IntoIterator<Item = Tokens>) -> Tokens {
    let none = Tokens::default();
    all.into_iter().fold(none, |sum, one| Tokens {
        input: sum.input + one.input,
        output: sum.output + one.output,
        cache_read: sum.cache_read + one.cache_read,
        cache_write: sum.cache_write + one.cache_write,
    })
}
