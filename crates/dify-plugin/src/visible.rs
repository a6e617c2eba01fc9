//! Characters that control a terminal or change how others are displayed: which they are, and how they are shown instead. Text
//! from files, servers and packages may have them; what is printed has not.

use std::borrow::Cow;

/// Whether a character controls the terminal or changes how other characters are displayed.
pub(crate) fn is_unsafe(character: char) -> bool {
    character.is_control()
        || matches!(character,
            '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{fff9}'..='\u{fffb}')
}

/// Escapes the unsafe characters of a text, except those in `kept`.
pub(crate) fn escaped<'a>(text: &'a str, kept: &[char], escape: impl Fn(&mut String, char)) -> Cow<'a, str> {
    let is_escaped = |character: char| is_unsafe(character) && !kept.contains(&character);
    if !text.contains(is_escaped) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 16);
    for character in text.chars() {
        if is_escaped(character) { escape(&mut shown, character) } else { shown.push(character) }
    }
    Cow::Owned(shown)
}

/// Escapes a character as in Rust source: `\n`, `\u{1b}`.
pub(crate) fn escape_as_rust(shown: &mut String, character: char) {
    shown.extend(character.escape_default());
}

/// Escapes a text for a single line.
pub(crate) fn line(text: &str) -> Cow<'_, str> {
    escaped(text, &[], escape_as_rust)
}
