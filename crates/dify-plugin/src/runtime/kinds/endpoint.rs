//! Endpoints: the HTTP request to the author's code, and its response or error as a response.

use http::{HeaderMap, HeaderValue, Method, Response, StatusCode, header};
use tracing::warn;

use super::endpoint_body::{self, Head};
use super::{Session, http_request, not_served};
use crate::plugin::{Body, PluginError};
use crate::protocol::endpoint::{EndpointRequest, MAX_REQUEST_BODY_BYTES};
use crate::runtime::dispatch::Stop;

pub(super) async fn run(session: &mut Session<'_>, request: EndpointRequest) -> Result<(), Stop> {
    let EndpointRequest::Invoke(request) = request;
    let endpoint = session.plugin.endpoints().cloned().ok_or_else(|| not_served("endpoints"))?;
    let mut call = session.call("");
    call.settings = request.settings;
    let (method, response) = match http_request(request.raw_http_request) {
        Err(error) => (Method::GET, Err(error)),
        // The daemon passes on this many bytes and drops the rest without notice.
        Ok(http) if http.body().len() >= MAX_REQUEST_BODY_BYTES => {
            let error = PluginError::bad_request("the body is too large (limit 10 MiB)").with_status(413);
            (http.method().clone(), Err(error))
        }
        Ok(http) => {
            let method = http.method().clone();
            (method, endpoint.handle(call, http).await)
        }
    };
    let response = response.unwrap_or_else(|error| endpoint.error_response(error));
    if let Some(error) = write(session, &method, response).await? {
        write(session, &method, endpoint.error_response(error)).await?;
    }
    Ok(())
}

/// Writes a response, unless its body fails before the first part.
async fn write(
    session: &mut Session<'_>,
    method: &Method,
    response: Response<Body>,
) -> Result<Option<PluginError>, Stop> {
    let (parts, body) = response.into_parts();
    let has_body = method != Method::HEAD
        && !parts.status.is_informational()
        && ![StatusCode::NO_CONTENT, StatusCode::NOT_MODIFIED].contains(&parts.status);
    let head = Head { status: parts.status.as_u16(), headers: headers(&parts.headers), has_body };
    endpoint_body::write(session, head, body).await
}

/// One value per name: that is all that the daemon takes.
fn headers(headers: &HeaderMap) -> Vec<(String, String)> {
    let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    let is_kept = |name: &&header::HeaderName| **name != header::TRANSFER_ENCODING && **name != header::CONNECTION;
    headers
        .keys()
        .filter(is_kept)
        .map(|name| {
            let values: Vec<String> = headers.get_all(name).iter().map(text).collect();
            if *name == header::SET_COOKIE && values.len() > 1 {
                warn!("the daemon takes one cookie; the others are dropped");
                return (name.to_string(), values.into_iter().next().unwrap_or_default());
            }
            (name.to_string(), values.join(", "))
        })
        .collect()
}
