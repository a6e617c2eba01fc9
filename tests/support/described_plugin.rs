//! A plugin directory of YAML only, and the plugin that serves it: no code of a provider is involved.

use std::path::Path;
use std::sync::Arc;

use dify_plugin::declare::{self, Problem};
use dify_plugin::runtime::{Registry, described};
use dify_plugin::testing::Host;
use dify_plugin_runtime::providers::described::OpenAi;
use serde_json::{Value, json};
use tempfile::TempDir;

/// A provider's YAML in parts.
pub struct Yaml<'y> {
    /// Model types.
    pub types: &'y [&'y str],
    /// Methods.
    pub methods: &'y [&'y str],
    /// Fields of the provider's form, and of the model's form: name and type.
    pub fields: &'y [(&'y str, &'y str)],
    /// The facts.
    pub facts: Value,
    /// Model files: type, and the whole declaration.
    pub models: Vec<(&'y str, Value)>,
}

impl Default for Yaml<'_> {
    fn default() -> Self {
        Self {
            types: &["llm"],
            methods: &["predefined-model"],
            fields: &[("api_key", "secret-input")],
            facts: json!({}),
            models: vec![("llm", model("llm", "m-chat", json!({})))],
        }
    }
}

/// A model's declaration with some keys of its own.
pub fn model(model_type: &str, name: &str, more: Value) -> Value {
    let properties = match model_type {
        "llm" => json!({"mode": "chat", "context_size": 8000}),
        "text-embedding" => json!({"context_size": 512, "max_chunks": 2}),
        "tts" => json!({
            "default_voice": "b", "audio_type": "mp3", "word_limit": 100, "max_workers": 1,
            "voices": [{"mode": "a", "name": "A", "language": ["en-US"]}, {"mode": "b", "name": "B", "language": ["zh-Hans"]}],
        }),
        "speech2text" => json!({"file_upload_limit": 1, "supported_file_extensions": "mp3,wav"}),
        "moderation" => json!({"max_chunks": 2, "max_characters_per_chunk": 20}),
        _ => json!({"context_size": 512}),
    };
    let mut all = json!({
        "model": name, "label": {"en_US": name}, "model_type": model_type, "model_properties": properties,
    });
    all.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    all
}

/// Writes the directory of a plugin with the provider `described`.
pub fn directory(yaml: &Yaml<'_>) -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    let write = |path: &str, value: &Value| {
        let path = directory.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, serde_yaml::to_string(value).unwrap()).unwrap();
    };
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let manifest: Value = serde_yaml::from_str(&std::fs::read_to_string(root.join("manifest.yaml")).unwrap()).unwrap();
    let mut manifest = manifest;
    manifest["plugins"] = json!({"models": ["provider/described.yaml"]});
    manifest["name"] = json!("described");
    write("manifest.yaml", &manifest);
    std::fs::create_dir_all(directory.path().join("_assets")).unwrap();
    std::fs::copy(root.join("_assets/icon.svg"), directory.path().join("_assets/icon.svg")).unwrap();
    let form: Vec<Value> = yaml
        .fields
        .iter()
        .map(|(name, kind)| json!({"variable": name, "label": {"en_US": name}, "type": kind, "required": false}))
        .collect();
    let mut provider = json!({
        "provider": "described", "label": {"en_US": "Described"}, "icon_small": {"en_US": "icon.svg"},
        "icon_large": {"en_US": "icon.svg"}, "supported_model_types": yaml.types, "configurate_methods": yaml.methods,
        "openai": yaml.facts,
    });
    if yaml.methods.contains(&"predefined-model") {
        provider["provider_credential_schema"] = json!({ "credential_form_schemas": form });
        let mut globs = serde_json::Map::new();
        for kind in yaml.types {
            globs.insert(kind.replace('-', "_"), json!({"predefined": [format!("models/{kind}/*.yaml")]}));
        }
        provider["models"] = Value::Object(globs);
    }
    if yaml.methods.contains(&"customizable-model") {
        provider["model_credential_schema"] =
            json!({"model": {"label": {"en_US": "Name"}}, "credential_form_schemas": form});
    }
    write("provider/described.yaml", &provider);
    for (number, (kind, declaration)) in yaml.models.iter().enumerate() {
        write(&format!("models/{kind}/m{number}.yaml"), declaration);
    }
    directory
}

/// What is wrong with the directory: problems of the declarations and of the facts.
pub fn problems(yaml: &Yaml<'_>) -> Vec<Problem> {
    let directory = directory(yaml);
    let mut all = declare::check(directory.path());
    if let Ok(declarations) = declare::load(directory.path()) {
        all.extend(described::providers(&declarations, &[], &[&OpenAi]).problems.0);
    }
    all
}

/// Serves the directory in this process.
pub fn serve(yaml: &Yaml<'_>) -> Host {
    let directory = directory(yaml);
    let declarations = declare::load(directory.path()).unwrap_or_else(|problems| panic!("{problems}"));
    let described = described::providers(&declarations, &[], &[&OpenAi]);
    assert_eq!(described.providers.len(), 1, "{}", described.problems);
    let code = described.providers.into_iter().map(|described| described.provider).collect();
    Host::of(Arc::new(Registry::new(declarations.providers, code).unwrap()))
}

/// Calls an action of a model.
pub async fn call(
    host: &Host,
    action: &str,
    credentials: &Value,
    fields: Value,
) -> Result<Vec<Value>, (String, String)> {
    let mut data = json!({
        "type": "model", "action": action, "provider": "described", "user_id": "user-1", "credentials": credentials,
    });
    data.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    let (items, ending) = host.request(data).start().finish().await;
    match ending {
        Ok(_) => Ok(items),
        Err(failure) => Err((failure.kind.clone(), failure.message.clone())),
    }
}
