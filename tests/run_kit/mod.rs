//! What tests of `auto-claude run` share: starting it, and reading what it and its command say.

#![expect(
    clippy::disallowed_methods,
    reason = "tests start real processes and watch them"
)]
#![expect(clippy::unwrap_used, reason = "tests")]

use std::process::{Child, Command, Output, Stdio};

use crate::common::{AUTO_CLAUDE, World};

/// `auto-claude run` on this state directory, its streams read by us.
pub fn run_command(world: &World, arguments: &[&str]) -> Command {
    let mut command = Command::new(AUTO_CLAUDE);
    command
        .arg("run")
        .arg("--state-dir")
        .arg(world.dir())
        .args(arguments)
        .env_remove("AUTO_CLAUDE_SOCKET")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// What it said on stderr.
pub fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Its pid.
pub fn pid(child: &Child) -> i32 {
    i32::try_from(child.id()).unwrap()
}

/// The pid that the command wrote into `name`, once it has.
pub fn written_pid(world: &World, name: &str) -> i32 {
    world.wait_for("the command runs", |world| {
        std::fs::read_to_string(world.dir().join(name))
            .ok()?
            .trim()
            .parse()
            .ok()
    })
}
