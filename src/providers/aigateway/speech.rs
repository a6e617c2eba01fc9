//! Speech: voices of the form, text to speech in segments, and speech to text.

use futures_util::{StreamExt, stream};
use serde_json::{Value, json};

use super::AiGateway;
use super::connection::connect;
use super::schema::count;
use crate::dialect::openai::speech::{SpeechForm, TranscriptFormat, TranscriptionForm, mime_type};
use crate::providers::compatible::Endpoint;
use crate::providers::compatible::audio::{self, SpeechCall, TranscriptionCall};
use dify_plugin::error::InvokeError;
use dify_plugin::model::{CallContext, Chunks};
use dify_plugin::protocol::{AudioChunk, Credentials, Speech2TextRequest, TtsRequest, Voice};

/// File extensions that transcription services accept.
pub(super) const FILE_EXTENSIONS: &str = "flac,mp3,mp4,mpeg,mpga,m4a,ogg,wav,webm";

/// Default maximum size of an audio file in MiB; OpenAI's own limit.
const DEFAULT_UPLOAD: u64 = 25;

/// Default number of characters per speech request.
const DEFAULT_CHARACTERS: u64 = 4096;

/// Returns the maximum size of an audio file in MiB.
pub(super) fn upload_limit(credentials: &Credentials) -> Result<u64, InvokeError> {
    count(credentials, "file_upload_limit", DEFAULT_UPLOAD)
}

/// Returns the voices of the form: IDs separated by commas or lines, with an optional `name=` before each.
pub(super) fn voices(credentials: &Credentials) -> Vec<Voice> {
    let listed = credentials.get("voices").unwrap_or("alloy");
    let voice = |item: &str| {
        let (name, value) = item.split_once('=').map_or((item, item), |(name, value)| (name.trim(), value.trim()));
        Voice::new(name, value)
    };
    let items = listed.split([',', '，', '\n']).map(str::trim).filter(|item| !item.is_empty());
    items.map(voice).filter(|voice| !voice.name.is_empty() && !voice.value.is_empty()).collect()
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
    let default = voices.first().map(|voice| voice.value.clone());
    let listed: Vec<Value> = voices
        .into_iter()
        .map(|voice| json!({"mode": voice.value, "name": voice.name, "language": [language]}))
        .collect();
    Ok(json!({
        "default_voice": default,
        "voices": listed,
        "word_limit": count(credentials, "word_limit", DEFAULT_CHARACTERS)?,
        "audio_type": format(credentials)?,
        "max_workers": 1,
    }))
}

/// Returns the requested voice, or the first one. A voice that the form does not list is an error.
fn chosen_voice(credentials: &Credentials, requested: Option<&str>) -> Result<Option<String>, InvokeError> {
    let voices = voices(credentials);
    let Some(requested) = requested.map(str::trim).filter(|voice| !voice.is_empty()) else {
        return Ok(voices.into_iter().next().map(|voice| voice.value));
    };
    if voices.iter().any(|voice| voice.value == requested) {
        return Ok(Some(requested.to_owned()));
    }
    let known: Vec<String> = voices.into_iter().map(|voice| voice.value).collect();
    Err(InvokeError::bad_request(format!("unknown voice `{requested}`; available voices: {}", known.join(", ")))
        .with_hint("Add it to `voices` in the model credentials."))
}

/// `invoke_tts`.
pub(super) fn speak(gateway: &AiGateway, context: CallContext, request: TtsRequest) -> Chunks<AudioChunk> {
    match speech_call(gateway, &request) {
        Ok((endpoint, call)) => audio::speak(context.upstream, endpoint, call, request.content_text),
        Err(error) => stream::once(std::future::ready(Err(error))).boxed(),
    }
}

fn speech_call(gateway: &AiGateway, request: &TtsRequest) -> Result<(Endpoint, SpeechCall), InvokeError> {
    let credentials = &request.target.credentials;
    let (endpoint, model) = connect(&request.target, &gateway.tokens)?;
    let call = SpeechCall {
        model,
        form: SpeechForm::default(),
        voice: chosen_voice(credentials, request.voice.as_deref())?,
        audio_type: Some(format(credentials)?.to_owned()),
        word_limit: usize::try_from(count(credentials, "word_limit", DEFAULT_CHARACTERS)?).ok(),
    };
    Ok((endpoint, call))
}

/// `invoke_speech2text`.
pub(super) async fn transcribe(
    gateway: AiGateway,
    context: CallContext,
    request: Speech2TextRequest,
) -> Result<String, InvokeError> {
    let credentials = &request.target.credentials;
    let (endpoint, model) = connect(&request.target, &gateway.tokens)?;
    let chosen = |field: &str| credentials.get(field).map(str::to_owned);
    let form = TranscriptionForm {
        language: chosen("language"),
        prompt: chosen("initial_prompt"),
        format: TranscriptFormat::Json,
        ..TranscriptionForm::default()
    };
    let call = TranscriptionCall { model, form, file_upload_limit: Some(upload_limit(credentials)?), translate: false };
    audio::transcribe(&context.upstream, &endpoint, &call, request.file).await
}
