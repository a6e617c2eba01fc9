//! Speech in both directions as `generateContent` writes it: text to samples, a recording to its words.
//!
//! Source: Gemini API, "Speech generation", "Audio understanding".
//!
//! MP3 from the service itself: `generationConfig.responseFormat`, models from 3.8 on. Grounding: Google Cloud, "Migrate to
//! Gemini 3.8 TTS" (other encodings by `responseFormat`) and the REST reference of `AudioResponseFormat` (`AUDIO_MP3`), both
//! read on 26 November 2026; google-genai 3.6.1, `types.py`, `GenerationConfig.response_format`.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::{Value, json};

use super::errors;
use super::finish;
use super::media::sample_rate;
use super::speech_options::SpeechOptions;
use super::wire::{Blob, Content, FileData, GenerateContentRequest, GenerateContentResponse, Part};
use crate::dialect::{mp3, wav};
use dify_plugin::codec::json::Named;
use dify_plugin::declare::ModelSchema;
use dify_plugin::error::{InvokeError, MAX_FIELD_BYTES, clip};
use dify_plugin::protocol::lenient;
use dify_plugin::upstream::status::error_text_in;

/// The voices that every speech model has; each speaks every language.
pub const VOICES: [(&str, &str); 30] = [
    ("Zephyr", "bright"),
    ("Puck", "upbeat"),
    ("Charon", "informative"),
    ("Kore", "firm"),
    ("Fenrir", "excitable"),
    ("Leda", "youthful"),
    ("Orus", "firm"),
    ("Aoede", "breezy"),
    ("Callirrhoe", "easy-going"),
    ("Autonoe", "bright"),
    ("Enceladus", "breathy"),
    ("Iapetus", "clear"),
    ("Umbriel", "easy-going"),
    ("Algieba", "smooth"),
    ("Despina", "smooth"),
    ("Erinome", "clear"),
    ("Algenib", "gravelly"),
    ("Rasalgethi", "informative"),
    ("Laomedeia", "upbeat"),
    ("Achernar", "soft"),
    ("Alnilam", "firm"),
    ("Schedar", "even"),
    ("Gacrux", "mature"),
    ("Pulcherrima", "forward"),
    ("Achird", "friendly"),
    ("Zubenelgenubi", "casual"),
    ("Vindemiatrix", "gentle"),
    ("Sadachbia", "lively"),
    ("Sadaltager", "knowledgeable"),
    ("Sulafat", "warm"),
];

/// Put before a text that the model answered in place of reading.
const READ_ALOUD: &str = "Read the following text aloud, exactly as it is written:\n\n";

/// What a transcript is asked for with.
const TRANSCRIBE: &str = "Write down what is said in this recording, word for word, in the language that is spoken. \
    Answer with the transcript alone: no time stamps, no names of speakers, no remarks. \
    If nothing is said, answer with nothing.";

/// Bits of an MP3 a second: far more than a voice needs, and a seventh of its samples.
const BIT_RATE: u32 = 64_000;

/// Asks for the sound of a request as MP3.
pub fn ask_for_mp3(request: &mut GenerateContentRequest) {
    let format = json!({"audio": {"mimeType": "AUDIO_MP3", "bitRate": BIT_RATE}});
    request.generation_config.insert("responseFormat".to_owned(), format);
}

/// Where style and speakers of a text go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// Into the metadata of each part; every word of the text is read aloud.
    Metadata,
    /// Into the text.
    Text {
        /// Adds the instruction to read the text aloud.
        insist: bool,
    },
}

/// Whether a model takes style and speakers as metadata: `speech_metadata` in the model's data, else its name. Models
/// before 3.8 take them in the text.
pub fn takes_metadata(model: &str, declared: Option<&ModelSchema>) -> bool {
    const OLDER: [&str; 2] = ["2.5", "3.1"];
    let data = declared.and_then(|declared| declared.extra.get("gemini"));
    let declared = data.and_then(|data| data.get("speech_metadata")).and_then(Value::as_bool);
    declared.unwrap_or_else(|| !OLDER.iter().any(|version| model.contains(version)))
}

/// A request for the sound of a text.
pub fn speak(text: &str, voice: &str, options: &SpeechOptions, direction: Direction) -> GenerateContentRequest {
    let in_text = |insist: bool| match (options.manner(), insist) {
        ("", false) => text.to_owned(),
        (manner, false) => format!("{manner}:\n\n{text}"),
        ("", true) => format!("{READ_ALOUD}{text}"),
        (manner, true) => format!("{manner}. {READ_ALOUD}{text}"),
    };
    let mut request = question(match direction {
        Direction::Metadata => options.parts(text),
        Direction::Text { insist } => vec![Part::text(in_text(insist))],
    });
    request.generation_config.insert("responseModalities".to_owned(), json!(["AUDIO"]));
    // Voices of one's own have ids; so have those of the catalogue that only newer models know.
    let chosen = match VOICES.iter().any(|(name, _)| *name == voice) {
        true => json!({"prebuiltVoiceConfig": {"voiceName": voice}}),
        false => json!({"voice": voice}),
    };
    request.generation_config.insert("speechConfig".to_owned(), options.config(text, chosen));
    request
}

/// Whether a model does nothing but transcribe: it takes the recording alone and answers in parts of its own kind.
/// Told by `transcribes` in the model's data, else by its name.
pub fn only_transcribes(model: &ModelSchema) -> bool {
    let told = model.extra.get("gemini").and_then(|data| data.get("transcribes")).and_then(Value::as_bool);
    told.unwrap_or_else(|| model.model.contains("transcribe"))
}

/// Where the service finds a recording.
#[derive(Clone, Copy, Debug)]
pub enum Recording<'a> {
    /// In the request.
    Inline(&'a [u8]),
    /// At an address that it reads itself.
    At(&'a str),
}

/// A request for the words of a recording; other models than those that only transcribe are asked `in_words`.
pub fn transcribe(mime_type: &str, recording: Recording<'_>, in_words: bool) -> GenerateContentRequest {
    let mime_type = mime_type.to_owned();
    let recording = match recording {
        Recording::Inline(bytes) => {
            Part { inline_data: Some(Blob { mime_type, data: STANDARD.encode(bytes) }), ..Part::default() }
        }
        Recording::At(address) => {
            let file = FileData { mime_type: Some(mime_type), file_uri: address.to_owned() };
            Part { file_data: Some(file), ..Part::default() }
        }
    };
    question(std::iter::once(recording).chain(in_words.then(|| Part::text(TRANSCRIBE))).collect())
}

fn question(parts: Vec<Part>) -> GenerateContentRequest {
    let content = Content { role: Some("user".to_owned()), parts };
    GenerateContentRequest { contents: vec![content], ..GenerateContentRequest::default() }
}

/// Raw sound: 16-bit mono samples.
#[derive(Debug, PartialEq, Eq)]
pub struct Samples {
    /// The samples.
    pub bytes: Vec<u8>,
    /// So many of them a second.
    pub rate: u32,
}

/// Audio in the form in which it came.
#[derive(Debug, PartialEq, Eq)]
pub enum Audio {
    /// Raw.
    Samples(Samples),
    /// Frames of MP3 without tags: what is spoken piece by piece can be joined.
    Mp3(Vec<u8>),
}

/// What a model that was asked to speak gave.
#[derive(Debug, PartialEq)]
pub enum SpeechReply {
    /// The sound, whole.
    Whole(Audio),
    /// Nothing, without a reason.
    Nothing,
    /// Nothing or half of it, and why.
    Cut(InvokeError),
}

/// The sound of an answer. Nobody hears of a sound that it breaks off in the middle: such a one is none.
pub fn spoken(answer: &Value) -> Result<SpeechReply, InvokeError> {
    let (parts, ended) = parts(answer)?;
    let mut sound = Samples { bytes: Vec::new(), rate: 24_000 };
    let mut encoded = Vec::new();
    for blob in parts.into_iter().filter_map(|part| part.inline_data) {
        let mime_type = blob.mime_type.to_ascii_lowercase();
        let bytes =
            STANDARD.decode(&blob.data).map_err(|_| InvokeError::server_unavailable("the sound is not base64"))?;
        if let Some(frames) = mp3::frames(&bytes) {
            encoded.extend_from_slice(frames);
            continue;
        }
        // From 3.8 on an answer in one piece is a file, a streamed one raw samples.
        let (samples, rate) = match wav::samples(&bytes) {
            Some(found) => found,
            None if mime_type.starts_with("audio/l16") || mime_type.starts_with("audio/pcm") => {
                (&bytes[..], sample_rate(&mime_type))
            }
            None => {
                return Err(InvokeError::server_unavailable(format!(
                    "the audio came as `{}`, neither as MP3 nor as raw samples nor as a WAV file of 16-bit mono samples",
                    clip(&mime_type, MAX_FIELD_BYTES)
                )));
            }
        };
        sound.rate = rate;
        sound.bytes.extend_from_slice(samples);
    }
    if !encoded.is_empty() && !sound.bytes.is_empty() {
        return Err(InvokeError::server_unavailable("the audio came partly as MP3, partly as samples"));
    }
    let is_silent = encoded.is_empty() && sound.bytes.is_empty();
    let sound = if encoded.is_empty() { Audio::Samples(sound) } else { Audio::Mp3(encoded) };
    Ok(match (ended.is_whole(), is_silent) {
        (true, false) => SpeechReply::Whole(sound),
        (true, true) => SpeechReply::Nothing,
        (false, true) if !finish::is_filter(&ended.reason) => SpeechReply::Nothing,
        (false, _) => SpeechReply::Cut(ended.cut("the speech")),
    })
}

/// The words of an answer. Half of them is an error: nothing in a transcript can say that it breaks off.
pub fn transcript(answer: &Value) -> Result<String, InvokeError> {
    let (parts, ended) = parts(answer)?;
    let mut turns = Vec::new();
    let mut text = String::new();
    for part in parts.into_iter().filter(|part| part.thought != Some(true)) {
        text.extend(part.text);
        turns.extend(part.audio_transcription.map(|turn| turn.text));
    }
    // A part of a model that only transcribes is a speaker's whole turn.
    turns.retain(|turn| !turn.is_empty());
    if !ended.is_whole() {
        return Err(ended.cut("the transcript"));
    }
    Ok(if turns.is_empty() { text.trim().to_owned() } else { turns.join(" ") })
}

/// How an answer ended.
struct Ended {
    reason: String,
    error: InvokeError,
}

impl Ended {
    /// A gateway may leave the reason out.
    fn is_whole(&self) -> bool {
        matches!(self.reason.as_str(), "" | "STOP" | "FINISH_REASON_UNSPECIFIED")
    }

    /// The error of something that is not whole.
    fn cut(self, what: &str) -> InvokeError {
        let said = self.error.message.split_once(": ").map(|(_, said)| format!(": {said}")).unwrap_or_default();
        let error = InvokeError { message: format!("{what} breaks off ({}){said}", self.reason), ..self.error };
        match self.reason.as_str() {
            "MAX_TOKENS" => error.with_hint("It is longer than the model's longest answer; divide it into parts."),
            _ => error,
        }
    }
}

fn parts(answer: &Value) -> Result<(Vec<Part>, Ended), InvokeError> {
    let answer = match answer {
        Value::Array(events) if events.len() == 1 => &events[0],
        answer => answer,
    };
    let read = GenerateContentResponse::deserialize(Named(answer)).map_err(|error: serde_json::Error| {
        InvokeError::server_unavailable(format!("the answer cannot be read: {}", lenient::reason(&error)))
    })?;
    let read = read.unwrapped();
    if read.error.is_some() || read.says_nothing() && error_text_in(answer).message.is_some() {
        return Err(errors::from_value(answer, None));
    }
    let feedback = read.prompt_feedback.unwrap_or_default();
    if let Some(word) = feedback.block_reason {
        let said = feedback.block_reason_message.as_deref();
        return Err(finish::prompt_blocked(&word, said, &feedback.safety_ratings));
    }
    let candidate = read.candidates.into_iter().next().unwrap_or_default();
    let reason = candidate.finish_reason.unwrap_or_default();
    let error = finish::no_output(&reason, candidate.finish_message.as_deref(), &candidate.safety_ratings);
    let parts = candidate.content.unwrap_or_default().parts;
    Ok((parts, Ended { reason, error }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(parts: Value, reason: &str) -> Value {
        json!({"candidates": [{"content": {"parts": parts}, "finishReason": reason}]})
    }

    #[test]
    fn sound_is_put_together_and_refusals_are_told() {
        let blob = |kind: &str, data: &str| json!({"inlineData": {"mimeType": kind, "data": data}});
        let l16 = "audio/L16;codec=pcm;rate=16000";
        let whole = |bytes: &[u8], rate| SpeechReply::Whole(Audio::Samples(Samples { bytes: bytes.to_vec(), rate }));
        let found = spoken(&answer(json!([blob(l16, "AQI="), blob(l16, "AwQ=")]), "STOP")).unwrap();
        assert_eq!(found, whole(&[1, 2, 3, 4], 16_000));
        let file = blob("audio/wav", &STANDARD.encode(wav::wav(&[5, 6], 22_050)));
        let found = spoken(&answer(json!([file]), "STOP")).unwrap();
        assert_eq!(found, whole(&[5, 6], 22_050));
        let frame = [&[0xFF, 0xF3, 0x44, 0xC0][..], &[7; 92]].concat();
        let (tagged, bare) = ([&b"ID3\x04\0\0\0\0\0\x01x"[..], &frame].concat(), frame.clone());
        let parts = [tagged, bare].map(|file| blob("audio/mpeg", &STANDARD.encode(file)));
        let found = spoken(&answer(json!(parts), "STOP")).unwrap();
        assert_eq!(found, SpeechReply::Whole(Audio::Mp3([frame.clone(), frame.clone()].concat())));
        let mixed = json!([blob("audio/mpeg", &STANDARD.encode(&frame)), blob(l16, "AQI=")]);
        assert!(spoken(&answer(mixed, "STOP")).unwrap_err().message.contains("partly"));
        // A rate that no sound has is none, and a missing reason is none either.
        let wild = blob("audio/L16;rate=4294967295", "AQI=");
        assert_eq!(spoken(&json!({"candidates": [{"content": {"parts": [wild]}}]})).unwrap(), whole(&[1, 2], 24_000));
        for silent in [answer(json!([]), "OTHER"), json!({"candidates": []}), json!({}), json!({"candidates": 7})] {
            assert_eq!(spoken(&silent).unwrap(), SpeechReply::Nothing);
        }
        for (parts, reason) in [
            (json!([]), "SAFETY"),
            (json!([blob(l16, "AQI=")]), "OTHER"),
            (json!([blob(l16, "AQI=")]), "MAX_TOKENS"),
            (json!([blob(l16, "AQI=")]), "SAFETY"),
            (json!([blob(l16, "AQI=")]), "A_NEW_REASON"),
        ] {
            match spoken(&answer(parts, reason)).unwrap() {
                SpeechReply::Cut(error) => assert!(error.message.contains(reason), "{error}"),
                other => panic!("{reason}: {other:?}"),
            }
        }
        let cases = [
            (json!({"promptFeedback": {"blockReason": "PROHIBITED_CONTENT"}}), "PROHIBITED_CONTENT"),
            (json!({"error": {"code": 503, "message": "overloaded", "status": "UNAVAILABLE"}}), "overloaded"),
            (json!([{"error": {"code": 503, "message": "overloaded", "status": "UNAVAILABLE"}}]), "overloaded"),
            (json!({"message": "do request failed"}), "do request failed"),
            (answer(json!([blob("audio/mpeg", "AQI=")]), "STOP"), "audio/mpeg"),
            (answer(json!([blob("audio/wav", "AQI=")]), "STOP"), "audio/wav"),
            (answer(json!([blob(l16, "%")]), "STOP"), "base64"),
            (json!("words"), "cannot be read"),
        ];
        for (value, said) in cases {
            let error = spoken(&value).unwrap_err();
            assert!(error.message.contains(said), "{said}: {error}");
        }
    }

    #[test]
    fn a_transcript_leaves_thoughts_out() {
        let parts = json!([{"text": "Hm.", "thought": true}, {"text": " Hello"}, {"text": " world.\n"}]);
        assert_eq!(transcript(&answer(parts.clone(), "STOP")).unwrap(), "Hello world.");
        assert_eq!(transcript(&answer(json!([]), "STOP")).unwrap(), "");
        let turn = |text: &str| json!({"audioTranscription": {"text": text, "speakerLabel": "spk_1"}});
        let turns = answer(json!([turn("Good morning."), turn(""), turn("Morning!")]), "STOP");
        assert_eq!(transcript(&turns).unwrap(), "Good morning. Morning!");
        for reason in ["MAX_TOKENS", "RECITATION", "SAFETY", "OTHER", "LANGUAGE", "A_NEW_REASON"] {
            for parts in [&parts, &json!([])] {
                let error = transcript(&answer(parts.clone(), reason)).unwrap_err();
                assert!(error.message.contains("breaks off") && error.message.contains(reason), "{error}");
            }
        }
    }
}
