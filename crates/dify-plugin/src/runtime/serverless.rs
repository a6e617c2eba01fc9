//! Serves over HTTP: each request is a session with its own line queue. A client that disconnects cancels its session.
//!
//! A request waits for a free session before its body is read, so there are never more bodies in memory than sessions.

use std::io;
use std::sync::Arc;

use axum::http::StatusCode;
use tokio::net::TcpListener;
use tokio::runtime::Handle;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing::info;

use super::backwards::HttpCarrier;
use super::local::SHUTDOWN_TIMEOUT;
use super::registry::Registry;
use super::serve::ServeOptions;
use super::sessions::Sessions;
use crate::config::Config;
use crate::transport::http::{self, Call, HttpOptions, HttpResponse};
use crate::transport::stdio::Output;
use crate::transport::token::Token;

/// Serves with the settings of the process until SIGTERM. A line on `output` reports that the port is open.
pub async fn serve(config: &Config, options: ServeOptions, registry: Arc<Registry>, output: Output) -> io::Result<()> {
    let (host, port) = (config.serverless_host.as_str(), config.serverless_port);
    let token = config.serverless_secret.clone().map(Token::new);
    let listener = TcpListener::bind((host, port))
        .await
        .map_err(|error| io::Error::new(error.kind(), format!("cannot listen on {host}:{port}: {error}")))?;
    info!(address = %listener.local_addr()?, "serving over HTTP");
    let mut terminate = signal(SignalKind::terminate())?;
    let stop = CancellationToken::new();
    let carrier = HttpCarrier::new(config.daemon_url.clone(), registry.upstream().clone(), options.backwards);
    let sessions = Arc::new(Sessions::with_carrier(registry, options, Handle::current(), Box::new(carrier)));
    let (accepting, ending, keeping, stopping) = (sessions.clone(), sessions.clone(), sessions.clone(), stop.clone());
    let on_request = Arc::new(move |call| {
        let sessions = accepting.clone();
        Box::pin(async move { respond(&sessions, call).await }) as _
    });
    let http = HttpOptions { token, grace: SHUTDOWN_TIMEOUT, output };
    tokio::select! {
        outcome = http::serve(listener, on_request, http, stop, move || ending.end()) => outcome,
        () = keeping.keep() => Ok(()),
        never = async {
            terminate.recv().await;
            info!("SIGTERM received; waiting up to {} s for open sessions", SHUTDOWN_TIMEOUT.as_secs());
            sessions.close();
            stopping.cancel();
            std::future::pending().await
        } => never,
    }
}

async fn respond(sessions: &Sessions, call: Call) -> HttpResponse {
    let (sender, queue) = http::lines();
    let sender = sender.with_max_line_bytes(sessions.max_line_bytes());
    let mut turn = sessions.turn();
    if let Err(reason) = sessions.wait(&mut turn).await {
        sessions.reject(&call.session_id, reason, &sender);
        return HttpResponse::Lines(queue, Box::new(()));
    }
    let body = match call.body().await {
        Ok(body) => body,
        Err(rejection) => return rejection,
    };
    match sessions.take_request(turn, body, &sender) {
        Ok(client) => HttpResponse::Lines(queue, Box::new(client)),
        Err(problem) => HttpResponse::Rejected(StatusCode::BAD_REQUEST, problem.to_string()),
    }
}
