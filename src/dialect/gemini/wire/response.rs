//! A response or an event of one: candidates, refusals, the model that answered. What it means for an answer is `answer`'s.

use serde::{Deserialize, Deserializer};
use serde_json::Value;

use super::{CitationMetadata, Content, GroundingMetadata, UrlContextMetadata, UsageMetadata};
use dify_plugin::codec::json;
use dify_plugin::error::clip;

/// Most answers that one may ask for.
const MAX_CANDIDATES: usize = 8;

/// One event of a stream, or a whole answer. Everything may be missing.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct GenerateContentResponse {
    /// Answers; only the first is used.
    #[serde(deserialize_with = "json::first::<MAX_CANDIDATES, _, _>")]
    pub candidates: Vec<Candidate>,
    /// Why the prompt was refused.
    #[serde(deserialize_with = "json::fit")]
    pub prompt_feedback: Option<PromptFeedback>,
    /// Cumulative; the last one counts.
    #[serde(deserialize_with = "json::fit")]
    pub usage_metadata: Option<UsageMetadata>,
    /// The model that answered.
    #[serde(deserialize_with = "json::fit")]
    pub model_version: Option<String>,
    /// How long that model still lives.
    #[serde(deserialize_with = "json::fit")]
    pub model_status: Option<ModelStatus>,
    /// Google's id of the answer.
    #[serde(deserialize_with = "json::fit")]
    pub response_id: Option<String>,
    /// An error inside a 200.
    pub error: Option<Value>,
    /// The event itself, where a gateway puts something around it.
    #[serde(deserialize_with = "json::fit")]
    pub response: Option<Box<GenerateContentResponse>>,
}

impl GenerateContentResponse {
    /// The event itself, whatever a gateway put around it.
    pub fn unwrapped(mut self) -> Self {
        while self.candidates.is_empty()
            && self.error.is_none()
            && let Some(inner) = self.response.take()
        {
            self = *inner;
        }
        self
    }

    /// Whether it holds nothing that belongs to an answer.
    pub fn says_nothing(&self) -> bool {
        self.candidates.is_empty()
            && self.prompt_feedback.is_none()
            && self.usage_metadata.is_none()
            && self.model_version.is_none()
            && self.response_id.is_none()
            && self.error.is_none()
            && self.response.is_none()
    }
}

/// The stage of a model's life. Source: google-genai 3.6.1, `types.py`; developer API only.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ModelStatus {
    /// `STABLE`, `DEPRECATED`, `RETIRED` …
    #[serde(deserialize_with = "json::or_default")]
    pub model_stage: String,
    /// When the model goes, as RFC 3339.
    #[serde(deserialize_with = "json::fit")]
    pub retirement_time: Option<String>,
    /// The same in words.
    #[serde(deserialize_with = "json::or_default")]
    pub message: String,
}

/// One answer, or a delta of it.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Candidate {
    /// Number of the answer.
    #[serde(deserialize_with = "json::fit")]
    pub index: Option<u64>,
    /// The new parts.
    #[serde(deserialize_with = "json::fit")]
    pub content: Option<Content>,
    /// Why it ended.
    #[serde(deserialize_with = "word")]
    pub finish_reason: Option<String>,
    /// The same in words.
    #[serde(deserialize_with = "json::fit")]
    pub finish_message: Option<String>,
    /// Judgement by category.
    #[serde(deserialize_with = "json::first::<64, _, _>")]
    pub safety_ratings: Vec<SafetyRating>,
    /// Grounding of search.
    #[serde(deserialize_with = "json::fit")]
    pub grounding_metadata: Option<GroundingMetadata>,
    /// Pages that were read.
    #[serde(deserialize_with = "json::fit")]
    pub url_context_metadata: Option<UrlContextMetadata>,
    /// Quoted sources, in either spelling.
    #[serde(deserialize_with = "json::fit")]
    pub citation_metadata: Option<CitationMetadata>,
    /// Asks for the same request again with this token.
    #[serde(deserialize_with = "json::fit")]
    pub continuation_token: Option<String>,
}

/// Why a prompt was refused.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PromptFeedback {
    /// `SAFETY`, `PROHIBITED_CONTENT` …
    #[serde(deserialize_with = "block_word")]
    pub block_reason: Option<String>,
    /// The same in words; Vertex only.
    #[serde(deserialize_with = "json::fit")]
    pub block_reason_message: Option<String>,
    /// Judgement by category.
    #[serde(deserialize_with = "json::first::<64, _, _>")]
    pub safety_ratings: Vec<SafetyRating>,
}

/// Judgement of one category.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct SafetyRating {
    /// `HARM_CATEGORY_…`
    #[serde(deserialize_with = "json::or_default")]
    pub category: String,
    /// `NEGLIGIBLE` to `HIGH`.
    #[serde(deserialize_with = "json::or_default")]
    pub probability: String,
    /// Whether it was the reason.
    #[serde(deserialize_with = "json::or_default")]
    pub blocked: bool,
}

/// Longest word of an enumeration that is anything to anybody.
const MAX_ENUM_VALUE_BYTES: usize = 64;

/// Why an answer ended. What is no word is a reason that nobody knows: the answer ended all the same.
fn word<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    /// Where the surfaces agree on the numbers.
    const NUMBERED: [&str; 6] = ["", "STOP", "MAX_TOKENS", "SAFETY", "RECITATION", "OTHER"];
    Ok(match Value::deserialize(deserializer)? {
        Value::Null | Value::Bool(false) => None,
        other => word_of(&other, &NUMBERED).unwrap_or_else(|| Some("OTHER".to_owned())),
    })
}

/// Why a prompt was refused. What is no word says nothing of a refusal.
fn block_word<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    const NUMBERED: [&str; 6] = ["", "SAFETY", "OTHER", "BLOCKLIST", "PROHIBITED_CONTENT", "IMAGE_SAFETY"];
    Ok(word_of(&Value::deserialize(deserializer)?, &NUMBERED).unwrap_or_default())
}

/// A word of an enumeration; some gateways write its number. An empty word is none; `None` of what is neither.
fn word_of(value: &Value, numbered: &[&str]) -> Option<Option<String>> {
    let word = match value {
        Value::String(word) => clip(word.trim(), MAX_ENUM_VALUE_BYTES).to_ascii_uppercase(),
        Value::Number(number) => {
            let place = number.as_u64().and_then(|number| usize::try_from(number).ok());
            place.and_then(|place| numbered.get(place)).copied().unwrap_or("OTHER").to_owned()
        }
        _ => return None,
    };
    Some(Some(word).filter(|word| !word.is_empty()))
}
