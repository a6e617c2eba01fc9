//! The rules of fields that users and administrators fill in: credentials, clients of OAuth, settings, subscriptions.
//!
//! Source: `dify-plugin-daemon: pkg/entities/plugin_entities/config.go`, `oauth.go`,
//! `langgenius/dify: api/core/entities/provider_entities.py`.

use std::collections::HashMap;

use serde_json::{Map, Value};

use super::{Rules, show};
use crate::declare::codes::Code;
use crate::declare::versions::Kind;
use crate::protocol::lenient::kind_of;

/// Settings that the daemon takes when an endpoint is set up.
const MAX_SETTINGS: usize = 64;

impl Rules<'_> {
    /// Fields as a list, or as a map by their names.
    pub(super) fn fields(&mut self, owner: &Map<String, Value>, prefix: &str, key: &str) {
        match owner.get(key) {
            Some(Value::Object(fields)) => {
                for (name, field) in fields {
                    let path = format!("{prefix}{key}.{name}.");
                    if name.is_empty() || name.chars().count() > 1023 {
                        self.report(
                            Code::Length,
                            path.trim_end_matches('.'),
                            "must have a name of 1 to 1023 characters",
                        );
                    }
                    self.field(field, &path);
                }
            }
            _ => self.field_list(owner, prefix, key),
        }
    }

    /// Fields where the daemon reads a list only.
    pub(super) fn field_list(&mut self, owner: &Map<String, Value>, prefix: &str, key: &str) {
        let mut seen = HashMap::new();
        let list_path = format!("{prefix}{key}");
        for (index, field) in self.list(owner, prefix, key, usize::MAX).iter().enumerate() {
            let path = format!("{prefix}{key}[{index}].");
            if let Some(map) = field.as_object() {
                self.text(map, &path, "name", 1023, true);
                self.repeated_name(&mut seen, &list_path, index, map);
            }
            self.field(field, &path);
        }
    }

    fn field(&mut self, field: &Value, path: &str) {
        let Some(field) = self.item(field, path) else { return };
        self.one_of(field, path, "type", Kind::ConfigFieldType, true);
        self.i18n(field, path, "label", true);
        self.i18n(field, path, "help", false);
        self.i18n(field, path, "placeholder", false);
        self.text(field, path, "url", usize::MAX, false);
        self.hidden_help(field, path, &["tooltip"], "help");
        self.flag(field, path, "required");
        self.flag(field, path, "multiple");
        self.basic_default(field, path);
        self.field_scope(field, path);
        self.dropped(field, path, &["show_on"]);
        let options = self.list(field, path, "options", 127);
        let is_select = field.get("type").and_then(Value::as_str) == Some("select");
        if is_select && options.is_empty() {
            self.report(Code::NoOptions, &format!("{path}options"), "a select field needs at least one option");
        }
        for (index, option) in options.iter().enumerate() {
            let path = format!("{path}options[{index}].");
            let Some(option) = self.item(option, &path) else { continue };
            self.i18n(option, &path, "label", true);
            self.dropped(option, &path, &["show_on"]);
            match option.get("value") {
                Some(Value::String(text)) if !text.is_empty() && text.chars().count() < 128 => {}
                Some(Value::Bool(_) | Value::Number(_)) => {
                    self.report(Code::Unquoted, &format!("{path}value"), "should be a quoted string");
                }
                found => self.report(
                    Code::Length,
                    &format!("{path}value"),
                    format!("must be a string of 1 to 127 characters, found {}", show(found)),
                ),
            }
        }
        let values: Vec<&str> = options.iter().filter_map(|option| option.get("value")?.as_str()).collect();
        if let Some(default) = field.get("default").and_then(Value::as_str)
            && is_select
            && !default.is_empty()
            && !values.contains(&default)
        {
            let message = format!("`{default}` is none of the options {}", values.join(", "));
            self.report(Code::DefaultNoOption, &format!("{path}default"), message);
            self.allow(values);
        }
    }

    /// A field's scope is one name; a parameter's may join several.
    fn field_scope(&mut self, field: &Map<String, Value>, path: &str) {
        let Some(scope) = field.get("scope").filter(|scope| !scope.is_null()) else { return };
        let path = format!("{path}scope");
        match field.get("type").and_then(Value::as_str) {
            Some("app-selector") => self.name(scope, &path, Kind::AppScope),
            Some("model-selector") => self.name(scope, &path, Kind::ModelScope),
            _ => self.report(Code::Scope, &path, "is allowed for app-selector and model-selector only"),
        }
    }

    /// A default that is one plain value.
    pub(super) fn basic_default(&mut self, owner: &Map<String, Value>, path: &str) {
        if let Some(default @ (Value::Array(_) | Value::Object(_))) = owner.get("default") {
            let message = format!("must be a string, a number or a boolean; found {}", kind_of(default));
            self.report(Code::PlainDefault, &format!("{path}default"), message);
        }
    }

    /// OAuth of a provider. An older Dify reads over it.
    pub(super) fn oauth(&mut self, owner: &Map<String, Value>, prefix: &str) {
        let Some(oauth) = self.object(owner, prefix, "oauth_schema", false) else { return };
        let path = format!("{prefix}oauth_schema.");
        for key in ["client_schema", "credentials_schema"] {
            self.needed_list(oauth, &path, key);
            self.field_list(oauth, &path, key);
        }
        let credentials =
            oauth.get("credentials_schema").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        let is_secret = |field: &Value| field.get("type").and_then(Value::as_str) == Some("secret-input");
        if !credentials.is_empty() && !credentials.iter().any(is_secret) {
            let message = "names no secret-input; Dify stores credentials that are none as plain text";
            self.report(Code::OpenOauth, &format!("{path}credentials_schema"), message);
        }
        self.used_from("oauth_schema", path.trim_end_matches('.'));
    }

    /// A list that the daemon passes on as null when it is missing, which the Dify API refuses.
    fn needed_list(&mut self, owner: &Map<String, Value>, prefix: &str, key: &str) {
        if owner.get(key).is_none_or(Value::is_null) {
            let message =
                "is required but missing; without it the Dify API refuses the plugin. An empty list is enough";
            self.report(Code::NeededList, &format!("{prefix}{key}"), message);
        }
    }

    /// The settings of endpoints.
    pub(super) fn settings(&mut self, group: &Map<String, Value>) {
        self.needed_list(group, "", "settings");
        self.field_list(group, "", "settings");
        let count = group.get("settings").and_then(Value::as_array).map_or(0, Vec::len);
        if count > MAX_SETTINGS {
            let message = format!("holds {count} entries; the daemon takes {MAX_SETTINGS} when an endpoint is set up");
            self.report(Code::RemoteLimit, "settings", message);
        }
    }
}
