//! HTTP as Dify's serverless platform calls it: one request is one session, its lines are the response body.
//!
//! Whoever reaches the port may connect, so every step has its limit: connections, heads, bodies, and the end of all.
//! What a request says is not known here.

use std::convert::Infallible;
use std::io::{self, Write};
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::{Method, Request, Response, StatusCode, header};
use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tokio_util::task::task_tracker::TaskTrackerToken;
use tracing::warn;

use super::line_queue::{self, LineReceiver, LineSender};
use super::tcp;
use super::token::Token;

/// Batches that wait for one response's reader, and their bytes.
const QUEUE: (usize, u32) = (32, 1024 * 1024);

/// Longest request; above what the platform lets through.
const MAX_REQUEST_BYTES: usize = 64 * 1024 * 1024;

/// Longest wait for a request's head, also for the next one on a connection that is kept.
const HEAD: Duration = Duration::from_secs(10);

/// Longest time for a request's body.
const BODY: Duration = Duration::from_secs(30);

/// How long a caller may leave an answer unread before it counts as lost.
const UNREAD: Duration = Duration::from_secs(600);

/// Most connections at once; fewer where the process may open few files, which upstream calls need too.
const MAX_CONNECTIONS: usize = 1024;

/// Wait after a connection that could not be accepted.
const ACCEPT_RETRY_DELAY: Duration = Duration::from_millis(100);

/// How long connections may take to close once all is said.
const CLOSE: Duration = Duration::from_millis(500);

/// Header that names the session before the body does.
const SESSION: &str = "dify-plugin-session-id";

/// Answers a request.
pub type OnRequest = Arc<dyn Fn(Call) -> BoxFuture<'static, HttpResponse> + Send + Sync>;

/// How the port is opened.
#[derive(Clone)]
pub struct HttpOptions {
    /// What a caller must know.
    pub token: Option<Token>,
    /// How long open requests may go on when the server is stopped.
    pub grace: Duration,
}

/// A request whose body is not read yet.
pub struct Call {
    /// The session, where the caller named it.
    pub session_id: String,
    body: Body,
}

/// What a request is answered with.
pub enum HttpResponse {
    /// Lines, as they come.
    Lines(LineReceiver),
    /// No session.
    Refused(StatusCode, String),
}

/// A way for the lines of one answer.
pub fn lines() -> (LineSender, LineReceiver) {
    line_queue::queue(QUEUE.0, QUEUE.1)
}

impl Call {
    /// Reads the body.
    pub async fn body(self) -> Result<Vec<u8>, HttpResponse> {
        timeout(BODY, read_body(self.body)).await.unwrap_or_else(|_| {
            Err(HttpResponse::Refused(
                StatusCode::REQUEST_TIMEOUT,
                format!("the request's body did not come within {} s", BODY.as_secs()),
            ))
        })
    }
}

async fn read_body(body: Body) -> Result<Vec<u8>, HttpResponse> {
    let mut bytes = Vec::new();
    let mut pieces = body.into_data_stream();
    while let Some(piece) = pieces.next().await {
        let piece = piece
            .map_err(|error| HttpResponse::Refused(StatusCode::BAD_REQUEST, format!("the body breaks off: {error}")))?;
        if bytes.len() + piece.len() > MAX_REQUEST_BYTES {
            return Err(HttpResponse::Refused(
                StatusCode::PAYLOAD_TOO_LARGE,
                format!("a request has at most {MAX_REQUEST_BYTES} bytes"),
            ));
        }
        bytes.extend_from_slice(&piece);
    }
    Ok(bytes)
}

/// Serves until `stop` says so, and then until open requests are answered or the grace is over: `over` is called when it
/// is, so that what is left can be ended in words.
pub async fn serve(
    listener: TcpListener,
    on_request: OnRequest,
    options: HttpOptions,
    stop: CancellationToken,
    over: impl FnOnce(),
) -> io::Result<()> {
    announce(&listener)?;
    let open = TaskTracker::new();
    let server = Arc::new(Server { on_request, token: options.token, open: open.clone() });
    let places = Arc::new(Semaphore::new(max_connections()));
    let mut connections = JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        let accepted = tokio::select! {
            () = stop.cancelled() => break,
            accepted = async {
                let Ok(place) = places.clone().acquire_owned().await else { std::future::pending().await };
                listener.accept().await.map(|(stream, _)| (stream, place))
            } => accepted,
        };
        match accepted {
            Ok((stream, place)) => {
                let serving = connection(stream, server.clone(), stop.clone());
                connections.spawn(async move {
                    serving.await;
                    drop(place);
                });
            }
            Err(error) => {
                warn!(%error, "a connection cannot be accepted");
                tokio::time::sleep(ACCEPT_RETRY_DELAY).await;
            }
        }
    }
    drop(listener);
    open.close();
    let deadline = Instant::now() + options.grace;
    if timeout_at(deadline, open.wait()).await.is_err() {
        over();
    }
    // What has been said is sent; a caller that has not finished its request or does not read is not waited for.
    let closed = async { while connections.join_next().await.is_some() {} };
    let _ = timeout(CLOSE, closed).await;
    Ok(())
}

struct Server {
    on_request: OnRequest,
    token: Option<Token>,
    /// Requests that are not answered yet.
    open: TaskTracker,
}

async fn connection(stream: TcpStream, server: Arc<Server>, stop: CancellationToken) {
    // An option that cannot be set costs no answer.
    let _ = tcp::notice_loss(&stream, UNREAD);
    let service = service_fn(move |request: Request<hyper::body::Incoming>| {
        let server = server.clone();
        async move { Ok::<_, Infallible>(server.answer(request).await) }
    });
    let serving = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD)
        .serve_connection(TokioIo::new(stream), service);
    tokio::pin!(serving);
    let mut stopped = false;
    loop {
        tokio::select! {
            // A caller's broken connection is its own affair.
            _ = &mut serving => return,
            () = stop.cancelled(), if !stopped => {
                stopped = true;
                serving.as_mut().graceful_shutdown();
            }
        }
    }
}

impl Server {
    async fn answer(&self, request: Request<hyper::body::Incoming>) -> Response<Body> {
        match (request.method(), request.uri().path()) {
            (&Method::GET | &Method::HEAD, "/health" | "/") => Response::new(Body::from("OK")),
            (&Method::POST, "/invoke") => {
                let open = self.open.token();
                match self.invoke(request).await {
                    HttpResponse::Lines(queue) => streamed(queue, open),
                    HttpResponse::Refused(status, text) => plain(status, text),
                }
            }
            (_, "/invoke" | "/health" | "/") => plain(StatusCode::METHOD_NOT_ALLOWED, String::new()),
            _ => plain(StatusCode::NOT_FOUND, String::new()),
        }
    }

    async fn invoke(&self, request: Request<hyper::body::Incoming>) -> HttpResponse {
        let named = |name| request.headers().get(name).and_then(|value: &header::HeaderValue| value.to_str().ok());
        if self.token.as_ref().is_some_and(|token| !token.is_in(named(header::AUTHORIZATION).unwrap_or_default())) {
            return HttpResponse::Refused(
                StatusCode::UNAUTHORIZED,
                "this plugin's address needs a password (DIFY_PLUGIN_SERVERLESS_SECRET)".to_owned(),
            );
        }
        // What a web page of somebody else can send without asking has another type.
        let kind = named(header::CONTENT_TYPE).unwrap_or_default().split(';').next().unwrap_or_default().trim();
        if !kind.eq_ignore_ascii_case("application/json") {
            return HttpResponse::Refused(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "a request has the content type application/json".to_owned(),
            );
        }
        let session_id = request.headers().get(SESSION).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let session_id = session_id.to_owned();
        (self.on_request)(Call { session_id, body: Body::new(request.into_body()) }).await
    }
}

fn streamed(mut queue: LineReceiver, open: TaskTrackerToken) -> Response<Body> {
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
fn announce(listener: &TcpListener) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, " * Serving Flask app 'dify-plugin-runtime' on http://{}", listener.local_addr()?)?;
    out.flush()
}

/// Half of the files that the process may open.
fn max_connections() -> usize {
    let limits = std::fs::read_to_string("/proc/self/limits").unwrap_or_default();
    let files =
        limits.lines().find_map(|line| line.strip_prefix("Max open files")?.split_whitespace().next()?.parse().ok());
    files.map_or(MAX_CONNECTIONS, |files: usize| (files / 2).clamp(1, MAX_CONNECTIONS))
}
