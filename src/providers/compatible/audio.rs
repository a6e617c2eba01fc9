//! Speech to text and text to speech.

use std::num::{NonZeroU64, NonZeroUsize};
use std::sync::Arc;
use std::time::Duration;

use async_stream::try_stream;
use bytes::{Bytes, BytesMut};
use futures_util::{StreamExt, stream};
use tracing::info;

use super::{Action, Endpoint, refuse_page};
use crate::dialect::driver::{MAX_RESPONSE_BYTES, too_long};
use crate::dialect::openai::speech_responses::{
    BEGINNING, Pings, SpeechForm, TranscriptionForm, audio_in_json, is_text, mime_type, transcript,
};
use crate::providers::common::{audio, text_split};
use dify_plugin::error::InvokeError;
use dify_plugin::model::Chunks;
use dify_plugin::protocol::AudioChunk;
use dify_plugin::upstream::multipart::{FilePart, post_form};
use dify_plugin::upstream::{Upstream, UpstreamResponse};

/// Maximum size of a transcript response in bytes.
const MAX_TRANSCRIPT_BYTES: usize = 16 * 1024 * 1024;

/// One mebibyte.
const MEBIBYTE: u64 = 1024 * 1024;

/// Number of characters per request of a model that declares none.
const DEFAULT_CHARACTERS: usize = 2000;

/// Options of a transcription.
#[derive(Clone, Debug, Default)]
pub struct TranscriptionCall {
    /// Wire name of the model.
    pub model: String,
    /// Format of requests.
    pub form: TranscriptionForm,
    /// Maximum size of a file in MiB, where the form has none.
    pub file_upload_limit: Option<u64>,
    /// Whether the text is translated to English.
    pub translate: bool,
}

/// Transcribes an audio file. Its file name and media type follow from its first bytes.
pub async fn transcribe(
    upstream: &Upstream,
    endpoint: &Endpoint,
    call: &TranscriptionCall,
    recording: Vec<u8>,
) -> Result<String, InvokeError> {
    let limit = call.form.longest_file.map(NonZeroU64::get).or(call.file_upload_limit);
    let (size, limit) = (recording.len() as u64, limit.unwrap_or(u64::MAX).saturating_mul(MEBIBYTE));
    if size > limit {
        return Err(InvokeError::bad_request(format!(
            "the audio file has {size} bytes; at most {limit} bytes are allowed"
        ))
        .with_hint("Send a shorter or more compressed file, or raise `file_upload_limit`."));
    }
    let container = audio::require(&recording)?;
    let action = if call.translate { Action::Translation } else { Action::Transcription };
    let file = FilePart {
        field: "file",
        filename: format!("audio.{}", container.extension),
        mime_type: container.mime_type.to_owned(),
        bytes: Bytes::from(recording),
    };
    let request = endpoint.prepared(post_form(endpoint.url(action), &call.form.request(&call.model), file).await?);
    let response = upstream.send(&request).await?;
    let content_type = response.content_type();
    transcript(&response.bytes(MAX_TRANSCRIPT_BYTES).await?, &content_type)
}

/// Options of a text-to-speech request.
#[derive(Clone, Debug, Default)]
pub struct SpeechCall {
    /// Wire name of the model.
    pub model: String,
    /// Format of requests.
    pub form: SpeechForm,
    /// Voice; the model's default if `None`.
    pub voice: Option<String>,
    /// `audio_type` of the model.
    pub audio_type: Option<String>,
    /// `word_limit` of the model.
    pub word_limit: Option<usize>,
}

impl SpeechCall {
    /// Splits the text into segments, unless files of the format cannot be concatenated.
    fn segments<'t>(&self, text: &'t str) -> Vec<&'t str> {
        let longest = self.form.longest.map(NonZeroUsize::get).or(self.word_limit).unwrap_or(DEFAULT_CHARACTERS);
        if can_be_concatenated(self.format()) { text_split::split(text, longest) } else { vec![text] }
    }

    /// Returns the requested format.
    fn format(&self) -> &str {
        self.form.format.as_deref().or(self.audio_type.as_deref()).unwrap_or("mp3")
    }

    /// Returns the format of audio with this start: the detected one, else the requested one. PCM cannot be detected.
    fn kind(&self, beginning: &[u8]) -> (String, Option<String>) {
        let found = audio::sniff(beginning).filter(|found| self.format() != "pcm" || found.extension == "wav");
        match found {
            Some(found) => (found.extension.to_owned(), Some(found.mime_type.to_owned())),
            None => (self.format().to_owned(), mime_type(self.format()).map(str::to_owned)),
        }
    }
}

/// Whether concatenated files of a format are a valid file.
fn can_be_concatenated(format: &str) -> bool {
    matches!(format, "mp3" | "pcm" | "aac" | "opus" | "ogg")
}

/// Generates speech in chunks as they arrive. Concatenated, they are one file.
pub fn speak(
    upstream: Upstream,
    endpoint: impl Into<Arc<Endpoint>>,
    call: SpeechCall,
    text: String,
) -> Chunks<AudioChunk> {
    let endpoint = endpoint.into();
    try_stream! {
        if text.trim().is_empty() {
            Err(InvokeError::bad_request("there is no text to speak"))?;
        }
        let mut segments: Vec<String> = call.segments(&text).into_iter().map(str::to_owned).collect();
        let (upstream, endpoint, call) = (&upstream, &endpoint, &call);
        let (mut kind, mut has_audio) = (None, false);
        'whole: loop {
            let is_whole = segments.len() == 1;
            let requests = std::mem::take(&mut segments);
            let requests = requests.into_iter().map(|text| async move { request(upstream, endpoint, call, &text).await });
            let mut responses = std::pin::pin!(stream::iter(requests).buffered(call.form.parallel.map_or(1, NonZeroUsize::get)));
            while let Some(response) = responses.next().await {
                let mut audio = Audio::of(response?).await?;
                let (format, mime_type) = call.kind(&audio.beginning);
                if !is_whole && kind.is_none() && !can_be_concatenated(&format) {
                    info!(format, "audio files cannot be concatenated; requesting the whole text");
                    segments = vec![text.clone()];
                    continue 'whole;
                }
                let first = kind.get_or_insert_with(|| format.clone());
                if *first != format && !audio.beginning.is_empty() {
                    Err(InvokeError::server_unavailable(format!(
                        "the server returned segments of one text as {first} and as {format}"
                    )))?;
                }
                while let Some(bytes) = audio.next().await? {
                    has_audio = true;
                    yield AudioChunk::new(bytes, mime_type.clone());
                }
            }
            break;
        }
        if !has_audio {
            Err(InvokeError::server_unavailable("the server returned no audio"))?;
        }
    }
    .boxed()
}

/// An audio response whose first bytes were read to make sure that it is not text.
struct Audio {
    beginning: Bytes,
    rest: Option<UpstreamResponse>,
    pings: Pings,
}

impl Audio {
    /// Reads the start. JSON that contains audio is decoded; other text is an error.
    async fn of(mut response: UpstreamResponse) -> Result<Self, InvokeError> {
        let mut beginning = BytesMut::new();
        let mut pings = Pings::default();
        let redactor = response.redactor.clone();
        let mut over = false;
        while beginning.len() < BEGINNING && !over {
            let wait = if beginning.is_empty() { response.first } else { response.idle };
            match next_chunk(&mut response, wait).await? {
                Some(bytes) => beginning.extend_from_slice(&pings.push(bytes)),
                None => over = true,
            }
            // Audio that is streamed must not be delayed.
            if audio::sniff(&beginning).is_some() {
                break;
            }
        }
        if over {
            beginning.extend_from_slice(&std::mem::take(&mut pings).finish());
        }
        if !is_text(&beginning, &response.content_type()) {
            return Ok(Self { beginning: beginning.freeze(), rest: (!over).then_some(response), pings });
        }
        while !over {
            let idle = response.idle;
            match next_chunk(&mut response, idle).await? {
                Some(bytes) => beginning.extend_from_slice(&bytes),
                None => over = true,
            }
            if beginning.len() > MAX_RESPONSE_BYTES {
                return Err(too_long());
            }
        }
        let audio = audio_in_json(&beginning).map_err(|error| redactor.redact_error(error))?;
        Ok(Self { beginning: audio.into(), rest: None, pings: Pings::default() })
    }

    async fn next(&mut self) -> Result<Option<Bytes>, InvokeError> {
        if !self.beginning.is_empty() {
            return Ok(Some(std::mem::take(&mut self.beginning)));
        }
        while let Some(response) = &mut self.rest {
            let idle = response.idle;
            let bytes = match next_chunk(response, idle).await? {
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

async fn next_chunk(response: &mut UpstreamResponse, wait: Duration) -> Result<Option<Bytes>, InvokeError> {
    match tokio::time::timeout(wait, response.body.next()).await {
        Ok(chunk) => chunk.transpose(),
        Err(_) => Err(InvokeError::connection("the server stopped sending audio before the response was complete")),
    }
}

async fn request(
    upstream: &Upstream,
    endpoint: &Endpoint,
    call: &SpeechCall,
    input: &str,
) -> Result<UpstreamResponse, InvokeError> {
    let response = send(upstream, endpoint, call, input, call.form.stream).await;
    match response {
        Err(error) if call.form.stream == Some(true) && error.message.to_ascii_lowercase().contains("stream") => {
            info!("the model does not stream audio; requesting it without a stream");
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
    let body = call.form.request(&call.model, input, call.voice.as_deref(), call.format(), stream);
    let request = endpoint.post_json(Action::Speech, &body)?;
    refuse_page(upstream.send(&request).await?, &request.url).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_text_only_for_formats_that_can_be_concatenated() {
        let call = |format: &str| SpeechCall {
            audio_type: Some(format.to_owned()),
            word_limit: Some(5),
            ..SpeechCall::default()
        };
        assert_eq!(call("mp3").segments("One. Two.").len(), 2);
        assert_eq!(call("wav").segments("One. Two.").len(), 1);
    }

    #[test]
    fn detects_the_format_of_audio() {
        let call = |format: &str| SpeechCall { audio_type: Some(format.to_owned()), ..SpeechCall::default() };
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
