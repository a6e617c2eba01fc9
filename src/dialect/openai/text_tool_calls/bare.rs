//! Detects responses that may be a call without any tag: JSON that begins with the name of an offered tool. Models
//! write
//! this if the server strips their special tokens (Llama 3, Mistral). The first member decides, so that other JSON is
//! not
//! buffered.

use super::reading::Offered;

/// Maximum number of bytes at the start of a response that are examined.
const MAX_BEGINNING_BYTES: usize = 256;

/// Classification of the start of a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Beginning {
    /// More text is needed.
    Unknown,
    /// Possibly a call; the complete response decides.
    Call,
    /// Text.
    Text,
}

/// Classifies the start of a response, without leading blanks.
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

/// Returns a string without escapes, and the text after it.
fn word(text: &str) -> Result<(&str, &str), Beginning> {
    let text = text.trim_start();
    match text.strip_prefix('"') {
        Some(inside) => inside.split_once('"').ok_or(Beginning::Unknown),
        None if text.is_empty() => Err(Beginning::Unknown),
        None => Err(Beginning::Text),
    }
}
