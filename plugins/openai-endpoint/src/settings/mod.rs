//! What the operator filled in for an endpoint: keys, models and apps with their public names, and origins for CORS. Parsed for
//! every request, because Dify does not ask the plugin when they are saved; a wrong value is an error that names field and entry.

mod entries;
mod keys;
mod targets;

pub use keys::{Key, authenticate};
pub use targets::{App, AppKind, Model, Target};

use dify_plugin::plugin::Credentials;
use dify_plugin::protocol::ModelType;
use serde_json::{Value, json};

use crate::error::ApiError;
use entries::entries;

/// The models and apps of an endpoint, as one key sees them.
#[derive(Debug)]
pub struct Catalog {
    named: Vec<Named>,
}

/// A model or an app by the name that clients use.
#[derive(Clone, Debug, PartialEq)]
pub struct Named {
    pub name: String,
    pub target: Target,
}

impl Catalog {
    /// Reads the models and apps, and leaves those that the key may use.
    pub fn of(settings: &Credentials, key: &Key) -> Result<Self, ApiError> {
        let mut named = targets::read(settings).map_err(ApiError::settings)?;
        keys::check_names(settings, &named).map_err(ApiError::settings)?;
        named.retain(|entry| key.allows(&entry.name));
        Ok(Self { named })
    }

    /// The model or app of a name for this type of model. Apps answer where language models do.
    pub fn find(&self, name: Option<&str>, wanted: ModelType) -> Result<(&str, &Target), ApiError> {
        let name = crate::read::required(name.filter(|name| !name.is_empty()), "model")?;
        let mut found = self.named.iter().filter(|entry| entry.name == name).peekable();
        if found.peek().is_none() {
            let message = format!("The model `{name}` does not exist, or your key may not use it.");
            return Err(ApiError::not_found("model_not_found", message).with_param("model"));
        }
        let fits = found.find(|entry| entry.target.serves(wanted));
        fits.map(|entry| (&*entry.name, &entry.target)).ok_or_else(|| {
            let message = format!("`{name}` is not a model of the type `{}`.", wanted.as_str());
            ApiError::invalid(message).with_param("model")
        })
    }

    /// `GET /v1/models`.
    pub fn list(&self) -> Value {
        let mut seen = std::collections::BTreeSet::new();
        let names = self.named.iter().filter(|entry| seen.insert(&entry.name));
        json!({"object": "list", "data": names.map(Named::describe).collect::<Vec<_>>()})
    }

    /// `GET /v1/models/NAME`.
    pub fn describe(&self, name: &str) -> Result<Value, ApiError> {
        let found = self.named.iter().find(|entry| entry.name == name).map(Named::describe);
        let message = || format!("The model `{name}` does not exist, or your key may not use it.");
        found.ok_or_else(|| ApiError::not_found("model_not_found", message()).with_param("model"))
    }
}

impl Named {
    fn describe(&self) -> Value {
        let owner = match &self.target {
            Target::Model(model) => &model.config.provider,
            Target::App(_) => "dify",
        };
        json!({"id": self.name, "object": "model", "created": 0, "owned_by": owner})
    }
}

/// The origins that may read responses in a browser; `*` are all.
pub fn origins(settings: &Credentials) -> Result<Vec<String>, ApiError> {
    let text = settings.get("cors_origins").unwrap_or_default();
    let origin = |(place, entry): (usize, &str)| {
        let is_origin = entry.strip_prefix("https://").or_else(|| entry.strip_prefix("http://")).is_some_and(|host| {
            !host.is_empty()
                && !host.contains(['/', '*', '?', '#', '@'])
                && host.bytes().all(|byte| byte.is_ascii_graphic())
        });
        if entry == "*" || is_origin {
            return Ok(entry.to_ascii_lowercase());
        }
        let expected = "expected `*` or an origin without a path, such as `https://app.example.com`";
        Err(ApiError::settings(format!("`cors_origins`, entry {place}: `{entry}`: {expected}")))
    };
    entries(text).map(origin).collect()
}
