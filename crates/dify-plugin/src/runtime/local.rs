//! Serving as the daemon's child: standard input and output, and every way in which that can end.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio::time::Instant;
use tracing::info;

use super::connection::Connection;
use super::registry::Registry;
use super::serve::{ServeOptions, logging};
use crate::transport::stdio;

/// How long open sessions may go on after SIGTERM.
pub(super) const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(5);

/// How often the parent is looked at.
const PARENT_INTERVAL: Duration = Duration::from_secs(2);

/// Serves until standard input ends, the host closes our output, the parent goes away, or SIGTERM.
pub async fn serve(registry: Arc<Registry>, options: ServeOptions) -> io::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut connection = Connection::open(|| Ok(stdio::open()), registry, options, logging())?;
    let outcome = tokio::select! {
        outcome = connection.ended() => outcome,
        () = parent_exited() => {
            info!("the parent process is gone");
            Ok(())
        }
        _ = terminate.recv() => {
            info!("terminated; open sessions have {} s", SHUTDOWN_TIMEOUT.as_secs());
            connection.shutdown(Instant::now() + SHUTDOWN_TIMEOUT).await
        }
    };
    match outcome {
        // The host closed its end: nothing is left to be said, and nobody to hear it.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        outcome => outcome,
    }
}

/// Compares with the parent at start: where the daemon is process 1, comparing with 1 would be wrong.
async fn parent_exited() {
    let parent = std::os::unix::process::parent_id();
    let mut interval = tokio::time::interval(PARENT_INTERVAL);
    while std::os::unix::process::parent_id() == parent {
        interval.tick().await;
    }
}
