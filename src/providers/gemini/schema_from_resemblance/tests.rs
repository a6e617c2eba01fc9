//! Tests of custom models against the declared ones.

use std::path::Path;

use super::*;
use crate::dialect::gemini::response::price::PriceDetails;
use crate::dialect::gemini::{ModelProfile, Thinking};

fn declared() -> Vec<Arc<ModelSchema>> {
    let declared = dify_plugin::declare::load(Path::new(env!("CARGO_MANIFEST_DIR"))).unwrap();
    let google = declared.providers.into_iter().find(|provider| provider.declaration.provider == "google").unwrap();
    google.models.into_iter().map(Arc::new).collect()
}

fn of_type(
    declared: &[Arc<ModelSchema>],
    kind: &str,
    id: &str,
    fields: &[(&str, &str)],
) -> Result<ModelSchema, InvokeError> {
    let mut request: ModelRequest =
        serde_json::from_value(json!({"provider": "google", "model": id, "model_type": kind, "credentials": {}}))
            .unwrap();
    request.target.credentials = Credentials::from_pairs(fields.iter().copied());
    let like = like(&request, &Catalog::new(declared.to_vec().into()))?;
    customizable(&request, like.as_ref(), Limits::default())
}

fn schema(declared: &[Arc<ModelSchema>], id: &str, fields: &[(&str, &str)]) -> Result<ModelSchema, InvokeError> {
    of_type(declared, "llm", id, fields)
}

#[test]
fn a_custom_model_copies_the_declared_model_that_it_resembles() {
    let declared = declared();
    for (kind, id, family, like) in [
        ("llm", "gemini-3.8-flash-002", "auto", "gemini-3.8-flash"),
        ("llm", "models/gemini-3.6-flash-x", "auto", "gemini-3.6-flash"),
        ("llm", "gemini-3.1-pro", "auto", "gemini-3.1-pro-preview"),
        ("llm", "my-alias", "gemini-4-argon", "gemini-4-argon"),
        ("llm", "my-alias", "gemini-3", "gemini-3-flash-preview"),
        ("llm", "nano-banana-pro-preview", "auto", "gemini-3-pro-image"),
        ("text-embedding", "gemini-embedding-2-001", "auto", "gemini-embedding-2"),
        ("text-embedding", "gemini-embedding-2-001", "gemini-3", "gemini-embedding-2"),
        ("tts", "gemini-3.8-flash-tts-001", "auto", "gemini-3.8-flash-tts"),
        ("speech2text", "gemini-3.5-transcribe-001", "auto", "gemini-3.5-transcribe"),
    ] {
        let own = of_type(&declared, kind, id, &[("model_family", family)]).unwrap();
        let like = declared.iter().find(|model| model.model == like && model.model_type == own.model_type).unwrap();
        assert_eq!(own.parameter_rules, like.parameter_rules, "{id} is like {}", like.model);
        assert_eq!(own.features, like.features, "{id}");
        assert_eq!(own.pricing, like.pricing, "{id}");
        assert_eq!(own.extra.get("gemini"), like.extra.get("gemini"), "{id}");
        for (name, value) in &like.model_properties {
            assert_eq!(own.model_properties.get(name), Some(value), "{id}: {name}");
        }
        assert!(!own.deprecated && own.fetch_from == FetchFrom::CustomizableModel, "{id}");
    }
}

#[test]
fn limits_of_the_form_apply() {
    let declared = declared();
    let fields = [("max_output_tokens", "80"), ("context_size", "9000"), ("display_name", "Mine")];
    let own = schema(&declared, "gemini-3.8-flash-x", &fields).unwrap();
    let rule = own.rule("max_output_tokens").unwrap();
    assert_eq!((rule.max, &rule.default), (Some(80.0), &Some(json!(80))));
    assert_eq!((own.number_property("context_size"), own.label.en_us.as_str()), (Some(9000), "Mine"));
}

/// The prices of the form are complete: no discount on cached tokens is derived from the list prices.
#[test]
fn prices_of_the_form_replace_list_prices() {
    let declared = declared();
    let own = schema(&declared, "gemini-3.1-pro", &[("input_price", "1"), ("output_price", "3")]).unwrap();
    let pricing = own.pricing.clone().unwrap();
    assert_eq!((pricing.input, pricing.output), (Decimal::ONE, Some(Decimal::from(3))));
    let details = PriceDetails::of(&own).unwrap();
    assert!(details.cached_input.is_none() && details.long_context.is_none() && details.changes.is_empty());
    assert_eq!(details.service_tiers["flex"].factor, Decimal::new(5, 1));
    assert_eq!(details.service_tiers["flex"].cached, Default::default());
    // The prices of models that are not Google's are unknown.
    assert!(schema(&declared, "endpoints/1", &[]).unwrap().pricing.is_none());
    assert!(schema(&declared, "endpoints/1", &[("model_family", "gemini-3.8-flash")]).unwrap().pricing.is_some());
}

/// Dify's page starts an enabled number at its default, or else at its minimum.
#[test]
fn every_number_parameter_starts_at_a_valid_value() {
    use dify_plugin::declare::ParameterType;
    for model in declared().iter().filter(|model| model.model_type == ModelType::Llm) {
        for rule in
            model.parameter_rules.iter().filter(|rule| matches!(rule.kind, ParameterType::Int | ParameterType::Float))
        {
            let default = rule.default.as_ref().and_then(serde_json::Value::as_f64);
            let fits =
                |value: &f64| rule.min.is_none_or(|min| *value >= min) && rule.max.is_none_or(|max| *value <= max);
            assert!(default.filter(fits).is_some(), "{}: `{}` starts with {default:?}", model.model, rule.name);
        }
    }
}

#[test]
fn an_unknown_model_gets_schemas_that_every_model_supports() {
    let declared = declared();
    for (id, full) in
        [("tunedModels/abc", false), ("mine", false), ("gemini-3.8-flash-x", true), ("gemini-5-flash", true)]
    {
        let model = schema(&declared, id, &[]).unwrap();
        assert_eq!(ModelProfile::of(&model).unwrap().full_schemas, full, "{id}");
        assert_eq!(model.pricing.is_some(), full, "{id}");
    }
}

#[test]
fn non_gemini_models_have_their_own_parameters() {
    let declared = declared();
    for id in ["gemma-3-27b-it", "models/gemma-4-31b-it"] {
        let gemma = schema(&declared, id, &[]).unwrap();
        assert_eq!(gemma.features, [ModelFeature::Vision]);
        assert!(gemma.rule("temperature").is_some() && gemma.rule("thinking_level").is_none());
        assert!(
            ["thinking_budget", "include_thoughts", "json_schema", "grounding", "context_cache"]
                .iter()
                .all(|name| gemma.rule(name).is_none())
        );
        let profile = ModelProfile::of(&gemma).unwrap();
        assert!(!profile.system_instruction && profile.thinking == Thinking::None);
    }
}

#[test]
fn errors_name_the_invalid_field() {
    let declared = declared();
    for (field, wrong) in [
        ("context_size", &["x", "0", "-5", "1.5", "1e30", "NaN", "inf"][..]),
        ("max_output_tokens", &["x", "0", "-5", "1.5", "1e30"]),
        ("input_price", &["x", "-1", "1000001", "79228162514264337593543950335"]),
        ("output_price", &["x", "-1", "1"]),
        ("model_family", &["gpt"]),
    ] {
        for text in wrong {
            let error = schema(&declared, "gemini-3.8-flash-x", &[(field, text)]).unwrap_err();
            assert!(error.message.contains(&format!("`{field}`")), "{field} {text}: {error}");
        }
    }
    let fields =
        [("context_size", "9000"), ("max_output_tokens", " 80 "), ("input_price", "0"), ("output_price", "1.5")];
    let good = schema(&declared, "gemini-3.8-flash-x", &fields).unwrap();
    assert_eq!(good.pricing.unwrap().output, Some(Decimal::new(15, 1)));
}
