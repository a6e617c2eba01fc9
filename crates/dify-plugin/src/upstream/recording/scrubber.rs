//! Removes the secrets of one session from texts that are shown, by the rules of recordings.

use http::HeaderMap;
use serde_json::{Map, Value};

use super::sanitize::{Sanitizer, Secrets};
use crate::upstream::secret_encodings::REDACTED;

/// The secrets of a session.
pub(crate) struct Scrubber {
    sanitizer: Sanitizer,
}

impl Scrubber {
    /// Learns the secrets among credentials, and returns the credentials as they may be shown.
    pub(crate) fn of(
        credentials: &[&Map<String, Value>],
        is_secret: &dyn Fn(&str) -> bool,
    ) -> (Self, Vec<Map<String, Value>>) {
        let secrets = Secrets::default();
        let shown = credentials.iter().map(|fields| {
            let known = secrets.register_credentials((*fields).clone(), is_secret);
            // A recording leaves out what a replay does not need.
            let all =
                fields.keys().map(|name| (name.clone(), known.get(name).cloned().unwrap_or_else(|| REDACTED.into())));
            all.collect()
        });
        let shown = shown.collect();
        (Self { sanitizer: secrets.sanitizer(&HeaderMap::new()) }, shown)
    }

    /// Returns the text without secrets.
    pub(crate) fn text(&self, text: &str) -> String {
        self.sanitizer.text(text)
    }
}
