//! What a described agent says, in words: the texts its file points to.

use serde_json::value::RawValue;

use super::check::Problems;
use super::compiled::{Compiled, Event};
use super::facts::is;
use super::file::{Meaning, Rules};
use crate::agent::transcript::Said;

/// Reads a described agent's events for people.
#[derive(Debug)]
pub(in crate::agent) struct Voice(Compiled);

impl Voice {
    /// What does not compile says nothing: it was refused when the file was read.
    pub(in crate::agent) fn new(rules: &Rules) -> Self {
        Self(Compiled::new(rules, &mut Problems::default()))
    }

    /// Puts one event into words.
    pub(in crate::agent) fn say(&self, object: &RawValue, said: &mut Said) {
        let holds = |event: &&Event| {
            let mut all = event.when.iter();
            all.all(|(pointer, value)| is(pointer, value, object))
        };
        // Several rules may tell different facts of one event; it is said once, by the last one that tells what it means, as
        // the run is judged.
        let told = self.0.events.iter().filter(holds);
        let told: Vec<(Option<Meaning>, Option<String>)> = told
            .map(|event| (event.means, text(event, object)))
            .collect();
        let means = told.iter().rev().find_map(|(means, _)| *means);
        let text = told.into_iter().rev().find_map(|(_, text)| text);
        let text = text.filter(|text| !text.trim().is_empty());
        match (means, text) {
            (None | Some(Meaning::Turn), Some(text)) => {
                said.spoken = true;
                said.words("", &text);
            }
            (None | Some(Meaning::Turn), None) => {}
            (Some(Meaning::Success), answer) => {
                if let Some(answer) = answer.filter(|_| !said.spoken) {
                    said.words("", &answer);
                }
                said.note("done");
            }
            (Some(Meaning::Denied), text) => about(said, "a tool call was denied", text),
            (Some(Meaning::Retry), text) => about(said, "a request is tried again", text),
            (Some(_), text) => about(said, "failed", text),
        }
    }
}

fn about(said: &mut Said, what: &str, text: Option<String>) {
    said.note(&match text {
        Some(text) => format!("{what}: {text}"),
        None => what.to_owned(),
    });
}

fn text(event: &Event, object: &RawValue) -> Option<String> {
    let raw = event.text.as_ref()?.find(object)?;
    serde_json::from_str(raw.get()).ok()
}
