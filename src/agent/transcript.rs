//! An agent's stream in words, for people: what it said, which tools it called, how its run ended.
//!
//! For the eyes only: nothing is decided by it, and the stream itself is kept as it came.
//! - The same bytes give the same text, in whatever pieces they come: who reads on after a break passes over what is known.
//! - The text holds no control characters but line ends and tabs, whatever the agent wrote.
//! - Memory is bounded by one line of the stream.

use serde_json::value::RawValue;

use super::lines::{Lines, objects};
use super::rules::Rules;
use super::{claude, rules, text};

/// Longest text of a note, of a tool's input or of a line of its result that is shown.
pub(super) const NOTE_MAX_BYTES: usize = 200;
/// Lines of a tool's result that are shown.
pub(super) const RESULT_LINES_MAX: usize = 3;

/// Puts a stream into words.
#[derive(Debug)]
pub struct Transcript {
    lines: Lines,
    /// Of each agent whose words may stand there: what the first one has no words for is the next one's.
    voices: Vec<Voice>,
    said: Said,
}

#[derive(Debug)]
enum Voice {
    Claude,
    Described(Box<rules::Voice>),
}

impl Transcript {
    /// Of Claude Code.
    #[must_use]
    pub fn of_claude() -> Self {
        Self::of(Voice::Claude)
    }

    /// Of an agent that is described by a file.
    #[must_use]
    pub fn of_described(rules: &Rules) -> Self {
        Self::of(Voice::Described(Box::new(rules::Voice::new(rules))))
    }

    fn of(voice: Voice) -> Self {
        Self {
            lines: Lines::default(),
            voices: vec![voice],
            said: Said::default(),
        }
    }

    /// Of two agents that have taken turns.
    #[must_use]
    pub fn or(mut self, other: Self) -> Self {
        self.voices.extend(other.voices);
        self
    }

    /// Takes a piece of the stream; what it says is added to `out`, line by line.
    pub fn push(&mut self, bytes: &[u8], out: &mut String) {
        let (voices, said) = (&self.voices, &mut self.said);
        self.lines.push(bytes, |line| say(voices, line, said));
        out.push_str(&std::mem::take(&mut said.text));
    }

    /// The stream is over, or another run's begins: an open line ends here.
    pub fn end(&mut self, out: &mut String) {
        let (voices, said) = (&self.voices, &mut self.said);
        self.lines.end(|line| say(voices, line, said));
        out.push_str(&std::mem::take(&mut said.text));
        self.said = Said::default();
    }
}

fn say(voices: &[Voice], line: &str, said: &mut Said) {
    let mut is_event = false;
    objects(line, |object: &RawValue| {
        is_event = true;
        let before = said.text.len();
        for voice in voices {
            voice.say(object, said);
            if said.text.len() > before {
                break;
            }
        }
    });
    // What is no event was written by something beside the agent, or by one that does not speak as it should.
    if !is_event {
        said.words("", line);
    }
}

impl Voice {
    fn say(&self, object: &RawValue, said: &mut Said) {
        match self {
            Self::Claude => claude::say(object, said),
            Self::Described(voice) => voice.say(object, said),
        }
    }
}

/// What was said.
#[derive(Debug, Default)]
pub(super) struct Said {
    text: String,
    /// The agent itself has spoken in this run: an end need not repeat its answer.
    pub(super) spoken: bool,
}

impl Said {
    /// Words of the agent, or of a tool: each line behind `margin`.
    pub(super) fn words(&mut self, margin: &str, words: &str) {
        for line in words.trim_end().split('\n') {
            self.text.push_str(margin);
            let shown = |letter: &char| !letter.is_control() || *letter == '\t';
            self.text.extend(line.chars().filter(shown));
            self.text.push('\n');
        }
    }

    /// A line of ours about the run, in brackets.
    pub(super) fn note(&mut self, note: &str) {
        self.words("", &format!("[{}]", text::one_line(note, NOTE_MAX_BYTES)));
    }
}
