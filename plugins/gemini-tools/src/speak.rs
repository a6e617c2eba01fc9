//! The tool `speak`: reads a text aloud with one voice, or a dialogue with two.

use std::sync::Arc;

use dify_plugin::prelude::*;
use dify_plugin::serde_json::{Map, Value, json};
use dify_plugin_gemini::speaking::Speaking;
use dify_plugin_gemini::speech::{self, Audio, Samples, VOICES};
use dify_plugin_gemini::speech_options::SpeechOptions;
use dify_plugin_gemini::wav;
use futures_util::{StreamExt, TryStreamExt, stream};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::models::{self, Use};
use crate::output::{given, require, send};
use crate::service::{Service, explained, naming};

/// Voice of a call that names none, and the second one of a dialogue.
const DEFAULT_VOICES: [&str; 2] = ["Kore", "Puck"];

/// Maximum number of characters per request: the model's output is limited to about ten minutes.
const MAX_SEGMENT_CHARACTERS: usize = 2000;

/// Maximum number of characters of a call.
const MAX_CHARACTERS: usize = 40_000;

/// Maximum number of requests at once.
const MAX_CONCURRENT_REQUESTS: usize = 3;

/// Maximum number of characters of a speaker's name.
const MAX_NAME_CHARACTERS: usize = 40;

/// Serves `tools/speak.yaml`.
pub struct Speak(pub Arc<Service>);

#[derive(Deserialize, JsonSchema)]
pub struct Parameters {
    /// Text to read aloud; for two speakers, lines such as Anna: Hello
    text: String,
    /// Voice; of the first speaker in a dialogue
    voice: Option<DynamicSelect>,
    /// Voice of the second speaker in a dialogue
    second_voice: Option<DynamicSelect>,
    /// Name of the first speaker, as the lines begin with it
    speaker: Option<String>,
    /// Name of the second speaker, as the lines begin with it
    second_speaker: Option<String>,
    /// Speaking style, such as: calmly, in a low voice
    style: Option<String>,
    /// Language code of the text, such as de-DE; detected if empty
    language: Option<String>,
    /// File format
    #[serde(default)]
    format: Format,
    /// Model that speaks
    model: Option<DynamicSelect>,
}

#[derive(Clone, Copy, Debug, Default, Deserialize, serde::Serialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// MP3
    #[default]
    Mp3,
    /// WAV
    Wav,
}

impl Tool for Speak {
    const NAME: &'static str = "speak";
    type Parameters = Parameters;

    async fn invoke(&self, call: Call, parameters: Parameters, out: &mut Messages) -> Result<(), PluginError> {
        let text = require("text", &parameters.text)?;
        let length = text.chars().count();
        if length > MAX_CHARACTERS {
            return Err(PluginError::bad_request(format!(
                "parameter `text` has {length} characters; at most {MAX_CHARACTERS} are read aloud at once"
            ))
            .with_hint("Split the text."));
        }
        let voices = [voice(parameters.voice.as_ref(), 0), voice(parameters.second_voice.as_ref(), 1)];
        let options = options(&parameters, text, &voices)?;
        let model = Use::Speech.model(parameters.model);
        let account = self.0.account(&call)?;
        let speaking = Speaking {
            generation: account.generation(&model),
            voice: &voices[0],
            options: &options,
            wants_mp3: parameters.format == Format::Mp3,
            has_metadata: speech::supports_metadata(&model, None),
        };
        let segments = options.segments(text, MAX_SEGMENT_CHARACTERS);
        let unseen = |_: &Value| {};
        let requests: Vec<_> = segments.iter().map(|segment| speaking.segment(segment, &unseen)).collect();
        let spoken = stream::iter(requests).buffered(MAX_CONCURRENT_REQUESTS).try_collect();
        let audio: Vec<Audio> = spoken.await.map_err(|error| explained(naming(error, &model)))?;
        let spoken = Spoken::join(audio)?;
        let name = format!("speech.{}", spoken.extension);
        out.blob(&spoken.bytes, BlobMeta::new(spoken.mime_type).with_filename(&name)).await?;
        let speakers: Map<_, _> = options.speakers.clone();
        let members = [
            ("model", json!(model)),
            ("file_name", json!(name)),
            ("mime_type", json!(spoken.mime_type)),
            ("bytes", json!(spoken.bytes.len())),
            ("seconds", json!(spoken.seconds)),
            ("voice", json!(voices[0])),
            ("speakers", json!(speakers)),
            ("segments", json!(segments.len())),
        ];
        let everything = members.map(|(name, value)| (name.to_owned(), value)).into_iter().collect();
        let text = match spoken.seconds {
            Some(seconds) => format!("The text was read aloud in {name} ({seconds:.0} s)."),
            None => format!("The text was read aloud in {name}."),
        };
        send(out, &text, everything, &["mime_type", "seconds"]).await
    }

    async fn options(&self, call: Call, parameter: &str) -> Result<Vec<Choice>, PluginError> {
        models::choices(&self.0.account(&call)?, parameter, Use::Speech).await
    }
}

/// Returns the name of a voice as Google writes it. Other names may be those of custom voices.
fn voice(named: Option<&DynamicSelect>, index: usize) -> String {
    let named = given(named.map(|named| &**named)).unwrap_or(DEFAULT_VOICES[index]);
    let known = VOICES.iter().map(|(name, _)| *name).find(|name| name.eq_ignore_ascii_case(named));
    known.unwrap_or(named).to_owned()
}

/// Returns language, style, and the speakers of a dialogue: as named, or as the lines of the text begin.
fn options(parameters: &Parameters, text: &str, voices: &[String; 2]) -> Result<SpeechOptions, PluginError> {
    let language = given(parameters.language.as_deref());
    let legal = |code: &str| code.len() <= 35 && code.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    if let Some(code) = language.filter(|code| !legal(code)) {
        return Err(PluginError::bad_request(format!(
            "parameter `language` must be a language code such as de-DE, found `{code}`"
        )));
    }
    let named = [given(parameters.speaker.as_deref()), given(parameters.second_speaker.as_deref())];
    let is_dialogue = given(parameters.second_voice.as_deref()).is_some() || named.iter().any(Option::is_some);
    let names = match (named, is_dialogue) {
        (_, false) => None,
        ([Some(first), Some(second)], _) if first == second => {
            return Err(PluginError::bad_request(format!(
                "parameters `speaker` and `second_speaker` are both `{first}`"
            )));
        }
        ([Some(first), Some(second)], _) => Some([first, second]),
        (_, true) => Some(speakers(text).ok_or_else(|| {
            PluginError::bad_request("the two speakers of `text` cannot be recognized")
                .with_hint("Name them in `speaker` and `second_speaker`, as the lines of the text begin: Anna: Hello.")
        })?),
    };
    let mut options = SpeechOptions {
        language: language.map(str::to_owned),
        style: given(parameters.style.as_deref()).map(str::to_owned),
        ..SpeechOptions::default()
    };
    for (name, voice) in names.iter().flatten().zip(voices) {
        options.speakers.insert((*name).to_owned(), voice.as_str().into());
    }
    match names {
        Some([first, second]) if !options.is_dialogue(text) => {
            Err(PluginError::bad_request(format!("no line of parameter `text` begins with `{first}:` or `{second}:`")))
        }
        _ => Ok(options),
    }
}

/// Returns the names at the beginning of lines, if there are exactly two.
fn speakers(text: &str) -> Option<[&str; 2]> {
    let mut names: Vec<&str> = Vec::new();
    for line in text.lines() {
        let Some((name, _)) = line.split_once([':', '：']) else { continue };
        let name = name.trim().trim_matches('*');
        if !name.is_empty() && name.chars().count() <= MAX_NAME_CHARACTERS && !names.contains(&name) {
            names.push(name);
        }
    }
    names.try_into().ok()
}

/// The audio of all segments as one file.
struct Spoken {
    bytes: Vec<u8>,
    mime_type: &'static str,
    extension: &'static str,
    /// Duration; unknown for MP3.
    seconds: Option<f64>,
}

impl Spoken {
    fn join(segments: Vec<Audio>) -> Result<Self, PluginError> {
        let mut frames: Vec<u8> = Vec::new();
        let mut samples: Option<Samples> = None;
        for segment in segments {
            match (segment, &mut samples) {
                (Audio::Mp3(more), None) => frames.extend(more),
                (Audio::Samples(first), None) if frames.is_empty() => samples = Some(first),
                (Audio::Samples(more), Some(samples)) if more.rate == samples.rate => samples.bytes.extend(more.bytes),
                _ => {
                    return Err(PluginError::server_unavailable(
                        "the audio segments have different formats or sample rates",
                    ));
                }
            }
        }
        Ok(match samples {
            Some(Samples { bytes, rate }) => Self {
                seconds: Some(bytes.len() as f64 / 2.0 / f64::from(rate)),
                bytes: wav::wav(&bytes, rate),
                mime_type: "audio/wav",
                extension: "wav",
            },
            None => Self { bytes: frames, mime_type: "audio/mpeg", extension: "mp3", seconds: None },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lines_of_a_dialogue_name_its_speakers() {
        assert_eq!(speakers("Anna: Hi\nBen: Yes\nAnna: Bye"), Some(["Anna", "Ben"]));
        assert_eq!(speakers("**Anna:** Hi\n王：你好"), Some(["Anna", "王"]));
        for text in ["Hello", "Anna: Hi", "A: 1\nB: 2\nC: 3"] {
            assert_eq!(speakers(text), None, "{text}");
        }
    }

    #[test]
    fn voices_are_written_as_google_does() {
        let named = |name: &str| Some(DynamicSelect(name.to_owned()));
        assert_eq!(voice(named("puck").as_ref(), 0), "Puck");
        assert_eq!(voice(None, 1), "Puck");
        assert_eq!(voice(named("my-voice").as_ref(), 0), "my-voice");
    }

    #[test]
    fn segments_of_one_kind_are_joined() {
        let samples = |bytes: &[u8], rate| Audio::Samples(Samples { bytes: bytes.to_vec(), rate });
        let joined = Spoken::join(vec![samples(&[1, 2], 24_000), samples(&[3, 4], 24_000)]).unwrap();
        assert_eq!(joined.bytes, wav::wav(&[1, 2, 3, 4], 24_000));
        let joined = Spoken::join(vec![Audio::Mp3(vec![1]), Audio::Mp3(vec![2])]).unwrap();
        assert_eq!((joined.bytes, joined.extension), (vec![1, 2], "mp3"));
        for mixed in [
            vec![samples(&[1, 2], 24_000), samples(&[1, 2], 16_000)],
            vec![samples(&[1, 2], 24_000), Audio::Mp3(vec![1])],
            vec![Audio::Mp3(vec![1]), samples(&[1, 2], 24_000)],
        ] {
            assert!(Spoken::join(mixed).is_err());
        }
    }
}
