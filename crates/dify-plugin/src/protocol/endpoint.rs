//! An HTTP request that the daemon received for an endpoint, and the items of its response.
//!
//! Source: `dify-plugin-daemon: pkg/entities/requests/endpoint.go`, `pkg/entities/endpoint_entities/endpoint.go`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::credentials::Credentials;
use super::invocation::actions;
use super::lenient::{hex_bytes, null_default};

/// The daemon passes on this many bytes of a request's body and drops the rest silently.
pub const MAX_REQUEST_BODY_BYTES: usize = 10 * 1024 * 1024;

/// `invoke_endpoint`.
#[derive(Clone, Debug, Deserialize)]
#[non_exhaustive]
pub struct InvokeEndpointRequest {
    /// An HTTP/1.1 request as it is on a connection; hexadecimal on the wire, bytes here.
    #[serde(deserialize_with = "hex_bytes")]
    pub raw_http_request: Vec<u8>,
    /// What the user filled in, decrypted.
    #[serde(default, deserialize_with = "null_default")]
    pub settings: Credentials,
}

/// Every action of an endpoint.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum EndpointRequest {
    /// `invoke_endpoint`
    Invoke(InvokeEndpointRequest),
}

actions! { EndpointRequest: "invoke_endpoint" => Invoke }

impl EndpointRequest {
    /// The fields, of which there is one kind only.
    pub fn invocation(&self) -> &InvokeEndpointRequest {
        let Self::Invoke(request) = self;
        request
    }
}

/// One item of a response. Status and headers count until the first item with a `result`; without a status the client
/// would get 100.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct EndpointItem {
    /// Status code.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// Headers, one value each.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub headers: Option<BTreeMap<String, String>>,
    /// Bytes of the body, hexadecimal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub result: Option<String>,
}

impl EndpointItem {
    /// Bytes of the body alone.
    pub fn body(bytes: &[u8]) -> Self {
        Self { result: Some(hex::encode(bytes)), ..Self::default() }
    }
}
