//! `task cancel`, `retry`, `pause`, `resume`, `approve`, `reject`: one wish about several tasks.

use clap::Args;

use crate::api::wire::{ActionName, ActionResult, ActionsRequest};
use crate::cli::context::Context;
use crate::cli::error::CliError;
use crate::cli::output::{plain, say};
use crate::cli::{duration, exit, values};
use crate::supervisor::command::ActEffect;
use crate::task::State;

/// Which tasks: ids, or all in some states.
#[derive(Debug, Clone, Default, Args)]
pub struct Which {
    /// Ids or short unique prefixes
    #[arg(value_name = "ID", required_unless_present_any = ["state", "all"])]
    pub ids: Vec<String>,
    /// Instead of ids: all tasks in this state (repeatable)
    #[arg(short, long, value_name = "STATE", value_delimiter = ',', value_parser = values::states(), conflicts_with = "ids")]
    pub state: Vec<State>,
    /// Instead of ids: all tasks in the states that the command is meant for
    #[arg(short, long, conflicts_with_all = ["ids", "state"])]
    pub all: bool,
    /// Say what would happen, change nothing
    #[arg(long)]
    pub dry_run: bool,
}

/// Arguments of most of them.
#[derive(Debug, Args)]
pub struct ActArgs {
    /// Which tasks.
    #[command(flatten)]
    pub which: Which,
}

/// Arguments of `task cancel`.
#[derive(Debug, Args)]
pub struct CancelArgs {
    /// Which tasks.
    #[command(flatten)]
    pub which: Which,
    /// Time between SIGTERM and SIGKILL [default: the daemon's setting]
    #[arg(long, value_name = "DURATION", allow_hyphen_values = true, value_parser = duration::parse)]
    pub grace: Option<u64>,
}

/// The states that `--all` means.
const fn meant_for(action: ActionName) -> &'static [State] {
    match action {
        ActionName::Cancel => &[
            State::Pending,
            State::Processing,
            State::Paused,
            State::WaitingUnban,
            State::Retrying,
            State::Testing,
            State::NeedsHumanReview,
        ],
        ActionName::Pause => &[
            State::Pending,
            State::Processing,
            State::WaitingUnban,
            State::Retrying,
            State::Testing,
        ],
        ActionName::Resume => &[State::Paused],
        ActionName::Retry => &[State::Failed],
        ActionName::Approve | ActionName::Reject => &[State::NeedsHumanReview],
        // A session is handed over and back task by task.
        ActionName::Attach | ActionName::Detach => &[],
        ActionName::Edit => &[
            State::Pending,
            State::Paused,
            State::WaitingUnban,
            State::Retrying,
        ],
    }
}

impl Which {
    /// The request for these tasks.
    #[must_use]
    pub fn request(&self, action: ActionName) -> ActionsRequest {
        let states = if self.all {
            meant_for(action).to_vec()
        } else {
            self.state.clone()
        };
        ActionsRequest {
            action,
            ids: self.ids.clone(),
            states,
            grace_ms: None,
            patch: None,
            dry_run: self.dry_run,
        }
    }
}

/// Carries it out.
///
/// # Errors
/// No daemon, or its refusal of the whole request.
pub async fn run(action: ActionName, args: &ActArgs, context: &Context) -> Result<u8, CliError> {
    send(&args.which.request(action), context).await
}

/// Cancels.
///
/// # Errors
/// See [`run`].
pub async fn cancel(args: &CancelArgs, context: &Context) -> Result<u8, CliError> {
    let mut request = args.which.request(ActionName::Cancel);
    request.grace_ms = args.grace;
    send(&request, context).await
}

/// Sends the wish and says what it did to each task.
///
/// # Errors
/// See [`run`].
pub async fn send(request: &ActionsRequest, context: &Context) -> Result<u8, CliError> {
    let mut daemon = context.daemon().await?;
    let results: Vec<ActionResult> = context
        .with_progress("asking the daemon", daemon.post("/tasks/actions", request))
        .await?;
    let mut code = exit::OK;
    for result in &results {
        // The first refusal names the exit code; the other tasks were done.
        if let Some(error) = result.error.as_ref().filter(|_| code == exit::OK) {
            code = exit::for_refusal(error.code);
        }
    }
    if context.out.json {
        context.out.json_array(&results)?;
        return Ok(code);
    }
    for result in &results {
        match &result.error {
            // Most refusals begin with the task.
            Some(error) if error.message.starts_with(result.id.as_str()) => {
                say(&format!("taskctl: {}", error.message));
            }
            Some(error) => say(&format!(
                "taskctl: {}: {}",
                plain(&result.id),
                error.message
            )),
            None => context.out.line(&line(request, result))?,
        }
    }
    if results.is_empty() {
        say("no such tasks");
    }
    Ok(code)
}

fn line(request: &ActionsRequest, result: &ActionResult) -> String {
    let (id, name, state) = match &result.task {
        Some(task) => (task.id.to_string(), plain(&task.name), task.state.name()),
        None => (plain(&result.id), String::new(), "?"),
    };
    let what = match result.effect {
        Some(ActEffect::Stopping) => format!("{state}, stopping"),
        Some(ActEffect::Already) => format!("{state} already"),
        Some(ActEffect::Done) | None => state.to_owned(),
    };
    let would = if request.dry_run { "would be: " } else { "" };
    format!("{id}  {would}{what}  {name}")
}
