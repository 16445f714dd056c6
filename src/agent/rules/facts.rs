//! Events of a described agent, one after the other → the facts of the run.

use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

use super::check::Problems;
use super::compiled::{self, Compiled, Event};
use super::file::{Makes, Meaning, Rules, Scalar, TotalsOf};
use super::pointer::Pointer;
use crate::agent::text::{self, TEXT_MAX_BYTES};
use crate::agent::{ProcessEnd, Verdict, lines, money};
use crate::task::{Report, Tokens};

/// All that is known of a run so far.
#[derive(Debug)]
pub(in crate::agent) struct Facts {
    pub(super) rules: Compiled,
    pub(super) resumed: bool,
    pub(super) report: Report,
    /// The last event that ends a run, with its text.
    pub(super) ended: Option<(Meaning, String)>,
    /// The model has spoken.
    pub(super) has_spoken: bool,
    /// A request was being tried again when the stream ended, and why.
    pub(super) trying_again: Option<String>,
    last_was_retry: bool,
    tokens: Tokens,
}

impl Facts {
    /// What does not compile means nothing: it was refused when the file was read.
    pub(in crate::agent) fn new(rules: &Rules, resumed: bool) -> Self {
        Self {
            rules: Compiled::new(rules, &mut Problems::default()),
            resumed,
            report: Report::default(),
            ended: None,
            has_spoken: false,
            trying_again: None,
            last_was_retry: false,
            tokens: Tokens::default(),
        }
    }

    pub(in crate::agent) const fn report(&self) -> &Report {
        &self.report
    }

    pub(in crate::agent) const fn is_trying_again(&self) -> bool {
        self.last_was_retry
    }

    /// Takes one line of the output.
    pub(in crate::agent) fn line(&mut self, line: &str) {
        lines::objects(line, |object| self.object(object));
    }

    fn object(&mut self, object: &RawValue) {
        let events = std::mem::take(&mut self.rules.events);
        self.last_was_retry = false;
        for event in &events {
            if event
                .when
                .iter()
                .all(|(pointer, value)| is(pointer, value, object))
            {
                self.event(event, object);
            }
        }
        self.rules.events = events;
    }

    fn event(&mut self, event: &Event, object: &RawValue) {
        let name = |pointer: &Option<Pointer>| {
            let text: String = get(pointer.as_ref(), object)?;
            Some(text::one_line(&text, Report::NAME_MAX_BYTES)).filter(|text| !text.is_empty())
        };
        for (fact, said) in [
            (&mut self.report.session, name(&event.session)),
            (&mut self.report.model, name(&event.model)),
            (&mut self.report.version, name(&event.version)),
        ] {
            if said.is_some() {
                *fact = said;
            }
        }
        self.report.served |= event.served;
        self.spent(event, object);
        let text = event
            .text
            .as_ref()
            .and_then(|pointer| text_at(pointer, object));
        if let Some(means) = event.means {
            self.means(means, text.unwrap_or_default());
        }
    }

    fn means(&mut self, means: Meaning, text: String) {
        let report = &mut self.report;
        match means {
            Meaning::Turn => {
                report.turns = report.turns.saturating_add(1);
                self.has_spoken = true;
                self.trying_again = None;
                return;
            }
            Meaning::Denied => {
                report.denials = report.denials.saturating_add(1);
                return;
            }
            Meaning::Retry => {
                report.retries = report.retries.saturating_add(1);
                self.trying_again = Some(text);
                self.last_was_retry = true;
                return;
            }
            Meaning::Success
            | Meaning::Error
            | Meaning::ToolDeferred
            | Meaning::MaxTurns
            | Meaning::MaxBudget
            | Meaning::Refused
            | Meaning::PromptTooLong
            | Meaning::UnknownSession
            | Meaning::ResumeFailed
            | Meaning::ModelUnavailable
            | Meaning::FiveHour
            | Meaning::Weekly
            | Meaning::Credit
            | Meaning::Spend
            | Meaning::Throttle
            | Meaning::Overload
            | Meaning::Server
            | Meaning::Login
            | Meaning::Network => {}
        }
        debug_assert_ne!(means.makes(), Makes::Nothing, "what is no end has returned");
        self.has_spoken |= means == Meaning::Success;
        self.trying_again = None;
        self.ended = Some((means, text));
    }

    /// Takes costs and tokens, where they are this run's.
    fn spent(&mut self, event: &Event, object: &RawValue) {
        if self.resumed && self.rules.totals_of == TotalsOf::Session {
            return;
        }
        if let Some(raw) = event
            .cost_usd
            .as_ref()
            .and_then(|pointer| pointer.find(object))
        {
            let cost =
                money::micro_usd(raw).filter(|cost| *cost > 0 || !self.rules.zero_cost_is_unknown);
            let before = self.report.cost_micro_usd.unwrap_or(0);
            self.report.cost_micro_usd = match cost {
                Some(cost) if event.add => before.checked_add(cost),
                // A total only grows: a smaller one would hide what was spent.
                Some(cost) => Some(cost.max(before)),
                None => None,
            };
        }
        let Some(pointers) = &event.tokens else {
            return;
        };
        let said = counts(pointers, object);
        self.tokens = if event.add {
            added(self.tokens, said)
        } else {
            said
        };
        let model = self
            .report
            .model
            .as_ref()
            .unwrap_or(&self.rules.name)
            .clone();
        self.report.tokens.clear();
        if self.tokens != Tokens::default() {
            self.report.tokens.insert(model, self.tokens);
        }
    }

    /// The run is over.
    pub(in crate::agent) fn finish(self, errors: &[String], end: &ProcessEnd) -> Verdict {
        super::outcome::verdict(self, errors, end)
    }
}

pub(super) fn is(pointer: &Pointer, value: &Scalar, object: &RawValue) -> bool {
    let Some(found) = pointer.find(object) else {
        return false;
    };
    match value {
        Scalar::Bool(value) => parsed::<bool>(found).as_ref() == Some(value),
        Scalar::Number(value) => parsed::<i64>(found).as_ref() == Some(value),
        // Only as long a text is read as the value is, with room for escapes.
        Scalar::Text(value) => {
            found.get().len() <= value.len().saturating_mul(6).saturating_add(2)
                && parsed::<String>(found).as_ref() == Some(value)
        }
    }
}

fn parsed<T: DeserializeOwned>(raw: &RawValue) -> Option<T> {
    serde_json::from_str(raw.get()).ok()
}

fn get<T: DeserializeOwned>(pointer: Option<&Pointer>, object: &RawValue) -> Option<T> {
    pointer?.find(object).and_then(parsed)
}

/// A text as it is; anything else as the JSON it is.
fn text_at(pointer: &Pointer, object: &RawValue) -> Option<String> {
    let raw = pointer.find(object)?;
    let text: std::borrow::Cow<'_, str> = match serde_json::from_str(raw.get()) {
        Ok(text) => text,
        Err(_) => raw.get().into(),
    };
    Some(text::cut(&text, TEXT_MAX_BYTES).to_owned())
}

fn counts(pointers: &compiled::Tokens, object: &RawValue) -> Tokens {
    let count = |pointer: &Option<Pointer>| get(pointer.as_ref(), object).map_or(0, money::tokens);
    let cache_read = count(&pointers.cache_read);
    let input = count(&pointers.input);
    Tokens {
        input: if pointers.input_includes_cache_read {
            input.saturating_sub(cache_read)
        } else {
            input
        },
        output: count(&pointers.output),
        cache_read,
        cache_write: count(&pointers.cache_write),
    }
}

const fn added(total: Tokens, more: Tokens) -> Tokens {
    Tokens {
        input: total.input.saturating_add(more.input),
        output: total.output.saturating_add(more.output),
        cache_read: total.cache_read.saturating_add(more.cache_read),
        cache_write: total.cache_write.saturating_add(more.cache_write),
    }
}

#[cfg(test)]
mod tests;
