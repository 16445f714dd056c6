//! Clients that hang, flood or speak nonsense, too many of them, and what else may stand where the socket should be.

use std::io::{Read as _, Write as _};
use std::os::unix::net::{UnixListener, UnixStream};

use crate::daemon::{Answer, Daemon, spawn, until};

#[test]
fn a_gigabyte_is_refused_before_it_is_read() {
    let daemon = Daemon::start();
    let mut stream = daemon.connect();
    write!(
        stream,
        "POST /api/v1/tasks HTTP/1.1\r\nhost: x\r\ncontent-length: {}\r\n\r\n",
        1_u64 << 30
    )
    .unwrap();
    let answer = Answer::read(&mut stream);
    assert_eq!(
        (answer.status, answer.refusal().0.as_str()),
        (413, "too_large")
    );

    // The same without saying so beforehand: sent until the daemon cuts it off, far before the end.
    let mut stream = daemon.connect();
    stream
        .write_all(b"POST /api/v1/tasks HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n")
        .unwrap();
    let chunk = [b"10000\r\n".as_slice(), &[b'x'; 0x10000], b"\r\n"].concat();
    let mut sent = 0_usize;
    while sent < 1 << 30 && stream.write_all(&chunk).is_ok() {
        sent += chunk.len();
    }
    assert!(sent < 1 << 25, "{sent} bytes were taken");
    let answer = Answer::read(&mut stream);
    assert_eq!(
        (answer.status, answer.refusal().0.as_str()),
        (413, "too_large")
    );
    assert_eq!(daemon.get("/health").status, 200);
}

#[test]
fn a_client_that_hangs_is_cut_off_with_an_answer() {
    let daemon = Daemon::start();
    let mut silent = daemon.connect();
    let mut half = daemon.connect();
    half.write_all(b"GET /api/v1/hea").unwrap();
    for stream in [&mut silent, &mut half] {
        let answer = Answer::read(stream);
        assert_eq!(
            (answer.status, answer.refusal().0.as_str()),
            (408, "request_timeout")
        );
    }
    assert_eq!(daemon.get("/health").status, 200);
}

#[test]
fn nonsense_instead_of_http_ends_only_its_own_connection() {
    let daemon = Daemon::start();
    let mut quiet = daemon.connect();
    for bytes in [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".as_slice(),
        b"hello\r\n\r\n",
        &[0; 64],
        b"GET / HTTP/9.9\r\n\r\n",
    ] {
        let mut stream = daemon.connect();
        stream.write_all(bytes).unwrap();
        drop(stream.shutdown(std::net::Shutdown::Write));
        let mut answer = Vec::new();
        drop(stream.read_to_end(&mut answer));
        assert!(
            answer.is_empty() || answer.starts_with(b"HTTP/1.1 400"),
            "{}",
            String::from_utf8_lossy(&answer)
        );
    }
    let mut stream = daemon.connect();
    let head = format!(
        "GET /api/v1/health HTTP/1.1\r\nhost: x\r\nx: {}\r\n\r\n",
        "y".repeat(1 << 20)
    );
    drop(stream.write_all(head.as_bytes()));
    assert_eq!(Answer::read(&mut stream).status, 431);
    quiet
        .write_all(b"GET /api/v1/health HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
        .unwrap();
    assert_eq!(Answer::read(&mut quiet).status, 200);
}

#[test]
fn too_many_connections_are_told_so_and_the_others_go_on() {
    let daemon = Daemon::start();
    let mut held = Vec::new();
    let refused = until("the daemon takes no more", || {
        let mut stream = daemon.connect();
        // One that is turned away may be closed before this is sent.
        drop(stream.write_all(b"GET /api/v1/health HTTP/1.1\r\nhost: x\r\n\r\n"));
        let mut status = [0; 12];
        stream.read_exact(&mut status).unwrap();
        if status.ends_with(b"200") {
            held.push(stream);
            return None;
        }
        let mut rest = status.to_vec();
        drop(stream.read_to_end(&mut rest));
        Some(String::from_utf8(rest).unwrap())
    });
    assert!(refused.starts_with("HTTP/1.1 503"), "{refused}");
    assert!(refused.contains("connections are open"), "{refused}");
    assert!(held.len() >= 200, "only {} were taken", held.len());
    // Who comes again and again does not fill the log: a line each would be 301.
    for _ in 0..300 {
        let mut answer = Vec::new();
        drop(daemon.connect().read_to_end(&mut answer));
        assert!(answer.starts_with(b"HTTP/1.1 503"));
    }
    let log = std::fs::read_to_string(daemon.dir.path().join("s/logs/auto_claude.log")).unwrap();
    let lines = log.matches("were turned away").count();
    assert!((1..=10).contains(&lines), "{lines} lines:\n{log}");
    // Those that were taken still work, and their end makes room.
    let mut first = held.swap_remove(0);
    first
        .write_all(b"GET /api/v1/nothing HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
        .unwrap();
    let mut both = String::new();
    first.read_to_string(&mut both).unwrap();
    assert!(both.contains("HTTP/1.1 404"), "{both}");
    drop(held);
    until("there is room again", || {
        let mut stream = UnixStream::connect(daemon.socket()).ok()?;
        stream
            .write_all(b"GET /api/v1/health HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
            .ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        answer.starts_with("HTTP/1.1 200").then_some(())
    });
}

#[test]
fn a_stale_socket_is_replaced() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("s")).unwrap();
    drop(UnixListener::bind(dir.path().join("s/auto-claude.sock")).unwrap());
    let daemon = Daemon::start_in(dir);
    assert_eq!(daemon.get("/health").status, 200);
}

#[test]
fn what_is_no_socket_of_ours_is_refused_and_left_alone() {
    type Make = fn(&std::path::Path) -> Option<UnixListener>;
    let cases: [(&str, Make, &str); 3] = [
        (
            "a file",
            |path| std::fs::write(path, "precious").map(|()| None).unwrap(),
            "no socket",
        ),
        (
            "a directory",
            |path| std::fs::create_dir(path).map(|()| None).unwrap(),
            "no socket",
        ),
        (
            "somebody's socket",
            |path| Some(UnixListener::bind(path).unwrap()),
            "in use",
        ),
    ];
    for (what, make, expected) in cases {
        let dir = tempfile::tempdir().unwrap();
        let state_dir = dir.path().join("s");
        std::fs::create_dir(&state_dir).unwrap();
        let path = state_dir.join("auto-claude.sock");
        let _held = make(&path);
        let mut child = spawn(&state_dir);
        let ended = until("the daemon refuses", || child.try_wait().unwrap());
        let words = std::fs::read_to_string(state_dir.with_extension("stderr")).unwrap();
        assert!(
            !ended.success() && words.contains(expected),
            "{what}: {words}"
        );
        assert!(path.symlink_metadata().is_ok(), "{what} is still there");
    }
}

#[test]
fn a_socket_path_that_is_too_long_is_refused_with_the_limit() {
    let dir = tempfile::tempdir().unwrap();
    let state_dir = dir.path().join("x".repeat(120));
    std::fs::create_dir(&state_dir).unwrap();
    let mut child = spawn(&state_dir);
    let ended = until("the daemon refuses", || child.try_wait().unwrap());
    let words = std::fs::read_to_string(state_dir.with_extension("stderr")).unwrap();
    assert!(!ended.success() && words.contains("107"), "{words}");
}
