//! Checks the credential form before any call: fills in defaults, requires visible required fields, and expands the
//! JSON object of further settings.
//!
//! Source: `dify-plugin-sdks: src/dify_plugin/core/utils/` (schema validators) and the Dify console's `show_on` rule.

use serde_json::{Map, Value};

use crate::declare::provider::{CredentialField, ProviderDeclaration, ShowOn};
use crate::declare::settings::MORE_SETTINGS;
use crate::error::InvokeError;
use crate::protocol::{Credentials, ModelType};

/// The condition that is the type of the model.
const MODEL_TYPE: &str = "__model_type";

/// Form that the credentials come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Form {
    /// The provider's form, for predefined models.
    Provider,
    /// The model's form, for custom models.
    Model,
}

/// Fills in defaults, and rejects missing fields and values that are not an option. The model type decides which fields of a
/// model's form are shown; the validation of a provider has none.
pub fn complete(
    declaration: &ProviderDeclaration,
    form: Form,
    model_type: Option<ModelType>,
    credentials: &mut Credentials,
) -> Result<(), InvokeError> {
    unfold(declaration, form, credentials)?;
    let fields = fields(declaration, form);
    for field in fields {
        if let (None, Some(default)) = (credentials.get(&field.variable), &field.default)
            && !default.is_empty()
            && is_shown(&field.show_on, model_type, credentials)
        {
            credentials.set(field.variable.clone(), default.clone());
        }
    }
    for field in fields {
        match credentials.get(&field.variable) {
            Some(_) if field.options.is_empty() => {}
            Some(value) => {
                one_of(&field.variable, value, &allowed(fields, &field.variable, model_type, credentials))?;
            }
            None if field.required && is_shown(&field.show_on, model_type, credentials) => {
                let message = format!("credential `{}` is required but missing", field.variable);
                return Err(InvokeError::credentials(message));
            }
            None => {}
        }
    }
    for name in declaration.settings() {
        if let Some(value) = credentials.get(name) {
            one_of(name, value, &declaration.setting(name).unwrap_or_default())?;
        }
    }
    Ok(())
}

/// Returns the options of a variable, which may have a field for each model type. Empty allows any value: a field without
/// options is shown.
fn allowed<'a>(
    fields: &'a [CredentialField],
    variable: &str,
    model_type: Option<ModelType>,
    credentials: &Credentials,
) -> Vec<&'a str> {
    let own = || fields.iter().filter(|field| field.variable == variable);
    let shown: Vec<&CredentialField> =
        own().filter(|field| is_shown(&field.show_on, model_type, credentials)).collect();
    // Stored credentials may contain hidden fields, which are read as well.
    let fields = if shown.is_empty() { own().collect() } else { shown };
    if fields.iter().any(|field| field.options.is_empty()) {
        return Vec::new();
    }
    let options = || fields.iter().flat_map(|field| &field.options);
    let mut allowed: Vec<&str> = options()
        .filter(|option| is_shown(&option.show_on, model_type, credentials))
        .map(|option| option.value.as_str())
        .collect();
    if allowed.is_empty() {
        allowed = options().map(|option| option.value.as_str()).collect();
    }
    allowed
}

/// Rejects a value that is not allowed. An empty list allows any value.
fn one_of(name: &str, value: &str, allowed: &[&str]) -> Result<(), InvokeError> {
    if allowed.is_empty() || allowed.contains(&value) {
        return Ok(());
    }
    Err(InvokeError::credentials(format!("credential `{name}` must be one of: {}", allowed.join(", "))))
}

/// Expands the JSON object of further settings into separate credentials.
pub fn unfold(declaration: &ProviderDeclaration, form: Form, credentials: &mut Credentials) -> Result<(), InvokeError> {
    let fields = fields(declaration, form);
    let is_field = |name: &str| fields.iter().any(|field| field.variable == name);
    let Some(text) = credentials.get(MORE_SETTINGS).filter(|_| is_field(MORE_SETTINGS)) else { return Ok(()) };
    let invalid = |what: String| InvokeError::credentials(format!("credential `{MORE_SETTINGS}` {what}"));
    // The parser's own message may quote the text.
    let settings: Map<String, Value> = serde_json::from_str(text).map_err(|error| {
        let place = format!("{:?} error at column {}", error.classify(), error.column());
        invalid(format!("must be a JSON object such as {{\"name\": \"value\"}}: {place}"))
    })?;
    for (name, value) in settings {
        if declaration.setting(&name).is_none() {
            return Err(match is_field(&name) {
                true => invalid(format!("must not contain `{name}`, which has a field of its own")),
                false => {
                    let known: Vec<&str> = declaration.settings().collect();
                    invalid(format!("contains the unknown setting `{name}`; expected one of {}", known.join(", ")))
                }
            });
        }
        match value {
            Value::Null => {}
            Value::String(text) => credentials.set(name, text),
            other => credentials.set(name, other.to_string()),
        }
    }
    Ok(())
}

fn fields(declaration: &ProviderDeclaration, form: Form) -> &[CredentialField] {
    let provider = declaration.provider_credential_schema.as_ref().map(|form| form.credential_form_schemas.as_slice());
    let model = declaration.model_credential_schema.as_ref().map(|form| form.credential_form_schemas.as_slice());
    match form {
        Form::Provider => provider.or(model),
        Form::Model => model.or(provider),
    }
    .unwrap_or_default()
}

/// Whether all conditions are met. `__model_type` is the type of the model that the form is for, and no field.
fn is_shown(conditions: &[ShowOn], model_type: Option<ModelType>, credentials: &Credentials) -> bool {
    conditions.iter().all(|condition| match condition.variable.as_str() {
        MODEL_TYPE => model_type.is_some_and(|model_type| model_type.as_str() == condition.value),
        // Dify has no other condition that is not a field.
        name if name.starts_with("__") => true,
        name => credentials.get(name) == Some(condition.value.as_str()),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// A field for each of two model types, one whose options depend on the type, and one without conditions.
    fn declaration() -> ProviderDeclaration {
        let on = |model_type: &str| json!([{"variable": "__model_type", "value": model_type}]);
        let option = |value: &str, shown: Value| json!({"label": {"en_US": value}, "value": value, "show_on": shown});
        let text = |variable: &str, model_type: &str, default: Value, required: bool| {
            json!({"variable": variable, "label": {"en_US": "L"}, "type": "text-input", "required": required,
                "default": default, "show_on": on(model_type)})
        };
        serde_json::from_value(json!({
            "provider": "p", "label": {"en_US": "P"}, "supported_model_types": ["llm", "rerank"],
            "configurate_methods": ["customizable-model"],
            "model_credential_schema": {"model": {"label": {"en_US": "Model"}}, "credential_form_schemas": [
                text("context_size", "llm", json!("4096"), true),
                text("context_size", "rerank", json!("512"), true),
                text("jwt", "rerank", Value::Null, true),
                {"variable": "base", "label": {"en_US": "B"}, "type": "select", "required": false, "options": [
                    option("chat-1", on("llm")), option("rank-1", on("rerank")), option("both", json!([])),
                ]},
                {"variable": "kind", "label": {"en_US": "K"}, "type": "select", "required": false, "show_on": on("llm"),
                    "options": [option("a", json!([]))]},
                {"variable": "kind", "label": {"en_US": "K"}, "type": "select", "required": false, "show_on": on("rerank"),
                    "options": [option("b", json!([{"variable": "jwt", "value": "secret"}])), option("c", json!([]))]},
            ]},
        }))
        .unwrap()
    }

    #[test]
    fn fields_and_options_count_for_their_model_type() {
        let declaration = declaration();
        let (llm, rerank) = (Some(ModelType::Llm), Some(ModelType::Rerank));
        type Fields<'a> = &'a [(&'a str, &'a str)];
        let cases: &[(Option<ModelType>, Fields<'_>, Result<Fields<'_>, &str>)] = &[
            (llm, &[], Ok(&[("context_size", "4096")])),
            (rerank, &[("jwt", "j")], Ok(&[("context_size", "512"), ("jwt", "j")])),
            (rerank, &[], Err("`jwt` is required")),
            // No model: nothing that depends on the type of one.
            (None, &[], Ok(&[])),
            (llm, &[("context_size", "8")], Ok(&[("context_size", "8")])),
            (llm, &[("base", "chat-1")], Ok(&[("base", "chat-1")])),
            (llm, &[("base", "both")], Ok(&[("base", "both")])),
            (llm, &[("base", "rank-1")], Err("`base` must be one of: chat-1, both")),
            (rerank, &[("jwt", "j"), ("base", "rank-1")], Ok(&[("base", "rank-1")])),
            (llm, &[("kind", "a")], Ok(&[("kind", "a")])),
            (llm, &[("kind", "b")], Err("`kind` must be one of: a")),
            (rerank, &[("jwt", "j"), ("kind", "b")], Err("`kind` must be one of: c")),
            (rerank, &[("jwt", "secret"), ("kind", "b")], Ok(&[("kind", "b")])),
            // A stored field that is not shown is read as well.
            (None, &[("kind", "c")], Ok(&[("kind", "c")])),
            (None, &[("kind", "z")], Err("`kind` must be one of")),
        ];
        for (model_type, given, expected) in cases {
            let mut credentials = Credentials::from_pairs(given.iter().copied());
            let outcome = complete(&declaration, Form::Model, *model_type, &mut credentials);
            match (outcome, expected) {
                (Ok(()), Ok(fields)) => {
                    for (name, value) in *fields {
                        assert_eq!(credentials.get(name), Some(*value), "{model_type:?} {given:?} {name}");
                    }
                    let has_size = credentials.get("context_size").is_some();
                    assert_eq!(has_size, model_type.is_some(), "{model_type:?} {given:?}");
                }
                (Err(error), Err(part)) => assert!(error.message.contains(part), "{model_type:?} {given:?}: {error}"),
                (outcome, _) => panic!("{model_type:?} {given:?}: {outcome:?}"),
            }
        }
    }
}
