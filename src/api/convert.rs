//! From the supervisor's types to the wire's.

use super::wire::{
    AgentView, AttachedView, ClaimsView, ErrorBody, JournalView, OutcomeView, SystemStatus,
    TaskView, WorkerView,
};
use crate::config::Settings;
use crate::store::JournalRow;
use crate::supervisor::command::Refusal;
use crate::supervisor::view::{Overview, WorkerLine};
use crate::task::{self, AgentState, Outcome, Prompt, Task};

impl From<&Task> for TaskView {
    fn from(task: &Task) -> Self {
        let (spec, life) = (&task.spec, &task.life);
        Self {
            id: task.id.clone(),
            name: spec.name.clone(),
            state: life.state,
            task_type: spec.task_type,
            priority: spec.priority,
            attempt: life.generation,
            created_at: task.created_at,
            started_at: life.started_at,
            finished_at: life.finished_at,
            not_before: life.not_before,
            retries: life.retries,
            outcome: life.outcome.as_ref().map(OutcomeView::from),
            description: spec.description.clone(),
            command: spec.command.clone(),
            cwd: spec.cwd.clone(),
            uid: task.uid,
            seq: task.seq,
            slot: task.slot,
            pause_reasons: life.pause_reasons.iter().copied().collect(),
            intent: life.intent.clone(),
            after: spec.after.clone(),
            after_failed: spec.after_failed,
            exclusive: spec.exclusive.clone(),
            timeout_seconds: spec.timeout_seconds,
            max_retries: spec.max_retries,
            retry_on: spec.retry_on.clone(),
            idle_timeout_seconds: spec.idle_timeout_seconds,
            if_lost: spec.if_lost,
            if_lost_effective: Some(task::on_loss(spec.if_lost, spec.task_type, spec.foreground)),
            notify: spec.notify.clone(),
            batch: spec.batch.clone(),
            secrets: spec.secrets.keys().cloned().collect(),
            agent: task
                .prompt_there()
                .map(|prompt| agent_view(&prompt, life.agent.clone().unwrap_or_default())),
            set_aside: None,
        }
    }
}

fn agent_view(prompt: &Prompt, state: AgentState) -> AgentView {
    AgentView {
        agent: prompt.agent.clone(),
        account: prompt.account.clone(),
        waits_for: None,
        waits_until: None,
        session: state.session,
        moved: state.moved,
        fallback: prompt.fallback.clone(),
        chunk: state.chunk,
        chunks: u32::try_from(prompt.chunks.len()).unwrap_or(u32::MAX),
        model: prompt.model.clone(),
        model_from: prompt.model_from,
        probe: state.probe,
        spent_micro_usd: state.spent_micro_usd,
        unknown_costs: state.unknown_costs,
        report: state.report,
        budget: prompt.budget(),
        budgets: Vec::new(),
        share: None,
        waits_for_budget: None,
        attached: state.attached.map(|attached| AttachedView {
            by: attached.by,
            since: attached.since,
            by_hand: None,
        }),
    }
}

impl From<&Outcome> for OutcomeView {
    fn from(outcome: &Outcome) -> Self {
        Self {
            kind: outcome.kind,
            exit_code: outcome.exit_code,
            signal: outcome.signal,
            core_dumped: outcome.core_dumped,
            descendant_held_pipe: outcome.descendant_held_pipe,
            stop_sent: outcome.stop_sent,
            detail: outcome.detail.clone(),
        }
    }
}

impl From<JournalRow> for JournalView {
    fn from(row: JournalRow) -> Self {
        Self {
            n: row.n,
            at: row.at,
            actor: row.actor,
            event: row.event,
        }
    }
}

impl From<WorkerLine> for WorkerView {
    fn from(line: WorkerLine) -> Self {
        Self {
            slot: line.slot,
            task: line.task,
            name: line.name,
            attempt: line.generation,
            worker_pid: line.worker_pid,
            agent_pid: line.agent_pid,
            started_at: line.started_at,
            heartbeat_age_ms: line.heartbeat_age_ms,
            output_bytes: line.output_bytes,
            intent: line.intent,
            adopted: line.adopted,
        }
    }
}

impl From<Refusal> for ErrorBody {
    fn from(refusal: Refusal) -> Self {
        Self {
            code: refusal.code,
            message: refusal.message,
        }
    }
}

/// The status, with what the settings say.
#[must_use]
pub(super) fn status(overview: Overview, settings: &Settings) -> SystemStatus {
    SystemStatus {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        machine_id: settings.machine_id.clone(),
        pid: std::process::id(),
        started_at: overview.started_at,
        state_dir: overview.state_dir,
        num_workers: settings.num_workers,
        running: overview.running,
        tasks: overview.tasks,
        claims: ClaimsView {
            enabled: overview.claims_enabled,
            why_not: overview.why_not,
        },
        disk_free_bytes: overview.disk_free_bytes,
        memory_available_bytes: overview.memory_available_bytes,
        load_average_1m: overview.load_average_1m,
        attention: overview.attention,
    }
}
