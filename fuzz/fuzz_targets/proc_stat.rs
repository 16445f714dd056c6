//! `/proc/PID/stat`, whose second field is chosen by the process itself.
#![no_main]

use auto_claude::process::ProcStat;
use libfuzzer_sys::fuzz_target;

/// The fields behind the name of a real process.
const REST: &[u8] = b") S 7 8 9 0 -1 4194560 1 2 3 4 10 20 30 40 20 0 1 0 98765 1 2 3";

fuzz_target!(|data: &[u8]| {
    let _ = ProcStat::parse(data);
    // Whatever a process calls itself, the fields behind the name stay what they are.
    let text = [b"42 (", data, REST].concat();
    let stat = ProcStat::parse(&text).unwrap_or_else(|| panic!("not understood: {text:?}"));
    assert_eq!(
        (
            stat.stamp.pid,
            stat.ppid,
            stat.session,
            stat.stamp.start_ticks
        ),
        (42, 7, 9, 98765)
    );
});
