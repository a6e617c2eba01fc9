//! Speech: voices of the form, and what requests for text to speech and speech to text need.

use serde_json::{Value, json};

use crate::dialect::openai::speech_responses::{TranscriptFormat, TranscriptionForm, mime_type};
use crate::providers::compatible::audio::{SpeechCall, TranscriptionCall};
use crate::providers::compatible::form_fields::{self, count};
use crate::providers::compatible::model::LanguageVoice;
use dify_plugin::error::InvokeError;
use dify_plugin::protocol::Credentials;

/// Default maximum size of an audio file in MiB; OpenAI's own limit.
const DEFAULT_UPLOAD: u64 = 25;

/// Default number of characters per speech request.
const DEFAULT_CHARACTERS: u64 = 4096;

/// Returns the maximum size of an audio file in MiB.
pub(super) fn upload_limit(credentials: &Credentials) -> Result<u64, InvokeError> {
    count(credentials, "file_upload_limit", DEFAULT_UPLOAD)
}

/// Returns the voices of the form.
pub(super) fn voices(credentials: &Credentials) -> Vec<LanguageVoice> {
    form_fields::voices(credentials.get("voices").unwrap_or("alloy"))
}

fn format(credentials: &Credentials) -> Result<&str, InvokeError> {
    let format = credentials.get("audio_type").unwrap_or("mp3");
    match mime_type(format) {
        Some(_) => Ok(format),
        None => Err(InvokeError::credentials(format!(
            "credential `audio_type` must be mp3, wav, opus, flac, aac or pcm, found `{format}`"
        ))),
    }
}

/// Returns the model properties of a text-to-speech model.
pub(super) fn properties(credentials: &Credentials) -> Result<Value, InvokeError> {
    let voices = voices(credentials);
    if voices.is_empty() {
        return Err(InvokeError::credentials("credential `voices` contains no voice; enter IDs separated by commas"));
    }
    let language = credentials.get("language").unwrap_or("en-US");
    let default = voices.first().map(|first| first.voice.value.clone());
    let listed: Vec<Value> = voices
        .into_iter()
        .map(|listed| json!({"mode": listed.voice.value, "name": listed.voice.name, "language": [language]}))
        .collect();
    Ok(json!({
        "default_voice": default,
        "voices": listed,
        "word_limit": count(credentials, "word_limit", DEFAULT_CHARACTERS)?,
        "audio_type": format(credentials)?,
        "max_workers": 1,
    }))
}

/// Returns what text-to-speech requests need.
pub(super) fn speech(credentials: &Credentials) -> Result<SpeechCall, InvokeError> {
    Ok(SpeechCall {
        audio_type: Some(format(credentials)?.to_owned()),
        word_limit: usize::try_from(count(credentials, "word_limit", DEFAULT_CHARACTERS)?).ok(),
        ..SpeechCall::default()
    })
}

/// Returns what transcription requests need.
pub(super) fn transcription(credentials: &Credentials) -> Result<TranscriptionCall, InvokeError> {
    let chosen = |field: &str| credentials.get(field).map(str::to_owned);
    let form = TranscriptionForm {
        language: chosen("language"),
        prompt: chosen("initial_prompt"),
        format: TranscriptFormat::Json,
        ..TranscriptionForm::default()
    };
    Ok(TranscriptionCall { form, file_upload_limit: Some(upload_limit(credentials)?), ..TranscriptionCall::default() })
}
