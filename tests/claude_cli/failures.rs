//! Answers that are no usage limits: throttling, overload, errors, logins, the model's own endings.

use crate::claude_kit::{Ended, Place};
use crate::messages_api::account::{Billing, Login};
use crate::messages_api::answer::Answer;
use crate::messages_api::server::{Account, Api};
use crate::{assert_ended, ground};

/// One run that gets this answer to every request.
fn meets(place: &Place, api: &Api, account: &Account, answer: Answer) -> Ended {
    account.change(|state| state.trouble = Some(answer));
    place.run(api, account).end()
}

#[test]
fn throttling_is_no_usage_limit() {
    let Some((place, api, account)) = ground("the CLI under throttling") else {
        return;
    };
    let ended = meets(&place, &api, &account, Answer::throttled());
    assert_ended(
        &ended,
        "exit 1: is success, is_error true, terminal api_error, said rate_limit, status 429, retries 1",
        "Limited throttle",
    );
    let retry = ended.of("system/api_retry")[0];
    assert_eq!(retry["error_status"], 429);
    assert_eq!(retry["error"], "rate_limit");
    assert!(retry["retry_delay_ms"].is_number());
    assert_eq!(api.turns().len(), 2);
    assert!(ended.of("rate_limit_event").is_empty());

    // A short retry-after is waited for, a long one is not.
    account.change(|state| state.trouble = None);
    account.next(Answer::throttled().header("retry-after", 1));
    let ended = place.run(&api, &account).end();
    assert_ended(
        &ended,
        "exit 0: is success, is_error false, terminal completed, retries 1",
        "Succeeded",
    );
    let before = api.turns().len();
    let answer = Answer::throttled().header("retry-after", 3600);
    let ended = meets(&place, &api, &account, answer);
    assert_ended(
        &ended,
        "exit 1: is success, is_error true, terminal api_error, said rate_limit, status 429, retries 0",
        "Limited throttle",
    );
    assert_eq!(api.turns().len() - before, 1);

    // As a subscriber: the false friend, a rejection that is no limit.
    account.change(|state| state.trouble = Some(Answer::throttled()));
    let ended = place.run_subscribed(&api, &account).end();
    assert_ended(
        &ended,
        "exit 1: is success, is_error true, terminal api_error, said rate_limit, status 429, retries 1",
        "Limited throttle",
    );
    assert_eq!(ended.limit()["status"], "rejected");
    assert!(ended.limit()["resetsAt"].is_null());
    assert!(
        ended.text().contains("not your usage limit"),
        "{}",
        ended.text()
    );
}

#[test]
fn trouble_of_the_server() {
    let Some((place, api, account)) = ground("the CLI and a server in trouble") else {
        return;
    };
    for (status, answer, verdict) in [
        (529, Answer::overloaded(), "Limited overload"),
        (500, Answer::broken(), "Limited server"),
    ] {
        let ended = meets(&place, &api, &account, answer);
        assert_ended(
            &ended,
            &format!(
                "exit 1: is success, is_error true, terminal api_error, said server_error, status {status}, retries 1"
            ),
            verdict,
        );
        let retry = ended.of("system/api_retry")[0];
        assert_eq!(retry["error_status"], status);
    }
    // The task goes on when the trouble is over.
    account.change(|state| state.trouble = None);
    account.next(Answer::overloaded());
    let ended = place.run(&api, &account).end();
    assert_ended(
        &ended,
        "exit 0: is success, is_error false, terminal completed, retries 1",
        "Succeeded",
    );
}

#[test]
fn logins_that_do_not_work() {
    let Some((place, api, account)) = ground("the CLI and a dead login") else {
        return;
    };
    account.change(|state| state.login = Login::Invalid);
    let ended = place.run(&api, &account).end();
    assert_ended(
        &ended,
        "exit 1: is success, is_error true, terminal api_error, said authentication_failed, status 401, retries 1",
        "Limited login",
    );
    assert_eq!(ended.text(), "Invalid API key · Fix external API key");
    // As a subscriber: the words depend on the API's own, the kind does not.
    for (login, words) in [
        (Login::Invalid, "Not logged in · Please run /login"),
        (
            Login::Expired,
            "Failed to authenticate. API Error: 401 OAuth token has expired.",
        ),
    ] {
        account.change(|state| state.login = login);
        let ended = place.run_subscribed(&api, &account).end();
        assert_ended(
            &ended,
            "exit 1: is success, is_error true, terminal api_error, said authentication_failed, status 401, retries 2",
            "Limited login",
        );
        assert!(ended.text().starts_with(words), "{}", ended.text());
    }
    account.change(|state| state.login = Login::Good);
    let ended = meets(&place, &api, &account, Answer::forbidden());
    assert_ended(
        &ended,
        "exit 1: is success, is_error true, terminal api_error, said authentication_failed, status 403, retries 0",
        "Limited login",
    );
    account.change(|state| {
        state.login = Login::Revoked;
        state.trouble = None;
    });
    let ended = place.run_subscribed(&api, &account).end();
    assert_ended(
        &ended,
        "exit 1: is success, is_error true, terminal api_error, said authentication_failed, status 403, retries 2",
        "Limited login",
    );
    assert!(
        ended.text().contains("OAuth token revoked"),
        "{}",
        ended.text()
    );
    // Without any credential nothing is asked.
    let before = api.requests().len();
    let ended = place.bare(&api).end();
    assert_ended(
        &ended,
        "exit 1: is success, is_error true, terminal api_error, said authentication_failed, retries 0",
        "Limited login",
    );
    assert_eq!(api.requests().len(), before);
}

#[test]
fn money_and_model() {
    let Some((place, api, account)) = ground("the CLI without money") else {
        return;
    };
    account.change(|state| state.billing = Billing::CreditTooLow);
    let ended = place.run(&api, &account).end();
    assert_ended(
        &ended,
        "exit 1: is success, is_error true, terminal api_error, said billing_error, status 400, retries 0",
        "Limited credit",
    );
    assert_eq!(ended.text(), "Credit balance is too low");
    account.change(|state| state.billing = Billing::Good);
    let answer = Answer::no_such_model("claude-opus-5-5");
    let ended = meets(&place, &api, &account, answer);
    assert_ended(
        &ended,
        "exit 1: is success, is_error true, terminal api_error, said model_not_found, status 404, retries 0",
        "ModelUnavailable",
    );
}

#[test]
fn endings_of_the_model() {
    let Some((place, api, account)) = ground("the CLI and a model that ends early") else {
        return;
    };
    let ended = meets(&place, &api, &account, Answer::context_too_long());
    assert_ended(
        &ended,
        "exit 1: is success, is_error true, terminal prompt_too_long, said invalid_request, status 400, retries 0",
        "PromptTooLong",
    );
    let ended = meets(&place, &api, &account, Answer::refusal());
    assert_ended(
        &ended,
        "exit 1: is success, is_error true, terminal api_error, said invalid_request, retries 0",
        "Refused",
    );
    assert_eq!(ended.field("stop_reason"), "refusal");
    // Asked once more, and paid twice.
    assert_eq!(ended.field("total_cost_usd"), 0.01212);
    let ended = meets(&place, &api, &account, Answer::max_tokens("and so on"));
    assert_ended(
        &ended,
        "exit 1: is success, is_error true, terminal api_error, said max_output_tokens, api_error max_output_tokens, retries 0",
        "AgentError",
    );
}
