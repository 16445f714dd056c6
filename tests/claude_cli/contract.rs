//! Command lines and environments as our driver builds them, taken by the real CLI.

use auto_claude::agent::claude::env::{Bounds, environment};
use auto_claude::agent::claude::{Options, PermissionMode, Resume, Start};

use crate::claude_kit::{MODEL, Run};
use crate::messages_api::account::Window;
use crate::messages_api::answer::Answer;
use crate::{DONE, assert_ended, ground};

const SESSION: &str = "0d0d0d0d-0000-4000-8000-00000000000d";

fn options() -> Options {
    Options {
        model: Some(MODEL.to_owned()),
        permission_mode: Some(PermissionMode::default()),
        ..Options::default()
    }
}

fn start<'a>(run: &Run<'a>, session: &str, prompt: &str, options: &Options) -> Run<'a> {
    let start = Start {
        session,
        prompt,
        options,
    };
    run.clone().argv(start.argv().unwrap())
}

fn resume<'a>(run: &Run<'a>, prompt: Option<&str>, options: &Options) -> Run<'a> {
    let resume = Resume {
        session: SESSION,
        prompt,
        options,
    };
    run.clone().argv(resume.argv().unwrap())
}

#[test]
fn a_start_a_limit_and_a_resumption() {
    let Some((place, api, account)) = ground("the driver's command lines") else {
        return;
    };
    let config = place.config().display().to_string();
    let bounds = Bounds {
        max_retries: 1,
        ..Bounds::default()
    };
    // As it may be found in the environment of a daemon that a person has started from within the agent.
    let run = place
        .run_subscribed(&api, &account)
        .env("CLAUDE_CODE_RETRY_WATCHDOG", "1")
        .env("CLAUDECODE", "1")
        .environment(&environment(bounds, Some(&config)));
    let with_tools = Options {
        allowed_tools: vec!["Bash(echo:*)".to_owned(), "Read".to_owned()],
        max_turns: Some(10),
        max_budget_micro_usd: Some(1_000_000),
        ..options()
    };
    account.meter(Window::FiveHour, 50, 50, 3600);
    account.next(Answer::bash("echo one"));
    let prompt = "--version is what I ask for";
    let ended = start(&run, SESSION, prompt, &with_tools).end();
    // The watchdog would have waited for an hour.
    assert_eq!(ended.judged(), "Limited five_hour", "{}", ended.story());
    assert_eq!(ended.session(), SESSION);
    assert_eq!(ended.verdict().report.turns, 1);
    assert_eq!(ended.verdict().report.denials, 0);
    let init = ended.of("system/init")[0];
    assert_eq!(init["permissionMode"], "acceptEdits");
    assert_eq!(init["model"], MODEL);
    assert!(
        place.transcript(SESSION).is_some(),
        "in the account's directory"
    );
    assert_eq!(api.turns()[0].last_user, prompt);

    api.shift_clock_s(3601);
    let ended = resume(&run, Some("- go on"), &with_tools).end();
    assert_ended(&ended, DONE, "Succeeded");
    assert_eq!(ended.session(), SESSION);
    assert_eq!(api.turns().pop().unwrap().last_user, "- go on");
    assert_eq!(ended.verdict().report.cost_micro_usd, Some(6060));
    // Nothing but what was asked for: no telemetry, no probes.
    assert!(api.requests().iter().all(|request| request.main));
}

#[test]
fn bounds_of_a_run() {
    let Some((place, api, account)) = ground("the driver's command lines") else {
        return;
    };
    account.usually(Answer::bash("true"));
    let run = place.run(&api, &account);
    let allowed = Options {
        allowed_tools: vec!["Bash".to_owned()],
        ..options()
    };
    let turns = Options {
        max_turns: Some(1),
        ..allowed.clone()
    };
    let ended = start(&run, SESSION, "work", &turns).end();
    assert_eq!(ended.judged(), "MaxTurns", "{}", ended.story());
    let budget = Options {
        max_budget_micro_usd: Some(10_000),
        ..allowed
    };
    let other = SESSION.replace('d', "e");
    let ended = start(&run, &other, "work", &budget).end();
    assert_eq!(ended.judged(), "MaxBudget", "{}", ended.story());
    assert_eq!(ended.verdict().report.cost_micro_usd, Some(12_120));
}

#[test]
fn every_permission_mode_is_one() {
    let Some((place, api, account)) = ground("the driver's command lines") else {
        return;
    };
    let run = place.run(&api, &account);
    for (index, mode) in PermissionMode::ALL.into_iter().enumerate() {
        if mode == PermissionMode::BypassPermissions && rustix::process::geteuid().is_root() {
            continue;
        }
        let mode_options = Options {
            permission_mode: Some(mode),
            ..options()
        };
        let session = format!("0d0d0d0d-0000-4000-8000-00000000000{index}");
        let ended = start(&run, &session, "hi", &mode_options).end();
        assert_ended(&ended, DONE, "Succeeded");
        let init = ended.of("system/init")[0];
        assert_eq!(init["permissionMode"], mode.name());
    }
}
