//! Declarations of any form do not make the view fail, and the view is no larger than a multiple of them.

use serde_json::{Map, Value, json};

use super::{declarations, model, provider_json};
use crate::declare::{KindDeclarations, LoadedProvider};

/// What is put into each place.
fn hostile() -> Vec<Value> {
    let long = "<script>ü".repeat(500);
    vec![
        Value::Null,
        json!(true),
        json!(-1),
        json!(1e308),
        json!(u64::MAX),
        json!(""),
        json!("__model_type"),
        json!("][.show_on[99]"),
        json!(long),
        json!([]),
        json!([null, [], {}]),
        json!({}),
        json!({"en_US": 1, "\u{0}": {"show_on": [{}]}}),
    ]
}

/// A provider with a model that has a member of every sort.
fn whole() -> Value {
    let on = json!([{"variable": "kind", "value": "a"}, {"variable": "__model_type", "value": "llm"}]);
    let text = json!({"en_US": "T", "zh_Hans": "文", "ja_JP": "字"});
    let option = json!({"label": text, "value": "a", "show_on": on});
    let fields = json!([
        {"variable": "kind", "label": text, "type": "select", "required": true, "default": "a", "options": [option]},
        {"variable": "key", "label": text, "type": "secret-input", "default": "d", "show_on": on, "placeholder": text,
            "help": text, "url": "https://a.example", "max_length": 9},
        {"variable": "key", "label": text, "type": "switch", "required": true, "show_on": on, "default": "e"},
    ]);
    let rules = json!([
        {"name": "temperature", "use_template": "temperature", "label": text, "type": "float", "min": 0, "max": 1, "precision": 2},
        {"name": "size", "label": text, "type": "int", "min": 1, "default": 3, "help": text},
        {"name": "form", "label": text, "type": "string", "options": ["a", "b"], "required": true},
    ]);
    let properties =
        json!({"mode": "chat", "context_size": 4096, "voices": [{"name": "N", "mode": "m", "language": ["en"]}]});
    let members = json!({
        "icon_small": {"en_US": "i.svg"}, "icon_large": {"en_US": "j.svg"}, "background": "#fff", "description": text,
        "help": {"title": text, "url": text},
        "provider_credential_schema": {"credential_form_schemas": fields},
        "model_credential_schema": {"model": {"label": text, "placeholder": text}, "credential_form_schemas": fields},
    });
    let members = provider_json(&members);
    let model = model(
        "m",
        "llm",
        &json!({"model_properties": properties, "features": ["vision"], "parameter_rules": rules,
        "pricing": {"input": "1", "output": "2", "unit": "0.1", "currency": "USD"}}),
    );
    let manifest = json!({"author": "langgenius", "name": "n", "version": "0.1.0", "label": text, "icon": "i.svg", "tags": ["x"],
        "meta": {"minimum_dify_version": "1.0.0"}, "plugins": {"models": ["provider/p.yaml"]}});
    json!({"manifest": manifest, "provider": members, "model": model})
}

/// The JSON pointers of all places.
fn places(value: &Value, at: &str, found: &mut Vec<String>) {
    found.push(at.to_owned());
    match value {
        Value::Object(members) => members.iter().for_each(|(key, value)| places(value, &format!("{at}/{key}"), found)),
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(key, value)| places(value, &format!("{at}/{key}"), found))
        }
        _ => {}
    }
}

/// Draws what can be read of the declarations. What cannot be read as types is drawn from the whole one, with the file as it is.
fn draw(all: &Value) -> Value {
    let whole = whole();
    let read = |value: &Value| serde_json::from_value(value.clone()).ok();
    let declared = read(&all["provider"]).or_else(|| read(&whole["provider"])).unwrap();
    let model =
        serde_json::from_value(all["model"].clone()).or_else(|_| serde_json::from_value(whole["model"].clone()));
    let mut provider = LoadedProvider::new(declared, vec![model.unwrap()]);
    provider.file = "provider/p.yaml".to_owned();
    provider.expanded.insert(provider.file.clone(), all["provider"].clone());
    let mut declarations = declarations(&all["manifest"], KindDeclarations::default());
    declarations.providers.push(provider);
    let view = super::super::view(&declarations, &[]);
    super::super::view(&declarations, &super::super::warnings(&view, &[]))
}

#[test]
fn no_value_in_any_place_makes_the_view_fail() {
    let whole = whole();
    let mut all = Vec::new();
    places(&whole, "", &mut all);
    assert!(all.len() > 150, "{}", all.len());
    for place in all {
        for value in hostile() {
            let mut mutated = whole.clone();
            *mutated.pointer_mut(&place).unwrap() = value.clone();
            let limit = 20_000 + 20 * mutated.to_string().len();
            let view = draw(&mutated);
            assert!(view["providers"][0]["models"].is_array(), "{place}");
            assert!(view.to_string().len() < limit, "{place} {value}");
        }
    }
}

#[test]
fn no_value_in_any_field_makes_its_notes_fail() {
    let whole = whole();
    let form = &whole["provider"]["model_credential_schema"]["credential_form_schemas"];
    let mut all = Vec::new();
    places(form, "", &mut all);
    for place in all {
        for value in hostile() {
            let mut mutated = form.clone();
            *mutated.pointer_mut(&place).unwrap() = value;
            let fields = mutated.as_array().cloned().unwrap_or_default();
            let objects = fields.iter().enumerate().filter_map(|(index, field)| Some((index, field.as_object()?)));
            for (index, field) in objects {
                for (code, place, _) in super::super::notes(field, &fields, index, true) {
                    super::super::related(field, &fields, code, &place);
                }
            }
        }
    }
}

#[test]
fn the_view_grows_with_the_declarations_and_not_faster() {
    let size = |count: usize| {
        let mut all = whole();
        let field = all["provider"]["provider_credential_schema"]["credential_form_schemas"][1].clone();
        let rule = all["model"]["parameter_rules"][0].clone();
        all["provider"]["provider_credential_schema"]["credential_form_schemas"] = vec![field; count].into();
        all["model"]["parameter_rules"] = vec![rule; count].into();
        draw(&all).to_string().len()
    };
    let (small, large) = (size(50), size(400));
    assert!(large < 9 * small, "{small} {large}");
}

#[test]
fn nothing_declared_is_drawn_as_nothing() {
    let view = super::super::view(&declarations(&Value::Object(Map::new()), KindDeclarations::default()), &[]);
    assert_eq!(view["providers"], json!([]));
    assert_eq!(view["card"]["category"], "extension");
}

#[test]
fn no_value_in_any_place_of_tools_and_endpoints_makes_the_view_fail() {
    let text = json!({"en_US": "T", "ja_JP": "字"});
    let identity = json!({"author": "a", "name": "p", "label": text, "description": text, "icon": "i.svg"});
    let setting = json!({"name": "v", "label": text, "type": "select", "required": true, "default": "a", "help": text,
        "url": "https://a.example", "options": [{"value": "a", "label": text}]});
    let parameter = json!({"name": "v", "label": text, "type": "number", "form": "llm", "min": 0, "max": 1, "default": 1,
        "human_description": text, "options": [{"value": "a", "label": text}]});
    let tool = json!({"identity": identity, "description": {"human": text, "llm": "D"}, "parameters": [parameter],
        "output_schema": {"properties": {"a": {"type": "string"}}}});
    let strategy = json!({"identity": identity, "description": text, "parameters": [parameter], "output_schema": {"properties": {}}});
    let whole = json!({
        "tool": {"identity": identity, "credentials_schema": [setting], "oauth_schema": {"client_schema": [setting]}, "tools": [tool]},
        "endpoint": {"settings": [setting], "endpoints": [{"path": "/a", "method": "GET"}]},
        "agent": {"identity": identity, "strategies": [strategy]},
    });
    let mut all = Vec::new();
    places(&whole, "", &mut all);
    let mut drawn = 0;
    for place in all {
        for value in hostile() {
            let mut mutated = whole.clone();
            *mutated.pointer_mut(&place).unwrap() = value;
            let read = |key: &str| mutated.get(key).cloned().unwrap_or_default();
            let kinds = KindDeclarations {
                tool: serde_json::from_value(read("tool")).unwrap_or_default(),
                endpoint: serde_json::from_value(read("endpoint")).unwrap_or_default(),
                agent_strategy: serde_json::from_value(read("agent")).unwrap_or_default(),
                ..KindDeclarations::default()
            };
            let view = super::super::view(&declarations(&whole, kinds), &[]);
            drawn += view["providers"].as_array().unwrap().len();
        }
    }
    assert!(drawn > 1000, "{drawn}");
}
