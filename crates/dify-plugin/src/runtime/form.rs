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
        let value = credentials.get(&field.variable);
        if field.required && value.is_none() && is_shown(&field.show_on, model_type, credentials) {
            return Err(InvokeError::credentials(format!("credential `{}` is required but missing", field.variable)));
        }
        one_of(&field.variable, value, &allowed(fields, &field.variable, model_type, credentials))?;
    }
    for name in declaration.settings() {
        one_of(name, credentials.get(name), &declaration.setting(name).unwrap_or_default())?;
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
fn one_of(name: &str, value: Option<&str>, allowed: &[&str]) -> Result<(), InvokeError> {
    match value {
        Some(value) if !allowed.is_empty() && !allowed.contains(&value) => {
            Err(InvokeError::credentials(format!("credential `{name}` must be one of: {}", allowed.join(", "))))
        }
        _ => Ok(()),
    }
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
