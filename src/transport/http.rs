//! HTTP as Dify's serverless platform calls it: one request is one session, its lines are the response body.

use std::convert::Infallible;
use std::io::{self, Write};
use std::sync::Arc;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use tokio::net::TcpListener;

use super::outlet::{self, Outlet};

/// Batches that wait for one response's reader, and their bytes.
const QUEUE: (usize, u32) = (32, 1024 * 1024);

/// Longest request; above what the platform lets through.
const LONGEST_REQUEST: usize = 64 * 1024 * 1024;

/// Takes a request's body and the outlet of its response.
pub type OnRequest = Arc<dyn Fn(Vec<u8>, Outlet) + Send + Sync>;

/// Serves until the listener fails or `stop` is done.
pub async fn serve(
    listener: TcpListener,
    on_request: OnRequest,
    stop: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    announce(&listener)?;
    let routes = Router::new()
        .route("/invoke", post(invoke))
        .route("/health", get(|| async { "OK" }))
        .route("/", get(|| async { "OK" }))
        .with_state(on_request);
    axum::serve(listener, routes).with_graceful_shutdown(stop).await
}

/// The marketplace's install test waits for this line on standard output.
fn announce(listener: &TcpListener) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, " * Serving Flask app 'dify-plugin-runtime' on http://{}", listener.local_addr()?)?;
    out.flush()
}

async fn invoke(State(on_request): State<OnRequest>, request: Request) -> Response {
    let Ok(body) = to_bytes(request.into_body(), LONGEST_REQUEST).await else {
        return (StatusCode::PAYLOAD_TOO_LARGE, format!("a request has at most {LONGEST_REQUEST} bytes"))
            .into_response();
    };
    let (outlet, mut lines) = outlet::queue(QUEUE.0, QUEUE.1);
    on_request(body.into(), outlet);
    let body = async_stream::stream! {
        while let Some(batch) = lines.recv().await {
            yield Ok::<_, Infallible>(batch.lines);
        }
    };
    ([(header::CONTENT_TYPE, "text/event-stream")], Body::from_stream(body)).into_response()
}
