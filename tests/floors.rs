//! The house's rules that no lint carries: a room imports only from floors below it, pure rooms know nothing of the world,
//! SQL stays in the store, unsafe code in `process/`.

use std::path::{Path, PathBuf};

/// Rooms from the ground up, with what each may import beside `crash` and `crc`. Who wants more moves a wall here, with a reason.
const FLOORS: [(&str, &[&str]); 19] = [
    ("budget", &[]),
    // What is asked of an agent says what it may use up.
    ("task", &["budget"]),
    ("holds", &["task"]),
    ("schedule", &["task"]),
    ("agent", &["task"]),
    // What a worker is handed names the driver that reads its agent.
    ("attempt", &["agent", "task"]),
    ("config", &["budget", "schedule", "task"]),
    ("store", &["budget", "task"]),
    ("process", &["attempt", "task"]),
    ("record", &["attempt", "task"]),
    ("checkpoint", &["attempt", "task"]),
    ("output", &["task"]),
    // A worker knows no database, no settings, no supervisor.
    (
        "worker",
        &[
            "agent",
            "attempt",
            "checkpoint",
            "output",
            "process",
            "record",
            "task",
        ],
    ),
    ("installed", &["agent", "process", "task"]),
    ("logs", &["config"]),
    (
        "supervisor",
        &[
            "agent",
            "attempt",
            "budget",
            "config",
            "holds",
            "installed",
            "output",
            "process",
            "record",
            "schedule",
            "store",
            "task",
            "worker",
        ],
    ),
    (
        "api",
        &[
            "agent",
            "budget",
            "checkpoint",
            "config",
            "holds",
            "output",
            "process",
            "store",
            "supervisor",
            "task",
        ],
    ),
    // Speaks only HTTP: of the supervisor it knows the words of commands, of the worker the door's client.
    (
        "cli",
        &[
            "api",
            "attempt",
            "budget",
            "config",
            "holds",
            "supervisor",
            "task",
            "worker",
        ],
    ),
    (
        "daemon",
        &[
            "api",
            "cli",
            "config",
            "installed",
            "logs",
            "process",
            "store",
            "supervisor",
            "task",
        ],
    ),
];

/// Modules that are no rooms: every room may use them.
const BESIDE: [&str; 2] = ["crash", "crc"];

const PURE: [&str; 6] = ["budget", "task", "holds", "schedule", "agent", "attempt"];

/// What a pure room must not name.
const WORLD: [&str; 14] = [
    "std::fs",
    "std::net",
    "std::os::unix::net",
    "std::process",
    "std::thread",
    "std::env",
    "SystemTime",
    "Instant",
    "HashMap",
    "HashSet",
    "tokio",
    "getrandom",
    "rustix",
    "Timestamp::now()",
];

fn sources(room: &str) -> Vec<(PathBuf, String)> {
    let mut open = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("src").join(room)];
    let mut files = Vec::new();
    while let Some(path) = open.pop() {
        if path.is_dir() {
            open.extend(
                std::fs::read_dir(&path)
                    .expect("a room")
                    .map(|entry| entry.expect("an entry").path()),
            );
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = std::fs::read_to_string(&path).expect("a source");
            files.push((path, text));
        }
    }
    files
}

/// The code of a file, without comments and without its tests.
fn code(text: &str) -> String {
    let shipped = text.split("#[cfg(test)]").next().unwrap_or_default();
    shipped
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"))
        .collect::<Vec<_>>()
        .join("\n")
}

fn is_test(path: &Path) -> bool {
    path.components()
        .any(|part| part.as_os_str() == "tests" || part.as_os_str() == "tests.rs")
}

#[test]
fn a_room_imports_only_from_floors_below_it() {
    let rooms: Vec<&str> = FLOORS.iter().map(|(room, _)| *room).collect();
    let mut wrong = Vec::new();
    for (floor, (room, below)) in FLOORS.iter().enumerate() {
        assert!(
            below.iter().all(|other| rooms[..floor].contains(other)),
            "{room} stands below what it imports"
        );
        for (path, text) in sources(room) {
            for used in code(&text).split("crate::").skip(1) {
                let name: String = used
                    .chars()
                    .take_while(|c| c.is_ascii_lowercase() || *c == '_')
                    .collect();
                if rooms.contains(&name.as_str())
                    && name != *room
                    && !below.contains(&name.as_str())
                {
                    wrong.push(format!("{}: crate::{name}", path.display()));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn every_room_has_a_floor_and_is_on_the_front_page() {
    let front = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/lib.rs"))
        .expect("lib.rs");
    let mut last = 0;
    for (room, _) in FLOORS {
        let at = front
            .find(&format!("| [`{room}`]"))
            .unwrap_or_else(|| unreachable!("{room} is not in lib.rs's table"));
        assert!(at > last, "{room} stands elsewhere in lib.rs's table");
        last = at;
    }
    let listed = front
        .lines()
        // The simulation is in no shipped build, and no room uses it.
        .filter(|line| line.starts_with("pub mod ") && *line != "pub mod sim;")
        .count();
    assert_eq!(
        listed,
        FLOORS.len() + BESIDE.len(),
        "every room and {BESIDE:?}"
    );
}

#[test]
fn pure_rooms_know_nothing_of_the_world() {
    let mut wrong = Vec::new();
    for room in PURE {
        for (path, text) in sources(room).into_iter().filter(|(path, _)| !is_test(path)) {
            let code = code(&text);
            wrong.extend(
                WORLD
                    .iter()
                    .filter(|word| code.contains(**word))
                    .map(|word| format!("{}: {word}", path.display())),
            );
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn sql_stays_in_the_store_and_unsafe_code_in_process() {
    let mut wrong = Vec::new();
    for (room, _) in FLOORS {
        for (path, text) in sources(room).into_iter().filter(|(path, _)| !is_test(path)) {
            if room != "store" && code(&text).contains("rusqlite") {
                wrong.push(format!("{}: rusqlite", path.display()));
            }
            if room != "process" && text.contains("expect(unsafe_code") {
                wrong.push(format!("{}: unsafe code", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}
