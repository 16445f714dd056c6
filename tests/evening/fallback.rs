//! Tasks that would wait too long for their account go on at another one: in a new session with the context, never back,
//! and without a retry.

use std::os::unix::fs::PermissionsExt as _;

use serde_json::{Value, json};

use crate::claude_kit::{MODEL, PATIENCE};
use crate::kit::{Evening, SOON_S};
use crate::messages_api::account::{Login, Window};
use crate::messages_api::answer::{Answer, Gate};
use crate::messages_api::server::Account;

const SETTINGS: &str =
    "num_workers = 2\nrelease_interval_seconds = 0\nfallback_after_seconds = 60\nprobe = \"off\"\n";
const HOURS: i64 = 2 * 3600;

/// A task of `first` that may go on at `then`.
fn ask(evening: &Evening, first: &Account, name: &str, then: &[&str]) -> String {
    let prompt = json!({"text": name, "account": first.name(), "model": MODEL, "fallback": then});
    evening.ask(first, name, json!({"prompt": prompt}))
}

/// What its journal says of moves.
fn moves(evening: &Evening, id: &str) -> Vec<Value> {
    let journal = evening
        .world
        .ask("GET", &format!("/tasks/{id}/journal"), None);
    let events = journal
        .as_array()
        .unwrap()
        .iter()
        .map(|row| row["event"].clone());
    events.filter(|event| event["event"] == "moved").collect()
}

fn requests_of(evening: &Evening, account: &Account) -> usize {
    let turns = evening.api.turns();
    turns
        .iter()
        .filter(|turn| turn.account == account.name())
        .count()
}

#[test]
fn a_limit_of_hours_is_passed_by_on_a_second_account_in_a_new_session_with_the_context() {
    let Some(mut evening) = Evening::new("a fallback", SETTINGS) else {
        return;
    };
    let (first, second) = (evening.account("first"), evening.account("second"));
    let gate = Gate::new();
    first.when("walls", [Answer::bash("echo so far so good").behind(&gate)]);
    let id = ask(&evening, &first, "walls", &["claude:second"]);
    gate.wait_reached(1, PATIENCE);
    first.limit(Window::FiveHour, Some(HOURS));
    gate.open();
    evening.wait_done(&id);
    assert_eq!(evening.ends(&id), ["limited", "succeeded"]);
    let sessions = evening.sessions(&id);
    assert_ne!(sessions[0], sessions[1], "a session belongs to its account");
    let last = evening.api.turns().pop().unwrap();
    assert_eq!(last.account, "second");
    assert!(
        last.first_user.starts_with("walls") && last.first_user.contains("so far so good"),
        "with the context: {}",
        last.first_user
    );
    let task = evening.world.task(&id);
    assert_eq!(
        (
            &task["agent"]["account"],
            &task["agent"]["moved"]["from"]["account"]
        ),
        (&json!("second"), &json!("first"))
    );
    let shown = evening.world.taskctl(&["task", "show", "--journal", &id]);
    let shown = String::from_utf8(shown.stdout).unwrap();
    for part in [
        "claude on account second",
        "instead of",
        "claude/first, which would have been waited for: 5-hour limit",
        "goes on at claude/second instead of claude/first",
    ] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    let costs = evening.world.ask("GET", "/costs?by=account", None);
    assert!(costs.to_string().contains("claude/second"), "{costs}");

    // One that comes later does not try the first one at all, and who has no fallback waits, also through a kill.
    let before = requests_of(&evening, &first);
    let waits = evening.ask(&first, "waits", json!({}));
    evening.world.kill_daemon();
    evening.world.start();
    let later = ask(&evening, &first, "later", &["claude:second"]);
    evening.wait_done(&later);
    assert_eq!(evening.sessions(&later).len(), 1);
    assert_eq!(requests_of(&evening, &first), before);
    assert_eq!(evening.world.task(&waits)["attempt"], 0);
    assert!(moves(&evening, &waits).is_empty());
    // The second account's own tasks are none the worse for it.
    assert_eq!(evening.known(&second)["holds"], json!([]));
}

#[test]
fn it_never_goes_back_and_a_short_hold_is_waited_out() {
    let Some(evening) = Evening::new("no way back", SETTINGS) else {
        return;
    };
    let [first, second, third] = ["first", "second", "third"].map(|name| evening.account(name));
    // Shorter than the setting: it waits.
    first.limit(Window::FiveHour, Some(SOON_S));
    let short = ask(&evening, &first, "short", &["claude:second"]);
    evening.wait_done(&short);
    assert!(moves(&evening, &short).is_empty());
    assert_eq!(requests_of(&evening, &second), 0);

    // From the first to the second, whose wall it meets as well; the third is closed by a person, so it waits there.
    first.limit(Window::FiveHour, Some(HOURS));
    second.limit(Window::FiveHour, Some(HOURS));
    let closed = evening.world.taskctl(&["limits", "set", "third"]);
    assert!(closed.status.success(), "{closed:?}");
    let id = ask(&evening, &first, "far", &["claude:second", "claude:third"]);
    evening.world.wait_for("it waits at the second", |world| {
        let task = world.task(&id);
        let waits = task["state"] == "waiting_unban" && task["agent"]["account"] == "second";
        waits.then_some(())
    });
    // The first one is open again, and the task stays where it is.
    first.unlimit(Window::FiveHour);
    evening.clear(&first);
    let other = evening.ask(&first, "other", json!({}));
    evening.wait_done(&other);
    let task = evening.world.task(&id);
    assert_eq!(
        (&task["state"], &task["agent"]["account"]),
        (&json!("waiting_unban"), &json!("second"))
    );
    // The third one opens: it goes forward.
    evening.clear(&third);
    evening.wait_done(&id);
    let places: Vec<String> = moves(&evening, &id)
        .iter()
        .map(|event| event["to"]["account"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(places, ["second", "third"]);
    assert_eq!(evening.world.task(&id)["agent"]["account"], "third");
}

#[test]
fn another_agent_goes_on_and_people_read_the_words_of_both() {
    let dir = tempfile::tempdir().unwrap();
    let program = dir.path().join("agent.sh");
    let script = "#!/bin/sh\nprintf '%s' \"$2\" > asked\n\
                  echo '{\"type\":\"said\",\"text\":\"The second one speaks.\"}'\necho '{\"type\":\"done\"}'\n";
    std::fs::write(&program, script).unwrap();
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
    let file = dir.path().join("second.toml");
    let description = format!(
        "name = \"second\"\nprogram = {program:?}\nstart = [\"--\", \"{{prompt}}\"]\n\
         [[events]]\nwhen = {{ \"/type\" = \"said\" }}\nmeans = \"turn\"\ntext = \"/text\"\n\
         [[events]]\nwhen = {{ \"/type\" = \"done\" }}\nmeans = \"success\"\n"
    );
    std::fs::write(&file, description).unwrap();
    let Some(evening) = Evening::new(
        "another agent",
        &format!("{SETTINGS}agent_files = [{file:?}]\n"),
    ) else {
        return;
    };
    let first = evening.account("first");
    let gate = Gate::new();
    first.when(
        "walls",
        [Answer::bash("echo said by the first").behind(&gate)],
    );
    let id = ask(&evening, &first, "walls", &["second"]);
    gate.wait_reached(1, PATIENCE);
    // A dead login never opens by itself.
    first.change(|state| state.login = Login::Invalid);
    gate.open();
    evening.wait_done(&id);
    let task = evening.world.task(&id);
    assert_eq!(
        (
            &task["agent"]["agent"],
            &task["agent"]["account"],
            &task["agent"]["model"]
        ),
        (&json!("second"), &json!("default"), &Value::Null)
    );
    let asked = std::fs::read_to_string(evening.project("walls").join("asked")).unwrap();
    assert!(
        asked.starts_with("walls") && asked.contains("said by the first"),
        "{asked}"
    );
    let logs = evening.world.taskctl(&["task", "logs", &id]);
    let words = String::from_utf8(logs.stdout).unwrap();
    assert!(
        words.contains("> Bash echo said by the first") && words.contains("The second one speaks."),
        "{words}"
    );
}
