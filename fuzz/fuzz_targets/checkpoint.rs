//! A checkpoint's file: any bytes are none at most.
#![no_main]

use auto_claude::checkpoint::{Checkpoint, next_chunk};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let _ = Checkpoint::parse(data);
    // A checksum keeps random bytes out: the same bytes again as the body of a sound file.
    let head = format!(
        "auto-claude-checkpoint 1 {:08x} {}\n",
        crc32fast::hash(data),
        data.len()
    );
    if let Some(checkpoint) = Checkpoint::parse(&[head.as_bytes(), data].concat()) {
        let _ = next_chunk(Some(&checkpoint));
        let text = serde_json::to_vec(&checkpoint).unwrap_or_default();
        assert_eq!(
            serde_json::from_slice::<Checkpoint>(&text).ok(),
            Some(checkpoint)
        );
    }
});
