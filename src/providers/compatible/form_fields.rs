//! Fields that the forms of OpenAI-compatible providers have in common, and what they must contain. What it is not: the
//! connection's fields, which the library reads for every provider.

use url::Url;

use super::model::LanguageVoice;
use dify_plugin::error::InvokeError;
use dify_plugin::protocol::{Credentials, Voice};

/// Maximum value of a count.
pub const MAX_COUNT: u64 = 1_000_000_000;

/// File extensions that transcription services accept.
pub const FILE_EXTENSIONS: &str = "flac,mp3,mp4,mpeg,mpga,m4a,ogg,wav,webm";

/// Reads an integer of at least 1.
pub fn count(credentials: &Credentials, field: &str, default: u64) -> Result<u64, InvokeError> {
    let wrong = || InvokeError::credentials(format!("credential `{field}` must be an integer from 1 to {MAX_COUNT}"));
    match credentials.get(field) {
        None => Ok(default),
        Some(text) => text.parse().ok().filter(|number| (1..=MAX_COUNT).contains(number)).ok_or_else(wrong),
    }
}

/// Returns the URL of Dify's files, if the form contains one.
pub fn file_url(credentials: &Credentials) -> Result<Option<&str>, InvokeError> {
    const FIELD: &str = "file_url";
    let Some(text) = credentials.get(FIELD) else { return Ok(None) };
    match Url::parse(text) {
        Ok(url) if matches!(url.scheme(), "http" | "https") => Ok(Some(text)),
        _ => Err(InvokeError::credentials(format!(
            "credential `{FIELD}` must be a URL that starts with http:// or https://"
        ))),
    }
}

/// Returns the voices of a list: IDs separated by commas or lines, with an optional `name=` before each. They speak every
/// language.
pub fn voices(list: &str) -> Vec<LanguageVoice> {
    let voice = |item: &str| {
        let (name, value) = item.split_once('=').map_or((item, item), |(name, value)| (name.trim(), value.trim()));
        LanguageVoice { voice: Voice::new(name, value), languages: Vec::new() }
    };
    let items = list.split([',', '，', '\n']).map(str::trim).filter(|item| !item.is_empty());
    let is_complete = |voice: &Voice| !voice.name.is_empty() && !voice.value.is_empty();
    items.map(voice).filter(|listed| is_complete(&listed.voice)).collect()
}
