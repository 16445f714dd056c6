//! What an agent has said so far that concerns its account, written down while it runs.
//!
//! The daemon reads it in the record, where it also is for a daemon that comes later. It is a hint and never synced: the
//! report that is written with the end takes its place.

use super::run::Run;
use crate::task::{Report, Window};

/// What was written down last.
#[derive(Debug, Default)]
pub(super) struct Noted {
    served: bool,
    overage: bool,
    windows: Vec<Window>,
    tokens: u64,
}

impl Noted {
    /// Whether `report` says the same of the account.
    fn covers(&self, report: &Report) -> bool {
        self.served == report.served
            && self.overage == report.overage
            && self.windows == report.windows
            && self.tokens == tokens(report)
    }

    fn of(report: &Report) -> Self {
        Self {
            served: report.served,
            overage: report.overage,
            windows: report.windows.clone(),
            tokens: tokens(report),
        }
    }
}

/// All that it has used so far: changes once with each answer.
fn tokens(report: &Report) -> u64 {
    report
        .tokens
        .values()
        .fold(0, |sum: u64, tokens| sum.saturating_add(tokens.sum()))
}

impl Run {
    /// Writes down what is new. What a disk does not take is tried again with the next output.
    pub(super) fn note_news(&mut self) {
        let Some(reading) = &self.reading else { return };
        let report = reading.report_so_far();
        if self.noted.covers(report) {
            return;
        }
        let noted = Noted::of(report);
        // Nothing of its cost: of a run whose end nobody sees that is unknown, and not what was said so far.
        let news = Report {
            session: report.session.clone(),
            model: report.model.clone(),
            version: report.version.clone(),
            served: report.served,
            overage: report.overage,
            windows: report.windows.clone(),
            // By them a budget of tokens is kept, and the cost is reckoned of a run whose end nobody sees.
            tokens: report.tokens.clone(),
            ..Report::default()
        };
        if self.record.write(&news.bounded()).is_ok() {
            self.noted = noted;
        }
    }
}
