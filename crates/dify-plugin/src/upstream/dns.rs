//! Resolves host names and sends requests to checked IP addresses: for file URLs in prompts, whose hosts are not
//! trusted.
//!
//! Both go through the recorder, so that a recording contains all network access of a session.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt, stream};
use http::{HeaderMap, Method, StatusCode};
use url::Url;

use super::Upstream;
use super::instance;
use super::recording::{Incoming, Outgoing};
use super::request::UpstreamRequest;
use super::response::UpstreamResponse;
use super::transport_error::forbidden_error;
use crate::error::InvokeError;

impl Upstream {
    /// Resolves a host name to its addresses.
    pub async fn lookup(&self, host: &str, port: u16) -> Result<Vec<SocketAddr>, InvokeError> {
        let resolving = async {
            match tokio::net::lookup_host((host, port)).await {
                Ok(found) => Ok(found.collect::<Vec<SocketAddr>>()),
                Err(error) => Err(InvokeError::connection(error.to_string())),
            }
        };
        let Some(traffic_store) = &self.traffic_store else { return resolving.await };
        let invalid = || InvokeError::connection(format!("`{host}` is not a valid host name"));
        let method = Method::from_bytes(b"LOOKUP").map_err(|_| invalid())?;
        let url = Url::parse(&format!("dns://{host}:{port}")).map_err(|_| invalid())?;
        let request = UpstreamRequest::new(method, url);
        let network = async {
            let lines: Vec<String> = resolving.await?.iter().map(SocketAddr::to_string).collect();
            let body = stream::iter([Ok(Bytes::from(lines.join("\n")))]).boxed();
            Ok(Incoming { status: StatusCode::OK, headers: HeaderMap::new(), body })
        };
        let response = traffic_store.exchange(self.outgoing(&request, &request.url, &request.headers), network).await?;
        let lines: Vec<Bytes> = response.body.try_collect().await?;
        String::from_utf8_lossy(&lines.concat()).lines().map(|line| line.parse().map_err(|_| invalid())).collect()
    }

    /// Sends one attempt, connected to one of these addresses whatever the host name resolves to by then. Returns a
    /// response of any status; adds no credential.
    pub async fn send_to(
        &self,
        request: &UpstreamRequest,
        addresses: &[SocketAddr],
    ) -> Result<UpstreamResponse, InvokeError> {
        let host = request.url.host_str().unwrap_or_default();
        instance::check_addresses(host, addresses).map_err(forbidden_error)?;
        let client = self.pool.pinned(&request.network, Duration::from_secs(10), host, addresses)?;
        let response = self.exchange(&client, request, &request.url, &request.headers, request.bytes()).await?;
        let Incoming { status, headers, body } = response;
        let (first, idle) = (request.timeouts.first(), request.timeouts.idle);
        let (redactor, share) = (self.redactor().clone(), self.budget.share());
        Ok(UpstreamResponse { status, headers, first, idle, body, redactor, share })
    }

    /// An attempt as the recorder sees it.
    pub(super) fn outgoing<'a>(
        &'a self,
        request: &'a UpstreamRequest,
        url: &'a Url,
        headers: &'a HeaderMap,
    ) -> Outgoing<'a> {
        Outgoing { request, url, headers, session_id: self.session_id.as_deref() }
    }
}
