//! `taskctl`'s command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::config::PathOptions;

use super::commands::{
    account, act, agent, attach, backup, checkpoint, claims, cleanup, cost, create, edit, generate,
    init, limits, list, logs, reset, result, show, status, stop_all, wait, workers,
};

/// Widest help text.
pub const HELP_COLUMNS: usize = 100;

/// Submits tasks to a running auto-claude daemon, watches and steers them.
///
/// The daemon is found by --socket, else AUTO_CLAUDE_SOCKET, else --state-dir, else at the user's and then the system's
/// default place. Without --json, output is for people and may change; with it, output is stable.
#[derive(Debug, Parser)]
#[command(name = "taskctl", version, max_term_width = HELP_COLUMNS, propagate_version = true)]
pub struct Cli {
    /// Where the daemon is, and how answers look.
    #[command(flatten)]
    pub global: Global,
    /// What to do.
    #[command(subcommand)]
    pub command: Top,
}

/// Flags that every command takes, before or after it.
#[derive(Debug, Clone, Default, Args)]
pub struct Global {
    /// The daemon's control socket (also AUTO_CLAUDE_SOCKET)
    #[arg(
        long,
        global = true,
        value_name = "PATH",
        help_heading = "Global options"
    )]
    pub socket: Option<PathBuf>,
    /// The daemon's state directory
    #[arg(
        long,
        global = true,
        value_name = "DIR",
        help_heading = "Global options"
    )]
    pub state_dir: Option<PathBuf>,
    /// Answer in JSON
    #[arg(long, global = true, help_heading = "Global options")]
    pub json: bool,
}

impl Global {
    /// What the command line says about places.
    #[must_use]
    pub fn places(&self) -> PathOptions {
        PathOptions {
            state_dir: self.state_dir.clone(),
            config: None,
            socket: self.socket.clone(),
        }
    }
}

/// Groups of commands.
#[derive(Debug, Subcommand)]
pub enum Top {
    /// Create, watch and steer tasks
    #[command(subcommand)]
    Task(TaskCommand),
    /// Look at running attempts
    #[command(subcommand)]
    Worker(WorkerCommand),
    /// Look at the daemon and steer it as a whole
    #[command(subcommand)]
    System(SystemCommand),
    /// Add, list and remove accounts of agents, and log in
    #[command(subcommand)]
    Account(account::AccountCommand),
    /// Show which agents are installed, and whether they can be used
    #[command(subcommand)]
    Agent(agent::AgentCommand),
    /// Show what each account may do, who waits for it and until when
    Limits(limits::LimitsArgs),
    /// Show what runs of agents have cost
    Cost(cost::CostArgs),
    /// Record progress, from inside a task; works without a daemon
    Checkpoint(checkpoint::CheckpointArgs),
    /// Prepare a state directory (the same as `auto-claude init`); works without a daemon
    Init(init::InitArgs),
    /// Print a shell's completions
    Completions(generate::CompletionsArgs),
    /// Write the manual pages
    Man(generate::ManArgs),
}

/// `taskctl task …`.
#[derive(Debug, Subcommand)]
pub enum TaskCommand {
    /// Submit a task: one argument is a command line for the shell, words after -- are a program and its arguments
    Create(Box<create::CreateArgs>),
    /// List tasks, the newest first
    List(list::ListArgs),
    /// Show all about tasks
    Show(show::ShowArgs),
    /// Show on one screen how a task ended: outcome, last output, files changed, time
    Result(result::ResultArgs),
    /// Print a task's output
    Logs(logs::LogsArgs),
    /// Wait until tasks are over; the exit code tells how they ended
    Wait(wait::WaitArgs),
    /// Cancel tasks; running ones are ended with SIGTERM, and after a grace time with SIGKILL
    Cancel(act::CancelArgs),
    /// Do final tasks again, or retry waiting ones at once
    Retry(act::ActArgs),
    /// Pause tasks; running ones are ended after a checkpoint and go on from it later
    Pause(act::ActArgs),
    /// Let paused tasks go on
    Resume(act::ActArgs),
    /// Take over a task's agent session by hand: ends what runs, prints how to go on in it, keeps everybody else out
    Attach(attach::AttachArgs),
    /// Hand an attached session back: the task goes on in it
    Detach(attach::DetachArgs),
    /// Change tasks that do not run
    Edit(Box<edit::EditArgs>),
    /// Let tasks that wait for a decision go on
    Approve(act::ActArgs),
    /// Cancel tasks that wait for a decision
    Reject(act::ActArgs),
}

/// `taskctl worker …`.
#[derive(Debug, Subcommand)]
pub enum WorkerCommand {
    /// List running attempts with their processes and the age of their last proof of life
    List(workers::WorkersArgs),
}

/// `taskctl system …`.
#[derive(Debug, Subcommand)]
pub enum SystemCommand {
    /// Show how the daemon is doing
    Status(status::StatusArgs),
    /// Remove old final tasks with their output
    Cleanup(cleanup::CleanupArgs),
    /// Copy the database while the daemon runs
    Backup(backup::BackupArgs),
    /// Start no new attempts; running ones go on
    Pause(claims::ClaimsArgs),
    /// Start new attempts again
    Resume(claims::ClaimsArgs),
    /// End all running attempts at once, pause their tasks and start no new ones
    StopAll(stop_all::StopAllArgs),
    /// Remove all tasks, after a backup
    Reset(reset::ResetArgs),
}
