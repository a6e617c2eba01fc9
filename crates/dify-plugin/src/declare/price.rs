//! Prices in exact decimals, with the rounding and text format of the Python SDK.
//!
//! Amount = tokens × price × unit, rounded half away from zero to seven places. Prices of cached input tokens and prices by
//! the length of the input are read here and never sent: Dify knows one price for input and one for output.
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
    /// Price per unit of input tokens that the upstream reads from its cache; without it, they cost as much as others.
    #[serde(default, deserialize_with = "optional_decimal", skip_serializing)]
    pub cached: Option<Decimal>,
    /// Prices by the number of input tokens, which replace `input` and `output`: ascending, the last one has no limit.
    #[serde(default, deserialize_with = "tiers", skip_serializing)]
    pub tiered_pricing: Vec<PriceTier>,
}

/// The prices of calls with no more than a number of input tokens.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[non_exhaustive]
pub struct PriceTier {
    /// The largest number of input tokens; `None` is no limit.
    #[serde(default)]
    pub max_tokens: Option<u64>,
    /// Price per input unit.
    #[serde(deserialize_with = "decimal")]
    pub input: Decimal,
    /// Price per output unit.
    #[serde(default, deserialize_with = "optional_decimal")]
    pub output: Option<Decimal>,
    /// Price per unit of cached input tokens.
    #[serde(default, deserialize_with = "optional_decimal")]
    pub cached: Option<Decimal>,
}

/// The prices of one call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Rates {
    /// Price per input unit.
    pub input: Decimal,
    /// Price per output unit.
    pub output: Option<Decimal>,
    /// Price per unit of cached input tokens.
    pub cached: Option<Decimal>,
}

impl Pricing {
    /// A price in US dollars per million tokens.
    pub fn per_million(input: Decimal, output: Option<Decimal>) -> Self {
        let (cached, tiered_pricing) = Default::default();
        Self { input, output, unit: Decimal::new(1, 6), currency: "USD".to_owned(), cached, tiered_pricing }
    }

    /// Returns the prices of a call with this many input tokens.
    pub fn rates(&self, prompt_tokens: u64) -> Rates {
        let fits = |tier: &&PriceTier| tier.max_tokens.is_none_or(|max| prompt_tokens <= max);
        match self.tiered_pricing.iter().find(fits).or(self.tiered_pricing.last()) {
            Some(tier) => Rates { input: tier.input, output: tier.output.or(self.output), cached: tier.cached },
            None => Rates { input: self.input, output: self.output, cached: self.cached },
        }
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
    sum(&[(tokens, unit_price)], unit)
}

/// Returns the price of tokens at several prices, rounded once.
fn sum(parts: &[(u64, Decimal)], unit: Decimal) -> Decimal {
    let price = |(tokens, unit_price): &(u64, Decimal)| Decimal::from(*tokens).checked_mul(*unit_price);
    let exact = parts.iter().try_fold(Decimal::ZERO, |total, part| total.checked_add(price(part)?));
    let exact = exact.and_then(|value| value.checked_mul(unit));
    let mut rounded =
        exact.unwrap_or(Decimal::MAX).round_dp_with_strategy(PLACES, RoundingStrategy::MidpointAwayFromZero);
    rounded.rescale(PLACES);
    rounded
}

/// Returns the usage of an LLM call at the model's list price; all prices are zero without one.
pub fn llm_usage(pricing: Option<&Pricing>, prompt_tokens: u64, completion_tokens: u64) -> LlmUsage {
    cached_llm_usage(pricing, prompt_tokens, 0, completion_tokens)
}

/// The same for a call some of whose input tokens came from the upstream's cache.
pub fn cached_llm_usage(
    pricing: Option<&Pricing>,
    prompt_tokens: u64,
    cached_tokens: u64,
    completion_tokens: u64,
) -> LlmUsage {
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
    let rates = pricing.rates(prompt_tokens);
    let cached_tokens = cached_tokens.min(prompt_tokens);
    let prompt_price = match rates.cached {
        Some(cached) => sum(&[(prompt_tokens - cached_tokens, rates.input), (cached_tokens, cached)], pricing.unit),
        None => amount(prompt_tokens, rates.input, pricing.unit),
    };
    let mut usage = LlmUsage {
        prompt_tokens,
        prompt_unit_price: text(rates.input),
        prompt_price_unit: text(pricing.unit),
        prompt_price: text(prompt_price),
        completion_tokens,
        total_tokens,
        total_price: text(prompt_price),
        currency: pricing.currency.clone(),
        ..LlmUsage::default()
    };
    if let Some(output) = rates.output {
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
        unit_price: text(pricing.rates(tokens).input),
        price_unit: text(pricing.unit),
        total_price: text(amount(tokens, pricing.rates(tokens).input, pricing.unit)),
        currency: pricing.currency.clone(),
        latency: 0.0,
    }
}

/// Deserializes a list; null is an empty one.
fn tiers<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<PriceTier>, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
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
