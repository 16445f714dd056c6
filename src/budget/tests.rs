//! What must hold of budgets, whatever runs, ends and fails in whatever order.

mod told;

use proptest::prelude::*;

use super::*;

const CENT: u64 = 10_000;

fn money(micro_usd: u64) -> Budget {
    Budget {
        micro_usd: Some(micro_usd),
        ..Budget::NONE
    }
}

fn used(micro_usd: u64) -> Amounts {
    Amounts {
        micro_usd,
        ..Amounts::default()
    }
}

#[test]
fn budgets_are_read_as_people_write_them() {
    let all = Budget {
        micro_usd: Some(5_000_000),
        tokens: Some(200_000),
        run_ms: Some(1_800_000),
    };
    for text in [
        "$5 200k tokens 30m",
        "5usd, 200k tokens, 30m",
        "5 usd+200000 tokens+30m",
        "30m 0.2M tokens 5",
        "200ktokens,$5.00,1800s",
    ] {
        assert_eq!(parse(text), Ok(all), "{text}");
    }
    assert_eq!(parse("2.50"), Ok(money(2_500_000)));
    assert_eq!(parse("$.05"), Ok(money(50_000)));
    assert_eq!(parse("2h30m").unwrap().run_ms, Some(9_000_000));
    assert_eq!(parse("2m tokens").unwrap().tokens, Some(2_000_000));
    assert_eq!(parse("1 dollar"), Ok(money(1_000_000)));
}

#[test]
fn what_is_no_budget_has_one_clear_line() {
    for (text, part) in [
        ("", "empty budget"),
        ("  ", "empty budget"),
        ("lots", "is no budget; give money"),
        ("5 euros", "is no budget"),
        ("200k", "is no budget"),
        ("-5", "is no budget"),
        ("$", "is no budget"),
        ("1.0000001", "is no budget"),
        ("1.5 tokens", "is no budget"),
        ("30m 1h", "names time twice"),
        ("$5 5usd", "names money twice"),
        ("0", "allowed is $0.01 to"),
        ("0.001", "allowed is $0.01 to"),
        ("2000000", "allowed is $0.01 to $1000000"),
        ("0 tokens", "allowed is 1 to"),
        ("400d", "allowed is 1s to 365d"),
        ("0s", "allowed is 1s to"),
        ("99999999999999999999", "too large a number"),
        ("99999999999999999999d", "too large a number"),
    ] {
        let error = parse(text).unwrap_err();
        assert!(error.contains(part), "{text}: {error}");
        assert!(!error.contains('\n'), "{error}");
    }
}

#[test]
fn entries_have_a_name() {
    let entry = parse_entry(" /srv/a=b = $5, 1h ").unwrap();
    assert_eq!(entry.0, "/srv/a=b");
    assert_eq!(entry.1.run_ms, Some(3_600_000));
    for text in ["$5", "= $5", "/srv = "] {
        assert!(parse_entry(text).is_err(), "{text}");
    }
}

#[test]
fn levels() {
    let at = |micro_usd| Standing {
        limit: money(100 * CENT),
        used: used(micro_usd),
        ..Standing::default()
    };
    for (cents, level) in [
        (0, Level::Open),
        (79, Level::Open),
        (80, Level::Warned),
        (99, Level::Warned),
        (100, Level::UsedUp),
        (200, Level::UsedUp),
    ] {
        assert_eq!(at(cents * CENT).level(), level, "{cents}");
    }
    // Less than a cent is left.
    assert_eq!(at(99 * CENT + 1).level(), Level::UsedUp);
    assert_eq!(Standing::default().level(), Level::Open, "no limit");
}

#[test]
fn a_share_is_an_equal_part_and_its_own_budget_is_a_tasks_alone() {
    let day = Standing {
        limit: money(1000 * CENT),
        used: used(200 * CENT),
        reserved: used(200 * CENT),
        sharers: 3,
    };
    assert_eq!(share(&[day]), Room::Share(money(200 * CENT)));
    let own = Standing {
        limit: money(50 * CENT),
        sharers: 1,
        ..Standing::default()
    };
    assert_eq!(share(&[own, day]), Room::Share(money(50 * CENT)));
    // Many sharers: a part is not smaller than a twentieth.
    let many = Standing {
        sharers: 100,
        ..day
    };
    assert_eq!(share(&[many]), Room::Share(money(50 * CENT)));
    let full = Standing {
        reserved: used(800 * CENT),
        ..day
    };
    assert_eq!(share(&[own, full]), Room::Wait(1));
    let over = Standing {
        used: used(1000 * CENT),
        ..day
    };
    assert_eq!(share(&[full, over]), Room::UsedUp(1));
    assert_eq!(share(&[]), Room::Share(Budget::NONE));
}

#[test]
fn after_a_cut_it_goes_on_only_where_more_is_left_and_something_was_used() {
    let day = Standing {
        limit: money(1000 * CENT),
        used: used(900 * CENT),
        reserved: Amounts::default(),
        sharers: 1,
    };
    let cut = money(50 * CENT);
    assert_eq!(after(&[day], cut, used(51 * CENT)), None);
    assert_eq!(after(&[day], cut, used(100 * CENT)), Some(0));
    assert_eq!(
        after(&[day], cut, used(10 * CENT)),
        Some(0),
        "not its share"
    );
}

#[test]
fn the_alarm_is_told_once_and_is_quiet_until_it_fell_below() {
    let mut alarm = Alarm::default();
    let mut look = |micro_usd| alarm.look(micro_usd, 100);
    assert_eq!(look(99), Change::Same);
    assert_eq!(look(100), Change::Raised);
    assert_eq!(look(500), Change::Same);
    assert_eq!(look(99), Change::Over);
    assert_eq!(look(10), Change::Same);
    assert_eq!(look(100), Change::Raised);
    assert_eq!(alarm.look(u64::MAX, 0), Change::Over, "switched off");
}

#[test]
fn an_interrupted_run_costs_what_its_tokens_cost_others() {
    let tokens = |input, output| Tokens {
        input,
        output,
        ..Tokens::default()
    };
    let rate = Rate {
        micro_usd: 6_000,
        tokens: tokens(1_000, 100),
    };
    assert_eq!(rate.cost_of(&tokens(500, 50)), Some(3_000));
    assert_eq!(
        rate.cost_of(&tokens(1, 0)),
        Some(4),
        "rounded up: never nothing"
    );
    assert_eq!(rate.cost_of(&Tokens::default()), None);
    let nothing = Rate {
        micro_usd: 0,
        tokens: Tokens::default(),
    };
    assert_eq!(nothing.cost_of(&tokens(500, 50)), None, "unknown, not 0");
}

fn sample(cents: u64, same_type: bool, same_project: bool) -> Sample {
    Sample {
        used: used(cents * CENT),
        same_type,
        same_project,
    }
}

#[test]
fn a_forecast_goes_by_the_likest_that_are_enough() {
    assert_eq!(forecast(&[], 1), None, "unknown, not 0");
    let mut samples: Vec<Sample> = (1..=4).map(|n| sample(n, true, true)).collect();
    let few = forecast(&samples, 1).unwrap();
    assert_eq!((few.likeness, few.tasks), (Likeness::Project, 4));
    samples.push(sample(50, true, false));
    let enough = forecast(&samples, 1).unwrap();
    assert_eq!((enough.likeness, enough.tasks), (Likeness::Type, 5));
    samples.push(sample(5, true, true));
    samples.push(sample(900, false, false));
    let likest = forecast(&samples, 1).unwrap();
    assert_eq!((likest.likeness, likest.tasks), (Likeness::Project, 5));
    let cents = |micro: u64| micro / CENT;
    let spread = likest.micro_usd;
    assert_eq!(
        (cents(spread.p10), cents(spread.p50), cents(spread.p90)),
        (1, 3, 5)
    );
    assert_eq!(forecast(&samples, 10).unwrap().micro_usd.p50, 30 * CENT);
}

/// What may happen to the attempts of some tasks.
#[derive(Debug, Clone)]
enum Happens {
    /// A claim of this task, when so many slots are free.
    Claim(usize, u32),
    /// The oldest running attempt of this task ends, having used this part of its share in percent; beyond it by one
    /// request when it was cut.
    End(usize, u64),
}

fn happenings() -> impl Strategy<Value = Vec<Happens>> {
    let one = prop_oneof![
        (0..6_usize, 1..5_u32).prop_map(|(task, slots)| Happens::Claim(task, slots)),
        (0..6_usize, 0..=100_u64).prop_map(|(task, part)| Happens::End(task, part)),
    ];
    proptest::collection::vec(one, 1..200)
}

proptest! {
    #[test]
    fn a_budget_prints_as_it_is_read(
        micro in proptest::option::of(CENT..=Budget::MICRO_USD_MAX),
        tokens in proptest::option::of(1..=Budget::TOKENS_MAX),
        seconds in proptest::option::of(1..=365 * 86_400_u64),
    ) {
        let budget = Budget { micro_usd: micro, tokens, run_ms: seconds.map(|s| s * 1_000) };
        if !budget.is_none() {
            prop_assert_eq!(parse(&budget.to_string()), Ok(budget), "{}", budget);
        }
    }

    #[test]
    fn no_text_breaks_the_reader(text in "\\PC{0,40}") {
        let _ = (parse(&text), parse_entry(&text));
    }

    /// Three tasks with budgets of their own, three without, all under one budget of the day: whatever the order, what is
    /// reserved fits what is left, and what was used is beyond a budget by one request for each attempt that ran last.
    #[test]
    fn reservations_fit_under_any_interleaving(
        happenings in happenings(),
        day_cents in 1..500_u64,
        own_cents in proptest::array::uniform3(1..200_u64),
        request in 1..50_000_u64,
    ) {
        let day_limit = day_cents * CENT;
        let own_limit = |task: usize| own_cents.get(task).map(|cents| cents * CENT);
        let mut day_used = 0;
        let mut own_used = [0_u64; 6];
        let mut running: [Option<Budget>; 6] = [None; 6];
        let mut most_at_once = 0_u64;
        for happens in happenings {
            let reserved = |running: &[Option<Budget>; 6]| -> u64 {
                running.iter().flatten().filter_map(|share| share.micro_usd).sum()
            };
            match happens {
                Happens::Claim(task, sharers) if running[task].is_none() => {
                    let day = Standing {
                        limit: money(day_limit), used: used(day_used), reserved: used(reserved(&running)), sharers,
                    };
                    let own = own_limit(task).map(|limit| Standing {
                        limit: money(limit), used: used(own_used[task]), reserved: used(0), sharers: 1,
                    });
                    let standings: Vec<Standing> = own.into_iter().chain([day]).collect();
                    match share(&standings) {
                        Room::Share(share) => {
                            let part = share.micro_usd.unwrap();
                            prop_assert!(part >= CENT.min(day_limit));
                            running[task] = Some(share);
                            prop_assert!(day_used + reserved(&running) <= day_limit);
                            if let Some(limit) = own_limit(task) {
                                prop_assert!(own_used[task] + part <= limit);
                            }
                            most_at_once = most_at_once.max(running.iter().flatten().count() as u64);
                        }
                        Room::Wait(_) => prop_assert!(reserved(&running) > 0, "it waits for somebody"),
                        Room::UsedUp(place) => {
                            prop_assert_eq!(standings[place].level(), Level::UsedUp);
                        }
                    }
                }
                Happens::End(task, part) => {
                    if let Some(share) = running[task].take() {
                        let most = share.micro_usd.unwrap();
                        // The last request of a run that was cut goes beyond its share.
                        let spent = if part == 100 { most - 1 + request } else { most * part / 100 };
                        day_used += spent;
                        own_used[task] += spent;
                    }
                }
                Happens::Claim(..) => {}
            }
            prop_assert!(day_used <= day_limit + most_at_once * request, "beyond by more than one request each");
            for (used, cents) in own_used.iter().zip(own_cents) {
                prop_assert!(*used <= cents * CENT + request, "beyond its own by more than one request");
            }
        }
    }
}
