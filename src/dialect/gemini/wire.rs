//! The words on the wire. Requests are written without nulls and unknown keys: the server refuses both.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// Body of `generateContent` and `streamGenerateContent`.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct GenerateContentRequest {
    /// The system messages.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub system_instruction: Option<Content>,
    /// The conversation.
    pub contents: Vec<Content>,
    /// Functions and Google's own tools.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tools: Vec<Value>,
    /// Whether and which function must be called.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tool_config: Option<Value>,
    /// One entry a category.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub safety_settings: Vec<SafetySetting>,
    /// Sampling, thinking, form of the answer.
    #[serde(skip_serializing_if = "Map::is_empty")]
    pub generation_config: Map<String, Value>,
    /// `standard`, `flex`, `priority`; developer API only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service_tier: Option<String>,
    /// Billing labels; Vertex only.
    #[serde(skip_serializing_if = "Map::is_empty")]
    pub labels: Map<String, Value>,
    /// `cachedContents/…`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cached_content: Option<String>,
    /// Goes on with an answer that one request could not hold.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub continuation_token: Option<String>,
}

/// Threshold of one harm category.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SafetySetting {
    /// `HARM_CATEGORY_…`
    pub category: &'static str,
    /// `BLOCK_…` or `OFF`.
    pub threshold: &'static str,
}

/// One turn.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Content {
    /// `user` or `model`; absent in a system instruction.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
    /// What is said.
    #[serde(default, deserialize_with = "crate::protocol::lenient::null_default")]
    pub parts: Vec<Part>,
}

/// One part of a turn: exactly one kind of data, and what goes with it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Part {
    /// Text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// Whether the text is a thought.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub thought: Option<bool>,
    /// Opaque; goes back as the exact string it came as.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub thought_signature: Option<String>,
    /// Bytes in base64.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub inline_data: Option<Blob>,
    /// An address that the server reads.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file_data: Option<FileData>,
    /// A call of a function.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub function_call: Option<FunctionCall>,
    /// The result of a call.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub function_response: Option<FunctionResponse>,
    /// Code the model wrote to run it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub executable_code: Option<ExecutableCode>,
    /// What the code printed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code_execution_result: Option<CodeExecutionResult>,
    /// A call of a tool that the service runs itself; goes back as it came.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tool_call: Option<Value>,
    /// The result of such a call; goes back as it came.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tool_response: Option<Value>,
    /// What was said in a recording; models that only transcribe answer so.
    #[serde(skip_serializing)]
    pub audio_transcription: Option<AudioTranscription>,
    /// Clip and frame rate of a video.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub video_metadata: Option<Value>,
    /// Resolution of this picture or film alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub media_resolution: Option<Value>,
}

impl Part {
    /// A text part.
    pub fn text(text: impl Into<String>) -> Self {
        Self { text: Some(text.into()), ..Self::default() }
    }
}

/// The words of a recording, or of one speaker's turn in it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct AudioTranscription {
    /// The words.
    #[serde(deserialize_with = "crate::protocol::lenient::null_default")]
    pub text: String,
}

/// Bytes and what they are.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Blob {
    /// Media type.
    pub mime_type: String,
    /// Base64.
    pub data: String,
}

/// An address and what is behind it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct FileData {
    /// Media type; may be absent for YouTube.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mime_type: Option<String>,
    /// The address.
    pub file_uri: String,
}

/// A call of a function.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct FunctionCall {
    /// Id; not every surface gives one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// Name; absent in later fragments.
    #[serde(deserialize_with = "crate::protocol::lenient::null_default")]
    pub name: String,
    /// Arguments; absent for a function without any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub args: Option<Map<String, Value>>,
    /// Fragments of arguments, on Vertex.
    #[serde(skip_serializing)]
    pub partial_args: Option<Vec<PartialArg>>,
    /// Whether more fragments of this call follow.
    #[serde(skip_serializing)]
    pub will_continue: Option<bool>,
}

/// A fragment of a call's arguments.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PartialArg {
    /// `$.city`, `$.list[0].name`.
    #[serde(deserialize_with = "crate::protocol::lenient::null_default")]
    pub json_path: String,
    /// Text, joined with what came before at the same path.
    pub string_value: Option<String>,
    /// A number.
    pub number_value: Option<serde_json::Number>,
    /// Yes or no.
    pub bool_value: Option<bool>,
}

/// The result of a call.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct FunctionResponse {
    /// Id of the call.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// Name of the function.
    pub name: String,
    /// Always an object: `output` or `error`.
    pub response: Map<String, Value>,
    /// Media of the result.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub parts: Vec<Part>,
}

/// Code the model wrote.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ExecutableCode {
    /// Id of the run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// `PYTHON`.
    pub language: String,
    /// The code.
    pub code: String,
}

/// What the code did.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct CodeExecutionResult {
    /// Id of the run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// `OUTCOME_OK`, `OUTCOME_FAILED`, `OUTCOME_DEADLINE_EXCEEDED`.
    pub outcome: String,
    /// What it printed.
    #[serde(deserialize_with = "crate::protocol::lenient::null_default")]
    pub output: String,
}

/// One event of a stream, or a whole answer. Everything may be missing.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct GenerateContentResponse {
    /// Answers; only the first is used.
    #[serde(deserialize_with = "crate::protocol::lenient::null_default")]
    pub candidates: Vec<Candidate>,
    /// Why the prompt was refused.
    pub prompt_feedback: Option<PromptFeedback>,
    /// Cumulative; the last one counts.
    pub usage_metadata: Option<UsageMetadata>,
    /// The model that answered.
    pub model_version: Option<String>,
    /// Google's id of the answer.
    pub response_id: Option<String>,
    /// An error inside a 200.
    pub error: Option<Value>,
}

/// One answer, or a delta of it.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Candidate {
    /// Number of the answer.
    pub index: Option<u32>,
    /// The new parts.
    pub content: Option<Content>,
    /// Why it ended.
    pub finish_reason: Option<String>,
    /// The same in words.
    pub finish_message: Option<String>,
    /// Judgement by category.
    #[serde(deserialize_with = "crate::protocol::lenient::null_default")]
    pub safety_ratings: Vec<SafetyRating>,
    /// Sources of search.
    pub grounding_metadata: Option<GroundingMetadata>,
    /// Pages that were read.
    pub url_context_metadata: Option<UrlContextMetadata>,
    /// Quoted sources, in either spelling.
    pub citation_metadata: Option<CitationMetadata>,
    /// Asks for the same request again with this token.
    pub continuation_token: Option<String>,
}

/// Why a prompt was refused.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PromptFeedback {
    /// `SAFETY`, `PROHIBITED_CONTENT` …
    pub block_reason: Option<String>,
    /// The same in words; Vertex only.
    pub block_reason_message: Option<String>,
    /// Judgement by category.
    #[serde(deserialize_with = "crate::protocol::lenient::null_default")]
    pub safety_ratings: Vec<SafetyRating>,
}

/// Judgement of one category.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct SafetyRating {
    /// `HARM_CATEGORY_…`
    #[serde(deserialize_with = "crate::protocol::lenient::null_default")]
    pub category: String,
    /// `NEGLIGIBLE` to `HIGH`.
    #[serde(deserialize_with = "crate::protocol::lenient::null_default")]
    pub probability: String,
    /// Whether it was the reason.
    #[serde(deserialize_with = "crate::protocol::lenient::null_default")]
    pub blocked: bool,
}

/// Sources of Google Search. Indexes count bytes of the whole text.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct GroundingMetadata {
    /// The sources.
    #[serde(deserialize_with = "crate::protocol::lenient::null_default")]
    pub grounding_chunks: Vec<GroundingChunk>,
    /// What was searched for.
    #[serde(deserialize_with = "crate::protocol::lenient::null_default")]
    pub web_search_queries: Vec<String>,
    /// Which passage rests on which sources.
    #[serde(deserialize_with = "crate::protocol::lenient::null_default")]
    pub grounding_supports: Vec<GroundingSupport>,
}

/// A passage and its sources.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct GroundingSupport {
    /// The passage.
    pub segment: Option<Segment>,
    /// Numbers of its sources.
    #[serde(deserialize_with = "crate::protocol::lenient::null_default")]
    pub grounding_chunk_indices: Vec<usize>,
}

/// A passage of the answer, in bytes of UTF-8.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Segment {
    /// Its first byte; absent is 0.
    pub start_index: Option<usize>,
    /// The byte after its last.
    pub end_index: Option<usize>,
    /// The passage itself.
    pub text: Option<String>,
}

/// One source.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct GroundingChunk {
    /// A web page.
    pub web: Option<WebSource>,
    /// A place on the map.
    pub maps: Option<WebSource>,
    /// A picture.
    pub image: Option<WebSource>,
    /// A document of the user's.
    pub retrieved_context: Option<WebSource>,
}

impl GroundingChunk {
    /// The source, whatever its kind.
    pub fn source(&self) -> Option<&WebSource> {
        [&self.web, &self.maps, &self.image, &self.retrieved_context].into_iter().find_map(Option::as_ref)
    }
}

/// Address and title of a source.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct WebSource {
    /// The address.
    #[serde(deserialize_with = "crate::protocol::lenient::null_default")]
    pub uri: String,
    /// The title, mostly the domain.
    #[serde(deserialize_with = "crate::protocol::lenient::null_default")]
    pub title: String,
}

/// Pages that were read.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct UrlContextMetadata {
    /// One entry a page.
    #[serde(deserialize_with = "crate::protocol::lenient::null_default")]
    pub url_metadata: Vec<UrlMetadata>,
}

/// One page.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct UrlMetadata {
    /// Its address.
    #[serde(deserialize_with = "crate::protocol::lenient::null_default")]
    pub retrieved_url: String,
    /// `URL_RETRIEVAL_STATUS_…`
    #[serde(deserialize_with = "crate::protocol::lenient::null_default")]
    pub url_retrieval_status: String,
}

/// Quoted sources; an answer may name them under both words.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct CitationMetadata {
    /// As the developer API says it.
    #[serde(deserialize_with = "crate::protocol::lenient::null_default")]
    pub citation_sources: Vec<WebSource>,
    /// As Vertex says it.
    #[serde(deserialize_with = "crate::protocol::lenient::null_default")]
    pub citations: Vec<WebSource>,
}

/// Tokens. `promptTokenCount` includes cached ones.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct UsageMetadata {
    /// Tokens of the prompt.
    #[serde(deserialize_with = "crate::protocol::lenient::count")]
    pub prompt_token_count: Option<u64>,
    /// Of these, read from a cache.
    #[serde(deserialize_with = "crate::protocol::lenient::count")]
    pub cached_content_token_count: Option<u64>,
    /// Tokens of the answer, without thoughts.
    #[serde(deserialize_with = "crate::protocol::lenient::count")]
    pub candidates_token_count: Option<u64>,
    /// Tokens of thoughts.
    #[serde(deserialize_with = "crate::protocol::lenient::count")]
    pub thoughts_token_count: Option<u64>,
    /// Tokens of results of Google's own tools.
    #[serde(deserialize_with = "crate::protocol::lenient::count")]
    pub tool_use_prompt_token_count: Option<u64>,
    /// All together.
    #[serde(deserialize_with = "crate::protocol::lenient::count")]
    pub total_token_count: Option<u64>,
    /// The prompt by modality.
    #[serde(deserialize_with = "crate::protocol::lenient::null_default")]
    pub prompt_tokens_details: Vec<ModalityTokens>,
    /// The answer by modality.
    #[serde(deserialize_with = "crate::protocol::lenient::null_default")]
    pub candidates_tokens_details: Vec<ModalityTokens>,
    /// The cached share by modality.
    #[serde(deserialize_with = "crate::protocol::lenient::null_default")]
    pub cache_tokens_details: Vec<ModalityTokens>,
    /// The tier that served, as the developer API says it.
    pub service_tier: Option<String>,
    /// The tier that served, as Vertex says it: `ON_DEMAND_FLEX` …
    pub traffic_type: Option<String>,
}

/// Tokens of one modality.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ModalityTokens {
    /// `TEXT`, `IMAGE`, `AUDIO` …
    #[serde(deserialize_with = "crate::protocol::lenient::null_default")]
    pub modality: String,
    /// How many.
    #[serde(deserialize_with = "crate::protocol::lenient::count")]
    pub token_count: Option<u64>,
}
