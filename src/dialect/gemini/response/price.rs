//! Computes the price of a response from the server's token counts: long-context prices, cached tokens, audio and image
//! tokens, thinking tokens, service tier. Uses exact decimals. The prices are in the model's data (`data`).

mod data;

use std::borrow::Cow;

use rust_decimal::{Decimal, RoundingStrategy};

pub use self::data::{CachedPrices, Change, Factor, LongContext, PriceDetails, SearchPrice, Tier};
use crate::dialect::gemini::wire::{ModalityTokens, UsageMetadata};
use dify_plugin::declare::{ModelSchema, Pricing, price};
use dify_plugin::protocol::LlmUsage;

/// Everything that the price of a request depends on, except its tokens.
#[derive(Clone, Debug, Default)]
pub struct PriceList {
    /// Input and output prices.
    pub pricing: Option<Pricing>,
    /// Further prices.
    pub details: PriceDetails,
    /// The requested service tier.
    pub service_tier: Option<String>,
    /// The service tier that was used, from the response header.
    pub served_tier: Option<String>,
    /// Prices that the user has set; they apply whichever model responds.
    pub fixed: bool,
    /// Date of the request, UTC (`2026-11-20`).
    pub day: String,
    /// Tokens that this request stored in an explicit cache.
    pub stored: Stored,
}

/// Tokens that a request stored in an explicit cache.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stored {
    /// Tokens read to create the cache.
    pub created: u64,
    /// Stored tokens × seconds by which their lifetime was extended.
    pub token_seconds: u64,
}

fn of_modality(details: &[ModalityTokens], modality: &str) -> u64 {
    details
        .iter()
        .filter(|entry| entry.modality == modality)
        .filter_map(|entry| entry.token_count)
        .fold(0, u64::saturating_add)
}

/// The prices for one request at the service tier that was used.
pub struct Rates {
    /// Input price.
    pub input: Decimal,
    /// Output price.
    pub output: Decimal,
    /// Price of cached input.
    pub cached: Decimal,
    /// Price of audio input.
    audio: Decimal,
    /// Price of cached audio input.
    cached_audio: Decimal,
    /// Factor for the prices of image and audio output.
    factor: Decimal,
    /// Price of storage in an explicit cache, per token and hour.
    pub storage: Option<Decimal>,
}

impl PriceList {
    /// Switches to the prices of the model that responded instead of the requested one. Nothing changes if that model
    /// has no prices, or if the user has set the prices.
    pub fn follow(&mut self, model: &ModelSchema) {
        if self.fixed || model.pricing.is_none() {
            return;
        }
        match PriceDetails::of(model) {
            Ok(details) => (self.pricing, self.details) = (model.pricing.clone(), details),
            Err(error) => tracing::warn!(model = model.model, %error, "cannot parse the prices of a model"),
        }
    }

    /// Returns the usage of a response, with each of its requests at its own prices.
    pub fn usage(&self, requests: &[UsageMetadata]) -> LlmUsage {
        let prompt = requests.iter().map(prompt_tokens).fold(0, u64::saturating_add);
        let answer = requests.iter().map(answer_tokens).fold(0, u64::saturating_add);
        let mut usage = price::llm_usage(self.pricing.as_ref(), prompt, answer);
        let Some(pricing) = &self.pricing else { return usage };
        let (mut prompt_exact, mut answer_exact) = (Decimal::ZERO, Decimal::ZERO);
        for tokens in requests {
            let (prompt, answer) = self.cost(pricing, tokens);
            prompt_exact = prompt_exact.saturating_add(prompt);
            answer_exact = answer_exact.saturating_add(answer);
        }
        prompt_exact = prompt_exact.saturating_add(self.price_of_stored(pricing));
        let (prompt_price, answer_price) = (rounded(prompt_exact), rounded(answer_exact));
        // Average price per token; for a plain request it equals the list price.
        let average = |exact: Decimal, tokens: u64, list: Decimal| {
            let units = Decimal::from(tokens).checked_mul(pricing.unit);
            units.and_then(|units| exact.checked_div(units)).map_or(list, |price| price.round_dp(7).normalize())
        };
        usage.prompt_unit_price = price::text(average(prompt_exact, prompt, pricing.input));
        usage.completion_unit_price = price::text(average(answer_exact, answer, pricing.output.unwrap_or_default()));
        usage.prompt_price = price::text(prompt_price);
        usage.completion_price = price::text(answer_price);
        usage.total_price = price::text(prompt_price.saturating_add(answer_price));
        usage
    }

    /// Returns the exact prompt and completion prices of one request.
    fn cost(&self, pricing: &Pricing, tokens: &UsageMetadata) -> (Decimal, Decimal) {
        let (prompt, answer) = (prompt_tokens(tokens), answer_tokens(tokens));
        let rates = self.rates_at(pricing, tokens.prompt_token_count.unwrap_or_default(), &self.tier(tokens));
        let cached = tokens.cached_content_token_count.unwrap_or_default().min(prompt);
        let cached_audio = of_modality(&tokens.cache_tokens_details, "AUDIO");
        // Cached audio tokens are already billed at the price of cached tokens.
        let audio = of_modality(&tokens.prompt_tokens_details, "AUDIO").saturating_sub(cached_audio);
        let (audio, cached_audio) = (audio.min(prompt - cached), cached_audio.min(cached));
        let image_out = of_modality(&tokens.candidates_tokens_details, "IMAGE").min(answer);
        let audio_out = of_modality(&tokens.candidates_tokens_details, "AUDIO").min(answer - image_out);
        let of_media = |price: Option<Decimal>| price.map_or(rates.output, |price| price.saturating_mul(rates.factor));
        let prompt_price = sum(
            &[
                (prompt - cached - audio, rates.input),
                (cached - cached_audio, rates.cached),
                (cached_audio, rates.cached_audio),
                (audio, rates.audio),
            ],
            pricing.unit,
        );
        let answer_price = sum(
            &[
                (answer - image_out - audio_out, rates.output),
                (image_out, of_media(self.details.image_output)),
                (audio_out, of_media(self.details.audio_output)),
            ],
            pricing.unit,
        );
        (prompt_price, answer_price)
    }

    /// Creating a cache costs as much as reading the prompt; storage is billed by the hour.
    fn price_of_stored(&self, pricing: &Pricing) -> Decimal {
        let Stored { created, token_seconds } = self.stored;
        let rates = self.rates(pricing, created);
        let hours = Decimal::from(token_seconds) / Decimal::from(3600);
        let kept = hours.saturating_mul(rates.storage.unwrap_or_default());
        Decimal::from(created).saturating_mul(rates.input).saturating_add(kept).saturating_mul(pricing.unit)
    }

    /// Returns the standard prices for a prompt of this many tokens on the day of the request.
    pub fn rates(&self, pricing: &Pricing, prompt: u64) -> Rates {
        self.rates_at(pricing, prompt, "")
    }

    fn rates_at(&self, pricing: &Pricing, prompt: u64, tier: &str) -> Rates {
        let details = &self.details;
        let change = details.changes.range(..=self.day.clone()).next_back();
        let price = match change {
            Some((_, change)) => Cow::Borrowed(change),
            None => Cow::Owned(Change {
                input: pricing.input,
                output: pricing.output.unwrap_or_default(),
                cached_input: details.cached_input,
                cached_audio: details.cached_audio,
                audio_input: details.audio_input,
                cache_storage: details.cache_storage,
                long_context: details.long_context.clone(),
                service_tiers: Some(details.service_tiers.clone()),
            }),
        };
        // The explicit prices of a tier belong to the list prices next to them; the tier's factor remains when these
        // change.
        let own = price.service_tiers.as_ref();
        let factor = own.unwrap_or(&details.service_tiers).get(tier).map_or(Decimal::ONE, |tier| tier.factor);
        let of_tier = own.and_then(|tiers| tiers.get(tier)).map(|tier| &tier.cached);
        let scaled = |price: Decimal| price.saturating_mul(factor);
        let long = price.long_context.as_ref().filter(|long| prompt > long.above);
        let (input, output, cached, cached_at_tier) = match long {
            Some(long) => (long.input, long.output, long.cached_input, of_tier.and_then(|cached| cached.long_context)),
            None => (price.input, price.output, price.cached_input, of_tier.and_then(|cached| cached.input)),
        };
        let cached = cached_at_tier.unwrap_or_else(|| scaled(cached.unwrap_or(input)));
        Rates {
            input: scaled(input),
            output: scaled(output),
            cached,
            audio: scaled(price.audio_input.unwrap_or(input)),
            cached_audio: of_tier
                .and_then(|cached| cached.audio)
                .or_else(|| price.cached_audio.map(scaled))
                .unwrap_or(cached),
            factor,
            storage: price.cache_storage.or(details.cache_storage),
        }
    }

    /// Returns the service tier: from the response header, or else from the usage, or else as requested.
    fn tier(&self, tokens: &UsageMetadata) -> String {
        let of_usage = tokens.service_tier.as_deref().or(tokens.traffic_type.as_deref());
        let of_usage = of_usage.map(|tier| tier.trim_start_matches("ON_DEMAND_")).filter(|tier| !tier.is_empty());
        let tier = self.served_tier.as_deref().or(of_usage).or(self.service_tier.as_deref());
        tier.unwrap_or_default().to_ascii_lowercase()
    }
}

fn prompt_tokens(tokens: &UsageMetadata) -> u64 {
    let prompt_tokens = tokens.prompt_token_count.unwrap_or_else(|| {
        let by_modality = tokens.prompt_tokens_details.iter().filter_map(|entry| entry.token_count);
        by_modality.fold(0, u64::saturating_add)
    });
    prompt_tokens.saturating_add(tokens.tool_use_prompt_token_count.unwrap_or_default())
}

fn answer_tokens(tokens: &UsageMetadata) -> u64 {
    let candidates = tokens.candidates_token_count.unwrap_or_default();
    // Some gateways omit the thoughts but include them in the total.
    let thoughts = tokens.thoughts_token_count.unwrap_or_else(|| {
        let rest = tokens
            .total_token_count
            .unwrap_or_default()
            .saturating_sub(prompt_tokens(tokens))
            .saturating_sub(candidates);
        if tokens.prompt_token_count.is_some() && tokens.candidates_token_count.is_some() { rest } else { 0 }
    });
    candidates.saturating_add(thoughts)
}

fn sum(shares: &[(u64, Decimal)], unit: Decimal) -> Decimal {
    let share = |(tokens, price): &(u64, Decimal)| Decimal::from(*tokens).saturating_mul(*price).saturating_mul(unit);
    shares.iter().map(share).fold(Decimal::ZERO, Decimal::saturating_add)
}

fn rounded(exact: Decimal) -> Decimal {
    let mut rounded = exact.round_dp_with_strategy(7, RoundingStrategy::MidpointAwayFromZero);
    // A price without room for seven decimal places is left unchanged.
    rounded.rescale(7);
    rounded
}

#[cfg(test)]
#[path = "price/tests.rs"]
mod tests;
