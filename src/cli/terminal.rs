//! The one printer: what upstreams, models, hosts, packages, folders and recordings say reaches the terminal as letters and
//! moves nothing there. Control characters and those that turn the direction of writing are shown by their numbers.
//!
//! Only raw frames (`--json`) are printed as they are.

use std::borrow::Cow;
use std::io::{self, Write};

use serde_json::Value;

/// Whether a letter is no letter to a terminal, or changes how others are shown.
fn is_unsafe(letter: char) -> bool {
    letter.is_control()
        || matches!(letter,
            '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{fff9}'..='\u{fffb}')
}

/// A text with its unsafe letters escaped, but for those that are `kept`.
fn escaped<'a>(text: &'a str, kept: &[char], escape: impl Fn(&mut String, char)) -> Cow<'a, str> {
    let is_bad = |letter: char| is_unsafe(letter) && !kept.contains(&letter);
    if !text.contains(is_bad) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 16);
    for letter in text.chars() {
        if is_bad(letter) { escape(&mut shown, letter) } else { shown.push(letter) }
    }
    Cow::Owned(shown)
}

/// As Rust writes a letter: `\n`, `\u{1b}`.
fn as_number(shown: &mut String, letter: char) {
    shown.extend(letter.escape_default());
}

/// One line of a text.
fn line(text: &str) -> Cow<'_, str> {
    escaped(text, &[], as_number)
}

/// A text of several lines.
fn lines(text: &str) -> Cow<'_, str> {
    escaped(text, &['\n', '\t'], as_number)
}

/// JSON that says the same, its unsafe letters as JSON escapes them: they stand in its texts only.
fn json(value: &Value) -> String {
    let escape = |shown: &mut String, letter: char| shown.push_str(&format!("\\u{:04x}", letter as u32));
    escaped(&value.to_string(), &[], escape).into_owned()
}

/// Says something to the person at the terminal, in one line or several. Nobody may be listening.
pub(super) fn say(text: &str) {
    let _ = writeln!(io::stderr(), "{}", lines(text));
}

/// Prints a line; a closed pipe ends the command like any other failed write.
pub(super) fn print_line(text: &str) -> anyhow::Result<()> {
    print_raw(&line(text))
}

/// Prints a value as JSON in one line.
pub(super) fn print_json(value: &Value) -> anyhow::Result<()> {
    print_raw(&json(value))
}

/// Prints a part of a text of several lines.
pub(super) fn print_part(text: &str) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(lines(text).as_bytes())?;
    out.flush()?;
    Ok(())
}

/// Prints a line as it is: for programs that asked for it.
pub(super) fn print_raw(text: &str) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{text}")?;
    out.flush()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_moves_a_terminal_is_shown_by_its_number() {
        for (text, shown) in [
            ("plain äß漢 😀 – \u{a0}", "plain äß漢 😀 – \u{a0}"),
            ("\u{1b}]0;pwned\u{7}", "\\u{1b}]0;pwned\\u{7}"),
            ("\u{1b}[2J", "\\u{1b}[2J"),
            ("\u{9b}2J\u{7f}\r\u{8}", "\\u{9b}2J\\u{7f}\\r\\u{8}"),
            ("a\u{202e}b\u{2066}c\u{200f}\u{2028}", "a\\u{202e}b\\u{2066}c\\u{200f}\\u{2028}"),
        ] {
            assert_eq!(line(text), shown);
            assert_eq!(lines(text), shown);
        }
        assert_eq!(line("a\nb\tc"), "a\\nb\\tc");
        assert_eq!(lines("a\nb\tc"), "a\nb\tc");
    }

    #[test]
    fn json_says_the_same_without_them() {
        let value = json!({"a\u{202e}": "\u{1b}[2J\u{9b}\u{7f}\"\\ ä\u{2028}"});
        let shown = json(&value);
        assert!(!shown.contains(is_unsafe), "{shown}");
        assert_eq!(serde_json::from_str::<Value>(&shown).unwrap(), value);
    }
}
