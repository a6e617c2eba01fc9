//! `POST /v1/moderations`. A moderation model of Dify reports only whether a text is unsafe, and no categories. No I/O.

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::{Map, Value, json};

use crate::error::ApiError;
use crate::read::required;

/// Texts of a request; each is a call of its own.
const MAX_TEXTS: usize = 64;

/// OpenAI's categories, which clients have as members of their types.
const CATEGORIES: [&str; 13] = [
    "harassment",
    "harassment/threatening",
    "hate",
    "hate/threatening",
    "illicit",
    "illicit/violent",
    "self-harm",
    "self-harm/instructions",
    "self-harm/intent",
    "sexual",
    "sexual/minors",
    "violence",
    "violence/graphic",
];

/// A category of this plugin: the text is unsafe for a reason that Dify does not report.
const UNSPECIFIED: &str = "unspecified";

/// The members that are read. All others are ignored.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct ModerationRequest {
    pub model: Option<String>,
    input: Option<Input>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Input {
    Text(String),
    Texts(Vec<String>),
    Parts(Vec<Part>),
    Other(IgnoredAny),
}

#[derive(Debug, Deserialize)]
struct Part {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    text: Option<String>,
}

impl ModerationRequest {
    /// The texts; each gets a result.
    pub fn into_texts(self) -> Result<Vec<String>, ApiError> {
        let texts = match required(self.input, "input")? {
            Input::Text(text) => vec![text],
            Input::Texts(texts) => texts,
            // The parts of one message, which gets one result.
            Input::Parts(parts) if parts.iter().all(|part| part.kind == "text") => {
                vec![parts.into_iter().filter_map(|part| part.text).collect::<Vec<_>>().join("\n")]
            }
            Input::Parts(_) => {
                return Err(ApiError::unsupported("input", "Moderation models of Dify check texts only, no images."));
            }
            Input::Other(_) => {
                return Err(ApiError::invalid("`input` is not a text or a list of texts.").with_param("input"));
            }
        };
        if texts.is_empty() || texts.len() > MAX_TEXTS {
            return Err(
                ApiError::invalid(format!("`input` has no text, or more than {MAX_TEXTS}.")).with_param("input")
            );
        }
        Ok(texts)
    }
}

/// The response.
pub fn write(id: &str, model: &str, flagged: &[bool]) -> Value {
    let result = |is_flagged: &bool| {
        let names = || CATEGORIES.into_iter().chain([UNSPECIFIED]);
        let is_hit = |name: &str| *is_flagged && name == UNSPECIFIED;
        let categories: Map<String, Value> = names().map(|name| (name.to_owned(), is_hit(name).into())).collect();
        let scores: Map<String, Value> =
            names().map(|name| (name.to_owned(), f64::from(u8::from(is_hit(name))).into())).collect();
        json!({"flagged": is_flagged, "categories": categories, "category_scores": scores})
    };
    json!({"id": id, "model": model, "results": flagged.iter().map(result).collect::<Vec<_>>()})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_text_gets_a_result() {
        for (input, expected) in [
            (json!("a"), Ok(vec!["a"])),
            (json!(["a", "b"]), Ok(vec!["a", "b"])),
            (json!([{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]), Ok(vec!["a\nb"])),
            (json!([{"type": "image_url", "image_url": {"url": "x"}}]), Err("texts only")),
            (json!([]), Err("no text")),
            (json!(5), Err("not a text")),
            (json!(null), Err("Missing")),
        ] {
            let body = json!({"input": input}).to_string();
            let found = crate::read::json::<ModerationRequest>(body.as_bytes()).unwrap().into_texts();
            match (found, expected) {
                (Ok(texts), Ok(expected)) => assert_eq!(texts, expected),
                (Err(error), Err(part)) => assert!(error.message.contains(part), "{}", error.message),
                (found, expected) => panic!("{found:?} {expected:?}"),
            }
        }
        let response = write("modr-1", "m", &[false, true]);
        assert_eq!(response["results"][0]["categories"]["unspecified"], false);
        assert_eq!(response["results"][1]["category_scores"]["unspecified"], 1.0);
        assert_eq!(response["results"][1]["categories"]["hate"], false);
    }
}
