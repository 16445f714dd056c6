//! What each recorded run of another agent is known to be.

use auto_claude::task::{BlockKind, OutcomeKind};

/// Agent, run, resumed, outcome, block.
pub type Row = (
    &'static str,
    &'static str,
    bool,
    OutcomeKind,
    Option<BlockKind>,
);

pub const RUNS: &[Row] = &[
    ("codex", "text", false, OutcomeKind::Succeeded, None),
    ("codex", "resume", true, OutcomeKind::Succeeded, None),
    (
        "codex",
        "resume_unknown",
        true,
        OutcomeKind::UnknownSession,
        None,
    ),
    (
        "codex",
        "e401",
        false,
        OutcomeKind::Limited,
        Some(BlockKind::Login),
    ),
    ("codex", "e404", false, OutcomeKind::ModelUnavailable, None),
    (
        "codex",
        "e429",
        false,
        OutcomeKind::Limited,
        Some(BlockKind::Throttle),
    ),
    (
        "codex",
        "e500",
        false,
        OutcomeKind::Limited,
        Some(BlockKind::Overload),
    ),
    (
        "codex",
        "quota",
        false,
        OutcomeKind::Limited,
        Some(BlockKind::Credit),
    ),
    (
        "codex",
        "usage",
        false,
        OutcomeKind::Limited,
        Some(BlockKind::Weekly),
    ),
    // It tries for ever: what it was busy with when we ended it is told, and is no outcome.
    (
        "codex",
        "refused",
        false,
        OutcomeKind::NoResult,
        Some(BlockKind::Network),
    ),
    ("qwen", "text", false, OutcomeKind::Succeeded, None),
    ("qwen", "session_id", false, OutcomeKind::Succeeded, None),
    ("qwen", "resume", true, OutcomeKind::Succeeded, None),
    (
        "qwen",
        "resume_unknown",
        true,
        OutcomeKind::UnknownSession,
        None,
    ),
    // Exit code 0, `is_error: false`.
    (
        "qwen",
        "e401",
        false,
        OutcomeKind::Limited,
        Some(BlockKind::Login),
    ),
    ("qwen", "e404", false, OutcomeKind::ModelUnavailable, None),
    // It tries for ever, and in silence.
    ("qwen", "e429", false, OutcomeKind::NoResult, None),
    // With `model.generationConfig.maxRetries = 0` in its settings it gives up after 77 s.
    (
        "qwen",
        "e429_bounded",
        false,
        OutcomeKind::Limited,
        Some(BlockKind::Throttle),
    ),
    (
        "qwen",
        "e500",
        false,
        OutcomeKind::Limited,
        Some(BlockKind::Server),
    ),
    ("gemini", "text", false, OutcomeKind::Succeeded, None),
    ("gemini", "session_id", false, OutcomeKind::Succeeded, None),
    ("gemini", "resume", true, OutcomeKind::Succeeded, None),
    (
        "gemini",
        "resume_unknown",
        true,
        OutcomeKind::UnknownSession,
        None,
    ),
    (
        "gemini",
        "e401",
        false,
        OutcomeKind::Limited,
        Some(BlockKind::Login),
    ),
    ("gemini", "e404", false, OutcomeKind::ModelUnavailable, None),
    (
        "gemini",
        "e429",
        false,
        OutcomeKind::Limited,
        Some(BlockKind::Throttle),
    ),
    ("opencode", "text", false, OutcomeKind::Succeeded, None),
    ("opencode", "resume", true, OutcomeKind::Succeeded, None),
    (
        "opencode",
        "resume_unknown",
        true,
        OutcomeKind::UnknownSession,
        None,
    ),
    (
        "opencode",
        "e401",
        false,
        OutcomeKind::Limited,
        Some(BlockKind::Login),
    ),
    (
        "opencode",
        "e404",
        false,
        OutcomeKind::ModelUnavailable,
        None,
    ),
    // It tries for ever, and in silence.
    ("opencode", "e429", false, OutcomeKind::NoResult, None),
    ("opencode", "e503", false, OutcomeKind::NoResult, None),
];
