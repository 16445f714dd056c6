//! Lines at the worker's door, its replies, and the start line.
#![no_main]

use auto_claude::attempt::protocol::{Reply, Request, StartLine};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    if let Ok(request) = serde_json::from_slice::<Request>(data) {
        if let Request::Checkpoint { progress, .. } = &request {
            let _ = progress.check();
        }
        let text = serde_json::to_string(&request).unwrap_or_default();
        assert!(!text.contains('\n'), "a request is one line");
        assert_eq!(
            serde_json::from_str::<Request>(&text).ok().as_ref(),
            Some(&request)
        );
    }
    if let Ok(reply) = serde_json::from_slice::<Reply>(data) {
        let text = serde_json::to_string(&reply).unwrap_or_default();
        assert!(!text.contains('\n'), "a reply is one line");
        assert_eq!(
            serde_json::from_str::<Reply>(&text).ok().as_ref(),
            Some(&reply)
        );
    }
    if let Ok(text) = std::str::from_utf8(data)
        && let Some(line) = StartLine::parse(text)
    {
        let written = line.to_string();
        assert!(!written.contains('\n'), "the start line is one line");
        if let StartLine::Started(_) = line {
            assert_eq!(StartLine::parse(&written), Some(line));
        }
    }
});
