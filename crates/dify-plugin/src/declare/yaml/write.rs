//! Writes YAML for parsers of any YAML version. Comments and the style of the source are lost.

use serde_json::Value;

/// Which strings are in double quotes.
#[derive(Clone, Copy, PartialEq)]
enum Quotes {
    /// Each of them: every parser reads them alike.
    Always,
    /// Those that would be read as something else without.
    WhereNeeded,
    /// Those, and what would end a value inside brackets.
    Inline,
}

/// Writes YAML that every parser reads alike: each string in double quotes, no folded lines.
pub fn write(value: &Value) -> String {
    let mut out = String::new();
    write_value(value, 0, false, Quotes::Always, &mut out);
    out
}

/// Writes YAML as people write it: a string is in quotes where it needs them.
pub fn write_plain(value: &Value) -> String {
    let mut out = String::new();
    write_value(value, 0, false, Quotes::WhereNeeded, &mut out);
    out
}

/// Writes a value in lines that are indented, without the indentation of the first line and the last line break.
pub(super) fn block(value: &Value, indent: usize) -> String {
    let mut out = String::new();
    write_value(value, indent, true, Quotes::WhereNeeded, &mut out);
    out.truncate(out.trim_end_matches('\n').len());
    out
}

/// Writes a value on one line.
pub(super) fn inline(value: &Value) -> String {
    let mut out = String::new();
    match value {
        Value::Object(map) => {
            let members = map.iter().map(|(key, value)| format!("{}: {}", inline(&key.as_str().into()), inline(value)));
            out.push_str(&format!("{{{}}}", members.collect::<Vec<_>>().join(", ")));
        }
        Value::Array(items) => {
            out.push_str(&format!("[{}]", items.iter().map(inline).collect::<Vec<_>>().join(", ")));
        }
        scalar => write_scalar(scalar, Quotes::Inline, &mut out),
    }
    out
}

fn write_value(value: &Value, indent: usize, is_inline: bool, quotes: Quotes, out: &mut String) {
    // The first member of a list item is on the line of its dash.
    let mut first = is_inline;
    let mut line = |out: &mut String| match std::mem::take(&mut first) {
        true => {}
        false => out.extend(std::iter::repeat_n(' ', indent)),
    };
    match value {
        Value::Object(map) if !map.is_empty() => {
            for (key, value) in map {
                line(out);
                match is_plain_key(key) {
                    true => out.push_str(key),
                    false => write_quoted(key, out),
                }
                out.push(':');
                write_member(value, indent, quotes, out);
            }
        }
        Value::Array(items) if !items.is_empty() => {
            for item in items {
                line(out);
                out.push('-');
                match item {
                    Value::Object(map) if !map.is_empty() => {
                        out.push(' ');
                        write_value(item, indent + 2, true, quotes, out);
                    }
                    _ => write_member(item, indent, quotes, out),
                }
            }
        }
        scalar => {
            line(out);
            write_scalar(scalar, quotes, out);
            out.push('\n');
        }
    }
}

fn write_member(value: &Value, indent: usize, quotes: Quotes, out: &mut String) {
    let is_empty = match value {
        Value::Object(map) => map.is_empty(),
        Value::Array(items) => items.is_empty(),
        _ => true,
    };
    if is_empty {
        out.push(' ');
        write_scalar(value, quotes, out);
        out.push('\n');
    } else {
        out.push('\n');
        write_value(value, indent + 2, false, quotes, out);
    }
}

fn write_scalar(value: &Value, quotes: Quotes, out: &mut String) {
    match value {
        Value::Number(number) if number.is_f64() => {
            // Without an exponent, which not every parser reads as a number.
            let text = number.as_f64().unwrap_or_default().to_string();
            out.push_str(&text);
            if !text.contains('.') {
                out.push_str(".0");
            }
        }
        Value::String(text) if is_plain_text(text, quotes) => out.push_str(text),
        Value::String(text) => write_quoted(text, out),
        other => out.push_str(&other.to_string()),
    }
}

/// Words that mean something else than their letters in some YAML version.
const SCALARS: [&str; 12] = ["true", "false", "yes", "no", "on", "off", "null", "y", "n", "nan", "inf", "infinity"];

fn is_scalar_word(text: &str) -> bool {
    SCALARS.iter().any(|word| text.eq_ignore_ascii_case(word))
}

/// Whether a key means the same without quotes in every YAML version.
fn is_plain_key(key: &str) -> bool {
    let is_word = key.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    is_word && key.starts_with(|first: char| first.is_ascii_alphabetic()) && !is_scalar_word(key)
}

/// Whether a string means the same without quotes in every YAML version.
fn is_plain_text(text: &str, quotes: Quotes) -> bool {
    let extra = match quotes {
        Quotes::Always => return false,
        Quotes::WhereNeeded => "_-./()',;?!%+=& ",
        Quotes::Inline => "_-./()' ",
    };
    text.starts_with(char::is_alphabetic)
        && !text.ends_with(' ')
        && text.chars().all(|character| character.is_alphanumeric() || extra.contains(character))
        && !is_scalar_word(text)
}

/// Quotes a string: JSON strings are YAML strings, except for characters that YAML treats as line breaks or does not
/// print.
fn write_quoted(text: &str, out: &mut String) {
    for character in Value::from(text).to_string().chars() {
        match character {
            '\u{7f}'..='\u{a0}' | '\u{2028}' | '\u{2029}' | '\u{feff}' => {
                out.push_str(&format!("\\u{:04x}", u32::from(character)));
            }
            other => out.push(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_written_is_read_as_the_same() {
        let words =
            ["off", "no", "1.50", "null", "~", "", " a ", "a: b", "# c", "- d", "*e", "&f", "!g", "2026-01-31", "标记"];
        let odd = ["a\nb", "a\u{85}b", "a\u{2028}b", "\u{feff}", "\"\\", "'", "\t", "\u{7f}", "\u{1F600}"];
        let value = json!({
            "words": words, "odd": odd, "off": "key", "true": 1, "a b": [], "": {}, "en_US": "x",
            "numbers": [0, -1, 1.0, 0.95, 1e-7, 1e21, u64::MAX, i64::MIN], "others": [null, true, false],
            "deep": [{"a": [{"b": [[1, 2], []]}, {}], "c": {"d": {"e": 1}}}, "f", {"g": 1}],
        });
        for text in [write(&value), write_plain(&value), format!("v: {}", inline(&value))] {
            let read = super::super::parse(&text).unwrap();
            assert_eq!(read.get("v").unwrap_or(&read), &value, "{text}");
        }
        for scalar in [json!("off"), json!(1), json!([]), json!({})] {
            assert_eq!(super::super::parse(&write(&scalar)).unwrap(), scalar);
        }
    }

    #[test]
    fn it_reads_well_and_no_text_is_a_truth_value() {
        let value =
            json!({"name": "citations", "options": ["off", "list"], "range": {"min": 0, "max": 1.5}, "empty": []});
        let text =
            "name: \"citations\"\noptions:\n  - \"off\"\n  - \"list\"\nrange:\n  min: 0\n  max: 1.5\nempty: []\n";
        assert_eq!(write(&value), text);
        assert_eq!(write(&json!([{"a": 1, "b": [2]}])), "- a: 1\n  b:\n    - 2\n");
        let text = "name: citations\noptions:\n  - \"off\"\n  - list\nrange:\n  min: 0\n  max: 1.5\nempty: []\n";
        assert_eq!(write_plain(&value), text);
        assert_eq!(inline(&json!({"a": "b, c", "d": ["e f", 1]})), "{a: \"b, c\", d: [e f, 1]}");
    }
}
