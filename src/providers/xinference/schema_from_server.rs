//! Converts model info to Dify's schema and to the dialect's profile. A rule exists only if the model has the ability.

use serde_json::{Value, json};

use super::is_served;
use super::model_info::ModelInfo;
use super::settings::{Settings, positive_integer};
use super::voices;
use crate::dialect::openai::Profile;
use crate::dialect::openai::profile::{
    AudioForm, History, ImageForm, Mode, StructuredForm, SystemForm, ThinkingForm, ToolForm, UserForm, VideoForm,
};
use dify_plugin::declare::{I18n, ModelFeature, ModelSchema, ParameterRule, ParameterType};
use dify_plugin::error::InvokeError;
use dify_plugin::protocol::{Credentials, ModelRequest, ModelType};

/// Default context size of an LLM in tokens.
const DEFAULT_CONTEXT: u64 = 4096;

/// Default input limit of an embedding model in tokens.
pub(super) const DEFAULT_EMBEDDING_CONTEXT: u64 = 512;

/// Default number of texts per embedding request.
const DEFAULT_CHUNKS: u64 = 32;

/// Maximum number of texts per embedding request.
const MAX_CHUNKS: u64 = 2048;

/// Tokens reserved for the prompt, because the server rejects an output limit as large as the context.
const PROMPT_RESERVE: u64 = 64;

/// Parameter for the output limit.
const MAX_TOKENS: &str = "max_tokens";

/// Parameter for thinking, and its name in Dify's own plugin.
const ENABLE_THINKING: &str = "enable_thinking";
const THINK: &str = "think";

/// Maximum number of characters per speech request.
pub(super) const WORD_LIMIT: u64 = 3500;

/// Returns the schema of a model used as `request.model_type`.
pub(super) fn schema(
    request: &ModelRequest,
    settings: &Settings,
    description: &ModelInfo,
) -> Result<ModelSchema, InvokeError> {
    let model_type = request.model_type;
    if !is_served(model_type) {
        return Err(InvokeError::bad_request(format!(
            "the Xinference provider does not support {} models",
            model_type.as_str()
        )));
    }
    let mut schema = ModelSchema::customizable(&request.target.model, model_type);
    let credentials = &request.target.credentials;
    let properties = match model_type {
        ModelType::Llm => {
            schema.features = features(settings, description);
            schema.parameter_rules = rules(settings, description);
            let mode = if chats(settings, description) { "chat" } else { "completion" };
            json!({"mode": mode, "context_size": context(settings, description)})
        }
        ModelType::TextEmbedding => {
            if description.supports_image_input() {
                schema.features.push(ModelFeature::Vision);
            }
            if let Some(dimensions) = description.dimensions {
                // Dify has no property for it; validation uses it.
                schema.extra.insert("dimensions".to_owned(), dimensions.into());
            }
            let context = settings.context_length.or(description.max_tokens).unwrap_or(DEFAULT_EMBEDDING_CONTEXT);
            json!({"context_size": context, "max_chunks": max_chunks(credentials)?})
        }
        ModelType::Rerank => {
            if description.supports_image_input() {
                schema.features.push(ModelFeature::Vision);
            }
            json!({"context_size": settings.context_length.or(description.max_tokens).unwrap_or(DEFAULT_EMBEDDING_CONTEXT)})
        }
        ModelType::Tts => voices::properties(settings, description, audio_type(credentials)),
        _ => json!({}),
    };
    if let Value::Object(properties) = properties {
        schema.model_properties = properties;
    }
    Ok(schema)
}

/// Relaxes the rules for checking requests where they are only assumed: the server decides about a model that it never
/// described, and about a length that it did not report. Also accepts the thinking switch of Dify's own Xinference
/// plugin.
pub(super) fn admit_unknown(schema: &mut ModelSchema, settings: &Settings, description: &ModelInfo) {
    if schema.parameter_rules.iter().any(|rule| rule.name == ENABLE_THINKING) {
        schema.parameter_rules.push(ParameterRule::new(THINK, I18n::same(THINK), ParameterType::Boolean));
    }
    let knows_length = settings.context_length.or(description.context_length).is_some();
    // Accepts the formats that were formerly offered for every engine.
    if let Some(format) = schema.parameter_rules.iter_mut().find(|rule| rule.name == "response_format") {
        if !format.options.iter().any(|option| option == "json_schema") {
            format.options.push("json_schema".to_owned());
        }
        if schema.rule("json_schema").is_none() {
            schema.parameter_rules.push(json_schema());
        }
    }
    for rule in &mut schema.parameter_rules {
        if !description.is_reported() {
            rule.options.clear();
            (rule.min, rule.max, rule.precision) = (None, None, None);
        } else if rule.name == MAX_TOKENS && !knows_length {
            rule.max = None;
        }
    }
}

/// Returns the number of texts per embedding request: the user's value or the default.
pub(super) fn max_chunks(credentials: &Credentials) -> Result<usize, InvokeError> {
    let chunks = positive_integer(credentials, "max_chunks")?.unwrap_or(DEFAULT_CHUNKS);
    Ok(usize::try_from(chunks.min(MAX_CHUNKS)).unwrap_or(1))
}

/// Returns the audio format: the user's value or MP3.
pub(super) fn audio_type(credentials: &Credentials) -> &str {
    credentials.get("audio_type").unwrap_or("mp3")
}

fn chats(settings: &Settings, description: &ModelInfo) -> bool {
    match settings.completion_type.as_deref() {
        Some("completion") => {
            description.model_type.is_some() && description.has("chat") && !description.has("generate")
        }
        _ => description.chats(),
    }
}

fn context(settings: &Settings, description: &ModelInfo) -> u64 {
    settings.context_length.or(description.context_length).unwrap_or(DEFAULT_CONTEXT)
}

fn features(settings: &Settings, description: &ModelInfo) -> Vec<ModelFeature> {
    if !chats(settings, description) {
        return Vec::new();
    }
    let streams_calls = settings.stream_function_calling.unwrap_or_else(|| description.has_strong_engine());
    let tools = description.calls_tools();
    [
        (tools, ModelFeature::ToolCall),
        (tools, ModelFeature::MultiToolCall),
        (tools && streams_calls, ModelFeature::StreamToolCall),
        (description.sees(), ModelFeature::Vision),
        (description.supports_video_input(), ModelFeature::Video),
        (description.supports_audio_input(), ModelFeature::Audio),
        (description.reasons(), ModelFeature::AgentThought),
        (description.has_strong_engine(), ModelFeature::StructuredOutput),
    ]
    .into_iter()
    .filter_map(|(has, feature)| has.then_some(feature))
    .collect()
}

/// Returns the dialect variant for this model.
pub(super) fn profile(description: &ModelInfo, settings: &Settings) -> Profile {
    let chat = chats(settings, description);
    let thinking = ThinkingForm { template_kwargs: true, top_level: true, object: false };
    // The server decides about a model that it did not describe.
    let unknown = !description.is_reported();
    let reasons = description.reasons() || unknown;
    Profile {
        mode: if chat { Mode::Chat } else { Mode::Completion },
        image: if description.sees() || unknown { ImageForm::ImageUrlWithoutDetail } else { ImageForm::Unsupported },
        video: if description.supports_video_input() || unknown { VideoForm::VideoUrl } else { VideoForm::Unsupported },
        audio: if description.supports_audio_input() || unknown { AudioForm::AudioUrl } else { AudioForm::Unsupported },
        tools: if description.calls_tools() || unknown { ToolForm::ToolCall } else { ToolForm::None },
        structured: if description.has_strong_engine() { StructuredForm::Native } else { StructuredForm::Prompt },
        thinking: if chat && reasons { thinking } else { ThinkingForm::default() },
        // Only some engines and families have parsers, and streamed responses of the others are unchanged. The parsers
        // use
        // the same tags for calls.
        leaks_calls: true,
        include_usage: true,
        user: Some(UserForm::default()),
        prefer_inline: true,
        history: History {
            system: if description.strict_system_first { SystemForm::First } else { SystemForm::Keep },
            ..History::default()
        },
        ..Profile::default()
    }
}

fn json_schema() -> ParameterRule {
    ParameterRule::new("json_schema", I18n::new("JSON Schema", "JSON Schema"), ParameterType::Text)
}

fn rules(settings: &Settings, description: &ModelInfo) -> Vec<ParameterRule> {
    use ParameterType::{Boolean, Float, Int, String, Text};
    let longest = context(settings, description).saturating_sub(PROMPT_RESERVE).max(1);
    let rule = |name: &str, label: I18n, kind: ParameterType| ParameterRule::new(name, label, kind);
    let number = |name, en, zh, low, high, default: f64| {
        rule(name, I18n::new(en, zh), Float).range(low, high).precision(2).default_value(default)
    };
    let mut rules = vec![
        number("temperature", "Temperature", "温度", 0.0, 2.0, 0.7),
        number("top_p", "Top P", "Top P", 0.0, 1.0, 1.0),
        rule("top_k", I18n::new("Top K", "Top K"), Int).range(1.0, 1000.0).default_value(50),
        rule(MAX_TOKENS, I18n::new("Max tokens", "最大 token 数"), Int)
            .range(1.0, longest as f64)
            .default_value(longest.min(1024))
            .help(I18n::new(
                "Maximum number of tokens to generate. If unset, the server's limit applies.",
                "生成的最大 token 数；未设置时使用服务器的限制。",
            )),
        number("presence_penalty", "Presence penalty", "存在惩罚", -2.0, 2.0, 0.0),
        number("frequency_penalty", "Frequency penalty", "频率惩罚", -2.0, 2.0, 0.0),
        number("repetition_penalty", "Repetition penalty", "重复惩罚", 0.01, 2.0, 1.0),
        rule("seed", I18n::new("Seed", "随机种子"), Int).range(0.0, 2_147_483_647.0).default_value(42),
    ];
    if !chats(settings, description) {
        return rules;
    }
    let unknown = !description.is_reported();
    if description.is_hybrid() || unknown {
        rules.push(rule(ENABLE_THINKING, I18n::new("Thinking", "思考模式"), Boolean).help(I18n::new(
            "Whether the model thinks before it responds. If unset, the model's default applies.",
            "模型回答前是否思考；未设置时使用模型默认值。",
        )));
    }
    if description.reasons() || unknown {
        rules.push(
            rule("reasoning_effort", I18n::new("Reasoning effort", "推理强度"), String)
                .options(["low", "medium", "high"])
                .help(I18n::new(
                    "Reasoning effort. Works only if the model's chat template supports it.",
                    "思考的强度，仅当模型的对话模板支持时有效。",
                )),
        );
    }
    // Dify uses a schema only if the feature is listed; without it, Dify writes the schema into the prompt.
    let formats = ["text", "json_object", "json_schema"];
    let by_schema = description.has_strong_engine();
    let formats = &formats[..if by_schema { 3 } else { 2 }];
    let label = I18n::new("Response format", "回复格式");
    rules.push(rule("response_format", label, String).options(formats.iter().copied()));
    if by_schema {
        rules.push(json_schema());
    }
    if description.has_guided_decoding() || unknown {
        rules.push(rule("guided_json", I18n::new("Guided JSON Schema", "引导解码 JSON Schema"), Text).help(I18n::new(
            "JSON Schema that the engine enforces during decoding.",
            "引擎在解码时强制执行的 JSON Schema。",
        )));
    }
    rules
}

#[cfg(test)]
mod tests;
