//! The stand-in for the Messages API keeps its own promises: what other tests rely on when they judge an agent by it.

mod messages_api;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use messages_api::account::Window;
use messages_api::answer::{Answer, Cut, Gate, Usage};
use messages_api::record::Auth;
use messages_api::server::Api;
use serde_json::json;

const PATIENCE: Duration = Duration::from_secs(20);

/// One request on a connection of its own; what came until its end, or the error that ended it.
fn ask(api: &Api, key: &str, stream: bool, text: &str) -> Result<String, std::io::Error> {
    let body = json!({"model": "claude-opus-5-5", "stream": stream, "tools": [{"name": "Bash"}],
        "messages": [{"role": "user", "content": text}]})
    .to_string();
    let mut conn = TcpStream::connect(api.url().trim_start_matches("http://"))?;
    conn.set_read_timeout(Some(PATIENCE))?;
    write!(
        conn,
        "POST /v1/messages HTTP/1.1\r\nx-api-key: {key}\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )?;
    let mut answer = Vec::new();
    let mut piece = [0; 4096];
    loop {
        let count = conn.read(&mut piece)?;
        answer.extend_from_slice(&piece[..count]);
        let text = String::from_utf8_lossy(&answer);
        // Connections are kept: an answer ends where it says so.
        let whole = text.split_once("\r\n\r\n").is_some_and(|(head, body)| {
            head.split_once("content-length: ")
                .and_then(|(_, rest)| rest.lines().next()?.trim().parse().ok())
                .is_some_and(|length: usize| body.len() >= length)
        });
        if count == 0 || whole || text.ends_with("0\r\n\r\n") {
            return Ok(text.into_owned());
        }
    }
}

#[test]
fn a_script_is_followed_and_kept() {
    let api = Api::start();
    let account = api.account("a");
    account.next(Answer::bash("true"));
    account.next(Answer::text("second").using(Usage {
        input: 7,
        ..Usage::USUAL
    }));
    account.when("marker", [Answer::broken()]);
    let first = ask(&api, &account.key(), true, "one").unwrap();
    assert!(first.contains("input_json_delta"), "{first}");
    assert!(
        ask(&api, &account.key(), true, "with a marker")
            .unwrap()
            .contains(" 500 ")
    );
    let second = ask(&api, &account.key(), false, "two").unwrap();
    assert!(second.contains("\"second\""), "{second}");
    let third = ask(&api, &account.key(), true, "three").unwrap();
    assert!(third.contains("message_stop"), "{third}");
    let turns = api.turns();
    assert_eq!(
        turns
            .iter()
            .map(|turn| turn.answer.as_str())
            .collect::<Vec<_>>(),
        ["tool Bash", "500", "text", "text"]
    );
    assert!(
        turns
            .iter()
            .all(|turn| turn.complete && turn.auth == Auth::Key)
    );
    assert_eq!(account.served().input, 2007);
    assert_eq!(turns[1].last_user, "with a marker");
    assert_eq!(account.left(), 0);
}

#[test]
fn accounts_differ_and_a_limit_ends_with_its_time() {
    let api = Api::start();
    let (one, two) = (api.account("one"), api.account("two"));
    one.limit(Window::FiveHour, Some(3600));
    let refused = ask(&api, &one.key(), true, "x").unwrap();
    assert!(
        refused.contains(" 429 ") && refused.contains("representative-claim: five_hour"),
        "{refused}"
    );
    assert!(ask(&api, &two.key(), true, "x").unwrap().contains(" 200 "));
    assert!(ask(&api, "nobody's", true, "x").unwrap().contains(" 401 "));
    api.shift_clock_s(3601);
    assert!(ask(&api, &one.key(), true, "x").unwrap().contains(" 200 "));
    two.meter(Window::SevenDay, 70, 20, 100);
    let answers: Vec<String> = (0..3)
        .map(|_| ask(&api, &two.key(), true, "x").unwrap())
        .collect();
    assert!(
        answers[0].contains("unified-status: allowed\r"),
        "{answers:?}"
    );
    assert!(answers[1].contains("allowed_warning"), "{answers:?}");
    assert!(
        answers[2].contains("unified-status: rejected"),
        "{answers:?}"
    );
    assert_eq!(api.turns().last().unwrap().answer, "limit seven_day");
}

#[test]
fn a_refused_connection_comes_back_on_the_same_port() {
    let api = Api::start();
    let account = api.account("a");
    for _ in 0..3 {
        api.refuse();
        let error = ask(&api, &account.key(), true, "x").unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::ConnectionRefused);
        api.accept_again();
        assert!(
            ask(&api, &account.key(), true, "x")
                .unwrap()
                .contains(" 200 ")
        );
    }
}

#[test]
fn a_stream_ends_as_it_is_told() {
    let api = Api::start();
    let account = api.account("a");
    account.next(Answer::cut(Cut::Close));
    let closed = ask(&api, &account.key(), true, "x").unwrap();
    assert!(closed.contains("message_start") && !closed.contains("message_stop"));
    account.next(Answer::cut(Cut::Reset));
    let error = ask(&api, &account.key(), true, "x").unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
    let gate = Gate::new();
    account.next(Answer::gated("half and half", &gate));
    std::thread::scope(|scope| {
        let answer = scope.spawn(|| ask(&api, &account.key(), true, "x").unwrap());
        gate.wait_reached(1, PATIENCE);
        assert!(!api.turns().last().unwrap().complete);
        gate.open();
        assert!(answer.join().unwrap().contains("message_stop"));
    });
    assert!(api.turns().last().unwrap().complete);
}
