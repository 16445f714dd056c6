//! One job: what it is there for, its command, and the marks that this leaves.

use std::path::Path;

use crate::common::TASKCTL;

/// What a job is there for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Ends well at once.
    Quick,
    /// Fails once, is tried again.
    Retried,
    /// Exit code 7.
    Failing,
    /// Runs until it is cancelled.
    Long,
    /// Records a checkpoint, is paused and resumed, waits for the gate.
    Gated,
    /// Lightweight; waits for the gate.
    Waiting,
    /// Runs after the quick one.
    Dependent,
}

/// One job and what was acknowledged about it.
#[derive(Debug, Clone)]
pub struct Job {
    /// Its key and the name of its file.
    pub key: String,
    /// What it is there for.
    pub kind: Kind,
    /// Its id, once acknowledged.
    pub id: Option<String>,
    /// A cancel was acknowledged.
    pub cancelled: bool,
    /// A pause was acknowledged.
    pub paused: bool,
    /// A resume was sent.
    pub resumed: bool,
}

impl Job {
    pub(super) fn new(key: &str, kind: Kind) -> Self {
        Self {
            key: key.to_owned(),
            kind,
            id: None,
            cancelled: false,
            paused: false,
            resumed: false,
        }
    }

    pub(super) fn script(&self, dir: &Path) -> String {
        let file = dir.join(&self.key);
        let (file, gate, quick) = (file.display(), dir.join("gate"), dir.join("quick"));
        let (gate, quick) = (gate.display(), quick.display());
        let body = match self.kind {
            Kind::Quick => "echo out".to_owned(),
            Kind::Retried => "test $(grep -c ^start $M) -ge 2 || exit 3".to_owned(),
            Kind::Failing => "echo err >&2; exit 7".to_owned(),
            Kind::Long => "while :; do sleep 0.05; done".to_owned(),
            Kind::Waiting => format!("while ! test -e {gate}; do sleep 0.05; done"),
            Kind::Gated => format!(
                "if grep -q ^secured $M && test $AUTO_CLAUDE_RESUME = 1 && ! grep -q half $AUTO_CLAUDE_CHECKPOINT_DIR/progress.json; then echo forgotten >>$M; fi\n\
                 {TASKCTL} checkpoint --note half >/dev/null 2>&1 && echo secured >>$M\n\
                 while ! test -e {gate}; do sleep 0.05; done"
            ),
            Kind::Dependent => format!("grep -q ^end {quick} || echo early >>$M"),
        };
        format!(
            "M={file}; A=$AUTO_CLAUDE_ATTEMPT; exec 9>>$M.lock\n\
             if flock -n 9; then echo start $A >>$M; else echo overlap $A >>$M; fi\n\
             ( {body} ); code=$?; echo end $A >>$M; exit $code"
        )
    }

    /// Attempt numbers of its marks with this word.
    pub fn marks(&self, dir: &Path, word: &str) -> Vec<u32> {
        let text = std::fs::read_to_string(dir.join(&self.key)).unwrap_or_default();
        let of_word = text.lines().filter_map(|line| line.strip_prefix(word));
        of_word
            .map(|number| number.trim().parse().unwrap_or(0))
            .collect()
    }
}
