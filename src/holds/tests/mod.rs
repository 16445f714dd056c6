//! Tables: what each hit makes, who may start, how an account opens, what windows say, words.

mod blocks;
mod gates;
mod opening;
mod own;
mod values;
mod windows;

use super::{Account, Ask, Gate, Held, Hit, HoldKind, Policy, Run, Start, Why};
use crate::task::{AttemptId, Block, BlockKind, Priority, TaskId, Timestamp, Window};

const SECOND_MS: i64 = 1000;
const MINUTE_MS: i64 = 60 * SECOND_MS;
const HOUR_MS: i64 = 60 * MINUTE_MS;
const DAY_MS: i64 = 24 * HOUR_MS;

/// The draw that takes the whole ceiling.
const HIGHEST: u64 = u64::MAX;

/// So long after one o'clock in the morning.
fn t(ms: i64) -> Timestamp {
    "2026-11-25T01:00:00Z"
        .parse::<Timestamp>()
        .unwrap()
        .plus_ms(ms)
}

fn run(n: u32) -> Run {
    Run::Attempt(AttemptId {
        task: TaskId::from_random(u128::from(n)),
        generation: 1,
    })
}

fn block_of(kind: BlockKind, until: Option<Timestamp>) -> Block {
    Block {
        until,
        ..Block::of(kind)
    }
}

fn model_limit(model: &str, until: Timestamp) -> Block {
    Block {
        model: Some(model.to_owned()),
        ..block_of(BlockKind::Model, Some(until))
    }
}

fn window(name: &str, used_permille: u32, resets_at: Option<Timestamp>) -> Window {
    Window {
        name: name.to_owned(),
        used_permille,
        resets_at,
    }
}

fn hit(run: &Run, at: Timestamp) -> Hit<'_> {
    Hit {
        run,
        at,
        random: HIGHEST,
        detail: "",
    }
}

/// Run 1 hits this at `at`.
fn strike(account: &mut Account, block: &Block, at: Timestamp) -> Held {
    account.block(block, &hit(&run(1), at), &Policy::default())
}

fn ask(model: Option<&str>, priority: Priority, now: Timestamp) -> Ask<'_> {
    Ask {
        model,
        priority,
        now,
    }
}

fn begin(account: &mut Account, n: u32, model: Option<&str>, now: Timestamp) -> Start {
    account.start(
        &run(n),
        &ask(model, Priority::Normal, now),
        &Policy::default(),
    )
}

/// The answer to a task of normal priority, in a word, with the kind of the hold that it is about.
fn answer(account: &Account, model: Option<&str>, now: Timestamp) -> (&'static str, &'static str) {
    match account.gate(&ask(model, Priority::Normal, now), &Policy::default()) {
        Gate::Open => ("open", ""),
        Gate::Probe { hold } => ("probe", hold.kind.name()),
        Gate::Closed { why, .. } => match why {
            Why::Hold(hold) => ("closed", hold.kind.name()),
            Why::Probing { hold, .. } => ("probing", hold.kind.name()),
            Why::Reserve(_) => ("reserve", ""),
            Why::Release => ("release", ""),
        },
    }
}

fn until(account: &Account, kind: BlockKind) -> Option<Timestamp> {
    let wanted = HoldKind::Block(kind);
    let hold = account.holds().iter().find(|hold| hold.kind == wanted);
    hold.expect("a hold of this kind").until
}
