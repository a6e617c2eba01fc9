//! Text to speech and speech to text with `generateContent`.

use std::sync::Arc;

use async_stream::try_stream;
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use serde_json::Value;
use tracing::warn;
use url::Url;

use super::media::MAX_INLINE_BYTES;
use super::{Chunks, Shared};
use crate::dialect::gemini::Surface;
use crate::dialect::gemini::models::catalog::Catalog;
use crate::dialect::gemini::response::served::Served;
use crate::dialect::gemini::speech::{self, Audio, AudioSource, MAX_RESPONSE_BYTES, Samples, VOICES};
use crate::dialect::gemini::speech_options::SpeechOptions;
use crate::dialect::gemini::wire::GenerateContentRequest;
use crate::dialect::wav;
use crate::providers::common::audio;
use dify_plugin::error::InvokeError;
use dify_plugin::model::CallContext;
use dify_plugin::protocol::{AudioChunk, Speech2TextRequest, Target, TtsRequest, Voice};
use dify_plugin_gemini::connection::Connection;
use dify_plugin_gemini::files;
use dify_plugin_gemini::generate::{GENERATE, Generation};
use dify_plugin_gemini::speaking::Speaking;

/// Voice if neither the app nor the model's data sets one.
const DEFAULT_VOICE: &str = "Kore";

/// Maximum number of characters per request: the model's output is limited to about ten minutes.
const DEFAULT_MAX_CHARACTERS: u64 = 2000;

/// Maximum size of an audio file in MiB if the model's data sets none; the file is held in memory.
const DEFAULT_MAX_UPLOAD_MIB: u64 = 100;

/// Bytes of a request in addition to its audio, before Base64 encoding.
const OVERHEAD_BYTES: usize = 64 * 1024;

/// Maximum number of concurrent requests.
const MAX_CONCURRENT_REQUESTS: usize = 3;

/// Returns the voices; each speaks every language.
pub(super) fn voices() -> Vec<Voice> {
    VOICES.iter().map(|(name, manner)| Voice::new(format!("{name} ({manner})"), *name)).collect()
}

/// Converts a text to audio. The result is MP3, segment by segment, because Dify's page treats all audio as MP3 and
/// concatenates it. It is a single WAV file if the form requests it or the service does not support MP3.
pub(super) fn speak(shared: Arc<Shared>, context: CallContext, request: TtsRequest) -> Chunks<AudioChunk> {
    try_stream! {
        let (speech, segments) = Speech::prepare(shared, context, request)?;
        let speech = Arc::new(speech);
        let outputs = segments.into_iter().map(|segment| {
            let speech = speech.clone();
            async move { speech.segment(&segment).await }
        });
        let mut outputs = std::pin::pin!(stream::iter(outputs).buffered(MAX_CONCURRENT_REQUESTS));
        let mut file: Option<Samples> = None;
        let mut streamed = false;
        while let Some(audio) = outputs.next().await {
            match (audio?, &mut file) {
                (Audio::Mp3(frames), None) => {
                    streamed = true;
                    yield AudioChunk::new(frames, Some("audio/mpeg".to_owned()));
                }
                (Audio::Samples(samples), None) if !streamed => file = Some(samples),
                (Audio::Samples(samples), Some(file)) if samples.rate == file.rate => file.bytes.extend(samples.bytes),
                _ => Err(InvokeError::server_unavailable("the audio segments have different formats or sample rates"))?,
            }
        }
        // The header of a WAV file contains its length, so it is written after the segments were joined.
        if let Some(Samples { bytes, rate }) = file {
            yield AudioChunk::new(wav::wav(&bytes, rate), Some("audio/wav".to_owned()));
        }
    }
    .boxed()
}

/// A text-to-speech call: everything that its requests have in common.
struct Speech {
    shared: Arc<Shared>,
    context: CallContext,
    connection: Connection,
    target: Target,
    voice: String,
    options: SpeechOptions,
    /// Whether MP3 is preferred.
    wants_mp3: bool,
    /// The model that responded. It is only logged, because speech has no usage in Dify.
    served: Served,
}

impl Speech {
    /// Prepares the call, and splits the text into one segment per request.
    fn prepare(
        shared: Arc<Shared>,
        context: CallContext,
        request: TtsRequest,
    ) -> Result<(Self, Vec<String>), InvokeError> {
        if request.content_text.trim().is_empty() {
            return Err(InvokeError::bad_request("there is no text to convert to speech"));
        }
        let credentials = &request.target.credentials;
        let connection = shared.connect(credentials, &context)?;
        let schema = context.model.as_deref();
        let declared = schema.and_then(|schema| schema.model_properties.get("default_voice")).and_then(Value::as_str);
        let wanted = request.voice.as_deref().or(declared).unwrap_or(DEFAULT_VOICE);
        let voices = VOICES.iter().map(|(name, _)| *name);
        let voice = voices.into_iter().find(|name| name.eq_ignore_ascii_case(wanted)).unwrap_or(wanted).to_owned();
        let longest = schema.and_then(|schema| schema.number_property("word_limit")).unwrap_or(DEFAULT_MAX_CHARACTERS);
        let options = SpeechOptions::read(credentials.get("speech_options"))?;
        let segments = options.segments(&request.content_text, usize::try_from(longest).unwrap_or(usize::MAX));
        let wants_mp3 = match credentials.get("audio_type") {
            None | Some("mp3") => true,
            Some("wav") => false,
            Some(other) => {
                let message = format!("credential `audio_type` must be mp3 or wav, found `{other}`");
                return Err(InvokeError::credentials(message));
            }
        };
        let served = Served::new(&request.target.model, Catalog::new(context.models.clone()));
        Ok((Self { shared, context, connection, target: request.target, voice, options, wants_mp3, served }, segments))
    }

    /// Synthesizes a segment.
    async fn segment(&self, text: &str) -> Result<Audio, InvokeError> {
        let Self { shared, context, connection, target, .. } = self;
        let speaking = Speaking {
            generation: generation(shared, context, connection, target),
            voice: &self.voice,
            options: &self.options,
            wants_mp3: self.wants_mp3,
            has_metadata: speech::supports_metadata(&target.model, context.model.as_deref()),
        };
        speaking.segment(text, &|response| drop(self.served.read(response))).await
    }
}

pub(super) async fn transcribe(
    shared: &Shared,
    context: &CallContext,
    request: &Speech2TextRequest,
) -> Result<String, InvokeError> {
    let mime_type = audio::require(&request.file)?.mime_type;
    let limit = context.model.as_ref().and_then(|model| model.number_property("file_upload_limit"));
    refuse_longer(request.file.len(), limit.unwrap_or(DEFAULT_MAX_UPLOAD_MIB))?;
    let connection = shared.connect(&request.target.credentials, context)?;
    let in_words = !context.model.as_ref().is_some_and(|model| speech::only_transcribes(model));
    let mut uploaded = upload(shared, context, &connection, mime_type, request).await?;
    let question = |uploaded: &Option<String>| {
        let audio = uploaded.as_deref().map_or(AudioSource::Inline(&request.file), AudioSource::At);
        speech::transcribe(mime_type, audio, in_words)
    };
    let url = connection.model_url(&request.target.model, GENERATE)?;
    let ask = async |uploaded: &Option<String>| {
        ask(shared, context, &connection, &request.target, url.clone(), &mut question(uploaded)).await
    };
    let answer = match ask(&uploaded).await {
        Err(error) if uploaded.is_some() && files::is_file_missing(&error) => {
            warn!(error = error.log_summary(), "uploaded audio rejected; uploading it again");
            shared.files.forget(request.target.credentials.fingerprint(), uploaded.as_slice());
            uploaded = upload(shared, context, &connection, mime_type, request).await?;
            ask(&uploaded).await?
        }
        answer => answer?,
    };
    Served::new(&request.target.model, Catalog::new(context.models.clone())).read(&answer);
    speech::transcript(&answer)
}

fn refuse_longer(length: usize, limit: u64) -> Result<(), InvokeError> {
    if length as u64 <= limit * 1024 * 1024 {
        return Ok(());
    }
    Err(InvokeError::bad_request(format!("the audio file has {length} bytes; at most {limit} MiB are supported"))
        .with_hint("Compress it (MP3 or OGG), or split it into parts."))
}

/// Uploads an audio file that is too large to be sent inline and returns its URI; `None` for smaller files.
async fn upload(
    shared: &Shared,
    context: &CallContext,
    connection: &Connection,
    mime_type: &str,
    request: &Speech2TextRequest,
) -> Result<Option<String>, InvokeError> {
    if request.file.len() <= MAX_INLINE_BYTES - OVERHEAD_BYTES {
        return Ok(None);
    }
    if connection.surface != Surface::Developer {
        return refuse_longer(request.file.len(), MAX_INLINE_BYTES as u64 / 1024 / 1024).map(|()| None);
    }
    let owner = request.target.credentials.fingerprint();
    let bytes = Bytes::copy_from_slice(&request.file);
    shared.files.uri(&context.upstream, connection, owner, mime_type, bytes).await
}

/// Sends a generation request without the extra fields that the server rejects.
async fn ask(
    shared: &Shared,
    context: &CallContext,
    connection: &Connection,
    target: &Target,
    url: Url,
    body: &mut GenerateContentRequest,
) -> Result<Value, InvokeError> {
    generation(shared, context, connection, target).send(&url, body, MAX_RESPONSE_BYTES).await
}

/// What the requests of a call have in common.
fn generation<'a>(
    shared: &'a Shared,
    context: &'a CallContext,
    connection: &'a Connection,
    target: &'a Target,
) -> Generation<'a> {
    Generation {
        upstream: &context.upstream,
        connection,
        rejections: &shared.refusals,
        credentials: &target.credentials,
        model: &target.model,
        app_id: context.app_id.as_deref(),
    }
}
