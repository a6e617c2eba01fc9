//! Options for how a text is spoken, in addition to the voice: language, style, and the two speakers of a dialogue.
//!
//! Source: Gemini API, "Speech generation" (style as a prompt before the text, exactly two speakers); for models from
//! 3.8 on, which read every word of a text aloud, Google Cloud, "Migrate to Gemini 3.8 TTS", as of 26 November 2026,
//! and google-genai 3.6.1, `types.py`, `SpeechMetadata`.

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::text_split;
use super::wire::Part;
use dify_plugin::error::InvokeError;

/// The credential `speech_options`, a JSON object.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SpeechOptions {
    /// Language of the text, such as `de-DE`; detected by the model if absent.
    pub language: Option<String>,
    /// Speaking style, placed before the text: `Say calmly, in a low voice`.
    pub style: Option<String>,
    /// Voices by speaker name, as used at the start of the lines of a dialogue: `{"Anna": "Kore", "Ben": "Puck"}`.
    pub speakers: Map<String, Value>,
}

impl SpeechOptions {
    /// Parses and checks the credential.
    pub fn read(text: Option<&str>) -> Result<Self, InvokeError> {
        let Some(text) = text else { return Ok(Self::default()) };
        let wrong = |what: String| {
            InvokeError::credentials(format!("credential `speech_options` {what}")).with_hint(
                r#"Example: {"language": "de-DE", "style": "Say calmly", "speakers": {"Anna": "Kore", "Ben": "Puck"}}."#,
            )
        };
        let options: Self = serde_json::from_str(text).map_err(|error| wrong(format!("cannot be parsed: {error}")))?;
        let is_code = |code: &String| {
            !code.is_empty()
                && code.len() <= 35
                && code.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
        };
        if !options.language.iter().all(is_code) {
            return Err(wrong("has an invalid `language`; expected a code such as de-DE".to_owned()));
        }
        if !matches!(options.speakers.len(), 0 | 2) {
            return Err(wrong(format!("names {} speakers; the model requires exactly two", options.speakers.len())));
        }
        match options.speakers.iter().find(|(name, voice)| name.trim().is_empty() || !voice.is_string()) {
            Some((name, _)) => Err(wrong(format!("requires a name and a voice for speaker `{name}`"))),
            None => Ok(options),
        }
    }

    /// Returns the style instruction before a text; empty if there is none.
    pub fn style_prompt(&self) -> &str {
        self.style.as_deref().unwrap_or_default().trim().trim_end_matches([':', '.'])
    }

    /// Returns a text as parts with style and speakers as metadata, for models that read every word of the text aloud.
    pub fn parts(&self, text: &str) -> Vec<Part> {
        let style = Some(self.style_prompt()).filter(|style| !style.is_empty());
        let part = |speaker: Option<&str>, words: &str| {
            let members = [("speaker", speaker), ("style", style)];
            let metadata: Map<String, Value> =
                members.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?.into()))).collect();
            Part { speech_metadata: (!metadata.is_empty()).then_some(metadata.into()), ..Part::text(words) }
        };
        match self.is_dialogue(text) {
            true => self.turns(text).into_iter().map(|(speaker, words)| part(speaker, words)).collect(),
            false => vec![part(None, text)],
        }
    }

    /// Whether a text contains lines of the speakers.
    pub fn is_dialogue(&self, text: &str) -> bool {
        text.lines().any(|line| self.speaker(line).is_some())
    }

    /// Builds the `speechConfig` of a text.
    pub fn config(&self, text: &str, voice: Value) -> Value {
        let mut config = match self.is_dialogue(text) {
            true => {
                let speakers = self.speakers.iter().map(|(name, voice)| {
                    json!({"speaker": name, "voiceConfig": {"prebuiltVoiceConfig": {"voiceName": voice}}})
                });
                json!({"multiSpeakerVoiceConfig": {"speakerVoiceConfigs": speakers.collect::<Vec<_>>()}})
            }
            false => json!({ "voiceConfig": voice }),
        };
        if let Some(language) = &self.language {
            config["languageCode"] = json!(language);
        }
        config
    }

    /// Splits a dialogue into lines with their speakers: a line without a speaker belongs to the previous one. Lines
    /// before the first speaker have none.
    pub fn turns<'a>(&'a self, text: &'a str) -> Vec<(Option<&'a str>, &'a str)> {
        let mut speaker = None;
        let mut turns = Vec::new();
        for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
            let line_text = match self.speaker(line) {
                Some((name, line_text)) => {
                    speaker = Some(name);
                    line_text
                }
                None => line,
            };
            turns.push((speaker, line_text));
        }
        turns
    }

    /// Splits the text into one segment per request. Every segment of a dialogue starts with its speaker.
    pub fn segments(&self, text: &str, longest: usize) -> Vec<String> {
        if !self.is_dialogue(text) {
            return text_split::split(text, longest).into_iter().map(str::to_owned).collect();
        }
        let mut segments: Vec<String> = Vec::new();
        for (speaker, spoken_text) in self.turns(text) {
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

    fn speaker<'a>(&'a self, line: &'a str) -> Option<(&'a str, &'a str)> {
        let (name, line_text) = line.split_once([':', '：'])?;
        let (name, _) = self.speakers.get_key_value(name.trim().trim_matches('*'))?;
        Some((name, line_text.trim_start_matches('*').trim()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(text: &str) -> SpeechOptions {
        SpeechOptions::read(Some(text)).unwrap()
    }

    #[test]
    fn rejects_invalid_options() {
        for (text, line_text) in [
            ("nothing", "cannot be parsed"),
            (r#"{"pitch": 3}"#, "pitch"),
            (r#"{"language": "de_DE!"}"#, "language"),
            (r#"{"speakers": {"Anna": "Kore"}}"#, "exactly two"),
            (r#"{"speakers": {"Anna": "Kore", "Ben": 1}}"#, "`Ben`"),
        ] {
            let error = SpeechOptions::read(Some(text)).unwrap_err();
            assert!(error.message.contains(line_text), "{text}: {}", error.message);
        }
        assert_eq!(SpeechOptions::read(None).unwrap(), SpeechOptions::default());
    }

    #[test]
    fn lines_belong_to_the_previous_speaker() {
        let options = options(r#"{"speakers": {"Anna": "Kore", "Ben": "Puck"}}"#);
        assert_eq!(
            options.turns("Intro\nAnna: Hi: you\n and more\n\n**Ben:** Yes\nCarl: who\nAnna： end"),
            [
                (None, "Intro"),
                (Some("Anna"), "Hi: you"),
                (Some("Anna"), "and more"),
                (Some("Ben"), "Yes"),
                (Some("Ben"), "Carl: who"),
                (Some("Anna"), "end"),
            ]
        );
        assert!(!options.is_dialogue("Carl: who"));
        assert!(SpeechOptions::default().turns("a\nb").iter().all(|(speaker, _)| speaker.is_none()));
    }
}
