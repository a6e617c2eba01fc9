//! The text form of lists in settings: entries separated by semicolons or line breaks. Dify's form has one line per field, so
//! semicolons come from users and line breaks from programs.

/// The entries that are not blank, each with its number from 1.
pub fn entries(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.split([';', '\n'])
        .map(str::trim)
        .filter(|entry| !entry.is_empty())
        .enumerate()
        .map(|(at, entry)| (at + 1, entry))
}

/// `NAME = VALUE`.
pub fn pair(entry: &str) -> Option<(&str, &str)> {
    let (name, value) = entry.split_once('=')?;
    let (name, value) = (name.trim(), value.trim());
    (!name.is_empty() && !value.is_empty()).then_some((name, value))
}
