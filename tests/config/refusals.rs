//! What is refused, and how it says so.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt as _;
use std::path::Path;

use auto_claude::config::keys::{KEYS, Kind};
use auto_claude::config::{Sources, Trust, load};

use crate::{load_with, refused, sources};

#[test]
fn all_problems_are_told_at_once() {
    let text = "num_wrokers = 3\ngrace_seconds = 0\nlog_level = \"loud\"\nquiet_hours = [\"08:00-09:00\", \"25:00-26:00\", 3]\n\n[workers]\nnum_workers = 4\n";
    let error = refused(
        text,
        &[("LOG_JSON", "maybe"), ("MAX_CONCURRENT_TASKS", "-1")],
    );
    let expected = "\
load the settings: 8 problems:
  config.toml:1:1: unknown key `num_wrokers`; did you mean `num_workers`?
  config.toml:2:1: grace_seconds = 0: must be a whole number from 1 to 3600
  config.toml:3:1: log_level = \"loud\": must be one of error, warn, info, debug, trace
  config.toml:4:1: quiet_hours[1] = \"25:00-26:00\": must be `HH:MM-HH:MM` with different ends, as in \"22:00-06:30\"
  config.toml:4:1: quiet_hours[2] = 3: must be `HH:MM-HH:MM` with different ends, as in \"22:00-06:30\"
  config.toml:7:1: unknown key `workers.num_workers`; did you mean `num_workers`?
  environment variable MAX_CONCURRENT_TASKS: num_workers = -1: must be a whole number from 1 to 256
  environment variable LOG_JSON: log_json = \"maybe\": must be true or false";
    assert_eq!(error, expected);
}

#[test]
fn names_that_others_use_lead_to_ours() {
    for (typed, meant) in [
        ("max_concurrent_tasks", "num_workers"),
        ("num-workers", "num_workers"),
        ("NUM_WORKERS", "num_workers"),
        ("max_log_size", "max_log_size_mb"),
        ("retries_max", ""),
    ] {
        let error = refused(format!("{typed} = 1"), &[]);
        assert!(
            meant.is_empty() || error.contains(&format!("did you mean `{meant}`?")),
            "{typed}: {error}"
        );
    }
    let error = refused("zzz = 1", &[]);
    assert!(
        error.contains("unknown key `zzz`; `auto-claude check-config` lists all keys"),
        "{error}"
    );
}

#[test]
fn broken_toml_has_line_and_column_and_hides_nothing_else() {
    let error = refused("num_workers = 3\nlog_level = \ngrace_seconds = 0\n", &[]);
    assert!(
        error.contains("config.toml:2:13: not valid TOML"),
        "{error}"
    );
    assert!(
        error.contains("config.toml:3:1: grace_seconds = 0"),
        "{error}"
    );
    let error = refused("num_workers = 3\nnum_workers = 4\n", &[]);
    assert!(
        error.contains("config.toml:2:1: not valid TOML: duplicate key"),
        "{error}"
    );
}

#[test]
fn a_line_that_makes_no_sense_is_told_once() {
    let error = refused(format!("x={}\ngrace_seconds = 0\n", "[".repeat(200)), &[]);
    assert!(error.contains("config.toml:1:"), "{error}");
    assert!(error.lines().count() <= 4, "{error}");
    assert!(
        error.lines().all(|line| line.len() <= 300),
        "a line is a line: {error}"
    );
}

#[test]
fn files_that_are_no_text_have_one_clear_error_each() {
    assert!(
        refused(b"num_workers = 3\nlog_level = \"\xff\"", &[])
            .contains("config.toml:2:14: is not UTF-8 text here")
    );
    assert!(refused(vec![b'#'; (1 << 20) + 1], &[]).contains("is larger than 1048576 bytes"));
    let dir = tempfile::tempdir().unwrap();
    let error = load(&sources(Some(dir.path()), &[]))
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("is a directory; name the file inside it"),
        "{error}"
    );
    let error = load(&sources(Some(&dir.path().join("none.toml")), &[]))
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("none.toml: cannot be read: No such file"),
        "{error}"
    );
    let error = load(&sources(Some(Path::new("/dev/zero")), &[]))
        .unwrap_err()
        .to_string();
    assert!(error.contains("is not a regular file"), "{error}");
}

#[test]
fn a_file_that_others_can_write_is_refused_with_its_mode() {
    use std::os::unix::fs::PermissionsExt as _;
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("config.toml");
    std::fs::write(&file, "num_workers = 3\n").unwrap();
    for mode in [0o666, 0o620, 0o602] {
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(mode)).unwrap();
        let error = load(&sources(Some(&file), &[])).unwrap_err().to_string();
        for wanted in [
            "config.toml: wrong rights".to_owned(),
            format!("mode {mode:04o}"),
            format!("chmod go-w {}", file.display()),
        ] {
            assert!(error.contains(&wanted), "{wanted}: {error}");
        }
        let looked = Sources {
            trust: Trust::Any,
            ..sources(Some(&file), &[])
        };
        assert_eq!(load(&looked).unwrap().settings.num_workers, 3);
    }
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).unwrap();
    assert!(load(&sources(Some(&file), &[])).is_ok());
}

#[test]
fn a_variable_that_is_not_utf8_is_refused_by_name() {
    let env = BTreeMap::from([(
        OsString::from("MACHINE_ID"),
        OsString::from_vec(vec![0xff, 0xfe]),
    )]);
    let error = load(&Sources {
        env,
        ..sources(None, &[])
    })
    .unwrap_err()
    .to_string();
    assert!(
        error.contains("environment variable MACHINE_ID: machine_id = text that is not UTF-8"),
        "{error}"
    );
}

#[test]
fn a_pattern_that_is_no_regular_expression_is_refused_with_its_place() {
    load_with(r"sensitive_patterns = ['sk-[a-z]{4,}\b', '(?i)token']", &[]).unwrap();
    let error = refused(
        r"sensitive_patterns = ['fine', 'sk-[a-z', 'x{3,1}', '\p{Nope}']",
        &[],
    );
    for wanted in [
        "sensitive_patterns[1] = \"sk-[a-z\": must be a regular expression: unclosed character class at character 4",
        "sensitive_patterns[2] = \"x{3,1}\": must be a regular expression: invalid repetition count range",
        "sensitive_patterns[3]",
    ] {
        assert!(error.contains(wanted), "{wanted}: {error}");
    }
    assert!(!error.contains("sensitive_patterns[0]"), "{error}");
    // A text is not a pattern.
    load_with("violation_keywords = ['sk-[a-z']", &[]).unwrap();
    let deep = format!("sensitive_patterns = ['{}']", "(".repeat(4000));
    assert!(refused(deep, &[]).contains("regular expression"));
}

#[test]
fn database_addresses() {
    for good in [
        "sqlite:///a",
        "sqlite:////var/lib/x.db",
        "sqlite:///with space/x.db",
        "",
    ] {
        load_with(format!("database_url = {good:?}"), &[])
            .unwrap_or_else(|error| panic!("{good}: {error}"));
    }
    for bad in [
        "sqlite://rel.db",
        "sqlite:///",
        "sqlite://",
        "sqlite:///a/",
        "sqlite:/a",
        "/a.db",
        "mysql://h/d",
        "sqlite:///a?mode=ro",
        "sqlite:///a%20b",
        "sqlite:///a\\u0000b",
    ] {
        let error = refused(format!("database_url = \"{bad}\""), &[]);
        assert!(
            error.contains("database_url = ")
                && error.contains("`sqlite:///` and an absolute path"),
            "{bad}: {error}"
        );
    }
}

#[test]
fn the_password_of_another_database_is_not_shown() {
    for address in [
        "postgresql://me:hunter2@db/x",
        "hunter2@db",
        "postgres:hunter2",
    ] {
        let error = refused("", &[("DATABASE_URL", address)]);
        assert!(!error.contains("hunter2"), "{error}");
    }
    let error = refused("", &[("DATABASE_URL", "postgresql://me:hunter2@db/x")]);
    assert!(
        error.contains("\"postgresql\"") && error.contains("planned, not built yet"),
        "{error}"
    );
}

#[test]
fn values_that_are_wrong_only_together() {
    let error = refused("retry_base_seconds = 100\nretry_max_seconds = 50\n", &[]);
    assert!(error.ends_with("config.toml:2:1: retry_max_seconds = 50: must be such that retry_max_seconds (50) is at least retry_base_seconds (100)"), "{error}");
    let error = refused("heartbeat_seconds = 30\n", &[]);
    assert!(error.contains("config.toml:1:1: heartbeat_seconds = 30: must be such that heartbeat_timeout_seconds (60) is at least 3 times heartbeat_seconds (30)"), "{error}");
    // A value that is refused for itself is not blamed a second time.
    assert!(
        !refused("retry_base_seconds = 4000\nretry_max_seconds = 0\n", &[]).contains("such that")
    );
}

#[test]
fn each_number_is_taken_at_both_ends_and_refused_beyond() {
    for key in KEYS {
        let Kind::Int { min, max } = key.kind else {
            continue;
        };
        // Room for the rules between settings.
        let room = if key.name == "heartbeat_seconds" {
            "heartbeat_timeout_seconds = 3600\n"
        } else {
            ""
        };
        let room = if key.name == "heartbeat_timeout_seconds" {
            "heartbeat_seconds = 1\n"
        } else {
            room
        };
        let room = if key.name == "retry_base_seconds" {
            "retry_max_seconds = 604800\n"
        } else {
            room
        };
        let room = if key.name == "retry_max_seconds" {
            "retry_base_seconds = 1\n"
        } else {
            room
        };
        for good in [min, max] {
            let effective = load_with(format!("{room}{} = {good}", key.name), &[])
                .unwrap_or_else(|error| panic!("{error}"));
            assert_eq!(
                key.get(&effective.settings),
                auto_claude::config::Value::Int(good),
                "{}",
                key.name
            );
        }
        let below = min
            .checked_sub(1)
            .map_or_else(|| "-1".to_owned(), |below| below.to_string());
        for bad in [
            below,
            (max + 1).to_string(),
            "1.0".to_owned(),
            "\"1\"".to_owned(),
            "true".to_owned(),
            "99999999999999999999999999999999999999999999".to_owned(),
            "[1]".to_owned(),
            "{}".to_owned(),
            "1979-05-27".to_owned(),
        ] {
            let error = refused(format!("{room}{} = {bad}", key.name), &[]);
            assert!(
                error.contains(&format!("{} = ", key.name)) && error.contains(&key.kind.allowed()),
                "{error}"
            );
        }
    }
}

#[test]
fn texts_shells_zones_and_disk_space() {
    for bad in [
        "sensitive_patterns = [\"\"]",
        "sensitive_patterns = [\"a\\nb\"]",
        "violation_keywords = \"word\"",
        "shell = \"sh\"",
        "shell = \"/nowhere/sh\"",
        "shell = \"/etc\"",
        "shell = \"/etc/passwd\"",
        "time_zone = \"Europe/Nowhere\"",
        "time_zone = \"../../etc/passwd\"",
        "min_disk_space_gb = nan",
        "min_disk_space_gb = -0.1",
        "min_disk_space_gb = inf",
        "machine_id = \"a b\"",
        "quiet_hours = [\"08:00-08:00\"]",
        "quiet_hours = [\"8:00-09:00\"]",
        "quiet_hours = [\"00:00-24:00\"]",
    ] {
        let key = bad.split(' ').next().unwrap();
        let error = refused(bad, &[]);
        assert!(
            error.contains(&format!("config.toml:1:1: {key}")),
            "{bad}: {error}"
        );
    }
    let settings = load_with("min_disk_space_gb = 2\ntime_zone = \"UTC\"\nquiet_hours = [\"22:00-06:30\", \"12:00-24:00\"]", &[]).unwrap().settings;
    assert!((settings.min_disk_space_gb - 2.0).abs() < f64::EPSILON);
    assert_eq!(
        (
            settings.quiet_hours[0].start_minute,
            settings.quiet_hours[0].end_minute
        ),
        (1320, 390)
    );
    assert_eq!(
        (
            settings.quiet_hours[1].start_minute,
            settings.quiet_hours[1].end_minute
        ),
        (720, 0)
    );
}
