//! `task attach`, `task detach`: an agent's session in a person's hands, and back.

use std::process::ExitStatus;
use std::time::Duration;

use clap::Args;

use crate::api::wire::{ActionName, ActionResult, ActionsRequest, ByHand, TaskView};
use crate::cli::conn::Daemon;
use crate::cli::context::{Context, restart_patience};
use crate::cli::error::CliError;
use crate::cli::exit;
use crate::cli::output::{plain, say};
use crate::cli::route::task_route;
use crate::cli::signals::Signals;
use crate::supervisor::command::ActEffect;
use crate::supervisor::terminal;

/// Arguments of `task attach`.
#[derive(Debug, Args)]
pub struct AttachArgs {
    /// Id or short unique prefix
    #[arg(value_name = "ID")]
    pub id: String,
    /// Run the agent here, and hand the session back when it ends
    #[arg(long, conflicts_with = "json")]
    pub run: bool,
}

/// Arguments of `task detach`.
#[derive(Debug, Args)]
pub struct DetachArgs {
    /// Id or short unique prefix
    #[arg(value_name = "ID")]
    pub id: String,
}

/// Between two looks whether the running attempt has ended.
const LOOK_AGAIN: Duration = Duration::from_millis(100);
/// Times that a task may have been let go on by somebody else before its session is ours.
const TRIES: u32 = 3;

/// Attaches; with `--run` runs the agent and hands the session back.
///
/// # Errors
/// No daemon, or its refusal.
pub async fn run(args: &AttachArgs, context: &Context) -> Result<u8, CliError> {
    let mut daemon = context.daemon().await?;
    let task = take(&mut daemon, &args.id, context).await?;
    if context.out.json {
        context.out.json_line(&task)?;
        return Ok(exit::OK);
    }
    let by_hand = by_hand(&task);
    let by_hand = by_hand.ok_or_else(|| {
        CliError::failed(format!(
            "{} is attached, but how its agent is run by hand cannot be told any more; `taskctl task detach {0}` hands it back",
            task.id
        ))
    })?;
    for variable in &by_hand.needs {
        say(&format!("set this first: {}", plain(variable)));
    }
    if !args.run {
        say(&format!(
            "{} is attached; when you are done: taskctl task detach {0}",
            task.id
        ));
        context.out.line(&by_hand.line())?;
        return Ok(exit::OK);
    }
    let ended = in_this_terminal(&by_hand.exec_line()).await;
    // A person works for hours, and the daemon closes a connection on which nothing is said: not worth a word.
    if let Ok(fresh) = daemon.another().await {
        daemon = fresh;
    }
    let id = task.id.as_str();
    hand_back(&mut daemon, id, context).await.map_err(|error| {
        CliError::failed(format!(
            "{id} is still attached, it could not be handed back ({error}): taskctl task detach {id}"
        ))
    })?;
    say(&format!("{id} is handed back and goes on"));
    let ended = ended?;
    if ended.success() {
        Ok(exit::OK)
    } else {
        Err(CliError::failed(format!("the agent ended with {ended}")))
    }
}

/// Hands back.
///
/// # Errors
/// No daemon, or its refusal.
pub async fn detach(args: &DetachArgs, context: &Context) -> Result<u8, CliError> {
    let mut daemon = context.daemon().await?;
    let task = hand_back(&mut daemon, &args.id, context).await?;
    if context.out.json {
        context.out.json_line(&task)?;
    } else {
        let (state, name) = (task.state.name(), plain(&task.name));
        context.out.line(&format!("{}  {state}  {name}", task.id))?;
    }
    Ok(exit::OK)
}

/// Takes the session over: asks, waits for what runs, asks again.
async fn take(daemon: &mut Daemon, id: &str, context: &Context) -> Result<TaskView, CliError> {
    let mut was_running = false;
    for _ in 0..TRIES {
        let (task, effect) = match act(daemon, ActionName::Attach, id, context).await {
            Ok(done) => done,
            Err(error) if was_running => return Err(let_go_on(daemon, id, error, context).await),
            Err(error) => return Err(error),
        };
        let id = task.id.as_str();
        if effect != Some(ActEffect::Stopping) {
            // With how it is gone on with, which only the answer about one task tells.
            return look(daemon, id, context).await;
        }
        was_running = true;
        let what = format!("ending the running attempt of {id}");
        let waiting = until_ended(daemon, &task, context);
        context.with_progress(&what, waiting).await?;
    }
    Err(CliError::refused(format!(
        "{} was let go on by somebody else, {TRIES} times; ask who",
        plain(id)
    )))
}

/// Its attempt was ended for a session that is not there after all: the task goes on as if nobody had asked.
async fn let_go_on(daemon: &mut Daemon, id: &str, why: CliError, context: &Context) -> CliError {
    let paused = look(daemon, id, context).await;
    let is_ours = paused.is_ok_and(|task| {
        let agent = task.agent.as_ref();
        agent.is_none_or(|agent| agent.attached.is_none()) && !task.pause_reasons.is_empty()
    });
    if !is_ours {
        return why;
    }
    match act(daemon, ActionName::Resume, id, context).await {
        Ok(_) => CliError::said(why.exit(), "refused", format!("{why}; it goes on")),
        Err(_) => why,
    }
}

/// Waits until the attempt that was running holds its slot no more.
async fn until_ended(
    daemon: &mut Daemon,
    running: &TaskView,
    context: &Context,
) -> Result<(), CliError> {
    loop {
        let task = look(daemon, running.id.as_str(), context).await?;
        if !task.state.holds_slot() || task.attempt != running.attempt {
            return Ok(());
        }
        tokio::time::sleep(LOOK_AGAIN).await;
    }
}

async fn hand_back(daemon: &mut Daemon, id: &str, context: &Context) -> Result<TaskView, CliError> {
    Ok(act(daemon, ActionName::Detach, id, context).await?.0)
}

async fn look(daemon: &mut Daemon, id: &str, context: &Context) -> Result<TaskView, CliError> {
    let route = task_route(id, "")?;
    loop {
        match daemon.get(&route).await {
            Err(error) if error.is_away() => {
                context.find_again(daemon, restart_patience()).await?;
            }
            done => return done,
        }
    }
}

/// One wish about this task.
async fn act(
    daemon: &mut Daemon,
    action: ActionName,
    id: &str,
    context: &Context,
) -> Result<(TaskView, Option<ActEffect>), CliError> {
    let request = ActionsRequest {
        action,
        ids: vec![id.to_owned()],
        states: Vec::new(),
        grace_ms: None,
        patch: None,
        dry_run: false,
    };
    let mut was_away = false;
    let mut results: Vec<ActionResult> = loop {
        match daemon.post("/tasks/actions", &request).await {
            Err(error) if error.is_away() => {
                context.find_again(daemon, restart_patience()).await?;
                was_away = true;
            }
            done => break done?,
        }
    };
    match results.pop() {
        Some(ActionResult {
            error: Some(error), ..
        }) => {
            // The daemon that went away may have committed the wish without telling us.
            if was_away {
                let task = look(daemon, id, context).await?;
                if is_so(action, &task) {
                    return Ok((task, Some(ActEffect::Already)));
                }
            }
            Err(CliError::Refused(error))
        }
        Some(ActionResult {
            task: Some(task),
            effect,
            ..
        }) => Ok((task, effect)),
        _ => Err(CliError::failed("the daemon answered nothing")),
    }
}

/// Whether the wish is fulfilled, for us.
fn is_so(action: ActionName, task: &TaskView) -> bool {
    let attached = task
        .agent
        .as_ref()
        .and_then(|agent| agent.attached.as_ref());
    let own = rustix::process::geteuid().as_raw();
    match action {
        ActionName::Attach => attached.is_some_and(|attached| attached.by == own),
        ActionName::Detach => attached.is_none(),
        ActionName::Resume => task.pause_reasons.is_empty(),
        ActionName::Cancel
        | ActionName::Pause
        | ActionName::Retry
        | ActionName::Approve
        | ActionName::Reject
        | ActionName::Edit => false,
    }
}

/// How this user goes on in the session: what their own shell has anyway is left out.
#[must_use]
pub fn by_hand(task: &TaskView) -> Option<ByHand> {
    const HOME: &str = "HOME";
    let agent = task.agent.as_ref()?;
    let mut by_hand = agent.attached.as_ref()?.by_hand.clone()?;
    let own = std::env::var(HOME).ok();
    if by_hand.env.get(HOME) == own.as_ref() {
        by_hand.env.remove(HOME);
    }
    Some(by_hand)
}

/// Runs the line in this terminal. What asks us to leave is the agent's to answer: it is told, and waited for.
async fn in_this_terminal(line: &str) -> Result<ExitStatus, CliError> {
    let failed =
        |error: std::io::Error| CliError::failed(format!("the agent could not be run: {error}"));
    let mut signals = Signals::new()?;
    let mut shell = terminal::in_terminal(line).map_err(failed)?;
    let stamp = shell.stamp;
    let mut waiting = tokio::task::spawn_blocking(move || shell.wait());
    loop {
        let code = tokio::select! {
            ended = &mut waiting => {
                return ended
                    .map_err(|error| failed(std::io::Error::other(error)))?
                    .map_err(failed);
            }
            code = signals.next() => code,
        };
        // Ctrl-C comes from the terminal, and so to the agent as well.
        if code != exit::INTERRUPTED {
            terminal::terminate(stamp).map_err(failed)?;
        }
    }
}
