use super::*;
use std::collections::BTreeMap;

use crate::task::{Place, SpecError};

/// A mebibyte: what the pages promise for a prompt, for all arguments and for all variables.
const MIB: usize = 1_048_576;

fn prompt() -> Prompt {
    Prompt::of("hi".to_owned(), "claude".to_owned(), "work".to_owned())
}

/// The field that is refused, and why, after this change.
fn refused(change: impl FnOnce(&mut Prompt)) -> (&'static str, String) {
    let mut prompt = prompt();
    change(&mut prompt);
    let SpecError { field, problem } = prompt.check().expect_err("out of range");
    (field, problem)
}

fn accepted(change: impl FnOnce(&mut Prompt)) {
    let mut prompt = prompt();
    change(&mut prompt);
    prompt.check().expect("in range");
}

fn place(agent: &str, account: &str) -> Place {
    Place {
        agent: agent.to_owned(),
        account: account.to_owned(),
        model: None,
    }
}

#[test]
fn a_prompt_passes_at_its_bounds_and_is_refused_beyond_them() {
    accepted(|_| {});
    accepted(|prompt| prompt.prompt = "x".repeat(MIB));
    accepted(|prompt| prompt.args = vec!["-v".to_owned(); Prompt::ARGS_MAX]);
    accepted(|prompt| prompt.model = Some("m".repeat(Prompt::NAME_MAX_CHARS)));
    accepted(|prompt| prompt.budget_tokens = Some(1));
    let beyond = [
        refused(|prompt| prompt.prompt = " \n".to_owned()),
        refused(|prompt| prompt.prompt = "a\0".to_owned()),
        refused(|prompt| prompt.prompt = "x".repeat(MIB + 1)),
        refused(|prompt| prompt.args = vec!["-v".to_owned(); Prompt::ARGS_MAX + 1]),
        refused(|prompt| prompt.args = vec!["a\0".to_owned()]),
        refused(|prompt| prompt.model = Some("m".repeat(Prompt::NAME_MAX_CHARS + 1))),
        refused(|prompt| prompt.model = Some("--yolo".to_owned())),
        refused(|prompt| prompt.model = Some(String::new())),
        refused(|prompt| prompt.budget_tokens = Some(0)),
    ];
    let fields = [
        "prompt", "prompt", "prompt", "args", "args", "model", "model", "model", "budget",
    ];
    assert_eq!(beyond.map(|(field, _)| field), fields);
}

#[test]
fn agents_and_accounts_have_plain_names() {
    for good in [
        "c",
        "7",
        "Claude-code_2.1",
        &"a".repeat(Prompt::NAME_MAX_CHARS),
    ] {
        accepted(|prompt| prompt.agent = good.to_owned());
        accepted(|prompt| prompt.account = good.to_owned());
        accepted(|prompt| prompt.fallback = vec![place(good, good)]);
    }
    let long = "a".repeat(Prompt::NAME_MAX_CHARS + 1);
    for bad in ["", "-c", "_c", ".", "a/b", "a b", "ä", &long] {
        let field = |change: fn(&mut Prompt, String)| refused(|p| change(p, bad.to_owned())).0;
        assert_eq!(field(|prompt, name| prompt.agent = name), "agent");
        assert_eq!(field(|prompt, name| prompt.account = name), "account");
        assert_eq!(
            field(|prompt, name| prompt.fallback = vec![place(&name, "own")]),
            "fallback"
        );
        assert_eq!(
            field(|prompt, name| prompt.fallback = vec![place("claude", &name)]),
            "fallback"
        );
    }
}

#[test]
fn a_task_that_goes_elsewhere_never_comes_back() {
    let places = |count: usize| {
        let names = (0..count).map(|n| format!("account-{n}"));
        names.map(|name| place("claude", &name)).collect::<Vec<_>>()
    };
    accepted(|prompt| prompt.fallback = places(Prompt::FALLBACKS_MAX));
    // The same account of another agent is another place.
    accepted(|prompt| prompt.fallback = vec![place("codex", "work"), place("claude", "own")]);
    let refusals = [
        refused(|prompt| prompt.fallback = places(Prompt::FALLBACKS_MAX + 1)),
        refused(|prompt| prompt.fallback = vec![place("claude", "work")]),
        refused(|prompt| prompt.fallback = vec![place("claude", "own"), place("claude", "own")]),
    ];
    assert!(refusals.iter().all(|(field, _)| *field == "fallback"));
}

#[test]
fn chunks_need_a_place_in_the_prompt_and_fit_it_with_all_their_places() {
    let heavy = |prompt: &mut Prompt, text: &str, chunks: Vec<String>| {
        prompt.prompt = text.to_owned();
        prompt.chunks = chunks;
    };
    let most = vec!["c".to_owned(); Prompt::CHUNKS_MAX];
    accepted(|prompt| heavy(prompt, "do {chunk}", most.clone()));
    // Without chunks the place is plain text.
    accepted(|prompt| heavy(prompt, "do {chunk}", Vec::new()));
    let too_many = vec!["c".to_owned(); Prompt::CHUNKS_MAX + 1];
    assert_eq!(refused(|p| heavy(p, "do {chunk}", too_many)).0, "chunks");
    assert_eq!(
        refused(|p| heavy(p, "do it", vec!["c".to_owned()])).0,
        "prompt"
    );
    let with_nul = vec!["c".to_owned(), "\0".to_owned()];
    assert_eq!(refused(|p| heavy(p, "do {chunk}", with_nul)).0, "chunks");

    // Together they may be as long as all arguments, each as long as leaves the prompt in its bounds in every place.
    let half = "c".repeat(ARGS_MAX_BYTES / 2);
    accepted(|prompt| heavy(prompt, "{chunk}", vec![half.clone(); 2]));
    let three = vec![half.clone(), half.clone(), "c".to_owned()];
    assert_eq!(refused(|p| heavy(p, "{chunk}", three)).0, "chunks");
    let places_bytes = 2 * Prompt::CHUNK.len();
    let fitting = "c".repeat((Prompt::PROMPT_MAX_BYTES - places_bytes) / 2);
    accepted(|prompt| heavy(prompt, "{chunk}{chunk}", vec![fitting.clone()]));
    let (field, problem) = refused(|p| heavy(p, "{chunk}{chunk}", vec![half, "c".to_owned()]));
    assert_eq!(field, "prompt");
    assert!(problem.contains("with its longest chunk"), "{problem}");
}

fn spec() -> TaskSpec {
    TaskSpec::of("build", Command::Line("make".to_owned()), "/srv".into())
}

/// Which field is refused after this change, if any.
fn field_refused(change: impl FnOnce(&mut TaskSpec)) -> Option<&'static str> {
    let mut spec = spec();
    change(&mut spec);
    spec.check().err().map(|error| error.field)
}

/// `count` texts that have `bytes` bytes together, as even as may be.
fn texts(count: usize, bytes: usize) -> Vec<String> {
    let text = |n: usize| "x".repeat(bytes / count + usize::from(n < bytes % count));
    (0..count).map(text).collect()
}

#[test]
fn arguments_count_with_their_ends_and_pass_up_to_a_mebibyte() {
    const COUNT: usize = 16;
    let argv = |bytes| Command::Argv(texts(COUNT, bytes));
    assert_eq!(field_refused(|spec| spec.command = argv(MIB - COUNT)), None);
    let beyond = field_refused(|spec| spec.command = argv(MIB - COUNT + 1));
    assert_eq!(beyond, Some("command"));
}

#[test]
fn variables_count_with_their_names_and_pass_up_to_a_mebibyte() {
    // A name, the character between, a value.
    let variables = |count: usize, bytes: usize| {
        let values = texts(count, bytes - count * "v00=".len());
        let named = values.into_iter().enumerate();
        named
            .map(|(n, value)| (format!("v{n:02}"), value))
            .collect::<BTreeMap<_, _>>()
    };
    assert_eq!(field_refused(|spec| spec.env = variables(16, MIB)), None);
    assert_eq!(
        field_refused(|spec| spec.env = variables(16, MIB + 1)),
        Some("env")
    );
    assert_eq!(
        field_refused(|spec| spec.env = variables(1, ARG_MAX_BYTES)),
        None
    );
    assert_eq!(
        field_refused(|spec| spec.env = variables(1, ARG_MAX_BYTES + 1)),
        Some("env")
    );
}

#[test]
fn secrets_come_from_plain_names_and_are_not_too_many() {
    let named = |count: usize, source: SecretRef| {
        let names = (0..count).map(|n| format!("KEY_{n}"));
        names
            .map(|name| (name, source.clone()))
            .collect::<BTreeMap<_, _>>()
    };
    for id in ["key", "a.b", "...", "key.d"] {
        let source = SecretRef::Credential(id.to_owned());
        assert_eq!(
            field_refused(|spec| spec.secrets = named(1, source)),
            None,
            "{id}"
        );
    }
    for id in [".", "..", "a/b", "", "a\n"] {
        let source = SecretRef::Credential(id.to_owned());
        let refused = field_refused(|spec| spec.secrets = named(1, source));
        assert_eq!(refused, Some("secrets"), "{id:?}");
    }
    let source = SecretRef::Env("KEY".to_owned());
    let most = named(SECRETS_MAX, source.clone());
    assert_eq!(field_refused(|spec| spec.secrets = most), None);
    let more = named(SECRETS_MAX + 1, source);
    assert_eq!(field_refused(|spec| spec.secrets = more), Some("secrets"));
}

#[test]
fn lists_and_texts_pass_at_their_bounds_and_are_refused_beyond_them() {
    let after = |count| vec![crate::task::TaskId::from_random(0); count];
    assert_eq!(field_refused(|spec| spec.after = after(AFTER_MAX)), None);
    assert_eq!(
        field_refused(|spec| spec.after = after(AFTER_MAX + 1)),
        Some("after")
    );
    let on = |count| vec![RetryOn::Any; count];
    assert_eq!(field_refused(|spec| spec.retry_on = on(RETRY_ON_MAX)), None);
    assert_eq!(
        field_refused(|spec| spec.retry_on = on(RETRY_ON_MAX + 1)),
        Some("retry_on")
    );
    let notify = |line: &str| field_refused(|spec| spec.notify = Some(line.to_owned()));
    assert_eq!(notify(&"x".repeat(NOTIFY_MAX_BYTES)), None);
    for line in ["", " \n", "a\0", &"x".repeat(NOTIFY_MAX_BYTES + 1)] {
        assert_eq!(notify(line), Some("notify"), "{} bytes", line.len());
    }
    let path = |bytes: usize| format!("/{}", "x".repeat(bytes - 1)).into();
    assert_eq!(field_refused(|spec| spec.cwd = path(PATH_MAX_BYTES)), None);
    assert_eq!(
        field_refused(|spec| spec.cwd = path(PATH_MAX_BYTES + 1)),
        Some("cwd")
    );
}
