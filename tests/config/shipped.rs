//! The shipped file and the reference page tell the truth.

use std::fs;
use std::path::{Path, PathBuf};

use auto_claude::config::keys::KEYS;
use auto_claude::config::{FoundTools, Origin, default_config_text, find_tools, load, reference};

use crate::{load_with, sources};

fn repository(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(file)
}

/// Compares a file of the tree with what the code says it must be; with `UPDATE_DOCS=1` writes it.
fn fresh(file: &str, expected: &str) {
    let path = repository(file);
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, expected).unwrap();
    }
    let found = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        found == expected,
        "{file} is stale: run UPDATE_DOCS=1 cargo test --test config"
    );
}

#[test]
fn the_shipped_file_is_fresh() {
    fresh(
        "config/auto-claude.toml",
        &default_config_text(&FoundTools::default()),
    );
}

#[test]
fn the_reference_page_is_fresh() {
    fresh("docs/configuration.md", &reference::reference_markdown());
}

#[test]
fn the_shipped_file_loads_and_its_lines_are_the_defaults() {
    let path = repository("config/auto-claude.toml");
    let text = fs::read_to_string(&path).unwrap();
    let expected = load(&sources(None, &[])).unwrap().settings;
    assert_eq!(load(&sources(Some(&path), &[])).unwrap().settings, expected);
    // With every `#key = value` made live it is the same again.
    let live: String = text
        .lines()
        .map(|line| {
            line.strip_prefix('#')
                .filter(|rest| !rest.starts_with([' ', '#']))
                .unwrap_or(line)
        })
        .flat_map(|line| [line, "\n"])
        .collect();
    let effective = load_with(&live, &[]).unwrap_or_else(|error| panic!("{error}\n{live}"));
    assert_eq!(effective.settings, expected);
    for key in KEYS {
        assert!(
            text.contains(&format!(
                "\n#{} = {}\n",
                key.name,
                key.default_value().to_toml()
            )),
            "{} with its default",
            key.name
        );
        assert!(
            text.contains(key.summary)
                && text.contains(&key.kind.allowed())
                && text.contains(key.unit),
            "{}: meaning, range, unit",
            key.name
        );
        assert!(
            matches!(effective.origins[key.name], Origin::File { .. }),
            "{} is live",
            key.name
        );
    }
}

#[test]
fn init_writes_a_file_with_the_tools_it_found() {
    let dir = tempfile::tempdir().unwrap();
    let tool = dir.path().join("claude");
    fs::write(&tool, "").unwrap();
    let path_var = format!("relative:{}:/usr/bin:/bin", dir.path().display());
    assert_eq!(
        find_tools(path_var.as_ref()).get("claude"),
        None,
        "a file that cannot be executed is no tool"
    );
    fs::set_permissions(&tool, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let found = find_tools(path_var.as_ref());
    assert_eq!(found.get("claude"), Some(tool.as_path()));
    assert!(found.get("sh").is_some_and(Path::is_absolute));
    let text = default_config_text(&found);
    assert!(
        text.contains(&format!("claude    {}", tool.display())),
        "{text}"
    );
    load_with(&text, &[]).unwrap();
}
