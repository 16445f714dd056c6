//! The client part of `auto-claude run`: submits a task, shows it live, ends as it ends.
//!
//! - The task's stdout goes to stdout and its stderr to stderr, byte by byte; changes of its state are lines on stderr.
//! - A lease is held meanwhile: when this process is killed, the daemon notices and pauses the task.
//! - The first Ctrl-C (or SIGTERM, SIGHUP) pauses the task and waits until it has paused. The second leaves at once:
//!   the pause is committed and is carried out without us. Nothing is ever cancelled by an impatient key.
//! - A daemon that leaves, at whatever moment after the submission, is looked for; the task goes on meanwhile.

use std::io::Write as _;
use std::time::Duration;

use hyper::Method;
use tokio::task::JoinHandle;

use crate::api::wire::{
    ActionName, ActionResult, ActionsRequest, AgentView, EventLine, NewTask, SystemStatus, TaskView,
};
use crate::crash;
use crate::task::State;

use super::clock;
use super::conn::{Daemon, Stream};
use super::error::CliError;
use super::exit;
use super::live_output::{Copy, LOOK_AGAIN};
use super::outgoing::Outgoing;
use super::output::plain;
use super::render::outcome::{Ending, verdict};
use super::route::{query, task_route};
use super::run_words::Words;
use super::signals::Signals;

/// How a foreground run is to be.
#[derive(Debug, Clone, Default)]
pub struct RunOptions {
    /// Submit, print the id, leave.
    pub detach: bool,
    /// `--state-dir` as it was given, for the commands that are suggested.
    pub state_dir: Option<std::path::PathBuf>,
    /// Say in JSON what is ours to say.
    pub json: bool,
    /// The daemon is this process's own: it is gone when we are.
    pub embedded: bool,
    /// Where the programs are, when they were called by a path: suggested commands name them so.
    pub programs: Option<std::path::PathBuf>,
}

/// A daemon that went away is looked for this long; a new one waits 20 s for the foreground runs of the former.
const RESTART_PATIENCE: Duration = Duration::from_secs(18);
/// After the task is over, its last output is waited for this long.
const LAST_OUTPUT_WITHIN: Duration = Duration::from_secs(5);
/// The lease is given back within this: a daemon that is stopped holds up nobody who leaves.
const LET_GO_WITHIN: Duration = Duration::from_secs(1);

/// Submits `task` and stays with it to its end. Returns the exit code: the task's own exit code, 128 and its signal's
/// number, or one of [`exit`]'s.
///
/// # Errors
/// The daemon refused, or went away.
pub async fn run_foreground(
    daemon: &mut Daemon,
    mut task: NewTask,
    options: &RunOptions,
) -> Result<u8, CliError> {
    task.foreground = true;
    // Before the submission: a Ctrl-C right after it must not leave a task that nobody pauses.
    let mut signals = Signals::new()?;
    let view: TaskView = signals
        .while_submitting(daemon.post_again("/tasks", &task))
        .await?;
    let mut run = Run::begin(daemon, view, options).await?;
    run.say_why_it_waits().await?;
    let code = run.watch(&mut signals).await;
    // After an error the lease just breaks, and the daemon pauses the task.
    let let_go = code.is_ok() && !run.pause_is_open;
    run.finish(let_go).await;
    code
}

/// Submits `task` and prints it: its id, or with `--json` the task.
///
/// # Errors
/// The daemon refused, or went away.
pub async fn submit_detached(
    daemon: &mut Daemon,
    task: &NewTask,
    options: &RunOptions,
) -> Result<TaskView, CliError> {
    let view: TaskView = daemon.post_again("/tasks", task).await?;
    let text = if options.json {
        serde_json::to_string(&view)
            .map_err(|error| CliError::failed(format!("failed to write JSON: {error}")))?
    } else {
        view.id.to_string()
    };
    writeln!(std::io::stdout().lock(), "{text}").map_err(|error| CliError::output(&error))?;
    Ok(view)
}

/// Holds the task: when this connection breaks, the daemon pauses it.
async fn lease(daemon: &Daemon, id: &str) -> Result<Stream, CliError> {
    let route = task_route(id, "lease")?;
    daemon
        .another()
        .await?
        .open(Method::POST, &route, Outgoing::Whole(None))
        .await
}

/// A task in the foreground.
struct Run<'a> {
    daemon: &'a mut Daemon,
    task: TaskView,
    /// `None` while the daemon is away.
    lease: Option<Stream>,
    /// We leave before the daemon has taken the pause: that our lease breaks tells it, or the next one.
    pause_is_open: bool,
    output: Vec<JoinHandle<Result<(), CliError>>>,
    options: &'a RunOptions,
}

impl<'a> Run<'a> {
    async fn begin(
        daemon: &'a mut Daemon,
        task: TaskView,
        options: &'a RunOptions,
    ) -> Result<Self, CliError> {
        let id = task.id.as_str();
        // It may leave between its answer and this: the task is there all the same, and may run.
        let lease = match lease(daemon, id).await {
            Err(error) if error.is_away() => None,
            held => Some(held?),
        };
        Words(options).state(&task, task.state.name());
        let mut output = Vec::new();
        for name in ["stdout", "stderr"] {
            let pairs = [("format", "text"), ("follow", "true"), ("stream", name)]
                .map(|(key, value)| (key, value.to_owned()));
            let route = task_route(id, &format!("logs?{}", query(&pairs)))?;
            let socket = daemon.socket().to_owned();
            let copy = Copy {
                socket,
                route,
                task: task_route(id, "")?,
                to_stderr: name == "stderr",
                copied: 0,
            };
            output.push(tokio::spawn(copy.run()));
        }
        Ok(Self {
            daemon,
            task,
            lease,
            pause_is_open: false,
            output,
            options,
        })
    }

    /// A task that nobody will start needs an explanation: a silent wait looks like a hang.
    async fn say_why_it_waits(&mut self) -> Result<(), CliError> {
        if self.task.state != State::Pending {
            return Ok(());
        }
        let status: SystemStatus = match self.daemon.get("/status").await {
            // The end of the lease says it as well, and is acted upon.
            Err(error) if error.is_away() => return Ok(()),
            known => known?,
        };
        if let (false, Some(why)) = (status.claims.enabled, &status.claims.why_not) {
            self.note(&format!("waits: {}", plain(why)));
        }
        self.say_what_its_account_waits_for().await
    }

    /// The same for a prompt whose account is closed, or whose budget has no room.
    async fn say_what_its_account_waits_for(&mut self) -> Result<(), CliError> {
        let waits = matches!(
            self.task.state,
            State::Pending | State::Retrying | State::WaitingUnban
        );
        if !waits || self.task.agent.is_none() {
            return Ok(());
        }
        let route = task_route(self.task.id.as_str(), "")?;
        let task: TaskView = match self.daemon.get(&route).await {
            // The end of the lease says it as well, and is acted upon.
            Err(error) if error.is_away() => return Ok(()),
            known => known?,
        };
        let waits_for = |agent: AgentView| agent.waits_for.or(agent.waits_for_budget);
        if let Some(why) = task.agent.and_then(waits_for) {
            self.note(&format!("waits: {}", plain(&why)));
        }
        Ok(())
    }

    /// Follows the task until it is over, paused or left.
    async fn watch(&mut self, signals: &mut Signals) -> Result<u8, CliError> {
        let mut leaving: Option<u8> = None;
        loop {
            if let Some(code) = self.settled(leaving) {
                return Ok(code);
            }
            let Some(lease) = &mut self.lease else {
                if let Some(code) = self.hold_again_unless(signals).await? {
                    return Ok(code);
                }
                continue;
            };
            tokio::select! {
                code = signals.next() => {
                    if leaving.is_some() {
                        self.note(&format!("left; the daemon goes on pausing it. {}", self.go_on()));
                        return Ok(code);
                    }
                    leaving = Some(code);
                    if let Some(code) = self.pause_unless(signals, code).await? {
                        return Ok(code);
                    }
                }
                line = lease.line() => match line {
                    Ok(Some(line)) => self.take(&line).await?,
                    Ok(None) => self.lease = None,
                    Err(error) if error.is_no_daemon() => self.lease = None,
                    Err(error) => return Err(error),
                },
            }
        }
    }

    /// Asks for the pause because of a signal. Gives the exit code when that is not waited for: at the next signal, or when
    /// there is no daemon any more.
    async fn pause_unless(
        &mut self,
        signals: &mut Signals,
        code: u8,
    ) -> Result<Option<u8>, CliError> {
        let code = tokio::select! {
            paused = self.pause() => match paused {
                Err(error) if error.is_away() => return Ok(Some(self.leave_to_the_next(code))),
                paused => return paused.map(|()| None),
            },
            code = signals.next() => code,
        };
        self.pause_is_open = true;
        self.note(&format!(
            "left; the daemon pauses it when it sees that. {}",
            self.go_on()
        ));
        Ok(Some(code))
    }

    /// Looks for the daemon that went away; a signal meanwhile gives the exit code: there is nobody to wait for.
    async fn hold_again_unless(&mut self, signals: &mut Signals) -> Result<Option<u8>, CliError> {
        let code = tokio::select! {
            held = self.hold_again() => return held.map(|()| None),
            code = signals.next() => code,
        };
        Ok(Some(self.leave_to_the_next(code)))
    }

    fn leave_to_the_next(&mut self, code: u8) -> u8 {
        self.pause_is_open = true;
        self.note(&format!(
            "left; the next daemon pauses it. {}",
            self.go_on()
        ));
        code
    }

    /// Takes the lease anew from a daemon that is restarting. Meanwhile the task goes on.
    async fn hold_again(&mut self) -> Result<(), CliError> {
        self.note("the daemon went away, looking for it");
        let begun = clock::instant();
        let patience = crash::patience(RESTART_PATIENCE);
        loop {
            tokio::time::sleep(LOOK_AGAIN).await;
            match self.reconnect().await {
                Ok(()) => return Ok(()),
                Err(error) if !error.is_away() => return Err(error),
                Err(_) if clock::instant().saturating_duration_since(begun) > patience => {
                    let text = format!(
                        "the daemon went away; the next one pauses {}: {}",
                        self.task.id,
                        self.look()
                    );
                    return Err(CliError::no_daemon(text));
                }
                Err(_) => {}
            }
        }
    }

    async fn reconnect(&mut self) -> Result<(), CliError> {
        *self.daemon = self.daemon.another().await?;
        self.lease = Some(lease(self.daemon, self.task.id.as_str()).await?);
        self.read_again().await
    }

    /// The task as it is now, where changes were missed.
    async fn read_again(&mut self) -> Result<(), CliError> {
        self.task = self
            .daemon
            .get(&task_route(self.task.id.as_str(), "")?)
            .await?;
        Ok(())
    }

    /// The exit code, once the task needs us no more.
    fn settled(&self, leaving: Option<u8>) -> Option<u8> {
        let state = self.task.state;
        if state == State::Paused {
            self.state(&format!("paused. {}", self.go_on()));
            return Some(leaving.unwrap_or(exit::NEEDS_PERSON));
        }
        if state == State::NeedsHumanReview {
            self.state(&format!("waits for a decision: {}", self.look()));
            return Some(exit::NEEDS_PERSON);
        }
        state
            .is_final()
            .then(|| exit::for_run(&Ending::of(&self.task)))
    }

    /// A change from the lease.
    async fn take(&mut self, line: &str) -> Result<(), CliError> {
        let event = serde_json::from_str(line).map_err(|error| {
            CliError::failed(format!("failed to read the daemon's answer: {error}"))
        })?;
        let fresh = match event {
            EventLine::Task(task) => *task,
            EventLine::Lagged => {
                let route = task_route(self.task.id.as_str(), "")?;
                match self.daemon.get(&route).await {
                    // The lease ends, too, and then the task is read again.
                    Err(error) if error.is_away() => return Ok(()),
                    read => read?,
                }
            }
            EventLine::Alive => return Ok(()),
        };
        let changed = fresh.state != self.task.state || fresh.attempt != self.task.attempt;
        self.task = fresh;
        if changed
            && !matches!(self.task.state, State::Paused | State::NeedsHumanReview)
            && !self.task.state.is_final()
        {
            let attempt = if self.task.attempt > 1 {
                format!(", attempt {}", self.task.attempt)
            } else {
                String::new()
            };
            let ending = Ending {
                state: self.task.state,
                outcome: None,
            };
            self.state(&format!("{}{attempt}", verdict(&ending)));
            self.say_what_its_account_waits_for().await?;
        }
        Ok(())
    }

    async fn pause(&mut self) -> Result<(), CliError> {
        self.note("pausing; again to leave at once");
        let request = ActionsRequest {
            action: ActionName::Pause,
            ids: vec![self.task.id.to_string()],
            states: Vec::new(),
            grace_ms: None,
            patch: None,
            dry_run: false,
        };
        let results: Vec<ActionResult> = self.daemon.post("/tasks/actions", &request).await?;
        for result in results {
            if let Some(task) = result.task {
                self.task = task;
            }
            // Refused: it was over first, and the lease will tell.
            if let Some(error) = result.error {
                self.note(&error.message);
            }
        }
        Ok(())
    }

    /// Waits for the last output, says how it ended, gives the lease back.
    async fn finish(self, let_go: bool) {
        let over = self.task.state.is_final();
        for output in self.output {
            let abort = output.abort_handle();
            if !over
                || tokio::time::timeout(LAST_OUTPUT_WITHIN, output)
                    .await
                    .is_err()
            {
                abort.abort();
            }
        }
        if over {
            Words(self.options).state(&self.task, &verdict(&Ending::of(&self.task)));
        }
        if !let_go {
            return;
        }
        // A failure only means that the daemon sees the lease end by itself.
        if let Ok(route) = task_route(self.task.id.as_str(), "lease") {
            let _ = tokio::time::timeout(LET_GO_WITHIN, self.daemon.delete(&route)).await;
        }
    }

    fn state(&self, text: &str) {
        Words(self.options).state(&self.task, text);
    }

    fn note(&self, text: &str) {
        Words(self.options).note(&self.task.id, text);
    }

    fn go_on(&self) -> String {
        Words(self.options).go_on(&self.task.id)
    }

    fn look(&self) -> String {
        Words(self.options).look(&self.task.id)
    }
}
