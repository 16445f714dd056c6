//! Whether two submissions with one key ask for the same: a short number that stays the same over versions.

use serde_json::{Value, json};

use super::{AfterFailed, Priority, TaskSpec, TaskType};

/// FNV-1a, 64 bit: its constants are its definition, so that a stored number keeps its meaning.
const OFFSET_BASIS: u64 = 0xcbf2_9ce4_8422_2325;
const PRIME: u64 = 0x0000_0100_0000_01b3;

impl TaskSpec {
    /// A number for what is asked: everything but the environment (`asked`, below, says why).
    ///
    /// `at_written` is how the submitter wrote `at` where the words mean another instant whenever they are read (`+2h`,
    /// `22:00`). It stands for the instant then: the same line sent twice asks for the same.
    #[must_use]
    pub fn fingerprint(&self, at_written: Option<&str>) -> u64 {
        let asked = Value::from_iter(self.asked(at_written).map(|pair| json!(pair))).to_string();
        asked.bytes().fold(OFFSET_BASIS, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(PRIME)
        })
    }

    /// The fields in which the stored `self` and a `sent` submission ask for something else, as in JSON. A time that
    /// was sent in words is passed over: the words of the stored one are not kept, only their number is.
    #[must_use]
    pub fn differences(&self, sent: &Self, at_written: Option<&str>) -> Vec<&'static str> {
        let mine: Vec<_> = self.asked(at_written).collect();
        let theirs: Vec<_> = sent.asked(at_written).collect();
        let only_in = |some: &[(&'static str, Value)], others: &[(&'static str, Value)]| {
            some.iter()
                .filter(|pair| !others.contains(pair))
                .map(|(field, _)| *field)
                .collect::<Vec<_>>()
        };
        let mut fields = only_in(&mine, &theirs);
        fields.extend(only_in(&theirs, &mine));
        fields.sort_unstable();
        fields.dedup();
        fields
    }

    /// What is asked, field by field. What has its default is left out, so that a field that a later version adds
    /// changes no number that is stored already. Sets are in order: which of two predecessors was named first asks for
    /// nothing.
    ///
    /// The environment is left out: a nightly job that is sent again from another shell is the same job. The directory
    /// is not: the same command in another directory is other work.
    fn asked(&self, at_written: Option<&str>) -> impl Iterator<Item = (&'static str, Value)> {
        // Taken apart by name: a field that is added does not compile until it is decided where it belongs.
        let Self {
            name,
            description,
            command,
            task_type,
            priority,
            cwd,
            env: _,
            secrets,
            after,
            after_failed,
            at,
            timeout_seconds,
            idle_timeout_seconds,
            max_retries,
            retry_on,
            if_lost,
            exclusive,
            notify,
            // Drawn anew each time a file is submitted: a line that is known stays in the batch it came with.
            batch: _,
            foreground,
        } = self;
        let (mut after, mut retry_on) = (after.clone(), retry_on.clone());
        after.sort_unstable();
        after.dedup();
        retry_on.sort_unstable();
        retry_on.dedup();
        let given = |asks: bool, value: Value| asks.then_some(value);
        [
            ("name", Some(json!(name))),
            ("command", Some(json!(command))),
            ("cwd", Some(json!(cwd.to_string_lossy()))),
            (
                "description",
                given(!description.is_empty(), json!(description)),
            ),
            (
                "type",
                given(*task_type != TaskType::default(), json!(task_type)),
            ),
            (
                "priority",
                given(*priority != Priority::default(), json!(priority)),
            ),
            ("secrets", given(!secrets.is_empty(), json!(secrets))),
            ("after", given(!after.is_empty(), json!(after))),
            (
                "after_failed",
                given(*after_failed != AfterFailed::default(), json!(after_failed)),
            ),
            (
                "at",
                at.map(|at| at_written.map_or_else(|| json!(at), |written| json!(written))),
            ),
            ("timeout_seconds", timeout_seconds.map(Value::from)),
            (
                "idle_timeout_seconds",
                idle_timeout_seconds.map(Value::from),
            ),
            ("max_retries", max_retries.map(Value::from)),
            ("retry_on", given(!retry_on.is_empty(), json!(retry_on))),
            ("if_lost", if_lost.map(|if_lost| json!(if_lost))),
            ("exclusive", exclusive.as_ref().map(|key| json!(key))),
            ("notify", notify.as_ref().map(|notify| json!(notify))),
            ("foreground", given(*foreground, json!(true))),
        ]
        .into_iter()
        .filter_map(|(field, value)| Some((field, value?)))
    }
}

#[cfg(test)]
mod tests {
    use crate::task::TaskSpec;

    fn spec(json: &str) -> TaskSpec {
        serde_json::from_str(json).expect("a spec")
    }

    /// The plain task, with more fields.
    fn with(more: &str) -> TaskSpec {
        spec(&format!(
            r#"{{"name":"n","command":["true"],"cwd":"/a"{more}}}"#
        ))
    }

    const FULL: &str = r#","description":"d","type":"heavy_context","priority":"high","secrets":{"B":{"env":"C"},"A":{"file":"/f"}},
        "after":["task_0000000000002","task_0000000000001"],"after_failed":"run","at":"2026-01-31T22:00:00Z","timeout_seconds":1,
        "idle_timeout_seconds":2,"max_retries":3,"retry_on":["spawn",{"code":7}],"if_lost":"review","exclusive":"e","foreground":true"#;

    #[test]
    fn stored_numbers_keep_their_meaning() {
        assert_eq!(with("").fingerprint(None), 0x5188_aeb4_0a55_433f);
        assert_eq!(with(FULL).fingerprint(None), 0x23f3_7e62_0270_e6b2);
        assert_eq!(with(FULL).fingerprint(Some("+2h")), 0x21fa_8c4f_1366_6c34);
    }

    #[test]
    fn everything_that_is_asked_counts() {
        let plain = with("");
        let others = [
            r#","description":"d""#,
            r#","type":"heavy_context""#,
            r#","priority":"high""#,
            r#","secrets":{"A":{"env":"B"}}"#,
            r#","after":["task_0000000000001"]"#,
            r#","after_failed":"run""#,
            r#","at":"2026-01-31T22:00:00Z""#,
            r#","timeout_seconds":1"#,
            r#","idle_timeout_seconds":1"#,
            r#","max_retries":0"#,
            r#","retry_on":["any"]"#,
            r#","if_lost":"rerun""#,
            r#","exclusive":"e""#,
            r#","foreground":true"#,
        ];
        let mut numbers = vec![plain.fingerprint(None)];
        for more in others {
            let other = with(more);
            numbers.push(other.fingerprint(None));
            let field = more.split('"').nth(1).expect("a field");
            assert_eq!(plain.differences(&other, None), [field]);
        }
        for other in [
            r#"{"name":"m","command":["true"],"cwd":"/a"}"#,
            // A line and an argv are not the same.
            r#"{"name":"n","command":"true","cwd":"/a"}"#,
            r#"{"name":"n","command":["true"],"cwd":"/b"}"#,
        ] {
            numbers.push(spec(other).fingerprint(None));
        }
        let count = numbers.len();
        numbers.sort_unstable();
        numbers.dedup();
        assert_eq!(numbers.len(), count, "two of them are taken for the same");
    }

    #[test]
    fn what_asks_for_nothing_does_not_count() {
        let plain = with("");
        for more in [
            r#","env":{"A":"1"}"#,
            r#","priority":"normal","type":"lightweight","after_failed":"fail","description":"""#,
        ] {
            assert_eq!(with(more).fingerprint(None), plain.fingerprint(None));
        }
        let one = with(
            r#","after":["task_0000000000001","task_0000000000002"],"retry_on":["exit","spawn"]"#,
        );
        let other = with(
            r#","after":["task_0000000000002","task_0000000000001"],"retry_on":["spawn","exit"]"#,
        );
        assert_eq!(one.fingerprint(None), other.fingerprint(None));
    }

    #[test]
    fn words_for_a_time_count_in_its_place() {
        let first = with(r#","at":"2026-01-31T22:00:00Z""#);
        let second = with(r#","at":"2026-01-31T22:00:07Z""#);
        assert_ne!(first.fingerprint(None), second.fingerprint(None));
        assert_eq!(
            first.fingerprint(Some("+2h")),
            second.fingerprint(Some("+2h"))
        );
        assert_ne!(
            first.fingerprint(Some("+2h")),
            second.fingerprint(Some("+3h"))
        );
    }
}
