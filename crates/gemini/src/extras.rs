//! Fields of every generation request in addition to its content and parameters: whether Google may store it, and
//! labels with the app that sends it. A gateway may not support these fields: a request that it rejects is retried
//! without the field, which is then omitted for some time.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde_json::{Map, Value};

use crate::Surface;
use crate::connection::Connection;
use crate::wire::GenerateContentRequest;
use dify_plugin::error::InvokeError;
use dify_plugin::protocol::Credentials;

/// How long a field is omitted after it was rejected.
const REJECTION_TTL: Duration = Duration::from_secs(600);

/// Maximum number of rejections in memory.
const MAX_REJECTIONS: usize = 1024;

/// Maximum number of characters of a label value. Source: Google Cloud, "Labels overview", as of 26 November 2026.
const MAX_LABEL_CHARACTERS: usize = 63;

/// Labels that name the app and Dify. Source: the official plugin 0.9.6 of August 2026,
/// `models/gemini/models/llm/_labels.py`.
const APP: &str = "dify_app_id";
const SOURCE: (&str, &str) = ("dify_source", "dify");

/// A field that a gateway may not support.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Field {
    /// `store`.
    Store,
    /// The labels that no parameter has set.
    AppLabels,
    /// `generationConfig.responseFormat`.
    AudioFormat,
}

impl Field {
    /// Returns the name of the field in a request.
    fn name(self) -> &'static str {
        match self {
            Self::Store => "store",
            Self::AppLabels => "labels",
            Self::AudioFormat => "responseFormat",
        }
    }

    /// Whether an error rejects this field. Google and gateways name it: `Unknown name "store": Cannot find field`,
    /// `store: Extra inputs are not permitted`.
    pub fn is_rejected_by(self, error: &InvokeError) -> bool {
        const REFUSALS: [&str; 11] = [
            "unknown",
            "cannot find field",
            "not permitted",
            "not allowed",
            "not supported",
            "unsupported",
            "unrecognized",
            "unexpected",
            "additional properties",
            "invalid",
            "does not support",
        ];
        if !matches!(error.status, Some(400 | 422)) {
            return false;
        }
        let message = error.message.to_lowercase();
        let name = self.name();
        let mut words = message.split(|character: char| !character.is_alphanumeric());
        let is_named = match self {
            // Also as `response_format`, in a longer path, or by its value.
            Self::AudioFormat => {
                message.contains("audio_mp3") || message.replace('_', "").contains(&name.to_lowercase())
            }
            Self::Store | Self::AppLabels => words.any(|word| word == name),
        };
        is_named && REFUSALS.iter().any(|refusal| message.contains(refusal))
    }
}

/// Owner, URL or model, and field of a rejection.
type Key = (u64, String, Field);

/// Fields that servers have rejected, by credentials and URL.
#[derive(Default)]
pub struct Rejections(Mutex<HashMap<Key, Instant>>);

impl Rejections {
    /// Whether a server is known to reject a field.
    pub fn has(&self, owner: u64, connection: &Connection, model: &str, field: Field) -> bool {
        let key = key(owner, connection, model, field);
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(&key).is_some_and(|since| since.elapsed() < REJECTION_TTL)
    }

    /// Remembers a rejection for some time.
    pub fn keep(&self, owner: u64, connection: &Connection, model: &str, field: Field) {
        tracing::warn!(field = field.name(), "field rejected by the server; omitting it for some time");
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= MAX_REJECTIONS {
            known.clear();
        }
        known.insert(key(owner, connection, model, field), Instant::now());
    }
}

/// Returns the key of a rejection. A field that a server does not know is unsupported for all its models; the audio
/// format may be unsupported for one model only.
fn key(owner: u64, connection: &Connection, model: &str, field: Field) -> Key {
    let place = match field {
        Field::Store | Field::AppLabels => connection.base().to_owned(),
        Field::AudioFormat => format!("{} {model}", connection.base()),
    };
    (owner, place, field)
}

/// The fields that a call adds to its requests.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Extras {
    /// `store: false`.
    forbids_storage: bool,
    labels: Map<String, Value>,
}

impl Extras {
    /// Returns the fields that the credentials and the app require, except those that the server is known to reject.
    pub fn of(
        rejections: &Rejections,
        connection: &Connection,
        credentials: &Credentials,
        model: &str,
        app_id: Option<&str>,
    ) -> Self {
        let owner = credentials.fingerprint();
        let is_on = |name: &str| credentials.get(name).is_some_and(|value| value.eq_ignore_ascii_case("enabled"));
        let sends = |field| !rejections.has(owner, connection, model, field);
        // Vertex AI rejects the field, and stores no such logs.
        let may_store = connection.surface != Surface::Developer || is_on("store_requests");
        let app = app_id.filter(|_| is_on("enable_request_metadata") && sends(Field::AppLabels));
        Self { forbids_storage: !may_store && sends(Field::Store), labels: app.map(app_labels).unwrap_or_default() }
    }

    /// Adds the fields to a request; labels set by a parameter are kept.
    pub fn put(&self, request: &mut GenerateContentRequest) {
        request.store = self.forbids_storage.then_some(false);
        for (name, value) in &self.labels {
            request.labels.entry(name).or_insert_with(|| value.clone());
        }
    }

    /// Removes the field that an error rejects, from later requests too; returns false if the error rejects none of
    /// these fields.
    pub fn remove_rejected(
        &mut self,
        error: &InvokeError,
        request: &mut GenerateContentRequest,
        keep: impl Fn(Field),
    ) -> bool {
        if request.store.is_some() && Field::Store.is_rejected_by(error) {
            self.forbids_storage = false;
            request.store = None;
            keep(Field::Store);
            return true;
        }
        if !self.labels.is_empty() && Field::AppLabels.is_rejected_by(error) {
            for name in std::mem::take(&mut self.labels).keys() {
                request.labels.remove(name);
            }
            keep(Field::AppLabels);
            return true;
        }
        false
    }
}

fn app_labels(app_id: &str) -> Map<String, Value> {
    let (name, value) = SOURCE;
    Map::from_iter([(APP.to_owned(), label(app_id).into()), (name.to_owned(), value.into())])
}

/// Converts a text to a label value: lower-case letters, digits, `_` and `-` only.
fn label(text: &str) -> String {
    let legal = |character: char| match character.to_ascii_lowercase() {
        legal @ ('a'..='z' | '0'..='9' | '_' | '-') => legal,
        _ => '_',
    };
    text.chars().take(MAX_LABEL_CHARACTERS).map(legal).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recognizes_the_rejected_field() {
        for (field, status, message, is_refusal) in [
            (Field::Store, 400, r#"Invalid JSON payload received. Unknown name "store": Cannot find field."#, true),
            (Field::Store, 422, "body -> store: Extra inputs are not permitted", true),
            (Field::Store, 400, "json: unknown field `store`", true),
            (Field::Store, 500, r#"Unknown name "store""#, false),
            (Field::Store, 400, "File fileSearchStores/x is not supported", false),
            (Field::Store, 400, "store it elsewhere", false),
            (Field::AppLabels, 400, r#"Unknown name "labels": Cannot find field."#, true),
            (Field::AppLabels, 400, r#"Unknown name "store": Cannot find field."#, false),
            (
                Field::AudioFormat,
                400,
                r#"Unknown name "responseFormat" at 'generation_config': Cannot find field."#,
                true,
            ),
            (Field::AudioFormat, 400, "response_format.audio is not supported by this model", true),
            (Field::AudioFormat, 400, "AUDIO_MP3 is not supported by this model", true),
            (Field::AudioFormat, 400, "The voice is not supported.", false),
        ] {
            let error = InvokeError::bad_request(message).with_status(status);
            assert_eq!(field.is_rejected_by(&error), is_refusal, "{field:?} {status} {message}");
        }
    }

    #[test]
    fn labels_follow_the_rules_of_google_cloud() {
        for (text, value) in [
            ("3f0c6a52-6c1e-4f0a-9d35-0d5a0c1e2b3f", "3f0c6a52-6c1e-4f0a-9d35-0d5a0c1e2b3f"),
            ("My App@Größe", "my_app_gr__e"),
            (&"x".repeat(80), &"x".repeat(63)),
            (&"\u{130}".repeat(80), &"_".repeat(63)),
        ] {
            assert_eq!(label(text), value);
        }
    }
}
