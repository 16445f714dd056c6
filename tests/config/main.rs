//! Settings: what is taken, what is refused and how it says so, where values come from, and that the shipped file and
//! the reference page tell the truth.

#![expect(clippy::unwrap_used, reason = "tests")]

mod any_input;
mod refusals;
mod shipped;

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use auto_claude::config::keys::KEYS;
use auto_claude::config::{
    ConfigError, Effective, Origin, Settings, Sources, load, reload, reloadable_changes,
};

fn sources(file: Option<&Path>, env: &[(&str, &str)]) -> Sources {
    Sources {
        file: file.map(Path::to_path_buf),
        env: env
            .iter()
            .map(|(name, value)| (OsString::from(name), OsString::from(value)))
            .collect(),
        host_name: "box".to_owned(),
        ..Sources::default()
    }
}

/// Loads `text` as a file, with `env`.
fn load_with(text: impl AsRef<[u8]>, env: &[(&str, &str)]) -> Result<Effective, ConfigError> {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("config.toml");
    fs::write(&file, text).unwrap();
    load(&sources(Some(&file), env))
}

/// The message for `text`, with the file's directory taken out.
fn refused(text: impl AsRef<[u8]>, env: &[(&str, &str)]) -> String {
    let error = load_with(text, env).unwrap_err().to_string();
    let mut lines: Vec<String> = Vec::new();
    for line in error.lines() {
        lines.push(match (line.find("/tmp"), line.find("config.toml")) {
            (Some(start), Some(end)) if start < end => {
                format!("{}{}", &line[..start], &line[end..])
            }
            _ => line.to_owned(),
        });
    }
    lines.join("\n")
}

#[test]
fn without_sources_the_defaults_hold_and_say_so() {
    let effective = load(&sources(None, &[])).unwrap();
    assert_eq!(
        effective.settings,
        Settings {
            machine_id: "box".to_owned(),
            ..Settings::default()
        }
    );
    assert!(
        effective
            .origins
            .values()
            .all(|origin| *origin == Origin::Default)
    );
    assert_eq!(effective.origins.len(), KEYS.len());
}

#[test]
fn the_names_users_know_have_their_defaults() {
    let settings = load(&sources(None, &[])).unwrap().settings;
    assert_eq!(settings.claude_session_limit, 18_000);
    assert_eq!(settings.default_unban_wait, 3600);
    assert!((settings.min_disk_space_gb - 5.0).abs() < f64::EPSILON);
    assert_eq!(settings.max_log_size_mb, 50);
    assert_eq!(settings.num_workers, 2);
    assert!(settings.sensitive_patterns.is_empty() && settings.violation_keywords.is_empty());
    for name in [
        "claude_session_limit",
        "default_unban_wait",
        "min_disk_space_gb",
        "max_log_size_mb",
        "num_workers",
        "sensitive_patterns",
        "violation_keywords",
    ] {
        assert!(
            auto_claude::config::keys::find(name).is_some(),
            "{name} is a key of the file"
        );
    }
}

#[test]
fn environment_wins_over_file_wins_over_default() {
    let env = [
        ("MAX_CONCURRENT_TASKS", "7"),
        ("LOG_LEVEL", "DEBUG"),
        ("LOG_JSON", "1"),
        ("MACHINE_ID", "node-1"),
        ("TASK_TIMEOUT_SECONDS", " 90 "),
        ("DATABASE_URL", "sqlite:////data/a.db"),
    ];
    let effective = load_with("num_workers = 3\ngrace_seconds = 4\n", &env).unwrap();
    let settings = &effective.settings;
    assert_eq!(
        (
            settings.num_workers,
            settings.grace_seconds,
            settings.task_timeout_seconds
        ),
        (7, 4, 90)
    );
    assert_eq!(
        (
            settings.log_level.as_str(),
            settings.log_json,
            settings.machine_id.as_str()
        ),
        ("debug", true, "node-1")
    );
    assert_eq!(settings.database_path, Some(PathBuf::from("/data/a.db")));
    assert_eq!(
        effective.origins["num_workers"],
        Origin::Env {
            name: "MAX_CONCURRENT_TASKS"
        }
    );
    assert!(matches!(
        &effective.origins["grace_seconds"],
        Origin::File { line: Some(2), .. }
    ));
    assert_eq!(effective.origins["shell"], Origin::Default);
}

#[test]
fn an_empty_variable_counts_as_not_set() {
    let effective = load_with("num_workers = 3", &[("MAX_CONCURRENT_TASKS", "")]).unwrap();
    assert_eq!(effective.settings.num_workers, 3);
}

#[test]
fn render_loads_to_the_same_settings_and_names_origins() {
    let text = "num_workers = 3\nsensitive_patterns = ['a\"b\\.c', \"tab and 'quotes'\"]\nquiet_hours = [\"22:00-06:30\"]\ndatabase_url = \"sqlite:///x/y\"";
    let effective = load_with(text, &[("LOG_LEVEL", "trace")]).unwrap();
    let rendered = effective.render();
    assert!(
        rendered
            .lines()
            .any(|line| line.starts_with("num_workers = 3 ") && line.ends_with("config.toml:1")),
        "{rendered}"
    );
    assert!(
        rendered
            .lines()
            .any(|line| line.starts_with("log_level = \"trace\" ")
                && line.ends_with("# environment LOG_LEVEL")),
        "{rendered}"
    );
    assert_eq!(
        load_with(&rendered, &[]).unwrap().settings,
        effective.settings
    );
    let json = effective.to_json();
    assert_eq!(json["num_workers"]["value"], 3);
    assert_eq!(json["num_workers"]["origin"]["kind"], "file");
    assert_eq!(json["num_workers"]["origin"]["line"], 1);
    assert_eq!(
        json["log_level"]["origin"],
        serde_json::json!({"kind": "env", "name": "LOG_LEVEL"})
    );
    assert_eq!(
        json["shell"],
        serde_json::json!({"value": "/bin/sh", "origin": {"kind": "default"}})
    );
}

#[test]
fn reload_tells_what_is_applied_and_keeps_what_needs_a_restart() {
    let old = Settings::default();
    let new = Settings {
        num_workers: 9,
        log_level: "debug".to_owned(),
        database_path: Some("/x".into()),
        ..old.clone()
    };
    let changes = reloadable_changes(&old, &new);
    assert_eq!(changes.applied, ["num_workers", "log_level"]);
    assert_eq!(changes.needs_restart, ["database_url"]);
    assert_eq!(
        reload::reloaded(&old, &new),
        Settings {
            database_path: None,
            ..new
        }
    );
    assert_eq!(reloadable_changes(&old, &old), reload::Changes::default());
}
