//! Whether and how a person goes on in a task's agent session by hand.

use super::error::ApiResult;
use super::wire::AttachedView;
use crate::config::Settings;
use crate::store::AccountRow;
use crate::supervisor::Handle;
use crate::supervisor::account::AccountSpec;
use crate::supervisor::by_hand::by_hand;
use crate::supervisor::command::{Refusal, RefusalCode};
use crate::task::Task;

/// Whether a person could go on in a session of the task's agent. What the task's state says is the supervisor's matter.
///
/// # Errors
/// The agent has no such way, or its program is not there.
pub(super) fn check(handle: &Handle, task: &Task) -> ApiResult<()> {
    let is_final = task.life.state.is_final();
    if is_final || task.spec.command.prompt().is_none() {
        return Ok(());
    }
    by_hand(&handle.settings(), task, &AccountSpec::default())
        .map(drop)
        .map_err(|why| {
            let text = format!("{} cannot be attached: {why}", task.id);
            Refusal::new(RefusalCode::IllegalTransition, text).into()
        })
}

/// Who has the task's session in hand, and how it is gone on with; `None` when nobody has.
pub(super) fn attached(
    settings: &Settings,
    task: &Task,
    accounts: &[AccountRow],
) -> Option<AttachedView> {
    let attached = task.life.attached()?;
    let prompt = task.prompt_there()?;
    let row = accounts
        .iter()
        .find(|row| row.agent == prompt.agent && row.name == prompt.account);
    let account = row
        .and_then(|row| serde_json::from_str(&row.spec).ok())
        .unwrap_or_default();
    Some(AttachedView {
        by: attached.by,
        since: attached.since,
        by_hand: by_hand(settings, task, &account).ok(),
    })
}
