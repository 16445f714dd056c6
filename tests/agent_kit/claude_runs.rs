//! What each recorded run is known to be.

use auto_claude::task::{Block, BlockKind, OutcomeKind, Trouble};

/// One recorded run.
pub struct Expected {
    pub name: &'static str,
    pub kind: OutcomeKind,
    /// In millionths of a dollar; `None` = there is no result that tells it.
    pub cost: Option<u64>,
    pub denials: u32,
    pub block: Option<BlockKind>,
    pub until: Option<&'static str>,
    pub model: Option<&'static str>,
    pub trouble: Option<Trouble>,
}

const fn row(name: &'static str, kind: OutcomeKind, cost: Option<u64>) -> Expected {
    Expected {
        name,
        kind,
        cost,
        denials: 0,
        block: None,
        until: None,
        model: None,
        trouble: None,
    }
}

impl Expected {
    const fn denied(mut self, denials: u32) -> Self {
        self.denials = denials;
        self
    }

    const fn blocked(mut self, kind: BlockKind) -> Self {
        self.block = Some(kind);
        self
    }

    const fn until(mut self, until: &'static str) -> Self {
        self.until = Some(until);
        self
    }

    const fn model(mut self, model: &'static str) -> Self {
        self.model = Some(model);
        self
    }

    const fn trouble(mut self, trouble: Trouble) -> Self {
        self.trouble = Some(trouble);
        self
    }
}

pub const EXPECTED: &[Expected] = &[
    row("agents", OutcomeKind::Succeeded, Some(6060)),
    row("append_system", OutcomeKind::Succeeded, Some(6060)),
    row("bare", OutcomeKind::Succeeded, Some(6060)),
    row("close_midstream", OutcomeKind::Succeeded, Some(16260)),
    row("e400credit", OutcomeKind::Limited, Some(0)).blocked(BlockKind::Credit),
    row("e401", OutcomeKind::Limited, Some(0)).blocked(BlockKind::Login),
    row("e401_oauth", OutcomeKind::Limited, Some(0)).blocked(BlockKind::Login),
    row("e403", OutcomeKind::Limited, Some(0)).blocked(BlockKind::Login),
    row("e403_oauth", OutcomeKind::Limited, Some(0)).blocked(BlockKind::Login),
    row("e404model", OutcomeKind::ModelUnavailable, Some(0)),
    row("e429", OutcomeKind::Limited, Some(0)).blocked(BlockKind::Throttle),
    row("e429_max0", OutcomeKind::Limited, Some(0)).blocked(BlockKind::Throttle),
    row("e429_max2", OutcomeKind::Limited, Some(0)).blocked(BlockKind::Throttle),
    row("e429_oauth", OutcomeKind::Limited, Some(0)).blocked(BlockKind::Throttle),
    row("e429_retry_after", OutcomeKind::Succeeded, Some(6060)),
    row("e429_retry_after_60", OutcomeKind::Succeeded, Some(6060)),
    row("e429_retry_after_long", OutcomeKind::Limited, Some(0)).blocked(BlockKind::Throttle),
    row("e500", OutcomeKind::Limited, Some(0)).blocked(BlockKind::Server),
    row("e529", OutcomeKind::Limited, Some(0)).blocked(BlockKind::Overload),
    row("e529_max1", OutcomeKind::Limited, Some(0)).blocked(BlockKind::Overload),
    row("e529_oauth", OutcomeKind::Limited, Some(0)).blocked(BlockKind::Overload),
    row("empty_sse", OutcomeKind::Limited, Some(0))
        .blocked(BlockKind::Network)
        .trouble(Trouble::Proxy),
    row("error_midstream", OutcomeKind::Succeeded, Some(6060)),
    row("fallback_529", OutcomeKind::Succeeded, Some(3030)),
    row("hang", OutcomeKind::NoResult, None)
        .blocked(BlockKind::Network)
        .trouble(Trouble::Other),
    row("hang_midstream", OutcomeKind::Succeeded, Some(11180)),
    row("hang_timeout5", OutcomeKind::Limited, Some(0))
        .blocked(BlockKind::Network)
        .trouble(Trouble::TimedOut),
    row("hook_allow", OutcomeKind::Succeeded, Some(12120)),
    row("hook_ask", OutcomeKind::ToolsDenied, Some(12120)).denied(1),
    row("hook_defer", OutcomeKind::ToolDeferred, Some(6060)),
    row("hook_deny", OutcomeKind::ToolsDenied, Some(12120)).denied(1),
    row("hook_exit1", OutcomeKind::ToolsDenied, Some(12120)).denied(1),
    row("hook_exit2", OutcomeKind::ToolsDenied, Some(12120)).denied(1),
    row("hook_hang", OutcomeKind::ToolsDenied, Some(12120)).denied(1),
    row("hook_none", OutcomeKind::ToolsDenied, Some(12120)).denied(1),
    row("hook_rewrite", OutcomeKind::Succeeded, Some(12120)),
    row("hook_stop", OutcomeKind::ToolsDenied, Some(12120)).denied(1),
    row("hook_unified", OutcomeKind::Limited, Some(0))
        .blocked(BlockKind::FiveHour)
        .until("2026-11-20T20:12:53Z"),
    row("invalid_json", OutcomeKind::Limited, Some(0))
        .blocked(BlockKind::Network)
        .trouble(Trouble::Proxy),
    row("invalid_sse", OutcomeKind::Limited, Some(0))
        .blocked(BlockKind::Network)
        .trouble(Trouble::Proxy),
    row("json_schema", OutcomeKind::Succeeded, Some(12120)),
    row("max_budget", OutcomeKind::MaxBudget, Some(12120)),
    row("max_tokens", OutcomeKind::AgentError, Some(24240)),
    row("max_turns", OutcomeKind::MaxTurns, Some(12120)),
    row("max_turns_json", OutcomeKind::MaxTurns, Some(12120)),
    row("mcp_broken", OutcomeKind::Succeeded, Some(6060)),
    row("model_sonnet", OutcomeKind::Succeeded, Some(3030)),
    row("old_e529_max1", OutcomeKind::Limited, Some(0)).blocked(BlockKind::Overload),
    row("old_text", OutcomeKind::Succeeded, Some(7650)),
    row("old_tool", OutcomeKind::Succeeded, Some(15300)),
    row("old_unified_oauth", OutcomeKind::Limited, Some(0))
        .blocked(BlockKind::FiveHour)
        .until("2026-11-20T20:13:43Z"),
    row("old_unified_text", OutcomeKind::NoResult, None),
    row("perm_accept_edits", OutcomeKind::Succeeded, Some(12120)),
    row("perm_bypass_root", OutcomeKind::NoResult, None),
    row("perm_bypass_sandbox", OutcomeKind::Succeeded, Some(12120)),
    row("perm_dontask", OutcomeKind::ToolsDenied, Some(12120)).denied(1),
    row("perm_plan", OutcomeKind::ToolsDenied, Some(12120)).denied(1),
    row("ppt_allow", OutcomeKind::Succeeded, Some(12120)),
    row("ppt_deny", OutcomeKind::ToolsDenied, Some(12120)).denied(1),
    row("refusal", OutcomeKind::Refused, Some(12120)),
    row("refused", OutcomeKind::Limited, Some(0))
        .blocked(BlockKind::Network)
        .trouble(Trouble::Refused),
    row("reset_midstream", OutcomeKind::Succeeded, Some(21340)),
    row("signal_HUP", OutcomeKind::NoResult, None),
    row("signal_INT", OutcomeKind::NoResult, Some(6060)),
    row("signal_KILL", OutcomeKind::NoResult, None),
    row("signal_TERM", OutcomeKind::NoResult, None),
    row("slow", OutcomeKind::Succeeded, Some(6060)),
    row("stream_input", OutcomeKind::Succeeded, Some(12120)),
    row("system_prompt", OutcomeKind::Succeeded, Some(6060)),
    row("text", OutcomeKind::Succeeded, Some(6060)),
    row("text_json", OutcomeKind::Succeeded, Some(6060)),
    row("text_plain", OutcomeKind::NoResult, None),
    row("too_long", OutcomeKind::PromptTooLong, Some(0)),
    row("tool_use", OutcomeKind::Succeeded, Some(12120)),
    row("tool_use_denied", OutcomeKind::ToolsDenied, Some(12120)).denied(1),
    row("unified_7d", OutcomeKind::Limited, Some(0))
        .blocked(BlockKind::Weekly)
        .until("2026-11-23T01:29:23Z"),
    row("unified_allowed", OutcomeKind::Succeeded, Some(3030)),
    row("unified_apikey", OutcomeKind::Limited, Some(0)).blocked(BlockKind::Throttle),
    row("unified_credits", OutcomeKind::Limited, Some(0))
        .blocked(BlockKind::FiveHour)
        .until("2026-11-20T19:56:09Z"),
    row("unified_json", OutcomeKind::Limited, Some(0))
        .blocked(BlockKind::FiveHour)
        .until("2026-11-20T19:56:00Z"),
    row("unified_midtask", OutcomeKind::Limited, Some(3030))
        .blocked(BlockKind::FiveHour)
        .until("2026-11-20T20:22:19Z"),
    row("unified_noclaim", OutcomeKind::Limited, Some(0))
        .blocked(BlockKind::Credit)
        .until("2033-05-18T03:33:19Z"),
    row("unified_oauth", OutcomeKind::Limited, Some(0))
        .blocked(BlockKind::FiveHour)
        .until("2026-11-20T19:41:18Z"),
    row("unified_opus", OutcomeKind::Limited, Some(0))
        .blocked(BlockKind::Model)
        .until("2026-11-23T01:29:26Z")
        .model("opus"),
    row("unified_overage", OutcomeKind::Succeeded, Some(3030)),
    row("unified_should_retry_false", OutcomeKind::Limited, Some(0))
        .blocked(BlockKind::FiveHour)
        .until("2026-11-20T19:56:18Z"),
    row("unified_spendcap", OutcomeKind::Limited, Some(0))
        .blocked(BlockKind::Spend)
        .until("2026-11-20T20:22:17Z"),
    row("unified_text", OutcomeKind::NoResult, None),
    row("unified_warning", OutcomeKind::Succeeded, Some(3030)),
    row("watchdog_529", OutcomeKind::NoResult, None).blocked(BlockKind::Overload),
    row("watchdog_unified", OutcomeKind::Succeeded, Some(3030)),
];

impl Expected {
    /// The block that is expected.
    pub fn block(&self) -> Option<Block> {
        let kind = self.block?;
        Some(Block {
            kind,
            model: self.model.map(str::to_owned),
            until: self.until.map(|until| until.parse().expect("a time")),
            trouble: self.trouble,
        })
    }
}
