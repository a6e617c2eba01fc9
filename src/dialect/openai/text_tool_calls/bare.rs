//! Whether an answer may be a call without any tag: JSON that begins with the name of an offered tool. Models write so
//! when the server strips their special tokens (Llama 3, Mistral). Decided by the first member, so that other JSON is not
//! held back.

use super::reading::Offered;

/// Longest beginning that is looked at.
const MAX_BEGINNING_BYTES: usize = 256;

/// What the beginning of an answer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Beginning {
    /// More is needed.
    Unknown,
    /// Possibly a call: the whole answer decides.
    Call,
    /// Text.
    Text,
}

/// Judges the beginning of an answer; blanks in front are left out.
pub(super) fn beginning(text: &str, offered: &Offered) -> Beginning {
    match judge(text, offered) {
        Beginning::Unknown if text.len() > MAX_BEGINNING_BYTES => Beginning::Text,
        known => known,
    }
}

fn judge(text: &str, offered: &Offered) -> Beginning {
    let text = text.strip_prefix('[').map_or(text, str::trim_start);
    let Some(members) = text.strip_prefix('{') else {
        return if text.is_empty() { Beginning::Unknown } else { Beginning::Text };
    };
    let (key, rest) = match word(members) {
        Ok(found) => found,
        Err(undecided) => return undecided,
    };
    let value = match rest.trim_start().strip_prefix(':') {
        Some(value) => value,
        None if rest.trim_start().is_empty() => return Beginning::Unknown,
        None => return Beginning::Text,
    };
    match (key, word(value)) {
        ("name" | "type", Err(undecided)) => undecided,
        ("name", Ok((name, _))) if offered.find(name).is_some() => Beginning::Call,
        ("type", Ok(("function", _))) => Beginning::Call,
        _ => Beginning::Text,
    }
}

/// A string without escapes, and what follows.
fn word(text: &str) -> Result<(&str, &str), Beginning> {
    let text = text.trim_start();
    match text.strip_prefix('"') {
        Some(inside) => inside.split_once('"').ok_or(Beginning::Unknown),
        None if text.is_empty() => Err(Beginning::Unknown),
        None => Err(Beginning::Text),
    }
}
