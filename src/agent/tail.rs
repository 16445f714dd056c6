//! The last lines of the error output: some agents say there, and only there, why they did not start.

use super::lines::Lines;
use super::text;

/// Lines that are kept.
const LINES_MAX: usize = 40;
/// Longest part of a line that is kept.
const LINE_KEPT_BYTES: usize = 512;

/// The end of a stream, in bounded memory.
#[derive(Debug, Default)]
pub(super) struct Tail {
    lines: Lines,
    kept: std::collections::VecDeque<String>,
}

impl Tail {
    pub(super) fn push(&mut self, bytes: &[u8]) {
        let kept = &mut self.kept;
        self.lines.push(bytes, |line| keep(kept, line));
    }

    /// The stream is over: what is kept, oldest first.
    pub(super) fn finish(mut self) -> Vec<String> {
        let kept = &mut self.kept;
        self.lines.end(|line| keep(kept, line));
        self.kept.into()
    }
}

fn keep(kept: &mut std::collections::VecDeque<String>, line: &str) {
    if kept.len() == LINES_MAX {
        kept.pop_front();
    }
    kept.push_back(text::one_line(line, LINE_KEPT_BYTES));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_lines_are_kept_and_cut() {
        let mut tail = Tail::default();
        for number in 0..1000 {
            tail.push(format!("line {number}\n").as_bytes());
        }
        tail.push("é".repeat(1000).as_bytes());
        let kept = tail.finish();
        assert_eq!(kept.len(), LINES_MAX);
        assert_eq!(kept[LINES_MAX - 2], "line 999");
        assert!(kept[LINES_MAX - 1].len() <= LINE_KEPT_BYTES);
    }
}
