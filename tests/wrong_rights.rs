//! What others could write is not believed: settings and tasks name programs that are run in our name.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on stops")]
#![expect(
    clippy::disallowed_methods,
    reason = "tests start the programs under test"
)]

mod common;

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use common::{AUTO_CLAUDE, World, is_root};

const USAGE: i32 = 2;
/// A user who is neither root nor anybody who runs a test.
const STRANGER: u32 = 65_534;

fn scratch() -> tempfile::TempDir {
    tempfile::Builder::new()
        .prefix("auto-claude-rights-")
        .tempdir()
        .unwrap()
}

fn set_mode(path: &Path, mode: u32) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

fn auto_claude(dir: &Path, arguments: &[&str]) -> Output {
    Command::new(AUTO_CLAUDE)
        .arg("--state-dir")
        .arg(dir)
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

/// It leaves with `code` and says one line with all of `words`.
fn assert_refused(dir: &Path, arguments: &[&str], code: i32, words: &[&str]) {
    let output = auto_claude(dir, arguments);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {said}");
    assert_eq!(said.trim_end().lines().count(), 1, "{said}");
    for word in words {
        assert!(said.contains(word), "{arguments:?}: no {word:?} in: {said}");
    }
}

/// Everything that would run or write something here.
const WRITERS: [&[&str]; 5] = [
    &["serve"],
    &["run", "true"],
    &["init"],
    &["restore", "/nowhere"],
    &["check-config"],
];

#[test]
fn a_state_directory_that_others_can_write_is_refused() {
    let place = scratch();
    let dir = place.path().join("state");
    std::fs::create_dir(&dir).unwrap();
    let mark = place.path().join("ran");
    let shell = place.path().join("shell");
    std::fs::write(&shell, format!("#!/bin/sh\ntouch {}\n", mark.display())).unwrap();
    set_mode(&shell, 0o755);
    std::fs::write(
        dir.join("config.toml"),
        format!("shell = \"{}\"\n", shell.display()),
    )
    .unwrap();
    let advice = format!("chmod 700 {}", dir.display());
    for mode in [0o777, 0o770, 0o702] {
        set_mode(&dir, mode);
        let mode = format!("mode {mode:04o}");
        for arguments in WRITERS {
            assert_refused(
                &dir,
                arguments,
                USAGE,
                &[dir.to_str().unwrap(), "wrong rights", &mode, &advice],
            );
        }
    }
    assert_eq!(
        std::fs::read_dir(&dir).unwrap().count(),
        1,
        "nothing was made"
    );
    assert!(!mark.exists());
    // Only reading is fine, and so is a directory that others may look into.
    set_mode(&dir, 0o755);
    assert!(auto_claude(&dir, &["init"]).status.success());
    set_mode(&dir, 0o777);
    assert!(auto_claude(&dir, &["check"]).status.success());
}

#[test]
fn what_is_made_is_made_for_its_owner_alone() {
    let place = scratch();
    let dir = place.path().join("a/state");
    assert!(auto_claude(&dir, &["init"]).status.success());
    for made in ["a", "a/state", "a/state/records", "a/state/logs"] {
        let mode = std::fs::metadata(place.path().join(made))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o7777, 0o700, "{made}");
    }
    for made in [
        "auto-claude.db",
        "auto-claude.db.lock",
        "auto-claude.lock",
        "config.toml",
    ] {
        let mode = std::fs::metadata(dir.join(made))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o7777, 0o600, "{made}");
    }
}

#[test]
fn files_and_directories_inside_count_as_well() {
    let place = scratch();
    let dir = place.path().join("state");
    assert!(auto_claude(&dir, &["init"]).status.success());
    for (inside, mode, advice) in [
        ("config.toml", 0o666, "chmod go-w "),
        ("auto-claude.db", 0o666, "chmod go-w "),
        ("records", 0o777, "chmod 700 "),
        ("tasks", 0o775, "chmod 700 "),
    ] {
        let path = dir.join(inside);
        let before = std::fs::metadata(&path).unwrap().permissions();
        set_mode(&path, mode);
        let advice = format!("{advice}{}", path.display());
        assert_refused(&dir, &["serve"], USAGE, &["wrong rights", &advice]);
        std::fs::set_permissions(&path, before).unwrap();
    }
    // A configuration file that was named, wherever it is.
    let config = place.path().join("mine.toml");
    std::fs::write(&config, "").unwrap();
    set_mode(&config, 0o646);
    let arguments = ["--config", config.to_str().unwrap(), "serve"];
    assert_refused(
        &dir,
        &arguments,
        USAGE,
        &["wrong rights", config.to_str().unwrap(), "mode 0646"],
    );
}

#[test]
fn a_database_in_a_directory_of_everybody_is_refused() {
    let place = scratch();
    let everybody = place.path().join("everybody");
    std::fs::create_dir(&everybody).unwrap();
    set_mode(&everybody, 0o1777);
    let output = Command::new(AUTO_CLAUDE)
        .args(["serve", "--state-dir"])
        .arg(place.path().join("state"))
        .env(
            "DATABASE_URL",
            format!("sqlite:///{}/x.db", everybody.display()),
        )
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(USAGE), "{said}");
    for word in [
        everybody.to_str().unwrap(),
        "mode 1777",
        "use a directory of its own below it",
    ] {
        assert!(said.contains(word), "{word}: {said}");
    }
    assert_eq!(std::fs::read_dir(&everybody).unwrap().count(), 0);
}

#[test]
fn what_belongs_to_another_user_is_refused() {
    if !is_root("a foreign owner") {
        return;
    }
    let own = std::os::unix::fs::chown::<&Path>;
    let place = scratch();
    let dir = place.path().join("state");
    std::fs::create_dir(&dir).unwrap();
    set_mode(&dir, 0o700);
    own(&dir, Some(STRANGER), None).unwrap();
    let owner = format!("belongs to user {STRANGER} and this is user 0");
    for arguments in WRITERS {
        assert_refused(
            &dir,
            arguments,
            USAGE,
            &[dir.to_str().unwrap(), "wrong rights", &owner, "chown 0 "],
        );
    }
    assert_eq!(std::fs::read_dir(&dir).unwrap().count(), 0);

    own(&dir, Some(0), None).unwrap();
    let config = dir.join("config.toml");
    std::fs::write(&config, "shell = \"/bin/sh\"\n").unwrap();
    own(&config, Some(STRANGER), None).unwrap();
    assert_refused(
        &dir,
        &["serve"],
        USAGE,
        &[config.to_str().unwrap(), "wrong rights", &owner],
    );
}

#[test]
fn root_may_ask_the_daemon_of_another_user_and_look_at_its_database() {
    if !is_root("a foreign owner") {
        return;
    }
    let mut world = World::new("");
    world.start();
    std::os::unix::fs::chown(world.dir(), Some(STRANGER), None).unwrap();
    let ran = world.auto_claude("run", &["exit 7"]);
    assert_eq!(ran.status.code(), Some(7), "{ran:?}\n{}", world.story());
    assert!(world.auto_claude("check", &[]).status.success());
    assert!(world.stop_daemon().success());
    let refused = world.auto_claude("run", &["exit 7"]);
    assert_eq!(refused.status.code(), Some(USAGE), "{refused:?}");
    let words = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(words.contains("wrong rights"), "{words}");
}
