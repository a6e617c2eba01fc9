//! How a provider expects text-to-speech and speech-to-text requests. As YAML: the blocks `tts` and `speech2text`.

use std::collections::BTreeMap;
use std::num::{NonZeroU64, NonZeroUsize};

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::dialect::openai::form_values::TextOrFalse;

/// How texts are sent to `POST /audio/speech`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct SpeechForm {
    /// A voice for every text; `false`: no voice is sent. Default: the requested voice, else `default_voice` of the
    /// model.
    pub voice: Option<TextOrFalse>,
    /// `response_format`. Default: `audio_type` of the model, else `mp3`.
    pub format: Option<String>,
    /// Maximum number of characters per request. Default: `word_limit` of the model, else 2000.
    pub longest: Option<NonZeroUsize>,
    /// Maximum number of concurrent requests. Default: 1.
    pub parallel: Option<NonZeroUsize>,
    /// Whether the server is asked to stream the audio; not sent if absent. Default: none.
    pub stream: Option<bool>,
    /// More members of the body (`speed`). Default: none.
    pub body: Map<String, Value>,
}

/// How audio is sent to `POST /audio/transcriptions`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct TranscriptionForm {
    /// Spoken language. Default: none, so that the model detects it.
    pub language: Option<String>,
    /// Words that help recognition. Default: none.
    pub prompt: Option<String>,
    /// `response_format`: `json` or `omit` (not sent). Default: `omit`.
    pub format: TranscriptFormat,
    /// More fields of the form. Default: none.
    pub fields: BTreeMap<String, String>,
    /// Maximum size of a file in MiB. Default: `file_upload_limit` of the model, else no limit.
    pub longest_file: Option<NonZeroU64>,
}

/// Format of a transcription.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum TranscriptFormat {
    /// `response_format` is `json`.
    Json,
    /// `response_format` is not sent.
    #[default]
    Omit,
}

impl SpeechForm {
    /// Returns the body of a request.
    pub fn request(
        &self,
        model: &str,
        input: &str,
        voice: Option<&str>,
        format: &str,
        stream: Option<bool>,
    ) -> Map<String, Value> {
        let mut body = Map::from_iter([("model".to_owned(), model.into()), ("input".to_owned(), input.into())]);
        let voice = match &self.voice {
            Some(TextOrFalse::False) => None,
            Some(TextOrFalse::Text(voice)) => Some(voice.as_str()),
            None => voice,
        };
        body.extend(voice.map(|voice| ("voice".to_owned(), voice.into())));
        body.insert("response_format".to_owned(), format.into());
        body.extend(stream.map(|stream| ("stream".to_owned(), stream.into())));
        body.extend(self.body.clone());
        body
    }
}

impl TranscriptionForm {
    /// Returns the text fields of a request.
    pub fn request(&self, model: &str) -> Vec<(String, String)> {
        let mut fields = vec![("model".to_owned(), model.to_owned())];
        let mut add = |name: &str, value: &str| fields.push((name.to_owned(), value.to_owned()));
        if self.format == TranscriptFormat::Json {
            add("response_format", "json");
        }
        if let Some(language) = &self.language {
            add("language", language);
        }
        if let Some(prompt) = &self.prompt {
            add("prompt", prompt);
        }
        for (name, value) in &self.fields {
            add(name, value);
        }
        fields
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn speech_bodies_follow_the_form() {
        let request = |form: Value, voice, stream| {
            let form: SpeechForm = serde_json::from_value(form).unwrap();
            Value::Object(form.request("m", "Hi", voice, "mp3", stream))
        };
        let base = json!({"model": "m", "input": "Hi", "response_format": "mp3"});
        let with = |more: Value| {
            let mut base = base.clone();
            base.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            base
        };
        for (form, voice, stream, expected) in [
            (json!({}), None, None, base.clone()),
            (json!({}), Some("v"), Some(true), with(json!({"voice": "v", "stream": true}))),
            (json!({"voice": false}), Some("v"), None, base.clone()),
            (json!({"voice": "w"}), Some("v"), None, with(json!({"voice": "w"}))),
            (json!({"body": {"speed": 1.5, "input": "x"}}), None, None, with(json!({"speed": 1.5, "input": "x"}))),
        ] {
            assert_eq!(request(form.clone(), voice, stream), expected, "{form}");
        }
    }

    #[test]
    fn transcription_fields_follow_the_form() {
        for (form, expected) in [
            (json!({}), vec![("model", "m")]),
            (json!({"format": "json"}), vec![("model", "m"), ("response_format", "json")]),
            (
                json!({"language": "de", "prompt": "p", "fields": {"chunking_strategy": "auto"}}),
                vec![("model", "m"), ("language", "de"), ("prompt", "p"), ("chunking_strategy", "auto")],
            ),
        ] {
            let read: TranscriptionForm = serde_json::from_value(form.clone()).unwrap();
            let fields = read.request("m");
            let fields: Vec<_> = fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
            assert_eq!(fields, expected, "{form}");
        }
    }
}
