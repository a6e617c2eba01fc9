//! Speech with `generateContent`: text to speech and speech to text.
//!
//! Source: Gemini API, "Speech generation", "Audio understanding".
//!
//! MP3 output uses `generationConfig.responseFormat`, which models from 3.8 on support. Source: Google Cloud, "Migrate
//! to Gemini 3.8 TTS" (other encodings by `responseFormat`) and the REST reference of `AudioResponseFormat`
//! (`AUDIO_MP3`), both as of 26 November 2026; google-genai 3.6.1, `types.py`, `GenerationConfig.response_format`.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::answer::Answer;
use super::finish;
use super::speech_options::SpeechOptions;
use super::wire::{Blob, Content, FileData, GenerateContentRequest, Part};
use crate::{mp3, wav};
use dify_plugin::declare::ModelSchema;
use dify_plugin::error::{InvokeError, MAX_FIELD_BYTES, clip};

/// Voices that every speech model supports; each speaks every language.
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

/// Prefix for a retry after the model answered the text instead of reading it.
const READ_ALOUD: &str = "Read the following text aloud, exactly as it is written:\n\n";

/// Prompt for a transcript.
const TRANSCRIBE: &str = "Transcribe this audio word for word, in the language that is spoken. \
    Answer with the transcript alone: no time stamps, no names of speakers, no remarks. \
    If there is no speech, answer with nothing.";

/// MP3 bit rate in bits per second: more than speech needs, and a seventh of PCM.
const MP3_BITS_PER_SECOND: u32 = 64_000;

/// Maximum bytes of a response; ten minutes of audio in Base64 are about 40 MB.
pub const MAX_RESPONSE_BYTES: usize = 64 * 1024 * 1024;

/// Requests the audio as MP3.
pub fn request_mp3(request: &mut GenerateContentRequest) {
    let format = json!({"audio": {"mimeType": "AUDIO_MP3", "bitRate": MP3_BITS_PER_SECOND}});
    request.generation_config.insert("responseFormat".to_owned(), format);
}

/// Where style and speakers of a text are specified.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// In the metadata of each part; every word of the text is read aloud.
    Metadata,
    /// In the text.
    Text {
        /// Adds an explicit instruction to read the text aloud.
        insist: bool,
    },
}

/// Whether a model supports style and speakers as metadata: from `speech_metadata` in the model's data, or else from
/// its name. Models before 3.8 expect them in the text.
pub fn supports_metadata(model: &str, declared: Option<&ModelSchema>) -> bool {
    const OLDER: [&str; 2] = ["2.5", "3.1"];
    let data = declared.and_then(|declared| declared.extra.get("gemini"));
    let declared = data.and_then(|data| data.get("speech_metadata")).and_then(Value::as_bool);
    declared.unwrap_or_else(|| !OLDER.iter().any(|version| model.contains(version)))
}

/// Builds a text-to-speech request.
pub fn speak(text: &str, voice: &str, options: &SpeechOptions, direction: Direction) -> GenerateContentRequest {
    let in_text = |insist: bool| match (options.style_prompt(), insist) {
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
    // Custom voices are identified by ID, and so are catalog voices that only newer models support.
    let chosen = match VOICES.iter().any(|(name, _)| *name == voice) {
        true => json!({"prebuiltVoiceConfig": {"voiceName": voice}}),
        false => json!({"voice": voice}),
    };
    request.generation_config.insert("speechConfig".to_owned(), options.config(text, chosen));
    request
}

/// Whether a model can only transcribe: it accepts nothing but audio and responds with its own type of parts.
/// Determined by `transcribes` in the model's data, or else by its name.
pub fn only_transcribes(model: &ModelSchema) -> bool {
    let declared = model.extra.get("gemini").and_then(|data| data.get("transcribes")).and_then(Value::as_bool);
    declared.unwrap_or_else(|| model.model.contains("transcribe"))
}

/// Where the service finds the audio file.
#[derive(Clone, Copy, Debug)]
pub enum AudioSource<'a> {
    /// In the request.
    Inline(&'a [u8]),
    /// At a URL that the service reads.
    At(&'a str),
}

/// Builds a speech-to-text request; `in_words` adds a prompt for models that do more than transcribe.
pub fn transcribe(mime_type: &str, audio: AudioSource<'_>, in_words: bool) -> GenerateContentRequest {
    let mime_type = mime_type.to_owned();
    let audio = match audio {
        AudioSource::Inline(bytes) => {
            Part { inline_data: Some(Blob { mime_type, data: STANDARD.encode(bytes) }), ..Part::default() }
        }
        AudioSource::At(address) => {
            let file = FileData { mime_type: Some(mime_type), file_uri: address.to_owned() };
            Part { file_data: Some(file), ..Part::default() }
        }
    };
    question(std::iter::once(audio).chain(in_words.then(|| Part::text(TRANSCRIBE))).collect())
}

fn question(parts: Vec<Part>) -> GenerateContentRequest {
    let content = Content { role: Some("user".to_owned()), parts };
    GenerateContentRequest { contents: vec![content], ..GenerateContentRequest::default() }
}

/// 16-bit mono PCM audio.
#[derive(Debug, PartialEq, Eq)]
pub struct Samples {
    /// The samples.
    pub bytes: Vec<u8>,
    /// Sample rate in Hz.
    pub rate: u32,
}

/// Audio in the format in which it was received.
#[derive(Debug, PartialEq, Eq)]
pub enum Audio {
    /// PCM.
    Samples(Samples),
    /// MP3 frames without tags, which can be concatenated.
    Mp3(Vec<u8>),
}

/// Result of a text-to-speech request.
#[derive(Debug, PartialEq)]
pub enum SpeechReply {
    /// The complete audio.
    Whole(Audio),
    /// No audio, and no reason for it.
    Nothing,
    /// No audio or incomplete audio, with the reason.
    Cut(InvokeError),
}

/// Extracts the audio of a response. Incomplete audio is an error, because a listener would not notice that it is
/// truncated.
pub fn parse_speech(response: &Value) -> Result<SpeechReply, InvokeError> {
    let Answer { parts, ended, .. } = Answer::read(response)?;
    let mut audio = Samples { bytes: Vec::new(), rate: 24_000 };
    let mut encoded = Vec::new();
    for blob in parts.into_iter().filter_map(|part| part.inline_data) {
        let mime_type = blob.mime_type.to_ascii_lowercase();
        let bytes = STANDARD
            .decode(&blob.data)
            .map_err(|_| InvokeError::server_unavailable("the audio data is not valid Base64"))?;
        if let Some(frames) = mp3::frames(&bytes) {
            encoded.extend_from_slice(frames);
            continue;
        }
        // From 3.8 on, a non-streamed response is an audio file, and a streamed one is PCM.
        let (samples, rate) = match wav::samples(&bytes) {
            Some(found) => found,
            None if mime_type.starts_with("audio/l16") || mime_type.starts_with("audio/pcm") => {
                (&bytes[..], sample_rate(&mime_type))
            }
            None => {
                return Err(InvokeError::server_unavailable(format!(
                    "unsupported audio format `{}`: expected MP3, raw PCM or 16-bit mono WAV",
                    clip(&mime_type, MAX_FIELD_BYTES)
                )));
            }
        };
        audio.rate = rate;
        audio.bytes.extend_from_slice(samples);
    }
    if !encoded.is_empty() && !audio.bytes.is_empty() {
        return Err(InvokeError::server_unavailable("the audio is partly MP3 and partly PCM"));
    }
    let is_silent = encoded.is_empty() && audio.bytes.is_empty();
    let audio = if encoded.is_empty() { Audio::Samples(audio) } else { Audio::Mp3(encoded) };
    Ok(match (ended.is_whole(), is_silent) {
        (true, false) => SpeechReply::Whole(audio),
        (true, true) => SpeechReply::Nothing,
        (false, true) if !finish::is_filter(&ended.reason) => SpeechReply::Nothing,
        (false, _) => SpeechReply::Cut(ended.cut("the speech")),
    })
}

/// Extracts the transcript of a response. An incomplete transcript is an error, because its text cannot show that it is
/// truncated.
pub fn transcript(response: &Value) -> Result<String, InvokeError> {
    let Answer { parts, ended, .. } = Answer::read(response)?;
    let mut turns = Vec::new();
    let mut text = String::new();
    for part in parts.into_iter().filter(|part| part.thought != Some(true)) {
        text.extend(part.text);
        turns.extend(part.audio_transcription.map(|turn| turn.text));
    }
    // A part of a transcription model is a complete turn of one speaker.
    turns.retain(|turn| !turn.is_empty());
    if !ended.is_whole() {
        return Err(ended.cut("the transcript"));
    }
    Ok(if turns.is_empty() { text.trim().to_owned() } else { turns.join(" ") })
}

/// Returns the sample rate from the media type.
pub fn sample_rate(mime_type: &str) -> u32 {
    let rate = mime_type.split(';').find_map(|parameter| parameter.trim().strip_prefix("rate="));
    let rate = rate.and_then(|rate| rate.parse().ok());
    rate.filter(|rate| (1000..=384_000).contains(rate)).unwrap_or(24_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn response(parts: Value, reason: &str) -> Value {
        json!({"candidates": [{"content": {"parts": parts}, "finishReason": reason}]})
    }

    #[test]
    fn joins_audio_parts_and_reports_errors() {
        let blob = |kind: &str, data: &str| json!({"inlineData": {"mimeType": kind, "data": data}});
        let l16 = "audio/L16;codec=pcm;rate=16000";
        let whole = |bytes: &[u8], rate| SpeechReply::Whole(Audio::Samples(Samples { bytes: bytes.to_vec(), rate }));
        let found = parse_speech(&response(json!([blob(l16, "AQI="), blob(l16, "AwQ=")]), "STOP")).unwrap();
        assert_eq!(found, whole(&[1, 2, 3, 4], 16_000));
        let file = blob("audio/wav", &STANDARD.encode(wav::wav(&[5, 6], 22_050)));
        let found = parse_speech(&response(json!([file]), "STOP")).unwrap();
        assert_eq!(found, whole(&[5, 6], 22_050));
        let frame = [&[0xFF, 0xF3, 0x44, 0xC0][..], &[7; 92]].concat();
        let (tagged, bare) = ([&b"ID3\x04\0\0\0\0\0\x01x"[..], &frame].concat(), frame.clone());
        let parts = [tagged, bare].map(|file| blob("audio/mpeg", &STANDARD.encode(file)));
        let found = parse_speech(&response(json!(parts), "STOP")).unwrap();
        assert_eq!(found, SpeechReply::Whole(Audio::Mp3([frame.clone(), frame.clone()].concat())));
        let mixed = json!([blob("audio/mpeg", &STANDARD.encode(&frame)), blob(l16, "AQI=")]);
        assert!(parse_speech(&response(mixed, "STOP")).unwrap_err().message.contains("partly"));
        // An impossible sample rate is ignored, and so is a missing finish reason.
        let wild = blob("audio/L16;rate=4294967295", "AQI=");
        assert_eq!(
            parse_speech(&json!({"candidates": [{"content": {"parts": [wild]}}]})).unwrap(),
            whole(&[1, 2], 24_000)
        );
        for silent in [response(json!([]), "OTHER"), json!({"candidates": []}), json!({}), json!({"candidates": 7})] {
            assert_eq!(parse_speech(&silent).unwrap(), SpeechReply::Nothing);
        }
        for (parts, reason) in [
            (json!([]), "SAFETY"),
            (json!([blob(l16, "AQI=")]), "OTHER"),
            (json!([blob(l16, "AQI=")]), "MAX_TOKENS"),
            (json!([blob(l16, "AQI=")]), "SAFETY"),
            (json!([blob(l16, "AQI=")]), "A_NEW_REASON"),
        ] {
            match parse_speech(&response(parts, reason)).unwrap() {
                SpeechReply::Cut(error) => assert!(error.message.contains(reason), "{error}"),
                other => panic!("{reason}: {other:?}"),
            }
        }
        let cases = [
            (json!({"promptFeedback": {"blockReason": "PROHIBITED_CONTENT"}}), "PROHIBITED_CONTENT"),
            (json!({"error": {"code": 503, "message": "overloaded", "status": "UNAVAILABLE"}}), "overloaded"),
            (json!([{"error": {"code": 503, "message": "overloaded", "status": "UNAVAILABLE"}}]), "overloaded"),
            (json!({"message": "do request failed"}), "do request failed"),
            (response(json!([blob("audio/mpeg", "AQI=")]), "STOP"), "audio/mpeg"),
            (response(json!([blob("audio/wav", "AQI=")]), "STOP"), "audio/wav"),
            (response(json!([blob(l16, "%")]), "STOP"), "Base64"),
            (json!("words"), "cannot parse"),
        ];
        for (value, message) in cases {
            let error = parse_speech(&value).unwrap_err();
            assert!(error.message.contains(message), "{message}: {error}");
        }
    }

    #[test]
    fn transcripts_omit_thoughts() {
        let parts = json!([{"text": "Hm.", "thought": true}, {"text": " Hello"}, {"text": " world.\n"}]);
        assert_eq!(transcript(&response(parts.clone(), "STOP")).unwrap(), "Hello world.");
        assert_eq!(transcript(&response(json!([]), "STOP")).unwrap(), "");
        let turn = |text: &str| json!({"audioTranscription": {"text": text, "speakerLabel": "spk_1"}});
        let turns = response(json!([turn("Good morning."), turn(""), turn("Morning!")]), "STOP");
        assert_eq!(transcript(&turns).unwrap(), "Good morning. Morning!");
        for reason in ["MAX_TOKENS", "RECITATION", "SAFETY", "OTHER", "LANGUAGE", "A_NEW_REASON"] {
            for parts in [&parts, &json!([])] {
                let error = transcript(&response(parts.clone(), reason)).unwrap_err();
                assert!(error.message.contains("is incomplete") && error.message.contains(reason), "{error}");
            }
        }
    }
}
