//! How a secret may be written where it comes back: plainly, in base64, percent-encoded, with JSON's escapes, cut off.
//!
//! Which secrets there are, and what becomes of the text, is the business of [`super::proofs`] and [`super::recording`].

use std::ops::Range;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};

/// What stands in place of a secret.
pub(super) const HIDDEN: &str = "***";

/// Shorter values are words that an explanation may need; and so much of a secret, before a cut, gives it away.
pub(super) const SHORTEST: usize = 8;

/// A secret and its base64, wherever it may begin in what was encoded.
pub(super) fn forms(secret: &str) -> Vec<String> {
    let mut forms = vec![secret.to_owned()];
    for before in 0..3 {
        let bytes = [&b"\0\0"[..before], secret.as_bytes()].concat();
        // The first and last letters hold bits of the neighbours too.
        let ends = usize::from(!bytes.len().is_multiple_of(3));
        for encoded in [STANDARD_NO_PAD.encode(&bytes), URL_SAFE_NO_PAD.encode(&bytes)] {
            forms.push(encoded[[0, 2, 3][before]..encoded.len() - ends].to_owned());
        }
    }
    forms.retain(|form| form.len() >= SHORTEST);
    forms
}

/// Where these forms stand in a text, in whatever spelling: in order, and apart from each other.
pub(super) fn find<'a>(text: &[u8], forms: impl IntoIterator<Item = &'a String>) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    for form in forms {
        let Some(first) = form.bytes().next() else { continue };
        // A space may be written as `+`, everything as a percent sign and a number.
        let space = if first == b' ' { b'+' } else { first };
        let mut end = 0;
        for at in memchr::memchr3_iter(first, b'%', space, text) {
            if at >= end
                && let Some(length) = length_of(&text[at..], form.as_bytes())
            {
                end = at + length;
                found.push(at..end);
            }
        }
    }
    merged(found)
}

/// Ranges in order; those that overlap are one.
pub(super) fn merged(mut ranges: Vec<Range<usize>>) -> Vec<Range<usize>> {
    ranges.sort_by_key(|range| (range.start, range.end));
    let mut merged: Vec<Range<usize>> = Vec::new();
    for range in ranges {
        match merged.last_mut() {
            Some(last) if range.start < last.end => last.end = last.end.max(range.end),
            _ => merged.push(range),
        }
    }
    merged
}

/// How many bytes at the beginning of a text spell the secret, or the beginning of it before a cut.
fn length_of(text: &[u8], secret: &[u8]) -> Option<usize> {
    let mut at = 0;
    for (matched, byte) in secret.iter().enumerate() {
        let escapes = text[at..].iter().take_while(|letter| **letter == b'\\').count();
        let rest = &text[at..];
        at += match spelled(rest, *byte) {
            Some(length) => length,
            None => match spelled(&rest[escapes..], *byte) {
                Some(length) if matched > 0 => escapes + length,
                _ if matched >= SHORTEST && is_cut(&rest[escapes..]) => return Some(at),
                _ => return None,
            },
        };
    }
    Some(at)
}

/// Whether a text ends here, maybe within an escape.
fn is_cut(text: &[u8]) -> bool {
    let rest = match text {
        [b'%', digit, rest @ ..] if digit.is_ascii_hexdigit() => rest,
        [b'%', rest @ ..] => rest,
        rest => rest,
    };
    rest.is_empty() || rest.starts_with("…".as_bytes())
}

/// How many bytes at the beginning of a text stand for this one.
fn spelled(text: &[u8], byte: u8) -> Option<usize> {
    match text {
        [first, ..] if *first == byte => Some(1),
        [b'+', ..] if byte == b' ' => Some(1),
        [b'%', high, low, ..] => {
            let digits = [*high, *low];
            let code = std::str::from_utf8(&digits).ok().and_then(|digits| u8::from_str_radix(digits, 16).ok());
            (code == Some(byte)).then_some(3)
        }
        _ => None,
    }
}
