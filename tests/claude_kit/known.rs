//! An account of the stand-in that a daemon knows under its name, with a login as a subscription has it.

use std::path::Path;

use crate::common::World;
use crate::messages_api::server::{Account, Api};

/// Makes `account` known to the daemon. Its token and the agent's configuration are in `home`.
pub fn add_account(world: &World, home: &Path, api: &Api, account: &Account) {
    let name = account.name();
    let config = home.join(name);
    std::fs::create_dir_all(&config).unwrap();
    let token = home.join(format!("{name}.token"));
    std::fs::write(&token, account.token()).unwrap();
    let added = world.taskctl(&[
        "account",
        "add",
        name,
        "--config-dir",
        config.to_str().unwrap(),
        "--env",
        &format!("ANTHROPIC_BASE_URL={}", api.url()),
        "--secret",
        &format!("CLAUDE_CODE_OAUTH_TOKEN=file:{}", token.display()),
    ]);
    assert!(added.status.success(), "{added:?}");
}
