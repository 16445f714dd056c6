//! The table: rows with the reference of the same run beside them, and the place in the document where it goes.

use std::fmt::Write as _;
use std::path::Path;

use crate::Res;

/// Everything between these lines belongs to `make bench`.
const BEGIN: &str = "<!-- bench:begin -->";
const END: &str = "<!-- bench:end -->";

/// One figure.
#[derive(Default)]
pub(crate) struct Row {
    /// What was measured.
    pub(crate) what: String,
    /// The figure, with its unit.
    pub(crate) measured: String,
    /// The reference of the same run, with its unit; empty for none.
    pub(crate) reference: String,
    /// Ours over the reference; empty for none.
    pub(crate) ratio: String,
    /// What is to be reached; empty for a figure that is only shown.
    pub(crate) reach: String,
    /// Whether it is reached.
    pub(crate) met: Option<bool>,
}

enum Entry {
    Section(String),
    Row(Row),
    Failed(String),
}

/// All figures of one run of this program.
pub(crate) struct Report {
    conditions: String,
    entries: Vec<Entry>,
}

impl Report {
    /// An empty report on a machine as described.
    pub(crate) fn new(conditions: String) -> Self {
        Self {
            conditions,
            entries: Vec::new(),
        }
    }

    /// The rows that follow belong to this section.
    pub(crate) fn begin(&mut self, section: &str) {
        self.entries.push(Entry::Section(section.to_owned()));
    }

    /// Adds a figure, and shows it at once.
    pub(crate) fn row(&mut self, row: Row) {
        eprintln!(
            "   {}: {} {} {}",
            row.what,
            row.measured,
            row.ratio,
            verdict(row.met)
        );
        self.entries.push(Entry::Row(row));
    }

    /// Notes that the section ended early.
    pub(crate) fn failed(&mut self, error: &str) {
        self.entries
            .push(Entry::Failed(error.replace(['\n', '|'], " ")));
    }

    /// Whether a section failed.
    pub(crate) fn has_failures(&self) -> bool {
        self.entries
            .iter()
            .any(|entry| matches!(entry, Entry::Failed(_)))
    }

    /// The whole as Markdown.
    pub(crate) fn markdown(&self) -> String {
        let mut out = format!(
            "{}\n\n| what | measured | reference, same run | ratio | reach | |\n|---|---|---|---|---|---|\n",
            self.conditions
        );
        for entry in &self.entries {
            // Writing to a String cannot fail.
            let _ = match entry {
                Entry::Section(name) => writeln!(out, "| **{name}** | | | | | |"),
                Entry::Failed(error) => writeln!(out, "| this section failed: {error} | | | | | |"),
                Entry::Row(row) => writeln!(
                    out,
                    "| {} | {} | {} | {} | {} | {} |",
                    row.what,
                    row.measured,
                    row.reference,
                    row.ratio,
                    row.reach,
                    verdict(row.met)
                ),
            };
        }
        out
    }
}

fn verdict(met: Option<bool>) -> &'static str {
    match met {
        Some(true) => "reached",
        Some(false) => "**missed**",
        None => "",
    }
}

/// Puts `text` between the markers of the file, through a new file beside it.
pub(crate) fn replace_between_markers(path: &Path, text: &str) -> Res<()> {
    let shown = path.display();
    let old = std::fs::read_to_string(path).map_err(|e| format!("cannot read {shown}: {e}"))?;
    let (head, rest) = old
        .split_once(BEGIN)
        .ok_or(format!("{shown} has no line {BEGIN}"))?;
    let (_, tail) = rest
        .split_once(END)
        .ok_or(format!("{shown} has no line {END}"))?;
    let new = format!("{head}{BEGIN}\n{text}{END}{tail}");
    let beside = path.with_extension("md.new");
    std::fs::write(&beside, new).map_err(|e| format!("cannot write {}: {e}", beside.display()))?;
    std::fs::rename(&beside, path).map_err(|e| format!("cannot replace {shown}: {e}"))
}
