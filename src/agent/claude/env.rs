//! The environment in which Claude Code runs under us.
//!
//! It is ours, because an unattended run must end: with its own retry watchdog the program waits for hours in silence, with
//! its own time-outs a dead server costs an hour. And it must not do what nobody asked for: report, update itself, leave a
//! daemon behind.

use serde::{Deserialize, Serialize};

/// Retries of a request by the program itself: 0.5, 1, 2, 4.5 seconds. What lasts longer is a hold's matter.
pub const MAX_RETRIES_DEFAULT: u32 = 4;
/// Most that the program takes.
pub const MAX_RETRIES_MAX: u32 = 15;
/// Time for one request, until its answer begins. What follows is bounded by [`STREAM_IDLE_DEFAULT_MS`].
pub const API_TIMEOUT_DEFAULT_MS: u64 = 300_000;
/// Longest silence in the midst of an answer. The server sends a sign of life every few seconds also while the model thinks,
/// so a stream without a byte for so long is dead.
pub const STREAM_IDLE_DEFAULT_MS: u64 = 120_000;
/// The program takes no shorter time.
pub const STREAM_IDLE_MIN_MS: u64 = 10_000;

/// Switched on for every run.
const SET: [(&str, &str); 12] = [
    ("CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC", "1"),
    ("DISABLE_TELEMETRY", "1"),
    ("DISABLE_ERROR_REPORTING", "1"),
    ("DISABLE_AUTOUPDATER", "1"),
    ("DISABLE_UPDATES", "1"),
    ("DISABLE_BUG_COMMAND", "1"),
    ("DISABLE_FEEDBACK_COMMAND", "1"),
    ("CLAUDE_CODE_DISABLE_FEEDBACK_SURVEY", "1"),
    // Background sessions and the daemon that serves them.
    ("CLAUDE_CODE_DISABLE_AGENT_VIEW", "1"),
    // Prompts that the session would give itself later.
    ("CLAUDE_CODE_DISABLE_CRON", "1"),
    ("CLAUDE_CODE_DISABLE_TERMINAL_TITLE", "1"),
    // Reset times are told in words in the zone of the process.
    ("TZ", "UTC"),
];

/// Taken away: the first group would make it wait instead of ending, the second is how one Claude Code tells another that it
/// is its child (a daemon may have been started from within one), the third would report.
const UNSET: [&str; 15] = [
    "CLAUDE_CODE_RETRY_WATCHDOG",
    "CLAUDE_CODE_RETRY_WATCHDOG_SCOPE",
    "CLAUDE_CODE_RETRY_WATCHDOG_MAX_WAIT_MS",
    "CLAUDE_CODE_RETRY_WATCHDOG_MAX_USAGE_LIMIT_WAIT_MS",
    "CLAUDE_CODE_RETRY_WATCHDOG_USAGE_LIMIT_RECHECK_MS",
    "CLAUDECODE",
    "CLAUDE_CODE_ENTRYPOINT",
    "CLAUDE_CODE_SESSION_ID",
    "CLAUDE_CODE_CHILD_SESSION",
    "CLAUDE_CODE_SESSION_ATTENDED",
    "CLAUDE_CODE_LAUNCHED_BY_SESSION_IDS",
    "CLAUDE_PID",
    "CLAUDE_CODE_SSE_PORT",
    "CLAUDE_CODE_ENABLE_TELEMETRY",
    "CLAUDE_CODE_ENHANCED_TELEMETRY_BETA",
];

/// How long the program tries by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bounds {
    /// Retries of one request.
    pub max_retries: u32,
    /// Time for one request, until its answer begins.
    pub api_timeout_ms: u64,
    /// Longest silence in the midst of an answer; at least [`STREAM_IDLE_MIN_MS`].
    pub stream_idle_ms: u64,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            max_retries: MAX_RETRIES_DEFAULT,
            api_timeout_ms: API_TIMEOUT_DEFAULT_MS,
            stream_idle_ms: STREAM_IDLE_DEFAULT_MS,
        }
    }
}

/// What to change in an environment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Environment {
    /// Names and their values.
    pub set: Vec<(&'static str, String)>,
    /// Names to take away.
    pub unset: &'static [&'static str],
}

/// The changes for a run. `config_dir` is the account's own directory (login, sessions); `None` = the user's.
#[must_use]
pub fn environment(bounds: Bounds, config_dir: Option<&str>) -> Environment {
    let mut set: Vec<(&'static str, String)> = SET
        .iter()
        .map(|(name, value)| (*name, (*value).to_owned()))
        .collect();
    let retries = bounds.max_retries.min(MAX_RETRIES_MAX);
    set.push(("CLAUDE_CODE_MAX_RETRIES", retries.to_string()));
    set.push(("API_TIMEOUT_MS", bounds.api_timeout_ms.max(1).to_string()));
    let silence = bounds.stream_idle_ms.max(STREAM_IDLE_MIN_MS);
    set.push(("CLAUDE_BYTE_STREAM_IDLE_TIMEOUT_MS", silence.to_string()));
    if let Some(directory) = config_dir {
        set.push(("CLAUDE_CONFIG_DIR", directory.to_owned()));
    }
    Environment { set, unset: &UNSET }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_set_and_unset_and_nothing_twice() {
        let environment = environment(Bounds::default(), Some("/var/lib/a"));
        let mut names: Vec<&str> = environment.set.iter().map(|(name, _)| *name).collect();
        names.extend(environment.unset);
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), count);
        assert!(
            environment
                .set
                .contains(&("CLAUDE_CONFIG_DIR", "/var/lib/a".to_owned()))
        );
    }

    #[test]
    fn bounds_are_bounded() {
        let wild = Bounds {
            max_retries: 1000,
            api_timeout_ms: 0,
            stream_idle_ms: 0,
        };
        let set = environment(wild, None).set;
        assert!(set.contains(&("CLAUDE_CODE_MAX_RETRIES", "15".to_owned())));
        assert!(set.contains(&("API_TIMEOUT_MS", "1".to_owned())));
        assert!(set.contains(&("CLAUDE_BYTE_STREAM_IDLE_TIMEOUT_MS", "10000".to_owned())));
        assert!(!set.iter().any(|(name, _)| *name == "CLAUDE_CONFIG_DIR"));
    }
}
