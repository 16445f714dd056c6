use super::*;

fn driven(line: &str) -> CommandLine {
    match read_shell(line).unwrap() {
        Reader::Driven(line) => *line,
        other @ (Reader::Other | Reader::Plain { .. }) => unreachable!("{line}: {other:?}"),
    }
}

#[test]
fn missing_flags_are_added_and_told() {
    let line = driven("claude 'fix the tests'");
    assert_eq!(line.prompt.as_deref(), Some("fix the tests"));
    assert_eq!(
        line.added,
        ["-p", "--output-format stream-json", "--verbose"]
    );
    assert!(line.left_out.is_empty());
    let line = driven("/usr/bin/claude -p --verbose --output-format=stream-json \"a \\\"b\\\"\"");
    assert_eq!(
        (line.program.as_str(), line.prompt.as_deref()),
        ("/usr/bin/claude", Some("a \"b\""))
    );
    assert!(line.added.is_empty());
    let line = driven("claude --print hi --output-format json");
    assert_eq!(line.added, ["--output-format stream-json", "--verbose"]);
    assert_eq!(line.left_out, ["--output-format json"]);
}

#[test]
fn options_are_understood() {
    let line = driven(
        "claude -p --model opus --permission-mode plan --max-turns 3 --max-budget-usd 2.50 \
         --allowedTools 'Edit,Bash(git log:*, -n)' Read --mcp-config a.json b.json --bare --effort=high -- '--odd prompt'",
    );
    assert_eq!(line.prompt.as_deref(), Some("--odd prompt"));
    assert_eq!(
        line.options,
        Options {
            model: Some("opus".to_owned()),
            permission_mode: Some(PermissionMode::Plan),
            allowed_tools: ["Edit", "Bash(git log:*, -n)", "Read"]
                .map(str::to_owned)
                .to_vec(),
            max_turns: Some(3),
            max_budget_micro_usd: Some(2_500_000),
            ephemeral: false,
            extra_args: [
                "--mcp-config",
                "a.json",
                "b.json",
                "--bare",
                "--effort=high"
            ]
            .map(str::to_owned)
            .to_vec(),
        }
    );
    let id = "1e0ee16a-a9e2-492e-a1c6-2fc3641dd333";
    assert_eq!(
        driven(&format!("claude -r {id} go on").replace("go on", "'go on'"))
            .resume
            .as_deref(),
        Some(id)
    );
    assert_eq!(
        driven(&format!("claude -p hi --session-id {id}"))
            .session
            .as_deref(),
        Some(id)
    );
    assert_eq!(driven(&format!("claude -p --resume={id}")).prompt, None);
}

/// One that may have a value has none where an option stands behind it.
#[test]
fn a_value_and_a_prompt_are_told_apart() {
    for (line, prompt, extra) in [
        ("claude -d api hi", "hi", &["-d", "api"][..]),
        ("claude -p hi --debug --bare", "hi", &["--debug", "--bare"]),
        ("claude -p hi --debug", "hi", &["--debug"]),
        (
            "claude hi --new-thing --bare",
            "hi",
            &["--new-thing", "--bare"],
        ),
        ("claude hi --new-thing", "hi", &["--new-thing"]),
        ("claude --new-thing=1 hi", "hi", &["--new-thing=1"]),
        ("claude hi -x=1", "hi", &["-x=1"]),
        // Without `code`, it is an option like any other.
        ("claude --query x hi", "hi", &["--query", "x"]),
        ("claude -p hi --input-format text", "hi", &[]),
        // By a dash alone others mean their input; here it is said.
        ("claude -p -", "-", &[]),
        ("claude -p -- hi", "hi", &[]),
    ] {
        let found = driven(line);
        assert_eq!(found.prompt.as_deref(), Some(prompt), "{line}");
        assert_eq!(found.options.extra_args, extra, "{line}");
    }
}

#[test]
fn tools_are_told_apart_outside_of_parentheses() {
    for (flags, expected) in [
        (
            "--allowedTools 'Bash(a b, c) Edit,Read'",
            &["Bash(a b, c)", "Edit", "Read"][..],
        ),
        ("--allowed-tools 'A((x y) z) B'", &["A((x y) z)", "B"]),
        ("--allowedTools 'A)' 'B C'", &["A)", "B", "C"]),
        ("--allowedTools A --allowedTools B", &["A", "B"]),
    ] {
        let found = driven(&format!("claude hi {flags}"));
        assert_eq!(found.options.allowed_tools, expected, "{flags}");
    }
}

#[test]
fn budgets_and_modes_are_taken_as_they_are_written() {
    let options = |flags: &str| driven(&format!("claude hi {flags}")).options;
    for (usd, micro) in [("0.000001", 1), ("1000000000", 1_000_000_000_000_000)] {
        let found = options(&format!("--max-budget-usd {usd}"));
        assert_eq!(found.max_budget_micro_usd, Some(micro), "{usd}");
    }
    assert_eq!(
        options("--dangerously-skip-permissions").permission_mode,
        Some(PermissionMode::BypassPermissions)
    );
}

#[test]
fn the_longest_line_is_read_and_a_longer_one_refused() {
    let line = |bytes: usize| {
        let spaces = " ".repeat(bytes - "claudehi".len());
        read_shell(&format!("claude{spaces}hi"))
    };
    // No task has a longer one.
    let longest_of_a_task = argument::ARGUMENT_MAX_BYTES;
    assert!(matches!(line(longest_of_a_task), Ok(Reader::Driven(_))));
    assert!(matches!(line(LINE_MAX_BYTES), Ok(Reader::Driven(_))));
    let bytes = LINE_MAX_BYTES + 1;
    assert_eq!(line(bytes), Err(LineError::TooLong { bytes }));
}

#[test]
fn the_older_form_is_a_prompt() {
    let line = driven("claude code --query 'Help me refactor this code'");
    assert_eq!(line.prompt.as_deref(), Some("Help me refactor this code"));
    assert!(line.options.extra_args.is_empty());
    assert_eq!(
        driven("claude code 'do it'").prompt.as_deref(),
        Some("do it")
    );
}

#[test]
fn what_is_no_run_of_an_agent_is_told_apart() {
    for line in [
        "",
        "ls",
        "claudette -p hi",
        "X=1 claude -p hi",
        "echo claude",
    ] {
        assert_eq!(read_shell(line).unwrap(), Reader::Other, "{line}");
    }
    for line in [
        "claude mcp list",
        "claude doctor",
        "claude --version",
        "claude -p hi | tee log",
        "claude -p \"$PROMPT\"",
        "claude -p hi > out",
        "claude --bg 'x'",
        "claude --cloud 'x'",
        "claude -p --input-format stream-json",
        "claude -p --input-format=stream-json",
        "claude -p -h hi",
        "claude -p --desktop hi",
    ] {
        assert!(
            matches!(read_shell(line).unwrap(), Reader::Plain { .. }),
            "{line}"
        );
    }
    // Behind `--` everything is a prompt.
    assert_eq!(
        driven("claude -p -- --version").prompt.as_deref(),
        Some("--version")
    );
    assert_eq!(
        driven("claude -p -- doctor").prompt.as_deref(),
        Some("doctor")
    );
}

#[test]
fn what_would_not_do_what_it_says_is_refused() {
    for (line, part) in [
        ("claude", "no prompt"),
        ("claude -p", "no prompt"),
        ("claude -p ''", "prompt is empty"),
        ("claude -p fix the tests", "quote the whole prompt"),
        ("claude -p --allowedTools Edit 'do it'", "no prompt"),
        ("claude -p hi --model", "--model has no value"),
        ("claude -p --new-thing hi", "write --new-thing=VALUE"),
        ("claude -p hi -c", "--resume ID"),
        (
            "claude -p hi --resume last",
            "\"last\" is no value of --resume: the id of a session",
        ),
        ("claude -p hi --resume", "the id of a session"),
        ("claude -p hi --continue", "--continue goes on"),
        // Whether it is `-x` with a value is the agent's to say.
        ("claude -p -x=1 hi", "-x=1 is not known"),
        ("claude -p hi --permission-mode yolo", "acceptEdits"),
        ("claude -p hi --max-turns many", "whole number"),
        ("claude -p hi --max-budget-usd 0", "US dollars"),
        ("claude -p hi --max-budget-usd 0.0000001", "US dollars"),
        ("claude -p hi --max-budget-usd 1000000001", "US dollars"),
        ("claude -p 'hi", "not closed"),
        ("claude -p hi --session-id x", "a UUID"),
        ("claude -p hi --fork-session", "auto-claude itself"),
    ] {
        let error = read_shell(line).unwrap_err().to_string();
        assert!(error.contains(part), "{line}: {error}");
    }
}

proptest::proptest! {
    #[test]
    fn any_line_is_read(line in "claude[ -]{0,3}[a-z\"'\\\\$= -]{0,40}") {
        let _ = read_shell(&line);
    }
}
