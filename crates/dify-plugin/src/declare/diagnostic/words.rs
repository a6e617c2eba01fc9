//! The words of a diagnostic: its headline, and what was probably meant.

use crate::names;

/// First words of messages whose subject is the field.
const VERBS: &[&str] = &[
    "adds", "appears", "belongs", "cannot", "changes", "does", "gives", "has", "holds", "is", "lists", "must", "names",
    "nests", "never", "puts", "should",
];

/// Longest list of names within a message; a longer one is below it.
const MAX_INLINE_NAMES: usize = 60;

/// The problem in one line: the last part of the path, or else the file, and the message.
pub(super) fn headline(file: &str, path: &str, message: &str) -> String {
    let subject = match last(path) {
        "" => file,
        name => name,
    };
    let subject = super::shown(subject, 120);
    match message.split(' ').next() {
        Some(word) if VERBS.contains(&word) => format!("`{subject}` {message}"),
        // An item of a file that is a list.
        _ if subject.starts_with('[') => message.to_owned(),
        _ => format!("{subject}: {message}"),
    }
}

/// The last part of a path, with the name of the list if it is an item.
pub(super) fn last(path: &str) -> &str {
    path.rfind('.').map_or(path, |dot| &path[dot + 1..])
}

/// The message without a long list of names, and that list.
pub(super) fn without_names(message: String, allowed: &[String]) -> (String, Option<String>) {
    if allowed.is_empty() {
        return (message, None);
    }
    let names = allowed.join(", ");
    if names.len() <= MAX_INLINE_NAMES {
        let help = (!message.contains(&names)).then(|| format!("allowed: {names}"));
        return (message, help);
    }
    let message = message.replace(&format!("must be one of {names}"), "is none of the allowed names");
    let message = message.replace(&format!("expected one of {names}"), "it is none of the allowed names");
    let message = message.replace(&format!("the options {names}"), "the options");
    (message, Some(format!("allowed: {names}")))
}

/// The allowed name that was probably meant.
pub(super) fn meant(found: &str, allowed: &[String]) -> Option<String> {
    // A text that is compared with many names is no longer than a name.
    if found.is_empty() || found.len() > 128 || allowed.iter().any(|name| name == found) {
        return None;
    }
    names::similar(found, allowed.iter().map(String::as_str)).map(str::to_owned)
}
