//! Sends a generation request and reads its complete response.

use serde_json::Value;
use url::Url;

use crate::connection::Connection;
use crate::extras::{Extras, Rejections};
use crate::wire::GenerateContentRequest;
use dify_plugin::codec::json;
use dify_plugin::error::InvokeError;
use dify_plugin::protocol::{Credentials, lenient};
use dify_plugin::upstream::status::excerpt;
use dify_plugin::upstream::{Upstream, UpstreamResponse};

/// API method of every request.
pub const GENERATE: &str = "generateContent";

/// Error code for responses that cannot be parsed.
pub const UNREADABLE: &str = "unreadable_answer";

/// A call of a model: everything that its requests have in common.
#[derive(Clone, Copy)]
pub struct Generation<'a> {
    /// The HTTP client.
    pub upstream: &'a Upstream,
    /// URLs and authentication.
    pub connection: &'a Connection,
    /// Fields that servers have rejected.
    pub rejections: &'a Rejections,
    /// Credentials of the form.
    pub credentials: &'a Credentials,
    /// Model ID.
    pub model: &'a str,
    /// Dify's app, for labels.
    pub app_id: Option<&'a str>,
}

impl Generation<'_> {
    /// Sends a request without the extra fields that the server rejects, and returns its JSON response of at most
    /// `limit` bytes.
    pub async fn send(&self, url: &Url, body: &mut GenerateContentRequest, limit: usize) -> Result<Value, InvokeError> {
        let Self { upstream, connection, rejections, credentials, model, app_id } = *self;
        let mut extras = Extras::of(rejections, connection, credentials, model, app_id);
        extras.put(body);
        let keep = |field| rejections.keep(credentials.fingerprint(), connection, model, field);
        let response = loop {
            match upstream.send(&connection.post(url.clone(), body)?).await {
                Err(error) if extras.remove_rejected(&error, body, keep) => {}
                response => break response?,
            }
        };
        read_json(response, limit).await
    }
}

/// Reads a complete JSON response. Anything else is an error that quotes its beginning.
pub async fn read_json(response: UpstreamResponse, limit: usize) -> Result<Value, InvokeError> {
    let (status, id, redactor) = (response.status.as_u16(), response.request_id(), response.redactor.clone());
    let body = response.bytes(limit).await?;
    json::read(&String::from_utf8_lossy(&body)).map_err(|error| {
        let reason = lenient::reason(&error);
        let text = format!("cannot parse the response ({reason}): {}", excerpt(&body));
        let mut failure = InvokeError::server_unavailable(text).with_status(status).with_code(UNREADABLE);
        failure.request_id = id;
        redactor.redact_error(failure)
    })
}
