//! The server: one thread that takes connections, one for each connection.

use std::collections::VecDeque;
use std::net::{Ipv4Addr, TcpListener};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, Weak};
use std::thread::JoinHandle;
use std::time::Duration;

use serde_json::Value;

use super::account::{State, Use, Window};
use super::answer::{Answer, Usage, wait_until};
use super::choose::{Chosen, Inner, Known, beside};
use super::clock::Clock;
use super::http::{Conn, Raw};
use super::perform::{Performance, Sent};
use super::record::Request;
use super::wire;

/// The running stand-in; it ends when this is dropped.
#[derive(Debug)]
pub struct Api {
    shared: Arc<Shared>,
    port: u16,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    listener: TcpListener,
    listening: Mutex<bool>,
    changed: Condvar,
    stopped: AtomicBool,
    clock: Clock,
    inner: Mutex<Inner>,
}

/// One account of the stand-in.
#[derive(Debug, Clone)]
pub struct Account {
    shared: Arc<Shared>,
    name: String,
}

impl Api {
    /// Starts it on a free port of loopback.
    pub fn start() -> Self {
        // Bound to a port by its number, the socket keeps it while it does not listen: nobody else can take it.
        let listener = (0..100)
            .find_map(|_| {
                let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
                    .and_then(|probe| probe.local_addr())
                    .unwrap()
                    .port();
                TcpListener::bind((Ipv4Addr::LOCALHOST, port)).ok()
            })
            .expect("a free port");
        let port = listener.local_addr().unwrap().port();
        let shared = Arc::new(Shared {
            listener,
            listening: Mutex::new(true),
            changed: Condvar::new(),
            stopped: AtomicBool::new(false),
            clock: Clock::default(),
            inner: Mutex::default(),
        });
        let accepting = Arc::clone(&shared);
        let thread = std::thread::spawn(move || accepting.accept());
        Self {
            shared,
            port,
            thread: Some(thread),
        }
    }

    /// For `ANTHROPIC_BASE_URL`.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// An account with a credential of its own; it serves short texts until told otherwise.
    pub fn account(&self, name: &str) -> Account {
        let account = Account {
            shared: Arc::clone(&self.shared),
            name: name.to_owned(),
        };
        self.shared.inner.lock().unwrap().accounts.push(Known {
            name: name.to_owned(),
            credentials: vec![account.key(), account.token()],
            state: State::default(),
            queue: VecDeque::new(),
            marked: Vec::new(),
            usual: Answer::text("Hello from the stand-in."),
        });
        account
    }

    /// From now on every request gets this answer, or none does.
    pub fn trouble(&self, answer: Option<Answer>) {
        self.shared.inner.lock().unwrap().trouble = answer;
    }

    /// Refuses connections from now on, and resets those that are open: the network is cut. The port stays ours.
    pub fn refuse(&self) {
        self.shared.refuse();
    }

    /// Takes connections again.
    pub fn accept_again(&self) {
        rustix::net::listen(&self.shared.listener, 128).unwrap();
        *self.shared.listening.lock().unwrap() = true;
        self.shared.changed.notify_all();
    }

    /// Shifts the clock that resets follow.
    pub fn shift_clock_s(&self, seconds: i64) {
        self.shared.clock.shift_s(seconds);
    }

    /// The clock, in seconds since the epoch.
    pub fn now_s(&self) -> i64 {
        self.shared.clock.now_s()
    }

    /// All requests so far, in the order they came.
    pub fn requests(&self) -> Vec<Request> {
        self.shared.inner.lock().unwrap().requests.clone()
    }

    /// Requests of agents' main loops.
    pub fn turns(&self) -> Vec<Request> {
        let mut requests = self.requests();
        requests.retain(|request| request.main);
        requests
    }

    /// How many of the requests so far are such. Cheaper than a copy of all, for conditions that are looked at often.
    pub fn count(&self, wanted: impl Fn(&Request) -> bool) -> usize {
        let inner = self.shared.inner.lock().unwrap();
        inner
            .requests
            .iter()
            .filter(|request| wanted(request))
            .count()
    }

    /// Waits until so many requests of main loops have come.
    pub fn wait_turns(&self, count: usize, patience: Duration) {
        wait_until(&format!("{count} requests came"), patience, || {
            self.turns().len() >= count
        });
    }
}

impl Drop for Api {
    fn drop(&mut self) {
        self.shared.stopped.store(true, Ordering::SeqCst);
        self.shared.refuse();
        self.shared.changed.notify_all();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Account {
    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// For `ANTHROPIC_API_KEY`.
    pub fn key(&self) -> String {
        format!("sk-ant-api03-standin-{}", self.name)
    }

    /// For `CLAUDE_CODE_OAUTH_TOKEN`.
    pub fn token(&self) -> String {
        format!("sk-ant-oat01-standin-{}", self.name)
    }

    /// Another credential that names this account.
    pub fn also_known_by(&self, credential: &str) {
        self.with(|known| known.credentials.push(credential.to_owned()));
    }

    /// Changes its state.
    pub fn change(&self, change: impl FnOnce(&mut State)) {
        self.with(|known| change(&mut known.state));
    }

    /// The window is full and empties after so many seconds; without, nobody knows when.
    pub fn limit(&self, window: Window, resets_in_s: Option<i64>) {
        let at = resets_in_s.map(|seconds| self.shared.clock.now_s() + seconds);
        self.change(|state| {
            state.windows.insert(window, Use::of(102, at));
        });
    }

    /// The window is used so many percent, and each request uses so many more; it empties after so many seconds, again and again.
    pub fn meter(&self, window: Window, used: u32, per_request: u32, resets_in_s: i64) {
        let at = self.shared.clock.now_s() + resets_in_s;
        self.change(|state| {
            let metered = Use {
                per_request,
                renews_after_s: Some(resets_in_s),
                ..Use::of(used, Some(at))
            };
            state.windows.insert(window, metered);
        });
    }

    /// The window is no more.
    pub fn unlimit(&self, window: Window) {
        self.change(|state| {
            state.windows.remove(&window);
        });
    }

    /// The next request of a main loop gets this answer, after those said before.
    pub fn next(&self, answer: Answer) {
        self.with(|known| known.queue.push_back(answer));
    }

    /// Requests of conversations in which a person wrote this get these answers, one each; then the usual ones.
    pub fn when(&self, marker: &str, answers: impl IntoIterator<Item = Answer>) {
        let answers = answers.into_iter().collect();
        self.with(|known| known.marked.push((marker.to_owned(), answers)));
    }

    /// The answer when nothing else is said.
    pub fn usually(&self, answer: Answer) {
        self.with(|known| known.usual = answer);
    }

    /// Answers of the queue that nobody has asked for.
    pub fn left(&self) -> usize {
        self.with(|known| known.queue.len())
    }

    /// Tokens of all answers that it got to their end.
    pub fn served(&self) -> Usage {
        self.sum(true)
    }

    /// Tokens that were announced in answers that were cut: the CLI counts some of them, some not, as it happens.
    pub fn served_in_part(&self) -> Usage {
        self.sum(false)
    }

    fn sum(&self, complete: bool) -> Usage {
        let inner = self.shared.inner.lock().unwrap();
        inner
            .requests
            .iter()
            .filter(|request| request.account == self.name && request.complete == complete)
            .fold(Usage::NONE, |sum, request| sum.plus(request.usage))
    }

    fn with<T>(&self, act: impl FnOnce(&mut Known) -> T) -> T {
        let mut inner = self.shared.inner.lock().unwrap();
        let known = inner
            .accounts
            .iter_mut()
            .find(|known| known.name == self.name)
            .unwrap();
        act(known)
    }
}

impl Shared {
    fn stopped(&self) -> bool {
        self.stopped.load(Ordering::SeqCst)
    }

    fn accept(self: &Arc<Self>) {
        while !self.stopped() {
            if let Ok((stream, _)) = self.listener.accept() {
                let stream = Arc::new(stream);
                let mut inner = self.inner.lock().unwrap();
                inner.connections.retain(|known| known.strong_count() > 0);
                inner.connections.push(Arc::downgrade(&stream));
                drop(inner);
                let shared = Arc::clone(self);
                std::thread::spawn(move || shared.serve(&mut Conn::new(stream)));
                continue;
            }
            // It does not listen: wait until it does.
            let listening = self.listening.lock().unwrap();
            let _guard = self
                .changed
                .wait_timeout_while(listening, Duration::from_millis(100), |on| {
                    !*on && !self.stopped()
                })
                .unwrap();
        }
    }

    fn refuse(&self) {
        *self.listening.lock().unwrap() = false;
        // Linux: a listening socket that is shut down listens no more, keeps its port, and may listen again.
        let _ = rustix::net::shutdown(&self.listener, rustix::net::Shutdown::Both);
        let open = std::mem::take(&mut self.inner.lock().unwrap().connections);
        for stream in open.iter().filter_map(Weak::upgrade) {
            let _ = rustix::net::sockopt::set_socket_linger(&*stream, Some(Duration::ZERO));
            let _ = stream.shutdown(std::net::Shutdown::Both);
        }
    }

    fn serve(&self, conn: &mut Conn) {
        while let Some(raw) = conn.next() {
            if self.stopped() || !self.answer(conn, raw) {
                return;
            }
        }
    }

    /// Answers one request; whether the connection goes on.
    fn answer(&self, conn: &mut Conn, raw: Raw) -> bool {
        let body = serde_json::from_slice(&raw.body).unwrap_or(Value::Null);
        let mut request =
            Request::read(self.clock.now_ms(), raw.method, raw.path, raw.headers, body);
        let (index, chosen) = self.choose(&mut request);
        let request_id = wire::request_id();
        let mut headers = chosen.headers;
        headers.push(("request-id".to_owned(), request_id.clone()));
        headers.extend(chosen.answer.headers.iter().cloned());
        let keep = |sent: Sent| {
            let mut inner = self.inner.lock().unwrap();
            let kept = &mut inner.requests[index];
            kept.status = sent.status;
            kept.usage = sent.usage;
            kept.complete = sent.complete;
        };
        let mut performance = Performance {
            conn,
            request: &request,
            headers,
            usage: chosen.usage,
            stopped: &|| self.stopped(),
            keep: &keep,
            request_id,
            sent: Sent::NOTHING,
        };
        let done = performance.run(&chosen.answer);
        let mut sent = performance.sent;
        if done.is_err() {
            sent.complete = false;
        }
        keep(sent);
        sent.complete
    }

    fn choose(&self, request: &mut Request) -> (usize, Chosen) {
        let now_s = self.clock.now_s();
        let mut inner = self.inner.lock().unwrap();
        let chosen = if request.path.starts_with("/v1/messages?") || request.path == "/v1/messages"
        {
            inner.choose(request, now_s)
        } else {
            beside(request)
        };
        request.answer.clone_from(&chosen.label);
        inner.requests.push(request.clone());
        (inner.requests.len() - 1, chosen)
    }
}
