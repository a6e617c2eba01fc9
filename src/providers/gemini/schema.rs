//! The schema of a customizable model: rules and features of the declared model that it is most like, limits and prices as
//! the user gives them.

use std::sync::Arc;

use rust_decimal::Decimal;
use serde_json::json;

use super::limits::Limits;
use crate::declare::{I18n, ModelFeature, ModelSchema, Pricing};
use crate::dialect::gemini::embedding::EmbeddingProfile;
use crate::dialect::gemini::interactions::is_agent;
use crate::dialect::gemini::profile::Family;
use crate::error::InvokeError;
use crate::protocol::{Credentials, ModelRequest, ModelType};

/// Context of every text model of the line-up.
const CONTEXT: u64 = 1_048_576;

/// Largest number of tokens that a form may say.
const MOST_TOKENS: f64 = 1e9;

/// Highest price of a million tokens that a form may say.
const HIGHEST_PRICE: u64 = 1_000_000;

/// What models before 2.5 do not take of what 2.5 takes.
const SINCE_2_5: [&str; 7] = [
    "include_thoughts",
    "thinking_mode",
    "thinking_budget",
    "flex_inference",
    "service_tier",
    "context_cache",
    "context_cache_minutes",
];

/// What Gemma takes of it.
const OF_GEMMA: [&str; 10] = [
    "temperature",
    "top_p",
    "top_k",
    "max_output_tokens",
    "seed",
    "use_inline_file",
    "safety_harassment",
    "safety_hate_speech",
    "safety_sexually_explicit",
    "safety_dangerous_content",
];

pub(super) fn customizable(
    request: &ModelRequest,
    limits: Limits,
    declared: &[Arc<ModelSchema>],
) -> Result<ModelSchema, InvokeError> {
    let (id, credentials) = (request.target.model.as_str(), &request.target.credentials);
    let mut schema = ModelSchema::customizable(id, request.model_type);
    if let Some(name) = credentials.get("display_name") {
        schema.label = I18n::same(name);
    }
    let embeds_pictures = EmbeddingProfile::of_name(id).task_words.is_some();
    let context = tokens(credentials, "context_size")?.or(limits.input_token_limit);
    let context = context.unwrap_or(match (request.model_type, embeds_pictures) {
        (ModelType::TextEmbedding, true) => 8192,
        (ModelType::TextEmbedding, false) => 2048,
        _ => CONTEXT,
    });
    schema.model_properties.insert("context_size".to_owned(), context.into());
    schema.pricing = pricing(credentials)?;
    let longest_answer = tokens(credentials, "max_output_tokens")?.or(limits.output_token_limit);
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
    schema.model_properties.insert("mode".to_owned(), "chat".into());
    if is_agent(id) {
        schema.features = vec![ModelFeature::Polling, ModelFeature::Vision, ModelFeature::Document];
        return Ok(schema);
    }
    let family = match credentials.get("model_family") {
        None | Some("auto") => Family::of_model(id),
        Some(name) => Family::by_name(name)
            .ok_or_else(|| InvokeError::credentials(format!("credential `model_family` does not know `{name}`")))?,
    };
    schema.extra.insert("gemini".to_owned(), json!({ "family": family.name() }));
    if let Some(like) = most_like(id, family, declared) {
        schema.features = like.features.iter().filter(|feature| has(family, **feature)).copied().collect();
        schema.parameter_rules =
            like.parameter_rules.iter().filter(|rule| takes(family, &rule.name)).cloned().collect();
    }
    let longest = schema.parameter_rules.iter_mut().find(|rule| rule.name == "max_output_tokens");
    if let (Some(rule), Some(limit)) = (longest, longest_answer) {
        rule.max = Some(limit as f64);
        let default = rule.default.as_ref().and_then(serde_json::Value::as_u64);
        rule.default = default.map(|default| default.min(limit).into());
    }
    Ok(schema)
}

/// The declared model whose rules a model of the user's has: of its family, one that is still served before one that is
/// gone, of the same size, of the nearest version.
fn most_like<'a>(id: &str, family: Family, declared: &'a [Arc<ModelSchema>]) -> Option<&'a ModelSchema> {
    let family = match family {
        Family::Gemini2 | Family::Gemma => Family::Gemini25Flash,
        family => family,
    };
    let has_word = |id: &str, word: &str| id.to_ascii_lowercase().split(['-', '/', '@']).any(|part| part == word);
    let version = |id: &str| Family::version_of(id).map(|(major, minor)| i64::from(major) * 1000 + i64::from(minor));
    let own = version(id);
    let distance = |model: &str| match (own, version(model)) {
        (Some(own), Some(other)) => (own - other).abs(),
        (None, None) => 0,
        _ => i64::MAX,
    };
    let models = declared.iter().map(AsRef::as_ref).filter(|model: &&ModelSchema| {
        model.model_type == ModelType::Llm && !is_agent(&model.model) && Family::of_model(&model.model) == family
    });
    models.min_by_key(|model| {
        let other = |word: &str| has_word(id, word) != has_word(&model.model, word);
        (model.deprecated, model.parameter_rules.is_empty(), other("pro"), other("lite"), distance(&model.model))
    })
}

fn has(family: Family, feature: ModelFeature) -> bool {
    match family {
        Family::Gemma => feature == ModelFeature::Vision,
        Family::Gemini2 => !matches!(feature, ModelFeature::AgentThought | ModelFeature::StructuredOutput),
        Family::Tts => false,
        _ => true,
    }
}

fn takes(family: Family, parameter: &str) -> bool {
    match family {
        Family::Gemma => OF_GEMMA.contains(&parameter),
        Family::Gemini2 => !SINCE_2_5.contains(&parameter),
        _ => true,
    }
}

/// A field of a count of tokens.
fn tokens(credentials: &Credentials, field: &str) -> Result<Option<u64>, InvokeError> {
    let wrong =
        || InvokeError::credentials(format!("credential `{field}` must be a whole number from 1 to {MOST_TOKENS}"));
    match credentials.number(field).map_err(|_| wrong())? {
        None => Ok(None),
        Some(number) if (1.0..=MOST_TOKENS).contains(&number) && number.fract() == 0.0 => Ok(Some(number as u64)),
        Some(_) => Err(wrong()),
    }
}

fn pricing(credentials: &Credentials) -> Result<Option<Pricing>, InvokeError> {
    let price = |field: &str| -> Result<Option<Decimal>, InvokeError> {
        let Some(text) = credentials.get(field) else { return Ok(None) };
        let price = text.parse::<Decimal>().ok();
        price.filter(|price| (Decimal::ZERO..=Decimal::from(HIGHEST_PRICE)).contains(price)).map(Some).ok_or_else(
            || {
                InvokeError::credentials(format!(
                    "credential `{field}` must be a decimal number from 0 to {HIGHEST_PRICE}"
                ))
            },
        )
    };
    match (price("input_price")?, price("output_price")?) {
        (None, None) => Ok(None),
        (Some(input), output) => {
            Ok(Some(Pricing { input, output, unit: Decimal::new(1, 6), currency: "USD".to_owned() }))
        }
        (None, Some(_)) => Err(InvokeError::credentials("credential `output_price` needs an `input_price` beside it")),
    }
}

#[cfg(test)]
#[path = "schema/tests.rs"]
mod tests;
