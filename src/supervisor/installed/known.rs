//! The agents that are known, before any program is asked.

use crate::agent::claude::installed as claude;
use crate::agent::rules::Rules;
use crate::agent::{Login, Tried};
use crate::config::Settings;
use crate::supervisor::agents::{Agent, SHIPPED, described};
use crate::task::Prompt;

/// What is known of an agent before its program is asked.
pub(super) struct Known {
    /// Its name; of a description that cannot be read, the file's.
    pub(super) name: String,
    /// Where it is described.
    pub(super) described_by: String,
    /// The agent, or what is wrong with its description.
    pub(super) agent: Result<Agent, String>,
}

impl Known {
    /// The program that is looked for.
    pub(super) fn program(&self, settings: &Settings) -> String {
        match &self.agent {
            Ok(Agent::Claude) => settings.claude_cli_command.clone(),
            Ok(Agent::Described(rules)) => rules.program.clone(),
            Err(_) => String::new(),
        }
    }

    /// Its description, unless it is built in.
    pub(super) fn rules(&self) -> Option<&Rules> {
        match &self.agent {
            Ok(Agent::Described(rules)) => Some(rules),
            Ok(Agent::Claude) | Err(_) => None,
        }
    }

    /// Whether it is the built-in one.
    pub(super) fn is_claude(&self) -> bool {
        matches!(self.agent, Ok(Agent::Claude))
    }

    /// How it tells its version.
    pub(super) fn version_args(&self) -> Vec<String> {
        match self.rules() {
            Some(rules) => rules.version_args.clone(),
            None => claude::VERSION_ARGS.map(str::to_owned).to_vec(),
        }
    }

    /// The versions that were tried.
    pub(super) fn tried(&self) -> Option<Tried> {
        self.rules()
            .map_or(Some(claude::TRIED), |rules| rules.tried)
            .filter(|_| self.agent.is_ok())
    }

    /// How its login is looked at and made.
    pub(super) fn login(&self) -> Option<Login> {
        match &self.agent {
            Ok(Agent::Claude) => Some(claude::login()),
            Ok(Agent::Described(rules)) => rules.login.clone(),
            Err(_) => None,
        }
    }

    /// The variable that names its configuration directory.
    pub(super) fn config_dir(&self) -> Option<String> {
        match &self.agent {
            Ok(Agent::Claude) => Some(claude::CONFIG_DIR.to_owned()),
            Ok(Agent::Described(rules)) => rules.config_dir.clone(),
            Err(_) => None,
        }
    }
}

/// All agents that are known: the built-in one, those of the settings, those that come with the program and are not
/// described anew.
pub(super) fn known(settings: &Settings) -> Vec<Known> {
    let mut all = vec![Known {
        name: Prompt::DEFAULT_AGENT.to_owned(),
        described_by: "built_in".to_owned(),
        agent: Ok(Agent::Claude),
    }];
    for path in &settings.agent_files {
        all.push(match described(path) {
            Ok(rules) => Known {
                name: rules.name.clone(),
                described_by: path.clone(),
                agent: Ok(Agent::Described(Box::new(rules))),
            },
            Err(why) => Known {
                name: path.clone(),
                described_by: path.clone(),
                agent: Err(why),
            },
        });
    }
    for text in SHIPPED {
        // Checked by a test: what is shipped can be read.
        let Ok(rules) = Rules::from_toml(text) else {
            continue;
        };
        if all.iter().all(|other| other.name != rules.name) {
            all.push(Known {
                name: rules.name.clone(),
                described_by: "shipped".to_owned(),
                agent: Ok(Agent::Described(Box::new(rules))),
            });
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn every_agent_is_known_once_and_a_file_goes_before_what_is_shipped() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("mine.toml");
        let text = std::fs::read_to_string(
            Path::new(env!("CARGO_MANIFEST_DIR")).join("config/agents/codex.toml"),
        )
        .unwrap();
        std::fs::write(&file, text).unwrap();
        let broken = dir.path().join("broken.toml");
        std::fs::write(
            &broken,
            "name = \"x\"\nprogram = \"x\"\nstart = [\"{prompt}\"]\nfailed_text = [\"(\", \"[\"]\n",
        )
        .unwrap();
        let files = [&file, &broken].map(|path| path.to_str().unwrap().to_owned());
        let settings = Settings {
            agent_files: files.to_vec(),
            ..Settings::default()
        };
        let all = known(&settings);
        let names: Vec<&str> = all.iter().map(|known| known.name.as_str()).collect();
        assert_eq!(
            names,
            [
                "claude", "codex", &files[1], "cursor", "gemini", "opencode", "qwen"
            ]
        );
        assert_eq!(all[1].described_by, files[0]);
        let why = all[2].agent.as_ref().err().unwrap();
        assert!(
            why.contains("failed_text[0]") && why.contains("failed_text[1]") && !why.contains('\n'),
            "{why}"
        );
    }
}
