//! Tasks as people see them: rows of a list, the screen of one task.

use crate::api::wire::{AgentView, TaskView};
use crate::budget::usd;
use crate::cli::output::{Output, plain};
use crate::cli::{duration, values};
use crate::task::{Command, OnLoss, State, Timestamp};

use super::outcome::{Ending, last_attempt, standing, words};
use super::table::{Column, cut, droppable, keep, render};
use super::{budget, colour, time};

const COLUMNS: [Column; 8] = [
    keep("ID"),
    keep("STATE"),
    cut("NAME"),
    droppable("OUTCOME", 1),
    droppable("CREATED", 2),
    droppable("TOOK", 3),
    droppable("PRIORITY", 4),
    droppable("TRY", 5),
];

/// Outcomes in a list are cut to this many characters.
const OUTCOME_CHARS: usize = 34;
const MS_PER_SECOND: u64 = 1000;

/// The lines of a list.
#[must_use]
pub fn list(tasks: &[TaskView], now: Timestamp, out: &Output) -> Vec<String> {
    let rows: Vec<Vec<String>> = tasks.iter().map(|task| row(task, now)).collect();
    let mut lines = render(&COLUMNS, &rows, out.columns);
    if out.colour {
        for (line, task) in lines.iter_mut().skip(1).zip(tasks) {
            // An id holds none of the letters i l o u, so it cannot hold a state's name: the first match is the state.
            *line = line.replacen(
                task.state.name(),
                &colour::state(true, task.state, task.state.name()),
                1,
            );
        }
        if let Some(title) = lines.first_mut() {
            *title = colour::bold(true, title);
        }
    }
    lines
}

fn row(task: &TaskView, now: Timestamp) -> Vec<String> {
    vec![
        task.id.to_string(),
        task.state.name().to_owned(),
        plain(&task.name),
        shorten(&list_outcome(task, now), OUTCOME_CHARS),
        time::relative(task.created_at, now),
        took(task, now).map(duration::brief).unwrap_or_default(),
        values::priority_name(task.priority).to_owned(),
        if task.attempt == 0 {
            String::new()
        } else {
            task.attempt.to_string()
        },
    ]
}

/// What a list says of how it goes: why it waits, or how it ended.
fn list_outcome(task: &TaskView, now: Timestamp) -> String {
    if task.set_aside.is_some() {
        return "set aside".to_owned();
    }
    let agent = task.agent.as_ref();
    if let Some(attached) = agent.and_then(|agent| agent.attached.as_ref()) {
        return format!("attached by user {}", attached.by);
    }
    if let Some(intent) = &task.intent {
        return format!("stopping ({})", json_name(&intent.kind));
    }
    let waits = matches!(task.state, State::Pending | State::Retrying);
    if let Some(time) = task.not_before.filter(|time| waits && *time > now) {
        return time::relative(time, now);
    }
    match &task.outcome {
        // While an attempt runs, the outcome is the former one's.
        Some(outcome) if !task.state.holds_slot() => words(outcome),
        Some(_) | None => String::new(),
    }
}

/// Milliseconds of the running or last attempt.
fn took(task: &TaskView, now: Timestamp) -> Option<u64> {
    let started = task.started_at?;
    let end = match task.finished_at {
        Some(finished) => finished,
        None if task.state.holds_slot() => now,
        None => return None,
    };
    u64::try_from(end.ms_since(started)).ok()
}

/// At most `chars` characters, the last one `…` when it was cut.
#[must_use]
pub fn shorten(text: &str, chars: usize) -> String {
    if text.chars().count() <= chars {
        return text.to_owned();
    }
    let mut cut: String = text.chars().take(chars.saturating_sub(1)).collect();
    cut.push('…');
    cut
}

/// A command as one would type it.
#[must_use]
pub fn command(command: &Command) -> String {
    match command {
        Command::Line(line) => plain(line),
        Command::Argv(argv) => argv
            .iter()
            .map(|word| quote(&plain(word)))
            .collect::<Vec<_>>()
            .join(" "),
        Command::Prompt(prompt) => format!("{}: {}", prompt.agent, plain(&prompt.prompt)),
    }
}

/// A word quoted for a shell where it needs it.
#[must_use]
pub fn quote(word: &str) -> String {
    let harmless = |c: char| c.is_ascii_alphanumeric() || "_-./:=@%+,".contains(c);
    if !word.is_empty() && word.chars().all(harmless) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

/// The name that a unit variant has in JSON.
#[must_use]
pub fn json_name<T: serde::Serialize>(value: &T) -> String {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(name)) => name,
        Ok(other) => other.to_string(),
        Err(_) => "?".to_owned(),
    }
}

/// Pairs of a title and a value.
type Fields = Vec<(&'static str, String)>;

/// The screen of one task, as pairs of a title and a value.
#[must_use]
pub fn fields(task: &TaskView, now: Timestamp, colour: bool) -> Fields {
    let mut fields = where_it_stands(task, colour);
    fields.extend(what_was_asked(task));
    if let Some(agent) = &task.agent {
        fields.extend(of_its_agent(agent, now));
    }
    fields.extend(times(task, now));
    fields
}

fn add(fields: &mut Fields, title: &'static str, value: Option<String>) {
    fields.extend(value.map(|value| (title, value)));
}

fn where_it_stands(task: &TaskView, colour: bool) -> Fields {
    let ending = Ending::of(task);
    let mut fields = vec![
        ("id", task.id.to_string()),
        ("name", plain(&task.name)),
        (
            "state",
            colour::state(colour, task.state, &standing(&ending)),
        ),
    ];
    let mut add = |title, value| add(&mut fields, title, value);
    add("set aside", task.set_aside.as_deref().map(plain));
    add("last attempt", last_attempt(&ending));
    add("paused for", list_of(&task.pause_reasons, json_name));
    add(
        "stopping",
        task.intent.as_ref().map(|intent| json_name(&intent.kind)),
    );
    let attempt = (task.attempt > 0).then(|| match task.slot {
        Some(slot) => format!("{} in slot {slot}", task.attempt),
        None => task.attempt.to_string(),
    });
    add("attempt", attempt);
    fields
}

fn what_was_asked(task: &TaskView) -> Fields {
    let mut fields = Vec::new();
    let mut add = |title, value| add(&mut fields, title, value);
    add(
        "type",
        Some(values::task_type_name(task.task_type).to_owned()),
    );
    add(
        "priority",
        Some(values::priority_name(task.priority).to_owned()),
    );
    add("command", Some(command(&task.command)));
    if let Command::Prompt(prompt) = &task.command {
        add("added", list_of(&prompt.added, |flag| plain(flag)));
        add("left out", list_of(&prompt.left_out, |flag| plain(flag)));
    }
    add("directory", Some(plain(&task.cwd.to_string_lossy())));
    add(
        "description",
        Some(plain(&task.description)).filter(|text| !text.is_empty()),
    );
    add("secrets", list_of(&task.secrets, |name| plain(name)));
    let allowed = task
        .max_retries
        .map(|max| format!(" of {max}"))
        .unwrap_or_default();
    add(
        "retries",
        (task.retries > 0 || task.max_retries.is_some())
            .then(|| format!("{}{allowed}", task.retries)),
    );
    add(
        "retried on",
        list_of(&task.retry_on, |on| values::retry_on_name(*on)),
    );
    add(
        "if lost",
        task.if_lost_effective.map(|on| if_lost(task, on)),
    );
    let limit =
        |seconds: Option<u64>| seconds.map(|seconds| duration::format(seconds * MS_PER_SECOND));
    add("time limit", limit(task.timeout_seconds));
    add("idle limit", limit(task.idle_timeout_seconds));
    add(
        "after",
        list_of(&task.after, ToString::to_string)
            .map(|ids| format!("{ids} (failed: {})", json_name(&task.after_failed))),
    );
    add("exclusive", task.exclusive.as_deref().map(plain));
    add("notify", task.notify.as_deref().map(plain));
    add("batch", task.batch.as_deref().map(plain));
    add("user", Some(task.uid.to_string()));
    fields
}

/// What is known of a task's agent.
fn of_its_agent(agent: &AgentView, now: Timestamp) -> Fields {
    let mut fields = where_it_is_asked(agent, now);
    let mut add = |title, value| add(&mut fields, title, value);
    let report = agent.report.as_ref();
    let used = report.and_then(|report| report.model.as_deref());
    let model = match (&agent.model, used) {
        (Some(model), _) => Some(format!(
            "{} (chosen by the {})",
            plain(model),
            json_name(&agent.model_from)
        )),
        (None, Some(used)) => Some(format!("{} (the agent's own choice)", plain(used))),
        (None, None) => None,
    };
    add("model", model);
    add("session", agent.session.as_deref().map(plain));
    if let Some(attached) = &agent.attached {
        let since = time::both(attached.since, now);
        let who = format!(
            "by user {} since {since}; task detach hands it back",
            attached.by
        );
        add("attached", Some(who));
        let by_hand = attached.by_hand.as_ref();
        add("go on with", by_hand.map(|by_hand| plain(&by_hand.line())));
    }
    add(
        "chunk",
        (agent.chunks > 0).then(|| format!("{} of {}", agent.chunk + 1, agent.chunks)),
    );
    add(
        "last run",
        report.map(|report| {
            format!(
                "{} turns, {} tool calls denied, {} retries of its own",
                report.turns, report.denials, report.retries
            )
        }),
    );
    let unknown = match agent.unknown_costs {
        0 => String::new(),
        runs => format!(", and {runs} runs whose cost nobody knows"),
    };
    let has_run = report.is_some() || agent.unknown_costs > 0;
    add(
        "cost",
        has_run.then(|| format!("{}{unknown}", usd(agent.spent_micro_usd))),
    );
    for view in &agent.budgets {
        add("budget", Some(budget::line(view, now)));
    }
    // Answers of lists do not tell where it stands.
    let only_limit = agent.budgets.is_empty() && !agent.budget.is_none();
    add("budget", only_limit.then(|| agent.budget.to_string()));
    add("may use", agent.share.map(|share| share.to_string()));
    add(
        "waits for money",
        agent.waits_for_budget.as_deref().map(plain),
    );
    fields
}

/// Which agent on which account, and why there.
fn where_it_is_asked(agent: &AgentView, now: Timestamp) -> Fields {
    let mut fields = Vec::new();
    let mut add = |title, value| add(&mut fields, title, value);
    add(
        "agent",
        Some(format!(
            "{} on account {}",
            plain(&agent.agent),
            plain(&agent.account)
        )),
    );
    let moved = agent.moved.as_ref().map(|moved| {
        let (from, at) = (&moved.from, time::both(moved.at, now));
        format!(
            "{from}, which would have been waited for: {}; since {at}",
            plain(&moved.why)
        )
    });
    add("instead of", moved);
    add("fallback", list_of(&agent.fallback, ToString::to_string));
    let until = agent
        .waits_until
        .map(|at| format!(", until {}", time::both(at, now)))
        .unwrap_or_default();
    add(
        "waits for",
        agent
            .waits_for
            .as_deref()
            .map(|why| format!("its account: {}{until}", plain(why))),
    );
    fields
}

/// What follows a lost attempt, and who said so: a default that nobody chose is the one that surprises.
fn if_lost(task: &TaskView, effective: OnLoss) -> String {
    let from = match (task.if_lost, effective) {
        (Some(_), _) => "as asked".to_owned(),
        (None, OnLoss::Pause) => "default of a foreground run".to_owned(),
        (None, OnLoss::Resume | OnLoss::Rerun | OnLoss::Review | OnLoss::Fail) => {
            format!("default of {}", values::task_type_name(task.task_type))
        }
    };
    format!("{} ({from})", json_name(&effective))
}

fn times(task: &TaskView, now: Timestamp) -> Fields {
    let mut fields = vec![("created", time::both(task.created_at, now))];
    let mut add = |title, value| add(&mut fields, title, value);
    add("not before", task.not_before.map(|at| time::both(at, now)));
    add("started", task.started_at.map(|at| time::both(at, now)));
    add("finished", task.finished_at.map(|at| time::both(at, now)));
    add("took", took(task, now).map(duration::brief));
    fields
}

fn list_of<T>(values: &[T], show: impl Fn(&T) -> String) -> Option<String> {
    (!values.is_empty()).then(|| values.iter().map(show).collect::<Vec<_>>().join(", "))
}

/// Pairs of a title and a value as aligned lines.
#[must_use]
pub fn aligned(fields: &[(&str, String)]) -> Vec<String> {
    let width = fields
        .iter()
        .map(|(title, _)| title.len())
        .max()
        .unwrap_or_default();
    fields
        .iter()
        .map(|(title, value)| format!("{title:width$}  {value}"))
        .collect()
}
