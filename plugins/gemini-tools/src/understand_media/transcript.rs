//! Transcripts: plain, or as passages with times and speakers, which the model returns as JSON.

use dify_plugin::serde_json::{Map, Value, from_str, json};
use dify_plugin_gemini::wire::GenerateContentRequest;

/// What a transcript contains in addition to its words.
#[derive(Clone, Copy)]
pub struct Wanted {
    pub timestamps: bool,
    pub speakers: bool,
}

/// A transcript as text, and its passages.
#[derive(Debug, PartialEq)]
pub struct Transcript {
    pub text: String,
    pub segments: Vec<Value>,
}

impl Wanted {
    fn has_segments(self) -> bool {
        self.timestamps || self.speakers
    }

    /// Returns the prompt; a transcript with passages is requested as JSON.
    pub fn prompt(self, asked: Option<&str>, request: &mut GenerateContentRequest) -> String {
        let mut prompt = "Transcribe this media word for word, in the language that is spoken. Write down the text of \
            documents and images as it is. Answer with the transcript alone, without remarks."
            .to_owned();
        if self.has_segments() {
            prompt.push_str(" Begin a new segment with each sentence or each change of speaker.");
            let config = &mut request.generation_config;
            config.insert("responseMimeType".to_owned(), "application/json".into());
            config.insert("responseJsonSchema".to_owned(), self.schema());
        }
        if self.speakers {
            prompt.push_str(" Name the speakers if they are known, otherwise number them: Speaker 1, Speaker 2.");
        }
        if let Some(asked) = asked {
            prompt.push_str("\n\n");
            prompt.push_str(asked);
        }
        prompt
    }

    fn schema(self) -> Value {
        let text = json!({"type": "string"});
        let mut properties = Map::new();
        if self.timestamps {
            let time = json!({"type": "string", "description": "Time at which the segment begins: MM:SS or H:MM:SS"});
            properties.insert("start".to_owned(), time);
        }
        if self.speakers {
            properties.insert("speaker".to_owned(), text.clone());
        }
        properties.insert("text".to_owned(), text);
        let required: Vec<&String> = properties.keys().collect();
        json!({"type": "array", "items": {"type": "object", "required": required, "properties": properties}})
    }

    /// Reads the answer. One that is not the JSON that was requested, because it was cut, stays a text.
    pub fn read(self, answer: &str) -> Transcript {
        let plain = || Transcript { text: answer.trim().to_owned(), segments: Vec::new() };
        if !self.has_segments() {
            return plain();
        }
        let Ok(Value::Array(segments)) = from_str(answer.trim()) else { return plain() };
        let lines: Vec<String> = segments.iter().map(line).filter(|line| !line.is_empty()).collect();
        Transcript { text: lines.join("\n"), segments }
    }
}

/// Returns a passage as a line: `[00:05] Anna: Hello.`
fn line(segment: &Value) -> String {
    let member = |name: &str| segment[name].as_str().map(str::trim).filter(|text| !text.is_empty());
    let time = member("start").map(|time| format!("[{time}] ")).unwrap_or_default();
    let speaker = member("speaker").map(|speaker| format!("{speaker}: ")).unwrap_or_default();
    member("text").map(|text| format!("{time}{speaker}{text}")).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passages_become_lines() {
        let wanted = Wanted { timestamps: true, speakers: true };
        let answer =
            r#"[{"start": "00:01", "speaker": "Anna", "text": "Hi."}, {"start": "00:02", "text": "Yes."}, {}]"#;
        let transcript = wanted.read(answer);
        assert_eq!(transcript.text, "[00:01] Anna: Hi.\n[00:02] Yes.");
        assert_eq!(transcript.segments.len(), 3);
        for text in ["[{\"text\": \"cut", "plain words", "{}"] {
            assert_eq!(wanted.read(text), Transcript { text: text.to_owned(), segments: Vec::new() }, "{text}");
        }
        let plain = Wanted { timestamps: false, speakers: false };
        assert_eq!(plain.read(" [1] ").text, "[1]");
    }

    #[test]
    fn only_what_is_wanted_is_requested() {
        for (timestamps, speakers, required) in [
            (true, false, json!(["start", "text"])),
            (false, true, json!(["speaker", "text"])),
            (true, true, json!(["start", "speaker", "text"])),
        ] {
            let mut request = GenerateContentRequest::default();
            Wanted { timestamps, speakers }.prompt(None, &mut request);
            assert_eq!(request.generation_config["responseJsonSchema"]["items"]["required"], required);
        }
        let mut request = GenerateContentRequest::default();
        let prompt = Wanted { timestamps: false, speakers: false }.prompt(Some("In German."), &mut request);
        assert!(prompt.ends_with("\n\nIn German.") && request.generation_config.is_empty(), "{prompt}");
    }
}
