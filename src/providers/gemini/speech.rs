//! Text to speech and speech to text, both by `generateContent`.

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
use crate::dialect::gemini::speech::{self, Audio, Direction, Recording, Samples, SpeechReply, VOICES};
use crate::dialect::gemini::speech_options::SpeechOptions;
use crate::dialect::gemini::wire::GenerateContentRequest;
use crate::dialect::wav;
use crate::providers::common::{audio, text_split};
use dify_plugin::error::{ErrorKind, InvokeError};
use dify_plugin::model::CallContext;
use dify_plugin::protocol::{AudioChunk, Speech2TextRequest, Target, TtsRequest, Voice};

/// SpeechReply when the app names nobody and the model's data neither.
const DEFAULT_VOICE: &str = "Kore";

/// Letters of one request: the model's answer is limited to about ten minutes.
const DEFAULT_WORDS: u64 = 2000;

/// MiB of the longest recording where the model's data does not tell: it is held in memory.
const DEFAULT_UPLOAD: u64 = 100;

/// Bytes of a request beside its recording, before base64.
const BESIDE: usize = 64 * 1024;

/// The method of both.
const GENERATE: &str = "generateContent";

/// Requests at a time.
const MAX_CONCURRENT_REQUESTS: usize = 3;

/// Ten minutes of sound in base64 are about 40 MB.
const MAX_RESPONSE_BYTES: usize = 64 * 1024 * 1024;

/// The voices; all speak all languages.
pub(super) fn voices() -> Vec<Voice> {
    VOICES
        .iter()
        .map(|(name, manner)| Voice { name: format!("{name} ({manner})"), value: (*name).to_owned() })
        .collect()
}

/// The audio of a text, as MP3 piece by piece, for Dify's page takes every audio for MP3 and joins what comes; as one WAV
/// file where the form asks for it, or where the service has no MP3.
pub(super) fn speak(shared: Arc<Shared>, context: CallContext, request: TtsRequest) -> Chunks<AudioChunk> {
    try_stream! {
        let (speech, pieces) = Speech::prepare(shared, context, request)?;
        let speech = Arc::new(speech);
        let sounds = pieces.into_iter().map(|piece| {
            let speech = speech.clone();
            async move { speech.piece(&piece).await }
        });
        let mut sounds = std::pin::pin!(stream::iter(sounds).buffered(MAX_CONCURRENT_REQUESTS));
        let mut file: Option<Samples> = None;
        let mut streamed = false;
        while let Some(sound) = sounds.next().await {
            match (sound?, &mut file) {
                (Audio::Mp3(frames), None) => {
                    streamed = true;
                    yield AudioChunk { bytes: frames.into(), mime_type: Some("audio/mpeg".to_owned()) };
                }
                (Audio::Samples(samples), None) if !streamed => file = Some(samples),
                (Audio::Samples(samples), Some(file)) if samples.rate == file.rate => file.bytes.extend(samples.bytes),
                _ => Err(InvokeError::server_unavailable("the pieces of the audio have different formats or rates"))?,
            }
        }
        // The header of a WAV file tells its length, so the pieces are joined before it is written.
        if let Some(Samples { bytes, rate }) = file {
            yield AudioChunk { bytes: wav::wav(&bytes, rate).into(), mime_type: Some("audio/wav".to_owned()) };
        }
    }
    .boxed()
}

/// One call: what is asked with each piece of its text.
struct Speech {
    shared: Arc<Shared>,
    context: CallContext,
    connection: Connection,
    target: Target,
    voice: String,
    options: SpeechOptions,
    /// Whether MP3 is wanted.
    wants_mp3: bool,
    /// Which model answers: speech has no usage in Dify, so it is only logged.
    served: Served,
}

impl Speech {
    /// The call, and its text in pieces of one request each.
    fn prepare(
        shared: Arc<Shared>,
        context: CallContext,
        request: TtsRequest,
    ) -> Result<(Self, Vec<String>), InvokeError> {
        if request.content_text.trim().is_empty() {
            return Err(InvokeError::bad_request("there is no text to speak"));
        }
        let credentials = &request.target.credentials;
        let connection = shared.connect(credentials, &context)?;
        let schema = context.model.as_deref();
        let declared = schema.and_then(|schema| schema.model_properties.get("default_voice")).and_then(Value::as_str);
        let wanted = request.voice.as_deref().or(declared).unwrap_or(DEFAULT_VOICE);
        let voices = VOICES.iter().map(|(name, _)| *name);
        let voice = voices.into_iter().find(|name| name.eq_ignore_ascii_case(wanted)).unwrap_or(wanted).to_owned();
        let longest = schema.and_then(|schema| schema.number_property("word_limit")).unwrap_or(DEFAULT_WORDS);
        let options = SpeechOptions::read(credentials.get("speech_options"))?;
        let pieces = pieces(&options, &request.content_text, usize::try_from(longest).unwrap_or(usize::MAX));
        let wants_mp3 = match credentials.get("audio_type") {
            None | Some("mp3") => true,
            Some("wav") => false,
            Some(other) => {
                let message = format!("credential `audio_type` must be mp3 or wav, found `{other}`");
                return Err(InvokeError::credentials(message));
            }
        };
        let served = Served::new(&request.target.model, Catalog::new(context.models.clone()));
        Ok((Self { shared, context, connection, target: request.target, voice, options, wants_mp3, served }, pieces))
    }

    /// The sound of a piece. What is silent or breaks off often passes when it is asked for once more; a filter stays.
    async fn piece(&self, text: &str) -> Result<Audio, InvokeError> {
        let insist = match self.ask(text, false).await? {
            SpeechReply::Whole(sound) => return Ok(sound),
            SpeechReply::Cut(error) if finish::is_filter(error.code.as_deref().unwrap_or_default()) => {
                return Err(error);
            }
            SpeechReply::Cut(_) => false,
            SpeechReply::Nothing => true,
        };
        info!(insist, "the model did not read the text to its end: asked once more");
        match self.ask(text, insist).await? {
            SpeechReply::Whole(sound) => Ok(sound),
            SpeechReply::Nothing => Err(InvokeError::server_unavailable("the model answered no sound")),
            SpeechReply::Cut(error) => Err(error),
        }
    }

    /// What the model spoke; nothing where it answered the text in place of reading it.
    async fn ask(&self, text: &str, insist: bool) -> Result<SpeechReply, InvokeError> {
        let Self { shared, context, connection, target, .. } = self;
        let direction = match speech::takes_metadata(&target.model, context.model.as_deref()) {
            true => Direction::Metadata,
            false => Direction::Text { insist },
        };
        let mut request = speech::speak(text, &self.voice, &self.options, direction);
        let (owner, model) = (target.credentials.fingerprint(), target.model.as_str());
        let field = Field::AudioFormat;
        let mut asks_mp3 = self.wants_mp3 && !shared.refusals.has(owner, connection, model, field);
        if asks_mp3 {
            speech::ask_for_mp3(&mut request);
        }
        let answer = loop {
            // The stable version of Vertex AI does not know the format yet.
            let url = match asks_mp3 {
                true => connection.beta_url(model, GENERATE)?,
                false => connection.model_url(model, GENERATE)?,
            };
            match ask(shared, context, connection, target, url, &mut request).await {
                // A gateway may have the stable version of Vertex AI alone.
                Err(error)
                    if asks_mp3
                        && (field.is_refused_by(&error) || error.status == Some(404) && connection.has_beta()) =>
                {
                    shared.refusals.keep(owner, connection, model, field);
                    request.generation_config.remove("responseFormat");
                    asks_mp3 = false;
                }
                answer => break answer,
            }
        };
        match answer {
            Ok(answer) => {
                self.served.read(&answer);
                speech::spoken(&answer)
            }
            Err(error) if error.kind == ErrorKind::BadRequest && error.message.contains("tried to generate text") => {
                Ok(SpeechReply::Nothing)
            }
            Err(error) => Err(error),
        }
    }
}

/// The text in pieces of one request each. Every piece of a dialogue begins with its speaker.
fn pieces(options: &SpeechOptions, text: &str, longest: usize) -> Vec<String> {
    if !options.is_dialogue(text) {
        return text_split::split(text, longest).into_iter().map(str::to_owned).collect();
    }
    let mut pieces: Vec<String> = Vec::new();
    for (speaker, said) in options.turns(text) {
        let name = speaker.map(|name| format!("{name}: ")).unwrap_or_default();
        for said in text_split::split(said, longest.saturating_sub(name.chars().count())) {
            let line = format!("{name}{}", said.trim());
            match pieces.last_mut() {
                Some(piece) if piece.chars().count() + 1 + line.chars().count() <= longest => {
                    piece.push('\n');
                    piece.push_str(&line);
                }
                _ => pieces.push(line),
            }
        }
    }
    pieces
}

pub(super) async fn transcribe(
    shared: &Shared,
    context: &CallContext,
    request: &Speech2TextRequest,
) -> Result<String, InvokeError> {
    let mime_type = audio::require(&request.file)?.mime_type;
    let limit = context.model.as_ref().and_then(|model| model.number_property("file_upload_limit"));
    refuse_longer(request.file.len(), limit.unwrap_or(DEFAULT_UPLOAD))?;
    let connection = shared.connect(&request.target.credentials, context)?;
    let in_words = !context.model.as_ref().is_some_and(|model| speech::only_transcribes(model));
    let mut uploaded = upload(shared, context, &connection, mime_type, request).await?;
    let question = |uploaded: &Option<String>| {
        let recording = uploaded.as_deref().map_or(Recording::Inline(&request.file), Recording::At);
        speech::transcribe(mime_type, recording, in_words)
    };
    let url = connection.model_url(&request.target.model, GENERATE)?;
    let ask = async |uploaded: &Option<String>| {
        ask(shared, context, &connection, &request.target, url.clone(), &mut question(uploaded)).await
    };
    let answer = match ask(&uploaded).await {
        Err(error) if uploaded.is_some() && files::is_gone(&error) => {
            warn!(error = error.brief(), "the service refuses an uploaded recording; uploaded once more");
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
    Err(InvokeError::bad_request(format!("the recording has {length} bytes, at most {limit} MiB are taken"))
        .with_hint("Compress it (MP3, OGG) or cut it into parts."))
}

/// The address of a recording that is too large to go inline; `None` for one that goes inline.
async fn upload(
    shared: &Shared,
    context: &CallContext,
    connection: &Connection,
    mime_type: &str,
    request: &Speech2TextRequest,
) -> Result<Option<String>, InvokeError> {
    if request.file.len() <= MAX_INLINE_BYTES - BESIDE {
        return Ok(None);
    }
    if connection.surface != Surface::Developer {
        return refuse_longer(request.file.len(), MAX_INLINE_BYTES as u64 / 1024 / 1024).map(|()| None);
    }
    let owner = request.target.credentials.fingerprint();
    let bytes = Bytes::copy_from_slice(&request.file);
    shared.files.address(&context.upstream, connection, owner, mime_type, bytes).await
}

/// Sends a generation request; what of its extras the server refuses is left out of it.
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
            Err(error) if extras.take_out(&error, body, keep) => {}
            response => break response?,
        }
    };
    read_json(response, MAX_RESPONSE_BYTES).await
}
