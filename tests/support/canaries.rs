//! Secrets of every kind, the form that each is filled into, and the search for them in whatever was written.

use std::collections::HashMap;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};

use super::echoing::ACCESS_TOKEN;

/// Shortest part of a secret that counts as the secret.
const PART: usize = 16;

/// Where a secret may appear in a request, in addition to the header of a model call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// Nowhere else.
    Header,
    /// In the address of calls: that is what its administrator chose.
    Query,
    /// At the token endpoint, never at a model.
    TokenEndpoint,
    /// In no request: it signs.
    Nowhere,
    /// In the body, which names a file.
    Body,
}

/// A kind of secret.
pub struct Kind {
    pub name: &'static str,
    pub provider: &'static str,
    pub credentials: Value,
    pub secrets: Vec<String>,
    pub place: Place,
    /// The image of the prompt.
    pub image: Option<String>,
    /// Whether it is the machine's, and so goes to Google alone.
    pub of_machine: bool,
}

impl Kind {
    /// The credentials for an upstream below a path of its own, so that nothing remembered is used again.
    pub fn credentials(&self, url: &str, path: &str) -> Value {
        let text = self.credentials.to_string().replace("{url}", url).replace("{host}", &url[7..]);
        let mut credentials: Value = serde_json::from_str(&text).unwrap();
        if self.name.ends_with("in base64") {
            let file = &mut credentials["google_service_account_json"];
            *file = json!(STANDARD.encode(file.as_str().unwrap()));
        }
        let address = match self.provider {
            "google" => "google_base_url",
            "xinference" => "server_url",
            _ => "endpoint_url",
        };
        if credentials[address].is_null() && !self.of_machine {
            credentials[address] = json!(format!("{url}/{path}"));
        }
        for (name, value) in [("max_retries", "0"), ("model_uid", "m"), ("jwt_consumer_id", "c")] {
            if credentials[name].is_null() {
                credentials[name] = json!(value);
            }
        }
        // Each token is requested again.
        credentials["display_name"] = json!(path);
        credentials
    }

    /// Whether Google is asked for a token first: when that fails, no action does anything else.
    pub fn begins_with_a_token(&self) -> bool {
        let method = self.credentials["auth_method"].as_str().unwrap_or_default();
        matches!(method, "service_account" | "oauth_refresh_token" | "application_default")
    }

    /// Requests of several actions with these credentials.
    pub fn requests(&self, credentials: &Value) -> Vec<Value> {
        let content = match &self.image {
            Some(url) => json!([{"type": "image", "format": "png", "mime_type": "image/png", "url": url}]),
            None => json!("Hi"),
        };
        let (llm, embedding) = match self.provider {
            "google" => ("gemini-2.5-flash-lite", "gemini-embedding-001"),
            _ => ("m", "m"),
        };
        let asked = json!([{"role": "user", "content": content}]);
        let mut works = vec![
            json!({"action": "invoke_llm", "model": llm, "model_type": "llm", "prompt_messages": asked}),
            json!({"action": "invoke_llm", "model": llm, "model_type": "llm", "prompt_messages": asked, "stream": false}),
            json!({"action": "invoke_text_embedding", "model": embedding, "texts": ["a"], "input_type": "query"}),
            json!({"action": "validate_model_credentials", "model": llm, "model_type": "llm"}),
        ];
        let (tts, recording, voice) = match self.provider {
            "google" => ("gemini-3.8-flash-tts", "gemini-2.5-flash-lite", "Kore"),
            _ => ("m", "m", ""),
        };
        let audio = hex::encode([b"RIFF\0\0\0\0WAVEfmt ".as_slice(), &[0; 64]].concat());
        works.extend([
            json!({"action": "invoke_tts", "model": tts, "content_text": "Hi.", "voice": voice, "tenant_id": "t"}),
            json!({"action": "get_tts_model_voices", "model": tts, "language": ""}),
            json!({"action": "invoke_speech2text", "model": recording, "file": audio}),
            json!({"action": "invoke_multimodal_embedding", "model": embedding,
                "documents": [{"content": "a", "content_type": "text"}]}),
            json!({"action": "get_llm_num_tokens", "model": llm, "model_type": "llm", "prompt_messages": asked}),
            json!({"action": "get_ai_model_schemas", "model": "not-declared", "model_type": "llm"}),
        ]);
        match self.provider {
            "google" => {
                let agent =
                    json!({"provider": "gemini-agents", "model": "deep-research-preview-04-2026", "model_type": "llm"});
                works.push(json!({"action": "validate_provider_credentials"}));
                for more in [
                    json!({"action": "start_polling", "prompt_messages": asked}),
                    json!({"action": "check_polling", "plugin_state": {"interaction": "i-1"}}),
                ] {
                    let mut work = agent.clone();
                    work.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
                    works.push(work);
                }
            }
            _ => works.extend([
                json!({"action": "invoke_rerank", "model": "m", "query": "q", "docs": ["a", "b"]}),
                json!({"action": "invoke_moderation", "model": "m", "text": "a"}),
            ]),
        }
        for work in &mut works {
            if work["provider"].is_null() {
                work["provider"] = json!(self.provider);
            }
            work["credentials"] = credentials.clone();
        }
        works
    }
}

/// Keys in every form; those of the signatures' test vectors.
pub fn keys() -> Value {
    let vectors: Value = serde_json::from_str(include_str!("../data/aigateway/jwt.json")).unwrap();
    vectors["keys"].clone()
}

/// The body of a PEM text.
pub fn body_of(pem: &str) -> String {
    pem.lines().filter(|line| !line.starts_with('-')).collect()
}

pub const GOOGLE_KEY: &str = "AIzaCANARY-google-key-8d2f61c0b7";
pub const EXTRA_HEADER: &str = "CANARY-extra-header-51b7e09c";
pub const GATEWAY_KEY: &str = "sk-CANARY+gateway/key=3a9e17c4";
pub const CLIENT_SECRET: &str = "GOCSPX-CANARY-client-secret-c41";
pub const REFRESH_TOKEN: &str = "1//CANARY-refresh-token-77e0a1b2";
pub const SUBJECT_TOKEN: &str = "CANARY-subject-token.of~another-cloud";
pub const HMAC_SECRET: &str = "CANARY-hmac-secret-7f3c9b2e41";
pub const PROXY_PASSWORD: &str = "CANARY-proxy-password-90d3";
pub const XINFERENCE_KEY: &str = "sk-CANARY-xinference-key-66af02";
pub const PASSWORD: &str = "CANARY pass\"word\\ of a user-2b";
pub const SIGNATURE: &str = "CANARY-signature-of-a-file/1+2=3";

/// A service account's key file.
pub fn key_file() -> String {
    json!({"type": "service_account", "project_id": "my-project", "private_key_id": "key-1",
        "private_key": keys()["rsa_private_pem_pkcs8"], "client_email": "a@my-project.iam.gserviceaccount.com",
        "token_uri": "{url}/token"})
    .to_string()
}

/// Every kind; `subject` is a file that holds [`SUBJECT_TOKEN`]. `{url}` and `{host}` are those of the upstream.
pub fn kinds(subject: &std::path::Path) -> Vec<Kind> {
    let keys = keys();
    let text = |name: &str| keys[name].as_str().unwrap().to_owned();
    let kind = |name, provider, credentials, secrets: &[&str], place| Kind {
        name,
        provider,
        credentials,
        secrets: secrets.iter().map(|secret| (*secret).to_owned()).collect(),
        place,
        image: None,
        of_machine: false,
    };
    let of_machine = |kind: Kind| Kind { of_machine: true, ..kind };
    let gateway = |name, more: Value, secrets: &[&str], place| kind(name, "ai-gateway", more, secrets, place);
    let key_at = |place: &str| json!({"auth_method": "api_key", "api_key": GATEWAY_KEY, "api_key_location": place});
    let jwt = |key: &str, algorithm: &str| json!({"auth_method": "jwt", "jwt_jwks": key, "jwt_algorithm": algorithm});
    let pem = text("rsa_private_pem_pkcs8");
    let external = json!({"type": "external_account", "audience": "//iam.googleapis.com/projects/1/x",
        "credential_source": {"file": subject}, "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
        "token_url": "https://sts.googleapis.com/v1/token", "service_account_impersonation_url":
            "https://iamcredentials.googleapis.com/v1/projects/-/serviceAccounts/a@b:generateAccessToken"});
    let user_file = json!({"type": "authorized_user", "client_id": "client-1", "client_secret": CLIENT_SECRET,
        "refresh_token": REFRESH_TOKEN, "token_uri": "{url}/token"});
    let oct = URL_SAFE_NO_PAD.encode([0x5a; 64]);
    let secret_of = |name: &str| keys[name]["d"].as_str().unwrap().to_owned();
    let signed = format!("https://8.8.8.8/a.png?sign={SIGNATURE}");
    let proxied = |address: &str| {
        json!({"google_api_key": GOOGLE_KEY, "proxy_url": format!("http://user:{PROXY_PASSWORD}@{{host}}"),
            "google_base_url": address})
    };
    // By a proxy, so that nothing but this machine is ever asked.
    let image = |mut kind: Kind| {
        kind.credentials["proxy_url"] = json!("{url}");
        Kind { image: Some(signed.clone()), ..kind }
    };
    let headers = json!({"X-Team": EXTRA_HEADER}).to_string();
    vec![
        kind(
            "Gemini API key and extra headers",
            "google",
            json!({"google_api_key": GOOGLE_KEY, "extra_headers": headers}),
            &[GOOGLE_KEY, EXTRA_HEADER],
            Place::Header,
        ),
        kind(
            "Vertex express key",
            "google",
            json!({"auth_method": "vertex_express", "google_api_key": GOOGLE_KEY}),
            &[GOOGLE_KEY],
            Place::Header,
        ),
        kind(
            "service account",
            "google",
            json!({"auth_method": "service_account", "google_service_account_json": key_file()}),
            &[&body_of(&pem)],
            Place::Nowhere,
        ),
        kind(
            "service account in base64",
            "google",
            json!({"auth_method": "service_account", "google_service_account_json": key_file()}),
            &[&body_of(&pem)],
            Place::Nowhere,
        ),
        kind(
            "refresh token",
            "google",
            json!({"auth_method": "oauth_refresh_token", "google_oauth_client_id": "client-1",
                "google_oauth_client_secret": CLIENT_SECRET, "google_oauth_refresh_token": REFRESH_TOKEN,
                "google_token_uri": "{url}/token"}),
            &[CLIENT_SECRET, REFRESH_TOKEN],
            Place::TokenEndpoint,
        ),
        kind(
            "refresh token in a key file",
            "google",
            json!({"auth_method": "application_default", "google_service_account_json": user_file.to_string()}),
            &[CLIENT_SECRET, REFRESH_TOKEN],
            Place::TokenEndpoint,
        ),
        of_machine(kind(
            "federation token",
            "google",
            json!({"auth_method": "application_default", "google_service_account_json": external.to_string(),
                "google_project_id": "my-project"}),
            &[SUBJECT_TOKEN],
            Place::TokenEndpoint,
        )),
        of_machine(kind(
            "token of the metadata server",
            "google",
            json!({"auth_method": "application_default"}),
            &[ACCESS_TOKEN],
            Place::Header,
        )),
        kind("password of a proxy", "google", proxied("http://gemini.example"), &[PROXY_PASSWORD], Place::Nowhere),
        kind(
            "password of a proxy that tunnels",
            "google",
            proxied("https://gemini.example"),
            &[PROXY_PASSWORD],
            Place::Nowhere,
        ),
        gateway("gateway key as bearer", key_at("bearer"), &[GATEWAY_KEY], Place::Header),
        gateway("gateway key as header", key_at("header"), &[GATEWAY_KEY], Place::Header),
        gateway("gateway key as query", key_at("query"), &[GATEWAY_KEY], Place::Query),
        gateway(
            "gateway key in the endpoint's query",
            json!({"endpoint_url": format!("{{url}}/v1?key={}", utf8_percent_encode(GATEWAY_KEY, NON_ALPHANUMERIC))}),
            &[GATEWAY_KEY],
            Place::Query,
        ),
        gateway(
            "shared secret as JWK",
            jwt(&json!({"kty": "oct", "k": oct}).to_string(), "HS256"),
            &[&oct],
            Place::Nowhere,
        ),
        gateway("private key as PEM", jwt(&pem, "RS256"), &[&body_of(&pem)], Place::Nowhere),
        gateway(
            "private key as JWK",
            jwt(&keys["ec_p256_private_jwk"].to_string(), "ES256"),
            &[&secret_of("ec_p256_private_jwk")],
            Place::Nowhere,
        ),
        gateway(
            "key set",
            jwt(&json!({"keys": [keys["ed25519_private_jwk"]]}).to_string(), "EdDSA"),
            &[&secret_of("ed25519_private_jwk")],
            Place::Nowhere,
        ),
        gateway(
            "HMAC secret",
            json!({"auth_method": "hmac", "hmac_access_key": "ak-1", "hmac_secret_key": HMAC_SECRET}),
            &[HMAC_SECRET],
            Place::Nowhere,
        ),
        kind("Xinference key", "xinference", json!({"api_key": XINFERENCE_KEY}), &[XINFERENCE_KEY], Place::Header),
        kind(
            "Xinference password",
            "xinference",
            json!({"username": "user-1", "password": PASSWORD}),
            &[PASSWORD],
            Place::TokenEndpoint,
        ),
        image(kind(
            "signed address at Gemini",
            "google",
            json!({"google_api_key": GOOGLE_KEY}),
            &[SIGNATURE],
            Place::Body,
        )),
        image(gateway(
            "signed address at a gateway",
            json!({"api_key": GATEWAY_KEY, "vision_support": "support"}),
            &[SIGNATURE],
            Place::Body,
        )),
        image(kind(
            "signed address at Xinference",
            "xinference",
            json!({"api_key": XINFERENCE_KEY}),
            &[SIGNATURE],
            Place::Body,
        )),
    ]
}

/// A file that holds [`SUBJECT_TOKEN`], in a directory of its own.
pub fn subject() -> (tempfile::TempDir, std::path::PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("token");
    std::fs::write(&file, SUBJECT_TOKEN).unwrap();
    (directory, file)
}

/// How a secret may be written.
fn forms(secret: &str) -> Vec<String> {
    let mut forms = vec![
        secret.to_owned(),
        STANDARD.encode(secret),
        URL_SAFE_NO_PAD.encode(secret),
        utf8_percent_encode(secret, NON_ALPHANUMERIC).to_string(),
        url::form_urlencoded::byte_serialize(secret.as_bytes()).collect(),
        json!(secret).to_string().trim_matches('"').to_owned(),
        STANDARD.encode(format!("user:{secret}")),
    ];
    forms.sort();
    forms.dedup();
    forms
}

/// Parts of secrets in every form, to be looked for in texts of any length.
pub struct Search(HashMap<Vec<u8>, String>);

impl Search {
    pub fn of<'a>(secrets: impl IntoIterator<Item = &'a String>) -> Self {
        let mut parts = HashMap::new();
        for secret in secrets {
            for form in forms(secret) {
                assert!(form.len() >= PART, "`{secret}` is too short to be looked for");
                for start in (0..=form.len() - PART).step_by(PART / 2) {
                    parts.insert(form.as_bytes()[start..start + PART].to_vec(), secret.clone());
                }
            }
        }
        Self(parts)
    }

    /// Returns the first place of a text that contains a part of a secret, with its context.
    pub fn find(&self, text: &str) -> Option<String> {
        let text = text.as_bytes();
        let at = text.windows(PART).position(|window| self.0.contains_key(window))?;
        let near = String::from_utf8_lossy(&text[at.saturating_sub(160)..text.len().min(at + 80)]).into_owned();
        Some(format!("`{}`: … {near} …", self.0[&text[at..at + PART]]))
    }
}
