//! What Dify draws for each declaration, as tables: controls by type and engine, steps, badges, order, languages. The same rules are
//! compared in a browser by `tests/browser/`; here are the edges of each of them.

mod hostile;
mod kinds;

use std::path::PathBuf;

use serde_json::{Value, json};

use crate::declare::{Declarations, KindDeclarations, LoadedProvider, Manifest};

/// Declarations that no directory holds. The provider's file is `provider/p.yaml`.
fn declarations(manifest: &Value, kinds: KindDeclarations) -> Declarations {
    let manifest = Manifest(manifest.as_object().cloned().unwrap_or_default());
    Declarations { directory: PathBuf::from("/nonexistent"), manifest, providers: Vec::new(), kinds }
}

/// A provider of models with the members that a case gives.
fn provider_json(members: &Value) -> Value {
    let mut provider = json!({
        "provider": "p", "label": {"en_US": "P"}, "supported_model_types": ["llm", "tts"],
        "configurate_methods": ["predefined-model", "customizable-model"],
    });
    for (key, value) in members.as_object().into_iter().flatten() {
        provider[key] = value.clone();
    }
    provider
}

fn model_view(members: &Value, models: &[Value], author: &str) -> Value {
    let raw = provider_json(members);
    let models = models.iter().map(|model| serde_json::from_value(model.clone()).unwrap()).collect();
    let mut provider = LoadedProvider::new(serde_json::from_value(raw.clone()).unwrap(), models);
    provider.file = "provider/p.yaml".to_owned();
    provider.expanded.insert(provider.file.clone(), raw);
    let mut declarations = declarations(&json!({"author": author, "name": "n"}), KindDeclarations::default());
    declarations.providers.push(provider);
    super::view(&declarations, &[])
}

/// The fields of the provider's form, without Dify's own.
fn credentials(fields: &Value) -> Vec<Value> {
    let form = json!({"provider_credential_schema": {"credential_form_schemas": fields}});
    let view = model_view(&form, &[], "a");
    view["providers"][0]["credentials"]["fields"].as_array().unwrap()[1..].to_vec()
}

fn codes(field: &Value) -> Vec<&str> {
    field["notes"].as_array().unwrap().iter().map(|note| note["code"].as_str().unwrap()).collect()
}

fn model(name: &str, kind: &str, members: &Value) -> Value {
    let mut model = json!({"model": name, "label": {"en_US": name}, "model_type": kind, "model_properties": {}});
    for (key, value) in members.as_object().into_iter().flatten() {
        model[key] = value.clone();
    }
    model
}

#[test]
fn fields_of_model_credentials_have_the_controls_of_the_newer_engine() {
    let cases = [
        ("text-input", "text"),
        ("secret-input", "password"),
        ("select", "select"),
        ("radio", "cards"),
        // A label and nothing else.
        ("switch", "none"),
    ];
    for (kind, control) in cases {
        let options = json!([{"label": {"en_US": "A"}, "value": "a"}]);
        let fields =
            credentials(&json!([{"variable": "v", "label": {"en_US": "V"}, "type": kind, "options": options}]));
        assert_eq!(fields[0]["control"], control, "{kind}");
        assert_eq!(fields[0]["type"], kind);
        assert_eq!(fields[0]["drawn_from"], Value::Null);
    }
}

#[test]
fn a_field_of_model_credentials_shows_what_reaches_the_browser() {
    let text = |member: Value| {
        let mut field = json!({"variable": "v", "label": {"en_US": "V"}, "type": "text-input"});
        field.as_object_mut().unwrap().extend(member.as_object().cloned().unwrap());
        credentials(&json!([field])).remove(0)
    };
    let cases = [
        // The languages of the API's type: two.
        (
            json!({"label": {"en_US": "V", "zh_Hans": "值", "ja_JP": "値", "pt_BR": "Valor"}}),
            "label",
            json!({"en_US": "V", "zh_Hans": "值"}),
        ),
        (json!({"label": {"en_US": "V", "ja_JP": "値"}}), "label", json!({"en_US": "V"})),
        (json!({"placeholder": {"en_US": "Type"}}), "placeholder", json!({"en_US": "Type"})),
        (json!({}), "placeholder", Value::Null),
        // No other member of a field is in that type.
        (json!({"help": {"en_US": "H"}, "url": "https://a.example"}), "help", Value::Null),
        (json!({"help": {"en_US": "H"}, "url": "https://a.example"}), "url", Value::Null),
        (json!({"required": true}), "required", json!(true)),
        (json!({"required": false}), "required", json!(false)),
        (json!({}), "required", json!(false)),
        (json!({"default": "d"}), "initial", json!("d")),
        (json!({"max_length": 0}), "max_length", Value::Null),
        (json!({"max_length": 5}), "max_length", json!(5)),
    ];
    for (member, key, expected) in cases {
        assert_eq!(text(member.clone())[key], expected, "{member} {key}");
    }
}

#[test]
fn a_variable_that_appears_twice_is_drawn_from_its_first_field() {
    let field = |variable: &str, default: Value| json!({"variable": variable, "label": {"en_US": "L"}, "type": "text-input", "default": default});
    let fields = credentials(&json!([
        field("a", json!("1")),
        field("b", Value::Null),
        field("a", json!("2")),
        field("b", Value::Null)
    ]));
    let drawn: Vec<&Value> = fields.iter().map(|field| &field["drawn_from"]).collect();
    // The name of the credential is field 0.
    assert_eq!(drawn, [&Value::Null, &Value::Null, &json!(1), &json!(2)]);
    assert_eq!(codes(&fields[2]), ["W003"], "the last default is put in");
    assert!(codes(&fields[3]).is_empty(), "no defaults differ");
}

#[test]
fn conditions_are_kept_and_a_hidden_required_field_is_noted() {
    let on = json!([{"variable": "a", "value": "x"}]);
    let fields = credentials(&json!([
        {"variable": "v", "label": {"en_US": "V"}, "type": "text-input", "required": true, "show_on": on},
        {"variable": "w", "label": {"en_US": "W"}, "type": "text-input", "required": false, "show_on": on},
    ]));
    assert_eq!(fields[0]["show_on"], on);
    assert_eq!((codes(&fields[0]), codes(&fields[1])), (vec!["W009"], vec![]));
}

#[test]
fn customizable_models_have_a_name_and_a_type_above_their_form() {
    let cases = [
        (json!({"label": {"en_US": "Deployment"}}), "Deployment", "Please enter model name"),
        (json!({"label": {"en_US": "M"}, "placeholder": {"en_US": "Name"}}), "M", "Name"),
    ];
    for (named, label, placeholder) in cases {
        let form = json!({"model_credential_schema": {"model": named, "credential_form_schemas": []}});
        let view = model_view(&form, &[], "a");
        let upper = &view["providers"][0]["model_credentials"]["upper"]["fields"];
        assert_eq!(upper[0]["variable"], "__model_name");
        assert_eq!(upper[0]["label"]["en_US"], label);
        assert_eq!(upper[0]["placeholder"]["en_US"], placeholder);
        assert_eq!(upper[1]["variable"], "__model_type");
        let types: Vec<&Value> =
            upper[1]["options"].as_array().unwrap().iter().map(|option| &option["value"]).collect();
        assert_eq!(types, ["llm", "tts"]);
        assert!(upper.as_array().unwrap().iter().all(|field| field["required"] == true));
    }
}

#[test]
fn panels_and_forms_follow_the_methods() {
    let form = json!({"credential_form_schemas": []});
    let custom = json!({"model": {"label": {"en_US": "M"}}, "credential_form_schemas": []});
    for (methods, panel, add) in [
        (json!(["predefined-model"]), true, false),
        (json!(["customizable-model"]), false, true),
        (json!(["predefined-model", "customizable-model"]), true, true),
    ] {
        let members = json!({"configurate_methods": methods, "provider_credential_schema": form, "model_credential_schema": custom});
        let provider = model_view(&members, &[], "a")["providers"][0].clone();
        assert_eq!(provider["has_credential_panel"], panel, "{methods}");
        assert_eq!(provider["has_add_model"], add, "{methods}");
        assert_eq!(provider["credentials"].is_object(), panel, "{methods}");
        assert_eq!(provider["model_credentials"].is_object(), add, "{methods}");
    }
}

#[test]
fn models_are_ordered_by_type_and_have_the_badges_of_dify() {
    let members = json!({"model_properties": {"mode": "chat", "context_size": 1_048_576}, "deprecated": true,
        "features": ["video", "tool-call", "vision"]});
    let models = [
        model("t", "tts", &json!({})),
        model("e", "text-embedding", &json!({})),
        model("b", "llm", &members),
        model("s", "speech2text", &json!({})),
        model("r", "rerank", &json!({})),
        model("a", "llm", &json!({})),
        model("m", "moderation", &json!({})),
    ];
    let view = model_view(&json!({}), &models, "a");
    let listed = view["providers"][0]["models"].as_array().unwrap();
    let names: Vec<&Value> = listed.iter().map(|model| &model["name"]).collect();
    assert_eq!(names, ["b", "a", "m", "r", "s", "e", "t"]);
    let badges: Vec<&Value> = listed.iter().map(|model| &model["badge"]).collect();
    assert_eq!(badges, ["LLM", "LLM", "MODERATION", "RERANK", "SPEECH2TEXT", "TEXT EMBEDDING", "TTS"]);
    assert_eq!(listed[0]["mode"], "CHAT");
    assert_eq!(listed[0]["features"], json!(["vision", "video"]), "others have no badge");
    assert_eq!((&listed[0]["deprecated"], &listed[0]["in_picker"]), (&json!(true), &json!(false)));
    assert_eq!((&listed[1]["deprecated"], &listed[1]["in_picker"]), (&json!(false), &json!(true)));
    for (tokens, shown) in
        [(900, "900"), (999, "999"), (1000, "1K"), (1999, "1K"), (32_768, "32K"), (1_048_576, "1048K")]
    {
        let view =
            model_view(&json!({}), &[model("a", "llm", &json!({"model_properties": {"context_size": tokens}}))], "a");
        assert_eq!(view["providers"][0]["models"][0]["context"], shown, "{tokens}");
    }
}

#[test]
fn only_two_plugins_have_presets() {
    for (author, name, expected) in [
        ("langgenius", "openai", true),
        ("langgenius", "azure_openai", true),
        ("langgenius", "gemini", false),
        ("other", "openai", false),
    ] {
        let view = model_view(&json!({"provider": name}), &[model("a", "llm", &json!({}))], author);
        assert_eq!(view["providers"][0]["models"][0]["presets"], expected, "{author}/{name}");
    }
}

#[test]
fn parameters_have_the_controls_steps_and_notes_of_the_panel() {
    // Type and further members, then control, step, a switch before the label, notes.
    let cases = [
        (json!({"type": "int", "min": 0, "max": 99}), "slider", json!(1.0), true, vec![]),
        (json!({"type": "int", "min": 0, "max": 100}), "slider", json!(10.0), true, vec![]),
        (json!({"type": "int", "min": 0, "max": 999}), "slider", json!(10.0), true, vec![]),
        (json!({"type": "int", "min": 0, "max": 1000}), "slider", json!(100.0), true, vec![]),
        (json!({"type": "int", "min": 950, "max": 1000}), "slider", json!(100.0), true, vec!["W013"]),
        (json!({"type": "float", "min": 0, "max": 2}), "slider", json!(0.1), true, vec![]),
        (json!({"type": "float", "min": 0, "max": 2, "precision": 2}), "slider", json!(0.1), true, vec!["W012"]),
        (json!({"type": "float", "min": 0, "max": 0.05}), "slider", json!(0.1), true, vec!["W013"]),
        (json!({"type": "int", "min": 1}), "number", json!(0.0), true, vec!["W014"]),
        (json!({"type": "float", "max": 1, "precision": 2}), "number", json!(0.2), true, vec!["W014"]),
        (json!({"type": "int"}), "number", json!(0.0), true, vec![]),
        (json!({"type": "string"}), "text", Value::Null, true, vec![]),
        (json!({"type": "string", "options": ["a", "b"]}), "select", Value::Null, true, vec!["W015"]),
        (json!({"type": "text"}), "text-area", Value::Null, true, vec![]),
        (json!({"type": "boolean"}), "boolean", Value::Null, true, vec![]),
        (json!({"type": "boolean", "required": true}), "boolean", Value::Null, false, vec![]),
        (json!({"type": "string", "name": "stop"}), "text", Value::Null, false, vec![]),
    ];
    for (members, control, step, switch, notes) in cases {
        let mut rule = json!({"name": "r", "label": {"en_US": "R"}});
        rule.as_object_mut().unwrap().extend(members.as_object().cloned().unwrap());
        let view = model_view(&json!({}), &[model("a", "llm", &json!({"parameter_rules": [rule]}))], "a");
        let field = &view["providers"][0]["models"][0]["parameters"]["fields"][0];
        let found = (field["control"].as_str().unwrap(), &field["step"], field["switch"].as_bool().unwrap());
        assert_eq!(found, (control, &step, switch), "{members}");
        assert_eq!(codes(field), notes, "{members}");
    }
}
