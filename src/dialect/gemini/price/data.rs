//! Prices beyond Dify's input and output, as the model's data tells them. Only data: what a call costs is computed by
//! [`PriceList`](super::PriceList).

use std::collections::BTreeMap;

use rust_decimal::Decimal;
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use dify_plugin::declare::{ModelSchema, price};

/// Prices beyond Dify's input and output, per the same unit; from the model's data.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PriceDetails {
    /// Tokens read from a cache; the input price when absent.
    #[serde(deserialize_with = "price::optional_decimal")]
    pub cached_input: Option<Decimal>,
    /// Audio read from a cache; the price of cached tokens when absent.
    #[serde(deserialize_with = "price::optional_decimal")]
    pub cached_audio: Option<Decimal>,
    /// Audio in the prompt; the input price when absent.
    #[serde(deserialize_with = "price::optional_decimal")]
    pub audio_input: Option<Decimal>,
    /// Images in the answer.
    #[serde(deserialize_with = "price::optional_decimal")]
    pub image_output: Option<Decimal>,
    /// Audio in the answer.
    #[serde(deserialize_with = "price::optional_decimal")]
    pub audio_output: Option<Decimal>,
    /// Prices of a long prompt.
    pub long_context: Option<LongContext>,
    /// Announced prices by their first day, UTC (`2026-12-01`).
    pub changes: BTreeMap<String, Change>,
    /// Prices of each service tier other than `standard`.
    pub service_tiers: BTreeMap<String, Tier>,
    /// Tokens that an explicit cache keeps, per hour.
    #[serde(deserialize_with = "price::optional_decimal")]
    pub cache_storage: Option<Decimal>,
    /// What Google Search costs beside the tokens.
    pub search: Option<SearchPrice>,
}

impl PriceDetails {
    /// The prices in a model's data; none where it has none.
    pub fn of(model: &ModelSchema) -> Result<Self, serde_json::Error> {
        let data = model.extra.get("gemini").and_then(|data| data.get("price"));
        data.map_or_else(|| Ok(Self::default()), Self::deserialize)
    }
}

/// The list price of Google Search in currency, beyond what is free in a month.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
pub enum SearchPrice {
    /// A thousand searches that the model made.
    #[serde(rename = "per_1000_queries")]
    Per1000Queries(Factor),
    /// A thousand prompts that were answered with searches.
    #[serde(rename = "per_1000_prompts")]
    Per1000Prompts(Factor),
}

impl SearchPrice {
    /// The price of an answer that took so many searches.
    pub fn of(self, queries: u64) -> Decimal {
        let (price, units) = match self {
            Self::Per1000Queries(price) => (price, queries),
            Self::Per1000Prompts(price) => (price, queries.min(1)),
        };
        price.0.saturating_mul(Decimal::from(units)) / Decimal::from(1000)
    }
}

/// A decimal, written as text or number.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(transparent)]
pub struct Factor(#[serde(deserialize_with = "price::decimal")] pub Decimal);

/// Prices of a service tier: a factor for all list prices, alone (`flex: "0.5"`) or with the prices of cached tokens that
/// do not follow it.
#[derive(Clone, Debug, PartialEq)]
pub struct Tier {
    /// By which list prices are multiplied.
    pub factor: Decimal,
    /// Cached tokens that do not follow the factor.
    pub cached: CachedPrices,
}

impl<'de> Deserialize<'de> for Tier {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Members {
            factor: Factor,
            #[serde(default, deserialize_with = "price::optional_decimal")]
            cached_input: Option<Decimal>,
            #[serde(default, deserialize_with = "price::optional_decimal")]
            cached_audio: Option<Decimal>,
            #[serde(default, deserialize_with = "price::optional_decimal")]
            long_context_cached_input: Option<Decimal>,
        }
        let value = Value::deserialize(deserializer)?;
        let members = if value.is_object() {
            Members::deserialize(value)
        } else {
            Factor::deserialize(value).map(|factor| Members {
                factor,
                cached_input: None,
                cached_audio: None,
                long_context_cached_input: None,
            })
        };
        let Members { factor, cached_input, cached_audio, long_context_cached_input } =
            members.map_err(serde::de::Error::custom)?;
        Ok(Self {
            factor: factor.0,
            cached: CachedPrices { input: cached_input, audio: cached_audio, long_context: long_context_cached_input },
        })
    }
}

/// Prices of cached tokens at a service tier; where one is absent, the tier's factor holds.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CachedPrices {
    /// Cached tokens.
    pub input: Option<Decimal>,
    /// Cached audio.
    pub audio: Option<Decimal>,
    /// Cached tokens of a long prompt.
    pub long_context: Option<Decimal>,
}

/// Prices that replace the listed ones from a day on.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Change {
    /// Input.
    #[serde(deserialize_with = "price::decimal")]
    pub input: Decimal,
    /// Output.
    #[serde(deserialize_with = "price::decimal")]
    pub output: Decimal,
    /// Tokens read from a cache.
    #[serde(default, deserialize_with = "price::optional_decimal")]
    pub cached_input: Option<Decimal>,
    /// Audio read from a cache.
    #[serde(default, deserialize_with = "price::optional_decimal")]
    pub cached_audio: Option<Decimal>,
    /// Audio in the prompt.
    #[serde(default, deserialize_with = "price::optional_decimal")]
    pub audio_input: Option<Decimal>,
    /// Tokens that an explicit cache keeps, per hour; as before when absent.
    #[serde(default, deserialize_with = "price::optional_decimal")]
    pub cache_storage: Option<Decimal>,
    /// Prices of a long prompt.
    #[serde(default)]
    pub long_context: Option<LongContext>,
    /// Prices of the service tiers; the factors as before when absent.
    #[serde(default)]
    pub service_tiers: Option<BTreeMap<String, Tier>>,
}

/// Prices of a long prompt; they count for the whole call.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LongContext {
    /// Prompts of more tokens than this.
    pub above: u64,
    /// Input.
    #[serde(deserialize_with = "price::decimal")]
    pub input: Decimal,
    /// Output.
    #[serde(deserialize_with = "price::decimal")]
    pub output: Decimal,
    /// Tokens read from a cache.
    #[serde(default, deserialize_with = "price::optional_decimal")]
    pub cached_input: Option<Decimal>,
}
