//! The schemas of model providers and models.

use serde_json::{Map, Value, json};

use super::parts::*;
use crate::declare::versions::{self, Kind};

pub(super) fn provider() -> Value {
    let help = object(vec![needed("title", model_i18n(true)), needed("url", model_i18n(true))]);
    let package = object(vec![
        optional("name", json!({"type": "string"})),
        optional("tags", names(Kind::Tag, Some(64))),
        optional("minimum_dify_version", dify_version()),
    ]);
    let model = object(vec![needed("label", model_i18n(true)), optional("placeholder", model_i18n(false))]);
    let model_form = object(vec![needed("model", model), optional("credential_form_schemas", fields())]);
    object(vec![
        needed("provider", about(text(Some(255)), "the ID of the provider; stored credentials depend on it")),
        needed("label", model_i18n(true)),
        optional("description", about(i18n(false), "Dify 1.14 does not show it on the provider's card")),
        optional("icon_small", about(i18n(false), "a file in _assets for each language; 24 pixels beside the label")),
        optional("icon_small_dark", about(i18n(false), "for the dark theme; without it the light icon is shown")),
        optional("icon_large", about(i18n(false), "Dify 1.14 shows it nowhere")),
        optional("icon_large_dark", about(i18n(false), "Dify 1.14 shows it nowhere")),
        optional("help", about(help, "a link below the form of the key")),
        optional("supported_model_types", about(names(Kind::ModelType, Some(16)), "a badge for each, in this order")),
        optional("configurate_methods", names(Kind::Method, Some(16))),
        optional("package", about(package, "what the package of this provider has of its own")),
        optional("provider_credential_schema", object(vec![optional("credential_form_schemas", fields())])),
        optional("model_credential_schema", model_form),
        optional("models", json!({"description": "by model type: patterns of files, and _position.yaml"})),
        optional("background", about(json!({"type": "string"}), "Dify 1.14 shows it nowhere")),
    ])
}

fn fields() -> Value {
    list(field(), None)
}

fn field() -> Value {
    let option = object(vec![
        needed("label", model_i18n(true)),
        needed("value", json!({"type": ["string", "number", "boolean"], "minLength": 1, "maxLength": 255})),
        optional("show_on", conditions()),
    ]);
    object(vec![
        needed("variable", text(Some(255))),
        needed(
            "label",
            about(model_i18n(true), "above the field; of two fields with one variable the first is drawn for both"),
        ),
        needed("type", about(one_of(Kind::FieldType), "`switch` is drawn without a control: use select or radio")),
        optional("required", json!({"description": "a red star; a missing value is reported when the form is saved"})),
        optional(
            "default",
            json!({
                "type": ["string", "number", "boolean", "array", "object"], "maxLength": 255,
                "description": "what a new form starts with; never for a secret-input",
            }),
        ),
        optional("placeholder", about(i18n(false), "in the empty field; without it Dify shows \"Please enter\"")),
        optional("help", about(i18n(false), "not shown for credentials of models")),
        optional("options", list(option, Some(128))),
        optional("show_on", about(conditions(), "the field is shown if all of these values are chosen")),
        optional(
            "max_length",
            json!({"description": "checked by the Dify API when the form is saved, not by the page"}),
        ),
    ])
}

fn conditions() -> Value {
    let condition = object(vec![needed("variable", text(Some(255))), optional("value", json!({}))]);
    list(condition, Some(16))
}

pub(super) fn model() -> Value {
    let properties: Map<String, Value> =
        versions::names(Kind::Property).map(|name| (name.to_owned(), json!({}))).collect();
    let properties = json!({"type": "object", "properties": properties, "additionalProperties": false});
    object(vec![
        needed("model", text(Some(255))),
        optional("label", model_i18n(false)),
        needed("model_type", one_of(Kind::ModelType)),
        optional(
            "features",
            about(
                names(Kind::Feature, Some(256)),
                "vision, document, audio and video are badges; the others decide which pickers offer the model",
            ),
        ),
        optional("fetch_from", one_of(Kind::Method)),
        needed("model_properties", about(properties, "context_size is a badge in whole thousands")),
        optional("parameter_rules", list(rule(), Some(128))),
        optional("pricing", pricing()),
        optional("deprecated", json!({"description": "switched off in the list, and in no picker"})),
    ])
}

fn rule() -> Value {
    let number = || json!({"type": "number"});
    let mut rule = object(vec![
        needed("name", text(Some(255))),
        optional("use_template", one_of(Kind::Template)),
        optional("label", about(model_i18n(false), "without it Dify shows the name")),
        optional("help", about(model_i18n(false), "an icon with this text")),
        optional("type", one_of(Kind::ParameterType)),
        optional("required", json!({"description": "no switch before the label: the value is always sent"})),
        optional("default", plain()),
        optional("min", about(number(), "only with `max`, too, Dify draws a slider")),
        optional("max", about(number(), "only with `min`, too, Dify draws a slider")),
        optional("precision", about(number(), "digits; the slider of a float moves by 0.1 anyway")),
        optional(
            "options",
            about(
                list(json!({"type": ["string", "number", "boolean"], "maxLength": 255}), Some(128)),
                "shown as they are, without a translation",
            ),
        ),
    ]);
    // A template brings a type.
    let typed = json!({"anyOf": [
        {"required": ["type"], "properties": {"type": {"type": "string"}}},
        {"required": ["use_template"], "properties": {"use_template": {"type": "string"}}},
    ]});
    require(&mut rule, json!({"required": ["name"], "allOf": [typed]}));
    rule
}

fn price() -> Value {
    json!({"type": ["number", "string"], "pattern": "^\\s*[-+]?[0-9]*\\.?[0-9]+([eE][-+]?[0-9]+)?\\s*$"})
}

fn pricing() -> Value {
    let tier = object(vec![
        optional("max_tokens", json!({"type": "integer", "minimum": 0})),
        needed("input", price()),
        optional("output", price()),
        optional("cached", price()),
    ]);
    object(vec![
        needed("input", price()),
        optional("output", price()),
        needed("unit", about(price(), "tokens per price as a factor: 0.000001 is per million")),
        needed("currency", text(Some(255))),
        optional("cached", about(price(), "price of cached tokens; Dify does not read it")),
        optional("tiered_pricing", list(tier, Some(64))),
    ])
}

pub(super) fn position() -> Value {
    json!({"type": "array", "items": {"type": "string"}, "description": "models in the order of the list; others come last"})
}
