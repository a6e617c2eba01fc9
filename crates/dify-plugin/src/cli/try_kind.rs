//! `try` for tools and endpoints: calls a tool by its name, or sends an HTTP request to an endpoint. Other kinds are called
//! with `invoke`.

use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context, bail};
use serde_json::{Map, Value, json};

use super::credentials::split_pair;
use super::session_client;
use super::terminal::{print_json, print_part, say};
use crate::runtime::Registry;

/// Calls a tool and prints its messages: text as it is, other messages as JSON, one per line.
pub(super) async fn tool(
    registry: Arc<Registry>,
    name: &str,
    params: &[String],
    credentials: Map<String, Value>,
    raw: bool,
) -> anyhow::Result<ExitCode> {
    let provider = registry.declared().tool.as_ref().context("the manifest lists no tools")?;
    let tools: Vec<&str> = provider.tools.iter().map(|tool| tool.identity.name.as_str()).collect();
    if !tools.contains(&name) {
        bail!("unknown tool `{name}`; the provider lists {}", tools.join(", "));
    }
    let mut parameters = Map::new();
    for pair in params {
        let (name, value) = split_pair(pair)?;
        let value = serde_json::from_str(value).unwrap_or_else(|_| Value::from(value));
        parameters.insert(name.to_owned(), value);
    }
    let request = json!({
        "type": "tool",
        "action": "invoke_tool",
        "provider": provider.identity.name,
        "tool": name,
        "tool_parameters": parameters,
        "credentials": credentials,
        "credential_type": "api-key",
    });
    session_client::print(registry, session_client::object(request)?, raw, |item| {
        match item["message"]["text"].as_str().filter(|_| item["type"] == "text") {
            Some(text) => print_part(&format!("{text}\n")),
            None => print_json(item),
        }
    })
    .await
}

/// Sends an HTTP request (`METHOD PATH`) to the endpoints, and prints the body of the response. Status and headers go to
/// standard error.
pub(super) async fn endpoint(
    registry: Arc<Registry>,
    request: &str,
    body: &str,
    settings: Map<String, Value>,
    raw: bool,
) -> anyhow::Result<ExitCode> {
    if registry.declared().endpoint.is_none() {
        bail!("the manifest lists no endpoints");
    }
    let (method, path) = request
        .split_once(' ')
        .filter(|(method, path)| !method.is_empty() && path.starts_with('/') && !path.contains(char::is_whitespace))
        .with_context(|| format!("expected \"METHOD /path\", found `{request}`"))?;
    let length = body.len();
    let text = format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\n\r\n{body}");
    let request = json!({
        "type": "endpoint",
        "action": "invoke_endpoint",
        "raw_http_request": hex::encode(text),
        "settings": settings,
    });
    session_client::print(registry, session_client::object(request)?, raw, |item| {
        if let Some(status) = item["status"].as_u64() {
            say(&format!("HTTP {status}"));
        }
        for (name, value) in item["headers"].as_object().into_iter().flatten() {
            say(&format!("{name}: {}", value.as_str().unwrap_or_default()));
        }
        match item["result"].as_str().map(hex::decode) {
            Some(bytes) => print_part(&String::from_utf8_lossy(&bytes.context("the body is not valid hexadecimal")?)),
            None => Ok(()),
        }
    })
    .await
}
