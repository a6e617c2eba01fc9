//! `--param` and `--params`: values in the types that the declaration names. Text stays text where a parameter is text, so that
//! a number in quotes is never needed.

use std::path::PathBuf;

use anyhow::anyhow;
use clap::Args;
use serde_json::{Map, Value, json};

use crate::cli::credentials::{read_object, split_pair};
use crate::cli::terminal::say;
use crate::declare::parameter::{Parameter, ParameterKind};
use crate::names::did_you_mean;
use crate::plugin::cast_parameters;

/// Values of parameters.
#[derive(Debug, Default, Args)]
pub struct ParameterArgs {
    /// Parameter of the tool, agent strategy, datasource, event, subscription or model; for a model also a field of the
    /// provider's credential form (repeatable)
    #[arg(long = "param", value_name = "NAME=VALUE")]
    pub params: Vec<String>,
    /// JSON or YAML file with an object of parameters
    #[arg(long = "params", value_name = "FILE")]
    params_file: Option<PathBuf>,
}

impl ParameterArgs {
    /// Reads the values for a declaration. Defaults are filled in; a required value that is missing is an error.
    pub(super) fn read(&self, declared: &[Parameter]) -> anyhow::Result<Map<String, Value>> {
        finished(declared, self.values(declared)?)
    }

    /// The same for an agent strategy: a model whose responses come from the command line, and no tools, where none are given.
    pub(super) fn read_scripted(&self, declared: &[Parameter]) -> anyhow::Result<Map<String, Value>> {
        let mut values = self.values(declared)?;
        for parameter in declared.iter().filter(|parameter| parameter.default.is_none()) {
            let scripted = match parameter.kind {
                ParameterKind::ModelSelector => selected("terminal/scripted/scripted", "scripted"),
                ParameterKind::ToolsSelector => json!([]),
                _ => continue,
            };
            values.entry(parameter.name.clone()).or_insert(scripted);
        }
        finished(declared, values)
    }

    fn values(&self, declared: &[Parameter]) -> anyhow::Result<Map<String, Value>> {
        let mut values = match &self.params_file {
            Some(path) => read_object(path)?,
            None => Map::new(),
        };
        for pair in &self.params {
            let (name, text) = split_pair(pair)?;
            let parameter = declared.iter().find(|parameter| parameter.name == name);
            values.insert(name.to_owned(), value(parameter, text)?);
        }
        let names = || declared.iter().map(|parameter| parameter.name.as_str());
        for name in values.keys().filter(|name| !names().any(|known| known == *name)) {
            say(&format!("warning: unknown parameter `{name}`{}", did_you_mean(name, names())));
        }
        Ok(values)
    }
}

fn finished(declared: &[Parameter], mut values: Map<String, Value>) -> anyhow::Result<Map<String, Value>> {
    cast_parameters(declared, &mut values).map_err(|error| anyhow!("{error}"))?;
    Ok(values)
}

fn value(parameter: Option<&Parameter>, text: &str) -> anyhow::Result<Value> {
    let json = || serde_json::from_str(text).unwrap_or_else(|_| Value::from(text));
    let Some(parameter) = parameter else { return Ok(json()) };
    Ok(match parameter.kind {
        ParameterKind::Select | ParameterKind::DynamicSelect | ParameterKind::Checkbox if parameter.multiple => {
            match json() {
                list @ Value::Array(_) => list,
                _ => text.split(',').map(|value| Value::from(value.trim())).collect(),
            }
        }
        ParameterKind::String
        | ParameterKind::SecretInput
        | ParameterKind::Select
        | ParameterKind::DynamicSelect
        | ParameterKind::Checkbox
        | ParameterKind::Date
        // The cast reads these.
        | ParameterKind::Number
        | ParameterKind::Boolean => text.into(),
        ParameterKind::ModelSelector => described(text, || model(text))
            .ok_or_else(|| anyhow!("parameter `{}` must be PROVIDER/MODEL or a JSON object", parameter.name))?,
        ParameterKind::AppSelector => described(text, || Some(json!({"app_id": text}))).unwrap_or_default(),
        ParameterKind::File | ParameterKind::Files => described(text, || file(text))
            .ok_or_else(|| anyhow!("parameter `{}` must be the URL of a file or a JSON object", parameter.name))?,
        ParameterKind::Array
        | ParameterKind::Object
        | ParameterKind::Any
        | ParameterKind::ToolsSelector
        | ParameterKind::DateRange => json(),
    })
}

/// The JSON object or array that is written out, or else what the text is short for.
fn described(text: &str, short: impl FnOnce() -> Option<Value>) -> Option<Value> {
    serde_json::from_str(text).ok().filter(|value: &Value| value.is_object() || value.is_array()).or_else(short)
}

/// A model as Dify names it, from `provider/model`.
fn model(name: &str) -> Option<Value> {
    let (provider, model) =
        name.rsplit_once('/').filter(|(provider, model)| !provider.is_empty() && !model.is_empty())?;
    Some(selected(provider, model))
}

fn selected(provider: &str, model: &str) -> Value {
    json!({"provider": provider, "model": model, "model_type": "llm", "mode": "chat", "completion_params": {},
        "history_prompt_messages": [], "entity": null})
}

/// A file as Dify passes it on, from its URL.
fn file(url: &str) -> Option<Value> {
    let is_web = url.starts_with("http://") || url.starts_with("https://");
    let path = url::Url::parse(url).ok().filter(|_| is_web)?.path().to_owned();
    let name = path.rsplit('/').next().filter(|name| !name.is_empty()).unwrap_or("file");
    let extension = name.rsplit_once('.').map(|(_, extension)| format!(".{}", extension.to_ascii_lowercase()));
    let kind = match extension.as_deref() {
        Some(".png" | ".jpg" | ".jpeg" | ".gif" | ".webp" | ".svg") => "image",
        Some(".mp3" | ".wav" | ".m4a" | ".ogg" | ".flac") => "audio",
        Some(".mp4" | ".mov" | ".webm" | ".mkv") => "video",
        _ => "document",
    };
    Some(json!({"dify_model_identity": "__dify__file__", "url": url, "mime_type": null, "filename": name,
        "extension": extension, "size": null, "type": kind}))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn declared() -> Vec<Parameter> {
        let kinds = [
            "string",
            "number",
            "boolean",
            "select",
            "file",
            "files",
            "any",
            "object",
            "model-selector",
            "app-selector",
            "array[tools]",
            "array",
        ];
        let parameter = |kind: &str| json!({"name": kind, "type": kind, "label": {"en_US": "P"}});
        serde_json::from_value(kinds.iter().map(|kind| parameter(kind)).collect()).unwrap()
    }

    #[test]
    fn values_get_the_types_of_the_declaration() {
        for (pair, expected) in [
            ("string=5", json!("5")),
            ("string=a=b", json!("a=b")),
            ("number=5", json!(5)),
            ("boolean=no", json!(false)),
            ("select=1", json!("1")),
            ("any=5", json!(5)),
            ("any=text", json!("text")),
            ("object={\"a\": 1}", json!({"a": 1})),
            ("array=[1, 2]", json!([1, 2])),
            ("array=x", json!(["x"])),
            ("app-selector=7", json!({"app_id": "7"})),
            ("unknown=7", json!(7)),
        ] {
            let given = ParameterArgs { params: vec![pair.to_owned()], params_file: None };
            let values = given.read(&declared()).unwrap();
            assert_eq!(values.values().collect::<Vec<_>>(), [&expected], "{pair}");
        }
        let given = ParameterArgs {
            params: vec!["model-selector=a/b/c/gpt".to_owned(), "files=https://x/y/p.PNG?s=1".to_owned()],
            params_file: None,
        };
        let values = given.read(&declared()).unwrap();
        assert_eq!(
            (&values["model-selector"]["provider"], &values["model-selector"]["model"]),
            (&json!("a/b/c"), &json!("gpt"))
        );
        let file = &values["files"][0];
        assert_eq!(
            (&file["type"], &file["filename"], &file["extension"]),
            (&json!("image"), &json!("p.PNG"), &json!(".png"))
        );
        for wrong in ["number=many", "model-selector=gpt", "file=/etc/passwd", "object=x"] {
            let given = ParameterArgs { params: vec![wrong.to_owned()], params_file: None };
            assert!(given.read(&declared()).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_strategy_gets_a_scripted_model_unless_one_is_given() {
        let declared = declared();
        let scripted = ParameterArgs::default().read_scripted(&declared).unwrap();
        assert_eq!((&scripted["model-selector"]["model"], &scripted["array[tools]"]), (&json!("scripted"), &json!([])));
        let given = ParameterArgs { params: vec!["model-selector=a/b".to_owned()], params_file: None };
        let kept = given.read_scripted(&declared).unwrap();
        assert_eq!(kept["model-selector"]["model"], "b");
    }
}
