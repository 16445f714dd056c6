//! What is told of budgets: amounts, scopes, levels, costs.

use super::super::*;

/// No two of them are the same, and none is empty.
fn tells_apart(words: &[&str]) -> bool {
    let distinct: std::collections::BTreeSet<_> = words.iter().collect();
    distinct.len() == words.len() && !words.contains(&"")
}

#[test]
fn money_is_shown_in_cents_and_what_is_less_is_not_nothing() {
    for (micro, shown) in [
        (0, "$0.00"),
        (1, "$0.000001"),
        (9_999, "$0.009999"),
        (10_000, "$0.01"),
        (14_999, "$0.01"),
        (15_000, "$0.02"),
        (999_999, "$1.00"),
        (1_234_567, "$1.23"),
        (5_000_000, "$5.00"),
    ] {
        assert_eq!(usd(micro), shown);
    }
}

#[test]
fn tokens_and_times_are_shown_in_their_largest_whole_units() {
    for (measure, amount, shown) in [
        (Measure::Tokens, 0, "0 tokens"),
        (Measure::Tokens, 1_500, "1500 tokens"),
        (Measure::Tokens, 2_000, "2k tokens"),
        (Measure::Tokens, 2_500_000, "2500k tokens"),
        (Measure::Tokens, 3_000_000_000, "3000M tokens"),
        (Measure::Time, 999, "0s"),
        (Measure::Time, 90_061_000, "1d1h1m1s"),
        (Measure::Time, 7_200_000, "2h"),
        (Measure::Money, 5_000_000, "$5.00"),
    ] {
        assert_eq!(named(measure, amount), shown);
    }
}

#[test]
fn an_error_quotes_what_was_written_and_not_all_of_it() {
    let error = parse("Lots").unwrap_err();
    assert!(error.starts_with("\"Lots\" is no budget"), "{error}");
    let error = parse(&"ä".repeat(61)).unwrap_err();
    let quoted = format!("{:?} is no budget", "ä".repeat(60));
    assert!(error.starts_with(&quoted), "{error}");
}

#[test]
fn one_limit_is_a_budget_and_is_its_own_amount() {
    assert!(Budget::NONE.is_none());
    assert_eq!(Budget::NONE.amounts(), Amounts::default());
    for measure in MEASURES {
        let budget = Budget::NONE.with(measure, 7);
        assert!(!budget.is_none(), "{measure:?}");
        for other in MEASURES {
            let wanted = if other == measure { 7 } else { 0 };
            assert_eq!(budget.amounts().get(other), wanted, "{measure:?} {other:?}");
        }
    }
}

#[test]
fn each_kind_of_token_counts_and_costs_by_its_own_weight() {
    let kinds = |each: [u64; 4]| {
        let [input, output, cache_read, cache_write] = each;
        Tokens {
            input,
            output,
            cache_read,
            cache_write,
        }
    };
    assert_eq!(kinds([1, 20, 300, 4_000]).sum(), 4_321);
    // Of what a token costs that is read: writing five times, the cache a tenth, and to fill it a quarter more.
    let rate = Rate {
        micro_usd: 100,
        tokens: kinds([1_000, 0, 0, 0]),
    };
    for (each, cost) in [
        ([1_000, 0, 0, 0], 100),
        ([0, 1_000, 0, 0], 500),
        ([0, 0, 1_000, 0], 10),
        ([0, 0, 0, 1_000], 125),
        ([1_000; 4], 735),
    ] {
        assert_eq!(rate.cost_of(&kinds(each)), Some(cost), "{each:?}");
    }
}

#[test]
fn an_alarm_is_on_from_when_it_was_raised_until_it_is_over() {
    let mut alarm = Alarm::default();
    assert!(!alarm.is_on());
    for (micro_usd, on) in [(100, true), (100, true), (99, false)] {
        alarm.look(micro_usd, 100);
        assert_eq!(alarm.is_on(), on, "{micro_usd}");
    }
}

#[test]
fn a_scope_says_whose_it_is_when_it_begins_anew_and_what_helps() {
    let account = Scope::Account {
        agent: "claude".to_owned(),
        name: "work".to_owned(),
    };
    let project = "/srv/a".to_owned();
    let id = "task_k3".to_owned();
    let table = [
        (
            Scope::Task { id },
            "task_k3",
            false,
            "the budget of task_k3",
            "taskctl task resume task_k3",
        ),
        (
            Scope::Session { project },
            "/srv/a",
            false,
            "the budget of the session /srv/a",
            "budget_session",
        ),
        (
            account,
            "claude/work",
            true,
            "today's budget of the account work of claude",
            "budget_account_day",
        ),
        (Scope::Day, "", true, "today's budget", "budget_day"),
    ];
    let kinds = table.each_ref().map(|(scope, ..)| scope.kind());
    assert!(tells_apart(&kinds), "{kinds:?}");
    for (scope, name, daily, words, helps) in table {
        assert_eq!((scope.name().as_str(), scope.is_daily()), (name, daily));
        assert_eq!(scope.to_string(), words);
        assert!(scope.advice().contains(helps), "{}", scope.advice());
        assert_eq!(scope.advice().contains("begins anew"), daily);
    }
}

#[test]
fn levels_and_likenesses_are_told_apart_by_their_words() {
    assert!(tells_apart(
        &[Level::Open, Level::Warned, Level::UsedUp].map(Level::name)
    ));
    assert!(tells_apart(&Likeness::ALL.map(Likeness::name)));
    assert!(tells_apart(&Likeness::ALL.map(Likeness::words)));
}

#[test]
fn the_measure_that_is_used_most_is_told_in_percent() {
    let standing = |limit: Budget, micro_usd, tokens| Standing {
        limit,
        used: Amounts {
            micro_usd,
            tokens,
            run_ms: 0,
        },
        ..Standing::default()
    };
    assert_eq!(standing(Budget::NONE, 5, 5).fullest(), None);
    let both = Budget::NONE
        .with(Measure::Money, 1_000)
        .with(Measure::Tokens, 50);
    assert_eq!(
        standing(both, 300, 10).fullest(),
        Some((Measure::Money, 30))
    );
    assert_eq!(
        standing(both, 300, 75).fullest(),
        Some((Measure::Tokens, 150))
    );
    let nothing = Budget::NONE.with(Measure::Tokens, 0);
    assert_eq!(
        standing(nothing, 0, 2).fullest(),
        Some((Measure::Tokens, 200))
    );
}
