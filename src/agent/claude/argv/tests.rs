use super::*;
use crate::agent::argument::ARGUMENT_MAX_BYTES;

const SESSION: &str = "1e0ee16a-a9e2-492e-a1c6-2fc3641dd333";

#[test]
fn a_start_and_a_resumption() {
    let options = Options {
        model: Some("opus".to_owned()),
        permission_mode: Some(PermissionMode::default()),
        allowed_tools: vec!["Edit".to_owned(), "Bash(git log:*)".to_owned()],
        max_turns: Some(30),
        max_budget_micro_usd: Some(10_000),
        ephemeral: false,
        extra_args: vec!["--add-dir".to_owned(), "/srv".to_owned()],
    };
    let start = Start {
        session: SESSION,
        prompt: "--version",
        options: &options,
    };
    assert_eq!(
        start.argv().unwrap().join("|"),
        format!(
            "-p|--output-format|stream-json|--verbose|--session-id|{SESSION}|--model|opus|--permission-mode|acceptEdits|\
             --max-turns|30|--max-budget-usd|0.01|--add-dir|/srv|--allowedTools|Edit|Bash(git log:*)|--|--version"
        )
    );
    let resume = Resume {
        session: SESSION,
        prompt: None,
        options: &Options::default(),
    };
    assert_eq!(
        resume.argv().unwrap().join("|"),
        format!("-p|--output-format|stream-json|--verbose|--resume|{SESSION}")
    );
}

#[test]
fn what_would_be_misread_is_refused() {
    let with = |change: fn(&mut Options)| {
        let mut options = Options::default();
        change(&mut options);
        let prompt = "hi";
        Start {
            session: SESSION,
            prompt,
            options: &options,
        }
        .argv()
        .unwrap_err()
        .to_string()
    };
    for (error, part) in [
        (
            with(|o| o.model = Some("-x".to_owned())),
            "the model \"-x\"",
        ),
        (
            with(|o| o.allowed_tools = vec![String::new()]),
            "the tool \"\"",
        ),
        (with(|o| o.max_turns = Some(0)), "turns is 0"),
        (with(|o| o.max_budget_micro_usd = Some(0)), "budget is 0"),
        (
            with(|o| o.extra_args = vec!["-rx".to_owned()]),
            "auto-claude itself",
        ),
        (
            with(|o| o.extra_args = vec!["--max-budget-usd=1000".to_owned()]),
            "auto-claude itself",
        ),
        (
            with(|o| o.extra_args = vec!["--model".to_owned(), "opus".to_owned()]),
            "auto-claude itself",
        ),
        (
            with(|o| o.extra_args = vec!["--resume=x".to_owned()]),
            "\"--resume\"",
        ),
        (with(|o| o.extra_args = vec!["a\0b".to_owned()]), "NUL"),
    ] {
        assert!(error.contains(part), "{error}");
    }
    let options = Options::default();
    let start = |session, prompt| {
        Start {
            session,
            prompt,
            options: &options,
        }
        .argv()
    };
    assert_eq!(
        start(SESSION, " \n"),
        Err(ArgumentError::PromptEmpty.into())
    );
    assert!(matches!(
        start("latest", "hi"),
        Err(ArgvError::Session { .. })
    ));
    assert!(matches!(
        start(SESSION, "a\0"),
        Err(ArgvError::Argument(ArgumentError::Nul { .. }))
    ));
    // Longer than an argument may be: for standard input.
    let long = "x".repeat(ARGUMENT_MAX_BYTES + 1);
    let argv = start(SESSION, &long).unwrap();
    assert!(!argv.iter().any(|argument| argument == "--"), "{argv:?}");
    let argv = start(SESSION, &long[1..]).unwrap();
    assert_eq!(argv.last().map(String::as_str), Some(&long[1..]));
}

#[test]
fn budgets_are_written_exactly() {
    for (micro, text) in [
        (1, "0.000001"),
        (10_000, "0.01"),
        (12_000_000, "12"),
        (1_500_000, "1.5"),
    ] {
        assert_eq!(usd(micro), text);
    }
}

#[test]
fn the_bypass_mode_is_no_default_and_names_are_kept() {
    assert_ne!(PermissionMode::default(), PermissionMode::BypassPermissions);
    for mode in PermissionMode::ALL {
        assert_eq!(PermissionMode::of_name(mode.name()), Some(mode));
        assert_eq!(serde_json::to_value(mode).unwrap(), mode.name());
    }
    assert_eq!(
        PermissionMode::of_name("manual"),
        Some(PermissionMode::Default)
    );
    assert_eq!(PermissionMode::of_name("yolo"), None);
}

#[test]
fn a_probe_asks_the_model_that_is_closed_and_can_do_nothing() {
    let options = Options::probe(Some("opus".to_owned()));
    let probe = Start {
        session: SESSION,
        prompt: "Hello",
        options: &options,
    };
    let argv = probe.argv().unwrap().join("|");
    for part in [
        "--model|opus|",
        "--permission-mode|dontAsk|",
        "--max-turns|1|",
        "--no-session-persistence|",
        "--tools||",
    ] {
        assert!(argv.contains(part), "{part}: {argv}");
    }
}

#[test]
fn a_person_attaches_with_the_session_and_its_model() {
    let attach = |session, model| attach_argv(session, model).map(|argv| argv.join("|"));
    let argv = |argv: &str| Ok(argv.to_owned());
    assert_eq!(attach(SESSION, None), argv(&format!("--resume|{SESSION}")));
    assert_eq!(
        attach(SESSION, Some("opus")),
        argv(&format!("--resume|{SESSION}|--model|opus"))
    );
    assert!(attach("-x", None).is_err());
    assert!(attach(SESSION, Some("-x")).is_err());
}

#[test]
fn a_session_is_a_uuid_as_the_agent_writes_it() {
    assert!(is_session(SESSION));
    assert!(is_session(&SESSION.to_uppercase()));
    assert!(!is_session(&SESSION[1..]));
    assert!(!is_session(&format!("{SESSION}0")));
    for (at, _) in SESSION.char_indices() {
        let with = |letter: &str| {
            let mut session = SESSION.to_owned();
            session.replace_range(at..=at, letter);
            is_session(&session)
        };
        let is_dash = &SESSION[at..=at] == "-";
        assert_eq!((with("-"), with("0")), (is_dash, !is_dash), "{at}");
        assert!(!with("g") && !with("_"), "{at}");
    }
}

#[test]
fn a_resumption_asks_something_or_nothing_at_all() {
    let options = Options::default();
    let resume = |prompt| {
        Resume {
            session: SESSION,
            prompt,
            options: &options,
        }
        .argv()
    };
    let argv = resume(Some("go on")).unwrap();
    assert!(argv.ends_with(&["--".to_owned(), "go on".to_owned()]));
    assert_eq!(resume(Some(" ")), Err(ArgumentError::PromptEmpty.into()));
}
