//! Who has gone to bed is told of what only a person can mend, and what all has cost.

use std::collections::BTreeMap;

use serde_json::json;

use crate::kit::Evening;
use crate::messages_api::account::Login;
use crate::messages_api::answer::Answer;

#[test]
fn a_person_is_told_of_questions_dead_logins_and_costs() {
    let Some(evening) = Evening::new("notices of agents", "num_workers = 3\n") else {
        return;
    };
    let [good, dead] = ["good", "dead"].map(|name| evening.account(name));
    dead.change(|state| state.login = Login::Invalid);
    good.when(
        "denied",
        [
            Answer::tool(
                "WebFetch",
                json!({"url": "http://127.0.0.1:9/", "prompt": "x"}),
            ),
            Answer::text("I could not."),
        ],
    );
    let heard = evening.project("heard");
    let teller = format!(
        "env > {0}/$$.new && mv {0}/$$.new {0}/$AUTO_CLAUDE_TASK_NAME.$AUTO_CLAUDE_NOTICE",
        heard.display()
    );
    for (account, name) in [(&good, "plain"), (&good, "denied"), (&dead, "dead")] {
        evening.ask(account, name, json!({"notify": teller}));
    }
    let told = |name: &str| -> BTreeMap<String, String> {
        let text = evening.world.wait_for(&format!("{name} was told"), |_| {
            std::fs::read_to_string(heard.join(name)).ok()
        });
        let lines = text.lines().filter_map(|line| line.split_once('='));
        lines
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect()
    };
    let plain = told("plain.final");
    assert_eq!(plain["AUTO_CLAUDE_TASK_OUTCOME"], "succeeded");
    let cost: f64 = plain["AUTO_CLAUDE_TASK_COST_USD"].parse().unwrap();
    assert!(cost > 0.0, "{plain:?}");
    let denied = told("denied.waits");
    assert_eq!(
        (
            denied["AUTO_CLAUDE_TASK_STATE"].as_str(),
            denied["AUTO_CLAUDE_TASK_OUTCOME"].as_str()
        ),
        ("needs_human_review", "tools_denied")
    );
    let login = told("dead.waits");
    assert_eq!(
        (
            login["AUTO_CLAUDE_TASK_STATE"].as_str(),
            login["AUTO_CLAUDE_TASK_OUTCOME"].as_str()
        ),
        ("waiting_unban", "limited")
    );
}
