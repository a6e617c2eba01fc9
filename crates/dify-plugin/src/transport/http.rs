//! HTTP server for Dify's serverless platform: each request is a session, and its lines are the response body.
//!
//! Any client that reaches the port can connect, so what it may cost is limited (`http_server`), and so is the shutdown. This module
//! does not parse requests.

use std::convert::Infallible;
use std::io::{self, Write};
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::{Method, Request, Response, StatusCode, header};
use futures_util::future::BoxFuture;
use tokio::net::TcpListener;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tokio_util::task::task_tracker::TaskTrackerToken;

use super::http_server::{self, HttpLimits};
use super::line_queue::{self, LineReceiver, LineSender};
use super::stdio::Output;
use super::token::Token;

/// Maximum number of batches that are queued for the reader of a response, and their maximum total size in bytes.
const QUEUE: (usize, u32) = (32, 1024 * 1024);

/// Timeout for closing the connections after all responses.
const CLOSE_TIMEOUT: Duration = Duration::from_millis(500);

/// Header with the session ID.
const SESSION_HEADER: &str = "dify-plugin-session-id";

/// Handles a request.
pub type OnRequest = Arc<dyn Fn(Call) -> BoxFuture<'static, HttpResponse> + Send + Sync>;

/// Options of the server.
pub struct HttpOptions {
    /// Secret that requests must contain.
    pub token: Option<Token>,
    /// How long open requests may continue after the server is stopped.
    pub grace: Duration,
    /// Output for the line that reports that the port is open.
    pub output: Output,
}

/// A request whose body has not been read.
pub struct Call {
    /// Session ID from the header; empty if there is none.
    pub session_id: String,
    body: Body,
}

/// Response to a request.
#[non_exhaustive]
pub enum HttpResponse {
    /// Streams the lines of a session. The second value is dropped once they are sent, or the client is gone.
    Lines(LineReceiver, Box<dyn Send>),
    /// Rejects the request without a session.
    Rejected(StatusCode, String),
}

/// Creates the queue for the lines of a response.
pub fn lines() -> (LineSender, LineReceiver) {
    line_queue::queue(QUEUE.0, QUEUE.1)
}

impl Call {
    /// Reads the body.
    pub async fn body(self) -> Result<Vec<u8>, HttpResponse> {
        let read = http_server::read_body(self.body, HttpLimits::default()).await;
        read.map_err(|(status, reason)| HttpResponse::Rejected(status, reason))
    }
}

/// Serves until `stop` is cancelled, and then until all open requests are complete. If that takes longer than the grace
/// period, calls `over`, so that the remaining sessions can be ended with an error.
pub async fn serve(
    listener: TcpListener,
    on_request: OnRequest,
    options: HttpOptions,
    stop: CancellationToken,
    over: impl FnOnce(),
) -> io::Result<()> {
    announce(&listener, options.output)?;
    let open = TaskTracker::new();
    let server = Arc::new(Server { on_request, token: options.token, open: open.clone() });
    let respond = move |request| {
        let server = server.clone();
        async move { server.respond(request).await }
    };
    let mut connections = http_server::serve(listener, HttpLimits::default(), stop, respond).await;
    open.close();
    let deadline = Instant::now() + options.grace;
    if timeout_at(deadline, open.wait()).await.is_err() {
        over();
    }
    // Written responses are sent. Clients that have not sent their request, or do not read, are not waited for.
    let closed = async { while connections.join_next().await.is_some() {} };
    let _ = timeout(CLOSE_TIMEOUT, closed).await;
    Ok(())
}

struct Server {
    on_request: OnRequest,
    token: Option<Token>,
    /// Requests without a complete response.
    open: TaskTracker,
}

impl Server {
    async fn respond(&self, request: Request<hyper::body::Incoming>) -> Response<Body> {
        match (request.method(), request.uri().path()) {
            (&Method::GET | &Method::HEAD, "/health" | "/") => Response::new(Body::from("OK")),
            (&Method::POST, "/invoke") => {
                let open = self.open.token();
                match self.invoke(request).await {
                    HttpResponse::Lines(queue, client) => streamed(queue, (open, client)),
                    HttpResponse::Rejected(status, text) => plain(status, text),
                }
            }
            (_, "/invoke" | "/health" | "/") => plain(StatusCode::METHOD_NOT_ALLOWED, String::new()),
            _ => plain(StatusCode::NOT_FOUND, String::new()),
        }
    }

    async fn invoke(&self, request: Request<hyper::body::Incoming>) -> HttpResponse {
        let header_text =
            |name| request.headers().get(name).and_then(|value: &header::HeaderValue| value.to_str().ok());
        if self.token.as_ref().is_some_and(|token| !token.is_in(header_text(header::AUTHORIZATION).unwrap_or_default()))
        {
            return HttpResponse::Rejected(
                StatusCode::UNAUTHORIZED,
                "this plugin requires a password in its URL (DIFY_PLUGIN_SERVERLESS_SECRET)".to_owned(),
            );
        }
        // Cross-origin requests that browsers send without a preflight have other content types.
        let content_type =
            header_text(header::CONTENT_TYPE).unwrap_or_default().split(';').next().unwrap_or_default().trim();
        if !content_type.eq_ignore_ascii_case("application/json") {
            return HttpResponse::Rejected(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "the content type must be application/json".to_owned(),
            );
        }
        let session_id =
            request.headers().get(SESSION_HEADER).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let session_id = session_id.to_owned();
        (self.on_request)(Call { session_id, body: Body::new(request.into_body()) }).await
    }
}

fn streamed(mut queue: LineReceiver, open: (TaskTrackerToken, Box<dyn Send>)) -> Response<Body> {
    let lines = async_stream::stream! {
        while let Some(batch) = queue.recv().await {
            yield Ok::<_, Infallible>(batch.lines);
        }
        drop(open);
    };
    let mut response = Response::new(Body::from_stream(lines));
    response.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static("text/event-stream"));
    response
}

fn plain(status: StatusCode, text: String) -> Response<Body> {
    let mut response = Response::new(Body::from(text));
    *response.status_mut() = status;
    response
}

/// The marketplace's install test waits for this line on standard output.
fn announce(listener: &TcpListener, mut output: Output) -> io::Result<()> {
    writeln!(output.0, " * Serving Flask app 'dify-plugin' on http://{}", listener.local_addr()?)?;
    output.0.flush()
}
