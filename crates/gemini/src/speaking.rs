//! Reads texts aloud, one request per segment. The texts were split before, and the audio is joined afterwards.

use serde_json::Value;
use tracing::info;

use crate::extras::Field;
use crate::finish;
use crate::generate::{GENERATE, Generation};
use crate::speech::{self, Audio, Direction, MAX_RESPONSE_BYTES, SpeechReply};
use crate::speech_options::SpeechOptions;
use dify_plugin::error::{ErrorKind, InvokeError};

/// What the segments of a text have in common.
#[derive(Clone, Copy)]
pub struct Speaking<'a> {
    /// The call.
    pub generation: Generation<'a>,
    /// The voice, unless the segment is a dialogue.
    pub voice: &'a str,
    /// Language, style and speakers.
    pub options: &'a SpeechOptions,
    /// Whether MP3 is preferred; a service that does not support it returns PCM.
    pub wants_mp3: bool,
    /// Whether the model supports style and speakers as metadata.
    pub has_metadata: bool,
}

impl Speaking<'_> {
    /// Synthesizes a segment. Missing or incomplete audio is retried once; a blocked response is not. `seen` gets every
    /// response.
    pub async fn segment(&self, text: &str, seen: &(dyn Fn(&Value) + Sync)) -> Result<Audio, InvokeError> {
        let insist = match self.ask(text, false, seen).await? {
            SpeechReply::Whole(audio) => return Ok(audio),
            SpeechReply::Cut(error) if finish::is_filter(error.code.as_deref().unwrap_or_default()) => {
                return Err(error);
            }
            SpeechReply::Cut(_) => false,
            SpeechReply::Nothing => true,
        };
        info!(insist, "model did not read the complete text aloud; retrying");
        match self.ask(text, insist, seen).await? {
            SpeechReply::Whole(audio) => Ok(audio),
            SpeechReply::Nothing => Err(InvokeError::server_unavailable("the model returned no audio")),
            SpeechReply::Cut(error) => Err(error),
        }
    }

    /// Sends one request; returns no audio if the model answered the text instead of reading it.
    async fn ask(&self, text: &str, insist: bool, seen: &(dyn Fn(&Value) + Sync)) -> Result<SpeechReply, InvokeError> {
        let direction = if self.has_metadata { Direction::Metadata } else { Direction::Text { insist } };
        let mut request = speech::speak(text, self.voice, self.options, direction);
        let Generation { connection, rejections, credentials, model, .. } = self.generation;
        let owner = credentials.fingerprint();
        let field = Field::AudioFormat;
        let mut requests_mp3 = self.wants_mp3 && !rejections.has(owner, connection, model, field);
        if requests_mp3 {
            speech::request_mp3(&mut request);
        }
        let answer = loop {
            // The stable version of Vertex AI does not support the format yet.
            let url = match requests_mp3 {
                true => connection.beta_url(model, GENERATE)?,
                false => connection.model_url(model, GENERATE)?,
            };
            match self.generation.send(&url, &mut request, MAX_RESPONSE_BYTES).await {
                // A gateway may support only the stable version of Vertex AI.
                Err(error)
                    if requests_mp3
                        && (field.is_rejected_by(&error) || error.status == Some(404) && connection.has_beta()) =>
                {
                    rejections.keep(owner, connection, model, field);
                    request.generation_config.remove("responseFormat");
                    requests_mp3 = false;
                }
                answer => break answer,
            }
        };
        match answer {
            Ok(answer) => {
                seen(&answer);
                speech::parse_speech(&answer)
            }
            Err(error) if error.kind == ErrorKind::BadRequest && error.message.contains("tried to generate text") => {
                Ok(SpeechReply::Nothing)
            }
            Err(error) => Err(error),
        }
    }
}
