use super::*;

const NAME: &str = "name = \"x\"\nprogram = \"x\"\nneeds_result = false\nstart = [\"{prompt}\"]\n";

/// The facts that these lines tell, by a file with these further lines.
fn told(file: &str, resumed: bool, lines: &[&str]) -> Facts {
    let rules = Rules::from_toml(&format!("{NAME}{file}")).unwrap();
    let mut facts = Facts::new(&rules, resumed);
    for line in lines {
        facts.line(line);
    }
    facts
}

#[test]
fn a_name_stays_until_another_one_is_told() {
    let file =
        "events = [{ when = { \"/t\" = 1 }, session = \"/s\", model = \"/m\", version = \"/v\" }]";
    let first = r#"{"t":1,"s":"a","m":"b","v":"c"}"#;
    for (second, expected) in [
        (r#"{"t":1,"s":"","m":7}"#, ["a", "b", "c"]),
        (r#"{"t":1,"s":"d","v":"e"}"#, ["d", "b", "e"]),
        (r#"{"t":2,"s":"d","m":"d","v":"d"}"#, ["a", "b", "c"]),
    ] {
        let facts = told(file, false, &[first, second]);
        let report = facts.report();
        let names = [&report.session, &report.model, &report.version];
        assert_eq!(names.map(|name| name.as_deref().unwrap()), expected);
    }
}

#[test]
fn what_was_served_stays_served() {
    let file = "events = [{ when = { \"/t\" = 1 }, served = true }, { when = { \"/t\" = 2 } }]";
    for (lines, expected) in [
        (&[r#"{"t":2}"#][..], false),
        (&[r#"{"t":1}"#], true),
        (&[r#"{"t":1}"#, r#"{"t":1}"#, r#"{"t":2}"#], true),
    ] {
        assert_eq!(told(file, false, lines).report().served, expected);
    }
}

#[test]
fn costs_are_added_or_the_largest_total_counts() {
    let cost = |file: &str, lines: &[&str]| told(file, false, lines).report().cost_micro_usd;
    let total = "events = [{ when = {\"/t\" = 1}, cost_usd = \"/c\" }]";
    let added = "events = [{ when = {\"/t\" = 1}, cost_usd = \"/c\", add = true }]";
    let (three, two) = (r#"{"t":1,"c":0.3}"#, r#"{"t":1,"c":0.2}"#);
    assert_eq!(cost(total, &[three, two]), Some(300_000));
    assert_eq!(cost(added, &[three, two]), Some(500_000));
    assert_eq!(cost(total, &[r#"{"t":1}"#]), None);
    assert_eq!(cost(total, &[three, r#"{"t":1,"c":"free"}"#]), None);
    let zero = r#"{"t":1,"c":0}"#;
    assert_eq!(cost(total, &[zero]), Some(0));
    let unknown = format!("zero_cost_is_unknown = true\n{total}");
    assert_eq!(cost(&unknown, &[zero]), None);
    assert_eq!(cost(&unknown, &[two]), Some(200_000));
}

#[test]
fn tokens_are_added_or_the_last_ones_count() {
    let tokens = |more: &str, resumed: bool, lines: &[&str]| {
        let file = format!(
            "{}events = [{{ when = {{\"/t\" = 1}}, model = \"/m\", tokens = {{ input = \"/i\", output = \"/o\", cache_read = \"/r\", cache_write = \"/w\" }}{} }}]",
            if more == "session" {
                "totals_of = \"session\"\n"
            } else {
                ""
            },
            if more == "add" { ", add = true" } else { "" },
        );
        let facts = told(&file, resumed, lines);
        let tokens: Vec<(String, [u64; 4])> = (facts.report().tokens.iter())
            .map(|(model, t)| {
                let counts = [t.input, t.output, t.cache_read, t.cache_write];
                (model.clone(), counts)
            })
            .collect();
        tokens
    };
    let first = r#"{"t":1,"i":10,"o":20,"r":30,"w":40}"#;
    let second = r#"{"t":1,"i":1,"o":2,"r":3,"w":4,"m":"m"}"#;
    let expected = |model: &str, counts| vec![(model.to_owned(), counts)];
    // Without a model's name they are the agent's.
    assert_eq!(tokens("", false, &[first]), expected("x", [10, 20, 30, 40]));
    assert_eq!(
        tokens("", false, &[first, second]),
        expected("m", [1, 2, 3, 4])
    );
    assert_eq!(
        tokens("add", false, &[first, second]),
        expected("m", [11, 22, 33, 44])
    );
    assert_eq!(tokens("", false, &[r#"{"t":1,"i":0}"#]), []);
    // Of a session's totals, a resumed run's share is unknown.
    for (more, resumed) in [("session", false), ("", true)] {
        assert_eq!(
            tokens(more, resumed, &[second]),
            expected("m", [1, 2, 3, 4])
        );
    }
    assert_eq!(tokens("session", true, &[second]), []);
}

#[test]
fn a_value_is_compared_as_what_it_is_however_it_is_written() {
    let object = |text: &str| RawValue::from_string(text.to_owned()).unwrap();
    let pointer = Pointer::parse("/a").unwrap();
    let text = || Scalar::Text("ab".to_owned());
    for (value, json, expected) in [
        (text(), r#"{"a":"ab"}"#, true),
        // The longest way to write it.
        (text(), r#"{"a":"\u0061\u0062"}"#, true),
        (text(), r#"{"a":"abc"}"#, false),
        (text(), r#"{"b":"ab"}"#, false),
        (Scalar::Bool(true), r#"{"a":true}"#, true),
        (Scalar::Bool(true), r#"{"a":false}"#, false),
        (Scalar::Bool(true), r#"{"a":"true"}"#, false),
        (Scalar::Number(7), r#"{"a":7}"#, true),
        (Scalar::Number(7), r#"{"a":8}"#, false),
    ] {
        assert_eq!(is(&pointer, &value, &object(json)), expected, "{json}");
    }
}

/// Some write the error as an object.
#[test]
fn a_text_that_is_none_is_taken_as_it_is() {
    let at = |json: &str| {
        let object = RawValue::from_string(json.to_owned()).unwrap();
        text_at(&Pointer::parse("/a").unwrap(), &object)
    };
    assert_eq!(at(r#"{"a":"x\ny"}"#).as_deref(), Some("x\ny"));
    assert_eq!(
        at(r#"{"a":{"code":429}}"#).as_deref(),
        Some(r#"{"code":429}"#)
    );
    assert_eq!(at(r#"{"b":1}"#), None);
}

#[test]
fn a_request_is_tried_again_until_something_else_is_told() {
    let file = "events = [{ when = {\"/t\" = 1}, means = \"retry\" }, { when = {\"/t\" = 2}, means = \"turn\" }]";
    let trying = |lines: &[&str]| told(file, false, lines).is_trying_again();
    let (retry, turn) = (r#"{"t":1}"#, r#"{"t":2}"#);
    assert!(!trying(&[]));
    assert!(trying(&[turn, retry]));
    assert!(!trying(&[retry, turn]));
    let report = told(file, false, &[retry, retry, turn]).report;
    assert_eq!((report.retries, report.turns), (2, 1));
}
