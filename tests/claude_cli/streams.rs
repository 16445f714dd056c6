//! Connections that are refused, cut, silent or not what they should be.

use std::time::Duration;

use crate::claude_kit::PATIENCE;
use crate::messages_api::answer::{Answer, Cut, Gate};
use crate::{DONE, assert_ended, ground};

const DONE_AFTER_RETRY: &str = "exit 0: is success, is_error false, terminal completed, retries 1";

#[test]
fn refused() {
    let Some((place, api, account)) = ground("the CLI and a bad connection") else {
        return;
    };
    api.refuse();
    let ended = place.run(&api, &account).end();
    assert_ended(
        &ended,
        "exit 1: is success, is_error true, terminal api_error, said server_error, api_error connection_failed, retries 1",
        "Limited network Refused",
    );
    assert!(ended.of("system/api_retry")[0]["error_status"].is_null());
    assert!(ended.text().contains("ECONNREFUSED"), "{}", ended.text());
}

#[test]
fn cut_in_the_midst() {
    let Some((place, api, account)) = ground("the CLI and a bad connection") else {
        return;
    };
    for cut in [Cut::Reset, Cut::Close] {
        account.next(Answer::cut(cut));
        let ended = place.run(&api, &account).end();
        assert_ended(&ended, DONE_AFTER_RETRY, "Succeeded");
        let turns = api.turns();
        let [cut_off, whole] = &turns[turns.len() - 2..] else {
            panic!("{turns:?}");
        };
        assert!(cut_off.streaming && !cut_off.complete);
        assert!(whole.complete);
    }
    // Cut again and again, it asks without a stream.
    account.next(Answer::cut(Cut::Reset));
    account.next(Answer::cut(Cut::Reset));
    let ended = place.run(&api, &account).end();
    assert_ended(&ended, DONE_AFTER_RETRY, "Succeeded");
    assert!(!api.turns().last().unwrap().streaming);
    // An error inside a stream: at once without a stream.
    account.next(Answer::cut(Cut::Error));
    let ended = place.run(&api, &account).end();
    assert_ended(&ended, DONE, "Succeeded");
    assert!(!api.turns().last().unwrap().streaming);
    // And when that fails as well.
    account.usually(Answer::cut(Cut::Close));
    let ended = place.run(&api, &account).end();
    assert_ended(
        &ended,
        "exit 1: is success, is_error true, terminal api_error, said server_error, api_error connection_failed, retries 1",
        "Limited network Reset",
    );
}

#[test]
fn no_answer() {
    let Some((place, api, account)) = ground("the CLI and a bad connection") else {
        return;
    };
    account.usually(Answer::hang());
    let ended = place
        .run(&api, &account)
        .env("API_TIMEOUT_MS", "1000")
        .end();
    assert_ended(
        &ended,
        "exit 1: is success, is_error true, terminal api_error, said server_error, retries 1",
        "Limited network TimedOut",
    );
    assert!(
        ended.text().starts_with("Request timed out."),
        "{}",
        ended.text()
    );
    assert_eq!(api.turns().len(), 2);
}

#[test]
fn the_time_limit_is_for_the_beginning_of_an_answer() {
    let Some((place, api, account)) = ground("the CLI and a slow connection") else {
        return;
    };
    account.next(Answer::slow("one two three", 3, Duration::from_millis(700)));
    let ended = place
        .run(&api, &account)
        .env("API_TIMEOUT_MS", "1000")
        .end();
    assert_ended(&ended, DONE, "Succeeded");
    assert_eq!(ended.text(), "one two three");
}

#[test]
fn no_messages() {
    let Some((place, api, account)) = ground("the CLI and a bad connection") else {
        return;
    };
    for answer in [Answer::invalid_json(), Answer::invalid_sse()] {
        account.usually(answer);
        let ended = place.run(&api, &account).end();
        assert_ended(
            &ended,
            "exit 1: is success, is_error true, terminal api_error, said unknown, retries 0",
            "Limited network Proxy",
        );
        assert!(
            ended.text().contains("JSON Parse error"),
            "{}",
            ended.text()
        );
    }
    account.usually(Answer::empty_stream());
    let ended = place.run(&api, &account).end();
    assert_ended(
        &ended,
        "exit 1: is success, is_error true, terminal api_error, said unknown, retries 0",
        "Limited network Proxy",
    );
    assert!(
        ended.text().contains("empty or malformed response"),
        "{}",
        ended.text()
    );
}

#[test]
fn a_slow_stream_and_its_signs_of_life() {
    let Some((place, api, account)) = ground("the CLI and a bad connection") else {
        return;
    };
    account.next(Answer::slow("one two three", 3, Duration::from_millis(50)));
    let gate = Gate::new();
    account.next(Answer::gated("now and then", &gate));
    let ended = place.run(&api, &account).end();
    assert_ended(&ended, DONE, "Succeeded");
    assert_eq!(ended.text(), "one two three");
    let running = place
        .run(&api, &account)
        .args(["--include-partial-messages"])
        .start();
    // Half of the text is there while the stream still goes on.
    gate.wait_reached(1, PATIENCE);
    running.wait_event("partial text", |event| {
        event["type"] == "stream_event" && event["event"]["type"] == "content_block_delta"
    });
    gate.open();
    let ended = running.wait();
    assert_ended(&ended, DONE, "Succeeded");
    assert_eq!(ended.text(), "now and then");
}

/// The shortest time that the CLI lets a silent stream be bounded to is ten seconds; without this variable it is minutes.
#[test]
fn silence_in_the_midst() {
    let Some((place, api, account)) = ground("the CLI and a bad connection") else {
        return;
    };
    account.next(Answer::cut(Cut::Silence));
    account.next(Answer::cut(Cut::Silence));
    let run = place
        .run(&api, &account)
        .env("CLAUDE_BYTE_STREAM_IDLE_TIMEOUT_MS", "1");
    let with = run.start();
    let without = run
        .clone()
        .env("CLAUDE_CODE_DISABLE_NONSTREAMING_FALLBACK", "1")
        .start();
    let with = with.wait();
    assert_ended(&with, DONE, "Succeeded");
    assert!(!api.turns().last().unwrap().streaming);
    assert_ended(
        &without.wait(),
        "exit 1: is success, is_error true, terminal api_error, said unknown, api_error stream_idle_timeout, retries 0",
        "Limited network Silent",
    );
    assert_eq!(api.turns().len(), 3);
}

/// Each is told as what it is, after one try more.
#[test]
fn a_name_that_is_none_no_tls_a_strange_certificate_and_a_dead_proxy() {
    let Some((place, api, account)) = ground("the CLI and a network in trouble") else {
        return;
    };
    // Nothing listens there: it is the discard port, and nobody's.
    const NOBODY: &str = "http://127.0.0.1:9";
    let no_proxy = api.url();
    let plain = api.url().replace("http://", "https://");
    let stranger = Stranger::start(&place);
    let strange = stranger.as_ref().map_or("", |server| server.url.as_str());
    for (base_url, proxy, told) in [
        ("http://no-such-host.invalid", "", "Dns"),
        // A server that speaks no TLS hangs up.
        (plain.as_str(), "", "Reset"),
        (strange, "", "Tls"),
        // One that refuses the way on: the stand-in, which is none. Of one that is not there only the refusal is known.
        ("https://api.example.invalid", no_proxy.as_str(), "Proxy"),
        ("https://api.example.invalid", NOBODY, "Refused"),
    ] {
        if base_url.is_empty() {
            println!("SKIPPED: a strange certificate: openssl is not there");
            continue;
        }
        let mut run = place
            .run(&api, &account)
            .env("ANTHROPIC_BASE_URL", base_url);
        if !proxy.is_empty() {
            run = run.env("HTTPS_PROXY", proxy).env("NO_PROXY", "");
        }
        let ended = run.end();
        assert_eq!(
            ended.judged(),
            format!("Limited network {told}"),
            "{}",
            ended.story()
        );
    }
    assert!(api.turns().is_empty());
}

/// A server whose certificate nobody has signed.
struct Stranger {
    child: std::process::Child,
    url: String,
}

#[expect(clippy::disallowed_methods, reason = "a server of the test's own")]
impl Stranger {
    /// `None` where there is no openssl.
    fn start(place: &crate::claude_kit::Place) -> Option<Self> {
        let file = |name: &str| place.dir().join(name).display().to_string();
        let made = std::process::Command::new("openssl")
            .args([
                "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2",
            ])
            .args([
                "-subj",
                "/CN=127.0.0.1",
                "-addext",
                "subjectAltName=IP:127.0.0.1",
            ])
            .args(["-keyout", &file("key.pem"), "-out", &file("cert.pem")])
            .stderr(std::process::Stdio::null())
            .status()
            .ok()?;
        assert!(made.success());
        // Free a moment ago; should somebody take it meanwhile, the server says so and the test fails.
        let socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = socket.local_addr().unwrap().port();
        drop(socket);
        let child = std::process::Command::new("openssl")
            .args([
                "s_server",
                "-quiet",
                "-accept",
                &format!("127.0.0.1:{port}"),
            ])
            .args(["-key", &file("key.pem"), "-cert", &file("cert.pem")])
            .stdin(std::process::Stdio::null())
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null())
            .spawn()
            .unwrap();
        crate::claude_kit::wait_until("the server listens", || {
            std::net::TcpStream::connect(("127.0.0.1", port)).is_ok()
        });
        Some(Self {
            child,
            url: format!("https://127.0.0.1:{port}"),
        })
    }
}

impl Drop for Stranger {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
