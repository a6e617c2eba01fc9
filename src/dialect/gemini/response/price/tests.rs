//! Prices calculated by hand.

use serde_json::{Value, json};

use super::*;

fn list(tier: Option<&str>) -> PriceList {
    PriceList {
        pricing: serde_json::from_value(json!({"input": "2", "output": "12", "unit": "0.000001", "currency": "USD"}))
            .unwrap(),
        details: serde_json::from_value(json!({
            "cached_input": "0.20", "audio_input": 3, "image_output": "120",
            "long_context": {"above": 200_000, "input": "4", "output": "18", "cached_input": "0.40"},
            "service_tiers": {"flex": "0.5"},
        }))
        .unwrap(),
        service_tier: tier.map(str::to_owned),
        day: "2026-11-30".to_owned(),
        ..PriceList::default()
    }
}

fn one(list: &PriceList, tokens: Value) -> LlmUsage {
    list.usage(&[serde_json::from_value(tokens).unwrap()])
}

/// Prices calculated by hand.
#[test]
fn every_type_of_token_has_its_price() {
    let cases: Vec<(&str, Value, Option<&str>, &str)> = vec![
        ("plain", json!({"promptTokenCount": 1000, "candidatesTokenCount": 100}), None, "0.0032000"),
        (
            "thoughts are output",
            json!({"promptTokenCount": 1000, "candidatesTokenCount": 60, "thoughtsTokenCount": 40}),
            None,
            "0.0032000",
        ),
        (
            "tool results are input",
            json!({"promptTokenCount": 900, "toolUsePromptTokenCount": 100, "candidatesTokenCount": 100}),
            None,
            "0.0032000",
        ),
        ("cached", json!({"promptTokenCount": 1000, "cachedContentTokenCount": 500}), None, "0.0011000"),
        (
            "audio",
            json!({"promptTokenCount": 1000, "promptTokensDetails": [{"modality": "AUDIO", "tokenCount": 400}]}),
            None,
            "0.0024000",
        ),
        (
            "image out",
            json!({"candidatesTokenCount": 1000, "candidatesTokensDetails": [{"modality": "IMAGE", "tokenCount": 900}]}),
            None,
            "0.1092000",
        ),
        ("at the threshold", json!({"promptTokenCount": 200_000}), None, "0.4000000"),
        ("above the threshold", json!({"promptTokenCount": 200_001, "candidatesTokenCount": 1}), None, "0.8000220"),
        ("flex", json!({"promptTokenCount": 1000, "candidatesTokenCount": 100}), Some("flex"), "0.0016000"),
        ("unknown tier", json!({"promptTokenCount": 1000, "candidatesTokenCount": 100}), Some("gold"), "0.0032000"),
        ("nothing", json!({}), None, "0E-7"),
    ];
    for (name, tokens, tier, expected) in cases {
        let usage = one(&list(tier), tokens);
        assert_eq!(usage.total_price.0, expected, "{name}");
    }
}

#[test]
fn absurd_counts_do_not_overflow() {
    let tokens: UsageMetadata =
        serde_json::from_value(json!({"promptTokenCount": u64::MAX, "cachedContentTokenCount": u64::MAX,
        "candidatesTokenCount": "18446744073709551615", "thoughtsTokenCount": 1e300, "toolUsePromptTokenCount": -1}))
        .unwrap();
    let usage = list(None).usage(&vec![tokens; 64]);
    assert_eq!((usage.prompt_tokens, usage.completion_tokens), (64 << 53, 128 << 53));
}

#[test]
fn absurd_prices_do_not_overflow() {
    let most = json!({"input": "79228162514264337593543950335", "output": "79228162514264337593543950335", "unit": "1", "currency": "USD"});
    for (pricing, tier) in [(&most, None), (&most, Some("flex"))] {
        let list = PriceList { pricing: serde_json::from_value(pricing.clone()).unwrap(), ..list(tier) };
        let usage = one(
            &list,
            json!({"promptTokenCount": 1u64 << 53, "cachedContentTokenCount": 1u64 << 52, "candidatesTokenCount": 1u64 << 53}),
        );
        assert_eq!(usage.prompt_tokens, 1 << 53);
        assert!(!usage.total_price.0.starts_with('0'), "{}", usage.total_price.0);
    }
    let mut kept = PriceList { pricing: serde_json::from_value(most).unwrap(), ..list(None) };
    kept.details.cache_storage = Some(Decimal::MAX);
    kept.stored = Stored { created: u64::MAX, token_seconds: u64::MAX };
    assert!(!one(&kept, json!({"promptTokenCount": 1})).total_price.0.is_empty());
    assert_eq!(SearchPrice::Per1000Queries(Factor(Decimal::MAX)).of(u64::MAX), Decimal::MAX / Decimal::from(1000));
}

/// The header before the usage, and the requested tier only if neither reports one.
#[test]
fn the_price_is_that_of_the_tier_that_was_used() {
    let tokens = |tier: Value| json!({"promptTokenCount": 1000, "candidatesTokenCount": 100, "serviceTier": tier});
    let (full, half) = ("0.0032000", "0.0016000");
    for (header, usage, asked, price) in [
        (None, json!("standard"), Some("flex"), full),
        (None, json!(null), Some("flex"), half),
        (None, json!("flex"), None, half),
        (Some("standard"), json!("flex"), Some("flex"), full),
        (Some("flex"), json!("standard"), None, half),
    ] {
        let list = PriceList { served_tier: header.map(str::to_owned), ..list(asked) };
        assert_eq!(one(&list, tokens(usage.clone())).total_price.0, price, "{header:?} {usage} {asked:?}");
    }
}

#[test]
fn missing_counts_are_derived_from_the_others() {
    for (tokens, expected) in [
        (json!({"promptTokenCount": 10, "candidatesTokenCount": 5, "totalTokenCount": 75}), (10, 65)),
        (
            json!({"promptTokenCount": 10, "candidatesTokenCount": 5, "thoughtsTokenCount": 1, "totalTokenCount": 75}),
            (10, 6),
        ),
        (json!({"promptTokenCount": 10, "candidatesTokenCount": 5, "totalTokenCount": 1}), (10, 5)),
        (
            json!({"promptTokensDetails": [{"modality": "TEXT", "tokenCount": 7}, {"modality": "IMAGE", "tokenCount": 3}]}),
            (10, 0),
        ),
        (json!({"candidatesTokenCount": 5, "totalTokenCount": 15}), (0, 5)),
    ] {
        let usage = one(&list(None), tokens.clone());
        assert_eq!((usage.prompt_tokens, usage.completion_tokens), expected, "{tokens}");
    }
}

#[test]
fn tokens_are_counted_without_a_price() {
    let usage = one(&PriceList::default(), json!({"promptTokenCount": 3, "candidatesTokenCount": 2}));
    assert_eq!((usage.prompt_tokens, usage.completion_tokens, usage.total_tokens), (3, 2, 5));
}

#[test]
fn each_request_of_a_long_response_is_priced_separately() {
    let hop =
        |prompt: u64| serde_json::from_value(json!({"promptTokenCount": prompt, "candidatesTokenCount": 10})).unwrap();
    let usage = list(None).usage(&[hop(150_000), hop(150_000)]);
    assert_eq!((usage.prompt_tokens, usage.completion_tokens), (300_000, 20));
    assert_eq!(usage.total_price.0, "0.6002400");
}

#[test]
fn announced_prices_apply_from_their_first_day() {
    let mut list = list(None);
    list.details.changes = serde_json::from_value(json!({"2026-12-01": {"input": "4", "output": "20"}})).unwrap();
    let tokens = json!({"promptTokenCount": 1000, "candidatesTokenCount": 100});
    assert_eq!(one(&list, tokens.clone()).total_price.0, "0.0032000");
    list.day = "2026-12-01".to_owned();
    let usage = one(&list, tokens);
    assert_eq!((usage.total_price.0.as_str(), usage.prompt_unit_price.0.as_str()), ("0.0060000", "4"));
}

#[test]
fn reports_average_prices_and_reads_the_tier_of_vertex_ai() {
    let tokens = json!({"promptTokenCount": 1000, "cachedContentTokenCount": 500, "candidatesTokenCount": 1, "serviceTier": null, "trafficType": "ON_DEMAND_FLEX"});
    let usage = one(&list(None), tokens);
    assert_eq!(usage.prompt_unit_price.0, "0.55");
    assert_eq!(usage.completion_unit_price.0, "6");
    let plain = one(&list(None), json!({"promptTokenCount": 7, "candidatesTokenCount": 3}));
    assert_eq!((plain.prompt_unit_price.0.as_str(), plain.completion_unit_price.0.as_str()), ("2", "12"));
}

#[test]
fn the_price_is_that_of_the_model_that_responded() {
    let other: dify_plugin::declare::ModelSchema = serde_json::from_value(json!({
        "model": "gemini-9", "label": {"en_US": "Gemini 9"}, "model_type": "llm",
        "pricing": {"input": "1", "output": "2", "unit": "0.000001", "currency": "USD"},
        "gemini": {"price": {"long_context": {"above": 1000, "input": "3", "output": "4"},
            "changes": {"2027-01-01": {"input": "5", "output": "6"}}, "service_tiers": {"flex": "0.1"}}},
    }))
    .unwrap();
    let mut unpriced = other.clone();
    unpriced.pricing = None;
    for (model, fixed, day, tier, prompt, price) in [
        (&other, false, "2026-12-31", None, 1000, "0.0010000"),
        (&other, false, "2026-12-31", None, 1001, "0.0030030"),
        (&other, false, "2026-12-31", Some("flex"), 1001, "0.0003003"),
        (&other, false, "2027-01-01", None, 1001, "0.0050050"),
        (&other, true, "2026-12-31", None, 1000, "0.0020000"),
        (&unpriced, false, "2026-12-31", None, 1000, "0.0020000"),
    ] {
        let mut list = PriceList { fixed, day: day.to_owned(), ..list(tier) };
        list.follow(model);
        assert_eq!(one(&list, json!({"promptTokenCount": prompt})).total_price.0, price, "{day} {tier:?} {prompt}");
    }
}

/// Explicit prices of cached tokens next to a tier's factor, and a separate price for audio.
#[test]
fn cached_tokens_can_have_explicit_prices_at_a_tier() {
    let mut list = list(None);
    list.details = serde_json::from_value(json!({
        "cached_input": "0.20", "cached_audio": "0.60", "audio_input": "3",
        "long_context": {"above": 200_000, "input": "4", "output": "18", "cached_input": "0.40"},
        "changes": {"2027-01-01": {"input": "2", "output": "12", "cached_input": "0.10"}},
        "service_tiers": {
            "flex": {"factor": "0.5", "cached_input": "0.20", "cached_audio": "0.60", "long_context_cached_input": 0.4},
            "priority": "1.8",
        },
    }))
    .unwrap();
    let tokens = |prompt: u64, cached: u64, audio: u64| {
        json!({"promptTokenCount": prompt, "cachedContentTokenCount": cached,
            "promptTokensDetails": [{"modality": "AUDIO", "tokenCount": audio}],
            "cacheTokensDetails": [{"modality": "AUDIO", "tokenCount": audio}]})
    };
    for (tier, day, counts, price) in [
        ("", "2026-12-31", (1000, 500, 0), "0.0011000"),
        ("flex", "2026-12-31", (1000, 500, 0), "0.0006000"),
        ("priority", "2026-12-31", (1000, 500, 0), "0.0019800"),
        ("", "2026-12-31", (1000, 500, 500), "0.0013000"),
        ("flex", "2026-12-31", (1000, 500, 500), "0.0008000"),
        ("priority", "2026-12-31", (1000, 500, 500), "0.0023400"),
        ("flex", "2026-12-31", (200_001, 200_001, 0), "0.0800004"),
        // The tier's explicit prices change with the list prices; its factor remains.
        ("flex", "2027-01-01", (1000, 500, 0), "0.0005250"),
        ("flex", "2027-01-01", (1000, 500, 500), "0.0005250"),
    ] {
        let list = PriceList { served_tier: Some(tier.to_owned()), day: day.to_owned(), ..list.clone() };
        let (prompt, cached, audio) = counts;
        assert_eq!(one(&list, tokens(prompt, cached, audio)).total_price.0, price, "{tier} {day} {counts:?}");
    }
    for wrong in [json!({"cached_input": "1"}), json!({"factor": "1", "x": 1}), json!("cheap"), json!([1])] {
        assert!(serde_json::from_value::<Tier>(wrong.clone()).is_err(), "{wrong}");
    }
}

/// A cache of 100,000 tokens for six minutes at 4.50 per hour and million tokens: 0.2 to read, 0.045 to store.
#[test]
fn an_explicit_cache_is_billed_to_the_request_that_creates_or_extends_it() {
    let mut list = list(Some("flex"));
    list.details.cache_storage = Some("4.50".parse().unwrap());
    let hit = json!({"promptTokenCount": 100_100, "cachedContentTokenCount": 100_000});
    for (created, seconds, price) in [(0, 0, "0.0101000"), (100_000, 360, "0.2551000"), (0, 360, "0.0551000")] {
        list.stored = Stored { created, token_seconds: 100_000 * seconds };
        assert_eq!(one(&list, hit.clone()).total_price.0, price, "{created} {seconds}");
    }
}

#[test]
fn searches_are_priced_per_query_or_per_prompt() {
    for (price, queries, expected) in [
        (json!({"per_1000_queries": "14"}), 3, "0.042"),
        (json!({"per_1000_prompts": 35}), 3, "0.035"),
        (json!({"per_1000_prompts": 35}), 0, "0"),
    ] {
        let price: SearchPrice = serde_json::from_value(price).unwrap();
        assert_eq!(price.of(queries).normalize().to_string(), expected);
    }
}
