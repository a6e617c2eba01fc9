//! The providers under test: where they are, and a plugin of one of them whose URLs lead to the mock.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use dify_plugin::declare::{self, Declarations, LoadedProvider};
use dify_plugin::model::{Dialect, Provider};
use dify_plugin::runtime::described;
use dify_plugin_runtime::providers::described::OpenAi;
use serde_json::{Value, json};

use super::compatible_server::Server;
use super::harness::{Outcome, Plugin};

/// Dialects of the executable.
pub const DIALECTS: &[&dyn Dialect] = &[&OpenAi];

/// A provider, and what its credentials are for a server.
pub struct Listed {
    pub directory: &'static str,
    pub id: &'static str,
    /// Least number of models.
    pub models: usize,
    /// Host that the default credentials lead to; for models that users add, the base URL of their form.
    pub host: &'static str,
    /// Field with the base URL in the form of a model that users add.
    pub base_field: &'static str,
    /// Types of models that users add.
    pub custom: &'static [&'static str],
}

/// All of them.
pub const LISTED: [Listed; 7] = [
    Listed {
        directory: ".",
        id: "openai_api_compatible",
        models: 0,
        host: "own.example",
        base_field: "endpoint_url",
        custom: &["llm", "text-embedding", "rerank", "speech2text", "tts"],
    },
    Listed {
        directory: "catalog/deepseek",
        id: "deepseek",
        models: 4,
        host: "api.deepseek.com",
        base_field: "",
        custom: &[],
    },
    Listed { directory: "catalog/groq", id: "groq", models: 18, host: "api.groq.com", base_field: "", custom: &[] },
    Listed {
        directory: "catalog/local",
        id: "local",
        models: 0,
        host: "own.example",
        base_field: "server_url",
        custom: &["llm", "text-embedding", "rerank", "speech2text"],
    },
    Listed {
        directory: "catalog/moonshot",
        id: "moonshot",
        models: 15,
        host: "api.moonshot.cn",
        base_field: "",
        custom: &["llm"],
    },
    Listed {
        directory: "catalog/openrouter",
        id: "openrouter",
        models: 300,
        host: "openrouter.ai",
        base_field: "",
        custom: &["llm", "text-embedding", "rerank"],
    },
    Listed {
        directory: "catalog/siliconflow",
        id: "siliconflow",
        models: 90,
        host: "api.siliconflow.cn",
        base_field: "",
        custom: &["llm", "text-embedding", "rerank"],
    },
];

impl Listed {
    pub fn path(&self) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join(self.directory)
    }

    pub fn load(&self) -> Declarations {
        declare::load(&self.path()).unwrap_or_else(|problems| panic!("{}: {problems}", self.directory))
    }

    pub fn provider<'a>(&self, declarations: &'a Declarations) -> &'a LoadedProvider {
        declarations.providers.iter().find(|loaded| loaded.declaration.provider == self.id).unwrap()
    }

    /// A plugin of this provider alone, whose URLs lead to the server.
    pub fn plugin(&self, server: &Server) -> Plugin {
        let mut declarations = self.load();
        declarations.providers.retain(|loaded| loaded.declaration.provider == self.id);
        let loaded = &mut declarations.providers[0];
        server.redirect(loaded.declaration.extra.get_mut("openai").unwrap());
        let made = described::providers(&declarations, &[], DIALECTS);
        assert!(made.problems.0.is_empty(), "{}: {}", self.id, made.problems);
        let provider: Arc<dyn Provider> = made.providers.into_iter().next().unwrap().provider;
        let loaded = declarations.providers.remove(0);
        Plugin::of(vec![(loaded.declaration, loaded.models, provider)])
    }

    pub fn credentials(&self, server: &Server, key: &str) -> Value {
        let mut credentials = json!({"api_key": key, "max_retries": "0", "advanced": "on"});
        if !self.base_field.is_empty() {
            credentials[self.base_field] = json!(server.instead_of(&format!("https://{}/v1", self.host)));
        }
        credentials
    }
}

pub fn listed(id: &str) -> &'static Listed {
    LISTED.iter().find(|listed| listed.id == id).unwrap()
}

/// A call of a type.
pub async fn call(plugin: &Plugin, id: &str, kind: &str, model: &str, credentials: &Value, more: Value) -> Outcome {
    let wav = [b"RIFF".as_slice(), &[36, 0, 0, 0], b"WAVEfmt ", &[0; 64]].concat();
    let (action, fields) = match kind {
        "llm" => ("invoke_llm", json!({"prompt_messages": [{"role": "user", "content": "Hi"}], "stream": true})),
        "text-embedding" => ("invoke_text_embedding", json!({"texts": ["one", "two"], "input_type": "query"})),
        "rerank" => ("invoke_rerank", json!({"query": "q", "docs": ["one", "two"], "top_n": 1})),
        "tts" => ("invoke_tts", json!({"content_text": "Say this.", "voice": "", "tenant_id": "t"})),
        _ => ("invoke_speech2text", json!({"file": hex::encode(wav)})),
    };
    let mut request = json!({"action": action, "provider": id, "model": model, "model_type": kind,
        "credentials": credentials, "model_parameters": {}});
    for fields in [fields, more] {
        request.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    }
    plugin.call(request).await
}
