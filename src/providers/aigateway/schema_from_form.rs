//! Builds the schema of a customizable model from its credential form.

use rust_decimal::Decimal;
use serde_json::{Value, json};

use super::llm::Thinking;
use super::speech_from_form;
use crate::providers::compatible::form_fields::{FILE_EXTENSIONS, count, file_url};
use dify_plugin::declare::{I18n, ModelFeature, ModelSchema, ParameterRule, ParameterType, Pricing};
use dify_plugin::error::InvokeError;
use dify_plugin::protocol::{Credentials, ModelRequest, ModelType};

/// Default context size in tokens.
const DEFAULT_CONTEXT: u64 = 4096;

/// Maximum price per unit of tokens.
const HIGHEST_PRICE: u64 = 1_000_000_000;

/// Maximum thinking budget in tokens, and the value that Dify's form starts with.
const MAX_THINKING_TOKENS: u64 = 1_000_000;
const DEFAULT_BUDGET: u64 = 8192;

/// Default number of texts per embedding request: the lowest limit among the services usually behind the gateway.
const DEFAULT_CHUNKS: u64 = 10;

/// Returns the schema of a model.
pub(super) fn schema(request: &ModelRequest) -> Result<ModelSchema, InvokeError> {
    let credentials = &request.target.credentials;
    let mut schema = ModelSchema::customizable(&request.target.model, request.model_type);
    if let Some(name) = credentials.get("display_name") {
        schema.label = I18n::same(name);
    }
    schema.pricing = pricing(credentials)?;
    let properties = match request.model_type {
        ModelType::Llm => {
            file_url(credentials)?;
            schema.features = features(credentials);
            schema.parameter_rules = rules(credentials)?;
            json!({"mode": credentials.get("mode").unwrap_or("chat"), "context_size": context_size(credentials)?})
        }
        ModelType::TextEmbedding => {
            count(credentials, "dimensions", 1)?;
            json!({"context_size": context_size(credentials)?, "max_chunks": max_chunks(credentials)?})
        }
        ModelType::Rerank => json!({"context_size": context_size(credentials)?}),
        ModelType::Speech2text => json!({
            "file_upload_limit": speech_from_form::upload_limit(credentials)?,
            "supported_file_extensions": FILE_EXTENSIONS,
        }),
        ModelType::Tts => speech_from_form::properties(credentials)?,
        other => return Err(unsupported(other)),
    };
    if let Value::Object(properties) = properties {
        schema.model_properties = properties;
    }
    Ok(schema)
}

/// Returns the error of a model type that gateways do not serve.
pub(super) fn unsupported(model_type: ModelType) -> InvokeError {
    InvokeError::bad_request(format!("the AI Gateway provider does not support {} models", model_type.as_str()))
}

/// Returns the schema for checking requests. It accepts what could be selected when every model offered a schema.
pub(super) fn call_schema(request: &ModelRequest) -> Result<ModelSchema, InvokeError> {
    let mut schema = schema(request)?;
    if schema.rule("response_format").is_some() {
        schema.parameter_rules.retain(|rule| !matches!(rule.name.as_str(), "response_format" | "json_schema"));
        schema.parameter_rules.extend(format_rules(true));
    }
    Ok(schema)
}

/// Returns the context size in tokens.
pub(super) fn context_size(credentials: &Credentials) -> Result<u64, InvokeError> {
    count(credentials, "context_size", DEFAULT_CONTEXT)
}

/// Returns the number of texts per embedding request.
pub(super) fn max_chunks(credentials: &Credentials) -> Result<u64, InvokeError> {
    count(credentials, "max_chunks", DEFAULT_CHUNKS)
}

fn features(credentials: &Credentials) -> Vec<ModelFeature> {
    let chosen = |field: &str| credentials.get(field).unwrap_or_default();
    let calls = chosen("function_calling_type");
    let given = |field: &str| matches!(chosen(field), "support" | "supported");
    [
        (calls == "function_call", ModelFeature::ToolCall),
        (matches!(calls, "tool_call" | "stream_tool_call"), ModelFeature::MultiToolCall),
        (
            // A separate field in earlier forms.
            calls == "stream_tool_call"
                || matches!(calls, "function_call" | "tool_call") && given("stream_function_calling"),
            ModelFeature::StreamToolCall,
        ),
        (Thinking::of(credentials) != Thinking::No, ModelFeature::AgentThought),
        (given("vision_support"), ModelFeature::Vision),
        (given("audio_support"), ModelFeature::Audio),
        (given("video_support"), ModelFeature::Video),
        (given("document_support"), ModelFeature::Document),
        (receives_schema(credentials), ModelFeature::StructuredOutput),
    ]
    .into_iter()
    .filter_map(|(has, feature)| has.then_some(feature))
    .collect()
}

/// Whether the model receives a schema. Otherwise, Dify writes the schema into its prompt.
fn receives_schema(credentials: &Credentials) -> bool {
    matches!(credentials.get("structured_output_support"), Some("supported" | "both"))
}

/// Returns the rules for the response format; `json_schema` is offered only if the features include it.
fn format_rules(by_schema: bool) -> Vec<ParameterRule> {
    let formats = ["text", "json_object", "json_schema"];
    let formats = &formats[..if by_schema { 3 } else { 2 }];
    let format = ParameterRule::new("response_format", I18n::new("Response format", "回复格式"), ParameterType::String)
        .options(formats.iter().copied());
    let schema = ParameterRule::new("json_schema", I18n::new("JSON Schema", "JSON Schema"), ParameterType::Text)
        .template("json_schema");
    std::iter::once(format).chain(by_schema.then_some(schema)).collect()
}

fn rules(credentials: &Credentials) -> Result<Vec<ParameterRule>, InvokeError> {
    let longest = count(credentials, "max_tokens_to_sample", 4096)?;
    let float = |name: &str, label, (low, high), default: f64| {
        ParameterRule::new(name, label, ParameterType::Float).range(low, high).precision(2).default_value(default)
    };
    let mut rules = vec![
        float("temperature", I18n::new("Temperature", "温度"), (0.0, 2.0), 0.7),
        float("top_p", I18n::new("Top P", "Top P"), (0.0, 1.0), 1.0),
        ParameterRule::new("top_k", I18n::new("Top K", "Top K"), ParameterType::Int)
            .range(0.0, 1000.0)
            .default_value(50),
        float("frequency_penalty", I18n::new("Frequency penalty", "频率惩罚"), (-2.0, 2.0), 0.0),
        float("presence_penalty", I18n::new("Presence penalty", "存在惩罚"), (-2.0, 2.0), 0.0),
        float("repetition_penalty", I18n::new("Repetition penalty", "重复惩罚"), (0.01, 2.0), 1.0).help(I18n::new(
            "Supported by vLLM, SGLang and Alibaba Cloud Model Studio, not by OpenAI.",
            "vLLM、SGLang 和阿里云百炼支持，OpenAI 不支持。",
        )),
        ParameterRule::new("max_tokens", I18n::new("Max tokens", "最大 token 数"), ParameterType::Int)
            .range(1.0, longest as f64)
            .default_value(longest.min(512)),
        ParameterRule::new("seed", I18n::new("Seed", "随机种子"), ParameterType::Int)
            .range(0.0, 2_147_483_647.0)
            .default_value(42),
    ];
    rules.extend(format_rules(receives_schema(credentials)));
    let thinking = Thinking::of(credentials);
    if thinking == Thinking::Switchable {
        let label = I18n::new("Thinking mode", "思考模式");
        rules.push(ParameterRule::new("enable_thinking", label, ParameterType::Boolean));
    }
    if thinking != Thinking::No {
        let label = I18n::new("Reasoning effort", "推理强度");
        let efforts = ["none", "minimal", "low", "medium", "high", "xhigh"];
        rules.push(ParameterRule::new("reasoning_effort", label, ParameterType::String).options(efforts).help(
            I18n::new(
                "How much the model thinks. Not every model supports every value.",
                "思考的强度。并非每个模型都支持所有取值。",
            ),
        ));
        let label = I18n::new("Thinking budget", "思考预算");
        rules.push(
            ParameterRule::new("thinking_budget", label, ParameterType::Int)
                .range(1.0, MAX_THINKING_TOKENS as f64)
                .default_value(DEFAULT_BUDGET)
                .help(I18n::new(
                    "Maximum number of tokens for thinking. Supported by the Qwen models of Alibaba Cloud Model Studio and others.",
                    "思考的最大 token 数。阿里云百炼的通义千问等模型支持。",
                )),
        );
    }
    if thinking != Thinking::No || credentials.flag("structured_output_support", false) {
        let label = I18n::new("Reasoning format", "推理格式");
        let formats = ["none", "auto", "deepseek", "deepseek-legacy"];
        rules.push(ParameterRule::new("reasoning_format", label, ParameterType::String).options(formats));
    }
    rules.push(ParameterRule::new("enable_search", I18n::new("Web search", "联网搜索"), ParameterType::Boolean).help(
        I18n::new(
            "Whether the model searches the web. Supported by Alibaba Cloud Model Studio.",
            "模型是否联网搜索。阿里云百炼支持。",
        ),
    ));
    Ok(rules)
}

/// Returns the price of the form if it has an input price. Filled-in price fields must be valid even without one.
fn pricing(credentials: &Credentials) -> Result<Option<Pricing>, InvokeError> {
    let decimal =
        |field: &str, fits: fn(&Decimal) -> bool, what: &str| match credentials.get(field) {
            None => Ok(None),
            Some(text) => text.parse::<Decimal>().ok().filter(fits).map(Some).ok_or_else(|| {
                InvokeError::credentials(format!("credential `{field}` must be a decimal number {what}"))
            }),
        };
    let is_price = |price: &Decimal| *price >= Decimal::ZERO && *price <= Decimal::from(HIGHEST_PRICE);
    let is_share = |unit: &Decimal| *unit > Decimal::ZERO && *unit <= Decimal::ONE;
    let input = decimal("input_price", is_price, "of at least 0")?;
    let output = decimal("output_price", is_price, "of at least 0")?;
    let unit = decimal("unit", is_share, "greater than 0 and at most 1; 0.000001 for prices per million tokens")?;
    Ok(input.map(|input| {
        let mut pricing = Pricing::per_million(input, output);
        pricing.unit = unit.unwrap_or(pricing.unit);
        pricing.currency = credentials.get("currency").unwrap_or("USD").to_owned();
        pricing
    }))
}
