//! Cost and tokens of a result.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::Deserialize;
use serde::de::{MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::agent::money::{self, micro_usd};
use crate::agent::text;
use crate::task::{Report, Tokens};

/// The last version whose totals are those of one process. From some later one on they go on over the whole session.
const TOTALS_PER_PROCESS_UNTIL: [u32; 3] = [2, 1, 197];

/// Usage by model: the first few models, and the cost of all of them.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct ModelUsage {
    pub(super) cost_micro_usd: Option<u64>,
    pub(super) tokens: BTreeMap<String, Tokens>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Entry<'a> {
    #[serde(borrow, default)]
    input_tokens: Option<&'a RawValue>,
    #[serde(borrow, default)]
    output_tokens: Option<&'a RawValue>,
    #[serde(borrow, default)]
    cache_read_input_tokens: Option<&'a RawValue>,
    #[serde(borrow, default)]
    cache_creation_input_tokens: Option<&'a RawValue>,
    #[serde(borrow, default, rename = "costUSD")]
    cost_usd: Option<&'a RawValue>,
}

impl<'de> Deserialize<'de> for ModelUsage {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Sum;
        impl<'de> Visitor<'de> for Sum {
            type Value = ModelUsage;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("usage by model")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<ModelUsage, A::Error> {
                let mut usage = ModelUsage {
                    cost_micro_usd: Some(0),
                    tokens: BTreeMap::new(),
                };
                while let Some((model, raw)) = map.next_entry::<Cow<'de, str>, &RawValue>()? {
                    usage.add_model(&model, serde_json::from_str(raw.get()).ok());
                }
                Ok(usage)
            }
        }
        deserializer.deserialize_map(Sum)
    }
}

impl ModelUsage {
    fn add_model(&mut self, model: &str, entry: Option<Entry<'_>>) {
        let Some(entry) = entry else {
            self.cost_micro_usd = None;
            return;
        };
        let cost = entry.cost_usd.and_then(micro_usd);
        self.cost_micro_usd = sum(self.cost_micro_usd, cost);
        let model = text::one_line(model, Report::NAME_MAX_BYTES);
        if self.tokens.len() < Report::ENTRIES_MAX || self.tokens.contains_key(&model) {
            add(
                self.tokens.entry(model).or_default(),
                Tokens {
                    input: count(entry.input_tokens),
                    output: count(entry.output_tokens),
                    cache_read: count(entry.cache_read_input_tokens),
                    cache_write: count(entry.cache_creation_input_tokens),
                },
            );
        }
    }
}

/// What a run has used, over all its results.
#[derive(Debug, Default)]
pub(super) struct Spent {
    results: u32,
    /// Cost of the increments so far; `None` once one is unknown.
    increments: Option<u64>,
    /// The largest total so far.
    total: u64,
    tokens: BTreeMap<String, Tokens>,
}

impl Spent {
    /// Adds what an answer has used, before any result tells it.
    pub(super) fn see(&self, model: &str, tokens: Tokens, report: &mut Report) {
        let known = report.tokens.contains_key(model);
        if self.results == 0 && (known || report.tokens.len() < Report::ENTRIES_MAX) {
            add(report.tokens.entry(model.to_owned()).or_default(), tokens);
        }
    }

    /// Takes the usage that a result tells, and writes into the report what this *run* has used.
    ///
    /// Totals count only where they are this process's own: of a run that began its session, or of a version that never
    /// counted further back. Else they would bill what earlier runs have cost once more, so the cost is unknown.
    pub(super) fn take(
        &mut self,
        result: &super::event::ResultEvent,
        resumed: bool,
        report: &mut Report,
    ) {
        self.results = self.results.saturating_add(1);
        if let Some(increment) = &result.increment {
            let before = if self.results == 1 {
                Some(0)
            } else {
                self.increments
            };
            self.increments = sum(before, increment.cost_micro_usd);
            for (model, tokens) in &increment.tokens {
                if self.tokens.len() < Report::ENTRIES_MAX || self.tokens.contains_key(model) {
                    add(self.tokens.entry(model.clone()).or_default(), *tokens);
                }
            }
            report.cost_micro_usd = self.increments;
            report.tokens.clone_from(&self.tokens);
            return;
        }
        self.increments = None;
        if !resumed || report.version.as_deref().is_some_and(counts_per_process) {
            // A total only grows: one that is smaller than one before would hide what was spent.
            let total = result.total_micro_usd.map(|total| total.max(self.total));
            self.total = total.unwrap_or(self.total);
            report.cost_micro_usd = total;
            if let Some(total) = &result.total {
                report.tokens.clone_from(&total.tokens);
            }
        } else {
            report.cost_micro_usd = None;
        }
    }
}

/// Whether the totals of this version are those of one process.
fn counts_per_process(version: &str) -> bool {
    let mut numbers = [0u32; 3];
    for (number, digits) in numbers.iter_mut().zip(version.split('.')) {
        let Ok(parsed) = digits.parse() else {
            return false;
        };
        *number = parsed;
    }
    numbers <= TOTALS_PER_PROCESS_UNTIL
}

fn count(raw: Option<&RawValue>) -> u64 {
    raw.and_then(|raw| serde_json::from_str(raw.get()).ok())
        .map_or(0, money::tokens)
}

fn sum(left: Option<u64>, right: Option<u64>) -> Option<u64> {
    left?.checked_add(right?)
}

fn add(total: &mut Tokens, more: Tokens) {
    total.input = total.input.saturating_add(more.input);
    total.output = total.output.saturating_add(more.output);
    total.cache_read = total.cache_read.saturating_add(more.cache_read);
    total.cache_write = total.cache_write.saturating_add(more.cache_write);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_that_count_per_process() {
        for (version, expected) in [
            ("2.1.197", true),
            ("1.0.0", true),
            ("2.1.198", false),
            ("2.1.329", false),
            ("2.2", false),
            ("x", false),
            ("2.1.100-beta", false),
        ] {
            assert_eq!(counts_per_process(version), expected, "{version}");
        }
    }

    #[test]
    fn totals_only_grow_and_nonsense_stays_within_bounds() {
        let mut spent = Spent::default();
        let mut report = Report::default();
        for (total, expected) in [(5, Some(5)), (3, Some(5)), (7, Some(7))] {
            let result = super::super::event::ResultEvent {
                total_micro_usd: Some(total),
                ..Default::default()
            };
            spent.take(&result, false, &mut report);
            assert_eq!(report.cost_micro_usd, expected);
        }
        let text = format!(
            r#"{{"a":{{"costUSD":1,"inputTokens":{0},"outputTokens":{0}}}}}"#,
            u64::MAX
        );
        let huge: ModelUsage = serde_json::from_str(&text).unwrap();
        assert!(huge.tokens["a"].sum() < u64::MAX / 1_000);
    }

    #[test]
    fn an_unknown_part_makes_the_whole_unknown() {
        let usage: ModelUsage = serde_json::from_str(
            r#"{"a":{"costUSD":0.5,"inputTokens":1},"b":{"inputTokens":2},"c":7}"#,
        )
        .unwrap();
        assert_eq!(usage.cost_micro_usd, None);
        assert_eq!(usage.tokens["b"].input, 2);
        let none: ModelUsage = serde_json::from_str("{}").unwrap();
        assert_eq!(none.cost_micro_usd, Some(0));
    }

    /// The result of an answer that has cost so much, and what all of them have.
    fn result(increment: Option<&str>, total: Option<u64>) -> super::super::event::ResultEvent {
        super::super::event::ResultEvent {
            increment: increment.map(|usage| serde_json::from_str(usage).unwrap()),
            total_micro_usd: total,
            ..Default::default()
        }
    }

    #[test]
    fn increments_are_added_while_each_of_them_is_known() {
        let one = Some(r#"{"a":{"costUSD":1,"inputTokens":2}}"#);
        let odd = Some(r#"{"a":{"inputTokens":2}}"#);
        for (increments, cost, input) in [
            (&[one][..], Some(1_000_000), 2),
            (&[one, one], Some(2_000_000), 4),
            (&[one, odd, one], None, 6),
            // What a result without one has used is not known.
            (&[one, None, one], None, 4),
            (&[None, one], None, 2),
        ] {
            let (mut spent, mut report) = (Spent::default(), Report::default());
            for increment in increments {
                spent.take(&result(*increment, None), true, &mut report);
            }
            assert_eq!(report.cost_micro_usd, cost, "{increments:?}");
            assert_eq!(report.tokens["a"].input, input, "{increments:?}");
        }
        let (mut spent, mut report) = (Spent::default(), Report::default());
        for n in 0..=Report::ENTRIES_MAX {
            let usage = format!(r#"{{"m{n}":{{"costUSD":1}}}}"#);
            spent.take(&result(Some(&usage), None), true, &mut report);
        }
        spent.take(
            &result(Some(r#"{"m0":{"costUSD":1,"inputTokens":7}}"#), None),
            true,
            &mut report,
        );
        assert_eq!(report.tokens.len(), Report::ENTRIES_MAX);
        assert_eq!(report.tokens["m0"].input, 7);
    }

    /// A result says exactly what was reckoned before it.
    #[test]
    fn what_an_answer_has_used_counts_until_a_result_tells() {
        let (mut spent, mut report) = (Spent::default(), Report::default());
        let tokens = Tokens {
            input: 5,
            ..Tokens::default()
        };
        spent.see("a", tokens, &mut report);
        spent.take(
            &result(Some(r#"{"a":{"costUSD":1,"inputTokens":2}}"#), None),
            false,
            &mut report,
        );
        spent.see("a", tokens, &mut report);
        assert_eq!(report.tokens["a"].input, 2);
    }

    #[test]
    fn totals_of_a_resumed_session_are_not_this_runs() {
        for (version, resumed, expected) in [
            (None, false, Some(5)),
            (None, true, None),
            (Some("2.1.197"), true, Some(5)),
            (Some("2.1.198"), true, None),
            (Some("2.1.198"), false, Some(5)),
        ] {
            let mut report = Report {
                version: version.map(str::to_owned),
                ..Report::default()
            };
            Spent::default().take(&result(None, Some(5)), resumed, &mut report);
            assert_eq!(report.cost_micro_usd, expected, "{version:?} {resumed}");
        }
    }

    #[test]
    fn so_many_models_are_kept_and_all_of_them_are_paid() {
        let models: Vec<String> = (0..=Report::ENTRIES_MAX)
            .map(|n| format!("model-{n}"))
            .collect();
        let entries = models
            .iter()
            .map(|model| format!(r#""{model}":{{"costUSD":1,"inputTokens":2}}"#));
        let text = format!("{{{}}}", entries.collect::<Vec<_>>().join(","));
        let usage: ModelUsage = serde_json::from_str(&text).unwrap();
        assert_eq!(usage.tokens.len(), Report::ENTRIES_MAX);
        assert_eq!(usage.cost_micro_usd, Some(1_000_000 * models.len() as u64));

        let (mut report, spent) = (Report::default(), Spent::default());
        let tokens = Tokens {
            output: 3,
            ..Tokens::default()
        };
        for model in models.iter().chain(&models) {
            spent.see(model, tokens, &mut report);
        }
        assert_eq!(report.tokens.len(), Report::ENTRIES_MAX);
        assert!(report.tokens.values().all(|tokens| tokens.output == 6));
    }
}
