//! The configuration file: bytes → TOML → raw values with their places.
//!
//! Invariants: total over every byte string; a file that is no regular file is never opened (a pipe would hang).

use std::collections::BTreeSet;
use std::io::Read as _;
use std::path::Path;

use toml::de::{DeTable, DeValue};

use super::check::Raw;
use super::keys::{self, Key};
use super::problem::{Place, Problem};
use super::rights::{Trust, refuse_foreign};

/// Largest configuration file, in bytes.
pub(super) const MAX_FILE_BYTES: u64 = 1 << 20;

/// One known key of the file with its value.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) key: &'static Key,
    pub(super) raw: Raw,
    pub(super) place: Place,
}

/// Reads the file at `path` as text, if its owner and its rights allow to believe it.
pub(super) fn read(path: &Path, trust: Trust) -> Result<String, Problem> {
    let place = Place::File {
        path: path.to_path_buf(),
        position: None,
    };
    let unreadable = |why: String| Problem::Unreadable {
        place: place.clone(),
        why,
    };
    let about =
        std::fs::metadata(path).map_err(|error| unreadable(format!("cannot be read: {error}")))?;
    if about.is_dir() {
        return Err(unreadable(
            "is a directory; name the file inside it".to_owned(),
        ));
    }
    if !about.is_file() {
        return Err(unreadable("is not a regular file".to_owned()));
    }
    let cannot_read = |error: std::io::Error| unreadable(format!("cannot be read: {error}"));
    let file = std::fs::File::open(path).map_err(cannot_read)?;
    if trust == Trust::Own {
        // Of the file that is read, not of what stood there a moment ago.
        let about = file.metadata().map_err(cannot_read)?;
        refuse_foreign(path, &about)
            .map_err(|wrong| unreadable(format!("wrong rights: it {}", wrong.why)))?;
    }
    let mut bytes = Vec::new();
    file.take(MAX_FILE_BYTES + 1)
        .read_to_end(&mut bytes)
        .map_err(cannot_read)?;
    if bytes.len() as u64 > MAX_FILE_BYTES {
        return Err(unreadable(format!(
            "is larger than {MAX_FILE_BYTES} bytes; is this the right file?"
        )));
    }
    String::from_utf8(bytes).map_err(|error| {
        let valid = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let line = 1 + valid.iter().filter(|byte| **byte == b'\n').count();
        let column = 1 + valid
            .iter()
            .rev()
            .take_while(|byte| **byte != b'\n')
            .count();
        Problem::Unreadable {
            place: Place::File {
                path: path.to_path_buf(),
                position: Some((line, column)),
            },
            why: "is not UTF-8 text here".to_owned(),
        }
    })
}

/// Takes the text of the file at `path` apart: known keys with their values, and everything that is wrong with the rest.
pub(super) fn parse(path: &Path, text: &str) -> (Vec<Entry>, Vec<Problem>) {
    let (table, errors) = DeTable::parse_recoverable(text);
    let place = |offset: usize| Place::File {
        path: path.to_path_buf(),
        position: Some(position(text, offset)),
    };
    let mut problems: Vec<Problem> = errors
        .iter()
        .map(|error| Problem::Syntax {
            place: place(error.span().map_or(text.len(), |span| span.start)),
            why: error.message().to_owned(),
        })
        .collect();
    // The first of a line: what follows it there follows from it (a bracket that is not closed, once per level).
    let mut broken_lines = BTreeSet::new();
    problems.retain(|problem| broken_lines.insert(problem.line()));

    let mut entries = Vec::new();
    for (name, value) in table.get_ref() {
        let place = place(name.span().start);
        // What the parser made of a line that it refused is not worth a second message.
        if let Place::File {
            position: Some((line, _)),
            ..
        } = place
            && broken_lines.contains(&Some(line))
        {
            continue;
        }
        match (keys::find(name.get_ref()), value.get_ref()) {
            (Some(key), value) => entries.push(Entry {
                key,
                raw: raw(value),
                place,
            }),
            (None, DeValue::Table(section)) if !section.is_empty() => {
                for inner in section.keys() {
                    let place = Place::File {
                        path: path.to_path_buf(),
                        position: Some(position(text, inner.span().start)),
                    };
                    problems.push(unknown(
                        place,
                        &format!("{}.{}", name.get_ref(), inner.get_ref()),
                    ));
                }
            }
            (None, _) => problems.push(unknown(place, name.get_ref())),
        }
    }
    problems.sort_by_key(Problem::line);
    (entries, problems)
}

/// Characters of an unknown key that are shown.
const MAX_KEY_CHARS: usize = 100;

fn unknown(place: Place, key: &str) -> Problem {
    let shown = key
        .chars()
        .take(MAX_KEY_CHARS)
        .flat_map(char::escape_debug)
        .collect();
    Problem::UnknownKey {
        place,
        key: shown,
        nearest: keys::nearest(key),
    }
}

fn raw(value: &DeValue<'_>) -> Raw {
    match value {
        DeValue::String(text) => Raw::Text(text.to_string()),
        DeValue::Integer(number) => {
            let parsed = i128::from_str_radix(number.as_str(), number.radix()).ok();
            Raw::Int(
                parsed,
                parsed.map_or_else(|| number.as_str().to_owned(), |number| number.to_string()),
            )
        }
        DeValue::Float(number) => Raw::Float(
            number.as_str().parse().unwrap_or(f64::NAN),
            number.as_str().to_owned(),
        ),
        DeValue::Boolean(flag) => Raw::Bool(*flag),
        DeValue::Datetime(_) => Raw::Other("a date or time"),
        DeValue::Array(items) => Raw::List(items.iter().map(|item| raw(item.get_ref())).collect()),
        DeValue::Table(_) => Raw::Other("a table"),
    }
}

/// Line and column (in characters), from 1, of a byte offset.
fn position(text: &str, offset: usize) -> (usize, usize) {
    let before = text.get(..offset).unwrap_or(text);
    let line = 1 + before.bytes().filter(|byte| *byte == b'\n').count();
    let column = 1 + before
        .chars()
        .rev()
        .take_while(|character| *character != '\n')
        .count();
    (line, column)
}
