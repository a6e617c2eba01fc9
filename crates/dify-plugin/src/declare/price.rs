//! Prices in exact decimals, with the rounding and text format of the Python SDK.
//!
//! Amount = tokens × price × unit, rounded half away from zero to seven places.
//! Source: `dify-plugin-sdks: src/dify_plugin/interfaces/model/ai_model.py` (`get_price`).

use std::str::FromStr;

use rust_decimal::{Decimal, RoundingStrategy};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

use crate::protocol::{DecimalText, EmbeddingUsage, LlmUsage};

/// Decimal places that a price is rounded to.
const PLACES: u32 = 7;

/// What a model costs: `tokens × price × unit`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Pricing {
    /// Price per input unit.
    #[serde(deserialize_with = "decimal")]
    pub input: Decimal,
    /// Price per output unit.
    #[serde(default, deserialize_with = "optional_decimal", skip_serializing_if = "Option::is_none")]
    pub output: Option<Decimal>,
    /// Tokens per unit as a factor (`0.000001`: price per million).
    #[serde(deserialize_with = "decimal")]
    pub unit: Decimal,
    /// Currency: `USD`, `RMB`.
    pub currency: String,
}

impl Pricing {
    /// A price in US dollars per million tokens.
    pub fn per_million(input: Decimal, output: Option<Decimal>) -> Self {
        Self { input, output, unit: Decimal::new(1, 6), currency: "USD".to_owned() }
    }
}

/// Whether a text is a decimal number.
pub(super) fn is_decimal(text: &str) -> bool {
    text.parse::<Decimal>().is_ok()
}

/// Formats a decimal like the Python SDK (`str(Decimal)`): digits and scale are kept, with an exponent below 1E-6.
pub fn text(value: Decimal) -> DecimalText {
    let digits = value.mantissa().unsigned_abs().to_string();
    let sign = if value.is_sign_negative() && !value.is_zero() { "-" } else { "" };
    let exponent = -i64::from(value.scale());
    let adjusted = exponent + digits.len() as i64 - 1;
    DecimalText(if exponent == 0 {
        format!("{sign}{digits}")
    } else if adjusted >= -6 {
        let places = value.scale() as usize;
        let padded = format!("{digits:0>width$}", width = places + 1);
        let (whole, fraction) = padded.split_at(padded.len() - places);
        format!("{sign}{whole}.{fraction}")
    } else if digits.len() == 1 {
        format!("{sign}{digits}E{adjusted}")
    } else {
        format!("{sign}{}.{}E{adjusted}", &digits[..1], &digits[1..])
    })
}

/// Returns the price of a number of tokens.
pub fn amount(tokens: u64, unit_price: Decimal, unit: Decimal) -> Decimal {
    let exact = Decimal::from(tokens).checked_mul(unit_price).and_then(|value| value.checked_mul(unit));
    let mut rounded =
        exact.unwrap_or(Decimal::MAX).round_dp_with_strategy(PLACES, RoundingStrategy::MidpointAwayFromZero);
    rounded.rescale(PLACES);
    rounded
}

/// Returns the usage of an LLM call at the model's list price; all prices are zero without one.
pub fn llm_usage(pricing: Option<&Pricing>, prompt_tokens: u64, completion_tokens: u64) -> LlmUsage {
    let total_tokens = prompt_tokens.saturating_add(completion_tokens);
    let Some(pricing) = pricing else {
        return LlmUsage {
            prompt_tokens,
            completion_tokens,
            total_tokens,
            currency: "USD".to_owned(),
            ..LlmUsage::default()
        };
    };
    let prompt_price = amount(prompt_tokens, pricing.input, pricing.unit);
    let mut usage = LlmUsage {
        prompt_tokens,
        prompt_unit_price: text(pricing.input),
        prompt_price_unit: text(pricing.unit),
        prompt_price: text(prompt_price),
        completion_tokens,
        total_tokens,
        total_price: text(prompt_price),
        currency: pricing.currency.clone(),
        ..LlmUsage::default()
    };
    if let Some(output) = pricing.output {
        let completion_price = amount(completion_tokens, output, pricing.unit);
        usage.completion_unit_price = text(output);
        usage.completion_price_unit = text(pricing.unit);
        usage.completion_price = text(completion_price);
        usage.total_price = text(prompt_price.saturating_add(completion_price));
    }
    usage
}

/// Returns the usage of an embedding call at the model's list price.
pub fn embedding_usage(pricing: Option<&Pricing>, tokens: u64) -> EmbeddingUsage {
    let Some(pricing) = pricing else {
        return EmbeddingUsage {
            tokens,
            total_tokens: tokens,
            currency: "USD".to_owned(),
            ..EmbeddingUsage::default()
        };
    };
    EmbeddingUsage {
        tokens,
        total_tokens: tokens,
        unit_price: text(pricing.input),
        price_unit: text(pricing.unit),
        total_price: text(amount(tokens, pricing.input, pricing.unit)),
        currency: pricing.currency.clone(),
        latency: 0.0,
    }
}

/// Deserializes a decimal from a number or a string.
pub fn decimal<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Decimal, D::Error> {
    optional_decimal(deserializer)?.ok_or_else(|| serde::de::Error::custom("expected a decimal number, found nothing"))
}

/// Deserializes a decimal from a number or a string; null is `None`.
pub fn optional_decimal<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Decimal>, D::Error> {
    let text = match Option::<Value>::deserialize(deserializer)? {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::Number(number)) => number.to_string(),
        Some(Value::String(text)) => text.trim().to_owned(),
        Some(other) => {
            return Err(serde::de::Error::custom(format!(
                "expected a decimal number, found {}",
                crate::protocol::lenient::kind_of(&other)
            )));
        }
    };
    Decimal::from_str(&text)
        .or_else(|_| Decimal::from_scientific(&text))
        .map(Some)
        .map_err(|_| serde::de::Error::custom(format!("expected a decimal number, found `{text}`")))
}
