//! The table of settings: name, range, default and meaning of each, in the order in which they are printed.
//!
//! Invariants: one row per field of [`Settings`]; each default is inside its own range; rows of one group stand together.

use super::settings::Settings;
use super::value::{Field, Value};

/// What a setting takes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Kind {
    /// A whole number in a range, both ends included.
    Int {
        /// The smallest.
        min: u64,
        /// The largest.
        max: u64,
    },
    /// A finite decimal number in a range, both ends included.
    Float {
        /// The smallest.
        min: f64,
        /// The largest.
        max: f64,
    },
    /// `true` or `false`.
    Bool,
    /// One of some words, letter case ignored.
    Choice(&'static [&'static str]),
    /// A machine's name, or empty.
    MachineName,
    /// The absolute path of a program that exists.
    Program,
    /// An IANA time zone name, or empty.
    TimeZone,
    /// A database address, or empty.
    DatabaseUrl,
    /// A list of `HH:MM-HH:MM`.
    DaySpans,
    /// A text of one line, or empty.
    Line,
    /// A list of texts of one line.
    Texts,
    /// A list of regular expressions, each on one line.
    Patterns,
    /// A budget, or empty.
    Budget,
    /// A list of `NAME = BUDGET`, each name once.
    Budgets(BudgetOf),
}

/// What the budgets of a list are of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BudgetOf {
    /// Directories, by their absolute paths.
    Directories,
    /// Accounts: `AGENT/ACCOUNT`.
    Accounts,
}

impl BudgetOf {
    /// An entry as an example.
    #[must_use]
    pub const fn example(self) -> &'static str {
        match self {
            Self::Directories => "\"/srv/app = $20\"",
            Self::Accounts => "\"claude/work = $50, 2h\"",
        }
    }
}

/// Longest name of a machine, in bytes (the kernel's limit for a host name).
pub const MAX_MACHINE_NAME_BYTES: usize = 64;
/// Longest element of a list, in bytes.
pub const MAX_TEXT_BYTES: usize = 4096;
/// Most elements of a list.
pub const MAX_LIST_ITEMS: usize = 1000;

impl Kind {
    /// What is allowed, in words that follow "must be".
    #[must_use]
    pub fn allowed(&self) -> String {
        match self {
            Self::Int { min, max } => format!("a whole number from {min} to {max}"),
            Self::Float { min, max } => format!("a number from {min} to {max}"),
            Self::Bool => "true or false".to_owned(),
            Self::Choice(words) => format!("one of {}", words.join(", ")),
            Self::MachineName => {
                format!(
                    "1 to {MAX_MACHINE_NAME_BYTES} letters, digits, `.`, `-` or `_`, or empty for the host name"
                )
            }
            Self::Program => "the absolute path of a program that can be executed".to_owned(),
            Self::TimeZone => {
                "a time zone name as in `Europe/Berlin`, or empty for the system's".to_owned()
            }
            Self::DatabaseUrl => {
                "`sqlite:///` and an absolute path, or empty for the default place".to_owned()
            }
            Self::DaySpans => {
                "a list of local times `HH:MM-HH:MM` with different ends, as in [\"08:00-18:30\"]"
                    .to_owned()
            }
            Self::Budget => {
                "a budget as in \"$20\", \"2M tokens\", \"8h\" or \"$20, 8h\", or empty for none"
                    .to_owned()
            }
            Self::Budgets(of) => format!(
                "a list of at most {MAX_LIST_ITEMS} budgets by name, each name once, as in [{}]",
                of.example()
            ),
            Self::Line => format!("one line of at most {MAX_TEXT_BYTES} bytes, or empty"),
            Self::Patterns => format!(
                "a list of at most {MAX_LIST_ITEMS} regular expressions of 1 to {MAX_TEXT_BYTES} bytes, each on one line"
            ),
            Self::Texts => format!(
                "a list of at most {MAX_LIST_ITEMS} texts of 1 to {MAX_TEXT_BYTES} bytes, each on one line"
            ),
        }
    }
}

/// What a reload (SIGHUP) does with a changed setting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reload {
    /// Applied at once; what an attempt was started with stays with it.
    Applied,
    /// Kept until the daemon is started again.
    NeedsRestart,
}

/// One setting.
#[derive(Debug)]
pub struct Key {
    /// Its name in the file.
    pub name: &'static str,
    /// Its heading.
    pub group: &'static str,
    /// What it takes.
    pub kind: Kind,
    /// Its unit; empty where there is none.
    pub unit: &'static str,
    /// The environment variable that overrides it.
    pub env: Option<&'static str>,
    /// What a reload does with it.
    pub reload: Reload,
    /// What it means, in one or two sentences.
    pub summary: &'static str,
    /// What the default means, where it is found out at start or says nothing by itself.
    pub default_note: Option<&'static str>,
    get: fn(&Settings) -> Value,
    set: fn(&mut Settings, &Value),
}

impl Key {
    /// Its value in `settings`.
    #[must_use]
    pub fn get(&self, settings: &Settings) -> Value {
        (self.get)(settings)
    }

    /// Puts a checked value into `settings`; a value of another shape changes nothing.
    pub(super) fn set(&self, settings: &mut Settings, value: &Value) {
        (self.set)(settings, value);
    }

    /// Its default.
    #[must_use]
    pub fn default_value(&self) -> Value {
        self.get(&Settings::default())
    }
}

/// The setting called `name`.
#[must_use]
pub fn find(name: &str) -> Option<&'static Key> {
    KEYS.iter().find(|key| key.name == name)
}

/// How alike two names must be (Jaro-Winkler, 0 to 1) for one to be offered for the other.
const LIKENESS: f64 = 0.8;

/// The known name that looks most like `name`; a section before a known name, and the name of an environment
/// variable, lead to the setting that is meant.
#[must_use]
pub fn nearest(name: &str) -> Option<&'static str> {
    let last = name
        .rsplit('.')
        .next()
        .unwrap_or(name)
        .to_ascii_lowercase()
        .replace('-', "_");
    if let Some(key) = KEYS
        .iter()
        .find(|key| key.name == last || key.env.is_some_and(|env| env.eq_ignore_ascii_case(&last)))
    {
        return Some(key.name);
    }
    let mut best: Option<(f64, &'static str)> = None;
    for key in KEYS {
        let likeness = strsim::jaro_winkler(&last, key.name);
        if likeness >= LIKENESS && best.is_none_or(|(most, _)| likeness > most) {
            best = Some((likeness, key.name));
        }
    }
    best.map(|(_, name)| name)
}

/// The levels of the log, from few lines to many.
pub const LOG_LEVELS: &[&str] = &["error", "warn", "info", "debug", "trace"];

/// Claude Code's permission modes that an unattended run may have: never the one that asks nobody for anything.
pub const PERMISSION_MODES: &[&str] = &["default", "acceptEdits", "dontAsk", "plan"];

/// One row of the table. The short form keeps the table readable as a table.
macro_rules! key {
    ($group:expr, $name:literal = $field:ident, $kind:expr, $unit:literal, $env:expr, $reload:ident, $note:expr, $summary:literal) => {
        Key {
            name: $name,
            group: $group,
            kind: $kind,
            unit: $unit,
            env: $env,
            reload: Reload::$reload,
            summary: $summary,
            default_note: $note,
            get: |settings| settings.$field.to_value(),
            set: |settings, value| {
                if let Some(value) = Field::from_value(value) {
                    settings.$field = value;
                }
            },
        }
    };
}

const fn int(min: u64, max: u64) -> Kind {
    Kind::Int { min, max }
}

/// A week, in seconds.
const WEEK_SECONDS: u64 = 604_800;
/// A year, in seconds: longer times are slips of the pen.
const YEAR_SECONDS: u64 = 31_536_000;

const MACHINE: &str = "This machine";
const LIMITS: &str = "Limits of an attempt";
const RETRY: &str = "Retries and restarts";
const WHEN: &str = "When work starts";
const ALIVE: &str = "Workers that hang";
const DISK: &str = "Disk and queue";
const LOG: &str = "The daemon's own log";
const NOTICE: &str = "Notices";
const AGENT: &str = "Agents' limits and content";
const MONEY: &str = "Budgets";

/// All settings.
#[rustfmt::skip]
pub static KEYS: &[Key] = &[
    key!(MACHINE, "machine_id" = machine_id, Kind::MachineName, "", Some("MACHINE_ID"), NeedsRestart, Some("the host name"),
        "This machine's name in listings and logs."),
    key!(MACHINE, "num_workers" = num_workers, int(1, 256), "attempts", Some("MAX_CONCURRENT_TASKS"), Applied, None,
        "Slots: attempts that may run at once. When it is lowered, running attempts go on."),
    key!(MACHINE, "shell" = shell, Kind::Program, "", None, Applied, None,
        "The shell that runs command lines, as `SHELL -c LINE`."),
    key!(MACHINE, "database_url" = database_path, Kind::DatabaseUrl, "", Some("DATABASE_URL"), NeedsRestart, Some("auto-claude.db in the state directory"),
        "Where the tasks are kept. Not on a network file system."),

    key!(LIMITS, "task_timeout_seconds" = task_timeout_seconds, int(0, YEAR_SECONDS), "seconds", Some("TASK_TIMEOUT_SECONDS"), Applied, Some("no limit"),
        "Wall time of one attempt, unless its task says otherwise; 0 = no limit."),
    key!(LIMITS, "idle_timeout_seconds" = idle_timeout_seconds, int(0, YEAR_SECONDS), "seconds", None, Applied, Some("off"),
        "An attempt that shows no output, no use of the CPU and no change of its children for this long is ended; 0 = off."),
    key!(LIMITS, "grace_seconds" = grace_seconds, int(1, 3600), "seconds", None, Applied, None,
        "Time between SIGTERM and SIGKILL when an attempt is ended."),
    key!(LIMITS, "max_output_mb" = max_output_mb, int(1, 1_048_576), "MiB", None, Applied, None,
        "Output kept per attempt; beyond it a marker and the tail are kept."),
    key!(LIMITS, "max_processes" = max_processes, int(0, 4_194_304), "processes and threads", None, Applied, Some("no limit"),
        "Processes and threads one attempt may have; 0 = no limit."),
    key!(LIMITS, "max_memory_mb" = max_memory_mb, int(0, 1_073_741_824), "MiB", None, Applied, Some("no limit"),
        "Memory that all processes of one attempt may use together, where the system has a memory controller; 0 = no limit."),

    key!(RETRY, "max_retries" = max_retries, int(0, 1000), "retries", None, Applied, None,
        "Retries of a task, unless it says otherwise."),
    key!(RETRY, "retry_base_seconds" = retry_base_seconds, int(1, 86_400), "seconds", None, Applied, None,
        "First ceiling of the wait before a retry. It doubles with each retry; the wait is drawn from 0 to the ceiling."),
    key!(RETRY, "retry_max_seconds" = retry_max_seconds, int(1, WEEK_SECONDS), "seconds", None, Applied, None,
        "Highest ceiling of the wait before a retry; not less than `retry_base_seconds`."),
    key!(RETRY, "restart_max" = restart_max, int(1, 100), "ends", None, Applied, None,
        "Lost ends of one task (that of a hung worker is one) within `restart_window_seconds` before a person is asked."),
    key!(RETRY, "restart_window_seconds" = restart_window_seconds, int(1, WEEK_SECONDS), "seconds", None, Applied, None,
        "The window in which `restart_max` and `daemon_restart_max` count."),
    key!(RETRY, "daemon_restart_max" = daemon_restart_max, int(1, 10_000), "ends", None, Applied, None,
        "Lost and hung ends of all tasks within `restart_window_seconds` before nothing new starts until a person resumes it."),

    key!(WHEN, "quiet_hours" = quiet_hours, Kind::DaySpans, "local time", None, Applied, None,
        "Times of the day in which nothing new starts. A span may cross midnight."),
    key!(WHEN, "time_zone" = time_zone, Kind::TimeZone, "", None, Applied, Some("the system's"),
        "The time zone of `quiet_hours`."),

    key!(ALIVE, "heartbeat_seconds" = heartbeat_seconds, int(1, 60), "seconds", None, Applied, None,
        "How often a worker proves that it lives."),
    key!(ALIVE, "heartbeat_timeout_seconds" = heartbeat_timeout_seconds, int(3, 3600), "seconds", None, Applied, None,
        "A worker whose last proof is older is ended and its attempt recovered; at least three times `heartbeat_seconds`."),

    key!(DISK, "max_queue_length" = max_queue_length, int(1, 100_000_000), "tasks", None, Applied, None,
        "Tasks that are not final; further ones are refused."),
    key!(DISK, "min_disk_space_gb" = min_disk_space_gb, Kind::Float { min: 0.0, max: 1_048_576.0 }, "GiB", None, Applied, None,
        "New tasks are refused while the state directory's file system has less free space; 0 = off."),
    key!(DISK, "disk_reserve_mb" = disk_reserve_mb, int(1, 1024), "MiB", None, NeedsRestart, None,
        "Space kept aside, so that running tasks can still be brought to their end on a full disk."),
    key!(DISK, "keep_days" = keep_days, int(0, 36_500), "days", None, Applied, Some("never"),
        "Finished tasks older than this are removed; 0 = only by `taskctl system cleanup`."),

    key!(LOG, "log_level" = log_level, Kind::Choice(LOG_LEVELS), "", Some("LOG_LEVEL"), Applied, None,
        "How much the daemon writes to its log."),
    key!(LOG, "log_json" = log_json, Kind::Bool, "", Some("LOG_JSON"), NeedsRestart, None,
        "Lines of the log as JSON objects instead of text."),
    key!(LOG, "max_log_size_mb" = max_log_size_mb, int(1, 10_240), "MiB", None, NeedsRestart, None,
        "Size at which `logs/auto_claude.log` is set aside as `auto_claude.log.1` and begun anew."),
    key!(LOG, "max_log_files" = max_log_files, int(1, 100), "files", None, NeedsRestart, None,
        "Logs kept beside the current one; the oldest is removed."),

    key!(NOTICE, "notify_command" = notify_command, Kind::Line, "", None, Applied, Some("nobody is told"),
        "A command line that is run when a task that names none itself (`--notify`) is over or waits for a person; what it is told stands in docs/tasks.md."),
    key!(NOTICE, "notify_timeout_seconds" = notify_timeout_seconds, int(1, 3600), "seconds", None, Applied, None,
        "Time of such a command; then it is ended with its process group, and tried again."),
    key!(NOTICE, "notify_tries" = notify_tries, int(1, 20), "tries", None, Applied, None,
        "Times that a notice is told before it is given up: a command that ends with another code than 0 has not taken it."),
    key!(NOTICE, "notify_retry_seconds" = notify_retry_seconds, int(1, 3600), "seconds", None, Applied, None,
        "First wait before a notice is told again; it doubles with each try, up to an hour."),

    key!(AGENT, "claude_session_limit" = claude_session_limit, int(60, WEEK_SECONDS), "seconds", None, Applied, None,
        "Length of the window of Claude's session limit, where the agent does not tell it."),
    key!(AGENT, "default_unban_wait" = default_unban_wait, int(1, WEEK_SECONDS), "seconds", None, Applied, None,
        "Wait for a limit whose end the agent does not tell."),
    key!(AGENT, "claude_cli_command" = claude_cli_command, Kind::Line, "", Some("CLAUDE_CLI_COMMAND"), Applied, None,
        "The program of Claude Code: a path, or a name that is looked for in the task's PATH."),
    key!(AGENT, "claude_permission_mode" = claude_permission_mode, Kind::Choice(PERMISSION_MODES), "", None, Applied, None,
        "What Claude Code may do unasked beside `claude_allowed_tools`: `acceptEdits` lets it edit files in its directory."),
    key!(AGENT, "claude_allowed_tools" = claude_allowed_tools, Kind::Texts, "", None, Applied, None,
        "Tools that Claude Code may use unasked, in its own notation."),
    key!(AGENT, "claude_internal_retries" = claude_internal_retries, int(0, 10), "retries", None, Applied, None,
        "How often Claude Code itself tries a request again before its run ends."),
    key!(AGENT, "claude_api_timeout_seconds" = claude_api_timeout_seconds, int(1, 3600), "seconds", None, Applied, None,
        "How long Claude Code waits for an answer of its server to begin."),
    key!(AGENT, "claude_stream_idle_seconds" = claude_stream_idle_seconds, int(10, 3600), "seconds", None, Applied, None,
        "Silence in the midst of an answer after which Claude Code gives the connection up."),
    key!(AGENT, "agent_trying_seconds" = agent_trying_seconds, int(0, 86_400), "seconds", None, Applied, None,
        "How long an agent may do nothing but try a failed request again before its run is ended and its account held; 0 = no limit."),
    key!(AGENT, "model_lightweight" = model_lightweight, Kind::Line, "", None, Applied, Some("the agent's own choice"),
        "The model of Claude Code for tasks of type lightweight that name none."),
    key!(AGENT, "model_medium_context" = model_medium_context, Kind::Line, "", None, Applied, Some("the agent's own choice"),
        "The same for tasks of type medium_context, which is what a prompt is unless it says otherwise."),
    key!(AGENT, "model_heavy_context" = model_heavy_context, Kind::Line, "", None, Applied, Some("the agent's own choice"),
        "The same for tasks of type heavy_context."),
    key!(AGENT, "continue_prompt" = continue_prompt, Kind::Line, "", None, Applied, None,
        "What an agent is told when its session goes on after an interruption."),
    key!(AGENT, "denied_tools" = denied_tools, Kind::Choice(&["review", "complete"]), "", None, Applied, None,
        "What a run is that ended well although tool calls were denied: a matter for a person, or done."),
    key!(AGENT, "wrap_up_percent" = wrap_up_percent, int(50, 100), "percent", None, Applied, None,
        "A run that ended well beyond this part of a usage window is asked once, after the window's reset, whether anything remains; 100 = never."),
    key!(AGENT, "extra_usage" = extra_usage, Kind::Choice(&["stop", "allow"]), "", None, Applied, None,
        "When an account begins to pay for usage beyond its subscription: hold it until its window begins anew, or go on."),
    key!(AGENT, "reserve_percent" = reserve_percent, int(0, 90), "percent", None, Applied, None,
        "Part of each usage window that is kept for tasks of high and urgent priority, and for the person."),
    key!(AGENT, "release_interval_seconds" = release_interval_seconds, int(0, 3600), "seconds", None, Applied, None,
        "When an account is open again, its tasks start this far apart."),
    key!(AGENT, "fallback_after_seconds" = fallback_after_seconds, int(0, WEEK_SECONDS), "seconds", None, Applied, None,
        "A task that would wait longer than this for its account goes on at its next fallback (`--fallback`), if it has one that is open."),
    key!(AGENT, "probe" = probe, Kind::Choice(&["on", "off"]), "", None, Applied, None,
        "Where nothing waits for an account whose limit may be over: find out by a tiny request of the daemon's own (at most four for one limit, never where it might be billed as extra usage), or wait for the next task."),
    key!(AGENT, "probe_model" = probe_model, Kind::Line, "", None, Applied, None,
        "The model of such a request of Claude Code, unless the limit is that of one model; empty = its own choice."),
    key!(AGENT, "probe_prompt" = probe_prompt, Kind::Line, "", None, Applied, None,
        "What such a request asks; empty = none is sent."),
    key!(AGENT, "verify_agents" = verify_agents, Kind::Choice(&["on", "off"]), "", None, Applied, None,
        "Before the first task with a Claude Code that is new or was replaced: check, without any request to its server, that it keeps what its driver relies on, and hold its accounts if not; or start it unseen."),
    key!(AGENT, "agent_files" = agent_files, Kind::Texts, "", None, Applied, None,
        "Files that describe further agents, or other descriptions of those that are known; absolute paths."),
    key!(AGENT, "sensitive_patterns" = sensitive_patterns, Kind::Patterns, "", None, Applied, None,
        "Further patterns (regular expressions) of secrets."),
    key!(AGENT, "violation_keywords" = violation_keywords, Kind::Texts, "", None, Applied, None,
        "Words that send a task to review."),

    key!(MONEY, "budget_session" = budget_session, Kind::Budget, "", None, Applied, Some("no limit"),
        "What all tasks of one directory may use up together, since ever."),
    key!(MONEY, "budget_sessions" = budget_sessions, Kind::Budgets(BudgetOf::Directories), "", None, Applied, None,
        "Budgets of single directories, in place of `budget_session`: `PATH = BUDGET`."),
    key!(MONEY, "budget_day" = budget_day, Kind::Budget, "", None, Applied, Some("no limit"),
        "What all runs that end on one day (UTC) may use up together."),
    key!(MONEY, "budget_account_day" = budget_account_day, Kind::Budget, "", None, Applied, Some("no limit"),
        "What all runs on one account that end on one day (UTC) may use up together."),
    key!(MONEY, "budget_accounts" = budget_accounts, Kind::Budgets(BudgetOf::Accounts), "", None, Applied, None,
        "Daily budgets of single accounts, in place of `budget_account_day`: `AGENT/ACCOUNT = BUDGET`."),
    key!(MONEY, "spend_alarm_usd_per_hour" = spend_alarm_usd_per_hour, Kind::Float { min: 0.0, max: 1_000_000.0 }, "US dollars per hour", None, Applied, Some("off"),
        "A person is warned once when the runs of the last hour have cost this much, and again only after they have cost less; 0 = off."),
];
