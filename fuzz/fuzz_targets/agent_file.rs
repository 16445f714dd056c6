//! A file that describes an agent, and a command line of Claude Code: any text is a description, a list of mistakes, or
//! words; what is taken makes a command line that can be run.
#![no_main]

use auto_claude::agent::claude::{Reader, Resume, read_shell};
use auto_claude::agent::rules::{Ask, Rules};
use libfuzzer_sys::fuzz_target;

const SESSION: &str = "1e0ee16a-a9e2-492e-a1c6-2fc3641dd333";

fuzz_target!(|text: &str| {
    if let Ok(rules) = Rules::from_toml(text) {
        assert!(rules.check().is_empty(), "what is taken has no mistakes");
        let ask = Ask {
            prompt: "do it",
            session: Some(SESSION),
            model: Some("m"),
        };
        let argv = rules
            .start_argv(&ask)
            .unwrap_or_else(|error| panic!("{error}"));
        assert!(argv.iter().any(|argument| argument.contains("do it")));
    }
    if let Ok(Reader::Driven(line)) = read_shell(&format!("claude {text}")) {
        let argv = Resume {
            session: SESSION,
            prompt: line.prompt.as_deref(),
            options: &line.options,
        }
        .argv()
        .unwrap_or_else(|error| panic!("{error}"));
        assert!(!argv.iter().any(|argument| argument.contains('\0')));
    }
});
