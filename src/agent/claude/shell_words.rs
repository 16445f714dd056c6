//! A line as it would be typed in a shell → words. Only what every shell reads alike: words, quotes, backslashes. Whatever
//! has a meaning beyond that is told and not guessed.

/// A line as words.
pub(super) enum Words {
    Simple(Vec<String>),
    /// It holds a letter with a meaning for shells.
    Shell(char),
    /// A quote is not closed.
    Open,
}

/// Splits a line.
pub(super) fn words(line: &str) -> Words {
    const META: &str = "|&;<>()$`*?[]{}\n";
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut letters = line.chars();
    while let Some(letter) = letters.next() {
        match letter {
            '\'' => match quoted(&mut letters, '\'') {
                Ok(text) => word.get_or_insert_default().push_str(&text),
                Err(words) => return words,
            },
            '"' => match quoted(&mut letters, '"') {
                Ok(text) => word.get_or_insert_default().push_str(&text),
                Err(words) => return words,
            },
            '\\' => match letters.next() {
                Some('\n') => {}
                Some(next) => word.get_or_insert_default().push(next),
                None => return Words::Open,
            },
            '#' | '~' if word.is_none() => return Words::Shell(letter),
            letter if META.contains(letter) => return Words::Shell(letter),
            letter if letter.is_whitespace() => words.extend(word.take()),
            letter => word.get_or_insert_default().push(letter),
        }
    }
    words.extend(word);
    Words::Simple(words)
}

/// The text up to the closing quote.
fn quoted(letters: &mut std::str::Chars<'_>, quote: char) -> Result<String, Words> {
    let mut text = String::new();
    while let Some(letter) = letters.next() {
        match letter {
            letter if letter == quote => return Ok(text),
            '$' | '`' if quote == '"' => return Err(Words::Shell(letter)),
            '\\' if quote == '"' => match letters.next() {
                Some('\n') => {}
                Some(next @ ('"' | '\\' | '$' | '`')) => text.push(next),
                Some(next) => text.extend(['\\', next]),
                None => return Err(Words::Open),
            },
            letter => text.push(letter),
        }
    }
    Err(Words::Open)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_and_quotes() {
        for (line, expected) in [
            ("a b  c", &["a", "b", "c"][..]),
            ("a 'b c' \"d 'e'\"", &["a", "b c", "d 'e'"]),
            ("a'b'\"c\"d", &["abcd"]),
            ("a \\' \\\\ b\\ c", &["a", "'", "\\", "b c"]),
            ("a '' \"\"", &["a", "", ""]),
            ("a \"\\$x \\n\"", &["a", "$x \\n"]),
            ("a '$x `y` \\z'", &["a", "$x `y` \\z"]),
            ("a 'b\\' c", &["a", "b\\", "c"]),
            ("a#b c~d", &["a#b", "c~d"]),
            ("", &[]),
        ] {
            let Words::Simple(found) = words(line) else {
                unreachable!("{line}")
            };
            assert_eq!(found, expected, "{line}");
        }
    }

    #[test]
    fn what_only_a_shell_reads() {
        for line in [
            "a | b", "a $B", "a \"$B\"", "a `b`", "a *", "a # b", "a ~/b", "a; b", "a {1,2}",
            "a\nb",
        ] {
            assert!(matches!(words(line), Words::Shell(_)), "{line}");
        }
        for line in ["a 'b", "a \"b", "a \\", "a \"b\\"] {
            assert!(matches!(words(line), Words::Open), "{line}");
        }
    }
}
