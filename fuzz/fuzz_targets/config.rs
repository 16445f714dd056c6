//! The configuration file: any bytes are settings inside their ranges, or one error that says what and where.
#![no_main]

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use auto_claude::config::keys::{KEYS, Kind};
use auto_claude::config::{Sources, Value, load};
use libfuzzer_sys::fuzz_target;

static FILE: OnceLock<PathBuf> = OnceLock::new();

fuzz_target!(|data: &[u8]| {
    let file = FILE.get_or_init(|| {
        Path::new("/dev/shm").join(format!("auto-claude-fuzz-{}.toml", std::process::id()))
    });
    let sources = Sources {
        file: Some(file.clone()),
        host_name: "box".to_owned(),
        ..Sources::default()
    };
    let put = |bytes: &[u8]| std::fs::write(file, bytes).unwrap_or_else(|error| panic!("{error}"));
    put(data);
    match load(&sources) {
        Ok(effective) => {
            for key in KEYS {
                if let (Kind::Int { min, max }, Value::Int(number)) =
                    (key.kind, key.get(&effective.settings))
                {
                    assert!((min..=max).contains(&number), "{}: {number}", key.name);
                }
            }
            put(effective.render().as_bytes());
            let again = load(&sources)
                .unwrap_or_else(|error| panic!("what was printed is refused: {error}"));
            assert_eq!(again.settings, effective.settings);
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
});
