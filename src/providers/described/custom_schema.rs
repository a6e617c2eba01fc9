//! The schema of a model that a user added, from well-known fields of its form and from the facts' `custom`. There is one
//! for every model type: without a schema Dify does not list the model. What it is not: the options of the dialect.

use rust_decimal::Decimal;
use serde_json::{Map, Value, json};

use super::facts::Custom;
use super::values::CallValues;
use crate::dialect::openai::speech_responses::mime_type;
use crate::providers::compatible::form_fields::{self, FILE_EXTENSIONS, count};
use crate::providers::compatible::model::LanguageVoice;
use dify_plugin::declare::{I18n, ModelFeature, ModelSchema, ParameterRule, ParameterType, Pricing, template};
use dify_plugin::error::InvokeError;
use dify_plugin::protocol::{Credentials, ModelType};

/// Default context sizes in tokens.
const DEFAULT_CONTEXT: u64 = 4096;
const DEFAULT_EMBEDDING_CONTEXT: u64 = 512;

/// Default number of texts per embedding request.
const DEFAULT_CHUNKS: u64 = 16;

/// Default number of characters per speech request.
const DEFAULT_CHARACTERS: u64 = 2000;

/// Default maximum size of an audio file in MiB.
const DEFAULT_UPLOAD: u64 = 25;

/// Default of the rule for the output limit.
const DEFAULT_OUTPUT: u64 = 512;

/// Default characters per moderation text.
const DEFAULT_MODERATION_CHARACTERS: u64 = 2000;

/// Maximum price per unit of tokens.
const MAX_PRICE: u64 = 1_000_000_000;

/// Returns the schema of a model.
pub fn schema(
    model: &str,
    model_type: ModelType,
    custom: &Custom,
    values: &CallValues<'_>,
) -> Result<ModelSchema, InvokeError> {
    let credentials = &*values.credentials;
    let mut schema = ModelSchema::customizable(model, model_type);
    schema.label = label(credentials, model);
    schema.pricing = pricing(credentials)?;
    schema.features = match model_type {
        ModelType::Llm => features(credentials, custom),
        ModelType::TextEmbedding | ModelType::Rerank if yes(credentials, "vision_support") => {
            vec![ModelFeature::Vision]
        }
        _ => Vec::new(),
    };
    let properties = match model_type {
        ModelType::Llm => {
            schema.parameter_rules = rules(custom, values)?;
            json!({"mode": mode(credentials), "context_size": count(credentials, "context_size", DEFAULT_CONTEXT)?})
        }
        ModelType::TextEmbedding => json!({
            "context_size": count(credentials, "context_size", DEFAULT_EMBEDDING_CONTEXT)?,
            "max_chunks": count(credentials, "max_chunks", DEFAULT_CHUNKS)?,
        }),
        ModelType::Rerank => json!({"context_size": count(credentials, "context_size", DEFAULT_CONTEXT)?}),
        ModelType::Speech2text => json!({
            "file_upload_limit": count(credentials, "file_upload_limit", DEFAULT_UPLOAD)?,
            "supported_file_extensions": FILE_EXTENSIONS,
        }),
        ModelType::Moderation => json!({
            "max_chunks": count(credentials, "max_chunks", 1)?,
            "max_characters_per_chunk": count(credentials, "max_characters_per_chunk", DEFAULT_MODERATION_CHARACTERS)?,
        }),
        ModelType::Tts => speech(credentials)?,
        other => return Err(unsupported(other)),
    };
    if let Value::Object(properties) = properties {
        schema.model_properties = properties;
    }
    Ok(schema)
}

/// Returns the error for a model type of a newer Dify.
pub fn unsupported(model_type: ModelType) -> InvokeError {
    InvokeError::bad_request(format!("{} models are not supported", model_type.as_str()))
}

/// Whether a field says yes in any of the words that forms use.
pub fn yes(credentials: &Credentials, field: &str) -> bool {
    matches!(credentials.get(field), Some("support" | "supported" | "true" | "True" | "yes" | "enabled"))
}

fn label(credentials: &Credentials, model: &str) -> I18n {
    if let Some(name) = credentials.get("display_name") {
        return I18n::same(name);
    }
    match (credentials.get("model_label_en_US"), credentials.get("model_label_zh_Hans")) {
        (Some(english), Some(chinese)) => I18n::new(english, chinese),
        (Some(one), None) | (None, Some(one)) => I18n::same(one),
        (None, None) => I18n::same(model),
    }
}

/// Returns `chat` or `completion`, from either of the fields that forms have for it.
pub fn mode(credentials: &Credentials) -> &'static str {
    let of_mode = credentials.get("mode") == Some("completion");
    let of_type = credentials.get("mode").is_none() && credentials.get("completion_type") == Some("completion");
    if of_mode || of_type { "completion" } else { "chat" }
}

fn features(credentials: &Credentials, custom: &Custom) -> Vec<ModelFeature> {
    let calls = credentials.get("function_calling_type").unwrap_or_default();
    let supports_calls =
        credentials.get("function_calling_type").is_none() && yes(credentials, "function_call_support");
    let has_calls = matches!(calls, "function_call" | "tool_call" | "stream_tool_call") || supports_calls;
    let streams = calls == "stream_tool_call" || yes(credentials, "stream_function_calling");
    let thinks =
        matches!(credentials.get("agent_thought_support"), Some("supported" | "only_thinking_supported" | "true"));
    let selected = [
        (calls == "function_call", ModelFeature::ToolCall),
        (has_calls && calls != "function_call", ModelFeature::MultiToolCall),
        (has_calls && streams, ModelFeature::StreamToolCall),
        (thinks, ModelFeature::AgentThought),
        (yes(credentials, "vision_support"), ModelFeature::Vision),
        (yes(credentials, "video_support"), ModelFeature::Video),
        (yes(credentials, "audio_support"), ModelFeature::Audio),
        (yes(credentials, "document_support"), ModelFeature::Document),
        (yes(credentials, "structured_output_support"), ModelFeature::StructuredOutput),
    ];
    let mut features: Vec<ModelFeature> =
        selected.into_iter().filter_map(|(has, feature)| has.then_some(feature)).collect();
    for feature in &custom.features {
        if !features.contains(feature) {
            features.push(*feature);
        }
    }
    features
}

/// Returns the bound of the output limit, from either of the fields that forms have for it.
fn max_output(credentials: &Credentials) -> Result<u64, InvokeError> {
    let field = if credentials.get("max_tokens").is_some() { "max_tokens" } else { "max_tokens_to_sample" };
    count(credentials, field, DEFAULT_CONTEXT)
}

fn rules(custom: &Custom, values: &CallValues<'_>) -> Result<Vec<ParameterRule>, InvokeError> {
    let Some(rules) = &custom.rules else { return usual_rules(&values.credentials) };
    let given = rules.iter().filter(|rule| values.meet(&rule.when));
    given
        .map(|rule| {
            read_rule(rule.rule.clone())
                .map_err(|what| InvokeError::credentials(format!("the form makes an invalid parameter rule: {what}")))
        })
        .collect()
}

/// Reads a rule as it is in a model's file, with its default within its range; or returns what is wrong with it.
pub fn read_rule(mut rule: Map<String, Value>) -> Result<ParameterRule, String> {
    if !template::fill(&mut rule) {
        return Err(format!("unknown template {}", rule.get("use_template").unwrap_or(&Value::Null)));
    }
    if rule.get("label").is_none_or(Value::is_null)
        && let Some(name) = rule.get("name").cloned()
    {
        rule.insert("label".to_owned(), json!({"en_US": name}));
    }
    let mut rule: ParameterRule = serde_json::from_value(Value::Object(rule)).map_err(|error| error.to_string())?;
    if let Some(default) = rule.default.as_ref().and_then(Value::as_f64) {
        let within = default.min(rule.max.unwrap_or(f64::MAX)).max(rule.min.unwrap_or(f64::MIN));
        if within != default {
            rule.default = Some(if rule.kind == ParameterType::Int { json!(within as i64) } else { json!(within) });
        }
    }
    Ok(rule)
}

fn usual_rules(credentials: &Credentials) -> Result<Vec<ParameterRule>, InvokeError> {
    let most = max_output(credentials)?;
    let default = |name: &str, usual: f64| Ok::<_, InvokeError>(credentials.number(name)?.unwrap_or(usual));
    let float = |name: &'static str, label, (low, high): (f64, f64), usual: f64| {
        let default = default(name, usual)?.clamp(low, high);
        let rule = ParameterRule::new(name, label, ParameterType::Float).range(low, high).precision(2);
        Ok::<_, InvokeError>(rule.template(name).default_value(default))
    };
    Ok(vec![
        float("temperature", I18n::new("Temperature", "温度"), (0.0, 2.0), 0.7)?,
        float("top_p", I18n::new("Top P", "Top P"), (0.0, 1.0), 1.0)?,
        float("frequency_penalty", I18n::new("Frequency penalty", "频率惩罚"), (-2.0, 2.0), 0.0)?,
        float("presence_penalty", I18n::new("Presence penalty", "存在惩罚"), (-2.0, 2.0), 0.0)?,
        ParameterRule::new("max_tokens", I18n::new("Max tokens", "最大 token 数"), ParameterType::Int)
            .template("max_tokens")
            .range(1.0, most as f64)
            .default_value(most.min(DEFAULT_OUTPUT)),
    ])
}

/// Returns the price of the form; without prices there is none.
fn pricing(credentials: &Credentials) -> Result<Option<Pricing>, InvokeError> {
    let decimal = |field: &str| match credentials.get(field) {
        None => Ok(None),
        Some(text) => text
            .parse::<Decimal>()
            .ok()
            .filter(|price| *price >= Decimal::ZERO && *price <= Decimal::from(MAX_PRICE))
            .map(Some)
            .ok_or_else(|| {
                InvokeError::credentials(format!("credential `{field}` must be a decimal number of at least 0"))
            }),
    };
    let (input, output, unit) = (decimal("input_price")?, decimal("output_price")?, decimal("unit")?);
    if input.is_none() && output.is_none() {
        return Ok(None);
    }
    let mut pricing = Pricing::per_million(input.unwrap_or_default(), output);
    pricing.unit = unit.unwrap_or(Decimal::ZERO);
    pricing.currency = credentials.get("currency").unwrap_or("USD").to_owned();
    Ok(Some(pricing))
}

/// Returns the voices of the form.
pub fn voices(credentials: &Credentials) -> Vec<LanguageVoice> {
    form_fields::voices(credentials.get("voices").unwrap_or_default())
}

fn speech(credentials: &Credentials) -> Result<Value, InvokeError> {
    let format = credentials.get("audio_type").unwrap_or("mp3");
    if mime_type(format).is_none() {
        return Err(InvokeError::credentials(
            "credential `audio_type` must be mp3, wav, opus, flac, aac or pcm".to_owned(),
        ));
    }
    let voices = voices(credentials);
    // Dify lists a model only with a voice; `alloy` is the first one of the original API.
    let voices = if voices.is_empty() { form_fields::voices("alloy") } else { voices };
    let default = voices.first().map(|first| first.voice.value.clone());
    let languages = ["en-US", "zh-Hans", "ja-JP", "ko-KR", "fr-FR", "de-DE", "es-ES", "pt-BR", "ru-RU", "it-IT"];
    let listed: Vec<Value> = voices
        .into_iter()
        .map(|listed| json!({"mode": listed.voice.value, "name": listed.voice.name, "language": languages}))
        .collect();
    Ok(json!({
        "default_voice": default,
        "voices": listed,
        "word_limit": count(credentials, "word_limit", DEFAULT_CHARACTERS)?,
        "audio_type": format,
        "max_workers": 1,
    }))
}

/// Whether any credential decides about the schema; used to name what a value is for.
pub fn is_well_known(field: &str) -> bool {
    WELL_KNOWN.contains(&field)
}

/// Fields that the schema and the calls of a model read whatever the facts say.
const WELL_KNOWN: [&str; 38] = [
    "mode",
    "completion_type",
    "context_size",
    "max_tokens",
    "max_tokens_to_sample",
    "function_calling_type",
    "stream_function_calling",
    "function_call_support",
    "vision_support",
    "video_support",
    "audio_support",
    "document_support",
    "structured_output_support",
    "agent_thought_support",
    "agent_though_support",
    "display_name",
    "model_label_en_US",
    "model_label_zh_Hans",
    "voices",
    "audio_type",
    "word_limit",
    "max_chunks",
    "language",
    "input_price",
    "output_price",
    "unit",
    "currency",
    "file_upload_limit",
    "max_characters_per_chunk",
    "temperature",
    "top_p",
    "frequency_penalty",
    "presence_penalty",
    "file_url",
    "validate_model",
    "stream_mode_auth",
    "validate_credentials_max_tokens",
    "endpoint_model_name",
];

#[cfg(test)]
mod tests;
