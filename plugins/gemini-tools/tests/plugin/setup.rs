//! The plugin in a host that plays Dify, calls with a key of the mock, and files as Dify offers them.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, State};
use axum::http::header::CONTENT_TYPE;
use axum::routing::get;
use dify_plugin::bytes::Bytes;
use dify_plugin::config::machine::MachineAccess;
use dify_plugin::serde_json::{Value, json};
use dify_plugin::testing::{Host, Invocation, Outputs};

use crate::google::{API_KEY, EMAIL, Google};

pub fn host() -> Host {
    host_with(MachineAccess::default())
}

pub fn host_with(machine: MachineAccess) -> Host {
    Host::load(env!("CARGO_MANIFEST_DIR"), gemini_tools::with_access(machine)).unwrap()
}

/// A call of a tool with the key of the mock.
pub fn tool<'a>(host: &'a Host, google: &Google, name: &str, parameters: Value) -> Invocation<'a, Outputs> {
    host.tool(name).parameters(parameters).credentials(key(google))
}

pub fn key(google: &Google) -> Value {
    json!({"google_base_url": google.url, "google_api_key": API_KEY, "max_retries": "0"})
}

/// Credentials of a service account whose project uses Vertex AI.
pub fn vertex(google: &Google) -> Value {
    json!({"google_base_url": google.url, "auth_method": "service_account", "max_retries": "0",
        "google_service_account_json": key_file(google).to_string()})
}

/// A service account key that the mock accepts.
pub fn key_file(google: &Google) -> Value {
    let vectors: Value = serde_json::from_str(include_str!("../../../../tests/data/aigateway/jwt.json")).unwrap();
    json!({"type": "service_account", "project_id": "my-project", "private_key_id": "key-1",
        "private_key": vectors["keys"]["rsa_private_pem_pkcs8"], "client_email": EMAIL, "client_id": "1",
        "token_uri": format!("{}/token", google.url)})
}

/// A server of Dify's files: by name, media type and bytes.
pub struct Files(String);

impl Files {
    pub async fn start(files: Vec<(&'static str, &'static str, Vec<u8>)>) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let files: Vec<_> = files.into_iter().map(|(name, kind, bytes)| (name, kind, Bytes::from(bytes))).collect();
        let router = Router::new().route("/{name}", get(file)).with_state(Arc::new(files));
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self(url)
    }

    /// A file as Dify describes it to a tool.
    pub fn file(&self, name: &str, kind: &str, mime_type: &str) -> Value {
        let extension = name.rsplit_once('.').map_or("", |(_, extension)| extension);
        json!({"dify_model_identity": "__dify__file__", "url": format!("{}/{name}?sign=x", self.0), "type": kind,
            "mime_type": mime_type, "filename": name, "extension": format!(".{extension}"), "size": null})
    }
}

type Known = Arc<Vec<(&'static str, &'static str, Bytes)>>;

async fn file(
    State(files): State<Known>,
    Path(name): Path<String>,
) -> ([(axum::http::HeaderName, &'static str); 1], Bytes) {
    let (_, kind, bytes) = files.iter().find(|(known, ..)| *known == name).expect("a known file");
    ([(CONTENT_TYPE, *kind)], bytes.clone())
}
