//! What can happen, and how likely.

use auto_claude::holds::{Backoff, Overage, Policy};
use auto_claude::task::{Block, BlockKind, Priority, Timestamp, Trouble, Window};
use proptest::prelude::*;
use proptest::sample::Index;

/// Models in the play. The first two are the same.
pub const MODELS: [&str; 4] = ["opus", "claude-opus-5-5", "sonnet", "haiku"];

/// What can happen.
#[derive(Debug, Clone)]
pub enum Step {
    Block {
        run: Index,
        block: Block,
        ahead_ms: Option<i64>,
        random: u64,
    },
    Observe {
        run: Index,
        windows: Vec<(Window, Option<i64>)>,
        overage: bool,
    },
    Served {
        run: Index,
    },
    Ended {
        run: Index,
    },
    Start {
        model: Option<&'static str>,
        priority: Priority,
        own: bool,
    },
    Clock(i64),
    Set {
        kind: usize,
        model: Option<&'static str>,
        ahead_ms: Option<i64>,
    },
    Clear {
        kind: Option<usize>,
        model: Option<&'static str>,
    },
    /// The daemon dies and reads what it has stored.
    Restart,
}

const HOUR_MS: i64 = 3_600_000;
const DAY_MS: i64 = 24 * HOUR_MS;

fn kinds() -> impl Strategy<Value = BlockKind> {
    proptest::sample::select(BlockKind::ALL.to_vec())
}

fn models() -> impl Strategy<Value = Option<&'static str>> {
    proptest::option::of(proptest::sample::select(MODELS.to_vec()))
}

/// Distances as they come, and as they should not.
fn distances_ms() -> impl Strategy<Value = i64> {
    prop_oneof![
        6 => -HOUR_MS..8 * HOUR_MS,
        2 => -10 * DAY_MS..10 * DAY_MS,
        1 => any::<i64>(),
    ]
}

/// How the clock goes on: mostly forward and a little, sometimes it is set.
fn jumps_ms() -> impl Strategy<Value = i64> {
    prop_oneof![
        10 => 0..90_000_i64,
        6 => 0..2 * HOUR_MS,
        1 => -3 * HOUR_MS..0,
        1 => -400 * DAY_MS..400 * DAY_MS,
    ]
}

fn blocks() -> impl Strategy<Value = (Block, Option<i64>)> {
    (kinds(), models(), proptest::option::of(distances_ms())).prop_map(|(kind, model, ahead_ms)| {
        let block = Block {
            model: model.map(str::to_owned),
            trouble: (kind == BlockKind::Network).then_some(Trouble::Refused),
            ..Block::of(kind)
        };
        (block, ahead_ms)
    })
}

fn windows() -> impl Strategy<Value = Vec<(Window, Option<i64>)>> {
    let names = ["five_hour", "seven_day", "seven_day_opus", "overage", "x"];
    let one = (
        proptest::sample::select(names.to_vec()),
        0..1200_u32,
        proptest::option::of(distances_ms()),
    );
    proptest::collection::vec(one, 0..4).prop_map(|told| {
        let window = |(name, used_permille, ahead_ms): (&str, u32, Option<i64>)| {
            let window = Window {
                name: name.to_owned(),
                used_permille,
                resets_at: None,
            };
            (window, ahead_ms)
        };
        told.into_iter().map(window).collect()
    })
}

fn priorities() -> impl Strategy<Value = Priority> {
    use Priority::{High, Low, Normal, Urgent};
    proptest::sample::select(vec![Low, Normal, High, Urgent])
}

pub fn steps() -> impl Strategy<Value = Step> {
    let index = any::<Index>;
    prop_oneof![
        6 => (index(), blocks(), any::<u64>()).prop_map(|(run, (block, ahead_ms), random)| Step::Block { run, block, ahead_ms, random }),
        2 => (index(), windows(), any::<bool>()).prop_map(|(run, windows, overage)| Step::Observe { run, windows, overage }),
        4 => index().prop_map(|run| Step::Served { run }),
        2 => index().prop_map(|run| Step::Ended { run }),
        10 => (models(), priorities(), 0..10_u8).prop_map(|(model, priority, own)| Step::Start { model, priority, own: own == 0 }),
        8 => jumps_ms().prop_map(Step::Clock),
        1 => (0..13_usize, models(), proptest::option::of(distances_ms())).prop_map(|(kind, model, ahead_ms)| Step::Set { kind, model, ahead_ms }),
        1 => (proptest::option::of(0..13_usize), models()).prop_map(|(kind, model)| Step::Clear { kind, model }),
        1 => Just(Step::Restart),
    ]
}

/// Settings, sane ones and others.
pub fn policies() -> impl Strategy<Value = Policy> {
    let sane = (0..1000_u32, any::<bool>()).prop_map(|(reserve_permille, allow)| Policy {
        reserve_permille,
        overage: if allow { Overage::Allow } else { Overage::Stop },
        ..Policy::default()
    });
    let any_backoff =
        || (any::<u64>(), any::<u64>()).prop_map(|(base_ms, max_ms)| Backoff { base_ms, max_ms });
    let any_ms = || prop_oneof![0..7_200_000_u64, any::<u64>()];
    let odd = (
        [any_ms(), any_ms(), any_ms(), any_ms()],
        any::<u32>(),
        [any_backoff(), any_backoff()],
    )
        .prop_map(|(ms, reserve_permille, [one, two])| Policy {
            session_window_ms: ms[0],
            default_wait_ms: ms[1],
            hold_max_ms: ms[2],
            release_interval_ms: ms[3],
            reserve_permille,
            throttle: one,
            overload: two,
            server: one,
            network: two,
            overage: Overage::Stop,
            probe_model: reserve_permille
                .is_multiple_of(2)
                .then(|| "haiku".to_owned()),
        });
    prop_oneof![4 => Just(Policy::default()), 4 => sane, 2 => odd]
}

pub fn starts() -> impl Strategy<Value = Timestamp> {
    prop_oneof![
        6 => Just("2026-11-25T01:00:00Z".parse().unwrap()),
        1 => any::<i64>().prop_map(Timestamp::from_ms),
    ]
}
