//! What Dify makes of a credential form: which fields its page draws for a new credential, and what its API keeps of the
//! values that a client sends. It judges nothing else.
//!
//! Source: `langgenius/dify: web/app/components/base/form/components/base/base-form.tsx`,
//! `langgenius/graphon: src/graphon/model_runtime/schema_validators/common_validator.py`.

use std::collections::BTreeMap;

use dify_plugin::declare::CredentialField;
use dify_plugin::declare::provider::ShowOn;

pub type Values = BTreeMap<String, String>;

/// The values of a form that was just opened.
pub fn opened(fields: &[CredentialField], model_type: &str) -> Values {
    let defaults = fields.iter().filter_map(|field| Some((field.variable.clone(), field.default.clone()?)));
    defaults.chain([("__model_type".to_owned(), model_type.to_owned())]).collect()
}

fn holds(conditions: &[ShowOn], values: &Values) -> bool {
    conditions.iter().all(|condition| values.get(&condition.variable) == Some(&condition.value))
}

/// The fields that the page draws.
pub fn drawn<'a>(fields: &'a [CredentialField], values: &Values) -> Vec<&'a CredentialField> {
    fields.iter().filter(|field| holds(&field.show_on, values)).collect()
}

/// What the API keeps of what a client sends, or its refusal.
pub fn kept(fields: &[CredentialField], model_type: &str, sent: &[(&str, &str)]) -> Result<Values, String> {
    let mut values: Values = sent.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    values.insert("__model_type".to_owned(), model_type.to_owned());
    let mut kept = Values::new();
    for field in drawn(fields, &values) {
        let value = match (values.get(&field.variable).filter(|value| !value.is_empty()), &field.default) {
            (Some(value), _) => value,
            (None, _) if field.required => return Err(format!("Variable {} is required", field.variable)),
            (None, Some(default)) if !default.is_empty() => default,
            (None, _) => continue,
        };
        if !field.options.is_empty() && !field.options.iter().any(|option| option.value == *value) {
            return Err(format!("Variable {} is not in options", field.variable));
        }
        kept.insert(field.variable.clone(), value.clone());
    }
    Ok(kept)
}
