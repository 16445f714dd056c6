//! An evening beside the night: what goes wrong one thing at a time, real Claude Code under the real daemon, against the
//! stand-in for its API. Whatever happens, the task is done in the end, in its session, and no retry is spent on a limit.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot go on stops, and says where"
)]

#[expect(dead_code, reason = "of the kit, only where the program is")]
#[path = "../claude_kit/mod.rs"]
mod claude_kit;
#[path = "../common/mod.rs"]
mod common;
#[path = "../claude_kit/known.rs"]
mod known;
#[path = "../messages_api/mod.rs"]
mod messages_api;

mod attach;
mod deaths;
mod fallback;
mod kit;
mod network;
mod notices;
mod own_probes;
mod prompts;
mod served;
mod walls;
