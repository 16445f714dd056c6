//! Places: the three layouts, and which sockets a client tries.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::paths::{
    Given, MAX_SOCKET_PATH_BYTES, PathError, PathOptions, Paths, candidate_sockets, check_socket,
};

fn os(text: &str) -> Option<OsString> {
    Some(OsString::from(text))
}

fn user() -> Given {
    Given {
        cwd: "/some/dir".into(),
        home: os("/home/u"),
        ..Given::default()
    }
}

fn resolve(given: &Given, options: &PathOptions) -> Paths {
    Paths::resolve(given, options, &|_| true).unwrap()
}

fn state_dir(dir: &str) -> PathOptions {
    PathOptions {
        state_dir: Some(dir.into()),
        ..PathOptions::default()
    }
}

#[test]
fn a_user_has_xdg_places() {
    let paths = resolve(&user(), &PathOptions::default());
    assert_eq!(
        paths.state_dir,
        Path::new("/home/u/.local/state/auto-claude")
    );
    assert_eq!(
        paths.socket,
        Path::new("/home/u/.local/state/auto-claude/auto-claude.sock")
    );
    assert_eq!(
        paths.config_file.as_deref(),
        Some(Path::new("/home/u/.config/auto-claude/config.toml"))
    );
    let given = Given {
        xdg_state_home: os("/s"),
        xdg_config_home: os("/c"),
        ..user()
    };
    let paths = resolve(&given, &PathOptions::default());
    assert_eq!(paths.database, Path::new("/s/auto-claude/auto-claude.db"));
    assert_eq!(paths.config_target, Path::new("/c/auto-claude/config.toml"));
    // The specification has relative base directories ignored.
    let given = Given {
        xdg_state_home: os("s"),
        xdg_config_home: os("./c"),
        ..user()
    };
    assert_eq!(
        resolve(&given, &PathOptions::default()),
        resolve(&user(), &PathOptions::default())
    );
}

#[test]
fn root_and_systemd_have_fhs_places() {
    let root = Given {
        is_root: true,
        ..user()
    };
    let service = Given {
        home: None,
        state_directory: os("/var/lib/auto-claude:/var/lib/other"),
        runtime_directory: os("/run/auto-claude"),
        configuration_directory: os("/etc/auto-claude"),
        ..Given::default()
    };
    for given in [root, service] {
        let paths = resolve(&given, &PathOptions::default());
        assert_eq!(paths.state_dir, Path::new("/var/lib/auto-claude"));
        assert_eq!(paths.socket, Path::new("/run/auto-claude/auto-claude.sock"));
        assert_eq!(
            paths.config_target,
            Path::new("/etc/auto-claude/config.toml")
        );
    }
    let elsewhere = Given {
        state_directory: os("/data/ac"),
        ..Given::default()
    };
    assert_eq!(
        resolve(&elsewhere, &PathOptions::default()).socket,
        Path::new("/data/ac/auto-claude.sock")
    );
}

#[test]
fn a_state_directory_holds_everything() {
    for (given, option) in [
        (user(), "/d/x/"),
        (
            Given {
                is_root: true,
                ..user()
            },
            "/d/x",
        ),
        (
            Given {
                cwd: "/d".into(),
                ..user()
            },
            "./x",
        ),
    ] {
        let paths = resolve(&given, &state_dir(option));
        assert_eq!(
            paths.config_file.as_deref(),
            Some(Path::new("/d/x/config.toml"))
        );
        for path in [
            &paths.socket,
            &paths.database,
            &paths.logs_dir,
            &paths.tasks_dir,
            &paths.records_dir,
            &paths.run_dir,
            &paths.lock_file,
        ] {
            assert_eq!(path.parent(), Some(Path::new("/d/x")), "{}", path.display());
        }
    }
    // Inside a task of the service, another state directory is still another daemon.
    let inside = Given {
        state_directory: os("/var/lib/auto-claude"),
        runtime_directory: os("/run/auto-claude"),
        ..user()
    };
    assert_eq!(
        resolve(&inside, &state_dir("/d/x")).socket,
        Path::new("/d/x/auto-claude.sock")
    );
}

#[test]
fn a_missing_file_is_passed_over_unless_it_was_named() {
    let nothing = |_: &Path| false;
    let paths = Paths::resolve(&user(), &PathOptions::default(), &nothing).unwrap();
    assert_eq!(paths.config_file, None);
    let named = PathOptions {
        config: Some("my.toml".into()),
        ..PathOptions::default()
    };
    let paths = Paths::resolve(&user(), &named, &nothing).unwrap();
    assert_eq!(
        paths.config_file.as_deref(),
        Some(Path::new("/some/dir/my.toml"))
    );
}

#[test]
fn the_settings_may_put_the_database_elsewhere() {
    let settings = super::Settings {
        database_path: Some("/fast/a.db".into()),
        ..super::Settings::default()
    };
    let paths = resolve(&user(), &PathOptions::default());
    assert_eq!(
        paths.clone().with_database(&super::Settings::default()),
        paths
    );
    assert_eq!(
        paths.with_database(&settings).database,
        Path::new("/fast/a.db")
    );
}

#[test]
fn what_cannot_be_used_is_said() {
    let homeless = Given::default();
    assert_eq!(
        Paths::resolve(&homeless, &PathOptions::default(), &|_| true),
        Err(PathError::NoHome)
    );
    assert!(
        Paths::resolve(&homeless, &state_dir("/d"), &|_| true).is_ok(),
        "no home is needed with --state-dir"
    );
    assert!(matches!(
        Paths::resolve(&user(), &state_dir(""), &|_| true),
        Err(PathError::Unusable {
            option: "--state-dir",
            ..
        })
    ));
    let fits = PathBuf::from(format!("/{}", "a".repeat(MAX_SOCKET_PATH_BYTES - 1)));
    assert_eq!(check_socket(&fits), Ok(()));
    let error = check_socket(&fits.with_extension("b"))
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("has 109 bytes, the system takes 107; choose a shorter --state-dir"),
        "{error}"
    );
}

#[test]
fn a_client_tries_what_was_named_and_nothing_else() {
    let one = |given: &Given, options: &PathOptions| {
        let sockets = candidate_sockets(given, options).unwrap();
        assert_eq!(sockets.len(), 1, "{sockets:?}");
        sockets[0].clone()
    };
    let with_env = Given {
        auto_claude_socket: os("/e.sock"),
        ..user()
    };
    let all = PathOptions {
        socket: Some("s.sock".into()),
        ..state_dir("/d")
    };
    assert_eq!(one(&with_env, &all), Path::new("/some/dir/s.sock"));
    assert_eq!(one(&with_env, &state_dir("/d")), Path::new("/e.sock"));
    // Inside a task its own daemon is the default: a place that was named means another one.
    let in_a_task = Given {
        daemon_socket: os("/own.sock"),
        ..user()
    };
    assert_eq!(
        one(&in_a_task, &state_dir("/d")),
        Path::new("/d/auto-claude.sock")
    );
    assert_eq!(
        one(&in_a_task, &PathOptions::default()),
        Path::new("/own.sock")
    );
    assert_eq!(
        one(&with_env, &PathOptions::default()),
        Path::new("/e.sock")
    );
    assert_eq!(
        one(&user(), &state_dir("/d")),
        Path::new("/d/auto-claude.sock")
    );
    assert_eq!(
        one(&user(), &state_dir("/var/lib/auto-claude/")),
        Path::new("/run/auto-claude/auto-claude.sock")
    );
    assert!(candidate_sockets(&user(), &state_dir(&"x".repeat(200))).is_err());
}

#[test]
fn a_client_finds_the_users_daemon_and_then_the_services() {
    let own = PathBuf::from("/home/u/.local/state/auto-claude/auto-claude.sock");
    let system = PathBuf::from("/run/auto-claude/auto-claude.sock");
    let none = PathOptions::default();
    assert_eq!(
        candidate_sockets(&user(), &none).unwrap(),
        [own.clone(), system.clone()]
    );
    assert_eq!(
        candidate_sockets(
            &Given {
                is_root: true,
                ..user()
            },
            &none
        )
        .unwrap(),
        [system.clone(), own]
    );
    assert_eq!(
        candidate_sockets(&Given::default(), &none).unwrap(),
        [system]
    );
}

/// A daemon and a client that were given the same meet at the same socket.
#[test]
fn daemon_and_client_agree() {
    let service = Given {
        state_directory: os("/var/lib/auto-claude"),
        runtime_directory: os("/run/auto-claude"),
        ..user()
    };
    for given in [
        user(),
        Given {
            is_root: true,
            ..user()
        },
        service,
        Given {
            xdg_state_home: os("/s"),
            ..user()
        },
    ] {
        for options in [
            PathOptions::default(),
            state_dir("/d"),
            state_dir("/var/lib/auto-claude"),
        ] {
            let daemon = resolve(&given, &options).socket;
            assert_eq!(
                candidate_sockets(&given, &options).unwrap()[0],
                daemon,
                "{given:?} {options:?}"
            );
        }
    }
}
