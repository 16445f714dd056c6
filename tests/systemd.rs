//! The shipped units: systemd takes every line of them, and the service is as closed as it claims to be.

#![expect(clippy::disallowed_methods, reason = "tests run systemd-analyze")]
#![expect(clippy::unwrap_used, reason = "tests")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The program the units start.
const INSTALLED: &str = "/usr/local/bin/auto-claude";
/// Greatest exposure of the system service, in tenths.
const SERVICE_EXPOSURE: &str = "33";
/// Greatest exposure of the user unit, in tenths. It runs with the user's own rights on purpose, and a user's manager
/// can neither drop capabilities nor hide files; the measure counts it as if it were root.
const USER_EXPOSURE: &str = "76";

fn units() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("systemd")
}

/// Runs systemd-analyze; `None`, with the reason printed, where it is not installed.
fn analyze(arguments: &[&str]) -> Option<(bool, String)> {
    match Command::new("systemd-analyze")
        .args(arguments)
        .env("SYSTEMD_COLORS", "0")
        .output()
    {
        Ok(output) => {
            let text = format!(
                "{}{}",
                String::from_utf8_lossy(&output.stdout),
                String::from_utf8_lossy(&output.stderr)
            );
            Some((output.status.success(), text))
        }
        Err(error) => {
            println!("SKIPPED: systemd-analyze cannot be run: {error}");
            None
        }
    }
}

/// Copies of the units in which the program is one that exists here.
fn copies(names: &[&str]) -> (tempfile::TempDir, Vec<String>) {
    let dir = tempfile::tempdir().unwrap();
    let mut paths = Vec::new();
    for name in names {
        let text = fs::read_to_string(units().join(name)).unwrap();
        let copy = dir.path().join(Path::new(name).file_name().unwrap());
        fs::write(&copy, text.replace(INSTALLED, "/bin/true")).unwrap();
        paths.push(copy.to_string_lossy().into_owned());
    }
    (dir, paths)
}

/// Complaints of `verify` about the machine it runs on, not about our units: the manual is not installed there.
fn about_our_units(complaints: &str) -> Vec<&str> {
    complaints
        .lines()
        .filter(|line| line.contains("auto-claude") && !line.contains("man auto-claude"))
        .collect()
}

#[test]
fn systemd_takes_every_line() {
    for (manager, names) in [
        (
            "--system",
            vec!["auto-claude.service", "auto-claude.socket"],
        ),
        ("--user", vec!["user/auto-claude.service"]),
    ] {
        let (_dir, paths) = copies(&names);
        let mut arguments = vec!["verify", "--man=no", "--recursive-errors=one", manager];
        arguments.extend(paths.iter().map(String::as_str));
        let Some((succeeded, text)) = analyze(&arguments) else {
            return;
        };
        let ours = about_our_units(&text);
        assert!(ours.is_empty(), "systemd-analyze {arguments:?}:\n{text}");
        assert!(
            succeeded || !text.contains("Failed to load"),
            "systemd-analyze {arguments:?}:\n{text}"
        );
    }
}

#[test]
fn verify_does_find_a_wrong_line() {
    let (dir, paths) = copies(&["auto-claude.service"]);
    let text = fs::read_to_string(&paths[0])
        .unwrap()
        .replace("OOMPolicy=continue", "OOMPolicy=whatever\nNoSuchKey=1");
    fs::write(dir.path().join("auto-claude.service"), text).unwrap();
    let Some((_, text)) = analyze(&["verify", "--man=no", "--system", &paths[0]]) else {
        return;
    };
    assert!(about_our_units(&text).len() >= 2, "{text}");
}

#[test]
fn exposure_stays_below_its_bound() {
    for (name, threshold) in [
        ("auto-claude.service", SERVICE_EXPOSURE),
        ("user/auto-claude.service", USER_EXPOSURE),
    ] {
        let (_dir, paths) = copies(&[name]);
        let threshold = format!("--threshold={threshold}");
        let Some((succeeded, text)) = analyze(&[
            "security",
            "--offline=true",
            "--no-pager",
            &threshold,
            &paths[0],
        ]) else {
            return;
        };
        assert!(
            succeeded && text.contains("Overall exposure level"),
            "{name} {threshold}:\n{text}"
        );
        println!(
            "{name}: {}",
            text.lines()
                .rev()
                .find(|line| line.contains("Overall"))
                .unwrap_or_default()
        );
    }
}

/// The value of a directive in a unit; `None` where it does not stand.
fn directive(unit: &str, name: &str) -> Option<String> {
    let text = fs::read_to_string(units().join(unit)).unwrap();
    let prefix = format!("{name}=");
    text.lines()
        .find_map(|line| line.strip_prefix(&prefix).map(str::to_owned))
}

#[test]
fn workers_live_through_a_restart_of_the_daemon() {
    for unit in ["auto-claude.service", "user/auto-claude.service"] {
        for (name, value) in [
            ("KillMode", "process"),
            ("Delegate", "yes"),
            ("OOMPolicy", "continue"),
            ("NotifyAccess", "main"),
            ("Type", "notify"),
            ("Restart", "on-failure"),
        ] {
            assert_eq!(
                directive(unit, name).as_deref(),
                Some(value),
                "{unit}: {name}"
            );
        }
        // Each of these takes something away from running agents when the unit stops.
        for (name, harmful) in [
            ("PrivateTmp", "yes"),
            ("RemoveIPC", "yes"),
            ("RuntimeDirectoryPreserve", "no"),
        ] {
            assert_ne!(
                directive(unit, name).as_deref(),
                Some(harmful),
                "{unit}: {name}"
            );
        }
    }
    assert_eq!(
        directive("auto-claude.service", "RuntimeDirectoryPreserve").as_deref(),
        Some("yes")
    );
    assert_eq!(
        directive("auto-claude.socket", "RemoveOnStop").as_deref(),
        Some("no")
    );
}

#[test]
fn units_and_program_agree_on_places() {
    use auto_claude::config::paths::{
        Given, PathOptions, Paths, SERVICE_RUNTIME_DIR, SERVICE_STATE_DIR, SOCKET_NAME,
    };
    let socket = format!("{SERVICE_RUNTIME_DIR}/{SOCKET_NAME}");
    assert_eq!(
        directive("auto-claude.socket", "ListenStream"),
        Some(socket.clone())
    );
    let dir = |kind: &str, base: &str| {
        directive("auto-claude.service", kind).map(|name| format!("{base}/{name}").into())
    };
    let given = Given {
        state_directory: dir("StateDirectory", "/var/lib"),
        runtime_directory: dir("RuntimeDirectory", "/run"),
        configuration_directory: dir("ConfigurationDirectory", "/etc"),
        ..Given::default()
    };
    let paths = Paths::resolve(&given, &PathOptions::default(), &|_| true).unwrap();
    assert_eq!(paths.state_dir, Path::new(SERVICE_STATE_DIR));
    assert_eq!(paths.socket, Path::new(&socket));
    assert_eq!(
        paths.config_file.as_deref(),
        Some(Path::new("/etc/auto-claude/config.toml"))
    );
    let user = directive("auto-claude.service", "User").unwrap();
    let sysusers = fs::read_to_string(units().join("auto-claude.sysusers.conf")).unwrap();
    assert!(sysusers.lines().any(|line| line.starts_with('u')
        && line.contains(&user)
        && line.contains(SERVICE_STATE_DIR)));
}

/// Every protection that is switched off has a comment that begins with "Relaxed" right above it.
#[test]
fn each_relaxation_has_its_reason() {
    let text = fs::read_to_string(units().join("auto-claude.service")).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    let mut reason = false;
    let mut seen = 0;
    for line in lines
        .iter()
        .skip_while(|line| !line.starts_with("# ---- Protections"))
        .skip(1)
        .take_while(|line| !line.starts_with("[Install]"))
    {
        if line.starts_with('#') {
            reason = reason || line.starts_with("# Relaxed");
        } else {
            let off = line.ends_with("=no")
                || line.starts_with("ProcSubset=all")
                || line.starts_with("ReadWritePaths=");
            assert!(!off || reason, "no reason for: {line}");
            seen += u32::from(off);
            // One reason may stand above a pair.
            reason = reason
                && off
                && (line.contains("ProtectKernelTunables") || line.contains("ProcSubset"));
        }
    }
    assert!(seen > 5, "the section was found");
}
