//! When a person is to be told of a task: which moves of it are news to somebody who has gone to bed.

use super::{Lifecycle, PauseReason, State};

/// Why a person is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum News {
    /// It is over.
    Final,
    /// It goes on only once a person has done something.
    Waits,
}

impl News {
    /// The word for it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Final => "final",
            Self::Waits => "waits",
        }
    }
}

/// Whether the move from `before` to `after` is one to tell a person of. What a person has done themselves is no news,
/// but for the end of the task: whoever waits for it need not be who ended it.
#[must_use]
pub fn news(before: &Lifecycle, after: &Lifecycle) -> Option<News> {
    let entered = |state: State| after.state == state && before.state != state;
    if after.state.is_final() && !before.state.is_final() {
        Some(News::Final)
    } else if entered(State::NeedsHumanReview)
        || (entered(State::Paused) && after.pause_reasons.contains(&PauseReason::Budget))
    {
        Some(News::Waits)
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::task::{Event, Timestamp};

    fn at(state: State, reasons: &[PauseReason]) -> Lifecycle {
        let born = Lifecycle::birth(&Event::Submitted { not_before: None });
        let mut life = born.expect("a submission begins a task");
        life.state = state;
        life.pause_reasons = reasons.iter().copied().collect();
        life.finished_at = state.is_final().then(|| Timestamp::from_ms(0));
        life
    }

    #[test]
    fn ends_and_questions_are_news_and_a_persons_own_pause_is_none() {
        let (budget, person) = (&[PauseReason::Budget][..], &[PauseReason::Person][..]);
        let cases = [
            (
                State::Processing,
                State::Completed,
                &[][..],
                Some(News::Final),
            ),
            (State::Pending, State::Cancelled, &[], Some(News::Final)),
            (State::Cancelled, State::Pending, &[], None),
            (State::Processing, State::Retrying, &[], None),
            (State::Processing, State::WaitingUnban, &[], None),
            (
                State::Processing,
                State::NeedsHumanReview,
                &[],
                Some(News::Waits),
            ),
            (State::NeedsHumanReview, State::NeedsHumanReview, &[], None),
            (State::Processing, State::Paused, budget, Some(News::Waits)),
            (State::Processing, State::Paused, person, None),
            (State::Paused, State::Paused, budget, None),
        ];
        for (from, to, reasons, wanted) in cases {
            let told = news(&at(from, &[]), &at(to, reasons));
            assert_eq!(told, wanted, "{} to {}", from.name(), to.name());
        }
    }

    #[test]
    fn commands_are_told_the_words_that_are_documented() {
        assert_eq!(
            [News::Final, News::Waits].map(News::name),
            ["final", "waits"]
        );
    }
}
