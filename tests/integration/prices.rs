//! Prices against an independent computation in whole numbers: exact, rounded once, never negative, growing with tokens.

use dify_plugin::declare::Pricing;
use dify_plugin::declare::price::{amount, cached_llm_usage, embedding_usage, llm_usage};
use dify_plugin_runtime::dialect::gemini::response::price::{PriceDetails, PriceList};
use dify_plugin_runtime::dialect::gemini::wire::UsageMetadata;
use proptest::prelude::*;
use rust_decimal::Decimal;
use serde_json::json;

/// Places of a price.
const PLACES: u32 = 7;

/// A number as digits and places behind the point.
type Exact = (u128, u32);

fn decimal((digits, places): Exact) -> Decimal {
    Decimal::from_i128_with_scale(i128::try_from(digits).unwrap(), places)
}

/// Ten-millionths of a sum of products, rounded half up: all terms have the same places.
fn rounded(digits: u128, places: u32) -> u128 {
    if places <= PLACES {
        return digits * 10_u128.pow(PLACES - places);
    }
    let divisor = 10_u128.pow(places - PLACES);
    (digits + divisor / 2) / divisor
}

/// The plain text of a price of seven places; small ones are written with an exponent.
fn price_of(text: &str) -> u128 {
    let value = Decimal::from_scientific(text).or_else(|_| text.parse()).unwrap();
    assert!(value.scale() <= PLACES && !value.is_sign_negative(), "{text}");
    u128::try_from(value.mantissa()).unwrap() * 10_u128.pow(PLACES - value.scale())
}

fn price() -> impl Strategy<Value = Exact> {
    (0..100_000_000_u128, 0..=6_u32)
}

fn unit() -> impl Strategy<Value = Exact> {
    prop_oneof![Just((1, 6)), Just((1, 3)), Just((1, 0)), (1..1000_u128, 0..=8_u32)]
}

fn tokens() -> impl Strategy<Value = u64> {
    prop_oneof![0..10_u64, 0..100_000_u64, 0..2_000_000_000_u64]
}

/// Dify knows one price for input and one for output.
#[test]
fn prices_that_dify_does_not_know_are_not_sent() {
    let known = json!({"input": "1", "output": "2", "unit": "0.000001", "currency": "USD"});
    let mut declared = known.clone();
    declared["cached"] = "0.1".into();
    declared["tiered_pricing"] = json!([{"max_tokens": 5, "input": "3"}]);
    let pricing: Pricing = serde_json::from_value(declared.clone()).unwrap();
    assert_eq!(serde_json::to_value(&pricing).unwrap(), known);
    // The last limit holds for longer inputs, and a tier without a price for output has the general one.
    let usage = cached_llm_usage(Some(&pricing), 10, 10, 10);
    assert_eq!((usage.prompt_price.0.as_str(), usage.completion_price.0.as_str()), ("0.0000300", "0.0000200"));
    declared["tiered_pricing"] = serde_json::Value::Null;
    let pricing: Pricing = serde_json::from_value(declared).unwrap();
    assert_eq!(cached_llm_usage(Some(&pricing), 10, 5, 0).total_price.0, "0.0000055");
    assert_eq!(llm_usage(Some(&pricing), 10, 0).total_price.0, "0.0000100");
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(512) })]

    #[test]
    fn an_amount_is_exact_grows_and_adds_up(first in tokens(), more in tokens(), price in price(), unit in unit()) {
        let of = |tokens: u64| {
            let found = amount(tokens, decimal(price), decimal(unit));
            assert_eq!(found.scale(), PLACES);
            u128::try_from(found.mantissa()).expect("no price is negative")
        };
        let exact = |tokens: u64| rounded(u128::from(tokens) * price.0 * unit.0, price.1 + unit.1);
        prop_assert_eq!(of(first), exact(first));
        prop_assert!(of(first + more) >= of(first));
        // Each of the three was rounded by half of the last place at most.
        prop_assert!(of(first + more).abs_diff(of(first) + of(more)) <= 1);
    }

    #[test]
    fn the_usage_of_a_call_is_the_sum_of_its_halves(
        prompt in tokens(), completion in tokens(), input in price(), output in prop::option::of(price()), unit in unit(),
    ) {
        let mut pricing = Pricing::per_million(decimal(input), output.map(decimal));
        pricing.unit = decimal(unit);
        let usage = llm_usage(Some(&pricing), prompt, completion);
        let half = |tokens: u64, price: Exact| rounded(u128::from(tokens) * price.0 * unit.0, price.1 + unit.1);
        let (asked, answered) = (half(prompt, input), output.map_or(0, |output| half(completion, output)));
        prop_assert_eq!(price_of(&usage.prompt_price.0), asked);
        prop_assert_eq!(price_of(&usage.completion_price.0), answered);
        prop_assert_eq!(price_of(&usage.total_price.0), asked + answered);
        prop_assert_eq!(usage.total_tokens, prompt + completion);
        prop_assert_eq!(price_of(&embedding_usage(Some(&pricing), prompt).total_price.0), asked);
    }

    /// Cached input at a price of its own, by the length of the input: exact, and rounded once.
    #[test]
    fn cached_and_tiered_prices_are_exact(
        prompt in 0..200_000_u64, of_cache in 0..300_000_u64, completion in tokens(),
        prices in prop::array::uniform6(0..1_000_000_u128), places in 0..=6_u32, unit in unit(),
    ) {
        let [input, output, cached, long_input, long_output, long_cached] = prices;
        let text = |digits: u128| decimal((digits, places)).to_string();
        let pricing: Pricing = serde_json::from_value(json!({
            "input": "99", "output": "99", "cached": "99", "unit": decimal(unit).to_string(), "currency": "RMB",
            "tiered_pricing": [
                {"max_tokens": 100_000, "input": text(input), "output": text(output), "cached": text(cached)},
                {"input": text(long_input), "output": text(long_output), "cached": text(long_cached)},
            ],
        })).unwrap();
        let long = prompt > 100_000;
        let rates = if long { (long_input, long_output, long_cached) } else { (input, output, cached) };
        let of_cache_counted = of_cache.min(prompt);
        let exact = |terms: &[(u64, u128)]| {
            let sum: u128 = terms.iter().map(|(count, price)| u128::from(*count) * price).sum();
            rounded(sum * unit.0, places + unit.1)
        };
        let asked = exact(&[(prompt - of_cache_counted, rates.0), (of_cache_counted, rates.2)]);
        let answered = exact(&[(completion, rates.1)]);
        let usage = cached_llm_usage(Some(&pricing), prompt, of_cache, completion);
        prop_assert_eq!(price_of(&usage.prompt_price.0), asked);
        prop_assert_eq!(price_of(&usage.total_price.0), asked + answered);
        prop_assert_eq!(&usage.prompt_unit_price.0, &dify_plugin::declare::price::text(decimal((rates.0, places))).0);
        prop_assert_eq!(usage.prompt_tokens, prompt);
    }

    /// Cached, spoken, drawn and thought tokens at prices of their own, by tier, in a short or long prompt.
    #[test]
    fn geminis_price_is_exact(
        counts in prop::array::uniform8(0..3_000_000_u64), prices in prop::array::uniform8(0..10_000_u128),
        tier in 0..3_usize, more in 0..1_000_000_u64,
    ) {
        let [plain, cached, audio, tools, text, thought, drawn, spoken] = counts;
        let [input, output, of_cached, of_audio, of_image, of_speech, long_input, long_output] = prices;
        let (tier_name, factor) = [("standard", (1, 0)), ("flex", (5, 1)), ("priority", (175, 2))][tier];
        let dollars = |digits: u128| decimal((digits, 3)).to_string();
        let details: PriceDetails = serde_json::from_value(json!({
            "cached_input": dollars(of_cached), "audio_input": dollars(of_audio), "image_output": dollars(of_image),
            "audio_output": dollars(of_speech), "service_tiers": {"flex": "0.5", "priority": "1.75"},
            "long_context": {"above": 4_000_000, "input": dollars(long_input), "output": dollars(long_output),
                "cached_input": dollars(of_cached)},
        })).unwrap();
        let list = PriceList {
            pricing: Some(Pricing::per_million(decimal((input, 3)), Some(decimal((output, 3))))),
            details,
            service_tier: Some(tier_name.to_owned()),
            day: "2026-01-01".to_owned(),
            ..PriceList::default()
        };
        let usage = |plain: u64| {
            let modality = |name: &str, count: u64| json!([{"modality": name, "tokenCount": count}]);
            let answered = json!([{"modality": "IMAGE", "tokenCount": drawn}, {"modality": "AUDIO", "tokenCount": spoken}]);
            let metadata: UsageMetadata = serde_json::from_value(json!({
                "promptTokenCount": plain + cached + audio, "cachedContentTokenCount": cached,
                "candidatesTokenCount": text + drawn + spoken, "thoughtsTokenCount": thought,
                "toolUsePromptTokenCount": tools, "promptTokensDetails": modality("AUDIO", audio),
                "candidatesTokensDetails": answered,
            })).unwrap();
            list.usage(&[metadata])
        };
        let exact = |plain: u64| {
            let long = plain + cached + audio > 4_000_000;
            let (input, output) = if long { (long_input, long_output) } else { (input, output) };
            let sum = |terms: [(u64, u128); 3]| terms.iter().map(|(count, price)| u128::from(*count) * price).sum::<u128>();
            let prompt = sum([(plain + tools, input), (cached, of_cached), (audio, of_audio)]);
            let answer = sum([(text + thought, output), (drawn, of_image), (spoken, of_speech)]);
            let (tenths, places) = factor;
            (rounded(prompt * tenths, 3 + 6 + places), rounded(answer * tenths, 3 + 6 + places))
        };
        let found = usage(plain);
        let (prompt, answer) = exact(plain);
        prop_assert_eq!(price_of(&found.prompt_price.0), prompt);
        prop_assert_eq!(price_of(&found.completion_price.0), answer);
        prop_assert_eq!(price_of(&found.total_price.0), prompt + answer);
        prop_assert_eq!(found.total_tokens, found.prompt_tokens + found.completion_tokens);
        if long_input >= input && long_output >= output {
            prop_assert!(price_of(&usage(plain + more).total_price.0) >= prompt + answer);
        }
    }
}
