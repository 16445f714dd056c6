//! The list of direct dependencies is a decision, so it is written down: `docs/dependencies.md` names each one with its reason,
//! names none that is not there, and each is used.
#![expect(clippy::panic, reason = "a test's helper may stop it")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Tables of `Cargo.toml` that hold direct dependencies.
const TABLES: [&str; 3] = ["dependencies", "dev-dependencies", "build-dependencies"];
/// Folders in which a dependency may be used.
const SOURCES: [&str; 3] = ["src", "tests", "benches"];

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path)
        .unwrap_or_else(|error| panic!("cannot read {}: {error}", path.display()))
}

/// The names in `Cargo.toml`.
fn direct() -> BTreeSet<String> {
    let manifest: toml::Table = read(&root().join("Cargo.toml"))
        .parse()
        .expect("Cargo.toml is TOML");
    TABLES
        .iter()
        .filter_map(|table| manifest.get(*table)?.as_table())
        .flat_map(|table| table.keys().cloned())
        .collect()
}

/// The names in code font in the first two columns of the page's tables: `| name | here as |` or `| name |`.
fn documented(page: &str) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for row in page.lines().filter(|line| line.starts_with("| ")) {
        let cells: Vec<&str> = row.trim_matches('|').split(" | ").collect();
        // Only the reason stands in the last cell.
        for cell in &cells[..cells.len().saturating_sub(1)] {
            names.extend(cell.split('`').skip(1).step_by(2).map(str::to_owned));
        }
    }
    names
}

/// The code of every Rust file below `dir`, without lines that are comments.
fn rust_text(dir: &Path, text: &mut String) {
    let Ok(entries) = std::fs::read_dir(dir) else {
        return;
    };
    for entry in entries.flatten() {
        let path = entry.path();
        if path.is_dir() {
            rust_text(&path, text);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            for line in read(&path)
                .lines()
                .filter(|line| !line.trim_start().starts_with("//"))
            {
                text.push_str(line);
                text.push('\n');
            }
        }
    }
}

#[test]
fn every_direct_dependency_is_documented_and_no_other() {
    let page = documented(&read(&root().join("docs/dependencies.md")));
    let manifest = direct();
    let missing: Vec<_> = manifest.difference(&page).collect();
    assert!(
        missing.is_empty(),
        "docs/dependencies.md does not say why these are there: {missing:?}"
    );
    // Named there as replaced, and by what.
    let gone: Vec<_> = page.difference(&manifest).collect();
    assert!(
        gone.is_empty(),
        "docs/dependencies.md names what Cargo.toml does not have: {gone:?}"
    );
}

#[test]
fn every_direct_dependency_is_used() {
    let mut text = String::new();
    for folder in SOURCES {
        rust_text(&root().join(folder), &mut text);
    }
    let unused: Vec<String> = direct()
        .into_iter()
        .filter(|name| {
            let krate = name.replace('-', "_");
            // A path (`serde::`), an import (`use serde;`, `use serde as …`) or a derive's attribute (`#[serde(`) of the crate.
            !text.match_indices(&krate).any(|(at, _)| {
                let before = text[..at].chars().next_back().unwrap_or(' ');
                let after = &text[at + krate.len()..];
                let alone = !before.is_alphanumeric() && before != '_';
                alone
                    && (after.starts_with("::")
                        || after.starts_with(';')
                        || after.starts_with(" as "))
            })
        })
        .collect();
    assert!(
        unused.is_empty(),
        "used nowhere in {SOURCES:?}; remove them from Cargo.toml: {unused:?}"
    );
}

#[test]
fn the_page_is_read_as_it_is_written() {
    let page = "| crate | why |\n|---|---|\n| `one` | because `two` said so |\n| x | replaced by `three` | and `four` |\ntext `five`\n";
    let names: Vec<String> = documented(page).into_iter().collect();
    assert_eq!(names, ["one", "three"]);
}
