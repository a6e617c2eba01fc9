//! The schema of a customizable model: rules and features of its family, limits and prices as the user gives them.

use rust_decimal::Decimal;

use super::limits::Limits;
use crate::declare::{I18n, ModelFeature, ModelSchema, ParameterRule, ParameterType, Pricing};
use crate::dialect::gemini::ModelProfile;
use crate::dialect::gemini::embedding::EmbeddingProfile;
use crate::dialect::gemini::interactions::is_agent;
use crate::dialect::gemini::parameters::{SAFETY, THRESHOLDS};
use crate::dialect::gemini::profile::Family;
use crate::error::InvokeError;
use crate::protocol::{Credentials, ModelRequest, ModelType};

/// Context of every text model of the line-up.
const CONTEXT: u64 = 1_048_576;

/// Longest answer of every text model of the line-up.
const LONGEST_ANSWER: f64 = 65_536.0;

/// Levels of thinking; 3.7 and later refuse the first.
const LEVELS: [&str; 4] = ["Minimal", "Low", "Medium", "High"];

pub(super) fn customizable(request: &ModelRequest, limits: Limits) -> Result<ModelSchema, InvokeError> {
    let credentials = &request.target.credentials;
    let mut schema = ModelSchema::customizable(&request.target.model, request.model_type);
    if let Some(name) = credentials.get("display_name") {
        schema.label = I18n::same(name);
    }
    let embeds_pictures = EmbeddingProfile::of_name(&request.target.model).task_words.is_some();
    let context = whole(credentials, "context_size")?.or(limits.input_token_limit);
    let context = context.unwrap_or(match (request.model_type, embeds_pictures) {
        (ModelType::TextEmbedding, true) => 8192,
        (ModelType::TextEmbedding, false) => 2048,
        _ => CONTEXT,
    });
    schema.model_properties.insert("context_size".to_owned(), context.into());
    schema.pricing = pricing(credentials)?;
    if request.model_type != ModelType::Llm {
        if request.model_type == ModelType::TextEmbedding {
            schema.model_properties.insert("max_chunks".to_owned(), 100.into());
            schema.features.extend(embeds_pictures.then_some(ModelFeature::Vision));
        }
        if request.model_type == ModelType::Tts {
            schema.model_properties.insert("audio_type".to_owned(), "wav".into());
        }
        return Ok(schema);
    }
    let family = match credentials.get("model_family") {
        None | Some("auto") => Family::of_model(&request.target.model),
        Some(name) => Family::by_name(name)
            .ok_or_else(|| InvokeError::credentials(format!("credential `model_family` does not know `{name}`")))?,
    };
    let longest_answer = whole(credentials, "max_output_tokens")?.or(limits.output_token_limit);
    schema.model_properties.insert("mode".to_owned(), "chat".into());
    if is_agent(&request.target.model) {
        schema.features = vec![ModelFeature::Polling, ModelFeature::Vision, ModelFeature::Document];
        return Ok(schema);
    }
    schema.features = features(family);
    schema.parameter_rules = rules(
        family,
        takes_minimal(&request.target.model, family),
        longest_answer.map_or(LONGEST_ANSWER, |limit| limit as f64),
    );
    Ok(schema)
}

/// Whether the model thinks as little as `Minimal`: told by its name, else by its family.
fn takes_minimal(model: &str, family: Family) -> bool {
    match (Family::version_of(model), family) {
        (_, Family::Gemini4) => false,
        (Some(version), _) => version < (3, 7),
        (None, _) => true,
    }
}

fn whole(credentials: &Credentials, field: &str) -> Result<Option<u64>, InvokeError> {
    match credentials.number(field)? {
        None => Ok(None),
        Some(number) if number >= 1.0 && number.fract() == 0.0 => Ok(Some(number as u64)),
        Some(_) => Err(InvokeError::credentials(format!("credential `{field}` must be a whole number above 0"))),
    }
}

fn pricing(credentials: &Credentials) -> Result<Option<Pricing>, InvokeError> {
    let price = |field: &str| -> Result<Option<Decimal>, InvokeError> {
        let Some(text) = credentials.get(field) else { return Ok(None) };
        text.parse()
            .map(Some)
            .map_err(|_| InvokeError::credentials(format!("credential `{field}` must be a decimal number")))
    };
    let Some(input) = price("input_price")? else { return Ok(None) };
    Ok(Some(Pricing { input, output: price("output_price")?, unit: Decimal::new(1, 6), currency: "USD".to_owned() }))
}

fn features(family: Family) -> Vec<ModelFeature> {
    use ModelFeature::{
        AgentThought, Audio, Document, MultiToolCall, StreamToolCall, StructuredOutput, ToolCall, Video, Vision,
    };
    match family {
        Family::Image => vec![Vision, Document],
        Family::Gemma => vec![Vision],
        Family::Tts => Vec::new(),
        Family::Gemini2 => vec![ToolCall, MultiToolCall, StreamToolCall, Vision, Document, Video, Audio],
        _ => vec![
            ToolCall,
            MultiToolCall,
            AgentThought,
            Vision,
            StreamToolCall,
            Document,
            Video,
            Audio,
            StructuredOutput,
        ],
    }
}

fn rules(family: Family, least_thinking: bool, longest_answer: f64) -> Vec<ParameterRule> {
    let flag = |name: &str, english: &str, chinese: &str| {
        ParameterRule::new(name, I18n::new(english, chinese), ParameterType::Boolean).default_value(false)
    };
    let choice = |name: &str, english: &str, chinese: &str, options: &[&str]| {
        ParameterRule::new(name, I18n::new(english, chinese), ParameterType::String).options(options.iter().copied())
    };
    let mut rules = Vec::new();
    if !matches!(family, Family::Gemini4 | Family::Gemini3NoSampling) {
        for (name, english, chinese, max) in
            [("temperature", "Temperature", "温度", 2.0), ("top_p", "Top P", "Top P", 1.0)]
        {
            rules.push(
                ParameterRule::new(name, I18n::new(english, chinese), ParameterType::Float)
                    .range(0.0, max)
                    .precision(2),
            );
        }
        rules.push(ParameterRule::new("top_k", I18n::same("Top K"), ParameterType::Int).range(1.0, 100.0));
    }
    rules.push(
        ParameterRule::new("max_output_tokens", I18n::new("Max output tokens", "最大输出标记"), ParameterType::Int)
            .range(1.0, longest_answer),
    );
    rules.push(ParameterRule::new("seed", I18n::new("Seed", "随机种子"), ParameterType::Int));
    match family {
        Family::Gemini4 | Family::Gemini3NoSampling | Family::Gemini3 => {
            rules.push(flag("include_thoughts", "Show thoughts", "显示思考"));
            let levels = if least_thinking { &LEVELS[..] } else { &LEVELS[1..] };
            rules.push(choice("thinking_level", "Thinking level", "思考等级", levels));
        }
        Family::Gemini25Pro | Family::Gemini25Flash => {
            rules.push(flag("include_thoughts", "Show thoughts", "显示思考"));
            rules.push(
                ParameterRule::new("thinking_budget", I18n::new("Thinking budget", "思考预算"), ParameterType::Int)
                    .range(-1.0, 32_768.0),
            );
        }
        Family::Image => {
            let ratios = ["Auto", "1:1", "9:16", "16:9", "3:4", "4:3", "3:2", "2:3", "5:4", "4:5", "21:9"];
            rules.push(choice("aspect_ratio", "Aspect ratio", "宽高比", &ratios));
            rules.push(choice("resolution", "Resolution", "分辨率", &["1K", "2K", "4K"]));
        }
        Family::Gemini2 | Family::Gemma | Family::Tts => {}
    }
    if !matches!(family, Family::Image | Family::Gemma | Family::Tts) {
        rules.push(flag("grounding", "Google Search", "谷歌搜索"));
        rules.push(flag("url_context", "URL context", "网址内容"));
        rules.push(flag("code_execution", "Code execution", "代码执行"));
        rules.push(ParameterRule::new("json_schema", I18n::same("JSON Schema"), ParameterType::Text));
        rules.push(choice("media_resolution", "Media resolution", "媒体分辨率", &["Default", "Low", "Medium", "High"]));
    }
    if ModelProfile::of_family(family).cache_minimum.is_some() {
        rules.push(flag("context_cache", "Context cache", "上下文缓存"));
        let label = I18n::new("Context cache minutes", "上下文缓存分钟数");
        rules.push(ParameterRule::new("context_cache_minutes", label, ParameterType::Int).range(1.0, 1440.0));
    }
    let safety_labels = [
        ("Harassment filter", "骚扰内容过滤"),
        ("Hate speech filter", "仇恨言论过滤"),
        ("Sexual content filter", "色情内容过滤"),
        ("Dangerous content filter", "危险内容过滤"),
    ];
    for ((name, _), (english, chinese)) in SAFETY.into_iter().zip(safety_labels) {
        rules.push(choice(name, english, chinese, &THRESHOLDS));
    }
    rules
}
