//! From a problem to its place: which of key and value is marked, what is written beside it, and where else to look.

use std::ops::Range;

use super::excerpt::excerpt;
use super::{Diagnostic, RelatedPlace, Sources, Suggestion, shown, words};
use crate::declare::codes::Code;
use crate::declare::problem::Problem;
use crate::declare::source::{Place, Position, Source};

/// Longest message and path that are shown.
const MAX_MESSAGE: usize = 600;
const MAX_PATH: usize = 300;

/// Places that are shown beside a problem.
const MAX_RELATED: usize = 8;

/// Codes whose problem is the key, not the value.
const OF_KEYS: &[Code] = &[
    Code::RepeatedKey,
    Code::Missing,
    Code::NeededList,
    Code::UnreadModels,
    Code::UnknownPermission,
    Code::UnknownLanguage,
    Code::NoEffect,
    Code::HiddenHelp,
    Code::UnusedBlock,
    Code::SameAsBlock,
    Code::NotDrawn,
];

/// A problem with the place that its file shows now.
pub(super) fn diagnostic(problem: &Problem, files: &mut Sources<'_>) -> Diagnostic {
    let (message, help) = words::without_names(problem.message.clone(), &problem.allowed);
    let mut found = Diagnostic {
        code: problem.code,
        severity: problem.severity,
        message: shown(&message, MAX_MESSAGE),
        file: shown(&problem.file, MAX_PATH),
        path: shown(&problem.path, MAX_PATH),
        variable: None,
        start: Position { line: problem.line.unwrap_or(1), column: 1 },
        end: Position { line: problem.line.unwrap_or(1), column: 1 },
        help: help.map(|help| shown(&help, MAX_MESSAGE)),
        suggestion: None,
        related: Vec::new(),
        excerpt: None,
    };
    match problem.code {
        Code::NotYaml => syntax(problem, files, &mut found),
        Code::RepeatedKey => repeated_key(problem, files, &mut found),
        _ => field(problem, files, &mut found),
    }
    for related in problem.related.iter().take(MAX_RELATED) {
        let Some(source) = files.get(&related.file) else { continue };
        let range = source.locate(&related.path).map(|place| place.of_value());
        found.related.push(related_place(source, &related.file, range, &related.message));
    }
    found
}

/// A problem of a field.
fn field(problem: &Problem, files: &mut Sources<'_>, found: &mut Diagnostic) {
    let Some(source) = files.get(&problem.file) else { return };
    let Some(place) = source.locate(&problem.path) else { return };
    let range = marked(problem, source, &place);
    found.variable = place.variable.as_deref().map(|variable| shown(variable, MAX_PATH));
    let is_key = place.key.as_ref() == Some(&range);
    let label = match (place.is_exact, problem.code) {
        (false, Code::Missing | Code::NeededList) => Some(format!("`{}` is missing here", words::last(&found.path))),
        _ => meant(problem, source, &place, &range, is_key, found).map(|name| format!("did you mean `{name}`?")),
    };
    mark(source, range, label, found);
    if let Some(written) = &place.written {
        let (range, message) = match (written.is_exact, problem.code) {
            (false, Code::Missing | Code::NeededList) => (written.of_key(), "the alias takes over this"),
            _ => (marked(problem, source, written), "it is written here"),
        };
        let place = related_place(source, &problem.file, Some(range), message);
        found.related.push(place);
    }
}

/// What is marked.
fn marked(problem: &Problem, source: &Source, place: &Place) -> Range<usize> {
    let is_unknown_key = place.is_exact
        && problem.code == Code::NotAllowed
        && problem.message.starts_with("is unknown")
        && source.text().get(place.of_key()).is_some();
    if is_unknown_key || OF_KEYS.contains(&problem.code) { place.of_key() } else { place.of_value() }
}

/// The name that was probably meant, which becomes the suggestion.
fn meant(
    problem: &Problem,
    source: &Source,
    place: &Place,
    range: &Range<usize>,
    is_key: bool,
    found: &mut Diagnostic,
) -> Option<String> {
    if !place.is_exact || !(is_key || place.is_scalar) {
        return None;
    }
    // The key of an item is not what the problem is about.
    if is_key && problem.path.ends_with(']') {
        return None;
    }
    let text = source.scalar(range.clone());
    let name = words::meant(&text, &problem.allowed)?;
    let (start, end) = (source.position(range.start), source.position(range.end));
    let replacement = shown(&name, MAX_PATH);
    found.suggestion = Some(Suggestion { replacement: replacement.clone(), start, end_column: end.column });
    Some(replacement)
}

/// A key that its mapping has already: this place and the first one.
fn repeated_key(problem: &Problem, files: &mut Sources<'_>, found: &mut Diagnostic) {
    let Some(source) = files.get(&problem.file) else { return };
    let keys = source.repeated_keys();
    // Of three, the second and the third have the same path.
    let mut places = keys.iter().filter(|key| key.path == problem.path);
    let Some(key) = places.next() else { return };
    found.variable = source.locate(&problem.path).and_then(|place| place.variable);
    let name = shown(words::last(&problem.path), MAX_PATH);
    mark(source, key.again.clone(), Some("again here".to_owned()), found);
    let first = related_place(source, &problem.file, Some(key.first.clone()), &format!("`{name}` is here first"));
    let more = places.map(|key| related_place(source, &problem.file, Some(key.again.clone()), "and once more here"));
    found.related = std::iter::once(first).chain(more.take(MAX_RELATED - 1)).collect();
}

/// Text that is not YAML: the place where the mistake begins, which one of two parsers knows better.
fn syntax(problem: &Problem, files: &mut Sources<'_>, found: &mut Diagnostic) {
    let Some((position, message)) = files.refusal(&problem.file) else { return };
    let Some(source) = files.get(&problem.file) else { return };
    let line = source.text().get(source.line_range(position.line)).unwrap_or_default();
    // Of a tab only the parser that refuses the file names the place.
    let better = if line.contains('\t') { None } else { source.mistake() };
    let (byte, label) = match better {
        Some((byte, why)) => (byte, Some(shown(&why, MAX_MESSAGE))),
        None => (source.byte(position), None),
    };
    let byte = byte.min(source.text().len());
    let end =
        source.text()[byte..].chars().next().filter(|next| *next != '\n').map_or(byte, |next| byte + next.len_utf8());
    found.message = shown(&format!("is not YAML: {message}"), MAX_MESSAGE);
    mark(source, byte..end, label, found);
}

fn mark(source: &Source, range: Range<usize>, label: Option<String>, found: &mut Diagnostic) {
    found.start = source.position(range.start);
    found.end = source.position(range.end);
    found.excerpt = excerpt(source, &range, label);
}

fn related_place(source: &Source, file: &str, range: Option<Range<usize>>, message: &str) -> RelatedPlace {
    let message = shown(message, MAX_MESSAGE);
    let (start, end) = match &range {
        Some(range) => (source.position(range.start), source.position(range.end)),
        None => (Position::START, Position::START),
    };
    let excerpt = range.and_then(|range| excerpt(source, &range, Some(message.clone())));
    RelatedPlace { message, file: shown(file, MAX_PATH), start, end, excerpt }
}
