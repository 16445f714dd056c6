//! Facts of a described agent → how the run ended.

use super::compiled::Words;
use super::facts::Facts;
use super::file::{Makes, Meaning};
use crate::agent::{ProcessEnd, Verdict, reset, text, told_to_end, trouble};
use crate::task::{Block, BlockKind, Outcome, OutcomeKind, Timestamp, Trouble};

const SECOND_MS: i64 = 1000;
/// A wait longer than this is a mistake: a year.
const WAIT_MAX_MS: i64 = 366 * 24 * 60 * 60 * SECOND_MS;

/// How it ended.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Ended {
    As(OutcomeKind),
    Blocked(Block),
}

/// The verdict on a run.
pub(super) fn verdict(mut facts: Facts, errors: &[String], end: &ProcessEnd) -> Verdict {
    let ended = facts.ended.take();
    let said = ended.as_ref().map_or("", |(_, text)| text.as_str());
    let how = match &ended {
        Some((means, text)) => by_event(*means, text, &facts, end),
        None => without_event(&facts, errors, end),
    };
    let how = resumed_in_vain(how, &facts, end);
    let detail = detail(&how, said, &facts, errors);
    let again = facts
        .trying_again
        .as_ref()
        .and_then(|text| by_text(text, &facts.rules.errors, end.now));
    let mut report = facts.report;
    let kind = match how {
        Ended::As(kind) => {
            if let Some(Ended::Blocked(block)) = again.filter(|_| kind == OutcomeKind::NoResult) {
                report.block = Some(block);
            }
            kind
        }
        Ended::Blocked(block) => {
            report.block = Some(block);
            OutcomeKind::Limited
        }
    };
    Verdict {
        kind,
        detail,
        report,
        proven: ended.is_some(),
    }
}

fn by_event(means: Meaning, text: &str, facts: &Facts, end: &ProcessEnd) -> Ended {
    let failed = |pattern: &regex::Regex| pattern.is_match(text);
    let is_error = means == Meaning::Error
        || (means == Meaning::Success && facts.rules.failed_text.iter().any(failed));
    if is_error {
        return by_text(text, &facts.rules.errors, end.now)
            .or_else(|| by_exit(facts, end))
            .unwrap_or(Ended::As(OutcomeKind::AgentError));
    }
    match means.makes() {
        Makes::End(OutcomeKind::Succeeded) if facts.report.denials > 0 => {
            Ended::As(OutcomeKind::ToolsDenied)
        }
        Makes::End(kind) => Ended::As(kind),
        Makes::Block(kind) => {
            Ended::Blocked(block(kind, text, until(text, &facts.rules.errors, end.now)))
        }
        Makes::Nothing => Ended::As(OutcomeKind::NoResult),
    }
}

fn without_event(facts: &Facts, errors: &[String], end: &ProcessEnd) -> Ended {
    let rules = &facts.rules;
    let in_errors = || {
        let newest_first = errors.iter().rev();
        newest_first
            .filter_map(|line| by_rules(line, &rules.stderr, end.now))
            .next()
    };
    let succeeded = !rules.needs_result && end.exit_code == Some(0);
    if succeeded {
        return Ended::As(if facts.report.denials > 0 {
            OutcomeKind::ToolsDenied
        } else {
            OutcomeKind::Succeeded
        });
    }
    in_errors()
        .or_else(|| by_exit(facts, end))
        .unwrap_or(Ended::As(
            match (rules.needs_result, end.exit_code, end.signal) {
                (false, Some(_), None) => OutcomeKind::Exited,
                (false, _, Some(_)) => OutcomeKind::Signaled,
                _ => OutcomeKind::NoResult,
            },
        ))
}

fn by_exit(facts: &Facts, end: &ProcessEnd) -> Option<Ended> {
    let means = facts.rules.exit.get(&end.exit_code?)?;
    match means.makes() {
        Makes::End(kind) => Some(Ended::As(kind)),
        Makes::Block(kind) => Some(Ended::Blocked(block(kind, "", None))),
        Makes::Nothing => None,
    }
}

/// What the text of an error means: by the rules, and where they are silent, by the words that all agents have for a broken
/// network.
fn by_text(text: &str, rules: &[Words], now: Timestamp) -> Option<Ended> {
    by_rules(text, rules, now).or_else(|| {
        trouble::in_text(text).map(|_| Ended::Blocked(block(BlockKind::Network, text, None)))
    })
}

fn by_rules(text: &str, rules: &[Words], now: Timestamp) -> Option<Ended> {
    let rule = rules.iter().find(|rule| rule.pattern.is_match(text))?;
    match rule.means.makes() {
        Makes::End(kind) => Some(Ended::As(kind)),
        Makes::Block(kind) => Some(Ended::Blocked(block(kind, text, until_of(rule, text, now)))),
        Makes::Nothing => None,
    }
}

fn block(kind: BlockKind, text: &str, until: Option<Timestamp>) -> Block {
    let trouble =
        (kind == BlockKind::Network).then(|| trouble::in_text(text).unwrap_or(Trouble::Other));
    Block {
        until,
        trouble,
        ..Block::of(kind)
    }
}

fn until(text: &str, rules: &[Words], now: Timestamp) -> Option<Timestamp> {
    rules
        .iter()
        .filter(|rule| rule.pattern.is_match(text))
        .find_map(|rule| until_of(rule, text, now))
}

fn until_of(rule: &Words, text: &str, now: Timestamp) -> Option<Timestamp> {
    let groups = rule.until.as_ref()?.captures(text)?;
    let named = |name: &str| groups.name(name).map(|group| group.as_str());
    if let Some(clock) = named("clock") {
        return reset::parse(clock, now);
    }
    if let Some(epoch) = named("epoch") {
        let seconds: i64 = epoch.parse().ok()?;
        return Some(Timestamp::from_ms(seconds.saturating_mul(SECOND_MS)));
    }
    let mut wait_ms = 0_i64;
    let mut any = false;
    for (name, unit_seconds) in [
        ("days", 86_400),
        ("hours", 3600),
        ("minutes", 60),
        ("seconds", 1),
    ] {
        if let Some(count) = named(name) {
            // Servers write fractions of seconds; the next whole one is waited for.
            let whole = count.split('.').next().unwrap_or(count);
            let rest = i64::from(whole.len() < count.len());
            let count: i64 = whole.parse().ok()?;
            let units = count.saturating_add(rest);
            wait_ms = wait_ms
                .saturating_add(units.saturating_mul(unit_seconds).saturating_mul(SECOND_MS));
            any = true;
        }
    }
    (any && wait_ms <= WAIT_MAX_MS).then(|| now.plus_ms(wait_ms))
}

/// A resumed session in which the model never spoke, without a reason that lies outside it, is one that cannot be resumed.
fn resumed_in_vain(how: Ended, facts: &Facts, end: &ProcessEnd) -> Ended {
    let in_vain = facts.resumed
        && facts.rules.needs_result
        && !facts.has_spoken
        && !told_to_end(end)
        && facts.trying_again.is_none();
    match how {
        Ended::As(OutcomeKind::AgentError | OutcomeKind::NoResult) if in_vain => {
            Ended::As(OutcomeKind::ResumeFailed)
        }
        Ended::As(_) | Ended::Blocked(_) => how,
    }
}

fn detail(how: &Ended, said: &str, facts: &Facts, errors: &[String]) -> String {
    let line = |text: &str| text::one_line(text, Outcome::DETAIL_MAX_BYTES);
    match how {
        Ended::As(OutcomeKind::Succeeded) => String::new(),
        Ended::As(OutcomeKind::ToolsDenied) => match facts.report.denials {
            1 => "one tool call was denied".to_owned(),
            denials => format!("{denials} tool calls were denied"),
        },
        Ended::As(_) | Ended::Blocked(_) => {
            let again = facts.trying_again.as_deref().unwrap_or_default();
            let texts = [said, again, errors.last().map_or("", String::as_str)];
            let first = texts.into_iter().find(|text| !text.is_empty());
            line(first.unwrap_or("ended without a result"))
        }
    }
}

#[cfg(test)]
mod tests;
