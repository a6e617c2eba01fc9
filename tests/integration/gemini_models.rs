//! Every declared model with every parameter at both ends of its range and with every option, on every surface: a
//! strict mock server must accept the requests.

use std::path::Path;

use crate::support::{google, google_setup as setup};
use dify_plugin::declare::{self, ModelFeature, ModelSchema, ParameterRule, ParameterType};
use dify_plugin::protocol::ModelType;
use dify_plugin_runtime::dialect::gemini::ModelProfile;
use google::{API_KEY, Google};
use serde_json::{Map, Value, json};
use setup::{plugin, request, vertex};

/// Returns the chat models; agents are excluded, because they are polled.
fn chats() -> Vec<(ModelSchema, ModelProfile)> {
    let declared = declare::load(Path::new(env!("CARGO_MANIFEST_DIR"))).unwrap().providers;
    let gemini = declared.into_iter().find(|provider| provider.declaration.provider == "google").unwrap();
    let chats = |model: &ModelSchema| model.model_type == ModelType::Llm && !model.has(ModelFeature::Polling);
    let models = gemini.models.into_iter().filter(chats);
    models.map(|model| (model.clone(), ModelProfile::of(&model).unwrap())).collect()
}

fn surfaces(google: &Google) -> [(&'static str, Value); 3] {
    let key = json!({"google_api_key": API_KEY});
    let express = json!({"google_api_key": API_KEY, "auth_method": "vertex_express"});
    [("developer", key), ("vertex", vertex(google)), ("express", express)]
}

/// Returns both ends of a range, or all options.
fn values(rule: &ParameterRule) -> Vec<Value> {
    if !rule.options.is_empty() {
        return rule.options.iter().map(|option| json!(option)).collect();
    }
    let number = |number: f64| if rule.kind == ParameterType::Int { json!(number as i64) } else { json!(number) };
    match (rule.kind, rule.name.as_str()) {
        (ParameterType::Int | ParameterType::Float, _) => {
            [rule.min, rule.max].into_iter().flatten().map(number).collect()
        }
        (ParameterType::Boolean, _) => vec![json!(true), json!(false)],
        (_, "json_schema") => vec![json!("{\"type\": \"object\", \"properties\": {\"a\": {\"type\": \"integer\"}}}")],
        (_, "labels") => vec![json!("{\"team\": \"a\"}")],
        (_, "stop") => vec![json!("END")],
        (_, "search_time_range") => vec![json!("2026-01-01/2026-06-30")],
        _ => vec![json!("a")],
    }
}

/// Returns a parameter with one of its values, and the parameter that it depends on.
fn alone(rule: &ParameterRule, value: Value) -> Value {
    match rule.name.as_str() {
        "exclude_domains" | "search_time_range" | "search_types" => json!({&rule.name: value, "grounding": true}),
        _ => json!({ &rule.name: value }),
    }
}

/// Whether a service does not support a parameter, which must be reported to the user.
fn is_unknown(parameters: &Value, surface: &str) -> bool {
    let names: &[&str] = match surface {
        "developer" => &["exclude_domains", "person_generation"],
        _ => &["search_time_range", "file_search_stores"],
    };
    names.iter().any(|name| parameters.get(name).is_some())
}

fn ask(google: &Google, model: &str, credentials: &Value, parameters: Value, fields: Value) -> Value {
    let mut all = json!({"model_type": "llm", "model_parameters": parameters,
        "prompt_messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi"}]});
    all.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    request(google, "invoke_llm", model, credentials.clone(), all)
}

#[tokio::test]
async fn every_current_model_accepts_every_parameter_value_on_every_surface() {
    let google = Google::start().await;
    let plugin = plugin();
    let mut failures = Vec::new();
    let mut asked = 0;
    for (model, _) in chats().into_iter().filter(|(_, profile)| profile.retired.is_none()) {
        for (surface, credentials) in surfaces(&google) {
            let mut defaults = Map::new();
            for rule in &model.parameter_rules {
                defaults.extend(rule.default.clone().map(|default| (rule.name.clone(), default)));
            }
            let singles =
                model.parameter_rules.iter().flat_map(|rule| values(rule).into_iter().map(|value| alone(rule, value)));
            let name = "lookup";
            let tool = json!({"name": name, "description": "d", "parameters": {"type": "object", "properties": {"q": {"type": "integer"}}, "required": ["q"]}});
            let calls = model.has(ModelFeature::ToolCall);
            let searches = model.parameter_rules.iter().any(|rule| rule.name == "grounding");
            let mut cases = vec![(Value::Object(defaults), json!({}))];
            cases.extend(singles.map(|single| (single, json!({}))));
            if calls {
                cases.push((json!({}), json!({"tools": [tool]})));
                cases.push((json!({}), json!({"tools": [tool], "tool_choice": {"mode": "tool", "name": name}})));
            }
            if calls && searches {
                cases.push((json!({"grounding": true, "url_context": true}), json!({"tools": [tool]})));
            }
            for (parameters, fields) in cases {
                asked += 1;
                let outcome = plugin.call(ask(&google, &model.model, &credentials, parameters.clone(), fields)).await;
                if is_unknown(&parameters, surface) {
                    assert!(outcome.failure().1.contains("available on Vertex AI"), "{:?}", outcome.failure());
                } else if outcome.error.is_some() {
                    failures.push(format!("{} on {surface} with {parameters}: {:?}", model.model, outcome.failure()));
                }
            }
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    assert!(asked > 2000, "{asked}");
}

#[tokio::test]
async fn retired_models_load_and_name_a_successor() {
    let google = Google::start().await;
    let plugin = plugin();
    let (retired, live): (Vec<_>, Vec<_>) = chats().into_iter().partition(|(_, profile)| profile.retired.is_some());
    for (model, profile) in &retired {
        assert!(model.deprecated, "{}", model.model);
        let outcome =
            plugin.call(ask(&google, &model.model, &json!({"google_api_key": API_KEY}), json!({}), json!({}))).await;
        assert!(outcome.failure().1.contains(profile.retired.as_ref().unwrap()), "{}", model.model);
    }
    assert!(google.seen("").is_empty(), "no request is sent to a retired model");
    assert!(live.len() >= 18 && retired.len() >= 30, "{} live, {} retired", live.len(), retired.len());
}
