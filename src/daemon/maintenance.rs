//! `auto-claude check` and `auto-claude restore`: what works on a state directory without a daemon.

use std::path::Path;

use serde_json::json;

use super::answer::Answer;
use super::error::ExitError;
use super::setup::Place;
use crate::config::PathOptions;
use crate::store::{self, CheckProgress, CheckReport, CopyProgress};
use crate::supervisor::directories::make_directories;
use crate::supervisor::lock::DaemonLock;
use crate::supervisor::start::StartError;

/// Problems that are told to a person one by one; a damaged page alone can have hundreds.
const PROBLEMS_SHOWN: usize = 20;

/// Folds every journal and checks the database's integrity. Returns what was found, and whether all is well. A daemon may
/// run meanwhile: this only reads.
///
/// # Errors
/// When the database cannot be opened at all.
pub fn check(
    options: &PathOptions,
    progress: &mut dyn FnMut(CheckProgress),
) -> Result<(Answer, bool), ExitError> {
    let place = Place::look(options)?;
    let report = store::check(&place.paths.database, progress)
        .map_err(|error| ExitError::of(&error).with_code(ExitError::STORE_REFUSED))?;
    Ok((found(&place.paths.database, &report), is_well(&report)))
}

/// A task that is set aside is no new problem, but one all the same: nothing moves it until a person does something.
fn is_well(report: &CheckReport) -> bool {
    report.is_sound() && report.set_aside.is_empty()
}

fn found(database: &Path, report: &CheckReport) -> Answer {
    let mut lines = vec![format!(
        "{}: {} tasks, {} journal rows folded",
        database.display(),
        report.tasks,
        report.events
    )];
    let shown = report.problems.iter().take(PROBLEMS_SHOWN);
    lines.extend(shown.map(|problem| format!("problem: {problem}")));
    let more = report.problem_count.saturating_sub(PROBLEMS_SHOWN as u64);
    if is_well(report) {
        lines.push("no problems".to_owned());
    } else if more > 0 {
        lines.push(format!("… and {more} more problems"));
    }
    let aside = report.set_aside.iter();
    lines.extend(aside.map(|aside| format!("set aside: {}: {}", aside.id, aside.reason)));
    let problems = report.problems.iter();
    let problems = problems.map(|problem| json!({"task": problem.task, "text": problem.text}));
    let aside = report.set_aside.iter();
    let aside = aside.map(|aside| json!({"task": aside.id, "text": aside.reason}));
    Answer {
        lines,
        json: json!({
            "sound": is_well(report),
            "database": database.to_string_lossy(),
            "tasks": report.tasks,
            "journal_rows": report.events,
            "problem_count": report.problem_count,
            "problems": problems.collect::<Vec<_>>(),
            "set_aside": aside.collect::<Vec<_>>(),
        }),
    }
}

/// Puts a backup in the database's place, after it was checked; what was there is kept beside it.
///
/// # Errors
/// When the backup is not sound, or a daemon runs.
pub fn restore(
    options: &PathOptions,
    from: &Path,
    progress: &mut dyn FnMut(CopyProgress),
) -> Result<Answer, ExitError> {
    let place = Place::resolve(options)?;
    make_directories(&place.paths)?;
    let _lock = DaemonLock::take(&place.paths, "auto-claude restore").map_err(StartError::Lock)?;
    let to = &place.paths.database;
    let kept = store::restore(from, to, progress)?;
    let mut lines = vec![format!("restored {} from {}", to.display(), from.display())];
    if let Some(kept) = &kept {
        lines.push(format!(
            "what was there before is kept as {}",
            kept.display()
        ));
    }
    let kept = kept.as_ref().map(|kept| kept.to_string_lossy());
    Ok(Answer {
        lines,
        json: json!({"restored": to.to_string_lossy(), "from": from.to_string_lossy(), "kept": kept}),
    })
}
