//! Recorded calls of the plugins that others publish: what Dify asked, what the upstream responded, what was sent to it and what
//! Dify got. `tests/data/compatible/README.md` describes the files. It compares nothing.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use serde_json::{Map, Value, json};
use tempfile::TempDir;

/// Messages, tools and responses that the files share.
pub static SHARED: LazyLock<Value> = LazyLock::new(|| read(&directory().join("shared.json")));

/// The directory of the files.
pub fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/compatible")
}

fn read(path: &Path) -> Value {
    let text = fs::read_to_string(path).unwrap();
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The recording of one plugin.
pub struct Vector {
    /// Name of the file without its ending: the directory of the plugin.
    pub plugin: String,
    /// Its content.
    pub data: Value,
}

impl Vector {
    /// All recordings, in order of their names.
    pub fn all() -> Vec<Self> {
        let mut files: Vec<PathBuf> = fs::read_dir(directory()).unwrap().map(|entry| entry.unwrap().path()).collect();
        files.retain(|path| path.extension().is_some_and(|ending| ending == "json") && !path.ends_with("shared.json"));
        files.sort();
        let named = |path: &PathBuf| path.file_stem().unwrap().to_string_lossy().into_owned();
        files.iter().map(|path| Self { plugin: named(path), data: read(path) }).collect()
    }

    /// The recorded calls.
    pub fn cases(&self) -> &[Value] {
        self.data["cases"].as_array().unwrap()
    }

    /// The facts about the plugin; `None` if there are none.
    pub fn facts(&self) -> Option<String> {
        let name = format!("src/providers/described/official/{}.yaml", self.plugin);
        fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(&name)).ok()
    }

    /// Writes the directory of the plugin: its declaration with the models that occur, and the facts beside it, all
    /// addresses moved below `url`.
    pub fn directory(&self, facts: &str, url: &str) -> TempDir {
        let directory = tempfile::tempdir().unwrap();
        let write = |path: &str, value: &Value| {
            let path = directory.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, moved(&serde_yaml::to_string(value).unwrap(), url)).unwrap();
        };
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let mut manifest: Value =
            serde_yaml::from_str(&fs::read_to_string(root.join("manifest.yaml")).unwrap()).unwrap();
        manifest["plugins"] = json!({"models": ["provider/p.yaml"]});
        manifest["name"] = self.data["plugin"].clone();
        write("manifest.yaml", &manifest);
        fs::create_dir_all(directory.path().join("_assets")).unwrap();
        fs::copy(root.join("_assets/icon.svg"), directory.path().join("_assets/icon.svg")).unwrap();
        let name = &self.data["provider"];
        let mut provider = json!({
            "provider": name, "label": {"en_US": name}, "icon_small": {"en_US": "icon.svg"},
            "icon_large": {"en_US": "icon.svg"}, "supported_model_types": self.data["supported_model_types"],
            "configurate_methods": self.data["configurate_methods"], "models": {},
        });
        for form in ["provider_credential_schema", "model_credential_schema"] {
            if let Some(fields) = self.data[form].as_array() {
                let fields: Vec<Value> = fields.iter().map(labeled_field).collect();
                provider[form] = json!({"credential_form_schemas": fields});
                if form.starts_with("model") {
                    provider[form]["model"] = json!({"label": {"en_US": "Model"}});
                }
            }
        }
        let mut models = self.data["models"].as_array().unwrap().clone();
        for (kind, names) in self.data["other_models"].as_object().unwrap() {
            let properties = json!({"mode": "chat", "context_size": 4096});
            let model = |name| json!({"model": name, "model_type": kind, "model_properties": properties});
            models.extend(names.as_array().unwrap().iter().map(model));
        }
        for (number, model) in models.iter().enumerate() {
            let kind = model["model_type"].as_str().unwrap();
            provider["models"][kind.replace('-', "_")] = json!({"predefined": [format!("models/{kind}/*.yaml")]});
            write(&format!("models/{kind}/m{number}.yaml"), &labeled_model(model));
        }
        write("provider/p.yaml", &provider);
        fs::write(directory.path().join("provider/p.openai.yaml"), moved(facts, url)).unwrap();
        directory
    }

    /// The credentials of a case.
    pub fn credentials(&self, case: &Value) -> &Value {
        &self.data["credentials"][usize::try_from(case["credentials"].as_u64().unwrap()).unwrap()]
    }

    /// Dify's request of a case, addresses in its credentials moved below `url`.
    pub fn request(&self, case: &Value, credentials: &Value, url: &str) -> Value {
        let mut request = json!({"type": "model", "action": case["action"], "provider": self.data["provider"]});
        let fields = request.as_object_mut().unwrap();
        fields.insert("credentials".to_owned(), moved_all(credentials, url));
        if case["action"] == "invoke_llm" {
            let or = |name: &str, default: Value| case.get(name).cloned().unwrap_or(default);
            let tools = case["tools"].as_str().map_or(Value::Null, |name| SHARED["tools"][name].clone());
            let more = json!({
                "prompt_messages": SHARED["prompts"][case["prompt"].as_str().unwrap()], "tools": tools,
                "model_parameters": or("parameters", json!({})), "stop": or("stop", Value::Null),
                "stream": or("stream", json!(true)),
            });
            fields.extend(more.as_object().unwrap().clone());
        }
        let own = ["name", "credentials", "answers", "requests", "answer", "prompt", "tools", "parameters"];
        for (key, value) in case.as_object().unwrap() {
            if !own.contains(&key.as_str()) && !fields.contains_key(key) {
                fields.insert(key.clone(), value.clone());
            }
        }
        request
    }

    /// The responses of a case, in order.
    pub fn answers(&self, case: &Value) -> Vec<Value> {
        let with_whole = |name: &Value| {
            let mut answer = self.answer(name);
            let whole = name.as_str().and_then(|name| name.strip_suffix("_stream")).map(|name| json!(name));
            if let Some(whole) = whole.filter(|whole| self.knows(whole.as_str().unwrap_or_default())) {
                answer["whole"] = self.answer(&whole);
            }
            answer
        };
        case["answers"].as_array().unwrap().iter().map(with_whole).collect()
    }

    fn knows(&self, name: &str) -> bool {
        !self.data["answers"][name].is_null() || !SHARED["answers"][name].is_null()
    }

    /// A response by name; the plugin's own come first.
    pub fn answer(&self, name: &Value) -> Value {
        let Some(name) = name.as_str() else { return name.clone() };
        let own = &self.data["answers"][name];
        let mut found = if own.is_null() { SHARED["answers"][name].clone() } else { own.clone() };
        assert!(found.is_object(), "{}: no response `{name}`", self.plugin);
        if let Some(paths) = found.get_mut("paths").and_then(Value::as_array_mut) {
            for path in paths {
                path[1] = self.answer(&path[1].clone());
            }
        }
        found
    }
}

/// The text with all addresses moved below `url`.
fn moved(text: &str, url: &str) -> String {
    text.replace("https://", &format!("{url}/_host/https/"))
}

fn moved_all(credentials: &Value, url: &str) -> Value {
    let fields = credentials.as_object().unwrap().iter();
    let moved =
        fields.map(|(key, value)| (key.clone(), value.as_str().map_or(value.clone(), |v| moved(v, url).into())));
    Value::Object(moved.collect::<Map<_, _>>())
}

fn labeled_field(field: &Value) -> Value {
    let mut field = field.clone();
    field["label"] = json!({"en_US": field["variable"]});
    if let Some(options) = field.get_mut("options").and_then(Value::as_array_mut) {
        for option in options {
            option["label"] = json!({"en_US": option["value"]});
        }
    }
    field
}

fn labeled_model(model: &Value) -> Value {
    let mut model = model.clone();
    model["label"] = json!({"en_US": model["model"]});
    if let Some(rules) = model.get_mut("parameter_rules").and_then(Value::as_array_mut) {
        for rule in rules {
            rule["label"] = json!({"en_US": rule["name"]});
        }
    }
    model
}
