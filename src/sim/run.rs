//! Runs: lives from a seed, scripts, and what came of them.

use super::bug::Bug;
use super::chance::{Chance, mix};
use super::judge::Violation;
use super::met::Met;
use super::op::{Op, OpKind};
use super::scenario::Scenario;
use super::world::{Setup, World};

/// Drawn steps between two heal phases.
const ROUND_STEPS: u64 = 1_500;
/// Rounds of one life: then a new world begins, with an empty disk.
const LIFE_ROUNDS: u64 = 5;
/// A run of so many steps that never meets a path fails.
pub const LONG_RUN_STEPS: u64 = 3_000_000;

/// What to run.
#[derive(Debug, Clone, Copy, Default)]
pub struct Options {
    /// Everything follows from it.
    pub seed: u64,
    /// Steps at least; the last life is brought to its end.
    pub steps: u64,
    /// What happens how often.
    pub scenario: Scenario,
    /// Power losses take back what was not synced.
    pub disk: bool,
    /// A mistake that is built in.
    pub bug: Option<Bug>,
}

/// A run without a broken promise.
#[derive(Debug, Clone, Default)]
pub struct Passed {
    /// Steps taken.
    pub steps: u64,
    /// Worlds.
    pub lives: u64,
    /// A number for all that has happened.
    pub hash: u64,
    /// What was met.
    pub met: Met,
}

/// A broken promise, and the script that leads to it.
#[derive(Debug, Clone)]
pub struct Failed {
    /// Which promise.
    pub violation: Violation,
    /// The steps of the life in which it was broken, up to that.
    pub script: Vec<Op>,
    /// Steps of the whole run up to that.
    pub steps: u64,
    /// Which life.
    pub life: u64,
}

/// Runs lives until there were enough steps, or a promise is broken. `tell` hears of the progress.
///
/// # Errors
/// The first broken promise.
pub fn run(options: &Options, tell: &mut dyn FnMut(&Passed)) -> Result<Passed, Box<Failed>> {
    let mut passed = Passed::default();
    while passed.steps < options.steps {
        let seed = mix(options.seed ^ mix(passed.lives.wrapping_add(1)));
        let (world, script, judged) = live(seed, options);
        passed.steps += world.steps;
        passed.hash = mix(passed.hash ^ world.hash());
        passed.met.add(&world.met);
        if let Err(violation) = judged {
            return Err(Box::new(Failed {
                violation,
                script,
                steps: passed.steps,
                life: passed.lives,
            }));
        }
        passed.lives += 1;
        tell(&passed);
    }
    Ok(passed)
}

/// One life.
fn live(seed: u64, options: &Options) -> (World, Vec<Op>, Result<(), Violation>) {
    let mut chance = Chance::new(seed);
    let mut world = World::new(Setup {
        disk: options.disk,
        bug: options.bug,
        trace: false,
    });
    let mut script = Vec::new();
    let dice = options.scenario.dice();
    for _ in 0..LIFE_ROUNDS {
        for step in 0..=ROUND_STEPS {
            let kind = if step == ROUND_STEPS {
                OpKind::Heal
            } else {
                // What cannot happen now is no step: it is drawn again. Time can always pass.
                loop {
                    let kind = dice.draw(&mut chance);
                    if world.can(kind) {
                        break kind;
                    }
                }
            };
            let op = Op {
                kind,
                roll: chance.draw(),
            };
            script.push(op);
            if let Err(violation) = world.apply(op) {
                world.bury();
                return (world, script, Err(violation));
            }
        }
    }
    world.bury();
    (world, script, Ok(()))
}

/// Plays a script. Returns the world as it is at its end, and the promise that was broken, if one was.
#[must_use]
pub fn play(script: &[Op], setup: Setup) -> (World, Option<Violation>) {
    let mut world = World::new(setup);
    for op in script {
        if let Err(violation) = world.apply(*op) {
            world.bury();
            return (world, Some(violation));
        }
    }
    world.bury();
    (world, None)
}
