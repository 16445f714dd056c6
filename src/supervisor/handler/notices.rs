//! Notices: written with the change that they tell of, told after its commit, forgotten once somebody has taken them.

use super::{Handler, Step, StepError};
use crate::store::StoreError;
use crate::supervisor::command::{Refusal, RefusalCode, Reply};
use crate::supervisor::event::{Attention, Effect, LogLine, Tell};
use crate::supervisor::notice::{Batch, Notice, Sink, Told};
use crate::task::{News, Task, news};

/// Longest wait before a notice is tried again.
const WAIT_MAX_MS: u64 = 3_600_000;
const MS_PER_SECOND: u64 = 1_000;
/// What a person is told of when a notice was given up.
const NOTICE_FAILED: &str = "notice_failed";

impl Step<'_> {
    /// A task is new: its batch grows.
    pub(super) fn note_new(&mut self, task: &Task) -> Result<(), StepError> {
        let Some(name) = &task.spec.batch else {
            return Ok(());
        };
        let mut batch = self.batch(task.uid, name)?.unwrap_or_default();
        if batch.sink.is_some() {
            let text = format!("batch: {name} is complete already; take another name");
            return Err(Refusal::new(RefusalCode::BadRequest, text).into());
        }
        batch.first.get_or_insert(task.seq);
        batch.tasks = batch.tasks.saturating_add(1);
        batch.open = batch.open.saturating_add(1);
        self.keep_batch(task.uid, name, &batch)
    }

    /// A task moved: who is to be told of that.
    pub(super) fn note_move(&mut self, before: &Task, after: &Task) -> Result<(), StepError> {
        if let Some(news) = news(&before.life, &after.life) {
            self.tell_of(after, news)?;
        }
        let (was, is) = (before.life.state, after.life.state);
        let Some(name) = &after.spec.batch else {
            return Ok(());
        };
        if was.is_final() == is.is_final() {
            return Ok(());
        }
        // A batch that was told of is gone, and is not told of again.
        let Some(mut batch) = self.batch(after.uid, name)? else {
            return Ok(());
        };
        if batch.first.is_some_and(|first| after.seq < first) {
            return Ok(());
        }
        if is.is_final() {
            batch.count(after, is, false);
        } else {
            batch.count(before, was, true);
        }
        self.keep_batch(after.uid, name, &batch)
    }

    /// A person is to be told of this task, if anybody wants to be.
    pub(super) fn tell_of(&mut self, task: &Task, news: News) -> Result<(), StepError> {
        let Some(command) = task.spec.notify.clone() else {
            return Ok(());
        };
        let sink = Sink::Command(command);
        let notice = Notice::of_task(task, news, sink, self.moment.now);
        self.tell_anew(notice, Some(task.clone()))
    }

    /// Has a new notice told, under a name that no other has which still waits: one transaction may bring two of one task.
    fn tell_anew(&mut self, mut notice: Notice, task: Option<Task>) -> Result<(), StepError> {
        let (name, mut number) = (notice.id.clone(), 1_u32);
        while self.tx.notice(&notice.id)?.is_some() {
            number = number.saturating_add(1);
            notice.id = format!("{name}.{number}");
        }
        self.tell(notice, task)
    }

    /// Keeps a notice, and has it told after the commit.
    fn tell(&mut self, notice: Notice, task: Option<Task>) -> Result<(), StepError> {
        let text = serde_json::to_string(&notice).unwrap_or_default();
        self.tx.put_notice(&notice.id, &text)?;
        self.effects
            .push(Effect::Tell(Box::new(Tell { notice, task })));
        Ok(())
    }

    fn batch(&self, uid: u32, name: &str) -> Result<Option<Batch>, StepError> {
        let text = self.tx.batch_of(uid, name)?;
        Ok(text.and_then(|text| serde_json::from_str(&text).ok()))
    }

    /// Keeps what is known of a batch; when it is over, its notice instead.
    fn keep_batch(&mut self, uid: u32, name: &str, batch: &Batch) -> Result<(), StepError> {
        let Some((sink, last)) = batch.to_tell() else {
            let text = serde_json::to_string(batch).unwrap_or_default();
            return Ok(self.tx.set_batch(uid, name, Some(&text))?);
        };
        let now = self.moment.now;
        let notice = Notice::of_batch(name, uid, batch, last.clone(), sink.clone(), now);
        self.tx.set_batch(uid, name, None)?;
        let task = self.tx.task(&notice.task)?;
        self.tell_anew(notice, task)
    }
}

impl Handler {
    /// No more tasks come: the batch is told of when its last one is over.
    pub(super) fn close_batch(
        step: &mut Step<'_>,
        uid: u32,
        name: &str,
        command: &str,
    ) -> Result<Reply, StepError> {
        let Some(mut batch) = step.batch(uid, name)? else {
            let text = format!("there is no batch {name}, or it was told of already");
            return Err(Refusal::new(RefusalCode::NotFound, text).into());
        };
        batch.sink = Some(Sink::Command(command.to_owned()));
        step.keep_batch(uid, name, &batch)?;
        Ok(Reply::Count(batch.open))
    }

    /// A notice was told, or not.
    pub(super) fn told(&mut self, step: &mut Step<'_>, told: &Told) -> Result<(), StepError> {
        let known = step.tx.notice(&told.id)?;
        let notice: Option<Notice> = known.and_then(|text| serde_json::from_str(&text).ok());
        let Some(mut notice) = notice else {
            return Ok(());
        };
        notice.tries = notice.tries.saturating_add(1);
        let (id, tries) = (notice.id.as_str(), notice.tries);
        step.effects
            .push(Effect::Log(Box::new(LogLine::Notice(told.clone(), tries))));
        let Some(why) = &told.failed else {
            step.tx.delete_notice(id)?;
            step.effects.push(Effect::AttentionOver(NOTICE_FAILED));
            return Ok(());
        };
        if notice.tries >= self.settings.notify_tries {
            step.tx.delete_notice(id)?;
            let text = format!("the notice {id} was given up after {tries} tries: {why}");
            step.effects.push(Effect::Attention(Attention {
                kind: NOTICE_FAILED,
                text,
            }));
            return Ok(());
        }
        let doublings = notice.tries.saturating_sub(1);
        let first = self.settings.notify_retry_seconds * MS_PER_SECOND;
        let wait = first
            .saturating_mul(1_u64.checked_shl(doublings).unwrap_or(u64::MAX))
            .min(WAIT_MAX_MS);
        notice.due = step.moment.now.plus_ms(wait.cast_signed());
        let task = match step.tx.task(&notice.task) {
            // Of a damaged task nothing is needed but its environment.
            Err(StoreError::BadRow { .. }) => None,
            task => task?,
        };
        step.tell(notice, task)
    }
}
