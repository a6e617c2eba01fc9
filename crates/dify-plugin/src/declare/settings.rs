//! Names that a provider accepts in its credentials without a form field: settings that are written as one JSON object,
//! so that a form fits on a page and through Dify's debugging port, and fields of earlier forms, which stored
//! credentials still have. Both are data of the provider's file; the provider's code interprets the values.

use serde_json::{Map, Value};

use super::provider::ProviderDeclaration;

/// The field that contains further settings as a JSON object, and the key of the provider's file that lists their
/// names.
pub const MORE_SETTINGS: &str = "more_settings";

/// The key of the provider's file that lists the fields of earlier forms, each with its replacement.
const FORMER_FIELDS: &str = "former_fields";

impl ProviderDeclaration {
    /// Returns the allowed values of a setting in `more_settings`, empty for any; `None` if there is no such setting.
    pub fn setting(&self, name: &str) -> Option<Vec<&str>> {
        let choices = self.table(MORE_SETTINGS)?.get(name)?;
        Some(choices.as_array().into_iter().flatten().filter_map(Value::as_str).collect())
    }

    /// Returns the names of the settings in `more_settings`.
    pub fn settings(&self) -> impl Iterator<Item = &str> {
        self.table(MORE_SETTINGS).into_iter().flat_map(Map::keys).map(String::as_str)
    }

    /// Returns the fields of earlier forms, each with its replacement, if any.
    pub fn former_fields(&self) -> impl Iterator<Item = (&str, Option<&str>)> {
        let table = self.table(FORMER_FIELDS).into_iter().flatten();
        table.map(|(name, successor)| (name.as_str(), successor.as_str()))
    }

    /// Whether credentials may contain this name: a field of a form, a further setting or a field of an earlier form.
    pub fn takes(&self, name: &str) -> bool {
        self.credential_fields().any(|field| field.variable == name) || self.is_unlisted(name)
    }

    /// Whether the name is a further setting or a field of an earlier form.
    pub(super) fn is_unlisted(&self, name: &str) -> bool {
        self.settings().any(|known| known == name) || self.former_fields().any(|(known, _)| known == name)
    }

    /// Returns the field in which users find the value of this name.
    pub(super) fn field_of<'a>(&'a self, name: &'a str) -> &'a str {
        if self.credential_fields().any(|field| field.variable == name) {
            return name;
        }
        if self.settings().any(|known| known == name) {
            return MORE_SETTINGS;
        }
        self.former_fields().find(|(known, _)| *known == name).and_then(|(_, successor)| successor).unwrap_or(name)
    }

    fn table(&self, key: &str) -> Option<&Map<String, Value>> {
        self.extra.get(key)?.as_object()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn names_without_a_field_are_known_and_no_secrets() {
        let declaration: ProviderDeclaration = serde_json::from_value(json!({
            "provider": "p", "label": {"en_US": "P"}, "supported_model_types": ["llm"],
            "configurate_methods": ["customizable-model"],
            "model_credential_schema": {"model": {"label": {"en_US": "Model"}}, "credential_form_schemas": [
                {"variable": "more_settings", "label": {"en_US": "More"}, "type": "text-input"},
                {"variable": "timeout", "label": {"en_US": "Timeout"}, "type": "text-input"},
                {"variable": "size", "label": {"en_US": "Size"}, "type": "text-input"},
                {"variable": "password", "label": {"en_US": "Password"}, "type": "secret-input"},
            ]},
            "more_settings": {"mode": ["chat", "completion"], "size": null, "odd": 1},
            "former_fields": {"wait": "timeout", "delimiter": null},
        }))
        .unwrap();
        for (name, is_taken, is_secret, choices, field) in [
            ("timeout", true, false, None, "timeout"),
            ("password", true, true, None, "password"),
            ("size", true, false, Some(0), "size"),
            ("mode", true, false, Some(2), "more_settings"),
            ("odd", true, false, Some(0), "more_settings"),
            ("wait", true, false, None, "timeout"),
            ("delimiter", true, false, None, "delimiter"),
            ("token", false, true, None, "token"),
        ] {
            assert_eq!(declaration.takes(name), is_taken, "{name}");
            assert_eq!(declaration.is_secret(name), is_secret, "{name}");
            assert_eq!(declaration.setting(name).map(|choices| choices.len()), choices, "{name}");
            assert_eq!(declaration.field_of(name), field, "{name}");
        }
    }
}
