//! Text to speech and speech to text, both by `generateContent`.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::{FutureExt, StreamExt};
use serde_json::Value;
use tracing::{info, warn};

use super::connection::Connection;
use super::media::MOST_INLINE;
use super::{Chunks, Shared, files, read_json};
use crate::dialect::gemini::Surface;
use crate::dialect::gemini::dialogue::SpeechOptions;
use crate::dialect::gemini::finish;
use crate::dialect::gemini::speech::{self, Recording, Spoken, VOICES};
use crate::dialect::gemini::wire::GenerateContentRequest;
use crate::dialect::sound;
use crate::error::{ErrorKind, InvokeError};
use crate::protocol::{AudioChunk, Speech2TextRequest, TtsRequest, Voice};
use crate::providers::CallContext;
use crate::providers::common::{audio, batches, sentences};

/// Spoken when the app names nobody and the model's data neither.
const DEFAULT_VOICE: &str = "Kore";

/// Letters of one request: the model's answer is limited to about ten minutes.
const DEFAULT_WORDS: u64 = 2000;

/// MiB of the longest recording where the model's data does not tell: it is held in memory.
const DEFAULT_UPLOAD: u64 = 100;

/// Bytes of a request beside its recording, before base64.
const BESIDE: usize = 64 * 1024;

/// Requests at a time.
const PARALLEL: usize = 3;

/// Ten minutes of sound in base64 are about 40 MB.
const LONGEST_ANSWER: usize = 64 * 1024 * 1024;

/// The voices; all speak all languages.
pub(super) fn voices() -> Vec<Voice> {
    VOICES
        .iter()
        .map(|(name, manner)| Voice { name: format!("{name} ({manner})"), value: (*name).to_owned() })
        .collect()
}

pub(super) fn speak(shared: Arc<Shared>, context: CallContext, request: TtsRequest) -> Chunks<AudioChunk> {
    async move { whole(&shared, &context, &request).await }.into_stream().boxed()
}

/// One WAV file: its header tells its length, so the pieces are joined before it is written.
async fn whole(shared: &Shared, context: &CallContext, request: &TtsRequest) -> Result<AudioChunk, InvokeError> {
    if request.content_text.trim().is_empty() {
        return Err(InvokeError::bad_request("there is no text to speak"));
    }
    let connection = shared.connect(&request.target.credentials, context)?;
    let schema = context.model.as_deref();
    let declared = schema.and_then(|schema| schema.model_properties.get("default_voice")).and_then(Value::as_str);
    let wanted = request.voice.as_deref().or(declared).unwrap_or(DEFAULT_VOICE);
    let voice = VOICES.iter().map(|(name, _)| *name).find(|name| name.eq_ignore_ascii_case(wanted)).unwrap_or(wanted);
    let longest = schema.and_then(|schema| schema.number_property("word_limit")).unwrap_or(DEFAULT_WORDS);
    let options = SpeechOptions::read(request.target.credentials.get("speech_options"))?;
    let pieces = pieces(&options, &request.content_text, usize::try_from(longest).unwrap_or(usize::MAX));
    let (connection, model, options) = (&connection, request.target.model.as_str(), &options);
    let sounds = batches::in_batches(pieces, 1, PARALLEL, |piece| async move {
        let piece = piece.concat();
        let ask = |insist| ask_for_sound(context, connection, model, speech::speak(&piece, voice, options, insist));
        // What is silent or breaks off often passes when it is asked for once more; a filter stays.
        let insist = match ask(false).await? {
            Spoken::Whole(sound) => return Ok(sound),
            Spoken::Cut(error) if finish::is_filter(error.code.as_deref().unwrap_or_default()) => return Err(error),
            Spoken::Cut(_) => false,
            Spoken::Nothing => true,
        };
        info!(insist, "the model did not read the text to its end: asked once more");
        match ask(insist).await? {
            Spoken::Whole(sound) => Ok(sound),
            Spoken::Nothing => Err(InvokeError::server_unavailable("the model answered no sound")),
            Spoken::Cut(error) => Err(error),
        }
    })
    .await?;
    let rate = sounds.first().map_or(24_000, |sound| sound.rate);
    if sounds.iter().any(|sound| sound.rate != rate) {
        return Err(InvokeError::server_unavailable("the pieces of the sound have different rates"));
    }
    let samples: Vec<u8> = sounds.into_iter().flat_map(|sound| sound.bytes).collect();
    Ok(AudioChunk { bytes: sound::wav(&samples, rate).into(), mime_type: Some("audio/wav".to_owned()) })
}

/// The text in pieces of one request each. Every piece of a dialogue begins with its speaker.
fn pieces(options: &SpeechOptions, text: &str, longest: usize) -> Vec<String> {
    if !options.is_dialogue(text) {
        return sentences::split(text, longest).into_iter().map(str::to_owned).collect();
    }
    let mut pieces: Vec<String> = Vec::new();
    for (speaker, said) in options.turns(text) {
        let name = speaker.map(|name| format!("{name}: ")).unwrap_or_default();
        for said in sentences::split(said, longest.saturating_sub(name.chars().count())) {
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

/// What the model spoke; nothing where it answered the text in place of reading it.
async fn ask_for_sound(
    context: &CallContext,
    connection: &Connection,
    model: &str,
    request: GenerateContentRequest,
) -> Result<Spoken, InvokeError> {
    match ask(context, connection, model, &request).await {
        Ok(answer) => speech::spoken(&answer),
        Err(error) if error.kind == ErrorKind::BadRequest && error.message.contains("tried to generate text") => {
            Ok(Spoken::Nothing)
        }
        Err(error) => Err(error),
    }
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
    let answer = match ask(context, &connection, &request.target.model, &question(&uploaded)).await {
        Err(error) if uploaded.is_some() && files::is_gone(&error) => {
            warn!(error = error.brief(), "the service refuses an uploaded recording; uploaded once more");
            shared.files.forget(request.target.credentials.fingerprint(), uploaded.as_slice());
            uploaded = upload(shared, context, &connection, mime_type, request).await?;
            ask(context, &connection, &request.target.model, &question(&uploaded)).await?
        }
        answer => answer?,
    };
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
    if request.file.len() <= MOST_INLINE - BESIDE {
        return Ok(None);
    }
    if connection.surface != Surface::Developer {
        return refuse_longer(request.file.len(), MOST_INLINE as u64 / 1024 / 1024).map(|()| None);
    }
    let owner = request.target.credentials.fingerprint();
    let bytes = Bytes::copy_from_slice(&request.file);
    shared.files.address(&context.upstream, connection, owner, mime_type, bytes).await
}

async fn ask(
    context: &CallContext,
    connection: &Connection,
    model: &str,
    body: &GenerateContentRequest,
) -> Result<Value, InvokeError> {
    let url = connection.model_url(model, "generateContent")?;
    read_json(context.upstream.send(&connection.post(url, body)?).await?, LONGEST_ANSWER).await
}
