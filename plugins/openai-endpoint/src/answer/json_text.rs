//! The text of a structured call. A model that knows schemas sends JSON, which passes as it arrives. One that does not wraps it in
//! words or a code block; then the text is held, and the client gets the JSON in it, or what Dify has made of it.

use serde_json::{Map, Value};

/// Push text as it arrives, then finish.
#[derive(Debug, Default)]
pub struct JsonText {
    state: State,
    held: String,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    /// Nothing but blanks so far, which mean nothing in front of JSON.
    #[default]
    Beginning,
    /// It is JSON.
    Passes,
    /// It is not.
    Held,
}

impl JsonText {
    /// What the client may have of it.
    pub fn push(&mut self, text: String) -> String {
        let start = match self.state {
            State::Passes => return text,
            State::Held => text.as_str(),
            State::Beginning => text.trim_start(),
        };
        if self.state == State::Beginning && !start.is_empty() {
            self.state = if start.starts_with(['{', '[']) { State::Passes } else { State::Held };
        }
        if self.state == State::Passes {
            return start.to_owned();
        }
        self.held.push_str(start);
        String::new()
    }

    /// The rest; `repaired` is Dify's reading of the text.
    pub fn finish(&mut self, repaired: Option<Map<String, Value>>) -> String {
        let held = std::mem::take(&mut self.held);
        if self.state == State::Passes {
            return String::new();
        }
        // The text comes first: Dify's own reading has changed booleans into texts.
        match (embedded(&held), repaired) {
            (Some(json), _) => json.to_owned(),
            (None, Some(object)) => Value::Object(object).to_string(),
            (None, None) => held,
        }
    }
}

/// The JSON between the first brace and the last one.
fn embedded(text: &str) -> Option<&str> {
    let (start, end) = (text.find('{')?, text.rfind('}')?);
    let json = text.get(start..=end)?;
    serde_json::from_str::<serde::de::IgnoredAny>(json).ok().map(|_| json)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn clients_get_json() {
        let object = || json!({"a": "true"}).as_object().cloned();
        for (text, repaired, expected) in [
            (r#" {"a": true}"#, object(), r#"{"a": true}"#),
            ("[1]", None, "[1]"),
            ("Here:\n```json\n{\"a\": true}\n```", object(), r#"{"a": true}"#),
            ("a is true", object(), r#"{"a":"true"}"#),
            ("", object(), r#"{"a":"true"}"#),
            ("a is true", None, "a is true"),
            ("} {", None, "} {"),
            (" ", None, ""),
        ] {
            for split in text.char_indices().map(|(at, _)| at).chain([text.len()]) {
                let mut parser = JsonText::default();
                let mut found = parser.push(text[..split].to_owned());
                found += &parser.push(text[split..].to_owned());
                found += &parser.finish(repaired.clone());
                assert_eq!(found, expected, "{text:?} at {split}");
            }
        }
    }
}
