//! `task wait`: until tasks are over, across restarts of the daemon.

use std::time::{Duration, Instant};

use clap::Args;

use crate::api::wire::TaskView;
use crate::cli::conn::Daemon;
use crate::cli::context::{Context, restart_patience};
use crate::cli::error::CliError;
use crate::cli::output::plain;
use crate::cli::render::outcome::{Ending, verdict};
use crate::cli::route::task_route;
use crate::cli::{clock, duration, exit};

/// Arguments of `task wait`.
#[derive(Debug, Args)]
pub struct WaitArgs {
    /// Ids or short unique prefixes
    #[arg(value_name = "ID", required = true)]
    pub ids: Vec<String>,
    /// Give up after this long; the tasks go on
    #[arg(long, value_name = "DURATION", allow_hyphen_values = true, value_parser = duration::parse)]
    pub timeout: Option<u64>,
}

/// One request waits at most this long, so that a daemon that is gone is noticed.
const ONE_WAIT_SECONDS: u64 = 30;

/// A task that was waited for.
#[derive(Debug)]
pub struct Waited {
    /// As it stands.
    pub task: TaskView,
    /// It is over, or waits for a person; otherwise the time was over first.
    pub over: bool,
}

impl Waited {
    /// The exit code.
    #[must_use]
    pub fn code(&self) -> u8 {
        if self.over {
            exit::for_waited(self.task.state).unwrap_or(exit::FAILED)
        } else {
            exit::WAIT_TIMED_OUT
        }
    }
}

/// Waits for all of them.
///
/// # Errors
/// No daemon, or an id that names no task.
pub async fn run(args: &WaitArgs, context: &Context) -> Result<u8, CliError> {
    let deadline = args
        .timeout
        .and_then(|ms| clock::instant().checked_add(Duration::from_millis(ms)));
    let mut daemon = context.daemon().await?;
    let what = if args.ids.len() == 1 {
        "waiting".to_owned()
    } else {
        format!("waiting for {} tasks", args.ids.len())
    };
    let mut all = Vec::new();
    // One after the other: all of them must be over in the end, so the order costs nothing.
    for id in &args.ids {
        let waited = context
            .with_progress(&what, until_over(&mut daemon, id, deadline, context))
            .await?;
        if !context.out.json {
            context.out.line(&line(&waited))?;
        }
        all.push(waited);
    }
    let code = exit::worst(all.iter().map(Waited::code));
    if context.out.json {
        let tasks: Vec<TaskView> = all.into_iter().map(|waited| waited.task).collect();
        match tasks.as_slice() {
            [only] => context.out.json_line(only)?,
            several => context.out.json_array(several)?,
        }
    }
    Ok(code)
}

/// The line about one of them.
#[must_use]
pub fn line(waited: &Waited) -> String {
    let task = &waited.task;
    let how = if waited.over {
        verdict(&Ending::of(task))
    } else {
        format!("still {}", task.state.name())
    };
    format!("{}  {}  {how}", task.id, plain(&task.name))
}

/// Waits for one task, until `deadline` at most.
///
/// # Errors
/// No daemon comes back, or an id that names no task.
pub async fn until_over(
    daemon: &mut Daemon,
    id: &str,
    deadline: Option<Instant>,
    context: &Context,
) -> Result<Waited, CliError> {
    loop {
        let left = deadline.map(|deadline| deadline.saturating_duration_since(clock::instant()));
        // Rounded up: a wait of 0 s would turn the last second into a busy loop.
        let seconds = left.map_or(ONE_WAIT_SECONDS, |left| {
            left.as_millis()
                .div_ceil(1000)
                .try_into()
                .unwrap_or(ONE_WAIT_SECONDS)
        });
        let route = task_route(
            id,
            &format!("wait?timeout_seconds={}", seconds.min(ONE_WAIT_SECONDS)),
        )?;
        let task: TaskView = match daemon.get(&route).await {
            Ok(task) => task,
            Err(error) if error.is_away() => {
                let patience = left.map_or(restart_patience(), |left| left.min(restart_patience()));
                context.find_again(daemon, patience).await?;
                continue;
            }
            Err(error) => return Err(error),
        };
        if exit::for_waited(task.state).is_some() {
            return Ok(Waited { task, over: true });
        }
        if deadline.is_some_and(|deadline| clock::instant() >= deadline) {
            return Ok(Waited { task, over: false });
        }
    }
}
