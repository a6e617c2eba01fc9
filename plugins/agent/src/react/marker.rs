//! The words that structure a ReAct response, in the spellings that models use: `Final Answer:`, `**Action Input**:`,
//! `action_input：`. Pure; what a marker means is the parser's.

/// What a marker introduces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Marker {
    Thought,
    Action,
    ActionInput,
    Observation,
    FinalAnswer,
}

/// Names in lower case; one that begins with another comes before it.
const NAMES: [(&str, Marker); 9] = [
    ("thought", Marker::Thought),
    ("action input", Marker::ActionInput),
    ("action_input", Marker::ActionInput),
    ("actioninput", Marker::ActionInput),
    ("action", Marker::Action),
    ("observation", Marker::Observation),
    ("final answer", Marker::FinalAnswer),
    ("final_answer", Marker::FinalAnswer),
    ("finalanswer", Marker::FinalAnswer),
];

/// Characters of Markdown that may be around a name.
const MAX_DECORATION: usize = 6;

/// What a text begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// A marker of so many bytes. `closes` is what still closes its emphasis after the colon (`**Action:**`).
    Marker {
        marker: Marker,
        length: usize,
        closes: usize,
    },
    /// It may become a marker with more text.
    Partial,
    No,
}

/// Reads a marker at the beginning of a text. At the beginning of a line it may be emphasized, a heading or a quotation.
pub(super) fn read(text: &str, is_line_start: bool) -> Found {
    let decoration = if is_line_start { decoration(text, &['*', '#', '>', '_', '`', ' ', '\t', '-']) } else { 0 };
    let emphasis = text[..decoration].chars().filter(|character| *character == '*').count();
    let rest = &text[decoration..];
    if rest.is_empty() {
        return if decoration < MAX_DECORATION { Found::Partial } else { Found::No };
    }
    let mut found = Found::No;
    for (name, marker) in NAMES {
        match rest.get(..name.len()) {
            Some(start) if start.eq_ignore_ascii_case(name) => match colon(&rest[name.len()..]) {
                Found::No => {}
                Found::Partial => found = Found::Partial,
                Found::Marker { length, closes, .. } => {
                    let closes = if closes > 0 { 0 } else { emphasis };
                    return Found::Marker { marker, length: decoration + name.len() + length, closes };
                }
            },
            Some(_) => {}
            // The text is shorter than the name, or is cut within a character that no name has.
            None if rest.len() < name.len() && name[..rest.len().min(name.len())].eq_ignore_ascii_case(rest) => {
                found = Found::Partial;
            }
            None => {}
        }
    }
    found
}

/// The colon after a name; `closes` counts the asterisks before it.
fn colon(rest: &str) -> Found {
    let between = decoration(rest, &['*', '_', '`', ' ']);
    let after = &rest[between..];
    let closes = rest[..between].chars().filter(|character| *character == '*').count();
    match after.chars().next() {
        Some(colon @ (':' | '：')) => {
            Found::Marker { marker: Marker::Thought, length: between + colon.len_utf8(), closes }
        }
        None if between < MAX_DECORATION => Found::Partial,
        _ => Found::No,
    }
}

/// Bytes of decoration at the beginning of a text, a few at most.
fn decoration(text: &str, of: &[char]) -> usize {
    text.chars().take(MAX_DECORATION).take_while(|character| of.contains(character)).map(char::len_utf8).sum()
}
