//! How a secret may be written where it comes back: plainly, in base64, percent-encoded, with JSON's escapes, cut off.
//!
//! Which secrets there are, and what becomes of the text, is the business of [`super::redact`] and [`super::recording`].

mod index;

use std::ops::Range;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};

use self::index::Index;
use crate::steps;

/// What stands in place of a secret.
pub(super) const HIDDEN: &str = "***";

/// Shorter values are words that an explanation may need; and so much of a secret gives it away.
pub(super) const MIN_SECRET_BYTES: usize = 8;

/// Longest form that is found as a whole; of longer ones each piece is.
const MAX_FORM_BYTES: usize = 2 * 1024;

/// Longest part of a text that is looked at in one go.
const WINDOW: usize = 32 * 1024;

/// How much of a form gives a secret away.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Extent {
    /// All of it, or its beginning where the text is cut off: it may begin with words that an explanation needs.
    Whole,
    /// Its beginning wherever it stands.
    Beginning,
}

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
    steps::count(forms.len() * secret.len());
    forms.retain(|form| form.len() >= MIN_SECRET_BYTES);
    forms
}

/// Where these forms stand in a text, in whatever spelling: in order, and apart from each other.
pub(super) fn find<'a>(text: &[u8], forms: impl IntoIterator<Item = &'a String> + Clone) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let mut start = 0;
    while start < text.len() {
        let mut search = Search::within(text, start..text.len().min(start + WINDOW));
        for form in forms.clone() {
            form.as_bytes().chunks(MAX_FORM_BYTES).for_each(|piece| search.look_for(piece, Extent::Whole));
        }
        found.extend(search.found());
        // What does not end within a window is whole in the next one.
        start = if start + WINDOW < text.len() { start + WINDOW - MAX_FORM_BYTES } else { text.len() };
    }
    merged(found)
}

/// Ranges in order; those that overlap or touch are one.
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

/// A search for many forms in one text, at a cost of their lengths together.
pub(super) struct Search<'a> {
    text: &'a [u8],
    /// As it is written, which finds a form behind half an escape; and as it is meant.
    spellings: Vec<Spelling>,
}

struct Spelling {
    index: Index,
    /// The part of the text that stands for each byte.
    places: Vec<Range<usize>>,
    is_meant: bool,
}

impl<'a> Search<'a> {
    /// A search in a whole text.
    pub(super) fn of(text: &'a [u8]) -> Self {
        Self::within(text, 0..text.len())
    }

    fn within(text: &'a [u8], window: Range<usize>) -> Self {
        let written: Vec<(u8, Range<usize>)> = window.clone().map(|at| (text[at], at..at + 1)).collect();
        let meant = meant(text, window);
        let spellings = if meant == written { vec![(meant, true)] } else { vec![(written, false), (meant, true)] };
        let spellings = spellings.into_iter().map(|(bytes, is_meant)| {
            let (bytes, places): (Vec<u8>, Vec<Range<usize>>) = bytes.into_iter().unzip();
            Spelling { index: Index::of(&bytes), places, is_meant }
        });
        Self { text, spellings: spellings.collect() }
    }

    /// Looks for a form. What is longer than the text can only begin in it.
    pub(super) fn look_for(&mut self, form: &[u8], extent: Extent) {
        for Spelling { index, is_meant, .. } in &mut self.spellings {
            index.mark(form, extent);
            if *is_meant {
                let all =
                    |form: &[u8]| meant(form, 0..form.len()).into_iter().map(|(byte, _)| byte).collect::<Vec<u8>>();
                index.mark(&all(form), extent);
                if form.contains(&b'%') {
                    // A percent sign of the secret, which was encoded itself.
                    let encoded =
                        form.iter().flat_map(|byte| if *byte == b'%' { b"%25".to_vec() } else { vec![*byte] });
                    index.mark(&all(&encoded.collect::<Vec<u8>>()), extent);
                }
            }
        }
    }

    /// Where the forms stand; these ranges may overlap.
    pub(super) fn found(self) -> Vec<Range<usize>> {
        let mut found = Vec::new();
        for Spelling { index, places, .. } in self.spellings {
            for (end, deepest) in index.deepest().into_iter().enumerate() {
                let after = places[end].end;
                let is_shown = deepest.before_a_cut > deepest.anywhere && is_cut(&self.text[after..]);
                let length = if is_shown { deepest.before_a_cut } else { deepest.anywhere };
                if length > 0 {
                    found.push(places[end + 1 - length].start..after);
                }
            }
        }
        found
    }
}

/// The bytes that a part of a text stands for, each with its place: without percent signs and JSON's escapes. A backslash
/// is none of them, however often it was escaped, and `+` is a space, as it may be in a query.
fn meant(text: &[u8], part: Range<usize>) -> Vec<(u8, Range<usize>)> {
    steps::count(part.len());
    let mut bytes = Vec::with_capacity(part.len());
    let mut at = part.start;
    while at < part.end {
        let rest = &text[at..part.end];
        let mut letter = [0; 4];
        let (spelled, length): (&[u8], usize) = match rest {
            [b'\\', b'u', ..] => match unicode(rest) {
                Some((meant, length)) => (meant.encode_utf8(&mut letter).as_bytes(), length),
                None => (b"", 1),
            },
            [b'\\', b'n', ..] => (b"\n", 2),
            [b'\\', b'r', ..] => (b"\r", 2),
            [b'\\', b't', ..] => (b"\t", 2),
            [b'%', high, low, ..] => match hex(&[*high, *low]) {
                Some(code) => {
                    letter[0] = code as u8;
                    (&letter[..1], 3)
                }
                None => (b"%", 1),
            },
            _ => (&rest[..1], 1),
        };
        let spelled = spelled.iter().filter(|byte| **byte != b'\\');
        bytes.extend(spelled.map(|byte| (if *byte == b'+' { b' ' } else { *byte }, at..at + length)));
        at += length;
    }
    bytes
}

/// A letter that is written as `\u0041`, or as two of these, and the length of that.
fn unicode(text: &[u8]) -> Option<(char, usize)> {
    let unit = |text: &[u8]| hex(text.strip_prefix(b"\\u")?.get(..4)?);
    let units = [unit(text)? as u16, text.get(6..).and_then(unit).unwrap_or_default() as u16];
    let letter = char::decode_utf16(units).next()?.ok()?;
    Some((letter, 6 * letter.len_utf16()))
}

fn hex(digits: &[u8]) -> Option<u32> {
    let digits =
        std::str::from_utf8(digits).ok().filter(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()))?;
    u32::from_str_radix(digits, 16).ok()
}

/// Whether a text is cut off here, maybe within an escape.
fn is_cut(text: &[u8]) -> bool {
    let escapes = text.iter().take(MAX_FORM_BYTES).take_while(|letter| **letter == b'\\').count();
    let rest = match &text[escapes..] {
        [b'%', digit, rest @ ..] if digit.is_ascii_hexdigit() => rest,
        [b'%', rest @ ..] => rest,
        rest => rest,
    };
    rest.is_empty() || ["…", "...", HIDDEN].iter().any(|mark| rest.starts_with(mark.as_bytes()))
}

#[cfg(test)]
mod tests;
