//! Tests of customizable models against the declared ones.

use std::path::Path;

use super::*;

fn declared() -> Vec<Arc<ModelSchema>> {
    let declared = crate::declare::load(Path::new(env!("CARGO_MANIFEST_DIR"))).unwrap();
    let google = declared.providers.into_iter().find(|provider| provider.declaration.provider == "google").unwrap();
    google.models.into_iter().map(Arc::new).collect()
}

fn schema(declared: &[Arc<ModelSchema>], id: &str, fields: &[(&str, &str)]) -> Result<ModelSchema, InvokeError> {
    let mut request: ModelRequest =
        serde_json::from_value(json!({"provider": "google", "model": id, "model_type": "llm", "credentials": {}}))
            .unwrap();
    request.target.credentials = Credentials::from_pairs(fields.iter().copied());
    customizable(&request, Limits::default(), declared)
}

#[test]
fn a_model_has_the_rules_of_the_declared_one_that_it_is_like() {
    let declared = declared();
    for (id, family, like) in [
        ("gemini-3.8-flash-002", "auto", "gemini-3.8-flash"),
        ("models/gemini-3.6-flash-x", "auto", "gemini-3.6-flash"),
        ("gemini-3.9-flash", "auto", "gemini-3.8-flash"),
        ("gemini-3.6-pro", "auto", "gemini-pro-latest"),
        ("gemini-3.1-pro", "auto", "gemini-3.1-pro-preview"),
        ("gemini-3.5-flash-lite-001", "auto", "gemini-3.5-flash-lite"),
        ("gemini-9-new", "auto", "gemini-4-argon"),
        ("gemini-2.5-flash-001", "auto", "gemini-2.5-flash-lite"),
        ("gemini-2.5-pro-x", "auto", "gemini-2.5-pro"),
        ("my-alias", "gemini-3", "gemini-3.5-flash"),
    ] {
        let own = schema(&declared, id, &[("model_family", family)]).unwrap();
        let like = declared.iter().find(|model| model.model == like).unwrap();
        let names =
            |model: &ModelSchema| model.parameter_rules.iter().map(|rule| rule.name.clone()).collect::<Vec<_>>();
        assert_eq!(names(&own), names(like), "{id} is like {}", like.model);
        assert_eq!(own.features, like.features, "{id}");
    }
    let budget = schema(&declared, "gemini-2.5-flash-001", &[]).unwrap();
    assert_eq!(budget.rule("thinking_budget").unwrap().max, Some(24_576.0));
    let pro = schema(&declared, "gemini-3.1-pro", &[]).unwrap();
    assert!(!pro.rule("thinking_level").unwrap().options.iter().any(|level| level == "Minimal"));
    let short = schema(&declared, "gemini-3.5-flash-x", &[("max_output_tokens", "80")]).unwrap();
    let rule = short.rule("max_output_tokens").unwrap();
    assert_eq!((rule.max, &rule.default), (Some(80.0), &Some(json!(80))));
}

/// The page begins a number that is switched on with its default, and without one with its smallest value.
#[test]
fn every_number_begins_with_something_sensible() {
    use crate::declare::ParameterType;
    for model in declared().iter().filter(|model| model.model_type == ModelType::Llm) {
        for rule in
            model.parameter_rules.iter().filter(|rule| matches!(rule.kind, ParameterType::Int | ParameterType::Float))
        {
            let default = rule.default.as_ref().and_then(serde_json::Value::as_f64);
            let fits =
                |value: &f64| rule.min.is_none_or(|min| *value >= min) && rule.max.is_none_or(|max| *value <= max);
            assert!(default.filter(fits).is_some(), "{}: `{}` begins with {default:?}", model.model, rule.name);
        }
    }
}

#[test]
fn what_is_no_gemini_has_a_form_of_its_own() {
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
    }
    let tuned = schema(&declared, "tunedModels/abc", &[]).unwrap();
    assert!(tuned.rule("seed").is_some() && tuned.rule("json_schema").is_some());
    assert!(tuned.rule("thinking_budget").is_none() && tuned.rule("context_cache").is_none());
    assert!(tuned.has(ModelFeature::ToolCall) && !tuned.has(ModelFeature::StructuredOutput));
}

#[test]
fn the_profile_is_that_of_the_family_that_was_chosen() {
    use crate::dialect::gemini::{ModelProfile, Thinking};
    let declared = declared();
    let of = |id: &str, family: &str| {
        ModelProfile::of(&schema(&declared, id, &[("model_family", family)]).unwrap()).unwrap()
    };
    assert_eq!(of("endpoints/707", "gemini-2.5-flash").thinking, Thinking::Budget);
    assert_eq!(of("endpoints/707", "auto").thinking, Thinking::None);
    assert!(!of("gemma-3-27b-it", "auto").system_instruction && of("gemini-3-x", "auto").system_instruction);
}

#[test]
fn nonsense_is_refused_by_its_field() {
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
