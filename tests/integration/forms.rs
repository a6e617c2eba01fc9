//! The credential forms of the three providers as Dify draws and filters them: short at first sight, one entry per
//! variable, whole through the debugging port, and no name of an earlier form lost.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use crate::support::{dify_form, forms as declared};
use declared::{declaration, declarations};
use dify_form::{drawn, kept, opened};
use dify_plugin::declare::provider::{CredentialFieldType, ShowOn};
use dify_plugin::declare::{self, CredentialField, I18n};
use dify_plugin::protocol::{Credentials, ModelType};
use dify_plugin::runtime::form::{Form, complete};
use serde_json::{Value, json};

const GOOGLE: &str = "google";
const GATEWAY: &str = "ai-gateway";
const XINFERENCE: &str = "xinference";

/// Every form: its provider, which of the two it is, its fields, the model types that it is for.
fn forms() -> Vec<(String, Form, Vec<CredentialField>, Vec<&'static str>)> {
    let mut forms = Vec::new();
    for declaration in declarations() {
        let name = &declaration.provider;
        if let Some(form) = &declaration.provider_credential_schema {
            forms.push((name.clone(), Form::Provider, form.credential_form_schemas.clone(), vec![""]));
        }
        if let Some(form) = &declaration.model_credential_schema {
            let types = declaration.supported_model_types.iter().map(|model_type| model_type.as_str()).collect();
            forms.push((name.clone(), Form::Model, form.credential_form_schemas.clone(), types));
        }
    }
    forms
}

fn variables(fields: &[&CredentialField]) -> Vec<String> {
    fields.iter().map(|field| field.variable.clone()).collect()
}

/// Most fields that are drawn at first, and with advanced settings: by provider and method of authentication.
const LIMITS: &[(&str, &str, usize, usize)] = &[
    (GOOGLE, "api_key", 6, 24),
    (GOOGLE, "vertex_express", 6, 24),
    (GOOGLE, "service_account", 9, 30),
    (GATEWAY, "api_key", 12, 26),
    (GATEWAY, "jwt", 14, 26),
    (GATEWAY, "hmac", 14, 26),
    (XINFERENCE, "", 6, 18),
];

#[test]
fn first_screens_are_short() {
    let mut table = String::from("provider form type method: first screen / with advanced settings\n");
    let mut wrong = Vec::new();
    for (name, form, fields, types) in forms() {
        for model_type in types {
            for (_, method, first, all) in LIMITS.iter().filter(|(provider, ..)| *provider == name) {
                let mut values = opened(&fields, model_type);
                if !method.is_empty() {
                    values.insert("auth_method".to_owned(), (*method).to_owned());
                }
                let at_first = drawn(&fields, &values).len();
                values.insert("advanced".to_owned(), "on".to_owned());
                let whole = drawn(&fields, &values).len();
                let line = format!("{name} {form:?} {model_type} {method}: {at_first} / {whole}");
                if at_first > *first || whole > *all || whole <= at_first {
                    wrong.push(line.clone());
                }
                table.push_str(&format!("{line}\n"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}\n{table}");
}

/// The most important fields come first: URL, model, authentication, abilities, limits, and the rest behind one
/// select.
#[test]
fn fields_come_in_the_order_in_which_they_are_needed() {
    let orders: &[(&str, Form, &[&str])] = &[
        (GOOGLE, Form::Provider, &["google_base_url", "auth_method", "google_api_key", "file_url", "advanced"]),
        (GOOGLE, Form::Model, &["google_base_url", "auth_method", "google_api_key", "advanced"]),
        (
            GATEWAY,
            Form::Model,
            &[
                "endpoint_url",
                "endpoint_model_name",
                "auth_method",
                "api_key",
                "api_key_name",
                "vision_support",
                "function_calling_type",
                "agent_though_support",
                "structured_output_support",
                "context_size",
                "max_tokens_to_sample",
                "advanced",
            ],
        ),
        (XINFERENCE, Form::Model, &["server_url", "model_uid", "api_key", "advanced"]),
    ];
    for (name, form, expected) in orders {
        let (_, _, fields, _) = forms().into_iter().find(|found| found.0 == *name && found.1 == *form).unwrap();
        assert_eq!(variables(&drawn(&fields, &opened(&fields, "llm"))), *expected, "{name} {form:?}");
    }
    for (name, form, fields, _) in forms() {
        let switch = fields.iter().position(|field| field.variable == "advanced").unwrap();
        let is_behind = |field: &CredentialField| field.show_on.iter().any(|on| on.variable == "advanced");
        let order: Vec<bool> = fields.iter().map(is_behind).collect();
        assert!(order[..=switch].iter().all(|behind| !behind), "{name} {form:?}");
        assert!(order[switch + 1..].iter().all(|behind| *behind), "{name} {form:?}");
        assert_eq!(fields[switch].default.as_deref(), Some("off"), "{name} {form:?}");
    }
}

fn check_texts(place: &str, texts: &I18n, wrong: &mut Vec<String>) {
    if texts.en_us.trim().is_empty() || texts.zh_hans.as_deref().is_none_or(|text| text.trim().is_empty()) {
        wrong.push(format!("{place} lacks a language: {texts:?}"));
    }
}

/// Dify draws a variable once, by its first entry; neither help nor link of a field reaches its page, and the debugging
/// port takes 32 fields.
#[test]
fn every_field_says_everything_in_both_languages() {
    let mut wrong = Vec::new();
    for (name, form, fields, _) in forms() {
        let place = |what: &str| format!("{name} {form:?} {what}");
        if fields.len() > 32 {
            wrong.push(place(&format!("has {} fields", fields.len())));
        }
        let unique: BTreeSet<&str> = fields.iter().map(|field| field.variable.as_str()).collect();
        if unique.len() != fields.len() {
            wrong.push(place("has a variable twice"));
        }
        for field in &fields {
            let place = |what: &str| format!("{name} {form:?} {} {what}", field.variable);
            check_texts(&place("label"), &field.label, &mut wrong);
            if field.label.en_us.chars().count() > 36 {
                wrong.push(place("has a long label"));
            }
            if field.help.is_some() || field.url.is_some() {
                wrong.push(place("has a help that Dify does not show"));
            }
            // "Please enter" is drawn in place of a missing one.
            match (&field.placeholder, &field.default, field.options.is_empty()) {
                (Some(placeholder), ..) => check_texts(&place("placeholder"), placeholder, &mut wrong),
                (None, Some(_), false) => {}
                _ => wrong.push(place("has neither a placeholder nor a default to choose from")),
            }
            for option in &field.options {
                check_texts(&place(&option.value), &option.label, &mut wrong);
            }
            if let Some(default) = &field.default {
                let known = field.options.is_empty() || field.options.iter().any(|option| option.value == *default);
                if !known || field.required || field.kind == CredentialFieldType::SecretInput {
                    wrong.push(place("cannot have this default"));
                }
            }
            if !matches!(field.kind, CredentialFieldType::TextInput | CredentialFieldType::SecretInput)
                && field.kind != CredentialFieldType::Select
            {
                wrong.push(place("is of a kind that Dify draws badly"));
            }
            let conditions = field.show_on.iter().chain(field.options.iter().flat_map(|option| &option.show_on));
            for ShowOn { variable, value, .. } in conditions {
                let other = fields.iter().find(|other| other.variable == *variable);
                let can_be = match (variable.as_str(), other) {
                    ("__model_type", _) => form == Form::Model,
                    (_, Some(other)) => other.options.iter().any(|option| option.value == *value),
                    (_, None) => false,
                };
                if !can_be {
                    wrong.push(place(&format!("depends on {variable} = {value}")));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// A field has the same name, text and default in every form.
#[test]
fn the_same_thing_is_the_same_in_all_forms() {
    const SHARED: [&str; 7] =
        ["advanced", "request_timeout", "max_retries", "extra_headers", "proxy_url", "tls_ca", "log_level"];
    for variable in SHARED {
        let found: Vec<CredentialField> = forms()
            .into_iter()
            .filter_map(|(_, _, fields, _)| fields.into_iter().find(|field| field.variable == variable))
            .collect();
        assert_eq!(found.len(), forms().len(), "{variable}");
        assert!(found.windows(2).all(|pair| pair[0] == pair[1]), "{variable}");
    }
    let mut labels: BTreeMap<String, I18n> = BTreeMap::new();
    for (name, _, fields, _) in forms() {
        for field in fields.iter().filter(|field| field.variable != "api_key_name" && field.variable != "voices") {
            let first = labels.entry(field.variable.clone()).or_insert_with(|| field.label.clone());
            assert_eq!(*first, field.label, "{name} {}", field.variable);
        }
    }
}

/// The official plugins' labels; two providers of one label cannot be distinguished in Dify's lists.
#[test]
fn providers_do_not_look_like_the_official_ones() {
    for declaration in declarations() {
        for official in ["Gemini", "AI Gateway", "Xorbits Inference"] {
            assert!(declaration.label.texts().all(|label| label != official), "{official}");
        }
        let help = declaration.help.as_ref().unwrap();
        for texts in [&declaration.label, declaration.description.as_ref().unwrap(), &help.title, &help.url] {
            assert!(texts.zh_hans.is_some(), "{}: {texts:?}", declaration.provider);
        }
    }
}

/// The names, kinds and choices of the forms before they were shortened, by provider.
fn names_before() -> BTreeMap<String, BTreeMap<String, Value>> {
    serde_json::from_str(include_str!("../data/forms/names_before.json")).unwrap()
}

#[test]
fn every_name_and_choice_of_earlier_forms_is_still_taken() {
    let mut wrong = Vec::new();
    for (name, before) in names_before() {
        let declaration = declaration(&name);
        let former: BTreeSet<&str> = declaration.former_fields().map(|(name, _)| name).collect();
        for (variable, facts) in before {
            if !declaration.takes(&variable) {
                wrong.push(format!("{name} {variable} is gone"));
            }
            let now: Vec<_> = declaration.credential_fields().filter(|field| field.variable == variable).collect();
            if now.is_empty() != former.contains(variable.as_str()) && declaration.setting(&variable).is_none() {
                wrong.push(format!("{name} {variable} is neither a field nor a former one"));
            }
            // Dify decrypts what the form of today calls secret: a secret that leaves the form or changes its kind is lost.
            if facts["type"] == "secret-input"
                && (now.is_empty() || now.iter().any(|field| field.kind != CredentialFieldType::SecretInput))
            {
                wrong.push(format!("{name} {variable} is no secret any more"));
            }
            let choices = facts["options"].as_array().into_iter().flatten().chain(facts.get("default"));
            for choice in choices.filter_map(Value::as_str) {
                for form in [Form::Provider, Form::Model] {
                    let base = [("endpoint_url", "u"), ("server_url", "u"), ("model_uid", "m"), ("jwt_jwks", "k")];
                    let more = [("jwt_consumer_id", "c"), ("hmac_access_key", "a"), ("hmac_secret_key", "s")];
                    let fields = base.into_iter().chain(more).chain([(variable.as_str(), choice)]);
                    if let Err(error) =
                        complete(&declaration, form, Some(ModelType::Llm), &mut Credentials::from_pairs(fields))
                    {
                        wrong.push(format!("{name} {variable} {choice}: {error}"));
                    }
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// Clients of Dify's API that send a key and nothing else get through its filter with the key.
#[test]
fn a_key_alone_is_kept() {
    type Sent<'a> = &'a [(&'a str, &'a str)];
    let cases: &[(&str, Form, Sent<'_>)] = &[
        (GOOGLE, Form::Provider, &[("google_api_key", "k")]),
        (
            GOOGLE,
            Form::Provider,
            &[("google_api_key", "k"), ("google_base_url", "https://g"), ("file_url", "http://d")],
        ),
        (GOOGLE, Form::Model, &[("google_api_key", "k")]),
        (
            GOOGLE,
            Form::Provider,
            &[
                ("auth_method", "service_account"),
                ("google_service_account_json", "{}"),
                ("google_project_id", "p"),
                ("google_location", "eu"),
            ],
        ),
        (GATEWAY, Form::Model, &[("endpoint_url", "https://g/v1"), ("api_key", "k")]),
        (XINFERENCE, Form::Model, &[("server_url", "http://h"), ("model_uid", "m")]),
        (XINFERENCE, Form::Model, &[("server_url", "http://h"), ("model_uid", "m"), ("api_key", "k")]),
    ];
    for (name, form, sent) in cases {
        let (_, _, fields, types) = forms().into_iter().find(|found| found.0 == *name && found.1 == *form).unwrap();
        for model_type in types {
            let kept = kept(&fields, model_type, sent).unwrap();
            for (field, value) in *sent {
                assert_eq!(kept.get(*field).map(String::as_str), Some(*value), "{name} {model_type}");
            }
            let mut credentials = Credentials::from_pairs(kept);
            complete(
                &declaration(name),
                *form,
                ModelType::ALL.into_iter().find(|known| known.as_str() == model_type),
                &mut credentials,
            )
            .unwrap();
        }
    }
}

/// What is behind the switch is read from stored credentials that know no switch, and checked like what is drawn.
#[test]
fn hidden_fields_are_read_and_checked() {
    for (name, form, fields, _) in forms() {
        let declaration = declaration(&name);
        let required = fields.iter().filter(|field| field.required).map(|field| (field.variable.as_str(), "x"));
        let base: Vec<(&str, &str)> = required.collect();
        for field in fields.iter().filter(|field| field.show_on.iter().any(|on| on.variable == "advanced")) {
            if field.variable == "more_settings" {
                continue;
            }
            let value = field.options.first().map_or("1", |option| option.value.as_str());
            let with = |value| Credentials::from_pairs(base.iter().copied().chain([(field.variable.as_str(), value)]));
            let mut credentials = with(value);
            complete(&declaration, form, Some(ModelType::Llm), &mut credentials).unwrap();
            assert_eq!(credentials.get(&field.variable), Some(value), "{name} {}", field.variable);
            if !field.options.is_empty() {
                let error = complete(&declaration, form, Some(ModelType::Llm), &mut with("nonsense")).unwrap_err();
                assert!(error.message.contains(&format!("`{}` must be one of", field.variable)), "{error}");
            }
        }
    }
}

fn gateway(fields: Value) -> Result<Credentials, String> {
    let declaration = declaration(GATEWAY);
    let mut credentials: Credentials = serde_json::from_value(fields).unwrap();
    credentials.set("endpoint_url", "https://g/v1");
    complete(&declaration, Form::Model, Some(ModelType::Llm), &mut credentials)
        .map_err(|error| declaration.label_fields(error).detail())
        .map(|()| credentials)
}

#[test]
fn more_settings_are_settings() {
    let text = json!({"mode": "completion", "dimensions": 512, "audio_support": "support", "display_name": null,
        "jwt_extra_claims": {"team": "blue"}, "language": " en "})
    .to_string();
    let read = gateway(json!({"more_settings": text, "mode": "chat"})).unwrap();
    for (name, expected) in [
        ("mode", Some("completion")),
        ("dimensions", Some("512")),
        ("audio_support", Some("support")),
        ("display_name", None),
        ("jwt_extra_claims", Some(r#"{"team":"blue"}"#)),
        ("language", Some("en")),
    ] {
        assert_eq!(read.get(name), expected, "{name}");
    }
    assert!(gateway(json!({"more_settings": " "})).is_ok());
    // As fields of earlier forms they stand beside the others.
    assert_eq!(gateway(json!({"mode": "completion"})).unwrap().get("mode"), Some("completion"));
    for (fields, expected) in [
        (json!({"more_settings": "CANARY"}), "`more_settings` must be a JSON object"),
        (json!({"more_settings": "[\"CANARY\"]"}), "`more_settings` must be a JSON object"),
        (json!({"more_settings": "{\"mode\": \"CANARY"}), "`more_settings` must be a JSON object"),
        (json!({"more_settings": "{\"colour\": \"CANARY\"}"}), "the unknown setting `colour`; expected one of"),
        (
            json!({"more_settings": "{\"api_key\": \"CANARY\"}"}),
            "must not contain “API key” `api_key`, which has a field",
        ),
        (
            json!({"more_settings": "{\"mode\": \"nonsense\"}"}),
            "“More settings (JSON)” `mode` must be one of: chat, completion",
        ),
        (json!({"audio_support": "nonsense"}), "“More settings (JSON)” `audio_support` must be one of"),
        (json!({"function_calling_type": "nonsense"}), "“Function calling” `function_calling_type` must be one of"),
    ] {
        let error = gateway(fields).unwrap_err();
        assert!(error.contains(expected) && !error.contains("CANARY"), "{error}");
    }
}

/// An error about a field of an earlier form names the field in which users find it today.
#[test]
fn former_fields_have_the_label_of_their_successor() {
    let cases = [
        (GATEWAY, "idle_timeout", "Timeout (seconds)"),
        (GATEWAY, "unit", "Input price (per 1M tokens)"),
        (GATEWAY, "api_key_location", "API key header"),
        (GATEWAY, "word_limit", "More settings (JSON)"),
        (GATEWAY, "context_size", "Context size (tokens)"),
        (XINFERENCE, "invoke_timeout", "Timeout (seconds)"),
        (GOOGLE, "safety_harassment_floor", "Minimum safety filter"),
    ];
    for (name, variable, label) in cases {
        let error = dify_plugin::error::InvokeError::credentials(format!("credential `{variable}` is wrong"));
        let expected = format!("credential “{label}” `{variable}` is wrong");
        assert_eq!(declaration(name).label_fields(error).message, expected);
    }
    let successors: Vec<_> = declarations()
        .iter()
        .flat_map(|declaration| {
            let fields: Vec<String> = declaration.credential_fields().map(|field| field.variable.clone()).collect();
            let lost = |name: &str| !fields.iter().any(|field| field == name);
            let former = declaration.former_fields().filter_map(|(_, successor)| successor);
            former.filter(|successor| lost(successor)).map(str::to_owned).collect::<Vec<_>>()
        })
        .collect();
    assert!(successors.is_empty(), "{successors:?}");
}

/// Dify's debugging port and the package have every field and every name that the provider's code reads.
#[test]
fn nothing_is_lost_in_registration() {
    let declared = declare::load(Path::new(env!("CARGO_MANIFEST_DIR"))).unwrap();
    for loaded in &declared.providers {
        let registered = declare::remote::provider(loaded);
        let written = &loaded.expanded[&loaded.file];
        for form in ["provider_credential_schema", "model_credential_schema"] {
            let place = format!("/{form}/credential_form_schemas");
            let names = |value: &Value| -> Vec<String> {
                let fields = value.pointer(&place).and_then(Value::as_array).into_iter().flatten();
                fields.map(|field| field["variable"].as_str().unwrap().to_owned()).collect()
            };
            assert_eq!(names(&registered), names(written), "{} {form}", loaded.file);
        }
        for key in ["more_settings", "former_fields"] {
            assert_eq!(written.get(key), loaded.declaration.extra.get(key), "{} {key}", loaded.file);
        }
    }
}
