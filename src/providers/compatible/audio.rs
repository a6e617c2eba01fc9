//! Speech in both directions: a recording to text, and text to sound.

use async_stream::try_stream;
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use serde_json::{Map, Value};
use tracing::info;

use super::{Endpoint, refuse_page};
use crate::dialect::openai::speech::{SpeechBody, mime_type, transcript, transcription_fields};
use crate::error::InvokeError;
use crate::protocol::AudioChunk;
use crate::providers::Chunks;
use crate::providers::common::{audio, sentences};
use crate::upstream::multipart::{FilePart, post_form};
use crate::upstream::{Upstream, UpstreamResponse};

/// Longest transcript.
const LONGEST_TRANSCRIPT: usize = 16 * 1024 * 1024;

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
    transcript(&response.bytes(LONGEST_TRANSCRIPT).await?, &content_type)
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
        match self.format.as_str() {
            "mp3" | "pcm" | "aac" | "opus" | "ogg" => sentences::split(text, self.longest),
            _ => vec![text],
        }
    }
}

/// The sound of a text, in pieces as they come; joined they are one file.
pub fn speak(upstream: Upstream, endpoint: Endpoint, call: SpeechCall, text: String) -> Chunks<AudioChunk> {
    try_stream! {
        if text.trim().is_empty() {
            Err(InvokeError::bad_request("there is no text to speak"))?;
        }
        let pieces: Vec<String> = call.pieces(&text).into_iter().map(str::to_owned).collect();
        let (upstream, endpoint, call) = (&upstream, &endpoint, &call);
        let mut answers = std::pin::pin!(
            stream::iter(pieces.into_iter().map(|piece| async move { ask(upstream, endpoint, call, &piece).await }))
                .buffered(call.parallel.max(1))
        );
        let mime_type = mime_type(&call.format).map(str::to_owned);
        let mut spoke = false;
        while let Some(answer) = answers.next().await {
            let mut answer = answer?;
            loop {
                let next = tokio::time::timeout(answer.idle, answer.body.next()).await.map_err(|_| {
                    InvokeError::connection("the upstream fell silent in the middle of the sound")
                })?;
                let Some(bytes) = next else { break };
                let bytes = without_pings(bytes?);
                if !bytes.is_empty() {
                    spoke = true;
                    yield AudioChunk { bytes, mime_type: mime_type.clone() };
                }
            }
        }
        if !spoke {
            Err(InvokeError::server_unavailable("the upstream answered no sound"))?;
        }
    }
    .boxed()
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
    let response = refuse_page(upstream.send(&request).await?, &request.url).await?;
    if response.content_type() == "application/json" {
        let body = response.bytes(64 * 1024).await?;
        let value = serde_json::from_slice(&body).unwrap_or(Value::Null);
        return Err(crate::dialect::openai::errors::error_in(&value));
    }
    Ok(response)
}

/// Xinference sends streamed sound through its event responder, whose keep-alive comments land between the bytes.
fn without_pings(bytes: Bytes) -> Bytes {
    const PING: &[u8] = b": ping - ";
    let Some(at) = memchr::memmem::find(&bytes, PING) else { return bytes };
    let Some(length) = memchr::memmem::find(&bytes[at..], b"\r\n\r\n").filter(|length| *length < 64) else {
        return bytes;
    };
    Bytes::from([&bytes[..at], &bytes[at + length + 4..]].concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pings_are_taken_out_of_sound() {
        let ping = b": ping - 2026-11-20 21:50:55.583968+00:00\r\n\r\n";
        for (bytes, expected) in [
            (b"ab".to_vec(), b"ab".to_vec()),
            (ping.to_vec(), vec![]),
            ([b"ab".as_slice(), ping, b"cd"].concat(), b"abcd".to_vec()),
            (b"a: ping - b".to_vec(), b"a: ping - b".to_vec()),
        ] {
            assert_eq!(without_pings(bytes.into()), expected);
        }
    }

    #[test]
    fn only_formats_that_can_be_joined_are_made_in_pieces() {
        let call = |format: &str| SpeechCall { format: format.to_owned(), longest: 5, ..SpeechCall::default() };
        assert_eq!(call("mp3").pieces("One. Two.").len(), 2);
        assert_eq!(call("wav").pieces("One. Two.").len(), 1);
    }
}
