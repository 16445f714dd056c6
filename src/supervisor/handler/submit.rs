//! Submissions: acknowledged once, known again by their key.

use super::{Handler, Step, StepError};
use crate::store::{NewTask, Submission, SubmitError};
use crate::supervisor::command::{Refusal, RefusalCode, Reply, SubmitRequest};
use crate::task::{Actor, AfterFailed, Event, State, Task, TaskId};

const BYTES_PER_GIB: f64 = 1_073_741_824.0;

impl Handler {
    pub(super) fn submit(
        &mut self,
        step: &mut Step<'_>,
        request: &SubmitRequest,
    ) -> Result<Reply, StepError> {
        let Dependencies {
            unmet,
            failed,
            unknown,
        } = dependencies(step, request)?;
        let new = NewTask {
            id: request.id.clone(),
            uid: request.uid,
            key: request.key.clone(),
            fingerprint: request.fingerprint(),
            spec: request.spec.clone(),
            unmet,
        };
        let submitted = step
            .tx
            .submit(&new, step.moment.now, Actor::User(request.uid))
            .map_err(|error| refuse(step, request, error))?;
        let task = match submitted {
            // Known: an answer to a repeated question must not depend on how full queue or disk are by now, nor on whether
            // the tasks that it waited for have been cleaned up since.
            Submission::Same(task) => {
                return Ok(Reply::Submitted {
                    task: Box::new(task),
                    fresh: false,
                });
            }
            Submission::Fresh(task) => task,
        };
        if let Some(id) = unknown {
            let text = format!("there is no task {id} to wait for (it may have been cleaned up)");
            return Err(Refusal::new(RefusalCode::NotFound, text).into());
        }
        self.room_for_one_more(step)?;
        let submitted = Event::Submitted {
            not_before: task.life.not_before,
        };
        step.changed(&task, &submitted);
        step.note_new(&task)?;
        let task = match failed.filter(|_| request.spec.after_failed == AfterFailed::Fail) {
            Some(dependency) => self.fail_dependant(step, &task, &dependency)?,
            None => task,
        };
        if let Some(only @ None) = &mut self.only {
            *only = Some(task.id.clone());
        }
        Ok(Reply::Submitted {
            task: Box::new(task),
            fresh: true,
        })
    }

    /// Refuses when queue or disk are full. Asked after the insert, inside the same step: a refusal takes it back.
    fn room_for_one_more(&self, step: &Step<'_>) -> Result<(), StepError> {
        let waiting = step.tx.counts()?.unfinished();
        if waiting > self.settings.max_queue_length {
            let text = format!(
                "the queue holds {} tasks, as many as max_queue_length allows; wait, or raise it",
                waiting - 1
            );
            return Err(Refusal::new(RefusalCode::QueueFull, text).into());
        }
        if self.disk_full {
            let text = "the disk of the state directory is full; new tasks are refused until it has space again";
            return Err(Refusal::new(RefusalCode::DiskLow, text).into());
        }
        let floor = self.settings.min_disk_space_gb * BYTES_PER_GIB;
        match step.world.disk_free_bytes() {
            #[expect(clippy::cast_precision_loss, reason = "a threshold in gigabytes")]
            Some(free) if (free as f64) < floor => {
                let text = format!(
                    "only {:.1} GiB are free where the state directory is, min_disk_space_gb asks for {}; free some space, or lower it",
                    free as f64 / BYTES_PER_GIB,
                    self.settings.min_disk_space_gb
                );
                Err(Refusal::new(RefusalCode::DiskLow, text).into())
            }
            Some(_) | None => Ok(()),
        }
    }

    /// The task waits for one that failed: it fails too, and so on down the line.
    pub(super) fn fail_dependant(
        &mut self,
        step: &mut Step<'_>,
        task: &Task,
        dependency: &TaskId,
    ) -> Result<Task, StepError> {
        let event = Event::DependencyFailed {
            dependency: dependency.to_string(),
        };
        let failed = step.apply(task, &event, Actor::Daemon)?;
        self.tell_dependants(step, &failed)?;
        Ok(failed)
    }

    /// A task became final: those that wait for it go on, or fail with it.
    pub(super) fn tell_dependants(
        &mut self,
        step: &mut Step<'_>,
        done: &Task,
    ) -> Result<(), StepError> {
        // A work list, not recursion: a chain of dependants may be as long as the queue.
        let mut finals = vec![done.clone()];
        while let Some(done) = finals.pop() {
            let succeeded = done.life.state == State::Completed;
            for dependant in step.tx.dependants(&done.id)? {
                if succeeded || dependant.spec.after_failed == AfterFailed::Run {
                    step.tx.satisfy(&dependant, &done.id)?;
                } else if !dependant.life.state.is_final() {
                    let event = Event::DependencyFailed {
                        dependency: done.id.to_string(),
                    };
                    finals.push(step.apply(&dependant, &event, Actor::Daemon)?);
                }
            }
        }
        Ok(())
    }
}

/// What is known of the tasks that a submission waits for.
#[derive(Default)]
struct Dependencies {
    /// Those it must wait for.
    unmet: Vec<TaskId>,
    /// One that already failed.
    failed: Option<TaskId>,
    /// One that is not here.
    unknown: Option<TaskId>,
}

fn dependencies(step: &Step<'_>, request: &SubmitRequest) -> Result<Dependencies, StepError> {
    let mut found = Dependencies::default();
    for id in &request.spec.after {
        match step.tx.task(id)?.map(|task| task.life.state) {
            None => found.unknown = Some(id.clone()),
            Some(state) if !state.is_final() => found.unmet.push(id.clone()),
            Some(State::Completed) => {}
            Some(_) => found.failed = Some(id.clone()),
        }
    }
    Ok(found)
}

/// The key belongs to another request: says in which fields, as far as the task still shows it (it may have been edited).
fn key_conflict(step: &Step<'_>, request: &SubmitRequest, id: &TaskId) -> StepError {
    let known = match step.tx.task(id) {
        Ok(known) => known,
        Err(error) => return error.into(),
    };
    let fields = known.map(|known| {
        known
            .spec
            .differences(&request.spec, request.at_written.as_deref())
    });
    let fields = fields.unwrap_or_default().join(", ");
    let other = if fields.is_empty() {
        String::new()
    } else {
        format!(" ({fields})")
    };
    let text = format!(
        "this key belongs to {id}, which asks for something else{other}; take another key, or none"
    );
    Refusal::new(RefusalCode::KeyConflict, text).into()
}

fn refuse(step: &Step<'_>, request: &SubmitRequest, error: SubmitError) -> StepError {
    match error {
        SubmitError::Store(error) => error.into(),
        SubmitError::KeyConflict(id) => key_conflict(step, request, &id),
        SubmitError::IdTaken => Refusal::new(
            RefusalCode::Internal,
            "the new id is taken; send the request again",
        )
        .into(),
        SubmitError::UnknownDependency(id) => Refusal::new(
            RefusalCode::NotFound,
            format!("there is no task {id} to wait for"),
        )
        .into(),
    }
}
