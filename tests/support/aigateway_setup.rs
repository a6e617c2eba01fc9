//! Shared by the AI Gateway tests: every authentication method, and a plugin with its form for a mock gateway.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use dify_plugin_runtime::providers::aigateway::AiGateway;
use serde_json::{Map, Value, json};

use super::aigateway::{Gateway, Protection};
use super::aigateway_rules::{HmacRules, JwtRules, KeyPlace, KeyRules};
use super::harness::{Outcome, Plugin};

pub const HMAC_SECRET: &str = "CANARY-HMAC-SECRET-7f3c9b2e";
pub const API_KEY: &str = "CANARY-API-KEY-55ab";
pub const OCT_KEY: [u8; 64] = [0x5a; 64];
pub const MODEL_TYPES: [&str; 5] = ["llm", "text-embedding", "rerank", "tts", "speech2text"];

pub fn keys() -> Value {
    let vectors: Value = serde_json::from_str(include_str!("../data/aigateway/jwt.json")).unwrap();
    vectors["keys"].clone()
}

pub fn oct_key() -> Value {
    json!({"kty": "oct", "k": URL_SAFE_NO_PAD.encode(OCT_KEY), "kid": "k-1"})
}

/// An authentication method: the gateway's side, the form, and the secrets that must appear nowhere.
pub struct Method {
    pub name: String,
    pub protection: Protection,
    pub form: Vec<(&'static str, String)>,
    pub canaries: Vec<String>,
}

pub fn hmac(digest: &str) -> Method {
    let consumers = vec![("ak-1".to_owned(), HMAC_SECRET.to_owned())];
    let form = [
        ("auth_method", "hmac"),
        ("hmac_access_key", "ak-1"),
        ("hmac_secret_key", HMAC_SECRET),
        ("hmac_content_digest", digest),
    ];
    Method {
        name: format!("hmac, digest {digest}"),
        protection: Protection::Hmac(HmacRules { consumers, allowed: true, window: Some(300), strict: true }),
        form: form.map(|(name, value)| (name, value.to_owned())).to_vec(),
        canaries: vec![HMAC_SECRET.to_owned()],
    }
}

pub fn jwt(algorithm: &str, private: &str, mut public: Value, header: &str, prefix: &str) -> Method {
    public["alg"] = json!(algorithm);
    let form = [
        ("auth_method", "jwt"),
        ("jwt_jwks", private),
        ("jwt_algorithm", algorithm),
        ("jwt_consumer_id", "consumer-1"),
        ("jwt_issuer", "dify"),
        ("jwt_header_name", header),
        ("jwt_header_prefix", if prefix.is_empty() { "none" } else { prefix }),
    ];
    let secret = serde_json::from_str::<Value>(private).ok();
    let part = |name: &str| secret.as_ref().and_then(|key| key[name].as_str()).map(str::to_owned);
    let pem = secret.is_none().then(|| private.lines().nth(1).unwrap().to_owned());
    Method {
        name: format!("jwt {algorithm} in {header}"),
        protection: Protection::Jwt(JwtRules {
            keys: json!({ "keys": [public] }),
            claims: vec![("uid".to_owned(), "consumer-1".to_owned()), ("iss".to_owned(), "dify".to_owned())],
            allowed: true,
            header: header.to_lowercase(),
            prefix: if prefix.is_empty() { String::new() } else { format!("{prefix} ") },
        }),
        form: form.map(|(name, value)| (name, value.to_owned())).to_vec(),
        canaries: [part("k"), part("d"), pem].into_iter().flatten().collect(),
    }
}

pub fn jwt_oct() -> Method {
    jwt("HS256", &oct_key().to_string(), oct_key(), "Authorization", "Bearer")
}

pub fn key(location: &str, place: KeyPlace) -> Method {
    Method {
        name: format!("api key as {location}"),
        protection: Protection::Key(KeyRules { key: API_KEY.to_owned(), place, allowed: true }),
        form: vec![
            ("auth_method", "api_key".to_owned()),
            ("api_key", API_KEY.to_owned()),
            ("api_key_location", location.to_owned()),
        ],
        canaries: vec![API_KEY.to_owned()],
    }
}

pub fn methods() -> Vec<Method> {
    let keys = keys();
    let text = |name: &str| match &keys[name] {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    vec![
        hmac("on"),
        hmac("off"),
        jwt_oct(),
        jwt("RS256", &text("rsa_private_pem_pkcs8"), keys["rsa_public_jwk"].clone(), "X-Token", "Tok"),
        jwt("PS384", &text("rsa_private_jwk"), keys["rsa_public_jwk"].clone(), "X-Token", ""),
        jwt("ES256", &text("ec_p256_private_jwk"), keys["ec_p256_public_jwk"].clone(), "Authorization", "Bearer"),
        jwt("ES512", &text("ec_p521_pem_sec1"), keys["ec_p521_public_jwk"].clone(), "Authorization", ""),
        jwt("EdDSA", &text("ed25519_private_jwk"), keys["ed25519_public_jwk"].clone(), "Authorization", "Bearer"),
        key("bearer", KeyPlace::Header("authorization", "Bearer ")),
        key("header", KeyPlace::Header("x-api-key", "")),
        key("query", KeyPlace::Query("apikey")),
    ]
}

/// A plugin and the credential form for a gateway.
pub struct Setup {
    pub plugin: Plugin,
    pub gateway: Gateway,
    pub form: Map<String, Value>,
}

impl Setup {
    pub async fn of(method: &Method) -> Self {
        let declaration = super::forms::declaration("ai-gateway");
        let plugin = Plugin::of(vec![(declaration, Vec::new(), Arc::new(AiGateway::default()))]);
        let gateway = Gateway::start(method.protection.clone()).await;
        let mut form: Map<String, Value> =
            method.form.iter().map(|(name, value)| ((*name).to_owned(), json!(value))).collect();
        form.insert("endpoint_url".to_owned(), json!(format!("{}/base/v1?b=2&a=%E4%B8%AD", gateway.url)));
        form.insert("max_retries".to_owned(), json!("1"));
        Self { plugin, gateway, form }
    }

    pub fn with(mut self, fields: &[(&str, &str)]) -> Self {
        self.form.extend(fields.iter().map(|(name, value)| ((*name).to_owned(), json!(value))));
        self
    }

    pub async fn call(&self, action: &str, fields: Value) -> Outcome {
        let mut data =
            json!({"action": action, "provider": "ai-gateway", "model": "qwen-max", "credentials": self.form});
        data.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        self.plugin.call(data).await
    }

    pub async fn ask(&self, stream: bool, more: Value) -> Outcome {
        let mut fields = json!({"model_parameters": {}, "stop": [], "stream": stream,
            "prompt_messages": [{"role": "user", "content": "Hi"}]});
        fields.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        self.call("invoke_llm", fields).await
    }

    pub async fn use_model(&self, model_type: &str, stream: bool) -> Outcome {
        match model_type {
            "llm" => self.ask(stream, json!({})).await,
            "text-embedding" => {
                self.call("invoke_text_embedding", json!({"texts": ["one", "three"], "input_type": "document"})).await
            }
            "rerank" => {
                self.call(
                    "invoke_rerank",
                    json!({"query": "q", "docs": ["one", "three"], "score_threshold": 0, "top_n": 0}),
                )
                .await
            }
            "tts" => {
                self.call("invoke_tts", json!({"content_text": "Say this.", "voice": "alloy", "tenant_id": "t"})).await
            }
            _ => self.call("invoke_speech2text", json!({"file": hex::encode(wav(64))})).await,
        }
    }

    pub async fn validate(&self, model_type: &str) -> Outcome {
        self.call("validate_model_credentials", json!({"model_type": model_type})).await
    }
}

pub fn wav(samples: usize) -> Vec<u8> {
    [b"RIFF\0\0\0\0WAVEfmt ".as_slice(), &vec![0; samples]].concat()
}
