//! Shared code of the Gemini tests: the declared providers in a plugin, and requests to a mock of Google.

use std::path::Path;

use dify_plugin::declare;
use dify_plugin_runtime::providers;
use dify_plugin_runtime::providers::gemini::Gemini;
use serde_json::{Value, json};

use super::google::{EMAIL, Google};
use super::harness::Plugin;

/// Returns a plugin with Google's declared providers: models and background agents.
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

/// Returns the private key whose public half the mock knows.
pub fn private_key() -> String {
    let vectors: Value = serde_json::from_str(include_str!("../data/aigateway/jwt.json")).unwrap();
    vectors["keys"]["rsa_private_pem_pkcs8"].as_str().unwrap().to_owned()
}

/// Returns a request of an action that is sent to the mock.
pub fn request(google: &Google, action: &str, model: &str, credentials: Value, fields: Value) -> Value {
    let mut all = json!({"google_base_url": google.url});
    all.as_object_mut().unwrap().extend(credentials.as_object().unwrap().clone());
    let provider = if action.ends_with("_polling") { Gemini::AGENTS } else { Gemini::MODELS };
    let mut request = json!({"action": action, "provider": provider, "model": model, "credentials": all});
    request.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    request
}

/// Returns a request with a short prompt.
pub fn ask(google: &Google, credentials: Value) -> Value {
    let fields = json!({"model_type": "llm", "prompt_messages": [{"role": "user", "content": "Hi"}]});
    request(google, "invoke_llm", "gemini-2.5-flash-lite", credentials, fields)
}

/// Returns credentials of a service account whose project uses Vertex AI.
pub fn vertex(google: &Google) -> Value {
    json!({"auth_method": "service_account", "google_service_account_json": key_file(google).to_string()})
}

/// Returns a service account key file that the mock accepts.
pub fn key_file(google: &Google) -> Value {
    json!({"type": "service_account", "project_id": "my-project", "private_key_id": "key-1", "private_key": private_key(),
        "client_email": EMAIL, "client_id": "1", "token_uri": format!("{}/token", google.url)})
}
