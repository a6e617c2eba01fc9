//! The credential form, checked before any call: a required field that is shown must be filled in, defaults are filled.
//!
//! Source: `dify-plugin-sdks: src/dify_plugin/core/utils/` (schema validators) and the Dify console's `show_on` rule.

use crate::declare::provider::{CredentialField, ProviderDeclaration, ShowOn};
use crate::error::InvokeError;
use crate::protocol::Credentials;

/// Which form a request was filled in from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// The provider's, for declared models.
    Provider,
    /// The model's, for customizable ones.
    Model,
}

/// Fills in defaults and refuses a missing field by its name.
pub fn complete(
    declaration: &ProviderDeclaration,
    form: Form,
    credentials: &mut Credentials,
) -> Result<(), InvokeError> {
    let fields = fields(declaration, form);
    for field in fields {
        if let (None, Some(default)) = (credentials.get(&field.variable), &field.default)
            && !default.is_empty()
            && is_shown(&field.show_on, credentials)
        {
            credentials.set(field.variable.clone(), default.clone());
        }
    }
    for field in fields {
        let shown = is_shown(&field.show_on, credentials);
        if shown && field.required && credentials.get(&field.variable).is_none() {
            return Err(InvokeError::credentials(format!("credential `{}` is required and missing", field.variable)));
        }
        if let (true, false, Some(value)) = (shown, field.options.is_empty(), credentials.get(&field.variable))
            && !field.options.iter().any(|option| option.value == value)
        {
            let allowed: Vec<_> = field.options.iter().map(|option| option.value.as_str()).collect();
            return Err(InvokeError::credentials(format!(
                "credential `{}` must be one of: {}",
                field.variable,
                allowed.join(", ")
            )));
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

fn is_shown(conditions: &[ShowOn], credentials: &Credentials) -> bool {
    conditions.iter().all(|condition| {
        // What kind of model is set up is no field of the form.
        condition.variable.starts_with("__") || credentials.get(&condition.variable) == Some(condition.value.as_str())
    })
}
