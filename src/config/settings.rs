//! The checked settings: what the rest of the program sees. Built only by this room; every value is inside its range.

use std::path::PathBuf;

pub use crate::budget::Budget;
pub use crate::schedule::QuietHours;

/// All settings, checked. Durations carry their unit in the name; `0` means "off" only where a field says so.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// This machine's name in listings and logs. Default: the host name. `MACHINE_ID`.
    pub machine_id: String,
    /// Slots: attempts that may run at once, 1..=256. Default 2. `MAX_CONCURRENT_TASKS` overrides.
    pub num_workers: u32,
    /// Wall time of an attempt unless its task says otherwise; 0 = none. Default 0. `TASK_TIMEOUT_SECONDS`.
    pub task_timeout_seconds: u64,
    /// An attempt whose tree shows no output, no CPU use and no change of children for this long is ended; 0 = off. Default 0.
    pub idle_timeout_seconds: u64,
    /// Time between SIGTERM and SIGKILL, 1..=3600. Default 10.
    pub grace_seconds: u64,
    /// Output kept per attempt; beyond it a marker and the tail are kept. 1..=1_048_576. Default 2048.
    pub max_output_mb: u64,
    /// Retries of a task unless it says otherwise, 0..=1000. Default 3.
    pub max_retries: u32,
    /// First ceiling of the backoff, doubled per retry; the wait is drawn from 0..=ceiling (full jitter). 1..=86_400. Default 10.
    pub retry_base_seconds: u64,
    /// Highest ceiling of the backoff, ≥ `retry_base_seconds`, ≤ 604_800. Default 3600.
    pub retry_max_seconds: u64,
    /// `lost` ends of one task (that of a hung worker is one) inside `restart_window_seconds` before a person is asked, 1..=100. Default 3.
    pub restart_max: u32,
    /// Window of `restart_max`, 1..=604_800. Default 3600.
    pub restart_window_seconds: u64,
    /// Lost or hung attempts of all tasks inside `restart_window_seconds` before claims stop until a person resumes them, 1..=10_000. Default 30.
    pub daemon_restart_max: u32,
    /// Local times in which nothing new is claimed, `HH:MM-HH:MM` each (may cross midnight). Default none.
    pub quiet_hours: Vec<QuietHours>,
    /// IANA name of the time zone of `quiet_hours`; empty = the system's.
    pub time_zone: String,
    /// A worker proves that it lives this often, 1..=60. Default 5.
    pub heartbeat_seconds: u64,
    /// A worker whose last proof is older than this is ended and its attempt recovered; ≥ 3 × `heartbeat_seconds`, ≤ 3600. Default 60.
    pub heartbeat_timeout_seconds: u64,
    /// Processes (threads count) one attempt may have; 0 = no limit. Default 0.
    pub max_processes: u64,
    /// Memory one attempt's tree may use, where a memory controller can be used; 0 = no limit. Default 0.
    pub max_memory_mb: u64,
    /// Tasks kept in the queue that are not final; more are refused. 1..=100_000_000. Default 2_000_000.
    pub max_queue_length: u64,
    /// New submissions are refused while the state directory's file system has less than this free. 0 = off. Default 5 (`min_disk_space_gb`).
    pub min_disk_space_gb: f64,
    /// Space kept aside so that the last transitions stay possible on a full disk, 1..=1024. Default 16.
    pub disk_reserve_mb: u64,
    /// Finished tasks older than this are removed by the daemon's own cleanup; 0 = only by `taskctl system cleanup`. Default 0.
    pub keep_days: u32,
    /// The shell that runs command lines. Default `/bin/sh`.
    pub shell: PathBuf,
    /// Where the database is (from `DATABASE_URL` = `sqlite:///path`); `None` = `auto-claude.db` in the state directory.
    pub database_path: Option<PathBuf>,
    /// Log level: error, warn, info, debug, trace. Default info. `LOG_LEVEL`.
    pub log_level: String,
    /// Log lines as JSON. Default false. `LOG_JSON`.
    pub log_json: bool,
    /// Size at which the main log is rotated, 1..=10_240. Default 50.
    pub max_log_size_mb: u64,
    /// Rotated logs kept, 1..=100. Default 5.
    pub max_log_files: u32,
    /// Window of the 5-hour limit where nothing better is known (used by the agents' drivers). Default 18_000.
    pub claude_session_limit: u64,
    /// Wait for a limit whose end is unknown (used by the agents' drivers). Default 3600.
    pub default_unban_wait: u64,
    /// Claude Code's program: a path, or a name to look for in the task's `PATH`. `CLAUDE_CLI_COMMAND`.
    pub claude_cli_command: String,
    /// Its permission mode. Default `acceptEdits`.
    pub claude_permission_mode: String,
    /// Tools that it may use unasked.
    pub claude_allowed_tools: Vec<String>,
    /// Its own retries of a request, 0..=10. Default 2.
    pub claude_internal_retries: u32,
    /// Its wait for an answer, 1..=3600. Default 600.
    pub claude_api_timeout_seconds: u64,
    /// Silence in the midst of an answer after which Claude Code gives the connection up, 10..=3600. Default 120.
    pub claude_stream_idle_seconds: u64,
    /// Longest time that an agent may do nothing but try a failed request again, 0..=86400; 0 = no limit. Default 900.
    pub agent_trying_seconds: u64,
    /// Model of lightweight tasks; empty = the agent's own choice.
    pub model_lightweight: String,
    /// Model of medium tasks; empty = the agent's own choice.
    pub model_medium_context: String,
    /// Model of heavy tasks; empty = the agent's own choice.
    pub model_heavy_context: String,
    /// What an agent is told when its session goes on.
    pub continue_prompt: String,
    /// `review` or `complete`: what a run with denied tools is.
    pub denied_tools: String,
    /// A run that ended beyond this part of a window is asked once what remains, 50..=100; 100 = never. Default 95.
    pub wrap_up_percent: u32,
    /// `stop` or `allow`: usage beyond the subscription.
    pub extra_usage: String,
    /// Part of each window kept for high priority, 0..=90. Default 0.
    pub reserve_percent: u32,
    /// Time between starts after an account has opened, 0..=3600. Default 5.
    pub release_interval_seconds: u64,
    /// A task that would wait longer for its account goes on at its fallback, 0..=604800. Default 900.
    pub fallback_after_seconds: u64,
    /// `on` or `off`: probes of the daemon's own, where nothing waits for an account whose hold may be over.
    pub probe: String,
    /// Their model on accounts of Claude Code, where the hold names none; empty = the agent's own choice.
    pub probe_model: String,
    /// What they ask.
    pub probe_prompt: String,
    /// `on` or `off`: whether a new or replaced agent's program shows that it keeps its contract before it gets a task.
    pub verify_agents: String,
    /// Files that describe further agents.
    pub agent_files: Vec<String>,
    /// What all tasks of one directory may use up together; none = no limit.
    pub budget_session: Budget,
    /// The same for single directories.
    pub budget_sessions: Vec<NamedBudget>,
    /// What all runs of a day (UTC) may use up together; none = no limit.
    pub budget_day: Budget,
    /// What all runs of a day on one account may use up together; none = no limit.
    pub budget_account_day: Budget,
    /// The same for single accounts.
    pub budget_accounts: Vec<NamedBudget>,
    /// Money in one hour from which on a person is warned, in US dollars; 0 = off.
    pub spend_alarm_usd_per_hour: f64,
    /// Who is told of tasks that name nobody; empty = nobody.
    pub notify_command: String,
    /// Time of one such command, 1..=3600. Default 60.
    pub notify_timeout_seconds: u64,
    /// Times that a notice is told before it is given up, 1..=20. Default 6.
    pub notify_tries: u32,
    /// First wait before it is told again; doubled each time, up to an hour. 1..=3600. Default 10.
    pub notify_retry_seconds: u64,
    /// Patterns of secrets (used by masking). Each compiles. Default none.
    pub sensitive_patterns: Vec<String>,
    /// Words that send a task to review (used by the guard). Default none.
    pub violation_keywords: Vec<String>,
}

/// A budget of one directory or one account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedBudget {
    /// The directory, or `AGENT/ACCOUNT`.
    pub name: String,
    /// What it may use up.
    pub budget: Budget,
}

/// What Claude Code may use unasked: reading, editing in its directory, and the everyday tools of building and testing.
/// Nothing that fetches from the network, installs, or administers.
const CLAUDE_ALLOWED_TOOLS: [&str; 19] = [
    "Read",
    "Glob",
    "Grep",
    "Edit",
    "Write",
    "NotebookEdit",
    "TodoWrite",
    "Bash(ls:*)",
    "Bash(cat:*)",
    "Bash(mkdir:*)",
    "Bash(git status:*)",
    "Bash(git diff:*)",
    "Bash(git log:*)",
    "Bash(git add:*)",
    "Bash(git commit:*)",
    "Bash(make:*)",
    "Bash(cargo:*)",
    "Bash(npm test:*)",
    "Bash(pytest:*)",
];

/// The defaults. `machine_id` is empty here: the loader puts the host name there.
impl Default for Settings {
    fn default() -> Self {
        Self {
            machine_id: String::new(),
            num_workers: 2,
            task_timeout_seconds: 0,
            idle_timeout_seconds: 0,
            grace_seconds: 10,
            max_output_mb: 2048,
            max_retries: 3,
            retry_base_seconds: 10,
            retry_max_seconds: 3600,
            restart_max: 3,
            restart_window_seconds: 3600,
            daemon_restart_max: 30,
            quiet_hours: Vec::new(),
            time_zone: String::new(),
            heartbeat_seconds: 5,
            heartbeat_timeout_seconds: 60,
            max_processes: 0,
            max_memory_mb: 0,
            max_queue_length: 2_000_000,
            min_disk_space_gb: 5.0,
            disk_reserve_mb: 16,
            keep_days: 0,
            shell: PathBuf::from("/bin/sh"),
            database_path: None,
            log_level: "info".to_owned(),
            log_json: false,
            max_log_size_mb: 50,
            max_log_files: 5,
            claude_session_limit: 18_000,
            default_unban_wait: 3600,
            claude_cli_command: "claude".to_owned(),
            claude_permission_mode: "acceptEdits".to_owned(),
            claude_allowed_tools: CLAUDE_ALLOWED_TOOLS.map(str::to_owned).to_vec(),
            claude_internal_retries: 2,
            claude_api_timeout_seconds: 600,
            claude_stream_idle_seconds: 120,
            agent_trying_seconds: 900,
            model_lightweight: String::new(),
            model_medium_context: String::new(),
            model_heavy_context: String::new(),
            continue_prompt: "You were interrupted. Look at what is done, then go on with the task until it is finished."
                .to_owned(),
            denied_tools: "review".to_owned(),
            wrap_up_percent: 95,
            extra_usage: "stop".to_owned(),
            reserve_percent: 0,
            release_interval_seconds: 5,
            fallback_after_seconds: 900,
            probe: "on".to_owned(),
            probe_model: "haiku".to_owned(),
            probe_prompt: "Reply with the single word: ok".to_owned(),
            verify_agents: "on".to_owned(),
            agent_files: Vec::new(),
            budget_session: Budget::NONE,
            budget_sessions: Vec::new(),
            budget_day: Budget::NONE,
            budget_account_day: Budget::NONE,
            budget_accounts: Vec::new(),
            spend_alarm_usd_per_hour: 0.0,
            notify_command: String::new(),
            notify_timeout_seconds: 60,
            notify_tries: 6,
            notify_retry_seconds: 10,
            sensitive_patterns: Vec::new(),
            violation_keywords: Vec::new(),
        }
    }
}
