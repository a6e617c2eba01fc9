//! A tool and endpoints.

use std::time::Duration;

use bytes::Bytes;
use dify_plugin::declare::permission::Permission;
use dify_plugin::plugin::{Body, Call, Choice, Endpoint, Messages, Plugin, PluginError, Tool, ToolProvider, Tools};
use futures_util::StreamExt;
use http::{HeaderValue, Request, Response, StatusCode};
use serde_json::{Map, Value, json};

use super::oauth::Authorization;
use super::{calls, script};

/// Most events of a stream, and milliseconds between two.
const MAX_EVENTS: u64 = 1000;

/// Every permission that the script of a tool can use.
pub const PERMISSIONS: &[Permission] = &[
    Permission::Tool,
    Permission::Llm,
    Permission::TextEmbedding,
    Permission::Rerank,
    Permission::Tts,
    Permission::Speech2text,
    Permission::Moderation,
    Permission::Node,
    Permission::App,
    Permission::Storage,
];

pub fn plugin() -> Plugin {
    let plugin = Plugin::new().tool_provider(Provider).endpoint(Hook).oauth(Authorization).needs(Permission::Endpoint);
    PERMISSIONS.iter().fold(plugin, |plugin, permission| plugin.needs(*permission))
}

struct Provider;

impl ToolProvider for Provider {
    const NAME: &'static str = "conformance_tools";

    fn tools(&self) -> Tools {
        Tools::new().tool(Script)
    }

    async fn validate(&self, call: Call) -> Result<(), PluginError> {
        validate(&call)
    }
}

/// Accepts one key.
pub fn validate(call: &Call) -> Result<(), PluginError> {
    match call.credentials.get("api_key") {
        Some("good-key") => Ok(()),
        _ => Err(PluginError::credentials("the service rejects the key")),
    }
}

struct Script;

impl Tool for Script {
    const NAME: &'static str = "script";
    type Parameters = Map<String, Value>;

    async fn invoke(&self, call: Call, parameters: Map<String, Value>, out: &mut Messages) -> Result<(), PluginError> {
        for step in script::steps(&parameters) {
            script::take(step, &call, out).await?;
        }
        Ok(())
    }

    async fn options(&self, _: Call, parameter: &str) -> Result<Vec<Choice>, PluginError> {
        Ok(vec![Choice::new("riga", "Riga").with_icon("https://example.com/riga.png"), Choice::new(parameter, "Other")])
    }

    async fn runtime_parameters(&self, _: Call) -> Result<Vec<Value>, PluginError> {
        let label = json!({"en_US": "Place"});
        Ok(vec![json!({"name": "place", "type": "string", "form": "llm", "label": label, "human_description": label})])
    }
}

struct Hook;

impl Endpoint for Hook {
    async fn handle(&self, call: Call, request: Request<Bytes>) -> Result<Response<Body>, PluginError> {
        match (request.method().as_str(), request.uri().path()) {
            ("POST", "/echo") => {
                let query = request.uri().query().unwrap_or_default();
                let header = request.headers().get("x-a").and_then(|value| value.to_str().ok()).unwrap_or_default();
                let token = call.settings.get("token").unwrap_or_default();
                let body = String::from_utf8_lossy(request.body());
                let text = format!("{} {query} {header} {token} {body}", request.method());
                let mut response = Response::new(Body::from(text));
                response.headers_mut().insert("x-b", HeaderValue::from_static("1"));
                Ok(response)
            }
            ("GET", "/stream") => {
                let parts = (0..3).map(|number| Ok(format!("data: {number}\n\n")));
                let mut response = Response::new(Body::stream(futures_util::stream::iter(parts)));
                response.headers_mut().insert("content-type", HeaderValue::from_static("text/event-stream"));
                Ok(response)
            }
            ("GET", "/events") => {
                let query = request.uri().query().unwrap_or_default();
                let number = |name: &str| {
                    let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
                    pairs
                        .filter(|(key, _)| *key == name)
                        .find_map(|(_, value)| value.parse::<u64>().ok())
                        .unwrap_or(1)
                        .min(MAX_EVENTS)
                };
                let pause = Duration::from_millis(number("pause"));
                let events = futures_util::stream::iter(0..number("count")).then(move |number| async move {
                    tokio::time::sleep(pause).await;
                    Ok(format!("data: {number}\n\n"))
                });
                let mut response = Response::new(Body::stream(events));
                response.headers_mut().insert("content-type", HeaderValue::from_static("text/event-stream"));
                Ok(response)
            }
            ("GET", "/empty") => {
                let mut response = Response::new(Body::empty());
                *response.status_mut() = StatusCode::NO_CONTENT;
                Ok(response)
            }
            ("GET", "/call") => {
                let name = request.uri().query().and_then(|query| query.strip_prefix("name=")).unwrap_or_default();
                let result = calls::make(name, &call.dify).await?;
                let mut response = Response::new(Body::from(result.to_string()));
                response.headers_mut().insert("content-type", HeaderValue::from_static("application/json"));
                Ok(response)
            }
            ("GET", "/binary") => Ok(Response::new(Body::from((0..=255).collect::<Vec<u8>>()))),
            ("GET", "/failure") => Err(PluginError::internal("it failed")),
            _ => Err(PluginError::not_found("no such path")),
        }
    }
}
