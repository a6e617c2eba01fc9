//! What the Gemini tests share: the declared provider in a plugin, and requests for a fake of Google.
#![allow(dead_code)]

use std::path::Path;

use dify_plugin::declare;
use dify_plugin_runtime::providers;
use dify_plugin_runtime::providers::gemini::Gemini;
use serde_json::{Value, json};

use super::google::{EMAIL, Google};
use super::harness::Plugin;

/// The providers of Google as the repository declares them: models and background agents.
pub fn plugin() -> Plugin {
    let declared = declare::load(Path::new(env!("CARGO_MANIFEST_DIR"))).unwrap().providers.into_iter();
    let code = providers::all(Default::default());
    let parts = declared.filter_map(|loaded| {
        let name = loaded.declaration.provider.as_str();
        let code = code.iter().find(|code| code.name() == name && PROVIDERS.contains(&name))?.clone();
        Some((loaded.declaration, loaded.models, code))
    });
    Plugin::of(parts.collect())
}

const PROVIDERS: [&str; 2] = [Gemini::MODELS, Gemini::AGENTS];

/// The key that the fake knows the public half of.
pub fn private_key() -> String {
    let vectors: Value = serde_json::from_str(include_str!("../data/aigateway/jwt.json")).unwrap();
    vectors["keys"]["rsa_private_pem_pkcs8"].as_str().unwrap().to_owned()
}

/// A request of an action, addressed to the fake.
pub fn request(google: &Google, action: &str, model: &str, credentials: Value, fields: Value) -> Value {
    let mut all = json!({"google_base_url": google.url});
    all.as_object_mut().unwrap().extend(credentials.as_object().unwrap().clone());
    let provider = if action.ends_with("_polling") { Gemini::AGENTS } else { Gemini::MODELS };
    let mut request = json!({"action": action, "provider": provider, "model": model, "credentials": all});
    request.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    request
}

/// A short question.
pub fn ask(google: &Google, credentials: Value) -> Value {
    let fields = json!({"model_type": "llm", "prompt_messages": [{"role": "user", "content": "Hi"}]});
    request(google, "invoke_llm", "gemini-2.5-flash-lite", credentials, fields)
}

/// A service account whose project is on Vertex AI.
pub fn vertex(google: &Google) -> Value {
    json!({"auth_method": "service_account", "google_service_account_json": key_file(google).to_string()})
}

/// A service account's key file that the fake accepts.
pub fn key_file(google: &Google) -> Value {
    json!({"type": "service_account", "project_id": "my-project", "private_key_id": "key-1", "private_key": private_key(),
        "client_email": EMAIL, "client_id": "1", "token_uri": format!("{}/token", google.url)})
}
