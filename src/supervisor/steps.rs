//! The steps of a transaction: each event in one of its own, then the claims. What a step refuses is undone; the others stand.

use super::clock::Moment;
use super::command::{Refusal, Reply};
use super::event::{Answer, AttemptReport, Attention, Effect, SupervisorEvent};
use super::handler::{Handler, Step, StepError, Wake, World};
use crate::store::{Batch, StoreError};

/// Time between tries while the claims of a transaction are refused.
const CLAIMS_RETRY_MS: i64 = 5_000;

/// One event and what became of it.
#[derive(Debug)]
pub struct Handled {
    /// The event.
    pub event: SupervisorEvent,
    /// The answer, to be given after the commit.
    pub answer: Answer,
    /// Released after the commit.
    pub effects: Vec<Effect>,
}

/// One event, in a step of its own.
///
/// # Errors
/// The store's, with the event: the whole batch is lost.
pub fn handle(
    batch: &mut Batch<'_>,
    handler: &mut Handler,
    world: &dyn World,
    moment: Moment,
    event: SupervisorEvent,
) -> Result<Handled, Box<(StoreError, SupervisorEvent)>> {
    let mut effects = Vec::new();
    let result = batch.step(|tx| {
        let mut step = Step {
            tx,
            moment,
            world,
            effects: Vec::new(),
        };
        let reply = handler.handle(&mut step, &event)?;
        effects = step.effects;
        Ok::<Reply, StepError>(reply)
    });
    let answer = match result {
        Ok(reply) | Err(StepError::DryRun(reply)) => Ok(reply),
        Err(StepError::Refused(refusal)) => {
            if let SupervisorEvent::Attempt(report) = &event {
                effects.push(refused_report(report, &refusal));
            }
            Err(refusal)
        }
        Err(StepError::Store(error)) => return Err(Box::new((error, event))),
    };
    Ok(Handled {
        event,
        answer,
        effects,
    })
}

/// What was seen of an attempt cannot be noted: its row is damaged, or we are wrong. It must not be passed over in silence.
fn refused_report(report: &AttemptReport, refusal: &Refusal) -> Effect {
    tracing::error!(attempt = %report.attempt(), %refusal, "what was seen of an attempt cannot be noted");
    Effect::Attention(Attention {
        kind: "report_refused",
        text: format!(
            "what was seen of attempt {} cannot be noted: {refusal}",
            report.attempt()
        ),
    })
}

/// The claims, in a step of their own: what keeps them from being made must not keep the events from being committed.
///
/// # Errors
/// The store's: the whole batch is lost.
pub fn claim(
    batch: &mut Batch<'_>,
    handler: &mut Handler,
    world: &dyn World,
    moment: Moment,
) -> Result<(Vec<Effect>, Wake), StoreError> {
    let result = batch.step(|tx| {
        let mut step = Step {
            tx,
            moment,
            world,
            effects: Vec::new(),
        };
        let wake = handler.claim(&mut step)?;
        handler.mind_the_damaged(&mut step)?;
        Ok::<_, StepError>((step.effects, wake))
    });
    let text = match result {
        Ok(claimed) => return Ok(claimed),
        Err(StepError::Store(error)) => return Err(error),
        Err(StepError::Refused(refusal)) => refusal.message,
        Err(StepError::DryRun(_)) => "a dry run".to_owned(),
    };
    tracing::error!(text, "nothing can be claimed");
    batch.step(|tx| handler.resync(tx))?;
    let attention = Effect::Attention(Attention {
        kind: "claims_refused",
        text: format!("nothing can be claimed: {text}"),
    });
    let at = Some(moment.now.plus_ms(CLAIMS_RETRY_MS));
    Ok((vec![attention], Wake { at, at_once: false }))
}
