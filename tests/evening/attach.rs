//! An agent's session in a person's hands: taken over from a running attempt, kept through a killed daemon, handed back.

#![expect(
    clippy::disallowed_methods,
    reason = "a person's shell is started, as they would start it"
)]

use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};

use crate::claude_kit::{PATIENCE, program};
use crate::kit::Evening;
use crate::messages_api::answer::{Answer, Gate};
use crate::messages_api::server::Account;

const BY_HAND: &str = "a person asks by hand";

/// Asks for a task whose agent is in the midst of its work; its id, and what lets the work go on.
fn at_work(evening: &Evening, account: &Account, name: &str) -> (String, Gate) {
    let gate = Gate::new();
    account.when(
        name,
        [
            Answer::bash("echo on"),
            Answer::text("never said").behind(&gate),
        ],
    );
    account.when(BY_HAND, [Answer::text("Done by hand.")]);
    let id = evening.ask(account, name, json!({}));
    gate.wait_reached(1, PATIENCE);
    (id, gate)
}

fn said(output: &Output) -> (String, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (text(&output.stdout), text(&output.stderr))
}

/// Must be refused, in one line that names all of `parts`.
fn refused(evening: &Evening, arguments: &[&str], parts: &[&str]) {
    let output = evening.world.taskctl(arguments);
    let (_, stderr) = said(&output);
    assert!(
        !output.status.success() && stderr.trim_end().lines().count() == 1,
        "{arguments:?}: {output:?}"
    );
    for part in parts {
        assert!(stderr.contains(part), "{arguments:?}: {stderr}");
    }
}

/// The line that a person was given, run as they would run it, with a prompt instead of their typing.
fn by_hand(line: &str) -> Output {
    let typed = format!("{} -p --output-format json -- '{BY_HAND}'", line.trim_end());
    Command::new("/bin/sh")
        .arg("-c")
        .arg(typed)
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

/// The session that the last request was of, and all that it was about.
fn last_turn(evening: &Evening) -> (Option<String>, String) {
    let last = evening.api.turns().pop().unwrap();
    (last.session.clone(), last.body["messages"].to_string())
}

#[test]
fn a_person_takes_a_running_session_over_nobody_else_gets_in_and_it_goes_on_when_handed_back() {
    let Some(mut evening) = Evening::new("attach", "num_workers = 2\n") else {
        return;
    };
    let account = evening.account("work");
    let (id, gate) = at_work(&evening, &account, "mine");
    let attached = evening.world.taskctl(&["task", "attach", &id]);
    let (line, told) = said(&attached);
    assert!(attached.status.success(), "{attached:?}");
    assert_eq!(line.lines().count(), 1, "{line}");
    assert!(
        told.contains(&format!("taskctl task detach {id}")),
        "{told}"
    );
    gate.open();
    let session = evening.sessions(&id)[0].clone();
    for part in ["cd /", "CLAUDE_CONFIG_DIR=", "--resume", session.as_str()] {
        assert!(line.contains(part), "{part}: {line}");
    }
    let task = evening.world.task(&id);
    assert_eq!(
        (&task["state"], &task["pause_reasons"], &task["attempt"]),
        (&json!("paused"), &json!(["person"]), &json!(1))
    );
    let in_hand = [id.as_str(), "attached by user", "taskctl task detach"];
    refused(&evening, &["task", "resume", &id], &in_hand);
    refused(&evening, &["task", "attach", &id], &in_hand);
    refused(&evening, &["task", "retry", &id], &in_hand);

    evening.world.kill_daemon();
    evening.world.start();
    let after = evening.world.task(&id);
    assert_eq!(after["agent"]["attached"], task["agent"]["attached"]);
    refused(&evening, &["task", "resume", "--all"], &in_hand);
    let (shown, _) = said(&evening.world.taskctl(&["task", "show", &id]));
    assert!(shown.contains(line.trim_end()), "{shown}\n{line}");
    // Others of the same account go on meanwhile.
    let other = evening.ask(&account, "other", json!({}));
    evening.wait_done(&other);
    assert_eq!(evening.world.task(&id)["attempt"], 1);

    let person = by_hand(&line);
    assert!(person.status.success(), "{line}: {person:?}");
    assert!(said(&person).0.contains("Done by hand."), "{person:?}");
    assert_eq!(last_turn(&evening).0.as_deref(), Some(session.as_str()));
    let back = evening.world.taskctl(&["task", "detach", &id]);
    assert!(back.status.success(), "{back:?}");
    evening.wait_done(&id);
    assert_eq!(evening.sessions(&id), [session.clone(), session.clone()]);
    let (resumed, conversation) = last_turn(&evening);
    assert_eq!(resumed.as_deref(), Some(session.as_str()));
    assert!(
        conversation.contains(BY_HAND) && conversation.contains("Done by hand."),
        "what the person did is in the session: {conversation}"
    );
    let nobody = &["is completed", "nobody has attached"];
    refused(&evening, &["task", "detach", &id], nobody);
}

#[test]
fn the_agent_in_this_terminal_hands_back_when_it_ends() {
    let Some(real) = program("attach --run") else {
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let wrapper = dir.path().join("claude");
    // By hand it would ask for a terminal: it is asked once instead.
    let script = format!(
        "#!/bin/sh\ncase \" $* \" in *' -p '*) exec {real} \"$@\" ;; esac\n\
         exec {real} \"$@\" -p -- '{BY_HAND}' </dev/null\n",
        real = real.display()
    );
    std::fs::write(&wrapper, script).unwrap();
    std::fs::set_permissions(&wrapper, std::fs::Permissions::from_mode(0o755)).unwrap();
    let Some(evening) = Evening::with_program("attach --run", &wrapper, "") else {
        return;
    };
    let account = evening.account("work");
    let (id, gate) = at_work(&evening, &account, "mine");
    let ran = evening.world.taskctl(&["task", "attach", "--run", &id]);
    gate.open();
    let (stdout, stderr) = said(&ran);
    assert!(ran.status.success(), "{ran:?}\n{}", evening.world.story());
    assert!(stdout.contains("Done by hand."), "{stdout}");
    assert!(stderr.contains("is handed back"), "{stderr}");
    evening.wait_done(&id);
    let sessions = evening.sessions(&id);
    assert_eq!(sessions, [sessions[0].clone(), sessions[0].clone()]);
    assert!(last_turn(&evening).1.contains(BY_HAND));
}

#[test]
fn a_daemon_killed_while_a_session_is_taken_over_hands_it_over_all_the_same() {
    let Some(mut evening) = Evening::new("attach through a kill", "") else {
        return;
    };
    let account = evening.account("work");
    let (id, gate) = at_work(&evening, &account, "mine");
    let attaching = Command::new(env!("CARGO_BIN_EXE_taskctl"))
        .arg("--state-dir")
        .arg(evening.world.dir())
        .args(["--json", "task", "attach", &id])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    evening.world.wait_for("the wish is committed", |world| {
        let task = world.task(&id);
        (!task["intent"].is_null() || task["state"] != "processing").then_some(())
    });
    evening.world.kill_daemon();
    evening.world.start();
    let attached = attaching.wait_with_output().unwrap();
    gate.open();
    assert!(attached.status.success(), "{attached:?}");
    let task: Value = serde_json::from_slice(&attached.stdout).unwrap();
    let by_hand = &task["agent"]["attached"]["by_hand"];
    let session = &evening.sessions(&id)[0];
    assert!(by_hand["argv"].to_string().contains(session), "{task}");
    evening.world.act("detach", &[&id]);
    evening.wait_done(&id);
    assert_eq!(evening.sessions(&id).len(), 2);
}

#[test]
fn what_cannot_be_attached_is_told_in_one_line_and_left_alone() {
    let Some(evening) = Evening::new("refusals of attach", "num_workers = 2\n") else {
        return;
    };
    let account = evening.account("work");
    let closed = evening.world.taskctl(&["limits", "set", "work"]);
    assert!(closed.status.success(), "{closed:?}");
    let waiting = evening.ask(&account, "waiting", json!({}));
    refused(
        &evening,
        &["task", "attach", &waiting],
        &["is pending", "no attempt of it has begun an agent session"],
    );
    let command = evening.world.submit("plain", "sleep 600");
    evening.world.wait_state(&command, "processing");
    let plain = &["runs a plain command", "no agent session"];
    refused(&evening, &["task", "attach", &command], plain);
    assert_eq!(evening.world.task(&command)["intent"], Value::Null);
    refused(
        &evening,
        &["task", "detach", &command],
        &["nobody has attached its session"],
    );
    evening.world.act("cancel", &[&command, &waiting]);
    evening.world.wait_final(&waiting);
    refused(
        &evening,
        &["task", "attach", &waiting],
        &["is cancelled", "it is over"],
    );
    evening.world.wait_final(&command);
    let nobody = &["no task"];
    refused(&evening, &["task", "attach", "task_0000000000000"], nobody);
}
