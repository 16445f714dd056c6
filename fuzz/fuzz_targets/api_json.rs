//! Bodies of the API: submissions and actions. What passes the checks of a task can be stored and read back.
#![no_main]

use auto_claude::api::parse_json;
use auto_claude::api::wire::{ActionsRequest, NewTask};
use auto_claude::task::{Command, TaskSpec};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let _ = parse_json::<ActionsRequest>(data);
    let Ok(new) = parse_json::<NewTask>(data) else {
        return;
    };
    let text = serde_json::to_vec(&new).unwrap_or_default();
    assert_eq!(
        serde_json::from_slice::<NewTask>(&text).ok().as_ref(),
        Some(&new),
        "what was taken is written and read back"
    );
    // What else a submission may ask for has parsers of its own.
    let Some(command) = new.command.map(Command::from) else {
        return;
    };
    let cwd = new.cwd.unwrap_or_else(|| "/".into());
    let mut spec = TaskSpec::of(&new.name, command, cwd);
    spec.description = new.description;
    spec.task_type = new.task_type.unwrap_or(spec.task_type);
    spec.priority = new.priority;
    spec.env = new.env.unwrap_or_default();
    spec.secrets = new.secrets;
    spec.after_failed = new.after_failed;
    spec.at = new.at;
    spec.timeout_seconds = new.timeout_seconds;
    spec.idle_timeout_seconds = new.idle_timeout_seconds;
    spec.max_retries = new.max_retries;
    spec.retry_on = new.retry_on;
    spec.if_lost = new.if_lost;
    spec.exclusive = new.exclusive;
    spec.foreground = new.foreground;
    match spec.check() {
        Ok(()) => {
            let text = serde_json::to_vec(&spec).unwrap_or_default();
            let again: TaskSpec =
                serde_json::from_slice(&text).unwrap_or_else(|error| panic!("{error}"));
            assert_eq!(again.fingerprint(None), spec.fingerprint(None));
            assert_eq!(again, spec);
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
});
