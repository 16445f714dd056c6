//! How a prompt reaches the CLI: beginning with a dash, long, on standard input; and who may run it.

use std::os::unix::fs::PermissionsExt;

use crate::{DONE, assert_ended, ground};

#[test]
fn a_prompt_that_looks_like_an_option() {
    let Some((place, api, account)) = ground("prompts of the CLI") else {
        return;
    };
    for prompt in [
        "-v is what I want",
        "--version",
        "- a list\n- of two",
        "-- and more",
    ] {
        let ended = place.run(&api, &account).prompt(prompt).end();
        assert_ended(&ended, DONE, "Succeeded");
        assert_eq!(api.turns().pop().unwrap().last_user, prompt);
    }
}

#[test]
fn a_long_prompt() {
    let Some((place, api, account)) = ground("prompts of the CLI") else {
        return;
    };
    // One argument holds 128 KiB with its end; beyond, standard input takes it.
    let long = "0123456789abcde\n".repeat(120 * 1024 / 16);
    let ended = place.run(&api, &account).prompt(long.trim_end()).end();
    assert_ended(&ended, DONE, "Succeeded");
    assert_eq!(api.turns().pop().unwrap().last_user, long.trim_end());
    let longer = "äöü€ and so on.\n".repeat(300 * 1024 / 20);
    let ended = place
        .run(&api, &account)
        .no_prompt()
        .start_with(longer.trim_end())
        .wait();
    assert_ended(&ended, DONE, "Succeeded");
    assert_eq!(api.turns().pop().unwrap().last_user, longer.trim_end());
    let ended = place
        .run(&api, &account)
        .no_prompt()
        .start_with("-x")
        .wait();
    assert_ended(&ended, DONE, "Succeeded");
    assert_eq!(api.turns().pop().unwrap().last_user, "-x");
}

#[test]
fn nobody_may_run_it_and_root_may_not_bypass() {
    let Some((place, api, account)) = ground("prompts of the CLI") else {
        return;
    };
    if !rustix::process::geteuid().is_root() {
        println!("SKIPPED: the CLI as a service user: needs root to become one");
        return;
    }
    let ended = place
        .run(&api, &account)
        .args(["--permission-mode", "bypassPermissions"])
        .end();
    assert_ended(&ended, "exit 1: no result", "NoResult");
    assert!(
        ended.stderr.contains("cannot be used with root"),
        "{}",
        ended.stderr
    );

    // The program lies below root's home: a link to it where everybody may read.
    let linked = place.dir().join("claude");
    let real = std::fs::canonicalize(place.program()).unwrap();
    if std::fs::hard_link(&real, &linked).is_err() {
        std::fs::copy(&real, &linked).unwrap();
    }
    for name in ["", "home", "config", "work", "tmp"] {
        let dir = place.dir().join(name);
        std::fs::set_permissions(&dir, std::fs::Permissions::from_mode(0o777)).unwrap();
    }
    let ended = place
        .run(&api, &account)
        .program(&linked)
        .through([
            "setpriv",
            "--reuid=65534",
            "--regid=65534",
            "--clear-groups",
        ])
        .args(["--permission-mode", "bypassPermissions"])
        .end();
    assert_ended(&ended, DONE, "Succeeded");
    assert_eq!(ended.text(), "Hello from the stand-in.");
    assert!(place.transcript(&ended.session()).is_some());
}
