//! What a public name refers to: a model of the workspace, or an app. Read from the selectors of the form, and from the lists
//! `NAME = PROVIDER/MODEL` and `NAME = KIND:APP_ID`.

use dify_plugin::plugin::Credentials;
use dify_plugin::prelude::{AppSelector, ModelConfig};
use dify_plugin::protocol::ModelType;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::Named;
use super::entries::{entries, pair};

/// A model or an app.
#[derive(Clone, Debug, PartialEq)]
pub enum Target {
    Model(Model),
    App(App),
}

/// A model of the workspace.
#[derive(Clone, Debug, PartialEq)]
pub struct Model {
    pub config: ModelConfig,
    /// Where the settings do not name the type, Dify rejects a wrong one.
    pub model_type: Option<ModelType>,
    /// The voice for requests without one.
    pub voice: Option<String>,
}

/// An app of the workspace.
#[derive(Clone, Debug, PartialEq)]
pub struct App {
    pub app_id: String,
    pub kind: AppKind,
    /// Inputs that the operator filled in; those of a request replace them.
    pub inputs: Map<String, Value>,
}

/// What an app expects, and which events it sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AppKind {
    /// Chat app, agent or chatflow.
    Chat,
    Completion,
    Workflow,
}

impl Target {
    /// Whether requests for this type of model may come here.
    pub fn serves(&self, wanted: ModelType) -> bool {
        match self {
            Self::Model(model) => model.model_type.is_none_or(|model_type| model_type == wanted),
            Self::App(_) => wanted == ModelType::Llm,
        }
    }
}

/// The selectors of models, each with its type.
const SELECTORS: [(&str, ModelType); 5] = [
    ("llm", ModelType::Llm),
    ("text_embedding", ModelType::TextEmbedding),
    ("tts", ModelType::Tts),
    ("speech2text", ModelType::Speech2text),
    ("moderation", ModelType::Moderation),
];

/// The selectors of apps, each with its public name.
const APPS: [(&str, &str, AppKind); 2] =
    [("chat_app", "app", AppKind::Chat), ("workflow_app", "workflow", AppKind::Workflow)];

/// Reads all models and apps.
pub fn read(settings: &Credentials) -> Result<Vec<Named>, String> {
    let mut named = Vec::new();
    for (field, model_type) in SELECTORS {
        let Some(text) = settings.get(field) else { continue };
        let model = selected(text, model_type).map_err(|error| format!("`{field}`: {error}"))?;
        add(&mut named, model.config.model.clone(), Target::Model(model))
            .map_err(|error| format!("`{field}`: {error}"))?;
    }
    for (field, name, kind) in APPS {
        let Some(text) = settings.get(field) else { continue };
        let app: AppSelector = serde_json::from_str(text).map_err(|_| format!("`{field}`: choose an app"))?;
        if app.app_id.is_empty() {
            return Err(format!("`{field}`: choose an app"));
        }
        let app = App { app_id: app.app_id, kind, inputs: app.inputs };
        add(&mut named, name.to_owned(), Target::App(app)).map_err(|error| format!("`{field}`: {error}"))?;
    }
    for (field, read) in [("more_models", listed_model as fn(&str) -> _), ("more_apps", listed_app)] {
        for (place, entry) in entries(settings.get(field).unwrap_or_default()) {
            let read = pair(entry).ok_or_else(|| expected(field)).and_then(|(name, value)| {
                let target = read(value).ok_or_else(|| expected(field))?;
                check_name(name)?;
                add(&mut named, name.to_owned(), target)
            });
            read.map_err(|error| format!("`{field}`, entry {place}: `{entry}`: {error}"))?;
        }
    }
    Ok(named)
}

fn expected(field: &str) -> String {
    match field {
        "more_models" => "expected `NAME = AUTHOR/PLUGIN/PROVIDER/MODEL`".to_owned(),
        _ => "expected `NAME = chat:APP_ID`, `NAME = completion:APP_ID` or `NAME = workflow:APP_ID`".to_owned(),
    }
}

/// A name may belong to models of different types only: then the path of a request decides.
fn add(named: &mut Vec<Named>, name: String, target: Target) -> Result<(), String> {
    let model_type = |target: &Target| match target {
        Target::Model(model) => model.model_type,
        Target::App(_) => Some(ModelType::Llm),
    };
    let added = model_type(&target);
    let clash = named.iter().filter(|entry| entry.name == name).map(|entry| model_type(&entry.target));
    if clash.into_iter().any(|known| known.is_none() || added.is_none() || known == added) {
        return Err(format!("the name `{name}` is used twice"));
    }
    named.push(Named { name, target });
    Ok(())
}

fn check_name(name: &str) -> Result<(), String> {
    if name.len() <= 128 && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.:/@+".contains(&byte)) {
        return Ok(());
    }
    Err(format!("the name `{name}` may contain ASCII letters, digits and `-_.:/@+`, at most 128"))
}

fn selected(text: &str, model_type: ModelType) -> Result<Model, String> {
    #[derive(Deserialize)]
    struct Selected {
        #[serde(flatten)]
        config: ModelConfig,
        #[serde(default)]
        voice: Option<String>,
    }
    let Selected { config, voice } =
        serde_json::from_str(text).map_err(|_| "choose a model: provider and model are missing".to_owned())?;
    if config.provider.is_empty() || config.model.is_empty() {
        return Err("choose a model: provider or model is empty".to_owned());
    }
    Ok(Model { config, model_type: Some(model_type), voice: voice.filter(|voice| !voice.is_empty()) })
}

/// `AUTHOR/PLUGIN/PROVIDER/MODEL`; the model may contain slashes.
fn listed_model(text: &str) -> Option<Target> {
    let mut parts = text.splitn(4, '/').map(str::trim);
    let provider: Vec<&str> = parts.by_ref().take(3).collect();
    let model = parts.next().filter(|model| !model.is_empty())?;
    if provider.iter().any(|part| part.is_empty() || part.contains(char::is_whitespace)) {
        return None;
    }
    let config = ModelConfig::new(provider.join("/"), model);
    Some(Target::Model(Model { config, model_type: None, voice: None }))
}

/// `KIND:APP_ID`.
fn listed_app(text: &str) -> Option<Target> {
    let (kind, app_id) = text.split_once(':')?;
    let kind = match kind.trim() {
        "chat" => AppKind::Chat,
        "completion" => AppKind::Completion,
        "workflow" => AppKind::Workflow,
        _ => return None,
    };
    let app_id = app_id.trim().to_owned();
    let is_id =
        (1..=64).contains(&app_id.len()) && app_id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    is_id.then(|| Target::App(App { app_id, kind, inputs: Map::new() }))
}
