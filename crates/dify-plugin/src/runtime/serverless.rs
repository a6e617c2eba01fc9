//! Serving over HTTP: each request is a session with an outlet of its own. A caller that goes away cancels its session.
//!
//! A place is waited for before a body is read, so that no more bodies are held than sessions may run.

use std::io;
use std::sync::Arc;

use axum::http::StatusCode;
use tokio::net::TcpListener;
use tokio::runtime::Handle;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing::info;
use url::Url;

use super::local::SHUTDOWN_TIMEOUT;
use super::registry::Registry;
use super::serve::ServeOptions;
use super::sessions::Sessions;
use crate::transport::http::{self, Call, HttpOptions, HttpResponse};
use crate::transport::token::Token;

/// Where and for whom.
pub struct ServerlessOptions {
    /// The address.
    pub host: String,
    /// The port; 0 is any.
    pub port: u16,
    /// What callers must know.
    pub token: Option<Token>,
    /// Where calls back into Dify go.
    pub daemon: Option<Url>,
    /// How sessions are served.
    pub serve: ServeOptions,
}

/// Serves on an address until SIGTERM.
pub async fn serve(options: ServerlessOptions, registry: Arc<Registry>) -> io::Result<()> {
    let ServerlessOptions { host, port, token, daemon, serve } = options;
    let listener = TcpListener::bind((host.as_str(), port))
        .await
        .map_err(|error| io::Error::new(error.kind(), format!("cannot listen on {host}:{port}: {error}")))?;
    info!(address = %listener.local_addr()?, "serving over HTTP");
    let mut terminate = signal(SignalKind::terminate())?;
    let stop = CancellationToken::new();
    let sessions = Arc::new(Sessions::over_http(registry, serve, Handle::current(), daemon));
    let (taking, ending, stopping) = (sessions.clone(), sessions.clone(), stop.clone());
    let on_request = Arc::new(move |call| {
        let sessions = taking.clone();
        Box::pin(async move { answer(&sessions, call).await }) as _
    });
    let http = HttpOptions { token, grace: SHUTDOWN_TIMEOUT };
    tokio::select! {
        outcome = http::serve(listener, on_request, http, stop, move || ending.end()) => outcome,
        never = async {
            terminate.recv().await;
            info!("terminated; open sessions have {} s", SHUTDOWN_TIMEOUT.as_secs());
            sessions.close();
            stopping.cancel();
            std::future::pending().await
        } => never,
    }
}

async fn answer(sessions: &Sessions, call: Call) -> HttpResponse {
    let (outlet, queue) = http::lines();
    let outlet = outlet.with_longest_line(sessions.max_line_bytes());
    let mut turn = sessions.turn();
    if let Err(why) = sessions.wait(&mut turn, &outlet).await {
        sessions.refuse(&call.session_id, why, &outlet);
        return HttpResponse::Lines(queue);
    }
    let body = match call.body().await {
        Ok(body) => body,
        Err(refused) => return refused,
    };
    match sessions.take_request(turn, body, &outlet) {
        Ok(()) => HttpResponse::Lines(queue),
        Err(problem) => HttpResponse::Refused(StatusCode::BAD_REQUEST, problem.to_string()),
    }
}
