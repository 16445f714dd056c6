use super::*;

/// What is wrong with a description of these lines.
fn problems(lines: &str) -> Vec<String> {
    let needed = "name = \"x\"\nprogram = \"x\"\nneeds_result = false\nstart = [\"{prompt}\"]\n";
    // A line of the test's takes the place of a needed one.
    let keys: Vec<&str> = lines
        .lines()
        .filter_map(|line| line.split(' ').next())
        .collect();
    let needed = needed
        .lines()
        .filter(|line| !keys.iter().any(|key| line.starts_with(key)));
    let text = needed.chain(lines.lines()).collect::<Vec<_>>().join("\n");
    let rules: Rules = toml::from_str(&text).unwrap_or_else(|error| unreachable!("{error}"));
    rules.check().iter().map(ToString::to_string).collect()
}

#[test]
fn what_can_work_is_taken() {
    for lines in [
        "",
        "name = \"a-b_9\"",
        "prompt_by_input = \"-\"",
        "idle_seconds = 1",
        "env = { A = \"\" }\nunset = [\"B\"]\nconfig_dir = \"C\"",
        "tried = { oldest = \"1.0.0\", newest = \"1.0.0\" }",
        "tried = { oldest = \"1.0.0\", newest = \"1.0.1\" }",
        "login = { check = [\"a\"], run = [\"b\"], variables = [\"C\"], none = \"d\" }",
        "attach = [\"{session}\"]",
        "start = [\"{prompt}\", \"{}\", \"{Model}\", \"{a b}\", \"{\\\"x\\\": 1}\", \"{open\"]",
        "start = [\"{prompt}\", [\"{model}\", \"{session}\"]]",
        "exit = { 0 = \"error\", 255 = \"login\" }",
        "events = [{ when = { \"/a\" = 1 }, means = \"tool_deferred\" }]",
        "errors = [{ pattern = \"a\", means = \"network\" }]",
    ] {
        assert_eq!(problems(lines), [""; 0], "{lines}");
    }
}

#[test]
fn what_cannot_work_is_told_with_its_place() {
    for (lines, place) in [
        ("name = \"\"", "name: "),
        ("name = \"aB\"", "name: "),
        ("name = \"a b\"", "name: "),
        ("program = \" \"", "program: "),
        ("program = \"a\\u0000\"", "program: "),
        ("prompt_by_input = \"{prompt}\"", "prompt_by_input: "),
        ("prompt_by_input = \"\\u0000\"", "prompt_by_input: "),
        ("idle_seconds = 0", "idle_seconds: "),
        ("env = { \"A=B\" = \"\" }", "env.A=B: "),
        ("env = { \"\" = \"\" }", "env.: "),
        ("env = { A = \"\\u0000\" }", "env.A: "),
        ("unset = [\"A\", \"B\\u0000\"]", "unset[1]: "),
        ("config_dir = \"A=B\"", "config_dir: "),
        (
            "tried = { oldest = \"1.0.1\", newest = \"1.0.0\" }",
            "tried: ",
        ),
        (
            "login = { variables = [\"A\", \"\"] }",
            "login.variables[1]: ",
        ),
        ("login = { none = \"(\" }", "login.none: "),
        ("login = { check = [\"\\u0000\"] }", "login: "),
        ("login = { run = [\"\\u0000\"] }", "login: "),
        ("resume = [\"{prompt}\"]", "resume: {session} is missing"),
        ("resume = [\"{session}\"]", "resume: {prompt} is missing"),
        ("attach = [\"x\"]", "attach: {session} is missing"),
        // A part that may be left out is no place for what is needed.
        ("start = [[\"{prompt}\"]]", "start: {prompt} is missing"),
        (
            "start = [\"{prompt}\", \"a{of_day}\"]",
            "start[1]: {of_day} is not known",
        ),
        (
            "start = [\"{prompt}\", \"{}{day}\"]",
            "start[1]: {day} is not known",
        ),
        ("start = [\"{prompt}\", [\"x\", \"\\u0000\"]]", "start[1]: "),
        ("exit = { 256 = \"error\" }", "exit.256: "),
        ("exit = { one = \"error\" }", "exit.one: "),
        ("exit = { 1 = \"success\" }", "exit.1: "),
        ("exit = { 1 = \"tool_deferred\" }", "exit.1: "),
        ("exit = { 1 = \"retry\" }", "exit.1: "),
        (
            "stderr = [{ pattern = \"a\", means = \"denied\" }]",
            "stderr[0].means: ",
        ),
        (
            "errors = [{ pattern = \"a\", means = \"success\" }]",
            "errors[0].means: ",
        ),
        ("events = [{ when = {} }]", "events[0].when: "),
        ("needs_result = true", "events: none means \"success\""),
    ] {
        let found = problems(lines);
        assert_eq!(found.len(), 1, "{lines}: {found:?}");
        assert!(found[0].starts_with(place), "{lines}: {found:?}");
    }
}

/// docs/agent-files.md names both bounds.
#[test]
fn a_list_has_64_entries_and_an_argument_4096_bytes() {
    for (place, list) in [
        ("start", "start = [\"{prompt}\", LESS\"x\"]"),
        ("start[1]", "start = [\"{prompt}\", [ENTRIES]]"),
        ("resume", "resume = [\"{prompt} {session}\", LESS\"x\"]"),
        ("attach", "attach = [\"{session}\", LESS\"x\"]"),
        ("unset", "unset = [ENTRIES]"),
        ("version_args", "version_args = [ENTRIES]"),
        ("failed_text", "failed_text = [ENTRIES]"),
        ("login.check", "login = { check = [ENTRIES] }"),
        ("login.run", "login = { run = [ENTRIES], check = [\"x\"] }"),
        ("login.variables", "login = { variables = [ENTRIES] }"),
    ] {
        let of = |entries: usize| {
            let less = "\"x\",".repeat(entries - 2);
            let lines = list.replace("LESS", &less);
            problems(&lines.replace("ENTRIES", &"\"x\",".repeat(entries)))
        };
        assert_eq!(of(64), [""; 0], "{place}");
        assert_eq!(of(65), [format!("{place}: 65 entries; 64 are taken")]);
    }
    let argument = |bytes| {
        problems(&format!(
            "version_args = []\nstart = [\"{{prompt}}{}\"]",
            "x".repeat(bytes - "{prompt}".len())
        ))
    };
    assert_eq!(argument(4096), [""; 0]);
    assert_eq!(argument(4097).len(), 1);
}
