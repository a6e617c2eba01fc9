//! Speech in both directions: a recording to text, and text to sound.

use std::time::Duration;

use async_stream::try_stream;
use bytes::{Bytes, BytesMut};
use futures_util::{StreamExt, stream};
use serde_json::{Map, Value};
use tracing::info;

use super::{Endpoint, refuse_page};
use crate::dialect::driver::{MAX_RESPONSE_BYTES, too_long};
use crate::dialect::openai::speech::{
    BEGINNING, Pings, SpeechBody, audio_in_json, is_text, mime_type, transcript, transcription_fields,
};
use crate::providers::common::{audio, text_split};
use dify_plugin::error::InvokeError;
use dify_plugin::model::Chunks;
use dify_plugin::protocol::AudioChunk;
use dify_plugin::upstream::multipart::{FilePart, post_form};
use dify_plugin::upstream::{Upstream, UpstreamResponse};

/// Longest transcript.
const MAX_TRANSCRIPT_BYTES: usize = 16 * 1024 * 1024;

/// How a recording is read.
#[derive(Clone, Debug, Default)]
pub struct TranscriptionCall {
    /// Model on the wire.
    pub model: String,
    /// Language spoken; found by the model when `None`.
    pub language: Option<String>,
    /// Words that help the model.
    pub prompt: Option<String>,
    /// Whether the text is translated to English.
    pub translate: bool,
}

/// The text of a recording; the file's name and media type follow from its first bytes.
pub async fn transcribe(
    upstream: &Upstream,
    endpoint: &Endpoint,
    call: &TranscriptionCall,
    recording: Vec<u8>,
) -> Result<String, InvokeError> {
    let container = audio::require(&recording)?;
    let path = if call.translate { "audio/translations" } else { "audio/transcriptions" };
    let fields = transcription_fields(&call.model, call.language.as_deref(), call.prompt.as_deref());
    let file = FilePart {
        field: "file",
        filename: format!("audio.{}", container.extension),
        mime_type: container.mime_type.to_owned(),
        bytes: Bytes::from(recording),
    };
    let request = endpoint.prepared(post_form(endpoint.url(path), &fields, file).await?);
    let response = upstream.send(&request).await?;
    let content_type = response.content_type();
    transcript(&response.bytes(MAX_TRANSCRIPT_BYTES).await?, &content_type)
}

/// How text is spoken.
#[derive(Clone, Debug, Default)]
pub struct SpeechCall {
    /// Model on the wire.
    pub model: String,
    /// Who speaks; the model's own default when `None`.
    pub voice: Option<String>,
    /// `mp3`, `wav` …
    pub format: String,
    /// Speed; 1 is normal.
    pub speed: Option<f64>,
    /// Whether the sound is asked for while it is made; `None` does not mention it.
    pub stream: Option<bool>,
    /// Characters per request.
    pub longest: usize,
    /// Requests at a time.
    pub parallel: usize,
    /// More members.
    pub extra: Map<String, Value>,
}

impl SpeechCall {
    /// Sounds of a format whose files can be joined end to end are made in pieces; the others in one.
    fn pieces<'t>(&self, text: &'t str) -> Vec<&'t str> {
        if can_be_joined(&self.format) { text_split::split(text, self.longest) } else { vec![text] }
    }

    /// What a sound that begins so is: what it says of itself, else what was asked for. Samples say nothing.
    fn kind(&self, beginning: &[u8]) -> (String, Option<String>) {
        let found = audio::sniff(beginning).filter(|found| self.format != "pcm" || found.extension == "wav");
        match found {
            Some(found) => (found.extension.to_owned(), Some(found.mime_type.to_owned())),
            None => (self.format.clone(), mime_type(&self.format).map(str::to_owned)),
        }
    }
}

/// Whether files of a format make one when they stand end to end.
fn can_be_joined(format: &str) -> bool {
    matches!(format, "mp3" | "pcm" | "aac" | "opus" | "ogg")
}

/// The sound of a text, in pieces as they come; joined they are one file.
pub fn speak(upstream: Upstream, endpoint: Endpoint, call: SpeechCall, text: String) -> Chunks<AudioChunk> {
    try_stream! {
        if text.trim().is_empty() {
            Err(InvokeError::bad_request("there is no text to speak"))?;
        }
        let mut pieces: Vec<String> = call.pieces(&text).into_iter().map(str::to_owned).collect();
        let (upstream, endpoint, call) = (&upstream, &endpoint, &call);
        let (mut kind, mut spoke) = (None, false);
        'whole: loop {
            let in_one = pieces.len() == 1;
            let asked = std::mem::take(&mut pieces);
            let asked = asked.into_iter().map(|piece| async move { ask(upstream, endpoint, call, &piece).await });
            let mut answers = std::pin::pin!(stream::iter(asked).buffered(call.parallel.max(1)));
            while let Some(answer) = answers.next().await {
                let mut sound = Audio::of(answer?).await?;
                let (format, mime_type) = call.kind(&sound.beginning);
                if !in_one && kind.is_none() && !can_be_joined(&format) {
                    info!(format, "the model makes files that cannot be joined: asked again for the whole");
                    pieces = vec![text.clone()];
                    continue 'whole;
                }
                let first = kind.get_or_insert_with(|| format.clone());
                if *first != format && !sound.beginning.is_empty() {
                    Err(InvokeError::server_unavailable(format!(
                        "the upstream answered pieces of one sound as {first} and as {format}"
                    )))?;
                }
                while let Some(bytes) = sound.next().await? {
                    spoke = true;
                    yield AudioChunk { bytes, mime_type: mime_type.clone() };
                }
            }
            break;
        }
        if !spoke {
            Err(InvokeError::server_unavailable("the upstream answered no sound"))?;
        }
    }
    .boxed()
}

/// An answer of sound: its beginning is known, so that it is none of words.
struct Audio {
    beginning: Bytes,
    rest: Option<UpstreamResponse>,
    pings: Pings,
}

impl Audio {
    /// Reads the beginning. JSON that holds the sound gives it; what is text otherwise is an error.
    async fn of(mut answer: UpstreamResponse) -> Result<Self, InvokeError> {
        let mut beginning = BytesMut::new();
        let mut pings = Pings::default();
        let redactor = answer.redactor.clone();
        let mut over = false;
        while beginning.len() < BEGINNING && !over {
            let wait = if beginning.is_empty() { answer.first } else { answer.idle };
            match piece(&mut answer, wait).await? {
                Some(bytes) => beginning.extend_from_slice(&pings.push(bytes)),
                None => over = true,
            }
            // Audio that is sent while it is made is not held back.
            if audio::sniff(&beginning).is_some() {
                break;
            }
        }
        if over {
            beginning.extend_from_slice(&std::mem::take(&mut pings).finish());
        }
        if !is_text(&beginning, &answer.content_type()) {
            return Ok(Self { beginning: beginning.freeze(), rest: (!over).then_some(answer), pings });
        }
        while !over {
            let idle = answer.idle;
            match piece(&mut answer, idle).await? {
                Some(bytes) => beginning.extend_from_slice(&bytes),
                None => over = true,
            }
            if beginning.len() > MAX_RESPONSE_BYTES {
                return Err(too_long());
            }
        }
        let sound = audio_in_json(&beginning).map_err(|error| redactor.redact_error(error))?;
        Ok(Self { beginning: sound.into(), rest: None, pings: Pings::default() })
    }

    async fn next(&mut self) -> Result<Option<Bytes>, InvokeError> {
        if !self.beginning.is_empty() {
            return Ok(Some(std::mem::take(&mut self.beginning)));
        }
        while let Some(answer) = &mut self.rest {
            let idle = answer.idle;
            let bytes = match piece(answer, idle).await? {
                Some(bytes) => self.pings.push(bytes),
                None => {
                    self.rest = None;
                    std::mem::take(&mut self.pings).finish()
                }
            };
            if !bytes.is_empty() {
                return Ok(Some(bytes));
            }
        }
        Ok(None)
    }
}

async fn piece(answer: &mut UpstreamResponse, wait: Duration) -> Result<Option<Bytes>, InvokeError> {
    match tokio::time::timeout(wait, answer.body.next()).await {
        Ok(piece) => piece.transpose(),
        Err(_) => Err(InvokeError::connection("the upstream fell silent in the middle of the sound")),
    }
}

async fn ask(
    upstream: &Upstream,
    endpoint: &Endpoint,
    call: &SpeechCall,
    input: &str,
) -> Result<UpstreamResponse, InvokeError> {
    let answer = send(upstream, endpoint, call, input, call.stream).await;
    match answer {
        Err(error) if call.stream == Some(true) && error.message.to_ascii_lowercase().contains("stream") => {
            info!("the model does not stream sound: asked again for the whole");
            send(upstream, endpoint, call, input, Some(false)).await
        }
        other => other,
    }
}

async fn send(
    upstream: &Upstream,
    endpoint: &Endpoint,
    call: &SpeechCall,
    input: &str,
    stream: Option<bool>,
) -> Result<UpstreamResponse, InvokeError> {
    let body = SpeechBody {
        model: &call.model,
        input,
        voice: call.voice.as_deref(),
        response_format: &call.format,
        speed: call.speed,
        stream,
        extra: &call.extra,
    };
    let request = endpoint.post_json("audio/speech", &body)?;
    refuse_page(upstream.send(&request).await?, &request.url).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_formats_that_can_be_joined_are_made_in_pieces() {
        let call = |format: &str| SpeechCall { format: format.to_owned(), longest: 5, ..SpeechCall::default() };
        assert_eq!(call("mp3").pieces("One. Two.").len(), 2);
        assert_eq!(call("wav").pieces("One. Two.").len(), 1);
    }

    #[test]
    fn a_sound_is_what_it_says_of_itself() {
        let call = |format: &str| SpeechCall { format: format.to_owned(), ..SpeechCall::default() };
        for (format, beginning, expected) in [
            ("mp3", &b"RIFF\x00\x00\x00\x00WAVEfmt "[..], ("wav", "audio/wav")),
            ("mp3", b"ID3\x04", ("mp3", "audio/mpeg")),
            ("mp3", b"anything", ("mp3", "audio/mpeg")),
            ("wav", b"ID3\x04", ("mp3", "audio/mpeg")),
            ("opus", b"OggS", ("ogg", "audio/ogg")),
            ("pcm", b"\xFF\xFB\x90\x00", ("pcm", "audio/pcm")),
            ("pcm", b"RIFF\x00\x00\x00\x00WAVEfmt ", ("wav", "audio/wav")),
        ] {
            let (extension, mime_type) = call(format).kind(beginning);
            assert_eq!((extension.as_str(), mime_type.as_deref()), (expected.0, Some(expected.1)), "{format}");
        }
    }
}
