//! Ids, prefixes and times as text: what is taken prints back as it came.
#![no_main]

use auto_claude::task::{AttemptId, TaskId, Timestamp};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    if let Ok(id) = text.parse::<TaskId>() {
        assert_eq!(id.to_string(), text);
    }
    if let Ok(id) = text.parse::<AttemptId>() {
        assert_eq!(id.to_string(), text);
    }
    match TaskId::parse_prefix(text) {
        Ok(prefix) => assert!(
            prefix.starts_with(TaskId::PREFIX)
                && prefix.ends_with(text.strip_prefix(TaskId::PREFIX).unwrap_or(text))
        ),
        Err(error) => assert!(!error.to_string().is_empty()),
    }
    if let Ok(time) = text.parse::<Timestamp>() {
        assert_eq!(time.to_string().parse::<Timestamp>().ok(), Some(time));
        let _ = time.plus_ms(i64::MAX);
        let _ = time.plus_ms(i64::MIN);
        let _ = time.ms_since(Timestamp::from_ms(i64::MIN));
    }
});
