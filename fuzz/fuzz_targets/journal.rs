//! A journal, one event a line: folding it never panics, and every row that it makes obeys the rules of a row.
#![no_main]

use auto_claude::task::{Event, Lifecycle, Timestamp};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let mut life: Option<Lifecycle> = None;
    for (at, line) in (0..).zip(data.split(|byte| *byte == b'\n')) {
        let Ok(event) = serde_json::from_slice::<Event>(line) else {
            continue;
        };
        let text = serde_json::to_vec(&event).unwrap_or_default();
        assert_eq!(
            serde_json::from_slice::<Event>(&text).ok().as_ref(),
            Some(&event)
        );
        let next = match &life {
            None => Lifecycle::birth(&event).ok(),
            Some(life) => life.apply(&event, Timestamp::from_ms(at)).ok(),
        };
        if let Some(next) = next {
            if let Err(broken) = next.check() {
                panic!("{broken} after {event:?}");
            }
            life = Some(next);
        }
    }
});
