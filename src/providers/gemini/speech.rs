//! Text to speech and speech to text with `generateContent`.

use std::sync::Arc;

use async_stream::try_stream;
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use serde_json::Value;
use tracing::{info, warn};
use url::Url;

use super::connection::Connection;
use super::extras::{Extras, Field};
use super::media::MAX_INLINE_BYTES;
use super::{Chunks, Shared, files, read_json};
use crate::dialect::gemini::Surface;
use crate::dialect::gemini::catalog::Catalog;
use crate::dialect::gemini::finish;
use crate::dialect::gemini::served::Served;
use crate::dialect::gemini::speech::{self, Audio, AudioSource, Direction, Samples, SpeechReply, VOICES};
use crate::dialect::gemini::speech_options::SpeechOptions;
use crate::dialect::gemini::wire::GenerateContentRequest;
use crate::dialect::wav;
use crate::providers::common::{audio, text_split};
use dify_plugin::error::{ErrorKind, InvokeError};
use dify_plugin::model::CallContext;
use dify_plugin::protocol::{AudioChunk, Speech2TextRequest, Target, TtsRequest, Voice};

/// Voice if neither the app nor the model's data sets one.
const DEFAULT_VOICE: &str = "Kore";

/// Maximum number of characters per request: the model's output is limited to about ten minutes.
const DEFAULT_MAX_CHARACTERS: u64 = 2000;

/// Maximum size of an audio file in MiB if the model's data sets none; the file is held in memory.
const DEFAULT_MAX_UPLOAD_MIB: u64 = 100;

/// Bytes of a request in addition to its audio, before Base64 encoding.
const OVERHEAD_BYTES: usize = 64 * 1024;

/// API method of both directions.
const GENERATE: &str = "generateContent";

/// Maximum number of concurrent requests.
const MAX_CONCURRENT_REQUESTS: usize = 3;

/// Maximum bytes of a response; ten minutes of audio in Base64 are about 40 MB.
const MAX_RESPONSE_BYTES: usize = 64 * 1024 * 1024;

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
        let segments = segments(&options, &request.content_text, usize::try_from(longest).unwrap_or(usize::MAX));
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

    /// Synthesizes a segment. Missing or incomplete audio is retried once; a blocked response is not.
    async fn segment(&self, text: &str) -> Result<Audio, InvokeError> {
        let insist = match self.ask(text, false).await? {
            SpeechReply::Whole(audio) => return Ok(audio),
            SpeechReply::Cut(error) if finish::is_filter(error.code.as_deref().unwrap_or_default()) => {
                return Err(error);
            }
            SpeechReply::Cut(_) => false,
            SpeechReply::Nothing => true,
        };
        info!(insist, "model did not read the complete text aloud; retrying");
        match self.ask(text, insist).await? {
            SpeechReply::Whole(audio) => Ok(audio),
            SpeechReply::Nothing => Err(InvokeError::server_unavailable("the model returned no audio")),
            SpeechReply::Cut(error) => Err(error),
        }
    }

    /// Sends one request; returns no audio if the model answered the text instead of reading it.
    async fn ask(&self, text: &str, insist: bool) -> Result<SpeechReply, InvokeError> {
        let Self { shared, context, connection, target, .. } = self;
        let direction = match speech::supports_metadata(&target.model, context.model.as_deref()) {
            true => Direction::Metadata,
            false => Direction::Text { insist },
        };
        let mut request = speech::speak(text, &self.voice, &self.options, direction);
        let (owner, model) = (target.credentials.fingerprint(), target.model.as_str());
        let field = Field::AudioFormat;
        let mut requests_mp3 = self.wants_mp3 && !shared.refusals.has(owner, connection, model, field);
        if requests_mp3 {
            speech::request_mp3(&mut request);
        }
        let answer = loop {
            // The stable version of Vertex AI does not support the format yet.
            let url = match requests_mp3 {
                true => connection.beta_url(model, GENERATE)?,
                false => connection.model_url(model, GENERATE)?,
            };
            match ask(shared, context, connection, target, url, &mut request).await {
                // A gateway may support only the stable version of Vertex AI.
                Err(error)
                    if requests_mp3
                        && (field.is_rejected_by(&error) || error.status == Some(404) && connection.has_beta()) =>
                {
                    shared.refusals.keep(owner, connection, model, field);
                    request.generation_config.remove("responseFormat");
                    requests_mp3 = false;
                }
                answer => break answer,
            }
        };
        match answer {
            Ok(answer) => {
                self.served.read(&answer);
                speech::parse_speech(&answer)
            }
            Err(error) if error.kind == ErrorKind::BadRequest && error.message.contains("tried to generate text") => {
                Ok(SpeechReply::Nothing)
            }
            Err(error) => Err(error),
        }
    }
}

/// Splits the text into one segment per request. Every segment of a dialogue starts with its speaker.
fn segments(options: &SpeechOptions, text: &str, longest: usize) -> Vec<String> {
    if !options.is_dialogue(text) {
        return text_split::split(text, longest).into_iter().map(str::to_owned).collect();
    }
    let mut segments: Vec<String> = Vec::new();
    for (speaker, spoken_text) in options.turns(text) {
        let name = speaker.map(|name| format!("{name}: ")).unwrap_or_default();
        for spoken_text in text_split::split(spoken_text, longest.saturating_sub(name.chars().count())) {
            let line = format!("{name}{}", spoken_text.trim());
            match segments.last_mut() {
                Some(segment) if segment.chars().count() + 1 + line.chars().count() <= longest => {
                    segment.push('\n');
                    segment.push_str(&line);
                }
                _ => segments.push(line),
            }
        }
    }
    segments
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
    let mut extras = Extras::of(&shared.refusals, context, connection, target);
    extras.put(body);
    let keep = |field| shared.refusals.keep(target.credentials.fingerprint(), connection, &target.model, field);
    let response = loop {
        match context.upstream.send(&connection.post(url.clone(), body)?).await {
            Err(error) if extras.remove_rejected(&error, body, keep) => {}
            response => break response?,
        }
    };
    read_json(response, MAX_RESPONSE_BYTES).await
}
