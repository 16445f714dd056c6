//! How long an agent has done nothing but try a failed request again: some do so for ever.

/// Since when.
#[derive(Debug, Default)]
pub(super) struct Trying {
    since_ms: Option<u64>,
}

impl Trying {
    /// What was seen last.
    pub(super) fn look(&mut self, is_trying: bool, now_ms: u64) {
        self.since_ms = is_trying.then(|| self.since_ms.unwrap_or(now_ms));
    }

    /// When it will have been too long; 0 = never.
    pub(super) fn deadline_ms(&self, timeout_ms: u64) -> Option<u64> {
        let since_ms = self.since_ms.filter(|_| timeout_ms > 0)?;
        Some(since_ms.saturating_add(timeout_ms))
    }

    /// Whether it was too long.
    pub(super) fn is_over(&self, now_ms: u64, timeout_ms: u64) -> bool {
        self.deadline_ms(timeout_ms)
            .is_some_and(|deadline_ms| now_ms >= deadline_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_trying_without_a_break_counts() {
        let mut trying = Trying::default();
        trying.look(true, 100);
        trying.look(true, 500);
        assert_eq!(trying.deadline_ms(600), Some(700));
        assert!(trying.is_over(700, 600) && !trying.is_over(699, 600));
        assert!(!trying.is_over(700, 0), "no limit");
        trying.look(false, 600);
        assert!(!trying.is_over(700, 600));
        trying.look(true, 800);
        assert_eq!(trying.deadline_ms(600), Some(1400));
    }
}
