//! Transcripts of `taskctl` where no daemon is needed: help, mistakes, nobody there.

#[test]
fn transcripts() {
    trycmd::TestCases::new()
        .env("HOME", "/nonexistent")
        .env("XDG_STATE_HOME", "/nonexistent/state")
        .env("AUTO_CLAUDE_SOCKET", "")
        .env("AUTO_CLAUDE_DOOR", "")
        .env("NO_COLOR", "1")
        .case("tests/cmd/*.trycmd");
}

#[test]
fn transcripts_with_a_socket_in_the_environment() {
    trycmd::TestCases::new()
        .env("HOME", "/nonexistent")
        .env("AUTO_CLAUDE_SOCKET", "/nonexistent/v")
        .env("AUTO_CLAUDE_DOOR", "")
        .env("NO_COLOR", "1")
        .case("tests/cmd/variable/*.trycmd");
}
