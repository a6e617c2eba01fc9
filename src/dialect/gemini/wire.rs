//! The words on the wire. Requests are written without nulls and unknown keys: the server refuses both. Answers are read
//! so that a member of an odd type costs that member alone, and no list takes more than its most.

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};

use crate::codec::json;
use crate::error::clip;
use crate::protocol::lenient;

/// Most parts of one event.
const MOST_PARTS: usize = 8192;

/// Most answers that one may ask for.
const MOST_CANDIDATES: usize = 8;

/// Most sources of a kind that are read; the rest is left out.
pub(super) const MOST_SOURCES: usize = 1024;

/// Most passages that rest on sources.
const MOST_PASSAGES: usize = 4096;

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
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "json::fit")]
    pub role: Option<String>,
    /// What is said.
    #[serde(default, deserialize_with = "json::list::<MOST_PARTS, _, _>")]
    pub parts: Vec<Part>,
}

/// One part of a turn: exactly one kind of data, and what goes with it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Part {
    /// Text.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "json::fit")]
    pub text: Option<String>,
    /// Whether the text is a thought.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "json::fit")]
    pub thought: Option<bool>,
    /// Opaque; goes back as the exact string it came as.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "json::fit")]
    pub thought_signature: Option<String>,
    /// Bytes in base64.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "json::fit")]
    pub inline_data: Option<Blob>,
    /// An address that the server reads.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "json::fit")]
    pub file_data: Option<FileData>,
    /// A call of a function.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "json::fit")]
    pub function_call: Option<FunctionCall>,
    /// The result of a call.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "json::fit")]
    pub function_response: Option<FunctionResponse>,
    /// Code the model wrote to run it.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "json::fit")]
    pub executable_code: Option<ExecutableCode>,
    /// What the code printed.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "json::fit")]
    pub code_execution_result: Option<CodeExecutionResult>,
    /// A call of a tool that the service runs itself; goes back as it came.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "object")]
    pub tool_call: Option<Value>,
    /// The result of such a call; goes back as it came.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "object")]
    pub tool_response: Option<Value>,
    /// What was said in a recording; models that only transcribe answer so.
    #[serde(skip_serializing, deserialize_with = "json::fit")]
    pub audio_transcription: Option<AudioTranscription>,
    /// Clip and frame rate of a video.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub video_metadata: Option<Value>,
    /// Resolution of this picture or film alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub media_resolution: Option<Value>,
}

impl Part {
    /// The same in parts of one kind of data each; the signature is that of the last. A text of nothing beside another
    /// kind is none: some gateways write every member.
    pub fn by_kind(mut self) -> Vec<Self> {
        self.audio_transcription.take_if(|turn| turn.text.is_empty());
        let others = [
            self.audio_transcription.is_some(),
            self.inline_data.is_some() || self.file_data.is_some(),
            self.executable_code.is_some(),
            self.code_execution_result.is_some(),
            self.function_call.is_some(),
            self.tool_call.is_some() || self.tool_response.is_some(),
        ];
        let kinds = others.iter().filter(|is_there| **is_there).count();
        if kinds == 0 || (kinds == 1 && self.text.is_none()) {
            return vec![self];
        }
        let thought = self.thought;
        let text = self.text.take().filter(|text| !text.is_empty());
        let mut parts = vec![
            Self { text, ..Self::default() },
            Self { audio_transcription: self.audio_transcription.take(), ..Self::default() },
            Self { executable_code: self.executable_code.take(), ..Self::default() },
            Self { code_execution_result: self.code_execution_result.take(), ..Self::default() },
            Self { inline_data: self.inline_data.take(), file_data: self.file_data.take(), ..Self::default() },
            Self { function_call: self.function_call.take(), ..Self::default() },
            Self { tool_call: self.tool_call.take(), tool_response: self.tool_response.take(), ..Self::default() },
        ];
        parts.retain(|part| *part != Self::default());
        parts.iter_mut().for_each(|part| part.thought = thought);
        if let Some(last) = parts.last_mut() {
            last.thought_signature = self.thought_signature;
        }
        parts
    }

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
    #[serde(deserialize_with = "json::or_default")]
    pub text: String,
}

/// Bytes and what they are.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Blob {
    /// Media type.
    #[serde(deserialize_with = "json::or_default")]
    pub mime_type: String,
    /// Base64.
    #[serde(deserialize_with = "json::or_default")]
    pub data: String,
}

/// An address and what is behind it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct FileData {
    /// Media type; may be absent for YouTube.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "json::fit")]
    pub mime_type: Option<String>,
    /// The address.
    #[serde(deserialize_with = "json::or_default")]
    pub file_uri: String,
}

/// A call of a function.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct FunctionCall {
    /// Id; not every surface gives one.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "json::fit")]
    pub id: Option<String>,
    /// Name; absent in later fragments.
    #[serde(deserialize_with = "json::or_default")]
    pub name: String,
    /// Arguments; absent for a function without any.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "arguments")]
    pub args: Option<Map<String, Value>>,
    /// Fragments of arguments, on Vertex.
    #[serde(skip_serializing, deserialize_with = "json::list::<MOST_PARTS, _, _>")]
    pub partial_args: Vec<PartialArg>,
    /// Whether more fragments of this call follow.
    #[serde(skip_serializing, deserialize_with = "json::fit")]
    pub will_continue: Option<bool>,
}

impl FunctionCall {
    /// About the bytes that it keeps.
    pub(super) fn length(&self) -> usize {
        let arguments = self.args.as_ref().filter(|arguments| !arguments.is_empty());
        let fragments = self.partial_args.iter();
        let fragments = fragments.map(|it| it.json_path.len() + it.string_value.as_ref().map_or(0, String::len) + 128);
        self.name.len()
            + arguments.map_or(0, |arguments| length(arguments.values()) + arguments.len() * 128)
            + fragments.sum::<usize>()
    }
}

/// About the bytes that values keep.
fn length<'a>(values: impl Iterator<Item = &'a Value>) -> usize {
    let of = |value: &Value| match value {
        Value::String(text) => text.len(),
        Value::Array(items) => length(items.iter()),
        Value::Object(members) => length(members.values()) + members.keys().map(|key| key.len() + 128).sum::<usize>(),
        _ => 0,
    };
    values.map(|value| of(value) + size_of::<Value>()).sum()
}

/// A fragment of a call's arguments.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PartialArg {
    /// `$.city`, `$.list[0].name`.
    #[serde(deserialize_with = "json::or_default")]
    pub json_path: String,
    /// Text, joined with what came before at the same path.
    #[serde(deserialize_with = "json::fit")]
    pub string_value: Option<String>,
    /// A number.
    #[serde(deserialize_with = "json::fit")]
    pub number_value: Option<serde_json::Number>,
    /// Yes or no.
    #[serde(deserialize_with = "json::fit")]
    pub bool_value: Option<bool>,
}

/// The result of a call.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct FunctionResponse {
    /// Id of the call.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "json::fit")]
    pub id: Option<String>,
    /// Name of the function.
    #[serde(deserialize_with = "json::or_default")]
    pub name: String,
    /// Always an object: `output` or `error`.
    #[serde(deserialize_with = "json::or_default")]
    pub response: Map<String, Value>,
    /// Media of the result.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "json::list::<MOST_PARTS, _, _>")]
    pub parts: Vec<Part>,
}

/// Code the model wrote.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ExecutableCode {
    /// Id of the run.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "json::fit")]
    pub id: Option<String>,
    /// `PYTHON`.
    #[serde(deserialize_with = "json::or_default")]
    pub language: String,
    /// The code.
    #[serde(deserialize_with = "json::or_default")]
    pub code: String,
}

/// What the code did.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct CodeExecutionResult {
    /// Id of the run.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "json::fit")]
    pub id: Option<String>,
    /// `OUTCOME_OK`, `OUTCOME_FAILED`, `OUTCOME_DEADLINE_EXCEEDED`.
    #[serde(deserialize_with = "json::or_default")]
    pub outcome: String,
    /// What it printed.
    #[serde(deserialize_with = "json::or_default")]
    pub output: String,
}

/// One event of a stream, or a whole answer. Everything may be missing.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct GenerateContentResponse {
    /// Answers; only the first is used.
    #[serde(deserialize_with = "json::first::<MOST_CANDIDATES, _, _>")]
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
    /// Sources of search.
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

/// Sources of Google Search. Indexes count bytes of the whole text.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct GroundingMetadata {
    /// The sources.
    #[serde(deserialize_with = "json::places::<MOST_SOURCES, _, _>")]
    pub grounding_chunks: Vec<GroundingChunk>,
    /// What was searched for.
    #[serde(deserialize_with = "json::first::<MOST_SOURCES, _, _>")]
    pub web_search_queries: Vec<String>,
    /// Which passage rests on which sources.
    #[serde(deserialize_with = "json::first::<MOST_PASSAGES, _, _>")]
    pub grounding_supports: Vec<GroundingSupport>,
}

/// A passage and its sources.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct GroundingSupport {
    /// The passage.
    #[serde(deserialize_with = "json::fit")]
    pub segment: Option<Segment>,
    /// Numbers of its sources.
    #[serde(deserialize_with = "json::first::<64, _, _>")]
    pub grounding_chunk_indices: Vec<usize>,
}

/// A passage of the answer, in bytes of UTF-8.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Segment {
    /// Its first byte; absent is 0.
    #[serde(deserialize_with = "json::fit")]
    pub start_index: Option<usize>,
    /// The byte after its last.
    #[serde(deserialize_with = "json::fit")]
    pub end_index: Option<usize>,
    /// The passage itself.
    #[serde(deserialize_with = "json::fit")]
    pub text: Option<String>,
}

/// One source.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct GroundingChunk {
    /// A web page.
    #[serde(deserialize_with = "json::fit")]
    pub web: Option<WebSource>,
    /// A place on the map.
    #[serde(deserialize_with = "json::fit")]
    pub maps: Option<WebSource>,
    /// A picture.
    #[serde(deserialize_with = "json::fit")]
    pub image: Option<WebSource>,
    /// A document of the user's.
    #[serde(deserialize_with = "json::fit")]
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
#[serde(rename_all = "camelCase", default)]
pub struct WebSource {
    /// The address.
    #[serde(deserialize_with = "json::or_default")]
    pub uri: String,
    /// The page that a picture stands on.
    #[serde(deserialize_with = "json::or_default")]
    pub source_uri: String,
    /// The title, mostly the domain.
    #[serde(deserialize_with = "json::or_default")]
    pub title: String,
}

/// Pages that were read.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct UrlContextMetadata {
    /// One entry a page.
    #[serde(deserialize_with = "json::first::<MOST_SOURCES, _, _>")]
    pub url_metadata: Vec<UrlMetadata>,
}

/// One page.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct UrlMetadata {
    /// Its address.
    #[serde(deserialize_with = "json::or_default")]
    pub retrieved_url: String,
    /// `URL_RETRIEVAL_STATUS_…`
    #[serde(deserialize_with = "json::or_default")]
    pub url_retrieval_status: String,
}

/// Quoted sources; an answer may name them under both words.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct CitationMetadata {
    /// As the developer API says it.
    #[serde(deserialize_with = "json::first::<MOST_SOURCES, _, _>")]
    pub citation_sources: Vec<WebSource>,
    /// As Vertex says it.
    #[serde(deserialize_with = "json::first::<MOST_SOURCES, _, _>")]
    pub citations: Vec<WebSource>,
}

/// Tokens. `promptTokenCount` includes cached ones.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct UsageMetadata {
    /// Tokens of the prompt.
    #[serde(deserialize_with = "lenient::count")]
    pub prompt_token_count: Option<u64>,
    /// Of these, read from a cache.
    #[serde(deserialize_with = "lenient::count")]
    pub cached_content_token_count: Option<u64>,
    /// Tokens of the answer, without thoughts.
    #[serde(deserialize_with = "lenient::count")]
    pub candidates_token_count: Option<u64>,
    /// Tokens of thoughts.
    #[serde(deserialize_with = "lenient::count")]
    pub thoughts_token_count: Option<u64>,
    /// Tokens of results of Google's own tools.
    #[serde(deserialize_with = "lenient::count")]
    pub tool_use_prompt_token_count: Option<u64>,
    /// All together.
    #[serde(deserialize_with = "lenient::count")]
    pub total_token_count: Option<u64>,
    /// The prompt by modality.
    #[serde(deserialize_with = "json::first::<64, _, _>")]
    pub prompt_tokens_details: Vec<ModalityTokens>,
    /// The answer by modality.
    #[serde(deserialize_with = "json::first::<64, _, _>")]
    pub candidates_tokens_details: Vec<ModalityTokens>,
    /// The cached share by modality.
    #[serde(deserialize_with = "json::first::<64, _, _>")]
    pub cache_tokens_details: Vec<ModalityTokens>,
    /// The tier that served, as the developer API says it.
    #[serde(deserialize_with = "json::fit")]
    pub service_tier: Option<String>,
    /// The tier that served, as Vertex says it: `ON_DEMAND_FLEX` …
    #[serde(deserialize_with = "json::fit")]
    pub traffic_type: Option<String>,
}

impl UsageMetadata {
    /// Takes what a later event tells, each count by itself: an event may tell less than the one before it.
    pub fn update(&mut self, later: Self) {
        let counts = [
            (&mut self.prompt_token_count, later.prompt_token_count),
            (&mut self.cached_content_token_count, later.cached_content_token_count),
            (&mut self.candidates_token_count, later.candidates_token_count),
            (&mut self.thoughts_token_count, later.thoughts_token_count),
            (&mut self.tool_use_prompt_token_count, later.tool_use_prompt_token_count),
            (&mut self.total_token_count, later.total_token_count),
        ];
        for (known, told) in counts {
            *known = told.or(known.take());
        }
        for (known, told) in [
            (&mut self.prompt_tokens_details, later.prompt_tokens_details),
            (&mut self.candidates_tokens_details, later.candidates_tokens_details),
            (&mut self.cache_tokens_details, later.cache_tokens_details),
        ] {
            if !told.is_empty() {
                *known = told;
            }
        }
        for (known, told) in
            [(&mut self.service_tier, later.service_tier), (&mut self.traffic_type, later.traffic_type)]
        {
            *known = told.or(known.take());
        }
    }

    /// Whether it tells a count.
    pub fn tells(&self) -> bool {
        let counts = [self.prompt_token_count, self.candidates_token_count, self.total_token_count];
        counts.iter().any(Option::is_some) || !self.prompt_tokens_details.is_empty()
    }
}

/// Tokens of one modality.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ModalityTokens {
    /// `TEXT`, `IMAGE`, `AUDIO` …
    #[serde(deserialize_with = "json::or_default")]
    pub modality: String,
    /// How many.
    #[serde(deserialize_with = "lenient::count")]
    pub token_count: Option<u64>,
}

/// An object, as it came.
fn object<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Value>, D::Error> {
    Ok(json::fit::<D, Map<String, Value>>(deserializer)?.map(Value::Object))
}

/// Longest word of an enumeration that is anything to anybody.
const LONGEST_WORD: usize = 64;

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
        Value::String(word) => clip(word.trim(), LONGEST_WORD).to_ascii_uppercase(),
        Value::Number(number) => {
            let place = number.as_u64().and_then(|number| usize::try_from(number).ok());
            place.and_then(|place| numbered.get(place)).copied().unwrap_or("OTHER").to_owned()
        }
        _ => return None,
    };
    Some(Some(word).filter(|word| !word.is_empty()))
}

/// The arguments of a call. An object that came as text is read; one that was cut there is an error, for a call must not
/// be made with arguments that nobody gave.
fn arguments<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Map<String, Value>>, D::Error> {
    match Value::deserialize(deserializer)? {
        Value::Object(arguments) => Ok(Some(arguments)),
        Value::String(text) if text.trim_start().starts_with('{') => match json::read(text.trim()) {
            Ok(arguments) => Ok(Some(arguments)),
            Err(_) => Err(serde::de::Error::custom("the arguments of a call are cut or no JSON")),
        },
        _ => Ok(None),
    }
}
