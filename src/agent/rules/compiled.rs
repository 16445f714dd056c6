//! A description made ready: pointers read, patterns compiled.

use std::collections::BTreeMap;

use regex::{Regex, RegexBuilder};

use super::check::Problems;
use super::file::{ErrorRule, EventRule, Meaning, Rules, Scalar, TotalsOf};
use super::pointer::Pointer;

/// Most memory that a compiled pattern may take.
const PATTERN_MEMORY_MAX_BYTES: usize = 1024 * 1024;
/// Groups from which a time is read.
const GROUPS: [&str; 6] = ["clock", "epoch", "days", "hours", "minutes", "seconds"];

/// A description, ready.
#[derive(Debug, Default)]
pub(super) struct Compiled {
    pub(super) name: String,
    pub(super) needs_result: bool,
    pub(super) totals_of: TotalsOf,
    pub(super) zero_cost_is_unknown: bool,
    pub(super) events: Vec<Event>,
    pub(super) failed_text: Vec<Regex>,
    pub(super) errors: Vec<Words>,
    pub(super) stderr: Vec<Words>,
    pub(super) exit: BTreeMap<i32, Meaning>,
}

/// What an event means.
#[derive(Debug)]
pub(super) struct Event {
    pub(super) when: Vec<(Pointer, Scalar)>,
    pub(super) means: Option<Meaning>,
    pub(super) served: bool,
    pub(super) session: Option<Pointer>,
    pub(super) model: Option<Pointer>,
    pub(super) version: Option<Pointer>,
    pub(super) text: Option<Pointer>,
    pub(super) cost_usd: Option<Pointer>,
    pub(super) tokens: Option<Tokens>,
    pub(super) add: bool,
}

/// Where counts of tokens are.
#[derive(Debug)]
pub(super) struct Tokens {
    pub(super) input: Option<Pointer>,
    pub(super) output: Option<Pointer>,
    pub(super) cache_read: Option<Pointer>,
    pub(super) cache_write: Option<Pointer>,
    pub(super) input_includes_cache_read: bool,
}

/// What a text means.
#[derive(Debug)]
pub(super) struct Words {
    pub(super) pattern: Regex,
    pub(super) means: Meaning,
    pub(super) until: Option<Regex>,
}

impl Compiled {
    /// Compiles what can be; the rest is a problem each, and is left out.
    pub(super) fn new(rules: &Rules, problems: &mut Problems) -> Self {
        let events = rules.events.iter().enumerate();
        let events = events
            .map(|(index, rule)| event(&format!("events[{index}]"), rule, problems))
            .collect();
        let failed = rules.failed_text.iter().enumerate();
        let failed_text = failed
            .filter_map(|(index, text)| pattern(&format!("failed_text[{index}]"), text, problems))
            .collect();
        Self {
            name: rules.name.clone(),
            needs_result: rules.needs_result,
            totals_of: rules.totals_of,
            zero_cost_is_unknown: rules.zero_cost_is_unknown,
            events,
            failed_text,
            errors: words("errors", &rules.errors, problems),
            stderr: words("stderr", &rules.stderr, problems),
            exit: rules
                .exit
                .iter()
                .filter_map(|(code, means)| Some((code.parse().ok()?, *means)))
                .collect(),
        }
    }
}

fn event(place: &str, rule: &EventRule, problems: &mut Problems) -> Event {
    let when = rule
        .when
        .iter()
        .filter_map(|(text, value)| {
            let pointer = Pointer::parse(text);
            let pointer = pointer.map_err(|what| problems.push(format!("{place}.when"), what));
            Some((pointer.ok()?, value.clone()))
        })
        .collect();
    let mut at = |key: &str, text: &Option<String>| {
        let pointer = Pointer::parse(text.as_deref()?);
        pointer
            .map_err(|what| problems.push(format!("{place}.{key}"), what))
            .ok()
    };
    Event {
        when,
        means: rule.means,
        served: rule.served,
        session: at("session", &rule.session),
        model: at("model", &rule.model),
        version: at("version", &rule.version),
        text: at("text", &rule.text),
        cost_usd: at("cost_usd", &rule.cost_usd),
        tokens: rule.tokens.as_ref().map(|tokens| Tokens {
            input: at("tokens.input", &tokens.input),
            output: at("tokens.output", &tokens.output),
            cache_read: at("tokens.cache_read", &tokens.cache_read),
            cache_write: at("tokens.cache_write", &tokens.cache_write),
            input_includes_cache_read: tokens.input_includes_cache_read,
        }),
        add: rule.add,
    }
}

fn words(list: &str, rules: &[ErrorRule], problems: &mut Problems) -> Vec<Words> {
    let mut words = Vec::new();
    for (index, rule) in rules.iter().enumerate() {
        let compiled = pattern(&format!("{list}[{index}].pattern"), &rule.pattern, problems);
        let until = rule
            .until
            .as_ref()
            .and_then(|text| time_pattern(&format!("{list}[{index}].until"), text, problems));
        words.extend(compiled.map(|pattern| Words {
            pattern,
            means: rule.means,
            until,
        }));
    }
    words
}

fn time_pattern(place: &str, text: &str, problems: &mut Problems) -> Option<Regex> {
    let compiled = pattern(place, text, problems)?;
    let mut named = compiled.capture_names().flatten().peekable();
    if named.peek().is_none() || !named.all(|name| GROUPS.contains(&name)) {
        problems.push(
            place,
            format!(
                "the time is read from named groups, as in (?<clock>…); there are {}",
                GROUPS.join(", ")
            ),
        );
        return None;
    }
    Some(compiled)
}

pub(super) fn pattern(place: &str, text: &str, problems: &mut Problems) -> Option<Regex> {
    let compiled = RegexBuilder::new(text)
        .size_limit(PATTERN_MEMORY_MAX_BYTES)
        .build();
    match compiled {
        Ok(compiled) => {
            if compiled.is_match("") {
                problems.push(place, format!("{text:?} matches every text"));
            }
            Some(compiled)
        }
        Err(error) => {
            let error = error.to_string();
            let last = error.lines().last().unwrap_or_default();
            let what = last.trim_start_matches("error: ");
            problems.push(place, format!("{text:?} is no regular expression: {what}"));
            None
        }
    }
}
