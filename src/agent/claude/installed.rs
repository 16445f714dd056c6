//! What is known of Claude Code as it is installed.

use crate::agent::login::Login;
use crate::agent::version::{Tried, Version};

/// The versions whose behaviour was measured.
pub const TRIED: Tried = Tried {
    oldest: Version(2, 1, 197),
    newest: Version(2, 1, 329),
};
/// How it tells its version.
pub const VERSION_ARGS: [&str; 1] = ["--version"];
/// The variable that names its configuration directory.
pub const CONFIG_DIR: &str = "CLAUDE_CONFIG_DIR";

/// How it tells whether it has a login, and how a person logs in.
#[must_use]
pub fn login() -> Login {
    let words = |words: [&str; 2]| words.map(str::to_owned).to_vec();
    Login {
        check: words(["auth", "status"]),
        none: Some(r#""loggedIn":\s*false"#.to_owned()),
        run: words(["auth", "login"]),
        // Its own check looks at them.
        variables: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// By its words also where its exit code denies nothing.
    #[test]
    fn its_own_answer_tells_whether_there_is_a_login() {
        let login = login();
        assert_eq!(login.check, ["auth", "status"]);
        assert_eq!(login.run, ["auth", "login"]);
        assert!(login.is_there(Some(0), r#"{"loggedIn": true}"#));
        assert!(!login.is_there(Some(0), r#"{"loggedIn": false}"#));
        assert!(!login.is_there(Some(1), ""));
    }
}
