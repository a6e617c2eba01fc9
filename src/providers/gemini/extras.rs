//! What every generation request carries beside its content and parameters: whether Google may store it, and labels with
//! the app that asks. Something in front of Google may not know these fields: what it refuses is sent once more without,
//! and is left out for a while.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde_json::{Map, Value};

use super::connection::Connection;
use crate::dialect::gemini::Surface;
use crate::dialect::gemini::wire::GenerateContentRequest;
use dify_plugin::error::InvokeError;
use dify_plugin::model::CallContext;
use dify_plugin::protocol::Target;

/// How long a refusal counts.
const REFUSAL: Duration = Duration::from_secs(600);

/// Rejections that are remembered at once.
const MAX_REFUSALS: usize = 1024;

/// Characters of a label's value. Source: Google Cloud, "Labels overview", read on 26 November 2026.
const MAX_LABEL: usize = 63;

/// The label that names the app, and the one that names Dify. Source: the official plugin 0.9.6 of August 2026,
/// `models/gemini/models/llm/_labels.py`.
const APP: &str = "dify_app_id";
const SOURCE: (&str, &str) = ("dify_source", "dify");

/// A field that a server in front of Google may not know.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Field {
    /// `store`.
    Store,
    /// The labels that no parameter asked for.
    AppLabels,
    /// `generationConfig.responseFormat`.
    AudioFormat,
}

impl Field {
    /// How the field is called on the wire.
    fn name(self) -> &'static str {
        match self {
            Self::Store => "store",
            Self::AppLabels => "labels",
            Self::AudioFormat => "responseFormat",
        }
    }

    /// Whether an error refuses this field. Google and gateways name it: `Unknown name "store": Cannot find field`,
    /// `store: Extra inputs are not permitted`.
    pub(super) fn is_refused_by(self, error: &InvokeError) -> bool {
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
            // Also as `response_format`, in a longer path, and by its value.
            Self::AudioFormat => {
                message.contains("audio_mp3") || message.replace('_', "").contains(&name.to_lowercase())
            }
            Self::Store | Self::AppLabels => words.any(|word| word == name),
        };
        is_named && REFUSALS.iter().any(|refusal| message.contains(refusal))
    }
}

/// Whose refusal at which address and of which model, and of what.
type Key = (u64, String, Field);

/// What servers have refused, by credentials and address.
#[derive(Default)]
pub(super) struct Rejections(Mutex<HashMap<Key, Instant>>);

impl Rejections {
    /// Whether a server is known to refuse a field.
    pub(super) fn has(&self, owner: u64, connection: &Connection, model: &str, field: Field) -> bool {
        let key = key(owner, connection, model, field);
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(&key).is_some_and(|since| since.elapsed() < REFUSAL)
    }

    /// Remembers a refusal for a while.
    pub(super) fn keep(&self, owner: u64, connection: &Connection, model: &str, field: Field) {
        tracing::warn!(field = field.name(), "the server refuses a field; it is left out for a while");
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= MAX_REFUSALS {
            known.clear();
        }
        known.insert(key(owner, connection, model, field), Instant::now());
    }
}

/// What a server does not know, it knows of no model; what a model does not offer, another may.
fn key(owner: u64, connection: &Connection, model: &str, field: Field) -> Key {
    let place = match field {
        Field::Store | Field::AppLabels => connection.base().to_owned(),
        Field::AudioFormat => format!("{} {model}", connection.base()),
    };
    (owner, place, field)
}

/// The fields that a call adds to its requests.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Extras {
    /// `store: false`.
    forbids_storage: bool,
    labels: Map<String, Value>,
}

impl Extras {
    /// What the credentials and the app ask for, as far as the server is not known to refuse it.
    pub(super) fn of(refusals: &Rejections, context: &CallContext, connection: &Connection, target: &Target) -> Self {
        let credentials = &target.credentials;
        let owner = credentials.fingerprint();
        let is_on = |name: &str| credentials.get(name).is_some_and(|value| value.eq_ignore_ascii_case("enabled"));
        let sends = |field| !refusals.has(owner, connection, &target.model, field);
        // Vertex AI refuses the field, and has no such logs.
        let may_store = connection.surface != Surface::Developer || is_on("store_requests");
        let app = context.app_id.as_deref().filter(|_| is_on("enable_request_metadata") && sends(Field::AppLabels));
        Self { forbids_storage: !may_store && sends(Field::Store), labels: app.map(app_labels).unwrap_or_default() }
    }

    /// Adds the fields to a request; labels that a parameter sets stay.
    pub(super) fn put(&self, request: &mut GenerateContentRequest) {
        request.store = self.forbids_storage.then_some(false);
        for (name, value) in &self.labels {
            request.labels.entry(name).or_insert_with(|| value.clone());
        }
    }

    /// Takes out what a refusal names, of the next request too; false when it names nothing of these fields.
    pub(super) fn take_out(
        &mut self,
        error: &InvokeError,
        request: &mut GenerateContentRequest,
        keep: impl Fn(Field),
    ) -> bool {
        if request.store.is_some() && Field::Store.is_refused_by(error) {
            self.forbids_storage = false;
            request.store = None;
            keep(Field::Store);
            return true;
        }
        if !self.labels.is_empty() && Field::AppLabels.is_refused_by(error) {
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

/// A text as the value of a label: lower-case letters, digits, `_` and `-` only.
fn label(text: &str) -> String {
    let legal = |character: char| match character.to_ascii_lowercase() {
        legal @ ('a'..='z' | '0'..='9' | '_' | '-') => legal,
        _ => '_',
    };
    text.chars().take(MAX_LABEL).map(legal).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_of_the_field_that_it_names() {
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
            assert_eq!(field.is_refused_by(&error), is_refusal, "{field:?} {status} {message}");
        }
    }

    #[test]
    fn labels_keep_to_the_rules_of_google() {
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
