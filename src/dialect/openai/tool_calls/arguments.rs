//! Repairs arguments of tool calls, as models and servers write them, into a JSON text.
//!
//! Valid JSON is unchanged. An empty text, `null` and an empty array are no arguments; a string that contains JSON is
//! that
//! JSON. Python literals, raw line breaks, code fences, trailing commas and superfluous brackets are repaired. Anything
//! else
//! is unchanged; the agent decides about it.

use serde::de::IgnoredAny;

use dify_plugin::codec::json::Reader;
use dify_plugin::codec::json_scan::{Extent, JsonScan};
use dify_plugin::steps;

/// Arguments of a call.
#[derive(Debug, PartialEq, Eq)]
pub enum Arguments {
    /// Complete arguments.
    Whole(String),
    /// The arguments are truncated.
    Cut,
}

/// Maximum depth of nested strings that are decoded.
const DEEPEST: usize = 3;

/// Parses the arguments of a call.
pub fn read(text: String) -> Arguments {
    let mut text = text;
    for _ in 0..DEEPEST {
        steps::count(text.len());
        let trimmed = text.trim();
        if matches!(trimmed, "" | "null" | "None" | "undefined" | "[]") {
            return Arguments::Whole("{}".to_owned());
        }
        let Some(inner) = trimmed.starts_with('"').then(|| serde_json::from_str::<String>(trimmed).ok()).flatten()
        else {
            break;
        };
        // A string that is not JSON is kept as the model wrote it.
        if !(inner.trim_start().starts_with(['{', '"']) || matches!(inner.trim(), "" | "null")) {
            break;
        }
        text = inner;
    }
    let trimmed = text.trim();
    if is_json(trimmed) {
        return Arguments::Whole(text);
    }
    let repaired = Reader::new(&[]).repaired(trimmed);
    if is_json(&repaired) {
        return Arguments::Whole(repaired);
    }
    if let Some(json) = of_python(trimmed).or_else(|| tidy(in_fence(trimmed))) {
        return Arguments::Whole(json);
    }
    let mut scan = JsonScan::default();
    scan.extend(trimmed.as_bytes());
    if scan.extent() == Extent::Open { Arguments::Cut } else { Arguments::Whole(text) }
}

/// Returns the arguments of a call, or `None` if they are truncated.
pub fn whole(text: String) -> Option<String> {
    match read(text) {
        Arguments::Whole(text) => Some(text),
        Arguments::Cut => None,
    }
}

fn is_json(text: &str) -> bool {
    steps::count(text.len());
    serde_json::from_str::<IgnoredAny>(text).is_ok()
}

/// Returns the content of a code fence, or the text itself.
fn in_fence(text: &str) -> &str {
    let inside = text.strip_prefix("```").and_then(|text| text.strip_suffix("```"));
    inside.map_or(text, |inside| inside.strip_prefix("json").unwrap_or(inside).trim())
}

/// Removes commas before closing brackets, and brackets that close nothing.
fn tidy(text: &str) -> Option<String> {
    steps::count(text.len());
    let mut scan = JsonScan::default();
    let mut json = String::with_capacity(text.len());
    // A comma and the blanks after it, until it is known whether it closes a list.
    let mut comma: Option<usize> = None;
    for (at, character) in text.char_indices() {
        if scan.extent() == Extent::Whole {
            return text[at..]
                .trim_matches(['}', ']', ' ', '\n'])
                .is_empty()
                .then_some(json)
                .filter(|json| is_json(json));
        }
        let is_in_text = scan.is_in_text();
        scan.extend(character.encode_utf8(&mut [0; 4]).as_bytes());
        if !is_in_text {
            match character {
                ',' => comma = Some(json.len()),
                '}' | ']' => {
                    if let Some(place) = comma.take() {
                        json.truncate(place);
                    }
                }
                blank if blank.is_whitespace() => {}
                _ => comma = None,
            }
        }
        json.push(character);
    }
    is_json(&json).then_some(json)
}

/// Converts a Python dictionary to JSON: single quotes, `True`, `False`, `None`.
fn of_python(text: &str) -> Option<String> {
    if !(text.starts_with('{') && text.ends_with('}')) {
        return None;
    }
    steps::count(text.len());
    let mut json = String::with_capacity(text.len() + 16);
    let mut rest = text;
    while let Some(character) = rest.chars().next() {
        if character == '\'' || character == '"' {
            rest = quoted(&rest[1..], character, &mut json)?;
            continue;
        }
        let word = rest.find(|next: char| !next.is_ascii_alphabetic()).unwrap_or(rest.len());
        if word == 0 {
            json.push(character);
            rest = &rest[character.len_utf8()..];
            continue;
        }
        json.push_str(match &rest[..word] {
            "True" => "true",
            "False" => "false",
            "None" => "null",
            other => other,
        });
        rest = &rest[word..];
    }
    is_json(&json).then_some(json)
}

/// Converts a Python string to a JSON string and returns the rest.
fn quoted<'t>(text: &'t str, quote: char, json: &mut String) -> Option<&'t str> {
    json.push('"');
    let mut characters = text.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            _ if character == quote => {
                json.push('"');
                return Some(&text[at + 1..]);
            }
            '"' => json.push_str("\\\""),
            '\\' => match characters.next()?.1 {
                '\'' => json.push('\''),
                'x' => {
                    json.push_str("\\u00");
                    json.extend([characters.next()?.1, characters.next()?.1]);
                }
                escaped => json.extend(['\\', escaped]),
            },
            control if control.is_control() => json.push_str(&format!("\\u{:04x}", u32::from(control))),
            plain => json.push(plain),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn converts_arguments_to_json() {
        let cases = [
            (r#"{"q": "a"}"#, Some(r#"{"q": "a"}"#)),
            ("", Some("{}")),
            (" \n", Some("{}")),
            ("null", Some("{}")),
            ("None", Some("{}")),
            ("[]", Some("{}")),
            (r#""""#, Some("{}")),
            (r#""null""#, Some("{}")),
            (r#""{\"q\": \"a\"}""#, Some(r#"{"q": "a"}"#)),
            (r#""\"{\\\"q\\\": 1}\"""#, Some(r#"{"q": 1}"#)),
            (r#""just a text""#, Some(r#""just a text""#)),
            (r#"{'q': 'a'}"#, Some(r#"{"q": "a"}"#)),
            (
                r#"{'q': "it's", 'b': True, 'n': None, 'l': ['x', False]}"#,
                Some(r#"{"q": "it's", "b": true, "n": null, "l": ["x", false]}"#),
            ),
            (r#"{'q': 'say "hi" \'now\' \x41\n'}"#, Some(r#"{"q": "say \"hi\" 'now' \u0041\n"}"#)),
            ("{\"q\": \"two\nlines\"}", Some("{\"q\": \"two\\u000alines\"}")),
            (r#"{"q": NaN}"#, Some(r#"{"q": null}"#)),
            (r#"{"q": "\ud83d"}"#, Some(r#"{"q": "\ud83d"}"#)),
            ("```json\n{\"q\": 1}\n```", Some("{\"q\": 1}")),
            (r#"{"q": ["a", ], "r": ",]", }"#, Some(r#"{"q": ["a"], "r": ",]"}"#)),
            (r#"{"q": "a"}}"#, Some(r#"{"q": "a"}"#)),
            (r#"{"q": "a"}{"q": "b"}"#, Some(r#"{"q": "a"}{"q": "b"}"#)),
            ("look up x", Some("look up x")),
            (r#"{"q": }"#, Some(r#"{"q": }"#)),
            (r#"{"q": "a very long te"#, None),
            (r#"{"q": ["#, None),
            ("{", None),
            (r#""{\"q\": \"a"#, None),
        ];
        for (text, expected) in cases {
            assert_eq!(whole(text.to_owned()).as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn long_arguments_take_linear_time() {
        for piece in ["{'a': ", "\"a\\", "['x\", ", "\\\"{", "'", ", ", "[,", "}", "```"] {
            steps::assert_linear(piece, |size| format!("{{{}}}", piece.repeat(size)), |text| drop(read(text)));
        }
    }
}
