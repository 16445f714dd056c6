//! `docs/state-machine.md` is written from the transition table; this test fails when it is stale. `UPDATE_DOCS=1` rewrites it.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use auto_claude::task::table::transitions;
use auto_claude::task::{EventKind, State};

/// Who moves a task by this event.
const fn who(event: EventKind) -> &'static str {
    match event {
        EventKind::Submit
        | EventKind::Cancel
        | EventKind::Edit
        | EventKind::Approve
        | EventKind::Reject
        | EventKind::Answer
        | EventKind::Attach
        | EventKind::Detach
        | EventKind::Reopen => "person",
        EventKind::Claim
        | EventKind::Hold
        | EventKind::Release
        | EventKind::Move
        | EventKind::DependencyFail
        | EventKind::Screen => "daemon",
        EventKind::Start => "worker",
        EventKind::Intend
        | EventKind::Pause
        | EventKind::DropReason
        | EventKind::ResumeToPending
        | EventKind::ResumeToRetrying
        | EventKind::ResumeToUnban => "person, daemon",
        EventKind::NeverRan
        | EventKind::Complete
        | EventKind::Fail
        | EventKind::Retry
        | EventKind::Continue
        | EventKind::Limit
        | EventKind::PauseAttempt
        | EventKind::CancelAttempt
        | EventKind::ToReview
        | EventKind::Defer
        | EventKind::Test => "decision",
    }
}

/// When, or what it means.
const fn when(event: EventKind) -> &'static str {
    match event {
        EventKind::Submit => "submits a task; acknowledged when this is on disk",
        EventKind::Claim => "gives a slot and the next generation, before any launch",
        EventKind::Start => "says, or its record shows, that the command started",
        EventKind::Intend => "wants the running attempt stopped; committed before any signal",
        EventKind::NeverRan => "the attempt was closed before its command started",
        EventKind::Complete => "the attempt succeeded",
        EventKind::Fail => "it failed and is not retried, or was lost and is to fail",
        EventKind::Retry => "it failed and is retried, was lost, or the machine went down",
        EventKind::Continue => "it succeeded, and there is more to do; no retry is spent",
        EventKind::Limit => "its account must wait; no retry is spent",
        EventKind::PauseAttempt => "it was stopped for a pause, or its foreground run is gone",
        EventKind::CancelAttempt => "it was stopped for a cancel",
        EventKind::ToReview => "it was lost too often, or lost and `--if-lost review`",
        EventKind::Defer => "a tool call of the agent waits for a person",
        EventKind::Test => "acceptance commands run next, or again (not yet)",
        EventKind::Pause => "has a reason to pause it, or one more",
        EventKind::DropReason => "a reason to pause is gone, another is left",
        EventKind::ResumeToPending => "the last reason is gone; nothing had run since the queue",
        EventKind::ResumeToRetrying => "the last reason is gone; another attempt follows",
        EventKind::ResumeToUnban => "the last reason is gone; its account may have a hold",
        EventKind::Cancel => "cancels it while it does not run",
        EventKind::Hold => "its account has a new hold (not yet: it is skipped by index)",
        EventKind::Release => "the hold is over, or it is the probe",
        EventKind::Move => "it would wait too long for its account; it goes on at another one",
        EventKind::Attach => {
            "takes the agent's session in hand; it stays paused until that is handed back"
        }
        EventKind::Detach => "hands the session back",
        EventKind::DependencyFail => "a task it waited for failed, and so it is to fail",
        EventKind::Edit => "changes what was asked; the state stays",
        EventKind::Screen => "a question came up before it ran (not yet)",
        EventKind::Approve => "approves it; former losses are not held against it",
        EventKind::Reject => "rejects it",
        EventKind::Answer => "answers the tool call; the same agent session goes on",
        EventKind::Reopen => "wants it done again: retries anew, generations go on",
    }
}

/// What a task in this state waits for.
const fn waits_for(state: State) -> &'static str {
    match state {
        State::Pending => {
            "A slot, its time (`--at`), its dependencies (`--after`), its exclusive key, its account. It is skipped while one of \
             them is missing, not moved."
        }
        State::Processing => {
            "The end of its attempt. Between the claim and `start` nothing may have run yet; recovery tells by the attempt's \
             record. A wish to stop it is journaled in this state, carried out, and carried out again by a daemon that was \
             restarted meanwhile."
        }
        State::Paused => {
            "The end of *every* reason: a person's pause, a shortage of resources, a used-up budget. A reason that came while it \
             ran is kept even when a stronger wish took over, so an acknowledged pause is not forgotten."
        }
        State::WaitingUnban => {
            "Its account's hold: it is released when the hold is over, or as the one probe that finds out. A limit is no failure: \
             it costs no retry."
        }
        State::Retrying => "Its backoff time (full jitter), then a slot like a pending task.",
        State::Testing => {
            "The end of its acceptance commands, an attempt of their own with a generation of their own: the slot is kept, the \
             claim in this state gives that generation. Nothing enters this state yet."
        }
        State::NeedsHumanReview => {
            "A person. No process runs and no slot is held, so it may wait for weeks."
        }
        State::Completed => "Nothing: final. Its last attempt succeeded.",
        State::Failed => "Nothing: final. Its outcome says why.",
        State::Cancelled => {
            "Nothing: final. Its outcome says how the last attempt ended, which may be a success that came after the cancel was \
             acknowledged."
        }
    }
}

const HEAD: &str = "\
<!-- Written by `UPDATE_DOCS=1 cargo test --test task_docs` from src/task/table.rs. Do not edit. -->

# State machine

A task is in one of ten states. One table (`src/task/table.rs`) says where each event leads from each state; every pair that
is not listed here is illegal and refused with an error that names both halves. Each move is committed together with its
journal row, and folding a task's journal through the same table gives its row.

";

const RULES: &str = "\
## How an attempt's end is judged

The outcome is recorded as it truly was; what follows is decided by one pure function (`src/task/retry.rs`).

- Only a success completes. An end that nobody saw is `lost`: it never completes, spends no retry, and counts in the restart
  intensity. By default a lost `lightweight` task runs again, the others go on from their checkpoint.
- A failure is retried only when `--retry-on` names it and retries are left.
- A limit spends no retry and fails nothing. When it is met while a pause is wished, the task is paused and resumes into
  `waiting_unban`.
- What never ran, and what was interrupted because the machine went down, costs nothing.
- An acknowledged cancel holds, even against a success that came after it. Where the end is on disk already, a cancel is not
  acknowledged, and the reply says so.
- An acknowledged pause holds: whatever would go on by itself is paused instead. A success that came before our signal stands;
  exit code 0 *after* our signal is how a well-behaved program stops, so the task stays paused and goes on later.
- Wishes, weakest first: `pressure`, `pause`, `budget`, `timeout`, `cancel`.
";

fn diagram() -> String {
    let mut edges: BTreeMap<(State, State), Vec<&str>> = BTreeMap::new();
    for (from, event, to) in transitions() {
        edges.entry((from, to)).or_default().push(event.name());
    }
    let mut text = String::from("```mermaid\nstateDiagram-v2\n    [*] --> pending: submit\n");
    for ((from, to), events) in edges {
        writeln!(
            text,
            "    {} --> {}: {}",
            from.name(),
            to.name(),
            events.join(", ")
        )
        .unwrap();
    }
    for state in State::ALL.into_iter().filter(|state| state.is_final()) {
        writeln!(text, "    {} --> [*]", state.name()).unwrap();
    }
    text + "```\n\n"
}

fn page() -> String {
    let mut text = HEAD.to_owned() + &diagram();
    text += "## What each state waits for\n\n| state | holds a slot | waits for |\n|---|---|---|\n";
    for state in State::ALL {
        let slot = if state.holds_slot() { "yes" } else { "no" };
        writeln!(
            text,
            "| `{}` | {slot} | {} |",
            state.name(),
            waits_for(state)
        )
        .unwrap();
    }
    text += "\n## Every legal transition\n\n";
    text += "*Decision* is the daemon, after the end of an attempt; see below. *Not yet* marks what is in the table, but nothing enters it.\n\n";
    text += "| from | event | to | who | when |\n|---|---|---|---|---|\n";
    let (who_submits, when_submitted) = (who(EventKind::Submit), when(EventKind::Submit));
    writeln!(
        text,
        "| – | submit | `pending` | {who_submits} | {when_submitted} |"
    )
    .unwrap();
    for (from, event, to) in transitions() {
        let (who, when) = (who(event), when(event));
        writeln!(
            text,
            "| `{}` | {event} | `{}` | {who} | {when} |",
            from.name(),
            to.name()
        )
        .unwrap();
    }
    text + "\n" + RULES
}

#[test]
fn the_page_is_fresh() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/state-machine.md");
    let page = page();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, &page).unwrap();
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        written == page,
        "docs/state-machine.md is stale: UPDATE_DOCS=1 cargo test --test task_docs"
    );
}

#[test]
fn every_legal_transition_is_in_the_table_of_the_page() {
    let page = page();
    for (from, event, to) in transitions() {
        let row = format!("| `{}` | {event} | `{}` |", from.name(), to.name());
        assert_eq!(page.matches(&row).count(), 1, "{row}");
    }
}
