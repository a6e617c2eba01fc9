//! All output to the terminal. Text from servers, models, daemons, packages, directories and recordings is printed with
//! control characters and bidirectional formatting characters escaped, so that it cannot manipulate the terminal.
//!
//! Only raw frames (`--json`) are printed unchanged.

use std::borrow::Cow;
use std::io::{self, Write};

use serde_json::Value;

use crate::visible::{escape_as_rust, escaped, line};

/// Escapes a text of several lines.
fn lines(text: &str) -> Cow<'_, str> {
    escaped(text, &['\n', '\t'], escape_as_rust)
}

/// Serializes a value with unsafe characters as JSON escapes. They can occur only inside strings.
fn json(value: &Value) -> String {
    let escape = |shown: &mut String, character: char| shown.push_str(&format!("\\u{:04x}", character as u32));
    escaped(&value.to_string(), &[], escape).into_owned()
}

/// Prints a message of one or more lines to standard error. Write errors are ignored.
pub(crate) fn say(text: &str) {
    let _ = writeln!(io::stderr(), "{}", lines(text));
}

/// Prints a line to standard output. A closed pipe is an error like any other failed write.
pub(crate) fn print_line(text: &str) -> anyhow::Result<()> {
    print_raw(&line(text))
}

/// Prints a value as one line of JSON.
pub(crate) fn print_json(value: &Value) -> anyhow::Result<()> {
    print_raw(&json(value))
}

/// Prints a part of a text without a final line break.
pub(crate) fn print_part(text: &str) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(lines(text).as_bytes())?;
    out.flush()?;
    Ok(())
}

/// Whether standard output is a terminal.
pub(crate) fn is_terminal() -> bool {
    io::IsTerminal::is_terminal(&io::stdout())
}

/// Prints a control sequence of the program itself.
pub(crate) fn print_control(sequence: &'static str) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(sequence.as_bytes())?;
    out.flush()?;
    Ok(())
}

/// Prints a line unchanged, for programs.
pub(crate) fn print_raw(text: &str) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{text}")?;
    out.flush()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::visible::is_unsafe;

    #[test]
    fn escapes_control_and_bidirectional_characters() {
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
    fn escapes_json_without_changing_its_value() {
        let value = json!({"a\u{202e}": "\u{1b}[2J\u{9b}\u{7f}\"\\ ä\u{2028}"});
        let shown = json(&value);
        assert!(!shown.contains(is_unsafe), "{shown}");
        assert_eq!(serde_json::from_str::<Value>(&shown).unwrap(), value);
    }
}
