//! Schema of a custom model: a copy of the declared model that it resembles, with the limits and prices that the user
//! has set. The dialect's catalog finds the resembling model.

use std::sync::Arc;

use rust_decimal::Decimal;
use serde_json::{Map, Value, json};

use super::limits::Limits;
use crate::dialect::gemini::agents::interactions::is_agent;
use crate::dialect::gemini::models::catalog::{Catalog, Resemblance};
use dify_plugin::declare::{FetchFrom, I18n, ModelFeature, ModelSchema, Pricing};
use dify_plugin::error::InvokeError;
use dify_plugin::model::CallContext;
use dify_plugin::protocol::{Credentials, ModelRequest, ModelType};

/// Default context size: that of every current text model.
const DEFAULT_CONTEXT_TOKENS: u64 = 1_048_576;

/// Maximum number of tokens in a form field.
const MAX_TOKENS: f64 = 1e9;

/// Maximum price per million tokens in a form field.
const MAX_PRICE: u64 = 1_000_000;

/// Members of a model's data that contain prices.
const PRICES: &str = "price";

/// Members of the prices that contain factors rather than prices.
const FACTORS: &str = "service_tiers";

/// Returns the declared model that a custom model is a copy of, if a similar one is declared.
pub(super) fn like(request: &ModelRequest, catalog: &Catalog) -> Result<Option<Resemblance>, InvokeError> {
    let (id, kind) = (request.target.model.as_str(), request.model_type);
    let chosen = request.target.credentials.get("model_family").filter(|name| *name != "auto");
    // The form covers several types, so the chosen model may be of another type.
    match chosen.map(|chosen| catalog.like(id, kind, Some(chosen))) {
        Some(Some(like)) if kind == ModelType::Llm || like.is_named => Ok(Some(like)),
        Some(None) if kind == ModelType::Llm => Err(InvokeError::credentials(format!(
            "credential `model_family` has the unknown value `{}`",
            chosen.unwrap_or_default()
        ))
        .with_hint("Enter the ID of a listed Gemini model, or leave the field empty.")),
        _ => Ok(catalog.like(id, kind, None)),
    }
}

/// Builds the schema. `limits` are those that the service reports for a model without a declaration.
pub(super) fn customizable(
    request: &ModelRequest,
    like: Option<&Resemblance>,
    limits: Limits,
) -> Result<ModelSchema, InvokeError> {
    let (id, credentials) = (request.target.model.as_str(), &request.target.credentials);
    let mut schema = ModelSchema::customizable(id, request.model_type);
    if let Some(name) = credentials.get("display_name") {
        schema.label = I18n::same(name);
    }
    if request.model_type == ModelType::Llm && is_agent(id) {
        schema.features = vec![ModelFeature::Polling, ModelFeature::Vision, ModelFeature::Document];
    } else if let Some(like) = like {
        copy(&like.model, like.is_known, &mut schema);
    }
    if request.model_type == ModelType::Llm {
        schema.model_properties.insert("mode".to_owned(), "chat".into());
    }
    let context = tokens(credentials, "context_size")?.or(limits.input_token_limit);
    let context = context.or(schema.number_property("context_size")).unwrap_or(DEFAULT_CONTEXT_TOKENS);
    schema.model_properties.insert("context_size".to_owned(), context.into());
    if let Some(pricing) = pricing(credentials)? {
        schema.pricing = Some(pricing);
        forget_prices(&mut schema.extra);
    }
    let output_limit = tokens(credentials, "max_output_tokens")?.or(limits.output_token_limit);
    let longest = schema.parameter_rules.iter_mut().find(|rule| rule.name == "max_output_tokens");
    if let (Some(rule), Some(limit)) = (longest, output_limit) {
        rule.max = Some(limit as f64);
        let default = rule.default.as_ref().and_then(Value::as_u64);
        rule.default = default.map(|default| default.min(limit).into());
    }
    Ok(schema)
}

/// Whether the user has set the prices, which then apply whichever model responds.
pub(super) fn has_prices(context: &CallContext, credentials: &Credentials) -> bool {
    let is_customizable = |model: &Arc<ModelSchema>| model.fetch_from == FetchFrom::CustomizableModel;
    context.model.as_ref().is_some_and(is_customizable) && credentials.get("input_price").is_some()
}

/// Copies the features and parameters of the declared model. An unknown model, such as a tuned one, has no price, and
/// gets schemas in the form that every model supports.
fn copy(model: &ModelSchema, is_known: bool, schema: &mut ModelSchema) {
    schema.features.clone_from(&model.features);
    schema.parameter_rules.clone_from(&model.parameter_rules);
    schema.extra.extend(model.extra.get("gemini").map(|data| ("gemini".to_owned(), data.clone())));
    if model.model_type == schema.model_type {
        schema.model_properties.clone_from(&model.model_properties);
    }
    if is_known {
        schema.pricing.clone_from(&model.pricing);
    } else if let (ModelType::Llm, Some(Value::Object(data))) = (schema.model_type, schema.extra.get_mut("gemini")) {
        data.insert("full_schemas".to_owned(), false.into());
    }
}

/// Removes list prices if the user has set the prices; a service tier still scales these.
fn forget_prices(extra: &mut Map<String, Value>) {
    let Some(prices) = extra.get_mut("gemini").and_then(|data| data.get_mut(PRICES)).and_then(Value::as_object_mut)
    else {
        return;
    };
    prices.retain(|name, _| name == FACTORS);
    for tier in prices.get_mut(FACTORS).and_then(Value::as_object_mut).into_iter().flat_map(Map::values_mut) {
        if let Some(factor) = tier.get("factor") {
            *tier = json!(factor);
        }
    }
}

/// Parses a field with a number of tokens.
fn tokens(credentials: &Credentials, field: &str) -> Result<Option<u64>, InvokeError> {
    let wrong = || InvokeError::credentials(format!("credential `{field}` must be an integer from 1 to {MAX_TOKENS}"));
    match credentials.number(field).map_err(|_| wrong())? {
        None => Ok(None),
        Some(number) if (1.0..=MAX_TOKENS).contains(&number) && number.fract() == 0.0 => Ok(Some(number as u64)),
        Some(_) => Err(wrong()),
    }
}

fn pricing(credentials: &Credentials) -> Result<Option<Pricing>, InvokeError> {
    let price = |field: &str| -> Result<Option<Decimal>, InvokeError> {
        let Some(text) = credentials.get(field) else { return Ok(None) };
        let price = text.parse::<Decimal>().ok();
        price.filter(|price| (Decimal::ZERO..=Decimal::from(MAX_PRICE)).contains(price)).map(Some).ok_or_else(|| {
            InvokeError::credentials(format!("credential `{field}` must be a decimal number from 0 to {MAX_PRICE}"))
        })
    };
    match (price("input_price")?, price("output_price")?) {
        (None, None) => Ok(None),
        (Some(input), output) => Ok(Some(Pricing::per_million(input, output))),
        (None, Some(_)) => Err(InvokeError::credentials("credential `output_price` requires an `input_price` too")),
    }
}

#[cfg(test)]
#[path = "schema_from_resemblance/tests.rs"]
mod tests;
