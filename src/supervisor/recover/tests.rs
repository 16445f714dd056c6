//! A holder whose record cannot be read, on ground of our own: silent it is ended after the allowed time, alive it is left alone.

use std::path::Path;
use std::sync::{Arc, Mutex};

use super::*;
use crate::attempt::record::{Beat, ProcessStamp, RECORD_BYTES, Record};
use crate::supervisor::ground::{Ground, GroundRecord, Tree};

const TIMEOUT_MS: u64 = 60_000;
const STEP_MS: u64 = 5_000;

#[derive(Debug, Default)]
struct State {
    now_ms: u64,
    held: bool,
    beat: Option<Beat>,
    swept: u32,
    set_aside: bool,
}

#[derive(Debug, Clone, Default)]
struct Fake(Arc<Mutex<State>>);

impl GroundRecord for Fake {
    fn try_lock(&mut self) -> std::io::Result<bool> {
        Ok(!self.0.lock().unwrap().held)
    }

    fn read(&self) -> std::io::Result<Record> {
        let beat = self.0.lock().unwrap().beat.clone();
        Ok(Record {
            started: Read::Damaged,
            beat: beat.map_or(Read::Blank, Read::Value),
            ..Record::decode(&[0; RECORD_BYTES])
        })
    }

    fn write_synced_afresh(&self, _exit: &Exit) -> std::io::Result<()> {
        Err(std::io::Error::other("nothing is written here"))
    }

    fn unlink_locked(self) -> std::io::Result<()> {
        Err(std::io::Error::other("nothing is unlinked here"))
    }
}

impl Ground for Fake {
    type File = Self;

    fn open(&self, _path: &Path) -> std::io::Result<Self> {
        Ok(self.clone())
    }

    fn rename(&self, _path: &Path, _to: &Path) -> std::io::Result<()> {
        self.0.lock().unwrap().set_aside = true;
        Ok(())
    }

    fn is_alive(&self, _process: ProcessStamp) -> bool {
        true
    }

    fn sweep(&self, _tree: &Tree<'_>, _grace: u64, _limit: u64) -> std::io::Result<SweepResult> {
        let mut state = self.0.lock().unwrap();
        state.swept += 1;
        state.held = false;
        Ok(SweepResult::Empty)
    }

    fn boot_id(&self) -> &str {
        "boot"
    }

    fn monotonic_ms(&self) -> u64 {
        self.0.lock().unwrap().now_ms
    }

    fn now(&self) -> Timestamp {
        Timestamp::from_ms(0)
    }
}

fn held_and_unreadable() -> (Fake, Recovery<Fake>) {
    let ground = Fake::default();
    ground.0.lock().unwrap().held = true;
    let attempt: AttemptId = "task_0000000000000.1".parse().unwrap();
    let path = PathBuf::from("record");
    let recovery = Recovery::on(ground.clone(), attempt, path, Row::Open, TIMEOUT_MS);
    (ground, recovery)
}

fn pass(ground: &Fake, beats: bool) {
    let mut state = ground.0.lock().unwrap();
    state.now_ms += STEP_MS;
    if beats {
        state.beat = Some(Beat {
            monotonic_ms: state.now_ms,
            output_bytes: 0,
        });
    }
}

#[test]
fn a_silent_holder_of_an_unreadable_record_is_ended_after_the_allowed_time() {
    let (ground, mut recovery) = held_and_unreadable();
    let mut waited_ms = 0;
    let closed = loop {
        match recovery.round().unwrap() {
            Round::Closed(closed) => break closed,
            Round::Again(_) => {}
            other @ (Round::Watch(_) | Round::Stuck(..) | Round::Gone(_)) => {
                unreachable!("{other:?}")
            }
        }
        let was_swept = ground.0.lock().unwrap().swept > 0;
        if !was_swept {
            pass(&ground, false);
            waited_ms += STEP_MS;
        }
        assert!(
            waited_ms <= TIMEOUT_MS + STEP_MS,
            "it is waited for for ever"
        );
    };
    assert!(
        waited_ms >= TIMEOUT_MS,
        "it had its time: {waited_ms} ms only"
    );
    assert_eq!(closed.outcome.kind, OutcomeKind::Lost);
    assert!(ground.0.lock().unwrap().set_aside);
}

#[test]
fn one_that_proves_that_it_lives_is_left_alone() {
    let (ground, mut recovery) = held_and_unreadable();
    for _ in 0..10 * TIMEOUT_MS / STEP_MS {
        assert!(matches!(recovery.round().unwrap(), Round::Again(_)));
        pass(&ground, true);
    }
    assert_eq!(ground.0.lock().unwrap().swept, 0);
}
