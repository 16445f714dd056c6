//! A journal for people: one entry per event, what happened in words first.
//!
//! Invariant: nothing is cut. On a terminal a long entry goes on below its own words; elsewhere it is one line, so that line
//! tools see all of it.

use crate::api::wire::{JournalView, OutcomeView};
use crate::budget::usd;
use crate::cli::duration;
use crate::cli::output::plain;
use crate::task::{
    Actor, AgentRun, Event, Further, Intent, Next, Outcome, OutcomeKind, PauseReason, Report,
    Timestamp,
};

use super::outcome::words;
use super::task::json_name;
use super::time;

/// Between number, time and words.
const GAP: &str = "  ";
/// However narrow the terminal is, words get this many columns.
const WORDS_MIN_COLUMNS: usize = 20;
/// Two times closer than this are the same to a person.
const SAME_TIME_MS: u64 = 1000;

/// The lines of a journal: wrapped at `columns`, or one per event.
#[must_use]
pub fn lines(rows: &[JournalView], columns: Option<usize>) -> Vec<String> {
    let digits = rows
        .iter()
        .map(|row| row.n.to_string().len())
        .max()
        .unwrap_or_default();
    let mut lines = Vec::new();
    for row in rows {
        let head = format!("{:>digits$}{GAP}{}{GAP}", row.n, time::absolute(row.at));
        let entry = plain(&entry(row));
        let Some(columns) = columns else {
            lines.push(format!("{head}{entry}"));
            continue;
        };
        let room = columns.saturating_sub(head.len()).max(WORDS_MIN_COLUMNS);
        let indent = " ".repeat(head.len());
        for (place, part) in wrap(&entry, room).into_iter().enumerate() {
            lines.push(format!(
                "{}{part}",
                if place == 0 { &head } else { &indent }
            ));
        }
    }
    lines
}

/// `text` in parts of at most `room` characters, broken between words where there is a place to break.
fn wrap(text: &str, room: usize) -> Vec<String> {
    let mut parts = Vec::new();
    let mut part = String::new();
    for word in text.split(' ') {
        let mut word: Vec<char> = word.chars().collect();
        let used = part.chars().count();
        if used > 0 && used + 1 + word.len() > room {
            parts.push(std::mem::take(&mut part));
        } else if used > 0 {
            part.push(' ');
        }
        // A word that is longer than a line is broken: cut off, it would be lost.
        while word.len() > room {
            parts.push(word.drain(..room).collect());
        }
        part.extend(word);
    }
    parts.push(part);
    parts
}

/// What happened, as one sentence.
fn entry(row: &JournalView) -> String {
    let by = by(row.actor);
    let not_before = |time: &Option<Timestamp>| {
        time.map(|time| format!(", not before {}", time::absolute(time)))
            .unwrap_or_default()
    };
    match &row.event {
        Event::Submitted { not_before: time } => format!("submitted {by}{}", not_before(time)),
        Event::Claimed {
            generation,
            slot,
            run,
        } => format!(
            "claimed attempt {generation}, slot {slot}{}",
            run.as_deref().map(session).unwrap_or_default()
        ),
        Event::Started { started_at } => format!("started{}", if_earlier(*started_at, row.at)),
        Event::IntentSet { intent } => format!("intent: {} {by}", wish(intent)),
        Event::Ended {
            outcome,
            ended_at,
            next,
            report,
        } => format!(
            "{}{} → {}{}",
            ending(outcome),
            report.as_deref().map(cost).unwrap_or_default(),
            follows(next, row.at),
            if_earlier(*ended_at, row.at)
        ),
        Event::Paused { reason } => format!("paused{} {by}", why_paused(*reason)),
        Event::Resumed { reason } => format!("resumed{} {by}", why_paused(*reason)),
        Event::Moved { to, from, why, .. } => {
            format!("goes on at {to} instead of {from} ({why}), in a new session")
        }
        Event::Attached { .. } => format!("attached {by}: the session is in a person's hands"),
        Event::Detached => format!("session handed back {by}"),
        Event::Cancelled => format!("cancelled {by}"),
        Event::Held => "held: its account has a limit".to_owned(),
        Event::Released => "released: its account may go on".to_owned(),
        Event::DependencyFailed { dependency } => format!("failed: {dependency} did not complete"),
        Event::Screened { question } => format!("a person is asked: {question}"),
        Event::Approved => format!("approved {by}"),
        Event::Rejected => format!("rejected {by}"),
        Event::Answered => format!("answered {by}"),
        Event::Reopened => format!("to be done again {by}"),
        Event::Edited {
            fields,
            not_before: time,
        } => format!("edited {by}: {}{}", fields.join(", "), not_before(time)),
    }
}

/// How the attempt of an agent begins.
fn session(run: &AgentRun) -> String {
    let how = if run.resume { "resumes" } else { "begins" };
    let probe = if run.probe {
        ", as the probe of its account"
    } else {
        ""
    };
    format!(", {how} session {}{probe}", run.session)
}

/// What an agent's run has cost.
fn cost(report: &Report) -> String {
    report.cost_micro_usd.map_or_else(
        || ", cost unknown".to_owned(),
        |micro| format!(", {}", usd(micro)),
    )
}

fn by(actor: Actor) -> String {
    match actor {
        Actor::Daemon => "by the daemon".to_owned(),
        Actor::Worker => "by its worker".to_owned(),
        Actor::User(uid) => format!("by user {uid}"),
    }
}

fn wish(intent: &Intent) -> String {
    let grace = intent
        .grace_ms
        .map(|ms| format!(", SIGKILL after {}", duration::format(ms)))
        .unwrap_or_default();
    format!("{}{grace}", json_name(&intent.kind))
}

/// A person's pause is what everybody expects; another reason is named.
fn why_paused(reason: PauseReason) -> String {
    match reason {
        PauseReason::Person => String::new(),
        PauseReason::Resources | PauseReason::Budget => format!(" ({})", json_name(&reason)),
    }
}

fn ending(outcome: &Outcome) -> String {
    let text = words(&OutcomeView::from(outcome));
    let says_so = match outcome.kind {
        // `ended by …`, and two that are no end that somebody saw.
        OutcomeKind::Signaled
        | OutcomeKind::OutOfMemory
        | OutcomeKind::Lost
        | OutcomeKind::NeverRan => true,
        OutcomeKind::Succeeded
        | OutcomeKind::Exited
        | OutcomeKind::TimedOut
        | OutcomeKind::Idle
        | OutcomeKind::Interrupted
        | OutcomeKind::SpawnFailed
        | OutcomeKind::Limited
        | OutcomeKind::ToolsDenied
        | OutcomeKind::ToolDeferred
        | OutcomeKind::MaxTurns
        | OutcomeKind::MaxBudget
        | OutcomeKind::Refused
        | OutcomeKind::PromptTooLong
        | OutcomeKind::UnknownSession
        | OutcomeKind::ResumeFailed
        | OutcomeKind::PoisonedSession
        | OutcomeKind::ModelUnavailable
        | OutcomeKind::AgentError
        | OutcomeKind::NoResult
        | OutcomeKind::DependencyFailed => false,
    };
    if says_so {
        text
    } else {
        format!("ended: {text}")
    }
}

/// What the end leads to, in the names of the states.
fn follows(next: &Next, at: Timestamp) -> String {
    match next {
        Next::Pending => "pending".to_owned(),
        Next::Complete => "completed".to_owned(),
        Next::Fail => "failed".to_owned(),
        Next::Retry {
            not_before,
            spends_retry,
            counts_as_restart,
            resume,
        } => {
            let wait_ms = u64::try_from(not_before.ms_since(at)).unwrap_or_default();
            let when = if wait_ms == 0 {
                "at once".to_owned()
            } else {
                format!("in {}", duration::brief(wait_ms))
            };
            let notes: Vec<&str> = [
                (*resume, "resumes"),
                (!resume, "begins anew"),
                (*spends_retry, "spends a retry"),
                (*counts_as_restart, "counts as a restart"),
            ]
            .into_iter()
            .filter_map(|(holds, note)| holds.then_some(note))
            .collect();
            format!("retrying {when} ({})", notes.join(", "))
        }
        Next::Continue { not_before, why } => {
            let wait_ms = u64::try_from(not_before.ms_since(at)).unwrap_or_default();
            let what = match why {
                Further::Chunk => "the next chunk",
                Further::WrapUp => "it is asked what remains",
            };
            if wait_ms == 0 {
                format!("retrying at once ({what})")
            } else {
                format!("retrying in {} ({what})", duration::brief(wait_ms))
            }
        }
        Next::Wait => "waiting_unban".to_owned(),
        Next::Pause { reason } => format!("paused{}", why_paused(*reason)),
        Next::Cancel => "cancelled".to_owned(),
        Next::Review | Next::Defer => "needs_human_review".to_owned(),
        Next::Test => "testing".to_owned(),
    }
}

/// When it happened, where that was noticeably before the commit: the daemon was down, or the disk was full.
fn if_earlier(time: Timestamp, committed: Timestamp) -> String {
    if committed.ms_since(time).unsigned_abs() < SAME_TIME_MS {
        String::new()
    } else {
        format!(" (it was {})", time::absolute(time))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrapped_lines_fit_and_lose_nothing() {
        let text = format!("ended: exited with code 3 → retrying {} x", "y".repeat(50));
        for room in [20, 33, 49, 200] {
            let parts = wrap(&text, room);
            assert!(
                parts.iter().all(|part| part.chars().count() <= room),
                "{parts:?}"
            );
            let letters = |text: &str| text.replace(' ', "");
            assert_eq!(letters(&parts.concat()), letters(&text));
        }
        assert_eq!(wrap("a bc", 2), ["a", "bc"]);
        assert_eq!(wrap("", 20), [""]);
    }
}
