//! Steps of a tool or an agent strategy, as the request lists them: each sends one message or makes one call back into Dify.

use dify_plugin::plugin::{BlobMeta, Call, Message, Messages, PluginError};
use serde_json::{Map, Value, json};

use super::calls;

/// Bytes of the largest file.
const MAX_FILE_BYTES: u64 = 32 * 1024 * 1024;

/// The steps in a call's parameters.
pub fn steps(parameters: &Map<String, Value>) -> &[Value] {
    parameters.get("steps").and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// A string member of a step; empty if it is absent.
pub fn text<'a>(step: &'a Value, name: &str) -> &'a str {
    step[name].as_str().unwrap_or_default()
}

/// Takes one step.
pub async fn take(step: &Value, call: &Call, out: &mut Messages) -> Result<(), PluginError> {
    match text(step, "do") {
        "text" => out.text(text(step, "text")).await,
        "link" => out.link(text(step, "url")).await,
        "image" => out.image_url(text(step, "url")).await,
        "json" => out.json(&step["value"]).await,
        "variable" => out.variable(text(step, "name"), &step["value"]).await,
        "stream" => {
            let mut variable = out.stream_variable(text(step, "name"))?;
            for part in step["parts"].as_array().into_iter().flatten() {
                variable.write(part.as_str().unwrap_or_default()).await?;
            }
            Ok(())
        }
        "blob" => {
            let bytes = pattern(step["bytes"].as_u64().unwrap_or_default());
            let meta = BlobMeta::new(text(step, "mime_type")).with_filename(text(step, "filename"));
            out.blob(bytes, meta).await
        }
        "forward" => {
            let message: Message = serde_json::from_value(step["message"].clone())
                .map_err(|error| PluginError::bad_request(error.to_string()))?;
            out.forward(message).await
        }
        "call" => {
            let name = text(step, "name");
            let result = calls::make(name, &call.dify).await?;
            out.json(json!({ "call": name, "result": result })).await
        }
        "upload" => {
            let file = call.dify.files().upload("a.pdf", "application/pdf", &b"%PDF"[..]).await?;
            out.json(json!({"id": file.id, "name": file.name, "type": file.file_type()})).await
        }
        "origin" => out.json(origin(call)).await,
        "fail" => Err(failure(text(step, "kind"), text(step, "message"))),
        other => Err(PluginError::bad_request(format!("unknown step `{other}`"))),
    }
}

/// Bytes of a file; the same in the Python plugins.
pub fn pattern(length: u64) -> Vec<u8> {
    (0..length.min(MAX_FILE_BYTES)).map(|number| (number % 251) as u8).collect()
}

/// What a hook gets about its call.
fn origin(call: &Call) -> Value {
    json!({
        "user_id": call.user_id.as_deref(), "app_id": call.app_id.as_deref(),
        "conversation_id": call.conversation_id.as_deref(), "message_id": call.message_id.as_deref(),
        "tool_credential": call.tool_credential("acme/time/time"), "api_key": call.credentials.get("api_key"),
    })
}

/// An error of this kind.
pub fn failure(kind: &str, message: &str) -> PluginError {
    let message = if message.trim().is_empty() { "failed" } else { message };
    match kind {
        "credentials" => PluginError::credentials(message),
        "not_found" => PluginError::not_found(message),
        "authorization" => PluginError::authorization(message),
        "rate_limit" => PluginError::rate_limit(message),
        "upstream" => PluginError::upstream(message),
        "internal" => PluginError::internal(message),
        _ => PluginError::bad_request(message),
    }
}
