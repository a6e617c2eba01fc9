//! Forms of credentials: of models and of all other kinds by the newer engine, of endpoints by the older one.
//!
//! Source: `langgenius/dify: web/app/components/base/form/components/base/{base-form,base-field}.tsx`,
//! `web/app/components/plugins/plugin-auth/authorize/`, `web/app/components/plugins/plugin-detail-panel/endpoint-modal.tsx`.

use serde_json::{Value, json};

use super::field::{Choice, Field, Form, both, four, maybe, two};
use super::place::Place;
use crate::declare::codes::Code;
use crate::declare::config::{ConfigField, ConfigFieldType};
use crate::declare::provider::{CredentialField, CredentialFieldType, ModelCredentialForm};
use crate::protocol::ModelType;

const NAME: [&str; 2] = ["Authorization Name", "凭据名称"];
const ENDPOINT_NAME: [&str; 2] = ["Endpoint Name", "端点名称"];

/// A form of a model provider. `path` is that of the form in its file, `raw` is the form as it is written.
pub(super) fn of_models(fields: &[CredentialField], place: &Place<'_>, path: &str, raw: &Value) -> Form {
    let mut drawn = vec![Field::own("__authorization_name__", NAME, false)];
    for (index, declared) in fields.iter().enumerate() {
        let first = fields[..index].iter().position(|other| other.variable == declared.variable);
        // The daemon takes a field for optional that does not say so, unlike the Python SDK.
        let required = raw["credential_form_schemas"][index]["required"] == true;
        let mut field = model_field(declared, required);
        // The name of the credential comes before the declared fields.
        field.drawn_from = first.map(|first| first + 1);
        let mut others = fields.iter().filter(|other| other.variable == declared.variable && other.default.is_some());
        if first.is_some() && others.any(|other| other.default != declared.default) {
            field.note(
                Code::SameVariableDefaults,
                "a new form starts with the default of the last field of this variable",
            );
        }
        place.fill(&mut field, &format!("{path}[{index}]"));
        drawn.push(field);
    }
    Form { engine: "new", fields: drawn }
}

fn model_field(declared: &CredentialField, required: bool) -> Field {
    let (kind, control) = match declared.kind {
        CredentialFieldType::TextInput => ("text-input", "text"),
        CredentialFieldType::SecretInput => ("secret-input", "password"),
        CredentialFieldType::Select => ("select", "select"),
        CredentialFieldType::Radio => ("radio", "cards"),
        CredentialFieldType::Switch => ("switch", "none"),
    };
    let mut field = Field {
        variable: declared.variable.clone(),
        kind: kind.to_owned(),
        control,
        label: two(&declared.label),
        required,
        placeholder: maybe(declared.placeholder.as_ref(), two),
        default: json!(declared.default),
        initial: json!(declared.default),
        options: declared
            .options
            .iter()
            .map(|option| Choice {
                value: option.value.clone(),
                label: two(&option.label),
                icon: None,
                show_on: option.show_on.clone(),
            })
            .collect(),
        show_on: declared.show_on.clone(),
        max_length: Some(declared.max_length).filter(|length| *length > 0),
        ..Field::default()
    };
    if field.max_length.is_some() {
        field.note(Code::LengthAfterSave, "`max_length` is checked by the API after Save, not while typing");
    }
    if required && !declared.show_on.is_empty() {
        field.note(Code::HiddenRequired, "is not asked for while it is hidden; the plugin must not rely on it");
    }
    field
}

/// Name and type of a customizable model, which are above its credentials.
pub(super) fn upper(form: &ModelCredentialForm, types: &[ModelType]) -> Form {
    let mut name = Field::own("__model_name", ["", ""], true);
    name.label = two(&form.model.label);
    name.placeholder = maybe(form.model.placeholder.as_ref(), two);
    if name.placeholder.is_null() {
        name.placeholder = both(["Please enter model name", "请输入模型名称"]);
    }
    let mut kind = Field::own("__model_type", ["Model Type", "模型类型"], true);
    kind.kind = "select".to_owned();
    kind.control = "select";
    kind.options = types
        .iter()
        .map(|kind| {
            let badge = super::models::badge(*kind);
            Choice { value: kind.as_str().to_owned(), label: both([&badge, &badge]), icon: None, show_on: Vec::new() }
        })
        .collect();
    Form { engine: "new", fields: vec![name, kind] }
}

/// Credentials of tools, datasources and triggers. `paths` are those of the fields in their file.
pub(super) fn of_others(fields: &[ConfigField], named: bool, place: &Place<'_>, paths: &[String]) -> Form {
    let mut drawn = Vec::new();
    if named {
        drawn.push(Field::own("__name__", NAME, false));
    }
    for (declared, path) in fields.iter().zip(paths) {
        let mut field = config_field(declared);
        field.control = match declared.kind {
            ConfigFieldType::SecretInput => "password",
            ConfigFieldType::TextInput => "text",
            ConfigFieldType::Select => "select",
            ConfigFieldType::Boolean => "boolean",
            _ => "none",
        };
        if field.control == "none" {
            field.note(Code::NoControl, format!("`{}` has a label and no control here", field.kind));
        }
        if field.url.is_null() {
            if !field.help.is_null() {
                field.note(Code::HiddenHelp, "`help` is shown together with `url` only");
            }
            field.help = Value::Null;
        } else if !field.help.is_null() {
            field.help_drawn_as = Some("link");
        }
        place.fill(&mut field, path);
        drawn.push(field);
    }
    Form { engine: "new", fields: drawn }
}

/// The settings of an endpoint.
pub(super) fn of_endpoints(fields: &[ConfigField], place: &Place<'_>, paths: &[String]) -> Form {
    let mut name = Field::own("name", ENDPOINT_NAME, true);
    name.placeholder = both(ENDPOINT_NAME);
    let mut drawn = vec![name];
    for (declared, path) in fields.iter().zip(paths) {
        let mut field = config_field(declared);
        field.control = match declared.kind {
            ConfigFieldType::SecretInput => "password",
            ConfigFieldType::TextInput => "text",
            ConfigFieldType::Select => "select",
            ConfigFieldType::Boolean => "boolean",
            ConfigFieldType::AppSelector => "app",
            ConfigFieldType::ModelSelector => "model",
            ConfigFieldType::ToolsSelector => "tools",
        };
        if declared.kind == ConfigFieldType::Boolean && declared.required {
            field.note(Code::UnsavableEndpoint, "false cannot be saved for a required setting");
        }
        if !field.help.is_null() {
            field.help_drawn_as = Some("icon");
        } else if !field.url.is_null() {
            field.help_drawn_as = Some("link");
        }
        place.fill(&mut field, path);
        drawn.push(field);
    }
    Form { engine: "old", fields: drawn }
}

/// What all engines take from a setting.
fn config_field(declared: &ConfigField) -> Field {
    let kind = json!(declared.kind);
    Field {
        variable: declared.name.clone(),
        kind: kind.as_str().unwrap_or_default().to_owned(),
        label: four(&declared.label),
        required: declared.required,
        placeholder: maybe(declared.placeholder.as_ref(), four),
        help: maybe(declared.help.as_ref(), four),
        url: declared.url.as_ref().map_or(Value::Null, |url| json!({"en_US": url})),
        default: json!(declared.default),
        initial: json!(declared.default),
        options: declared
            .options
            .iter()
            .map(|option| Choice {
                value: option.value.clone(),
                label: four(&option.label),
                icon: None,
                // Dify's page would heed a condition, but the daemon leaves it out.
                show_on: Vec::new(),
            })
            .collect(),
        multiple: declared.multiple,
        scope: declared.scope.clone(),
        ..Field::default()
    }
}
