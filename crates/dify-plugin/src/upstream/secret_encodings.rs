//! Finds a secret in plain, Base64, percent-encoded and JSON-escaped form, even if it is truncated.
//!
//! [`super::redact`] and [`super::recording`] decide which secrets are searched for and what becomes of the text.

mod index;

use std::ops::Range;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};

use self::index::Index;
use crate::steps;

/// Replacement for a secret.
pub(super) const REDACTED: &str = "***";

/// Minimum length in bytes of a secret that is redacted. Shorter values may be ordinary words. A truncated secret is
/// redacted from this length on.
pub(super) const MIN_SECRET_BYTES: usize = 8;

/// Maximum length in bytes of a form that is found as a whole; longer forms are split, and each part is found.
const MAX_FORM_BYTES: usize = 2 * 1024;

/// Maximum length in bytes of a part of a text that is searched at once.
const WINDOW: usize = 32 * 1024;

/// How much of a form reveals a secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Extent {
    /// The complete form, or its beginning where the text is truncated: the form may start with ordinary words.
    Whole,
    /// Its beginning, anywhere in the text.
    Beginning,
}

/// Returns a secret and its Base64 forms for every position that it may have in the encoded data.
pub(super) fn forms(secret: &str) -> Vec<String> {
    let mut forms = vec![secret.to_owned()];
    for before in 0..3 {
        let bytes = [&b"\0\0"[..before], secret.as_bytes()].concat();
        // The first and last characters also contain bits of the neighboring bytes.
        let ends = usize::from(!bytes.len().is_multiple_of(3));
        for encoded in [STANDARD_NO_PAD.encode(&bytes), URL_SAFE_NO_PAD.encode(&bytes)] {
            forms.push(encoded[[0, 2, 3][before]..encoded.len() - ends].to_owned());
        }
    }
    steps::count(forms.len() * secret.len());
    forms.retain(|form| form.len() >= MIN_SECRET_BYTES);
    forms
}

/// Returns the ranges of these forms in a text, in any encoding: sorted and without overlaps.
pub(super) fn find<'a>(text: &[u8], forms: impl IntoIterator<Item = &'a String> + Clone) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let mut start = 0;
    while start < text.len() {
        let mut search = Search::within(text, start..text.len().min(start + WINDOW));
        for form in forms.clone() {
            form.as_bytes().chunks(MAX_FORM_BYTES).for_each(|part| search.add(part, Extent::Whole));
        }
        found.extend(search.found());
        // A form that does not end within this window is complete in the next one.
        start = if start + WINDOW < text.len() { start + WINDOW - MAX_FORM_BYTES } else { text.len() };
    }
    merged(found)
}

/// Sorts ranges and merges those that overlap or touch.
pub(super) fn merged(mut ranges: Vec<Range<usize>>) -> Vec<Range<usize>> {
    ranges.sort_by_key(|range| (range.start, range.end));
    let mut merged: Vec<Range<usize>> = Vec::new();
    for range in ranges {
        match merged.last_mut() {
            Some(last) if range.start <= last.end => last.end = last.end.max(range.end),
            _ => merged.push(range),
        }
    }
    merged
}

/// A search for many forms in one text, in time linear in their total length.
pub(super) struct Search<'a> {
    text: &'a [u8],
    /// The text as written, which finds a form after half an escape sequence, and the decoded text.
    versions: Vec<Version>,
}

struct Version {
    index: Index,
    /// Range of the original text for each byte.
    ranges: Vec<Range<usize>>,
    is_decoded: bool,
}

impl<'a> Search<'a> {
    /// Creates a search in a complete text.
    pub(super) fn of(text: &'a [u8]) -> Self {
        Self::within(text, 0..text.len())
    }

    fn within(text: &'a [u8], window: Range<usize>) -> Self {
        let written: Vec<(u8, Range<usize>)> = window.clone().map(|at| (text[at], at..at + 1)).collect();
        let decoded = decode(text, window);
        let versions = if decoded == written { vec![(decoded, true)] } else { vec![(written, false), (decoded, true)] };
        let versions = versions.into_iter().map(|(bytes, is_decoded)| {
            let (bytes, ranges): (Vec<u8>, Vec<Range<usize>>) = bytes.into_iter().unzip();
            Version { index: Index::of(&bytes), ranges, is_decoded }
        });
        Self { text, versions: versions.collect() }
    }

    /// Adds a form to search for. A form that is longer than the text can only be truncated in it.
    pub(super) fn add(&mut self, form: &[u8], extent: Extent) {
        for Version { index, is_decoded, .. } in &mut self.versions {
            index.mark(form, extent);
            if *is_decoded {
                let all =
                    |form: &[u8]| decode(form, 0..form.len()).into_iter().map(|(byte, _)| byte).collect::<Vec<u8>>();
                index.mark(&all(form), extent);
                if form.contains(&b'%') {
                    // The secret itself contains a percent sign, which was encoded.
                    let encoded =
                        form.iter().flat_map(|byte| if *byte == b'%' { b"%25".to_vec() } else { vec![*byte] });
                    index.mark(&all(&encoded.collect::<Vec<u8>>()), extent);
                }
            }
        }
    }

    /// Returns the ranges of the forms; they may overlap.
    pub(super) fn found(self) -> Vec<Range<usize>> {
        let mut found = Vec::new();
        for Version { index, ranges, .. } in self.versions {
            for (end, deepest) in index.deepest().into_iter().enumerate() {
                let after = ranges[end].end;
                let is_truncated_form = deepest.when_truncated > deepest.anywhere && is_truncated(&self.text[after..]);
                let length = if is_truncated_form { deepest.when_truncated } else { deepest.anywhere };
                if length > 0 {
                    found.push(ranges[end + 1 - length].start..after);
                }
            }
        }
        found
    }
}

/// Decodes percent signs and JSON escapes in a part of a text, and returns each byte with its range. Backslashes are
/// dropped, however often they were escaped, and `+` is a space, as in a query string.
fn decode(text: &[u8], part: Range<usize>) -> Vec<(u8, Range<usize>)> {
    steps::count(part.len());
    let mut bytes = Vec::with_capacity(part.len());
    let mut at = part.start;
    while at < part.end {
        let rest = &text[at..part.end];
        let mut character = [0; 4];
        let (decoded, length): (&[u8], usize) = match rest {
            [b'\\', b'u', ..] => match unicode(rest) {
                Some((unescaped, length)) => (unescaped.encode_utf8(&mut character).as_bytes(), length),
                None => (b"", 1),
            },
            [b'\\', b'n', ..] => (b"\n", 2),
            [b'\\', b'r', ..] => (b"\r", 2),
            [b'\\', b't', ..] => (b"\t", 2),
            [b'%', high, low, ..] => match hex(&[*high, *low]) {
                Some(code) => {
                    character[0] = code as u8;
                    (&character[..1], 3)
                }
                None => (b"%", 1),
            },
            _ => (&rest[..1], 1),
        };
        let decoded = decoded.iter().filter(|byte| **byte != b'\\');
        bytes.extend(decoded.map(|byte| (if *byte == b'+' { b' ' } else { *byte }, at..at + length)));
        at += length;
    }
    bytes
}

/// Decodes a character that is written as `\u0041` or as a surrogate pair, and returns it with the length of its
/// escape.
fn unicode(text: &[u8]) -> Option<(char, usize)> {
    let unit = |text: &[u8]| hex(text.strip_prefix(b"\\u")?.get(..4)?);
    let units = [unit(text)? as u16, text.get(6..).and_then(unit).unwrap_or_default() as u16];
    let character = char::decode_utf16(units).next()?.ok()?;
    Some((character, 6 * character.len_utf16()))
}

fn hex(digits: &[u8]) -> Option<u32> {
    let digits =
        std::str::from_utf8(digits).ok().filter(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()))?;
    u32::from_str_radix(digits, 16).ok()
}

/// Whether the text is truncated here, possibly within an escape sequence.
fn is_truncated(text: &[u8]) -> bool {
    let escapes = text.iter().take(MAX_FORM_BYTES).take_while(|byte| **byte == b'\\').count();
    let rest = match &text[escapes..] {
        [b'%', digit, rest @ ..] if digit.is_ascii_hexdigit() => rest,
        [b'%', rest @ ..] => rest,
        rest => rest,
    };
    rest.is_empty() || ["…", "...", REDACTED].iter().any(|mark| rest.starts_with(mark.as_bytes()))
}

#[cfg(test)]
mod tests;
