//! Makes a failing script short: pieces are left out, large ones first, as long as the same promise is broken.

use super::op::Op;
use super::run::play;
use super::world::Setup;

/// Plays at most: shrinking ends, however stubborn a script is.
const PLAYS_MAX: u32 = 3_000;

/// A shorter script that breaks the same promise; the same, when it is not broken again.
#[must_use]
pub fn shrink(script: &[Op], rule: &str, setup: Setup) -> Vec<Op> {
    let mut plays = 0;
    let mut fails = |ops: &[Op]| {
        plays += 1;
        let (_, broken) = play(ops, setup);
        broken.is_some_and(|violation| violation.rule == rule)
    };
    let mut kept = script.to_vec();
    if !fails(&kept) {
        return kept;
    }
    let mut size = kept.len().div_ceil(2);
    let mut played = 1;
    loop {
        let mut at = 0;
        let mut shorter = false;
        while at < kept.len() {
            if played >= PLAYS_MAX {
                return kept;
            }
            let end = (at + size).min(kept.len());
            let mut without = kept[..at].to_vec();
            without.extend_from_slice(&kept[end..]);
            played += 1;
            if fails(&without) {
                kept = without;
                shorter = true;
            } else {
                at = end;
            }
        }
        if size > 1 {
            size = size.div_ceil(2).max(1);
        } else if !shorter {
            return kept;
        }
    }
}
