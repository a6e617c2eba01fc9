//! Serves over the daemon's debugging port, with one connection per provider that is registered again after each loss.
//!
//! The delay before a new connection is never short, because the daemon's late cleanup of the old one would remove the
//! new one too.

use std::io;
use std::net::TcpStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

use secrecy::{ExposeSecret, SecretString};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::connection::Connection;
use super::local::SHUTDOWN_TIMEOUT;
use super::registry::Registry;
use super::serve::{AtEnd, DaemonLine, ServeOptions};
use crate::protocol::registration::{Registration, Rejection};
use crate::transport::tcp;

/// How long to wait for a rejection. The daemon sends no response to a registration that it accepts.
const REJECTION_TIMEOUT: Duration = Duration::from_secs(2);

/// Maximum length of an input line in bytes. The peer did not start this process, so it is trusted less than a parent.
const MAX_INPUT_LINE_BYTES: usize = 64 * 1024 * 1024;

/// Connection options.
#[derive(Clone)]
pub struct RemoteOptions {
    /// Host of the daemon.
    pub host: String,
    /// Debugging port.
    pub port: u16,
    /// Debugging key.
    pub key: SecretString,
    /// Delay before reconnecting; doubles up to [`RemoteOptions::max_wait`].
    pub wait: Duration,
    /// Maximum delay before reconnecting.
    pub max_wait: Duration,
    /// Maximum number of attempts for the first connection.
    pub first_attempts: u32,
    /// Options for sessions.
    pub serve: ServeOptions,
}

impl RemoteOptions {
    /// Uses the delays that the daemon needs.
    pub fn new(host: String, port: u16, key: SecretString, serve: ServeOptions) -> Self {
        Self {
            host,
            port,
            key,
            wait: Duration::from_secs(5),
            max_wait: Duration::from_secs(60),
            first_attempts: 3,
            serve,
        }
    }
}

/// Why remote debugging ended.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RemoteError {
    /// The daemon rejected the registration.
    #[error(transparent)]
    Rejected(#[from] Rejection),
    /// No connection was possible.
    #[error("cannot connect to Dify at {address}: {reason}")]
    Unreachable {
        /// `host:port`
        address: String,
        /// Reason.
        reason: io::Error,
    },
}

/// State of a connection, to show to the user.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum State {
    /// Trying to connect.
    Connecting,
    /// Registered and serving.
    Serving,
    /// Lost or rejected; waiting to reconnect.
    Waiting(String),
}

/// How a connection ended.
enum Ended {
    /// Stopped by this process.
    Stopped,
    /// Closed by the daemon or lost.
    Lost(String),
}

/// Serves one provider until the key is rejected or `stop` is cancelled. Dropping the future closes the connection.
pub async fn serve(
    options: RemoteOptions,
    registration: Registration,
    registry: Arc<Registry>,
    state: watch::Sender<State>,
    stop: CancellationToken,
) -> Result<(), RemoteError> {
    let address = format!("{}:{}", options.host, options.port);
    let name = registration.name().to_owned();
    let greeting = registration.lines(options.key.expose_secret());
    let (mut wait, mut attempts, mut connected) = (options.wait, 0, false);
    loop {
        state.send_replace(State::Connecting);
        let started = Instant::now();
        let connecting = tokio::select! {
            connecting = tcp::connect(&options.host, options.port, &greeting) => connecting,
            () = stop.cancelled() => return Ok(()),
        };
        let trouble = match connecting {
            Ok(stream) => {
                connected = true;
                let served = serve_one(stream, &options, &registry, &stop, || {
                    info!(provider = name, address, "registered for remote debugging");
                    state.send_replace(State::Serving);
                });
                match served.await? {
                    Ended::Stopped => return Ok(()),
                    Ended::Lost(trouble) => trouble,
                }
            }
            Err(reason) => {
                attempts += 1;
                if !connected && attempts >= options.first_attempts {
                    return Err(RemoteError::Unreachable { address, reason });
                }
                format!("cannot connect to {address}: {reason}")
            }
        };
        // The delay starts over after a long-lived connection.
        wait = if started.elapsed() > options.max_wait { options.wait } else { wait };
        warn!(provider = name, wait_s = wait.as_secs_f64(), "{trouble}");
        state.send_replace(State::Waiting(trouble));
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            () = stop.cancelled() => return Ok(()),
        }
        wait = (wait * 2).min(options.max_wait);
    }
}

/// Serves one connection until its end. `registered` is called when the daemon has accepted the registration.
async fn serve_one(
    stream: TcpStream,
    options: &RemoteOptions,
    registry: &Arc<Registry>,
    stop: &CancellationToken,
    registered: impl FnOnce(),
) -> Result<Ended, Rejection> {
    let handshake: watch::Sender<Option<Handshake>> = watch::Sender::new(None);
    let mut response = handshake.subscribe();
    // The daemon's first line is its response. It sends envelopes only after it accepted the registration.
    let listener = move |line: DaemonLine<'_>| {
        handshake.send_if_modified(|handshake| {
            handshake.is_none() && {
                *handshake = Some(match line {
                    DaemonLine::Envelope => Handshake::Accepted,
                    DaemonLine::Unparsed(line) => Handshake::Rejected(String::from_utf8_lossy(line).into_owned()),
                });
                true
            }
        });
    };
    let mut serve = options.serve;
    serve.at_end = AtEnd::Drop;
    serve.max_input_bytes = serve.max_input_bytes.min(MAX_INPUT_LINE_BYTES);
    let opened = Connection::open(move || tcp::open(stream), registry.clone(), serve, Box::new(listener));
    let mut connection = match opened {
        Ok(connection) => connection,
        Err(error) => return Ok(Ended::Lost(format!("cannot serve the connection: {error}"))),
    };
    let accepted = async {
        // No response means that the registration is accepted.
        let handshake = tokio::time::timeout(REJECTION_TIMEOUT, response.wait_for(Option::is_some)).await;
        if let Ok(Ok(handshake)) = handshake.map(|handshake| handshake.map(|handshake| handshake.clone()))
            && handshake != Some(Handshake::Accepted)
        {
            std::future::pending::<()>().await;
        }
        registered();
        std::future::pending::<()>().await;
    };
    let ended = tokio::select! {
        ended = connection.ended() => ended,
        () = accepted => Ok(()),
        () = stop.cancelled() => {
            info!("SIGTERM received; waiting up to {} s for open sessions", SHUTDOWN_TIMEOUT.as_secs());
            let _ = connection.shutdown(tokio::time::Instant::now() + SHUTDOWN_TIMEOUT).await;
            return Ok(Ended::Stopped);
        }
    };
    let handshake = response.borrow().clone();
    if let Some(Handshake::Rejected(line)) = handshake {
        return match Rejection::of(&line, options.key.expose_secret()) {
            Rejection::InvalidKey => Err(Rejection::InvalidKey),
            rejection => Ok(Ended::Lost(rejection.to_string())),
        };
    }
    Ok(Ended::Lost(match ended {
        Err(error) => format!("connection lost: {error}"),
        Ok(()) => "Dify closed the connection".to_owned(),
    }))
}

/// The daemon's response to a registration.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Handshake {
    Accepted,
    Rejected(String),
}
