//! The rules of parameters of tools, agent strategies, datasources, events and subscriptions. What differs between the kinds
//! is one table; parameters of models have rules of their own.
//!
//! Source: `dify-plugin-daemon: pkg/entities/plugin_entities/tool_declaration.go`, `agent_declaration.go`,
//! `datasource_declaration.go`, `trigger_declaration.go`, `config.go` (`isScope`);
//! `langgenius/dify: api/core/plugin/entities/parameters.py`; `dify-plugin-sdks: src/dify_plugin/entities/tool.py`.

use std::collections::HashMap;

use serde_json::{Map, Value};

use super::{Rules, show};
use crate::declare::codes::Code;
use crate::declare::kind::PluginKind;
use crate::declare::versions::{self, Kind};
use crate::protocol::lenient::kind_of;

/// What the parameters of a kind of plugin may be.
struct Form {
    /// The types.
    types: Kind,
    /// The explanation, and whether it is required.
    explanation: (&'static str, bool),
    /// Types that may have a scope; `None` where no side checks it.
    scoped: Option<&'static [&'static str]>,
    /// Members that the Dify API or the Python SDK knows, and that the daemon leaves out.
    dropped: &'static [&'static str],
}

/// The types that parameters of a kind can have.
pub(in crate::declare) fn parameter_types(kind: PluginKind) -> Kind {
    form(kind).types
}

/// The member that explains a parameter of a kind, and whether it is required.
pub(in crate::declare) fn explanation_key(kind: PluginKind) -> (&'static str, bool) {
    form(kind).explanation
}

const SELECTORS: &[&str] = &["app-selector", "model-selector", "any"];

fn form(kind: PluginKind) -> Form {
    match kind {
        PluginKind::AgentStrategy => Form {
            types: Kind::AgentParameterType,
            explanation: ("help", false),
            scoped: Some(SELECTORS),
            dropped: &["placeholder", "multiple", "show_on"],
        },
        PluginKind::Datasource => Form {
            types: Kind::DatasourceParameterType,
            explanation: ("description", true),
            scoped: Some(&[]),
            dropped: &["placeholder", "multiple", "form", "show_on"],
        },
        PluginKind::Trigger => Form {
            types: Kind::EventParameterType,
            explanation: ("description", false),
            scoped: None,
            dropped: &["placeholder", "help", "url", "show_on"],
        },
        _ => Form {
            types: Kind::ToolParameterType,
            explanation: ("human_description", true),
            scoped: Some(SELECTORS),
            dropped: &["placeholder", "input_schema", "show_on"],
        },
    }
}

/// Types of which several values can be chosen.
const MULTIPLE: [&str; 2] = ["select", "dynamic-select"];

/// Members with which authors explain a field; those that are not the explanation of their kind are not shown.
const EXPLANATIONS: [&str; 3] = ["help", "url", "tooltip"];

impl Rules<'_> {
    /// The parameters of a part of a plugin.
    pub(super) fn parameters(&mut self, owner: &Map<String, Value>, prefix: &str, kind: PluginKind) {
        let form = form(kind);
        let mut seen = HashMap::new();
        let list = format!("{prefix}parameters");
        for (index, parameter) in self.list(owner, prefix, "parameters", usize::MAX).iter().enumerate() {
            let path = format!("{prefix}parameters[{index}].");
            let Some(parameter) = self.item(parameter, &path) else { continue };
            self.repeated_name(&mut seen, &list, index, parameter);
            self.parameter(parameter, &path, kind, &form);
        }
    }

    fn parameter(&mut self, parameter: &Map<String, Value>, path: &str, kind: PluginKind, form: &Form) {
        self.text(parameter, path, "name", 1023, true);
        self.i18n(parameter, path, "label", true);
        let (explanation, is_required) = form.explanation;
        self.i18n(parameter, path, explanation, is_required);
        self.one_of(parameter, path, "type", form.types, true);
        if kind == PluginKind::Tool {
            self.one_of(parameter, path, "form", Kind::ParameterForm, true);
            self.text(parameter, path, "llm_description", usize::MAX, false);
        }
        self.flag(parameter, path, "required");
        self.range(parameter, path);
        if let Some(generate) = self.object(parameter, path, "auto_generate", false) {
            self.one_of(generate, &format!("{path}auto_generate."), "type", Kind::AutoGenerate, true);
        }
        if let Some(template) = self.object(parameter, path, "template", false) {
            self.flag(template, &format!("{path}template."), "enabled");
        }
        self.parameter_scope(parameter, path, form);
        self.options(parameter, path);
        self.multiple(parameter, path, kind);
        self.default(parameter, path, kind);
        self.dropped(parameter, path, form.dropped);
        let is_lost = |key: &&str| *key != explanation && !form.dropped.contains(key);
        let lost: Vec<&str> = EXPLANATIONS.into_iter().filter(is_lost).collect();
        self.hidden_help(parameter, path, &lost, explanation);
    }

    /// Members that Dify's page knows, and that the daemon leaves out.
    pub(super) fn dropped(&mut self, owner: &Map<String, Value>, path: &str, members: &[&str]) {
        self.left_out(owner, path, members, Code::NoEffect, "is left out by the daemon, so it has no effect");
    }

    /// Explanations that the daemon leaves out, beside the member that it takes.
    pub(super) fn hidden_help(&mut self, owner: &Map<String, Value>, path: &str, members: &[&str], taken: &str) {
        let message = format!("is left out by the daemon; say it in `{taken}`");
        self.left_out(owner, path, members, Code::HiddenHelp, &message);
    }

    fn left_out(&mut self, owner: &Map<String, Value>, path: &str, members: &[&str], code: Code, message: &str) {
        for key in members.iter().filter(|key| owner.get(**key).is_some_and(|value| !value.is_null())) {
            self.report(code, &format!("{path}{key}"), message);
        }
    }

    fn range(&mut self, parameter: &Map<String, Value>, path: &str) {
        for key in ["min", "max"] {
            if let Some(value) = parameter.get(key).filter(|value| !value.is_null() && !value.is_number()) {
                self.report(
                    Code::WrongType,
                    &format!("{path}{key}"),
                    format!("must be a number, found {}", kind_of(value)),
                );
            }
        }
        if let Some(value) = parameter.get("precision").filter(|value| !value.is_null() && value.as_i64().is_none()) {
            self.report(Code::WrongType, &format!("{path}precision"), format!("must be an integer, found {value}"));
        }
        let number = |key: &str| parameter.get(key).and_then(Value::as_f64);
        if let (Some(min), Some(max)) = (number("min"), number("max"))
            && min > max
        {
            self.report(Code::Range, &format!("{path}min"), format!("{min} is greater than max {max}"));
        }
    }

    /// Parts of a scope are joined by `&`; the daemon takes it when it knows one of them.
    fn parameter_scope(&mut self, parameter: &Map<String, Value>, path: &str, form: &Form) {
        let Some(scope) = parameter.get("scope").filter(|scope| !scope.is_null()) else { return };
        let Some(scoped) = form.scoped else { return };
        let path = format!("{path}scope");
        let kind = parameter.get("type").and_then(Value::as_str).unwrap_or_default();
        if !scoped.contains(&kind) {
            let allowed = match scoped {
                [] => "is not allowed for datasources".to_owned(),
                scoped => format!("is allowed for {} only", scoped.join(", ")),
            };
            return self.report(Code::Scope, &path, allowed);
        }
        let Some(scope) = scope.as_str().filter(|scope| scope.chars().count() <= 1024) else {
            return self.report(Code::Length, &path, "must be text of at most 1024 characters");
        };
        let set = match kind {
            "app-selector" => Kind::AppScope,
            "model-selector" => Kind::ParameterModelScope,
            _ => Kind::AnyScope,
        };
        let parts = scope.split('&').map(str::trim);
        let (known, unknown): (Vec<&str>, Vec<&str>) = parts.partition(|part| versions::since(set, part).is_some());
        let message = format!("must be one of {}, joined by `&`; found `{scope}`", super::listed(set));
        match (known.is_empty(), unknown.is_empty()) {
            (true, _) => {
                self.report(Code::NotAllowed, &path, message);
                self.allow(versions::names(set));
            }
            (false, false) => self.report(Code::UnknownScope, &path, message),
            (false, true) => {}
        }
    }

    fn options(&mut self, parameter: &Map<String, Value>, path: &str) {
        let options = self.list(parameter, path, "options", usize::MAX);
        let kind = parameter.get("type").and_then(Value::as_str).unwrap_or_default();
        if kind == "select" && options.is_empty() {
            self.report(
                Code::Nothing,
                &format!("{path}options"),
                "a select parameter without options has nothing to choose",
            );
        }
        for (index, option) in options.iter().enumerate() {
            let path = format!("{path}options[{index}].");
            let Some(option) = self.item(option, &path) else { continue };
            self.i18n(option, &path, "label", true);
            self.text(option, &path, "icon", usize::MAX, false);
            self.dropped(option, &path, &["show_on"]);
            let path = format!("{path}value");
            match option.get("value") {
                Some(Value::String(text)) if text.is_empty() => {
                    self.report(
                        Code::RemoteLimit,
                        &path,
                        "is empty; remote debugging refuses that and leaves the option out",
                    );
                }
                Some(Value::String(_)) => {}
                Some(Value::Bool(_) | Value::Number(_)) => {
                    self.report(Code::Unquoted, &path, "should be a quoted string")
                }
                found => self.report(Code::WrongType, &path, format!("must be a string, found {}", show(found))),
            }
        }
    }

    fn multiple(&mut self, parameter: &Map<String, Value>, path: &str, kind: PluginKind) {
        self.flag(parameter, path, "multiple");
        if parameter.get("multiple") != Some(&Value::Bool(true)) {
            return;
        }
        let path = format!("{path}multiple");
        match (kind, parameter.get("type").and_then(Value::as_str).unwrap_or_default()) {
            (_, name) if MULTIPLE.contains(&name) => {}
            (PluginKind::Tool, "checkbox") => {
                self.report(Code::PythonSdk, &path, "is refused by the Python SDK for checkbox; the Dify API takes it");
            }
            (PluginKind::Tool, name) => {
                let message = format!(
                    "is allowed for select, dynamic-select and checkbox only, found {name}; with it the Dify API shows no \
                     tools at all"
                );
                self.report(Code::SeveralValues, &path, message);
            }
            (PluginKind::Trigger, "checkbox") => {}
            (_, name) => self.report(Code::NoEffect, &path, format!("has no effect for {name}")),
        }
    }

    fn default(&mut self, parameter: &Map<String, Value>, path: &str, kind: PluginKind) {
        let Some(default) = parameter.get("default").filter(|default| !default.is_null()) else { return };
        let path = &format!("{path}default");
        match (kind, default) {
            (PluginKind::Tool, _) => {}
            (PluginKind::Trigger, Value::Object(_)) => {
                return self.report(
                    Code::PlainDefault,
                    path,
                    "must be text, a number, true, false or a list; found an object",
                );
            }
            (PluginKind::Trigger, _) => {}
            (_, default @ (Value::Array(_) | Value::Object(_))) => {
                let message = format!("must be a string, a number or a boolean; found {}", kind_of(default));
                return self.report(Code::PlainDefault, path, message);
            }
            _ => {}
        }
        let name = parameter.get("type").and_then(Value::as_str).unwrap_or_default();
        let is_multiple = parameter.get("multiple") == Some(&Value::Bool(true));
        if kind == PluginKind::Tool && MULTIPLE.contains(&name) && default.is_array() != is_multiple {
            let message = match is_multiple {
                true => "should be a list, because several values can be chosen; the Python SDK refuses others",
                false => "should not be a list, because one value can be chosen; the Python SDK refuses it",
            };
            self.report(Code::PythonSdk, path, message);
        }
        let options = parameter.get("options").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        let values: Vec<String> = options.iter().filter_map(|option| option.get("value")).map(plain).collect();
        let chosen = default.as_array().map_or_else(|| std::slice::from_ref(default), Vec::as_slice);
        if let Some(wrong) = chosen.iter().map(plain).find(|value| !value.is_empty() && !values.contains(value))
            && name == "select"
            && !values.is_empty()
        {
            self.report(Code::DefaultNoOption, path, format!("`{wrong}` is none of the options {}", values.join(", ")));
            self.allow(values.iter().map(String::as_str));
        }
    }
}

/// A value as the text that the daemon makes of it.
fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}
