//! The connections of an HTTP server that any process can reach: how many there may be, how long a client may take for a request,
//! and how long it may leave a response unread. This module does not know what is served.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::{Request, Response, StatusCode};
use futures_util::StreamExt;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::tcp;

/// Delay after a connection that could not be accepted.
const ACCEPT_RETRY_DELAY: Duration = Duration::from_millis(100);

/// What a client may cost.
#[derive(Clone, Copy, Debug)]
pub struct HttpLimits {
    /// Timeout for the headers of a request, including the next one on a keep-alive connection. The connection is closed.
    pub header: Duration,
    /// Timeout for the body of a request. It is rejected.
    pub body: Duration,
    /// Maximum size of a request body in bytes. A larger request is rejected.
    pub body_bytes: usize,
    /// How long a client may leave a response unread before its connection counts as lost.
    pub unread: Duration,
    /// Maximum number of concurrent connections. Further ones wait until one is closed. It is lower if the process may open few
    /// files, which upstream requests need too.
    pub connections: usize,
}

impl Default for HttpLimits {
    fn default() -> Self {
        Self {
            header: Duration::from_secs(10),
            body: Duration::from_secs(30),
            // Above the limit of Dify's serverless platform.
            body_bytes: 64 * 1024 * 1024,
            unread: Duration::from_secs(600),
            connections: 1024,
        }
    }
}

/// Serves connections until `stop` is cancelled. Returns those that are still open; dropping them closes them.
pub async fn serve<F, R>(listener: TcpListener, limits: HttpLimits, stop: CancellationToken, respond: F) -> JoinSet<()>
where
    F: Fn(Request<hyper::body::Incoming>) -> R + Clone + Send + Sync + 'static,
    R: Future<Output = Response<Body>> + Send + 'static,
{
    let places = Arc::new(Semaphore::new(max_connections(limits.connections)));
    let mut connections = JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        let accepted = tokio::select! {
            () = stop.cancelled() => return connections,
            accepted = async {
                let Ok(place) = places.clone().acquire_owned().await else { std::future::pending().await };
                listener.accept().await.map(|(stream, _)| (stream, place))
            } => accepted,
        };
        match accepted {
            Ok((stream, place)) => {
                let serving = connection(stream, limits, stop.clone(), respond.clone());
                connections.spawn(async move {
                    serving.await;
                    drop(place);
                });
            }
            Err(error) => {
                warn!(%error, "cannot accept a connection");
                tokio::time::sleep(ACCEPT_RETRY_DELAY).await;
            }
        }
    }
}

async fn connection<F, R>(stream: TcpStream, limits: HttpLimits, stop: CancellationToken, respond: F)
where
    F: Fn(Request<hyper::body::Incoming>) -> R,
    R: Future<Output = Response<Body>>,
{
    // A failure to set the option must not fail the request.
    let _ = tcp::detect_loss(&stream, limits.unread);
    let service = service_fn(|request| {
        let response = respond(request);
        async move { Ok::<_, Infallible>(response.await) }
    });
    let serving = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.header)
        .serve_connection(TokioIo::new(stream), service);
    tokio::pin!(serving);
    let mut stopped = false;
    loop {
        tokio::select! {
            // Errors of the client's connection are ignored.
            _ = &mut serving => return,
            () = stop.cancelled(), if !stopped => {
                stopped = true;
                serving.as_mut().graceful_shutdown();
            }
        }
    }
}

/// Reads the body of a request. Returns the status and the reason of its rejection, if it is late, too long or broken.
pub async fn read_body(body: Body, limits: HttpLimits) -> Result<Vec<u8>, (StatusCode, String)> {
    let reading = async {
        let (mut bytes, mut chunks) = (Vec::new(), body.into_data_stream());
        while let Some(chunk) = chunks.next().await {
            let broken = |error| (StatusCode::BAD_REQUEST, format!("cannot read the request body: {error}"));
            let chunk = chunk.map_err(broken)?;
            if bytes.len() + chunk.len() > limits.body_bytes {
                let message = format!("the request is larger than {} bytes", limits.body_bytes);
                return Err((StatusCode::PAYLOAD_TOO_LARGE, message));
            }
            bytes.extend_from_slice(&chunk);
        }
        Ok(bytes)
    };
    timeout(limits.body, reading).await.unwrap_or_else(|_| {
        let message = format!("the request body did not arrive within {} s", limits.body.as_secs_f64());
        Err((StatusCode::REQUEST_TIMEOUT, message))
    })
}

/// Returns half of the number of files that the process may open, at most `most`.
fn max_connections(most: usize) -> usize {
    let limits = std::fs::read_to_string("/proc/self/limits").unwrap_or_default();
    let files =
        limits.lines().find_map(|line| line.strip_prefix("Max open files")?.split_whitespace().next()?.parse().ok());
    files.map_or(most, |files: usize| (files / 2).clamp(1, most))
}
