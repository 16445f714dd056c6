//! Bytes on the control socket, through the real server and router of a real (idle) supervisor: each connection is
//! answered or closed, nothing is an internal error, and the daemon goes on.
//!
//! Nothing of the input is ever run: claims are stopped, and a worker would be this fuzz target, not a shell. What could
//! touch files outside the state directory (a backup to a path, percent-encoded routes) is passed over.
#![no_main]

use std::io::{Read as _, Write as _};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::Duration;

use auto_claude::api::{self, Doors};
use auto_claude::config::paths::Given;
use auto_claude::config::{PathOptions, Paths, Settings};
use auto_claude::supervisor::command::Command;
use auto_claude::supervisor::{StartOptions, start};
use libfuzzer_sys::fuzz_target;

/// A stream that goes on (events, a wait) is left after this time.
const PATIENCE: Duration = Duration::from_millis(50);
/// Whether the daemon goes on must not depend on how busy the machine is.
const HEALTH_PATIENCE: Duration = Duration::from_secs(9);
const PASSED_OVER: [&[u8]; 4] = [b"backup", b"reset", b"resume", b"%"];

static SOCKET: OnceLock<PathBuf> = OnceLock::new();

fuzz_target!(|data: &[u8]| {
    let lower = data.to_ascii_lowercase();
    if PASSED_OVER
        .iter()
        .any(|word| lower.windows(word.len()).any(|window| window == *word))
    {
        return;
    }
    let socket = SOCKET.get_or_init(supervise);
    let answer = ask(socket, data, PATIENCE, true);
    assert!(
        answer.is_empty() || answer.starts_with(b"HTTP/1."),
        "{:?}",
        String::from_utf8_lossy(&answer)
    );
    assert!(
        !answer.starts_with(b"HTTP/1.1 500"),
        "{:?}",
        String::from_utf8_lossy(&answer)
    );
    let health = ask(
        socket,
        b"GET /api/v1/health HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n",
        HEALTH_PATIENCE,
        false,
    );
    assert!(
        health.starts_with(b"HTTP/1.1 200"),
        "{:?}",
        String::from_utf8_lossy(&health)
    );
});

/// Sends the bytes and reads what comes. `leaves`: the client closes its side behind them, so that half a request is over at
/// once; to the daemon it is gone then, and may get no answer to a whole one.
fn ask(socket: &Path, bytes: &[u8], patience: Duration, leaves: bool) -> Vec<u8> {
    let mut stream = UnixStream::connect(socket).unwrap_or_else(|error| panic!("{error}"));
    let mut answer = Vec::new();
    let ready = stream
        .set_read_timeout(Some(patience))
        .and_then(|()| stream.write_all(bytes));
    if ready.is_ok() {
        if leaves {
            let _ = stream.shutdown(Shutdown::Write);
        }
        let _ = stream.read_to_end(&mut answer);
    }
    answer
}

/// A supervisor in this process, on a state directory of its own.
fn supervise() -> PathBuf {
    // SAFETY: only says that a write to a closed socket is an error; without Rust's own `main` nobody has said so.
    unsafe { libc::signal(libc::SIGPIPE, libc::SIG_IGN) };
    let dir = Path::new("/dev/shm").join(format!("auto-claude-fuzz-http-{}", std::process::id()));
    let options = PathOptions {
        state_dir: Some(dir),
        ..PathOptions::default()
    };
    let paths = Paths::resolve(
        &Given {
            cwd: "/".into(),
            ..Given::default()
        },
        &options,
        &|_| false,
    )
    .unwrap_or_else(|error| panic!("{error}"));
    let settings = Settings {
        min_disk_space_gb: 0.0,
        disk_reserve_mb: 1,
        max_queue_length: 100,
        ..Settings::default()
    };
    let socket = paths.socket.clone();
    let (ready, when_ready) = std::sync::mpsc::sync_channel(1);
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build();
        runtime
            .unwrap_or_else(|error| panic!("{error}"))
            .block_on(async move {
                let starting = StartOptions {
                    paths: paths.clone(),
                    settings,
                    foreground: false,
                    lock: None,
                };
                let supervisor = start(starting)
                    .await
                    .unwrap_or_else(|error| panic!("{error}"));
                let stopped = supervisor
                    .handle
                    .command(Command::SetClaims { enabled: false })
                    .await;
                stopped.unwrap_or_else(|error| panic!("{error}"));
                let doors = Doors::bind(&paths).unwrap_or_else(|error| panic!("{error}"));
                let (_shut, shutting) = tokio::sync::watch::channel(false);
                let _ = ready.send(());
                api::serve(doors, supervisor.handle.clone(), shutting).await;
            });
    });
    when_ready.recv().unwrap_or_else(|error| panic!("{error}"));
    socket
}
