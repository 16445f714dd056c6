//! The pages agree with the tree: links lead somewhere, every page is in the index, and what a page names is there.

#![expect(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use auto_claude::cli::exit;
use auto_claude::daemon::ExitError;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: impl AsRef<Path>) -> String {
    let path = root().join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// All files below `dir` whose names end like this.
fn files(dir: &Path, end: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path, end));
        } else if path.to_string_lossy().ends_with(end) {
            found.push(path);
        }
    }
    found.sort();
    found
}

fn pages() -> Vec<PathBuf> {
    let mut pages = files(&root().join("docs"), ".md");
    pages.push(root().join("README.md"));
    pages
}

/// A page without its fenced blocks, where nothing is a link or a heading.
fn prose(text: &str) -> String {
    let mut fenced = false;
    let mut prose = String::new();
    for line in text.lines() {
        let fence = line.trim_start().starts_with("```");
        fenced ^= fence;
        if !fenced && !fence {
            prose.push_str(line);
            prose.push('\n');
        }
    }
    prose
}

/// Targets of `[…](target)`.
fn links(page: &str) -> Vec<String> {
    let prose = prose(page);
    prose
        .split("](")
        .skip(1)
        .filter_map(|rest| Some(rest.split_once(')')?.0.to_owned()))
        .collect()
}

/// The anchors of a page's headings, as they are made for the web: lower case, no punctuation, hyphens for spaces.
fn anchors(page: &str) -> BTreeSet<String> {
    let headings = prose(page);
    let headings = headings
        .lines()
        .filter(|line| line.starts_with('#'))
        .map(|line| line.trim_start_matches('#').trim());
    let kept = |letter: &char| letter.is_alphanumeric() || [' ', '-', '_'].contains(letter);
    headings
        .map(|heading| {
            heading
                .to_lowercase()
                .chars()
                .filter(kept)
                .collect::<String>()
                .replace(' ', "-")
        })
        .collect()
}

/// Words in single backticks.
fn code_words(page: &str) -> Vec<String> {
    let prose = prose(page);
    let lines = prose.lines().filter(|line| !line.starts_with("    "));
    lines
        .flat_map(|line| line.split('`').skip(1).step_by(2))
        .map(str::to_owned)
        .collect()
}

#[test]
fn every_link_leads_somewhere() {
    let mut checked = 0;
    for page in pages() {
        for link in links(&read(&page)) {
            if link.contains("://") || link.starts_with("mailto:") {
                continue;
            }
            let (path, anchor) = link.split_once('#').unwrap_or((&link, ""));
            let target = if path.is_empty() {
                page.clone()
            } else {
                page.parent().unwrap().join(path)
            };
            assert!(
                target.exists(),
                "{}: the link {link} leads nowhere",
                page.display()
            );
            if !anchor.is_empty() {
                let anchors = anchors(&read(&target));
                assert!(
                    anchors.contains(anchor),
                    "{}: no heading for {link}; there are {anchors:?}",
                    page.display()
                );
            }
            checked += 1;
        }
    }
    assert!(checked > 50, "links are found: {checked}");
}

#[test]
fn every_page_is_in_the_index() {
    let index = links(&read("docs/README.md"));
    for page in files(&root().join("docs"), ".md") {
        let name = page
            .strip_prefix(root().join("docs"))
            .unwrap()
            .to_str()
            .unwrap();
        assert!(
            name == "README.md" || index.iter().any(|link| link == name),
            "docs/README.md does not link {name}"
        );
    }
}

/// Tests, and files of the tree, that pages name in backticks.
#[test]
fn what_pages_name_is_there() {
    let sources: String = ["src", "tests"]
        .iter()
        .flat_map(|dir| files(&root().join(dir), ".rs"))
        .map(read)
        .collect();
    let of_the_tree = ["src/", "tests/", "scripts/", "systemd/", "config/", "docs/"];
    let mut tests = 0;
    for page in pages() {
        for word in code_words(&read(&page)) {
            let plain =
                !word.contains(|letter: char| letter.is_whitespace() || "*<>…{".contains(letter));
            if plain && of_the_tree.iter().any(|dir| word.starts_with(dir)) {
                assert!(
                    root().join(&word).exists(),
                    "{}: {word} is not in the tree",
                    page.display()
                );
            }
            let is_name = word.chars().all(|letter| {
                letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == '_'
            });
            // A name of five words or more is a test's.
            if is_name && word.matches('_').count() >= 4 {
                let there = sources.contains(&format!("fn {word}("))
                    || sources.contains(&format!("{word}: "));
                assert!(there, "{}: there is no test {word}", page.display());
                tests += 1;
            }
        }
    }
    assert!(tests > 30, "the proofs are named: {tests}");
}

#[test]
fn every_room_is_in_the_architecture() {
    let page = read("docs/architecture.md");
    for line in read("src/lib.rs").lines() {
        if let Some(room) = line
            .strip_prefix("pub mod ")
            .and_then(|rest| rest.strip_suffix(';'))
        {
            assert!(
                page.contains(&format!("| `{room}` |")),
                "docs/architecture.md says nothing of the room {room}"
            );
        }
    }
}

#[test]
fn every_kind_of_attention_has_its_advice_and_no_other() {
    let sources: String = files(&root().join("src"), ".rs")
        .into_iter()
        .map(read)
        .collect();
    let literal = |text: &str| Some(text.strip_prefix('"')?.split_once('"')?.0.to_owned());
    // A kind is a literal, or a constant that is one.
    let constant = |text: &str| {
        let name = text
            .split(|c: char| !c.is_ascii_uppercase() && c != '_')
            .next()?;
        let (_, value) = sources.split_once(&format!("const {name}: &str = "))?;
        literal(value)
    };
    let raised: BTreeSet<String> = sources
        .split("kind: ")
        .skip(1)
        .filter_map(|rest| literal(rest).or_else(|| constant(rest)))
        .collect();
    assert!(raised.len() > 5, "{raised:?}");
    let page = read("docs/operations.md");
    let (_, section) = page.split_once("## What asks for attention").unwrap();
    let section = section.split("\n## ").next().unwrap();
    let advised: BTreeSet<String> = section
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split(" |").next())
        .flat_map(|kinds| {
            kinds
                .split(", ")
                .map(|kind| kind.trim_matches('`').to_owned())
        })
        .collect();
    assert_eq!(raised, advised);
}

#[test]
fn every_variable_of_the_contract_is_in_the_tasks_page() {
    let contract = read("src/worker/contract.rs");
    let names: BTreeSet<&str> = contract
        .split(|letter: char| !(letter.is_ascii_uppercase() || letter == '_'))
        .filter(|word| word.starts_with("AUTO_CLAUDE_") && word.len() > "AUTO_CLAUDE_".len())
        .collect();
    assert!(names.len() >= 8, "{names:?}");
    let page = read("docs/tasks.md");
    for name in names {
        assert!(
            page.contains(&format!("`{name}`")),
            "docs/tasks.md does not name {name}"
        );
    }
}

#[test]
fn every_exit_code_is_in_the_operations_page() {
    let page = read("docs/operations.md");
    let own = [
        ("FAILED", ExitError::FAILED),
        ("USAGE", ExitError::USAGE),
        ("IN_USE", ExitError::IN_USE),
        ("STORE_REFUSED", ExitError::STORE_REFUSED),
    ];
    let all = exit::ALL
        .iter()
        .map(|named| (named.name, named.code))
        .chain(own);
    for (name, code) in all {
        assert!(
            page.contains(&format!("| {code} | `{name}` |")),
            "docs/operations.md has no line for {code} {name}"
        );
    }
}
