use super::*;

fn program(dir: &Path, script: &str) -> PathBuf {
    use std::os::unix::fs::PermissionsExt as _;
    let path = dir.join("claude");
    std::fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    path
}

fn broken(script: &str) -> (String, usize) {
    let dir = tempfile::tempdir().unwrap();
    let path = std::env::var("PATH").unwrap();
    let env = BTreeMap::from([("PATH".to_owned(), path)]);
    let contract = check(&program(dir.path(), script), &env).unwrap();
    assert!(!contract.is_kept());
    (contract.broken(), contract.clauses.len())
}

#[test]
fn an_old_program_and_one_without_a_version_are_told_before_any_run() {
    let (line, clauses) = broken("echo '2.1.100 (Claude Code)'");
    assert!(
        line.contains("2.1.100 is too old: install 2.1.197 or newer"),
        "{line}"
    );
    assert_eq!(clauses, 1);
    let (line, clauses) = broken("echo hello");
    assert!(line.contains("tells no version"), "{line}");
    assert_eq!(clauses, 1);
}

#[test]
fn a_check_has_its_tasks_environment_and_nothing_of_a_login() {
    let dir = tempfile::tempdir().unwrap();
    let said = dir.path().join("said");
    let script = format!(
        "[ \"$1\" = --version ] && echo 2.1.329 && exit; env >> {}",
        said.display()
    );
    let env = [
        ("PATH", std::env::var("PATH").unwrap().as_str()),
        ("HOME", "/home/somebody"),
        ("VOLTA_HOME", "/opt/volta"),
        ("ANTHROPIC_API_KEY", "secret-key"),
        ("CLAUDE_CODE_USE_BEDROCK", "1"),
        ("AWS_PROFILE", "secret-profile"),
        ("https_proxy", "http://secret-proxy"),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()));
    check(&program(dir.path(), &script), &env.into()).unwrap();
    let said = std::fs::read_to_string(said).unwrap();
    for line in ["HOME=/home/somebody", "VOLTA_HOME=/opt/volta"] {
        assert!(said.lines().any(|there| there == line), "{said}");
    }
    assert!(
        !said.contains("secret") && !said.contains("BEDROCK"),
        "{said}"
    );
    let bases = said
        .lines()
        .filter(|line| line.starts_with("ANTHROPIC_BASE_URL="));
    assert!(bases.clone().count() > 3, "{said}");
    assert!(
        bases.clone().all(|line| line.contains("http://127.0.0.1:")),
        "{said}"
    );
}

#[test]
fn a_program_that_says_nothing_breaks_the_contract_in_words() {
    let script = r#"[ "$1" = --version ] && echo '2.1.329 (Claude Code)'; exit 0"#;
    let (line, clauses) = broken(script);
    assert!(
        line.starts_with("2.1.329: events: there was no system event") && !line.contains('\n'),
        "{line}"
    );
    assert!(clauses > 8);
}
