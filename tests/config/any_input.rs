//! Any bytes, any value, any variable: an error at most.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt as _;

use auto_claude::config::keys::{KEYS, Kind};
use auto_claude::config::{Sources, load};
use proptest::prelude::*;

use crate::{load_with, sources};

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_bytes_make_the_loader_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let _ = load_with(&bytes, &[]).map_err(|error| error.to_string());
    }

    #[test]
    fn no_text_makes_the_loader_panic(text in "([a-z_]{1,8}|num_workers|quiet_hours|log_json|[\\[\\]{}=.,\"'#\n 0-9:+xe_-]|\\PC){0,40}") {
        let _ = load_with(&text, &[]).map_err(|error| error.to_string());
    }

    #[test]
    fn what_is_taken_is_in_range_and_prints_back(index in 0..KEYS.len(), value in value_text()) {
        let key = &KEYS[index];
        if let Ok(effective) = load_with(format!("{} = {value}", key.name), &[]) {
            if let (Kind::Int { min, max }, auto_claude::config::Value::Int(number)) = (key.kind, key.get(&effective.settings)) {
                prop_assert!((min..=max).contains(&number));
            }
            prop_assert_eq!(load_with(effective.render(), &[]).unwrap().settings, effective.settings);
        }
    }

    #[test]
    fn no_variable_makes_the_loader_panic(name in proptest::sample::select(vec!["MACHINE_ID", "MAX_CONCURRENT_TASKS", "TASK_TIMEOUT_SECONDS", "DATABASE_URL", "LOG_LEVEL", "LOG_JSON"]), value in proptest::collection::vec(1..=255_u8, 0..40)) {
        let env = BTreeMap::from([(OsString::from(name), OsString::from_vec(value))]);
        let _ = load(&Sources { env, ..sources(None, &[]) }).map_err(|error| error.to_string());
    }
}

/// TOML values of all shapes, many of them near what some setting takes.
fn value_text() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<i64>().prop_map(|number| number.to_string()),
        (0..400_i64).prop_map(|number| number.to_string()),
        any::<f64>()
            .prop_filter("TOML spells them in its own way", |number| number
                .is_finite())
            .prop_map(|number| format!("{number:?}")),
        any::<bool>().prop_map(|flag| flag.to_string()),
        "[ -~]{0,20}".prop_map(|text| toml::Value::String(text).to_string()),
        "\\PC{0,20}".prop_map(|text| toml::Value::String(text).to_string()),
        "sqlite://[a-z/.%?]{0,12}".prop_map(|text| format!("{text:?}")),
        proptest::collection::vec("[0-2][0-9]:[0-6][0-9]-[0-2][0-9]:[0-5][0-9]", 0..4)
            .prop_map(|items| format!("{items:?}")),
        proptest::collection::vec("[ -~]{0,9}", 0..4)
            .prop_map(|items| toml::Value::from(items).to_string()),
    ]
}
