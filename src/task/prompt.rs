//! What an agent is asked, and the gate at which that waits.

use serde::{Deserialize, Serialize};

use crate::budget::Budget;

/// What an agent is asked. Everything that settings decide is decided at the submission and stands here, so that a task
/// says the same tomorrow.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Prompt {
    /// What is asked, 1..=1,048,576 bytes; with `chunks`, a template in which `{chunk}` stands for each of them.
    pub prompt: String,
    /// Which agent, as in `taskctl agent list`.
    #[serde(default = "Prompt::default_agent")]
    pub agent: String,
    /// On which account.
    #[serde(default = "Prompt::default_account")]
    pub account: String,
    /// Where it goes on, in this order, when it would wait too long for that account.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fallback: Vec<Place>,
    /// Which model; `None` = the agent's own choice.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Who chose the model.
    #[serde(default)]
    pub model_from: ModelFrom,
    /// Heavy tasks: what the prompt is asked for, one after the other, each in a run of its own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub chunks: Vec<String>,
    /// Further arguments of the agent's program, before the prompt.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub args: Vec<String>,
    /// The agent's program, where the submitter named one by its path; `None` = the setting.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub program: Option<String>,
    /// What was added to a command line of the agent that the submitter wrote.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub added: Vec<String>,
    /// What of that command line is left out, because it contradicts what was added.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub left_out: Vec<String>,
    /// What the task may cost, in millionths of a US dollar; `None` = no limit of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub budget_micro_usd: Option<u64>,
    /// How many tokens of all kinds it may use; `None` = no limit of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub budget_tokens: Option<u64>,
    /// How long all its attempts may run together, in milliseconds; `None` = no limit of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub budget_run_ms: Option<u64>,
}

/// Where a prompt is asked: which agent, on which account, with which model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Place {
    /// The agent.
    pub agent: String,
    /// The account.
    pub account: String,
    /// The model; `None` = the agent's own choice.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.agent, self.account)
    }
}

/// Who chose a task's model.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ModelFrom {
    /// Nobody: the agent does.
    #[default]
    Agent,
    /// The setting for the task's type.
    Setting,
    /// The submitter.
    Submitter,
}

impl Prompt {
    /// A prompt for an agent on an account, and nothing beside it.
    #[must_use]
    pub fn of(prompt: String, agent: String, account: String) -> Self {
        Self {
            prompt,
            agent,
            account,
            fallback: Vec::new(),
            model: None,
            model_from: ModelFrom::default(),
            chunks: Vec::new(),
            args: Vec::new(),
            program: None,
            added: Vec::new(),
            left_out: Vec::new(),
            budget_micro_usd: None,
            budget_tokens: None,
            budget_run_ms: None,
        }
    }

    /// What the task may use up.
    #[must_use]
    pub const fn budget(&self) -> Budget {
        Budget {
            micro_usd: self.budget_micro_usd,
            tokens: self.budget_tokens,
            run_ms: self.budget_run_ms,
        }
    }

    /// Gives it another budget.
    pub const fn set_budget(&mut self, budget: Budget) {
        self.budget_micro_usd = budget.micro_usd;
        self.budget_tokens = budget.tokens;
        self.budget_run_ms = budget.run_ms;
    }

    /// The agent of a prompt that names none.
    pub const DEFAULT_AGENT: &'static str = "claude";
    /// Exclusive keys of directories begin so: at most one task of an agent works in one at a time.
    pub const LANE_OF_DIRECTORY: &'static str = "dir:";
    /// The account of a prompt that names none: the agent's own login.
    pub const DEFAULT_ACCOUNT: &'static str = "default";
    /// What stands for the chunk in a template.
    pub const CHUNK: &'static str = "{chunk}";

    fn default_agent() -> String {
        Self::DEFAULT_AGENT.to_owned()
    }

    fn default_account() -> String {
        Self::DEFAULT_ACCOUNT.to_owned()
    }

    /// What is asked for chunk number `chunk`, from 0; the whole prompt where there are none.
    #[must_use]
    pub fn text_for(&self, chunk: u32) -> String {
        match self.chunks.get(chunk as usize) {
            Some(text) => self.prompt.replace(Self::CHUNK, text),
            None => self.prompt.clone(),
        }
    }

    /// Where it is asked first.
    #[must_use]
    pub fn place(&self) -> Place {
        Place {
            agent: self.agent.clone(),
            account: self.account.clone(),
            model: self.model.clone(),
        }
    }

    /// The same prompt, asked elsewhere. What was meant for its own agent's program is not handed to another one.
    #[must_use]
    pub fn at(&self, place: &Place) -> Self {
        let mut there = self.clone();
        if place.agent != self.agent {
            there.args.clear();
            there.added.clear();
            there.left_out.clear();
            there.program = None;
        }
        if place.model != self.model {
            there.model_from = if place.model.is_some() {
                ModelFrom::Setting
            } else {
                ModelFrom::Agent
            };
        }
        there.agent.clone_from(&place.agent);
        there.account.clone_from(&place.account);
        there.model.clone_from(&place.model);
        there
    }

    /// What the queue knows it by before it has moved: tasks with the same gate wait for the same holds.
    #[must_use]
    pub fn gate(&self) -> Gate {
        Gate::of(&self.place(), !self.fallback.is_empty())
    }
}

/// What a task needs before it may start: an account that is open for a model.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Gate {
    /// The agent.
    pub agent: String,
    /// The account.
    pub account: String,
    /// The model, when one is pinned.
    pub model: Option<String>,
    /// There is another place where its tasks may go on.
    pub has_way_out: bool,
}

/// Ends the key of a gate whose tasks may go on elsewhere. No name of a model has it.
const WAY_OUT: char = '\u{1}';

impl Gate {
    /// The gate of a place.
    #[must_use]
    pub fn of(place: &Place, has_way_out: bool) -> Self {
        Self {
            agent: place.agent.clone(),
            account: place.account.clone(),
            model: place.model.clone(),
            has_way_out,
        }
    }

    /// As one text, for the store. Agents and accounts have plain names without `/`.
    #[must_use]
    pub fn key(&self) -> String {
        let model = self.model.as_deref().unwrap_or_default();
        let mut key = format!("{}/{}/{model}", self.agent, self.account);
        key.extend(self.has_way_out.then_some(WAY_OUT));
        key
    }

    /// Back from the text; `None` when it is none.
    #[must_use]
    pub fn from_key(key: &str) -> Option<Self> {
        let whole = key.strip_suffix(WAY_OUT);
        let mut parts = whole.unwrap_or(key).splitn(3, '/').map(str::to_owned);
        Some(Self {
            agent: parts.next().filter(|part| !part.is_empty())?,
            account: parts.next().filter(|part| !part.is_empty())?,
            model: Some(parts.next()?).filter(|part| !part.is_empty()),
            has_way_out: whole.is_some(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gate_comes_back_from_its_key() {
        for model in [None, Some("opus"), Some("openai/gpt-5")] {
            for has_way_out in [false, true] {
                let place = Place {
                    agent: "claude".to_owned(),
                    account: "work".to_owned(),
                    model: model.map(str::to_owned),
                };
                let gate = Gate::of(&place, has_way_out);
                assert_eq!(Gate::from_key(&gate.key()), Some(gate));
            }
        }
        assert_eq!(Gate::from_key("claude"), None);
    }

    #[test]
    fn another_agent_gets_nothing_that_was_meant_for_the_first() {
        let mut prompt = Prompt::of("hi".to_owned(), "claude".to_owned(), "work".to_owned());
        prompt.args = vec!["--max-turns".to_owned(), "3".to_owned()];
        prompt.program = Some("/opt/claude".to_owned());
        prompt.model = Some("opus".to_owned());
        prompt.model_from = ModelFrom::Submitter;
        let other = Place {
            account: "own".to_owned(),
            ..prompt.place()
        };
        let there = prompt.at(&other);
        assert_eq!((there.account.as_str(), &there.args), ("own", &prompt.args));
        assert_eq!(there.model_from, ModelFrom::Submitter);
        let codex = Place {
            agent: "codex".to_owned(),
            account: "default".to_owned(),
            model: None,
        };
        let there = prompt.at(&codex);
        assert_eq!(
            (there.args.len(), &there.program, &there.model),
            (0, &None, &None)
        );
        assert_eq!(
            (there.prompt.as_str(), there.model_from),
            ("hi", ModelFrom::Agent)
        );
    }

    #[test]
    fn a_prompt_that_names_nothing_asks_the_default_agent_on_its_own_login() {
        let prompt: Prompt = serde_json::from_str(r#"{"prompt":"hi"}"#).expect("a prompt");
        let wanted = Prompt::of("hi".to_owned(), "claude".to_owned(), "default".to_owned());
        assert_eq!(prompt, wanted);
        assert_eq!(prompt.place().to_string(), "claude/default");
    }

    #[test]
    fn each_chunk_takes_every_place_in_the_prompt() {
        let mut prompt = Prompt::of(
            "a {chunk}, b {chunk}".to_owned(),
            String::new(),
            String::new(),
        );
        assert_eq!(prompt.text_for(0), prompt.prompt);
        prompt.chunks = vec!["1".to_owned(), "2".to_owned()];
        assert_eq!(prompt.text_for(1), "a 2, b 2");
    }

    #[test]
    fn a_budget_comes_back_from_its_prompt_and_limits_only_what_it_says() {
        let mut prompt = Prompt::of("hi".to_owned(), "claude".to_owned(), "work".to_owned());
        assert!(prompt.budget().is_none());
        let budget = Budget {
            micro_usd: Some(20_000),
            tokens: None,
            run_ms: Some(5_000),
        };
        prompt.set_budget(budget);
        assert_eq!(prompt.budget(), budget);
    }

    #[test]
    fn a_prompt_with_fallbacks_waits_at_another_gate() {
        let mut prompt = Prompt::of("hi".to_owned(), "claude".to_owned(), "work".to_owned());
        assert!(!prompt.gate().has_way_out);
        let without = prompt.gate().key();
        prompt.fallback = vec![prompt.place()];
        assert!(prompt.gate().has_way_out);
        assert_ne!(prompt.gate().key(), without);
    }
}
