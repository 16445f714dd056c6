//! Events, one after the other → the facts of the run.

use serde_json::value::RawValue;

use super::event::{self, ApiError, Event, ResultEvent};
use super::limits::LimitInfo;
use super::usage::Spent;
use crate::agent::lines;
use crate::agent::text;
use crate::agent::{ProcessEnd, Verdict};
use crate::task::{Report, Tokens};

/// All that is known of a run so far.
#[derive(Debug, Default)]
pub(in crate::agent) struct Facts {
    pub(super) resumed: bool,
    pub(super) report: Report,
    /// The last result; a later one replaces it.
    pub(super) result: Option<ResultEvent>,
    /// What the program said about a failed request, unless the model has spoken since.
    pub(super) failure: Option<ApiError>,
    /// The last state of the windows in which a request was rejected.
    pub(super) rejected: Option<LimitInfo>,
    /// The model has spoken, or called a tool.
    pub(super) has_spoken: bool,
    /// A request was being tried again when the stream ended, and with which status the last try had failed.
    pub(super) trying_again: Option<Option<u64>>,
    last_was_retry: bool,
    /// The message of the last turn: several events share one.
    last_message: Option<String>,
    spent: Spent,
}

impl Facts {
    pub(in crate::agent) fn new(resumed: bool) -> Self {
        Self {
            resumed,
            ..Self::default()
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
        let event = event::parse(object);
        self.last_was_retry = matches!(event, Event::Retry { .. });
        match event {
            Event::Init {
                session,
                model,
                version,
            } => self.init(session, model, version),
            Event::Retry { status } => {
                self.report.retries = self.report.retries.saturating_add(1);
                self.trying_again = Some(status);
            }
            Event::Denied => self.report.denials = self.report.denials.saturating_add(1),
            Event::Windows(info) => {
                info.tell(&mut self.report);
                self.answer_is_whole();
                if info.is_rejected() {
                    self.rejected = Some(info);
                }
            }
            Event::Turn {
                message,
                session,
                tokens,
            } => {
                self.see(message.as_deref(), tokens);
                self.turn(message, session);
            }
            Event::ToolEnded => self.answer_is_whole(),
            Event::Failure(failure) => {
                if let Some(limit) = &failure.limit {
                    limit.tell(&mut self.report);
                }
                self.trying_again = None;
                self.failure = Some(failure);
            }
            Event::Result(result) => self.result(*result),
            Event::Other => {}
        }
    }

    fn init(&mut self, session: Option<String>, model: Option<String>, version: Option<String>) {
        for (fact, said) in [
            (&mut self.report.session, session),
            (&mut self.report.model, model),
            (&mut self.report.version, version),
        ] {
            if let Some(said) = said {
                *fact = Some(text::one_line(&said, Report::NAME_MAX_BYTES));
            }
        }
    }

    /// What came shows that an answer was served to its end. Not the answer itself: whether it was paid for as extra usage
    /// is told only behind it.
    const fn answer_is_whole(&mut self) {
        self.report.served |= self.has_spoken;
    }

    /// Counts the tokens of an answer, about: they are what is known of a run that ends without a result, which says them
    /// exactly. Several events share one answer, and what was read for it counts once.
    fn see(&mut self, message: Option<&str>, tokens: Option<(String, Tokens)>) {
        let Some((model, mut tokens)) = tokens.filter(|_| self.result.is_none()) else {
            return;
        };
        if message.is_some() && message == self.last_message.as_deref() {
            tokens = Tokens {
                output: tokens.output,
                ..Tokens::default()
            };
        }
        self.spent.see(
            &text::one_line(&model, Report::NAME_MAX_BYTES),
            tokens,
            &mut self.report,
        );
    }

    fn turn(&mut self, message: Option<String>, session: Option<String>) {
        if self.has_spoken && message != self.last_message {
            self.report.served = true;
        }
        self.has_spoken = true;
        self.failure = None;
        self.rejected = None;
        self.trying_again = None;
        if self.report.session.is_none() {
            self.init(session, None, None);
        }
        if message.is_none() || message != self.last_message {
            self.report.turns = self.report.turns.saturating_add(1);
        }
        self.last_message = message;
    }

    fn result(&mut self, result: ResultEvent) {
        self.trying_again = None;
        self.spent.take(&result, self.resumed, &mut self.report);
        self.report.denials = self.report.denials.max(result.denials);
        if result.is_error == Some(false) {
            self.has_spoken = true;
            self.report.served = true;
            self.failure = None;
            // In the format that is one result and nothing else.
            self.init(
                result
                    .session
                    .clone()
                    .filter(|_| self.report.session.is_none()),
                None,
                None,
            );
            if self.report.turns == 0 {
                self.report.turns = result.turns.unwrap_or(0);
            }
        }
        self.result = Some(result);
    }

    /// The run is over.
    pub(in crate::agent) fn finish(self, errors: &[String], end: &ProcessEnd) -> Verdict {
        super::outcome::verdict(self, errors, end)
    }
}

#[cfg(test)]
mod tests;
