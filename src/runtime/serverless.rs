//! Serving over HTTP: each request is a session with an outlet of its own. A caller that goes away cancels its session.

use std::io;
use std::sync::Arc;

use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tracing::info;

use super::registry::Registry;
use super::serve::{ServeOptions, Sessions};
use crate::transport::http;
use crate::transport::outlet::Outlet;

/// Serves on an address until SIGTERM.
pub async fn serve(host: &str, port: u16, registry: Arc<Registry>, options: ServeOptions) -> io::Result<()> {
    let listener = TcpListener::bind((host, port))
        .await
        .map_err(|error| io::Error::new(error.kind(), format!("cannot listen on {host}:{port}: {error}")))?;
    info!(address = %listener.local_addr()?, "serving over HTTP");
    let mut terminate = signal(SignalKind::terminate())?;
    let stop = async move {
        terminate.recv().await;
    };
    serve_on(listener, registry, options, stop).await
}

/// Serves on a listener until `stop` is done; open sessions are finished first.
pub async fn serve_on(
    listener: TcpListener,
    registry: Arc<Registry>,
    options: ServeOptions,
    stop: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    let sessions = Sessions::new(registry, options);
    let starting = sessions.clone();
    let longest_line = options.longest_line;
    let start = move |line, outlet: Outlet| starting.take(line, &outlet.with_longest_line(longest_line));
    http::serve(listener, Arc::new(start), stop).await?;
    sessions.finish().await;
    Ok(())
}
