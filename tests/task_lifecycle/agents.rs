//! What a task of an agent remembers from one attempt to the next: its session, its failures, what it has spent.

use auto_claude::task::{
    AgentRun, AgentState, ApplyError, Block, BlockKind, Command, Event, Further, Lifecycle, Next,
    Outcome, OutcomeKind, PauseReason, Place, Prompt, Report, Task, TaskId, TaskSpec,
};

use super::{RETRY, at, born};

const PAUSED: Next = Next::Pause {
    reason: PauseReason::Person,
};

fn claim(row: &Lifecycle, session: &str) -> Lifecycle {
    let run = AgentRun {
        session: session.to_owned(),
        resume: false,
        probe: false,
        budget_micro_usd: None,
    };
    let claimed = Event::Claimed {
        generation: row.generation + 1,
        slot: 0,
        run: Some(Box::new(run)),
    };
    row.apply(&claimed, at(1)).unwrap()
}

fn end(row: &Lifecycle, kind: OutcomeKind, next: Next, report: Option<Report>) -> Lifecycle {
    let ended = Event::Ended {
        outcome: Outcome::of(kind),
        ended_at: at(5),
        next,
        report: report.map(Box::new),
    };
    let row = row.apply(&ended, at(5)).unwrap();
    row.check().unwrap();
    row
}

fn agent(row: &Lifecycle) -> &AgentState {
    row.agent.as_ref().expect("an agent's task")
}

/// One more attempt in that session: it ends as `kind`, and says which session it was in.
fn attempt(row: &Lifecycle, session: &str, kind: OutcomeKind) -> Lifecycle {
    let report = Report {
        session: Some(session.to_owned()),
        ..Report::default()
    };
    end(&claim(row, session), kind, PAUSED, Some(report))
        .apply(
            &Event::Resumed {
                reason: PauseReason::Person,
            },
            at(6),
        )
        .unwrap()
}

fn limited(row: &Lifecycle, block: BlockKind) -> Lifecycle {
    let report = Report {
        block: Some(Block::of(block)),
        ..Report::default()
    };
    let waits = end(
        &claim(row, "a"),
        OutcomeKind::Limited,
        Next::Wait,
        Some(report),
    );
    waits.apply(&Event::Released, at(6)).unwrap()
}

#[test]
fn a_session_is_resumed_once_an_attempt_has_been_in_it_and_never_another_one() {
    let first = claim(&born(), "a");
    assert!(!agent(&first).has_session(), "chosen, but not begun");
    let begun = attempt(&born(), "a", OutcomeKind::Exited);
    assert!(agent(&begun).has_session());
    assert!(agent(&claim(&begun, "a")).has_session());
    assert!(
        !agent(&claim(&begun, "b")).has_session(),
        "the new one is not begun"
    );
}

#[test]
fn resumes_that_fail_are_counted_in_a_row_and_per_session() {
    let failed = |row: &Lifecycle| end(&claim(row, "a"), OutcomeKind::ResumeFailed, PAUSED, None);
    let resumed = |row: &Lifecycle| {
        let reason = PauseReason::Person;
        row.apply(&Event::Resumed { reason }, at(6)).unwrap()
    };
    let once = resumed(&failed(&attempt(&born(), "a", OutcomeKind::Exited)));
    assert_eq!(agent(&once).failed_resumes, 1);
    let twice = resumed(&failed(&once));
    assert_eq!(agent(&twice).failed_resumes, 2);
    assert!(agent(&twice).has_session(), "who decides is told, no more");
    assert_eq!(
        agent(&attempt(&twice, "a", OutcomeKind::Exited)).failed_resumes,
        0
    );
    assert_eq!(agent(&claim(&twice, "a")).failed_resumes, 2);
    assert_eq!(agent(&claim(&twice, "b")).failed_resumes, 0);
}

#[test]
fn a_session_that_is_unknown_or_poisoned_is_given_up() {
    for kind in [OutcomeKind::UnknownSession, OutcomeKind::PoisonedSession] {
        let begun = attempt(&born(), "a", OutcomeKind::Exited);
        let given_up = end(&claim(&begun, "a"), kind, PAUSED, None);
        assert_eq!(
            (agent(&given_up).session.as_ref(), agent(&given_up).begun),
            (None, false)
        );
    }
}

#[test]
fn of_a_run_that_nobody_could_read_the_session_may_have_begun_and_of_a_silent_one_it_has_not() {
    let unread = end(&claim(&born(), "a"), OutcomeKind::Lost, PAUSED, None);
    assert!(agent(&unread).has_session());
    let silent = end(
        &claim(&born(), "a"),
        OutcomeKind::NoResult,
        PAUSED,
        Some(Report::default()),
    );
    assert!(!agent(&silent).has_session());
    let named = attempt(&claim_and_give_back(&born(), "a"), "b", OutcomeKind::Exited);
    assert_eq!(agent(&named).session.as_deref(), Some("b"));
}

/// An attempt in which nothing ran.
fn claim_and_give_back(row: &Lifecycle, session: &str) -> Lifecycle {
    end(
        &claim(row, session),
        OutcomeKind::NeverRan,
        Next::Pending,
        None,
    )
}

#[test]
fn failures_of_the_server_are_counted_in_a_row() {
    let mut row = born();
    for count in 1..=3 {
        row = limited(&row, BlockKind::Server);
        assert_eq!(agent(&row).server_failures, count);
    }
    let again = limited(&claim_and_give_back(&row, "a"), BlockKind::Server);
    assert_eq!(agent(&again).server_failures, 4, "nothing ran in between");
    for other in BlockKind::ALL {
        if other != BlockKind::Server {
            assert_eq!(agent(&limited(&row, other)).server_failures, 0, "{other:?}");
        }
    }
    // The server failed under a run that ended otherwise: that run was its task's own.
    let report = Report {
        block: Some(Block::of(BlockKind::Server)),
        ..Report::default()
    };
    let own = end(&claim(&row, "a"), OutcomeKind::Exited, RETRY, Some(report));
    assert_eq!(agent(&own).server_failures, 0);
}

#[test]
fn known_costs_are_summed_unknown_ones_counted_and_what_never_ran_cost_nothing() {
    let costing = |row: &Lifecycle, cost_micro_usd| {
        let report = Report {
            cost_micro_usd,
            ..Report::default()
        };
        end(&claim(row, "a"), OutcomeKind::Exited, RETRY, Some(report))
    };
    let row = costing(&costing(&costing(&born(), Some(5)), None), Some(7));
    assert_eq!(
        (agent(&row).spent_micro_usd, agent(&row).unknown_costs),
        (12, 1)
    );
    let unread = end(&claim(&row, "a"), OutcomeKind::Lost, PAUSED, None);
    assert_eq!(agent(&unread).unknown_costs, 2);
    let never = claim_and_give_back(&row, "a");
    assert_eq!(
        (agent(&never).spent_micro_usd, agent(&never).unknown_costs),
        (12, 1)
    );
    assert_eq!(agent(&never).report, agent(&row).report);
}

#[test]
fn a_task_that_is_done_again_begins_a_new_session_and_what_it_spent_stays_spent() {
    let report = Report {
        cost_micro_usd: Some(5),
        session: Some("a".to_owned()),
        ..Report::default()
    };
    let spent = end(
        &claim(&born(), "a"),
        OutcomeKind::Exited,
        RETRY,
        Some(report),
    );
    let failed = end(&claim(&spent, "a"), OutcomeKind::Lost, Next::Fail, None);
    let again = failed.apply(&Event::Reopened, at(7)).unwrap();
    let wanted = AgentState {
        spent_micro_usd: 5,
        unknown_costs: 1,
        ..AgentState::default()
    };
    assert_eq!(again.agent, Some(wanted));
}

#[test]
fn the_next_chunk_is_asked_anew_and_what_remains_in_the_same_session_and_once() {
    let further = |row: &Lifecycle, why| {
        let report = Report {
            session: Some("a".to_owned()),
            ..Report::default()
        };
        let not_before = at(6);
        let next = Next::Continue { not_before, why };
        end(&claim(row, "a"), OutcomeKind::Succeeded, next, Some(report))
    };
    let wraps_up = further(&born(), Further::WrapUp);
    let state = agent(&wraps_up);
    assert!(state.has_session() && state.asked_what_remains && state.ask_what_remains);
    let asked = attempt(&wraps_up, "a", OutcomeKind::Exited);
    assert!(agent(&asked).asked_what_remains && !agent(&asked).ask_what_remains);
    let next = further(&wraps_up, Further::Chunk);
    let state = agent(&next);
    assert_eq!(
        (state.chunk, state.session.as_ref(), state.begun),
        (1, None, false)
    );
    assert!(!state.asked_what_remains && !state.ask_what_remains);
}

fn moved(row: &Lifecycle, tried: u32, to: &Place) -> Lifecycle {
    let event = Event::Moved {
        to: Box::new(to.clone()),
        from: Box::new(place("work")),
        why: "a limit of hours".to_owned(),
        tried,
    };
    row.apply(&event, at(8)).unwrap()
}

fn place(account: &str) -> Place {
    Place {
        agent: "claude".to_owned(),
        account: account.to_owned(),
        model: None,
    }
}

#[test]
fn a_session_stays_behind_when_its_task_goes_elsewhere() {
    let row = limited(
        &attempt(&born(), "a", OutcomeKind::Exited),
        BlockKind::Server,
    );
    let there = moved(&row, 1, &place("own"));
    let state = agent(&there);
    assert_eq!((state.session.as_ref(), state.begun), (None, false));
    assert_eq!((state.failed_resumes, state.server_failures), (0, 0));
    assert_eq!(there.fallbacks_tried(), 1);
}

#[test]
fn a_task_waits_at_the_gate_of_the_place_where_it_is_and_never_goes_back() {
    let mut prompt = Prompt::of("hi".to_owned(), "claude".to_owned(), "work".to_owned());
    prompt.fallback = vec![place("own"), place("team")];
    let mut task = Task {
        id: TaskId::from_random(1),
        seq: 1,
        uid: 0,
        created_at: at(0),
        spec: TaskSpec::of("ask", Command::Prompt(Box::new(prompt)), "/srv".into()),
        life: born(),
        slot: None,
    };
    for (tried, account, ways_out) in [(0, "work", 2), (1, "own", 1), (2, "team", 0)] {
        if tried > 0 {
            let to = task.ways_out()[0].clone();
            task.life = moved(&task.life, tried, &to);
        }
        let gate = task.gate().expect("an agent's task");
        assert_eq!(task.prompt_there().unwrap().account, account);
        assert_eq!(
            (gate.account.as_str(), gate.has_way_out),
            (account, ways_out > 0)
        );
        assert_eq!(task.ways_out().len(), ways_out);
    }
    task.spec.command = Command::Line("make".to_owned());
    assert!(task.prompt_there().is_none() && task.gate().is_none() && task.ways_out().is_empty());
}

#[test]
fn a_session_in_a_persons_hands_keeps_its_task_paused_until_it_is_handed_back() {
    let pause = |reason| Event::Paused { reason };
    let resume = |reason| Event::Resumed { reason };
    let (person, budget) = (PauseReason::Person, PauseReason::Budget);
    let begun = attempt(&born(), "a", OutcomeKind::Exited);
    let attach = Event::Attached { by: 1000 };
    let for_budget = begun.apply(&pause(budget), at(7)).unwrap();
    assert_eq!(
        for_budget.apply(&attach, at(8)),
        Err(ApplyError::NotPausedFor(person))
    );
    let paused = for_budget.apply(&pause(person), at(7)).unwrap();
    assert_eq!(
        paused.apply(&Event::Detached, at(8)),
        Err(ApplyError::NotAttached)
    );
    let in_hand = paused.apply(&attach, at(8)).unwrap();
    in_hand.check().unwrap();
    let attached = in_hand.attached().expect("in a person's hands");
    assert_eq!((attached.by, attached.since), (1000, at(8)));
    for event in [resume(person), attach.clone()] {
        let held = in_hand.apply(&event, at(9));
        assert_eq!(held, Err(ApplyError::Attached(attached)), "{event:?}");
    }
    // Another reason may end meanwhile.
    let in_hand = in_hand.apply(&resume(budget), at(9)).unwrap();
    assert_eq!(in_hand.attached(), Some(attached));
    let back = in_hand.apply(&Event::Detached, at(10)).unwrap();
    assert_eq!((back.attached(), back.resume), (None, true));
    assert!(back.apply(&resume(person), at(11)).is_ok());

    let mut loose = in_hand.clone();
    loose.pause_reasons = [budget].into();
    let error = loose.check().expect_err("not for that person");
    assert!(
        error.contains("only while the task is paused for that person"),
        "{error}"
    );

    let never = born().apply(&pause(person), at(7)).unwrap();
    assert_eq!(never.apply(&attach, at(8)), Err(ApplyError::NoSession));
    let unbegun = claim_and_give_back(&born(), "a").apply(&pause(person), at(7));
    assert_eq!(
        unbegun.unwrap().apply(&attach, at(8)),
        Err(ApplyError::NoSession)
    );
}

#[test]
fn a_task_that_has_only_moved_shows_no_trace_of_an_attempt() {
    let row = moved(&born(), 1, &place("own"));
    row.check().unwrap();
    let mut traced = row.clone();
    traced.agent.get_or_insert_default().session = Some("a".to_owned());
    let error = traced.check().expect_err("nothing was claimed");
    assert!(error.contains("shows no trace of an attempt"), "{error}");
}

#[test]
fn failures_of_the_server_survive_storage_and_rows_without_them_read_as_they_were_written() {
    let mut row = claim_and_give_back(&born(), "a");
    assert!(
        !serde_json::to_string(&row)
            .unwrap()
            .contains("server_failures")
    );
    row = limited(&row, BlockKind::Server);
    let stored = serde_json::to_string(&row).unwrap();
    assert_eq!(serde_json::from_str::<Lifecycle>(&stored).unwrap(), row);
}
