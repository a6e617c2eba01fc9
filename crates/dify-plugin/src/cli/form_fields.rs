//! The fields of a form at the command line, for every kind of plugin but models: credentials, settings of endpoints, clients
//! of OAuth, properties of subscriptions.
//!
//! They have one source: what is given as options, or else the environment, or else `.env`. Values are never printed.

use std::collections::HashMap;
use std::path::Path;

use serde_json::{Map, Value};

use super::terminal::say;
use crate::config::{Config, env_file};
use crate::declare::config::{ConfigField, ConfigFieldType};

/// A form of a plugin.
pub(super) struct Form<'a> {
    /// The plugin's name in its manifest.
    pub plugin: &'a str,
    /// Fields of the form.
    pub fields: Vec<&'a ConfigField>,
    /// Option that gives a field.
    pub option: &'static str,
}

impl Form<'_> {
    /// Returns the values of the form, with the defaults of fields that are not given.
    pub fn values(&self, given: Map<String, Value>) -> Map<String, Value> {
        let from = |settings: &HashMap<String, String>| -> Map<String, Value> {
            let set = |field: &&&ConfigField| {
                let value = settings.get(&self.variable(&field.name)).filter(|value| !value.is_empty())?;
                Some((field.name.clone(), value.as_str().into()))
            };
            self.fields.iter().filter_map(|field| set(&field)).collect()
        };
        let (mut values, mut is_environment) = (given, false);
        if values.is_empty() {
            values = from(&Config::environment());
            is_environment = !values.is_empty();
        }
        if values.is_empty() {
            let file = env_file::read(Path::new(".env")).unwrap_or_default();
            values = from(&file.settings.into_iter().collect());
        }
        for field in &self.fields {
            if !values.contains_key(&field.name)
                && let Some(default) = field.default.clone().filter(|default| !default.is_null())
                // The declarations may be untrusted; their text must not decide where a key of the environment is sent.
                && !(is_environment && field.kind == ConfigFieldType::TextInput)
            {
                values.insert(field.name.clone(), default);
            }
        }
        for (name, value) in &mut values {
            let field = self.fields.iter().find(|field| field.name == *name);
            typed(field.map(|field| field.kind), value);
        }
        values
    }

    /// Warns about required fields without a value.
    pub fn report_missing(&self, values: &Map<String, Value>) {
        for field in self.fields.iter().filter(|field| field.required && !values.contains_key(&field.name)) {
            let (name, option, variable) = (&field.name, self.option, self.variable(&field.name));
            say(&format!("warning: `{name}` is required but missing; pass {option} {name}=VALUE or set {variable}"));
        }
    }

    /// The environment variable of a field.
    fn variable(&self, field: &str) -> String {
        let upper = |letter: char| if letter.is_ascii_alphanumeric() { letter.to_ascii_uppercase() } else { '_' };
        format!("{}_{field}", self.plugin).chars().map(upper).collect()
    }
}

/// Gives a value that was typed the type of its field.
fn typed(kind: Option<ConfigFieldType>, value: &mut Value) {
    let Value::String(text) = &*value else { return };
    let read = match kind {
        Some(ConfigFieldType::Boolean) => match text.trim().to_ascii_lowercase().as_str() {
            "true" | "yes" | "on" | "1" => Some(true.into()),
            "false" | "no" | "off" | "0" => Some(false.into()),
            _ => None,
        },
        Some(ConfigFieldType::AppSelector | ConfigFieldType::ModelSelector | ConfigFieldType::ToolsSelector) => {
            serde_json::from_str(text).ok()
        }
        _ => None,
    };
    if let Some(read) = read {
        *value = read;
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn fields(declared: Value) -> Vec<ConfigField> {
        serde_json::from_value(declared).unwrap()
    }

    #[test]
    fn values_have_the_types_of_their_fields() {
        let fields = fields(json!([
            {"name": "key", "type": "secret-input", "label": {"en_US": "K"}},
            {"name": "flag", "type": "boolean", "label": {"en_US": "F"}},
            {"name": "app", "type": "app-selector", "label": {"en_US": "A"}},
            {"name": "region", "type": "select", "default": "eu", "label": {"en_US": "R"}},
        ]));
        let form = Form { plugin: "acme-7", fields: fields.iter().collect(), option: "--credential" };
        assert_eq!(form.variable("api.key"), "ACME_7_API_KEY");
        for (given, expected) in [
            (json!({"key": "7"}), json!({"key": "7", "region": "eu"})),
            (json!({"flag": "yes"}), json!({"flag": true, "region": "eu"})),
            (json!({"flag": "maybe", "region": "us"}), json!({"flag": "maybe", "region": "us"})),
            (json!({"app": "{\"app_id\": \"1\"}"}), json!({"app": {"app_id": "1"}, "region": "eu"})),
            (json!({"other": "true"}), json!({"other": "true", "region": "eu"})),
        ] {
            assert_eq!(Value::Object(form.values(given.as_object().unwrap().clone())), expected);
        }
    }
}
