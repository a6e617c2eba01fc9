//! Prices in addition to Dify's input and output prices, as declared in the model's data.
//! [`PriceList`](super::PriceList) computes the price of a request.

use std::collections::BTreeMap;

use rust_decimal::Decimal;
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use dify_plugin::declare::{ModelSchema, price};

/// Prices in addition to Dify's input and output prices, per the same unit; from the model's data.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PriceDetails {
    /// Price of cached tokens; defaults to the input price.
    #[serde(deserialize_with = "price::optional_decimal")]
    pub cached_input: Option<Decimal>,
    /// Price of cached audio; defaults to the price of cached tokens.
    #[serde(deserialize_with = "price::optional_decimal")]
    pub cached_audio: Option<Decimal>,
    /// Price of audio input; defaults to the input price.
    #[serde(deserialize_with = "price::optional_decimal")]
    pub audio_input: Option<Decimal>,
    /// Price of image output.
    #[serde(deserialize_with = "price::optional_decimal")]
    pub image_output: Option<Decimal>,
    /// Price of audio output.
    #[serde(deserialize_with = "price::optional_decimal")]
    pub audio_output: Option<Decimal>,
    /// Prices for long prompts.
    pub long_context: Option<LongContext>,
    /// Announced price changes by their first day, UTC (`2026-12-01`).
    pub changes: BTreeMap<String, Change>,
    /// Prices of the service tiers other than `standard`.
    pub service_tiers: BTreeMap<String, Tier>,
    /// Price of storage in an explicit cache, per token and hour.
    #[serde(deserialize_with = "price::optional_decimal")]
    pub cache_storage: Option<Decimal>,
    /// Price of Google Search, in addition to the tokens.
    pub search: Option<SearchPrice>,
}

impl PriceDetails {
    /// Returns the prices in a model's data; the default if there are none.
    pub fn of(model: &ModelSchema) -> Result<Self, serde_json::Error> {
        let data = model.extra.get("gemini").and_then(|data| data.get("price"));
        data.map_or_else(|| Ok(Self::default()), Self::deserialize)
    }
}

/// List price of Google Search in currency, beyond the monthly free quota.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
pub enum SearchPrice {
    /// Price per 1,000 searches that the model made.
    #[serde(rename = "per_1000_queries")]
    Per1000Queries(Factor),
    /// Price per 1,000 prompts whose response used searches.
    #[serde(rename = "per_1000_prompts")]
    Per1000Prompts(Factor),
}

impl SearchPrice {
    /// Returns the price of a response with this many searches.
    pub fn of(self, queries: u64) -> Decimal {
        let (price, units) = match self {
            Self::Per1000Queries(price) => (price, queries),
            Self::Per1000Prompts(price) => (price, queries.min(1)),
        };
        price.0.saturating_mul(Decimal::from(units)) / Decimal::from(1000)
    }
}

/// A decimal, written as a string or number.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(transparent)]
pub struct Factor(#[serde(deserialize_with = "price::decimal")] pub Decimal);

/// Prices of a service tier: a factor for all list prices, alone (`flex: "0.5"`) or with explicit prices for cached
/// tokens that the factor does not apply to.
#[derive(Clone, Debug, PartialEq)]
pub struct Tier {
    /// Factor for the list prices.
    pub factor: Decimal,
    /// Explicit prices of cached tokens.
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

/// Explicit prices of cached tokens at a service tier; where one is absent, the tier's factor applies.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CachedPrices {
    /// Price of cached tokens.
    pub input: Option<Decimal>,
    /// Price of cached audio.
    pub audio: Option<Decimal>,
    /// Price of cached tokens of a long prompt.
    pub long_context: Option<Decimal>,
}

/// Prices that replace the list prices from a certain day on.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Change {
    /// Input price.
    #[serde(deserialize_with = "price::decimal")]
    pub input: Decimal,
    /// Output price.
    #[serde(deserialize_with = "price::decimal")]
    pub output: Decimal,
    /// Price of cached tokens.
    #[serde(default, deserialize_with = "price::optional_decimal")]
    pub cached_input: Option<Decimal>,
    /// Price of cached audio.
    #[serde(default, deserialize_with = "price::optional_decimal")]
    pub cached_audio: Option<Decimal>,
    /// Price of audio input.
    #[serde(default, deserialize_with = "price::optional_decimal")]
    pub audio_input: Option<Decimal>,
    /// Price of storage in an explicit cache, per token and hour; unchanged if absent.
    #[serde(default, deserialize_with = "price::optional_decimal")]
    pub cache_storage: Option<Decimal>,
    /// Prices for long prompts.
    #[serde(default)]
    pub long_context: Option<LongContext>,
    /// Prices of the service tiers; the factors are unchanged if absent.
    #[serde(default)]
    pub service_tiers: Option<BTreeMap<String, Tier>>,
}

/// Prices for long prompts; they apply to all tokens of the request.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LongContext {
    /// Applies to prompts with more tokens than this.
    pub above: u64,
    /// Input price.
    #[serde(deserialize_with = "price::decimal")]
    pub input: Decimal,
    /// Output price.
    #[serde(deserialize_with = "price::decimal")]
    pub output: Decimal,
    /// Price of cached tokens.
    #[serde(default, deserialize_with = "price::optional_decimal")]
    pub cached_input: Option<Decimal>,
}
