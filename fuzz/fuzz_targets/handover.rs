//! What a worker is handed: any bytes are an error at most, and what is understood survives the way back.
#![no_main]

use auto_claude::attempt::spec::Handover;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    if let Ok(handover) = serde_json::from_slice::<Handover>(data) {
        let text = serde_json::to_vec(&handover).unwrap_or_default();
        let again: Handover =
            serde_json::from_slice(&text).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(again, handover);
    }
});
