//! What a daemon attends: attempts, strays, notices; one step at a time.

use super::Daemon;
use crate::sim::attendant::{Attendant, Step};
use crate::sim::chance::Chance;
use crate::sim::client::Sent;
use crate::sim::machine::Shared;
use crate::sim::met::Met;
use crate::sim::notices::Telling;
use crate::supervisor::recover::Round;
use crate::task::AttemptId;

/// Waits between tries while a stray cannot be dealt with.
const STRAY_RETRY_MS: u64 = 5_000;

/// What has something to do: by key, and notices by place.
struct Due {
    attended: Vec<AttemptId>,
    strays: Vec<AttemptId>,
    tellings: Vec<usize>,
}

impl Daemon {
    /// A step of telling one of the notices.
    fn tell_one(
        &mut self,
        place: usize,
        machine: &Shared,
        chance: &mut Chance,
        met: &mut Met,
    ) -> Step {
        let Some(telling) = self.tellings.get_mut(place) else {
            return Step::default();
        };
        let mono_ms = machine.get().mono_ms;
        let step = telling.step(mono_ms, self.healing, self.bug, chance, met);
        if let Some(event) = step.event {
            self.tellings.remove(place);
            self.events.push_back(event);
        }
        Step {
            what: step.what,
            heard: step.heard.map(Box::new),
            ..Step::default()
        }
    }

    /// A step of one of those that attend something. Returns what it was.
    pub fn attend(&mut self, machine: &Shared, chance: &mut Chance, met: &mut Met) -> Step {
        let due = self.due(machine);
        let place = chance.index(due.attended.len() + due.strays.len() + due.tellings.len());
        if let Some(key) = due.attended.get(place) {
            return self.attend_one(key, machine, chance, met);
        }
        let place = place - due.attended.len();
        if let Some(key) = due.strays.get(place) {
            return self.end_stray(key, machine, met);
        }
        match due.tellings.get(place - due.strays.len()) {
            Some(telling) => self.tell_one(*telling, machine, chance, met),
            None => Step {
                what: "nobody attends",
                ..Step::default()
            },
        }
    }

    /// What has something to do now.
    fn due(&self, machine: &Shared) -> Due {
        let machine = machine.get();
        let now_ms = machine.mono_ms;
        let attended = self.attendants.iter();
        let attended = attended.filter(|(_, it)| it.can_act(&machine));
        let strays = self.strays.iter().filter(|(_, it)| it.at_ms <= now_ms);
        let tellings = self.tellings.iter().enumerate();
        let tellings = tellings.filter(|(_, it)| it.due_ms() <= now_ms);
        Due {
            attended: attended.map(|(key, _)| key.clone()).collect(),
            strays: strays.map(|(key, _)| key.clone()).collect(),
            tellings: tellings.map(|(place, _)| place).collect(),
        }
    }

    /// Whether anybody has something to do now.
    #[must_use]
    pub fn can_attend(&self, machine: &Shared) -> bool {
        let machine = machine.get();
        let now_ms = machine.mono_ms;
        self.attendants.values().any(|it| it.can_act(&machine))
            || self.strays.values().any(|it| it.at_ms <= now_ms)
            || self.tellings.iter().any(|it| it.due_ms() <= now_ms)
    }

    /// Everything that is due attends once.
    pub fn attend_all(
        &mut self,
        machine: &Shared,
        chance: &mut Chance,
        met: &mut Met,
    ) -> Vec<Step> {
        let due = self.due(machine);
        let mut steps = Vec::new();
        for key in due.attended {
            steps.push(self.attend_one(&key, machine, chance, met));
        }
        for key in due.strays {
            steps.push(self.end_stray(&key, machine, met));
        }
        for place in due.tellings.into_iter().rev() {
            steps.push(self.tell_one(place, machine, chance, met));
        }
        steps
    }

    fn attend_one(
        &mut self,
        key: &AttemptId,
        machine: &Shared,
        chance: &mut Chance,
        met: &mut Met,
    ) -> Step {
        let Some(mut attendant) = self.attendants.remove(key) else {
            return Step::default();
        };
        let step = attendant.step(&self.around(machine), chance, met);
        if !step.is_over {
            self.attendants.insert(key.clone(), attendant);
        }
        if step.timer {
            self.events.push_back(Sent::Timer);
        }
        self.events
            .extend(step.reports.iter().cloned().map(Sent::Report));
        step
    }

    fn end_stray(&mut self, key: &AttemptId, machine: &Shared, met: &mut Met) -> Step {
        let now_ms = machine.get().mono_ms;
        let Some(stray) = self.strays.get_mut(key).filter(|it| it.at_ms <= now_ms) else {
            return Step {
                what: "stray waits",
                ..Step::default()
            };
        };
        let round = stray.recovery.round();
        if let Some((facts, plan)) = stray.recovery.last() {
            met.recovery(&facts, plan);
        }
        match round {
            Ok(Round::Gone(_) | Round::Closed(_) | Round::Watch(_)) => {
                self.strays.remove(key);
                self.busy.borrow_mut().remove(key);
                self.events.push_back(Sent::Timer);
                Step {
                    what: "stray ended",
                    ..Step::default()
                }
            }
            Ok(Round::Again(after_ms) | Round::Stuck(_, after_ms)) => {
                stray.at_ms = now_ms + after_ms;
                Step {
                    what: "stray goes on",
                    ..Step::default()
                }
            }
            Err(_) => {
                stray.at_ms = now_ms + STRAY_RETRY_MS;
                Step {
                    what: "stray cannot be dealt with",
                    ..Step::default()
                }
            }
        }
    }

    /// When something is due next by the monotonic clock.
    #[must_use]
    pub fn due_ms(&self) -> Option<u64> {
        let strays = self.strays.values().map(|stray| stray.at_ms);
        let attendants = self.attendants.values().filter_map(Attendant::due_ms);
        let tellings = self.tellings.iter().map(Telling::due_ms);
        attendants.chain(strays).chain(tellings).min()
    }
}
