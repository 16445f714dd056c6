//! The supervisor's thread: gathers waiting events into one transaction, commits, then releases effects and replies.
//!
//! One sync serves every event that waited: that is what makes many submissions per second durable. A reply, a signal
//! or a launch never leaves before the commit that it follows from.
//!
//! When a commit fails nothing of the batch has happened: commands are answered with the store's words, and what the
//! carriers saw of attempts is kept and tried again, because it is true whatever the disk says.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::{broadcast, mpsc};

use super::clock;
use super::command::{Change, Refusal, RefusalCode, ReplyTo};
use super::event::{Answer, Attention, Effect, SupervisorEvent};
use super::handler::{Handler, Wake, World};
use super::steps::{self, Handled};
use crate::store::{Store, StoreError, in_full};
use crate::task::Timestamp;

/// Events that one transaction takes at most: bounds the time a reply waits for others.
const BATCH_MAX: usize = 512;
/// Time between tries while the store fails.
const STORE_RETRY: Duration = Duration::from_millis(500);

/// The kind of attention that a store is which takes no commits, or only those that need not wait for space.
pub(super) const STORE_FAILED: &str = "store_failed";
const DISK_FULL: &str = "the disk is full: what runs can end, but no new task is taken and none is begun until there is \
                         space for the reserve";

/// Orders that may wait for the carriers.
pub const ORDERS_WAITING_MAX: usize = 4096;

/// What the carriers get to do.
#[derive(Debug)]
pub enum Order {
    /// Carry out an effect.
    Effect(Effect),
    /// Wake the supervisor at this time (`None`: no time is waited for).
    WakeAt(Option<Timestamp>),
}

/// The supervisor's thread, ready to run.
pub struct Engine {
    store: Store,
    handler: Handler,
    world: Box<dyn World + Send>,
    events: mpsc::Receiver<SupervisorEvent>,
    orders: mpsc::Sender<Order>,
    changes: broadcast::Sender<Change>,
    /// Set while the store fails, for `/health` and the watchdog.
    failing: Arc<AtomicBool>,
    /// The disk reserve was released and is to be made again.
    reserve_released: bool,
    wake_at: Option<Timestamp>,
}

/// What a transaction came to.
struct Committed {
    handled: Vec<Handled>,
    claims: Vec<Effect>,
    wake: Wake,
}

/// Why a transaction was lost, and the events it was of.
type Failed = (StoreError, Vec<SupervisorEvent>);

/// What to do after a transaction.
enum After {
    /// Wait for the next event.
    Wait,
    /// Go on at once: there is more to do.
    AtOnce,
    /// The store failed: these again, in a moment.
    TryAgain(Vec<SupervisorEvent>),
}

impl Engine {
    /// Puts the engine together.
    pub fn new(
        store: Store,
        handler: Handler,
        world: Box<dyn World + Send>,
        events: mpsc::Receiver<SupervisorEvent>,
        orders: mpsc::Sender<Order>,
        changes: broadcast::Sender<Change>,
        failing: Arc<AtomicBool>,
    ) -> Self {
        Self {
            store,
            handler,
            world,
            events,
            orders,
            changes,
            failing,
            reserve_released: false,
            wake_at: None,
        }
    }

    /// Runs until [`SupervisorEvent::Leave`] or until every sender is gone. Returns the store, closed cleanly by its drop.
    pub fn run(mut self) {
        self.look_for_the_reserve();
        // Claims of what already waits, before anybody sends anything.
        let mut waiting = vec![SupervisorEvent::Timer];
        loop {
            if !self.world.is_in_place() {
                tracing::error!(
                    "the state directory was removed or replaced; nothing more is written"
                );
                // What waits is answered by the channels that end with us. SQLite, closing its files, unlinks no log of a
                // database that has moved.
                return;
            }
            let leave = waiting
                .iter()
                .any(|event| matches!(event, SupervisorEvent::Leave));
            let all = waiting.len();
            waiting.retain(|event| !matches!(event, SupervisorEvent::Quiet));
            if waiting.len() < all {
                self.tidy();
            }
            let after = if waiting.is_empty() {
                After::Wait
            } else {
                self.batch(std::mem::take(&mut waiting), !leave)
            };
            if leave {
                break;
            }
            match after {
                After::Wait => match self.events.blocking_recv() {
                    Some(event) => waiting.push(event),
                    None => break,
                },
                After::AtOnce => waiting.push(SupervisorEvent::Timer),
                After::TryAgain(kept) => {
                    std::thread::sleep(STORE_RETRY);
                    waiting = kept;
                }
            }
            while waiting.len() < BATCH_MAX
                && let Ok(event) = self.events.try_recv()
            {
                waiting.push(event);
            }
        }
        if let Err(error) = self.store.close() {
            tracing::warn!(
                error = in_full(&error),
                "the database could not be closed cleanly; the next start recovers it"
            );
        }
    }

    /// A former daemon may have given the reserve up, on a disk that is still full.
    fn look_for_the_reserve(&mut self) {
        if let Err(error) = self.store.restore_reserve()
            && matches!(
                error.kind(),
                std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded
            )
        {
            self.reserve_released = true;
            self.handler.set_disk_full(true);
            self.tell_failing(DISK_FULL.to_owned());
        }
    }

    /// Nothing else is to do: shortens files and caches, and gives the memory back.
    fn tidy(&mut self) {
        if let Err(error) = self.store.tidy() {
            tracing::debug!(
                error = in_full(&error),
                "the database was not tidied; the next pause is another chance"
            );
        }
        crate::process::release_free_memory();
        crate::process::release_start_pages();
    }

    /// One transaction for all of `events`.
    fn batch(&mut self, events: Vec<SupervisorEvent>, claim: bool) -> After {
        let former = self.handler.clone();
        let Committed {
            handled,
            claims,
            wake,
        } = match self.commit(events, claim, clock::moment()) {
            Ok(committed) => committed,
            Err((error, events)) => {
                // Nothing of it happened, and the events come again: what the handler remembers of them must go, too.
                self.handler = former;
                return After::TryAgain(self.failed(&error, events));
            }
        };
        self.recovered();
        crate::crash::point("engine.committed");
        for Handled {
            event,
            answer,
            effects,
        } in handled
        {
            self.release(effects);
            if let SupervisorEvent::Command(_, reply_to) = event {
                reply(reply_to, answer);
            }
        }
        crate::crash::point("engine.replied");
        self.release(claims);
        if wake.at != self.wake_at {
            self.wake_at = wake.at;
            self.order(Order::WakeAt(wake.at));
        }
        if wake.at_once {
            After::AtOnce
        } else {
            After::Wait
        }
    }

    /// Handles and commits; on failure gives the events back, with no row changed.
    fn commit(
        &mut self,
        events: Vec<SupervisorEvent>,
        claim: bool,
        moment: clock::Moment,
    ) -> Result<Committed, Failed> {
        let Self {
            store,
            handler,
            world,
            ..
        } = self;
        let world = world.as_ref();
        let mut batch = match store.batch() {
            Ok(batch) => batch,
            Err(error) => return Err((error, events)),
        };
        let mut handled: Vec<Handled> = Vec::with_capacity(events.len());
        let mut events = events.into_iter();
        let mut result = Ok((Vec::new(), Wake::default()));
        while let Some(event) = events.next() {
            match steps::handle(&mut batch, handler, world, moment, event) {
                Ok(done) => handled.push(done),
                Err(broken) => {
                    let (error, event) = *broken;
                    let all = handled.into_iter().map(|done| done.event);
                    return Err((error, all.chain([event]).chain(events).collect()));
                }
            }
        }
        if claim {
            result = steps::claim(&mut batch, handler, world, moment);
        }
        crate::crash::point("engine.before_commit");
        let result = result.and_then(|claimed| batch.commit().map(|()| claimed));
        crate::crash::point("engine.after_commit");
        match result {
            Ok((claims, wake)) => Ok(Committed {
                handled,
                claims,
                wake,
            }),
            Err(error) => Err((error, handled.into_iter().map(|done| done.event).collect())),
        }
    }

    /// The batch is lost. Answers its commands, keeps what must not be lost, frees the reserve when the disk is full.
    fn failed(&mut self, error: &StoreError, events: Vec<SupervisorEvent>) -> Vec<SupervisorEvent> {
        let first_time = !self.failing.swap(true, Ordering::Relaxed);
        let full = error.is_disk_full();
        let error = &in_full(error);
        if first_time {
            tracing::error!(
                error,
                full,
                "the store failed; nothing of this transaction happened, trying again"
            );
            self.tell_failing(format!("the database cannot be written: {error}"));
        }
        if full {
            self.handler.set_disk_full(true);
            self.reserve_released = true;
            if let Err(error) = self.store.release_reserve() {
                tracing::error!(%error, "the disk reserve could not be released");
            }
        }
        self.resync();
        let mut kept = Vec::new();
        for event in events {
            match event {
                // With the reserve released, the last transitions are possible: everything but submissions goes on.
                SupervisorEvent::Command(command, reply_to) => {
                    if full && first_time && !matches!(command, super::command::Command::Submit(_))
                    {
                        kept.push(SupervisorEvent::Command(command, reply_to));
                        continue;
                    }
                    let code = if full {
                        RefusalCode::DiskLow
                    } else {
                        RefusalCode::StoreFailed
                    };
                    let text = format!(
                        "the database cannot be written ({error}); nothing was changed, try again later"
                    );
                    reply(reply_to, Err(Refusal::new(code, text)));
                }
                other @ (SupervisorEvent::Attempt(_)
                | SupervisorEvent::Told(_)
                | SupervisorEvent::Timer
                | SupervisorEvent::Settings(_)
                | SupervisorEvent::Leave) => kept.push(other),
                SupervisorEvent::Quiet => {}
            }
        }
        if kept.is_empty() {
            kept.push(SupervisorEvent::Timer);
        }
        kept
    }

    /// A commit went through: takes back what a failing store had made necessary.
    fn recovered(&mut self) {
        let was_failing = self.failing.swap(false, Ordering::Relaxed);
        let was_released = self.reserve_released;
        // Not enough room for the reserve is not enough room for new tasks either: each batch asks again.
        if was_released && self.store.restore_reserve().is_ok() {
            self.reserve_released = false;
            self.handler.set_disk_full(false);
            tracing::info!("the disk reserve is made again; new tasks are taken");
        }
        if was_failing {
            tracing::info!("the store works again");
        }
        match (was_failing, was_released, self.reserve_released) {
            // It works out of the reserve: no new task is taken and none is begun, so it is not over for a person.
            (true, _, true) => self.tell_failing(DISK_FULL.to_owned()),
            (true, _, false) | (false, true, false) => {
                self.order(Order::Effect(Effect::AttentionOver(STORE_FAILED)));
            }
            (false, _, _) => {}
        }
    }

    fn tell_failing(&self, text: String) {
        self.order(Order::Effect(Effect::Attention(Attention {
            kind: STORE_FAILED,
            text,
        })));
    }

    fn resync(&mut self) {
        let Self { store, handler, .. } = self;
        let result = store
            .batch()
            .and_then(|mut batch| batch.step(|tx| handler.resync(tx)));
        if let Err(error) = result {
            tracing::error!(error = in_full(&error), "rows could not be read again");
        }
    }

    fn release(&self, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                // Nobody watching is fine.
                Effect::Changed(change) => drop(self.changes.send(change)),
                Effect::Log(line) => line.log(),
                Effect::Launch(_)
                | Effect::Stop { .. }
                | Effect::Forget(_)
                | Effect::RemoveFiles(_)
                | Effect::Tell(_)
                | Effect::Attention(_)
                | Effect::AttentionOver(_) => self.order(Order::Effect(effect)),
            }
        }
    }

    fn order(&self, order: Order) {
        // The carriers' loop never waits for this thread, so this cannot deadlock; without carriers nothing is left to do.
        drop(self.orders.blocking_send(order));
    }
}

fn reply(reply_to: ReplyTo, answer: Answer) {
    // A client that went away has its answer in the store.
    drop(reply_to.send(answer));
}
