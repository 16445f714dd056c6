//! Whether two names mean the same model.
//!
//! A limit is told for a family (`opus`, "Opus 5.5", `seven_day_opus`), a task asks for an alias or a full name
//! (`claude-opus-5-5`, `opus[1m]`). The comparison is generous: taken for the same by mistake, a model waits for another's
//! limit; taken for different, it runs into its own again and again.

/// Whether one name's words, in order and without a gap, stand in the other's. Words are runs of letters and digits; case
/// does not matter. A name without a word is the same as every other: nobody knows what it excludes.
#[must_use]
pub fn same_model(one: &str, other: &str) -> bool {
    let (one, other) = (words(one), words(other));
    holds(&one, &other) || holds(&other, &one)
}

fn words(name: &str) -> Vec<String> {
    name.split(|c: char| !c.is_alphanumeric())
        .filter(|word| !word.is_empty())
        .map(str::to_lowercase)
        .collect()
}

fn holds(long: &[String], short: &[String]) -> bool {
    short.is_empty() || long.windows(short.len()).any(|part| part == short)
}
