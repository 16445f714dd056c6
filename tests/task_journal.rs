//! Journals as older versions wrote them: each must be readable, mean the same and be written the same, for ever.
//!
//! The files are never regenerated. A change that breaks one breaks every database out there: add a new file instead.
#![expect(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use auto_claude::task::{Event, EventKind, Lifecycle, OutcomeKind, Timestamp};
use serde::Deserialize;
use serde_json::Value;

#[derive(Deserialize)]
struct Fixture {
    journal: Vec<Line>,
    row: Value,
}

#[derive(Deserialize)]
struct Line {
    at: Timestamp,
    event: Value,
}

fn fixtures() -> Vec<(PathBuf, Fixture)> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/journal");
    let read = |path: PathBuf| {
        let text = std::fs::read_to_string(&path).unwrap();
        let fixture = serde_json::from_str(&text);
        (
            path.clone(),
            fixture.unwrap_or_else(|error| panic!("{}: {error}", path.display())),
        )
    };
    let mut paths: Vec<PathBuf> = std::fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    paths.sort();
    assert!(!paths.is_empty());
    paths.into_iter().map(read).collect()
}

fn event(value: &Value) -> Event {
    serde_json::from_value(value.clone()).unwrap_or_else(|error| panic!("{error}: {value}"))
}

#[test]
fn old_journals_fold_to_the_same_rows() {
    for (path, fixture) in fixtures() {
        let journal = fixture
            .journal
            .iter()
            .map(|line| (event(&line.event), line.at));
        let row = Lifecycle::fold(journal).unwrap_or_else(|error| {
            panic!(
                "{}: {error}: {:?}",
                path.display(),
                std::error::Error::source(&error)
            )
        });
        row.check().unwrap();
        let written = serde_json::to_value(&row).unwrap();
        assert_eq!(written, fixture.row, "{}: {written}", path.display());
        assert_eq!(
            serde_json::from_value::<Lifecycle>(fixture.row).unwrap(),
            row
        );
    }
}

#[test]
fn old_events_are_written_as_they_were() {
    for (path, fixture) in fixtures() {
        for line in fixture.journal {
            let written = serde_json::to_value(event(&line.event)).unwrap();
            assert_eq!(written, line.event, "{}", path.display());
        }
    }
}

#[test]
fn every_event_and_every_outcome_is_kept_in_some_journal() {
    let mut kinds = BTreeSet::new();
    let mut outcomes = BTreeSet::new();
    for (_, fixture) in fixtures() {
        let mut row: Option<Lifecycle> = None;
        for line in fixture.journal {
            let event = event(&line.event);
            if let Event::Ended { outcome, .. } = &event {
                outcomes.insert(outcome.kind);
            }
            row = Some(match row {
                None => {
                    kinds.insert(EventKind::Submit);
                    Lifecycle::birth(&event).unwrap()
                }
                Some(row) => {
                    kinds.insert(EventKind::of(&event, &row));
                    row.apply(&event, line.at).unwrap()
                }
            });
        }
        outcomes.extend(row.and_then(|row| row.outcome).map(|outcome| outcome.kind));
    }
    // The three ways to resume are one event; which of them it is says the row.
    let resumes = [EventKind::ResumeToPending, EventKind::ResumeToUnban];
    let missing: Vec<EventKind> = EventKind::ALL
        .into_iter()
        .filter(|kind| !kinds.contains(kind) && !resumes.contains(kind))
        .collect();
    assert_eq!(missing, []);
    assert_eq!(outcomes, BTreeSet::from(OutcomeKind::ALL));
}

#[test]
fn an_unknown_event_is_refused_and_not_guessed() {
    for text in [
        r#"{"event":"exploded"}"#,
        r#"{"event":"claimed"}"#,
        "{}",
        "null",
        r#""held""#,
    ] {
        assert!(serde_json::from_str::<Event>(text).is_err(), "{text}");
    }
}
