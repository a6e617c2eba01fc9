//! What the Gemini tests share: the declared provider in a plugin, and requests for a fake of Google.
#![allow(dead_code)]

use std::path::Path;

use dify_plugin_runtime::{declare, providers};
use serde_json::{Value, json};

use super::google::Google;
use super::harness::Plugin;

/// The provider as the repository declares it.
pub fn plugin() -> Plugin {
    let declared = declare::load(Path::new(env!("CARGO_MANIFEST_DIR"))).unwrap();
    let gemini = declared.providers.into_iter().find(|provider| provider.declaration.provider == "google").unwrap();
    let code = providers::all().into_iter().find(|provider| provider.name() == "google").unwrap();
    Plugin::of(vec![(gemini.declaration, gemini.models, code)])
}

/// The key that the fake knows the public half of.
pub fn private_key() -> String {
    let vectors: Value = serde_json::from_str(include_str!("../data/aigateway/jwt.json")).unwrap();
    vectors["keys"]["rsa_private_pem_pkcs8"].as_str().unwrap().to_owned()
}

/// A request of an action, addressed to the fake.
pub fn request(google: &Google, action: &str, model: &str, credentials: Value, fields: Value) -> Value {
    let mut all = json!({"google_base_url": google.url});
    all.as_object_mut().unwrap().extend(credentials.as_object().unwrap().clone());
    let mut request = json!({"action": action, "provider": "google", "model": model, "credentials": all});
    request.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    request
}

/// A short question.
pub fn ask(google: &Google, credentials: Value) -> Value {
    let fields = json!({"model_type": "llm", "prompt_messages": [{"role": "user", "content": "Hi"}]});
    request(google, "invoke_llm", "gemini-2.5-flash-lite", credentials, fields)
}
