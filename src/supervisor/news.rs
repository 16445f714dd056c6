//! What a running agent has said that concerns its account, as its worker writes it into the record.
//!
//! An early hint and nothing more: the report that comes with the end says all of it again.

use std::time::Duration;

use tokio::time::{Interval, MissedTickBehavior};

use crate::attempt::record::Record;
use crate::task::Report;

/// The record of an agent that nobody knows to be served yet is looked at this often: others may wait for it.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// What of one attempt was told.
#[derive(Debug)]
pub(super) struct News {
    looks: Option<Interval>,
    told: Report,
    /// A budget limits its tokens: they are told as they come.
    counts_tokens: bool,
}

impl News {
    /// Nothing told yet. Of a plain command there is nothing to tell.
    pub(super) fn new(is_agent: bool, counts_tokens: bool) -> Self {
        let looks = is_agent.then(|| {
            let mut looks = tokio::time::interval(LOOK_EVERY);
            looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            looks.reset();
            looks
        });
        Self {
            looks,
            told: Report::default(),
            counts_tokens,
        }
    }

    /// Waits until it is time to look; for ever, once it is known that the agent is served and nobody counts its tokens.
    pub(super) async fn due(&mut self) {
        match &mut self.looks {
            Some(looks) if !self.told.served || self.counts_tokens => drop(looks.tick().await),
            Some(_) | None => std::future::pending().await,
        }
    }

    /// What the record says that was not told yet. Nothing once it has the end.
    pub(super) fn take(&mut self, record: &Record) -> Option<Box<Report>> {
        self.looks.as_ref()?;
        let report = record.report.value()?;
        let is_known = report.served == self.told.served
            && report.overage == self.told.overage
            && report.windows == self.told.windows
            && (!self.counts_tokens || report.tokens == self.told.tokens);
        if is_known || record.exit.value().is_some() {
            return None;
        }
        self.told.clone_from(report);
        Some(Box::new(report.clone()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attempt::record::{Exit, RECORD_BYTES, Read};
    use crate::task::{Outcome, OutcomeKind, Timestamp};

    fn record(report: Report) -> Record {
        Record {
            report: Read::Value(report),
            ..Record::decode(&[0; RECORD_BYTES])
        }
    }

    #[tokio::test]
    async fn what_is_new_is_told_once_and_the_end_tells_itself() {
        let served = Report {
            served: true,
            ..Report::default()
        };
        let mut news = News::new(true, false);
        assert_eq!(news.take(&Record::decode(&[0; RECORD_BYTES])), None);
        assert_eq!(news.take(&record(Report::default())), None);
        assert_eq!(news.take(&record(served.clone())).as_deref(), Some(&served));
        assert_eq!(news.take(&record(served.clone())), None);
        let paid = Report {
            overage: true,
            ..served.clone()
        };
        let mut ended = record(paid.clone());
        ended.exit = Read::Value(Exit {
            outcome: Outcome::of(OutcomeKind::Succeeded),
            ended_at: Timestamp::from_ms(1),
            output_bytes: 0,
        });
        assert_eq!(news.take(&ended), None);
        assert_eq!(news.take(&record(paid.clone())).as_deref(), Some(&paid));
        assert_eq!(News::new(false, false).take(&record(served)), None);
    }

    #[tokio::test]
    async fn tokens_are_told_where_a_budget_counts_them() {
        let used = |input| Report {
            served: true,
            tokens: std::collections::BTreeMap::from([(
                "m".to_owned(),
                crate::task::Tokens {
                    input,
                    ..crate::task::Tokens::default()
                },
            )]),
            ..Report::default()
        };
        for counts in [false, true] {
            let mut news = News::new(true, counts);
            assert!(news.take(&record(used(1))).is_some());
            assert!(news.take(&record(used(1))).is_none());
            assert_eq!(news.take(&record(used(2))).is_some(), counts);
        }
    }
}
