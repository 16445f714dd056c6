//! Paths that a submitter names: whatever they lead to, nobody waits for them for ever, and a directory is one directory by
//! whatever way it is named.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on stops")]

mod common;

use std::path::Path;

use common::World;
use serde_json::{Value, json};

/// Any program does where nothing is asked of the agent itself.
const CONFIG: &str = "claude_cli_command = \"/bin/true\"\nnum_workers = 4\n";

fn fifo(path: &Path) {
    rustix::fs::mkfifoat(rustix::fs::CWD, path, rustix::fs::Mode::RWXU).unwrap();
}

fn refusal(world: &World, task: &Value) -> String {
    let (status, body) = world.request("POST", "/tasks", Some(task)).unwrap();
    let message = body["message"].as_str().unwrap_or_default().to_owned();
    assert!(status == 400 && !message.contains('\n'), "{status} {body}");
    message
}

#[test]
fn a_file_that_never_ends_holds_nobody_up() {
    let mut world = World::new(CONFIG);
    world.start();
    let pipe = world.dir().join("pipe");
    fifo(&pipe);
    let dir = world.dir().join("dir");
    std::fs::create_dir(&dir).unwrap();
    for odd in [&pipe, &dir, Path::new("/dev/zero")] {
        let flag = format!("--mcp-config={}", odd.display());
        let task = json!({"name": "n", "cwd": "/tmp", "prompt": {"text": "hi", "args": [flag]}});
        let said = refusal(&world, &task);
        assert!(said.contains("it is no regular file"), "{odd:?}: {said}");
    }
    assert_eq!(world.ask("GET", "/tasks", None)["tasks"], json!([]));
    for odd in [&pipe, Path::new("/dev/zero")] {
        let reference = json!({"file": odd});
        let task =
            json!({"name": "n", "command": "true", "cwd": "/tmp", "secrets": {"TOKEN": reference}});
        let id = world.submit_with(task);
        let outcome = world.wait_final(&id)["outcome"].clone();
        let detail = outcome["detail"].as_str().unwrap();
        assert!(
            outcome["kind"] == "spawn_failed" && detail.contains("it is no regular file"),
            "{outcome}"
        );
    }
    assert!(world.stop_daemon().success());
}

/// The key that keeps agents apart.
fn lane(world: &World, id: &str) -> String {
    world.task(id)["exclusive"].as_str().unwrap().to_owned()
}

#[test]
fn a_directory_has_one_lane_by_whatever_way_it_is_named_and_an_edit_goes_along() {
    let mut world = World::new(CONFIG);
    world.start();
    world.ask("POST", "/system/pause", None);
    let real = world.dir().join("project").canonicalize();
    assert!(real.is_err(), "not made yet");
    let project = world.dir().canonicalize().unwrap().join("project");
    let other = project.with_file_name("other");
    std::fs::create_dir(&project).unwrap();
    std::fs::create_dir(&other).unwrap();
    let link = project.with_file_name("link");
    std::os::unix::fs::symlink(&project, &link).unwrap();
    let ask = |cwd: String| {
        let task = json!({"name": "n", "cwd": cwd, "prompt": {"text": "hi"}});
        world.submit_with(task)
    };
    let expected = format!("dir:{}", project.display());
    let given = project.display().to_string();
    for cwd in [
        given.clone(),
        format!("{given}/"),
        format!("{given}//./"),
        format!("{given}/../project"),
        link.display().to_string(),
    ] {
        let id = ask(cwd.clone());
        assert_eq!(lane(&world, &id), expected, "{cwd}");
    }
    // What says nothing is not kept: budgets of directories know them by their path.
    let slashed = ask(format!("{given}//"));
    assert_eq!(world.task(&slashed)["cwd"], given);
    let moved = ask(other.display().to_string());
    let edit =
        json!({"action": "edit", "ids": [moved], "patch": {"cwd": format!("{}/", link.display())}});
    let answer = world.ask("POST", "/tasks/actions", Some(&edit));
    assert_eq!(answer[0]["error"], Value::Null, "{answer}");
    assert_eq!(lane(&world, &moved), expected);
    // A key of one's own stays.
    let own = world.submit_with(json!({
        "name": "n", "cwd": other, "prompt": {"text": "hi"}, "exclusive": "mine",
    }));
    let edit = json!({"action": "edit", "ids": [own], "patch": {"cwd": given}});
    world.ask("POST", "/tasks/actions", Some(&edit));
    assert_eq!(lane(&world, &own), "mine");
}

#[test]
fn an_account_is_of_an_agent_that_is_known_and_of_a_directory() {
    let mut world = World::new(CONFIG);
    world.start();
    let file = world.dir().join("file");
    std::fs::write(&file, "").unwrap();
    for (route, body, part) in [
        (
            "codx/work",
            json!({}),
            "agent: there is no agent named \"codx\"",
        ),
        (
            "claude/work",
            json!({"config_dir": file}),
            "config_dir: is no directory",
        ),
        (
            "claude/work",
            json!({"config_dir": "x"}),
            "config_dir: \"x\" is not an absolute path",
        ),
        (
            "claude/work",
            json!({"config_dir": "/a\u{0}b"}),
            "config_dir: has a NUL",
        ),
    ] {
        let route = format!("/accounts/{route}");
        let (status, said) = world.request("POST", &route, Some(&body)).unwrap();
        let message = said["message"].as_str().unwrap();
        assert!(status == 400 && message.contains(part), "{body}: {message}");
    }
    assert_eq!(world.ask("GET", "/accounts", None), json!([]));
    // The agent's login makes it.
    let body = json!({"config_dir": world.dir().join("later")});
    let (status, said) = world
        .request("POST", "/accounts/claude/work", Some(&body))
        .unwrap();
    assert_eq!(status, 204, "{said}");
}

#[test]
fn every_chunk_is_one_that_the_agent_takes() {
    let mut world = World::new(CONFIG);
    world.start();
    let of = |chunks: Value, agent: &str| json!({"name": "n", "cwd": "/tmp", "prompt": {"text": "{chunk}", "agent": agent, "chunks": chunks}});
    let said = refusal(&world, &of(json!(["a", " ", "b"]), "claude"));
    assert_eq!(said, "chunks: has an empty entry");
    // Gemini takes a prompt as an argument only, and so no chunk that is longer, whichever it is.
    let long = "x".repeat(200_000);
    let said = refusal(&world, &of(json!(["a", long]), "gemini"));
    assert!(said.contains("as an argument only"), "{said}");
}
