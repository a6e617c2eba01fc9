//! Serves as a child process of the daemon over standard input and output, and handles every reason to stop.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::Instant;
use tracing::info;

use super::connection::Connection;
use super::registry::Registry;
use super::serve::{ServeOptions, logging};
use crate::transport::stdio::{self, Output};

/// How long open sessions may continue after SIGTERM.
pub(super) const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(5);

/// Interval between two checks of the parent process.
const PARENT_INTERVAL: Duration = Duration::from_secs(2);

/// A process that has reported to the daemon that it is ready, though it may still be starting.
pub struct Ready {
    output: Output,
    terminate: Signal,
}

impl Ready {
    /// Tells the daemon. From now on SIGTERM is an orderly end.
    pub fn report(mut output: Output) -> io::Result<Self> {
        let terminate = signal(SignalKind::terminate())?;
        output.write_heartbeat();
        Ok(Self { output, terminate })
    }

    /// Serves until standard input ends, the daemon closes the plugin's output, the parent exits, or SIGTERM.
    pub async fn serve(self, registry: Arc<Registry>, options: ServeOptions) -> io::Result<()> {
        let Self { output, mut terminate } = self;
        let mut connection = Connection::open(move || Ok(stdio::open(output)), registry, options, logging())?;
        let outcome = tokio::select! {
            outcome = connection.ended() => outcome,
            () = parent_exited() => {
                info!("parent process exited");
                Ok(())
            }
            _ = terminate.recv() => {
                info!("SIGTERM received; waiting up to {} s for open sessions", SHUTDOWN_TIMEOUT.as_secs());
                connection.shutdown(Instant::now() + SHUTDOWN_TIMEOUT).await
            }
        };
        match outcome {
            // The daemon closed the pipe, so nothing can be sent any more.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            outcome => outcome,
        }
    }
}

/// Completes when the parent process exits. Compares with the parent PID at startup, because the daemon may be PID 1.
pub(crate) async fn parent_exited() {
    let parent = std::os::unix::process::parent_id();
    let mut interval = tokio::time::interval(PARENT_INTERVAL);
    while std::os::unix::process::parent_id() == parent {
        interval.tick().await;
    }
}
