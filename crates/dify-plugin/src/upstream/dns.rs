//! Names → addresses and requests to checked addresses: for files that a prompt names, whose host nobody vouches for.
//!
//! Both go by the tape, so that a recording holds all that a session asked the network.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt, stream};
use http::{HeaderMap, Method, StatusCode};
use url::Url;

use super::Upstream;
use super::instance;
use super::pool::build;
use super::recording::{Incoming, Outgoing};
use super::request::UpstreamRequest;
use super::response::UpstreamResponse;
use super::transport_error::forbidden_error;
use crate::error::InvokeError;

impl Upstream {
    /// The addresses of a host.
    pub async fn lookup(&self, host: &str, port: u16) -> Result<Vec<SocketAddr>, InvokeError> {
        let asking = async {
            match tokio::net::lookup_host((host, port)).await {
                Ok(found) => Ok(found.collect::<Vec<SocketAddr>>()),
                Err(error) => Err(InvokeError::connection(error.to_string())),
            }
        };
        let Some(traffic_store) = &self.traffic_store else { return asking.await };
        let wrong = || InvokeError::connection(format!("`{host}` is not a host name"));
        let method = Method::from_bytes(b"LOOKUP").map_err(|_| wrong())?;
        let url = Url::parse(&format!("dns://{host}:{port}")).map_err(|_| wrong())?;
        let request = UpstreamRequest::new(method, url);
        let network = async {
            let lines: Vec<String> = asking.await?.iter().map(SocketAddr::to_string).collect();
            let body = stream::iter([Ok(Bytes::from(lines.join("\n")))]).boxed();
            Ok(Incoming { status: StatusCode::OK, headers: HeaderMap::new(), body })
        };
        let told = traffic_store.exchange(self.outgoing(&request, &request.url, &request.headers), network).await?;
        let told: Vec<Bytes> = told.body.try_collect().await?;
        String::from_utf8_lossy(&told.concat()).lines().map(|line| line.parse().map_err(|_| wrong())).collect()
    }

    /// One attempt, connected to one of these addresses whatever the host resolves to meanwhile. Gives the answer of any
    /// status; adds no credential.
    pub async fn send_to(
        &self,
        request: &UpstreamRequest,
        addresses: &[SocketAddr],
    ) -> Result<UpstreamResponse, InvokeError> {
        let host = request.url.host_str().unwrap_or_default();
        instance::check_addresses(host, addresses).map_err(forbidden_error)?;
        let client = build(&request.network, Duration::from_secs(10), Some((host, addresses)))?;
        let answer = self.exchange(&client, request, &request.url, &request.headers, request.bytes()).await?;
        let Incoming { status, headers, body } = answer;
        let (first, idle) = (request.timeouts.first(), request.timeouts.idle);
        let (redactor, share) = (self.redactor().clone(), self.budget.share());
        Ok(UpstreamResponse { status, headers, first, idle, body, redactor, share })
    }

    /// An attempt as the tape sees it.
    pub(super) fn outgoing<'a>(
        &'a self,
        request: &'a UpstreamRequest,
        url: &'a Url,
        headers: &'a HeaderMap,
    ) -> Outgoing<'a> {
        Outgoing { request, url, headers, session_id: self.session_id.as_deref() }
    }
}
