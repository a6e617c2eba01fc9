//! Converts JSON that strict parsers reject to JSON that they accept. One pass; valid parts are unchanged.

use std::fmt::Write;

use crate::steps;

/// The first half of a character whose second half has not arrived yet.
pub(super) type Half = Option<u16>;

fn is_of_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"+-._".contains(&byte)
}

/// Converts a bare word to JSON: numbers and the three literals, Python's included, are kept; anything else is null.
fn value(word: &str) -> &str {
    match word {
        "true" | "True" => "true",
        "false" | "False" => "false",
        // A number out of range is null.
        _ if serde_json::from_str::<serde_json::Number>(word).is_ok() => word,
        _ => "null",
    }
}

/// Returns the end of the string that begins at `from`: its closing quote, or the end of the text.
pub(super) fn end_of_text(bytes: &[u8], from: usize) -> usize {
    let mut at = from;
    while let Some(found) = memchr::memchr2(b'"', b'\\', &bytes[at.min(bytes.len())..]) {
        at += found;
        if bytes[at] == b'"' {
            return at;
        }
        at += 2;
    }
    bytes.len()
}

/// Whether a member has this name: `text`, or `parts/text` for one inside of `parts`.
fn is_meant(name: &str, key: &str, holder: Option<&&str>) -> bool {
    match name.split_once('/') {
        Some((of, member)) => member == key && holder == Some(&of),
        None => name == key,
    }
}

/// Repairs a text. `half` is kept from one event to the next, for the strings of the members `continued`.
pub(super) fn repair(text: &str, continued: &[&str], half: &mut Half) -> String {
    let bytes = text.as_bytes();
    steps::count(bytes.len());
    let mut out = String::with_capacity(text.len() + 16);
    let (mut key, mut is_value) = ("", false);
    // Members that contain the current position; entries of an array have the array's member.
    let mut holders = Vec::new();
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'"' => {
                let end = end_of_text(bytes, at + 1);
                let inside = text.get(at + 1..end).unwrap_or_default();
                let goes_on = is_value && continued.iter().any(|name| is_meant(name, key, holders.last()));
                out.push('"');
                letters(inside, goes_on.then_some(&mut *half), &mut out);
                if end < bytes.len() {
                    out.push('"');
                }
                if !is_value {
                    key = inside;
                }
                is_value = false;
                at = end + 1;
            }
            // Words outside of a value are not JSON.
            byte if is_of_word(*byte) && !holders.is_empty() => {
                let length = bytes[at..].iter().position(|byte| !is_of_word(*byte)).unwrap_or(bytes.len() - at);
                out.push_str(value(&text[at..at + length]));
                at += length;
                is_value = false;
            }
            b'{' | b'[' => {
                holders.push(if is_value { key } else { holders.last().copied().unwrap_or_default() });
                is_value = false;
                out.push(char::from(*byte));
                at += 1;
            }
            byte if byte.is_ascii() => {
                if matches!(byte, b'}' | b']') {
                    holders.pop();
                }
                // A string in an array is not continued, and elsewhere the name of a member follows.
                is_value = *byte == b':' || (is_value && byte.is_ascii_whitespace());
                out.push(char::from(*byte));
                at += 1;
            }
            _ => {
                let end = (at + 1..=bytes.len()).find(|end| text.is_char_boundary(*end)).unwrap_or(bytes.len());
                out.push_str(&text[at..end]);
                at = end;
            }
        }
    }
    out
}

/// Repairs the characters between two quotes. `half` is set for a string that continues from event to event.
fn letters(inside: &str, mut half: Option<&mut Half>, out: &mut String) {
    let bytes = inside.as_bytes();
    let mut at = 0;
    if let Some(Some(first)) = half.as_deref().filter(|_| !bytes.is_empty()) {
        let second = unit(bytes, 0).filter(|unit| is_second(*unit));
        let joined = second.and_then(|second| char::decode_utf16([*first, second]).next()?.ok());
        out.push(joined.unwrap_or(char::REPLACEMENT_CHARACTER));
        at = joined.map_or(0, |_| 6);
        if let Some(half) = half.as_deref_mut() {
            *half = None;
        }
    }
    while at < bytes.len() {
        let plain = bytes[at..].iter().position(|byte| *byte == b'\\' || *byte < b' ').unwrap_or(bytes.len() - at);
        out.push_str(&inside[at..at + plain]);
        at += plain;
        let Some(byte) = bytes.get(at) else { break };
        if *byte != b'\\' {
            let _ = write!(out, "\\u{byte:04x}");
            at += 1;
            continue;
        }
        let Some(first) = unit(bytes, at) else {
            let legal = bytes.get(at + 1).is_some_and(|byte| b"\"\\/bfnrt".contains(byte));
            out.push_str(if legal { &inside[at..at + 2] } else { "\\\\" });
            at += if legal { 2 } else { 1 };
            continue;
        };
        let length = match is_first(first) && unit(bytes, at + 6).is_some_and(is_second) {
            true => 12,
            false => 6,
        };
        if length == 12 || !(is_first(first) || is_second(first)) {
            out.push_str(&inside[at..at + length]);
        } else if let (true, true, Some(half)) = (is_first(first), at + 6 == bytes.len(), half.as_deref_mut()) {
            *half = Some(first);
        } else {
            out.push(char::REPLACEMENT_CHARACTER);
        }
        at += length;
    }
}

/// Returns the UTF-16 unit that is escaped here.
fn unit(bytes: &[u8], at: usize) -> Option<u16> {
    let digits = bytes.get(at..at + 6)?.strip_prefix(b"\\u")?;
    let digits = digits.iter().all(u8::is_ascii_hexdigit).then_some(digits)?;
    u16::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

fn is_first(unit: u16) -> bool {
    (0xd800..0xdc00).contains(&unit)
}

fn is_second(unit: u16) -> bool {
    (0xdc00..0xe000).contains(&unit)
}
