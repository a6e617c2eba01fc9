//! The line of a file that is shown with a mark: cut to what a terminal can show, and without characters that control it.

use std::ops::Range;

use crate::declare::source::Source;
use crate::visible;

/// Longest part of a line that is shown before a mark, and after it.
const MAX_BEFORE: usize = 400;
const MAX_AFTER: usize = 200;

/// A line with a marked part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Excerpt {
    /// The line as it is shown.
    pub(super) text: String,
    /// Its number.
    pub(super) line: usize,
    /// What is marked, in bytes of the text.
    pub(super) mark: Range<usize>,
    /// What is written beside the mark.
    pub(super) label: Option<String>,
}

/// The line of a range, if the range is not too far to the right; of several lines the first.
pub(super) fn excerpt(source: &Source, range: &Range<usize>, label: Option<String>) -> Option<Excerpt> {
    let position = source.position(range.start);
    let line = source.line_range(position.line);
    if position.column > MAX_BEFORE {
        return None;
    }
    let end = range.end.clamp(range.start, line.end.max(range.start));
    let before = source.text().get(line.start..range.start)?;
    let marked = source.text().get(range.start..end)?;
    let after = source.text().get(end..line.end).unwrap_or_default();
    let mut text = String::new();
    push(&mut text, before, MAX_BEFORE);
    let start = text.len();
    push(&mut text, marked, MAX_AFTER);
    let mark = start..text.len();
    push(&mut text, after, MAX_AFTER);
    Some(Excerpt { text, line: position.line, mark, label })
}

fn push(text: &mut String, part: &str, longest: usize) {
    for (index, character) in part.chars().enumerate() {
        if index == longest {
            return text.push('…');
        }
        // One character stays one: columns are counted in them.
        text.push(if visible::is_unsafe(character) && character != '\t' { '\u{fffd}' } else { character });
    }
}
