//! `make install`, `make uninstall` and `make run`, as a packager and a new user type them.
//!
//! The scripts look for the programs in `target/release`: here they run in a copy of the tree whose `target/release` holds
//! the programs that this test was built with, so that nothing is compiled a second time.

#![expect(
    clippy::disallowed_methods,
    reason = "tests start real processes and watch them"
)]
#![expect(clippy::unwrap_used, reason = "tests")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// What a copy of the tree needs for make.
const PARTS: [&str; 4] = ["Makefile", "scripts", "systemd", "config"];
const PROGRAMS: [(&str, &str); 2] = [
    ("auto-claude", env!("CARGO_BIN_EXE_auto-claude")),
    ("taskctl", env!("CARGO_BIN_EXE_taskctl")),
];

/// A copy of the tree with programs in it.
fn tree() -> tempfile::TempDir {
    let dir = tempfile::Builder::new()
        .prefix("ac tree")
        .tempdir()
        .unwrap();
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for part in PARTS {
        let copied = Command::new("cp")
            .arg("-a")
            .arg(root.join(part))
            .arg(dir.path())
            .status()
            .unwrap();
        assert!(copied.success());
    }
    let release = dir.path().join("target/release");
    std::fs::create_dir_all(&release).unwrap();
    for (name, built) in PROGRAMS {
        std::os::unix::fs::symlink(built, release.join(name)).unwrap();
    }
    dir
}

fn make(tree: &Path, arguments: &[&str]) -> Output {
    Command::new("make")
        .arg("-C")
        .arg(tree)
        .args(arguments)
        .env_remove("MAKEFLAGS")
        .output()
        .unwrap()
}

fn good(output: &Output) -> String {
    assert!(output.status.success(), "{output:?}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Every file below `dir`.
fn files(dir: &Path) -> BTreeSet<PathBuf> {
    let mut found = BTreeSet::new();
    let mut left = vec![dir.to_owned()];
    while let Some(dir) = left.pop() {
        for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
            if entry.file_type().unwrap().is_dir() {
                left.push(entry.path());
            } else {
                found.insert(entry.path());
            }
        }
    }
    found
}

/// Runs a tool; `None`, with the reason printed, where it is not installed.
fn tool(name: &str, arguments: &[&str]) -> Option<Output> {
    match Command::new(name).args(arguments).output() {
        Ok(output) => Some(output),
        Err(error) => {
            println!("SKIPPED: {name} on what was installed: {error}");
            None
        }
    }
}

#[test]
fn what_is_installed_works_and_is_removed_again() {
    let tree = tree();
    let root = tempfile::tempdir().unwrap();
    let destdir = format!("DESTDIR={}", root.path().display());
    let said = good(&make(tree.path(), &["install", &destdir, "PREFIX=/opt/ac"]));
    let prefix = root.path().join("opt/ac");
    let all = files(root.path());
    for file in &all {
        assert!(
            said.contains(&file.display().to_string()),
            "{} is not told: {said}",
            file.display()
        );
    }
    for (name, _) in PROGRAMS {
        let shown = Command::new(prefix.join("bin").join(name))
            .arg("--version")
            .output()
            .unwrap();
        assert!(good(&shown).contains(env!("CARGO_PKG_VERSION")));
    }
    completions_load(&prefix);
    manuals_render(&prefix);
    units_name_the_installed_program(root.path());
    // The shipped configuration is one that the daemon takes.
    let config = root.path().join("etc/auto-claude/config.toml");
    let checked = Command::new(prefix.join("bin/auto-claude"))
        .args(["check-config", "--config"])
        .arg(&config)
        .output()
        .unwrap();
    good(&checked);
    // A second installation keeps what the administrator wrote; uninstalling keeps it as well, and nothing else.
    std::fs::write(&config, "num_workers = 5\n").unwrap();
    good(&make(tree.path(), &["install", &destdir, "PREFIX=/opt/ac"]));
    assert_eq!(
        std::fs::read_to_string(&config).unwrap(),
        "num_workers = 5\n"
    );
    assert_eq!(files(root.path()), all);
    good(&make(
        tree.path(),
        &["uninstall", &destdir, "PREFIX=/opt/ac"],
    ));
    assert_eq!(files(root.path()), BTreeSet::from([config]));
    // Once more, with nothing there.
    good(&make(
        tree.path(),
        &["uninstall", &destdir, "PREFIX=/opt/ac"],
    ));
}

fn completions_load(prefix: &Path) {
    let share = prefix.join("share");
    let text = |path: PathBuf| path.to_string_lossy().into_owned();
    let bash = text(share.join("bash-completion/completions/taskctl"));
    // Loaded, and asked: what does `taskctl task cr` become?
    let script = format!(
        "set -eu; source '{bash}'; COMP_WORDS=(taskctl task cr); COMP_CWORD=2; COMPREPLY=(); set +eu; _taskctl taskctl cr task; echo \"${{COMPREPLY[@]}}\""
    );
    if let Some(output) = tool("bash", &["--norc", "-c", &script]) {
        assert_eq!(good(&output).trim(), "create", "{output:?}");
    }
    for program in ["taskctl", "auto-claude"] {
        let zsh = text(share.join(format!("zsh/site-functions/_{program}")));
        let script = format!(
            "fpath=('{}' $fpath); autoload -Uz compinit; compinit -u -D; [[ $_comps[{program}] = _{program} ]] && autoload +X _{program} && zsh -n '{zsh}'",
            text(share.join("zsh/site-functions"))
        );
        if let Some(output) = tool("zsh", &["-f", "-c", &script]) {
            good(&output);
        }
        let fish = text(share.join(format!("fish/vendor_completions.d/{program}.fish")));
        let script = format!("source '{fish}'; complete -C '{program} --he'");
        if let Some(output) = tool("fish", &["--no-config", "-c", &script]) {
            assert!(good(&output).starts_with("--help"), "{output:?}");
        }
    }
}

fn manuals_render(prefix: &Path) {
    let pages = files(&prefix.join("share/man/man1"));
    assert!(pages.len() > 20, "{pages:?}");
    for name in ["auto-claude.1", "taskctl.1", "taskctl-task-create.1"] {
        let page = prefix.join("share/man/man1").join(name);
        let page = page.to_str().unwrap();
        if let Some(output) = tool("groff", &["-man", "-Tutf8", "-P-cbou", "-ww", page]) {
            let text = good(&output);
            assert!(text.contains("NAME") && text.contains("SYNOPSIS"), "{text}");
            assert!(output.stderr.is_empty(), "{output:?}");
        }
        if let Some(output) = tool("man", &["-l", page]) {
            assert!(good(&output).contains("SYNOPSIS"), "{output:?}");
        }
    }
    let listed: Vec<&str> = pages.iter().map(|page| page.to_str().unwrap()).collect();
    let mut arguments = vec!["-T", "lint", "-W", "error"];
    arguments.extend(listed);
    if let Some(output) = tool("mandoc", &arguments) {
        assert!(output.status.success(), "{output:?}");
    }
}

fn units_name_the_installed_program(root: &Path) {
    let system = root.join("etc/systemd/system/auto-claude.service");
    let user = root.join("etc/systemd/user/auto-claude.service");
    for unit in [&system, &user] {
        let text = std::fs::read_to_string(unit).unwrap();
        assert!(
            text.contains("ExecStart=/opt/ac/bin/auto-claude serve"),
            "{text}"
        );
    }
    assert!(root.join("etc/sysusers.d/auto-claude.conf").exists());
    // Checked where the program is there: systemd looks for it.
    let copy = tempfile::tempdir().unwrap();
    let mut arguments = vec![
        "verify".to_owned(),
        "--man=no".to_owned(),
        "--system".to_owned(),
    ];
    for name in ["auto-claude.service", "auto-claude.socket"] {
        let text = std::fs::read_to_string(root.join("etc/systemd/system").join(name)).unwrap();
        let installed = root.join("opt/ac/bin/auto-claude");
        let path = copy.path().join(name);
        std::fs::write(
            &path,
            text.replace("/opt/ac/bin/auto-claude", installed.to_str().unwrap()),
        )
        .unwrap();
        arguments.push(path.to_string_lossy().into_owned());
    }
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    if let Some(output) = tool("systemd-analyze", &arguments) {
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        let ours: Vec<&str> = said
            .lines()
            .filter(|line| line.contains("auto-claude"))
            .collect();
        assert!(ours.is_empty(), "{said}");
    }
}

#[test]
fn make_install_without_a_build_says_what_to_do() {
    let tree = tree();
    std::fs::remove_dir_all(tree.path().join("target/release")).unwrap();
    let root = tempfile::tempdir().unwrap();
    let output = make(
        tree.path(),
        &["install", &format!("DESTDIR={}", root.path().display())],
    );
    assert!(!output.status.success());
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("Run 'make build' first"), "{said}");
    assert!(files(root.path()).is_empty());
}

/// The second half of `make run` (the first compiles): the task's words reach the shell as they were typed.
#[test]
fn make_run_supervises_the_users_task() {
    let tree = tree();
    let state = tempfile::tempdir().unwrap();
    let run = |task: &str| {
        Command::new(tree.path().join("scripts/run.sh"))
            .env("TASK", task)
            .env("STATE_DIR", state.path())
            .output()
            .unwrap()
    };
    let output = run("echo \"it's $((40 + 2)) in $(basename \"$PWD\")\"; exit 5");
    assert_eq!(output.status.code(), Some(5), "{output:?}");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(said.contains("it's 42 in "), "{said}");
    assert!(
        String::from_utf8_lossy(&output.stderr).contains("exited with code 5"),
        "{output:?}"
    );
    assert_eq!(run("true").status.code(), Some(0));
}
